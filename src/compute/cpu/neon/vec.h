/* compute/cpu/neon/vec.h - the vector type of the templates on every AArch64 machine: 4 lanes (Advanced SIMD).
 * See avx512/vec.h for what each function means.
 *
 * FMAX and FMIN give NaN when either operand is one, which is more than is asked for. FCVTL and FCVTN convert
 * f16 with every subnormal, infinity and NaN, rounding as FPCR says: to nearest even, since nobody here
 * changes it.
 *
 * Thread: pure.  Source: Arm Architecture Reference Manual for A-profile, C7 (Advanced SIMD instructions). */
#pragma once

#include "compute/cpu/kernels.h"

#include <arm_neon.h>
#include <string.h>

enum { LANES = 4, TILE_ROWS = 6, TILE_OUTS = 4 }; /* 24 sums, 4 vectors of weights, 1 of x: of 32 */
enum { MAX_SUMS = 16, MAX_RUN = 4 };

typedef float32x4_t vf;
typedef int32x4_t vi;

KRS_CPU_INLINE vf vf_set(float x)
{
    return vdupq_n_f32(x);
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
    return vfmaq_f32(c, a, b);
}

KRS_CPU_INLINE vf vf_max(vf a, vf b)
{
    return vmaxq_f32(a, b);
}

KRS_CPU_INLINE vf vf_min(vf a, vf b)
{
    return vminq_f32(a, b);
}

KRS_CPU_INLINE vf vf_abs(vf x)
{
    return vabsq_f32(x);
}

KRS_CPU_INLINE vf vf_with_sign_of(vf magnitude, vf sign)
{
    return vbslq_f32(vdupq_n_u32(0x80000000u), sign, magnitude);
}

KRS_CPU_INLINE vf vf_keep_above(vf x, vf limit, vf value)
{
    return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(value), vcltq_f32(x, limit)));
}

KRS_CPU_INLINE vf vf_where_below(vf x, vf limit, vf a, vf b)
{
    return vbslq_f32(vcltq_f32(x, limit), a, b);
}

KRS_CPU_INLINE vf vf_round(vf x)
{
    return vrndnq_f32(x);
}

KRS_CPU_INLINE vf vf_pow2(vf n)
{
    return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127)), 23));
}

KRS_CPU_INLINE float vf_sum(vf x)
{
    return vaddv_f32(vadd_f32(vget_low_f32(x), vget_high_f32(x)));
}

KRS_CPU_INLINE float vf_top(vf x)
{
    return vmaxvq_f32(x);
}

KRS_CPU_INLINE vf vf_load_f16(const void *p)
{
    float16x4_t halves;
    memcpy(&halves, p, sizeof(halves));
    return vcvt_f32_f16(halves);
}

KRS_CPU_INLINE vf vf_load_bf16(const void *p)
{
    uint16x4_t halves;
    memcpy(&halves, p, sizeof(halves));
    return vreinterpretq_f32_u32(vshll_n_u16(halves, 16));
}

KRS_CPU_INLINE vf vf_load_i8(const void *p)
{
    int32_t four;
    memcpy(&four, p, sizeof(four));
    const int8x8_t bytes = vreinterpret_s8_s32(vset_lane_s32(four, vdup_n_s32(0), 0));
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(bytes))));
}

KRS_CPU_INLINE void vf_store_f16(void *p, vf x)
{
    const float16x4_t halves = vcvt_f16_f32(x);
    memcpy(p, &halves, sizeof(halves));
}

KRS_CPU_INLINE vf vf_even_bf16(const void *p)
{
    return vreinterpretq_f32_u32(vshlq_n_u32(vreinterpretq_u32_f32(vf_load(p)), 16));
}

KRS_CPU_INLINE vf vf_odd_bf16(const void *p)
{
    const uint32x4_t words = vreinterpretq_u32_f32(vf_load(p));
    return vreinterpretq_f32_u32(vandq_u32(words, vdupq_n_u32(0xFFFF0000u)));
}
