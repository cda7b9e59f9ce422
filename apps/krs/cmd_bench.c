/* apps/krs/cmd_bench.c - krs bench MODEL: load time, prefill and decode speed, and how close decode is
 * to what memory allows.
 *
 * Decode at batch 1 reads every weight once a step, so its floor is weight bytes over read bandwidth;
 * prefill multiplies every weight with every token, so its floor is operations over the rate of products.
 * Both ceilings are measured in the same run, before and after, the better counting: on a shared machine
 * a share of the ceiling means something, a bare tokens/s does not. Figures are medians. */
#include "base/check.h"
#include "bench.h"
#include "bench_guidance.h"
#include "bench_speculation.h"
#include "command.h"
#include "compute/cpu/ceiling.h"
#include "local.h"
#include "os/clock.h"
#include "progress.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct report {
    double open_s;    /* mapping, checking, binding */
    double compile_s; /* planning and scratch: until the first step can run */
    /* By as many threads; all 0 on a device with its own memory. */
    krs_cpu_read_rates read;
    double ops_per_s[KRS_CPU_DOT_COUNT];
    uint64_t weight_bytes; /* without routed experts */
    uint64_t expert_bytes;
    double expert_share;  /* of experts that one token reads */
    double ops_per_token; /* of all linears but the head, which prefill runs for one row only */
    uint64_t kv_bytes_per_token;
    double *prefill_s; /* [repeat] */
    double *decode_s;  /* [repeat] */
    uint32_t n_runs;
} report;

static krs_bench_options options_of(const krs_config *config)
{
    return (krs_bench_options){(uint32_t)krs_config_int(config, KRS_OPTION_PROMPT_TOKENS),
                               (uint32_t)krs_config_int(config, KRS_OPTION_GEN_TOKENS),
                               (uint32_t)krs_config_int(config, KRS_OPTION_STREAMS)};
}

static krs_status run_all(const krs_config *config, krs_bench *bench, report *r, krs_error *err)
{
    const uint32_t n = (uint32_t)krs_config_int(config, KRS_OPTION_REPEAT);
    KRS_DCHECK(r->prefill_s && r->decode_s);
    krs_progress progress;
    krs_progress_start(&progress, config, "bench", n + 1);
    krs_bench_times times;
    /* One run to fault pages in and wake the clocks, not counted. */
    krs_status status = krs_bench_run(bench, &times, err);
    for (uint32_t i = 0; status == KRS_OK && i < n; i++) {
        krs_progress_set(&progress, i + 1);
        status = krs_bench_run(bench, &times, err);
        r->prefill_s[i] = times.prefill_s;
        r->decode_s[i] = times.decode_s;
    }
    krs_progress_end(&progress);
    r->n_runs = n;
    return status;
}

static krs_dtype kv_dtype_of(const krs_config *config, const krs_backend *backend)
{
    const krs_dtype dtype = krs_local_kv_dtype(config);
    return dtype == KRS_DTYPE_COUNT ? krs_backend_kv_dtype(backend) : dtype;
}

static krs_status measure(const krs_config *config, krs_backend *backend, const krs_model *model,
                          report *r, krs_error *err)
{
    const krs_bench_options options = options_of(config);
    krs_bench *bench = NULL;
    const uint64_t t0 = krs_os_now_ns();
    krs_status status =
        krs_bench_new(backend, model, &options, kv_dtype_of(config, backend), &bench, err);
    r->compile_s = (double)(krs_os_now_ns() - t0) / 1e9;
    const uint32_t n = (uint32_t)krs_config_int(config, KRS_OPTION_REPEAT);
    r->prefill_s = krs_alloc_array(NULL, n, sizeof(double));
    r->decode_s = krs_alloc_array(NULL, n, sizeof(double));
    if (status == KRS_OK && (!r->prefill_s || !r->decode_s)) {
        status = krs_fail(err, KRS_ENOMEM, "bench: out of memory");
    }
    if (status == KRS_OK) {
        status = run_all(config, bench, r, err);
    }
    krs_bench_free(bench);
    return status;
}

/* What the medians say. */
typedef struct figures {
    double prefill_tps;
    double decode_tps;
    double decode_bytes_ps;
    double prefill_ops_ps;
} figures;

