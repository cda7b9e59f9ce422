/* compute/ref/embed.c - rows in and rows out: token embeddings, and the rows whose logits or hidden
 * states are wanted. */
#include "compute/ref/ref.h"

void krs_ref_embed(krs_ref_exec *exec, const krs_op *op)
{
    const krs_host_exec *host = &exec->host;
    const krs_matrix *matrix = &host->program->matrices[op->matrix];
    for (int64_t r = 0; r < host->step->n_rows; r++) {
        float *out = krs_host_row(host, op->out, r);
        krs_matrix_row(matrix, host->step->tokens[r], out);
        for (int64_t i = 0; i < matrix->n_in; i++) {
            out[i] *= op->embed.scale;
        }
    }
}

void krs_ref_take_rows(krs_ref_exec *exec, const krs_op *op)
{
    const krs_host_exec *host = &exec->host;
    const size_t row_bytes = (size_t)host->program->slots[op->in].width * sizeof(float);
    const uint32_t *rows = krs_step_rows_of(host->step, host->program->slots[op->out].rows);
    for (int64_t i = 0; i < krs_host_n_rows(host, op->out); i++) {
        memcpy(krs_host_row(host, op->out, i), krs_host_row(host, op->in, rows[i]), row_bytes);
    }
}
