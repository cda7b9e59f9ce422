/* kv/table.c - see table.h. Blocks are given back last first, so that a sequence that comes and goes
 * leaves the pool's stack as it found it and recorded traces stay short to read. */
#include "kv/table.h"

#include "base/check.h"

krs_status krs_kv_table_init(krs_kv_table *table, uint32_t max_blocks, const krs_alloc *alloc)
{
    *table = (krs_kv_table){NULL, 0, 0, alloc};
    table->blocks = krs_alloc_array(alloc, max_blocks, sizeof(*table->blocks));
    if (!table->blocks) {
        return KRS_ENOMEM;
    }
    table->max_blocks = max_blocks;
    return KRS_OK;
}

void krs_kv_table_deinit(krs_kv_table *table)
{
    KRS_CHECK(table->n_blocks == 0);
    krs_alloc_free(table->alloc, table->blocks);
    *table = (krs_kv_table){NULL, 0, 0, NULL};
}

krs_status krs_kv_table_grow(krs_kv_table *table, krs_kv_pool *pool, uint32_t n_blocks)
{
    if (n_blocks > table->max_blocks) {
        return KRS_ETOOLARGE;
    }
    if (n_blocks <= table->n_blocks) {
        return KRS_OK;
    }
    const krs_status status =
        krs_kv_pool_take(pool, n_blocks - table->n_blocks, table->blocks + table->n_blocks);
    if (status == KRS_OK) {
        table->n_blocks = n_blocks;
    }
    return status;
}

void krs_kv_table_clear(krs_kv_table *table, krs_kv_pool *pool)
{
    while (table->n_blocks > 0) {
        krs_kv_pool_release(pool, table->blocks[--table->n_blocks]);
    }
}
