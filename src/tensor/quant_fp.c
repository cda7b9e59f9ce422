/* tensor/quant_fp.c - the microscaling kinds: small floats under a shared scale, no bias.
 *
 *   mxfp4   groups of 32   e2m1 codes, e8m0 scale        mxfp8   groups of 32   e4m3 codes, e8m0 scale
 *   nvfp4   groups of 16   e2m1 codes, e4m3 scale
 *
 * Scales are bytes (U8). All products are exact in f32, so reading has nothing to round.
 *
 * The quantiser follows MLX's rule to the bit, and MLX works in the type w is stored in, rounding after
 * every operation; so does this. Its scale is the group's maximum over the largest code, rounded to a
 * power of two in the exponent (mx) or to e4m3 (nv); its e2m1 codes are the nearest by distance, the
 * smaller magnitude on a tie and +0 for either zero. That differs from the OCP document's rounding, and
 * is what models on the hub were made with.
 *
 * Source: ml-explore/mlx at 846d176, fp_quantize; checked by tests/unit/format/test_quant.c. */
#include "tensor/minifloat.h"
#include "tensor/quant_priv.h"

#include <math.h>

#define MX_GROUP  32
#define NV_GROUP  16
#define FP4_TOP   6.0f
#define FP8_TOP   448.0f
#define FP4_CODES 16

static krs_status check_fixed(const krs_quant *quant, int32_t bits, int32_t group, krs_error *err)
{
    if (quant->bits == bits && quant->group == group) {
        return KRS_OK;
    }
    return krs_fail(err, KRS_EUNSUPPORTED, "%s of %d bits in groups of %d, want %d bits and %d",
                    krs_quant_name(quant->kind), quant->bits, quant->group, bits, group);
}

static krs_status check_mxfp4(const krs_quant *quant, int64_t n_in, krs_error *err)
{
    (void)n_in;
    return check_fixed(quant, 4, MX_GROUP, err);
}

static krs_status check_mxfp8(const krs_quant *quant, int64_t n_in, krs_error *err)
{
    (void)n_in;
    return check_fixed(quant, 8, MX_GROUP, err);
}

static krs_status check_nvfp4(const krs_quant *quant, int64_t n_in, krs_error *err)
{
    (void)n_in;
    return check_fixed(quant, 4, NV_GROUP, err);
}

static bool takes_bytes(krs_dtype dtype)
{
    return dtype == KRS_DTYPE_U8;
}

/* Codes and scales of a row. */
static const unsigned char *codes_of(const krs_matrix *m, int64_t row)
{
    return (const unsigned char *)m->data +
           (size_t)row * krs_quant_stream_bytes(&m->quant, m->n_in);
}

static const uint8_t *scales_of(const krs_matrix *m, int64_t row)
{
    return (const uint8_t *)m->scales + row * (m->n_in / m->quant.group);
}

/* out[n] = scale * codes. */
static inline void widen_e2m1(const uint8_t *codes, float scale, int n, float *out)
{
    for (int i = 0; i < n; i++) {
        out[i] = scale * krs_f32_of_e2m1(codes[i]);
    }
}

static void row_mxfp4(const krs_matrix *m, int64_t row, float *out)
{
    const unsigned char *in = codes_of(m, row);
    const uint8_t *scales = scales_of(m, row);
    for (int64_t i = 0; i < m->n_in; i += KRS_QUANT_CHUNK) {
        uint8_t codes[KRS_QUANT_CHUNK];
        krs_quant_unpack(in + i / 2, 4, codes);
        widen_e2m1(codes, krs_f32_of_e8m0(scales[i / MX_GROUP]), MX_GROUP, out + i);
    }
}

/* Rows of nvfp4 may end in half a chunk. */
static void row_nvfp4(const krs_matrix *m, int64_t row, float *out)
{
    const unsigned char *in = codes_of(m, row);
    const uint8_t *scales = scales_of(m, row);
    for (int64_t i = 0; i < m->n_in; i += NV_GROUP) {
        uint8_t codes[NV_GROUP];
        for (int k = 0; k < NV_GROUP / 2; k++) {
            const unsigned byte = in[i / 2 + k];
            codes[2 * k] = (uint8_t)(byte & 15u);
            codes[2 * k + 1] = (uint8_t)(byte >> 4);
        }
        widen_e2m1(codes, krs_f32_of_e4m3(scales[i / NV_GROUP]), NV_GROUP, out + i);
    }
}

static void row_mxfp8(const krs_matrix *m, int64_t row, float *out)
{
    const unsigned char *codes = codes_of(m, row);
    const uint8_t *scales = scales_of(m, row);
    for (int64_t g = 0; g < m->n_in / MX_GROUP; g++) {
        const float scale = krs_f32_of_e8m0(scales[g]);
        for (int i = 0; i < MX_GROUP; i++) {
            out[g * MX_GROUP + i] = scale * krs_f32_of_e4m3(codes[g * MX_GROUP + i]);
        }
    }
}

