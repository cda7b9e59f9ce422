/* tensor/codes_small.c - see codes.h: GGUF's blocks of 32 columns, which gguf_block_small.c draws.
 *
 *   Q4_0 zero 8, Q5_0 zero 16, Q8_0 zero 128 (the sign bit turned); Q4_1 and Q5_1 with a bias
 *   IQ4_NL levels + 127; MXFP4 doubled e2m1 + 12 under half its scale, in bf16
 *
 * All of them are: two bytes or one of scale, perhaps two of bias, perhaps four of fifth bits, then
 * nibbles or bytes. So there is one reader, and a row for each type says where things are. */
#include "tensor/codes_priv.h"

#include "tensor/dtype.h"

#define LANES      (KRS_CODES_BLOCK / 8) /* codes go eight at a time in 64-bit lanes */
#define EVERY_BYTE UINT64_C(0x0101010101010101)
#define BIAS_AT    2

const uint8_t krs_codes_iq4[KRS_CODES_LEVELS] = {0,   23,  44,  62,  78,  92,  105, 117,
                                                 128, 140, 152, 165, 180, 196, 216, 240};

typedef struct small {
    krs_codes codes;
    uint8_t n_bytes; /* of a block */
    uint8_t codes_at;
    uint8_t fifths_at;
} small;

#define F16  KRS_CODE_SCALE_F16
#define BF16 KRS_CODE_SCALE_BF16
static const small types[] = {
    [KRS_QUANT_GGUF_Q4_0] = {{4, KRS_CODES_BLOCK, F16, false, 8, NULL}, 18, 2, 0},
    [KRS_QUANT_GGUF_Q4_1] = {{4, KRS_CODES_BLOCK, F16, true, 0, NULL}, 20, 4, 0},
    [KRS_QUANT_GGUF_Q5_0] = {{5, KRS_CODES_BLOCK, F16, false, 16, NULL}, 22, 6, 2},
    [KRS_QUANT_GGUF_Q5_1] = {{5, KRS_CODES_BLOCK, F16, true, 0, NULL}, 24, 8, 4},
    [KRS_QUANT_GGUF_Q8_0] = {{8, KRS_CODES_BLOCK, F16, false, 128, NULL}, 34, 2, 0},
    [KRS_QUANT_GGUF_IQ4_NL] = {{4, KRS_CODES_BLOCK, F16, false, KRS_CODES_IQ4_ZERO, krs_codes_iq4},
                               18,
                               2,
                               0},
    [KRS_QUANT_GGUF_MXFP4] =
        {{4, KRS_CODES_BLOCK, BF16, false, KRS_CODES_E2M1_ZERO, krs_codes_e2m1}, 17, 1, 0},
};
#undef F16
#undef BF16

static const unsigned char *block_at(const krs_matrix *m, int64_t row, int64_t block)
{
    return (const unsigned char *)m->data +
           (row * (m->n_in / KRS_CODES_BLOCK) + block) * types[m->quant.kind].n_bytes;
}

static bool of(const krs_matrix *m, krs_codes *out)
{
    *out = types[m->quant.kind].codes;
    return true;
}

/* out |= 16 where bit j of high[4] is set, j the column. A byte is copied to eight, each keeps a bit of
 * its own, and adding 127 moves that to the top. */
static inline void add_fifths(const unsigned char *high, uint8_t out[KRS_CODES_BLOCK])
{
    uint64_t lanes[LANES];
    memcpy(lanes, out, sizeof(lanes));
    for (int k = 0; k < LANES; k++) {
        const uint64_t own = high[k] * EVERY_BYTE & UINT64_C(0x8040201008040201);
        lanes[k] |= (own + 0x7F * EVERY_BYTE) >> 3 & 0x10 * EVERY_BYTE;
    }
    memcpy(out, lanes, sizeof(lanes));
}

/* A block's codes, by width. Called through a pointer, a block at a time: a loop over blocks is not what
 * should become vectors here, the 32 codes are. */
typedef void (*read_fn)(const unsigned char *block, const small *type, uint8_t *out);

static void read_fours(const unsigned char *block, const small *type, uint8_t *out)
{
    krs_codes_spread_halves(block + type->codes_at, out);
}

static void read_fives(const unsigned char *block, const small *type, uint8_t *out)
{
    uint8_t codes[KRS_CODES_BLOCK];
    krs_codes_spread_halves(block + type->codes_at, codes);
    add_fifths(block + type->fifths_at, codes);
    memcpy(out, codes, sizeof(codes));
}

static void read_bytes(const unsigned char *block, const small *type, uint8_t *out)
{
    krs_codes_turn_signs(block + type->codes_at, KRS_CODES_BLOCK, out);
}

static void read(const krs_matrix *m, int64_t row, int64_t first, int64_t n, uint8_t *out)
{
    const small *type = &types[m->quant.kind];
    const unsigned char *at = block_at(m, row, first);
    const read_fn read_one = type->codes.bits == 8 ? read_bytes
                             : type->fifths_at     ? read_fives
                                                   : read_fours;
    for (int64_t i = 0; i < n; i++) {
        read_one(at + i * type->n_bytes, type, out + i * KRS_CODES_BLOCK);
    }
}

/* n values of two bytes, one of each block from `at` on. */
static void every_u16(const unsigned char *at, int64_t n_bytes, int64_t n, uint16_t *out)
{
    for (int64_t i = 0; i < n; i++) {
        memcpy(&out[i], at + i * n_bytes, sizeof(out[i]));
    }
}

/* In MXFP4, 255 is a scale like any other. */
static void scales(const krs_matrix *m, int64_t row, int64_t first, int64_t n, void *scales,
                   void *biases)
{
    const small *type = &types[m->quant.kind];
    const unsigned char *at = block_at(m, row, first);
    uint16_t *out = scales;
    if (type->codes.scale == KRS_CODE_SCALE_F16) {
        every_u16(at, type->n_bytes, n, out);
    }
    for (int64_t i = 0; type->codes.scale == KRS_CODE_SCALE_BF16 && i < n; i++) {
        out[i] = krs_codes_half_e8m0(at[i * type->n_bytes]);
    }
    if (type->codes.has_bias) {
        every_u16(at + BIAS_AT, type->n_bytes, n, biases);
    }
}

const krs_codes_form *krs_codes_form_small(krs_quant_kind kind)
{
    static const krs_codes_form form = {of, read, scales, NULL};
    const bool is_here =
        (size_t)kind < sizeof(types) / sizeof(types[0]) && types[kind].n_bytes != 0;
    return is_here ? &form : NULL;
}
