/* compute/cpu/avx512bf16/dot.c - the rate of VDPBF16PS: 32 products of bf16, added to 16 f32 sums.
 *
 * Source: Intel Architecture Instruction Set Extensions reference, VDPBF16PS. */
#include "compute/cpu/avx512/vec.h"

float krs_cpu_avx512bf16_dot(int64_t n, float x)
{
    vf sums[KRS_CPU_DOT_CHAINS];
    for (int k = 0; k < KRS_CPU_DOT_CHAINS; k++) {
        sums[k] = vf_set((float)k);
    }
    const __m512bh a = (__m512bh)_mm512_castps_si512(vf_set(x));
    for (int64_t i = 0; i < n; i++) {
#pragma GCC unroll 16
        for (int k = 0; k < KRS_CPU_DOT_CHAINS; k++) {
            sums[k] = _mm512_dpbf16_ps(sums[k], a, a);
        }
    }
    float sum = 0;
    for (int k = 0; k < KRS_CPU_DOT_CHAINS; k++) {
        sum += vf_sum(sums[k]);
    }
    return sum;
}
