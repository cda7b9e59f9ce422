/* tensor/codes_priv.h - what a kind of quantisation tells of itself as codes, for codes*.c.
 *
 * A kind without a row here has no such form. The functions are called with what codes.h promises
 * checked: a block or group that begins inside the row.
 *
 * Thread: any; pure. */
#pragma once

#include "tensor/codes.h"

typedef struct krs_codes_form {
    /* Is there a form for this matrix of the kind, and which? out comes zeroed. */
    bool (*of)(const krs_matrix *m, krs_codes *out);
    /* Blocks [first, first + n), all of which begin inside the row. */
    void (*read)(const krs_matrix *m, int64_t row, int64_t first, int64_t n, uint8_t *out);
    /* biases: not NULL when the form has any. */
    void (*scales)(const krs_matrix *m, int64_t row, int64_t first, int64_t n, void *scales,
                   void *biases);
    /* NULL unless SUPER; dmin comes 0. */
    void (*super)(const krs_matrix *m, int64_t row, int64_t block, uint16_t *d, uint16_t *dmin);
} krs_codes_form;

/* Block kinds of GGUF files: of 32 columns, and of 256 (NULL for any other kind). */
const krs_codes_form *krs_codes_form_small(krs_quant_kind kind);
const krs_codes_form *krs_codes_form_super(krs_quant_kind kind);

/* krs_gguf_iq4_levels + 127. */
extern const uint8_t krs_codes_iq4[KRS_CODES_LEVELS];
#define KRS_CODES_IQ4_ZERO 127

/* Values of the e2m1 numbers by their codes: twice the number, + 12. */
extern const uint8_t krs_codes_e2m1[KRS_CODES_LEVELS];
#define KRS_CODES_E2M1_ZERO 12

/* 2^(exponent - 128) in bf16: half of what an e8m0 scale says, for levels that are doubled. Exact; the
 * lowest two are subnormals. */
static inline uint16_t krs_codes_half_e8m0(uint8_t exponent)
{
    return (uint16_t)(exponent >= 2 ? (unsigned)(exponent - 1) << 7 : 0x20u << exponent);
}

/* Nibbles in the order of their columns: column 2j low, 2j + 1 high. in: 16 bytes. (Through locals: the
 * compiler cannot know that out is not in, and would go byte by byte.) */
static inline void krs_codes_spread_pairs(const unsigned char *in, uint8_t out[KRS_CODES_BLOCK])
{
    uint8_t from[KRS_CODES_BLOCK / 2];
    uint8_t to[KRS_CODES_BLOCK];
    memcpy(from, in, sizeof(from));
    for (int j = 0; j < KRS_CODES_BLOCK / 2; j++) {
        to[2 * j] = (uint8_t)(from[j] & 15u);
        to[2 * j + 1] = (uint8_t)(from[j] >> 4);
    }
    memcpy(out, to, sizeof(to));
}

/* Nibbles as GGUF's blocks of 32 have them: column j low, j + 16 high. */
static inline void krs_codes_spread_halves(const unsigned char *in, uint8_t out[KRS_CODES_BLOCK])
{
    enum { N = KRS_CODES_BLOCK / 2 / sizeof(uint64_t) };
    const uint64_t nibbles = UINT64_C(0x0F0F0F0F0F0F0F0F);
    uint64_t lanes[2 * N];
    memcpy(lanes, in, N * sizeof(*lanes));
    for (int k = 0; k < N; k++) {
        lanes[k + N] = lanes[k] >> 4 & nibbles;
        lanes[k] &= nibbles;
    }
    memcpy(out, lanes, sizeof(lanes));
}

/* n signed bytes as unsigned under zero 128. */
static inline void krs_codes_turn_signs(const unsigned char *in, int64_t n, uint8_t *out)
{
    for (int64_t j = 0; j < n; j++) {
        out[j] = in[j] ^ 0x80u;
    }
}
