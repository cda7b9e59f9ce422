/* front/rpc_info.c - what this runtime says about itself: capabilities, state, figures.
 *
 * Shapes and names are the contract's. Some of it was meant for another engine; here every number means
 * what it says or is plainly zero: continuous batching is always on, its memory is the KV cache, its
 * prompt cache the shared prefixes. mlx_supported means that models in MLX's format run here. */
#include "front/rpc_priv.h"

#include "os/cpu.h"
#include "service/health.h"

#include <stdio.h>

#define WINDOW_SHORT_S 5u
#define WINDOW_MID_S   30u
#define WINDOW_LONG_S  60u
#define BYTES_PER_GIB  1073741824.0

static krs_service *service_of(const krs_rpc_ask *ask)
{
    return ask->session->desk->options.service;
}

static json_t *capabilities(void)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < KRS_METHOD_COUNT; i++) {
        const krs_method_row *row = krs_method_row_of((krs_method)i);
        if (row->origin != KRS_ORIGIN_QUIET) {
            (void)json_array_append_new(list, json_string(row->name));
        }
    }
    (void)json_array_append_new(list, json_string("guidance")); /* of generate, no method */
    return list;
}

krs_status krs_rpc_info(const krs_rpc_ask *ask, krs_rpc_fault *fault)
{
    const char *version = ask->session->desk->options.version;
    (void)fault;
    krs_rpc_reply_tree(ask->session, ask->id,
                       json_pack("{s:s,s:s,s:s,s:s,s:o,s:b,s:{s:I,s:I},s:s}", "version", version,
                                 "mlx_version", "none", "mlx_lm_version", "none", "protocol",
                                 "json-rpc-2.0", "capabilities", capabilities(), "mlx_supported", 1,
                                 "memory", "rss", (json_int_t)krs_os_resident_bytes(), "vms",
                                 (json_int_t)krs_os_virtual_bytes(), "runtime", "kr-serve"));
    return KRS_OK;
}

krs_status krs_rpc_state(const krs_rpc_ask *ask, krs_rpc_fault *fault)
{
    krs_model_info models[KRS_SERVICE_MAX_MODELS];
    const uint32_t n = krs_service_models(service_of(ask), models, KRS_SERVICE_MAX_MODELS);
    uint32_t n_streams = 0;
    json_t *list = json_array();
    (void)fault;
    for (uint32_t i = 0; i < n; i++) {
        (void)json_array_append_new(list, json_pack("{s:s,s:s,s:s}", "model_id", models[i].id,
                                                    "state", "ready", "type", "text"));
    }
    for (const krs_rpc_session *s = ask->session->desk->sessions; s; s = s->next) {
        n_streams += s->n_streams;
    }
    const uint64_t n_calls =
        ++ask->session->desk->n_state_calls; /* so the contract: it counts calls */
    krs_rpc_reply_tree(ask->session, ask->id,
                       json_pack("{s:o,s:I,s:I}", "loaded_models", list, "active_streams",
                                 (json_int_t)n_streams, "restart_count", (json_int_t)n_calls));
    return KRS_OK;
}

static json_t *latency_of(const krs_rpc_latency *latency)
{
    json_t *tree = json_pack("{s:f,s:f,s:f}", "mean", krs_rpc_latency_mean(latency), "min",
                             latency->min_ms, "max", latency->max_ms);
    if (latency->n >= 10) { /* fewer say nothing about a tail */
        json_t *tail = json_pack("{s:f,s:f,s:f}", "p50", krs_rpc_latency_quantile(latency, 0.5),
                                 "p95", krs_rpc_latency_quantile(latency, 0.95), "p99",
                                 krs_rpc_latency_quantile(latency, 0.99));
        (void)json_object_update(tree, tail);
        json_decref(tail);
    }
    return tree;
}

static json_t *native_of(void)
{
    return json_pack("{s:{s:b,s:b,s:b,s:b,s:b},s:{}}", "enabled", "metal_pool", 0, "blit_queue", 0,
                     "command_ring", 0, "cpu_tokenizer", 1, "weight_manager", 1, "statistics");
}

static double ratio(double part, double whole)
{
    return whole > 0 ? part / whole : 0;
}

krs_status krs_rpc_telemetry(const krs_rpc_ask *ask, krs_rpc_fault *fault)
{
    const krs_rpc_figures *f = &ask->session->desk->figures;
    (void)fault;
    json_t *generation = json_pack("{s:I,s:I,s:f,s:o,s:{s:f}}", "calls", (json_int_t)f->generate.n,
                                   "total_tokens", (json_int_t)f->n_tokens, "avg_tokens_per_call",
                                   ratio((double)f->n_tokens, (double)f->generate.n), "latency_ms",
                                   latency_of(&f->generate), "throughput", "tokens_per_second",
                                   ratio((double)f->n_tokens, f->busy_s));
    json_t *tokenization = json_pack("{s:I,s:o}", "calls", (json_int_t)f->tokenize.n, "latency_ms",
                                     latency_of(&f->tokenize));
    krs_rpc_reply_tree(ask->session, ask->id,
                       json_pack("{s:b,s:f,s:o,s:o,s:{s:I,s:I,s:f},s:o}", "enabled", 1,
                                 "sampling_rate", 1.0, "generation", generation, "tokenization",
                                 tokenization, "errors", "total", (json_int_t)f->n_errors,
                                 "timeouts", (json_int_t)f->n_timeouts, "error_rate",
                                 ratio((double)f->n_errors, (double)f->n_calls),
                                 "native_optimizations", native_of()));
    return KRS_OK;
}

