/* engine/step.c - one step: plan it, write it down, run it on the device.
 *
 * What the results mean for the streams is in advance.c, what a failed device means in fail.c.
 *
 * Thread: engine thread.  Memory: the arrays of krs_step_room, none taken here. */
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

/* Write the plan down as the device wants it; its arrays are borrowed from engine->step. */
static krs_step build_step(krs_engine *engine, const krs_sched_step *plan)
{
    krs_step_room *room = &engine->step;
    krs_step step = {
        .n_seqs = plan->n_items,
        .tokens = room->tokens,
        .seqs = room->seqs,
        .logit_rows = room->logit_rows,
        .hidden_rows = room->hidden_rows,
        .n_copies = plan->n_copies,
        .copies = room->copies,
    };
    for (uint32_t i = 0; i < plan->n_copies; i++) {
        room->copies[i] = (krs_state_copy){plan->copies[i].from, plan->copies[i].to};
    }
    for (uint32_t i = 0; i < plan->n_items; i++) {
        const krs_sched_item *item = &plan->items[i];
        const krs_stream *stream = (const krs_stream *)item->seq;
        memcpy(room->tokens + step.n_rows, stream->tokens + item->n_past,
               item->n_rows * sizeof(*room->tokens));
        room->seqs[i] = (krs_step_seq){
            .row_begin = step.n_rows,
            .n_rows = item->n_rows,
            .n_past = item->n_past,
            .n_blocks = item->seq->table.n_blocks,
            .blocks = item->seq->table.blocks,
            .state = item->seq->slot,
        };
        step.n_rows += item->n_rows;
        uint32_t *wanted = stream->embedding.n > 0 ? room->hidden_rows + step.n_hidden_rows
                                                   : room->logit_rows + step.n_logit_rows;
        for (uint32_t row = 0; row < item->n_wanted; row++) {
            wanted[row] = step.n_rows - item->n_wanted + row;
        }
        step.n_hidden_rows += stream->embedding.n > 0 ? item->n_wanted : 0;
        step.n_logit_rows += stream->embedding.n > 0 ? 0 : item->n_wanted;
    }
    return step;
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
            krs_engine_tell_started(engine, stream);
        }
    }
}

static krs_status run_device(krs_engine *engine, const krs_sched_step *plan,
                             krs_step_result *result, krs_error *err)
{
    const uint64_t begin_ns = krs_os_now_ns();
    mark_started(engine, plan, begin_ns);
    krs_status status = krs_fault_hit(KRS_FAULT_DEVICE_STEP)
                            ? krs_fail(err, KRS_EDEVICE, "a planted fault")
                            : krs_engine_draft(engine, plan, err);
    if (status != KRS_OK) {
        return status;
    }
    const krs_step step = build_step(engine, plan);
    const uint64_t submit_ns = krs_os_now_ns();
    status = krs_exec_submit(engine->exec, &step, err);
    if (status == KRS_OK) {
        status = krs_exec_collect(engine->exec, result, err);
    }
    engine->round.draft_ns = submit_ns - begin_ns;
    engine->round.device_ns = krs_os_now_ns() - submit_ns;
    engine->round.n_rows = step.n_rows;
    engine->round.n_seqs = step.n_seqs;
    if (status == KRS_OK && step.n_rows <= KRS_ENGINE_DRAFT_ROWS) {
        krs_pace_cost_learn(&engine->cost, step.n_rows, engine->round.device_ns);
    }
    return status;
}

/* Grant prompts beside decodes as many rows as make a step last KRS_ENGINE_BESIDE_NS, going by the last
 * one: half of the way each time, since a step may have been slow for other reasons. In whole KV blocks,
 * which are whole tiles of the kernels. */
static void learn_prompt_rows(krs_engine *engine, const krs_sched_step *plan)
{
    const uint32_t max_rows = engine->limits.max_step_tokens;
    if (plan->n_prompt_rows < KRS_SCHED_MIN_PROMPT_ROWS || engine->round.device_ns == 0) {
        return;
    }
    const uint64_t fit = plan->n_prompt_rows * KRS_ENGINE_BESIDE_NS / engine->round.device_ns;
    engine->prompt_rows = (engine->prompt_rows + (uint32_t)(fit < max_rows ? fit : max_rows)) / 2;
    krs_sched_set_prompt_rows(engine->sched,
                              engine->prompt_rows / KRS_KV_BLOCK_TOKENS * KRS_KV_BLOCK_TOKENS);
}

bool krs_engine_step(krs_engine *engine)
{
    krs_sched_step plan;
    krs_sched_plan(engine->sched, krs_os_now_ns(), &plan);
    post_ended(engine, plan.ended);
    if (plan.n_preempted > 0) {
        krs_engine_tell_preempted(engine, plan.n_preempted);
    }
    if (plan.n_items == 0) {
        return plan.ended != NULL;
    }
    krs_step_result result = {0};
    krs_error err = KRS_ERROR_INIT;
    const krs_status status = run_device(engine, &plan, &result, &err);
    if (status == KRS_OK) {
        engine->n_steps_well += engine->n_steps_well < KRS_ENGINE_TRUST_STEPS;
        learn_prompt_rows(engine, &plan);
        krs_engine_advance(engine, &plan, &result);
    } else {
        krs_engine_fail(engine, status, &err);
    }
    return true;
}
