/* grammar/pool.c - see pool_priv.h. */
#include "grammar/pool_priv.h"

#include "base/checked.h"

#include <string.h>

#define FIRST_BYTES 1024 /* a small grammar has about ten pools, each of a few hundred bytes */
#define FIRST_SLOTS 64

krs_status krs_ledger_charge(krs_ledger *ledger, size_t n_bytes)
{
    if (ledger->n_bytes > ledger->max_bytes || n_bytes > ledger->max_bytes - ledger->n_bytes) {
        return KRS_ETOOLARGE;
    }
    ledger->n_bytes += n_bytes;
    return KRS_OK;
}

void krs_pool_init(krs_pool *pool, krs_ledger *ledger, size_t item_bytes)
{
    *pool = (krs_pool){.ledger = ledger, .item_bytes = item_bytes};
}

void krs_pool_deinit(krs_pool *pool)
{
    if (pool->ledger) {
        pool->ledger->n_bytes -= pool->cap * pool->item_bytes;
        krs_alloc_free(pool->ledger->alloc, pool->items);
    }
    *pool = (krs_pool){.ledger = pool->ledger, .item_bytes = pool->item_bytes};
}

/* Twice what it was, or what is needed; less than twice where that is beyond the ceiling. */
static krs_status pool_grow(krs_pool *pool, size_t needed)
{
    const size_t first = FIRST_BYTES / pool->item_bytes + 1;
    size_t cap = pool->cap < first / 2 ? first : (size_t)pool->cap * 2;
    cap = cap < needed ? needed : cap;
    if (cap >= KRS_NO_ID) {
        return KRS_ETOOLARGE;
    }
    krs_status status = krs_ledger_charge(pool->ledger, (cap - pool->cap) * pool->item_bytes);
    while (status != KRS_OK && cap > needed) {
        cap = needed + (cap - needed) / 4;
        status = krs_ledger_charge(pool->ledger, (cap - pool->cap) * pool->item_bytes);
    }
    if (status != KRS_OK) {
        return status;
    }
    void *items = krs_alloc_resize(pool->ledger->alloc, pool->items, cap, pool->item_bytes);
    if (!items) {
        pool->ledger->n_bytes -= (cap - pool->cap) * pool->item_bytes;
        return KRS_ENOMEM;
    }
    pool->items = items;
    pool->cap = (uint32_t)cap;
    return KRS_OK;
}

krs_status krs_pool_reserve(krs_pool *pool, uint32_t n)
{
    if (n <= pool->cap - pool->n) {
        return KRS_OK;
    }
    return pool_grow(pool, (size_t)pool->n + n);
}

void krs_pool_shrink(krs_pool *pool)
{
    void *items =
        pool->n > 0 ? krs_alloc_resize(pool->ledger->alloc, pool->items, pool->n, pool->item_bytes)
                    : NULL;
    if (items) {
        pool->ledger->n_bytes -= (pool->cap - pool->n) * pool->item_bytes;
        pool->items = items;
        pool->cap = pool->n;
    }
}

krs_status krs_pool_push(krs_pool *pool, const void *items, uint32_t n, uint32_t *first)
{
    const krs_status status = krs_pool_reserve(pool, n);
    if (status != KRS_OK) {
        return status;
    }
    if (n > 0) {
        memcpy((char *)pool->items + pool->n * pool->item_bytes, items, n * pool->item_bytes);
    }
    *first = pool->n;
    pool->n += n;
    return KRS_OK;
}

void krs_intern_init(krs_intern *table, krs_ledger *ledger)
{
    *table = (krs_intern){.ledger = ledger};
}

static size_t slot_bytes(const krs_intern *table)
{
    return table->slots ? ((size_t)table->mask + 1) * sizeof(*table->slots) : 0;
}

void krs_intern_deinit(krs_intern *table)
{
    if (table->slots) {
        table->ledger->n_bytes -= slot_bytes(table);
        krs_alloc_free(table->ledger->alloc, table->slots);
    }
    *table = (krs_intern){.ledger = table->ledger};
}

void krs_intern_clear(krs_intern *table)
{
    if (table->slots) {
        memset(table->slots, 0, slot_bytes(table));
    }
    table->n = 0;
}

static void put(krs_intern *table, uint64_t slot)
{
    uint32_t at = (uint32_t)(slot >> 32);
    while (table->slots[at & table->mask] != 0) {
        at++;
    }
    table->slots[at & table->mask] = slot;
}

krs_status krs_intern_reserve(krs_intern *table)
{
    if (table->slots && table->n < table->mask / 2) {
        return KRS_OK;
    }
    const size_t n_slots = table->slots ? ((size_t)table->mask + 1) * 2 : FIRST_SLOTS;
    const size_t n_bytes = n_slots * sizeof(*table->slots);
    const krs_status status = krs_ledger_charge(table->ledger, n_bytes);
    if (status != KRS_OK) {
        return status;
    }
    krs_intern grown = {.ledger = table->ledger, .mask = (uint32_t)(n_slots - 1), .n = table->n};
    grown.slots = krs_alloc_array(table->ledger->alloc, n_slots, sizeof(*table->slots));
    if (!grown.slots) {
        table->ledger->n_bytes -= n_bytes;
        return KRS_ENOMEM;
    }
    for (size_t i = 0; i < slot_bytes(table) / sizeof(*table->slots); i++) {
        if (table->slots[i] != 0) {
            put(&grown, table->slots[i]);
        }
    }
    krs_intern_deinit(table);
    *table = grown;
    return KRS_OK;
}

void krs_intern_add(krs_intern *table, uint64_t hash, uint32_t id)
{
    put(table, hash >> 32 << 32 | ((uint64_t)id + 1));
    table->n++;
}
