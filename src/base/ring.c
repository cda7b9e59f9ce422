/* base/ring.c - see ring.h. */
#include "base/ring.h"

#include <string.h>

krs_status krs_ring_init(krs_ring *ring, const krs_alloc *alloc, uint32_t n_items,
                         size_t item_bytes)
{
    if (n_items == 0 || n_items > KRS_RING_MAX_ITEMS || item_bytes == 0) {
        return KRS_EINVAL;
    }
    uint32_t n = 1;
    while (n < n_items) {
        n *= 2;
    }
    unsigned char *items = krs_alloc_array(alloc, n, item_bytes);
    if (!items) {
        return KRS_ENOMEM;
    }
    atomic_init(&ring->head, 0);
    atomic_init(&ring->tail, 0);
    ring->mask = n - 1;
    ring->item_bytes = item_bytes;
    ring->items = items;
    ring->alloc = alloc;
    return KRS_OK;
}

void krs_ring_deinit(krs_ring *ring)
{
    krs_alloc_free(ring->alloc, ring->items);
    ring->items = NULL;
}

bool krs_ring_push(krs_ring *ring, const void *item)
{
    const uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    /* Pairs with the release in _pop: the slot's old item has been copied out. */
    const uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
    if (head - tail > ring->mask) {
        return false;
    }
    memcpy(ring->items + (size_t)(head & ring->mask) * ring->item_bytes, item, ring->item_bytes);
    /* Pairs with the acquire in _pop: the item is whole before it is seen. */
    atomic_store_explicit(&ring->head, head + 1, memory_order_release);
    return true;
}

bool krs_ring_pop(krs_ring *ring, void *item)
{
    const uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    /* Pairs with the release in _push. */
    const uint32_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    if (head == tail) {
        return false;
    }
    memcpy(item, ring->items + (size_t)(tail & ring->mask) * ring->item_bytes, ring->item_bytes);
    /* Pairs with the acquire in _push. */
    atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
    return true;
}

uint32_t krs_ring_count(const krs_ring *ring)
{
    return atomic_load_explicit(&ring->head, memory_order_acquire) -
           atomic_load_explicit(&ring->tail, memory_order_acquire);
}
