/* engine/runtime.c - the runtime port over an engine: what any thread may call.
 *
 * Nothing here waits for a step. open counts the stream in before it looks at the state; drain sets
 * the state before the engine thread looks at the count: in sequentially consistent order one of them
 * sees the other, so no stream slips past a drain.
 *
 * Thread: any, but free, which must be the last call.  Memory: see engine.h. */
#include "base/check.h"
#include "engine/engine_priv.h"
#include "os/clock.h"

static krs_engine *engine_of(krs_runtime *runtime)
{
    return (krs_engine *)runtime;
}

/* Ids that the request names must be of this model. */
static krs_status check_ids(const krs_engine *engine, const krs_request *request, krs_error *err)
{
    for (uint32_t i = 0; i < request->sampling.n_bias; i++) {
        if (request->sampling.bias[i].token >= engine->info.vocab) {
            return krs_fail_field(err, KRS_EINVAL, "logit_bias",
                                  "logit_bias: token %u, want below %u",
                                  request->sampling.bias[i].token, engine->info.vocab);
        }
    }
    for (uint32_t i = 0; i < request->stopping.n_stop_ids; i++) {
        if (request->stopping.stop_ids[i] >= engine->info.vocab) {
            return krs_fail_field(err, KRS_EINVAL, "stop_token_ids",
                                  "stop_token_ids: token %u, want below %u",
                                  request->stopping.stop_ids[i], engine->info.vocab);
        }
    }
    return KRS_OK;
}

static krs_status check_embedding(const krs_engine *engine, const krs_request *request,
                                  krs_error *err)
{
    if (engine->info.hidden == 0) {
        return krs_fail_field(err, KRS_EUNSUPPORTED, "model", "model: %.100s gives no embeddings",
                              engine->info.id);
    }
    if (request->task_options.pooling == KRS_POOLING_MODEL && engine->odd_pooling[0] != '\0') {
        return krs_fail_field(
            err, KRS_EUNSUPPORTED, "pooling",
            "pooling: the model's own (%s) is not supported; want last, mean or cls",
            engine->odd_pooling);
    }
    return KRS_OK;
}

static krs_status check_generation(const krs_engine *engine, const krs_request *request,
                                   krs_error *err)
{
    if (request->task == KRS_TASK_GENERATE && !engine->info.can_generate) {
        return krs_fail_field(err, KRS_EUNSUPPORTED, "model",
                              "model: %.100s (%.40s) gives embeddings, not answers",
                              engine->info.id, engine->info.family);
    }
    return check_ids(engine, request, err);
}

/* Asked for by name, it is refused where it cannot be had; a default is left out instead. */
static krs_status check_speculation(const krs_engine *engine, const krs_request *request,
                                    krs_error *err)
{
    const krs_speculation_mode mode = request->speculation.mode;
    if (mode != KRS_SPECULATION_NGRAM && mode != KRS_SPECULATION_DRAFT) {
        return KRS_OK;
    }
    if (!krs_engine_can_speculate(engine)) {
        return krs_fail_field(err, KRS_EUNSUPPORTED, "speculation",
                              "speculation: the recurrent layers of %.100s cannot go back behind a "
                              "refused token",
                              engine->info.id);
    }
    if (mode == KRS_SPECULATION_DRAFT && !engine->draft) {
        return krs_fail_field(err, KRS_EUNSUPPORTED, "speculation",
                              "speculation: %.100s was loaded without a draft model",
                              engine->info.id);
    }
    return KRS_OK;
}

/* What can be refused before the prompt is read. */
static krs_status check_request(const krs_engine *engine, const krs_request *request,
                                krs_error *err)
{
    if (request->model[0] != '\0' && strcmp(request->model, engine->info.id) != 0) {
        return krs_fail_field(err, KRS_ENOTLOADED, "model", "model: %.100s is not loaded, %.60s is",
                              request->model, engine->info.id);
    }
    const krs_status status = krs_request_check(request, err);
    if (status != KRS_OK) {
        return status;
    }
    if (request->task == KRS_TASK_EMBED) {
        return check_embedding(engine, request, err);
    }
    const krs_status checked = check_generation(engine, request, err);
    return checked == KRS_OK ? check_speculation(engine, request, err) : checked;
}

static krs_status check_state(const krs_engine *engine, krs_error *err)
{
    switch ((krs_runtime_state)atomic_load(&engine->shared.state)) {
    case KRS_RUNTIME_READY:
        return KRS_OK;
    case KRS_RUNTIME_FAILED:
        return krs_fail(err, KRS_EUNAVAILABLE, "engine: the device failed");
    case KRS_RUNTIME_STARTING:
    case KRS_RUNTIME_DRAINING:
    case KRS_RUNTIME_STOPPED:
        break;
    }
    return krs_fail(err, KRS_EUNAVAILABLE, "engine: takes no new work, it is going down");
}

static bool has_steps(const krs_request *request)
{
    return request->task == KRS_TASK_GENERATE || request->task == KRS_TASK_EMBED;
}

