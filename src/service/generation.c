/* service/generation.c - see generation.h.
 *
 * What an answer holds is taken in one order (tenant, model, breaker, place) and given back in the reverse. */
#include "service/generation.h"

#include "os/clock.h"
#include "service/service_priv.h"

/* --- letting in --- */

static krs_status refuse(krs_service *service, krs_metric metric, krs_status status)
{
    krs_metrics_add(service->options.metrics, metric, 1);
    return status;
}

static krs_status check_draining(krs_service *service, krs_error *err)
{
    if (!atomic_load_explicit(&service->is_draining, memory_order_relaxed)) {
        return KRS_OK;
    }
    return refuse(service, KRS_METRIC_REFUSED_DRAINING,
                  krs_fail(err, KRS_EUNAVAILABLE, "The server is shutting down."));
}

/* The model by its name, unless its breaker is open. */
static krs_status take_model(krs_service *service, const char *id, krs_model **out, krs_error *err)
{
    krs_status status = krs_models_lease(service, id, out, err);
    if (status != KRS_OK) {
        return refuse(service, KRS_METRIC_REFUSED_MODEL, status);
    }
    status = krs_breakers_enter(service, KRS_BREAKER_GENERATE, (*out)->id, err);
    if (status != KRS_OK) {
        krs_models_release(service, *out);
        *out = NULL;
        return refuse(service, KRS_METRIC_REFUSED_BREAKER, status);
    }
    return KRS_OK;
}

/* Tell the breaker how the answer went, once. */
static void judge(krs_service *service, krs_generation *generation, krs_status status)
{
    if (!generation->is_judged) {
        generation->is_judged = true;
        krs_breakers_leave(service, KRS_BREAKER_GENERATE, generation->model->id, status);
    }
}

static krs_status enter(krs_service *service, const krs_request *request, krs_generation *out,
                        krs_error *err)
{
    krs_status status = check_draining(service, err);
    if (status != KRS_OK) {
        return status;
    }
    status = krs_tenant_enter(out->tenant, out->opened_ns, err);
    if (status != KRS_OK) {
        return refuse(service, KRS_METRIC_REFUSED_TENANT, status);
    }
    status = take_model(service, request->model, &out->model, err);
    if (status != KRS_OK) {
        krs_tenant_leave(out->tenant);
        return status;
    }
    status = krs_admission_enter(service, request->priority, out->opened_ns, err);
    if (status != KRS_OK) {
        judge(service, out, KRS_EBUSY); /* says nothing about the model */
        krs_models_release(service, out->model);
        krs_tenant_leave(out->tenant);
        return refuse(service, KRS_METRIC_REFUSED_LIMIT, status);
    }
    return KRS_OK;
}

static void leave(krs_service *service, krs_generation *generation)
{
    if (generation->first_token_ns == 0) {
        krs_admission_begun(service, krs_os_now_ns());
    }
    krs_admission_leave(service, generation->priority);
    krs_models_release(service, generation->model);
    krs_tenant_leave(generation->tenant);
    generation->is_open = false;
}

/* --- opening --- */

static bool is_worth_another(krs_status status)
{
    return status == KRS_EUNAVAILABLE || status == KRS_EDEVICE;
}

/* Has another opening of the same name taken over? Then hold that one instead. */
static bool change_model(krs_service *service, const krs_request *request, krs_generation *out,
                         krs_status status)
{
    krs_model *next = NULL;
    if (krs_models_lease(service, request->model, &next, NULL) != KRS_OK) {
        return false;
    }
    if (next == out->model) {
        krs_models_release(service, next);
        return false;
    }
    krs_models_release(service, out->model);
    out->model = next;
    const krs_log_field fields[] = {krs_log_text("model", next->id),
                                    krs_log_text("status", krs_status_name(status))};
    krs_metrics_add(service->options.metrics, KRS_METRIC_REQUEUED, 1);
    krs_service_publish(service, KRS_EVENT_REQUEST_REQUEUED, out->correlation_id, fields, 2);
    return true;
}

