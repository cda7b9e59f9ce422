/* Regexes by derivatives: against a slow twin that tries every cut, on random regexes with AND, NOT and
 * counted repeats; and characters as UTF-8. */
#include "base/utf8.h"
#include "grammar/grammar.h"
#include "support/cmocka.h"

#include <stdio.h>
#include <stdlib.h>

static krs_grammar_builder *new_builder(void)
{
    krs_grammar_builder *b;
    assert_int_equal(krs_grammar_builder_new(NULL, NULL, &b), KRS_OK);
    return b;
}

static uint32_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33);
}

/* A regex as a tree, for the twin. */
typedef struct tree {
    char kind; /* letter: itself; 0 empty, '!' none, '[' a or b, '.' cat, '|' '&' '~', '{' repeat */
    uint32_t min, max;
    struct tree *x, *y;
} tree;

static tree *new_tree(uint64_t *seed, int depth)
{
    static const char leaves[] = "abc[ab0";
    static const char kinds[] = "...|||&~{{";
    tree *t = calloc(1, sizeof(*t));
    assert_non_null(t);
    if (depth == 0 || next_random(seed) % 6 == 0) {
        t->kind = leaves[next_random(seed) % (sizeof(leaves) - 1)];
        return t;
    }
    t->kind = kinds[next_random(seed) % (sizeof(kinds) - 1)];
    t->x = new_tree(seed, depth - 1);
    if (t->kind == '{') {
        t->min = next_random(seed) % 3;
        t->max = next_random(seed) % 3 == 0 ? KRS_REGEX_INF : t->min + next_random(seed) % 3;
    } else if (t->kind != '~') {
        t->y = new_tree(seed, depth - 1);
    }
    return t;
}

static void free_tree(tree *t)
{
    if (t) {
        free_tree(t->x);
        free_tree(t->y);
        free(t);
    }
}

static bool twin_matches(const tree *t, krs_str text);

static bool twin_repeats(const tree *t, krs_str text, uint32_t min, uint32_t max)
{
    if (text.len == 0 || max == 0) {
        return text.len == 0 && (min == 0 || twin_matches(t->x, text));
    }
    /* Where a turn may be empty, as many as are wanted have been made. */
    const bool is_free = min == 0 || twin_matches(t->x, (krs_str){text.ptr, 0});
    const uint32_t rest_min = is_free ? 0 : min - 1;
    const uint32_t rest_max = max - (uint32_t)(max != KRS_REGEX_INF);
    for (size_t cut = 1; cut <= text.len; cut++) {
        const krs_str rest = {text.ptr + cut, text.len - cut};
        if (twin_matches(t->x, (krs_str){text.ptr, cut}) &&
            twin_repeats(t, rest, rest_min, rest_max)) {
            return true;
        }
    }
    return false;
}

static bool twin_cuts(const tree *t, krs_str text)
{
    for (size_t cut = 0; cut <= text.len; cut++) {
        if (twin_matches(t->x, (krs_str){text.ptr, cut}) &&
            twin_matches(t->y, (krs_str){text.ptr + cut, text.len - cut})) {
            return true;
        }
    }
    return false;
}

static bool twin_matches(const tree *t, krs_str text)
{
    switch (t->kind) {
    case '0':
        return text.len == 0;
    case '[':
        return text.len == 1 && (text.ptr[0] == 'a' || text.ptr[0] == 'b');
    case '.':
        return twin_cuts(t, text);
    case '|':
        return twin_matches(t->x, text) || twin_matches(t->y, text);
    case '&':
        return twin_matches(t->x, text) && twin_matches(t->y, text);
    case '~':
        return !twin_matches(t->x, text);
    case '{':
        return twin_repeats(t, text, t->min, t->max);
    default:
        return text.len == 1 && text.ptr[0] == t->kind;
    }
}

