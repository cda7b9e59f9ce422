/* compute/program_check.c - is a program whole? See krs_program_check in program.h.
 *
 * Run once per exec, so that kernels may trust every index, width and layout. A violation is a bug of
 * the model room (the file was checked there), hence KRS_EINTERNAL, but it is reported, not aborted
 * on: a new family under development should not take a server down. One rule goes beyond shapes: a
 * slot must be written before it is read, because slots are scratch that is never cleared.
 *
 * Thread: any; pure. */
#include "compute/program_check.h"

/* What an op does to the slot it names as out. */
typedef enum effect {
    WRITES_OUT,
    WRITES_PART, /* of out: written once such ops cover it */
    WRITES_NONE, /* turns in, or fills the KV */
} effect;

static const struct {
    const char *name;
    krs_status (*check)(const krs_checker *c);
    effect effect;
} descriptions[KRS_OP_KIND_COUNT] = {
    [KRS_OP_EMBED] = {"embed", krs_check_embed, WRITES_OUT},
    [KRS_OP_RMS_NORM] = {"rms norm", krs_check_norm, WRITES_OUT},
    [KRS_OP_LINEAR] = {"linear", krs_check_linear, WRITES_OUT},
    [KRS_OP_ROPE] = {"rope", krs_check_rope, WRITES_NONE},
    [KRS_OP_KV_WRITE] = {"kv write", krs_check_kv_write, WRITES_NONE},
    [KRS_OP_ATTENTION] = {"attention", krs_check_attention, WRITES_OUT},
    [KRS_OP_GLU] = {"glu", krs_check_glu, WRITES_OUT},
    [KRS_OP_ADD] = {"add", krs_check_add, WRITES_OUT},
    [KRS_OP_TAKE_ROWS] = {"take rows", krs_check_take_rows, WRITES_OUT},
    [KRS_OP_LAYER_NORM] = {"layer norm", krs_check_norm, WRITES_OUT},
    [KRS_OP_SCALE] = {"scale", krs_check_scale, WRITES_OUT},
    [KRS_OP_ACTIVATE] = {"activate", krs_check_activate, WRITES_OUT},
    [KRS_OP_ADD_POSITION] = {"add position", krs_check_add_position, WRITES_OUT},
    [KRS_OP_ADD_VECTOR] = {"add vector", krs_check_add_vector, WRITES_OUT},
    [KRS_OP_COPY] = {"copy", krs_check_copy, WRITES_PART},
    [KRS_OP_HEAD_LINEAR] = {"head linear", krs_check_head_linear, WRITES_OUT},
    [KRS_OP_ROUTE] = {"route", krs_check_route, WRITES_OUT},
    [KRS_OP_EXPERTS] = {"experts", krs_check_experts, WRITES_OUT},
    [KRS_OP_CONV] = {"conv", krs_check_conv, WRITES_OUT},
    [KRS_OP_DELTA] = {"delta", krs_check_delta, WRITES_OUT},
    [KRS_OP_ATTEND_ROWS] = {"attend rows", krs_check_attend_rows, WRITES_OUT},
};

const char *krs_op_name(krs_op_kind kind)
{
    return (unsigned)kind < KRS_OP_KIND_COUNT ? descriptions[kind].name : "unknown op";
}

krs_status krs_check_fail(const krs_checker *c, const char *what)
{
    return krs_fail(c->err, KRS_EINTERNAL, "program op %u (%s): %s", c->index,
                    krs_op_name(krs_checked_op(c)->kind), what);
}

krs_status krs_check_in_out(const krs_checker *c)
{
    const krs_op *op = krs_checked_op(c);
    if (!krs_is_written(c, op->in)) {
        return krs_check_fail(c, "in is no slot, or read before it is written");
    }
    if (!krs_is_slot(c, op->out) || krs_checked_rows(c, op->out) != krs_checked_rows(c, op->in)) {
        return krs_check_fail(c, "out is no slot, or has other rows than in");
    }
    return KRS_OK;
}

krs_status krs_check_same_width(const krs_checker *c)
{
    const krs_op *op = krs_checked_op(c);
    const krs_status status = krs_check_in_out(c);
    if (status == KRS_OK && krs_checked_width(c, op->out) != krs_checked_width(c, op->in)) {
        return krs_check_fail(c, "in and out differ in width");
    }
    return status;
}

static krs_status check_op(const krs_checker *c)
{
    const unsigned kind = (unsigned)krs_checked_op(c)->kind;
    return kind < KRS_OP_KIND_COUNT ? descriptions[kind].check(c)
                                    : krs_check_fail(c, "no such kind");
}

/* Note what the op under test has written. */
static void note_written(krs_checker *c)
{
    const krs_op *op = krs_checked_op(c);
    const effect does = descriptions[op->kind].effect;
    if (does == WRITES_OUT ||
        (does == WRITES_PART && !krs_is_written(c, op->out) && krs_is_covered(c))) {
        c->written |= UINT64_C(1) << op->out;
    }
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

static bool is_head_width(const krs_program *program, int32_t dim)
{
    return dim >= 1 && dim <= KRS_PROGRAM_MAX_HEAD_DIM &&
           (int64_t)program->n_kv_heads * dim <= KRS_PROGRAM_MAX_WIDTH;
}

static bool has_sound_kv(const krs_program *program)
{
    if (program->n_kv_layers <= 0) {
        return program->n_kv_layers == 0;
    }
    return program->n_kv_heads >= 1 && program->value_dim >= 0 &&
           is_head_width(program, program->head_dim) &&
           is_head_width(program, krs_program_value_dim(program));
}

/* What does not belong to one op: slots, KV shape, positions. */
static krs_status check_frame(const krs_program *program, krs_error *err)
{
    const krs_status status = check_slots(program, err);
    if (status != KRS_OK) {
        return status;
    }
    if (!has_sound_kv(program)) {
        return krs_fail(err, KRS_EINTERNAL,
                        "program: %d KV layers of %d heads of %d elements, of V %d",
                        program->n_kv_layers, program->n_kv_heads, program->head_dim,
                        krs_program_value_dim(program));
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
static krs_status check_results(const krs_checker *c)
{
    const krs_program *program = c->program;
    if (program->logits == KRS_NO_SLOT && program->hidden == KRS_NO_SLOT) {
        return krs_fail(c->err, KRS_EINTERNAL, "program: neither a logits nor a hidden slot");
    }
    if (program->logits != KRS_NO_SLOT &&
        (!krs_is_written(c, program->logits) ||
         krs_checked_rows(c, program->logits) != KRS_ROWS_LOGITS)) {
        return krs_fail(c->err, KRS_EINTERNAL, "program: no op writes the logits slot");
    }
    if (program->hidden != KRS_NO_SLOT &&
        (!krs_is_written(c, program->hidden) ||
         krs_checked_rows(c, program->hidden) != KRS_ROWS_HIDDEN)) {
        return krs_fail(c->err, KRS_EINTERNAL, "program: no op writes the hidden slot");
    }
    return KRS_OK;
}

krs_status krs_program_check(const krs_program *program, krs_error *err)
{
    krs_status status = check_frame(program, err);
    krs_checker c = {program, 0, 0, err};
    for (; status == KRS_OK && c.index < program->n_ops; c.index++) {
        status = check_op(&c);
        if (status == KRS_OK) {
            note_written(&c);
        }
    }
    return status == KRS_OK ? check_results(&c) : status;
}