static krs_status open_stream(krs_service *service, krs_request *request, const krs_sink *sink,
                              void *user, krs_generation *out, krs_error *err)
{
    krs_status status =
        krs_runtime_open(out->model->runtime, request, sink, user, &out->stream_id, err);
    if (is_worth_another(status) && change_model(service, request, out, status)) {
        status = krs_runtime_open(out->model->runtime, request, sink, user, &out->stream_id, err);
    }
    if (status == KRS_OK) {
        return KRS_OK;
    }
    if (krs_status_is_retryable(status) && err->retry_after_ms == 0) {
        err->retry_after_ms = krs_service_admission(service).retry_after_ms;
    }
    judge(service, out, status);
    leave(service, out);
    return refuse(service, KRS_METRIC_REFUSED_RUNTIME, status);
}

static void tell_refused(krs_service *service, const krs_generation *generation,
                         const krs_error *err)
{
    const krs_log_field fields[] = {
        krs_log_text("status", krs_status_name(err->status)),
        krs_log_text("message", err->message),
        krs_log_text("field", err->field),
        krs_log_text("tenant", generation->tenant->name),
        krs_log_int("retry_after_ms", err->retry_after_ms),
    };
    krs_service_publish(service, KRS_EVENT_REQUEST_REFUSED, generation->correlation_id, fields, 5);
}

