/* kv/pool.c - see pool.h.
 *
 * Free blocks form a stack: O(1), and the reuse order depends on nothing but the call sequence,
 * which is what makes a recorded scheduler trace replay exactly. Cached blocks form a list by the time of
 * their last release.
 * Invariants: 1. refs[b] == 0 if and only if b is in free[0 .. n_free) or in the list of cached ones.
 *             2. a block with refs[b] == 0 is cached if and only if is_kept[b].
 *
 * Thread: engine thread only.  Memory: one block, the struct with its arrays behind it. */
#include "kv/pool.h"

#include "base/check.h"
#include "kv/lru.h"

struct krs_kv_pool {
    const krs_alloc *alloc;
    krs_kv_evict_fn *evict;
    void *evict_ctx;
    uint32_t n_blocks;
    uint32_t n_free;
    uint32_t n_pinned;
    uint32_t max_pinned;
    krs_kv_lru cached;
    krs_kv_block *free; /* [n_blocks], top at n_free - 1 */
    uint32_t *pins;     /* [n_blocks] */
    bool *is_kept;      /* [n_blocks] */
    uint32_t refs[];    /* [n_blocks], then the storage of the others */
};

krs_status krs_kv_pool_new(uint32_t n_blocks, const krs_alloc *alloc, krs_kv_pool **out,
                           krs_error *err)
{
    *out = NULL;
    if (n_blocks == 0 || n_blocks > KRS_KV_POOL_MAX_BLOCKS) {
        return krs_fail(err, KRS_EINVAL, "kv pool: %u blocks, want 1 .. %u", n_blocks,
                        KRS_KV_POOL_MAX_BLOCKS);
    }
    /* Cannot overflow: the bound above keeps this under 400 MiB. */
    const size_t n = n_blocks;
    const size_t n_bytes =
        sizeof(krs_kv_pool) + n * (3 * sizeof(uint32_t) + sizeof(krs_kv_link) + sizeof(bool));
    krs_kv_pool *pool = krs_alloc_zero(alloc, n_bytes);
    if (!pool) {
        return krs_fail(err, KRS_ENOMEM, "kv pool: %zu bytes", n_bytes);
    }
    pool->alloc = alloc;
    pool->n_blocks = n_blocks;
    pool->n_free = n_blocks;
    pool->free = pool->refs + n;
    pool->pins = pool->free + n;
    krs_kv_link *links = (krs_kv_link *)(void *)(pool->pins + n);
    pool->is_kept = (bool *)(void *)(links + n);
    krs_kv_lru_init(&pool->cached, links);
    for (uint32_t i = 0; i < n_blocks; i++) {
        pool->free[i] = n_blocks - 1 - i; /* block 0 on top, so dumps read in order */
    }
    *out = pool;
    return KRS_OK;
}

void krs_kv_pool_free(krs_kv_pool *pool)
{
    if (pool) {
        KRS_CHECK(krs_kv_pool_n_free(pool) == pool->n_blocks);
        krs_alloc_free(pool->alloc, pool);
    }
}

void krs_kv_pool_on_evict(krs_kv_pool *pool, krs_kv_evict_fn *evict, void *ctx)
{
    pool->evict = evict;
    pool->evict_ctx = ctx;
}

/* Take the oldest cached block out of the cache; it is nobody's then. */
static krs_kv_block evict_oldest(krs_kv_pool *pool)
{
    const krs_kv_block block = pool->cached.oldest;
    krs_kv_lru_remove(&pool->cached, block);
    pool->is_kept[block] = false;
    if (pool->evict) {
        pool->evict(pool->evict_ctx, block);
    }
    return block;
}

krs_status krs_kv_pool_take(krs_kv_pool *pool, uint32_t n, krs_kv_block *out)
{
    if (n > krs_kv_pool_n_free(pool)) {
        return KRS_EAGAIN; /* routine under load: no message, no log line */
    }
    for (uint32_t i = 0; i < n; i++) {
        out[i] = pool->n_free > 0 ? pool->free[--pool->n_free] : evict_oldest(pool);
        pool->refs[out[i]] = 1;
    }
    return KRS_OK;
}

void krs_kv_pool_retain(krs_kv_pool *pool, krs_kv_block block)
{
    KRS_CHECK(block < pool->n_blocks && pool->refs[block] < UINT32_MAX);
    if (pool->refs[block] == 0) {
        KRS_CHECK(pool->is_kept[block]);
        krs_kv_lru_remove(&pool->cached, block);
    }
    pool->refs[block]++;
}

void krs_kv_pool_release(krs_kv_pool *pool, krs_kv_block block)
{
    KRS_CHECK(block < pool->n_blocks && pool->refs[block] > pool->pins[block]);
    if (--pool->refs[block] > 0) {
        return;
    }
    if (pool->is_kept[block]) {
        krs_kv_lru_push(&pool->cached, block);
    } else {
        pool->free[pool->n_free++] = block;
    }
}

void krs_kv_pool_keep(krs_kv_pool *pool, krs_kv_block block)
{
    KRS_CHECK(block < pool->n_blocks && pool->refs[block] > 0);
    pool->is_kept[block] = true;
}

void krs_kv_pool_flush(krs_kv_pool *pool)
{
    while (pool->cached.n > 0) {
        pool->free[pool->n_free++] = evict_oldest(pool);
    }
}

void krs_kv_pool_set_max_pinned(krs_kv_pool *pool, uint32_t max_pinned)
{
    pool->max_pinned = max_pinned;
}

krs_status krs_kv_pool_pin(krs_kv_pool *pool, krs_kv_block block)
{
    KRS_CHECK(block < pool->n_blocks);
    if (pool->pins[block] == 0) {
        if (pool->n_pinned >= pool->max_pinned) {
            return KRS_EBUSY;
        }
        pool->n_pinned++;
    }
    krs_kv_pool_retain(pool, block);
    pool->pins[block]++;
    return KRS_OK;
}

void krs_kv_pool_unpin(krs_kv_pool *pool, krs_kv_block block)
{
    KRS_CHECK(block < pool->n_blocks && pool->pins[block] > 0);
    pool->pins[block]--;
    pool->n_pinned -= pool->pins[block] == 0;
    krs_kv_pool_release(pool, block);
}

uint32_t krs_kv_pool_n_refs(const krs_kv_pool *pool, krs_kv_block block)
{
    KRS_CHECK(block < pool->n_blocks);
    return pool->refs[block];
}

uint32_t krs_kv_pool_n_free(const krs_kv_pool *pool)
{
    return pool->n_free + pool->cached.n;
}

uint32_t krs_kv_pool_n_cached(const krs_kv_pool *pool)
{
    return pool->cached.n;
}

uint32_t krs_kv_pool_n_pinned(const krs_kv_pool *pool)
{
    return pool->n_pinned;
}

uint32_t krs_kv_pool_n_blocks(const krs_kv_pool *pool)
{
    return pool->n_blocks;
}
