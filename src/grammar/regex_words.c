/* grammar/regex_words.c - OR for those who build it: what is a literal becomes a sorted list of words.
 *
 * An enum of ten thousand words is then ten thousand entries and one node; what remains after a byte is a
 * narrower range of the same list. An OR of ten thousand literals would be looked through for each byte. */
#include "grammar/builder_priv.h"

#include <stdlib.h>

typedef struct sorted_word {
    krs_str text; /* in the store's bytes, which do not move while this lives */
    krs_word word;
} sorted_word;

static int compare_words(const void *x, const void *y)
{
    const krs_str a = ((const sorted_word *)x)->text;
    const krs_str b = ((const sorted_word *)y)->text;
    const size_t n = a.len < b.len ? a.len : b.len;
    const int order = memcmp(a.ptr, b.ptr, n);
    if (order != 0) {
        return order;
    }
    return (a.len > b.len) - (a.len < b.len);
}

/* Is r a list of words in full (not what remains of one)? */
static bool is_words(const krs_regex_node *node)
{
    return node->kind == KRS_REGEX_KIND_LITERAL ||
           (node->kind == KRS_REGEX_KIND_WORDS && node->c == 0);
}

static size_t count_words(const krs_regex_node *node)
{
    return !is_words(node) ? 0 : node->kind == KRS_REGEX_KIND_LITERAL ? 1 : node->b - node->a;
}

static size_t list_words(const krs_regex_store *s, const krs_regex_node *node, sorted_word *out)
{
    const size_t n = count_words(node);
    for (size_t i = 0; i < n; i++) {
        const krs_word word = node->kind == KRS_REGEX_KIND_LITERAL
                                  ? (krs_word){node->a, node->b}
                                  : ((const krs_word *)s->words.items)[node->a + i];
        out[i] = (sorted_word){{krs_regex_bytes_at(s, word.offset), word.len}, word};
    }
    return n;
}

/* The list of words[n], in the store. */
static uint32_t store_words(krs_regex_store *s, sorted_word *words, size_t n)
{
    qsort(words, n, sizeof(*words), compare_words);
    const uint32_t first = s->words.n;
    krs_status status = krs_pool_reserve(&s->words, (uint32_t)n);
    for (size_t i = 0; i < n && status == KRS_OK; i++) {
        uint32_t at;
        if (i == 0 || !krs_str_equal(words[i].text, words[i - 1].text)) {
            status = krs_pool_push(&s->words, &words[i].word, 1, &at);
        }
    }
    if (status != KRS_OK) {
        krs_regex_failed(s, status);
        return KRS_REGEX_NONE;
    }
    return krs_regex_words_of(s, first, s->words.n, 0);
}

static uint32_t join_words(krs_grammar_builder *b, const krs_regex *parts, size_t n, size_t n_words)
{
    krs_regex_store *s = &b->regexes;
    sorted_word *words = krs_alloc_array(b->alloc, n_words, sizeof(*words));
    if (!words) {
        krs_regex_failed(s, KRS_ENOMEM);
        return KRS_REGEX_NONE;
    }
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        at += list_words(s, krs_regex_at(s, parts[i].id), words + at);
    }
    const uint32_t id = store_words(s, words, at);
    krs_alloc_free(b->alloc, words);
    return id;
}

krs_regex krs_regex_or(krs_grammar_builder *b, const krs_regex *parts, size_t n)
{
    krs_regex_store *s = &b->regexes;
    if (!krs_builder_is_ok(b)) {
        return krs_regex_none(b);
    }
    size_t n_words = 0;
    for (size_t i = 0; i < n; i++) {
        n_words += count_words(krs_regex_at(s, parts[i].id));
    }
    const bool is_joined = n_words > 1;
    const uint32_t words = is_joined ? join_words(b, parts, n, n_words) : KRS_REGEX_NONE;
    const uint32_t base = s->scratch.n;
    krs_regex_push(s, words);
    for (size_t i = 0; i < n; i++) {
        if (!is_joined || !is_words(krs_regex_at(s, parts[i].id))) {
            krs_regex_push(s, parts[i].id);
        }
    }
    return krs_builder_regex(b, krs_regex_list_of(s, KRS_REGEX_KIND_OR, base));
}
