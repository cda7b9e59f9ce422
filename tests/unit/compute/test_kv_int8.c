/* KV in eight bits: codes within half a step, the largest element at the end of the scale, odd inputs
 * visible or zero, and the same codes from every instruction set of this machine. */
#include "compute/cpu/isa.h"
#include "compute/kv_int8.h"

#include "support/cmocka.h"
#include "support/tiny_decoder.h"

#include <float.h>
#include <stdlib.h>

enum { MAX_N = 200, N_ROUNDS = 500 };

static void fill(uint64_t *random, float *x, int64_t n)
{
    const float spread = powf(2.0f, 40.0f * tiny_random(random));
    for (int64_t i = 0; i < n; i++) {
        x[i] = spread * tiny_random(random);
    }
}

static void codes_are_within_half_a_step(void **state)
{
    (void)state;
    uint64_t random = 11;
    for (int round = 0; round < N_ROUNDS; round++) {
        float x[MAX_N];
        int8_t codes[MAX_N];
        const int64_t n = 1 + round % MAX_N;
        fill(&random, x, n);
        const float scale = krs_kv_quantise(x, n, codes);
        int top = 0;
        for (int64_t i = 0; i < n; i++) {
            const double error = fabs((double)x[i] - (double)codes[i] * (double)scale);
            assert_true(error <= 0.5001 * (double)scale);
            top = abs(codes[i]) > top ? abs(codes[i]) : top;
        }
        assert_int_equal(top, 127);
    }
}

static void ties_go_to_even_codes(void **state)
{
    (void)state;
    const float x[] = {127.0f, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -126.5f, -127.0f};
    static const int8_t want[] = {127, 0, 2, 2, 0, -2, -126, -127};
    int8_t codes[8];
    assert_true(krs_kv_quantise(x, 8, codes) == 1.0f);
    assert_memory_equal(codes, want, sizeof(want));
}

static void what_is_no_number_stays_visible(void **state)
{
    (void)state;
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    for (size_t k = 0; k < 3; k++) {
        for (int at = 0; at < 5; at++) {
            float x[5] = {1, -2, 3, -4, 5};
            int8_t codes[5];
            x[at] = bad[k];
            assert_true(isnan(krs_kv_quantise(x, 5, codes)));
            assert_int_equal(codes[0] | codes[1] | codes[2] | codes[3] | codes[4], 0);
        }
    }
}

static void zeros_and_next_to_nothing_are_zero_and_the_largest_number_fits(void **state)
{
    (void)state;
    const float none[] = {0, -0.0f, 1e-31f, -FLT_MIN, 1e-45f};
    int8_t codes[5];
    assert_true(krs_kv_quantise(none, 5, codes) == 0.0f);
    assert_int_equal(codes[0] | codes[1] | codes[2] | codes[3] | codes[4], 0);
    const float huge[] = {FLT_MAX, -FLT_MAX, 1e-30f};
    const float scale = krs_kv_quantise(huge, 3, codes);
    assert_true(isfinite(scale) && codes[0] == 127 && codes[1] == -127 && codes[2] == 0);
    const float least[] = {KRS_KV_INT8_TINY};
    assert_true(krs_kv_quantise(least, 1, codes) > 0 && codes[0] == 127);
}

static void every_instruction_set_gives_the_same_codes(void **state)
{
    (void)state;
    uint64_t random = 23;
    for (uint32_t i = 0; krs_cpu_isa_name(i); i++) {
        krs_cpu_kernels kernels;
        if (krs_cpu_isa_kernels(krs_cpu_isa_name(i), &kernels, NULL, NULL) != KRS_OK) {
            continue; /* not on this machine */
        }
        for (int round = 0; round < N_ROUNDS; round++) {
            float x[MAX_N];
            int8_t want[MAX_N];
            int8_t got[MAX_N];
            const int64_t n = 1 + round % MAX_N;
            fill(&random, x, n);
            const float scale = krs_kv_quantise(x, n, want);
            assert_true(kernels.quantise(x, n, got) == scale);
            assert_memory_equal(got, want, (size_t)n);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_are_within_half_a_step),
        cmocka_unit_test(ties_go_to_even_codes),
        cmocka_unit_test(what_is_no_number_stays_visible),
        cmocka_unit_test(zeros_and_next_to_nothing_are_zero_and_the_largest_number_fits),
        cmocka_unit_test(every_instruction_set_gives_the_same_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