static krs_regex build(krs_grammar_builder *b, const tree *t)
{
    const uint64_t ab[4] = {0, 3ull << ('a' - 64), 0, 0};
    switch (t->kind) {
    case '0':
        return krs_regex_empty(b);
    case '[':
        return krs_regex_bytes(b, ab);
    case '.':
        return krs_regex_cat2(b, build(b, t->x), build(b, t->y));
    case '|':
        return krs_regex_or2(b, build(b, t->x), build(b, t->y));
    case '&':
        return krs_regex_and2(b, build(b, t->x), build(b, t->y));
    case '~':
        return krs_regex_not(b, build(b, t->x));
    case '{':
        return krs_regex_repeat(b, build(b, t->x), t->min, t->max);
    default:
        return krs_regex_literal(b, (krs_str){&t->kind, 1});
    }
}

/* The n-th text over a, b, c: "", a, b, c, aa, ... */
static krs_str nth_text(uint32_t n, char *room)
{
    size_t len = 0;
    while (n > 0) {
        room[len++] = (char)('a' + (n - 1) % 3);
        n = (n - 1) / 3;
    }
    return (krs_str){room, len};
}

#define N_TEXTS 364 /* all of at most 5 bytes */

static void random_regexes_match_as_their_twins(void **state)
{
    (void)state;
    const uint64_t first_seed = 20261123;
    printf("seed %llu\n", (unsigned long long)first_seed);
    for (uint64_t round = 0; round < 600; round++) {
        uint64_t seed = first_seed + round;
        tree *t = new_tree(&seed, 4);
        krs_grammar_builder *b = new_builder();
        const krs_regex r = build(b, t);
        bool is_any = false;
        for (uint32_t n = 0; n < N_TEXTS; n++) {
            char room[8];
            const krs_str text = nth_text(n, room);
            const bool expected = twin_matches(t, text);
            is_any = is_any || expected;
            if (krs_regex_matches(b, r, text) != expected) {
                fail_msg("round %llu: \"%.*s\" is %d", (unsigned long long)round,
                         KRS_STR_ARGS(text), expected);
            }
        }
        if (is_any) {
            assert_false(krs_regex_is_none(b, r));
        }
        assert_int_equal(krs_grammar_builder_status(b, NULL), KRS_OK);
        krs_grammar_builder_free(b);
        free_tree(t);
    }
}

static void what_matches_nothing_is_found_out(void **state)
{
    (void)state;
    krs_grammar_builder *b = new_builder();
    const krs_regex a = krs_regex_literal(b, KRS_STR("a"));
    const krs_regex as = krs_regex_repeat(b, a, 0, KRS_REGEX_INF);
    const krs_regex some = krs_regex_repeat(b, a, 3, 7);
    const krs_regex more = krs_regex_repeat(b, a, 8, 9);
    assert_true(krs_regex_is_none(b, krs_regex_and2(b, some, more)));
    assert_true(krs_regex_is_none(b, krs_regex_and2(b, as, krs_regex_not(b, as))));
    assert_true(krs_regex_is_none(b, krs_regex_and2(b, some, krs_regex_not(b, as))));
    assert_false(krs_regex_is_none(b, krs_regex_and2(b, as, krs_regex_not(b, some))));
    assert_true(krs_regex_is_none(b, krs_regex_not(b, krs_regex_any(b))));
    krs_grammar_builder_free(b);
}

static size_t encode(uint32_t code, char out[4])
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xC0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3F));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xE0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3F));
        out[2] = (char)(0x80 | (code & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3F));
    out[2] = (char)(0x80 | (code >> 6 & 0x3F));
    out[3] = (char)(0x80 | (code & 0x3F));
    return 4;
}

static bool in_ranges(const krs_char_range *ranges, size_t n, uint32_t code)
{
    for (size_t i = 0; i < n; i++) {
        if (code >= ranges[i].first && code <= ranges[i].last) {
            return true;
        }
    }
    return false;
}

