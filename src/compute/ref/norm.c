/* compute/ref/norm.c - RMS norm and layer norm over parts of a row.
 * Source: Zhang & Sennrich 2019, "Root Mean Square Layer Normalization"; Ba et al. 2016, "Layer
 * Normalization". */
#include "compute/ref/ref.h"

#include <math.h>

/* What a part is multiplied by and what is added: NULL for 1 and 0. */
typedef struct affine {
    const float *weight;
    const float *bias;
    double offset; /* of the weight */
} affine;

static double mean_of(const float *in, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += (double)in[i];
    }
    return sum / (double)n;
}

static void norm_part(const float *in, int64_t n, double mean, double eps, affine by, float *out)
{
    double squares = 0;
    for (int64_t i = 0; i < n; i++) {
        squares += ((double)in[i] - mean) * ((double)in[i] - mean);
    }
    const double factor = 1.0 / sqrt(squares / (double)n + eps);
    for (int64_t i = 0; i < n; i++) {
        const double weight = by.weight ? by.offset + (double)by.weight[i] : 1.0;
        const double bias = by.bias ? (double)by.bias[i] : 0.0;
        out[i] = (float)(((double)in[i] - mean) * factor * weight + bias);
    }
}

/* Values of a vector into row[n_groups parts or one], or NULL. */
static const float *vector_of(const krs_host_exec *host, uint32_t index, float *row)
{
    if (index == KRS_NO_MATRIX) {
        return NULL;
    }
    krs_matrix_row(&host->program->matrices[index], 0, row);
    return row;
}

/* Where group g's part of a vector begins: its own part, or the one there is. */
static const float *part_of(const krs_host_exec *host, uint32_t index, const float *values,
                            int64_t begin)
{
    return values && host->program->matrices[index].n_in > begin ? values + begin : values;
}

static void norm(krs_ref_exec *exec, const krs_op *op, bool has_mean)
{
    const krs_host_exec *host = &exec->host;
    const int64_t n_rows = krs_host_n_rows(host, op->in);
    const int64_t width = host->program->slots[op->in].width / op->norm.n_groups;
    const uint32_t bias = has_mean ? op->bias : KRS_NO_MATRIX;
    const float *weights = vector_of(host, op->matrix, exec->row);
    const float *biases = vector_of(host, bias, exec->bias_row);
    for (int64_t r = 0; r < n_rows; r++) {
        for (int64_t at = 0; at < width * op->norm.n_groups; at += width) {
            const float *in = krs_host_row(host, op->in, r) + at;
            const affine by = {part_of(host, op->matrix, weights, at),
                               part_of(host, bias, biases, at), (double)op->norm.weight_offset};
            norm_part(in, width, has_mean ? mean_of(in, width) : 0.0, (double)op->norm.eps, by,
                      krs_host_row(host, op->out, r) + at);
        }
    }
}

void krs_ref_rms_norm(krs_ref_exec *exec, const krs_op *op)
{
    norm(exec, op, false);
}

void krs_ref_layer_norm(krs_ref_exec *exec, const krs_op *op)
{
    norm(exec, op, true);
}
