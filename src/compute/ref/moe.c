/* compute/ref/moe.c - choosing experts for a row, and the sum of what they say.
 * Everything of a row is in double and rounded once, into out. Experts are added in the order of the
 * routing, best first.
 * Source: Shazeer et al. 2017, arXiv:1701.06538; groups and the selection bias: DeepSeek-V3 2024,
 * arXiv:2412.19437, section 2.1.2. */
#include "compute/ref/ref.h"

#include "base/check.h"
#include "compute/ref/activation.h"

#define TINY_SUM 1e-20 /* deepseek's guard against dividing by zero: sigmoids may all vanish */

/* scores[n] of the logits. */
static void score_experts(krs_route_score kind, const float *logits, int64_t n, double *scores)
{
    double top = -INFINITY;
    double sum = 0;
    for (int64_t e = 0; e < n; e++) {
        top = (double)logits[e] > top ? (double)logits[e] : top;
    }
    for (int64_t e = 0; e < n; e++) {
        const double x = (double)logits[e];
        scores[e] = kind == KRS_ROUTE_SIGMOID ? krs_ref_sigmoid(x)
                    : kind == KRS_ROUTE_TOP   ? x
                                              : exp(x - top);
        sum += scores[e];
    }
    for (int64_t e = 0; kind == KRS_ROUTE_SOFTMAX && e < n; e++) {
        scores[e] /= sum;
    }
}

/* The largest of values[n] that is not taken, the first of equals. Where there are NaNs the row is
 * broken, but its indices are not. */
static int64_t best_of(const double *values, const bool *is_taken, int64_t n)
{
    int64_t best = -1;
    for (int64_t i = 0; i < n; i++) {
        if (!is_taken[i] && (best < 0 || values[i] > values[best])) {
            best = i;
        }
    }
    KRS_DCHECK(best >= 0); /* krs_check_route: one is free whenever we ask */
    return best;
}

/* Take away the experts outside of the best groups. */
static void close_groups(const krs_op *op, const double *values, int64_t n, bool *is_taken)
{
    double of_group[KRS_ROUTE_MAX_EXPERTS] = {0};
    bool is_open[KRS_ROUTE_MAX_EXPERTS] = {false};
    const int64_t n_each = n / op->route.n_groups;
    for (int64_t g = 0; g < op->route.n_groups; g++) {
        bool is_used[KRS_ROUTE_MAX_EXPERTS] = {false};
        const double *part = values + g * n_each;
        const int64_t first = best_of(part, is_used, n_each);
        is_used[first] = true;
        of_group[g] = part[first] + part[best_of(part, is_used, n_each)];
    }
    for (int32_t k = 0; k < op->route.top_groups; k++) {
        is_open[best_of(of_group, is_open, op->route.n_groups)] = true;
    }
    for (int64_t e = 0; e < n; e++) {
        is_taken[e] = !is_open[e / n_each];
    }
}

static void weigh(const krs_op *op, const double *scores, float *out)
{
    const int32_t top_k = op->route.top_k;
    const double top = scores[(int64_t)out[0]];
    double weights[KRS_ROUTE_MAX_EXPERTS];
    double sum = 0;
    for (int32_t k = 0; k < top_k; k++) {
        const double s = scores[(int64_t)out[k]];
        weights[k] = op->route.score == KRS_ROUTE_TOP ? exp(s - top) : s;
        sum += weights[k];
    }
    const bool is_divided = op->route.is_normalised || op->route.score == KRS_ROUTE_TOP;
    const double factor = (double)op->route.scale / (is_divided ? sum + TINY_SUM : 1.0);
    for (int32_t k = 0; k < top_k; k++) {
        out[top_k + k] = (float)(weights[k] * factor);
    }
}

static void route_row(const krs_op *op, const float *logits, const float *bias, int64_t n,
                      float *out)
{
    double scores[KRS_ROUTE_MAX_EXPERTS] = {0};
    double values[KRS_ROUTE_MAX_EXPERTS] = {0};
    bool is_taken[KRS_ROUTE_MAX_EXPERTS] = {false};
    score_experts(op->route.score, logits, n, scores);
    for (int64_t e = 0; e < n; e++) {
        values[e] = scores[e] + (bias ? (double)bias[e] : 0.0);
    }
    if (op->route.n_groups > 1) {
        close_groups(op, values, n, is_taken);
    }
    for (int32_t k = 0; k < op->route.top_k; k++) {
        const int64_t best = best_of(values, is_taken, n);
        is_taken[best] = true;
        out[k] = (float)best;
    }
    weigh(op, scores, out);
}