static figures figures_of(const krs_config *config, const report *r)
{
    const krs_bench_options o = options_of(config);
    const double prefill_s = krs_bench_median(r->prefill_s, r->n_runs);
    const double decode_s = krs_bench_median(r->decode_s, r->n_runs);
    /* A step reads all weights once, but of experts only those that some stream has chosen (as many as if
     * each chose by itself, which is what routers are trained towards), and each stream's KV so far. */
    const double mean_past = o.n_prompt_tokens + o.n_gen_tokens / 2.0;
    const double experts_read = 1.0 - pow(1.0 - r->expert_share, o.n_streams);
    const double step_bytes = (double)r->weight_bytes + experts_read * (double)r->expert_bytes +
                              o.n_streams * mean_past * (double)r->kv_bytes_per_token;
    return (figures){o.n_prompt_tokens / prefill_s, (double)o.n_gen_tokens * o.n_streams / decode_s,
                     step_bytes * o.n_gen_tokens / decode_s,
                     r->ops_per_token * o.n_prompt_tokens / prefill_s};
}

static void print_bytes(double bytes_ps, const krs_cpu_read_rates *read)
{
    (void)printf("bytes      %.1f GB/s in decode", bytes_ps / 1e9);
    if (read->best > 0) {
        (void)printf(", %.0f %% of %.1f GB/s read bandwidth (%.0f %% of its median, %.1f)",
                     100 * bytes_ps / read->best, read->best / 1e9, 100 * bytes_ps / read->median,
                     read->median / 1e9);
    }
    (void)printf("\n");
}

static void print_products(double ops_ps, const double *ceilings)
{
    (void)printf("products   %.0f Gop/s in prefill", ops_ps / 1e9);
    for (krs_cpu_dot dot = KRS_CPU_DOT_F32; dot < KRS_CPU_DOT_COUNT; dot++) {
        if (ceilings[dot] > 0) {
            (void)printf(", %.0f %% of %.0f in %s", 100 * ops_ps / ceilings[dot],
                         ceilings[dot] / 1e9, krs_cpu_dot_name(dot));
        }
    }
    (void)printf("\n");
}

static json_t *json_of(const krs_backend *backend, const krs_bench_options *o, const report *r,
                       const figures *f)
{
    json_t *json =
        json_pack("{s:s, s:f, s:f, s:i, s:i, s:i, s:i, s:f, s:f, s:f, s:f, s:f, s:f, s:I}",
                  "device", krs_backend_describe(backend), "open_s", r->open_s, "compile_s",
                  r->compile_s, "prompt_tokens", (int)o->n_prompt_tokens, "gen_tokens",
                  (int)o->n_gen_tokens, "streams", (int)o->n_streams, "runs", (int)r->n_runs,
                  "prefill_tokens_per_s", f->prefill_tps, "decode_tokens_per_s", f->decode_tps,
                  "decode_bytes_per_s", f->decode_bytes_ps, "prefill_ops_per_s", f->prefill_ops_ps,
                  "read_bandwidth_bytes_per_s", r->read.best, "read_bandwidth_median_bytes_per_s",
                  r->read.median, "weight_bytes", (json_int_t)r->weight_bytes);
    for (krs_cpu_dot dot = KRS_CPU_DOT_F32; json && dot < KRS_CPU_DOT_COUNT; dot++) {
        char key[32];
        (void)snprintf(key, sizeof(key), "%s_ops_per_s", krs_cpu_dot_name(dot));
        if (json_object_set_new(json, key, json_real(r->ops_per_s[dot])) != 0) {
            json_decref(json);
            json = NULL;
        }
    }
    return json;
}

static int print_report(const krs_config *config, const krs_backend *backend, const report *r)
{
    const krs_bench_options o = options_of(config);
    const figures f = figures_of(config, r);
    if (krs_config_bool(config, KRS_OPTION_JSON)) {
        return krs_say_json(json_of(backend, &o, r, &f));
    }
    (void)printf("device     %s\n", krs_backend_describe(backend));
    (void)printf("load       %.1f ms to map and bind, %.1f ms to compile\n", r->open_s * 1e3,
                 r->compile_s * 1e3);
    (void)printf("prefill    %.1f tokens/s (%u tokens)\n", f.prefill_tps, o.n_prompt_tokens);
    (void)printf("decode     %.1f tokens/s (%u stream%s, %u tokens each)\n", f.decode_tps,
                 o.n_streams, o.n_streams == 1 ? "" : "s", o.n_gen_tokens);
    print_bytes(f.decode_bytes_ps, &r->read);
    print_products(f.prefill_ops_ps, r->ops_per_s);
    (void)printf("runs       %u after one to warm up, medians\n", r->n_runs);
    return krs_say_flush();
}

/* Two for each weight that meets a token, routed experts by the share of their bytes. */
static double ops_per_token_of(const krs_model_stats *stats, const krs_model_config *model,
                               double expert_share)
{
    const double looked_up =
        (model->is_tied ? 1.0 : 2.0) * (double)model->vocab * (double)model->hidden;
    const double bytes = (double)(stats->attention_bytes + stats->ffn_bytes);
    const double idle = bytes > 0 ? (1 - expert_share) * (double)stats->expert_bytes / bytes : 0;
    return 2 * ((double)stats->n_parameters - looked_up) * (1 - idle);
}

