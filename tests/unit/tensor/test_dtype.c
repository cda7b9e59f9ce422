/* tests/unit/tensor/test_dtype.c - the scalar conversions against arithmetic that shares nothing with
 * them: ldexp for what a pattern means, midpoints between neighbours for how to round. */
#include "support/cmocka.h"
#include "tensor/dtype.h"

#include <math.h>
#include <stdint.h>

/* The number that 1 + 5 + 10 bits mean, by definition. */
static double meaning_of_f16(uint16_t x)
{
    const int exponent = x >> 10 & 0x1F;
    const int mantissa = x & 0x3FF;
    const double sign = x & 0x8000 ? -1.0 : 1.0;
    if (exponent == 31) {
        return mantissa ? (double)NAN : sign * (double)INFINITY;
    }
    return sign * (exponent ? ldexp(1024 + mantissa, exponent - 25) : ldexp(mantissa, -24));
}

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    return bits;
}

static float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof(x));
    return x;
}

static void every_f16_reads_as_its_definition(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 0x10000; i++) {
        const double want = meaning_of_f16((uint16_t)i);
        const float got = krs_f32_of_f16((uint16_t)i);
        if (isnan(want)) {
            assert_true(isnan(got));
        } else {
            assert_true((double)got == want);
            assert_int_equal(signbit(got) != 0, (i & 0x8000) != 0);
        }
    }
}

static void every_f16_survives_the_round_trip(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 0x10000; i++) {
        const bool is_signalling = (i & 0x7C00) == 0x7C00 && (i & 0x3FF) != 0 && !(i & 0x200);
        const uint32_t want = is_signalling ? i | 0x200 : i; /* a NaN comes back quiet */
        assert_int_equal(krs_f16_of_f32(krs_f32_of_f16((uint16_t)i)), want);
    }
}

/* Just below, at, and just above the middle between any two neighbours, both signs. */
static void f16_rounds_to_nearest_and_ties_to_even(void **state)
{
    (void)state;
    for (uint16_t i = 0; i < 0x7BFF; i++) {
        const uint16_t next = (uint16_t)(i + 1);
        const float middle = (float)((meaning_of_f16(i) + meaning_of_f16(next)) / 2); /* exact */
        const uint16_t even = i & 1 ? next : i;
        assert_int_equal(krs_f16_of_f32(nextafterf(middle, 0.0f)), i);
        assert_int_equal(krs_f16_of_f32(middle), even);
        assert_int_equal(krs_f16_of_f32(nextafterf(middle, INFINITY)), next);
        assert_int_equal(krs_f16_of_f32(-middle), even | 0x8000);
    }
}

static void f16_overflows_to_infinity_and_underflows_to_zero(void **state)
{
    (void)state;
    assert_int_equal(krs_f16_of_f32(65504.0f), 0x7BFF);
    assert_int_equal(krs_f16_of_f32(nextafterf(65520.0f, 0.0f)), 0x7BFF);
    assert_int_equal(krs_f16_of_f32(65520.0f), 0x7C00);
    assert_int_equal(krs_f16_of_f32(-3e38f), 0xFC00);
    assert_int_equal(krs_f16_of_f32(-INFINITY), 0xFC00);
    assert_int_equal(krs_f16_of_f32(0x1p-25f), 0);
    assert_int_equal(krs_f16_of_f32(nextafterf(0x1p-25f, 1.0f)), 1);
    assert_int_equal(krs_f16_of_f32(-1e-40f), 0x8000);
}

static void bf16_rounds_to_nearest_and_ties_to_even(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 0x7F80; i++) { /* every finite magnitude and its successor */
        const uint32_t even = i + (i & 1);
        const uint32_t middle = i << 16 | 0x8000u;
        assert_int_equal(krs_bf16_of_f32(float_of(i << 16)), i);
        assert_int_equal(krs_bf16_of_f32(float_of(middle - 1)), i);
        assert_int_equal(krs_bf16_of_f32(float_of(middle)), even);
        assert_int_equal(krs_bf16_of_f32(float_of(middle + 1)), i + 1);
        assert_int_equal(krs_bf16_of_f32(float_of(middle | 0x80000000u)), even | 0x8000);
    }
    assert_int_equal(krs_bf16_of_f32(INFINITY), 0x7F80);
}

static void a_nan_stays_a_nan_whatever_its_payload(void **state)
{
    (void)state;
    for (uint32_t bit = 0; bit < 23; bit++) {
        const float nan = float_of(0x7F800000u | 1u << bit);
        assert_true(isnan(krs_f32_of_bf16(krs_bf16_of_f32(nan))));
        assert_true(isnan(krs_f32_of_f16(krs_f16_of_f32(nan))));
    }
}

static void bf16_reads_as_the_upper_half(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 0x10000; i++) {
        assert_int_equal(bits_of(krs_f32_of_bf16((uint16_t)i)), i << 16);
    }
}

static void rows_convert_from_any_alignment(void **state)
{
    (void)state;
    unsigned char bytes[1 + 2 * sizeof(double)];
    float out[2];
    const double f64[2] = {1.5, -2.25};
    memcpy(bytes + 1, f64, sizeof(f64));
    assert_true(krs_f32_of_any(KRS_DTYPE_F64, bytes + 1, 2, out));
    assert_true(out[0] == 1.5f && out[1] == -2.25f);
    const uint16_t f16[2] = {0x3E00, 0xC080};
    memcpy(bytes + 1, f16, sizeof(f16));
    assert_true(krs_f32_of_any(KRS_DTYPE_F16, bytes + 1, 2, out));
    assert_true(out[0] == 1.5f && out[1] == -2.25f);
    const uint16_t bf16[2] = {0x3FC0, 0xC010};
    memcpy(bytes + 1, bf16, sizeof(bf16));
    assert_true(krs_f32_of_any(KRS_DTYPE_BF16, bytes + 1, 2, out));
    assert_true(out[0] == 1.5f && out[1] == -2.25f);
    assert_false(krs_f32_of_any(KRS_DTYPE_I8, bytes, 1, out));
}

static void every_dtype_has_a_name_that_leads_back(void **state)
{
    (void)state;
    for (unsigned i = 0; i < KRS_DTYPE_COUNT; i++) {
        const char *name = krs_dtype_name((krs_dtype)i);
        assert_int_equal(krs_dtype_of_name(krs_str_of(name)), i);
        assert_in_range(krs_dtype_bytes((krs_dtype)i), 1, 8);
    }
    assert_int_equal(krs_dtype_of_name(KRS_STR("bf16")), KRS_DTYPE_COUNT);
    assert_int_equal(krs_dtype_of_name(KRS_STR("")), KRS_DTYPE_COUNT);
    assert_int_equal(krs_dtype_bytes(KRS_DTYPE_COUNT), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_f16_reads_as_its_definition),
        cmocka_unit_test(every_f16_survives_the_round_trip),
        cmocka_unit_test(f16_rounds_to_nearest_and_ties_to_even),
        cmocka_unit_test(f16_overflows_to_infinity_and_underflows_to_zero),
        cmocka_unit_test(bf16_rounds_to_nearest_and_ties_to_even),
        cmocka_unit_test(a_nan_stays_a_nan_whatever_its_payload),
        cmocka_unit_test(bf16_reads_as_the_upper_half),
        cmocka_unit_test(rows_convert_from_any_alignment),
        cmocka_unit_test(every_dtype_has_a_name_that_leads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
