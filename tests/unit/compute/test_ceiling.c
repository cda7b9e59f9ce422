/* Ceilings: rates are positive and ordered, what an instruction set lacks is 0 and not a guess, and bad input
 * is refused by name. How large a rate is belongs to the machine and is not tested. */
#include "compute/cpu/ceiling.h"

#include "compute/backend.h"
#include "compute/cpu/dot_int8.h"
#include "compute/cpu/isa.h"
#include "support/cmocka.h"
#include "support/oom.h"

#include <math.h>
#include <string.h>

#define N_BYTES (UINT64_C(4) << 20)

static void own_memory_is_read_with_one_thread_and_more(void **state)
{
    (void)state;
    unsigned char *bytes = krs_alloc_zero(NULL, N_BYTES);
    assert_non_null(bytes);
    for (uint32_t n = 0; n <= 3; n++) {
        krs_cpu_read_rates rates;
        assert_int_equal(krs_cpu_read_rate(n, bytes, N_BYTES, NULL, &rates, NULL), KRS_OK);
        assert_true(rates.median > 0);
        assert_true(rates.best >= rates.median && isfinite(rates.best));
    }
    krs_alloc_free(NULL, bytes);
}

static void bandwidth_needs_no_memory_of_the_caller(void **state)
{
    (void)state;
    krs_cpu_read_rates rates;
    assert_int_equal(krs_cpu_read_bandwidth(2, NULL, &rates, NULL), KRS_OK);
    assert_true(rates.median > 0 && rates.best >= rates.median && isfinite(rates.best));
}

static void every_product_that_is_here_has_a_rate(void **state)
{
    (void)state;
    for (uint32_t i = 0; krs_cpu_isa_name(i); i++) {
        const char *isa = krs_cpu_isa_name(i);
        krs_cpu_kernels kernels;
        if (krs_cpu_isa_kernels(isa, &kernels, NULL, NULL) != KRS_OK) {
            continue; /* not on this machine */
        }
        double ops_of_round;
        const bool has_int8 = krs_cpu_dot_int8_of(isa, &ops_of_round) != NULL;
        assert_int_equal(has_int8, ops_of_round > 0);
        double rates[KRS_CPU_DOT_COUNT];
        for (krs_cpu_dot dot = KRS_CPU_DOT_F32; dot < KRS_CPU_DOT_COUNT; dot++) {
            assert_int_equal(krs_cpu_dot_rate(1, isa, dot, NULL, &rates[dot], NULL), KRS_OK);
            assert_true(isfinite(rates[dot]));
        }
        assert_true(rates[KRS_CPU_DOT_F32] > 0);
        assert_int_equal(rates[KRS_CPU_DOT_BF16] > 0, kernels.dot_bf16 != NULL);
        assert_int_equal(rates[KRS_CPU_DOT_INT8] > 0, has_int8);
    }
}

static void portable_code_has_no_product_of_codes(void **state)
{
    (void)state;
    double rate = 1;
    assert_int_equal(krs_cpu_dot_rate(1, "portable", KRS_CPU_DOT_INT8, NULL, &rate, NULL), KRS_OK);
    assert_true(rate == 0);
}

/* The sums are wide integers that wrap, so a round is a known function of the one before: n rounds of a = 1
 * in every byte add what one round adds n times. */
static void instructions_add_the_products_of_all_lanes(void **state)
{
    static const struct {
        const char *isa;
        float n_lanes;
    } cases[] = {{"avx512vnni", 16}, {"neondot", 4}, {"neoni8mm", 4}};
    (void)state;
    uint32_t n_here = 0;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        double ops_of_round;
        if (!krs_cpu_isa_is_here(cases[i].isa)) {
            continue;
        }
        float ones;
        memset(&ones, 1, sizeof(ones));
        const krs_cpu_dot_fn dot = krs_cpu_dot_int8_of(cases[i].isa, &ops_of_round);
        const float start = dot(0, ones);
        assert_true(start == cases[i].n_lanes * KRS_CPU_DOT_CHAINS * (KRS_CPU_DOT_CHAINS - 1) / 2);
        assert_true(dot(3, ones) == start + 3.0f * (float)ops_of_round / 2.0f);
        n_here++;
    }
    if (n_here == 0) {
        skip();
    }
}

static void bad_input_is_refused_by_name(void **state)
{
    (void)state;
    krs_error err = KRS_ERROR_INIT;
    unsigned char bytes[64] = {0};
    krs_cpu_read_rates rates;
    double rate;
    assert_int_equal(krs_cpu_read_rate(1, bytes, sizeof(bytes), NULL, &rates, &err), KRS_EINVAL);
    assert_string_equal(err.field, "n_bytes");
    const uint32_t too_many = KRS_BACKEND_MAX_THREADS + 1;
    assert_int_equal(krs_cpu_read_bandwidth(too_many, NULL, &rates, &err), KRS_EINVAL);
    assert_string_equal(err.field, "n_threads");
    assert_int_equal(krs_cpu_dot_rate(too_many, NULL, KRS_CPU_DOT_F32, NULL, &rate, &err),
                     KRS_EINVAL);
    assert_string_equal(err.field, "n_threads");
    assert_int_equal(krs_cpu_dot_rate(1, "sse9", KRS_CPU_DOT_F32, NULL, &rate, &err), KRS_EINVAL);
    assert_string_equal(err.field, "isa");
#if defined(__aarch64__)
    const char *const elsewhere = "avx2";
#else
    const char *const elsewhere = "neon";
#endif
    assert_int_equal(krs_cpu_dot_rate(1, elsewhere, KRS_CPU_DOT_F32, NULL, &rate, &err),
                     KRS_EUNSUPPORTED);
    assert_string_equal(err.field, "isa");
}

static krs_status measure_both(const krs_alloc *alloc, void *ctx)
{
    (void)ctx;
    krs_cpu_read_rates rates;
    double rate;
    const krs_status status = krs_cpu_read_bandwidth(1, alloc, &rates, NULL);
    return status == KRS_OK ? krs_cpu_dot_rate(1, NULL, KRS_CPU_DOT_F32, alloc, &rate, NULL)
                            : status;
}

static void failed_allocations_are_errors_that_leak_nothing(void **state)
{
    (void)state;
    assert_true(krs_oom_sweep(measure_both, NULL) > 4);
}

static void every_product_has_a_name(void **state)
{
    (void)state;
    assert_string_equal(krs_cpu_dot_name(KRS_CPU_DOT_F32), "f32");
    assert_string_equal(krs_cpu_dot_name(KRS_CPU_DOT_BF16), "bf16");
    assert_string_equal(krs_cpu_dot_name(KRS_CPU_DOT_INT8), "int8");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_memory_is_read_with_one_thread_and_more),
        cmocka_unit_test(bandwidth_needs_no_memory_of_the_caller),
        cmocka_unit_test(every_product_that_is_here_has_a_rate),
        cmocka_unit_test(portable_code_has_no_product_of_codes),
        cmocka_unit_test(instructions_add_the_products_of_all_lanes),
        cmocka_unit_test(bad_input_is_refused_by_name),
        cmocka_unit_test(failed_allocations_are_errors_that_leak_nothing),
        cmocka_unit_test(every_product_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
