/* format/synth_values.c - see synth_values.h. */
#include "format/synth_values.h"

#include "base/check.h"

#include <math.h>

#define N_RANKS      65536u
#define GOLDEN       0x9E3779B97F4A7C15ull /* 2^64 over the golden ratio: SplitMix64's step */
#define NEWTON_STEPS 60 /* ceiling; two or three from the neighbour, a few more in the tail */

struct krs_synth_values {
    const krs_alloc *alloc;
    float table[N_RANKS];
};

/* The x above which a share of `tail` (at most 1/2) of a normal distribution lies, found by Newton's
 * method from a start that is not above it: the tail is convex there, so it cannot overshoot. */
static double quantile_of_tail(double tail, double start)
{
    double x = start;
    for (int i = 0; i < NEWTON_STEPS; i++) {
        const double density = exp(-0.5 * x * x) * 0.39894228040143267794;
        const double step = (0.5 * erfc(x * 0.70710678118654752440) - tail) / density;
        x += step;
        if (fabs(step) < 1e-14) {
            break;
        }
    }
    return x;
}

krs_synth_values *krs_synth_values_new(double std, const krs_alloc *alloc)
{
    krs_synth_values *values = krs_alloc_bytes(alloc, sizeof(*values));
    if (!values) {
        return NULL;
    }
    values->alloc = alloc;
    double x = 0;
    for (uint32_t rank = N_RANKS / 2; rank < N_RANKS; rank++) {
        const double tail = ((double)(N_RANKS - rank) - 0.5) / N_RANKS;
        x = quantile_of_tail(tail, x);
        values->table[rank] = (float)(std * x);
        values->table[N_RANKS - 1 - rank] = (float)(-std * x);
    }
    return values;
}

void krs_synth_values_free(krs_synth_values *values)
{
    if (values) {
        krs_alloc_free(values->alloc, values);
    }
}

static uint64_t mix(uint64_t z)
{
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ z >> 27) * 0x94D049BB133111EBull;
    return z ^ z >> 31;
}

uint64_t krs_synth_key(uint64_t seed, krs_str name)
{
    uint64_t hash = 0xCBF29CE484222325ull; /* FNV-1a: short, and written down, so it stays */
    for (size_t i = 0; i < name.len; i++) {
        hash = (hash ^ (unsigned char)name.ptr[i]) * 0x100000001B3ull;
    }
    return mix(seed + GOLDEN) ^ hash;
}

void krs_synth_values_fill(const krs_synth_values *values, uint64_t key, uint64_t first, size_t n,
                           float *out)
{
    KRS_DCHECK(first % KRS_SYNTH_BLOCK == 0);
    const float *table = values->table;
    uint64_t block = first / KRS_SYNTH_BLOCK;
    for (; n >= KRS_SYNTH_BLOCK; n -= KRS_SYNTH_BLOCK, out += KRS_SYNTH_BLOCK) {
        const uint64_t draw = mix(key + ++block * GOLDEN);
        out[0] = table[draw & 0xFFFFu];
        out[1] = table[draw >> 16 & 0xFFFFu];
        out[2] = table[draw >> 32 & 0xFFFFu];
        out[3] = table[draw >> 48];
    }
    const uint64_t draw = mix(key + ++block * GOLDEN);
    for (size_t i = 0; i < n; i++) { /* what is left of the last block */
        out[i] = table[draw >> (16 * i) & 0xFFFFu];
    }
}
