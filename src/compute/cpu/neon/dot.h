/* compute/cpu/neon/dot.h - dot products of bytes on every AArch64 machine, in i16 first.
 * See avx2/dot.h for what each function means, signed_codes.h for codes.
 *
 * SMULL and SMLAL make 8 products of two i8 in i16. Of codes below 16 one is at most 1,905, and the eight of a
 * lane in a block 15,240, so a block is summed in i16, folded once by ADDP (30,480 at most) and widened by
 * SADALP. Others are at most 16,256 each: two are folded, 32,512, and widened at once.
 *
 * Thread: pure.  Source: Arm Architecture Reference Manual for A-profile, SMULL, SMLAL, ADDP, SADALP. */
#pragma once

#include "compute/cpu/neon/signed_codes.h"

enum { TILE_MAX_ROWS = 2 }; /* x 2 vectors x (2 parts, sum, total) = 16 of 32 registers */

/* Products of outputs 0 and 1, and of 2 and 3, i16; or, of wide codes, the sum. */
typedef struct vp {
    int16x8_t low;
    int16x8_t high;
    vi sum;
} vp;

KRS_CPU_INLINE int32_t sum_of_bytes(const unsigned char *x, int32_t n)
{
    vi sum = vdupq_n_s32(0);
    for (int32_t i = 0; i < n; i += 16) {
        sum = vpadalq_s16(sum, vpaddlq_s8(vreinterpretq_s8_u8(vc_load(x + i))));
    }
    return vaddvq_s32(sum);
}

KRS_CPU_INLINE int32_t vi_start(const krs_codes *codes, int32_t start, const unsigned char *x)
{
    return start_of_signed(codes, start, x, sum_of_bytes);
}

KRS_CPU_INLINE vp vi_begin(bool is_wide, vi sum)
{
    (void)is_wide;
    return (vp){vdupq_n_s16(0), vdupq_n_s16(0), sum};
}

KRS_CPU_INLINE vp vi_dot(bool is_wide, vp part, vc codes, const unsigned char *x, int j)
{
    const int32_t *const four = (const int32_t *)(const void *)(x + 4 * j); /* x is aligned to 16 */
    const int8x16_t y = vreinterpretq_s8_s32(vld1q_dup_s32(four));
    const int8x16_t w = vreinterpretq_s8_u8(codes);
    if (is_wide) {
        const int16x8_t low = vmull_s8(vget_low_s8(w), vget_low_s8(y));
        part.sum = vpadalq_s16(part.sum, vpaddq_s16(low, vmull_high_s8(w, y)));
        return part;
    }
    part.low = vmlal_s8(part.low, vget_low_s8(w), vget_low_s8(y));
    part.high = vmlal_high_s8(part.high, w, y);
    return part;
}

KRS_CPU_INLINE vi vi_end(bool is_wide, vi sum, vp part)
{
    return is_wide ? part.sum : vpadalq_s16(sum, vpaddq_s16(part.low, part.high));
}
