/* tests/unit/tensor/test_minifloat.c - every eight and four bit float against its definition, and the
 * rounding to e4m3 against the nearest of all of them. */
#include "support/cmocka.h"
#include "tensor/minifloat.h"
#include "tensor/quant.h"

#include <math.h>

/* sign, exponent of e bits, mantissa of m bits, bias: as the document writes it. */
static double value_of(unsigned code, int e, int m, int bias)
{
    const int mantissa = (int)(code & ((1u << m) - 1));
    const int exponent = (int)(code >> m & ((1u << e) - 1));
    const double fraction = ldexp(mantissa, -m);
    const double magnitude =
        exponent == 0 ? ldexp(fraction, 1 - bias) : ldexp(1.0 + fraction, exponent - bias);
    return code >> (e + m) & 1u ? -magnitude : magnitude;
}

static void every_code_means_what_the_document_says(void **state)
{
    (void)state;
    for (unsigned code = 0; code < 256; code++) {
        const float x = krs_f32_of_e4m3((uint8_t)code);
        if ((code & 0x7F) == 0x7F) {
            assert_true(isnan(x));
        } else {
            assert_true((double)x == value_of(code, 4, 3, 7));
            assert_int_equal(signbit(x) != 0, code >> 7);
        }
        const float scale = krs_f32_of_e8m0((uint8_t)code);
        assert_true(code == 255 ? isnan(scale) : (double)scale == ldexp(1.0, (int)code - 127));
    }
    for (unsigned code = 0; code < 16; code++) {
        const float x = krs_f32_of_e2m1(code | 0xA0);
        assert_true((double)x == value_of(code, 2, 1, 1));
        assert_int_equal(signbit(x) != 0, code >> 3);
    }
}

/* The nearest finite code of x >= 0, the even one on a tie. */
static uint8_t nearest(double x)
{
    uint8_t best = 0;
    for (uint8_t code = 1; code < 0x7F; code++) {
        const double miss = fabs(x - value_of(code, 4, 3, 7));
        const double least = fabs(x - value_of(best, 4, 3, 7));
        if (miss < least || (miss == least && code % 2 == 0)) {
            best = code;
        }
    }
    return best;
}

static void rounding_to_e4m3_is_to_the_nearest_even(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 60000; i++) {
        /* Sixteenths of a step between 2^-14 and 448, ties among them. */
        const float x = krs_float_of_bits(0x38800000u + i * 0x4000u);
        if (x > 448.0f) {
            break;
        }
        assert_int_equal(krs_e4m3_of_f32(x), nearest((double)x));
        assert_int_equal(krs_e4m3_of_f32(-x), nearest((double)x) | 0x80);
    }
    assert_int_equal(krs_e4m3_of_f32(449.0f), 0x7E);
    assert_int_equal(krs_e4m3_of_f32(465.0f), 0x7E);
    assert_int_equal(krs_e4m3_of_f32(1e30f), 0x7E);
    assert_int_equal(krs_e4m3_of_f32(-INFINITY), 0xFE);
    assert_int_equal(krs_e4m3_of_f32(0.0f), 0);
    assert_int_equal(krs_e4m3_of_f32(0x1p-11f), 0);
}

/* fp8 and int8 rows, groups of any width, the last short. */
static void bytes_under_a_scale_are_products(void **state)
{
    (void)state;
    enum { ROWS = 3, COLUMNS = 200 };
    static unsigned char codes[ROWS * COLUMNS];
    float row[COLUMNS];
    for (int i = 0; i < ROWS * COLUMNS; i++) {
        codes[i] = (unsigned char)(i * 7 % 127 + (i % 3 ? 128 : 0));
    }
    static const int32_t groups[] = {128, COLUMNS, 1, 33};
    for (int k = 0; k < 8; k++) {
        const int32_t group = groups[k % 4];
        const bool is_fp8 = k < 4;
        static float scales[ROWS * COLUMNS];
        krs_matrix m = {.n_out = ROWS,
                        .n_in = COLUMNS,
                        .quant = {is_fp8 ? KRS_QUANT_FP8 : KRS_QUANT_INT8, 8, group},
                        .scale_dtype = KRS_DTYPE_F32,
                        .data = codes,
                        .scales = scales};
        const int64_t n_groups = (COLUMNS + group - 1) / group;
        assert_int_equal(krs_matrix_check(&m, NULL), KRS_OK);
        assert_int_equal(krs_matrix_data_bytes(&m), sizeof(codes));
        assert_int_equal(krs_matrix_scale_bytes(&m), ROWS * n_groups * 4);
        for (int64_t i = 0; i < ROWS * n_groups; i++) {
            scales[i] = 0.37f * (float)(i + 1);
        }
        for (int64_t r = 0; r < ROWS; r++) {
            krs_matrix_row(&m, r, row);
            for (int64_t i = 0; i < COLUMNS; i++) {
                const unsigned char code = codes[r * COLUMNS + i];
                const float q = is_fp8 ? krs_f32_of_e4m3(code) : (float)(int8_t)code;
                assert_true(row[i] == q * scales[r * n_groups + i / group]);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_means_what_the_document_says),
        cmocka_unit_test(rounding_to_e4m3_is_to_the_nearest_even),
        cmocka_unit_test(bytes_under_a_scale_are_products),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
