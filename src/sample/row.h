/* sample/row.h - passes over a whole row of logits, written so that compilers make vectors of them.
 *
 * A vocabulary has up to a quarter of a million entries, and every one is looked at for every token of
 * every stream. So a pass is a loop without branches over lanes of their own, the order of every sum is
 * fixed by the row's length alone, and exp is a polynomial of ours: the C library's is a call per entry,
 * and differs from machine to machine.
 *
 * NaN counts as minus infinity everywhere.
 *
 * Thread: any; pure.  Memory: the caller's.
 * Source: Cody and Waite 1980, Software Manual for the Elementary Functions, chapter 6 (exp). */
#pragma once

#include <stdint.h>
#include <string.h>

#define KRS_ROW_BLOCK 64u /* entries that are skipped or summed together */

/* Blocks of a row of n. */
static inline uint32_t krs_row_blocks(uint32_t n)
{
    return n / KRS_ROW_BLOCK + (n % KRS_ROW_BLOCK != 0);
}

/* exp(z) for z <= 0, within 3e-7 of it relatively; 0 below -87, which no draw of 53 bits can hit. */
static inline float krs_row_exp(float z)
{
    const float low = -87.0f;
    /* Adding 1.5 * 2^23 rounds to an integer, which then stands in the low bits. */
    const float magic = 12582912.0f;
    const float shifted = z * 1.44269504f + magic;
    const float k = shifted - magic;
    const float r = (z - k * 0.693359375f) - k * -2.12194440e-4f; /* ln 2 in two parts */
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    uint32_t bits;
    memcpy(&bits, &shifted, sizeof(bits));
    bits = (bits << 23) + 0x3F800000u; /* 2^k */
    float power;
    memcpy(&power, &bits, sizeof(power));
    /* Below low all of the above is nonsense and masked, not chosen: a branch would keep compilers from
     * making a vector of the loop around it. */
    const float y = p * power;
    memcpy(&bits, &y, sizeof(bits));
    bits &= 0u - (uint32_t)(z > low);
    float masked;
    memcpy(&masked, &bits, sizeof(masked));
    return masked;
}

/* out[n] = x without NaN and plus infinity (cut to the largest number); out may be x. */
void krs_row_clean(const float *x, float *out, uint32_t n);

/* The largest of x[n], -INFINITY when there is none; *at: the first that is as large. Plus infinity is
 * returned as it is. at may be NULL. */
float krs_row_max(const float *x, uint32_t n, uint32_t *at);

/* w[n] = exp((x - max) * scale); sums[krs_row_blocks(n)]: of each block. Returns the sum of the sums. */
double krs_row_weigh(const float *x, uint32_t n, float max, float scale, float *w, double *sums);

/* Indices of x[n] that are at least floor, ascending, into out[n + 1] (the spare is scratch); returns how
 * many. */
uint32_t krs_row_gather(const float *x, uint32_t n, float floor, uint32_t *out);
