/* model/decoder.c - see decoder.h.
 * The one decoder. It walks the family's lists, leaves out steps whose weight the family lacks, and
 * fills in each op's numbers from the configuration and from the widths of its slots: a norm has as
 * many groups, and a rotation as many heads, as its slot is wider than its weight or head. So there is
 * no branch on a family here; keep it that way.
 *
 * Source: family.c for what the steps mean. */
#include "model/decoder.h"

#include "base/check.h"
#include "model/rope.h"

#include <math.h>

typedef struct decoder {
    krs_binder *binder;
    krs_program *program;
    const krs_model_config *config;
    krs_slot slots[KRS_SLOT_COUNT];
    krs_activation act;
    uint32_t freqs;   /* of the rope table in program->floats */
    float rope_scale; /* factor on cos and sin */
} decoder;

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

static krs_status add_slots(decoder *d, krs_error *err)
{
    for (krs_decoder_slot slot = 0; slot < KRS_SLOT_COUNT; slot++) {
        const krs_decoder_slot_shape *shape = krs_decoder_slot_shape_of(slot);
        const krs_status status = krs_program_add_slot(
            d->program, krs_dim_of(d->config, shape->width), shape->rows, &d->slots[slot]);
        if (status != KRS_OK) {
            return krs_fail(err, status, "program: slot %d", (int)slot);
        }
    }
    return KRS_OK;
}

static krs_status add_rope(decoder *d, krs_error *err)
{
    const uint32_t n_freqs = (uint32_t)d->config->head_dim / 2;
    float *table = krs_alloc_array(d->program->alloc, n_freqs, sizeof(float));
    if (table == NULL) {
        return krs_fail(err, KRS_ENOMEM, "rope: %u frequencies", n_freqs);
    }
    krs_rope_fill(&d->config->rope, d->config->head_dim, table, &d->rope_scale);
    krs_status status = krs_program_add_floats(d->program, table, n_freqs, &d->freqs);
    if (status != KRS_OK) {
        status = krs_fail(err, status, "program: %u frequencies", n_freqs);
    }
    krs_alloc_free(d->program->alloc, table);
    return status;
}

static void fill_norm(const decoder *d, const krs_decoder_step *step, krs_op *op)
{
    const int64_t width = krs_dim_of(d->config, krs_decoder_slot_shape_of(step->in)->width);
    op->norm.eps = (float)d->config->norm_eps;
    op->norm.n_groups = (int32_t)(width / d->program->matrices[op->matrix].n_in);
}

static void fill_rope(const decoder *d, const krs_decoder_step *step, krs_op *op)
{
    const int64_t width = krs_dim_of(d->config, krs_decoder_slot_shape_of(step->in)->width);
    op->rope.n_heads = (int32_t)(width / d->config->head_dim);
    op->rope.head_dim = d->config->head_dim;
    op->rope.n_freqs = d->config->head_dim / 2;
    op->rope.freqs = d->freqs;
    op->rope.scale = d->rope_scale;
}

static void fill_attention(const decoder *d, int32_t layer, krs_op *op)
{
    const bool is_windowed = krs_model_config_is_windowed(d->config, layer);
    op->attention.layer = layer;
    op->attention.n_heads = d->config->n_heads;
    op->attention.n_kv_heads = d->config->n_kv_heads;
    op->attention.head_dim = d->config->head_dim;
    /* A window as long as the context is none; this also brings it into 32 bits. */
    op->attention.window = is_windowed && d->config->window < d->config->max_positions
                               ? (int32_t)d->config->window
                               : 0;
    op->attention.scale = (float)(1.0 / sqrt((double)d->config->head_dim));
}

static void fill_op(const decoder *d, const krs_decoder_step *step, int32_t layer, krs_op *op)
{
    switch (step->kind) {
    case KRS_OP_EMBED:
        op->embed.scale = 1.0f;
        break;
    case KRS_OP_RMS_NORM:
        fill_norm(d, step, op);
        break;
    case KRS_OP_ROPE:
        fill_rope(d, step, op);
        break;
    case KRS_OP_KV_WRITE:
    case KRS_OP_ATTENTION:
        fill_attention(d, layer, op);
        break;
    case KRS_OP_GLU:
        op->glu.act = d->act;
        break;
    case KRS_OP_ADD:
        op->add.scale = 1.0f;
        break;
    default: /* no numbers of its own */
        break;
    }
}

static krs_status add_step(decoder *d, const krs_decoder_step *step, int32_t layer, krs_error *err)
{
    krs_op op = {
        .kind = step->kind,
        .in = d->slots[step->in],
        .in2 = d->slots[step->in2],
        .out = d->slots[step->out],
        .matrix = KRS_NO_MATRIX,
        .bias = KRS_NO_MATRIX,
    };
    if (step->role != KRS_ROLE_NONE) {
        krs_bound bound;
        const krs_status status = krs_binder_bind(d->binder, step->role, layer, &bound, err);
        if (status != KRS_OK) {
            return status;
        }
        op.matrix = bound.matrix;
        op.bias = bound.bias;
    }
    fill_op(d, step, layer, &op);
    const krs_status status = krs_program_add_op(d->program, &op);
    return status == KRS_OK ? KRS_OK : krs_fail(err, status, "program: op %u", d->program->n_ops);
}

static krs_status add_steps(decoder *d, krs_decoder_steps list, int32_t layer, krs_error *err)
{
    for (size_t i = 0; i < list.n_steps; i++) {
        const krs_decoder_step *step = &list.steps[i];
        if (step->role != KRS_ROLE_NONE && !krs_binder_has(d->binder, step->role)) {
            continue;
        }
        const krs_status status = add_step(d, step, layer, err);
        if (status != KRS_OK) {
            return status;
        }
    }
    return KRS_OK;
}

static krs_status add_network(decoder *d, krs_error *err)
{
    const krs_family *family = d->binder->family;
    krs_status status = add_steps(d, family->before, 0, err);
    for (int32_t layer = 0; status == KRS_OK && layer < d->config->n_layers; layer++) {
        status = add_steps(d, family->layer, layer, err);
    }
    return status == KRS_OK ? add_steps(d, family->after, 0, err) : status;
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
    decoder d = {.binder = binder, .program = binder->program, .config = binder->config};
    krs_program *program = binder->program;
    program->n_kv_layers = d.config->n_layers;
    program->n_kv_heads = d.config->n_kv_heads;
    program->head_dim = d.config->head_dim;
    program->max_positions = d.config->max_positions;
    krs_status status = check_sizes(d.config, err);
    if (status == KRS_OK) {
        status = find_activation(d.config->activation, &d.act, err);
    }
    if (status == KRS_OK) {
        status = add_slots(&d, err);
    }
    if (status == KRS_OK) {
        status = add_rope(&d, err);
    }
    if (status == KRS_OK) {
        status = add_network(&d, err);
    }
    if (status != KRS_OK) {
        return status;
    }
    program->logits = d.slots[KRS_SLOT_LOGITS];
    program->hidden = d.slots[KRS_SLOT_STATES];
    return krs_program_check(program, err);
}
