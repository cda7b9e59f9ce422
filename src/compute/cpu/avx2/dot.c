/* compute/cpu/avx2/dot.c - the rate of int8 products on AVX2: VPMADDUBSW makes 32 products of u8 by i8 and
 * adds neighbours into 16 i16, VPMADDWD by ones adds those into 8 i32, VPADDD adds these to the sums.
 *
 * Operands that never change would let the compiler make the products once, outside of the loop; so
 * each meets its own sum in an XOR, which a kernel spends on taking codes apart.
 *
 * Source: Intel 64 and IA-32 Architectures Software Developer's Manual, PMADDUBSW, PMADDWD. */
#include "compute/cpu/dot_int8.h"

#include <immintrin.h>

float krs_cpu_avx2_dot_int8(int64_t n, float x)
{
    __m256i sums[KRS_CPU_DOT_CHAINS];
    for (int k = 0; k < KRS_CPU_DOT_CHAINS; k++) {
        sums[k] = _mm256_set1_epi32(k);
    }
    const __m256i ones = _mm256_set1_epi16(1);
    const __m256i a = _mm256_castps_si256(_mm256_set1_ps(x)); /* any codes: time does not depend */
    for (int64_t i = 0; i < n; i++) {
#pragma GCC unroll 16
        for (int k = 0; k < KRS_CPU_DOT_CHAINS; k++) {
            const __m256i pairs = _mm256_maddubs_epi16(a, _mm256_xor_si256(a, sums[k]));
            sums[k] = _mm256_add_epi32(sums[k], _mm256_madd_epi16(pairs, ones));
        }
    }
    __m256i sum = sums[0];
    for (int k = 1; k < KRS_CPU_DOT_CHAINS; k++) {
        sum = _mm256_add_epi32(sum, sums[k]);
    }
    uint32_t lanes[8];
    _mm256_storeu_si256((__m256i *)lanes, sum);
    uint32_t total = 0;
    for (int k = 0; k < 8; k++) {
        total += lanes[k]; /* may wrap; only its being used matters */
    }
    return (float)total;
}
