/* compute/cuda/exec.cu - one step: inputs into a pinned stage, one copy over, the ops in order, logits
 * back, an event. Submit returns when all of that is queued; collect waits for the event of the oldest
 * step. A failure of the device is sticky: the context cannot be trusted after it. */
#include "compute/cuda/exec.cuh"

extern "C" {
#include "compute/step_check.h"
}

#include <string.h>

/* Fill the stage; returns how many words of it are used. */
static size_t fill_stage(krs_cuda_stage *stage, const krs_step *step)
{
    const krs_cuda_inputs *in = &stage->host;
    uint32_t n_blocks = 0;
    memcpy(in->tokens, step->tokens, step->n_rows * sizeof(uint32_t));
    for (uint32_t i = 0; i < step->n_logit_rows; i++) {
        in->logit_rows[i] = step->logit_rows[i];
    }
    for (uint32_t i = 0; i < step->n_hidden_rows; i++) {
        in->hidden_rows[i] = step->hidden_rows[i];
    }
    for (uint32_t s = 0; s < step->n_seqs; s++) {
        const krs_step_seq *seq = &step->seqs[s];
        const uint32_t n_used =
            (seq->n_past + seq->n_rows + KRS_KV_BLOCK_TOKENS - 1) / KRS_KV_BLOCK_TOKENS;
        in->block_begin[s] = n_blocks;
        for (uint32_t b = 0; b < n_used && b < seq->n_blocks; b++) {
            in->blocks[n_blocks++] = seq->blocks[b];
        }
        for (uint32_t k = 0; k < seq->n_rows; k++) {
            in->positions[seq->row_begin + k] = seq->n_past + k;
            in->row_seqs[seq->row_begin + k] = s;
        }
    }
    return static_cast<size_t>(in->blocks - stage->host_words) + n_blocks;
}

typedef void (*launch_fn)(const krs_cuda_step *step, const krs_op *op);

/* In the order of krs_op_kind; supported.c lets no other kind through. */
static const launch_fn launchers[KRS_OP_KIND_COUNT] = {
    krs_cuda_embed,     krs_cuda_rms_norm, krs_cuda_linear, krs_cuda_rope,      krs_cuda_kv_write,
    krs_cuda_attention, krs_cuda_glu,      krs_cuda_add,    krs_cuda_take_rows,
};

/* Queue the copy of n_rows rows of a slot to the host. */
static krs_status queue_result(krs_cuda_exec *exec, krs_slot slot, uint32_t n_rows, float *to,
                               krs_error *err)
{
    if (n_rows == 0) {
        return KRS_OK;
    }
    const size_t width = static_cast<size_t>(exec->program->slots[slot].width);
    return krs_cuda_check(cudaMemcpyAsync(to, exec->slots[slot], n_rows * width * sizeof(float),
                                          cudaMemcpyDeviceToHost, exec->stream),
                          "copy results", err);
}

static krs_status queue_step(krs_cuda_exec *exec, krs_cuda_stage *stage, const krs_step *step,
                             krs_error *err)
{
    const size_t n_words = fill_stage(stage, step);
    krs_status status = krs_cuda_check(cudaMemcpyAsync(stage->device_words, stage->host_words,
                                                       n_words * sizeof(uint32_t),
                                                       cudaMemcpyHostToDevice, exec->stream),
                                       "copy inputs", err);
    const krs_cuda_step run = {exec,
                               &stage->device,
                               static_cast<int>(step->n_rows),
                               static_cast<int>(step->n_logit_rows),
                               static_cast<int>(step->n_hidden_rows),
                               exec->stream};
    for (uint32_t i = 0; status == KRS_OK && i < exec->program->n_ops; i++) {
        launchers[exec->program->ops[i].kind](&run, &exec->program->ops[i]);
    }
    if (status == KRS_OK) {
        status = krs_cuda_check(cudaGetLastError(), "launch", err);
    }
    if (status == KRS_OK) {
        status =
            queue_result(exec, exec->program->logits, step->n_logit_rows, stage->host_logits, err);
    }
    if (status == KRS_OK) {
        status =
            queue_result(exec, exec->program->hidden, step->n_hidden_rows, stage->host_hidden, err);
    }
    if (status == KRS_OK) {
        status = krs_cuda_check(cudaEventRecord(stage->done, exec->stream), "record", err);
    }
    return status;
}

static krs_status check_alive(const krs_cuda_exec *exec, krs_error *err)
{
    return exec->is_failed ? krs_fail(err, KRS_EDEVICE, "cuda:%d failed before", exec->ordinal)
                           : KRS_OK;
}

krs_status krs_cuda_submit(krs_exec *base, const krs_step *step, krs_error *err)
{
    krs_cuda_exec *exec = reinterpret_cast<krs_cuda_exec *>(base);
    krs_status status = check_alive(exec, err);
    if (status == KRS_OK && exec->n_submitted - exec->n_collected == KRS_EXEC_MAX_IN_FLIGHT) {
        status = krs_fail(err, KRS_EBUSY, "%d steps are in flight: collect one first",
                          KRS_EXEC_MAX_IN_FLIGHT);
    }
    if (status == KRS_OK) {
        status = krs_step_check(exec->program, &exec->limits, exec->vocab, step, err);
    }
    if (status != KRS_OK) {
        return status;
    }
    krs_cuda_stage *stage = &exec->stages[exec->n_submitted % KRS_EXEC_MAX_IN_FLIGHT];
    stage->n_logit_rows = step->n_logit_rows;
    stage->n_hidden_rows = step->n_hidden_rows;
    status = queue_step(exec, stage, step, err);
    if (status != KRS_OK) {
        exec->is_failed = true;
        return status;
    }
    exec->n_submitted++;
    return KRS_OK;
}

krs_status krs_cuda_collect(krs_exec *base, krs_step_result *out, krs_error *err)
{
    krs_cuda_exec *exec = reinterpret_cast<krs_cuda_exec *>(base);
    krs_status status = check_alive(exec, err);
    if (status != KRS_OK) {
        return status;
    }
    if (exec->n_submitted == exec->n_collected) {
        return KRS_EAGAIN;
    }
    krs_cuda_stage *stage = &exec->stages[exec->n_collected % KRS_EXEC_MAX_IN_FLIGHT];
    status = krs_cuda_check(cudaEventSynchronize(stage->done), "step", err);
    if (status != KRS_OK) {
        exec->is_failed = true;
        return status;
    }
    exec->n_collected++;
    *out = krs_step_result{stage->host_logits, stage->n_logit_rows, stage->n_hidden_rows,
                           stage->host_hidden};
    return KRS_OK;
}
