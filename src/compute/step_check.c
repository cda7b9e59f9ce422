/* compute/step_check.c - see step_check.h. */
#include "compute/step_check.h"

#include <string.h>

uint32_t krs_step_vocab_of(const krs_program *program)
{
    uint32_t vocab = UINT32_MAX;
    for (uint32_t i = 0; i < program->n_ops; i++) {
        const krs_op *op = &program->ops[i];
        if (op->kind == KRS_OP_EMBED && program->matrices[op->matrix].n_out < vocab) {
            vocab = (uint32_t)program->matrices[op->matrix].n_out;
        }
    }
    return vocab;
}

static krs_status check_counts(const krs_exec_limits *limits, const krs_step *step, krs_error *err)
{
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
    if (step->n_hidden_rows > limits->max_hidden_rows) {
        return krs_fail(err, KRS_EINVAL, "step: %u rows of hidden states, want at most %u",
                        step->n_hidden_rows, limits->max_hidden_rows);
    }
    return KRS_OK;
}

static krs_status check_blocks(const krs_program *program, const krs_exec_limits *limits,
                               const krs_step_seq *seq, uint32_t index, krs_error *err)
{
    const uint64_t n_tokens = (uint64_t)seq->n_past + seq->n_rows;
    if (program->is_whole && seq->n_past > 0) {
        return krs_fail(
            err, KRS_EINVAL,
            "step: sequence %u begins at row %u of its text, want all of it in one step", index,
            seq->n_past);
    }
    if (n_tokens > (uint64_t)program->max_positions) {
        return krs_fail(err, KRS_EINVAL, "step: sequence %u would reach %llu tokens, limit %lld",
                        index, (unsigned long long)n_tokens, (long long)program->max_positions);
    }
    if (program->n_kv_layers == 0) {
        return KRS_OK;
    }
    if ((uint64_t)seq->n_blocks * KRS_KV_BLOCK_TOKENS < n_tokens) {
        return krs_fail(err, KRS_EINVAL, "step: sequence %u has %u blocks for %llu tokens", index,
                        seq->n_blocks, (unsigned long long)n_tokens);
    }
    for (uint32_t b = 0; b < seq->n_blocks; b++) {
        if (seq->blocks[b] >= limits->n_kv_blocks) {
            return krs_fail(err, KRS_EINVAL, "step: sequence %u names block %u, want below %u",
                            index, seq->blocks[b], limits->n_kv_blocks);
        }
    }
    return KRS_OK;
}

static krs_status check_seqs(const krs_program *program, const krs_exec_limits *limits,
                             const krs_step *step, krs_error *err)
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
        const krs_status status = check_blocks(program, limits, seq, i, err);
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

/* Is every state slot there, and nobody's but its sequence's? */
static krs_status check_state_slots(uint32_t n_slots, const krs_step *step, krs_error *err)
{
    uint64_t taken[KRS_EXEC_MAX_STATE_SLOTS / 64];
    memset(taken, 0, (n_slots + 63) / 64 * sizeof(taken[0]));
    for (uint32_t i = 0; i < step->n_seqs; i++) {
        const uint32_t slot = step->seqs[i].state;
        if (slot >= n_slots) {
            return krs_fail(err, KRS_EINVAL, "step: sequence %u has state slot %u, want below %u",
                            i, slot, n_slots);
        }
        const uint64_t bit = UINT64_C(1) << slot % 64;
        if (taken[slot / 64] & bit) {
            return krs_fail(err, KRS_EINVAL, "step: sequence %u shares state slot %u with another",
                            i, slot);
        }
        taken[slot / 64] |= bit;
    }
    return KRS_OK;
}

static krs_status check_states(const krs_program *program, const krs_exec_limits *limits,
                               const krs_step *step, krs_error *err)
{
    const uint32_t n_slots = program->state_floats > 0 ? limits->n_state_slots : 0;
    if (step->n_copies > n_slots) {
        return krs_fail(err, KRS_EINVAL, "step: %u copies of states, want at most %u",
                        step->n_copies, n_slots);
    }
    for (uint32_t i = 0; i < step->n_copies; i++) {
        const krs_state_copy *copy = &step->copies[i];
        if (copy->from >= n_slots || copy->to >= n_slots) {
            return krs_fail(err, KRS_EINVAL,
                            "step: copy %u of states is from %u to %u, want below %u", i,
                            copy->from, copy->to, n_slots);
        }
    }
    return program->state_floats > 0 ? check_state_slots(n_slots, step, err) : KRS_OK;
}

/* rows[n]: ascending and below n_rows? what: "logit" or "hidden", for the message. */
static krs_status check_wanted(const char *what, const uint32_t *rows, uint32_t n, uint32_t n_rows,
                               krs_error *err)
{
    for (uint32_t i = 0; i < n; i++) {
        if (rows[i] >= n_rows || (i > 0 && rows[i] <= rows[i - 1])) {
            return krs_fail(err, KRS_EINVAL, "step: %s row %u is %u, want ascending and below %u",
                            what, i, rows[i], n_rows);
        }
    }
    return KRS_OK;
}

static krs_status check_rows(uint32_t vocab, const krs_step *step, krs_error *err)
{
    for (uint32_t r = 0; r < step->n_rows; r++) {
        if (step->tokens[r] >= vocab) {
            return krs_fail(err, KRS_EINVAL, "step: row %u is token %u, the vocabulary has %u", r,
                            step->tokens[r], vocab);
        }
    }
    const krs_status status =
        check_wanted("logit", step->logit_rows, step->n_logit_rows, step->n_rows, err);
    return status == KRS_OK
               ? check_wanted("hidden", step->hidden_rows, step->n_hidden_rows, step->n_rows, err)
               : status;
}

krs_status krs_step_check(const krs_program *program, const krs_exec_limits *limits, uint32_t vocab,
                          const krs_step *step, krs_error *err)
{
    krs_status status = check_counts(limits, step, err);
    if (status == KRS_OK) {
        status = check_seqs(program, limits, step, err);
    }
    if (status == KRS_OK) {
        status = check_states(program, limits, step, err);
    }
    return status == KRS_OK ? check_rows(vocab, step, err) : status;
}
