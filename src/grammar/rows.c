/* grammar/rows.c - the rows of states: a block that grows, and then chunks that stay where they are.
 *
 * Rows are nearly all of an automaton's memory: 1 KiB a state. One array of them would be copied as a whole when
 * it grows, 8 MiB at some state, in the middle of a mask that then takes 5 ms. Chunks are never copied, but to go
 * through a table of them makes the walk of the vocabulary half again as slow; so the first states, which are all
 * that most automata have, are in one block. */
#include "grammar/automaton_priv.h"

#define ROW_BYTES  (KRS_ROW_BYTES * sizeof(uint32_t))
#define FIRST_ROWS 4u

void krs_rows_init(krs_rows *r, krs_ledger *ledger)
{
    *r = (krs_rows){.cap = 0};
    krs_pool_init(&r->chunks, ledger, sizeof(uint32_t *));
}

/* The block to cap rows, or as many as it may have. */
static krs_status resize_block(krs_rows *r, uint32_t cap)
{
    krs_ledger *ledger = r->chunks.ledger;
    cap = cap < KRS_ROWS_IN_BLOCK ? cap : KRS_ROWS_IN_BLOCK;
    const size_t n_old = r->cap * ROW_BYTES;
    const size_t n_new = cap * ROW_BYTES;
    const krs_status status = n_new > n_old ? krs_ledger_charge(ledger, n_new - n_old) : KRS_OK;
    if (status != KRS_OK) {
        return status;
    }
    uint32_t *block = krs_alloc_resize(ledger->alloc, r->block, cap, ROW_BYTES);
    if (!block) {
        ledger->n_bytes -= n_new > n_old ? n_new - n_old : 0;
        return KRS_ENOMEM;
    }
    ledger->n_bytes -= n_new < n_old ? n_old - n_new : 0;
    r->block = block;
    r->cap = cap;
    return KRS_OK;
}

static krs_status add_chunk(krs_rows *r)
{
    krs_ledger *ledger = r->chunks.ledger;
    krs_status status = krs_pool_reserve(&r->chunks, 1);
    if (status == KRS_OK) {
        status = krs_ledger_charge(ledger, KRS_ROWS_A_CHUNK * ROW_BYTES);
    }
    if (status != KRS_OK) {
        return status;
    }
    uint32_t *chunk = krs_alloc_bytes(ledger->alloc, KRS_ROWS_A_CHUNK * ROW_BYTES);
    if (!chunk) {
        ledger->n_bytes -= KRS_ROWS_A_CHUNK * ROW_BYTES;
        return KRS_ENOMEM;
    }
    ((uint32_t **)r->chunks.items)[r->chunks.n++] = chunk;
    r->cap += KRS_ROWS_A_CHUNK;
    return KRS_OK;
}

krs_status krs_rows_reserve(krs_rows *r)
{
    if (r->n < r->cap) {
        return KRS_OK;
    }
    if (r->cap >= KRS_ROWS_IN_BLOCK) {
        return add_chunk(r);
    }
    uint32_t more = r->cap > 0 ? r->cap : FIRST_ROWS;
    krs_status status = resize_block(r, r->cap + more);
    while (status == KRS_ETOOLARGE && more > 1) { /* the last bytes are of use, too */
        more /= 4;
        status = resize_block(r, r->cap + more + 1);
    }
    return status;
}

void krs_rows_shrink(krs_rows *r)
{
    krs_ledger *ledger = r->chunks.ledger;
    while (r->chunks.n > 0 && r->n + KRS_ROWS_A_CHUNK <= r->cap) {
        krs_alloc_free(ledger->alloc, ((uint32_t **)r->chunks.items)[--r->chunks.n]);
        ledger->n_bytes -= KRS_ROWS_A_CHUNK * ROW_BYTES;
        r->cap -= KRS_ROWS_A_CHUNK;
    }
    if (r->n > 0 && r->n < r->cap && r->chunks.n == 0) {
        (void)resize_block(r, r->n); /* else it stays as it is */
    }
}

void krs_rows_deinit(krs_rows *r)
{
    r->n = 0;
    krs_rows_shrink(r);
    if (r->chunks.ledger) {
        r->chunks.ledger->n_bytes -= r->cap * ROW_BYTES;
        krs_alloc_free(r->chunks.ledger->alloc, r->block);
    }
    krs_pool_deinit(&r->chunks);
}
