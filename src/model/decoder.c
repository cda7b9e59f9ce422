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
        {"silu", KRS_ACT_SILU},
        {"swish", KRS_ACT_SILU},
        {"gelu", KRS_ACT_GELU},
        {"gelu_python", KRS_ACT_GELU},
        {"gelu_pytorch_tanh", KRS_ACT_GELU_TANH},
        {"gelu_new", KRS_ACT_GELU_TANH},
        {"gelu_fast", KRS_ACT_GELU_TANH},
        {"quick_gelu", KRS_ACT_QUICK_GELU},
        {"relu", KRS_ACT_RELU},
        {"relu2", KRS_ACT_RELU2},
        {"sigmoid", KRS_ACT_SIGMOID},
        {"tanh", KRS_ACT_TANH},
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
    if (status == KRS_OK) {
        status = take_slot(d, step->in3, op->in, &op->in3, err);
    }
    return status == KRS_OK ? take_slot(d, step->out, op->in, &op->out, err) : status;
}

static krs_status add_rope(krs_decoder *d, const krs_rope_config *rope, krs_rope_table *out,
                           krs_error *err)
{
    const uint32_t n_freqs = (uint32_t)d->config->rotary_dim / 2;
    float *table = krs_alloc_array(d->program->alloc, n_freqs, sizeof(float));
    if (table == NULL) {
        return krs_fail(err, KRS_ENOMEM, "rope: %u frequencies", n_freqs);
    }
    krs_rope_fill(rope, d->config->rotary_dim, d->program->max_positions, table, &out->scale);
    krs_status status = krs_program_add_floats(d->program, table, n_freqs, &out->freqs);
    if (status != KRS_OK) {
        status = krs_fail(err, status, "program: %u frequencies", n_freqs);
    }
    krs_alloc_free(d->program->alloc, table);
    return status;
}

static krs_status add_ropes(krs_decoder *d, krs_error *err)
{
    const krs_model_config *config = d->config;
    const krs_status status = add_rope(d, &config->rope, &d->ropes[KRS_ROPE_TABLE_FULL], err);
    return status == KRS_OK && config->has_local_rope
               ? add_rope(d, &config->local_rope, &d->ropes[KRS_ROPE_TABLE_LOCAL], err)
               : status;
}

/* A weight whose name has no layer is bound by the first that has it. */
static krs_status bind_weight(krs_decoder *d, krs_role role, int32_t layer, krs_bound *out,
                              krs_error *err)
{
    const krs_weight_name *name = krs_family_next_name(d->binder->family, role, NULL);
    const bool is_shared = layer > 0 && !strchr(name->name, '#');
    if (is_shared && d->shared[role].matrix != KRS_NO_MATRIX) {
        *out = d->shared[role];
        return KRS_OK;
    }
    const krs_weight_key key = {.role = role, .layer = layer};
    const krs_status status = krs_binder_bind(d->binder, &key, out, err);
    d->shared[role] = *out;
    return status;
}

/* The matrices that a step names. */
static krs_status bind_step(krs_decoder *d, const krs_decoder_step *step, int32_t layer, krs_op *op,
                            krs_error *err)
{
    krs_bound bound = {KRS_NO_MATRIX, KRS_NO_MATRIX};
    krs_status status = KRS_OK;
    if (step->kind == KRS_OP_EXPERTS) {
        return krs_decoder_bind_experts(d, step, layer, op, err);
    }
    if (step->role != KRS_ROLE_NONE) {
        status = bind_weight(d, step->role, layer, &bound, err);
        op->matrix = bound.matrix;
        op->bias = bound.bias;
    }
    if (status == KRS_OK && step->bias_role != KRS_ROLE_NONE) {
        status = bind_weight(d, step->bias_role, layer, &bound, err);
        op->bias = bound.matrix;
    }
    return status;
}

/* Room in the sequence's state, for ops that have one. */
static krs_status add_state(krs_decoder *d, krs_op *op)
{
    if (op->kind == KRS_OP_CONV) {
        return krs_program_add_state(d->program, krs_conv_state_floats(d->program, op),
                                     &op->conv.state);
    }
    return op->kind == KRS_OP_DELTA
               ? krs_program_add_state(d->program, krs_delta_state_floats(op), &op->delta.state)
               : KRS_OK;
}

