/* service/generation.c - see generation.h. */
#include "service/generation.h"

#include "os/clock.h"
#include "service/service_priv.h"

#include <stdio.h>

/* Take one of max_in_flight places. */
static bool take_place(krs_service *service)
{
    uint32_t n = atomic_load_explicit(&service->n_in_flight, memory_order_relaxed);
    while (n < service->options.max_in_flight) {
        if (atomic_compare_exchange_weak_explicit(&service->n_in_flight, &n, n + 1,
                                                  memory_order_relaxed, memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

static void give_place(krs_service *service)
{
    (void)atomic_fetch_sub_explicit(&service->n_in_flight, 1, memory_order_relaxed);
}

static krs_status admit(krs_service *service, krs_error *err)
{
    if (atomic_load_explicit(&service->is_draining, memory_order_relaxed)) {
        return krs_fail(err, KRS_EUNAVAILABLE, "The server is shutting down.");
    }
    if (!take_place(service)) {
        return krs_fail(err, KRS_EBUSY, "%u answers are in flight, which is the limit; try again.",
                        service->options.max_in_flight);
    }
    return KRS_OK;
}

static krs_status refuse(krs_service *service, const char *correlation_id, krs_status status,
                         const krs_error *err)
{
    krs_metrics_add(service->options.metrics, KRS_METRIC_REQUESTS_REFUSED, 1);
    krs_log_error(service->options.log, KRS_LOG_WARN, "request.refused", correlation_id, err);
    return status;
}

krs_status krs_service_generate(krs_service *service, krs_request *request, const krs_sink *sink,
                                void *user, krs_generation *out, krs_error *err)
{
    *out = (krs_generation){.opened_ns = krs_os_now_ns()};
    if (request->correlation_id[0] == '\0') {
        krs_service_name(request->correlation_id);
    }
    memcpy(out->correlation_id, request->correlation_id, sizeof(out->correlation_id));
    if (request->deadline_ns == UINT64_MAX && service->options.default_timeout_ns > 0) {
        request->deadline_ns = out->opened_ns + service->options.default_timeout_ns;
    }
    krs_error why = KRS_ERROR_INIT;
    krs_status status = admit(service, &why);
    if (status == KRS_OK) {
        status =
            krs_runtime_open(service->options.runtime, request, sink, user, &out->stream_id, &why);
        if (status != KRS_OK) {
            give_place(service);
        }
    }
    if (status != KRS_OK) {
        if (err) {
            *err = why;
        }
        return refuse(service, out->correlation_id, status, &why);
    }
    out->is_open = true;
    krs_metrics_add(service->options.metrics, KRS_METRIC_REQUESTS_ACCEPTED, 1);
    return KRS_OK;
}

/* Latency of the tokens that arrived now. A step may bring several tokens of one answer (later:
 * speculation); the client gets them at once, so the gap counts once. */
static void observe_tokens(krs_service *service, krs_generation *generation, uint64_t now_ns)
{
    krs_metrics *metrics = service->options.metrics;
    if (generation->last_token_ns == 0) {
        krs_metrics_observe(metrics, KRS_METRIC_TTFT, now_ns - generation->opened_ns);
    } else {
        krs_metrics_observe(metrics, KRS_METRIC_INTER_TOKEN, now_ns - generation->last_token_ns);
    }
    generation->last_token_ns = now_ns;
}

static void log_end(const krs_service *service, const krs_generation *generation,
                    const krs_stream_event *event, uint64_t total_ns)
{
    const krs_usage *usage = &event->usage;
    const krs_log_field fields[] = {
        krs_log_text("finish", krs_finish_name(event->finish)),
        krs_log_int("prompt_tokens", usage->n_prompt_tokens),
        krs_log_int("answer_tokens", usage->n_answer_tokens),
        krs_log_int("first_token_ms", (int64_t)(usage->first_token_ns / KRS_NS_PER_MS)),
        krs_log_int("total_ms", (int64_t)(total_ns / KRS_NS_PER_MS)),
    };
    krs_log_write(service->options.log, KRS_LOG_INFO, "request.finished",
                  generation->correlation_id, fields, sizeof(fields) / sizeof(fields[0]));
}

static void observe_end(krs_service *service, krs_generation *generation,
                        const krs_stream_event *event, uint64_t now_ns)
{
    static const krs_metric finishes[KRS_FINISH_COUNT] = {
        KRS_METRIC_REQUESTS_STOP, KRS_METRIC_REQUESTS_LENGTH, KRS_METRIC_REQUESTS_CANCELLED,
        KRS_METRIC_REQUESTS_DEADLINE, KRS_METRIC_REQUESTS_ERROR};
    krs_metrics *metrics = service->options.metrics;
    krs_metrics_add(metrics, finishes[event->finish], 1);
    krs_metrics_add(metrics, KRS_METRIC_TOKENS_PROMPT, event->usage.n_prompt_tokens);
    krs_metrics_add(metrics, KRS_METRIC_TOKENS_CACHED, event->usage.n_cached_tokens);
    krs_metrics_observe(metrics, KRS_METRIC_QUEUE_TIME, event->usage.queued_ns);
    krs_metrics_observe(metrics, KRS_METRIC_REQUEST_DURATION, now_ns - generation->opened_ns);
    log_end(service, generation, event, now_ns - generation->opened_ns);
    generation->is_open = false;
    give_place(service);
}

void krs_service_observe(krs_service *service, krs_generation *generation,
                         const krs_stream_event *event)
{
    const uint64_t now_ns = krs_os_now_ns();
    if (event->n_tokens > 0) {
        krs_metrics_add(service->options.metrics, KRS_METRIC_TOKENS_ANSWER, event->n_tokens);
        observe_tokens(service, generation, now_ns);
    }
    if (event->is_end && generation->is_open) {
        observe_end(service, generation, event, now_ns);
    }
}

void krs_service_cancel(krs_service *service, const krs_generation *generation,
                        krs_cancel_reason reason)
{
    if (!generation->is_open) {
        return;
    }
    if (reason == KRS_CANCEL_GONE) {
        krs_metrics_add(service->options.metrics, KRS_METRIC_STREAM_CANCELS, 1);
    } else if (reason == KRS_CANCEL_SLOW) {
        krs_metrics_add(service->options.metrics, KRS_METRIC_STREAM_SLOW, 1);
    }
    krs_runtime_cancel(service->options.runtime, generation->stream_id);
}

void krs_service_grant(krs_service *service, const krs_generation *generation, uint32_t n_tokens)
{
    if (generation->is_open) {
        krs_runtime_grant(service->options.runtime, generation->stream_id, n_tokens);
    }
}
