/* compute/cpu/avx512/codes.h - vectors of codes on AVX-512: what its two ways to a dot product share.
 * See avx2/dot.h for what each function means.
 *
 * Thread: pure. */
#pragma once

#include "compute/cpu/avx512/vec.h"

#include <string.h>

enum { SHIFTS_BYTES = 0 }; /* does vc_shift? */

typedef __m512i vc;
typedef __m512i vp;

KRS_CPU_INLINE vc vc_load(const unsigned char *p)
{
    return _mm512_loadu_si512(p);
}

KRS_CPU_INLINE void vc_store(unsigned char *p, vc x)
{
    _mm512_storeu_si512(p, x);
}

KRS_CPU_INLINE vc vc_set(int byte)
{
    return _mm512_set1_epi8((char)byte);
}

KRS_CPU_INLINE vc vc_and(vc a, vc b)
{
    return _mm512_and_si512(a, b);
}

KRS_CPU_INLINE vc vc_or(vc a, vc b)
{
    return _mm512_or_si512(a, b);
}

/* Halves shifted right by n, left by -n; bits that cross into a neighbour are for the caller to mask.
 * Literal counts, because without optimisation a function's parameter is no constant. */
KRS_CPU_INLINE vc vc_shift(vc a, int n)
{
    switch (n) {
    case -5:
        return _mm512_slli_epi16(a, 5);
    case -4:
        return _mm512_slli_epi16(a, 4);
    case -3:
        return _mm512_slli_epi16(a, 3);
    case -2:
        return _mm512_slli_epi16(a, 2);
    case -1:
        return _mm512_slli_epi16(a, 1);
    case 1:
        return _mm512_srli_epi16(a, 1);
    case 2:
        return _mm512_srli_epi16(a, 2);
    case 3:
        return _mm512_srli_epi16(a, 3);
    case 4:
        return _mm512_srli_epi16(a, 4);
    case 5:
        return _mm512_srli_epi16(a, 5);
    case 6:
        return _mm512_srli_epi16(a, 6);
    case 7:
        return _mm512_srli_epi16(a, 7);
    default:
        return a;
    }
}

KRS_CPU_INLINE vc vc_table(const krs_codes *codes)
{
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)codes->table));
}

KRS_CPU_INLINE vc vc_lookup(vc table, vc indices)
{
    return _mm512_shuffle_epi8(table, indices);
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

KRS_CPU_INLINE vi vi_set(int32_t x)
{
    return _mm512_set1_epi32(x);
}

KRS_CPU_INLINE vf vf_of_vi(vi x)
{
    return _mm512_cvtepi32_ps(x);
}
