/* engine/draft_lane.c - see draft_lane.h.
 *
 * Blocks are registered when room is reserved, because only then it is known which of the computed tokens
 * were confirmed: what is registered must never be a guess.
 *
 * Thread: the engine's, but for _new.  Memory: see draft_lane.h. */
#include "engine/draft.h"

krs_status krs_lane_new(krs_draft *draft, uint32_t max_tokens, const krs_alloc *alloc,
                        krs_lane **out)
{
    *out = NULL;
    krs_lane *lane = krs_alloc_zero(alloc, sizeof(*lane));
    if (!lane) {
        return KRS_ENOMEM;
    }
    lane->draft = draft;
    lane->alloc = alloc;
    const krs_status status =
        krs_kv_table_init(&lane->table, krs_kv_blocks_for(max_tokens, KRS_KV_BLOCK_TOKENS), alloc);
    if (status != KRS_OK) {
        krs_alloc_free(alloc, lane);
        return status;
    }
    *out = lane;
    return KRS_OK;
}

void krs_lane_free(krs_lane *lane)
{
    if (lane) {
        krs_lane_release(lane);
        krs_kv_table_deinit(&lane->table);
        krs_alloc_free(lane->alloc, lane);
    }
}

/* Behind what is cached of its tokens. */
static void begin(krs_lane *lane, uint64_t cache_salt, const uint32_t *tokens, uint32_t n_tokens)
{
    krs_kv_prefix *prefix = lane->draft->prefix;
    lane->chain = krs_kv_prefix_root(prefix, cache_salt);
    (void)krs_kv_prefix_match(prefix, tokens, n_tokens, &lane->table, &lane->chain);
    lane->n_computed = lane->table.n_blocks * KRS_KV_BLOCK_TOKENS;
    lane->is_held = true;
}

krs_status krs_lane_reserve(krs_lane *lane, uint64_t cache_salt, const uint32_t *tokens,
                            uint32_t n_tokens, uint32_t n_more)
{
    if (!lane->is_held) {
        begin(lane, cache_salt, tokens, n_tokens);
    }
    /* The newest token is the model's own choice: at best the draft was asked what follows it. */
    if (lane->n_computed >= n_tokens) {
        lane->n_computed = n_tokens - 1;
    }
    krs_kv_prefix_extend(lane->draft->prefix, tokens, lane->n_computed, &lane->table, &lane->chain);
    const uint32_t n_blocks = krs_kv_blocks_for(n_tokens + n_more, KRS_KV_BLOCK_TOKENS);
    return krs_kv_table_grow(&lane->table, lane->draft->pool, n_blocks);
}

void krs_lane_release(krs_lane *lane)
{
    if (lane->is_held) {
        krs_kv_table_clear(&lane->table, lane->draft->pool);
        lane->is_held = false;
        lane->is_behind = false;
        lane->n_computed = 0;
    }
}
