/* tests/unit/sample/test_philox.c - the generator equals the published known answers (Random123's
 * kat_vectors for philox4x32 with 10 rounds) and spreads its reals evenly. */
#include "sample/philox.h"
#include "support/cmocka.h"

static void check(const uint32_t counter[4], const uint32_t key[2], const uint32_t want[4])
{
    const krs_philox_block got = krs_philox(counter, key);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(got.word[i], want[i]);
    }
}

static void equals_the_known_answers(void **state)
{
    (void)state;
    const uint32_t zero[4] = {0, 0, 0, 0};
    const uint32_t ones[4] = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX};
    const uint32_t pi_counter[4] = {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344};
    const uint32_t pi_key[2] = {0xa4093822, 0x299f31d0};
    check(zero, zero, (const uint32_t[4]){0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
    check(ones, ones, (const uint32_t[4]){0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
    check(pi_counter, pi_key, (const uint32_t[4]){0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

static void reals_depend_on_seed_and_position_only(void **state)
{
    (void)state;
    const double a = krs_philox_real(7, 100);
    (void)krs_philox_real(8, 100);
    assert_true(a == krs_philox_real(7, 100));
    assert_true(a != krs_philox_real(7, 101));
    assert_true(a != krs_philox_real(8, 100));
    assert_true(a != krs_philox_real(UINT64_C(7) << 32, 100));
}

static void reals_fill_the_unit_interval_evenly(void **state)
{
    (void)state;
    enum { CELLS = 20, DRAWS = 200000 };
    int counts[CELLS] = {0};
    for (uint64_t i = 0; i < DRAWS; i++) {
        const double u = krs_philox_real(42, i);
        assert_true(u >= 0.0 && u < 1.0);
        counts[(int)(u * CELLS)]++;
    }
    double chi2 = 0.0;
    const double expected = (double)DRAWS / CELLS;
    for (int c = 0; c < CELLS; c++) {
        chi2 += (counts[c] - expected) * (counts[c] - expected) / expected;
    }
    assert_true(chi2 < 43.8); /* 19 degrees of freedom, p = 0.001; the seed is fixed */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_the_known_answers),
        cmocka_unit_test(reals_depend_on_seed_and_position_only),
        cmocka_unit_test(reals_fill_the_unit_interval_evenly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
