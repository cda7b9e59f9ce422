/* tensor/minifloat.h - floats of eight and four bits: what the fp8 and microscaling formats store.
 *
 *   e4m3  s eeee mmm   bias 7, no infinities, 0x7F and 0xFF are NaN, largest 448
 *   e2m1  s ee m       0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives
 *   e8m0  eeeeeeee     2^(e - 127), 255 is NaN: a scale
 *
 * Written as arithmetic without tables or branches, so that loops over them become vectors. (MLX reads
 * the e4m3 NaN as 480 and the e8m0 NaN as infinity; neither is ever written, and poison should look
 * like poison.)
 *
 * Thread: any; pure.  Source: OCP Microscaling Formats 1.0, OCP 8-bit Floating Point 1.0. */
#pragma once

#include <stdint.h>
#include <string.h>

static inline float krs_float_of_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof(x));
    return x;
}

/* Exact. */
static inline float krs_f32_of_e4m3(uint8_t x)
{
    const uint32_t magnitude = x & 0x7Fu;
    const uint32_t sign = (uint32_t)(x & 0x80u) << 24;
    const float tiny = (float)magnitude * 0x1p-9f; /* right below 8: subnormals */
    const float normal = krs_float_of_bits((magnitude << 20) + ((127u - 7u) << 23));
    const float finite = magnitude < 8 ? tiny : normal;
    uint32_t bits;
    memcpy(&bits, &finite, sizeof(bits));
    bits = magnitude == 0x7Fu ? 0x7FC00000u : bits;
    return krs_float_of_bits(bits | sign);
}

/* Exact. x: the lowest four bits count. */
static inline float krs_f32_of_e2m1(uint32_t x)
{
    /* Twice the magnitude is convex in the code: 0 1 2 3, then steps of 2, then of 4. */
    const int32_t code = (int32_t)(x & 7u);
    int32_t twice = 2 * code - 4 > code ? 2 * code - 4 : code;
    twice = 4 * code - 16 > twice ? 4 * code - 16 : twice;
    const float magnitude = (float)twice * 0.5f;
    uint32_t bits;
    memcpy(&bits, &magnitude, sizeof(bits));
    return krs_float_of_bits(bits | (x & 8u) << 28);
}

/* Exact. */
static inline float krs_f32_of_e8m0(uint8_t x)
{
    const uint32_t bits = x == 0 ? 0x00400000u : (uint32_t)x << 23;
    return krs_float_of_bits(x == 255 ? 0x7FC00000u : bits);
}

/* Round to nearest, ties to even; larger than 448 (NaN too) becomes 448 with x's sign. */
uint8_t krs_e4m3_of_f32(float x);