static krs_status add_step(void *ctx, const krs_decoder_step *step, int32_t layer, krs_error *err)
{
    krs_decoder *d = ctx;
    krs_op op = {.kind = step->kind, .matrix = KRS_NO_MATRIX, .bias = KRS_NO_MATRIX};
    krs_status status = take_slots(d, step, &op, err);
    if (status == KRS_OK) {
        status = bind_step(d, step, layer, &op, err);
    }
    if (status != KRS_OK) {
        return status;
    }
    krs_decoder_fill(d, step, layer, &op);
    status = add_state(d, &op);
    if (status == KRS_OK) {
        status = krs_program_add_op(d->program, &op);
    }
    d->kv_layer += op.kind == KRS_OP_ATTENTION;
    return status == KRS_OK ? KRS_OK : krs_fail(err, status, "program: op %u", d->program->n_ops);
}

/* Sizes config.json may have and kernels may not. */
static krs_status check_sizes(const krs_model_config *config, krs_error *err)
{
    if (config->experts.n > KRS_ROUTE_MAX_EXPERTS) {
        return krs_fail(err, KRS_EUNSUPPORTED, "config.json: %d experts, want at most %d",
                        config->experts.n, KRS_ROUTE_MAX_EXPERTS);
    }
    if (config->linear.kernel > KRS_CONV_MAX_KERNEL) {
        return krs_fail(err, KRS_EUNSUPPORTED,
                        "config.json: linear_conv_kernel_dim %d, want at most %d",
                        config->linear.kernel, KRS_CONV_MAX_KERNEL);
    }
    if (config->linear.k_dim > KRS_PROGRAM_MAX_HEAD_DIM ||
        config->linear.v_dim > KRS_PROGRAM_MAX_HEAD_DIM) {
        return krs_fail(err, KRS_EUNSUPPORTED,
                        "config.json: recurrent heads of %d and %d, want at most %d",
                        config->linear.k_dim, config->linear.v_dim, KRS_PROGRAM_MAX_HEAD_DIM);
    }
    return KRS_OK;
}

/* The family's norm offset, unless the file has it in its weights: GGUF always does, MLX in some families,
 * which a turned kernel shows. */
static float norm_offset_of(const krs_binder *binder)
{
    if (binder->config->changes.is_norm_offset_added) {
        return 0;
    }
    krs_weight_key kernel = {.role = KRS_ROLE_DELTA_CONV};
    for (; binder->family->has_offset_in_mlx && kernel.layer < binder->config->n_layers;
         kernel.layer++) {
        if (krs_binder_has(binder, &kernel)) {
            return krs_binder_is_turned_kernel(binder, &kernel) ? 0 : binder->family->norm_offset;
        }
    }
    return binder->family->norm_offset;
}

/* What the cache of a sequence has, and how long it may grow. */
static krs_status set_frame(krs_decoder *d, int64_t context, krs_error *err)
{
    const krs_cache_shape cache = krs_model_config_cache(d->config);
    if (cache.key_dim > KRS_PROGRAM_MAX_HEAD_DIM) {
        return krs_fail(err, KRS_EUNSUPPORTED, "config.json: head_dim %d, want at most %d",
                        cache.key_dim, KRS_PROGRAM_MAX_HEAD_DIM);
    }
    d->program->n_kv_layers = cache.n_layers;
    d->program->n_kv_heads = cache.n_heads;
    d->program->head_dim = cache.key_dim;
    d->program->value_dim = cache.value_dim != cache.key_dim ? cache.value_dim : 0;
    d->program->max_positions = context;
    return KRS_OK;
}

krs_status krs_decoder_build(krs_binder *binder, int64_t context, krs_error *err)
{
    krs_decoder d = {.binder = binder, .program = binder->program, .config = binder->config};
    krs_program *program = binder->program;
    for (int slot = 0; slot < KRS_SLOT_COUNT; slot++) {
        d.slots[slot] = KRS_NO_SLOT;
    }
    for (int role = 0; role < KRS_ROLE_COUNT; role++) {
        d.shared[role] = (krs_bound){KRS_NO_MATRIX, KRS_NO_MATRIX};
    }
    d.norm_offset = norm_offset_of(binder);
    krs_status status = check_sizes(d.config, err);
    if (status == KRS_OK) {
        status = set_frame(&d, context, err);
    }
    if (status == KRS_OK) {
        status = find_activation(d.config->activation, &d.act, err);
    }
    if (status == KRS_OK) {
        status = add_ropes(&d, err);
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
