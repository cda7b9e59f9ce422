/* tests/unit/sample/test_row.c - passes over rows of every length against plain loops: NaN, infinities, ties. */
#include "sample/row.h"
#include "support/cmocka.h"

#include <float.h>
#include <math.h>

#define MAX_N 400 /* six blocks and a rest */

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Few different values, so that there are ties; some that are no numbers. */
static float some_logit(uint64_t *state)
{
    const uint64_t r = next_random(state) % 100;
    if (r < 3) {
        return NAN;
    }
    if (r < 6) {
        return -INFINITY;
    }
    return (float)((int)(next_random(state) % 61) - 30) / 2.0f;
}

static void exp_is_close_to_the_librarys(void **state)
{
    (void)state;
    for (double z = 0.0; z > -86.9; z -= 0.00137) {
        const double want = exp((double)(float)z);
        assert_true(fabs((double)krs_row_exp((float)z) - want) < 3e-7 * want);
    }
    assert_true(krs_row_exp(0.0f) == 1.0f);
    assert_true(krs_row_exp(-87.5f) == 0.0f);
    assert_true(krs_row_exp(-INFINITY) == 0.0f);
}

static void cleaning_leaves_numbers_alone(void **state)
{
    (void)state;
    const float x[] = {NAN, INFINITY, -INFINITY, FLT_MAX, -FLT_MAX, 0.0f, 1.5f};
    const float want[] = {-INFINITY, FLT_MAX, -INFINITY, FLT_MAX, -FLT_MAX, 0.0f, 1.5f};
    float out[7];
    krs_row_clean(x, out, 7);
    assert_memory_equal(out, want, sizeof(want));
}

static void max_is_the_first_of_the_largest(void **state)
{
    (void)state;
    uint64_t seed = 11;
    for (uint32_t n = 1; n <= MAX_N; n++) {
        float x[MAX_N];
        float best = -INFINITY;
        uint32_t first = 0;
        for (uint32_t i = 0; i < n; i++) {
            x[i] = some_logit(&seed);
            if (x[i] > best) {
                best = x[i];
                first = i;
            }
        }
        uint32_t at = UINT32_MAX;
        const float max = krs_row_max(x, n, &at);
        assert_true(max == best);
        if (best > -INFINITY) {
            assert_int_equal(at, first);
        }
    }
    const float none[] = {NAN, -INFINITY, NAN};
    assert_true(krs_row_max(none, 3, NULL) == -INFINITY);
}

static void gathering_finds_all_that_are_heavy_enough(void **state)
{
    (void)state;
    uint64_t seed = 12;
    for (uint32_t n = 1; n <= MAX_N; n++) {
        float x[MAX_N];
        uint32_t out[MAX_N + 1];
        const float floor = (float)(n % 40) - 25.0f;
        for (uint32_t i = 0; i < n; i++) {
            x[i] = some_logit(&seed);
        }
        const uint32_t n_out = krs_row_gather(x, n, floor, out);
        uint32_t at = 0;
        for (uint32_t i = 0; i < n; i++) {
            if (x[i] >= floor) {
                assert_true(at < n_out);
                assert_int_equal(out[at++], i);
            }
        }
        assert_int_equal(at, n_out);
    }
}

static void weights_and_their_sums_agree(void **state)
{
    (void)state;
    uint64_t seed = 13;
    for (uint32_t n = 1; n <= MAX_N; n++) {
        float x[MAX_N];
        float w[MAX_N];
        double sums[MAX_N];
        for (uint32_t i = 0; i < n; i++) {
            x[i] = some_logit(&seed);
        }
        krs_row_clean(x, x, n);
        double want = 0.0;
        for (uint32_t i = 0; i < n; i++) {
            want += exp(((double)x[i] - 15.0) * 0.5);
        }
        const double total = krs_row_weigh(x, n, 15.0f, 0.5f, w, sums);
        double by_block = 0.0;
        for (uint32_t b = 0; b < krs_row_blocks(n); b++) {
            by_block += sums[b];
        }
        assert_true(total == by_block);
        assert_true(fabs(total - want) <= 1e-6 * want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exp_is_close_to_the_librarys),
        cmocka_unit_test(cleaning_leaves_numbers_alone),
        cmocka_unit_test(max_is_the_first_of_the_largest),
        cmocka_unit_test(gathering_finds_all_that_are_heavy_enough),
        cmocka_unit_test(weights_and_their_sums_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
