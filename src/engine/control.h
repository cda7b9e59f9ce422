/* engine/control.h - cancel and credit, from any thread to the engine thread, without a lock.
 *
 * A stream has a slot while it lives; the slot's word says whose it is and what was asked of it:
 *
 *   63          34   33          32        31       0
 *   [ generation ]  [cancelled]  [limited]  [ credit ]
 *
 * A stream id is generation and slot. Changing a word compares the generation in the same atomic step,
 * so a late cancel or grant can never reach the slot's next stream. A generation comes again after
 * 2^30 streams of one slot.
 *
 * Thread: cancel, grant, read: any. take: any. give, spend: the engine thread.
 * Memory: all in _init. */
#pragma once

#include "api/generate.h"
#include "os/queue.h"

#include <stdatomic.h>


typedef struct krs_controls {
    const krs_alloc *alloc;
    uint32_t n;
    _Atomic uint64_t *words; /* [n] */
    krs_os_queue *free;      /* of slots, as numbers + 1 */
} krs_controls;

typedef struct krs_control {
    bool is_cancelled;
    uint32_t credit; /* KRS_CREDIT_UNLIMITED before the first grant */
} krs_control;

/* n slots, all free. Errors: KRS_EINVAL (0), KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_controls_init(krs_controls *controls, uint32_t n,
                                          const krs_alloc *alloc);
void krs_controls_deinit(krs_controls *controls);

/* A fresh stream id, never 0. Errors: KRS_EBUSY (no slot). */
KRS_MUST_USE krs_status krs_controls_take(krs_controls *controls, uint64_t *id);
/* The stream is over: its id is unknown from now on. */
void krs_controls_give(krs_controls *controls, uint64_t id);

/* Unknown ids are ignored; true when the id was known. */
bool krs_controls_cancel(krs_controls *controls, uint64_t id);
bool krs_controls_grant(krs_controls *controls, uint64_t id, uint32_t n_tokens);

/* id must be alive. */
krs_control krs_controls_read(const krs_controls *controls, uint64_t id);
void krs_controls_spend(krs_controls *controls, uint64_t id);
