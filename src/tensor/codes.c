/* tensor/codes.c - see codes.h: MLX's kinds and int8, and what all kinds share.
 *
 *   affine        codes, scales and biases as they lie in the file
 *   mxfp4, nvfp4  codes index the doubled e2m1 numbers; half the scale as bf16. Exact: an e8m0 scale is a
 *                 power of two and an e4m3 scale has four bits, and bf16 reaches below both
 *   int8          the byte with its sign bit turned, zero 128; a wide group is cut, its scale repeated
 *
 * Blocks are read in a fixed number of steps without branches on the codes, so that the compiler makes
 * vectors of them: repacking a model of 1 B weights reads 39 million blocks. */
#include "tensor/codes.h"

#include "base/check.h"
#include "tensor/codes_priv.h"
#include "tensor/minifloat.h"
#include "tensor/quant_priv.h"

#define NV_GROUP 16

const uint8_t krs_codes_e2m1[KRS_CODES_LEVELS] = {12, 13, 14, 15, 16, 18, 20, 24,
                                                  12, 11, 10, 9,  8,  6,  4,  0};

/* BF16, F16 or F32 as it is in the file. */
static krs_code_scale scale_of(krs_dtype dtype)
{
    switch (dtype) {
    case KRS_DTYPE_F32:
        return KRS_CODE_SCALE_F32;
    case KRS_DTYPE_F16:
        return KRS_CODE_SCALE_F16;
    default:
        return KRS_CODE_SCALE_BF16;
    }
}

/* Bytes of a value of scales or biases. */
static size_t scale_bytes(krs_code_scale scale)
{
    switch (scale) {
    case KRS_CODE_SCALE_F32:
        return sizeof(float);
    case KRS_CODE_SCALE_SUPER:
        return sizeof(int8_t);
    default:
        return sizeof(uint16_t);
    }
}

/* Codes of a row that is one stream of bits, from a block on. */
static const unsigned char *stream_at(const krs_matrix *m, int64_t row, int64_t block)
{
    return (const unsigned char *)m->data +
           (size_t)row * krs_quant_stream_bytes(&m->quant, m->n_in) +
           (size_t)block * (size_t)m->quant.bits * (KRS_CODES_BLOCK / 8);
}

static bool of_affine(const krs_matrix *m, krs_codes *out)
{
    out->bits = m->quant.bits;
    out->group = m->quant.group;
    out->scale = scale_of(m->scale_dtype);
    out->has_bias = true;
    return true;
}

/* n blocks of `bits`, a constant at the call. */
static inline __attribute__((always_inline)) void unpack_run(const unsigned char *in, int bits,
                                                             int64_t n, uint8_t *out)
{
    for (int64_t i = 0; i < n; i++) {
        krs_quant_unpack(in + i * bits * (KRS_CODES_BLOCK / 8), bits, out + i * KRS_CODES_BLOCK);
    }
}

/* One block of four bits, by pairs: on its own, since inlined into a loop over blocks gcc 12 makes vectors
 * of the wrong loop (2.1 ns here, 6 there, 3.4 by krs_quant_unpack). */
static __attribute__((noinline)) void read_pairs(const unsigned char *in, uint8_t *out)
{
    krs_codes_spread_pairs(in, out);
}

/* mxfp4 as well. */
static void read_stream(const krs_matrix *m, int64_t row, int64_t first, int64_t n, uint8_t *out)
{
    const unsigned char *in = stream_at(m, row, first);
    switch (m->quant.bits) {
    case 2:
        unpack_run(in, 2, n, out);
        return;
    case 3:
        unpack_run(in, 3, n, out);
        return;
    case 4:
        for (int64_t i = 0; i < n; i++) {
            read_pairs(in + i * (KRS_CODES_BLOCK / 2), out + i * KRS_CODES_BLOCK);
        }
        return;
    case 5:
        unpack_run(in, 5, n, out);
        return;
    case 6:
        unpack_run(in, 6, n, out);
        return;
    default:
        memcpy(out, in, (size_t)n * KRS_CODES_BLOCK);
    }
}

static void scales_affine(const krs_matrix *m, int64_t row, int64_t first, int64_t n, void *scales,
                          void *biases)
{
    const size_t bytes = krs_dtype_bytes(m->scale_dtype);
    const size_t at = (size_t)(row * (m->n_in / m->quant.group) + first) * bytes;
    memcpy(scales, (const unsigned char *)m->scales + at, (size_t)n * bytes);
    memcpy(biases, (const unsigned char *)m->biases + at, (size_t)n * bytes);
}

/* mxfp4 and nvfp4. */
static bool of_e2m1(const krs_matrix *m, krs_codes *out)
{
    out->bits = 4;
    out->group = m->quant.group;
    out->scale = KRS_CODE_SCALE_BF16;
    out->zero = KRS_CODES_E2M1_ZERO;
    out->table = krs_codes_e2m1;
    return true;
}

static void scales_mxfp4(const krs_matrix *m, int64_t row, int64_t first, int64_t n, void *scales,
                         void *biases)
{
    const uint8_t *in = (const uint8_t *)m->scales + row * (m->n_in / m->quant.group) + first;
    uint16_t *out = scales;
    (void)biases;
    for (int64_t i = 0; i < n; i++) { /* 255 is NaN here (minifloat.h) */
        out[i] = in[i] == 255 ? 0x7FC0u : krs_codes_half_e8m0(in[i]);
    }
}

