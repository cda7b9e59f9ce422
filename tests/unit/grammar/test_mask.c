/* Masks: against every token by itself, when memory is dropped, after undo; what is forced; where an answer
 * may end; and what krs_grammar_build refuses. */
#include "grammar/automaton_priv.h"
#include "grammar/pattern.h"
#include "support/grammar_fixture.h"

#include <stdio.h>

static bool has_token(const uint64_t *mask, uint32_t token)
{
    return (mask[token / 64] >> token % 64 & 1) != 0;
}

/* Every bit of the mask is what the token by itself says; how many there are. */
static uint32_t check_mask(krs_matcher *m)
{
    const uint64_t *mask;
    uint32_t n = 0;
    assert_int_equal(krs_matcher_mask(m, &mask), KRS_OK);
    for (uint32_t token = 0; token < N_TOKENS; token++) {
        const bool is_allowed = krs_matcher_allows(m, token) == KRS_OK;
        if (has_token(mask, token) != is_allowed) {
            fail_msg("token %u is %d", token, is_allowed);
        }
        n += is_allowed ? 1 : 0;
    }
    for (uint32_t bit = N_TOKENS; bit % 64 != 0; bit++) {
        assert_false(has_token(mask, bit));
    }
    assert_true(n > 0);
    return n;
}

/* A token of the mask at random; not the end, while there is another. */
static uint32_t choose(krs_matcher *m, uint64_t *seed)
{
    const uint64_t *mask;
    assert_int_equal(krs_matcher_mask(m, &mask), KRS_OK);
    uint32_t token = next_random(seed) % N_TOKENS;
    for (uint32_t i = 0; i < N_TOKENS && (!has_token(mask, token) || token == END); i++) {
        token = (token + 1) % N_TOKENS;
    }
    return has_token(mask, token) ? token : END;
}

static void masks_say_what_every_token_says(void **state)
{
    (void)state;
    krs_grammar_vocab *vocab = new_vocab();
    for (int order = 0; order < 2; order++) {
        krs_grammar_builder *b = new_builder();
        krs_automaton *a = new_automaton(b, json_root(b, order == 1), vocab, NULL);
        krs_matcher *m;
        uint32_t n_wide = 0;
        assert_int_equal(krs_matcher_new(a, &m), KRS_OK);
        uint64_t seed = 5;
        for (int step = 0; step < 200; step++) {
            n_wide += check_mask(m) > N_TOKENS / 10 ? 1 : 0;
            const uint32_t token = choose(m, &seed);
            assert_int_equal(krs_matcher_accept_token(m, token), KRS_OK);
            if (token == END || step % 25 == 24) {
                krs_matcher_reset(m);
            }
        }
        assert_true(n_wide > 5); /* slices had their turn */
        krs_matcher_free(m);
        krs_automaton_free(a);
    }
    krs_grammar_vocab_free(vocab);
}

