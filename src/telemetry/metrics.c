/* telemetry/metrics.c - see metrics.h.
 *
 * All atomics are relaxed: a metric publishes nothing but itself. Slots are picked by the address of
 * a thread-local byte: it tells threads apart without a registry of threads, and is never written. */
#include "telemetry/metrics.h"

#include "base/check.h"
#include "base/ring.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <string.h>

#define METRICS_SLOTS 16u /* power of two; engine, io and prep threads rarely share one */

#define KIND(name) KRS_METRIC_KIND_##name
#define UNIT(name) KRS_METRIC_UNIT_##name

#define MS(n) (UINT64_C(1000000) * (n))

#define KRS_METRIC_BOUNDS(id, ...) static const uint64_t bounds_##id[] = {__VA_ARGS__};
#include "telemetry/metric_bounds.def"
#undef KRS_METRIC_BOUNDS

#define BOUNDS(id)   bounds_##id
#define N_BOUNDS(id) (sizeof(bounds_##id) / sizeof(bounds_##id[0]))

static const krs_metric_info metric_rows[KRS_METRIC_COUNT] = {
#define KRS_METRIC(id, name, labels, kind, unit, lowest, n_buckets, help)                          \
    {name, labels, help, KIND(kind), UNIT(unit), NULL, lowest, n_buckets},
#define KRS_METRIC_AT(id, name, labels, unit, bounds, help)                                        \
    {name, labels, help, KIND(HISTOGRAM), UNIT(unit), BOUNDS(bounds), 0, N_BOUNDS(bounds)},
#include "telemetry/metrics.def"
#undef KRS_METRIC
#undef KRS_METRIC_AT
};

typedef struct histogram_cells {
    _Atomic uint64_t sum;
    _Atomic uint64_t counts[KRS_METRIC_MAX_BUCKETS + 1];
} histogram_cells;

/* counts and histograms are indexed by metric; a metric uses one of the two and the other stays
 * zero: plain indexing is worth some unused memory (about 120 KB in all). */
typedef struct metrics_slot {
    alignas(KRS_CACHE_LINE_BYTES) _Atomic uint64_t counts[KRS_METRIC_COUNT];
    histogram_cells histograms[KRS_METRIC_COUNT];
} metrics_slot;

struct krs_metrics {
    const krs_alloc *alloc;
    void *block; /* what alloc gave; this struct lies in it at a cache line */
    _Atomic int64_t gauges[KRS_METRIC_COUNT];
    krs_metric_family families[KRS_METRIC_FAMILIES];
    uint32_t n_families; /* immutable once threads count */
    _Atomic uint64_t family_counts[KRS_METRIC_FAMILIES][KRS_METRIC_FAMILY_VALUES];
    metrics_slot slots[METRICS_SLOTS];
};

krs_status krs_metrics_new(const krs_alloc *alloc, krs_metrics **out)
{
    *out = NULL;
    const size_t slack = alignof(krs_metrics) - 1;
    void *block = krs_alloc_zero(alloc, sizeof(krs_metrics) + slack);
    if (!block) {
        return KRS_ENOMEM;
    }
    const uintptr_t at = (uintptr_t)block;
    krs_metrics *metrics = (void *)((unsigned char *)block + ((~at + 1) & slack));
    metrics->alloc = alloc;
    metrics->block = block;
    *out = metrics;
    return KRS_OK;
}

void krs_metrics_free(krs_metrics *metrics)
{
    if (metrics) {
        krs_alloc_free(metrics->alloc, metrics->block);
    }
}

const krs_metric_info *krs_metric_info_of(krs_metric metric)
{
    KRS_CHECK((unsigned)metric < KRS_METRIC_COUNT);
    return &metric_rows[metric];
}

static metrics_slot *own_slot(krs_metrics *metrics)
{
    static _Thread_local const char here = 0;
    /* Thread blocks lie pages apart: fold the high bits into the low ones. */
    const uint64_t mixed = ((uint64_t)(uintptr_t)&here >> 6) * UINT64_C(0x9E3779B97F4A7C15);
    return &metrics->slots[(mixed >> 40) % METRICS_SLOTS];
}

void krs_metrics_add(krs_metrics *metrics, krs_metric counter, uint64_t n)
{
    KRS_DCHECK(krs_metric_info_of(counter)->kind == KRS_METRIC_KIND_COUNTER);
    if (metrics) {
        atomic_fetch_add_explicit(&own_slot(metrics)->counts[counter], n, memory_order_relaxed);
    }
}

void krs_metrics_set(krs_metrics *metrics, krs_metric gauge, int64_t value)
{
    KRS_DCHECK(krs_metric_info_of(gauge)->kind != KRS_METRIC_KIND_HISTOGRAM);
    if (metrics) {
        atomic_store_explicit(&metrics->gauges[gauge], value, memory_order_relaxed);
    }
}

void krs_metrics_shift(krs_metrics *metrics, krs_metric gauge, int64_t delta)
{
    KRS_DCHECK(krs_metric_info_of(gauge)->kind == KRS_METRIC_KIND_GAUGE);
    if (metrics) {
        atomic_fetch_add_explicit(&metrics->gauges[gauge], delta, memory_order_relaxed);
    }
}

/* Smallest i with value <= bounds[i], or n. A dozen compares: short lists need no halving. */
static uint32_t bucket_among(uint64_t value, const uint64_t *bounds, uint32_t n)
{
    uint32_t i = 0;
    while (i < n && value > bounds[i]) {
        i++;
    }
    return i;
}

