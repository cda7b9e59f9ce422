/* grammar/pool_priv.h - the memory of grammars: arrays that grow within a common ceiling, and tables that
 * find equal things.
 *
 * Everything in this room is an id into an array, and equal things have one id. A table holds no keys: it
 * holds half of each thing's hash and its id, and whoever looks compares. All of it is counted in a ledger,
 * so that one number bounds what a stranger's schema can take.
 *
 * Thread: one owner.  Memory: from the ledger's allocator; a failed growth leaves things as they were. */
#pragma once

#include "base/alloc.h"

#define KRS_NO_ID UINT32_MAX

typedef struct krs_ledger {
    const krs_alloc *alloc;
    size_t n_bytes;
    size_t max_bytes;
} krs_ledger;

/* Count n_bytes more. Errors: KRS_ETOOLARGE (the ceiling; nothing is counted). */
KRS_MUST_USE krs_status krs_ledger_charge(krs_ledger *ledger, size_t n_bytes);

typedef struct krs_pool {
    krs_ledger *ledger;
    void *items; /* [cap] of item_bytes each */
    uint32_t n;
    uint32_t cap;
    size_t item_bytes;
} krs_pool;

void krs_pool_init(krs_pool *pool, krs_ledger *ledger, size_t item_bytes);
void krs_pool_deinit(krs_pool *pool);

/* Room for n more. Errors: KRS_ETOOLARGE (the ledger's ceiling), KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_pool_reserve(krs_pool *pool, uint32_t n);

/* Give back what is beyond the n items there are; does nothing when that fails. */
void krs_pool_shrink(krs_pool *pool);

/* Add items[n]; *first is the id of the first. Errors: as reserve. */
KRS_MUST_USE krs_status krs_pool_push(krs_pool *pool, const void *items, uint32_t n,
                                      uint32_t *first);

/* Ids by the upper half of their hash, the tag, which is also where probing begins: slots of
 * tag << 32 | id + 1, 0 = empty; linear probing, at most half full. */
typedef struct krs_intern {
    krs_ledger *ledger;
    uint64_t *slots; /* [mask + 1], or NULL while nothing is in it */
    uint32_t mask;
    uint32_t n;
} krs_intern;

void krs_intern_init(krs_intern *table, krs_ledger *ledger);
void krs_intern_deinit(krs_intern *table);
/* Forget every id, keeping the memory. */
void krs_intern_clear(krs_intern *table);

/* Room for one more. Errors: as krs_pool_reserve. */
KRS_MUST_USE krs_status krs_intern_reserve(krs_intern *table);
/* Add an id that is not there; krs_intern_reserve came before. */
void krs_intern_add(krs_intern *table, uint64_t hash, uint32_t id);

/* Ids with this hash, one a call, then KRS_NO_ID. *probe: 0 before the first call. */
static inline uint32_t krs_intern_next(const krs_intern *table, uint64_t hash, uint32_t *probe)
{
    if (!table->slots) {
        return KRS_NO_ID;
    }
    for (;;) {
        const uint64_t slot = table->slots[((uint32_t)(hash >> 32) + (*probe)++) & table->mask];
        if (slot == 0) {
            return KRS_NO_ID;
        }
        if (slot >> 32 == hash >> 32) {
            return (uint32_t)slot - 1;
        }
    }
}

/* A hash of small numbers; the upper half is well mixed. */
static inline uint64_t krs_mix(uint64_t seed, uint64_t value)
{
    uint64_t x = (seed * 0x9E3779B97F4A7C15u + 0x632BE59BD9B4E019u) ^ value;
    x ^= x >> 32;
    x *= 0xD6E8FEB86659FD93u;
    return x ^ x >> 29;
}