/* Two automata of one grammar, one of them so small that it drops its memory again and again. */
static void dropped_memory_changes_nothing(void **state)
{
    (void)state;
    krs_grammar_vocab *vocab = new_vocab();
    krs_automaton_options small = KRS_AUTOMATON_OPTIONS_INIT;
    small.max_bytes = 1000u << 10;
    small.max_mask_bytes = 3 * krs_grammar_vocab_n_words(vocab) * sizeof(uint64_t);
    krs_grammar_builder *b = new_builder();
    krs_automaton *large = new_automaton(b, json_root(b, true), vocab, NULL);
    b = new_builder();
    krs_automaton *tight = new_automaton(b, json_root(b, true), vocab, &small);
    krs_matcher *x[2];
    krs_matcher *y[2];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(krs_matcher_new(large, &x[i]), KRS_OK);
        assert_int_equal(krs_matcher_new(tight, &y[i]), KRS_OK);
    }
    uint64_t seed = 77;
    const size_t n_bytes = krs_grammar_vocab_n_words(vocab) * sizeof(uint64_t);
    for (int step = 0; step < 1500; step++) {
        const int i = step / 5 % 2;
        const uint64_t *expected;
        const uint64_t *mask;
        assert_int_equal(krs_matcher_mask(x[i], &expected), KRS_OK);
        assert_int_equal(krs_matcher_mask(y[i], &mask), KRS_OK);
        assert_memory_equal(mask, expected, n_bytes);
        if (step % 11 == 10) {
            const uint32_t n = krs_matcher_n_undo(x[i]) / 2;
            assert_int_equal(krs_matcher_n_undo(y[i]), krs_matcher_n_undo(x[i]));
            krs_matcher_undo(x[i], n);
            krs_matcher_undo(y[i], n);
            continue;
        }
        const uint32_t token = choose(x[i], &seed);
        assert_int_equal(krs_matcher_accept_token(x[i], token), KRS_OK);
        assert_int_equal(krs_matcher_accept_token(y[i], token), KRS_OK);
        if (token == END) {
            krs_matcher_reset(x[i]);
            krs_matcher_reset(y[i]);
        }
    }
    krs_automaton_stats stats;
    krs_automaton_stats_get(tight, &stats);
    assert_true(stats.drops > 3);
    assert_true(stats.n_masks <= 5);
    krs_automaton_stats_get(large, &stats);
    assert_int_equal(stats.drops, 0);
    for (int i = 0; i < 2; i++) {
        krs_matcher_free(x[i]);
        krs_matcher_free(y[i]);
    }
    krs_automaton_free(large);
    krs_automaton_free(tight);
    krs_grammar_vocab_free(vocab);
}

/* Many texts at once, each in states of its own (a string counts its characters): none of them has less room for that. */
static void many_matchers_have_the_room_of_one(void **state)
{
    (void)state;
    enum { N_MATCHERS = 300, N_STEPS = 100 };
    krs_grammar_vocab *vocab = new_vocab();
    krs_automaton_options small = KRS_AUTOMATON_OPTIONS_INIT;
    small.max_bytes = 300u << 10; /* 250 states */
    small.max_mask_bytes = 3 * krs_grammar_vocab_n_words(vocab) * sizeof(uint64_t);
    krs_grammar_builder *b = new_builder();
    const krs_regex chars = krs_regex_repeat(b, string_char(b), 3000, 9000);
    krs_automaton *a = new_automaton(b, krs_expr_lexeme(b, string_of(b, chars)), vocab, &small);
    static char text[2 + N_MATCHERS * 9];
    memset(text, 'a', sizeof(text));
    text[0] = '"';
    krs_matcher *m[N_MATCHERS];
    for (uint32_t i = 0; i < N_MATCHERS; i++) {
        assert_int_equal(krs_matcher_new(a, &m[i]), KRS_OK);
        assert_int_equal(krs_matcher_accept_bytes(m[i], (krs_str){text, 1 + i * 9}), KRS_OK);
        krs_matcher_settle(m[i]);
        assert_int_equal(krs_matcher_n_undo(m[i]), 0);
    }
    for (uint32_t step = 0; step < N_STEPS * N_MATCHERS; step++) {
        krs_matcher *at = m[step % N_MATCHERS];
        const uint64_t *mask;
        assert_int_equal(krs_matcher_mask(at, &mask), KRS_OK);
        assert_int_equal(mask['a' / 64] >> 'a' % 64 & 1, 1);
        assert_int_equal(mask['"' / 64] >> '"' % 64 & 1, 0); /* it is not long enough */
        assert_int_equal(krs_matcher_accept_token(at, 'a'), KRS_OK);
        assert_int_equal(krs_matcher_accept_token(at, 'a'), KRS_OK);
        krs_matcher_undo(at, 1);
        krs_matcher_settle(at);
    }
    krs_automaton_stats stats;
    krs_automaton_stats_get(a, &stats);
    assert_true(stats.drops > 3);
    assert_true(stats.n_bytes < 5u << 20);
    for (uint32_t i = 0; i < N_MATCHERS; i++) {
        krs_matcher_free(m[i]);
    }
    krs_automaton_free(a);
    krs_grammar_vocab_free(vocab);
}

