/* engine/fail.c - a device that failed: who is here is told, and the engine tries once to go on.
 *
 * What the cache held is gone with the exec, and a step may have been half done, so every stream that is
 * with the scheduler ends. Then the exec is opened anew: a fault that was the step's own (a bad kernel
 * launch, a lost context that the driver can replace) costs the requests that were here, not the process.
 * A device that cannot be opened, or fails again within KRS_ENGINE_TRUST_STEPS, makes the engine FAILED:
 * it refuses work until whoever runs it starts another.
 *
 * Thread: engine thread.  Memory: the old exec goes before the new one comes. */
#include "engine/engine_priv.h"

static void end_all(krs_engine *engine, const krs_error *err)
{
    for (krs_stream *stream = engine->active; stream; stream = stream->next) {
        if (stream->is_ended || stream->is_left) {
            continue; /* has its end in the outbox of this round */
        }
        krs_sched_finish(engine->sched, &stream->seq);
        krs_speculator_deinit(&stream->speculator);
        krs_stream_end(stream, KRS_FINISH_ERROR, err);
        krs_engine_post(engine, stream, 0);
    }
}

static krs_status reopen(krs_engine *engine, krs_error *err)
{
    const krs_exec_limits limits = krs_engine_exec_limits(engine, engine->plan.n_kv_blocks);
    krs_exec_free(engine->exec);
    engine->exec = NULL;
    krs_kv_pool_flush(engine->pool); /* blocks whose bytes are no more */
    const krs_status status = krs_exec_new(engine->backend, krs_model_program(engine->model),
                                           &limits, &engine->exec, err);
    return status == KRS_OK && engine->draft ? krs_draft_restart(engine->draft, err) : status;
}

static void tell_failed(const krs_engine *engine, const krs_error *err)
{
    const krs_log_field fields[] = {krs_log_text("status", krs_status_name(err->status)),
                                    krs_log_text("message", err->message)};
    krs_bus_tell(engine->bus, engine->log, KRS_EVENT_ENGINE_FAILED, NULL, fields, 2);
}

void krs_engine_fail(krs_engine *engine, krs_status status, krs_error *err)
{
    (void)krs_error_wrap(err, status, "device");
    err->status = KRS_EDEVICE;
    tell_failed(engine, err);
    krs_sched_revert(engine->sched);
    end_all(engine, err);
    const bool is_trusted = engine->n_steps_well >= KRS_ENGINE_TRUST_STEPS || !engine->has_failed;
    engine->has_failed = true;
    engine->n_steps_well = 0;
    krs_error why = KRS_ERROR_INIT;
    if (is_trusted && reopen(engine, &why) == KRS_OK) {
        krs_metrics_add(engine->metrics, KRS_METRIC_DEVICE_REOPENED, 1);
        krs_bus_tell(engine->bus, engine->log, KRS_EVENT_ENGINE_REOPENED, NULL, NULL, 0);
        return;
    }
    if (is_trusted) {
        tell_failed(engine, &why);
    }
    atomic_store(&engine->shared.state, KRS_RUNTIME_FAILED);
}
