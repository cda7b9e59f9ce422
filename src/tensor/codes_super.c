/* tensor/codes_super.c - see codes.h: GGUF's blocks of 256 columns, which gguf_block_super.c draws.
 *
 *   Q2_K, Q4_K, Q5_K with minima; Q3_K zero 4, Q6_K zero 32; IQ4_XS levels + 127
 *
 * Their scales stay what they are, a byte for a group under an f16 for the block (two with minima).
 *
 * Codes go eight at a time in 64-bit lanes: shifting a lane moves bits from one byte into the next only
 * where the mask after it cuts them off. (Bytes have no shift of their own in SSE2 and AVX; lanes do.) */
#include "tensor/codes_priv.h"

#include "tensor/dtype.h"

#define LANES      (KRS_CODES_BLOCK / 8)
#define EVERY_BYTE UINT64_C(0x0101010101010101)
#define N_PARTS    (KRS_CODES_SUPER / KRS_CODES_BLOCK) /* of 32 columns */
#define MAX_GROUPS 16

typedef struct super {
    krs_codes codes;
    uint8_t n_bytes; /* of a block */
    uint8_t d_at;
    uint8_t dmin_at;
    /* Codes of part 0 .. 7 of a block. */
    void (*read)(const unsigned char *block, int part, uint8_t out[KRS_CODES_BLOCK]);
    /* All scales of a block, and minima if there are any. */
    void (*scales)(const unsigned char *block, int8_t s[MAX_GROUPS], int8_t m[MAX_GROUPS]);
} super;

/* out = in >> shift & mask of each of 32 bytes; mask << shift must fit a byte. */
static inline void take_bits(const unsigned char *in, int shift, unsigned mask,
                             uint8_t out[KRS_CODES_BLOCK])
{
    uint64_t lanes[LANES];
    memcpy(lanes, in, sizeof(lanes));
    for (int k = 0; k < LANES; k++) {
        lanes[k] = lanes[k] >> shift & mask * EVERY_BYTE;
    }
    memcpy(out, lanes, sizeof(lanes));
}

/* out |= (in >> shift & mask) << up, the same way. */
static inline void add_bits(const unsigned char *in, int shift, unsigned mask, int up,
                            uint8_t out[KRS_CODES_BLOCK])
{
    uint64_t more[LANES];
    uint64_t lanes[LANES];
    memcpy(more, in, sizeof(more));
    memcpy(lanes, out, sizeof(lanes));
    for (int k = 0; k < LANES; k++) {
        lanes[k] |= (more[k] >> shift & mask * EVERY_BYTE) << up;
    }
    memcpy(out, lanes, sizeof(lanes));
}

static void read_q2_k(const unsigned char *block, int part, uint8_t out[KRS_CODES_BLOCK])
{
    take_bits(block + 16 + part / 4 * 32, part % 4 * 2, 3, out);
}

static void scales_q2_k(const unsigned char *block, int8_t s[MAX_GROUPS], int8_t m[MAX_GROUPS])
{
    for (int j = 0; j < 16; j++) {
        s[j] = (int8_t)(block[j] & 15);
        m[j] = (int8_t)(block[j] >> 4);
    }
}

static void read_q3_k(const unsigned char *block, int part, uint8_t out[KRS_CODES_BLOCK])
{
    take_bits(block + 32 + part / 4 * 32, part % 4 * 2, 3, out);
    add_bits(block, part, 1, 2, out);
}

static void scales_q3_k(const unsigned char *block, int8_t s[MAX_GROUPS], int8_t m[MAX_GROUPS])
{
    const unsigned char *in = block + 96;
    (void)m;
    for (int j = 0; j < 16; j++) {
        const int low = in[j % 8] >> (j / 8 * 4) & 15;
        const int high = in[8 + j % 4] >> (j / 4 * 2) & 3;
        s[j] = (int8_t)((low | high << 4) - 32);
    }
}

static void read_q4_k(const unsigned char *block, int part, uint8_t out[KRS_CODES_BLOCK])
{
    take_bits(block + 16 + part / 2 * 32, part % 2 * 4, 15, out);
}

static void read_q5_k(const unsigned char *block, int part, uint8_t out[KRS_CODES_BLOCK])
{
    take_bits(block + 48 + part / 2 * 32, part % 2 * 4, 15, out);
    add_bits(block + 16, part, 1, 4, out);
}

/* Of Q4_K and Q5_K: six bits each; gguf_block_super.c, group_of. */
static void scales_six(const unsigned char *block, int8_t s[MAX_GROUPS], int8_t m[MAX_GROUPS])
{
    const unsigned char *in = block + 4;
    for (int j = 0; j < 4; j++) {
        s[j] = (int8_t)(in[j] & 63);
        m[j] = (int8_t)(in[j + 4] & 63);
        s[j + 4] = (int8_t)((in[j + 8] & 15) | in[j] >> 6 << 4);
        m[j + 4] = (int8_t)((in[j + 8] >> 4) | in[j + 4] >> 6 << 4);
    }
}

