/* model/decoder_experts.c - binding the experts of one step. See decoder_priv.h.
 *
 * An EXPERTS op names the first of n matrices in a row, so all gates are bound, then all ups, all downs,
 * then their biases. Where the family may have gate and up in one matrix, the file decides.
 *
 * Thread: one owner.  Memory: the program's. */
#include "model/decoder_priv.h"

static int32_t n_experts_of(const krs_decoder *d, const krs_decoder_step *step)
{
    return step->in2 == KRS_SLOT_SHARED_ROUTING ? 1 : d->config->experts.n;
}

/* A number of experts that is not config.json's deserves its own words. No expert at all is a missing
 * tensor, and named as such when it is bound. */
static krs_status check_count(const krs_decoder *d, krs_role role, int32_t layer, krs_error *err)
{
    const krs_weight_key key = {.role = role, .layer = layer};
    const int32_t wanted = d->config->experts.n;
    const int32_t n = krs_binder_count_experts(d->binder, &key);
    if (n <= 0 || n == wanted) {
        return KRS_OK;
    }
    return krs_fail(
        err, KRS_EFORMAT,
        "expert mismatch: layer %d has %s%d experts in the file, config.json says there "
        "are %d",
        layer, n > wanted ? "at least " : "", n, wanted);
}

/* The halves of a role's weights, of all experts; *first: of them, or KRS_NO_MATRIX when they have no
 * biases. */
static krs_status bind_list(krs_decoder *d, const krs_decoder_step *step, krs_weight_key key,
                            uint32_t *first, krs_error *err)
{
    const int32_t n = n_experts_of(d, step);
    krs_status status = KRS_OK;
    *first = KRS_NO_MATRIX;
    if (key.half == KRS_HALF_BIAS && !krs_binder_has_bias(d->binder, &key)) {
        return KRS_OK;
    }
    for (; status == KRS_OK && key.expert < n; key.expert++) {
        krs_bound bound;
        status = krs_binder_bind(d->binder, &key, &bound, err);
        if (status == KRS_OK && key.expert == 0) {
            *first = key.half == KRS_HALF_BIAS ? bound.bias : bound.matrix;
        }
    }
    return status;
}

/* Are gate and up in one matrix here? A file that has neither is told what the family has first. */
static bool is_fused(const krs_decoder *d, const krs_decoder_step *step, int32_t layer)
{
    const krs_weight_key fused = {.role = step->fused_role, .layer = layer};
    const krs_weight_key gate = {.role = step->role, .layer = layer};
    if (step->fused_role == KRS_ROLE_NONE || !krs_family_has(d->binder->family, step->fused_role)) {
        return false;
    }
    return krs_binder_has(d->binder, &fused) || !krs_binder_has(d->binder, &gate);
}

krs_status krs_decoder_bind_experts(krs_decoder *d, const krs_decoder_step *step, int32_t layer,
                                    krs_op *op, krs_error *err)
{
    const bool fused = is_fused(d, step, layer);
    const krs_role gate = fused ? step->fused_role : step->role;
    const struct {
        krs_role role;
        krs_weight_half half;
        uint32_t *first;
    } lists[] = {
        {gate, KRS_HALF_MATRIX, &op->experts.gate},
        {step->up_role, KRS_HALF_MATRIX, &op->experts.up},
        {step->down_role, KRS_HALF_MATRIX, &op->experts.down},
        {gate, KRS_HALF_BIAS, &op->experts.gate_bias},
        {step->up_role, KRS_HALF_BIAS, &op->experts.up_bias},
        {step->down_role, KRS_HALF_BIAS, &op->experts.down_bias},
    };
    krs_model_stats *stats = d->binder->stats;
    const uint64_t bytes_before = stats->ffn_bytes;
    krs_status status = check_count(d, gate, layer, err);
    for (size_t i = 0; status == KRS_OK && i < sizeof(lists) / sizeof(lists[0]); i++) {
        const krs_weight_key key = {lists[i].role, layer, 0, lists[i].half};
        *lists[i].first = KRS_NO_MATRIX;
        if (!fused || lists[i].role != step->up_role) {
            status = bind_list(d, step, key, lists[i].first, err);
        }
    }
    op->experts.n_experts = n_experts_of(d, step);
    stats->expert_bytes += op->experts.n_experts > 1 ? stats->ffn_bytes - bytes_before : 0;
    return status;
}
