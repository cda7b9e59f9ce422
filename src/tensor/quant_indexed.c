/* tensor/quant_indexed.c - affine codes whose columns belong to groups in no order: GPTQ with act order.
 *
 * GPTQ quantises the columns that matter most first, and with act order a group is the columns that were
 * quantised together, wherever they lie; g_idx says which. The codes stay in the order of the columns, so
 * that nothing else has to know; each element looks its scale up. Also taken for groups the affine kind
 * has no size for.
 *
 * Source: AutoGPTQ qlinear; made by repack.c, tested with it. */
#include "tensor/quant_priv.h"

static krs_status check(const krs_quant *quant, int64_t n_in, krs_error *err)
{
    if ((quant->bits != 4 && quant->bits != 8) || quant->group < 1) {
        return krs_fail(err, KRS_EUNSUPPORTED,
                        "affine-indexed of %d bits in groups of %d, want 4 or 8 bits", quant->bits,
                        quant->group);
    }
    if (n_in % 8 != 0) {
        return krs_fail(err, KRS_EFORMAT, "%lld columns do not fill whole words", (long long)n_in);
    }
    return KRS_OK;
}

static bool takes_f32(krs_dtype dtype)
{
    return dtype == KRS_DTYPE_F32;
}

static void row(const krs_matrix *m, int64_t index, float *out)
{
    const int64_t n_groups = krs_matrix_n_groups(m);
    const unsigned char *codes =
        (const unsigned char *)m->data + (size_t)index * krs_quant_stream_bytes(&m->quant, m->n_in);
    const float *scales = (const float *)m->scales + index * n_groups;
    const float *biases = (const float *)m->biases + index * n_groups;
    for (int64_t i = 0; i < m->n_in; i++) {
        const unsigned code =
            m->quant.bits == 8 ? codes[i] : (unsigned)codes[i / 2] >> (i % 2 * 4) & 15u;
        out[i] = scales[m->group_of[i]] * (float)code + biases[m->group_of[i]];
    }
}

const krs_quant_layout krs_quant_layout_affine_indexed = {
    .has_scales = true,
    .has_biases = true,
    .has_group_of = true,
    .may_end_short = true,
    .check = check,
    .takes_scales = takes_f32,
    .row_bytes = krs_quant_stream_bytes,
    .row = row,
};