static void read_q6_k(const unsigned char *block, int part, uint8_t out[KRS_CODES_BLOCK])
{
    take_bits(block + part / 4 * 64 + part % 2 * 32, part % 4 / 2 * 4, 15, out);
    add_bits(block + 128 + part / 4 * 32, part % 4 * 2, 3, 4, out);
}

static void scales_q6_k(const unsigned char *block, int8_t s[MAX_GROUPS], int8_t m[MAX_GROUPS])
{
    (void)m;
    memcpy(s, block + 192, 16);
}

static void read_iq4_xs(const unsigned char *block, int part, uint8_t out[KRS_CODES_BLOCK])
{
    krs_codes_spread_halves(block + 8 + part * 16, out);
}

static void scales_iq4_xs(const unsigned char *block, int8_t s[MAX_GROUPS], int8_t m[MAX_GROUPS])
{
    const int highs = block[2] | block[3] << 8;
    (void)m;
    for (int j = 0; j < N_PARTS; j++) {
        const int low = block[4 + j / 2] >> (j % 2 * 4) & 15;
        s[j] = (int8_t)((low | (highs >> (2 * j) & 3) << 4) - 32);
    }
}

#define SUPER KRS_CODE_SCALE_SUPER
static const super types[] = {
    [KRS_QUANT_GGUF_Q2_K] = {{2, 16, SUPER, true, 0, NULL}, 84, 80, 82, read_q2_k, scales_q2_k},
    [KRS_QUANT_GGUF_Q3_K] = {{3, 16, SUPER, false, 4, NULL}, 110, 108, 0, read_q3_k, scales_q3_k},
    [KRS_QUANT_GGUF_Q4_K] = {{4, 32, SUPER, true, 0, NULL}, 144, 0, 2, read_q4_k, scales_six},
    [KRS_QUANT_GGUF_Q5_K] = {{5, 32, SUPER, true, 0, NULL}, 176, 0, 2, read_q5_k, scales_six},
    [KRS_QUANT_GGUF_Q6_K] = {{6, 16, SUPER, false, 32, NULL}, 210, 208, 0, read_q6_k, scales_q6_k},
    [KRS_QUANT_GGUF_IQ4_XS] = {{4, 32, SUPER, false, KRS_CODES_IQ4_ZERO, krs_codes_iq4},
                               136,
                               0,
                               0,
                               read_iq4_xs,
                               scales_iq4_xs},
};
#undef SUPER

static const unsigned char *block_at(const krs_matrix *m, int64_t row, int64_t index)
{
    return (const unsigned char *)m->data +
           (row * (m->n_in / KRS_CODES_SUPER) + index) * types[m->quant.kind].n_bytes;
}

static bool of(const krs_matrix *m, krs_codes *out)
{
    *out = types[m->quant.kind].codes;
    return true;
}

static void read(const krs_matrix *m, int64_t row, int64_t first, int64_t n, uint8_t *out)
{
    const super *type = &types[m->quant.kind];
    const unsigned char *at = block_at(m, row, first / N_PARTS);
    int part = (int)(first % N_PARTS);
    for (int64_t i = 0; i < n; i++) {
        type->read(at, part, out + i * KRS_CODES_BLOCK);
        part = (part + 1) % N_PARTS;
        at += part == 0 ? type->n_bytes : 0;
    }
}

static void scales(const krs_matrix *m, int64_t row, int64_t first, int64_t n, void *scales,
                   void *biases)
{
    const super *type = &types[m->quant.kind];
    const int64_t n_per_block = KRS_CODES_SUPER / type->codes.group;
    for (int64_t done = 0; done < n;) {
        int8_t s[MAX_GROUPS];
        int8_t minima[MAX_GROUPS];
        const int64_t at = (first + done) % n_per_block;
        const int64_t left = n - done;
        const int64_t take = n_per_block - at < left ? n_per_block - at : left;
        type->scales(block_at(m, row, (first + done) / n_per_block), s, minima);
        memcpy((int8_t *)scales + done, s + at, (size_t)take);
        if (type->codes.has_bias) {
            memcpy((int8_t *)biases + done, minima + at, (size_t)take);
        }
        done += take;
    }
}

static void super_scales(const krs_matrix *m, int64_t row, int64_t block, uint16_t *d,
                         uint16_t *dmin)
{
    const super *type = &types[m->quant.kind];
    const unsigned char *at = block_at(m, row, block);
    memcpy(d, at + type->d_at, sizeof(*d));
    if (type->codes.has_bias) {
        memcpy(dmin, at + type->dmin_at, sizeof(*dmin));
    }
}

const krs_codes_form *krs_codes_form_super(krs_quant_kind kind)
{
    static const krs_codes_form form = {of, read, scales, super_scales};
    const bool is_here =
        (size_t)kind < sizeof(types) / sizeof(types[0]) && types[kind].n_bytes != 0;
    return is_here ? &form : NULL;
}