/* What counts a request while it waits. Tasks without steps have places of their own, as many as they
 * have slots, so that neither kind can keep the other out. */
static _Atomic uint32_t *place_of(krs_engine *engine, const krs_request *request)
{
    return has_steps(request) ? &engine->shared.n_waiting : &engine->shared.n_texts;
}

static bool is_counted_by_tenant(const krs_request *request)
{
    return has_steps(request) && request->tenant != 0;
}

/* One tenant's part of the queue, so that its crowd does not stand in everybody's way. */
static krs_status take_tenant_place(krs_engine *engine, const krs_request *request, krs_error *err)
{
    const uint32_t max = krs_engine_max_tenant_waiting(engine);
    _Atomic uint32_t *n = &engine->shared.tenant_waiting[request->tenant];
    if (is_counted_by_tenant(request) && atomic_fetch_add(n, 1) >= max) {
        (void)atomic_fetch_sub(n, 1);
        return krs_fail(err, KRS_EBUSY, "queue: %u requests of this key wait, which is its part",
                        max);
    }
    return KRS_OK;
}

static void give_place(krs_engine *engine, const krs_request *request)
{
    (void)atomic_fetch_sub(place_of(engine, request), 1);
    if (is_counted_by_tenant(request)) {
        (void)atomic_fetch_sub(&engine->shared.tenant_waiting[request->tenant], 1);
    }
}

/* A place in the queue: counted until its first step, or until it is home when it takes none. */
static krs_status take_place(krs_engine *engine, const krs_request *request, krs_error *err)
{
    _Atomic uint32_t *n = place_of(engine, request);
    const uint32_t max = has_steps(request) ? engine->max_waiting : krs_engine_max_texts(engine);
    if (atomic_fetch_add(n, 1) >= max) {
        (void)atomic_fetch_sub(n, 1);
        return krs_fail(err, KRS_EBUSY, "queue: %u requests wait, no more fit", max);
    }
    const krs_status status = take_tenant_place(engine, request, err);
    if (status != KRS_OK) {
        (void)atomic_fetch_sub(n, 1);
    }
    return status;
}

/* The engine thread hears of the stream first, so that it can end it from now on; then it is the prep
 * threads'. Each queue has room for every stream there can be, and neither is closed before free, which is
 * the last call: the pushes cannot fail. */
static krs_status start_stream(krs_engine *engine, krs_request *request, const krs_sink *sink,
                               void *user, uint64_t *stream_id, krs_error *err)
{
    krs_stream *stream = NULL;
    krs_status status =
        krs_stream_new(request, sink, user, krs_os_now_ns(), engine->alloc, &stream);
    if (status != KRS_OK) {
        return krs_fail(err, status, "stream: out of memory");
    }
    status = krs_controls_take(&engine->controls, &stream->id);
    if (status != KRS_OK) {
        stream->request = NULL; /* stays the caller's */
        krs_stream_free(stream);
        return krs_fail(err, status, "queue: %s", krs_status_sentence(status));
    }
    stream->has_place = true;
    *stream_id = stream->id;
    krs_os_queue *queue = request->guidance.kind == KRS_GUIDANCE_NONE || !engine->guides
                              ? engine->prep_queue
                              : engine->form_queue;
    KRS_CHECK(krs_os_queue_push(engine->inbox, stream) == KRS_OK);
    KRS_CHECK(krs_os_queue_push(queue, stream) == KRS_OK);
    return KRS_OK;
}

static krs_status runtime_open(krs_runtime *self, krs_request *request, const krs_sink *sink,
                               void *user, uint64_t *stream_id, krs_error *err)
{
    krs_engine *engine = engine_of(self);
    *stream_id = 0;
    krs_status status = check_request(engine, request, err);
    if (status != KRS_OK) {
        return status;
    }
    (void)atomic_fetch_add(&engine->shared.n_open, 1); /* before the state is read */
    status = check_state(engine, err);
    if (status == KRS_OK) {
        status = take_place(engine, request, err);
        if (status == KRS_OK) {
            status = start_stream(engine, request, sink, user, stream_id, err);
            if (status != KRS_OK) {
                give_place(engine, request);
            }
        }
    }
    if (status != KRS_OK) {
        (void)atomic_fetch_sub(&engine->shared.n_open, 1);
        krs_engine_wake(engine); /* a drain may have waited for this count */
    }
    return status;
}

static void runtime_cancel(krs_runtime *self, uint64_t stream_id)
{
    krs_engine *engine = engine_of(self);
    if (krs_controls_cancel(&engine->controls, stream_id)) {
        krs_engine_wake(engine);
    }
}

static void runtime_grant(krs_runtime *self, uint64_t stream_id, uint32_t n_tokens)
{
    krs_engine *engine = engine_of(self);
    if (krs_controls_grant(&engine->controls, stream_id, n_tokens)) {
        krs_engine_wake(engine);
    }
}

