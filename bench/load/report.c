/* bench/load/report.c - what a run found, as one JSON object. Times are in milliseconds, rates per second; of
 * the server's own series, counters and sums are shown as their growth while measuring, gauges as they stand
 * when everyone has gone. */
#include "load.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

static json_t *quantiles(const load_hist *h)
{
    const double ms = 1e-6;
    return json_pack("{s:I, s:f, s:f, s:f, s:f, s:f}", "n", (json_int_t)h->n, "mean",
                     h->n > 0 ? h->sum_ns / (double)h->n * ms : 0.0, "p50",
                     (double)load_hist_quantile(h, 0.5) * ms, "p95",
                     (double)load_hist_quantile(h, 0.95) * ms, "p99",
                     (double)load_hist_quantile(h, 0.99) * ms, "max", (double)h->max_ns * ms);
}

static json_t *errors_of(const load_counts *c)
{
    static const char *const names[] = {
#define X(id, name, what) name,
        LOAD_ERRORS(X)
#undef X
    };
    json_t *errors = json_object();
    for (int i = 0; i < LOAD_ERROR_COUNT; i++) {
        (void)json_object_set_new(errors, names[i], json_integer((json_int_t)c->errors[i]));
    }
    return errors;
}

/* How even n numbers are: largest distance from their mean, as a share of it, and Jain's index (1: all
 * equal). */
static json_t *evenness(const double *values, uint32_t n)
{
    double sum = 0;
    double squares = 0;
    for (uint32_t i = 0; i < n; i++) {
        sum += values[i];
        squares += values[i] * values[i];
    }
    const double mean = sum / n;
    double worst = 0;
    for (uint32_t i = 0; i < n; i++) {
        worst = fmax(worst, fabs(values[i] - mean));
    }
    return json_pack("{s:f, s:f}", "max_deviation_percent", mean > 0 ? 100 * worst / mean : 0.0,
                     "jain", squares > 0 ? sum * sum / (n * squares) : 1.0);
}

static json_t *tenants_of(const load_run *run)
{
    const load_options *o = run->options;
    double texts[LOAD_MAX_TENANTS] = {0};
    double all = 0;
    for (uint32_t i = 0; i < o->n_streams; i++) {
        const load_stream *s = &run->streams[i];
        texts[s->tenant] += (double)s->n_measured;
        all += (double)s->n_measured;
    }
    json_t *list = json_array();
    for (uint32_t t = 0; t < o->n_tenants; t++) {
        (void)json_array_append_new(list, json_pack("{s:s, s:i, s:f}", "name", o->tenants[t].name,
                                                    "streams", (int)o->tenants[t].n_streams,
                                                    "share", all > 0 ? texts[t] / all : 0.0));
    }
    return json_pack("{s:o, s:o}", "each", list, "evenness", evenness(texts, o->n_tenants));
}

/* Of the streams that read all the time. */
static json_t *streams_of(const load_run *run)
{
    const load_options *o = run->options;
    double *texts = krs_alloc_array(NULL, o->n_streams, sizeof(*texts));
    uint32_t n = 0;
    for (uint32_t i = 0; texts && i < o->n_streams; i++) {
        if (!run->streams[i].is_pauser) {
            texts[n++] = (double)run->streams[i].n_measured;
        }
    }
    json_t *result = texts ? evenness(texts, n) : json_null();
    krs_alloc_free(NULL, texts);
    return result;
}

static bool is_sum(const char *name)
{
    const size_t n = strcspn(name, "{");
    return (n > 6 && strncmp(name + n - 6, "_total", 6) == 0) ||
           (n > 4 && strncmp(name + n - 4, "_sum", 4) == 0) ||
           (n > 6 && strncmp(name + n - 6, "_count", 6) == 0);
}

static json_t *growth_of(const load_run *run)
{
    json_t *all = json_object();
    const load_metrics *after = &run->metrics[1];
    for (uint32_t i = 0; i < after->n; i++) {
        const char *name = after->series[i].name;
        const double grown = after->series[i].value - load_metrics_value(&run->metrics[0], name);
        if (is_sum(name) && fabs(grown) > 0) {
            (void)json_object_set_new(all, name, json_real(grown));
        }
    }
    return all;
}

static json_t *gauges_of(const load_run *run)
{
    json_t *all = json_object();
    const load_metrics *end = &run->metrics[2];
    for (uint32_t i = 0; i < end->n; i++) {
        if (!is_sum(end->series[i].name)) {
            (void)json_object_set_new(all, end->series[i].name, json_real(end->series[i].value));
        }
    }
    return all;
}

