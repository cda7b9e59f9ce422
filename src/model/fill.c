/* model/fill.c - the numbers of each op. See decoder_priv.h.
 *
 * They come from the configuration and from the widths of slots: a norm has as many groups, and a rotation
 * as many heads, as its slot is wider than its weight or head. So there is no branch on a family here; keep
 * it that way.
 *
 * Thread: any; pure.  Source: families/blocks.c for what the steps mean. */
#include "base/check.h"
#include "model/decoder_priv.h"

#include <math.h>

/* Equal parts of in: as the step says, or as many as fit. */
static int32_t groups_of(const krs_decoder *d, const krs_decoder_step *step, int64_t part)
{
    if (step->groups != KRS_DIM_NONE) {
        return (int32_t)krs_dim_of(d->config, step->groups);
    }
    return (int32_t)(krs_decoder_width(d, step->in) / part);
}

static void fill_embed(const krs_decoder *d, const krs_decoder_step *step, int32_t layer,
                       krs_op *op)
{
    (void)step;
    (void)layer;
    op->embed.scale = (float)d->config->embedding_scale;
}

/* Without a weight, or with one as long as the row, the step must say how many groups. */
static void fill_norm(const krs_decoder *d, const krs_decoder_step *step, int32_t layer, krs_op *op)
{
    const bool has_weight = op->matrix != KRS_NO_MATRIX;
    const int64_t width = krs_decoder_width(d, step->in);
    (void)layer;
    op->norm.eps = step->eps > 0 ? step->eps : (float)d->config->norm_eps;
    op->norm.n_groups =
        groups_of(d, step, has_weight ? d->program->matrices[op->matrix].n_in : width);
    const bool is_offset = has_weight && !step->has_no_offset;
    op->norm.weight_offset = is_offset ? d->norm_offset : 0.0f;
}

static void fill_rope(const krs_decoder *d, const krs_decoder_step *step, int32_t layer, krs_op *op)
{
    const krs_model_config *config = d->config;
    const bool is_local = config->has_local_rope && krs_model_config_is_windowed(config, layer);
    const krs_rope_table *table = &d->ropes[is_local ? KRS_ROPE_TABLE_LOCAL : KRS_ROPE_TABLE_FULL];
    op->rope.n_heads = groups_of(d, step, config->head_dim);
    op->rope.head_dim = (int32_t)(krs_decoder_width(d, step->in) / op->rope.n_heads);
    op->rope.n_freqs = config->rotary_dim / 2;
    op->rope.freqs = table->freqs;
    op->rope.scale = table->scale;
    op->rope.offset = (int32_t)krs_dim_of(config, step->in_at);
    op->rope.is_interleaved = d->binder->family->rope_is_interleaved ||
                              config->is_rope_interleaved || config->changes.is_rope_interleaved;
}

static void fill_attention(const krs_decoder *d, const krs_decoder_step *step, int32_t layer,
                           krs_op *op)
{
    const krs_model_config *config = d->config;
    const bool is_windowed = krs_model_config_is_windowed(config, layer);
    const double divisor = config->is_scale_by_layer ? layer + 1 : 1;
    (void)step;
    op->attention.layer = d->kv_layer;
    op->attention.n_heads = config->n_heads;
    op->attention.n_kv_heads = d->program->n_kv_heads;
    op->attention.head_dim = d->program->head_dim;
    /* A window as long as the context is none; this also brings it into 32 bits. */
    op->attention.window =
        is_windowed && config->window < d->program->max_positions ? (int32_t)config->window : 0;
    op->attention.scale = (float)(config->attention_scale / divisor);
    op->attention.softcap = (float)config->attention_softcap;
}

/* Rows farther apart share a bucket: built into the classes that have buckets. */
#define MAX_DISTANCE 128

