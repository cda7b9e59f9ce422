/* tests/unit/tensor/test_quant.c - layouts, sizes and the meaning of packed codes, on numbers small
 * enough to check by hand. MLX's own vectors are held against this code in unit/format/test_quant.c. */
#include "support/cmocka.h"
#include "tensor/quant.h"

#include <stdint.h>

static krs_matrix affine(int64_t n_out, int64_t n_in, int32_t bits, int32_t group)
{
    return (krs_matrix){.n_out = n_out,
                        .n_in = n_in,
                        .quant = {KRS_QUANT_AFFINE, bits, group},
                        .dtype = KRS_DTYPE_U32,
                        .scale_dtype = KRS_DTYPE_F32};
}

static void a_layout_that_does_not_exist_is_named(void **state)
{
    (void)state;
    krs_error err = KRS_ERROR_INIT;
    krs_quant quant = {KRS_QUANT_AFFINE, 7, 64};
    assert_int_equal(krs_quant_check(&quant, 128, &err), KRS_EUNSUPPORTED);
    assert_non_null(strstr(err.message, "7 bits"));
    quant = (krs_quant){KRS_QUANT_AFFINE, 4, 48};
    assert_int_equal(krs_quant_check(&quant, 96, &err), KRS_EUNSUPPORTED);
    assert_non_null(strstr(err.message, "48"));
    quant.group = 64;
    assert_int_equal(krs_quant_check(&quant, 96, &err), KRS_EFORMAT);
    assert_non_null(strstr(err.message, "96"));
    assert_int_equal(krs_quant_check(&quant, 0, &err), KRS_EFORMAT);
    assert_int_equal(krs_quant_check(&quant, 128, &err), KRS_OK);
    quant = (krs_quant){KRS_QUANT_NONE, 0, 0};
    assert_int_equal(krs_quant_check(&quant, 7, &err), KRS_OK);
}

static void sizes_count_packed_words_and_both_scale_tables(void **state)
{
    (void)state;
    krs_matrix m = affine(3, 128, 4, 32);
    assert_int_equal(krs_matrix_data_bytes(&m), 3 * 64);
    assert_int_equal(krs_matrix_scale_bytes(&m), 2 * 3 * 4 * 4);
    m.quant.bits = 8;
    m.scale_dtype = KRS_DTYPE_BF16;
    assert_int_equal(krs_matrix_data_bytes(&m), 3 * 128);
    assert_int_equal(krs_matrix_scale_bytes(&m), 2 * 3 * 4 * 2);
    m.quant.kind = KRS_QUANT_NONE;
    m.dtype = KRS_DTYPE_F16;
    assert_int_equal(krs_matrix_data_bytes(&m), 3 * 128 * 2);
    assert_int_equal(krs_matrix_scale_bytes(&m), 0);
}

static void codes_are_packed_lowest_bits_first(void **state)
{
    (void)state;
    krs_matrix m = affine(2, 32, 4, 32);
    const uint32_t words[8] = {0x76543210u, 0xFEDCBA98u, 0, 0, 0x0000000Fu, 0, 0, 0xF0000000u};
    const float scales[2] = {1.0f, 2.0f};
    const float biases[2] = {0.0f, -1.0f};
    m.data = words;
    m.scales = scales;
    m.biases = biases;
    float row[32];
    krs_matrix_row(&m, 0, row);
    for (int i = 0; i < 16; i++) {
        assert_true(row[i] == (float)i);
    }
    krs_matrix_row(&m, 1, row);
    assert_true(row[0] == 29.0f && row[1] == -1.0f && row[31] == 29.0f);
}

static void quantising_hits_the_larger_end_exactly(void **state)
{
    (void)state;
    for (int32_t bits = 4; bits <= 8; bits += 4) {
        krs_matrix m = affine(1, 32, bits, 32);
        float w[32];
        for (int i = 0; i < 32; i++) {
            w[i] = -3.7f + 0.2f * (float)i; /* -3.7 .. 2.5 */
        }
        uint32_t packed[8];
        float scale;
        float bias;
        assert_int_equal(krs_quant_affine(w, &m, packed, &scale, &bias, NULL), KRS_OK);
        m.data = packed;
        m.scales = &scale;
        m.biases = &bias;
        float row[32];
        krs_matrix_row(&m, 0, row);
        assert_true(row[0] == w[0]);
        for (int i = 0; i < 32; i++) {
            const float miss = row[i] - w[i];
            assert_true(miss <= scale && miss >= -scale);
        }
    }
}

static void a_group_of_equal_values_comes_back_as_it_was(void **state)
{
    (void)state;
    krs_matrix m = affine(1, 64, 4, 32);
    float w[64];
    for (int i = 0; i < 64; i++) {
        w[i] = i < 32 ? 0.0f : -5.0f;
    }
    uint32_t packed[8];
    float scales[2];
    float biases[2];
    assert_int_equal(krs_quant_affine(w, &m, packed, scales, biases, NULL), KRS_OK);
    m.data = packed;
    m.scales = scales;
    m.biases = biases;
    float row[64];
    krs_matrix_row(&m, 0, row);
    assert_memory_equal(row, w, sizeof(w));
}

static void dense_rows_are_the_stored_numbers(void **state)
{
    (void)state;
    const uint16_t data[4] = {0x3F80, 0x4000, 0xBF80, 0x0000};
    const krs_matrix m = {.n_out = 2, .n_in = 2, .dtype = KRS_DTYPE_BF16, .data = data};
    float row[2];
    krs_matrix_row(&m, 1, row);
    assert_true(row[0] == -1.0f && row[1] == 0.0f);
}

static void scales_that_are_no_floats_are_refused(void **state)
{
    (void)state;
    krs_matrix m = affine(1, 32, 4, 32);
    m.scale_dtype = KRS_DTYPE_U8;
    const float w[32] = {0};
    uint32_t packed[4];
    unsigned char scale;
    unsigned char bias;
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(krs_quant_affine(w, &m, packed, &scale, &bias, &err), KRS_EINVAL);
    assert_non_null(strstr(err.message, "U8"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_layout_that_does_not_exist_is_named),
        cmocka_unit_test(sizes_count_packed_words_and_both_scale_tables),
        cmocka_unit_test(codes_are_packed_lowest_bits_first),
        cmocka_unit_test(quantising_hits_the_larger_end_exactly),
        cmocka_unit_test(a_group_of_equal_values_comes_back_as_it_was),
        cmocka_unit_test(dense_rows_are_the_stored_numbers),
        cmocka_unit_test(scales_that_are_no_floats_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
