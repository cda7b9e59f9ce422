/* compute/cuda/supported.c - see supported.h. An op that gains a kernel, or a kernel that learns a number,
 * loses its line here. */
#include "compute/cuda/supported.h"

/* Each: what about the op has no kernel, or NULL. */

static const char *norm_lacks(const krs_program *program, const krs_op *op)
{
    if (op->matrix == KRS_NO_MATRIX) {
        return "a norm without a weight";
    }
    if (op->norm.weight_offset != 0) {
        return "weight_offset";
    }
    const int64_t part = program->slots[op->in].width / op->norm.n_groups;
    return program->matrices[op->matrix].n_in == part ? NULL : "a weight for each group";
}

static const char *rope_lacks(const krs_program *program, const krs_op *op)
{
    (void)program;
    return op->rope.is_interleaved ? "interleaved rotation"
           : op->rope.offset != 0  ? "an offset"
                                   : NULL;
}

static const char *kv_lacks(const krs_program *program, const krs_op *op)
{
    (void)op;
    return krs_program_value_dim(program) == program->head_dim ? NULL : "V of another width than K";
}

static const char *attention_lacks(const krs_program *program, const krs_op *op)
{
    return op->attention.softcap != 0    ? "a soft-cap"
           : op->matrix != KRS_NO_MATRIX ? "sinks"
                                         : kv_lacks(program, op);
}

static const char *glu_lacks(const krs_program *program, const krs_op *op)
{
    (void)program;
    const krs_activation act = op->glu.act;
    const bool has_act = act == KRS_ACT_SILU || act == KRS_ACT_GELU || act == KRS_ACT_GELU_TANH;
    return op->glu.limit != 0 ? "a limit" : has_act ? NULL : "this activation";
}

static const char *add_lacks(const krs_program *program, const krs_op *op)
{
    (void)program;
    return op->add.scale == 1 ? NULL : "a scale";
}

static const char *lacks_nothing(const krs_program *program, const krs_op *op)
{
    (void)program;
    (void)op;
    return NULL;
}

/* NULL: no kernel at all. */
static const char *(*const lacks[KRS_OP_KIND_COUNT])(const krs_program *program,
                                                     const krs_op *op) = {
    [KRS_OP_EMBED] = lacks_nothing,     [KRS_OP_RMS_NORM] = norm_lacks,
    [KRS_OP_LINEAR] = lacks_nothing,    [KRS_OP_ROPE] = rope_lacks,
    [KRS_OP_KV_WRITE] = kv_lacks,       [KRS_OP_ATTENTION] = attention_lacks,
    [KRS_OP_GLU] = glu_lacks,           [KRS_OP_ADD] = add_lacks,
    [KRS_OP_TAKE_ROWS] = lacks_nothing,
};

static krs_status check_op(const krs_program *program, uint32_t index, krs_error *err)
{
    const krs_op *op = &program->ops[index];
    const char *name = krs_op_name(op->kind);
    if (!lacks[op->kind]) {
        return krs_fail(err, KRS_EUNSUPPORTED,
                        "cuda: program op %u (%s) is not implemented; the cpu device has it", index,
                        name);
    }
    const char *what = lacks[op->kind](program, op);
    if (what) {
        return krs_fail(err, KRS_EUNSUPPORTED,
                        "cuda: program op %u (%s): %s is not implemented; the cpu device has it",
                        index, name, what);
    }
    return KRS_OK;
}

/* Dense matrices, and affine ones of 4 and 8 bits. */
static krs_status check_matrix(const krs_program *program, uint32_t index, krs_error *err)
{
    const krs_quant *quant = &program->matrices[index].quant;
    const bool is_read = quant->kind == KRS_QUANT_NONE || (quant->kind == KRS_QUANT_AFFINE &&
                                                           (quant->bits == 4 || quant->bits == 8));
    if (is_read) {
        return KRS_OK;
    }
    return krs_fail(err, KRS_EUNSUPPORTED,
                    "cuda: matrix %u is stored as %s of %d bits; the cpu device reads that", index,
                    krs_quant_name(quant->kind), quant->bits);
}

krs_status krs_cuda_check_program(const krs_program *program, krs_error *err)
{
    if (program->logits == KRS_NO_SLOT || program->state_floats > 0) {
        return krs_fail(err, KRS_EUNSUPPORTED,
                        "cuda: a program %s is not implemented; the cpu device has it",
                        program->state_floats > 0 ? "with state" : "without logits");
    }
    krs_status status = KRS_OK;
    for (uint32_t i = 0; i < program->n_ops && status == KRS_OK; i++) {
        status = check_op(program, i, err);
    }
    for (uint32_t i = 0; i < program->n_matrices && status == KRS_OK; i++) {
        status = check_matrix(program, i, err);
    }
    return status;
}
