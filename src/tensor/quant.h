/* tensor/quant.h - quantised matrices as they lie in a file, and their scalar meaning.
 *
 * Every kind cuts a row of n_in elements into groups and stores a code per element; what a code means is
 * the kind's (docs/quantisation.md has all of them):
 *
 *   affine        w = scale * q + bias       q of 2, 3, 4, 5, 6 or 8 bits, groups of 32, 64 or 128
 *   mxfp4, mxfp8  w = 2^(s - 127) * q        q an e2m1 or e4m3 number, groups of 32
 *   nvfp4         w = s * q                  q an e2m1, s an e4m3 number, groups of 16
 *   fp8, int8     w = s * q                  q an e4m3 number or an int8, groups of any size, the last
 *                                            of a row may be short
 *   affine-indexed  w = scale * q + bias     4 or 8 bits; group_of says each column's group (GPTQ with
 *                                            act order)
 *
 * Codes of these are one stream of bits, lowest first: code i of a row is bits [i * bits, (i + 1) * bits)
 * of its bytes. MLX shows it as little-endian uint32 words; rows fill whole words.
 *
 *   weight U32 [n_out, n_in * bits / 32]   scales, biases [n_out, n_in / group]
 *
 * A new kind is a row in quant.def, a krs_quant_layout (quant_priv.h) in a file of its own, and a test;
 * everything that walks matrices (program checks, host backends, sizes, loaders) asks the table.
 *
 * Thread: any; pure.  Source: ml-explore/mlx, mlx.core.quantize; OCP Microscaling Formats 1.0. */
#pragma once

#include "base/status.h"
#include "tensor/dtype.h"

typedef enum krs_quant_kind {
    KRS_QUANT_NONE, /* dense: the dtype says it all */
#define KRS_QUANT(name, text, layout) KRS_QUANT_##name,
#include "tensor/quant.def"
#undef KRS_QUANT
    KRS_QUANT_COUNT
} krs_quant_kind;

typedef struct krs_quant {
    krs_quant_kind kind;
    int32_t bits;  /* per code */
    int32_t group; /* consecutive elements of a row that share a scale */
} krs_quant;

/* A matrix (or, with n_out = 1, a vector) as stored; what kernels and the reference read. Borrows. */
typedef struct krs_matrix {
    int64_t n_out;
    int64_t n_in;
    krs_quant quant;
    krs_dtype dtype;         /* of data when dense: F32, F16 or BF16; unused when quantised */
    krs_dtype scale_dtype;   /* of scales and biases, as the kind allows; unused without scales */
    const void *data;        /* row-major [n_out, n_in], or rows of krs_matrix_row_bytes of codes */
    const void *scales;      /* [n_out, n_in / group]; NULL when the kind keeps none apart */
    const void *biases;      /* same shape; NULL when the kind has none */
    const int32_t *group_of; /* affine-indexed: [n_in] each column's group; NULL otherwise */
} krs_matrix;

/* Groups of a row: n_in / group, a short last one counted. */
static inline int64_t krs_matrix_n_groups(const krs_matrix *m)
{
    return (m->n_in + m->quant.group - 1) / m->quant.group;
}

/* "affine"; "none" for dense. KRS_QUANT_COUNT for an unknown name. */
const char *krs_quant_name(krs_quant_kind kind);
krs_quant_kind krs_quant_kind_of_name(krs_str name);

/* Is this layout one that exists (bits, group, n_in divisible by group)? EUNSUPPORTED / EFORMAT. */
KRS_MUST_USE krs_status krs_quant_check(const krs_quant *quant, int64_t n_in, krs_error *err);
/* Does this kind keep scales, and biases, as tables of their own? */
bool krs_quant_has_scales(krs_quant_kind kind);
bool krs_quant_has_biases(krs_quant_kind kind);
/* May scales (and biases) of this kind have this dtype? */
bool krs_quant_takes_scales(krs_quant_kind kind, krs_dtype dtype);

/* Is the matrix whole: a layout that exists, tables that are there, of a dtype the kind has? */
KRS_MUST_USE krs_status krs_matrix_check(const krs_matrix *m, krs_error *err);

/* Bytes of one row of data: codes, or dense values; scales and biases not counted. */
size_t krs_matrix_row_bytes(const krs_matrix *m);
/* The same of the whole matrix. */
size_t krs_matrix_data_bytes(const krs_matrix *m);
/* Bytes of scales plus biases; 0 when dense. */
size_t krs_matrix_scale_bytes(const krs_matrix *m);

/* out[n_in] = row `row` in f32: the definition of every stored matrix. row: 0 .. n_out - 1. */
void krs_matrix_row(const krs_matrix *m, int64_t row, float *out);

/* Quantise w[n_out, n_in] exactly as MLX does (shape: n_out, n_in, quant and scale_dtype) into packed,
 * scales and biases, which the caller has sized by the functions above; biases: NULL for kinds without.
 * w_dtype: what w was stored as, F32, F16 or BF16; MLX rounds its arithmetic to it in all modes but
 * affine. Errors: as krs_quant_check; KRS_EUNSUPPORTED for a kind that is only read. */
KRS_MUST_USE krs_status krs_quantise(const float *w, krs_dtype w_dtype, const krs_matrix *shape,
                                     void *packed, void *scales, void *biases, krs_error *err);
/* krs_quantise of the affine kind, where w_dtype does not matter. */
KRS_MUST_USE krs_status krs_quant_affine(const float *w, const krs_matrix *shape, void *packed,
                                         void *scales, void *biases, krs_error *err);
