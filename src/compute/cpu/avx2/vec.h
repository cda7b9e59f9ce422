/* compute/cpu/avx2/vec.h - the vector type of the templates on AVX2, FMA and F16C: 8 lanes.
 * See avx512/vec.h for what each function means. */
#pragma once

#include "compute/cpu/kernels.h"

#include <immintrin.h>

enum { LANES = 8, TILE_ROWS = 4, TILE_OUTS = 3 };
enum { MAX_SUMS = 8, MAX_RUN = 4 };

typedef __m256 vf;
typedef __m256i vi;

KRS_CPU_INLINE vf vf_set(float x)
{
    return _mm256_set1_ps(x);
}

KRS_CPU_INLINE vf vf_load(const void *p)
{
    return _mm256_loadu_ps(p);
}

KRS_CPU_INLINE void vf_store(float *p, vf x)
{
    _mm256_storeu_ps(p, x);
}

KRS_CPU_INLINE vf vf_fma(vf a, vf b, vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}

KRS_CPU_INLINE vf vf_max(vf a, vf b)
{
    return _mm256_max_ps(a, b);
}

KRS_CPU_INLINE vf vf_min(vf a, vf b)
{
    return _mm256_min_ps(a, b);
}

KRS_CPU_INLINE vf vf_abs(vf x)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x);
}

KRS_CPU_INLINE vf vf_with_sign_of(vf magnitude, vf sign)
{
    return _mm256_or_ps(magnitude, _mm256_and_ps(sign, _mm256_set1_ps(-0.0f)));
}

KRS_CPU_INLINE vf vf_keep_above(vf x, vf limit, vf value)
{
    return _mm256_andnot_ps(_mm256_cmp_ps(x, limit, _CMP_LT_OQ), value);
}

KRS_CPU_INLINE vf vf_where_below(vf x, vf limit, vf a, vf b)
{
    return _mm256_blendv_ps(b, a, _mm256_cmp_ps(x, limit, _CMP_LT_OQ));
}

KRS_CPU_INLINE vf vf_round(vf x)
{
    return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

KRS_CPU_INLINE vf vf_pow2(vf n)
{
    const vi biased = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(biased, 23));
}

KRS_CPU_INLINE float vf_sum(vf x)
{
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

KRS_CPU_INLINE float vf_top(vf x)
{
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

KRS_CPU_INLINE vf vf_load_f16(const void *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128(p));
}

KRS_CPU_INLINE vf vf_load_bf16(const void *p)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(p)), 16));
}

KRS_CPU_INLINE vf vf_load_i8(const void *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(p)));
}

KRS_CPU_INLINE void vf_store_f16(void *p, vf x)
{
    _mm_storeu_si128(p, _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

KRS_CPU_INLINE vf vf_even_bf16(const void *p)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_loadu_si256(p), 16));
}

KRS_CPU_INLINE vf vf_odd_bf16(const void *p)
{
    return _mm256_castsi256_ps(
        _mm256_and_si256(_mm256_loadu_si256(p), _mm256_set1_epi32((int32_t)0xFFFF0000)));
}
