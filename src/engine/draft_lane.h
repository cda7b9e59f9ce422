/* engine/draft_lane.h - one sequence's place in the draft model's cache.
 *
 *   released --reserve--> held: blocks [0 .. n_computed) computed, more reserved --release--> released
 *
 * The draft has keys and values of its own, in blocks of its own pool; what a lane has computed stays cached
 * there under its tokens like any prompt does, so a lane that was released, and the next turn of a
 * conversation, begin behind it. A lane may be released at any time: it only costs time to come back.
 *
 * Thread: made on a prep thread, then the engine's.  Memory: one block table. */
#pragma once

#include "kv/prefix.h"

typedef struct krs_draft krs_draft;

typedef struct krs_lane {
    krs_draft *draft;
    const krs_alloc *alloc;
    krs_kv_table table;
    krs_kv_chain chain;
    uint32_t n_computed; /* tokens whose keys and values the draft has */
    bool is_held;
    bool is_behind; /* the next step computes more of its tokens; until then it proposes nothing */
} krs_lane;

/* For a sequence of at most max_tokens. Errors: KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_lane_new(krs_draft *draft, uint32_t max_tokens, const krs_alloc *alloc,
                                     krs_lane **out);
/* Releases it, too; NULL is a no-op. */
void krs_lane_free(krs_lane *lane);

/* Blocks for n_tokens known tokens and n_more behind them. The tokens computed beyond the known ones count no
 * more. Errors: KRS_EAGAIN (the pool has too few). */
KRS_MUST_USE krs_status krs_lane_reserve(krs_lane *lane, uint64_t cache_salt,
                                         const uint32_t *tokens, uint32_t n_tokens,
                                         uint32_t n_more);
/* Give its blocks back; they stay cached as far as they are registered. */
void krs_lane_release(krs_lane *lane);
