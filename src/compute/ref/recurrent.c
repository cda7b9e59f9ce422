/* compute/ref/recurrent.c - ops that carry a state from row to row: short convolution and the gated
 * delta rule, row after row as they are defined. The state is f32 between rows, as it is kept.
 * Source: Yang et al. 2024, Gated Delta Networks, arXiv:2412.06464; transformers 5.17,
 * modeling_qwen3_next.py (torch_recurrent_gated_delta_rule). */
#include "compute/ref/ref.h"

#include "compute/ref/activation.h"

#define SOFTPLUS_LINEAR 20.0 /* above it log(1 + e^x) is x; where torch draws the line */

/* Row r of a sequence's slot, t rows back; before the step's first row it is in the state. */
static double input_at(const krs_host_exec *host, const krs_op *op, const krs_step_seq *seq,
                       int64_t k, int64_t channel)
{
    const int64_t n_kept = op->conv.kernel - 1;
    if (k >= n_kept) {
        return (double)krs_host_row(host, op->in, seq->row_begin + k - n_kept)[channel];
    }
    const int64_t width = host->program->slots[op->in].width;
    return (double)krs_host_state(host, seq->state, op->conv.state)[k * width + channel];
}

/* Inputs of a sequence are counted from the oldest that is kept: row i of the step is input
 * i + kernel - 1, and output i is over inputs i .. i + kernel - 1. */
static void convolve_seq(krs_ref_exec *exec, const krs_op *op, const krs_step_seq *seq)
{
    const krs_host_exec *host = &exec->host;
    const krs_matrix *weights = &host->program->matrices[op->matrix];
    const krs_matrix *bias = op->bias == KRS_NO_MATRIX ? NULL : &host->program->matrices[op->bias];
    for (int64_t c = 0; c < weights->n_out; c++) {
        krs_matrix_row(weights, c, exec->row);
        for (int64_t i = 0; i < seq->n_rows; i++) {
            double sum = bias ? krs_ref_vector_at(bias, c) : 0.0;
            for (int64_t k = 0; k < op->conv.kernel; k++) {
                sum += (double)exec->row[k] * input_at(host, op, seq, i + k, c);
            }
            krs_host_row(host, op->out, seq->row_begin + i)[c] =
                (float)krs_ref_act(op->conv.act, sum);
        }
    }
}

void krs_ref_conv(krs_ref_exec *exec, const krs_op *op)
{
    const krs_host_exec *host = &exec->host;
    for (uint32_t s = 0; s < host->step->n_seqs; s++) {
        convolve_seq(exec, op, &host->step->seqs[s]);
        krs_host_keep_inputs(host, op, &host->step->seqs[s]);
    }
}

static double softplus(double x)
{
    return x > SOFTPLUS_LINEAR ? x : log1p(exp(x));
}

/* out[n] = scale * x / sqrt(sum x^2 + eps) */
static void normalise(const float *x, int64_t n, double eps, double scale, double *out)
{
    double squares = 0;
    for (int64_t i = 0; i < n; i++) {
        squares += (double)x[i] * (double)x[i];
    }
    const double factor = scale / sqrt(squares + eps);
    for (int64_t i = 0; i < n; i++) {
        out[i] = (double)x[i] * factor;
    }
}

/* One value head of one row. */
typedef struct delta_head {
    float *state;    /* [k_dim][v_dim] */
    const double *q; /* [k_dim] */
    const double *k;
    const float *v; /* [v_dim] */
    double decay;
    double beta;
    float *out; /* [v_dim] */
} delta_head;

/* S = decay S; S += k (beta (v - S^T k))^T; out = S^T q. Columns of S do not meet. */
static void step_head(const krs_op *op, const delta_head *head)
{
    const int64_t v_dim = op->delta.v_dim;
    for (int64_t j = 0; j < v_dim; j++) {
        double known = 0;
        double sum = 0;
        for (int64_t i = 0; i < op->delta.k_dim; i++) {
            known += (double)head->state[i * v_dim + j] * head->decay * head->k[i];
        }
        const double news = head->beta * ((double)head->v[j] - known);
        for (int64_t i = 0; i < op->delta.k_dim; i++) {
            float *s = &head->state[i * v_dim + j];
            *s = (float)((double)*s * head->decay + head->k[i] * news);
            sum += (double)*s * head->q[i];
        }
        head->out[j] = (float)sum;
    }
}

static void step_row(const krs_host_exec *host, const krs_op *op, int64_t r, const double *rates,
                     const double *offsets)
{
    const int64_t k_dim = op->delta.k_dim;
    const int64_t v_dim = op->delta.v_dim;
    const int64_t n_keys = op->delta.n_k_heads * k_dim;
    const float *in = krs_host_row(host, op->in, r);
    float *state = krs_host_state(host, host->step->seqs[host->row_seqs[r]].state, op->delta.state);
    for (int64_t h = 0; h < op->delta.n_v_heads; h++) {
        const int64_t key = h / (op->delta.n_v_heads / op->delta.n_k_heads) * k_dim;
        const double a = (double)krs_host_row(host, op->in3, r)[h];
        double q[KRS_PROGRAM_MAX_HEAD_DIM];
        double k[KRS_PROGRAM_MAX_HEAD_DIM];
        normalise(in + key, k_dim, (double)op->delta.eps, (double)op->delta.scale, q);
        normalise(in + n_keys + key, k_dim, (double)op->delta.eps, 1.0, k);
        const delta_head head = {
            .state = state + h * k_dim * v_dim,
            .q = q,
            .k = k,
            .v = in + 2 * n_keys + h * v_dim,
            .decay = exp(-exp(rates[h]) * softplus(a + offsets[h])),
            .beta = krs_ref_sigmoid((double)krs_host_row(host, op->in2, r)[h]),
            .out = krs_host_row(host, op->out, r) + h * v_dim,
        };
        step_head(op, &head);
    }
}

void krs_ref_delta(krs_ref_exec *exec, const krs_op *op)
{
    const krs_host_exec *host = &exec->host;
    const krs_matrix *rates = &host->program->matrices[op->matrix];
    const krs_matrix *offsets = &host->program->matrices[op->bias];
    for (int64_t h = 0; h < op->delta.n_v_heads; h++) {
        exec->inner[h] = krs_ref_vector_at(rates, h);
        exec->sums[h] = krs_ref_vector_at(offsets, h);
    }
    for (int64_t r = 0; r < host->step->n_rows; r++) {
        step_row(host, op, r, exec->inner, exec->sums);
    }
}
