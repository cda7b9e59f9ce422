/* tensor/repack.h - GPTQ and AWQ weights rewritten as affine rows.
 *
 * Both pack a [n_in, n_out] matrix of codes along the wrong axis for a product that reads the rows of
 * [n_out, n_in], so they are rewritten once, when a model is bound:
 *
 *   GPTQ   qweight I32 [n_in * bits / 32, n_out]   element (i, o): bits from (i % p) * bits of [i / p, o]
 *          qzeros  I32 [n_groups, n_out * bits / 32]               (g, o): from (o % p) * bits of [g, o / p]
 *          scales  [n_groups, n_out]   g_idx I32 [n_in], each column's group; absent: i / group
 *   AWQ    qweight I32 [n_in, n_out / 8]   (i, 8c + order[k]): bits from 4k of [i, c],
 *          qzeros  I32 [n_groups, n_out / 8]   the same          order = 0 2 4 6 1 3 5 7
 *          scales  [n_groups, n_out]
 *
 *   w = (q - zero) * scale; GPTQ's first file format stores zero - 1      p = 32 / bits
 *
 * becomes w = scale * q + bias with bias = -zero * scale in f32: with f16 scales every one of these steps
 * is exact, so the rewritten matrix is the original to the last bit. Groups of a multiple of 32 in their
 * natural order become the affine kind (a wide group's scale is repeated), all others affine-indexed.
 *
 * Thread: any; pure.  Memory: the caller's.  Source: AutoGPTQ qlinear_cuda_old; AutoAWQ packing_utils. */
#pragma once

#include "tensor/quant.h"

typedef struct krs_packed_columns {
    int64_t n_out;
    int64_t n_in;
    int64_t n_groups;
    int32_t bits; /* 4 or 8; AWQ: 4 */
    bool is_awq;  /* else GPTQ */
    bool is_zero_less_one;
    krs_dtype scale_dtype; /* F32, F16 or BF16 */
    const void *qweight;   /* as above, any alignment */
    const void *qzeros;
    const void *scales;
    const void *g_idx; /* NULL: natural order, groups of `group` */
    int64_t group;     /* columns per group, the last may be shorter; n_groups * group >= n_in */
} krs_packed_columns;

/* The layout of the rewritten matrix, without its bytes: n_out, n_in, quant, scale_dtype. Its sizes are
 * krs_matrix_data_bytes and krs_matrix_scale_bytes; an affine-indexed one has group_of [n_in] besides.
 * Errors: KRS_EFORMAT (sizes that do not divide, a g_idx outside of the groups). */
KRS_MUST_USE krs_status krs_repack_plan(const krs_packed_columns *from, krs_matrix *out,
                                        krs_error *err);
/* Fill what plan asked for; group_of only for affine-indexed. */
void krs_repack(const krs_packed_columns *from, const krs_matrix *plan, void *data, float *scales,
                float *biases, int32_t *group_of);