static void count(_Atomic uint64_t *counter, uint64_t n)
{
    (void)atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static void tell_accepted(krs_service *service, const krs_generation *generation)
{
    static const char *const priorities[] = {"urgent", "normal", "background"};
    char trace[KRS_TRACEPARENT_BYTES];
    krs_trace_write(&generation->trace, trace);
    const krs_log_field fields[] = {
        krs_log_text("model", generation->model->id),
        krs_log_text("tenant", generation->tenant->name),
        krs_log_text("priority", priorities[generation->priority % 3u]),
        krs_log_text("trace", trace),
    };
    krs_metrics_add(service->options.metrics, KRS_METRIC_REQUESTS_ACCEPTED, 1);
    count(&generation->model->n_answers, 1);
    count(&generation->tenant->n_requests, 1);
    krs_service_publish(service, KRS_EVENT_REQUEST_ACCEPTED, generation->correlation_id, fields, 4);
}

static void prepare(krs_service *service, krs_request *request, krs_generation *out)
{
    *out = (krs_generation){.opened_ns = krs_os_now_ns(),
                            .tenant = krs_keys_tenant(service, request->tenant),
                            .priority = request->priority,
                            .task = request->task,
                            .trace = request->trace};
    if (request->correlation_id[0] == '\0') {
        krs_service_name(request->correlation_id);
    }
    memcpy(out->correlation_id, request->correlation_id, sizeof(out->correlation_id));
    if (request->deadline_ns == UINT64_MAX && service->options.default_timeout_ns > 0) {
        request->deadline_ns = out->opened_ns + service->options.default_timeout_ns;
    }
    request->tenant_weight = atomic_load_explicit(&out->tenant->weight, memory_order_relaxed);
}

krs_status krs_service_generate(krs_service *service, krs_request *request, const krs_sink *sink,
                                void *user, krs_generation *out, krs_error *err)
{
    prepare(service, request, out);
    krs_error why = KRS_ERROR_INIT;
    krs_status status = enter(service, request, out, &why);
    if (status == KRS_OK) {
        status = open_stream(service, request, sink, user, out, &why);
    }
    if (status != KRS_OK) {
        tell_refused(service, out, &why);
        if (err) {
            *err = why;
        }
        return status;
    }
    out->is_open = true;
    tell_accepted(service, out);
    return KRS_OK;
}

/* --- the account --- */

static void observe_first_token(krs_service *service, krs_generation *generation, uint64_t now_ns)
{
    const uint64_t ttft_ns = now_ns - generation->opened_ns;
    generation->first_token_ns = now_ns;
    krs_metrics_observe(service->options.metrics, KRS_METRIC_TTFT, ttft_ns);
    krs_window_add(&service->admission.ttft, ttft_ns, now_ns);
    krs_admission_begun(service, now_ns);
    judge(service, generation, KRS_OK);
    const krs_log_field field = krs_log_int("first_token_ms", (int64_t)(ttft_ns / KRS_NS_PER_MS));
    krs_service_publish(service, KRS_EVENT_REQUEST_STARTED, generation->correlation_id, &field, 1);
}

/* Latency of the tokens that arrived now. A step may bring several tokens of one answer (later:
 * speculation); the client gets them at once, so the gap counts once. */
static void observe_tokens(krs_service *service, krs_generation *generation, uint32_t n_tokens,
                           uint64_t now_ns)
{
    krs_metrics *metrics = service->options.metrics;
    krs_metrics_add(metrics, KRS_METRIC_TOKENS_ANSWER, n_tokens);
    krs_tenant_charge(generation->tenant, n_tokens, now_ns);
    count(&generation->model->n_tokens, n_tokens);
    if (generation->first_token_ns == 0) {
        observe_first_token(service, generation, now_ns);
    } else {
        krs_metrics_observe(metrics, KRS_METRIC_INTER_TOKEN, now_ns - generation->last_token_ns);
    }
    generation->last_token_ns = now_ns;
}

/* One record from which the request's whole course can be read. */
static void tell_finished(krs_service *service, const krs_generation *generation,
                          const krs_stream_event *event, uint64_t total_ns)
{
    const krs_usage *usage = &event->usage;
    const uint64_t ttft_ns =
        generation->first_token_ns ? generation->first_token_ns - generation->opened_ns : 0;
    char trace[KRS_TRACEPARENT_BYTES];
    krs_trace_write(&generation->trace, trace);
    const krs_log_field fields[] = {
        krs_log_text("finish", krs_finish_name(event->finish)),
        krs_log_text("model", generation->model->id),
        krs_log_text("tenant", generation->tenant->name),
        krs_log_text("trace", trace),
        krs_log_int("prompt_tokens", usage->n_prompt_tokens),
        krs_log_int("cached_tokens", usage->n_cached_tokens),
        krs_log_text("cache_end", krs_cache_end_name(usage->cache_end)),
        krs_log_int("answer_tokens", usage->n_answer_tokens),
        krs_log_int("preempted", usage->n_preempted),
        krs_log_int("queued_ms", (int64_t)(usage->queued_ns / KRS_NS_PER_MS)),
        krs_log_int("first_token_ms", (int64_t)(ttft_ns / KRS_NS_PER_MS)),
        krs_log_int("total_ms", (int64_t)(total_ns / KRS_NS_PER_MS)),
        krs_log_text("status", krs_status_name(event->error.status)),
        krs_log_text("message", event->error.message),
    };
    const size_t n_all = sizeof(fields) / sizeof(fields[0]);
    krs_service_publish(service, KRS_EVENT_REQUEST_FINISHED, generation->correlation_id, fields,
                        event->finish == KRS_FINISH_ERROR ? n_all : n_all - 2);
}

/* Tokenizing asks no model: its microseconds and its tokens would only blur what answers take. */
static bool is_model_work(const krs_generation *generation)
{
    return generation->task == KRS_TASK_GENERATE || generation->task == KRS_TASK_EMBED;
}

static void count_end(krs_service *service, const krs_generation *generation,
                      const krs_stream_event *event, uint64_t total_ns)
{
    static const krs_metric finishes[KRS_FINISH_COUNT] = {
        KRS_METRIC_REQUESTS_STOP, KRS_METRIC_REQUESTS_LENGTH, KRS_METRIC_REQUESTS_CANCELLED,
        KRS_METRIC_REQUESTS_DEADLINE, KRS_METRIC_REQUESTS_ERROR};
    krs_metrics *metrics = service->options.metrics;
    const krs_usage *usage = &event->usage;
    krs_metrics_add(metrics, finishes[event->finish], 1);
    if (!is_model_work(generation)) {
        return;
    }
    krs_metrics_add(metrics, KRS_METRIC_TOKENS_PROMPT, usage->n_prompt_tokens);
    krs_metrics_add(metrics, KRS_METRIC_TOKENS_CACHED, usage->n_cached_tokens);
    krs_metrics_observe(metrics, KRS_METRIC_QUEUE_TIME, usage->queued_ns);
    krs_metrics_observe(metrics, KRS_METRIC_REQUEST_DURATION, total_ns);
    krs_metrics_observe(metrics, KRS_METRIC_USAGE_INPUT, usage->n_prompt_tokens);
    krs_metrics_observe(metrics, KRS_METRIC_USAGE_OUTPUT, usage->n_answer_tokens);
    if (generation->first_token_ns != 0 && usage->n_answer_tokens > 1) {
        krs_metrics_observe(metrics, KRS_METRIC_OUTPUT_TOKEN_TIME,
                            (generation->last_token_ns - generation->first_token_ns) /
                                (usage->n_answer_tokens - 1));
    }
}

static void observe_end(krs_service *service, krs_generation *generation,
                        const krs_stream_event *event, uint64_t now_ns)
{
    const uint64_t total_ns = now_ns - generation->opened_ns;
    count_end(service, generation, event, total_ns);
    if (is_model_work(generation)) {
        krs_tenant_charge(generation->tenant, event->usage.n_prompt_tokens, now_ns);
        krs_window_add(&service->admission.ends, total_ns, now_ns);
    }
    const bool is_error = event->finish == KRS_FINISH_ERROR;
    const bool is_whole = event->finish == KRS_FINISH_STOP || event->finish == KRS_FINISH_LENGTH;
    judge(service, generation, is_error ? event->error.status : is_whole ? KRS_OK : KRS_ECANCELLED);
    tell_finished(service, generation, event, total_ns);
    leave(service, generation);
}

void krs_service_observe(krs_service *service, krs_generation *generation,
                         const krs_stream_event *event)
{
    if (!generation->is_open) {
        return;
    }
    const uint64_t now_ns = krs_os_now_ns();
    if (event->n_tokens > 0) {
        observe_tokens(service, generation, event->n_tokens, now_ns);
    }
    if (event->is_end) {
        observe_end(service, generation, event, now_ns);
    }
}

/* --- while it runs --- */

void krs_service_grant(krs_service *service, const krs_generation *generation, uint32_t n_tokens)
{
    (void)service;
    if (generation->is_open && generation->model->runtime) { /* NULL: the service has stopped */
        krs_runtime_grant(generation->model->runtime, generation->stream_id, n_tokens);
    }
}

void krs_service_cancel(krs_service *service, const krs_generation *generation,
                        krs_cancel_reason reason)
{
    static const char *const reasons[] = {"gone", "slow", "drain", "sibling"};
    if (!generation->is_open || !generation->model->runtime) {
        return;
    }
    if (reason == KRS_CANCEL_GONE) {
        krs_metrics_add(service->options.metrics, KRS_METRIC_STREAM_CANCELS, 1);
    } else if (reason == KRS_CANCEL_SLOW) {
        krs_metrics_add(service->options.metrics, KRS_METRIC_STREAM_SLOW, 1);
    }
    const krs_log_field field = krs_log_text("reason", reasons[reason % 4u]);
    krs_service_publish(service, KRS_EVENT_STREAM_ABANDONED, generation->correlation_id, &field, 1);
    krs_runtime_cancel(generation->model->runtime, generation->stream_id);
}
