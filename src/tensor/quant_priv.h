/* tensor/quant_priv.h - what a kind of quantisation tells about itself, for the files of this room.
 *
 * To add a kind: write its krs_quant_layout in a file of its own (quant_<kind>.c), declare it below by a
 * row in quant.def, and hold its row function against numbers that others made. `check` and `row` and
 * `row_bytes` are all a kind must have; one that carries its scales inside its blocks leaves `scales`
 * and `has_biases` false, and krs_matrix.scales and biases stay NULL.
 *
 * Thread: any; pure. */
#pragma once

#include "tensor/quant.h"

typedef struct krs_quant_layout {
    bool has_scales;
    bool has_biases;
    bool has_group_of;  /* krs_matrix.group_of is set */
    bool may_end_short; /* a row's last group may be shorter than the others */
    /* bits, group and columns; n_in > 0 has been checked. */
    krs_status (*check)(const krs_quant *quant, int64_t n_in, krs_error *err);
    /* May scales and biases be of this dtype? NULL: F32, F16 and BF16. */
    bool (*takes_scales)(krs_dtype dtype);
    /* Bytes of one row of codes; only after check. */
    size_t (*row_bytes)(const krs_quant *quant, int64_t n_in);
    /* The definition: krs_matrix_row. */
    void (*row)(const krs_matrix *m, int64_t row, float *out);
    /* krs_quantise, after check; NULL: this kind is only read. */
    void (*quantise)(const float *w, krs_dtype w_dtype, const krs_matrix *shape,
                     unsigned char *packed, void *scales, void *biases);
} krs_quant_layout;

#define KRS_QUANT(name, text, layout) extern const krs_quant_layout layout;
#include "tensor/quant.def"
#undef KRS_QUANT

static inline bool krs_is_dense_float(krs_dtype dtype)
{
    return dtype == KRS_DTYPE_F32 || dtype == KRS_DTYPE_F16 || dtype == KRS_DTYPE_BF16;
}

/* n_in * bits / 8: rows that are one stream of bits. */
size_t krs_quant_stream_bytes(const krs_quant *quant, int64_t n_in);

/* Value i of a table of scales or biases. */
float krs_quant_scale_at(krs_dtype dtype, const void *values, int64_t i);
