/* compute/program_check.c - is a program whole? See krs_program_check in program.h.
 *
 * Run once per exec, so that kernels may trust every index, width and layout. A violation is a bug of
 * the model room (the file was checked there), hence KRS_EINTERNAL, but it is reported, not aborted
 * on: a new family under development should not take a server down. One rule goes beyond shapes: a
 * slot must be written before it is read, because slots are scratch that is never cleared.
 *
 * Thread: any; pure. */
#include "compute/program.h"

typedef struct checker {
    const krs_program *program;
    uint32_t index;   /* of the op under test */
    uint64_t written; /* bit s: slot s has been written */
    krs_error *err;
} checker;

_Static_assert(KRS_PROGRAM_MAX_SLOTS <= 64, "checker.written has a bit per slot");

const char *krs_op_name(krs_op_kind kind)
{
    static const char *const names[] = {
        [KRS_OP_EMBED] = "embed", [KRS_OP_RMS_NORM] = "rms norm", [KRS_OP_LINEAR] = "linear",
        [KRS_OP_ROPE] = "rope",   [KRS_OP_KV_WRITE] = "kv write", [KRS_OP_ATTENTION] = "attention",
        [KRS_OP_GLU] = "glu",     [KRS_OP_ADD] = "add",           [KRS_OP_TAKE_ROWS] = "take rows",
    };
    return (unsigned)kind < KRS_OP_KIND_COUNT ? names[kind] : "unknown op";
}

static const krs_op *op_of(const checker *c)
{
    return &c->program->ops[c->index];
}

static krs_status bad(const checker *c, const char *what)
{
    return krs_fail(c->err, KRS_EINTERNAL, "program op %u (%s): %s", c->index,
                    krs_op_name(op_of(c)->kind), what);
}

static int64_t width_of(const checker *c, krs_slot slot)
{
    return c->program->slots[slot].width;
}

static krs_rows rows_of(const checker *c, krs_slot slot)
{
    return c->program->slots[slot].rows;
}

static bool is_read(const checker *c, krs_slot slot)
{
    return slot < c->program->n_slots && (c->written >> slot & 1u);
}

static bool is_slot(const checker *c, krs_slot slot)
{
    return slot < c->program->n_slots;
}

static bool is_dense_float(krs_dtype dtype)
{
    return dtype == KRS_DTYPE_F32 || dtype == KRS_DTYPE_F16 || dtype == KRS_DTYPE_BF16;
}

static bool is_sound_matrix(const krs_matrix *m)
{
    if (m->n_out <= 0 || m->n_in <= 0 || m->n_out > KRS_PROGRAM_MAX_WIDTH ||
        m->n_in > KRS_PROGRAM_MAX_WIDTH || !m->data) {
        return false;
    }
    if (m->quant.kind == KRS_QUANT_NONE) {
        return is_dense_float(m->dtype);
    }
    return m->scales && m->biases && is_dense_float(m->scale_dtype) &&
           krs_quant_check(&m->quant, m->n_in, NULL) == KRS_OK;
}

static bool is_matrix(const checker *c, uint32_t index, int64_t n_out, int64_t n_in)
{
    if (index >= c->program->n_matrices) {
        return false;
    }
    const krs_matrix *m = &c->program->matrices[index];
    return is_sound_matrix(m) && m->n_out == n_out && m->n_in == n_in;
}

static bool is_vector(const checker *c, uint32_t index, int64_t n)
{
    return is_matrix(c, index, 1, n) && c->program->matrices[index].quant.kind == KRS_QUANT_NONE;
}

static krs_status check_embed(const checker *c)
{
    const krs_op *op = op_of(c);
    if (!is_slot(c, op->out) || rows_of(c, op->out) != KRS_ROWS_ALL) {
        return bad(c, "out must be a slot with a row per token");
    }
    if (op->matrix >= c->program->n_matrices ||
        !is_matrix(c, op->matrix, c->program->matrices[op->matrix].n_out, width_of(c, op->out))) {
        return bad(c, "the matrix does not fit out");
    }
    return KRS_OK;
}

/* in written, out a slot of the same rows: what most ops share. */
static krs_status check_in_out(const checker *c)
{
    const krs_op *op = op_of(c);
    if (!is_read(c, op->in)) {
        return bad(c, "in is no slot, or read before it is written");
    }
    if (!is_slot(c, op->out) || rows_of(c, op->out) != rows_of(c, op->in)) {
        return bad(c, "out is no slot, or has other rows than in");
    }
    return KRS_OK;
}