static void undo_goes_back_token_by_token(void **state)
{
    (void)state;
    krs_grammar_vocab *vocab = new_vocab();
    krs_grammar_builder *b = new_builder();
    krs_automaton *a = new_automaton(b, json_root(b, false), vocab, NULL);
    krs_matcher *m;
    assert_int_equal(krs_matcher_new(a, &m), KRS_OK);
    assert_int_equal(krs_matcher_n_undo(m), 0);
    assert_int_equal(krs_matcher_accept_bytes(m, KRS_STR("[1,")), KRS_OK);
    assert_int_equal(krs_matcher_accept_token(m, '2'), KRS_OK);
    assert_int_equal(krs_matcher_accept_token(m, ']'), KRS_OK);
    assert_true(krs_matcher_is_finished(m));
    assert_int_equal(krs_matcher_accept_token(m, ']'), KRS_EINVAL);
    assert_int_equal(krs_matcher_accept_token(m, SPECIAL), KRS_EINVAL);
    assert_int_equal(krs_matcher_accept_token(m, N_TOKENS), KRS_EINVAL);
    assert_int_equal(krs_matcher_accept_token(m, END), KRS_OK);
    assert_int_equal(krs_matcher_accept_token(m, '1'), KRS_EINVAL);
    assert_int_equal(krs_matcher_accept_bytes(m, KRS_STR("")), KRS_EINVAL);
    const uint64_t *mask;
    assert_int_equal(krs_matcher_mask(m, &mask), KRS_OK);
    assert_true(has_token(mask, END) && !has_token(mask, '1'));
    assert_int_equal(krs_matcher_n_undo(m), 4);
    krs_matcher_undo(m, 2);
    assert_false(krs_matcher_is_accepting(m));
    assert_int_equal(krs_matcher_accept_bytes(m, KRS_STR("34]")), KRS_OK);
    assert_true(krs_matcher_is_accepting(m));
    krs_matcher_undo(m, 9);
    assert_int_equal(krs_matcher_n_undo(m), 0);
    assert_int_equal(krs_matcher_accept_bytes(m, KRS_STR("]")), KRS_EINVAL);
    assert_int_equal(krs_matcher_accept_bytes(m, KRS_STR("null")), KRS_OK);
    for (uint32_t i = 0; i < 3 * KRS_MATCHER_MAX_UNDO; i++) {
        assert_int_equal(krs_matcher_accept_bytes(m, KRS_STR("")), KRS_OK);
    }
    assert_int_equal(krs_matcher_n_undo(m), KRS_MATCHER_MAX_UNDO);
    krs_matcher_free(m);
    krs_automaton_free(a);
    krs_grammar_vocab_free(vocab);
}

static void assert_forced(krs_matcher *m, const char *before, const char *expected)
{
    krs_buf out;
    krs_buf_init(&out, NULL, 100);
    krs_matcher_reset(m);
    assert_int_equal(krs_matcher_accept_bytes(m, krs_str_of(before)), KRS_OK);
    assert_int_equal(krs_matcher_forced(m, 20, &out), KRS_OK);
    assert_int_equal(out.len, strlen(expected));
    assert_memory_equal(out.data ? out.data : "", expected, out.len);
    krs_buf_deinit(&out);
}