static void fill_attend_rows(const krs_decoder *d, const krs_decoder_step *step, int32_t layer,
                             krs_op *op)
{
    fill_attention(d, step, layer, op);
    op->attention.max_distance = MAX_DISTANCE;
}

static void fill_position(const krs_decoder *d, const krs_decoder_step *step, int32_t layer,
                          krs_op *op)
{
    (void)step;
    (void)layer;
    op->embed.offset = d->config->position_offset;
}

krs_activation krs_decoder_act(const krs_decoder *d, const krs_decoder_step *step)
{
    return step->act == KRS_ACT_OF_CONFIG    ? d->act
           : step->act == KRS_ACT_OF_SIGMOID ? KRS_ACT_SIGMOID
                                             : KRS_ACT_SILU;
}

static void fill_glu(const krs_decoder *d, const krs_decoder_step *step, int32_t layer, krs_op *op)
{
    (void)layer;
    op->glu.act = krs_decoder_act(d, step);
}

/* What a block adds to the stream is multiplied; other sums are plain. */
static void fill_add(const krs_decoder *d, const krs_decoder_step *step, int32_t layer, krs_op *op)
{
    (void)layer;
    op->add.scale = step->in == KRS_SLOT_STREAM ? (float)d->config->residual_scale : 1.0f;
}

/* Of logits. */
static void fill_scale(const krs_decoder *d, const krs_decoder_step *step, int32_t layer,
                       krs_op *op)
{
    (void)step;
    (void)layer;
    op->scale.factor = (float)d->config->logit_scale;
    op->scale.softcap = (float)d->config->logit_softcap;
}

static void fill_activate(const krs_decoder *d, const krs_decoder_step *step, int32_t layer,
                          krs_op *op)
{
    (void)layer;
    op->activate.act = krs_decoder_act(d, step);
}

static void fill_copy(const krs_decoder *d, const krs_decoder_step *step, int32_t layer, krs_op *op)
{
    (void)layer;
    op->copy.n_groups = groups_of(d, step, krs_decoder_width(d, step->in));
    op->copy.in_at = krs_dim_of(d->config, step->in_at);
    op->copy.out_at = krs_dim_of(d->config, step->out_at);
    op->copy.n = krs_dim_of(d->config, step->n);
}

void krs_decoder_fill(const krs_decoder *d, const krs_decoder_step *step, int32_t layer, krs_op *op)
{
    static krs_decoder_fill_op *const fills[KRS_OP_KIND_COUNT] = {
        [KRS_OP_EMBED] = fill_embed,
        [KRS_OP_RMS_NORM] = fill_norm,
        [KRS_OP_ROPE] = fill_rope,
        [KRS_OP_KV_WRITE] = fill_attention,
        [KRS_OP_ATTENTION] = fill_attention,
        [KRS_OP_GLU] = fill_glu,
        [KRS_OP_ADD] = fill_add,
        [KRS_OP_ACTIVATE] = fill_activate,
        [KRS_OP_COPY] = fill_copy,
        [KRS_OP_SCALE] = fill_scale,
        [KRS_OP_LAYER_NORM] = fill_norm,
        [KRS_OP_ADD_POSITION] = fill_position,
        [KRS_OP_ATTEND_ROWS] = fill_attend_rows,
        [KRS_OP_ROUTE] = krs_decoder_fill_route,
        [KRS_OP_EXPERTS] = krs_decoder_fill_experts,
        [KRS_OP_CONV] = krs_decoder_fill_conv,
        [KRS_OP_DELTA] = krs_decoder_fill_delta,
        [KRS_OP_HEAD_LINEAR] = krs_decoder_fill_head_linear,
    };
    KRS_CHECK(step->kind < KRS_OP_KIND_COUNT);
    op->is_exact = step->kind == KRS_OP_EXPERTS ? d->binder->family->has_exact_experts
                                                : d->binder->family->is_exact;
    if (fills[step->kind]) {
        fills[step->kind](d, step, layer, op);
    }
}
