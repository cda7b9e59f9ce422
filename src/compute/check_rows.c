/* compute/check_rows.c - the checks of ops on activations alone. See program_check.h. */
#include "compute/program_check.h"

#include <math.h>

bool krs_is_bound(float x)
{
    return isfinite(x) && x >= 0;
}

bool krs_is_activation(krs_activation act)
{
    return (unsigned)act < KRS_ACT_COUNT;
}

bool krs_is_gate(const krs_gate *gate)
{
    const bool is_sound = krs_is_activation(gate->act) && krs_is_bound(gate->limit);
    return is_sound && (gate->limit == 0 || (gate->act == KRS_ACT_SILU && isfinite(gate->alpha)));
}

/* in, in2 and out: the same rows, the same width. */
static krs_status check_two_in(const krs_checker *c)
{
    const krs_op *op = krs_checked_op(c);
    const krs_status status = krs_check_in_out(c);
    if (status != KRS_OK) {
        return status;
    }
    if (!krs_is_written(c, op->in2) ||
        krs_checked_rows(c, op->in2) != krs_checked_rows(c, op->in)) {
        return krs_check_fail(c, "in2 is not written, or has other rows than in");
    }
    const int64_t width = krs_checked_width(c, op->in);
    if (krs_checked_width(c, op->in2) != width || krs_checked_width(c, op->out) != width) {
        return krs_check_fail(c, "in, in2 and out differ in width");
    }
    return KRS_OK;
}

krs_status krs_check_glu(const krs_checker *c)
{
    const krs_status status = check_two_in(c);
    if (status == KRS_OK && !krs_is_gate(&krs_checked_op(c)->glu)) {
        return krs_check_fail(c, "unknown activation, or a limit or alpha that is no number");
    }
    return status;
}

krs_status krs_check_add(const krs_checker *c)
{
    const float scale = krs_checked_op(c)->add.scale;
    const krs_status status = check_two_in(c);
    /* 0 would make the op a copy: it is a field forgotten. */
    if (status == KRS_OK && (!isfinite(scale) || scale == 0)) {
        return krs_check_fail(c, "scale is 0 or no number");
    }
    return status;
}

krs_status krs_check_scale(const krs_checker *c)
{
    const krs_op *op = krs_checked_op(c);
    const krs_status status = krs_check_same_width(c);
    if (status == KRS_OK && (!isfinite(op->scale.factor) || !krs_is_bound(op->scale.softcap))) {
        return krs_check_fail(c, "factor is no number, or softcap negative or none");
    }
    return status;
}

krs_status krs_check_activate(const krs_checker *c)
{
    const krs_status status = krs_check_same_width(c);
    if (status == KRS_OK && !krs_is_activation(krs_checked_op(c)->activate.act)) {
        return krs_check_fail(c, "unknown activation");
    }
    return status;
}

krs_status krs_check_take_rows(const krs_checker *c)
{
    const krs_op *op = krs_checked_op(c);
    if (!krs_is_written(c, op->in) || krs_checked_rows(c, op->in) != KRS_ROWS_ALL) {
        return krs_check_fail(c, "in must be a written slot with a row per token");
    }
    if (!krs_is_slot(c, op->out) || krs_checked_rows(c, op->out) == KRS_ROWS_ALL ||
        krs_checked_width(c, op->out) != krs_checked_width(c, op->in)) {
        return krs_check_fail(c, "out must be a slot with a row per wanted row, as wide as in");
    }
    return KRS_OK;
}

/* Do [at, at + n) lie in a part of the slot? n is at least 1. */
static bool is_in_part(const krs_checker *c, krs_slot slot, int64_t at)
{
    const krs_op *op = krs_checked_op(c);
    const int64_t width = krs_checked_width(c, slot);
    const int64_t part = width / op->copy.n_groups;
    return width % op->copy.n_groups == 0 && at >= 0 && at <= part && op->copy.n <= part - at;
}

krs_status krs_check_copy(const krs_checker *c)
{
    const krs_op *op = krs_checked_op(c);
    const krs_status status = krs_check_in_out(c);
    if (status != KRS_OK) {
        return status;
    }
    if (op->in == op->out) {
        return krs_check_fail(c, "in and out are the same slot");
    }
    if (op->copy.n_groups < 1 || op->copy.n < 1) {
        return krs_check_fail(c, "n_groups or n is below 1");
    }
    if (!is_in_part(c, op->in, op->copy.in_at) || !is_in_part(c, op->out, op->copy.out_at)) {
        return krs_check_fail(c, "the elements lie outside a part of in or out");
    }
    return KRS_OK;
}

/* The end of a COPY up to the one under test, into the same parts of the same slot, that holds element
 * `at` of a part; at itself when there is none. */
static int64_t covered_end(const krs_checker *c, int64_t at)
{
    const krs_op *last = krs_checked_op(c);
    for (uint32_t i = 0; i <= c->index; i++) {
        const krs_op *op = &c->program->ops[i];
        if (op->kind == KRS_OP_COPY && op->out == last->out &&
            op->copy.n_groups == last->copy.n_groups && op->copy.out_at <= at &&
            op->copy.out_at + op->copy.n > at) {
            return op->copy.out_at + op->copy.n;
        }
    }
    return at;
}

bool krs_is_covered(const krs_checker *c)
{
    const krs_op *op = krs_checked_op(c);
    const int64_t part = krs_checked_width(c, op->out) / op->copy.n_groups;
    int64_t at = 0;
    int64_t end = covered_end(c, at);
    while (end > at && end < part) {
        at = end;
        end = covered_end(c, at);
    }
    return end == part;
}