/* Rows may end in half a block. */
static void read_nvfp4(const krs_matrix *m, int64_t row, int64_t first, int64_t n, uint8_t *out)
{
    const int64_t n_whole = m->n_in / KRS_CODES_BLOCK - first;
    const int64_t last = n - 1;
    if (n <= n_whole) {
        read_stream(m, row, first, n, out);
        return;
    }
    unsigned char half[KRS_CODES_BLOCK / 2] = {0};
    read_stream(m, row, first, last, out);
    memcpy(half, stream_at(m, row, first + last), NV_GROUP / 2);
    krs_codes_spread_pairs(half, out + last * KRS_CODES_BLOCK);
}

static void scales_nvfp4(const krs_matrix *m, int64_t row, int64_t first, int64_t n, void *scales,
                         void *biases)
{
    const uint8_t *in = (const uint8_t *)m->scales + row * (m->n_in / NV_GROUP) + first;
    uint16_t *out = scales;
    (void)biases;
    for (int64_t i = 0; i < n; i++) {
        out[i] = (uint16_t)(krs_bits_of_float(krs_f32_of_e4m3(in[i]) * 0.5f) >> 16);
    }
}

/* A group as wide as the row has no end to keep to. */
static bool of_int8(const krs_matrix *m, krs_codes *out)
{
    const int64_t group = m->quant.group < m->n_in ? m->quant.group : 128;
    out->bits = 8;
    out->scale = scale_of(m->scale_dtype);
    out->zero = 128;
    out->group = group % 128 == 0 ? 128 : group % 64 == 0 ? 64 : 32;
    return group % 32 == 0;
}

static void read_int8(const krs_matrix *m, int64_t row, int64_t first, int64_t n, uint8_t *out)
{
    const unsigned char *in =
        (const unsigned char *)m->data + row * m->n_in + first * KRS_CODES_BLOCK;
    const int64_t n_asked = n * KRS_CODES_BLOCK;
    const int64_t n_left = m->n_in - first * KRS_CODES_BLOCK;
    const int64_t n_there = n_left < n_asked ? n_left : n_asked;
    krs_codes_turn_signs(in, n_there, out);
    memset(out + n_there, 0, (size_t)(n_asked - n_there));
}

static void scales_int8(const krs_matrix *m, int64_t row, int64_t first, int64_t n, void *scales,
                        void *biases)
{
    krs_codes codes = {0};
    const size_t bytes = krs_dtype_bytes(m->scale_dtype);
    const unsigned char *in =
        (const unsigned char *)m->scales + (size_t)(row * krs_matrix_n_groups(m)) * bytes;
    (void)biases;
    (void)of_int8(m, &codes);
    for (int64_t i = 0; i < n; i++) {
        const int64_t at = (first + i) * codes.group / m->quant.group;
        memcpy((unsigned char *)scales + (size_t)i * bytes, in + (size_t)at * bytes, bytes);
    }
}

/* NULL: no form. */
static const krs_codes_form *form_of(krs_quant_kind kind)
{
    static const krs_codes_form affine = {of_affine, read_stream, scales_affine, NULL};
    static const krs_codes_form mxfp4 = {of_e2m1, read_stream, scales_mxfp4, NULL};
    static const krs_codes_form nvfp4 = {of_e2m1, read_nvfp4, scales_nvfp4, NULL};
    static const krs_codes_form int8 = {of_int8, read_int8, scales_int8, NULL};
    const krs_codes_form *form;
    switch (kind) {
    case KRS_QUANT_AFFINE:
        return &affine;
    case KRS_QUANT_MXFP4:
        return &mxfp4;
    case KRS_QUANT_NVFP4:
        return &nvfp4;
    case KRS_QUANT_INT8:
        return &int8;
    default:
        form = krs_codes_form_small(kind);
        return form ? form : krs_codes_form_super(kind);
    }
}

bool krs_codes_of(const krs_matrix *m, krs_codes *out)
{
    const krs_codes_form *form = form_of(m->quant.kind);
    krs_codes codes = {0};
    if (!form || !form->of(m, &codes)) {
        return false;
    }
    *out = codes;
    return true;
}

void krs_codes_read_run(const krs_matrix *m, int64_t row, int64_t first, int64_t n, uint8_t *out)
{
    const int64_t left = (m->n_in + KRS_CODES_BLOCK - 1) / KRS_CODES_BLOCK - first;
    const int64_t n_there = left <= 0 ? 0 : left < n ? left : n;
    if (n_there > 0) {
        form_of(m->quant.kind)->read(m, row, first, n_there, out);
    }
    if (n_there < n) {
        memset(out + n_there * KRS_CODES_BLOCK, 0, (size_t)(n - n_there) * KRS_CODES_BLOCK);
    }
}

void krs_codes_scales(const krs_matrix *m, int64_t row, int64_t first, int64_t n, void *scales,
                      void *biases)
{
    krs_codes codes;
    const bool has_form = krs_codes_of(m, &codes);
    KRS_CHECK(has_form);
    const int64_t left = krs_codes_n_groups(&codes, m->n_in) - first;
    const int64_t n_there = left <= 0 ? 0 : left < n ? left : n;
    const size_t bytes = scale_bytes(codes.scale);
    const size_t pad = (size_t)(n - n_there) * bytes;
    if (n_there > 0) {
        form_of(m->quant.kind)->scales(m, row, first, n_there, scales, biases);
    }
    if (pad > 0) {
        memset((unsigned char *)scales + (size_t)n_there * bytes, 0, pad);
    }
    if (pad > 0 && codes.has_bias) {
        memset((unsigned char *)biases + (size_t)n_there * bytes, 0, pad);
    }
}

void krs_codes_super(const krs_matrix *m, int64_t row, int64_t block, uint16_t *d, uint16_t *dmin)
{
    const krs_codes_form *form = form_of(m->quant.kind);
    KRS_CHECK(form && form->super);
    *d = 0;
    *dmin = 0;
    if (block * KRS_CODES_SUPER < m->n_in) {
        form->super(m, row, block, d, dmin);
    }
}