static krs_status check_norm(const checker *c)
{
    const krs_op *op = op_of(c);
    const krs_status status = check_in_out(c);
    if (status != KRS_OK) {
        return status;
    }
    const int64_t width = width_of(c, op->in);
    if (width_of(c, op->out) != width) {
        return bad(c, "in and out differ in width");
    }
    if (op->norm.n_groups < 1 || width % op->norm.n_groups != 0) {
        return bad(c, "n_groups does not divide the width");
    }
    if (!is_vector(c, op->matrix, width / op->norm.n_groups)) {
        return bad(c, "the weight is no vector of one group's width");
    }
    return op->norm.eps >= 0 ? KRS_OK : bad(c, "eps is negative or no number");
}

static krs_status check_linear(const checker *c)
{
    const krs_op *op = op_of(c);
    const krs_status status = check_in_out(c);
    if (status != KRS_OK) {
        return status;
    }
    if (op->in == op->out) {
        return bad(c, "in and out are the same slot");
    }
    if (!is_matrix(c, op->matrix, width_of(c, op->out), width_of(c, op->in))) {
        return bad(c, "the matrix does not fit in and out");
    }
    if (op->bias != KRS_NO_MATRIX && !is_vector(c, op->bias, width_of(c, op->out))) {
        return bad(c, "the bias is no vector of out's width");
    }
    return KRS_OK;
}

static krs_status check_rope(const checker *c)
{
    const krs_op *op = op_of(c);
    if (!is_read(c, op->in) || rows_of(c, op->in) != KRS_ROWS_ALL) {
        return bad(c, "in must be a written slot with a row per token");
    }
    const int64_t width = (int64_t)op->rope.n_heads * op->rope.head_dim;
    if (op->rope.n_heads < 1 || op->rope.head_dim < 1 || width != width_of(c, op->in)) {
        return bad(c, "n_heads times head_dim is not the width of in");
    }
    if (op->rope.n_freqs < 1 || op->rope.n_freqs > op->rope.head_dim / 2) {
        return bad(c, "n_freqs is not in 1 .. head_dim / 2");
    }
    if (op->rope.freqs > c->program->n_floats ||
        (uint32_t)op->rope.n_freqs > c->program->n_floats - op->rope.freqs) {
        return bad(c, "the frequencies lie outside the program's floats");
    }
    return KRS_OK;
}

static bool is_kv_shape(const checker *c)
{
    const krs_op *op = op_of(c);
    const krs_program *program = c->program;
    return op->attention.layer >= 0 && op->attention.layer < program->n_kv_layers &&
           op->attention.n_kv_heads == program->n_kv_heads &&
           op->attention.head_dim == program->head_dim;
}

static krs_status check_kv_write(const checker *c)
{
    const krs_op *op = op_of(c);
    const int64_t width = (int64_t)op->attention.n_kv_heads * op->attention.head_dim;
    if (!is_kv_shape(c)) {
        return bad(c, "layer, n_kv_heads or head_dim is not the program's");
    }
    if (!is_read(c, op->in) || rows_of(c, op->in) != KRS_ROWS_ALL || width_of(c, op->in) != width) {
        return bad(c, "in must be a written slot of n_kv_heads * head_dim per token");
    }
    if (!is_read(c, op->in2) || rows_of(c, op->in2) != KRS_ROWS_ALL ||
        width_of(c, op->in2) != width) {
        return bad(c, "in2 must be a written slot of n_kv_heads * head_dim per token");
    }
    return KRS_OK;
}

static krs_status check_attention(const checker *c)
{
    const krs_op *op = op_of(c);
    const krs_status status = check_in_out(c);
    if (status != KRS_OK) {
        return status;
    }
    if (!is_kv_shape(c)) {
        return bad(c, "layer, n_kv_heads or head_dim is not the program's");
    }
    const int64_t width = (int64_t)op->attention.n_heads * op->attention.head_dim;
    if (op->attention.n_heads < 1 || op->attention.n_heads % op->attention.n_kv_heads != 0) {
        return bad(c, "n_heads is not a multiple of n_kv_heads");
    }
    if (rows_of(c, op->in) != KRS_ROWS_ALL || width_of(c, op->in) != width ||
        width_of(c, op->out) != width || op->in == op->out) {
        return bad(c, "in and out must be two slots of n_heads * head_dim per token");
    }
    return op->attention.window >= 0 ? KRS_OK : bad(c, "the window is negative");
}

static krs_status check_two_in(const checker *c)
{
    const krs_op *op = op_of(c);
    const krs_status status = check_in_out(c);
    if (status != KRS_OK) {
        return status;
    }
    if (!is_read(c, op->in2) || rows_of(c, op->in2) != rows_of(c, op->in)) {
        return bad(c, "in2 is not written, or has other rows than in");
    }
    if (width_of(c, op->in2) != width_of(c, op->in) ||
        width_of(c, op->out) != width_of(c, op->in)) {
        return bad(c, "in, in2 and out differ in width");
    }
    if (op->kind == KRS_OP_GLU && (unsigned)op->glu.act > KRS_ACT_GELU_TANH) {
        return bad(c, "unknown activation");
    }
    return KRS_OK;
}

