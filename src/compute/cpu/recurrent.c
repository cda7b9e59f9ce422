/* compute/cpu/recurrent.c - ops that carry a state from row to row.
 *
 * The delta rule goes token by token through a sequence, because only that gives the same bytes
 * however a prompt is cut; its units of work are (sequence, head) pairs, whose states do not meet. The
 * convolution looks at a few rows before each row, so rows are its units, and its state, the inputs
 * themselves, is renewed when all rows are done.
 *
 * Thread: cut over the team.  Memory: none of its own. */
#include "compute/cpu/cpu.h"

#include <math.h>

typedef struct recurrent_task {
    const krs_cpu_exec *exec;
    const krs_op *op;
} recurrent_task;

/* Row r's input k rows from the oldest its kernel sees. */
static const float *input_row(const krs_host_exec *host, const krs_op *op, int64_t r, int64_t k)
{
    const krs_step_seq *seq = &host->step->seqs[host->row_seqs[r]];
    const int64_t from = r - seq->row_begin + k - (op->conv.kernel - 1);
    if (from >= 0) {
        return krs_host_row(host, op->in, seq->row_begin + from);
    }
    const int64_t width = host->program->slots[op->in].width;
    return krs_host_state(host, seq->state, op->conv.state) + (from + op->conv.kernel - 1) * width;
}

static void conv_share(void *arg, uint32_t index, uint32_t n_threads)
{
    const recurrent_task *t = arg;
    const krs_host_exec *host = &t->exec->host;
    const krs_op *op = t->op;
    const int64_t width = host->program->slots[op->in].width;
    const float *rows[KRS_CONV_MAX_KERNEL];
    const krs_cpu_conv kernel = {
        .kernel = op->conv.kernel,
        .weights = t->exec->vectors[op->matrix],
        .bias = op->bias == KRS_NO_MATRIX ? NULL : t->exec->vectors[op->bias],
        .rows = rows,
    };
    int64_t begin;
    int64_t end;
    krs_cpu_team_share(host->step->n_rows, 1, index, n_threads, &begin, &end);
    for (int64_t r = begin; r < end; r++) {
        for (int32_t k = 0; k < op->conv.kernel; k++) {
            rows[k] = input_row(host, op, r, k);
        }
        float *out = krs_host_row(host, op->out, r);
        t->exec->kernels->conv(&kernel, width, out);
        t->exec->kernels->activate(op->conv.act, out, width, out);
    }
}

static void keep_share(void *arg, uint32_t index, uint32_t n_threads)
{
    const recurrent_task *t = arg;
    const krs_step *step = t->exec->host.step;
    for (uint32_t s = index; s < step->n_seqs; s += n_threads) {
        krs_host_keep_inputs(&t->exec->host, t->op, &step->seqs[s]);
    }
}

void krs_cpu_conv_op(krs_cpu_exec *exec, const krs_op *op)
{
    const krs_step *step = exec->host.step;
    const int64_t n_weights = exec->host.program->slots[op->in].width * op->conv.kernel;
    recurrent_task task = {exec, op};
    krs_cpu_fork(exec, step->n_rows > 1 ? step->n_rows * n_weights : 0, conv_share, &task);
    krs_cpu_fork(exec, step->n_seqs > 1 ? step->n_seqs * n_weights : 0, keep_share, &task);
}

static float softplus(float x)
{
    return x > 20.0f ? x : log1pf(expf(x)); /* 20: where torch draws the line, too */
}

static float sigmoid(float x)
{
    return 1.0f / (1.0f + expf(-x));
}

/* Value head h of row r. */
static void step_head(const krs_cpu_exec *exec, const krs_op *op, int64_t r, int64_t h)
{
    const krs_host_exec *host = &exec->host;
    const int64_t k_dim = op->delta.k_dim;
    const int64_t v_dim = op->delta.v_dim;
    const int64_t n_keys = op->delta.n_k_heads * k_dim;
    const int64_t key = h / (op->delta.n_v_heads / op->delta.n_k_heads) * k_dim;
    const float *in = krs_host_row(host, op->in, r);
    const float rate = expf(exec->vectors[op->matrix][h]);
    const float step = softplus(krs_host_row(host, op->in3, r)[h] + exec->vectors[op->bias][h]);
    float q[KRS_PROGRAM_MAX_HEAD_DIM];
    float k[KRS_PROGRAM_MAX_HEAD_DIM];
    exec->kernels->unit(in + key, k_dim, op->delta.eps, op->delta.scale, q);
    exec->kernels->unit(in + n_keys + key, k_dim, op->delta.eps, 1.0f, k);
    const uint32_t slot = host->step->seqs[host->row_seqs[r]].state;
    const krs_cpu_delta unit = {
        .state = krs_host_state(host, slot, op->delta.state) + h * k_dim * v_dim,
        .q = q,
        .k = k,
        .v = in + 2 * n_keys + h * v_dim,
        .decay = expf(-rate * step),
        .beta = sigmoid(krs_host_row(host, op->in2, r)[h]),
        .k_dim = k_dim,
        .v_dim = v_dim,
        .out = krs_host_row(host, op->out, r) + h * v_dim,
    };
    exec->kernels->delta(&unit);
}

static void delta_share(void *arg, uint32_t index, uint32_t n_threads)
{
    const recurrent_task *t = arg;
    const krs_step *step = t->exec->host.step;
    const int64_t n_heads = t->op->delta.n_v_heads;
    for (int64_t u = index; u < step->n_seqs * n_heads; u += n_threads) {
        const krs_step_seq *seq = &step->seqs[u / n_heads];
        for (int64_t r = 0; r < seq->n_rows; r++) {
            step_head(t->exec, t->op, seq->row_begin + r, u % n_heads);
        }
    }
}

void krs_cpu_delta_op(krs_cpu_exec *exec, const krs_op *op)
{
    /* Four passes over a state: two read, two multiply and add. */
    const int64_t n_products = 4 * exec->host.step->n_rows * krs_delta_state_floats(op);
    recurrent_task task = {exec, op};
    krs_cpu_fork(exec, n_products / KRS_CPU_PRODUCTS_PER_ELEMENT, delta_share, &task);
}
