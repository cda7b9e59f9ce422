/* compute/cpu/avx512vnni/dot.h - dot products of bytes on AVX-512 VNNI: one instruction.
 * See avx2/dot.h for what each function means.
 *
 * Thread: pure.  Source: Intel Architecture Instruction Set Extensions reference, VPDPBUSD. */
#pragma once

#include "compute/cpu/avx512/codes.h"

enum { TILE_MAX_ROWS = 6 }; /* x 2 vectors x (sum, total) = 24 of 32 registers */

KRS_CPU_INLINE vp vi_begin(bool is_wide, vi sum)
{
    (void)is_wide;
    return sum;
}

KRS_CPU_INLINE vp vi_dot(bool is_wide, vp part, vc codes, const unsigned char *x, int j)
{
    int32_t four;
    (void)is_wide;
    memcpy(&four, x + 4 * j, sizeof(four));
    return _mm512_dpbusd_epi32(part, codes, _mm512_set1_epi32(four));
}

KRS_CPU_INLINE vi vi_end(bool is_wide, vi sum, vp part)
{
    (void)is_wide;
    (void)sum;
    return part;
}
