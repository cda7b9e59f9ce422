/* How many tokens are proposed: what the rule says of chances, costs and company. */
#include "sample/pace.h"

#include "support/cmocka.h"

static krs_pace with_chance(double chance)
{
    krs_pace pace = krs_pace_start();
    pace.chance = chance;
    return pace;
}

static uint32_t length(double chance, double base, double row, double n_tokens)
{
    krs_pace pace = with_chance(chance);
    const krs_pace_step step = {base, row, n_tokens};
    return krs_pace_length(&pace, &step, 8);
}

static void sure_and_cheap_is_long_unsure_or_dear_is_short(void **state)
{
    (void)state;
    assert_int_equal(length(0.99, 1.0, 0.05, 1), 8);
    const uint32_t n = length(0.6, 1.0, 0.1, 1);
    assert_true(n >= 1 && n < 8);
    assert_true(length(0.6, 1.0, 0.4, 1) <= n);
    assert_int_equal(length(0.3, 1.0, 0.5, 1), 0);
}

/* The length the rule stops at gives at least as many tokens a time as any other. */
static void the_length_is_the_best_there_is(void **state)
{
    (void)state;
    for (double chance = 0.05; chance < 1.0; chance += 0.05) {
        for (double row = 0.02; row < 1.0; row += 0.07) {
            const uint32_t n = length(chance, 1.0, row, 1);
            double best = 0.0;
            double chosen = 0.0;
            double tokens = 1.0;
            double power = 1.0;
            for (uint32_t k = 0; k <= 8; k++) {
                const double rate = tokens / (1.0 + row * k);
                best = rate > best ? rate : best;
                chosen = k == n ? rate : chosen;
                power *= chance;
                tokens += power;
            }
            assert_true(chosen >= best * (1.0 - 1e-9));
        }
    }
}

/* A step of many rows is where a row costs as much as it gives others. */
static void a_full_step_leaves_no_room_for_guesses(void **state)
{
    (void)state;
    const double row = 0.1;
    uint32_t before = 8;
    for (uint32_t n_rows = 1; n_rows <= 64; n_rows *= 2) {
        const uint32_t n = length(0.7, 1.0 - row + row * n_rows, row, n_rows);
        assert_true(n <= before);
        before = n;
    }
    assert_int_equal(before, 0);
}

static void what_is_refused_pauses_and_what_is_accepted_comes_back(void **state)
{
    (void)state;
    const krs_pace_step step = {1.0, 0.1, 1};
    krs_pace pace = krs_pace_start();
    uint32_t n_tries = 0;
    while (krs_pace_length(&pace, &step, 8) > 0 && n_tries < 100) {
        krs_pace_learn(&pace, 1, 0);
        n_tries++;
    }
    assert_true(n_tries > 2 && n_tries < 40);
    uint32_t n_probes = 0;
    for (uint32_t i = 0; i < 10 * KRS_PACE_PROBE; i++) {
        const uint32_t n = krs_pace_length(&pace, &step, 8);
        assert_true(n <= 1);
        n_probes += n;
        if (n > 0) {
            krs_pace_learn(&pace, n, 0);
        }
    }
    assert_int_equal(n_probes, 10);
    for (uint32_t i = 0; i < 20; i++) {
        krs_pace_learn(&pace, 1, 1);
    }
    assert_int_equal(krs_pace_length(&pace, &step, 8), 8);
}

static void no_room_is_neither_a_proposal_nor_a_skip(void **state)
{
    (void)state;
    const krs_pace_step step = {1.0, 0.1, 1};
    krs_pace pace = with_chance(0.02);
    for (uint32_t i = 0; i < 2 * KRS_PACE_PROBE; i++) {
        assert_int_equal(krs_pace_length(&pace, &step, 0), 0);
    }
    assert_int_equal(pace.n_skipped, 0);
}

static void the_cost_of_a_row_is_read_off_the_steps(void **state)
{
    (void)state;
    krs_pace_cost cost = {0};
    assert_true(krs_pace_cost_row(&cost) == KRS_PACE_ANY_ROW && krs_pace_cost_one(&cost) == 0.0);
    for (uint32_t i = 0; i < 40; i++) { /* all of one size: nothing to learn a slope from */
        krs_pace_cost_learn(&cost, 1, 1000000);
    }
    assert_true(krs_pace_cost_row(&cost) == KRS_PACE_ANY_ROW);
    for (uint32_t i = 0; i < 100; i++) {
        const uint32_t n_rows = 1 + i % 8;
        krs_pace_cost_learn(&cost, n_rows, 900000 + 100000 * (uint64_t)n_rows);
    }
    assert_true(krs_pace_cost_row(&cost) > 0.095 && krs_pace_cost_row(&cost) < 0.105);
    assert_true(krs_pace_cost_one(&cost) > 950e3 && krs_pace_cost_one(&cost) < 1050e3);
    for (uint32_t i = 0; i < 1000; i++) { /* what was learnt stands */
        krs_pace_cost_learn(&cost, 1, 1000000);
    }
    assert_true(krs_pace_cost_row(&cost) > 0.08 && krs_pace_cost_row(&cost) < 0.12);
    for (uint32_t i = 0; i < 100; i++) {
        krs_pace_cost_learn(&cost, 1 + i % 8, 1000000);
    }
    assert_true(krs_pace_cost_row(&cost) == KRS_PACE_MIN_ROW);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sure_and_cheap_is_long_unsure_or_dear_is_short),
        cmocka_unit_test(the_length_is_the_best_there_is),
        cmocka_unit_test(a_full_step_leaves_no_room_for_guesses),
        cmocka_unit_test(what_is_refused_pauses_and_what_is_accepted_comes_back),
        cmocka_unit_test(no_room_is_neither_a_proposal_nor_a_skip),
        cmocka_unit_test(the_cost_of_a_row_is_read_off_the_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
