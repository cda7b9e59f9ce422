/* compute/check_matrix.c - the checks of ops that read weights. See program_check.h. */
#include "compute/program_check.h"

#include <math.h>

static bool is_sound_matrix(const krs_matrix *m)
{
    if (m->n_out <= 0 || m->n_in <= 0 || m->n_out > KRS_PROGRAM_MAX_WIDTH ||
        m->n_in > KRS_PROGRAM_MAX_WIDTH || !m->data) {
        return false;
    }
    return krs_matrix_check(m, NULL) == KRS_OK;
}

bool krs_is_matrix(const krs_checker *c, uint32_t index, int64_t n_out, int64_t n_in)
{
    if (index >= c->program->n_matrices) {
        return false;
    }
    const krs_matrix *m = &c->program->matrices[index];
    return is_sound_matrix(m) && m->n_out == n_out && m->n_in == n_in;
}

bool krs_is_vector(const krs_checker *c, uint32_t index, int64_t n)
{
    return krs_is_matrix(c, index, 1, n) &&
           c->program->matrices[index].quant.kind == KRS_QUANT_NONE;
}

krs_status krs_check_embed(const krs_checker *c)
{
    const krs_op *op = krs_checked_op(c);
    if (!krs_is_slot(c, op->out) || krs_checked_rows(c, op->out) != KRS_ROWS_ALL) {
        return krs_check_fail(c, "out must be a slot with a row per token");
    }
    if (op->matrix >= c->program->n_matrices ||
        !krs_is_matrix(c, op->matrix, c->program->matrices[op->matrix].n_out,
                       krs_checked_width(c, op->out))) {
        return krs_check_fail(c, "the matrix does not fit out");
    }
    return isfinite(op->embed.scale) ? KRS_OK : krs_check_fail(c, "scale is no number");
}

krs_status krs_check_add_position(const krs_checker *c)
{
    const krs_op *op = krs_checked_op(c);
    const krs_status status = krs_check_same_width(c);
    if (status != KRS_OK) {
        return status;
    }
    if (krs_checked_rows(c, op->in) != KRS_ROWS_ALL) {
        return krs_check_fail(c, "in must have a row per token");
    }
    if (op->matrix >= c->program->n_matrices ||
        !krs_is_matrix(c, op->matrix, c->program->matrices[op->matrix].n_out,
                       krs_checked_width(c, op->in))) {
        return krs_check_fail(c, "the matrix does not fit in");
    }
    if (op->embed.offset < 0 ||
        c->program->max_positions > c->program->matrices[op->matrix].n_out - op->embed.offset) {
        return krs_check_fail(c, "the matrix has fewer rows than there are positions");
    }
    return KRS_OK;
}

krs_status krs_check_add_vector(const krs_checker *c)
{
    const krs_op *op = krs_checked_op(c);
    const krs_status status = krs_check_same_width(c);
    if (status == KRS_OK && !krs_is_vector(c, op->matrix, krs_checked_width(c, op->in))) {
        return krs_check_fail(c, "the matrix is no vector of in's width");
    }
    return status;
}

/* A vector for each group or one for all of them. */
static bool is_norm_vector(const krs_checker *c, uint32_t index, int64_t width, int64_t n_groups)
{
    return krs_is_vector(c, index, width / n_groups) || krs_is_vector(c, index, width);
}

/* RMS_NORM takes no bias. */
static krs_status check_norm_vectors(const krs_checker *c)
{
    const krs_op *op = krs_checked_op(c);
    const int64_t width = krs_checked_width(c, op->in);
    if (op->matrix != KRS_NO_MATRIX && !is_norm_vector(c, op->matrix, width, op->norm.n_groups)) {
        return krs_check_fail(c, "the weight is no vector of one group's width, or the row's");
    }
    if (op->kind == KRS_OP_LAYER_NORM && op->bias != KRS_NO_MATRIX &&
        !is_norm_vector(c, op->bias, width, op->norm.n_groups)) {
        return krs_check_fail(c, "the bias is no vector of one group's width, or the row's");
    }
    return KRS_OK;
}

/* RMS_NORM and LAYER_NORM. */
krs_status krs_check_norm(const krs_checker *c)
{
    const krs_op *op = krs_checked_op(c);
    const krs_status status = krs_check_same_width(c);
    if (status != KRS_OK) {
        return status;
    }
    if (op->norm.n_groups < 1 || krs_checked_width(c, op->in) % op->norm.n_groups != 0) {
        return krs_check_fail(c, "n_groups does not divide the width");
    }
    if (!isfinite(op->norm.weight_offset) ||
        (op->matrix == KRS_NO_MATRIX && op->norm.weight_offset != 0)) {
        return krs_check_fail(c, "weight_offset is no number, or there is no weight");
    }
    if (!krs_is_bound(op->norm.eps)) {
        return krs_check_fail(c, "eps is negative or no number");
    }
    return check_norm_vectors(c);
}

krs_status krs_check_linear(const krs_checker *c)
{
    const krs_op *op = krs_checked_op(c);
    const krs_status status = krs_check_in_out(c);
    if (status != KRS_OK) {
        return status;
    }
    if (op->in == op->out) {
        return krs_check_fail(c, "in and out are the same slot");
    }
    if (!krs_is_matrix(c, op->matrix, krs_checked_width(c, op->out),
                       krs_checked_width(c, op->in))) {
        return krs_check_fail(c, "the matrix does not fit in and out");
    }
    if (op->bias != KRS_NO_MATRIX && !krs_is_vector(c, op->bias, krs_checked_width(c, op->out))) {
        return krs_check_fail(c, "the bias is no vector of out's width");
    }
    return KRS_OK;
}

krs_status krs_check_head_linear(const krs_checker *c)
{
    const krs_op *op = krs_checked_op(c);
    const krs_status status = krs_check_in_out(c);
    if (status != KRS_OK) {
        return status;
    }
    if (op->in == op->out) {
        return krs_check_fail(c, "in and out are the same slot");
    }
    const int32_t n_heads = op->head_linear.n_heads;
    const int64_t n_in = krs_checked_width(c, op->in);
    const int64_t n_out = krs_checked_width(c, op->out);
    if (n_heads < 1 || n_in % n_heads != 0 || n_out % n_heads != 0) {
        return krs_check_fail(c, "n_heads does not divide the widths of in and out");
    }
    if (!krs_is_matrix(c, op->matrix, n_out, n_in / n_heads)) {
        return krs_check_fail(c, "the matrix does not fit in and out");
    }
    return KRS_OK;
}