void krs_ref_route(krs_ref_exec *exec, const krs_op *op)
{
    const krs_host_exec *host = &exec->host;
    const bool has_bias = op->bias != KRS_NO_MATRIX;
    if (has_bias) {
        krs_matrix_row(&host->program->matrices[op->bias], 0, exec->row);
    }
    for (int64_t r = 0; r < krs_host_n_rows(host, op->in); r++) {
        route_row(op, krs_host_row(host, op->in, r), has_bias ? exec->row : NULL,
                  host->program->slots[op->in].width, krs_host_row(host, op->out, r));
    }
}

/* Row o of matrix first + expert, times x, plus the bias. row: scratch. */
static double product(const krs_ref_exec *exec, uint32_t matrix, uint32_t bias, int64_t o,
                      const float *x)
{
    const krs_matrix *m = &exec->host.program->matrices[matrix];
    krs_matrix_row(m, o, exec->row);
    double sum =
        bias == KRS_NO_MATRIX ? 0.0 : krs_ref_vector_at(&exec->host.program->matrices[bias], o);
    for (int64_t i = 0; i < m->n_in; i++) {
        sum += (double)exec->row[i] * (double)x[i];
    }
    return sum;
}

static uint32_t of_expert(uint32_t first, uint32_t expert)
{
    return first == KRS_NO_MATRIX ? KRS_NO_MATRIX : first + expert;
}

/* exec->inner[ffn] = act(gate(x)) * up(x). */
static void gate_expert(const krs_ref_exec *exec, const krs_op *op, uint32_t expert, int64_t ffn,
                        const float *x)
{
    const bool is_fused = op->experts.up == KRS_NO_MATRIX;
    const uint32_t gate = op->experts.gate + expert;
    const uint32_t gate_bias = of_expert(op->experts.gate_bias, expert);
    const uint32_t up = is_fused ? gate : op->experts.up + expert;
    const uint32_t up_bias = is_fused ? gate_bias : of_expert(op->experts.up_bias, expert);
    for (int64_t f = 0; f < ffn; f++) {
        const double g = product(exec, gate, gate_bias, is_fused ? 2 * f : f, x);
        const double u = product(exec, up, up_bias, is_fused ? 2 * f + 1 : f, x);
        exec->inner[f] = krs_ref_gate(&op->experts.gated, g, u);
    }
}

/* exec->sums[width] += weight * down(inner). */
static void add_expert(const krs_ref_exec *exec, const krs_op *op, uint32_t expert, double weight)
{
    const krs_matrix *down = &exec->host.program->matrices[op->experts.down + expert];
    const uint32_t bias = of_expert(op->experts.down_bias, expert);
    for (int64_t o = 0; o < down->n_out; o++) {
        krs_matrix_row(down, o, exec->row);
        double sum =
            bias == KRS_NO_MATRIX ? 0.0 : krs_ref_vector_at(&exec->host.program->matrices[bias], o);
        for (int64_t i = 0; i < down->n_in; i++) {
            sum += (double)exec->row[i] * exec->inner[i];
        }
        exec->sums[o] += weight * sum;
    }
}

void krs_ref_experts(krs_ref_exec *exec, const krs_op *op)
{
    const krs_host_exec *host = &exec->host;
    const int64_t width = host->program->slots[op->out].width;
    const int64_t top_k = host->program->slots[op->in2].width / 2;
    const int64_t ffn = host->program->matrices[op->experts.down].n_in;
    for (int64_t r = 0; r < krs_host_n_rows(host, op->in); r++) {
        const float *routing = krs_host_row(host, op->in2, r);
        float *out = krs_host_row(host, op->out, r);
        for (int64_t o = 0; o < width; o++) {
            exec->sums[o] = 0;
        }
        for (int64_t k = 0; k < top_k; k++) {
            const uint32_t expert = (uint32_t)routing[k];
            gate_expert(exec, op, expert, ffn, krs_host_row(host, op->in, r));
            add_expert(exec, op, expert, (double)routing[top_k + k]);
        }
        for (int64_t o = 0; o < width; o++) {
            out[o] = (float)exec->sums[o];
        }
    }
}
