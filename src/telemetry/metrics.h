/* telemetry/metrics.h - counters, gauges and histograms of a fixed table.
 *
 *   thread A --add--> [ slot 3 ] \
 *   thread B --add--> [ slot 9 ]  +--sum--> render
 *   thread C --add--> [ slot 3 ] /
 *
 * What is counted is known when the program is built (metrics.def), so a metric is an enum value, a
 * write is one relaxed atomic add, and nothing is looked up by name while a token is on its way.
 * Counters and histograms are spread over slots on cache lines of their own, chosen by the writing
 * thread, so that threads do not fight over a line; readers add the slots up. A reader sees each
 * number whole but not all numbers of one instant. Gauges have one place: the last write wins.
 *
 * A table of a higher room that has one counter for each of its rows (the JSON-RPC methods) adds them at start as
 * a family.
 *
 * Deliberately absent: labels known only at run time (a client could make them grow without bound),
 * windows and rates (the reader of /metrics computes them), and I/O (rendering fills a buffer).
 *
 * Thread: any; every call may be made from any thread. A NULL krs_metrics is legal and counts nothing.
 * Memory: one allocation in _new.  Source: Prometheus text format 0.0.4. */
#pragma once

#include "base/alloc.h"
#include "base/buf.h"

#define KRS_METRIC_MAX_BUCKETS 24 /* 0.1 ms .. 14 min in powers of two */

typedef enum krs_metric {
#define KRS_METRIC(id, name, labels, kind, unit, lowest, n_buckets, help) KRS_METRIC_##id,
#define KRS_METRIC_AT(id, name, labels, unit, bounds, help)               KRS_METRIC_##id,
#include "telemetry/metrics.def"
#undef KRS_METRIC
#undef KRS_METRIC_AT
    KRS_METRIC_COUNT
} krs_metric;

typedef enum krs_metric_kind {
    KRS_METRIC_KIND_COUNTER,
    KRS_METRIC_KIND_GAUGE,
    KRS_METRIC_KIND_HISTOGRAM,
} krs_metric_kind;

typedef enum krs_metric_unit {
    KRS_METRIC_UNIT_ONE,
    KRS_METRIC_UNIT_BYTES,
    KRS_METRIC_UNIT_NS,    /* stored as nanoseconds, shown as seconds */
    KRS_METRIC_UNIT_MILLI, /* stored as thousandths, shown as a decimal */
} krs_metric_unit;

/* A row of metrics.def. Strings are constants. */
typedef struct krs_metric_info {
    const char *name;
    const char *labels; /* inside the braces, or "" */
    const char *help;   /* "" when the row before has the same name */
    krs_metric_kind kind;
    krs_metric_unit unit;
    const uint64_t *bounds; /* [n_buckets]; NULL: they double from lowest */
    uint64_t lowest;        /* first bucket's bound, in stored units */
    uint32_t n_buckets;
} krs_metric_info;

#define KRS_METRIC_FAMILIES      4
#define KRS_METRIC_FAMILY_VALUES 64 /* of one label; JSON-RPC has some thirty methods */

/* Counters of one name that differ in one label, whose values somebody else's table knows. */
typedef struct krs_metric_family {
    const char *name; /* constants */
    const char *label;
    const char *help;
    const char *(*value_of)(uint32_t i); /* of the label, a constant without quotes; i < n_values */
    uint32_t n_values;                   /* 1 .. KRS_METRIC_FAMILY_VALUES */
} krs_metric_family;

typedef struct krs_metrics krs_metrics;

/* One histogram, summed over the slots. */
typedef struct krs_histogram {
    uint64_t count;
    uint64_t sum;                            /* stored units */
    uint64_t bounds[KRS_METRIC_MAX_BUCKETS]; /* [n_buckets], inclusive upper bounds */
    uint64_t
        counts[KRS_METRIC_MAX_BUCKETS + 1]; /* [n_buckets + 1], not cumulative; last: above all */
    uint32_t n_buckets;
} krs_histogram;

/* All zero. alloc: borrowed, NULL = heap. Errors: KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_metrics_new(const krs_alloc *alloc, krs_metrics **out);
void krs_metrics_free(krs_metrics *metrics);

/* Grow a counter by n; _set gives it a total that somebody else counts (the system's CPU time). */
void krs_metrics_add(krs_metrics *metrics, krs_metric counter, uint64_t n);

/* Set a gauge, or move it by delta. */
void krs_metrics_set(krs_metrics *metrics, krs_metric gauge, int64_t value);
void krs_metrics_shift(krs_metrics *metrics, krs_metric gauge, int64_t delta);

/* Record one value (stored units: ns, bytes or a count) in a histogram. */
void krs_metrics_observe(krs_metrics *metrics, krs_metric histogram, uint64_t value);

/* Add a family; *out: what _count calls it. At start, before other threads count. NULL metrics: KRS_OK.
 * Errors: KRS_ETOOLARGE (KRS_METRIC_FAMILIES, KRS_METRIC_FAMILY_VALUES). */
KRS_MUST_USE krs_status krs_metrics_add_family(krs_metrics *metrics,
                                               const krs_metric_family *family, uint32_t *out);

/* One more of value i of a family; nothing when there is no such family or value. */
void krs_metrics_count(krs_metrics *metrics, uint32_t family, uint32_t i);

uint64_t krs_metrics_read_family(const krs_metrics *metrics, uint32_t family, uint32_t i);

/* The family of that number, or NULL. */
const krs_metric_family *krs_metrics_family_of(const krs_metrics *metrics, uint32_t family);

/* A counter's or gauge's value, or a histogram's count. 0 for NULL. */
int64_t krs_metrics_read(const krs_metrics *metrics, krs_metric metric);

/* A histogram as it stands. Cost: the number of slots times buckets. */
void krs_metrics_read_histogram(const krs_metrics *metrics, krs_metric histogram,
                                krs_histogram *out);

/* The value below which a fraction q (0..1) of the observations lie, interpolated inside its bucket;
 * exact to the bucket, so within a factor of two. 0 when nothing was observed; the last bound when the
 * answer lies above it. */
uint64_t krs_histogram_quantile(const krs_histogram *histogram, double q);

/* Append all metrics in Prometheus text format 0.0.4. Errors: KRS_ETOOLARGE, KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_metrics_render_prometheus(const krs_metrics *metrics, krs_buf *out);

/* The table row; metric must be below KRS_METRIC_COUNT. */
const krs_metric_info *krs_metric_info_of(krs_metric metric);
