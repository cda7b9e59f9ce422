/* kv/prefix.h - which block holds which tokens: equal prefixes are computed once.
 *
 *   root(salt) --- [16 tokens] --- [16 tokens] --- [16 tokens]
 *                        \--- [16 other tokens]
 *
 * A full block is known by what it stands for: its tokens and everything before them. Its key is a
 * 128-bit hash chained over (parent's hash, the block's tokens), rooted in the cache salt. A hash alone is
 * not trusted: an entry keeps its tokens, its salt and its parent's serial number, and a match compares
 * them word by word, so two prompts can never share a block by accident or by design.
 *
 * Entries are as many as the pool's blocks: entry b describes block b, and a block is forgotten when the
 * pool takes it for something else. Then its hash stays for a while in a bounded record of ghosts, so that
 * a miss can say "evicted" instead of "unseen". Ghosts are hashes only: a collision costs a wrong word in a
 * report, nothing else.
 *
 * Invariant: who holds a registered block holds its parent, too (a duplicate is swapped for the
 * original when it is registered), so parents leave the pool's list of cached blocks after their children.
 *
 * Recurrent layers: an index over state slots (kv/state.h) cuts a match at the last block with one.
 *
 * Thread: engine thread only.  Memory: all in _new, about 8 bytes a token of the pool.
 * Source: Kwon et al. 2023, arXiv:2309.06180, section 4.4; Zheng et al. 2024, SGLang, for eviction by
 * leaves. */
#pragma once

#include "api/generate.h"
#include "kv/hash.h"
#include "kv/state.h"
#include "kv/table.h"

typedef struct krs_kv_prefix krs_kv_prefix;

typedef struct krs_kv_prefix_options {
    uint32_t block_tokens; /* 1 .. 1024 */
    uint32_t n_ghosts;     /* hashes of evicted blocks remembered; 0: as many as blocks */
    uint64_t seed;         /* of the hash: unknown to clients, they cannot aim at one bucket */
    krs_kv_state *states;  /* borrowed, outlives the index; NULL: every block is a checkpoint */
} krs_kv_prefix_options;

/* How far a sequence's blocks are registered: the place its next block hangs from. */
typedef struct krs_kv_chain {
    krs_kv_hash hash;
    uint64_t serial; /* of the last entry; 0: the root */
    uint64_t salt;
    uint32_t n_blocks; /* the first so many of the table */
} krs_kv_chain;

typedef struct krs_kv_match {
    uint32_t n_blocks;
    uint32_t n_seen; /* blocks that are cached; more than n_blocks where a checkpoint was missing */
    uint32_t state;  /* checkpoint after the last block, held: copy it, then krs_kv_state_drop_hold;
                       KRS_KV_NO_STATE: none is needed */
    krs_cache_end end;
} krs_kv_match;

typedef struct krs_kv_prefix_stats {
    uint32_t n_entries;
    uint64_t n_evicted; /* entries that made room */
    uint64_t n_swapped; /* duplicates given up for the original */
} krs_kv_prefix_stats;

/* pool: borrowed, outlives the index, all blocks free; the index becomes its listener.
 * Errors: KRS_EINVAL (block_tokens), KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_kv_prefix_new(krs_kv_pool *pool, const krs_kv_prefix_options *options,
                                          const krs_alloc *alloc, krs_kv_prefix **out,
                                          krs_error *err);
/* Frees what is cached; no registered block may be held. */
void krs_kv_prefix_free(krs_kv_prefix *prefix);

/* The root of a salt. */
krs_kv_chain krs_kv_prefix_root(const krs_kv_prefix *prefix, uint64_t salt);

/* Retain into an empty table the longest cached run of full blocks of tokens[n_tokens], never all of it:
 * the last token is always computed. chain: from the root; stands behind the last block found.
 * Cost: O(found). */
krs_kv_match krs_kv_prefix_match(krs_kv_prefix *prefix, const uint32_t *tokens, uint32_t n_tokens,
                                 krs_kv_table *table, krs_kv_chain *chain);

/* tokens[n_computed] of a sequence are computed in its table: register the full blocks beyond the chain.
 * A block that another sequence registered meanwhile is swapped for that one (equal content), so
 * table->blocks may change. Cost: O(new blocks). */
void krs_kv_prefix_extend(krs_kv_prefix *prefix, const uint32_t *tokens, uint32_t n_computed,
                          krs_kv_table *table, krs_kv_chain *chain);

/* The key of the block behind `parent` with these tokens [block_tokens]. */
krs_kv_hash krs_kv_prefix_hash(const krs_kv_prefix *prefix, krs_kv_hash parent,
                               const uint32_t *tokens);
/* Is there an entry of this hash? A hint: only a match is exact. */
bool krs_kv_prefix_has(const krs_kv_prefix *prefix, krs_kv_hash hash);

/* Keep the first full blocks of tokens that are cached until unpin, which must come before _free.
 * *n_pinned: tokens of them, for unpin. Errors: KRS_EBUSY (beyond the pool's ceiling of pinned blocks: none is). */
KRS_MUST_USE krs_status krs_kv_prefix_pin(krs_kv_prefix *prefix, uint64_t salt,
                                          const uint32_t *tokens, uint32_t n_tokens,
                                          uint32_t *n_pinned);
void krs_kv_prefix_unpin(krs_kv_prefix *prefix, uint64_t salt, const uint32_t *tokens,
                         uint32_t n_pinned);

/* A held slot of options.states holds the state after the last block of the chain: make it that block's
 * checkpoint. One that has a checkpoint already keeps it, and the slot is given back. */
void krs_kv_prefix_checkpoint(krs_kv_prefix *prefix, const krs_kv_chain *chain,
                              const krs_kv_table *table, uint32_t slot);

/* Has the last block of the chain a checkpoint? */
bool krs_kv_prefix_has_checkpoint(const krs_kv_prefix *prefix, const krs_kv_chain *chain,
                                  const krs_kv_table *table);
/* Take the checkpoint of a held block back, to write a later one to its slot: false when it is not `slot`
 * any more, or somebody is about to read it; else the slot is held by the caller. */
bool krs_kv_prefix_take_checkpoint(krs_kv_prefix *prefix, krs_kv_block block, uint32_t slot);

krs_kv_prefix_stats krs_kv_prefix_stats_of(const krs_kv_prefix *prefix);
/* Abort unless the index and its pool agree with each other. Cost: O(blocks); for tests. */
void krs_kv_prefix_check(const krs_kv_prefix *prefix);
