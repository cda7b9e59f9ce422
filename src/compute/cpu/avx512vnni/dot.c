/* compute/cpu/avx512vnni/dot.c - the rate of VPDPBUSD: 64 products of u8 by i8, added to 16 i32 sums.
 *
 * Source: Intel 64 and IA-32 Architectures Software Developer's Manual, VPDPBUSD. */
#include "compute/cpu/dot_int8.h"

#include <immintrin.h>

float krs_cpu_avx512vnni_dot(int64_t n, float x)
{
    __m512i sums[KRS_CPU_DOT_CHAINS];
    for (int k = 0; k < KRS_CPU_DOT_CHAINS; k++) {
        sums[k] = _mm512_set1_epi32(k);
    }
    const __m512i a =
        _mm512_castps_si512(_mm512_set1_ps(x)); /* any codes: time does not depend on them */
    for (int64_t i = 0; i < n; i++) {
#pragma GCC unroll 16
        for (int k = 0; k < KRS_CPU_DOT_CHAINS; k++) {
            sums[k] = _mm512_dpbusd_epi32(sums[k], a, a);
        }
    }
    __m512i sum = sums[0];
    for (int k = 1; k < KRS_CPU_DOT_CHAINS; k++) {
        sum = _mm512_add_epi32(sum, sums[k]);
    }
    uint32_t lanes[16];
    _mm512_storeu_si512(lanes, sum);
    uint32_t total = 0;
    for (int k = 0; k < 16; k++) {
        total += lanes[k]; /* may wrap; the compiler's own reduction adds as signed */
    }
    return (float)total;
}
