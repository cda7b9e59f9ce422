/* compute/cpu/avx512/vec.h - the vector type of the templates on AVX-512 (F, BW, VL): 16 lanes.
 *
 * Every <isa>/vec.h defines the same names: LANES; the tile sizes its registers can hold; vf and vi,
 * vectors of f32 and i32; and the functions below. NaN in the second operand of max and min wins, so
 * that a broken activation stays visible instead of being clamped away.
 *
 * Thread: pure. */
#pragma once

#include "compute/cpu/kernels.h"

#include <immintrin.h>

enum { LANES = 16, TILE_ROWS = 6, TILE_OUTS = 4 };
enum { MAX_SUMS = 16, MAX_RUN = 8 }; /* vectors attention sums at once, queries they are of */

typedef __m512 vf;
typedef __m512i vi;

KRS_CPU_INLINE vf vf_set(float x)
{
    return _mm512_set1_ps(x);
}

/* LANES values at p, any alignment. */
KRS_CPU_INLINE vf vf_load(const void *p)
{
    return _mm512_loadu_ps(p);
}

KRS_CPU_INLINE void vf_store(float *p, vf x)
{
    _mm512_storeu_ps(p, x);
}

/* a * b + c, fused where the machine can. */
KRS_CPU_INLINE vf vf_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}

KRS_CPU_INLINE vf vf_max(vf a, vf b)
{
    return _mm512_max_ps(a, b);
}

KRS_CPU_INLINE vf vf_min(vf a, vf b)
{
    return _mm512_min_ps(a, b);
}

KRS_CPU_INLINE vf vf_abs(vf x)
{
    return _mm512_abs_ps(x);
}

/* magnitude (not negative) with the sign of sign. */
KRS_CPU_INLINE vf vf_with_sign_of(vf magnitude, vf sign)
{
    const vi bit = _mm512_and_epi32(_mm512_castps_si512(sign), _mm512_set1_epi32(INT32_MIN));
    return _mm512_castsi512_ps(_mm512_or_epi32(_mm512_castps_si512(magnitude), bit));
}

/* 0 where x < limit, else value. */
KRS_CPU_INLINE vf vf_keep_above(vf x, vf limit, vf value)
{
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, limit, _CMP_NLT_UQ), value);
}

/* a where x < limit, else b. */
KRS_CPU_INLINE vf vf_where_below(vf x, vf limit, vf a, vf b)
{
    return _mm512_mask_mov_ps(b, _mm512_cmp_ps_mask(x, limit, _CMP_LT_OQ), a);
}

/* To the nearest integer, ties to even; |x| < 2^22. */
KRS_CPU_INLINE vf vf_round(vf x)
{
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

/* 2^n for whole n in -126 .. 127. */
KRS_CPU_INLINE vf vf_pow2(vf n)
{
    const vi biased = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
    return _mm512_castsi512_ps(_mm512_slli_epi32(biased, 23));
}

/* Sum of the lanes, halves folded onto each other. */
KRS_CPU_INLINE float vf_sum(vf x)
{
    const __m256 high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(x), 1));
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(x), high);
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

/* The largest lane. */
KRS_CPU_INLINE float vf_top(vf x)
{
    return _mm512_reduce_max_ps(x);
}

KRS_CPU_INLINE vf vf_load_f16(const void *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256(p));
}

KRS_CPU_INLINE vf vf_load_bf16(const void *p)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(p)), 16));
}

/* LANES signed bytes at p, as numbers. */
KRS_CPU_INLINE vf vf_load_i8(const void *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(p)));
}

KRS_CPU_INLINE void vf_store_f16(void *p, vf x)
{
    _mm256_storeu_si256(p, _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

/* Of 2 * LANES bf16 values at p: numbers 0, 2, 4, ... and numbers 1, 3, 5, ... */
KRS_CPU_INLINE vf vf_even_bf16(const void *p)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_loadu_si512(p), 16));
}

KRS_CPU_INLINE vf vf_odd_bf16(const void *p)
{
    return _mm512_castsi512_ps(
        _mm512_and_epi32(_mm512_loadu_si512(p), _mm512_set1_epi32((int32_t)0xFFFF0000)));
}
