/* compute/cpu/avx512/dot.h - dot products of bytes on AVX-512 without VNNI, in i16 first.
 * See avx2/dot.h, whose way this is on 512 bits.
 *
 * Thread: pure.  Source: Intel 64 and IA-32 Architectures Software Developer's Manual, PMADDUBSW, PMADDWD. */
#pragma once

#include "compute/cpu/avx512/codes.h"

enum { TILE_MAX_ROWS = 4 }; /* x 2 vectors x (part, sum, total) = 24 of 32 registers */

KRS_CPU_INLINE vp vi_begin(bool is_wide, vi sum)
{
    return is_wide ? sum : _mm512_setzero_si512();
}

KRS_CPU_INLINE vp vi_dot(bool is_wide, vp part, vc codes, const unsigned char *x, int j)
{
    int32_t four;
    memcpy(&four, x + 4 * j, sizeof(four));
    const vi x4 = _mm512_set1_epi32(four);
    if (!is_wide) {
        return _mm512_add_epi16(part, _mm512_maddubs_epi16(codes, x4));
    }
    const vi even = _mm512_and_si512(codes, _mm512_set1_epi16(255));
    const vi odd = _mm512_srli_epi16(codes, 8);
    const vi x_even = _mm512_srai_epi16(_mm512_slli_epi16(x4, 8), 8);
    const vi x_odd = _mm512_srai_epi16(x4, 8);
    part = _mm512_add_epi32(part, _mm512_madd_epi16(even, x_even));
    return _mm512_add_epi32(part, _mm512_madd_epi16(odd, x_odd));
}

KRS_CPU_INLINE vi vi_end(bool is_wide, vi sum, vp part)
{
    return is_wide ? part : _mm512_add_epi32(sum, _mm512_madd_epi16(part, _mm512_set1_epi16(1)));
}