/* Every code point, in the class and in its complement. */
static void check_class(const krs_char_range *ranges, size_t n)
{
    krs_grammar_limits limits = KRS_GRAMMAR_LIMITS_INIT;
    limits.max_steps = UINT32_MAX; /* four million questions */
    krs_grammar_builder *b;
    assert_int_equal(krs_grammar_builder_new(&limits, NULL, &b), KRS_OK);
    const krs_regex in = krs_regex_chars(b, ranges, n, false);
    const krs_regex out = krs_regex_chars(b, ranges, n, true);
    for (uint32_t code = 0; code <= 0x10FFFF; code += code < 0x3000 ? 1 : 5) {
        char bytes[4];
        const krs_str text = {bytes, encode(code, bytes)};
        const bool is_character = krs_utf8_length(bytes, text.len) == text.len;
        const bool is_in = in_ranges(ranges, n, code);
        assert_int_equal(krs_regex_matches(b, in, text), is_character && is_in);
        assert_int_equal(krs_regex_matches(b, out, text), is_character && !is_in);
    }
    assert_int_equal(krs_grammar_builder_status(b, NULL), KRS_OK);
    krs_grammar_builder_free(b);
}

static void classes_of_characters_are_their_utf8(void **state)
{
    (void)state;
    const krs_char_range all[] = {{0, 0x10FFFF}};
    const krs_char_range odd[] = {{'0', '9'},         {0x7F, 0x80},        {0x7FE, 0x801},
                                  {0xD7FD, 0xE002},   {0x3041, 0x3096},    {0xFFFE, 0x10001},
                                  {0x1F600, 0x1F64F}, {0x10FFFE, 0x10FFFF}};
    check_class(all, 1);
    check_class(odd, 8);
    check_class(NULL, 0);
}

/* No byte sequence but UTF-8: all of two bytes, and of three by a stride. */
static void text_is_well_formed(void **state)
{
    (void)state;
    krs_grammar_limits limits = KRS_GRAMMAR_LIMITS_INIT;
    limits.max_steps = UINT32_MAX;
    krs_grammar_builder *b;
    assert_int_equal(krs_grammar_builder_new(&limits, NULL, &b), KRS_OK);
    const krs_regex text = krs_regex_text(b);
    for (uint32_t n = 0; n < 1u << 24; n += n < 1u << 16 ? 1 : 251) {
        const char bytes[3] = {(char)n, (char)(n >> 8), (char)(n >> 16)};
        const size_t len = n < 1u << 16 ? 2 : 3;
        size_t at = 0;
        size_t length = 1;
        while (at < len && length > 0) {
            length = krs_utf8_length(bytes + at, len - at);
            at += length;
        }
        assert_int_equal(krs_regex_matches(b, text, (krs_str){bytes, len}), at == len);
    }
    krs_grammar_builder_free(b);
}

static void many_words_are_one_node(void **state)
{
    (void)state;
    krs_grammar_builder *b = new_builder();
    krs_regex words[3000];
    for (uint32_t i = 0; i < 3000; i++) {
        char text[32];
        const int n = snprintf(text, sizeof(text), "\"word-%u\"", i * 7919 % 3000);
        words[i] = krs_regex_literal(b, (krs_str){text, (size_t)n});
    }
    const krs_regex all = krs_regex_or(b, words, 3000);
    assert_true(krs_regex_matches(b, all, KRS_STR("\"word-17\"")));
    assert_true(krs_regex_matches(b, all, KRS_STR("\"word-2999\"")));
    assert_false(krs_regex_matches(b, all, KRS_STR("\"word-3000\"")));
    assert_false(krs_regex_matches(b, all, KRS_STR("\"word-17")));
    krs_grammar_builder_free(b);
}

static void a_large_repeat_costs_nothing_to_build(void **state)
{
    (void)state;
    krs_grammar_limits limits = KRS_GRAMMAR_LIMITS_INIT;
    limits.max_nodes = 100;
    krs_grammar_builder *b;
    assert_int_equal(krs_grammar_builder_new(&limits, NULL, &b), KRS_OK);
    const krs_regex many = krs_regex_repeat(b, krs_regex_literal(b, KRS_STR("ab")), 2, 4000000);
    assert_true(krs_regex_matches(b, many, KRS_STR("ababab")));
    assert_false(krs_regex_matches(b, many, KRS_STR("ab")));
    assert_int_equal(krs_grammar_builder_status(b, NULL), KRS_OK);
    krs_grammar_builder_free(b);
}

