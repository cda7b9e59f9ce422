/* tensor/gguf_block_super.c - block types of 256 elements with scales of scales.
 *
 *   Q2_K   scales[16] | q[64] | f16 d | f16 dmin      4 bits of scale, 4 of minimum; groups of 16
 *   Q3_K   high[32] | q[64] | scales[12] | f16 d      6-bit scales, offset 32; groups of 16
 *   Q4_K   f16 d | f16 dmin | scales[12] | q[128]     6-bit scales and minima; groups of 32
 *   Q5_K   f16 d | f16 dmin | scales[12] | high[32] | q[128]
 *   Q6_K   low[128] | high[64] | i8 scales[16] | f16 d                           groups of 16
 *   IQ4_XS f16 d | u16 scales_high | scales_low[4] | q[128]   6-bit scales, offset 32; groups of 32
 *
 * Source: ggml-common.h and ggml-quants.c of ggml. */
#include "tensor/gguf_block_priv.h"

#include "tensor/dtype.h"

#define BLOCK 256

static float half_at(const unsigned char *at)
{
    return krs_f32_of_f16((uint16_t)(at[0] | at[1] << 8));
}

/* Two bits a code: byte l of a half holds elements l, l + 32, l + 64 and l + 96 of its 128. */
void krs_gguf_read_q2_k(const unsigned char *block, float *out)
{
    const unsigned char *q = block + 16;
    const float d = half_at(block + 80);
    const float dmin = half_at(block + 82);
    for (int i = 0; i < BLOCK; i++) {
        const int half = i / 128;
        const int code = q[32 * half + i % 32] >> (i % 128 / 32 * 2) & 3;
        const int scale = block[i / 16];
        out[i] = d * (float)(scale & 15) * (float)code - dmin * (float)(scale >> 4);
    }
}

/* Scale j of sixteen: four low bits in the first eight bytes, two high bits in the last four. */
static int q3_scale(const unsigned char *scales, int j)
{
    const int low = scales[j % 8] >> (j / 8 * 4) & 15;
    const int high = scales[8 + j % 4] >> (j / 4 * 2) & 3;
    return (low | high << 4) - 32;
}

void krs_gguf_read_q3_k(const unsigned char *block, float *out)
{
    const unsigned char *q = block + 32;
    const unsigned char *scales = block + 96;
    const float d = half_at(block + 108);
    for (int i = 0; i < BLOCK; i++) {
        const int half = i / 128;
        const int low = q[32 * half + i % 32] >> (i % 128 / 32 * 2) & 3;
        const int high = block[i % 32] >> (i / 32) & 1;
        const float scale = d * (float)q3_scale(scales, i / 16);
        out[i] = scale * (float)(low - (high ? 0 : 4));
    }
}

typedef struct group {
    float scale;
    float minimum;
} group;

/* Group j of the eight of Q4_K and Q5_K. The first four have six bits to themselves; the others four,
 * and two from the tops of the first ones. head: d, dmin and the twelve bytes. */
static group group_of(const unsigned char *head, int j)
{
    const unsigned char *s = head + 4;
    const int scale = j < 4 ? s[j] & 63 : (s[j + 4] & 15) | s[j - 4] >> 6 << 4;
    const int minimum = j < 4 ? s[j + 4] & 63 : (s[j + 4] >> 4) | s[j] >> 6 << 4;
    return (group){half_at(head) * (float)scale, half_at(head + 2) * (float)minimum};
}

/* Byte l of each 32 holds element l of one group low, and of the next group high. */
void krs_gguf_read_q4_k(const unsigned char *block, float *out)
{
    const unsigned char *q = block + 16;
    for (int j = 0; j < 8; j++) {
        const group g = group_of(block, j);
        for (int l = 0; l < 32; l++) {
            const int code = q[j / 2 * 32 + l] >> (j % 2 * 4) & 15;
            out[j * 32 + l] = g.scale * (float)code - g.minimum;
        }
    }
}

void krs_gguf_read_q5_k(const unsigned char *block, float *out)
{
    const unsigned char *high = block + 16;
    const unsigned char *q = block + 48;
    for (int j = 0; j < 8; j++) {
        const group g = group_of(block, j);
        for (int l = 0; l < 32; l++) {
            const int low = q[j / 2 * 32 + l] >> (j % 2 * 4) & 15;
            const int code = low | (high[l] >> j & 1) << 4;
            out[j * 32 + l] = g.scale * (float)code - g.minimum;
        }
    }
}

/* Of each 128: part 0 .. 3 of 32; low nibbles of 64 bytes are parts 0 and 1, high ones parts 2 and 3. */
void krs_gguf_read_q6_k(const unsigned char *block, float *out)
{
    const float d = half_at(block + 208);
    for (int i = 0; i < BLOCK; i++) {
        const int half = i / 128;
        const int part = i % 128 / 32;
        const int l = i % 32;
        const int low = block[64 * half + part % 2 * 32 + l] >> (part / 2 * 4) & 15;
        const int high = block[128 + 32 * half + l] >> (part * 2) & 3;
        const float scale = d * (float)(int8_t)block[192 + i / 16];
        out[i] = scale * (float)((low | high << 4) - 32);
    }
}

void krs_gguf_read_iq4_xs(const unsigned char *block, float *out)
{
    const float d = half_at(block);
    const int scales_high = block[2] | block[3] << 8;
    for (int j = 0; j < 8; j++) {
        const int low = block[4 + j / 2] >> (j % 2 * 4) & 15;
        const int high = scales_high >> (2 * j) & 3;
        const float scale = d * (float)((low | high << 4) - 32);
        krs_gguf_read_levels(block + 8 + 16 * j, scale, krs_gguf_iq4_levels, out + 32 * j);
    }
}
