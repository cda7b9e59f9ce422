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

static inline uint32_t krs_bits_of_float(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    return bits;
}

/* Exact. */
static inline float krs_f32_of_e4m3(uint8_t x)
{
    const uint32_t magnitude = x & 0x7Fu;
    const uint32_t is_tiny = 0u - (uint32_t)(magnitude < 8); /* all ones: a subnormal */
    const uint32_t is_nan = 0u - (uint32_t)(magnitude == 0x7F);
    const uint32_t tiny = krs_bits_of_float((float)(int32_t)magnitude * 0x1p-9f);
    const uint32_t normal = (magnitude << 20) + ((127u - 7u) << 23);
    const uint32_t finite = (tiny & is_tiny) | (normal & ~is_tiny);
    return krs_float_of_bits(finite | (is_nan & 0x7FC00000u) | (uint32_t)(x & 0x80u) << 24);
}

/* Exact. x: the lowest four bits count. */
static inline float krs_f32_of_e2m1(uint32_t x)
{
    /* Twice the magnitude goes up by 1 to code 4, then by 2, and at last by 4. */
    const uint32_t code = x & 7u;
    const uint32_t by_two = 0u - (uint32_t)(code > 4);
    const uint32_t by_four = 0u - (uint32_t)(code > 6);
    const uint32_t twice = code + ((code - 4) & by_two) + (2u & by_four);
    const uint32_t magnitude = krs_bits_of_float((float)(int32_t)twice * 0.5f);
    return krs_float_of_bits(magnitude | (x & 8u) << 28);
}

/* Exact. */
static inline float krs_f32_of_e8m0(uint8_t x)
{
    const uint32_t bits = x == 0 ? 0x00400000u : (uint32_t)x << 23;
    return krs_float_of_bits(x == 255 ? 0x7FC00000u : bits);
}

/* Round to nearest, ties to even; larger than 448 (NaN too) becomes 448 with x's sign. */
uint8_t krs_e4m3_of_f32(float x);