static void what_must_come_is_known(void **state)
{
    (void)state;
    krs_grammar_vocab *vocab = new_vocab();
    krs_grammar_builder *b = new_builder();
    const krs_expr ends[] = {krs_expr_empty(b), krs_expr_literal(b, KRS_STR("!"))};
    const krs_expr choices[] = {krs_expr_literal(b, KRS_STR("apple")),
                                krs_expr_literal(b, KRS_STR("apricot"))};
    const krs_expr parts[] = {krs_expr_literal(b, KRS_STR("{\"fruit\":\"")),
                              krs_expr_alt(b, choices, 2), krs_expr_literal(b, KRS_STR("\"}")),
                              krs_expr_alt(b, ends, 2)};
    krs_automaton *a = new_automaton(b, krs_expr_seq(b, parts, 4), vocab, NULL);
    krs_matcher *m;
    assert_int_equal(krs_matcher_new(a, &m), KRS_OK);
    assert_forced(m, "", "{\"fruit\":\"ap");
    assert_forced(m, "{\"fruit\":\"ap", "");
    assert_forced(m, "{\"fruit\":\"app", "le\"}");
    assert_forced(m, "{\"fruit\":\"apr", "icot\"}"); /* then it may end: nothing must come */
    assert_forced(m, "{\"fruit\":\"apple\"}", "");
    krs_matcher_free(m);
    krs_automaton_free(a);
    krs_grammar_vocab_free(vocab);
}

/* A token that stops inside a character may come where some character goes on like it. */
static void parts_of_characters_may_come(void **state)
{
    (void)state;
    krs_grammar_vocab *vocab = new_vocab();
    krs_grammar_builder *b = new_builder();
    const krs_char_range cjk = {0x4E00, 0x4FFF}; /* E4 B8 80 .. E4 BF BF */
    krs_automaton *a =
        new_automaton(b, krs_expr_lexeme(b, krs_regex_chars(b, &cjk, 1, false)), vocab, NULL);
    krs_matcher *m;
    assert_int_equal(krs_matcher_new(a, &m), KRS_OK);
    (void)check_mask(m);
    assert_int_equal(krs_matcher_accept_token(m, 0xE5), KRS_EINVAL);
    assert_int_equal(krs_matcher_accept_token(m, 0xE4), KRS_OK);
    (void)check_mask(m);
    assert_int_equal(krs_matcher_allows(m, 0xB7), KRS_EINVAL);
    assert_int_equal(krs_matcher_accept_token(m, 0xB8), KRS_OK);
    assert_false(krs_matcher_is_accepting(m));
    assert_int_equal(krs_matcher_accept_token(m, 0x80), KRS_OK);
    assert_true(krs_matcher_is_finished(m));
    krs_matcher_free(m);
    krs_automaton_free(a);
    krs_grammar_vocab_free(vocab);
}

static void assert_refused(krs_grammar_builder *b, krs_expr root, const char *why)
{
    krs_error err = KRS_ERROR_INIT;
    krs_grammar *grammar;
    assert_int_equal(krs_grammar_build(b, root, &grammar, &err), KRS_EINVAL);
    assert_null(grammar);
    assert_non_null(strstr(err.message, why));
}

static void what_cannot_be_followed_is_refused_by_name(void **state)
{
    (void)state;
    krs_grammar_builder *b = new_builder();
    assert_refused(b, krs_expr_rule(b, krs_expr_declare(b, KRS_STR("lost"))), "rule lost");

    b = new_builder();
    krs_rule list = krs_expr_declare(b, KRS_STR("list"));
    const krs_expr x = krs_expr_literal(b, KRS_STR("x"));
    const krs_expr behind[] = {krs_expr_repeat(b, x, 0, 1), krs_expr_rule(b, list), x};
    const krs_expr either[] = {krs_expr_seq(b, behind, 3), x};
    krs_expr_define(b, list, krs_expr_alt(b, either, 2));
    assert_refused(b, krs_expr_rule(b, list), "rule list");

    b = new_builder();
    list = krs_expr_declare(b, KRS_STR("endless"));
    const krs_expr forever[] = {krs_expr_literal(b, KRS_STR("x")), krs_expr_rule(b, list)};
    krs_expr_define(b, list, krs_expr_seq(b, forever, 2));
    assert_refused(b, krs_expr_rule(b, list), "no text");

    b = new_builder();
    list = krs_expr_declare(b, KRS_STR("twice"));
    krs_expr_define(b, list, krs_expr_empty(b));
    krs_expr_define(b, list, krs_expr_empty(b));
    assert_refused(b, krs_expr_rule(b, list), "twice is defined twice");

    b = new_builder();
    const krs_regex a = krs_regex_literal(b, KRS_STR("a"));
    const krs_regex b2 = krs_regex_literal(b, KRS_STR("b"));
    assert_refused(b, krs_expr_lexeme(b, krs_regex_and2(b, a, b2)), "no text");
}

