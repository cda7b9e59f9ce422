/* compute/host_step.c - see host.h: running a step and handing out its results. */
#include "compute/host.h"

#include "compute/step_check.h"

static void fill_row_tables(krs_host_exec *exec, const krs_step *step)
{
    for (uint32_t i = 0; i < step->n_seqs; i++) {
        const krs_step_seq *seq = &step->seqs[i];
        for (uint32_t k = 0; k < seq->n_rows; k++) {
            exec->positions[seq->row_begin + k] = seq->n_past + k;
            exec->row_seqs[seq->row_begin + k] = i;
        }
    }
}

krs_status krs_host_submit(krs_exec *base, const krs_step *step, krs_error *err)
{
    krs_host_exec *exec = (krs_host_exec *)base;
    if (exec->n_submitted - exec->n_collected == KRS_EXEC_MAX_IN_FLIGHT) {
        return krs_fail(err, KRS_EBUSY, "%d steps are in flight: collect one first",
                        KRS_EXEC_MAX_IN_FLIGHT);
    }
    const krs_status status = krs_step_check(exec->program, &exec->limits, exec->vocab, step, err);
    if (status != KRS_OK) {
        return status;
    }
    const size_t at = exec->n_submitted % KRS_EXEC_MAX_IN_FLIGHT;
    if (exec->program->logits != KRS_NO_SLOT) {
        exec->slots[exec->program->logits] = exec->logits[at];
    }
    if (exec->program->hidden != KRS_NO_SLOT) {
        exec->slots[exec->program->hidden] = exec->hidden[at];
    }
    exec->n_logit_rows[at] = step->n_logit_rows;
    exec->n_hidden_rows[at] = step->n_hidden_rows;
    fill_row_tables(exec, step);
    if (exec->states) {
        krs_host_prepare_states(exec, step);
    }
    exec->step = step;
    exec->run(exec);
    exec->step = NULL; /* borrowed until collect; this backend is done with it already */
    exec->n_submitted++;
    return KRS_OK;
}

krs_status krs_host_collect(krs_exec *base, krs_step_result *out, krs_error *err)
{
    (void)err; /* nothing left to collect is routine */
    krs_host_exec *exec = (krs_host_exec *)base;
    if (exec->n_submitted == exec->n_collected) {
        return KRS_EAGAIN;
    }
    const size_t at = exec->n_collected++ % KRS_EXEC_MAX_IN_FLIGHT;
    *out = (krs_step_result){
        .logits = exec->logits[at],
        .n_logit_rows = exec->n_logit_rows[at],
        .n_hidden_rows = exec->n_hidden_rows[at],
        .hidden = exec->hidden[at],
    };
    return KRS_OK;
}
