/* compute/cpu/neonbf16/dot.c - the rate of BFMMLA: 16 products of bf16, added to 4 f32 sums.
 *
 * Source: Arm Architecture Reference Manual for A-profile, BFMMLA. */
#include "compute/cpu/neon/vec.h"

float krs_cpu_neonbf16_dot(int64_t n, float x)
{
    vf sums[KRS_CPU_DOT_CHAINS];
    for (int k = 0; k < KRS_CPU_DOT_CHAINS; k++) {
        sums[k] = vf_set((float)k);
    }
    const bfloat16x8_t a = vreinterpretq_bf16_f32(vf_set(x));
    for (int64_t i = 0; i < n; i++) {
#pragma GCC unroll 16
        for (int k = 0; k < KRS_CPU_DOT_CHAINS; k++) {
            sums[k] = vbfmmlaq_f32(sums[k], a, a);
        }
    }
    float sum = 0;
    for (int k = 0; k < KRS_CPU_DOT_CHAINS; k++) {
        sum += vf_sum(sums[k]);
    }
    return sum;
}
