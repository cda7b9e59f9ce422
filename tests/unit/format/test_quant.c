/* tests/unit/format/test_quant.c - our quantisers and the meaning of every MLX layout against MLX's own
 * output, bit for bit: all modes, widths, groups and dtypes. */
#include "support/mlx_vectors.h"

static const krs_dtype dtypes[] = {KRS_DTYPE_F32, KRS_DTYPE_F16, KRS_DTYPE_BF16};

/* fn for each of the 63 cases. */
static void for_all(void (*fn)(const mlx_file *file, const mlx_case *c))
{
    static mlx_file file;
    int n = 0;
    for (size_t d = 0; d < 3; d++) {
        mlx_open(dtypes[d], &file);
        for (int i = 0; i < MLX_N_LAYOUTS; i++) {
            const mlx_case c = mlx_case_of(&file, i);
            fn(&file, &c);
            n++;
        }
        mlx_close(&file);
    }
    assert_int_equal(n, 63);
}

static void check_same(const mlx_file *file, const mlx_case *c, const char *what, const void *got,
                       const krs_tensor *want)
{
    if (memcmp(got, want->data, want->n_bytes) != 0) {
        fail_msg("%s of %s: other %s than MLX", c->name, krs_dtype_name(file->dtype), what);
    }
}

static void check_quantise(const mlx_file *file, const mlx_case *c)
{
    unsigned char packed[MLX_ROWS * MLX_COLS];
    unsigned char scales[MLX_ROWS * MLX_COLS / 16 * 4];
    unsigned char biases[sizeof(scales)];
    const size_t n_tables = c->biases ? 2 : 1;
    assert_int_equal(krs_matrix_check(&c->m, NULL), KRS_OK);
    assert_int_equal(krs_matrix_data_bytes(&c->m), c->q->n_bytes);
    assert_int_equal(krs_matrix_scale_bytes(&c->m), n_tables * c->scales->n_bytes);
    assert_true(c->q->n_bytes <= sizeof(packed) && c->scales->n_bytes <= sizeof(scales));
    assert_int_equal(krs_quantise(file->w, file->dtype, &c->m, packed, scales, biases, NULL),
                     KRS_OK);
    check_same(file, c, "scales", scales, c->scales);
    check_same(file, c, "codes", packed, c->q);
    if (c->biases) {
        check_same(file, c, "biases", biases, c->biases);
    }
}

static void quantises_exactly_as_mlx(void **state)
{
    (void)state;
    for_all(check_quantise);
}

static float round_to(krs_dtype dtype, float x)
{
    return dtype == KRS_DTYPE_F16    ? krs_f32_of_f16(krs_f16_of_f32(x))
           : dtype == KRS_DTYPE_BF16 ? krs_f32_of_bf16(krs_bf16_of_f32(x))
                                     : x;
}

static float value_at(krs_dtype dtype, const void *values, int64_t i)
{
    float x;
    const size_t bytes = krs_dtype_bytes(dtype);
    assert_true(krs_f32_of_any(dtype, (const unsigned char *)values + (size_t)i * bytes, 1, &x));
    return x;
}

/* Code i of a row, straight from the definition: bits [i * bits, (i + 1) * bits) of its bytes. */
static uint32_t code_at(const mlx_case *c, int64_t row, int64_t i)
{
    const int64_t bits = c->m.quant.bits;
    const unsigned char *bytes = (const unsigned char *)c->q->data + row * (MLX_COLS * bits / 8);
    uint32_t code = 0;
    for (int64_t k = 0; k < bits; k++) {
        const int64_t at = i * bits + k;
        code |= (uint32_t)(bytes[at / 8] >> (at % 8) & 1) << k;
    }
    return code;
}

/* MLX's own dequantise multiplies and adds in the stored type, rounding twice; the meaning here is that of
 * its kernels, which keep f32. So f32 rows must be MLX's bits, and in the halves MLX's bits must be what
 * its two roundings make of our scale, code and bias. */
static void check_affine_row(const mlx_case *c, krs_dtype dtype, int64_t r, const float *got,
                             const float *want)
{
    const int64_t n_groups = MLX_COLS / c->m.quant.group;
    for (int64_t i = 0; i < MLX_COLS; i++) {
        const int64_t g = r * n_groups + i / c->m.quant.group;
        const float scale = value_at(dtype, c->scales->data, g);
        const float bias = value_at(dtype, c->biases->data, g);
        const float product = scale * (float)code_at(c, r, i);
        assert_true(got[i] == product + bias);
        assert_true(want[i] == round_to(dtype, round_to(dtype, product) + bias));
    }
}

static void check_dequantise(const mlx_file *file, const mlx_case *c)
{
    float got[MLX_COLS];
    float want[MLX_COLS];
    const size_t row_bytes = c->dequant->n_bytes / MLX_ROWS;
    for (int64_t r = 0; r < MLX_ROWS; r++) {
        krs_matrix_row(&c->m, r, got);
        const unsigned char *data = (const unsigned char *)c->dequant->data + (size_t)r * row_bytes;
        assert_true(krs_f32_of_any(file->dtype, data, MLX_COLS, want));
        if (file->dtype == KRS_DTYPE_F32 || !c->biases) {
            assert_memory_equal(got, want, sizeof(want)); /* the sign of zero too */
        }
        if (c->biases) {
            check_affine_row(c, file->dtype, r, got, want);
        }
    }
}

static void rows_mean_exactly_what_mlx_says(void **state)
{
    (void)state;
    for_all(check_dequantise);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantises_exactly_as_mlx),
        cmocka_unit_test(rows_mean_exactly_what_mlx_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
