/* support/gguf_quantise.h - plain quantisers into GGUF's block types, for tests.
 *
 * They aim at valid blocks that stand for numbers like the given ones, not at the best codes: what a
 * block stands for is asked of the reader under test, whose definition has tests of its own. Scales
 * of scales are chosen from the group with the widest range.
 *
 * Thread: any; pure. */
#pragma once

#include "tensor/gguf_block.h"

#include <math.h>
#include <string.h>

static inline void krs_gguf_put_half(unsigned char *at, float x)
{
    const uint16_t h = krs_f16_of_f32(x);
    memcpy(at, &h, sizeof(h));
}

static inline int krs_gguf_code(float x, float low, float step, int top)
{
    const float code = step > 0 ? roundf((x - low) / step) : 0;
    return code < 0 ? 0 : code > (float)top ? top : (int)code;
}

static inline void krs_gguf_range(const float *w, int n, float *low, float *high)
{
    *low = *high = w[0];
    for (int i = 1; i < n; i++) {
        *low = w[i] < *low ? w[i] : *low;
        *high = w[i] > *high ? w[i] : *high;
    }
}

/* 32 elements; has_min: Q4_1, Q5_1. bits: 4 or 5. */
static inline void krs_gguf_make_small(const float *w, int bits, bool has_min, unsigned char *b)
{
    const int top = (1 << bits) - 1;
    float low;
    float high;
    krs_gguf_range(w, 32, &low, &high);
    const float reach = fabsf(low) > fabsf(high) ? fabsf(low) : fabsf(high);
    const float d = has_min ? (high - low) / (float)top : reach / (float)(1 << (bits - 1));
    const float zero = has_min ? low : -d * (float)(1 << (bits - 1));
    krs_gguf_put_half(b, d);
    unsigned char *at = b + 2;
    if (has_min) {
        krs_gguf_put_half(at, low);
        at += 2;
    }
    unsigned char *high_bits = at;
    if (bits == 5) {
        memset(at, 0, 4);
        at += 4;
    }
    memset(at, 0, 16);
    for (int i = 0; i < 32; i++) {
        const int code = krs_gguf_code(w[i], zero, d, top);
        at[i % 16] |= (unsigned char)((code & 15) << (i / 16 * 4));
        if (bits == 5) {
            high_bits[i / 8] |= (unsigned char)((code >> 4) << (i % 8));
        }
    }
}

static inline void krs_gguf_make_q8_0(const float *w, unsigned char *b)
{
    float low;
    float high;
    krs_gguf_range(w, 32, &low, &high);
    const float reach = -low > high ? -low : high;
    const float d = reach / 127.0f;
    krs_gguf_put_half(b, d);
    for (int i = 0; i < 32; i++) {
        b[2 + i] = (unsigned char)(krs_gguf_code(w[i], -127.0f * d, d, 254) - 127);
    }
}

/* Scale and minimum of group j in the twelve bytes of Q4_K and Q5_K. */
static inline void krs_gguf_put_scale(unsigned char *s, int j, int scale, int minimum)
{
    if (j < 4) {
        s[j] |= (unsigned char)scale;
        s[j + 4] |= (unsigned char)minimum;
        return;
    }
    s[j + 4] |= (unsigned char)((scale & 15) | (minimum & 15) << 4);
    s[j - 4] |= (unsigned char)(scale >> 4 << 6);
    s[j] |= (unsigned char)(minimum >> 4 << 6);
}

/* 256 elements in groups of 32, bits 4 or 5. */
static inline void krs_gguf_make_k45(const float *w, int bits, unsigned char *b)
{
    const int top = (1 << bits) - 1;
    float step[8];
    float floor_of[8];
    float widest = 0;
    float deepest = 0;
    for (int j = 0; j < 8; j++) {
        float low;
        float high;
        krs_gguf_range(w + 32 * j, 32, &low, &high);
        floor_of[j] = low < 0 ? -low : 0;
        step[j] = (high + floor_of[j]) / (float)top;
        widest = step[j] > widest ? step[j] : widest;
        deepest = floor_of[j] > deepest ? floor_of[j] : deepest;
    }
    memset(b, 0, bits == 4 ? 144 : 176);
    krs_gguf_put_half(b, widest / 63.0f);
    krs_gguf_put_half(b + 2, deepest / 63.0f);
    unsigned char *high_bits = b + 16;
    unsigned char *q = b + (bits == 4 ? 16 : 48);
    for (int j = 0; j < 8; j++) {
        const int scale = krs_gguf_code(step[j], 0, widest / 63.0f, 63);
        const int minimum = krs_gguf_code(floor_of[j], 0, deepest / 63.0f, 63);
        krs_gguf_put_scale(b + 4, j, scale, minimum);
        const float d = widest / 63.0f * (float)scale;
        const float low = -deepest / 63.0f * (float)minimum;
        for (int l = 0; l < 32; l++) {
            const int code = krs_gguf_code(w[32 * j + l], low, d, top);
            q[j / 2 * 32 + l] |= (unsigned char)((code & 15) << (j % 2 * 4));
            if (bits == 5) {
                high_bits[l] |= (unsigned char)((code >> 4) << j);
            }
        }
    }
}

