/* compute/cpu/neon/codes.h - vectors of codes on AArch64: what its ways to a dot product share.
 * See avx2/dot.h for what each function means.
 *
 * Thread: pure.  Source: Arm Architecture Reference Manual for A-profile, C7 (Advanced SIMD instructions). */
#pragma once

#include "compute/cpu/neon/vec.h"

enum { SHIFTS_BYTES = 1 }; /* does vc_shift? */

typedef uint8x16_t vc;

KRS_CPU_INLINE vc vc_load(const unsigned char *p)
{
    vc x;
    memcpy(&x, p, sizeof(x));
    return x;
}

KRS_CPU_INLINE void vc_store(unsigned char *p, vc x)
{
    memcpy(p, &x, sizeof(x));
}

KRS_CPU_INLINE vc vc_set(int byte)
{
    return vdupq_n_u8((uint8_t)byte);
}

KRS_CPU_INLINE vc vc_and(vc a, vc b)
{
    return vandq_u8(a, b);
}

KRS_CPU_INLINE vc vc_or(vc a, vc b)
{
    return vorrq_u8(a, b);
}

/* Bytes shifted, so nothing crosses into a neighbour. */
KRS_CPU_INLINE vc vc_shift(vc a, int n)
{
    return n < 0 ? a << -n : a >> n;
}

KRS_CPU_INLINE vi vi_set(int32_t x)
{
    return vdupq_n_s32(x);
}

KRS_CPU_INLINE vf vf_of_vi(vi x)
{
    return vcvtq_f32_s32(x);
}

KRS_CPU_INLINE vc vc_lookup(vc table, vc indices)
{
    return vqtbl1q_u8(table, indices);
}