static krs_status open_model(const krs_config *config, krs_model **out, report *r, krs_error *err)
{
    krs_model_options options = KRS_MODEL_OPTIONS_INIT;
    options.map_mode =
        krs_config_bool(config, KRS_OPTION_MMAP) ? KRS_OS_MAP_SHARED_PAGES : KRS_OS_MAP_COPY;
    const uint64_t t0 = krs_os_now_ns();
    const krs_status status = krs_model_open(config->positionals[0], &options, NULL, out, err);
    r->open_s = (double)(krs_os_now_ns() - t0) / 1e9;
    if (status == KRS_OK) {
        const krs_model_stats stats = krs_model_stats_of(*out);
        /* An untied embedding is looked up, not read whole. */
        const krs_model_config *model = krs_model_config_of(*out);
        r->weight_bytes = stats.attention_bytes + stats.ffn_bytes - stats.expert_bytes +
                          stats.norm_bytes +
                          (model->is_tied ? stats.embedding_bytes : stats.head_bytes);
        r->expert_bytes = stats.expert_bytes;
        r->expert_share =
            model->experts.n > 0 ? (double)model->experts.top_k / model->experts.n : 0.0;
        r->kv_bytes_per_token = stats.kv_bytes_per_token_f16;
        r->ops_per_token = ops_per_token_of(&stats, model, r->expert_share);
        return KRS_OK;
    }
    return krs_error_wrap(err, status, "%s", config->positionals[0]);
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

/* Raise the ceilings to what is measured now. Those of a device with memory of its own are not known here. */
static krs_status raise_ceilings(const krs_config *config, report *r, krs_error *err)
{
    if (strncmp(krs_config_text(config, KRS_OPTION_DEVICE), "cuda:", 5) == 0) {
        return KRS_OK;
    }
    const uint32_t n = (uint32_t)krs_config_int(config, KRS_OPTION_THREADS);
    krs_cpu_read_rates now;
    krs_status status = krs_cpu_read_bandwidth(n, NULL, &now, err);
    if (status == KRS_OK) {
        r->read.best = larger(r->read.best, now.best);
        r->read.median = larger(r->read.median, now.median);
    }
    for (krs_cpu_dot dot = KRS_CPU_DOT_F32; status == KRS_OK && dot < KRS_CPU_DOT_COUNT; dot++) {
        double ops_per_s;
        status = krs_cpu_dot_rate(n, NULL, dot, NULL, &ops_per_s, err);
        r->ops_per_s[dot] = larger(r->ops_per_s[dot], status == KRS_OK ? ops_per_s : 0);
    }
    return status;
}

/* The kernels and the step machinery alone. */
static int bench_model(const krs_config *config)
{
    krs_error err = KRS_ERROR_INIT;
    report r = {0};
    krs_model *model = NULL;
    krs_backend *backend = NULL;
    krs_backend_options options = KRS_BACKEND_OPTIONS_INIT;
    options.n_threads = (int32_t)krs_config_int(config, KRS_OPTION_THREADS);
    options.is_exact = krs_local_is_exact(config);
    options.isa = krs_config_text(config, KRS_OPTION_ISA);
    options.is_pinned = krs_config_bool(config, KRS_OPTION_PIN);
    krs_status status = open_model(config, &model, &r, &err);
    if (status == KRS_OK) {
        status = krs_backend_open(krs_config_text(config, KRS_OPTION_DEVICE), &options, NULL,
                                  &backend, &err);
    }
    if (status == KRS_OK) {
        status = raise_ceilings(config, &r, &err);
    }
    if (status == KRS_OK) {
        status = measure(config, backend, model, &r, &err);
    }
    if (status == KRS_OK) {
        status = raise_ceilings(config, &r, &err);
    }
    const int code =
        status == KRS_OK ? print_report(config, backend, &r) : krs_say_error(config, &err);
    krs_alloc_free(NULL, r.prefill_s);
    krs_alloc_free(NULL, r.decode_s);
    krs_backend_close(backend);
    krs_model_close(model);
    return code;
}

int krs_cmd_bench(const krs_config *config)
{
    const krs_speculation_mode mode = krs_local_speculation(config).mode;
    const bool is_drafted =
        krs_config_text(config, KRS_OPTION_DRAFT) && mode != KRS_SPECULATION_OFF;
    if (krs_config_text(config, KRS_OPTION_SCHEMA)) {
        return krs_bench_guidance(config);
    }
    if (mode == KRS_SPECULATION_NGRAM || mode == KRS_SPECULATION_DRAFT || is_drafted) {
        return krs_bench_speculation(config);
    }
    return bench_model(config);
}
