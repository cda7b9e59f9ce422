/* compute/kv_int8.h - K and V in eight bits: what is kept of one head of one token.
 *
 *   top   = max |x|
 *   scale = top / 127                          f32, one for each token, head, and of K and V
 *   code  = x * (127 / top), to nearest even   -127 .. 127
 *   value = code * scale
 *
 * Symmetric, because K (after rotation) and V lie about zero; a scale for each token and head, because
 * then a token's codes depend on that token alone, which is what keeps a row's bytes free of chunking
 * and of neighbours (docs/adr/0003), and because one loud head must not cost the others their bits.
 * The scale is f32: it costs 4 bytes beside 64 to 256, and saves the range of f16 (a top above 8 million
 * or below 2^-7 would overflow or lose bits) and its conversion in the inner loop. It never meets a
 * single code: K's multiplies the finished score, V's the weight.
 *
 * A top so small that 127 / top would overflow stands for zero. A row with an infinity or NaN gets the
 * scale NaN: a broken activation stays visible.
 *
 * The arithmetic is written on the bits of floats, so that compilers make vectors of it for every
 * instruction set and every one gives the same codes.
 *
 * Thread: pure. */
#pragma once

#include <math.h>
#include <stdint.h>
#include <string.h>

#define KRS_KV_INT8_MAX 127.0f
#define KRS_KV_INT8_MAGIC                                                                          \
    0x1.8p23f /* pushes the fraction out: the low bits of a sum are the whole number */
#define KRS_KV_INT8_TINY 1e-30f /* 127 / top and top / 127 are normal numbers from here on */

/* Largest |x| of n, as bits: they order as the numbers do, and NaN above infinity above the rest. */
static inline uint32_t krs_kv_top_bits(const float *x, int64_t n)
{
    uint32_t top = 0;
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof(bits));
        bits &= 0x7FFFFFFFu;
        top = bits > top ? bits : top;
    }
    return top;
}

/* codes[n] of x[n]; returns the scale. */
static inline float krs_kv_quantise(const float *x, int64_t n, int8_t *codes)
{
    const float magic = KRS_KV_INT8_MAGIC;
    const uint32_t top_bits = krs_kv_top_bits(x, n);
    float top;
    int32_t magic_bits;
    memcpy(&top, &top_bits, sizeof(top));
    memcpy(&magic_bits, &magic, sizeof(magic_bits));
    if (!(top >= KRS_KV_INT8_TINY && top_bits < 0x7F800000u)) {
        for (int64_t i = 0; i < n; i++) {
            codes[i] = 0;
        }
        return top < KRS_KV_INT8_TINY ? 0.0f : NAN;
    }
    const float factor = KRS_KV_INT8_MAX / top;
    for (int64_t i = 0; i < n; i++) {
        const float shifted = x[i] * factor + magic;
        int32_t bits;
        memcpy(&bits, &shifted, sizeof(bits));
        codes[i] = (int8_t)(bits - magic_bits);
    }
    return top / KRS_KV_INT8_MAX;
}
