/* engine/publish.c - what others may know: health for any thread, metrics and log records.
 *
 * Health is a handful of atomics written once a round. Counters and histograms are written once a round
 * for what a step did, and once a token only where each token has its own value (the gap to the one
 * before). Gauges are the service's to fill from health, when somebody reads them.
 *
 * Thread: engine thread.  Memory: none. */
#include "engine/engine_priv.h"
#include "os/clock.h"

static void publish_health(krs_engine *engine)
{
    krs_engine_shared *shared = &engine->shared;
    const krs_sched_stats stats = krs_sched_stats_of(engine->sched);
    atomic_store_explicit(&shared->n_running, stats.n_running, memory_order_relaxed);
    atomic_store_explicit(&shared->n_paused, stats.n_paused, memory_order_relaxed);
    atomic_store_explicit(&shared->n_parked, stats.n_parked, memory_order_relaxed);
    atomic_store_explicit(&shared->n_waiting_tokens, stats.n_waiting_tokens, memory_order_relaxed);
    atomic_store_explicit(&shared->n_kv_free, krs_kv_pool_n_free(engine->pool),
                          memory_order_relaxed);
    atomic_store_explicit(&shared->n_kv_cached, krs_kv_pool_n_cached(engine->pool),
                          memory_order_relaxed);
    atomic_store_explicit(&shared->heartbeat_ns, krs_os_now_ns(), memory_order_release);
    /* Pairs with the counting in open: either it sees DRAINING, or its stream is seen here. */
    uint32_t draining = KRS_RUNTIME_DRAINING;
    if (atomic_load(&shared->state) == draining && atomic_load(&shared->n_open) == 0) {
        (void)atomic_compare_exchange_strong(&shared->state, &draining, KRS_RUNTIME_STOPPED);
    }
}

/* A round that ran a step. */
static void observe_round(krs_engine *engine)
{
    const krs_round *round = &engine->round;
    krs_metrics *metrics = engine->metrics;
    const uint64_t total_ns = krs_os_now_ns() - round->begin_ns;
    krs_metrics_add(metrics, KRS_METRIC_STEPS, 1);
    krs_metrics_observe(metrics, KRS_METRIC_STEP_ROWS, round->n_rows);
    krs_metrics_observe(metrics, KRS_METRIC_STEP_SEQUENCES, round->n_seqs);
    krs_metrics_observe(metrics, KRS_METRIC_STEP_TOKENS, round->n_tokens);
    krs_metrics_observe(metrics, KRS_METRIC_STEP_DURATION, round->device_ns);
    if (round->n_drafting > 0) {
        krs_metrics_observe(metrics, KRS_METRIC_STEP_DRAFT, round->draft_ns);
    }
    krs_metrics_observe(metrics, KRS_METRIC_STEP_SAMPLING, round->sampling_ns);
    krs_metrics_observe(metrics, KRS_METRIC_STEP_OVERHEAD,
                        total_ns - round->draft_ns - round->device_ns - round->sampling_ns);
}

void krs_engine_publish(krs_engine *engine)
{
    publish_health(engine);
    if (engine->round.n_rows > 0 && engine->metrics) {
        observe_round(engine);
    }
}

void krs_engine_tell_started(krs_engine *engine, const krs_stream *stream)
{
    const uint64_t queued_ns = stream->started_ns - stream->opened_ns;
    krs_metrics_observe(engine->metrics, KRS_METRIC_ENGINE_QUEUE_TIME, queued_ns);
    krs_metrics_add(engine->metrics, KRS_METRIC_PREFIX_ASKED, stream->n_prompt);
    krs_metrics_add(engine->metrics, KRS_METRIC_PREFIX_FOUND, stream->seq.n_cached);
}

static void log_preempted(const krs_engine *engine, const krs_stream *stream)
{
    const krs_log_field fields[] = {
        krs_log_int("answer_tokens", stream->n_tokens - stream->n_prompt),
        krs_log_int("times", stream->seq.n_preempted),
    };
    krs_bus_tell(engine->bus, engine->log, KRS_EVENT_REQUEST_PREEMPTED,
                 stream->request->correlation_id, fields, sizeof(fields) / sizeof(fields[0]));
}

void krs_engine_tell_preempted(krs_engine *engine, uint32_t n)
{
    krs_metrics_add(engine->metrics, KRS_METRIC_PREEMPTIONS, n);
    if (!engine->bus && !krs_log_is_on(engine->log, KRS_LOG_DEBUG)) {
        return;
    }
    for (krs_stream *stream = engine->active; stream; stream = stream->next) {
        if (stream->seq.n_preempted != stream->n_told) {
            stream->n_told = stream->seq.n_preempted;
            log_preempted(engine, stream);
        }
    }
}
