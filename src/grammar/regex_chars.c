/* grammar/regex_chars.c - one character of some ranges of code points, as a regex over its UTF-8 bytes.
 *
 * A character is a leading byte and up to three that follow, six bits each. So a set of code points is cut
 * by its leading bytes; what may follow a leading byte is a set of 64, 64^2 or 64^3 code points, cut again
 * the same way. Blocks that are full (or empty) are not looked into, so \w costs what its ranges are and
 * not what they hold; leading bytes that are followed by the same go together.
 *
 * Surrogates are left out: they have no UTF-8.
 *
 * Source: The Unicode Standard 15, table 3-7 (well-formed UTF-8). */
#include "grammar/builder_priv.h"

#include <stdlib.h>

#define MAX_CODE 0x10FFFFu
#define N_FOLLOW 64u /* values of a byte that follows */
#define MAX_BRANCHES                                                                               \
    64u /* different ways to go on, of one byte: leading bytes of more than one byte are 30 */
#define STEPS_A_BLOCK 16u /* the 64 values of a byte, each with a search of the ranges */

/* Sorted ranges that neither touch nor overlap. */
typedef struct code_set {
    krs_grammar_builder *b;
    krs_char_range *ranges; /* [n] */
    size_t n;
    uint32_t full[4]; /* regex of any run of 0..3 following bytes */
} code_set;

static int compare_ranges(const void *x, const void *y)
{
    const uint32_t a = ((const krs_char_range *)x)->first;
    const uint32_t b = ((const krs_char_range *)y)->first;
    return (a > b) - (a < b);
}

/* Sort, join what touches, in place. */
static size_t tidy(krs_char_range *ranges, size_t n)
{
    qsort(ranges, n, sizeof(*ranges), compare_ranges);
    size_t n_out = 0;
    for (size_t i = 0; i < n; i++) {
        if (n_out > 0 && ranges[i].first <= ranges[n_out - 1].last + 1) {
            if (ranges[i].last > ranges[n_out - 1].last) {
                ranges[n_out - 1].last = ranges[i].last;
            }
        } else {
            ranges[n_out++] = ranges[i];
        }
    }
    return n_out;
}

/* The complement of tidy ranges[n] into out[n + 1]. */
static size_t complement(const krs_char_range *ranges, size_t n, krs_char_range *out)
{
    size_t n_out = 0;
    uint32_t next = 0;
    for (size_t i = 0; i < n; i++) {
        if (ranges[i].first > next) {
            out[n_out++] = (krs_char_range){next, ranges[i].first - 1};
        }
        next = ranges[i].last + 1;
    }
    if (next <= MAX_CODE) {
        out[n_out++] = (krs_char_range){next, MAX_CODE};
    }
    return n_out;
}

/* The first range that ends at or after code. */
static size_t find_range(const code_set *set, uint32_t code)
{
    size_t first = 0;
    size_t end = set->n;
    while (first < end) {
        const size_t middle = first + (end - first) / 2;
        if (set->ranges[middle].last < code) {
            first = middle + 1;
        } else {
            end = middle;
        }
    }
    return first;
}

/* OR of a byte and what follows it; equal regexes share their bytes. Single bytes are all one branch. */
typedef struct branches {
    uint32_t rest[MAX_BRANCHES];
    krs_byte_set bytes[MAX_BRANCHES];
    uint32_t n;
} branches;

static void add_branch(branches *out, uint32_t byte, uint32_t rest)
{
    uint32_t i = 0;
    if (rest == KRS_REGEX_NONE) {
        return;
    }
    while (i < out->n && out->rest[i] != rest) {
        i++;
    }
    if (i == out->n) {
        out->rest[i] = rest;
        out->bytes[i] = (krs_byte_set){{0}};
        out->n++;
    }
    out->bytes[i].bits[byte / 64] |= 1ull << byte % 64;
}

static uint32_t join_branches(code_set *set, const branches *in)
{
    krs_grammar_builder *b = set->b;
    const uint32_t base = b->regexes.scratch.n;
    for (uint32_t i = 0; i < in->n; i++) {
        const uint32_t byte = krs_regex_bytes(b, in->bytes[i].bits).id;
        const uint32_t joined = krs_regex_cat_of(&b->regexes, byte, in->rest[i]);
        krs_regex_push(&b->regexes, joined);
    }
    return krs_regex_list_of(&b->regexes, KRS_REGEX_KIND_OR, base);
}

