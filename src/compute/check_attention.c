/* compute/check_attention.c - the checks of rotation, KV and attention. See program_check.h. */
#include "compute/program_check.h"

#include <math.h>

/* Do the rotated elements lie in a head, and their frequencies among the program's floats? */
static krs_status check_rotated(const krs_checker *c)
{
    const krs_op *op = krs_checked_op(c);
    if (op->rope.n_freqs < 1 || op->rope.n_freqs > op->rope.head_dim / 2) {
        return krs_check_fail(c, "n_freqs is not in 1 .. head_dim / 2");
    }
    if (op->rope.offset < 0 || op->rope.offset > op->rope.head_dim - 2 * op->rope.n_freqs) {
        return krs_check_fail(c, "offset leaves no room for 2 n_freqs elements of a head");
    }
    if (op->rope.freqs > c->program->n_floats ||
        (uint32_t)op->rope.n_freqs > c->program->n_floats - op->rope.freqs) {
        return krs_check_fail(c, "the frequencies lie outside the program's floats");
    }
    return isfinite(op->rope.scale) ? KRS_OK : krs_check_fail(c, "scale is no number");
}

krs_status krs_check_rope(const krs_checker *c)
{
    const krs_op *op = krs_checked_op(c);
    if (!krs_is_written(c, op->in) || krs_checked_rows(c, op->in) != KRS_ROWS_ALL) {
        return krs_check_fail(c, "in must be a written slot with a row per token");
    }
    const int64_t width = (int64_t)op->rope.n_heads * op->rope.head_dim;
    if (op->rope.n_heads < 1 || op->rope.head_dim < 1 || width != krs_checked_width(c, op->in)) {
        return krs_check_fail(c, "n_heads times head_dim is not the width of in");
    }
    return check_rotated(c);
}

static bool is_kv_shape(const krs_checker *c)
{
    const krs_op *op = krs_checked_op(c);
    const krs_program *program = c->program;
    return op->attention.layer >= 0 && op->attention.layer < program->n_kv_layers &&
           op->attention.n_kv_heads == program->n_kv_heads &&
           op->attention.head_dim == program->head_dim;
}

/* A written slot with a row of this width per token? */
static bool is_token_slot(const krs_checker *c, krs_slot slot, int64_t width)
{
    return krs_is_written(c, slot) && krs_checked_rows(c, slot) == KRS_ROWS_ALL &&
           krs_checked_width(c, slot) == width;
}

krs_status krs_check_kv_write(const krs_checker *c)
{
    const krs_op *op = krs_checked_op(c);
    const int64_t n_heads = op->attention.n_kv_heads;
    if (!is_kv_shape(c)) {
        return krs_check_fail(c, "layer, n_kv_heads or head_dim is not the program's");
    }
    if (!is_token_slot(c, op->in, n_heads * op->attention.head_dim)) {
        return krs_check_fail(c, "in must be a written slot of n_kv_heads * head_dim per token");
    }
    if (!is_token_slot(c, op->in2, n_heads * krs_program_value_dim(c->program))) {
        return krs_check_fail(c, "in2 must be a written slot of n_kv_heads * value_dim per token");
    }
    return KRS_OK;
}

static krs_status check_attention_numbers(const krs_checker *c)
{
    const krs_op *op = krs_checked_op(c);
    if (op->attention.window < 0) {
        return krs_check_fail(c, "the window is negative");
    }
    if (!isfinite(op->attention.scale) || !krs_is_bound(op->attention.softcap)) {
        return krs_check_fail(c, "scale is no number, or softcap negative or none");
    }
    if (op->matrix != KRS_NO_MATRIX && !krs_is_vector(c, op->matrix, op->attention.n_heads)) {
        return krs_check_fail(c, "the sinks are no vector of n_heads");
    }
    return KRS_OK;
}

krs_status krs_check_attention(const krs_checker *c)
{
    const krs_op *op = krs_checked_op(c);
    const krs_status status = krs_check_in_out(c);
    if (status != KRS_OK) {
        return status;
    }
    if (!is_kv_shape(c)) {
        return krs_check_fail(c, "layer, n_kv_heads or head_dim is not the program's");
    }
    const int64_t n_heads = op->attention.n_heads;
    if (n_heads < 1 || n_heads % op->attention.n_kv_heads != 0) {
        return krs_check_fail(c, "n_heads is not a multiple of n_kv_heads");
    }
    if (!is_token_slot(c, op->in, n_heads * op->attention.head_dim)) {
        return krs_check_fail(c, "in must be a slot of n_heads * head_dim per token");
    }
    if (krs_checked_width(c, op->out) != n_heads * krs_program_value_dim(c->program) ||
        op->in == op->out) {
        return krs_check_fail(c, "out must be another slot, of n_heads * value_dim per token");
    }
    return check_attention_numbers(c);
}
