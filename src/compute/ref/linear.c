/* compute/ref/linear.c - out[r][o] = sum over i of matrix[o][i] * in[r][i] (+ bias[o]), of whole rows or
 * of each head with its own part of the matrix.
 * Each weight row is widened once and used for every row of the step; the sum runs in double in the
 * order of i, so it is the same for every number of rows. */
#include "compute/ref/ref.h"

static double dot(const float *a, const float *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += (double)a[i] * (double)b[i];
    }
    return sum;
}

double krs_ref_vector_at(const krs_matrix *vector, int64_t o)
{
    float x;
    const size_t item_bytes = krs_dtype_bytes(vector->dtype);
    const unsigned char *at = (const unsigned char *)vector->data + (size_t)o * item_bytes;
    return krs_f32_of_any(vector->dtype, at, 1, &x) ? (double)x : 0; /* dtype checked at compile */
}

void krs_ref_linear(krs_ref_exec *exec, const krs_op *op)
{
    const krs_host_exec *host = &exec->host;
    const krs_matrix *matrix = &host->program->matrices[op->matrix];
    const int64_t n_rows = krs_host_n_rows(host, op->out);
    const bool has_bias = op->bias != KRS_NO_MATRIX;
    for (int64_t o = 0; o < matrix->n_out && n_rows > 0; o++) {
        krs_matrix_row(matrix, o, exec->row);
        const double bias = has_bias ? krs_ref_vector_at(&host->program->matrices[op->bias], o) : 0;
        for (int64_t r = 0; r < n_rows; r++) {
            const double sum = dot(exec->row, krs_host_row(host, op->in, r), matrix->n_in);
            krs_host_row(host, op->out, r)[o] = (float)(sum + bias);
        }
    }
}

void krs_ref_head_linear(krs_ref_exec *exec, const krs_op *op)
{
    const krs_host_exec *host = &exec->host;
    const krs_matrix *matrix = &host->program->matrices[op->matrix];
    const int64_t n_rows = krs_host_n_rows(host, op->out);
    const int64_t head_outs = matrix->n_out / op->head_linear.n_heads;
    for (int64_t o = 0; o < matrix->n_out && n_rows > 0; o++) {
        const int64_t head = o / head_outs;
        krs_matrix_row(matrix, o, exec->row);
        for (int64_t r = 0; r < n_rows; r++) {
            const float *in = krs_host_row(host, op->in, r) + head * matrix->n_in;
            krs_host_row(host, op->out, r)[o] = (float)dot(exec->row, in, matrix->n_in);
        }
    }
}
