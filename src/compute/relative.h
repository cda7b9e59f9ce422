/* compute/relative.h - which bucket the distance between two tokens falls into.
 *
 * A relative position bias has few buckets for many distances: half of them for keys after the query,
 * half for keys at or before it; of each half, the first half has one bucket per distance, the rest grow
 * logarithmically up to max_distance, and all that is farther shares the last.
 *
 * In f32, as the models were trained: a logarithm that rounds the other way puts a distance into its
 * neighbour's bucket.
 *
 * Thread: pure.  Source: Raffel et al. 2020 (T5), section 2.1; Song et al. 2020 (MPNet). */
#pragma once

#include <math.h>
#include <stdint.h>

#define KRS_RELATIVE_MAX_BUCKETS 4096 /* models have 32 */

/* delta: the key's position less the query's. n_buckets: a multiple of 4; max_distance: above a quarter of
 * it. Returns 0 .. n_buckets - 1. */
static inline int32_t krs_relative_bucket(int64_t delta, int32_t n_buckets, int32_t max_distance)
{
    const int32_t half = n_buckets / 2;
    const int32_t n_exact = half / 2;
    const int32_t first = delta > 0 ? half : 0;
    const int64_t distance = delta > 0 ? delta : -delta;
    if (distance < n_exact) {
        return first + (int32_t)distance;
    }
    if (distance >= max_distance) {
        return first + half - 1;
    }
    const float growth =
        logf((float)distance / (float)n_exact) / (float)log((double)max_distance / (double)n_exact);
    const int32_t bucket = n_exact + (int32_t)(growth * (float)(half - n_exact));
    return first + (bucket < half ? bucket : half - 1);
}
