/* kv/pool.h - which sequence holds which page of the attention cache.
 *
 * Sequences grow one token at a time and share prefixes, so cache memory is handed out in
 * fixed-size blocks that are counted, never copied. This module keeps the books only; the bytes
 * live in compute/. That split lets the scheduler simulator run the real pool without a device.
 *
 *            take              release of the last reference
 *   FREE ----------> HELD -------------------------------------> FREE
 *     ^               ^ |  release of the last, after keep
 *     |        retain | v
 *     +------------- CACHED    take, when none is free: least recently released first
 *         evict
 *
 * A block worth keeping (its content is known to kv/prefix.h) stays cached when its last reference goes:
 * takers get free blocks first, then the cached ones that were given back longest ago. Tables give their
 * blocks back last first, so the end of a prefix always goes before its beginning.
 *
 * Thread: engine thread only, no locks.  Memory: one allocation in _new, none after it.
 * Source: Kwon et al. 2023, PagedAttention, arXiv:2309.06180, section 4. */
#pragma once

#include "base/alloc.h"
#include "base/status.h"

#include <stdint.h>

#define KRS_KV_POOL_MAX_BLOCKS (1u << 24) /* 256 Mi tokens at 16 tokens a block */

typedef struct krs_kv_pool krs_kv_pool;
typedef uint32_t krs_kv_block; /* index in [0, n_blocks), stable for the pool's life */

/* A cached block is about to be taken for something else: forget its content. Must not call the pool. */
typedef void krs_kv_evict_fn(void *ctx, krs_kv_block block);

/* Create a pool of n_blocks free blocks, 1 .. KRS_KV_POOL_MAX_BLOCKS.
 * alloc: borrowed, must outlive the pool.  *out: owned by the caller, NULL on failure.
 * Errors: KRS_EINVAL (n_blocks out of range), KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_kv_pool_new(uint32_t n_blocks, const krs_alloc *alloc,
                                        krs_kv_pool **out, krs_error *err);

/* Free the pool; NULL is a no-op. A block still held is a bug in the caller and aborts. */
void krs_kv_pool_free(krs_kv_pool *pool);

/* Who is told of evictions; one listener, set before the first keep. */
void krs_kv_pool_on_evict(krs_kv_pool *pool, krs_kv_evict_fn *evict, void *ctx);

/* Take n blocks into out[n], one reference each. All or nothing: on failure nothing changes.
 * Cost: O(n).  Errors: KRS_EAGAIN (fewer than n free; the scheduler may preempt and retry). */
KRS_MUST_USE krs_status krs_kv_pool_take(krs_kv_pool *pool, uint32_t n, krs_kv_block *out);

/* Add a reference to a held or cached block: another sequence now shares this prefix. */
void krs_kv_pool_retain(krs_kv_pool *pool, krs_kv_block block);

/* Drop one reference; the last one makes the block free again, or cached if it is kept. */
void krs_kv_pool_release(krs_kv_pool *pool, krs_kv_block block);

/* A held block's content is worth keeping: with its last reference it becomes cached. Ends with eviction. */
void krs_kv_pool_keep(krs_kv_pool *pool, krs_kv_block block);

/* Evict every cached block. */
void krs_kv_pool_flush(krs_kv_pool *pool);

/* A pin is a reference that belongs to nobody. At most max_pinned blocks are pinned (0 at first), so that
 * what must run always fits beside them. Errors: KRS_EBUSY (no more may be). */
void krs_kv_pool_set_max_pinned(krs_kv_pool *pool, uint32_t max_pinned);
KRS_MUST_USE krs_status krs_kv_pool_pin(krs_kv_pool *pool, krs_kv_block block);
void krs_kv_pool_unpin(krs_kv_pool *pool, krs_kv_block block);

uint32_t krs_kv_pool_n_refs(const krs_kv_pool *pool, krs_kv_block block);
uint32_t krs_kv_pool_n_free(const krs_kv_pool *pool); /* what take can give: free or cached */
uint32_t krs_kv_pool_n_cached(const krs_kv_pool *pool);
uint32_t krs_kv_pool_n_pinned(const krs_kv_pool *pool);
uint32_t krs_kv_pool_n_blocks(const krs_kv_pool *pool);
