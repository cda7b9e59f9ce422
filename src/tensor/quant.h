/* tensor/quant.h - quantised matrices as they lie in a file, and their scalar meaning.
 *
 * MLX affine: a [n_out, n_in] matrix is cut along n_in into groups; w = scale * q + bias, q an
 * unsigned code of `bits` bits, with one scale and one bias per (row, group). Codes are packed into
 * little-endian uint32 words, lowest bits first:
 *
 *   4 bits: word = q0 | q1 << 4 | ... | q7 << 28        8 bits: word = q0 | q1 << 8 | q2 << 16 | q3 << 24
 *   weight U32 [n_out, n_in * bits / 32]   scales, biases [n_out, n_in / group]
 *
 * Thread: any; pure.  Source: ml-explore/mlx, mlx.core.quantize documentation. */
#pragma once

#include "base/status.h"
#include "tensor/dtype.h"

typedef enum krs_quant_kind {
    KRS_QUANT_NONE, /* dense: the dtype says it all */
    KRS_QUANT_AFFINE,
} krs_quant_kind;

typedef struct krs_quant {
    krs_quant_kind kind;
    int32_t bits;  /* 4 or 8 */
    int32_t group; /* elements per scale: 32, 64 or 128 */
} krs_quant;

/* A matrix (or, with n_out = 1, a vector) as stored; what kernels and the reference read. Borrows. */
typedef struct krs_matrix {
    int64_t n_out;
    int64_t n_in;
    krs_quant quant;
    krs_dtype dtype;       /* of data when dense: F32, F16 or BF16; U32 when quantised */
    krs_dtype scale_dtype; /* of scales and biases: F32, F16 or BF16; unused when dense */
    const void *data;      /* row-major [n_out, n_in], or packed words */
    const void *scales;    /* [n_out, n_in / group]; NULL when dense */
    const void *biases;    /* same shape; NULL when dense */
} krs_matrix;

/* Is this layout one that exists (bits, group, n_in divisible by group)? EUNSUPPORTED / EFORMAT. */
KRS_MUST_USE krs_status krs_quant_check(const krs_quant *quant, int64_t n_in, krs_error *err);

/* Bytes of the packed data, or of the dense data, of a whole matrix; scales and biases not counted. */
size_t krs_matrix_data_bytes(const krs_matrix *m);
/* Bytes of scales plus biases; 0 when dense. */
size_t krs_matrix_scale_bytes(const krs_matrix *m);

/* out[n_in] = row `row` in f32: the definition of every stored matrix. row: 0 .. n_out - 1. */
void krs_matrix_row(const krs_matrix *m, int64_t row, float *out);

/* Quantise w[n_out, n_in] with MLX's affine rule into packed [..] and scales/biases (as scale_dtype).
 * The caller has sized the outputs by the functions above. Errors: as krs_quant_check. */
KRS_MUST_USE krs_status krs_quant_affine(const float *w, const krs_matrix *shape, void *packed,
                                         void *scales, void *biases, krs_error *err);