/* Smallest i with value <= lowest * 2^i, or n when there is none below n. */
static uint32_t bucket_doubling(uint64_t value, uint64_t lowest, uint32_t n)
{
    if (value <= lowest) {
        return 0;
    }
    const uint64_t times = (value - 1) / lowest + 1; /* rounded up; at least 2 here */
    const uint32_t i = 64u - (uint32_t)__builtin_clzll(times - 1);
    return i < n ? i : n;
}

void krs_metrics_observe(krs_metrics *metrics, krs_metric histogram, uint64_t value)
{
    const krs_metric_info *info = krs_metric_info_of(histogram);
    KRS_DCHECK(info->kind == KRS_METRIC_KIND_HISTOGRAM);
    if (metrics) {
        histogram_cells *cells = &own_slot(metrics)->histograms[histogram];
        const uint32_t i = info->bounds ? bucket_among(value, info->bounds, info->n_buckets)
                                        : bucket_doubling(value, info->lowest, info->n_buckets);
        atomic_fetch_add_explicit(&cells->counts[i], 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&cells->sum, value, memory_order_relaxed);
    }
}

void krs_metrics_read_histogram(const krs_metrics *metrics, krs_metric histogram,
                                krs_histogram *out)
{
    const krs_metric_info *info = krs_metric_info_of(histogram);
    KRS_CHECK(info->kind == KRS_METRIC_KIND_HISTOGRAM);
    *out = (krs_histogram){.n_buckets = info->n_buckets};
    for (uint32_t i = 0; i < info->n_buckets; i++) {
        out->bounds[i] = info->bounds ? info->bounds[i] : info->lowest << i;
    }
    for (uint32_t s = 0; metrics && s < METRICS_SLOTS; s++) {
        const histogram_cells *cells = &metrics->slots[s].histograms[histogram];
        out->sum += atomic_load_explicit(&cells->sum, memory_order_relaxed);
        for (uint32_t i = 0; i <= info->n_buckets; i++) {
            const uint64_t n = atomic_load_explicit(&cells->counts[i], memory_order_relaxed);
            out->counts[i] += n;
            out->count += n; /* the sum of the buckets, so a rendered histogram is consistent */
        }
    }
}

int64_t krs_metrics_read(const krs_metrics *metrics, krs_metric metric)
{
    const krs_metric_info *info = krs_metric_info_of(metric);
    if (!metrics) {
        return 0;
    }
    if (info->kind == KRS_METRIC_KIND_GAUGE) {
        return atomic_load_explicit(&metrics->gauges[metric], memory_order_relaxed);
    }
    if (info->kind == KRS_METRIC_KIND_HISTOGRAM) {
        krs_histogram histogram;
        krs_metrics_read_histogram(metrics, metric, &histogram);
        return (int64_t)histogram.count;
    }
    uint64_t sum = (uint64_t)atomic_load_explicit(&metrics->gauges[metric], memory_order_relaxed);
    for (uint32_t s = 0; s < METRICS_SLOTS; s++) {
        sum += atomic_load_explicit(&metrics->slots[s].counts[metric], memory_order_relaxed);
    }
    return (int64_t)sum;
}

krs_status krs_metrics_add_family(krs_metrics *metrics, const krs_metric_family *family,
                                  uint32_t *out)
{
    *out = KRS_METRIC_FAMILIES;
    if (!metrics) {
        return KRS_OK;
    }
    if (metrics->n_families == KRS_METRIC_FAMILIES || family->n_values == 0 ||
        family->n_values > KRS_METRIC_FAMILY_VALUES) {
        return KRS_ETOOLARGE;
    }
    *out = metrics->n_families;
    metrics->families[metrics->n_families++] = *family;
    return KRS_OK;
}

const krs_metric_family *krs_metrics_family_of(const krs_metrics *metrics, uint32_t family)
{
    return metrics && family < metrics->n_families ? &metrics->families[family] : NULL;
}

void krs_metrics_count(krs_metrics *metrics, uint32_t family, uint32_t i)
{
    const krs_metric_family *row = krs_metrics_family_of(metrics, family);
    if (row && i < row->n_values) {
        atomic_fetch_add_explicit(&metrics->family_counts[family][i], 1, memory_order_relaxed);
    }
}

uint64_t krs_metrics_read_family(const krs_metrics *metrics, uint32_t family, uint32_t i)
{
    const krs_metric_family *row = krs_metrics_family_of(metrics, family);
    return row && i < row->n_values
               ? atomic_load_explicit(&metrics->family_counts[family][i], memory_order_relaxed)
               : 0;
}

uint64_t krs_histogram_quantile(const krs_histogram *histogram, double q)
{
    const double rank = (q < 0 ? 0 : q > 1 ? 1 : q) * (double)histogram->count;
    double below = 0;
    for (uint32_t i = 0; histogram->count > 0 && i < histogram->n_buckets; i++) {
        const double here = (double)histogram->counts[i];
        if (here > 0 && below + here >= rank) {
            const double low = i == 0 ? 0.0 : (double)histogram->bounds[i - 1];
            const double width = (double)histogram->bounds[i] - low;
            return (uint64_t)(low + width * (rank - below) / here);
        }
        below += here;
    }
    return histogram->count > 0 ? histogram->bounds[histogram->n_buckets - 1] : 0;
}
