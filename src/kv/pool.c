/* kv/pool.c - see pool.h.
 *
 * Free blocks form a stack: O(1), and the reuse order depends on nothing but the call sequence,
 * which is what makes a recorded scheduler trace replay exactly.
 * Invariant: refs[b] == 0 if and only if b is in free[0 .. n_free).
 *
 * Thread: engine thread only.  Memory: one block, the struct with both arrays behind it. */
#include "kv/pool.h"

#include "base/check.h"

struct krs_kv_pool {
    const krs_alloc *alloc;
    uint32_t n_blocks;
    uint32_t n_free;
    krs_kv_block *free; /* [n_blocks], top at n_free - 1 */
    uint32_t refs[];    /* [n_blocks], then the storage of free[] */
};

krs_status krs_kv_pool_new(uint32_t n_blocks, const krs_alloc *alloc, krs_kv_pool **out,
                           krs_error *err)
{
    *out = NULL;
    if (n_blocks == 0 || n_blocks > KRS_KV_POOL_MAX_BLOCKS) {
        return krs_fail(err, KRS_EINVAL, "kv pool: %u blocks, want 1 .. %u", n_blocks,
                        KRS_KV_POOL_MAX_BLOCKS);
    }
    /* Cannot overflow: the bound above keeps this near 128 MiB at most. */
    const size_t n_bytes = sizeof(krs_kv_pool) + 2 * (size_t)n_blocks * sizeof(uint32_t);
    krs_kv_pool *pool = krs_alloc_zero(alloc, n_bytes);
    if (!pool) {
        return krs_fail(err, KRS_ENOMEM, "kv pool: %zu bytes", n_bytes);
    }
    pool->alloc = alloc;
    pool->n_blocks = n_blocks;
    pool->n_free = n_blocks;
    pool->free = pool->refs + n_blocks;
    for (uint32_t i = 0; i < n_blocks; i++) {
        pool->free[i] = n_blocks - 1 - i; /* block 0 on top, so dumps read in order */
    }
    *out = pool;
    return KRS_OK;
}

void krs_kv_pool_free(krs_kv_pool *pool)
{
    if (pool) {
        KRS_CHECK(pool->n_free == pool->n_blocks);
        krs_alloc_free(pool->alloc, pool);
    }
}

krs_status krs_kv_pool_take(krs_kv_pool *pool, uint32_t n, krs_kv_block *out)
{
    if (n > pool->n_free) {
        return KRS_EAGAIN; /* routine under load: no message, no log line */
    }
    for (uint32_t i = 0; i < n; i++) {
        out[i] = pool->free[--pool->n_free];
        pool->refs[out[i]] = 1;
    }
    return KRS_OK;
}

void krs_kv_pool_retain(krs_kv_pool *pool, krs_kv_block block)
{
    KRS_CHECK(block < pool->n_blocks && pool->refs[block] > 0 && pool->refs[block] < UINT32_MAX);
    pool->refs[block]++;
}

void krs_kv_pool_release(krs_kv_pool *pool, krs_kv_block block)
{
    KRS_CHECK(block < pool->n_blocks && pool->refs[block] > 0);
    if (--pool->refs[block] == 0) {
        pool->free[pool->n_free++] = block;
    }
}

uint32_t krs_kv_pool_n_free(const krs_kv_pool *pool)
{
    return pool->n_free;
}

uint32_t krs_kv_pool_n_blocks(const krs_kv_pool *pool)
{
    return pool->n_blocks;
}