static inline void krs_gguf_make_q6_k(const float *w, unsigned char *b)
{
    float reach[16];
    float widest = 0;
    for (int g = 0; g < 16; g++) {
        float low;
        float high;
        krs_gguf_range(w + 16 * g, 16, &low, &high);
        reach[g] = (-low > high ? -low : high) / 31.0f;
        widest = reach[g] > widest ? reach[g] : widest;
    }
    memset(b, 0, 210);
    const float d = widest / 127.0f;
    krs_gguf_put_half(b + 208, d);
    for (int i = 0; i < 256; i++) {
        const int scale = krs_gguf_code(reach[i / 16], 0, d, 127);
        b[192 + i / 16] = (unsigned char)scale;
        const float step = d * (float)scale;
        const int code = krs_gguf_code(w[i], -32.0f * step, step, 63);
        const int half = i / 128;
        const int part = i % 128 / 32;
        b[64 * half + part % 2 * 32 + i % 32] |= (unsigned char)((code & 15) << (part / 2 * 4));
        b[128 + 32 * half + i % 32] |= (unsigned char)((code >> 4) << (part * 2));
    }
}

/* Q2_K: groups of 16, two bits, four bits of scale and of minimum. */
static inline void krs_gguf_make_q2_k(const float *w, unsigned char *b)
{
    float low;
    float high;
    krs_gguf_range(w, 256, &low, &high);
    const float deepest = low < 0 ? -low : 0;
    const float widest = (high + deepest) / 3.0f;
    memset(b, 0, 84);
    krs_gguf_put_half(b + 80, widest / 15.0f);
    krs_gguf_put_half(b + 82, deepest / 15.0f);
    for (int i = 0; i < 256; i++) {
        b[i / 16] = 0xFF; /* the widest scale and minimum everywhere */
        const int code = krs_gguf_code(w[i], -deepest, widest, 3);
        b[16 + i / 128 * 32 + i % 32] |= (unsigned char)(code << (i % 128 / 32 * 2));
    }
}

/* Q3_K: one scale everywhere (31 of 32 + 31). */
static inline void krs_gguf_make_q3_k(const float *w, unsigned char *b)
{
    float low;
    float high;
    krs_gguf_range(w, 256, &low, &high);
    const float reach = (-low > high ? -low : high) / 4.0f;
    memset(b, 0, 110);
    krs_gguf_put_half(b + 108, reach / 31.0f);
    memset(b + 96, 0xFF, 12); /* 63 - 32 */
    for (int i = 0; i < 256; i++) {
        const int code = krs_gguf_code(w[i], -4.0f * reach, reach, 7);
        b[32 + i / 128 * 32 + i % 32] |= (unsigned char)((code & 3) << (i % 128 / 32 * 2));
        b[i % 32] |= (unsigned char)((code >> 2) << (i / 32));
    }
}

/* IQ4_NL by nearest level. */
static inline void krs_gguf_make_iq4_nl(const float *w, unsigned char *b)
{
    static const int levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                   1,    13,   25,  38,  53,  69,  89,  113};
    float low;
    float high;
    krs_gguf_range(w, 32, &low, &high);
    const float d = (-low > high ? -low : high) / 113.0f;
    memset(b, 0, 18);
    krs_gguf_put_half(b, d);
    for (int i = 0; i < 32; i++) {
        int best = 0;
        for (int k = 1; k < 16; k++) {
            const float was = fabsf(d * (float)levels[best] - w[i]);
            best = fabsf(d * (float)levels[k] - w[i]) < was ? k : best;
        }
        b[2 + i % 16] |= (unsigned char)(best << (i / 16 * 4));
    }
}

/* One block of a type by its number; false: no quantiser for it. */
static inline bool krs_gguf_make_block(uint32_t id, const float *w, unsigned char *b)
{
    switch (id) {
    case 2:
    case 3:
        krs_gguf_make_small(w, 4, id == 3, b);
        return true;
    case 6:
    case 7:
        krs_gguf_make_small(w, 5, id == 7, b);
        return true;
    case 8:
        krs_gguf_make_q8_0(w, b);
        return true;
    case 10:
        krs_gguf_make_q2_k(w, b);
        return true;
    case 11:
        krs_gguf_make_q3_k(w, b);
        return true;
    case 12:
    case 13:
        krs_gguf_make_k45(w, id == 12 ? 4 : 5, b);
        return true;
    case 14:
        krs_gguf_make_q6_k(w, b);
        return true;
    case 20:
        krs_gguf_make_iq4_nl(w, b);
        return true;
    default:
        return false;
    }
}
