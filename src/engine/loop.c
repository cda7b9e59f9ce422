/* engine/loop.c - the engine thread: inbox, controls, step, delivery, round and round.
 *
 * It blocks in two places only: on the device inside a step, and on its inbox when there is nothing to
 * compute. Then it still goes round every KRS_ENGINE_BEAT_NS, so an old heartbeat means it hangs.
 *
 * Thread: engine thread, but for krs_engine_wake. */
#include "base/check.h"
#include "engine/engine_priv.h"
#include "os/clock.h"

/* What a wake message points to; never read. */
static const char wake_message = 0;

static void *wake_item(void)
{
    return (void *)(uintptr_t)&wake_message;
}

void krs_engine_wake(krs_engine *engine)
{
    /* At most one wake is queued, and the inbox has a place for it beside one for every stream. Pairs
     * with the exchange in take_item: whoever sets the flag after it was cleared pushes again. */
    if (!atomic_exchange(&engine->shared.is_woken, true)) {
        const krs_status status = krs_os_queue_push(engine->inbox, wake_item());
        KRS_CHECK(status == KRS_OK || status == KRS_EUNAVAILABLE);
    }
}

/* Too many prompts: what the scheduler's refusals mean to the client. */
static void refuse(krs_engine *engine, krs_stream *stream, krs_status status)
{
    krs_error error;
    if (status == KRS_EBUSY) {
        (void)krs_fail(&error, status, "queue: %u prompt tokens do not fit beside what waits",
                       stream->n_prompt);
    } else {
        (void)krs_fail(&error, status, "queue: %s", krs_status_sentence(status));
    }
    krs_stream_end(stream, KRS_FINISH_ERROR, &error);
    krs_engine_post(engine, stream, 0);
}

/* A stream from a prep thread: from now on the engine thread owns it. */
static void accept(krs_engine *engine, krs_stream *stream)
{
    stream->next = engine->active;
    if (engine->active) {
        engine->active->prev = stream;
    }
    engine->active = stream;
    if (stream->is_ended) { /* its preparation failed */
        krs_engine_post(engine, stream, 0);
        return;
    }
    if (atomic_load(&engine->shared.state) == KRS_RUNTIME_FAILED) {
        refuse(engine, stream, KRS_EDEVICE);
        return;
    }
    const krs_status status = krs_sched_add(engine->sched, &stream->seq, stream->alloc);
    if (status != KRS_OK) {
        refuse(engine, stream, status);
    }
}

static void take_item(krs_engine *engine, void *item)
{
    if (item == wake_item()) {
        (void)atomic_exchange(&engine->shared.is_woken, false);
    } else {
        accept(engine, item);
    }
}

/* Empty the inbox, first waiting for something to come when is_idle. False when it is closed and empty. */
static bool collect(krs_engine *engine, bool is_idle)
{
    void *item = NULL;
    krs_status status;
    if (is_idle) {
        const uint64_t beat_ns = krs_os_now_ns() + KRS_ENGINE_BEAT_NS;
        const uint64_t deadline_ns = krs_sched_next_deadline(engine->sched);
        status =
            krs_os_queue_pop(engine->inbox, deadline_ns < beat_ns ? deadline_ns : beat_ns, &item);
    } else {
        status = krs_os_queue_try_pop(engine->inbox, &item);
    }
    while (status == KRS_OK) {
        take_item(engine, item);
        status = krs_os_queue_try_pop(engine->inbox, &item);
    }
    return status != KRS_EEOF;
}

/* Carry what other threads asked for to the scheduler. */
static void read_controls(krs_engine *engine)
{
    const bool is_stopping = atomic_load(&engine->shared.is_stopping);
    for (krs_stream *stream = engine->active; stream; stream = stream->next) {
        const krs_control control = krs_controls_read(&engine->controls, stream->id);
        stream->seq.is_cancelled = control.is_cancelled || is_stopping;
        stream->seq.credit = control.credit;
    }
}

static void publish(krs_engine *engine)
{
    krs_engine_shared *shared = &engine->shared;
    atomic_store(&shared->heartbeat_ns, krs_os_now_ns());
    atomic_store(&shared->n_running, krs_sched_n_running(engine->sched));
    atomic_store(&shared->n_kv_free, krs_kv_pool_n_free(engine->pool));
    /* Pairs with the counting in open: either it sees DRAINING, or its stream is seen here. */
    uint32_t draining = KRS_RUNTIME_DRAINING;
    if (atomic_load(&shared->state) == draining && atomic_load(&shared->n_open) == 0) {
        (void)atomic_compare_exchange_strong(&shared->state, &draining, KRS_RUNTIME_STOPPED);
    }
}

void krs_engine_loop_main(void *arg)
{
    krs_engine *engine = arg;
    bool is_idle = true;
    bool is_open = true;
    while (is_open || engine->active) {
        is_open = collect(engine, is_idle && is_open);
        read_controls(engine);
        is_idle = !krs_engine_step(engine);
        krs_engine_deliver(engine);
        publish(engine);
    }
}
