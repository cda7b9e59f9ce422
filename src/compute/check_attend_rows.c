/* compute/check_attend_rows.c - is an attention over the rows of a step whole? See program_check.h.
 *
 * Thread: any; pure. */
#include "compute/program_check.h"
#include "compute/relative.h"

static bool is_row_slot(const krs_checker *c, krs_slot slot, int64_t width)
{
    return krs_is_written(c, slot) && krs_checked_rows(c, slot) == KRS_ROWS_ALL &&
           krs_checked_width(c, slot) == width;
}

/* A table of an even number of buckets, half for each side, of which half tell every distance apart. */
static bool is_bias_table(const krs_checker *c)
{
    const krs_op *op = krs_checked_op(c);
    if (op->matrix >= c->program->n_matrices) {
        return false;
    }
    const int64_t n_buckets = c->program->matrices[op->matrix].n_out;
    return krs_is_matrix(c, op->matrix, n_buckets, op->attention.n_heads) && n_buckets % 4 == 0 &&
           n_buckets <= KRS_RELATIVE_MAX_BUCKETS && op->attention.max_distance > n_buckets / 4;
}

static krs_status check_slots(const krs_checker *c)
{
    const krs_op *op = krs_checked_op(c);
    const int64_t dim = op->attention.head_dim;
    const int64_t width = op->attention.n_heads * dim;
    const int64_t kv_width = op->attention.n_kv_heads * dim;
    if (!is_row_slot(c, op->in, width) || !is_row_slot(c, op->in2, kv_width) ||
        !is_row_slot(c, op->in3, kv_width)) {
        return krs_check_fail(c,
                              "in, in2, in3 must be written slots of the heads' widths per token");
    }
    if (!krs_is_slot(c, op->out) || krs_checked_rows(c, op->out) != KRS_ROWS_ALL ||
        krs_checked_width(c, op->out) != width || op->out == op->in || op->out == op->in2 ||
        op->out == op->in3) {
        return krs_check_fail(c, "out must be another slot, as in");
    }
    return KRS_OK;
}

krs_status krs_check_attend_rows(const krs_checker *c)
{
    const krs_op *op = krs_checked_op(c);
    const int32_t n_kv_heads = op->attention.n_kv_heads;
    if (n_kv_heads < 1 || op->attention.n_heads < 1 || op->attention.n_heads % n_kv_heads != 0) {
        return krs_check_fail(c, "n_heads is not a multiple of n_kv_heads");
    }
    if (op->attention.head_dim < 1 || op->attention.head_dim > KRS_PROGRAM_MAX_HEAD_DIM) {
        return krs_check_fail(c, "head_dim is not in 1 .. KRS_PROGRAM_MAX_HEAD_DIM");
    }
    const krs_status status = check_slots(c);
    if (status != KRS_OK) {
        return status;
    }
    if (op->matrix != KRS_NO_MATRIX && !is_bias_table(c)) {
        return krs_check_fail(c, "the bias is no table of buckets by heads");
    }
    return op->attention.window >= 0 ? KRS_OK : krs_check_fail(c, "the window is negative");
}
