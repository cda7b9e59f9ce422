/* compute/cpu/neondot/dot.h - dot products of bytes on AArch64 with FEAT_DotProd: SDOT, one instruction.
 * See avx2/dot.h for what each function means, neon/signed_codes.h for codes.
 *
 * SDOT takes the four bytes of x from any lane of a vector, so four operands share a load of x.
 *
 * Thread: pure.  Source: Arm Architecture Reference Manual for A-profile, SDOT (by element). */
#pragma once

#include "compute/cpu/neon/signed_codes.h"

enum { TILE_MAX_ROWS = 6 }; /* x 2 vectors x (sum, total) = 24 of 32 registers */

typedef vi vp;

KRS_CPU_INLINE int32_t sum_of_bytes(const unsigned char *x, int32_t n)
{
    vi sum = vdupq_n_s32(0);
    for (int32_t i = 0; i < n; i += 16) {
        sum = vdotq_s32(sum, vreinterpretq_s8_u8(vc_load(x + i)), vdupq_n_s8(1));
    }
    return vaddvq_s32(sum);
}

KRS_CPU_INLINE int32_t vi_start(const krs_codes *codes, int32_t start, const unsigned char *x)
{
    return start_of_signed(codes, start, x, sum_of_bytes);
}

KRS_CPU_INLINE vp vi_begin(bool is_wide, vi sum)
{
    (void)is_wide;
    return sum;
}

/* Literal lanes, because without optimisation a function's parameter is no constant. */
KRS_CPU_INLINE vp vi_dot(bool is_wide, vp part, vc codes, const unsigned char *x, int j)
{
    const int8x16_t y = vreinterpretq_s8_u8(vc_load(x + j / 4 * 16));
    const int8x16_t w = vreinterpretq_s8_u8(codes);
    (void)is_wide;
    switch (j % 4) {
    case 0:
        return vdotq_laneq_s32(part, w, y, 0);
    case 1:
        return vdotq_laneq_s32(part, w, y, 1);
    case 2:
        return vdotq_laneq_s32(part, w, y, 2);
    default:
        return vdotq_laneq_s32(part, w, y, 3);
    }
}

KRS_CPU_INLINE vi vi_end(bool is_wide, vi sum, vp part)
{
    (void)is_wide;
    (void)sum;
    return part;
}
