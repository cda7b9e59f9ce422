/* kv/state.c - see state.h. A slot's place in the picture is its pair (n_holds, block):
 *
 *   FREE (0, none)   HELD (1, none)   KEPT (0, block), in the list   KEPT and HELD (n, block)
 *
 * Thread: engine thread only.  Memory: one block, the struct with its arrays behind it. */
#include "kv/state.h"

#include "base/check.h"
#include "kv/lru.h"

typedef struct state_slot {
    uint32_t n_holds;
    krs_kv_block block; /* whose checkpoint it is, or KRS_KV_NONE */
} state_slot;

struct krs_kv_state {
    const krs_alloc *alloc;
    krs_kv_evict_fn *evict;
    void *evict_ctx;
    uint32_t n_slots;
    uint32_t n_free; /* of free[] */
    uint32_t n_kept;
    krs_kv_lru kept; /* kept and held by nobody */
    uint32_t *free;  /* [n_slots], top at n_free - 1 */
    state_slot slots[];
};

krs_status krs_kv_state_new(uint32_t n_slots, const krs_alloc *alloc, krs_kv_state **out,
                            krs_error *err)
{
    *out = NULL;
    if (n_slots == 0 || n_slots > KRS_KV_STATE_MAX_SLOTS) {
        return krs_fail(err, KRS_EINVAL, "kv state: %u slots, want 1 .. %u", n_slots,
                        KRS_KV_STATE_MAX_SLOTS);
    }
    const size_t n = n_slots;
    const size_t n_bytes =
        sizeof(krs_kv_state) + n * (sizeof(state_slot) + sizeof(krs_kv_link) + sizeof(uint32_t));
    krs_kv_state *states = krs_alloc_zero(alloc, n_bytes);
    if (!states) {
        return krs_fail(err, KRS_ENOMEM, "kv state: %zu bytes", n_bytes);
    }
    states->alloc = alloc;
    states->n_slots = n_slots;
    states->n_free = n_slots;
    krs_kv_link *links = (krs_kv_link *)(void *)(states->slots + n);
    states->free = (uint32_t *)(void *)(links + n);
    krs_kv_lru_init(&states->kept, links);
    for (uint32_t i = 0; i < n_slots; i++) {
        states->free[i] = n_slots - 1 - i;
        states->slots[i].block = KRS_KV_NONE;
    }
    *out = states;
    return KRS_OK;
}

void krs_kv_state_free(krs_kv_state *states)
{
    if (states) {
        KRS_CHECK(krs_kv_state_n_free(states) == states->n_slots);
        krs_alloc_free(states->alloc, states);
    }
}

void krs_kv_state_on_evict(krs_kv_state *states, krs_kv_evict_fn *evict, void *ctx)
{
    states->evict = evict;
    states->evict_ctx = ctx;
}

static uint32_t evict_oldest(krs_kv_state *states)
{
    const uint32_t slot = states->kept.oldest;
    const krs_kv_block block = states->slots[slot].block;
    krs_kv_lru_remove(&states->kept, slot);
    states->slots[slot].block = KRS_KV_NONE;
    states->n_kept--;
    if (states->evict) {
        states->evict(states->evict_ctx, block);
    }
    return slot;
}

krs_status krs_kv_state_take(krs_kv_state *states, uint32_t *slot)
{
    if (krs_kv_state_n_free(states) == 0) {
        return KRS_EAGAIN;
    }
    *slot = states->n_free > 0 ? states->free[--states->n_free] : evict_oldest(states);
    states->slots[*slot].n_holds = 1;
    return KRS_OK;
}

/* A hold of a slot ends: it goes where its block says. */
static void end_hold(krs_kv_state *states, uint32_t slot)
{
    if (--states->slots[slot].n_holds > 0) {
        return;
    }
    if (states->slots[slot].block == KRS_KV_NONE) {
        states->free[states->n_free++] = slot;
    } else {
        krs_kv_lru_push(&states->kept, slot);
    }
}

void krs_kv_state_give(krs_kv_state *states, uint32_t slot)
{
    KRS_CHECK(slot < states->n_slots && states->slots[slot].n_holds == 1 &&
              states->slots[slot].block == KRS_KV_NONE);
    end_hold(states, slot);
}

void krs_kv_state_keep(krs_kv_state *states, uint32_t slot, krs_kv_block block)
{
    KRS_CHECK(slot < states->n_slots && states->slots[slot].n_holds == 1 &&
              states->slots[slot].block == KRS_KV_NONE);
    states->slots[slot].block = block;
    states->n_kept++;
    end_hold(states, slot);
}

bool krs_kv_state_reclaim(krs_kv_state *states, uint32_t slot)
{
    KRS_CHECK(slot < states->n_slots && states->slots[slot].block != KRS_KV_NONE);
    if (states->slots[slot].n_holds > 0) {
        return false;
    }
    krs_kv_lru_remove(&states->kept, slot);
    states->slots[slot] = (state_slot){1, KRS_KV_NONE};
    states->n_kept--;
    return true;
}

void krs_kv_state_hold(krs_kv_state *states, uint32_t slot)
{
    KRS_CHECK(slot < states->n_slots && states->slots[slot].block != KRS_KV_NONE);
    if (states->slots[slot].n_holds++ == 0) {
        krs_kv_lru_remove(&states->kept, slot);
    }
}

void krs_kv_state_drop_hold(krs_kv_state *states, uint32_t slot)
{
    KRS_CHECK(slot < states->n_slots && states->slots[slot].n_holds > 0);
    end_hold(states, slot);
}

void krs_kv_state_drop(krs_kv_state *states, uint32_t slot)
{
    KRS_CHECK(slot < states->n_slots && states->slots[slot].block != KRS_KV_NONE);
    states->slots[slot].block = KRS_KV_NONE;
    states->n_kept--;
    if (states->slots[slot].n_holds == 0) {
        krs_kv_lru_remove(&states->kept, slot);
        states->free[states->n_free++] = slot;
    }
}

uint32_t krs_kv_state_n_free(const krs_kv_state *states)
{
    return states->n_free + states->kept.n;
}

uint32_t krs_kv_state_n_kept(const krs_kv_state *states)
{
    return states->n_kept;
}

uint32_t krs_kv_state_n_slots(const krs_kv_state *states)
{
    return states->n_slots;
}
