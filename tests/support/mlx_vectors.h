/* support/mlx_vectors.h - MLX's own quantiser output (tests/data/quant), one layout at a time.
 *
 * The files are gzip-packed safetensors; they are unpacked to a temporary file once per dtype, so the
 * reader under them is the real one.
 *
 * Thread: one owner. */
#pragma once

#include "format/safetensors.h"
#include "os/dir.h"
#include "os/file.h"
#include "support/cmocka.h"
#include "tensor/quant.h"
#include "wire/gzip.h"

#include <stdio.h>
#include <unistd.h>

#define MLX_ROWS      24
#define MLX_COLS      384
#define MLX_X_ROWS    5
#define MLX_N_LAYOUTS 21

/* One dtype's file. */
typedef struct mlx_file {
    krs_safetensors *tensors;
    krs_dtype dtype;
    float w[MLX_ROWS * MLX_COLS];   /* exact */
    float x[MLX_X_ROWS * MLX_COLS]; /* exact */
} mlx_file;

/* One layout of it, borrowed from the file. */
typedef struct mlx_case {
    char name[32]; /* "affine-b3-g64" */
    krs_matrix m;  /* as MLX quantised it */
    const krs_tensor *q;
    const krs_tensor *scales;
    const krs_tensor *biases; /* NULL when the mode has none */
    const krs_tensor *dequant;
    const krs_tensor *y; /* F32 [MLX_X_ROWS, MLX_ROWS] */
} mlx_case;

static inline void mlx_unpack(const char *path, krs_safetensors **out)
{
    char dir[KRS_OS_PATH_BYTES];
    char plain[KRS_OS_PATH_BYTES];
    krs_buf packed;
    krs_buf bytes;
    krs_buf_init(&packed, NULL, 8u << 20);
    krs_buf_init(&bytes, NULL, 8u << 20);
    assert_int_equal(krs_os_file_read(path, &packed, NULL), KRS_OK);
    assert_int_equal(krs_gunzip(krs_buf_view(&packed), &bytes, NULL), KRS_OK);
    assert_int_equal(krs_os_dir_temporary(dir, NULL), KRS_OK);
    assert_int_equal(krs_os_path_join(dir, "v.safetensors", plain, sizeof(plain)), KRS_OK);
    assert_int_equal(krs_os_file_write(plain, bytes.data, bytes.len, NULL), KRS_OK);
    assert_int_equal(krs_safetensors_open(plain, KRS_OS_MAP_SHARED_PAGES, NULL, out, NULL), KRS_OK);
    assert_int_equal(unlink(plain), 0); /* the mapping stays */
    assert_int_equal(rmdir(dir), 0);
    krs_buf_deinit(&packed);
    krs_buf_deinit(&bytes);
}

/* dtype: F32, F16 or BF16. */
static inline void mlx_open(krs_dtype dtype, mlx_file *out)
{
    static const char *const names[] = {
        [KRS_DTYPE_F32] = "f32", [KRS_DTYPE_F16] = "f16", [KRS_DTYPE_BF16] = "bf16"};
    char path[KRS_OS_PATH_BYTES];
    (void)snprintf(path, sizeof(path), "%s/tests/data/quant/mlx-%s.safetensors.gz", KRS_SOURCE_DIR,
                   names[dtype]);
    out->dtype = dtype;
    mlx_unpack(path, &out->tensors);
    const krs_tensor *w = krs_safetensors_find(out->tensors, KRS_STR("w"));
    const krs_tensor *x = krs_safetensors_find(out->tensors, KRS_STR("x"));
    assert_true(w && x && w->dtype == dtype && x->dtype == dtype);
    assert_true(krs_f32_of_any(dtype, w->data, MLX_ROWS * MLX_COLS, out->w));
    assert_true(krs_f32_of_any(dtype, x->data, MLX_X_ROWS * MLX_COLS, out->x));
}

static inline void mlx_close(mlx_file *file)
{
    krs_safetensors_close(file->tensors);
}

static inline const krs_tensor *mlx_tensor(const mlx_file *file, const char *layout,
                                           const char *part)
{
    char name[64];
    (void)snprintf(name, sizeof(name), "%s.%s", layout, part);
    return krs_safetensors_find(file->tensors, krs_str_of(name));
}

/* Every layout there is: i 0 .. MLX_N_LAYOUTS - 1. */
static inline krs_quant mlx_layout(int i)
{
    static const int32_t bits[] = {2, 3, 4, 5, 6, 8};
    static const krs_quant others[] = {
        {KRS_QUANT_MXFP4, 4, 32}, {KRS_QUANT_MXFP8, 8, 32}, {KRS_QUANT_NVFP4, 4, 16}};
    return i < 18 ? (krs_quant){KRS_QUANT_AFFINE, bits[i / 3], 32 << i % 3} : others[i - 18];
}

static inline mlx_case mlx_case_of(const mlx_file *file, int i)
{
    mlx_case c = {.m = {.n_out = MLX_ROWS, .n_in = MLX_COLS, .quant = mlx_layout(i)}};
    const krs_quant *quant = &c.m.quant;
    (void)snprintf(c.name, sizeof(c.name), "%s-b%d-g%d", krs_quant_name(quant->kind),
                   (int)quant->bits, (int)quant->group);
    c.q = mlx_tensor(file, c.name, "q");
    c.scales = mlx_tensor(file, c.name, "scales");
    c.biases = mlx_tensor(file, c.name, "biases");
    c.dequant = mlx_tensor(file, c.name, "dequant");
    c.y = mlx_tensor(file, c.name, "y_f32");
    assert_true(c.q && c.scales && c.dequant && c.y);
    c.m.dtype = c.q->dtype;
    c.m.scale_dtype = c.scales->dtype;
    c.m.data = c.q->data;
    c.m.scales = c.scales->data;
    c.m.biases = c.biases ? c.biases->data : NULL;
    return c;
}
