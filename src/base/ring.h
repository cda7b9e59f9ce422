/* base/ring.h - one writer, one reader, no lock.
 *
 *   tail (reader) ---> [ item | item | item ] <--- head (writer)      head - tail = items waiting
 *
 * Indices count up forever and are masked on use, so full and empty differ without a spare slot. The
 * two halves live on separate cache lines. All ordering is inside: callers need no fence.
 *
 * Thread: exactly one pushing and one popping thread.  Memory: one allocation in _init. */
#pragma once

#include "base/alloc.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KRS_CACHE_LINE_BYTES 64         /* x86-64 and most ARM cores */
#define KRS_RING_MAX_ITEMS   (1u << 24) /* guards against a wrong count, not a use we know */

typedef struct krs_ring {
    alignas(KRS_CACHE_LINE_BYTES) _Atomic uint32_t head; /* written by the pushing thread */
    alignas(KRS_CACHE_LINE_BYTES) _Atomic uint32_t tail; /* written by the popping thread */
    alignas(KRS_CACHE_LINE_BYTES) uint32_t mask;         /* immutable after _init */
    size_t item_bytes;
    unsigned char *items;
    const krs_alloc *alloc;
} krs_ring;

/* Room for n_items (rounded up to a power of two) of item_bytes each.
 * Errors: KRS_EINVAL (0 or more than KRS_RING_MAX_ITEMS, 0 bytes), KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_ring_init(krs_ring *ring, const krs_alloc *alloc, uint32_t n_items,
                                      size_t item_bytes);
void krs_ring_deinit(krs_ring *ring);

/* Copy one item in; false when full. Pushing thread only. */
KRS_MUST_USE bool krs_ring_push(krs_ring *ring, const void *item);

/* Copy the oldest item out; false when empty. Popping thread only. */
KRS_MUST_USE bool krs_ring_pop(krs_ring *ring, void *item);

/* Items waiting; exact for either owner, a snapshot for anyone else. */
uint32_t krs_ring_count(const krs_ring *ring);