static void limits_stick_and_are_named(void **state)
{
    (void)state;
    krs_grammar_limits limits = KRS_GRAMMAR_LIMITS_INIT;
    limits.max_nodes = 50;
    krs_grammar_builder *b;
    assert_int_equal(krs_grammar_builder_new(&limits, NULL, &b), KRS_OK);
    krs_regex r = krs_regex_literal(b, KRS_STR("x"));
    for (uint32_t i = 0; i < 60; i++) {
        r = krs_regex_repeat(b, krs_regex_or2(b, r, krs_regex_empty(b)), 1, 2 + i);
    }
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(krs_grammar_builder_status(b, &err), KRS_ETOOLARGE);
    assert_non_null(strstr(err.message, "50 nodes"));
    assert_true(krs_regex_is_none(b, r));
    const krs_char_range bad = {5, 0x110000};
    (void)krs_regex_chars(b, &bad, 1, false);
    assert_int_equal(krs_grammar_builder_status(b, &err), KRS_ETOOLARGE);
    krs_grammar_builder_free(b);

    b = new_builder();
    (void)krs_regex_chars(b, &bad, 1, false);
    assert_int_equal(krs_grammar_builder_status(b, &err), KRS_EINVAL);
    assert_non_null(strstr(err.message, "0x110000"));
    krs_grammar_builder_free(b);
}

/* ~(.*a.{n}) needs 2^n states: a question about it runs out of steps, and the builder says so. */
static void a_question_too_hard_is_refused(void **state)
{
    (void)state;
    krs_grammar_limits limits = KRS_GRAMMAR_LIMITS_INIT;
    limits.max_steps = 200000;
    krs_grammar_builder *b;
    assert_int_equal(krs_grammar_builder_new(&limits, NULL, &b), KRS_OK);
    const uint64_t ab[4] = {0, 3ull << ('a' - 64), 0, 0};
    const krs_regex any = krs_regex_repeat(b, krs_regex_bytes(b, ab), 0, KRS_REGEX_INF);
    const krs_regex parts[] = {any, krs_regex_literal(b, KRS_STR("a")),
                               krs_regex_repeat(b, krs_regex_bytes(b, ab), 30, 30)};
    const krs_regex r = krs_regex_cat(b, parts, 3);
    const krs_regex hard = krs_regex_and2(b, r, krs_regex_not(b, r));
    assert_true(krs_regex_is_none(b, krs_regex_cat2(b, krs_regex_and2(b, r, any), hard)));
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(krs_grammar_builder_status(b, &err), KRS_ETOOLARGE);
    assert_non_null(strstr(err.message, "200000 steps"));
    krs_grammar_builder_free(b);
}

/* Nodes and classes of characters are work, too: a thousand different classes do not come for nothing. */
static void what_is_built_counts_steps(void **state)
{
    (void)state;
    krs_grammar_limits limits = KRS_GRAMMAR_LIMITS_INIT;
    limits.max_steps = 10000;
    krs_grammar_builder *b;
    assert_int_equal(krs_grammar_builder_new(&limits, NULL, &b), KRS_OK);
    for (uint32_t i = 0; i < 1000; i++) {
        const krs_char_range ranges[] = {{'a', 'z'}, {0x400 + i, 0x3000 + i}};
        (void)krs_regex_chars(b, ranges, 2, false);
    }
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(krs_grammar_builder_status(b, &err), KRS_ETOOLARGE);
    assert_non_null(strstr(err.message, "10000 steps"));
    krs_grammar_builder_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_regexes_match_as_their_twins),
        cmocka_unit_test(what_matches_nothing_is_found_out),
        cmocka_unit_test(classes_of_characters_are_their_utf8),
        cmocka_unit_test(text_is_well_formed),
        cmocka_unit_test(many_words_are_one_node),
        cmocka_unit_test(a_large_repeat_costs_nothing_to_build),
        cmocka_unit_test(limits_stick_and_are_named),
        cmocka_unit_test(a_question_too_hard_is_refused),
        cmocka_unit_test(what_is_built_counts_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
