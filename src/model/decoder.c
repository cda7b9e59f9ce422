/* model/decoder.c - see decoder.h.
 * The one decoder. It walks the family's steps, gives each slot its place when it is first used, binds
 * each weight where a step names it, and has fill.c put in the numbers. There is no branch on a family
 * here; keep it that way. */
#include "model/decoder.h"

#include "base/check.h"
#include "model/decoder_priv.h"
#include "model/rope.h"

static krs_status find_activation(const char *name, krs_activation *out, krs_error *err)
{
    static const struct {
        const char *name;
        krs_activation act;
    } known[] = {
        {"silu", KRS_ACT_SILU},          {"swish", KRS_ACT_SILU},
        {"gelu", KRS_ACT_GELU},          {"gelu_pytorch_tanh", KRS_ACT_GELU_TANH},
        {"gelu_new", KRS_ACT_GELU_TANH},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(known[i].name, name) == 0) {
            *out = known[i].act;
            return KRS_OK;
        }
    }
    return krs_fail(err, KRS_EUNSUPPORTED,
                    "hidden_act \"%s\", want silu, gelu, gelu_new or gelu_pytorch_tanh", name);
}

int64_t krs_decoder_width(const krs_decoder *d, krs_decoder_slot slot)
{
    return krs_dim_of(d->config, krs_decoder_slot_shape_of(slot)->width);
}

/* The program's slot, made when it is first asked for. NONE: what instead says. */
static krs_status take_slot(krs_decoder *d, krs_decoder_slot slot, krs_slot instead, krs_slot *out,
                            krs_error *err)
{
    if (slot == KRS_SLOT_NONE) {
        *out = instead;
        return KRS_OK;
    }
    if (d->slots[slot] == KRS_NO_SLOT) {
        const krs_status status =
            krs_program_add_slot(d->program, krs_decoder_width(d, slot),
                                 krs_decoder_slot_shape_of(slot)->rows, &d->slots[slot]);
        if (status != KRS_OK) {
            return krs_fail(err, status, "program: slot %d", (int)slot);
        }
    }
    *out = d->slots[slot];
    return KRS_OK;
}

static krs_status take_slots(krs_decoder *d, const krs_decoder_step *step, krs_op *op,
                             krs_error *err)
{
    krs_status status = take_slot(d, step->in, KRS_NO_SLOT, &op->in, err);
    if (status == KRS_OK) {
        status = take_slot(d, step->in2, op->in, &op->in2, err);
    }
    return status == KRS_OK ? take_slot(d, step->out, op->in, &op->out, err) : status;
}

static krs_status add_rope(krs_decoder *d, const krs_rope_config *rope, krs_rope_table *out,
                           krs_error *err)
{
    const uint32_t n_freqs = (uint32_t)d->config->head_dim / 2;
    float *table = krs_alloc_array(d->program->alloc, n_freqs, sizeof(float));
    if (table == NULL) {
        return krs_fail(err, KRS_ENOMEM, "rope: %u frequencies", n_freqs);
    }
    krs_rope_fill(rope, d->config->head_dim, table, &out->scale);
    krs_status status = krs_program_add_floats(d->program, table, n_freqs, &out->freqs);
    if (status != KRS_OK) {
        status = krs_fail(err, status, "program: %u frequencies", n_freqs);
    }
    krs_alloc_free(d->program->alloc, table);
    return status;
}

static krs_status add_step(void *ctx, const krs_decoder_step *step, int32_t layer, krs_error *err)
{
    krs_decoder *d = ctx;
    krs_op op = {.kind = step->kind, .matrix = KRS_NO_MATRIX, .bias = KRS_NO_MATRIX};
    krs_status status = take_slots(d, step, &op, err);
    if (status == KRS_OK && step->role != KRS_ROLE_NONE) {
        const krs_weight_key key = {step->role, layer, 0};
        krs_bound bound = {KRS_NO_MATRIX, KRS_NO_MATRIX};
        status = krs_binder_bind(d->binder, &key, &bound, err);
        op.matrix = bound.matrix;
        op.bias = bound.bias;
    }
    if (status != KRS_OK) {
        return status;
    }
    krs_decoder_fill(d, step, layer, &op);
    status = krs_program_add_op(d->program, &op);
    return status == KRS_OK ? KRS_OK : krs_fail(err, status, "program: op %u", d->program->n_ops);
}

/* Sizes config.json may have and kernels may not. */
static krs_status check_sizes(const krs_model_config *config, krs_error *err)
{
    if (config->head_dim > KRS_PROGRAM_MAX_HEAD_DIM) {
        return krs_fail(err, KRS_EUNSUPPORTED, "config.json: head_dim %d, want at most %d",
                        config->head_dim, KRS_PROGRAM_MAX_HEAD_DIM);
    }
    return KRS_OK;
}

krs_status krs_decoder_build(krs_binder *binder, krs_error *err)
{
    krs_decoder d = {.binder = binder, .program = binder->program, .config = binder->config};
    krs_program *program = binder->program;
    program->n_kv_layers = d.config->n_layers;
    program->n_kv_heads = d.config->n_kv_heads;
    program->head_dim = d.config->head_dim;
    program->max_positions = d.config->max_positions;
    for (int slot = 0; slot < KRS_SLOT_COUNT; slot++) {
        d.slots[slot] = KRS_NO_SLOT;
    }
    krs_status status = check_sizes(d.config, err);
    if (status == KRS_OK) {
        status = find_activation(d.config->activation, &d.act, err);
    }
    if (status == KRS_OK) {
        status = add_rope(&d, &d.config->rope, &d.ropes[KRS_ROPE_TABLE_FULL], err);
    }
    if (status == KRS_OK) {
        status = krs_family_walk(binder->family, d.config, add_step, &d, err);
    }
    if (status != KRS_OK) {
        return status;
    }
    program->logits = d.slots[KRS_SLOT_LOGITS];
    program->hidden = d.slots[KRS_SLOT_STATES];
    return krs_program_check(program, err);
}
