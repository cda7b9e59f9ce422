/* compute/cpu/neon/signed_codes.h - codes for products of two signed bytes, which is what machines without
 * FEAT_I8MM have. See avx2/dot.h for what each function means.
 *
 * Codes below 128 are signed bytes as they are. Of values that may be larger, codes of 8 bits and tables', the zero
 * is taken off on the way, after which a group's sum begins with nothing; or 128, where there is no zero, and the
 * sum begins with 128 times that of x. Zeros of codes with large values are 127 and 128 (tensor/codes.h), so
 * what is left is a signed byte. All of it is exact.
 *
 * Thread: pure. */
#pragma once

#include "compute/cpu/neon/codes.h"

/* May values be 128 or more, so that something is taken off them? */
KRS_CPU_INLINE bool is_taken_off(const krs_codes *codes)
{
    return codes->bits == 8 || codes->table;
}

KRS_CPU_INLINE vc take_off(const krs_codes *codes, vc x)
{
    return vsubq_u8(x, vc_set(codes->zero ? codes->zero : 128));
}

KRS_CPU_INLINE vc vc_table(const krs_codes *codes)
{
    return take_off(codes, vc_load(codes->table));
}

KRS_CPU_INLINE vc vc_bytes(const krs_codes *codes, vc x)
{
    return take_off(codes, x);
}

/* sum: of the group's x, asked for where 128 was taken off. */
KRS_CPU_INLINE int32_t start_of_signed(const krs_codes *codes, int32_t start,
                                       const unsigned char *x,
                                       int32_t (*sum)(const unsigned char *x, int32_t n))
{
    return !is_taken_off(codes) ? start : codes->zero ? 0 : 128 * sum(x, codes->group);
}
