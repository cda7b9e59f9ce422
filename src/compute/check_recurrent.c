/* compute/check_recurrent.c - the checks of ops that carry a state. See program_check.h.
 *
 * Each such op has a part of the sequence's state to itself: two that share one would read what the
 * other left.
 *
 * Thread: any; pure. */
#include "compute/program_check.h"

#include <math.h>

/* The part of the state an op has; n 0: none. */
typedef struct state_part {
    int64_t first;
    int64_t n;
} state_part;

static state_part part_of(const krs_program *program, const krs_op *op)
{
    if (op->kind == KRS_OP_CONV) {
        return (state_part){op->conv.state, krs_conv_state_floats(program, op)};
    }
    if (op->kind == KRS_OP_DELTA) {
        return (state_part){op->delta.state, krs_delta_state_floats(op)};
    }
    return (state_part){0, 0};
}

/* The op's other numbers have been checked. */
static krs_status check_state(const krs_checker *c)
{
    const state_part part = part_of(c->program, krs_checked_op(c));
    if (part.first < 0 || part.n > c->program->state_floats ||
        part.first > c->program->state_floats - part.n) {
        return krs_check_fail(c, "its state lies outside of the program's");
    }
    for (uint32_t i = 0; i < c->index; i++) {
        const state_part other = part_of(c->program, &c->program->ops[i]);
        if (other.n > 0 && part.n > 0 && other.first < part.first + part.n &&
            part.first < other.first + other.n) {
            return krs_check_fail(c, "its state is also another op's");
        }
    }
    return KRS_OK;
}

static bool is_row_slot(const krs_checker *c, krs_slot slot, int64_t width)
{
    return krs_is_written(c, slot) && krs_checked_rows(c, slot) == KRS_ROWS_ALL &&
           krs_checked_width(c, slot) == width;
}

static krs_status check_conv_weights(const krs_checker *c, int64_t width)
{
    const krs_op *op = krs_checked_op(c);
    if (!krs_is_matrix(c, op->matrix, width, op->conv.kernel) ||
        c->program->matrices[op->matrix].quant.kind != KRS_QUANT_NONE) {
        return krs_check_fail(c, "the matrix is not dense, of a row of kernel weights per channel");
    }
    if (op->bias != KRS_NO_MATRIX && !krs_is_vector(c, op->bias, width)) {
        return krs_check_fail(c, "the bias is no vector of the channels");
    }
    if (!krs_is_activation(op->conv.act)) {
        return krs_check_fail(c, "unknown activation");
    }
    return check_state(c);
}

krs_status krs_check_conv(const krs_checker *c)
{
    const krs_op *op = krs_checked_op(c);
    const krs_status status = krs_check_same_width(c);
    if (status != KRS_OK) {
        return status;
    }
    const int64_t width = krs_checked_width(c, op->in);
    if (krs_checked_rows(c, op->in) != KRS_ROWS_ALL || op->in == op->out) {
        return krs_check_fail(c, "in and out must be two slots with a row per token");
    }
    if (op->conv.kernel < 1 || op->conv.kernel > KRS_CONV_MAX_KERNEL) {
        return krs_check_fail(c, "kernel is not in 1 .. KRS_CONV_MAX_KERNEL");
    }
    return check_conv_weights(c, width);
}

static bool has_sound_heads(const krs_op *op)
{
    const int32_t n_k = op->delta.n_k_heads;
    const int32_t n_v = op->delta.n_v_heads;
    return n_k >= 1 && n_v >= 1 && n_v % n_k == 0 && op->delta.k_dim >= 1 && op->delta.v_dim >= 1 &&
           op->delta.k_dim <= KRS_PROGRAM_MAX_HEAD_DIM &&
           op->delta.v_dim <= KRS_PROGRAM_MAX_HEAD_DIM &&
           n_v <= KRS_PROGRAM_MAX_WIDTH / KRS_PROGRAM_MAX_HEAD_DIM;
}

static bool is_other_slot(const krs_checker *c, int64_t width)
{
    const krs_op *op = krs_checked_op(c);
    return krs_is_slot(c, op->out) && krs_checked_rows(c, op->out) == KRS_ROWS_ALL &&
           krs_checked_width(c, op->out) == width && op->out != op->in && op->out != op->in2 &&
           op->out != op->in3;
}

static krs_status check_delta_weights(const krs_checker *c)
{
    const krs_op *op = krs_checked_op(c);
    const int64_t n_v = op->delta.n_v_heads;
    if (!krs_is_vector(c, op->matrix, n_v) || !krs_is_vector(c, op->bias, n_v)) {
        return krs_check_fail(c, "matrix or bias is no vector of n_v_heads");
    }
    if (!krs_is_bound(op->delta.eps) || !isfinite(op->delta.scale)) {
        return krs_check_fail(c, "eps is negative, or eps or scale no number");
    }
    return check_state(c);
}

krs_status krs_check_delta(const krs_checker *c)
{
    const krs_op *op = krs_checked_op(c);
    if (!has_sound_heads(op)) {
        return krs_check_fail(c, "heads that do not divide, or dims out of range");
    }
    const int64_t n_v = op->delta.n_v_heads;
    const int64_t n_out = n_v * op->delta.v_dim;
    if (!is_row_slot(c, op->in, 2 * (int64_t)op->delta.n_k_heads * op->delta.k_dim + n_out)) {
        return krs_check_fail(c, "in must be a written slot of q, k and v per token");
    }
    if (!is_row_slot(c, op->in2, n_v) || !is_row_slot(c, op->in3, n_v)) {
        return krs_check_fail(c, "in2 and in3 must be written slots of n_v_heads per token");
    }
    if (!is_other_slot(c, n_out)) {
        return krs_check_fail(c, "out must be another slot, of n_v_heads * v_dim per token");
    }
    return check_delta_weights(c);
}