static krs_runtime_health runtime_health(krs_runtime *self)
{
    const krs_engine *engine = engine_of(self);
    const krs_engine_shared *shared = &engine->shared;
    return (krs_runtime_health){
        .state = (krs_runtime_state)atomic_load(&shared->state),
        .heartbeat_ns = atomic_load(&shared->heartbeat_ns),
        .n_running = atomic_load(&shared->n_running),
        .n_waiting = atomic_load(&shared->n_waiting),
        .max_waiting = engine->max_waiting,
        .n_waiting_tokens = atomic_load(&shared->n_waiting_tokens),
        .max_waiting_tokens = engine->limits.max_waiting_tokens,
        .n_paused = atomic_load(&shared->n_paused),
        .n_parked = atomic_load(&shared->n_parked),
        .n_kv_blocks = engine->plan.n_kv_blocks,
        .n_kv_blocks_free = atomic_load(&shared->n_kv_free),
        .n_kv_blocks_cached = atomic_load(&shared->n_kv_cached),
    };
}

static uint32_t runtime_models(krs_runtime *self, krs_model_info *out, uint32_t max)
{
    if (max > 0) {
        *out = engine_of(self)->info;
    }
    return 1;
}

static void runtime_drain(krs_runtime *self)
{
    krs_engine *engine = engine_of(self);
    uint32_t ready = KRS_RUNTIME_READY;
    if (atomic_compare_exchange_strong(&engine->shared.state, &ready, KRS_RUNTIME_DRAINING)) {
        krs_engine_wake(engine);
    }
}

/* Stop order: no new streams, prep threads hand on what they have, the engine thread ends it all. */
static void stop(krs_engine *engine)
{
    runtime_drain(&engine->runtime);
    atomic_store(&engine->shared.is_stopping, true);
    krs_os_queue_close(engine->prep_queue);
    krs_os_queue_close(engine->form_queue);
    for (uint32_t i = 0; i < 2 * engine->n_prep_threads; i++) {
        krs_os_thread_join(engine->prep_threads[i]);
    }
    krs_os_queue_close(engine->inbox);
    krs_os_thread_join(engine->thread);
}

static void runtime_free(krs_runtime *self)
{
    krs_engine *engine = engine_of(self);
    stop(engine);
    krs_engine_unload(engine);
    krs_alloc_free(engine->alloc, engine);
}

static const krs_runtime_vtable engine_vtable = {
    .open = runtime_open,
    .cancel = runtime_cancel,
    .grant = runtime_grant,
    .health = runtime_health,
    .models = runtime_models,
    .drain = runtime_drain,
    .free = runtime_free,
};

static krs_status start_threads(krs_engine *engine, krs_error *err)
{
    atomic_store(&engine->shared.heartbeat_ns, krs_os_now_ns());
    atomic_store(&engine->shared.n_kv_free, engine->plan.n_kv_blocks);
    atomic_store(&engine->shared.state, KRS_RUNTIME_READY);
    krs_status status =
        krs_os_thread_start("krs-engine", krs_engine_loop_main, engine, &engine->thread, err);
    const uint32_t n_preparing = (engine->guides ? 2 : 1) * engine->n_prep_threads;
    for (uint32_t i = 0; status == KRS_OK && i < n_preparing; i++) {
        status = krs_os_thread_start("krs-prep", krs_engine_prep_main, engine,
                                     &engine->prep_threads[i], err);
    }
    return status;
}

static void log_start(const krs_engine *engine)
{
    const krs_log_field fields[] = {
        krs_log_text("model", engine->info.id),
        krs_log_text("backend", engine->plan.device),
        krs_log_int("kv_blocks", engine->plan.n_kv_blocks),
        krs_log_int("plan_bytes", (int64_t)engine->plan.total_bytes),
    };
    krs_bus_tell(engine->bus, engine->log, KRS_EVENT_ENGINE_STARTED, NULL, fields,
                 sizeof(fields) / sizeof(fields[0]));
}

krs_status krs_engine_open(const krs_engine_options *options, krs_runtime **out, krs_error *err)
{
    *out = NULL;
    krs_engine *engine = krs_alloc_zero(options->alloc, sizeof(*engine));
    if (!engine) {
        return krs_fail(err, KRS_ENOMEM, "engine: out of memory");
    }
    engine->runtime.vtable = &engine_vtable;
    engine->alloc = options->alloc;
    const uint64_t begin_ns = krs_os_now_ns();
    krs_status status = krs_engine_load(engine, options, err);
    if (status == KRS_OK) {
        status = start_threads(engine, err);
        if (status != KRS_OK) {
            stop(engine);
        }
    }
    if (status != KRS_OK) {
        krs_engine_unload(engine);
        krs_alloc_free(engine->alloc, engine);
        return status;
    }
    krs_metrics_observe(engine->metrics, KRS_METRIC_MODEL_LOAD_TIME, krs_os_now_ns() - begin_ns);
    log_start(engine);
    *out = &engine->runtime;
    return KRS_OK;
}

const krs_engine_plan *krs_engine_plan_of(const krs_runtime *runtime)
{
    KRS_CHECK(runtime->vtable == &engine_vtable);
    return &((const krs_engine *)runtime)->plan;
}
