/* bench/load/stats.c - see stats.h. */
#include "stats.h"

#include <math.h>

/* Bucket of ns: the first LOAD_HIST_PARTS are exact, then each power of two has as many. */
static size_t bucket_of(uint64_t ns)
{
    if (ns < LOAD_HIST_PARTS) {
        return (size_t)ns;
    }
    const unsigned power = 63u - (unsigned)__builtin_clzll(ns) - LOAD_HIST_PART_BITS;
    const size_t bucket =
        (size_t)(power + 1) * LOAD_HIST_PARTS + (size_t)(ns >> power) - LOAD_HIST_PARTS;
    const size_t last = (size_t)LOAD_HIST_POWERS * LOAD_HIST_PARTS - 1;
    return bucket < last ? bucket : last;
}

/* Middle of a bucket. */
static uint64_t value_of(size_t bucket)
{
    if (bucket < LOAD_HIST_PARTS) {
        return bucket;
    }
    const unsigned power = (unsigned)(bucket / LOAD_HIST_PARTS) - 1;
    const uint64_t low = (uint64_t)(bucket % LOAD_HIST_PARTS + LOAD_HIST_PARTS) << power;
    return low + ((UINT64_C(1) << power) >> 1);
}

void load_hist_add(load_hist *h, uint64_t ns)
{
    h->counts[bucket_of(ns)]++;
    h->n++;
    h->sum_ns += (double)ns;
    h->max_ns = ns > h->max_ns ? ns : h->max_ns;
}

uint64_t load_hist_quantile(const load_hist *h, double q)
{
    if (h->n == 0) {
        return 0;
    }
    const uint64_t rank = (uint64_t)ceil(q * (double)h->n);
    uint64_t n = 0;
    for (size_t i = 0; i < (size_t)LOAD_HIST_POWERS * LOAD_HIST_PARTS; i++) {
        n += h->counts[i];
        if (n >= rank && n > 0) {
            const uint64_t value = value_of(i);
            return value < h->max_ns ? value : h->max_ns;
        }
    }
    return h->max_ns;
}

void load_trend_add(load_trend *t, double x, double y)
{
    if (t->n == 0) {
        t->first_y = y;
        t->max_y = y;
    }
    t->n++;
    t->sum_x += x;
    t->sum_y += y;
    t->sum_xx += x * x;
    t->sum_xy += x * y;
    t->last_y = y;
    t->max_y = y > t->max_y ? y : t->max_y;
}

double load_trend_slope(const load_trend *t)
{
    const double n = (double)t->n;
    const double spread = n * t->sum_xx - t->sum_x * t->sum_x;
    return t->n < 3 || !(spread > 0) ? 0 : (n * t->sum_xy - t->sum_x * t->sum_y) / spread;
}

uint64_t load_random(uint64_t *state)
{
    *state += 0x9E3779B97F4A7C15u;
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

uint32_t load_random_between(uint64_t *state, uint32_t low, uint32_t high)
{
    if (high <= low) {
        return low;
    }
    const double unit = (double)(load_random(state) >> 11) * 0x1p-53;
    const double x = exp(log((double)low) + unit * (log((double)high + 1) - log((double)low)));
    const uint32_t n = (uint32_t)x;
    return n < low ? low : n > high ? high : n;
}
