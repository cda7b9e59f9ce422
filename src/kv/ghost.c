/* kv/ghost.c - see ghost.h. A key is 64 of the 128 bits, never 0. */
#include "kv/ghost.h"

#include "base/check.h"

#include <string.h>

#define WAYS 4u

krs_status krs_kv_ghosts_init(krs_kv_ghosts *ghosts, uint32_t n, const krs_alloc *alloc)
{
    KRS_CHECK(n <= KRS_KV_POOL_MAX_BLOCKS);
    uint32_t n_sets = 1;
    while (n_sets * WAYS < n) {
        n_sets *= 2;
    }
    ghosts->n_sets = n_sets;
    ghosts->keys = krs_alloc_array(alloc, (size_t)n_sets * WAYS, sizeof(*ghosts->keys));
    return ghosts->keys ? KRS_OK : KRS_ENOMEM;
}

void krs_kv_ghosts_deinit(krs_kv_ghosts *ghosts, const krs_alloc *alloc)
{
    krs_alloc_free(alloc, ghosts->keys);
    ghosts->keys = NULL;
}

static uint64_t key_of(krs_kv_hash hash)
{
    return hash.hi | 1;
}

static uint64_t *set_of(const krs_kv_ghosts *ghosts, krs_kv_hash hash)
{
    return ghosts->keys + (size_t)(hash.lo & (ghosts->n_sets - 1)) * WAYS;
}

/* Its way in the set, or WAYS. */
static uint32_t find(const uint64_t *set, uint64_t key)
{
    uint32_t way = 0;
    while (way < WAYS && set[way] != key) {
        way++;
    }
    return way;
}

void krs_kv_ghosts_add(krs_kv_ghosts *ghosts, krs_kv_hash hash)
{
    uint64_t *set = set_of(ghosts, hash);
    const uint32_t way = find(set, key_of(hash));
    const uint32_t n_older = way < WAYS ? way : WAYS - 1;
    memmove(set + 1, set, n_older * sizeof(*set));
    set[0] = key_of(hash);
}

void krs_kv_ghosts_remove(krs_kv_ghosts *ghosts, krs_kv_hash hash)
{
    uint64_t *set = set_of(ghosts, hash);
    const uint32_t way = find(set, key_of(hash));
    if (way < WAYS) {
        memmove(set + way, set + way + 1, (WAYS - 1 - way) * sizeof(*set));
        set[WAYS - 1] = 0;
    }
}

bool krs_kv_ghosts_has(const krs_kv_ghosts *ghosts, krs_kv_hash hash)
{
    return find(set_of(ghosts, hash), key_of(hash)) < WAYS;
}
