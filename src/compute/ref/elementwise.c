/* compute/ref/elementwise.c - the element-wise ops: activations, gates, additions, scaling, copying. */
#include "compute/ref/activation.h"
#include "compute/ref/ref.h"

/* Elements of a slot in the current step. */
static int64_t n_elements(const krs_host_exec *host, krs_slot slot)
{
    return krs_host_n_rows(host, slot) * host->program->slots[slot].width;
}

void krs_ref_glu(krs_ref_exec *exec, const krs_op *op)
{
    const krs_host_exec *host = &exec->host;
    const float *gate = host->slots[op->in];
    const float *up = host->slots[op->in2];
    float *out = host->slots[op->out];
    for (int64_t i = 0; i < n_elements(host, op->in); i++) {
        out[i] = (float)krs_ref_gate(&op->glu, (double)gate[i], (double)up[i]);
    }
}

void krs_ref_activate(krs_ref_exec *exec, const krs_op *op)
{
    const krs_host_exec *host = &exec->host;
    const float *in = host->slots[op->in];
    float *out = host->slots[op->out];
    for (int64_t i = 0; i < n_elements(host, op->in); i++) {
        out[i] = (float)krs_ref_act(op->activate.act, (double)in[i]);
    }
}

void krs_ref_add(krs_ref_exec *exec, const krs_op *op)
{
    const krs_host_exec *host = &exec->host;
    const float *a = host->slots[op->in];
    const float *b = host->slots[op->in2];
    float *out = host->slots[op->out];
    for (int64_t i = 0; i < n_elements(host, op->in); i++) {
        out[i] = (float)((double)a[i] + (double)op->add.scale * (double)b[i]);
    }
}

void krs_ref_scale(krs_ref_exec *exec, const krs_op *op)
{
    const krs_host_exec *host = &exec->host;
    const double cap = (double)op->scale.softcap;
    const float *in = host->slots[op->in];
    float *out = host->slots[op->out];
    for (int64_t i = 0; i < n_elements(host, op->in); i++) {
        const double x = (double)op->scale.factor * (double)in[i];
        out[i] = (float)(cap > 0 ? cap * tanh(x / cap) : x);
    }
}

/* out[r] = in[r] + values, for the rows of the current step. */
static void add_values(const krs_host_exec *host, const krs_op *op, int64_t r, const float *values)
{
    const float *in = krs_host_row(host, op->in, r);
    float *out = krs_host_row(host, op->out, r);
    for (int64_t i = 0; i < host->program->slots[op->in].width; i++) {
        out[i] = in[i] + values[i];
    }
}

void krs_ref_add_vector(krs_ref_exec *exec, const krs_op *op)
{
    const krs_host_exec *host = &exec->host;
    krs_matrix_row(&host->program->matrices[op->matrix], 0, exec->row);
    for (int64_t r = 0; r < krs_host_n_rows(host, op->in); r++) {
        add_values(host, op, r, exec->row);
    }
}

void krs_ref_add_position(krs_ref_exec *exec, const krs_op *op)
{
    const krs_host_exec *host = &exec->host;
    for (int64_t r = 0; r < krs_host_n_rows(host, op->in); r++) {
        const int64_t row = (int64_t)host->positions[r] + op->embed.offset;
        krs_matrix_row(&host->program->matrices[op->matrix], row, exec->row);
        add_values(host, op, r, exec->row);
    }
}

void krs_ref_copy(krs_ref_exec *exec, const krs_op *op)
{
    const krs_host_exec *host = &exec->host;
    const int64_t in_part = host->program->slots[op->in].width / op->copy.n_groups;
    const int64_t out_part = host->program->slots[op->out].width / op->copy.n_groups;
    for (int64_t r = 0; r < krs_host_n_rows(host, op->in); r++) {
        for (int64_t g = 0; g < op->copy.n_groups; g++) {
            memcpy(krs_host_row(host, op->out, r) + g * out_part + op->copy.out_at,
                   krs_host_row(host, op->in, r) + g * in_part + op->copy.in_at,
                   (size_t)op->copy.n * sizeof(float));
        }
    }
}
