/* compute/cpu/neondot/dot.c - the rate of SDOT: 16 products of i8, added to 4 i32 sums.
 *
 * Source: Arm Architecture Reference Manual for A-profile, SDOT (vector). */
#include "compute/cpu/dot_int8.h"

#include <arm_neon.h>

float krs_cpu_neondot_dot(int64_t n, float x)
{
    int32x4_t sums[KRS_CPU_DOT_CHAINS];
    for (int k = 0; k < KRS_CPU_DOT_CHAINS; k++) {
        sums[k] = vdupq_n_s32(k);
    }
    const int8x16_t a = vreinterpretq_s8_f32(vdupq_n_f32(x)); /* any codes: time does not depend */
    for (int64_t i = 0; i < n; i++) {
#pragma GCC unroll 16
        for (int k = 0; k < KRS_CPU_DOT_CHAINS; k++) {
            sums[k] = vdotq_s32(sums[k], a, a);
        }
    }
    int32x4_t sum = sums[0];
    for (int k = 1; k < KRS_CPU_DOT_CHAINS; k++) {
        sum = vaddq_s32(sum, sums[k]);
    }
    return (float)vaddvq_u32(
        vreinterpretq_u32_s32(sum)); /* may wrap; only its being used matters */
}