static json_t *memory_of(const load_run *run)
{
    const double mib = 1.0 / (1 << 20);
    return json_pack("{s:I, s:f, s:f, s:f, s:f}", "samples", (json_int_t)run->rss.n, "first_mib",
                     run->rss.first_y * mib, "last_mib", run->rss.last_y * mib, "max_mib",
                     run->rss.max_y * mib, "slope_mib_per_hour",
                     load_trend_slope(&run->rss) * 3600 * mib);
}

/* CPU time per token of each thread, in microseconds; threads of one name together. */
static json_t *threads_of(const load_run *run, double tokens)
{
    json_t *all = json_object();
    for (uint32_t i = 0; i < run->n_threads[1]; i++) {
        const load_series *after = &run->threads[1][i];
        double seconds = after->value;
        for (uint32_t j = 0; j < run->n_threads[0]; j++) {
            if (strcmp(run->threads[0][j].name, after->name) == 0) {
                seconds -= run->threads[0][j].value;
            }
        }
        (void)json_object_set_new(all, after->name,
                                  json_real(tokens > 0 ? seconds * 1e6 / tokens : 0.0));
    }
    return all;
}

static json_t *server_of(const load_run *run, double seconds)
{
    const double tokens = load_metrics_value(&run->metrics[1], "krs_answer_tokens_total") -
                          load_metrics_value(&run->metrics[0], "krs_answer_tokens_total");
    const double cpu = (double)(run->cpu_ns[1] - run->cpu_ns[0]) / 1e9;
    return json_pack("{s:f, s:f, s:f, s:f, s:o, s:o, s:i, s:i, s:o, s:o}", "tokens", tokens,
                     "tokens_per_s", tokens / seconds, "cpu_s", cpu, "cpu_us_per_token",
                     tokens > 0 ? cpu * 1e6 / tokens : 0.0, "threads_us_per_token",
                     threads_of(run, tokens), "rss", memory_of(run), "fds_before", (int)run->fds[0],
                     "fds_after", (int)run->fds[1], "growth", growth_of(run), "gauges_at_end",
                     gauges_of(run));
}

static json_t *run_of(const load_run *run)
{
    const load_options *o = run->options;
    return json_pack("{s:I, s:i, s:i, s:i, s:i, s:i, s:[ii], s:[ii], s:i, s:f, s:b, s:i, s:i, s:i}",
                     "seed", (json_int_t)o->seed, "cpu", o->cpu, "streams", (int)o->n_streams,
                     "seconds", (int)o->seconds, "warmup_s", (int)o->warmup_s, "prompts",
                     (int)o->n_prompts, "prompt_words", (int)o->prompt_words.low,
                     (int)o->prompt_words.high, "max_tokens", (int)o->max_tokens.low,
                     (int)o->max_tokens.high, "tenants", (int)o->n_tenants, "temperature",
                     o->temperature, "ignore_eos", o->ignore_eos, "paused", (int)o->n_paused,
                     "pause_s", (int)o->pause_s, "kill_percent", (int)o->kill_percent);
}

krs_status load_report(const load_run *run)
{
    const load_counts *c = &run->counts;
    const double seconds = (double)(run->options->seconds - run->options->warmup_s);
    uint64_t n_errors = 0;
    for (int i = 0; i < LOAD_ERROR_COUNT; i++) {
        n_errors += c->errors[i];
    }
    const double own_cpu = (double)(run->own_cpu_ns[1] - run->own_cpu_ns[0]) / 1e9;
    json_t *tree = json_pack(
        "{s:o, s:{s:I, s:I, s:I, s:I, s:I}, s:I, s:o, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, "
        "s:{s:f, s:f}}",
        "run", run_of(run), "requests", "asked", (json_int_t)c->n_asked, "whole",
        (json_int_t)c->n_whole, "left", (json_int_t)c->n_left, "refused", (json_int_t)c->n_refused,
        "cut_while_paused", (json_int_t)c->n_cut, "errors", (json_int_t)n_errors, "errors_by_kind",
        errors_of(c), "tokens_of_whole_answers", (json_int_t)c->n_tokens, "events_with_text",
        (json_int_t)c->n_texts, "first_token_ms", quantiles(&run->ttft), "between_tokens_ms",
        quantiles(&run->gap), "between_tokens_of_pausers_ms", quantiles(&run->gap_pauser),
        "tenants", tenants_of(run), "streams", streams_of(run), "server", server_of(run, seconds),
        "generator", "cpu_s", own_cpu, "cpu_percent", 100 * own_cpu / seconds);
    char *text = tree ? json_dumps(tree, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;
    const bool is_out = text && puts(text) >= 0 && fflush(stdout) == 0;
    free(text);
    json_decref(tree);
    return is_out ? KRS_OK : KRS_EIO;
}
