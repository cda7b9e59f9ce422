/* tensor/quant.c - see quant.h.
 * The quantiser follows MLX's rule exactly, in f32 throughout, because a model quantised here must be
 * the model MLX would have made: per group, the end of the range that is larger in magnitude gets a
 * code that hits it exactly, and the scale is stretched to that. Scale and bias are rounded to their
 * stored type only after the codes are chosen.
 *
 * Source: ml-explore/mlx at 846d176, checked bit for bit by tests/unit/tensor/test_quant.c. */
#include "tensor/quant.h"

#include "base/check.h"

#include <math.h>

#define WORD_BITS     32
#define SCALE_MINIMUM 1e-7f /* MLX's guard against a group of equal values */
#define MAX_GROUP     128

static bool is_dense_float(krs_dtype dtype)
{
    return dtype == KRS_DTYPE_F32 || dtype == KRS_DTYPE_F16 || dtype == KRS_DTYPE_BF16;
}

krs_status krs_quant_check(const krs_quant *quant, int64_t n_in, krs_error *err)
{
    if (quant->kind == KRS_QUANT_NONE) {
        return KRS_OK;
    }
    if (quant->bits != 4 && quant->bits != 8) {
        return krs_fail(err, KRS_EUNSUPPORTED, "affine quantisation of %d bits, want 4 or 8",
                        quant->bits);
    }
    if (quant->group != 32 && quant->group != 64 && quant->group != MAX_GROUP) {
        return krs_fail(err, KRS_EUNSUPPORTED, "quantisation group of %d, want 32, 64 or 128",
                        quant->group);
    }
    if (n_in <= 0 || n_in % quant->group != 0) {
        return krs_fail(err, KRS_EFORMAT, "%lld columns do not divide into groups of %d",
                        (long long)n_in, quant->group);
    }
    return KRS_OK;
}

size_t krs_matrix_data_bytes(const krs_matrix *m)
{
    const size_t n = (size_t)m->n_out * (size_t)m->n_in;
    return m->quant.kind == KRS_QUANT_NONE ? n * krs_dtype_bytes(m->dtype)
                                           : n / 8 * (size_t)m->quant.bits;
}

size_t krs_matrix_scale_bytes(const krs_matrix *m)
{
    if (m->quant.kind == KRS_QUANT_NONE) {
        return 0;
    }
    const size_t n_groups = (size_t)m->n_out * (size_t)(m->n_in / m->quant.group);
    return 2 * n_groups * krs_dtype_bytes(m->scale_dtype);
}

static float scale_at(const krs_matrix *m, const void *values, int64_t i)
{
    float x;
    const size_t offset = (size_t)i * krs_dtype_bytes(m->scale_dtype);
    KRS_CHECK(krs_f32_of_any(m->scale_dtype, (const unsigned char *)values + offset, 1, &x));
    return x;
}

static uint32_t word_at(const void *words, int64_t i)
{
    uint32_t word;
    memcpy(&word, (const unsigned char *)words + (size_t)i * sizeof(word), sizeof(word));
    return word;
}

static void affine_row(const krs_matrix *m, int64_t row, float *out)
{
    const int64_t n_groups = m->n_in / m->quant.group;
    const int64_t per_word = WORD_BITS / m->quant.bits;
    const int64_t first_word = row * (m->n_in / per_word);
    const uint32_t mask = (1u << m->quant.bits) - 1;
    for (int64_t i = 0; i < m->n_in; i++) {
        const int64_t group = row * n_groups + i / m->quant.group;
        const uint32_t word = word_at(m->data, first_word + i / per_word);
        const uint32_t code = word >> (i % per_word * m->quant.bits) & mask;
        out[i] = scale_at(m, m->scales, group) * (float)code + scale_at(m, m->biases, group);
    }
}

void krs_matrix_row(const krs_matrix *m, int64_t row, float *out)
{
    KRS_CHECK(row >= 0 && row < m->n_out);
    if (m->quant.kind == KRS_QUANT_AFFINE) {
        affine_row(m, row, out);
        return;
    }
    const size_t row_bytes = (size_t)m->n_in * krs_dtype_bytes(m->dtype);
    const unsigned char *data = (const unsigned char *)m->data + (size_t)row * row_bytes;
    KRS_CHECK(krs_f32_of_any(m->dtype, data, (size_t)m->n_in, out));
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

/* Pack the codes of one group; bits divides 32 and the group fills whole words. */
static void pack_group(const float *w, const krs_quant *quant, affine fit, unsigned char *out)
{
    const long top = (1L << quant->bits) - 1;
    const int32_t per_word = WORD_BITS / quant->bits;
    for (int32_t i = 0; i < quant->group; i += per_word) {
        uint32_t word = 0;
        for (int32_t k = 0; k < per_word; k++) {
            /* Round to nearest, ties to even; lrintf because it is one instruction everywhere. */
            long code = lrintf((w[i + k] - fit.bias) / fit.scale);
            code = code < 0 ? 0 : code;
            code = code > top ? top : code;
            word |= (uint32_t)code << (k * quant->bits);
        }
        memcpy(out, &word, sizeof(word));
        out += sizeof(word);
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

krs_status krs_quant_affine(const float *w, const krs_matrix *shape, void *packed, void *scales,
                            void *biases, krs_error *err)
{
    const krs_quant *quant = &shape->quant;
    if (quant->kind != KRS_QUANT_AFFINE || !is_dense_float(shape->scale_dtype)) {
        return krs_fail(err, KRS_EINVAL, "affine quantisation into scales of %s",
                        krs_dtype_name(shape->scale_dtype));
    }
    const krs_status status = krs_quant_check(quant, shape->n_in, err);
    if (status != KRS_OK) {
        return status;
    }
    const float n_bins = (float)((1 << quant->bits) - 1);
    const int64_t n_groups = shape->n_out * (shape->n_in / quant->group);
    const size_t group_bytes = (size_t)quant->group / 8 * (size_t)quant->bits;
    for (int64_t g = 0; g < n_groups; g++) {
        const float *group = w + g * quant->group;
        const affine fit = fit_group(group, quant->group, n_bins);
        pack_group(group, quant, fit, (unsigned char *)packed + (size_t)g * group_bytes);
        put_scale(shape->scale_dtype, scales, g, fit.scale);
        put_scale(shape->scale_dtype, biases, g, fit.bias);
    }
    return KRS_OK;
}
