/* tensor/quant_affine.c - MLX's affine kind: w = scale * q + bias, q of 2, 3, 4, 5, 6 or 8 bits.
 *
 * A row is one stream of bits, so 32 codes are exactly `bits` words whatever the width, and every group
 * is whole words. (MLX's own code packs 3 bits as 8 codes in 3 bytes, 5 as 8 in 5, 6 as 4 in 3: the same
 * stream.) Reading works on 32 codes with the width a constant, so that the compiler sees every shift.
 *
 * The quantiser follows MLX's rule exactly, in f32 throughout, because a model quantised here must be
 * the model MLX would have made: per group, the end of the range that is larger in magnitude gets a
 * code that hits it exactly, and the scale is stretched to that. Scale and bias are rounded to their
 * stored type only after the codes are chosen.
 *
 * Source: ml-explore/mlx at 846d176, checked bit for bit by tests/unit/format/test_quant.c. */
#include "tensor/quant_priv.h"

#include <math.h>

#define SCALE_MINIMUM 1e-7f /* MLX's guard against a group of equal values */

static krs_status check(const krs_quant *quant, int64_t n_in, krs_error *err)
{
    (void)n_in;
    if (quant->bits < 2 || quant->bits > 8 || quant->bits == 7) {
        return krs_fail(err, KRS_EUNSUPPORTED,
                        "affine quantisation of %d bits, want 2, 3, 4, 5, 6 or 8", quant->bits);
    }
    if (quant->group != 32 && quant->group != 64 && quant->group != 128) {
        return krs_fail(err, KRS_EUNSUPPORTED, "quantisation group of %d, want 32, 64 or 128",
                        quant->group);
    }
    return KRS_OK;
}

static inline __attribute__((always_inline)) void row_of(const krs_matrix *m, int64_t row, int bits,
                                                         float *out)
{
    const int64_t n_groups = m->n_in / m->quant.group;
    const unsigned char *in =
        (const unsigned char *)m->data + (size_t)row * krs_quant_stream_bytes(&m->quant, m->n_in);
    for (int64_t i = 0; i < m->n_in; i += KRS_QUANT_CHUNK) {
        const int64_t group = row * n_groups + i / m->quant.group;
        const float scale = krs_quant_scale_at(m->scale_dtype, m->scales, group);
        const float bias = krs_quant_scale_at(m->scale_dtype, m->biases, group);
        uint8_t codes[KRS_QUANT_CHUNK];
        krs_quant_unpack(in, bits, codes);
        in += (size_t)bits * sizeof(uint32_t);
        for (int k = 0; k < KRS_QUANT_CHUNK; k++) {
            out[i + k] = scale * (float)codes[k] + bias;
        }
    }
}

static void row(const krs_matrix *m, int64_t index, float *out)
{
    switch (m->quant.bits) {
    case 2:
        row_of(m, index, 2, out);
        break;
    case 3:
        row_of(m, index, 3, out);
        break;
    case 4:
        row_of(m, index, 4, out);
        break;
    case 5:
        row_of(m, index, 5, out);
        break;
    case 6:
        row_of(m, index, 6, out);
        break;
    default:
        row_of(m, index, 8, out);
        break;
    }
}

typedef struct affine {
    float scale;
    float bias;
} affine;

/* Scale and bias of one group. */
static affine fit_group(const float *w, int32_t n, float n_bins)
{
    float low = w[0];
    float high = w[0];
    for (int32_t i = 1; i < n; i++) {
        low = w[i] < low ? w[i] : low;
        high = w[i] > high ? w[i] : high;
    }
    const bool is_low_edge = fabsf(low) > fabsf(high);
    const float spread = (high - low) / n_bins;
    const float width = spread > SCALE_MINIMUM ? spread : SCALE_MINIMUM;
    const float scale = is_low_edge ? width : -width;
    const float edge = is_low_edge ? low : high;
    const float code = rintf(edge / scale);
    return code != 0.0f ? (affine){edge / code, edge} : (affine){scale, 0.0f};
}

/* Pack the codes of one group, whole words. */
static void pack_group(const float *w, const krs_quant *quant, affine fit, unsigned char *out)
{
    const long top = (1L << quant->bits) - 1;
    uint64_t held = 0; /* bits not yet written, fewer than 32 before each code */
    int n_held = 0;
    for (int32_t i = 0; i < quant->group; i++) {
        /* Round to nearest, ties to even; lrintf because it is one instruction everywhere. */
        long code = lrintf((w[i] - fit.bias) / fit.scale);
        code = code < 0 ? 0 : code;
        code = code > top ? top : code;
        held |= (uint64_t)code << n_held;
        n_held += quant->bits;
        if (n_held >= 32) {
            const uint32_t word = (uint32_t)held;
            memcpy(out, &word, sizeof(word));
            out += sizeof(word);
            held >>= 32;
            n_held -= 32;
        }
    }
}

static void put_scale(krs_dtype dtype, void *values, int64_t i, float x)
{
    unsigned char *at = (unsigned char *)values + (size_t)i * krs_dtype_bytes(dtype);
    if (dtype == KRS_DTYPE_F32) {
        memcpy(at, &x, sizeof(x));
        return;
    }
    const uint16_t half = dtype == KRS_DTYPE_F16 ? krs_f16_of_f32(x) : krs_bf16_of_f32(x);
    memcpy(at, &half, sizeof(half));
}

static void quantise(const float *w, krs_dtype w_dtype, const krs_matrix *shape,
                     unsigned char *packed, void *scales, void *biases)
{
    const krs_quant *quant = &shape->quant;
    const float n_bins = (float)((1 << quant->bits) - 1);
    const int64_t n_groups = shape->n_out * (shape->n_in / quant->group);
    const size_t group_bytes = krs_quant_stream_bytes(quant, quant->group);
    (void)w_dtype; /* MLX works in f32 whatever w was stored as */
    for (int64_t g = 0; g < n_groups; g++) {
        const float *group = w + g * quant->group;
        const affine fit = fit_group(group, quant->group, n_bins);
        pack_group(group, quant, fit, packed + (size_t)g * group_bytes);
        put_scale(shape->scale_dtype, scales, g, fit.scale);
        put_scale(shape->scale_dtype, biases, g, fit.bias);
    }
}

const krs_quant_layout krs_quant_layout_affine = {
    .has_scales = true,
    .has_biases = true,
    .check = check,
    .row_bytes = krs_quant_stream_bytes,
    .row = row,
    .quantise = quantise,
};
