/* grammar/regex.c - regexes for those who build them; see regex.h. The nodes are in regex_store.c. */
#include "grammar/regex.h"

#include "base/buf.h"
#include "grammar/builder_priv.h"

krs_regex krs_regex_none(krs_grammar_builder *b)
{
    return krs_builder_regex(b, KRS_REGEX_NONE);
}

krs_regex krs_regex_empty(krs_grammar_builder *b)
{
    return krs_builder_regex(b, KRS_REGEX_EMPTY);
}

krs_regex krs_regex_any(krs_grammar_builder *b)
{
    return krs_builder_regex(b, KRS_REGEX_ANY);
}

krs_regex krs_regex_text(krs_grammar_builder *b)
{
    const krs_char_range all = {0, 0x10FFFF};
    return krs_regex_repeat(b, krs_regex_chars(b, &all, 1, false), 0, KRS_REGEX_INF);
}

krs_regex krs_regex_literal(krs_grammar_builder *b, krs_str text)
{
    return krs_builder_regex(b, krs_regex_literal_of(&b->regexes, text));
}

/* A set of one byte is a literal, so that runs of them join. */
krs_regex krs_regex_bytes(krs_grammar_builder *b, const uint64_t set[4])
{
    const krs_byte_set bytes = {{set[0], set[1], set[2], set[3]}};
    int n = 0;
    int last = 0;
    for (int w = 0; w < 4; w++) {
        n += __builtin_popcountll(set[w]);
        last = set[w] ? w * 64 + 63 - __builtin_clzll(set[w]) : last;
    }
    if (n == 1) {
        const char c = (char)last;
        return krs_regex_literal(b, (krs_str){&c, 1});
    }
    return krs_builder_regex(b, krs_regex_set_of(&b->regexes, &bytes));
}

static bool is_literal(const krs_regex_store *s, krs_regex r)
{
    return krs_regex_at(s, r.id)->kind == KRS_REGEX_KIND_LITERAL;
}

/* parts[first .. end), all literals, as one. */
static uint32_t join_literals(krs_grammar_builder *b, const krs_regex *parts, size_t n)
{
    if (n == 1) {
        return parts[0].id;
    }
    krs_buf text;
    krs_buf_init(&text, b->alloc, b->limits.max_bytes);
    krs_status status = KRS_OK;
    for (size_t i = 0; i < n && status == KRS_OK; i++) {
        const krs_regex_node *node = krs_regex_at(&b->regexes, parts[i].id);
        status = krs_buf_append(&text, krs_regex_bytes_at(&b->regexes, node->a), node->b);
    }
    uint32_t id = KRS_REGEX_NONE;
    if (status == KRS_OK) {
        id = krs_regex_literal_of(&b->regexes, krs_buf_view(&text));
    } else {
        krs_regex_failed(&b->regexes, status);
    }
    krs_buf_deinit(&text);
    return id;
}

krs_regex krs_regex_cat(krs_grammar_builder *b, const krs_regex *parts, size_t n)
{
    krs_regex_store *s = &b->regexes;
    uint32_t rest = KRS_REGEX_EMPTY;
    for (size_t end = n; end > 0 && krs_builder_is_ok(b);) {
        size_t first = end - 1;
        if (is_literal(s, parts[first])) {
            while (first > 0 && is_literal(s, parts[first - 1])) {
                first--;
            }
            rest = krs_regex_cat_of(s, join_literals(b, parts + first, end - first), rest);
        } else {
            rest = krs_regex_cat_of(s, parts[first].id, rest);
        }
        end = first;
    }
    return krs_builder_regex(b, rest);
}

krs_regex krs_regex_and(krs_grammar_builder *b, const krs_regex *parts, size_t n)
{
    const uint32_t base = b->regexes.scratch.n;
    if (!krs_builder_is_ok(b)) {
        return krs_regex_none(b);
    }
    for (size_t i = 0; i < n; i++) {
        krs_regex_push(&b->regexes, parts[i].id);
    }
    return krs_builder_regex(b, krs_regex_list_of(&b->regexes, KRS_REGEX_KIND_AND, base));
}

krs_regex krs_regex_not(krs_grammar_builder *b, krs_regex r)
{
    return krs_builder_regex(b, krs_regex_not_of(&b->regexes, r.id));
}

krs_regex krs_regex_repeat(krs_grammar_builder *b, krs_regex r, uint32_t min, uint32_t max)
{
    return krs_builder_regex(b, krs_regex_repeat_of(&b->regexes, r.id, min, max));
}

krs_regex krs_regex_cat2(krs_grammar_builder *b, krs_regex first, krs_regex second)
{
    const krs_regex parts[] = {first, second};
    return krs_regex_cat(b, parts, 2);
}

krs_regex krs_regex_or2(krs_grammar_builder *b, krs_regex first, krs_regex second)
{
    const krs_regex parts[] = {first, second};
    return krs_regex_or(b, parts, 2);
}

krs_regex krs_regex_and2(krs_grammar_builder *b, krs_regex first, krs_regex second)
{
    const krs_regex parts[] = {first, second};
    return krs_regex_and(b, parts, 2);
}

bool krs_regex_is_nullable(const krs_grammar_builder *b, krs_regex r)
{
    return krs_regex_has(&b->regexes, r.id, KRS_REGEX_NULLABLE);
}

bool krs_regex_matches(krs_grammar_builder *b, krs_regex r, krs_str text)
{
    uint32_t rest = r.id;
    for (size_t i = 0; i < text.len && rest != KRS_REGEX_NONE && krs_builder_is_ok(b); i++) {
        rest = krs_regex_derive(&b->regexes, rest, (uint8_t)text.ptr[i]);
    }
    return krs_builder_is_ok(b) && krs_regex_has(&b->regexes, rest, KRS_REGEX_NULLABLE);
}

bool krs_regex_is_none(krs_grammar_builder *b, krs_regex r)
{
    if (!krs_builder_is_ok(b)) {
        return true;
    }
    bool is_known;
    const bool is_never = krs_regex_is_never(&b->regexes, r.id, UINT32_MAX, &is_known);
    return !krs_builder_is_ok(b) || is_never;
}
