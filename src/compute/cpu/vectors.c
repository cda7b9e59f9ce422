/* compute/cpu/vectors.c - see vectors.h. */
#include "compute/cpu/vectors.h"

typedef struct op_vectors {
    uint32_t matrix; /* KRS_NO_MATRIX where the op has none, or reads it as a matrix */
    uint32_t bias;
} op_vectors;

static op_vectors vectors_of(const krs_op *op)
{
    switch (op->kind) {
    case KRS_OP_RMS_NORM:
    case KRS_OP_ATTENTION:
    case KRS_OP_ADD_VECTOR:
        return (op_vectors){op->matrix, KRS_NO_MATRIX};
    case KRS_OP_LAYER_NORM:
    case KRS_OP_CONV:
    case KRS_OP_DELTA:
        return (op_vectors){op->matrix, op->bias};
    case KRS_OP_LINEAR:
    case KRS_OP_ROUTE:
        return (op_vectors){KRS_NO_MATRIX, op->bias};
    default:
        return (op_vectors){KRS_NO_MATRIX, KRS_NO_MATRIX};
    }
}

/* Is matrix `index` one of the n from `first` on? first may be KRS_NO_MATRIX. */
static bool is_of(uint32_t first, int32_t n, uint32_t index)
{
    return first != KRS_NO_MATRIX && index >= first && index - first < (uint32_t)n;
}

static bool is_read_by(const krs_op *op, uint32_t index)
{
    if (op->kind == KRS_OP_EXPERTS) {
        return is_of(op->experts.gate_bias, op->experts.n_experts, index) ||
               is_of(op->experts.up_bias, op->experts.n_experts, index) ||
               is_of(op->experts.down_bias, op->experts.n_experts, index);
    }
    const op_vectors vectors = vectors_of(op);
    return vectors.matrix == index || vectors.bias == index;
}

/* Is this matrix one of few outputs? Only those are looked up, so a program's few thousand ops times its
 * few hundred vectors is all the work. */
static bool is_small(const krs_matrix *m)
{
    return m->quant.kind == KRS_QUANT_NONE && (m->n_out == 1 || m->n_in <= KRS_CONV_MAX_KERNEL);
}

size_t krs_cpu_vector_floats(const krs_program *program, uint32_t index)
{
    const krs_matrix *m = &program->matrices[index];
    for (uint32_t i = 0; is_small(m) && i < program->n_ops; i++) {
        if (is_read_by(&program->ops[i], index)) {
            return (size_t)(m->n_out * m->n_in);
        }
    }
    return 0;
}

void krs_cpu_widen_vector(const krs_program *program, uint32_t index, float *out)
{
    const krs_matrix *m = &program->matrices[index];
    if (m->n_out == 1) {
        krs_matrix_row(m, 0, out);
        return;
    }
    for (int64_t c = 0; c < m->n_out; c++) {
        float kernel[KRS_CONV_MAX_KERNEL];
        krs_matrix_row(m, c, kernel);
        for (int64_t k = 0; k < m->n_in; k++) {
            out[k * m->n_out + c] = kernel[k];
        }
    }
}
