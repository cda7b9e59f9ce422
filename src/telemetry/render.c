/* telemetry/render.c - metrics as Prometheus text.
 *
 *   # HELP krs_requests_finished_total Generation requests ended, by reason.
 *   # TYPE krs_requests_finished_total counter
 *   krs_requests_finished_total{finish="stop"} 12
 *
 * Times are kept as whole nanoseconds and written as decimal seconds by splitting the integer, so no
 * floating point rounds a counter. HELP and TYPE come once per name: rows of a name stand together. */
#include "telemetry/metrics.h"

#include <inttypes.h>
#include <string.h>

#define NS_PER_S 1000000000u

/* The value in its shown unit. */
static krs_status append_value(krs_buf *out, krs_metric_unit unit, int64_t value)
{
    if (unit != KRS_METRIC_UNIT_NS && unit != KRS_METRIC_UNIT_MILLI) {
        return krs_buf_printf(out, "%" PRId64, value);
    }
    const uint64_t size = value < 0 ? ~(uint64_t)value + 1 : (uint64_t)value;
    const uint64_t whole = unit == KRS_METRIC_UNIT_NS ? NS_PER_S : 1000;
    return krs_buf_printf(out, "%s%" PRIu64 ".%0*" PRIu64, value < 0 ? "-" : "", size / whole,
                          unit == KRS_METRIC_UNIT_NS ? 9 : 3, size % whole);
}

static krs_status append_head(krs_buf *out, const krs_metric_info *info)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    return krs_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", info->name, info->help, info->name,
                          kinds[info->kind]);
}

/* name{labels} value */
static krs_status append_plain(krs_buf *out, const krs_metric_info *info, int64_t value)
{
    const bool has_labels = info->labels[0] != '\0';
    krs_status status = krs_buf_printf(out, "%s%s%s%s ", info->name, has_labels ? "{" : "",
                                       info->labels, has_labels ? "}" : "");
    if (status == KRS_OK) {
        status = append_value(out, info->unit, value);
    }
    return status == KRS_OK ? krs_buf_append_char(out, '\n') : status;
}

/* name_bucket{labels,le="bound"} count-so-far; bound NULL: +Inf. */
static krs_status append_bucket(krs_buf *out, const krs_metric_info *info, const uint64_t *bound,
                                uint64_t count)
{
    krs_status status = krs_buf_printf(out, "%s_bucket{%s%sle=\"", info->name, info->labels,
                                       info->labels[0] ? "," : "");
    if (status == KRS_OK) {
        status = bound ? append_value(out, info->unit, (int64_t)*bound)
                       : krs_buf_append_str(out, KRS_STR("+Inf"));
    }
    return status == KRS_OK ? krs_buf_printf(out, "\"} %" PRIu64 "\n", count) : status;
}

static krs_status append_total(krs_buf *out, const krs_metric_info *info, const char *suffix,
                               krs_metric_unit unit, uint64_t value)
{
    const bool has_labels = info->labels[0] != '\0';
    krs_status status = krs_buf_printf(out, "%s%s%s%s%s ", info->name, suffix,
                                       has_labels ? "{" : "", info->labels, has_labels ? "}" : "");
    if (status == KRS_OK) {
        status = append_value(out, unit, (int64_t)value);
    }
    return status == KRS_OK ? krs_buf_append_char(out, '\n') : status;
}

static krs_status append_histogram(krs_buf *out, const krs_metric_info *info,
                                   const krs_histogram *histogram)
{
    uint64_t so_far = 0;
    krs_status status = KRS_OK;
    for (uint32_t i = 0; i <= histogram->n_buckets && status == KRS_OK; i++) {
        so_far += histogram->counts[i];
        const bool is_last = i == histogram->n_buckets;
        status = append_bucket(out, info, is_last ? NULL : &histogram->bounds[i], so_far);
    }
    if (status == KRS_OK) {
        status = append_total(out, info, "_sum", info->unit, histogram->sum);
    }
    if (status == KRS_OK) {
        status = append_total(out, info, "_count", KRS_METRIC_UNIT_ONE, histogram->count);
    }
    return status;
}

static krs_status append_metric(const krs_metrics *metrics, krs_metric metric, krs_buf *out)
{
    const krs_metric_info *info = krs_metric_info_of(metric);
    if (info->kind != KRS_METRIC_KIND_HISTOGRAM) {
        return append_plain(out, info, krs_metrics_read(metrics, metric));
    }
    krs_histogram histogram;
    krs_metrics_read_histogram(metrics, metric, &histogram);
    return append_histogram(out, info, &histogram);
}

static krs_status append_family(const krs_metrics *metrics, uint32_t family, krs_buf *out)
{
    const krs_metric_family *row = krs_metrics_family_of(metrics, family);
    const krs_metric_info info = {.name = row->name, .help = row->help};
    krs_status status = append_head(out, &info);
    for (uint32_t i = 0; i < row->n_values && status == KRS_OK; i++) {
        status = krs_buf_printf(out, "%s{%s=\"%s\"} %" PRIu64 "\n", row->name, row->label,
                                row->value_of(i), krs_metrics_read_family(metrics, family, i));
    }
    return status;
}

krs_status krs_metrics_render_prometheus(const krs_metrics *metrics, krs_buf *out)
{
    const char *previous = "";
    krs_status status = KRS_OK;
    for (unsigned i = 0; i < KRS_METRIC_COUNT && status == KRS_OK; i++) {
        const krs_metric_info *info = krs_metric_info_of((krs_metric)i);
        if (strcmp(info->name, previous) != 0) {
            status = append_head(out, info);
            previous = info->name;
        }
        if (status == KRS_OK) {
            status = append_metric(metrics, (krs_metric)i, out);
        }
    }
    for (uint32_t i = 0; krs_metrics_family_of(metrics, i) && status == KRS_OK; i++) {
        status = append_family(metrics, i, out);
    }
    return status;
}
