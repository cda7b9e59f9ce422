/* tensor/quant_bytes.c - the kinds of one byte per element under a float scale: fp8 and int8.
 *
 *   fp8    w = s * e4m3      DeepSeek's 128 x 128 blocks, per row, per matrix (scales repeated by row when
 *                            a model is bound, so that any range of rows is a matrix again)
 *   int8   w = s * int8      compressed-tensors, symmetric; per row or per group
 *
 * A group may be as wide as the row, and the last one of a row may be short. Rows are read group by
 * group with the scale outside the loop, so that the loop becomes vectors.
 *
 * Source: deepseek-ai/DeepSeek-V3 inference/kernel.py weight_dequant; neuralmagic/compressed-tensors. */
#include "tensor/minifloat.h"
#include "tensor/quant_priv.h"

static krs_status check(const krs_quant *quant, int64_t n_in, krs_error *err)
{
    (void)n_in;
    if (quant->bits == 8 && quant->group >= 1) {
        return KRS_OK;
    }
    return krs_fail(err, KRS_EUNSUPPORTED, "%s of %d bits in groups of %d, want 8 bits",
                    krs_quant_name(quant->kind), quant->bits, quant->group);
}

static size_t row_bytes(const krs_quant *quant, int64_t n_in)
{
    (void)quant;
    return (size_t)n_in;
}

/* Group g of a row: its columns [*begin, *end) and scale. */
static float group_at(const krs_matrix *m, int64_t row, int64_t g, int64_t *begin, int64_t *end)
{
    const int64_t last = (g + 1) * m->quant.group;
    *begin = g * m->quant.group;
    *end = last < m->n_in ? last : m->n_in;
    return krs_quant_scale_at(m->scale_dtype, m->scales, row * krs_matrix_n_groups(m) + g);
}

static void row_fp8(const krs_matrix *m, int64_t row, float *out)
{
    const uint8_t *codes = (const uint8_t *)m->data + row * m->n_in;
    for (int64_t g = 0; g < krs_matrix_n_groups(m); g++) {
        int64_t begin;
        int64_t end;
        const float scale = group_at(m, row, g, &begin, &end);
        for (int64_t i = begin; i < end; i++) {
            out[i] = scale * krs_f32_of_e4m3(codes[i]);
        }
    }
}

static void row_int8(const krs_matrix *m, int64_t row, float *out)
{
    const int8_t *codes = (const int8_t *)m->data + row * m->n_in;
    for (int64_t g = 0; g < krs_matrix_n_groups(m); g++) {
        int64_t begin;
        int64_t end;
        const float scale = group_at(m, row, g, &begin, &end);
        for (int64_t i = begin; i < end; i++) {
            out[i] = scale * (float)codes[i];
        }
    }
}

const krs_quant_layout krs_quant_layout_fp8 = {
    .has_scales = true,
    .may_end_short = true,
    .check = check,
    .row_bytes = row_bytes,
    .row = row_fp8,
};

const krs_quant_layout krs_quant_layout_int8 = {
    .has_scales = true,
    .may_end_short = true,
    .check = check,
    .row_bytes = row_bytes,
    .row = row_int8,
};
