/* engine/step.c - one step: plan, run on the device, sample, advance the streams.
 *
 * Streams end here in three ways: by the plan (cancelled, late), by their own next token, and all at
 * once when the device fails. A stream fails alone when its own row has no token to choose from.
 *
 * Thread: engine thread.  Memory: the arrays of krs_step_room, none taken here. */
#include "base/check.h"
#include "base/fault.h"
#include "engine/engine_priv.h"
#include "os/clock.h"

/* The scheduler's list of sequences that a cancel or a deadline ended. */
static void post_ended(krs_engine *engine, krs_sched_seq *ended)
{
    while (ended) {
        krs_sched_seq *next = ended->next;
        krs_stream *stream = (krs_stream *)ended;
        const bool is_late = ended->end == KRS_EDEADLINE;
        krs_stream_end(stream, is_late ? KRS_FINISH_DEADLINE : KRS_FINISH_CANCELLED, NULL);
        krs_engine_post(engine, stream, 0);
        ended = next;
    }
}

/* Write the plan down as the device wants it; returns the step, borrowed from engine->step. */
static krs_step build_step(krs_engine *engine, const krs_sched_step *plan)
{
    krs_step_room *room = &engine->step;
    uint32_t row = 0;
    uint32_t n_samples = 0;
    for (uint32_t i = 0; i < plan->n_items; i++) {
        const krs_sched_item *item = &plan->items[i];
        const krs_stream *stream = (const krs_stream *)item->seq;
        memcpy(room->tokens + row, stream->tokens + item->n_past,
               item->n_rows * sizeof(*room->tokens));
        room->seqs[i] = (krs_step_seq){row, item->n_rows, item->n_past, item->seq->table.n_blocks,
                                       item->seq->table.blocks};
        row += item->n_rows;
        if (item->is_last_known) {
            room->logit_rows[n_samples++] = row - 1;
        }
    }
    return (krs_step){
        .n_rows = row,
        .n_seqs = plan->n_items,
        .n_logit_rows = n_samples,
        .tokens = room->tokens,
        .seqs = room->seqs,
        .logit_rows = room->logit_rows,
    };
}

/* First row of a stream: it waits no longer. */
static void mark_started(krs_engine *engine, const krs_sched_step *plan, uint64_t now_ns)
{
    for (uint32_t i = 0; i < plan->n_items; i++) {
        krs_stream *stream = (krs_stream *)plan->items[i].seq;
        if (!stream->is_started) {
            stream->is_started = true;
            stream->started_ns = now_ns;
            krs_engine_give_place(engine, stream);
        }
    }
}

static krs_status run_device(krs_engine *engine, const krs_sched_step *plan,
                             krs_step_result *result, krs_error *err)
{
    const uint64_t begin_ns = krs_os_now_ns();
    mark_started(engine, plan, begin_ns);
    const krs_step step = build_step(engine, plan);
    krs_status status = krs_fault_hit(KRS_FAULT_DEVICE_STEP)
                            ? krs_fail(err, KRS_EDEVICE, "a planted fault")
                            : krs_exec_submit(engine->exec, &step, err);
    if (status == KRS_OK) {
        status = krs_exec_collect(engine->exec, result, err);
    }
    krs_metrics_add(engine->metrics, KRS_METRIC_STEPS, 1);
    krs_metrics_observe(engine->metrics, KRS_METRIC_STEP_ROWS, plan->n_rows);
    krs_metrics_observe(engine->metrics, KRS_METRIC_STEP_DURATION, krs_os_now_ns() - begin_ns);
    return status;
}

static void advance(krs_engine *engine, krs_stream *stream, const float *logits, uint64_t now_ns)
{
    const krs_sample_input input = krs_stream_sample_input(stream, logits);
    const krs_status status = krs_sampler_pick(engine->sampler, &input, &stream->sample);
    uint32_t n_shown = 0;
    if (status == KRS_OK) {
        n_shown = krs_stream_advance(stream, now_ns);
    } else {
        krs_error error;
        (void)krs_fail(&error, status, "sampling: no token has a finite logit at position %u",
                       stream->n_tokens);
        krs_stream_end(stream, KRS_FINISH_ERROR, &error);
    }
    if (stream->is_ended) {
        krs_sched_finish(engine->sched, &stream->seq);
    } else {
        krs_sched_append(engine->sched, &stream->seq);
        krs_controls_spend(&engine->controls, stream->id);
    }
    krs_engine_post(engine, stream, n_shown);
}

static void advance_all(krs_engine *engine, const krs_sched_step *plan,
                        const krs_step_result *result)
{
    KRS_CHECK(result->n_logit_rows == plan->n_samples);
    const uint64_t now_ns = krs_os_now_ns();
    const float *logits = result->logits;
    for (uint32_t i = 0; i < plan->n_items; i++) {
        if (plan->items[i].is_last_known) {
            advance(engine, (krs_stream *)plan->items[i].seq, logits, now_ns);
            logits += engine->info.vocab;
        }
    }
}

/* The device is gone: nothing that is here, or comes later, can be answered. */
static void fail_all(krs_engine *engine, krs_status status, krs_error *err)
{
    (void)krs_error_wrap(err, status, "device");
    err->status = KRS_EDEVICE;
    krs_log_error(engine->log, KRS_LOG_ERROR, "engine.failed", NULL, err);
    atomic_store(&engine->shared.state, KRS_RUNTIME_FAILED);
    for (krs_stream *stream = engine->active; stream; stream = stream->next) {
        if (stream->is_ended) {
            continue;
        }
        krs_sched_finish(engine->sched, &stream->seq);
        krs_stream_end(stream, KRS_FINISH_ERROR, err);
        krs_engine_post(engine, stream, 0);
    }
}

bool krs_engine_step(krs_engine *engine)
{
    krs_sched_step plan;
    krs_sched_plan(engine->sched, krs_os_now_ns(), &plan);
    post_ended(engine, plan.ended);
    if (plan.n_preempted > 0) {
        krs_metrics_add(engine->metrics, KRS_METRIC_PREEMPTIONS, plan.n_preempted);
    }
    if (plan.n_items == 0) {
        return plan.ended != NULL;
    }
    krs_step_result result = {0};
    krs_error err = KRS_ERROR_INIT;
    const krs_status status = run_device(engine, &plan, &result, &err);
    if (status == KRS_OK) {
        advance_all(engine, &plan, &result);
    } else {
        fail_all(engine, status, &err);
    }
    return true;
}
