/* compute/cpu/neoni8mm/dot.h - dot products of bytes on AArch64 with FEAT_I8MM: USDOT, of codes as they are.
 * See avx2/dot.h for what each function means.
 *
 * Thread: pure.  Source: Arm Architecture Reference Manual for A-profile, USDOT (by element). */
#pragma once

#include "compute/cpu/neon/codes.h"

enum { TILE_MAX_ROWS = 6 }; /* x 2 vectors x (sum, total) = 24 of 32 registers */

typedef vi vp;

KRS_CPU_INLINE vc vc_table(const krs_codes *codes)
{
    return vc_load(codes->table);
}

KRS_CPU_INLINE vc vc_bytes(const krs_codes *codes, vc x)
{
    (void)codes;
    return x;
}

KRS_CPU_INLINE int32_t vi_start(const krs_codes *codes, int32_t start, const unsigned char *x)
{
    (void)codes;
    (void)x;
    return start;
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
    (void)is_wide;
    switch (j % 4) {
    case 0:
        return vusdotq_laneq_s32(part, codes, y, 0);
    case 1:
        return vusdotq_laneq_s32(part, codes, y, 1);
    case 2:
        return vusdotq_laneq_s32(part, codes, y, 2);
    default:
        return vusdotq_laneq_s32(part, codes, y, 3);
    }
}

KRS_CPU_INLINE vi vi_end(bool is_wide, vi sum, vp part)
{
    (void)is_wide;
    (void)sum;
    return part;
}
