/* compute/cpu/avx2/dot.h - vectors of codes and their dot products with bytes of x, on AVX2.
 *
 * Every <isa>/dot.h defines the same names: TILE_MAX_ROWS, the rows whose sums its registers hold; vc, a
 * vector of LANES words of 4 codes; vp, products of one block on their way into a vi; and the functions
 * below.
 *
 * VPMADDUBSW multiplies u8 by i8 and adds two neighbours in i16, which saturates: two products of codes
 * below 16 and x of -127 .. 127 are at most 3,810, and those of the eight operands of a block 30,480, so
 * a block of narrow codes is summed in i16 and widened once. Wider codes are taken apart into even and
 * odd bytes, which VPMADDWD multiplies as i16 and adds in i32. Either way the sums are exact.
 *
 * Thread: pure.  Source: Intel 64 and IA-32 Architectures Software Developer's Manual, PMADDUBSW, PMADDWD. */
#pragma once

#include "compute/cpu/avx2/vec.h"

#include <string.h>

enum { TILE_MAX_ROWS = 4 }; /* x 2 vectors = 8 parts of sums; 8 of 16 registers for codes and x */

enum { SHIFTS_BYTES = 0 }; /* does vc_shift? */

typedef __m256i vc;
typedef __m256i vp;

KRS_CPU_INLINE vc vc_load(const unsigned char *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

KRS_CPU_INLINE void vc_store(unsigned char *p, vc x)
{
    _mm256_storeu_si256((__m256i *)(void *)p, x);
}

KRS_CPU_INLINE vc vc_set(int byte)
{
    return _mm256_set1_epi8((char)byte);
}

KRS_CPU_INLINE vc vc_and(vc a, vc b)
{
    return _mm256_and_si256(a, b);
}

KRS_CPU_INLINE vc vc_or(vc a, vc b)
{
    return _mm256_or_si256(a, b);
}

/* Halves shifted right by n, left by -n; bits that cross into a neighbour are for the caller to mask. */
KRS_CPU_INLINE vc vc_shift(vc a, int n)
{
    return n < 0 ? _mm256_slli_epi16(a, -n) : _mm256_srli_epi16(a, n);
}

/* The 16 values of codes that have a table, for vc_lookup, whose indices are below 16. */
KRS_CPU_INLINE vc vc_table(const krs_codes *codes)
{
    return _mm256_broadcastsi128_si256(
        _mm_loadu_si128((const __m128i *)(const void *)codes->table));
}

KRS_CPU_INLINE vc vc_lookup(vc table, vc indices)
{
    return _mm256_shuffle_epi8(table, indices);
}

KRS_CPU_INLINE vi vi_set(int32_t x)
{
    return _mm256_set1_epi32(x);
}

KRS_CPU_INLINE vf vf_of_vi(vi x)
{
    return _mm256_cvtepi32_ps(x);
}

/* Codes of 8 bits as vi_dot takes them. An instruction set whose products are of signed bytes takes something
 * off values that may be 128 or more, here and in vc_table, and makes up for it in vi_start. */
KRS_CPU_INLINE vc vc_bytes(const krs_codes *codes, vc x)
{
    (void)codes;
    return x;
}

/* What the sum of a group begins with, which is `start` where codes are as they are. x: the group's. */
KRS_CPU_INLINE int32_t vi_start(const krs_codes *codes, int32_t start, const unsigned char *x)
{
    (void)codes;
    (void)x;
    return start;
}

/* The products of one block on their way into sum: begin, up to 8 times dot, end. is_wide, the same in all
 * three: codes may be 16 or more. */
KRS_CPU_INLINE vp vi_begin(bool is_wide, vi sum)
{
    return is_wide ? sum : _mm256_setzero_si256();
}

/* Operand j of the block, each word: code 0 * y[0] + ... + code 3 * y[3], added to part; y: the four bytes of
 * x[32], the block's, that belong to it. Codes are unsigned, x is -127 .. 127. */
KRS_CPU_INLINE vp vi_dot(bool is_wide, vp part, vc codes, const unsigned char *x, int j)
{
    int32_t four;
    memcpy(&four, x + 4 * j, sizeof(four));
    const vi x4 = _mm256_set1_epi32(four);
    if (!is_wide) {
        return _mm256_add_epi16(part, _mm256_maddubs_epi16(codes, x4));
    }
    const vi even = _mm256_and_si256(codes, _mm256_set1_epi16(255));
    const vi odd = _mm256_srli_epi16(codes, 8);
    const vi x_even = _mm256_srai_epi16(_mm256_slli_epi16(x4, 8), 8);
    const vi x_odd = _mm256_srai_epi16(x4, 8);
    part = _mm256_add_epi32(part, _mm256_madd_epi16(even, x_even));
    return _mm256_add_epi32(part, _mm256_madd_epi16(odd, x_odd));
}

/* The sum with what the part holds. */
KRS_CPU_INLINE vi vi_end(bool is_wide, vi sum, vp part)
{
    return is_wide ? part : _mm256_add_epi32(sum, _mm256_madd_epi16(part, _mm256_set1_epi16(1)));
}
