/* model/fill_mixture.c - the numbers of ops of mixtures, of heads and of recurrent layers. See
 * decoder_priv.h.
 *
 * Thread: any; pure.  Source: families/mixture.c, deepseek.c and qwen3_next.c for what the steps mean. */
#include "model/decoder_priv.h"

#include <math.h>

#define UNIT_EPS 1e-6f /* of the l2 norm of q and k, built into the classes */

void krs_decoder_fill_route(const krs_decoder *d, const krs_decoder_step *step, int32_t layer,
                            krs_op *op)
{
    const krs_expert_config *experts = &d->config->experts;
    (void)layer;
    op->route.score = step->score;
    op->route.top_k = (int32_t)(krs_decoder_width(d, step->out) / 2);
    op->route.n_groups = 1;
    op->route.top_groups = 1;
    op->route.scale = 1.0f;
    if (step->in == KRS_SLOT_ROUTER) { /* not the one of a shared expert, which has no rivals */
        op->route.n_groups = experts->n_groups;
        op->route.top_groups = experts->top_groups;
        op->route.is_normalised = experts->is_normalised;
        op->route.scale = (float)experts->scale;
    }
}

void krs_decoder_fill_experts(const krs_decoder *d, const krs_decoder_step *step, int32_t layer,
                              krs_op *op)
{
    (void)layer;
    op->experts.gated.act = krs_decoder_act(d, step);
    op->experts.gated.limit = (float)d->config->glu_limit;
    op->experts.gated.alpha = d->config->glu_limit > 0 ? (float)d->config->glu_alpha : 0.0f;
}

void krs_decoder_fill_conv(const krs_decoder *d, const krs_decoder_step *step, int32_t layer,
                           krs_op *op)
{
    (void)layer;
    op->conv.kernel = d->config->linear.kernel;
    op->conv.act = krs_decoder_act(d, step);
}

void krs_decoder_fill_delta(const krs_decoder *d, const krs_decoder_step *step, int32_t layer,
                            krs_op *op)
{
    const krs_linear_config *linear = &d->config->linear;
    (void)step;
    (void)layer;
    op->delta.n_k_heads = linear->n_k_heads;
    op->delta.n_v_heads = linear->n_v_heads;
    op->delta.k_dim = linear->k_dim;
    op->delta.v_dim = linear->v_dim;
    op->delta.scale = (float)(1.0 / sqrt((double)linear->k_dim));
    op->delta.eps = UNIT_EPS;
}

void krs_decoder_fill_head_linear(const krs_decoder *d, const krs_decoder_step *step, int32_t layer,
                                  krs_op *op)
{
    (void)step;
    (void)layer;
    op->head_linear.n_heads = d->config->n_heads;
}
