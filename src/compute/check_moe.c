/* compute/check_moe.c - the checks of routing and of experts. See program_check.h.
 *
 * An expert's index is data that a kernel follows to a matrix, so the check of EXPERTS goes one step
 * further than shapes: what it reads as a routing must come from a ROUTE over as many experts, whose
 * indices are in range whatever the logits were.
 *
 * Thread: any; pure. */
#include "compute/program_check.h"

#include <math.h>

static krs_status check_route_groups(const krs_checker *c, int64_t n_experts)
{
    const krs_op *op = krs_checked_op(c);
    const int32_t n_groups = op->route.n_groups;
    if (n_groups < 1 || n_experts % n_groups != 0) {
        return krs_check_fail(c, "n_groups does not divide the experts");
    }
    if (n_groups == 1) {
        return KRS_OK;
    }
    if (n_experts / n_groups < 2) {
        return krs_check_fail(c, "a group, judged by its best two, has fewer");
    }
    if (op->route.top_groups < 1 || op->route.top_groups > n_groups) {
        return krs_check_fail(c, "top_groups is not in 1 .. n_groups");
    }
    return op->route.top_k <= op->route.top_groups * (n_experts / n_groups)
               ? KRS_OK
               : krs_check_fail(c, "top_groups groups have fewer than top_k experts");
}

static krs_status check_route_numbers(const krs_checker *c, int64_t n_experts)
{
    const krs_op *op = krs_checked_op(c);
    if ((unsigned)op->route.score > KRS_ROUTE_SIGMOID) {
        return krs_check_fail(c, "unknown score");
    }
    if (op->bias != KRS_NO_MATRIX && !krs_is_vector(c, op->bias, n_experts)) {
        return krs_check_fail(c, "the bias is no vector of the experts");
    }
    if (!isfinite(op->route.scale) || op->route.scale == 0) {
        return krs_check_fail(c, "scale is 0 or no number");
    }
    return check_route_groups(c, n_experts);
}

krs_status krs_check_route(const krs_checker *c)
{
    const krs_op *op = krs_checked_op(c);
    const krs_status status = krs_check_in_out(c);
    if (status != KRS_OK) {
        return status;
    }
    const int64_t n_experts = krs_checked_width(c, op->in);
    if (n_experts > KRS_ROUTE_MAX_EXPERTS) {
        return krs_check_fail(c, "more than KRS_ROUTE_MAX_EXPERTS experts");
    }
    if (op->route.top_k < 1 || op->route.top_k > n_experts || op->in == op->out ||
        krs_checked_width(c, op->out) != 2 * (int64_t)op->route.top_k) {
        return krs_check_fail(c,
                              "out must be another slot of 2 * top_k, top_k at most the experts");
    }
    return check_route_numbers(c, n_experts);
}

/* The op that wrote in2 last routes to as many experts? */
static bool is_routing(const krs_checker *c)
{
    const krs_op *op = krs_checked_op(c);
    uint32_t i = c->index;
    while (i > 0 && (c->program->ops[i - 1].out != op->in2 ||
                     c->program->ops[i - 1].kind == KRS_OP_KV_WRITE)) {
        i--; /* KV_WRITE has no out */
    }
    const krs_op *writer = i > 0 ? &c->program->ops[i - 1] : NULL;
    return writer && writer->kind == KRS_OP_ROUTE &&
           krs_checked_width(c, writer->in) == op->experts.n_experts;
}

static bool is_same_layout(const krs_matrix *a, const krs_matrix *b)
{
    return a->quant.kind == b->quant.kind && a->quant.bits == b->quant.bits &&
           a->quant.group == b->quant.group && a->dtype == b->dtype &&
           a->scale_dtype == b->scale_dtype;
}

/* n_experts matrices of one shape and layout, from `first` on? */
static bool are_matrices(const krs_checker *c, uint32_t first, int64_t n_out, int64_t n_in)
{
    for (int32_t e = 0; e < krs_checked_op(c)->experts.n_experts; e++) {
        if (first > UINT32_MAX - (uint32_t)e ||
            !krs_is_matrix(c, first + (uint32_t)e, n_out, n_in) ||
            !is_same_layout(&c->program->matrices[first],
                            &c->program->matrices[first + (uint32_t)e])) {
            return false;
        }
    }
    return true;
}

/* n_experts vectors from `first` on, or none? */
static bool are_vectors(const krs_checker *c, uint32_t first, int64_t n)
{
    if (first == KRS_NO_MATRIX) {
        return true;
    }
    for (int32_t e = 0; e < krs_checked_op(c)->experts.n_experts; e++) {
        if (first > UINT32_MAX - (uint32_t)e || !krs_is_vector(c, first + (uint32_t)e, n)) {
            return false;
        }
    }
    return true;
}

/* up has none of its own where gate's matrices hold both. */
static bool fit_experts(const krs_checker *c, int64_t width, int64_t ffn)
{
    const krs_op *op = krs_checked_op(c);
    const bool is_fused = op->experts.up == KRS_NO_MATRIX;
    return are_matrices(c, op->experts.gate, is_fused ? 2 * ffn : ffn, width) &&
           (is_fused || are_matrices(c, op->experts.up, ffn, width)) &&
           are_matrices(c, op->experts.down, width, ffn);
}

static bool fit_biases(const krs_checker *c, int64_t width, int64_t ffn)
{
    const krs_op *op = krs_checked_op(c);
    const bool is_fused = op->experts.up == KRS_NO_MATRIX;
    const bool has_up = op->experts.up_bias != KRS_NO_MATRIX;
    return are_vectors(c, op->experts.gate_bias, is_fused ? 2 * ffn : ffn) &&
           are_vectors(c, op->experts.down_bias, width) &&
           are_vectors(c, op->experts.up_bias, ffn) && !(is_fused && has_up);
}

static krs_status check_expert_weights(const krs_checker *c)
{
    const krs_op *op = krs_checked_op(c);
    const int64_t width = krs_checked_width(c, op->in);
    if (op->experts.down >= c->program->n_matrices) {
        return krs_check_fail(c, "there is no matrix down");
    }
    const int64_t ffn = c->program->matrices[op->experts.down].n_in;
    if (ffn < 1 || ffn > KRS_PROGRAM_MAX_WIDTH || !fit_experts(c, width, ffn)) {
        return krs_check_fail(c,
                              "gate, up and down are not n_experts matrices of a layout that fit");
    }
    return fit_biases(c, width, ffn)
               ? KRS_OK
               : krs_check_fail(c, "the biases are not n_experts vectors that fit");
}

krs_status krs_check_experts(const krs_checker *c)
{
    const krs_op *op = krs_checked_op(c);
    const krs_status status = krs_check_same_width(c);
    if (status != KRS_OK) {
        return status;
    }
    if (op->in == op->out || !krs_is_written(c, op->in2) || op->in2 == op->out ||
        krs_checked_rows(c, op->in2) != krs_checked_rows(c, op->in)) {
        return krs_check_fail(c, "in2 is not written, of other rows, or out is in or in2");
    }
    if (op->experts.n_experts < 1 || !is_routing(c)) {
        return krs_check_fail(c, "in2 is not what a ROUTE over n_experts wrote");
    }
    if (!krs_is_gate(&op->experts.gated)) {
        return krs_check_fail(c, "unknown activation, or a limit or alpha that is no number");
    }
    return check_expert_weights(c);
}
