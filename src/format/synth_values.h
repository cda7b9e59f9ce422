/* format/synth_values.h - normal numbers by the billion, addressed by a counter.
 *
 *   block j of a tensor = mix(key + (j + 1) * golden): 64 bits = four 16-bit ranks
 *   value of rank r     = std * quantile((r + 1/2) / 65536)          one table look-up
 *
 * Two transcendental functions per value would make a billion parameters take a minute; four values from
 * one multiply-and-shift hash and a table in the second-level cache take about a second. The price is a
 * largest value of 4.3 standard deviations and 65536 distinct ones, which is what 16-bit weights hold.
 *
 * Thread: immutable after new.  Memory: the table.
 * Source: Steele, Lea, Flood 2014 (SplitMix64's mixing function). */
#pragma once

#include "base/alloc.h"
#include "base/status.h"
#include "base/str.h"

#define KRS_SYNTH_BLOCK 4u /* values of one draw */

typedef struct krs_synth_values krs_synth_values;

/* NULL when there is no memory. Cost: about 10 ms. */
KRS_MUST_USE krs_synth_values *krs_synth_values_new(double std, const krs_alloc *alloc);
void krs_synth_values_free(krs_synth_values *values);

/* The key of one tensor. */
uint64_t krs_synth_key(uint64_t seed, krs_str name);

/* out[n] = values first .. first + n - 1 of the tensor. first: a multiple of KRS_SYNTH_BLOCK. */
void krs_synth_values_fill(const krs_synth_values *values, uint64_t key, uint64_t first, size_t n,
                           float *out);
