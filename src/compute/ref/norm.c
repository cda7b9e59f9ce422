/* compute/ref/norm.c - RMS norm over parts of a row.
 * Source: Zhang & Sennrich 2019, "Root Mean Square Layer Normalization". */
#include "compute/ref/ref.h"

#include <math.h>

static void norm_part(const float *in, const float *weight, int64_t n, double eps, float *out)
{
    double squares = 0;
    for (int64_t i = 0; i < n; i++) {
        squares += (double)in[i] * (double)in[i];
    }
    const double factor = 1.0 / sqrt(squares / (double)n + eps);
    for (int64_t i = 0; i < n; i++) {
        out[i] = (float)((double)in[i] * factor * (double)weight[i]);
    }
}

void krs_ref_rms_norm(krs_ref_exec *exec, const krs_op *op)
{
    const krs_host_exec *host = &exec->host;
    const int64_t n_rows = krs_host_n_rows(host, op->in);
    const int64_t width = host->program->slots[op->in].width / op->norm.n_groups;
    krs_matrix_row(&host->program->matrices[op->matrix], 0, exec->row);
    for (int64_t r = 0; r < n_rows; r++) {
        for (int32_t g = 0; g < op->norm.n_groups; g++) {
            norm_part(krs_host_row(host, op->in, r) + g * width, exec->row, width,
                      (double)op->norm.eps, krs_host_row(host, op->out, r) + g * width);
        }
    }
}
