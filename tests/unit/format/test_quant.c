/* tests/unit/format/test_quant.c - our quantiser and its meaning against MLX's, bit for bit, on the
 * vectors of tests/data/quant (and, with KRS_TESTDATA, on all sizes and dtypes). */
#include "format/safetensors.h"
#include "support/cmocka.h"
#include "tensor/quant.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define ROWS 24
#define COLS 384

typedef struct vectors {
    krs_safetensors *file;
    krs_matrix m; /* as MLX quantised it */
    float w[ROWS * COLS];
    const krs_tensor *dequant;
} vectors;

static const krs_tensor *need(const vectors *v, const char *name)
{
    const krs_tensor *tensor = krs_safetensors_find(v->file, krs_str_of(name));
    assert_non_null(tensor);
    return tensor;
}

/* False, with nothing open, when the file is not there. */
static bool open_vectors(const char *folder, int bits, int group, const char *dtype, vectors *out)
{
    char path[KRS_OS_PATH_BYTES];
    (void)snprintf(path, sizeof(path), "%s/affine-b%d-g%d-%s.safetensors", folder, bits, group,
                   dtype);
    if (krs_safetensors_open(path, KRS_OS_MAP_SHARED_PAGES, NULL, &out->file, NULL) != KRS_OK) {
        return false;
    }
    const krs_tensor *w = need(out, "w");
    assert_true(krs_f32_of_any(w->dtype, w->data, ROWS * COLS, out->w));
    out->dequant = need(out, "dequant");
    out->m = (krs_matrix){.n_out = ROWS,
                          .n_in = COLS,
                          .quant = {KRS_QUANT_AFFINE, bits, group},
                          .dtype = KRS_DTYPE_U32,
                          .scale_dtype = need(out, "scales")->dtype,
                          .data = need(out, "q")->data,
                          .scales = need(out, "scales")->data,
                          .biases = need(out, "biases")->data};
    return true;
}

static void check_quantise(const vectors *v)
{
    unsigned char packed[ROWS * COLS];
    unsigned char scales[ROWS * COLS / 32 * 4];
    unsigned char biases[sizeof(scales)];
    const size_t data_bytes = krs_matrix_data_bytes(&v->m);
    const size_t scale_bytes = krs_matrix_scale_bytes(&v->m) / 2;
    assert_true(data_bytes <= sizeof(packed) && scale_bytes <= sizeof(scales));
    assert_int_equal(krs_quant_affine(v->w, &v->m, packed, scales, biases, NULL), KRS_OK);
    assert_int_equal(data_bytes, need(v, "q")->n_bytes);
    assert_int_equal(scale_bytes, need(v, "scales")->n_bytes);
    assert_memory_equal(scales, v->m.scales, scale_bytes);
    assert_memory_equal(biases, v->m.biases, scale_bytes);
    assert_memory_equal(packed, v->m.data, data_bytes);
}

/* MLX multiplies and adds in the stored type, rounding twice; we keep f32. So for f32 the two agree
 * exactly, and for the halves within one rounding of the product and one of the sum. */
static void check_dequantise(const vectors *v, double epsilon)
{
    float row[COLS];
    float want[COLS];
    const size_t row_bytes = v->dequant->n_bytes / ROWS;
    for (int64_t r = 0; r < ROWS; r++) {
        krs_matrix_row(&v->m, r, row);
        const unsigned char *data = (const unsigned char *)v->dequant->data + (size_t)r * row_bytes;
        assert_true(krs_f32_of_any(v->dequant->dtype, data, COLS, want));
        float bias[COLS];
        const int64_t n_groups = COLS / v->m.quant.group;
        const size_t bytes = krs_dtype_bytes(v->m.scale_dtype);
        assert_true(krs_f32_of_any(
            v->m.scale_dtype, (const unsigned char *)v->m.biases + (size_t)(r * n_groups) * bytes,
            (size_t)n_groups, bias));
        for (int64_t i = 0; i < COLS; i++) {
            const double product = fabs((double)row[i] - (double)bias[i / v->m.quant.group]);
            const double room = epsilon * (product + fabs((double)row[i])) + 6e-8 * (epsilon > 0);
            assert_true(fabs((double)row[i] - (double)want[i]) <= room);
        }
    }
}

static const struct {
    const char *name;
    double epsilon; /* half a unit in the last place, relative */
} dtypes[] = {{"f32", 0.0}, {"f16", 0x1p-11}, {"bf16", 0x1p-8}};

/* 1 when the file is there and agrees; 0 when it is not there. */
static int check_file(const char *folder, int bits, int group, size_t d)
{
    static vectors v;
    if (!open_vectors(folder, bits, group, dtypes[d].name, &v)) {
        return 0;
    }
    check_quantise(&v);
    check_dequantise(&v, dtypes[d].epsilon);
    krs_safetensors_close(v.file);
    return 1;
}

static int check_folder(const char *folder)
{
    int n = 0;
    for (int bits = 4; bits <= 8; bits += 4) {
        for (int group = 32; group <= 128; group *= 2) {
            for (size_t d = 0; d < sizeof(dtypes) / sizeof(dtypes[0]); d++) {
                n += check_file(folder, bits, group, d);
            }
        }
    }
    return n;
}

static void quantises_and_reads_exactly_as_mlx(void **state)
{
    (void)state;
    assert_int_equal(check_folder(KRS_SOURCE_DIR "/tests/data/quant"), 6);
}

static void quantises_exactly_as_mlx_at_every_size_and_dtype(void **state)
{
    (void)state;
    const char *data = getenv("KRS_TESTDATA");
    if (!data) {
        print_message("skipped: KRS_TESTDATA is not set\n");
        skip();
    }
    char folder[KRS_OS_PATH_BYTES];
    assert_int_equal(krs_os_path_join(data, "quant", folder, sizeof(folder)), KRS_OK);
    assert_int_equal(check_folder(folder), 18);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantises_and_reads_exactly_as_mlx),
        cmocka_unit_test(quantises_exactly_as_mlx_at_every_size_and_dtype),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
