/* grammar/chars_hex.c - sets of characters as the escapes \uXXXX of JSON.
 *
 * The digits are a tree: at each place the set is cut into as many parts as the digit has values, parts that lead to
 * the same regex share a branch, and a part that is wholly in the set needs no more looking. Characters above U+FFFF are a
 * pair of escapes, \uD8xx\uDCxx to \uDBxx\uDFxx, of ten bits each. */
#include "grammar/chars_priv.h"

/* One place of the number. */
typedef struct place {
    uint8_t bits;    /* of the character's number that it tells */
    uint8_t base;    /* added to them to make the digit */
    bool is_in_next; /* it is the first told by the second escape of a pair */
} place;

static const place basic_places[] = {{4, 0, false}, {4, 0, false}, {4, 0, false}, {4, 0, false}};
static const place pair_places[] = {{2, 8, false},  {4, 0, false}, {4, 0, false},
                                    {2, 0xC, true}, {4, 0, false}, {4, 0, false}};

static krs_regex digits_regex(krs_grammar_builder *b, uint32_t digits)
{
    uint64_t set[4] = {0, 0, 0, 0};
    for (unsigned d = 0; d < 16; d++) {
        if (digits >> d & 1) {
            const unsigned lower = d < 10 ? '0' + d : 'a' + d - 10;
            const unsigned upper = d < 10 ? '0' + d : 'A' + d - 10;
            set[lower / 64] |= 1ull << lower % 64;
            set[upper / 64] |= 1ull << upper % 64;
        }
    }
    return krs_regex_bytes(b, set);
}

static krs_regex escape_start(krs_grammar_builder *b, bool is_surrogate)
{
    const krs_regex start = krs_regex_literal(b, KRS_STR("\\u"));
    return is_surrogate ? krs_regex_cat2(b, start, digits_regex(b, 1u << 0xD)) : start;
}

typedef enum coverage { COVERS_NONE, COVERS_SOME, COVERS_ALL } coverage;

static coverage covered(const krs_charset *set, uint32_t first, uint32_t last)
{
    size_t low = 0;
    size_t high = set->n;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (set->ranges[middle].last < first) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == set->n || set->ranges[low].first > last) {
        return COVERS_NONE;
    }
    const bool is_all = set->ranges[low].first <= first && set->ranges[low].last >= last;
    /* Surrogates are no characters: only pairs write them. */
    return is_all && !(first <= 0xDFFF && last >= 0xD800) ? COVERS_ALL : COVERS_SOME;
}

typedef struct hex_tree {
    krs_grammar_builder *b;
    const krs_charset *set;
    const place *places;
    size_t n_places;
} hex_tree;

/* The values of one digit, by what follows them. */
typedef struct fork {
    krs_regex rest[16];
    uint32_t digits[16]; /* bit d: digit d leads to rest */
    size_t n;
} fork;

static void fork_add(fork *f, krs_regex rest, uint32_t digit)
{
    size_t i = 0;
    while (i < f->n && f->rest[i].id != rest.id) {
        i++;
    }
    if (i == f->n) {
        f->rest[f->n] = rest;
        f->digits[f->n++] = 0;
    }
    f->digits[i] |= 1u << digit;
}

static krs_regex branch(const hex_tree *t, size_t at, uint32_t first, unsigned bits);

/* One digit and what follows, for characters first .. first + 2^bits - 1. */
static krs_regex digit_branch(const hex_tree *t, size_t at, uint32_t first, unsigned bits,
                              bool is_all)
{
    const place *p = t->places + at;
    const unsigned rest = bits - p->bits;
    fork f = {.n = 0};
    krs_regex same = krs_regex_none(t->b);
    for (uint32_t d = 0; d < 1u << p->bits; d++) {
        if (d == 0 || !is_all) {
            same = branch(t, at + 1, first + (d << rest), rest);
        }
        fork_add(&f, same, d + p->base);
    }
    for (size_t i = 0; i < f.n; i++) {
        const krs_regex parts[] = {p->is_in_next ? escape_start(t->b, true) : krs_regex_empty(t->b),
                                   digits_regex(t->b, f.digits[i]), f.rest[i]};
        f.rest[i] = krs_regex_cat(t->b, parts, 3);
    }
    return krs_regex_or(t->b, f.rest, f.n);
}

/* What is told from place `at` on. */
static krs_regex branch(const hex_tree *t, size_t at, uint32_t first, unsigned bits)
{
    const uint32_t last = first + (1u << bits) - 1;
    const bool is_surrogates = first >= 0xD800 && last <= 0xDFFF;
    const coverage c = is_surrogates ? COVERS_NONE : covered(t->set, first, last);
    if (c == COVERS_NONE) {
        return krs_regex_none(t->b);
    }
    return at == t->n_places ? krs_regex_empty(t->b)
                             : digit_branch(t, at, first, bits, c == COVERS_ALL);
}

krs_regex krs_chars_by_number(krs_grammar_builder *b, const krs_charset *set)
{
    const hex_tree basic = {b, set, basic_places, 4};
    krs_regex parts[2];
    parts[0] = krs_regex_cat2(b, escape_start(b, false), branch(&basic, 0, 0, 16));
    krs_regex pairs[16];
    /* The number less 0x10000 has 20 bits: planes 1 to 16, four to a first digit. */
    const hex_tree pair = {b, set, pair_places + 1, 5};
    for (uint32_t d = 0; d < 4; d++) {
        const krs_regex rest = branch(&pair, 0, 0x10000 + (d << 18), 18);
        pairs[d] = krs_regex_cat2(b, digits_regex(b, 1u << (d + pair_places[0].base)), rest);
    }
    parts[1] = krs_regex_cat2(b, escape_start(b, true), krs_regex_or(b, pairs, 4));
    return krs_regex_or(b, parts, 2);
}
