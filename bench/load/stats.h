/* bench/load/stats.h - numbers of a long run in constant memory: quantiles and a trend.
 *
 * A run of an hour has tens of millions of waits between tokens; keeping them all would make the generator
 * the biggest process of the machine. A histogram with LOAD_HIST_PARTS buckets to each power of two knows
 * every quantile to 0.4 %, which is finer than what runs of one program differ by.
 *
 * Thread: one owner.  Memory: the structs. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOAD_HIST_PART_BITS 8
#define LOAD_HIST_PARTS     (1u << LOAD_HIST_PART_BITS)
#define LOAD_HIST_POWERS    34 /* to 2^42 ns, more than an hour */

typedef struct load_hist {
    uint64_t n;
    uint64_t max_ns;
    double sum_ns;
    uint64_t counts[LOAD_HIST_POWERS * LOAD_HIST_PARTS];
} load_hist;

void load_hist_add(load_hist *h, uint64_t ns);

/* The value that share q (0..1) of all values do not exceed, in ns; 0 when empty. */
uint64_t load_hist_quantile(const load_hist *h, double q);

/* Samples (x, y) of something that should not grow. */
typedef struct load_trend {
    uint64_t n;
    double sum_x;
    double sum_y;
    double sum_xx;
    double sum_xy;
    double first_y;
    double last_y;
    double max_y;
} load_trend;

void load_trend_add(load_trend *t, double x, double y);

/* Least-squares slope, in y per x; 0 with fewer than 3 samples. */
double load_trend_slope(const load_trend *t);

/* A stream of numbers that a seed determines (SplitMix64). */
uint64_t load_random(uint64_t *state);
/* One of low .. high, small ones as likely as ones ten times larger: prompts and answers come in all sizes. */
uint32_t load_random_between(uint64_t *state, uint32_t low, uint32_t high);