/* What n_bytes following bytes may be, where all zero would mean code `first`. */
static uint32_t follow(code_set *set, uint32_t first, uint32_t n_bytes)
{
    const uint32_t n_codes = 1u << 6 * n_bytes;
    const uint32_t last = first + n_codes - 1;
    const size_t at = find_range(set, first);
    if (at == set->n || set->ranges[at].first > last) {
        return KRS_REGEX_NONE;
    }
    if (n_bytes == 0 || (set->ranges[at].first <= first && set->ranges[at].last >= last)) {
        return set->full[n_bytes];
    }
    if (!krs_regex_steps(&set->b->regexes, STEPS_A_BLOCK)) {
        return KRS_REGEX_NONE;
    }
    branches out = {.n = 0};
    for (uint32_t i = 0; i < N_FOLLOW; i++) {
        add_branch(&out, 0x80 + i, follow(set, first + i * (n_codes / N_FOLLOW), n_bytes - 1));
    }
    return join_branches(set, &out);
}

/* Characters of one length: n_leads leading bytes from lead; the code of the first is base where all that
 * follows is zero; only codes low..high have this form. */
typedef struct char_form {
    uint32_t lead, n_leads, n_bytes, base;
    uint32_t low, high;
} char_form;

/* Without what has a shorter form, and without surrogates. */
static const char_form forms[] = {
    {0x00, 0x80, 0, 0, 0, 0x7F},           {0xC2, 0x1E, 1, 0x80, 0x80, 0x7FF},
    {0xE0, 0x0E, 2, 0, 0x800, 0xD7FF},     {0xEE, 0x02, 2, 0xE000, 0xE000, 0xFFFF},
    {0xF0, 0x05, 3, 0, 0x10000, MAX_CODE},
};

/* The codes of all that have this form, into out[n + 1]. */
static size_t clip(const krs_char_range *ranges, size_t n, const char_form *form,
                   krs_char_range *out)
{
    size_t n_out = 0;
    for (size_t i = 0; i < n; i++) {
        const uint32_t first = ranges[i].first > form->low ? ranges[i].first : form->low;
        const uint32_t last = ranges[i].last < form->high ? ranges[i].last : form->high;
        if (first <= last) {
            out[n_out++] = (krs_char_range){first, last};
        }
    }
    return n_out;
}

static uint32_t one_form(code_set *set, const char_form *form)
{
    krs_regex_store *s = &set->b->regexes;
    const uint32_t base = s->scratch.n;
    branches out = {.n = 0};
    for (uint32_t i = 0; i < form->n_leads; i++) {
        add_branch(&out, form->lead + i,
                   follow(set, form->base + (i << 6 * form->n_bytes), form->n_bytes));
    }
    krs_regex_push(s, join_branches(set, &out));
    return krs_regex_list_of(s, KRS_REGEX_KIND_OR, base);
}

static uint32_t all_forms(krs_grammar_builder *b, const krs_char_range *ranges, size_t n,
                          krs_char_range *clipped)
{
    krs_regex_store *s = &b->regexes;
    code_set set = {.b = b, .ranges = clipped};
    const krs_byte_set following = {{0, 0, ~0ull, 0}}; /* 80..BF */
    const uint32_t byte = krs_regex_set_of(s, &following);
    set.full[0] = KRS_REGEX_EMPTY;
    for (int i = 1; i < 4; i++) {
        set.full[i] = krs_regex_cat_of(s, byte, set.full[i - 1]);
    }
    const uint32_t base = s->scratch.n;
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        set.n = clip(ranges, n, &forms[i], clipped);
        krs_regex_push(s, one_form(&set, &forms[i]));
    }
    return krs_regex_list_of(s, KRS_REGEX_KIND_OR, base);
}

krs_regex krs_regex_chars(krs_grammar_builder *b, const krs_char_range *ranges, size_t n,
                          bool is_negated)
{
    for (size_t i = 0; i < n; i++) {
        if (ranges[i].first > ranges[i].last || ranges[i].last > MAX_CODE) {
            krs_grammar_builder_fail(b, KRS_EINVAL, "grammar: code points %#x..%#x, want 0..%#x",
                                     ranges[i].first, ranges[i].last, MAX_CODE);
        }
    }
    if (!krs_builder_is_ok(b)) {
        return krs_regex_none(b);
    }
    /* Three of them: sorted, complemented (one more), clipped. */
    krs_char_range *room = krs_alloc_array(b->alloc, 3 * n + 2, sizeof(*room));
    if (!room) {
        krs_regex_failed(&b->regexes, KRS_ENOMEM);
        return krs_builder_regex(b, KRS_REGEX_NONE);
    }
    krs_char_range *codes = room;
    if (n > 0) {
        memcpy(codes, ranges, n * sizeof(*codes));
    }
    size_t n_codes = tidy(codes, n);
    if (is_negated) {
        n_codes = complement(codes, n_codes, room + n);
        codes = room + n;
    }
    const uint32_t id = all_forms(b, codes, n_codes, room + 2 * n + 1);
    krs_alloc_free(b->alloc, room);
    return krs_builder_regex(b, id);
}
