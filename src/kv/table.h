/* kv/table.h - the blocks of one sequence, in the order of its positions.
 *
 *   position p of the sequence lies in blocks[p / block_tokens], slot p % block_tokens
 *
 * The list has room for the sequence's longest possible length from the start, so growing during
 * decoding never allocates. It holds references, the pool holds the counts.
 *
 * Thread: engine thread only.  Memory: one allocation in _init.
 * Source: Kwon et al. 2023, PagedAttention, arXiv:2309.06180, section 4.2. */
#pragma once

#include "kv/pool.h"

typedef struct krs_kv_table {
    krs_kv_block *blocks; /* [max_blocks], the first n_blocks held */
    uint32_t n_blocks;
    uint32_t max_blocks;
    const krs_alloc *alloc;
} krs_kv_table;

/* Blocks that n_tokens tokens need; block_tokens > 0. */
static inline uint32_t krs_kv_blocks_for(uint32_t n_tokens, uint32_t block_tokens)
{
    return n_tokens / block_tokens + (n_tokens % block_tokens != 0);
}

/* An empty table with room for max_blocks. alloc: borrowed, NULL = heap. Errors: KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_kv_table_init(krs_kv_table *table, uint32_t max_blocks,
                                          const krs_alloc *alloc);

/* The table must be empty: blocks still held are a bug in the caller and abort. */
void krs_kv_table_deinit(krs_kv_table *table);

/* Hold n_blocks blocks in all, taking what is missing. All or nothing; fewer than held is nothing to
 * do. Errors: KRS_EAGAIN (the pool has too few), KRS_ETOOLARGE (beyond max_blocks). */
KRS_MUST_USE krs_status krs_kv_table_grow(krs_kv_table *table, krs_kv_pool *pool,
                                          uint32_t n_blocks);

/* Give every block back. */
void krs_kv_table_clear(krs_kv_table *table, krs_kv_pool *pool);
