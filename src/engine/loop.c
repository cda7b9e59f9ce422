/* engine/loop.c - the engine thread: inbox, controls, step, delivery, round and round.
 *
 * It blocks in two places only: on the device inside a step, and on its inbox when there is nothing to
 * compute. Then it still goes round every KRS_ENGINE_BEAT_NS, so an old heartbeat means it hangs.
 *
 * A stream comes by the inbox twice: when it is opened, so that it can be ended while its prompt is
 * being read, and when its prep thread is done with it.
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
    /* At most one wake is queued, and the inbox has a place for it beside two for every stream. Pairs
     * with the exchange in take_item: whoever sets the flag after it was cleared pushes again. */
    if (!atomic_exchange(&engine->shared.is_woken, true)) {
        const krs_status status = krs_os_queue_push(engine->inbox, wake_item());
        KRS_CHECK(status == KRS_OK || status == KRS_EUNAVAILABLE);
    }
}

/* End a stream whose prompt is being read. Its memory follows when it comes home. */
static void leave(krs_engine *engine, krs_stream *stream, krs_finish finish)
{
    if (!stream->is_left && (krs_stream_has_steps(stream) || krs_stream_claim(stream))) {
        stream->is_left = true;
        krs_engine_post_left(engine, stream, finish);
    }
}

/* Carry what its clients asked for to the scheduler. */
static void apply_control(krs_engine *engine, krs_stream *stream)
{
    const krs_control control = krs_controls_collect(&engine->controls, stream->id);
    if (control.is_granted) {
        krs_engine_grant(engine, stream, control.n_granted);
    }
    if (!control.is_cancelled) {
        return;
    }
    if (stream->is_home) {
        krs_engine_cancel(engine, stream);
    } else {
        leave(engine, stream, KRS_FINISH_CANCELLED);
    }
}

/* The first word of a stream: its prep thread owns it. */
static void meet(krs_engine *engine, krs_stream *stream)
{
    stream->is_known = true;
    krs_engine_link(&engine->away, stream);
    engine->by_slot[krs_controls_slot(stream->id)] = stream;
    if (stream->request->deadline_ns < engine->away_deadline_ns) {
        engine->away_deadline_ns = stream->request->deadline_ns;
    }
    apply_control(engine, stream); /* a change from before this has no stream to reach */
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

/* From its prep thread: from now on the engine thread owns it whole. */
static void come_home(krs_engine *engine, krs_stream *stream)
{
    krs_engine_unlink(&engine->away, stream);
    krs_engine_link(&engine->active, stream);
    stream->is_home = true;
    if (stream->is_left || !krs_stream_has_steps(stream)) {
        if (!stream->is_posted) { /* else the delivery of this round forgets it */
            krs_engine_forget(engine, stream);
        }
    } else if (stream->is_ended) { /* its preparation failed */
        krs_engine_post(engine, stream, 0);
    } else if (atomic_load(&engine->shared.state) == KRS_RUNTIME_FAILED) {
        refuse(engine, stream, KRS_EDEVICE);
    } else {
        const krs_status status = krs_engine_queue(engine, stream);
        if (status != KRS_OK) {
            refuse(engine, stream, status);
        }
    }
}

static void take_item(krs_engine *engine, void *item)
{
    krs_stream *stream = item;
    if (item == wake_item()) {
        (void)atomic_exchange(&engine->shared.is_woken, false);
    } else if (stream->is_known) {
        come_home(engine, stream);
    } else {
        meet(engine, stream);
    }
}

/* When to go round again though nothing comes. */
static uint64_t next_round_ns(const krs_engine *engine)
{
    const uint64_t beat_ns = krs_os_now_ns() + KRS_ENGINE_BEAT_NS;
    const uint64_t deadline_ns = krs_sched_next_deadline(engine->sched);
    const uint64_t first_ns = deadline_ns < beat_ns ? deadline_ns : beat_ns;
    return engine->away_deadline_ns < first_ns ? engine->away_deadline_ns : first_ns;
}

/* Empty the inbox, first waiting for something to come when is_idle. False when it is closed and empty. */
static bool collect(krs_engine *engine, bool is_idle)
{
    void *item = NULL;
    krs_status status = is_idle ? krs_os_queue_pop(engine->inbox, next_round_ns(engine), &item)
                                : krs_os_queue_try_pop(engine->inbox, &item);
    while (status == KRS_OK) {
        take_item(engine, item);
        status = krs_os_queue_try_pop(engine->inbox, &item);
    }
    return status != KRS_EEOF;
}

/* The engine is to be freed: once, for everybody; who comes home later has been left. */
static void cancel_all(krs_engine *engine)
{
    for (krs_stream *stream = engine->active; stream; stream = stream->next) {
        krs_engine_cancel(engine, stream);
    }
    for (krs_stream *stream = engine->away; stream; stream = stream->next) {
        leave(engine, stream, KRS_FINISH_CANCELLED);
    }
}

static void read_controls(krs_engine *engine)
{
    uint32_t slot;
    while (krs_controls_next(&engine->controls, &slot)) {
        if (engine->by_slot[slot]) {
            apply_control(engine, engine->by_slot[slot]);
        }
    }
    if (atomic_load(&engine->shared.is_stopping)) {
        cancel_all(engine);
    }
}

/* Deadlines of streams that are away. All are looked at when the earliest has come, and only then. */
static void end_late(krs_engine *engine)
{
    const uint64_t now_ns = krs_os_now_ns();
    if (now_ns < engine->away_deadline_ns) {
        return;
    }
    engine->away_deadline_ns = UINT64_MAX;
    for (krs_stream *stream = engine->away; stream; stream = stream->next) {
        const uint64_t deadline_ns = stream->request->deadline_ns;
        if (deadline_ns <= now_ns) {
            leave(engine, stream, KRS_FINISH_DEADLINE);
        } else if (deadline_ns < engine->away_deadline_ns) {
            engine->away_deadline_ns = deadline_ns;
        }
    }
}

void krs_engine_loop_main(void *arg)
{
    krs_engine *engine = arg;
    bool is_idle = true;
    bool is_open = true;
    while (is_open || engine->active || engine->away) {
        is_open = collect(engine, is_idle && is_open);
        engine->round = (krs_round){.begin_ns = krs_os_now_ns()};
        read_controls(engine);
        end_late(engine);
        is_idle = !krs_engine_step(engine);
        krs_engine_deliver(engine);
        krs_engine_publish(engine);
    }
}
