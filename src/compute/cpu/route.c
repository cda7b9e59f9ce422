/* compute/cpu/route.c - choosing experts; row by row, as compute/ref/moe.c, in f32.
 *
 * The scores are vectors' work, the choice a few passes over a few hundred numbers: little beside the
 * linear that made the logits.
 *
 * Source: DeepSeek-V3 2024, arXiv:2412.19437, section 2.1.2, for groups and the selection bias. */
#include "compute/cpu/cpu.h"

#include <math.h>

#define TINY_SUM 1e-20f /* deepseek's guard against dividing by zero: sigmoids may all vanish */

typedef struct route_task {
    const krs_cpu_exec *exec;
    const krs_op *op;
} route_task;

static float top_of(const float *x, int64_t n)
{
    float top = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        top = x[i] > top ? x[i] : top;
    }
    return top;
}

/* In the order of i: the same for every instruction set. */
static float sum_of(const float *x, int64_t n)
{
    float sum = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += x[i];
    }
    return sum;
}

static void score_experts(const krs_cpu_exec *exec, krs_route_score kind, const float *logits,
                          int64_t n, float *scores)
{
    if (kind == KRS_ROUTE_TOP) {
        memcpy(scores, logits, (size_t)n * sizeof(*scores));
        return;
    }
    if (kind == KRS_ROUTE_SIGMOID) {
        exec->kernels->activate(KRS_ACT_SIGMOID, logits, n, scores);
        return;
    }
    exec->kernels->exps(logits, top_of(logits, n), n, scores);
    const float sum = sum_of(scores, n);
    for (int64_t e = 0; e < n; e++) {
        scores[e] /= sum;
    }
}

/* The largest of values[n] that is not taken, the first of equals. Where there are NaNs the row is
 * broken, but its indices are not. */
static int64_t best_of(const float *values, const bool *is_taken, int64_t n)
{
    int64_t best = -1;
    for (int64_t i = 0; i < n; i++) {
        if (!is_taken[i] && (best < 0 || values[i] > values[best])) {
            best = i;
        }
    }
    return best;
}

/* Take away the experts outside of the best groups. */
static void close_groups(const krs_op *op, const float *values, int64_t n, bool *is_taken)
{
    float of_group[KRS_ROUTE_MAX_EXPERTS];
    bool is_open[KRS_ROUTE_MAX_EXPERTS] = {false};
    const int64_t n_each = n / op->route.n_groups;
    for (int64_t g = 0; g < op->route.n_groups; g++) {
        const float *part = values + g * n_each;
        bool *used = is_taken + g * n_each; /* all are free yet */
        const int64_t first = best_of(part, used, n_each);
        used[first] = true;
        of_group[g] = part[first] + part[best_of(part, used, n_each)];
    }
    for (int32_t k = 0; k < op->route.top_groups; k++) {
        is_open[best_of(of_group, is_open, op->route.n_groups)] = true;
    }
    for (int64_t e = 0; e < n; e++) {
        is_taken[e] = !is_open[e / n_each];
    }
}

/* out: the chosen indices, then room for their weights. */
static void weigh(const krs_cpu_exec *exec, const krs_op *op, const float *scores, float *out)
{
    const int32_t top_k = op->route.top_k;
    float *weights = out + top_k;
    for (int32_t k = 0; k < top_k; k++) {
        weights[k] = scores[(int64_t)out[k]];
    }
    const bool is_top = op->route.score == KRS_ROUTE_TOP;
    if (is_top) {
        exec->kernels->exps(weights, weights[0], top_k, weights);
    }
    const float sum = is_top || op->route.is_normalised ? sum_of(weights, top_k) + TINY_SUM : 1.0f;
    for (int32_t k = 0; k < top_k; k++) {
        weights[k] = weights[k] / sum * op->route.scale;
    }
}

static void route_row(const krs_cpu_exec *exec, const krs_op *op, int64_t r)
{
    const krs_host_exec *host = &exec->host;
    const int64_t n = host->program->slots[op->in].width;
    float *out = krs_host_row(host, op->out, r);
    float scores[KRS_ROUTE_MAX_EXPERTS];
    float values[KRS_ROUTE_MAX_EXPERTS];
    bool is_taken[KRS_ROUTE_MAX_EXPERTS] = {false};
    score_experts(exec, op->route.score, krs_host_row(host, op->in, r), n, scores);
    memcpy(values, scores, (size_t)n * sizeof(*values));
    if (op->bias != KRS_NO_MATRIX) {
        exec->kernels->add(values, exec->vectors[op->bias], 1.0f, n, values);
    }
    if (op->route.n_groups > 1) {
        close_groups(op, values, n, is_taken);
    }
    for (int32_t k = 0; k < op->route.top_k; k++) {
        const int64_t best = best_of(values, is_taken, n);
        is_taken[best] = true;
        out[k] = (float)best;
    }
    weigh(exec, op, scores, out);
}

static void route_share(void *arg, uint32_t index, uint32_t n_threads)
{
    const route_task *t = arg;
    int64_t begin;
    int64_t end;
    krs_cpu_team_share(krs_host_n_rows(&t->exec->host, t->op->in), 1, index, n_threads, &begin,
                       &end);
    for (int64_t r = begin; r < end; r++) {
        route_row(t->exec, t->op, r);
    }
}

void krs_cpu_route(krs_cpu_exec *exec, const krs_op *op)
{
    const int64_t n_rows = krs_host_n_rows(&exec->host, op->in);
    const int64_t n_compared = exec->host.program->slots[op->in].width * (op->route.top_k + 4);
    route_task task = {exec, op};
    krs_cpu_fork(exec, n_rows > 1 ? n_rows * n_compared : 0, route_share, &task);
}
