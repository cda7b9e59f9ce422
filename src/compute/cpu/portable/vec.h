/* compute/cpu/portable/vec.h - the vector type of the templates on any machine: 4 lanes, written with
 * the vector extension of gcc and clang, which becomes SSE2 or NEON where there is one.
 * See avx512/vec.h for what each function means. */
#pragma once

#include "compute/cpu/kernels.h"

#include <string.h>

enum { LANES = 4, TILE_ROWS = 2, TILE_OUTS = 4 };
enum { MAX_SUMS = 8, MAX_RUN = 2 };

typedef float vf __attribute__((vector_size(16)));
typedef int32_t vi __attribute__((vector_size(16)));
typedef uint16_t halves __attribute__((vector_size(8)));
typedef int8_t bytes __attribute__((vector_size(4)));

KRS_CPU_INLINE vf vf_set(float x)
{
    return (vf){x, x, x, x};
}

KRS_CPU_INLINE vf vf_load(const void *p)
{
    vf x;
    memcpy(&x, p, sizeof(x));
    return x;
}

KRS_CPU_INLINE void vf_store(float *p, vf x)
{
    memcpy(p, &x, sizeof(x));
}

KRS_CPU_INLINE vf vf_fma(vf a, vf b, vf c)
{
    return a * b + c; /* two roundings: this machine may have no fused form */
}

KRS_CPU_INLINE vf vf_select(vi mask, vf a, vf b)
{
    return (vf)(((vi)a & mask) | ((vi)b & ~mask));
}

KRS_CPU_INLINE vf vf_max(vf a, vf b)
{
    return vf_select(a > b, a, b);
}

KRS_CPU_INLINE vf vf_min(vf a, vf b)
{
    return vf_select(a < b, a, b);
}

KRS_CPU_INLINE vf vf_abs(vf x)
{
    return (vf)((vi)x & 0x7FFFFFFF);
}

KRS_CPU_INLINE vf vf_with_sign_of(vf magnitude, vf sign)
{
    return (vf)((vi)magnitude | ((vi)sign & INT32_MIN));
}

KRS_CPU_INLINE vf vf_keep_above(vf x, vf limit, vf value)
{
    return vf_select(x < limit, vf_set(0), value);
}

KRS_CPU_INLINE vf vf_where_below(vf x, vf limit, vf a, vf b)
{
    return vf_select(x < limit, a, b);
}

KRS_CPU_INLINE vf vf_round(vf x)
{
    const vf magic = vf_set(0x1.8p23f); /* pushes the fraction out of the mantissa; |x| < 2^22 */
    return (x + magic) - magic;
}

KRS_CPU_INLINE vf vf_pow2(vf n)
{
    return (vf)((__builtin_convertvector(n, vi) + 127) << 23);
}

KRS_CPU_INLINE float vf_sum(vf x)
{
    return (x[0] + x[2]) + (x[1] + x[3]);
}

KRS_CPU_INLINE float vf_top(vf x)
{
    const float a = x[0] > x[2] ? x[0] : x[2];
    const float b = x[1] > x[3] ? x[1] : x[3];
    return a > b ? a : b;
}

/* Exponent and mantissa moved into place are the value times 2^-112, subnormals included; a full
 * exponent is infinity or NaN and is filled up (and a NaN made quiet, as krs_f32_of_f16 does). */
KRS_CPU_INLINE vf vf_load_f16(const void *p)
{
    halves h;
    memcpy(&h, p, sizeof(h));
    const vi bits = __builtin_convertvector(h, vi);
    const vi magnitude = (bits & 0x7FFF) << 13;
    const vf scaled = (vf)magnitude * vf_set(0x1p112f);
    const vi quiet = ((bits & 0x3FF) != 0) & 0x00400000;
    const vf special = (vf)(magnitude | 0x7F800000 | quiet);
    const vf absolute = vf_select((bits & 0x7C00) == 0x7C00, special, scaled);
    return (vf)((vi)absolute | (bits & 0x8000) << 16);
}

KRS_CPU_INLINE vf vf_load_bf16(const void *p)
{
    halves h;
    memcpy(&h, p, sizeof(h));
    return (vf)(__builtin_convertvector(h, vi) << 16);
}

KRS_CPU_INLINE vf vf_load_i8(const void *p)
{
    bytes b;
    memcpy(&b, p, sizeof(b));
    return __builtin_convertvector(b, vf);
}

KRS_CPU_INLINE void vf_store_f16(void *p, vf x)
{
    const uint16_t h[LANES] = {krs_f16_of_f32(x[0]), krs_f16_of_f32(x[1]), krs_f16_of_f32(x[2]),
                               krs_f16_of_f32(x[3])};
    memcpy(p, h, sizeof(h));
}

KRS_CPU_INLINE vf vf_even_bf16(const void *p)
{
    return (vf)((vi)vf_load(p) << 16);
}

KRS_CPU_INLINE vf vf_odd_bf16(const void *p)
{
    return (vf)((vi)vf_load(p) & (int32_t)0xFFFF0000);
}