/* x as the type w is stored in would hold it. */
static float round_to(krs_dtype dtype, float x)
{
    switch (dtype) {
    case KRS_DTYPE_F16:
        return krs_f32_of_f16(krs_f16_of_f32(x));
    case KRS_DTYPE_BF16:
        return krs_f32_of_bf16(krs_bf16_of_f32(x));
    default:
        return x;
    }
}

static float largest(const float *w, int n)
{
    float top = 0;
    for (int i = 0; i < n; i++) {
        top = fabsf(w[i]) > top ? fabsf(w[i]) : top;
    }
    return top;
}

/* The first of the nearest codes; x no number: the first. */
static uint8_t e2m1_of(float x, krs_dtype dtype)
{
    uint8_t best = 0;
    float least = INFINITY;
    for (uint8_t code = 0; code < FP4_CODES; code++) {
        const float distance = fabsf(round_to(dtype, x - krs_f32_of_e2m1(code)));
        if (distance < least) {
            least = distance;
            best = code;
        }
    }
    return best;
}

/* Exponent of a group's scale, as a byte of e8m0, and the power of two itself as w's type holds it. */
static uint8_t fit_e8m0(float top, float top_code, krs_dtype dtype, float *power)
{
    const float scale = round_to(dtype, top / top_code);
    const float exponent = scale == 0 ? 0 : rintf(round_to(dtype, log2f(scale)));
    *power = round_to(dtype, exp2f(exponent));
    const float byte = exponent + 127;
    return (uint8_t)(byte < 0 ? 0 : byte > 254 ? 254 : byte);
}

/* One group: divide by the scale, then to codes, as MLX's arithmetic in w's type would. */
static void encode_e2m1(const float *w, int n, float scale, krs_dtype w_dtype,
                        krs_dtype distance_dtype, unsigned char *out)
{
    for (int i = 0; i < n; i += 2) {
        const uint8_t low = e2m1_of(round_to(w_dtype, w[i] / scale), distance_dtype);
        const uint8_t high = e2m1_of(round_to(w_dtype, w[i + 1] / scale), distance_dtype);
        out[i / 2] = (unsigned char)(low | high << 4);
    }
}

static void quantise_mxfp4(const float *w, krs_dtype w_dtype, const krs_matrix *shape,
                           unsigned char *packed, void *scales, void *biases)
{
    const int64_t n_groups = shape->n_out * (shape->n_in / MX_GROUP);
    (void)biases;
    for (int64_t g = 0; g < n_groups; g++) {
        float power;
        const float *group = w + g * MX_GROUP;
        ((uint8_t *)scales)[g] = fit_e8m0(largest(group, MX_GROUP), FP4_TOP, w_dtype, &power);
        encode_e2m1(group, MX_GROUP, power, w_dtype, w_dtype, packed + g * (MX_GROUP / 2));
    }
}

static void quantise_mxfp8(const float *w, krs_dtype w_dtype, const krs_matrix *shape,
                           unsigned char *packed, void *scales, void *biases)
{
    const int64_t n_groups = shape->n_out * (shape->n_in / MX_GROUP);
    (void)biases;
    for (int64_t g = 0; g < n_groups; g++) {
        float power;
        const float *group = w + g * MX_GROUP;
        ((uint8_t *)scales)[g] = fit_e8m0(largest(group, MX_GROUP), FP8_TOP, w_dtype, &power);
        for (int i = 0; i < MX_GROUP; i++) {
            packed[g * MX_GROUP + i] = krs_e4m3_of_f32(round_to(w_dtype, group[i] / power));
        }
    }
}

/* Here MLX's distances are f32: its (absent) global scale is. */
static void quantise_nvfp4(const float *w, krs_dtype w_dtype, const krs_matrix *shape,
                           unsigned char *packed, void *scales, void *biases)
{
    const int64_t n_groups = shape->n_out * (shape->n_in / NV_GROUP);
    (void)biases;
    for (int64_t g = 0; g < n_groups; g++) {
        const float *group = w + g * NV_GROUP;
        const float top = round_to(w_dtype, largest(group, NV_GROUP) / FP4_TOP);
        const uint8_t scale = krs_e4m3_of_f32(top);
        ((uint8_t *)scales)[g] = scale;
        encode_e2m1(group, NV_GROUP, krs_f32_of_e4m3(scale), w_dtype, KRS_DTYPE_F32,
                    packed + g * (NV_GROUP / 2));
    }
}

const krs_quant_layout krs_quant_layout_mxfp4 = {
    .has_scales = true,
    .check = check_mxfp4,
    .takes_scales = takes_bytes,
    .row_bytes = krs_quant_stream_bytes,
    .row = row_mxfp4,
    .quantise = quantise_mxfp4,
};

const krs_quant_layout krs_quant_layout_mxfp8 = {
    .has_scales = true,
    .check = check_mxfp8,
    .takes_scales = takes_bytes,
    .row_bytes = krs_quant_stream_bytes,
    .row = row_mxfp8,
    .quantise = quantise_mxfp8,
};

const krs_quant_layout krs_quant_layout_nvfp4 = {
    .has_scales = true,
    .check = check_nvfp4,
    .takes_scales = takes_bytes,
    .row_bytes = krs_quant_stream_bytes,
    .row = row_nvfp4,
    .quantise = quantise_nvfp4,
};
