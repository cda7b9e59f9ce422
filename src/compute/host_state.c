/* compute/host_state.c - see host.h: what sequences carry from step to step beside the KV cache.
 *
 * A state is copied and cleared by the owner alone, before the ops of a step: a sequence begins once,
 * and checkpoints are some hundred tokens apart, so these are a small part of what the rows cost.
 *
 * Thread: the exec's owner.  Memory: the state block. */
#include "compute/host.h"

#include <string.h>

void krs_host_prepare_states(krs_host_exec *exec, const krs_step *step)
{
    const size_t n_bytes = (size_t)exec->program->state_floats * sizeof(float);
    for (uint32_t i = 0; i < step->n_copies; i++) {
        /* From a slot to itself is allowed, and nothing. */
        memmove(krs_host_state(exec, step->copies[i].to, 0),
                krs_host_state(exec, step->copies[i].from, 0), n_bytes);
    }
    for (uint32_t i = 0; i < step->n_seqs; i++) {
        if (step->seqs[i].n_past == 0) {
            memset(krs_host_state(exec, step->seqs[i].state, 0), 0, n_bytes);
        }
    }
}

void krs_host_keep_inputs(const krs_host_exec *exec, const krs_op *op, const krs_step_seq *seq)
{
    const int64_t width = exec->program->slots[op->in].width;
    const size_t row_bytes = (size_t)width * sizeof(float);
    const int64_t n_kept = op->conv.kernel - 1;
    if (n_kept == 0) {
        return; /* a kernel of one row remembers nothing, and there may be no state at all */
    }
    float *kept = krs_host_state(exec, seq->state, op->conv.state);
    const int64_t n_old = seq->n_rows < n_kept ? n_kept - seq->n_rows : 0; /* that stay */
    memmove(kept, kept + (n_kept - n_old) * width, (size_t)n_old * row_bytes);
    for (int64_t k = n_old; k < n_kept; k++) {
        memcpy(kept + k * width,
               krs_host_row(exec, op->in, seq->row_begin + seq->n_rows - n_kept + k), row_bytes);
    }
}
