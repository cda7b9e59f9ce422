/* tensor/gguf_block_small.c - block types of 32 elements.
 *
 *   Q4_0, IQ4_NL  f16 d | nibbles[16]                      Q5_0  f16 d | high[4] | nibbles[16]
 *   Q4_1          f16 d | f16 m | nibbles[16]              Q5_1  f16 d | f16 m | high[4] | nibbles[16]
 *   Q8_0          f16 d | i8 q[32]                         MXFP4 u8 exponent | nibbles[16]
 *
 * A byte of nibbles holds element j low and element j + 16 high. Bit j of `high`, read as one
 * little-endian u32, is the fifth bit of element j.
 *
 * Source: ggml-common.h and ggml-quants.c of ggml; OCP Microscaling Formats 1.0 for MXFP4. */
#include "tensor/gguf_block_priv.h"

#include "tensor/dtype.h"

#include <math.h>

#define HALF 16 /* elements in the low nibbles, and as many in the high ones */

static float half_at(const unsigned char *at)
{
    return krs_f32_of_f16((uint16_t)(at[0] | at[1] << 8));
}

/* out = d * (q - zero) + m, q of four bits. */
static void read_nibbles(const unsigned char *q, float d, int zero, float m, float *out)
{
    for (int j = 0; j < HALF; j++) {
        out[j] = (float)((q[j] & 15) - zero) * d + m;
        out[j + HALF] = (float)((q[j] >> 4) - zero) * d + m;
    }
}

/* The same of five bits, the fifth from high[4]. */
static void read_fives(const unsigned char *high, const unsigned char *q, float d, int zero,
                       float m, float *out)
{
    for (int j = 0; j < HALF; j++) {
        const int low_bit = high[j / 8] >> (j % 8) & 1;
        const int high_bit = high[(j + HALF) / 8] >> (j % 8) & 1;
        out[j] = (float)(((q[j] & 15) | low_bit << 4) - zero) * d + m;
        out[j + HALF] = (float)(((q[j] >> 4) | high_bit << 4) - zero) * d + m;
    }
}

void krs_gguf_read_q4_0(const unsigned char *block, float *out)
{
    read_nibbles(block + 2, half_at(block), 8, 0.0f, out);
}

void krs_gguf_read_q4_1(const unsigned char *block, float *out)
{
    read_nibbles(block + 4, half_at(block), 0, half_at(block + 2), out);
}

void krs_gguf_read_q5_0(const unsigned char *block, float *out)
{
    read_fives(block + 2, block + 6, half_at(block), 16, 0.0f, out);
}

void krs_gguf_read_q5_1(const unsigned char *block, float *out)
{
    read_fives(block + 4, block + 8, half_at(block), 0, half_at(block + 2), out);
}

void krs_gguf_read_q8_0(const unsigned char *block, float *out)
{
    const float d = half_at(block);
    for (int j = 0; j < 2 * HALF; j++) {
        out[j] = (float)(int8_t)block[2 + j] * d;
    }
}

/* The sixteen levels of the IQ4 types. */
const int8_t krs_gguf_iq4_levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                        1,    13,   25,  38,  53,  69,  89,  113};

void krs_gguf_read_levels(const unsigned char *q, float d, const int8_t levels[16], float *out)
{
    for (int j = 0; j < HALF; j++) {
        out[j] = d * (float)levels[q[j] & 15];
        out[j + HALF] = d * (float)levels[q[j] >> 4];
    }
}

void krs_gguf_read_iq4_nl(const unsigned char *block, float *out)
{
    krs_gguf_read_levels(block + 2, half_at(block), krs_gguf_iq4_levels, out);
}

/* e2m1 numbers, doubled to be whole; the scale is halved instead. */
void krs_gguf_read_mxfp4(const unsigned char *block, float *out)
{
    static const int8_t levels[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
    krs_gguf_read_levels(block + 1, ldexpf(1.0f, block[0] - 128), levels, out);
}
