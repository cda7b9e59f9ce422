/* compute/host_step.c - see host.h: checking a step, running it, handing out results.
 * A step is checked whole before anything runs, because it comes from a scheduler that may one day be
 * another process; the cost is a pass over a few small arrays. */
#include "compute/host.h"

static krs_status check_counts(const krs_host_exec *exec, const krs_step *step, krs_error *err)
{
    const krs_exec_limits *limits = &exec->limits;
    if (step->n_rows == 0 || step->n_rows > limits->max_rows) {
        return krs_fail(err, KRS_EINVAL, "step: %u rows, want 1..%u", step->n_rows,
                        limits->max_rows);
    }
    if (step->n_seqs == 0 || step->n_seqs > limits->max_seqs) {
        return krs_fail(err, KRS_EINVAL, "step: %u sequences, want 1..%u", step->n_seqs,
                        limits->max_seqs);
    }
    if (step->n_logit_rows > limits->max_logit_rows) {
        return krs_fail(err, KRS_EINVAL, "step: %u rows of logits, want at most %u",
                        step->n_logit_rows, limits->max_logit_rows);
    }
    return KRS_OK;
}

static krs_status check_blocks(const krs_host_exec *exec, const krs_step_seq *seq, uint32_t index,
                               krs_error *err)
{
    const uint64_t n_tokens = (uint64_t)seq->n_past + seq->n_rows;
    if (n_tokens > (uint64_t)exec->program->max_positions) {
        return krs_fail(err, KRS_EINVAL, "step: sequence %u would reach %llu tokens, limit %lld",
                        index, (unsigned long long)n_tokens,
                        (long long)exec->program->max_positions);
    }
    if (exec->program->n_kv_layers == 0) {
        return KRS_OK;
    }
    if ((uint64_t)seq->n_blocks * KRS_KV_BLOCK_TOKENS < n_tokens) {
        return krs_fail(err, KRS_EINVAL, "step: sequence %u has %u blocks for %llu tokens", index,
                        seq->n_blocks, (unsigned long long)n_tokens);
    }
    for (uint32_t b = 0; b < seq->n_blocks; b++) {
        if (seq->blocks[b] >= exec->limits.n_kv_blocks) {
            return krs_fail(err, KRS_EINVAL, "step: sequence %u names block %u, want below %u",
                            index, seq->blocks[b], exec->limits.n_kv_blocks);
        }
    }
    return KRS_OK;
}

static krs_status check_seqs(const krs_host_exec *exec, const krs_step *step, krs_error *err)
{
    uint32_t next_row = 0;
    for (uint32_t i = 0; i < step->n_seqs; i++) {
        const krs_step_seq *seq = &step->seqs[i];
        if (seq->row_begin != next_row || seq->n_rows == 0 ||
            seq->n_rows > step->n_rows - next_row) {
            return krs_fail(err, KRS_EINVAL,
                            "step: sequence %u has rows %u + %u, want them to follow row %u", i,
                            seq->row_begin, seq->n_rows, next_row);
        }
        const krs_status status = check_blocks(exec, seq, i, err);
        if (status != KRS_OK) {
            return status;
        }
        next_row += seq->n_rows;
    }
    if (next_row != step->n_rows) {
        return krs_fail(err, KRS_EINVAL, "step: the sequences have %u rows, the step %u", next_row,
                        step->n_rows);
    }
    return KRS_OK;
}

static krs_status check_rows(const krs_host_exec *exec, const krs_step *step, krs_error *err)
{
    for (uint32_t r = 0; r < step->n_rows; r++) {
        if (step->tokens[r] >= exec->vocab) {
            return krs_fail(err, KRS_EINVAL, "step: row %u is token %u, the vocabulary has %u", r,
                            step->tokens[r], exec->vocab);
        }
    }
    for (uint32_t i = 0; i < step->n_logit_rows; i++) {
        const uint32_t row = step->logit_rows[i];
        if (row >= step->n_rows || (i > 0 && row <= step->logit_rows[i - 1])) {
            return krs_fail(err, KRS_EINVAL,
                            "step: logit row %u is %u, want ascending and below %u", i, row,
                            step->n_rows);
        }
    }
    return KRS_OK;
}

static krs_status check_step(const krs_host_exec *exec, const krs_step *step, krs_error *err)
{
    krs_status status = check_counts(exec, step, err);
    if (status == KRS_OK) {
        status = check_seqs(exec, step, err);
    }
    return status == KRS_OK ? check_rows(exec, step, err) : status;
}

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
    const krs_status status = check_step(exec, step, err);
    if (status != KRS_OK) {
        return status;
    }
    const size_t at = exec->n_submitted % KRS_EXEC_MAX_IN_FLIGHT;
    exec->slots[exec->program->logits] = exec->logits[at];
    exec->n_logit_rows[at] = step->n_logit_rows;
    fill_row_tables(exec, step);
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
    *out = (krs_step_result){exec->logits[at], exec->n_logit_rows[at]};
    return KRS_OK;
}