static krs_status check_take_rows(const checker *c)
{
    const krs_op *op = op_of(c);
    if (!is_read(c, op->in) || rows_of(c, op->in) != KRS_ROWS_ALL) {
        return bad(c, "in must be a written slot with a row per token");
    }
    if (!is_slot(c, op->out) || rows_of(c, op->out) == KRS_ROWS_ALL ||
        width_of(c, op->out) != width_of(c, op->in)) {
        return bad(c, "out must be a slot with a row per wanted row, as wide as in");
    }
    return KRS_OK;
}

static krs_status check_op(const checker *c)
{
    static krs_status (*const checks[])(const checker *c) = {
        [KRS_OP_EMBED] = check_embed,         [KRS_OP_RMS_NORM] = check_norm,
        [KRS_OP_LINEAR] = check_linear,       [KRS_OP_ROPE] = check_rope,
        [KRS_OP_KV_WRITE] = check_kv_write,   [KRS_OP_ATTENTION] = check_attention,
        [KRS_OP_GLU] = check_two_in,          [KRS_OP_ADD] = check_two_in,
        [KRS_OP_TAKE_ROWS] = check_take_rows,
    };
    const unsigned kind = (unsigned)op_of(c)->kind;
    return kind < KRS_OP_KIND_COUNT ? checks[kind](c) : bad(c, "no such kind");
}

static bool writes_out(krs_op_kind kind)
{
    return kind != KRS_OP_ROPE && kind != KRS_OP_KV_WRITE;
}

static krs_status check_slots(const krs_program *program, krs_error *err)
{
    for (uint32_t s = 0; s < program->n_slots; s++) {
        const krs_slot_shape *slot = &program->slots[s];
        if (slot->width < 1 || slot->width > KRS_PROGRAM_MAX_WIDTH ||
            (unsigned)slot->rows > KRS_ROWS_HIDDEN) {
            return krs_fail(err, KRS_EINTERNAL,
                            "program slot %u: width %lld, want 1..%d, of rows %d, want 0..%d", s,
                            (long long)slot->width, KRS_PROGRAM_MAX_WIDTH, (int)slot->rows,
                            (int)KRS_ROWS_HIDDEN);
        }
    }
    return KRS_OK;
}

static bool has_sound_kv(const krs_program *program)
{
    if (program->n_kv_layers <= 0) {
        return program->n_kv_layers == 0;
    }
    return program->n_kv_heads >= 1 && program->head_dim >= 1 &&
           program->head_dim <= KRS_PROGRAM_MAX_HEAD_DIM &&
           (int64_t)program->n_kv_heads * program->head_dim <= KRS_PROGRAM_MAX_WIDTH;
}

/* What does not belong to one op: slots, KV shape, positions. */
static krs_status check_frame(const krs_program *program, krs_error *err)
{
    const krs_status status = check_slots(program, err);
    if (status != KRS_OK) {
        return status;
    }
    if (!has_sound_kv(program)) {
        return krs_fail(err, KRS_EINTERNAL, "program: %d KV layers of %d heads of %d elements",
                        program->n_kv_layers, program->n_kv_heads, program->head_dim);
    }
    if (program->state_floats < 0 || program->state_floats > KRS_PROGRAM_MAX_STATE) {
        return krs_fail(err, KRS_EINTERNAL, "program: state of %lld floats, want 0..%lld",
                        (long long)program->state_floats, (long long)KRS_PROGRAM_MAX_STATE);
    }
    if (program->max_positions < 1 || program->max_positions > UINT32_MAX) {
        return krs_fail(err, KRS_EINTERNAL, "program: max_positions %lld, want 1..%u",
                        (long long)program->max_positions, UINT32_MAX);
    }
    return KRS_OK;
}

/* Are the slots that steps hand out written? */
static krs_status check_results(const checker *c)
{
    const krs_program *program = c->program;
    if (!is_read(c, program->logits) || rows_of(c, program->logits) != KRS_ROWS_LOGITS) {
        return krs_fail(c->err, KRS_EINTERNAL, "program: no op writes the logits slot");
    }
    if (program->hidden != KRS_NO_SLOT &&
        (!is_read(c, program->hidden) || rows_of(c, program->hidden) != KRS_ROWS_HIDDEN)) {
        return krs_fail(c->err, KRS_EINTERNAL, "program: no op writes the hidden slot");
    }
    return KRS_OK;
}

krs_status krs_program_check(const krs_program *program, krs_error *err)
{
    krs_status status = check_frame(program, err);
    checker c = {program, 0, 0, err};
    for (; status == KRS_OK && c.index < program->n_ops; c.index++) {
        status = check_op(&c);
        if (status == KRS_OK && writes_out(op_of(&c)->kind)) {
            c.written |= UINT64_C(1) << op_of(&c)->out;
        }
    }
    return status == KRS_OK ? check_results(&c) : status;
}
