/* compute/cpu/portable/dot.h - vectors of codes and their dot products with bytes of x, on any machine.
 * See avx2/dot.h for what each function means.
 *
 * Even and odd bytes are multiplied as i16: one product of a code and x is at most 32,385. Those of a
 * block of narrow codes are summed in i16 too, and widened once.
 *
 * Thread: pure. */
#pragma once

#include "compute/cpu/portable/vec.h"

enum { TILE_MAX_ROWS = 2 };

enum { SHIFTS_BYTES = 0 }; /* does vc_shift? */

typedef uint16_t vc __attribute__((vector_size(16)));
typedef vi vp;
typedef int16_t vh __attribute__((vector_size(16)));

KRS_CPU_INLINE vc vc_load(const unsigned char *p)
{
    vc x;
    memcpy(&x, p, sizeof(x));
    return x;
}

KRS_CPU_INLINE void vc_store(unsigned char *p, vc x)
{
    memcpy(p, &x, sizeof(x));
}

KRS_CPU_INLINE vc vc_set(int byte)
{
    return (vc){0} + (uint16_t)(byte * 0x0101);
}

KRS_CPU_INLINE vc vc_and(vc a, vc b)
{
    return a & b;
}

KRS_CPU_INLINE vc vc_or(vc a, vc b)
{
    return a | b;
}

KRS_CPU_INLINE vc vc_shift(vc a, int n)
{
    return n < 0 ? a << -n : a >> n;
}

typedef struct vc_values {
    uint8_t values[KRS_CODES_LEVELS];
} vc_values;

KRS_CPU_INLINE vc_values vc_table(const krs_codes *codes)
{
    vc_values table;
    memcpy(table.values, codes->table, sizeof(table.values));
    return table;
}

KRS_CPU_INLINE vc vc_lookup(vc_values table, vc indices)
{
    uint8_t at[sizeof(vc)];
    memcpy(at, &indices, sizeof(at));
    for (size_t i = 0; i < sizeof(at); i++) {
        at[i] = table.values[at[i]];
    }
    return vc_load(at);
}

KRS_CPU_INLINE vc vc_bytes(const krs_codes *codes, vc x)
{
    (void)codes;
    return x;
}

KRS_CPU_INLINE int32_t vi_start(const krs_codes *codes, int32_t start, const unsigned char *x)
{
    (void)codes;
    (void)x;
    return start;
}

KRS_CPU_INLINE vi vi_set(int32_t x)
{
    return (vi){x, x, x, x};
}

KRS_CPU_INLINE vf vf_of_vi(vi x)
{
    return __builtin_convertvector(x, vf);
}

/* Both i16 of each word, added. */
KRS_CPU_INLINE vi pair_sums(vh products)
{
    const vi words = (vi)products;
    return (words << 16 >> 16) + (words >> 16);
}

KRS_CPU_INLINE vp vi_begin(bool is_wide, vi sum)
{
    return is_wide ? sum : vi_set(0);
}

KRS_CPU_INLINE vp vi_dot(bool is_wide, vp part, vc codes, const unsigned char *x, int j)
{
    int32_t four;
    memcpy(&four, x + 4 * j, sizeof(four));
    const vh x4 = (vh)vi_set(four);
    const vh even = (vh)(codes & 255) * (x4 << 8 >> 8);
    const vh odd = (vh)(codes >> 8) * (x4 >> 8);
    return is_wide ? part + pair_sums(even) + pair_sums(odd) : (vi)((vh)part + (even + odd));
}

KRS_CPU_INLINE vi vi_end(bool is_wide, vi sum, vp part)
{
    return is_wide ? part : sum + pair_sums((vh)part);
}
