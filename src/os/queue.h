/* os/queue.h - the bounded queue between threads: messages move, ownership with them.
 *
 * Any number of pushing and popping threads. Full is an answer (KRS_EBUSY), never a wait: the edge
 * turns it into 429/503. Closing wakes every waiter; what is still inside is popped first.
 *
 * Thread: any, internally locked (a leaf lock).  Memory: one allocation in _new. */
#pragma once

#include "base/alloc.h"
#include "base/status.h"

typedef struct krs_os_queue krs_os_queue;

/* max_items: 1 .. 2^24. Errors: KRS_EINVAL, KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_os_queue_new(uint32_t max_items, const krs_alloc *alloc,
                                         krs_os_queue **out);
/* No thread may be inside; items left are the caller's to have drained. */
void krs_os_queue_free(krs_os_queue *queue);

/* Errors: KRS_EBUSY (full), KRS_EUNAVAILABLE (closed); the item stays the caller's. */
KRS_MUST_USE krs_status krs_os_queue_push(krs_os_queue *queue, void *item);

/* Errors: KRS_EAGAIN (empty now), KRS_EEOF (closed and empty). */
KRS_MUST_USE krs_status krs_os_queue_try_pop(krs_os_queue *queue, void **out);

/* Wait for an item until deadline_ns (UINT64_MAX: for ever). Errors: KRS_EAGAIN (deadline), KRS_EEOF. */
KRS_MUST_USE krs_status krs_os_queue_pop(krs_os_queue *queue, uint64_t deadline_ns, void **out);

void krs_os_queue_close(krs_os_queue *queue);
uint32_t krs_os_queue_count(krs_os_queue *queue);