static json_t *sizes_of(const krs_rpc_batcher *b)
{
    json_t *distribution = json_object();
    for (uint32_t i = 1; i <= KRS_RPC_MAX_BATCH; i++) {
        if (b->by_size[i] > 0) {
            char key[16];
            (void)snprintf(key, sizeof(key), "%u", i);
            (void)json_object_set_new(distribution, key, json_integer((json_int_t)b->by_size[i]));
        }
    }
    return json_pack("{s:f,s:i,s:i,s:o}", "avg", ratio((double)b->n_in_batch, (double)b->n_batches),
                     "min", (int)b->min_size, "max", (int)b->max_size, "distribution",
                     distribution);
}

static json_t *rates_of(const krs_rpc_batcher *b, uint64_t now_ns)
{
    return json_pack("{s:f,s:f,s:f,s:f,s:f,s:f}", "tokens_per_sec_5s",
                     krs_rpc_batcher_rate(b, true, WINDOW_SHORT_S, now_ns), "tokens_per_sec_30s",
                     krs_rpc_batcher_rate(b, true, WINDOW_MID_S, now_ns), "tokens_per_sec_60s",
                     krs_rpc_batcher_rate(b, true, WINDOW_LONG_S, now_ns), "requests_per_sec_5s",
                     krs_rpc_batcher_rate(b, false, WINDOW_SHORT_S, now_ns), "requests_per_sec_30s",
                     krs_rpc_batcher_rate(b, false, WINDOW_MID_S, now_ns), "requests_per_sec_60s",
                     krs_rpc_batcher_rate(b, false, WINDOW_LONG_S, now_ns));
}

static json_t *metrics_of(const krs_rpc_batcher *b, uint64_t now_ns)
{
    const krs_rpc_latency *l = &b->latency;
    return json_pack("{s:{s:f,s:f,s:f,s:f,s:f,s:f},s:o,s:o}", "latency", "p50_ms",
                     krs_rpc_latency_quantile(l, 0.5), "p95_ms", krs_rpc_latency_quantile(l, 0.95),
                     "p99_ms", krs_rpc_latency_quantile(l, 0.99), "avg_ms", krs_rpc_latency_mean(l),
                     "min_ms", l->min_ms, "max_ms", l->max_ms, "throughput", rates_of(b, now_ns),
                     "batch_size", sizes_of(b));
}

static json_t *health_of(const krs_rpc_batcher *b, const krs_service_health *health)
{
    json_t *indicators = json_array();
    if (!health->is_live || !health->is_ready) {
        (void)json_array_append_new(indicators, json_string(health->reason));
    }
    return json_pack("{s:b,s:b,s:I,s:I,s:I,s:I,s:I,s:o}", "healthy", health->is_live, "running",
                     health->is_ready, "active_batch_size", (json_int_t)b->n_active,
                     "pending_queue_size", (json_int_t)health->runtime.n_waiting, "total_requests",
                     (json_int_t)b->n_started, "completed_requests", (json_int_t)b->n_completed,
                     "max_batch_size", (json_int_t)health->max_in_flight, "error_indicators",
                     indicators);
}

static json_t *week4_of(const krs_rpc_batcher *b, const krs_service_health *health,
                        const krs_metrics *metrics)
{
    const krs_runtime_health *r = &health->runtime;
    const double used = ratio((double)(r->n_kv_blocks - r->n_kv_blocks_free), r->n_kv_blocks);
    const double hits = ratio((double)b->n_prefix_hits, (double)b->n_completed);
    json_t *memory = json_pack(
        "{s:b,s:I,s:f,s:f,s:I}", "enabled", 1, "current_limit", (json_int_t)health->max_in_flight,
        "utilization", used, "active_memory_gb", (double)krs_os_resident_bytes() / BYTES_PER_GIB,
        "oom_prevented", (json_int_t)krs_metrics_read(metrics, KRS_METRIC_PREEMPTIONS));
    json_t *cache =
        json_pack("{s:b,s:I,s:f,s:I,s:I,s:f}", "enabled", 1, "cache_size",
                  (json_int_t)r->n_kv_blocks_cached, "hit_rate", hits, "total_requests",
                  (json_int_t)b->n_completed, "cache_hits", (json_int_t)b->n_prefix_hits,
                  "memory_mb", 0.0); /* what a block takes is the engine's secret */
    return json_pack("{s:o,s:o,s:{s:i,s:f,s:f}}", "memory_controller", memory, "prompt_cache",
                     cache, "week4_summary", "features_enabled", 2, "memory_utilization", used,
                     "cache_effectiveness", hits);
}

krs_status krs_rpc_batcher_report(const krs_rpc_ask *ask, krs_rpc_fault *fault)
{
    krs_model_info info;
    const krs_status status = krs_rpc_model_of(
        ask->session, krs_method_text(ask->method, ask->params, "model_id"), &info, fault);
    if (status != KRS_OK) {
        return status;
    }
    const krs_rpc_batcher *b = krs_rpc_batcher_of(&ask->session->desk->figures, info.id);
    if (!b) {
        return krs_fail_field(&fault->error, KRS_EINVAL, "model_id",
                              "Invalid params: model_id: no batcher for this model yet, "
                              "continuous_generate makes it");
    }
    const krs_service_health health = krs_service_health_of(service_of(ask));
    const krs_metrics *metrics = krs_service_metrics(service_of(ask));
    json_t *result = ask->method == KRS_METHOD_BATCHER_METRICS  ? metrics_of(b, ask->now_ns)
                     : ask->method == KRS_METHOD_BATCHER_HEALTH ? health_of(b, &health)
                                                                : week4_of(b, &health, metrics);
    krs_rpc_reply_tree(ask->session, ask->id, result);
    return KRS_OK;
}
