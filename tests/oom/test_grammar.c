/* Grammars, vocabularies, automata and matchers with each allocation failing once: an answer, nothing leaked,
 * and a matcher that is where it was. */
#include "support/grammar_fixture.h"
#include "support/oom.h"

static const krs_grammar_token tokens[] = {
    {{"{\"", 2}, KRS_TOKEN_TEXT},   {{"name", 4}, KRS_TOKEN_TEXT}, {{"\"", 1}, KRS_TOKEN_TEXT},
    {{"\":\"", 3}, KRS_TOKEN_TEXT}, {{"a", 1}, KRS_TOKEN_TEXT},    {{"a", 1}, KRS_TOKEN_TEXT},
    {{"}", 1}, KRS_TOKEN_TEXT},     {{"<s>", 3}, KRS_TOKEN_END},
};
#define N_OOM_TOKENS (sizeof(tokens) / sizeof(tokens[0]))

static krs_status make_vocab(const krs_alloc *alloc, void *ctx)
{
    (void)ctx;
    krs_grammar_vocab *vocab;
    const krs_status status =
        krs_grammar_vocab_new(tokens, (uint32_t)N_OOM_TOKENS, alloc, &vocab, NULL);
    assert_true((status == KRS_OK) == (vocab != NULL));
    krs_grammar_vocab_free(vocab);
    return status;
}

/* Write {"name":"aa..a"} token by token; what fails is tried again, and must go on from where it was. */
static krs_status write_object(krs_automaton *a, bool *has_failed)
{
    static const uint32_t ids[] = {0, 1, 3, 4, 5, 4, 5, 4, 5, 4, 5, 4, 5, 4, 5, 4,
                                   5, 4, 5, 4, 5, 4, 5, 4, 5, 4, 5, 4, 5, 2, 6, 7};
    krs_matcher *m;
    krs_status status = krs_matcher_new(a, &m);
    if (status != KRS_OK) {
        return status;
    }
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        for (int call = 0; call < 2; call++) {
            const uint64_t *mask = NULL;
            do {
                status =
                    call == 0 ? krs_matcher_mask(m, &mask) : krs_matcher_accept_token(m, ids[i]);
                assert_true(status == KRS_OK || status == KRS_ENOMEM);
                *has_failed = *has_failed || status != KRS_OK;
            } while (status != KRS_OK);
            assert_true(call == 1 || (mask[0] >> ids[i] & 1) != 0);
        }
    }
    krs_matcher_free(m);
    return KRS_OK;
}

static krs_status build_and_follow(const krs_alloc *alloc, void *ctx)
{
    krs_grammar_builder *b;
    krs_grammar *grammar;
    krs_automaton *a;
    krs_status status = krs_grammar_builder_new(NULL, alloc, &b);
    if (status != KRS_OK) {
        return status;
    }
    status = krs_grammar_build(b, json_root(b, true), &grammar, NULL);
    if (status != KRS_OK) {
        return status;
    }
    krs_automaton_options options = KRS_AUTOMATON_OPTIONS_INIT;
    options.max_bytes = 40u << 10; /* so that memory is dropped, too */
    options.max_mask_bytes = 16;
    status = krs_automaton_new(&grammar, ctx, &options, alloc, &a, NULL);
    assert_true((status == KRS_OK) == (grammar == NULL));
    if (status != KRS_OK) {
        krs_grammar_free(grammar);
        return status;
    }
    bool has_failed = false;
    status = write_object(a, &has_failed);
    krs_automaton_stats stats;
    krs_automaton_stats_get(a, &stats);
    assert_true(status != KRS_OK || stats.drops > 0);
    krs_automaton_free(a);
    return status == KRS_OK && has_failed ? KRS_ENOMEM : status;
}

static void a_vocabulary_survives_any_allocation(void **state)
{
    (void)state;
    krs_oom_sweep(make_vocab, NULL);
}

static void a_grammar_survives_any_allocation(void **state)
{
    (void)state;
    krs_grammar_vocab *vocab;
    assert_int_equal(krs_grammar_vocab_new(tokens, (uint32_t)N_OOM_TOKENS, NULL, &vocab, NULL),
                     KRS_OK);
    krs_oom_sweep(build_and_follow, vocab);
    krs_grammar_vocab_free(vocab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_vocabulary_survives_any_allocation),
        cmocka_unit_test(a_grammar_survives_any_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
