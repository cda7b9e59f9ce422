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

/* Value i of a table of scales or biases: F32, F16 or BF16. */
static inline float krs_quant_scale_at(krs_dtype dtype, const void *values, int64_t i)
{
    uint16_t half;
    float x;
    if (dtype == KRS_DTYPE_F32) {
        memcpy(&x, (const unsigned char *)values + (size_t)i * sizeof(x), sizeof(x));
        return x;
    }
    memcpy(&half, (const unsigned char *)values + (size_t)i * sizeof(half), sizeof(half));
    return dtype == KRS_DTYPE_F16 ? krs_f32_of_f16(half) : krs_f32_of_bf16(half);
}

#define KRS_QUANT_CHUNK 32 /* codes that fill whole words at every width */

/* Eight codes of `bits` from a stream, code 8 * k first, in the lowest bits; what is above is left. Reads
 * within the 4 * bits bytes of the chunk, in one load. */
static inline __attribute__((always_inline)) uint64_t krs_quant_lane(const unsigned char *in,
                                                                     int bits, int k)
{
    uint32_t narrow;
    uint64_t wide;
    const int n_bytes = bits <= 4 ? (int)sizeof(narrow) : (int)sizeof(wide);
    const int last = KRS_QUANT_CHUNK / 8 * bits - n_bytes;
    const int at = k * bits < last ? k * bits : last;
    if (bits <= 4) {
        memcpy(&narrow, in + at, sizeof(narrow));
        return narrow >> 8 * (k * bits - at);
    }
    memcpy(&wide, in + at, sizeof(wide));
    return wide >> 8 * (k * bits - at);
}

/* KRS_QUANT_CHUNK codes of `bits` (2 .. 8, a constant at the call) from a stream, a byte each. Eight codes
 * are spread in three steps: halves into 32 bits, theirs into 16, theirs into 8; so all 32 go at once in
 * vectors of 64-bit lanes. Reads exactly 4 * bits bytes. */
static inline __attribute__((always_inline)) void
krs_quant_unpack(const unsigned char *in, int bits, uint8_t codes[KRS_QUANT_CHUNK])
{
    enum { LANES = KRS_QUANT_CHUNK / 8 };
    uint64_t lanes[LANES];
    for (int k = 0; k < LANES; k++) {
        lanes[k] = krs_quant_lane(in, bits, k);
    }
    const uint64_t four = (UINT64_C(1) << 4 * bits) - 1;
    const uint64_t two = ((UINT64_C(1) << 2 * bits) - 1) * UINT64_C(0x0000000100000001);
    const uint64_t one = ((UINT64_C(1) << bits) - 1) * UINT64_C(0x0001000100010001);
    for (int k = 0; k < LANES; k++) {
        uint64_t x = lanes[k];
        x = (x & four) | (x & four << 4 * bits) << (32 - 4 * bits);
        x = (x & two) | (x & two << 2 * bits) << (16 - 2 * bits);
        x = (x & one) | (x & one << bits) << (8 - bits);
        lanes[k] = x;
    }
    memcpy(codes, lanes, sizeof(lanes));
}