/* What can never be finished is not walked into: no mask leads to where no token may come. */
static void dead_ends_are_never_offered(void **state)
{
    (void)state;
    krs_grammar_vocab *vocab = new_vocab();
    krs_grammar_builder *b = new_builder();
    const krs_rule endless = krs_expr_declare(b, KRS_STR("endless"));
    const krs_expr forever[] = {krs_expr_literal(b, KRS_STR("a")), krs_expr_rule(b, endless)};
    krs_expr_define(b, endless, krs_expr_seq(b, forever, 2));
    const krs_regex as = krs_regex_repeat(b, krs_regex_literal(b, KRS_STR("a")), 1, KRS_REGEX_INF);
    const krs_regex parts[] = {
        as, krs_regex_not(
                b, krs_regex_repeat(b, krs_regex_literal(b, KRS_STR("a")), 3, KRS_REGEX_INF))};
    const krs_expr either[] = {krs_expr_rule(b, endless),
                               krs_expr_lexeme(b, krs_regex_and(b, parts, 2))};
    krs_automaton *a = new_automaton(b, krs_expr_alt(b, either, 2), vocab, NULL);
    krs_matcher *m;
    assert_int_equal(krs_matcher_new(a, &m), KRS_OK);
    assert_int_equal(krs_matcher_accept_token(m, 'a'), KRS_OK);
    assert_int_equal(krs_matcher_accept_token(m, 'a'), KRS_OK);
    assert_true(krs_matcher_is_finished(m));
    assert_int_equal(krs_matcher_accept_token(m, 'a'), KRS_EINVAL);
    krs_matcher_free(m);
    krs_automaton_free(a);
    krs_grammar_vocab_free(vocab);
}

/* Where it cannot be found out in time whether a text can be finished, the call fails, the first time and later. */
static void what_is_too_hard_fails_each_time(void **state)
{
    (void)state;
    krs_grammar_vocab *vocab = new_vocab();
    krs_grammar_builder *b = new_builder();
    const uint64_t ab[4] = {0, 3ull << ('a' - 64), 0, 0};
    const krs_regex any = krs_regex_repeat(b, krs_regex_bytes(b, ab), 0, KRS_REGEX_INF);
    const krs_regex parts[] = {any, krs_regex_literal(b, KRS_STR("a")),
                               krs_regex_repeat(b, krs_regex_bytes(b, ab), 30, 30)};
    const krs_regex r = krs_regex_cat(b, parts, 3); /* its complement has 2^30 states */
    const krs_regex hard = krs_regex_cat2(b, krs_regex_literal(b, KRS_STR("c")),
                                          krs_regex_and2(b, r, krs_regex_not(b, r)));
    const krs_regex easy = krs_regex_literal(b, KRS_STR("cz"));
    krs_automaton *a =
        new_automaton(b, krs_expr_lexeme(b, krs_regex_or2(b, hard, easy)), vocab, NULL);
    krs_matcher *m;
    assert_int_equal(krs_matcher_new(a, &m), KRS_OK);
    for (int i = 0; i < 3; i++) {
        const uint64_t *mask;
        assert_int_equal(krs_matcher_accept_token(m, 'c'), KRS_OK);
        assert_int_equal(krs_matcher_mask(m, &mask), KRS_ETOOLARGE);
        assert_int_equal(krs_matcher_accept_token(m, 'a'), KRS_ETOOLARGE);
        assert_int_equal(krs_matcher_accept_token(m, 'z'), KRS_OK);
        assert_true(krs_matcher_is_finished(m));
        krs_matcher_reset(m);
    }
    krs_matcher_free(m);
    krs_automaton_free(a);
    krs_grammar_vocab_free(vocab);
}

/* A grammar that needs more ways at once than there may be ends in an error, not in a long pause. */
static void ambiguity_is_bounded(void **state)
{
    (void)state;
    krs_grammar_builder *b = new_builder();
    const krs_rule rule = krs_expr_declare(b, KRS_STR("s"));
    const krs_expr s = krs_expr_rule(b, rule);
    const krs_expr a = krs_expr_literal(b, KRS_STR("a"));
    const krs_expr three[] = {a, s, s, s};
    const krs_expr two[] = {a, s, s};
    const krs_expr either[] = {krs_expr_seq(b, three, 4), krs_expr_seq(b, two, 3), a};
    krs_expr_define(b, rule, krs_expr_alt(b, either, 3));
    krs_automaton_options options = KRS_AUTOMATON_OPTIONS_INIT;
    options.max_bytes = 1u << 20;
    krs_automaton *automaton = new_automaton(b, s, NULL, &options);
    char text[4000];
    memset(text, 'a', sizeof(text));
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(krs_automaton_match(automaton, (krs_str){text, sizeof(text)}, &err),
                     KRS_ETOOLARGE);
    assert_true(strlen(err.message) > 0);
    assert_int_equal(krs_automaton_match(automaton, (krs_str){text, 20}, &err), KRS_OK);
    krs_automaton_free(automaton);
}

/* Repeats in repeats in repeats: the OR that is left after some bytes is a tree of many thousand ways. Looking for a
 * nearby state walks a part of it, and what is made on the way counts as steps. */
static void a_nearby_state_is_not_looked_for_without_end(void **state)
{
    (void)state;
    krs_grammar_vocab *vocab = new_vocab();
    krs_grammar_builder *b = new_builder();
    const krs_pattern_options plain = {.spelling = KRS_SPELLING_PLAIN, .is_search = false};
    const krs_str nest = KRS_STR("(((a{1,100}){1,100}){1,100}){1,100}");
    krs_regex r;
    assert_int_equal(krs_grammar_pattern(b, nest, &plain, &r, NULL), KRS_OK);
    krs_automaton *a = new_automaton(b, krs_expr_lexeme(b, r), vocab, NULL);
    krs_matcher *m;
    assert_int_equal(krs_matcher_new(a, &m), KRS_OK);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(krs_matcher_accept_bytes(m, KRS_STR("a")), KRS_OK);
        krs_automaton_begin(a);
        const uint32_t near = krs_state_near(a, m->state, 1);
        assert_int_equal(krs_automaton_status(a), KRS_OK);
        assert_int_not_equal(near, KRS_STATE_DEAD);
        assert_true(KRS_AUTOMATON_MAX_STEPS - a->regexes->steps_left < 16384);
    }
    krs_matcher_free(m);
    krs_automaton_free(a);
    krs_grammar_vocab_free(vocab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(masks_say_what_every_token_says),
        cmocka_unit_test(dropped_memory_changes_nothing),
        cmocka_unit_test(many_matchers_have_the_room_of_one),
        cmocka_unit_test(undo_goes_back_token_by_token),
        cmocka_unit_test(what_must_come_is_known),
        cmocka_unit_test(parts_of_characters_may_come),
        cmocka_unit_test(what_cannot_be_followed_is_refused_by_name),
        cmocka_unit_test(dead_ends_are_never_offered),
        cmocka_unit_test(what_is_too_hard_fails_each_time),
        cmocka_unit_test(ambiguity_is_bounded),
        cmocka_unit_test(a_nearby_state_is_not_looked_for_without_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
