/* engine/control.h - cancel and credit, from any thread to the engine thread, without a lock.
 *
 * A stream has a slot while it lives; the slot's word says whose it is and what was asked of it since
 * the engine thread last looked:
 *
 *   63          34   33          32        31       0
 *   [ generation ]  [cancelled]  [granted]  [ tokens granted ]
 *
 * A stream id is generation and slot. Changing a word compares the generation in the same atomic step,
 * so a late cancel or grant can never reach the slot's next stream. A generation comes again after
 * 2^30 streams of one slot.
 *
 * Beside the words lies a bit per slot, set after the word changed: the engine thread looks only at
 * streams of which something was asked, so a step costs nothing for the thousands that said nothing.
 * A grant is taken out of the word by the engine thread, which alone counts a stream's credit down: a
 * token costs no atomic operation.
 *
 * Thread: cancel, grant, is_cancelled: any. take, give: any, the id's one owner. next, collect: the
 * engine thread.  Memory: all in _init. */
#pragma once

#include "api/generate.h"
#include "os/queue.h"

#include <stdatomic.h>

typedef struct krs_controls {
    const krs_alloc *alloc;
    uint32_t n;
    _Atomic uint64_t *words;   /* [n] */
    _Atomic uint64_t *changed; /* [n / 64, rounded up], a bit a slot */
    _Atomic bool is_changed;   /* some bit may be set */
    krs_os_queue *free;        /* of slots, as numbers + 1 */
    uint32_t at;               /* word of `changed` that `bits` was taken from */
    uint64_t bits;             /* of it, not yet handed out by next */
} krs_controls;

/* What was asked since the last time. */
typedef struct krs_control {
    bool is_cancelled;
    bool is_granted;
    uint32_t n_granted; /* tokens, together; saturates below KRS_CREDIT_UNLIMITED */
} krs_control;

/* n slots, all free. Errors: KRS_EINVAL (0), KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_controls_init(krs_controls *controls, uint32_t n,
                                          const krs_alloc *alloc);
void krs_controls_deinit(krs_controls *controls);

/* The slot of an id: below n, nobody else's while the id lives. */
static inline uint32_t krs_controls_slot(uint64_t id)
{
    return (uint32_t)id;
}

/* A fresh stream id, never 0. Errors: KRS_EBUSY (no slot). */
KRS_MUST_USE krs_status krs_controls_take(krs_controls *controls, uint64_t *id);
/* The stream is over: its id is unknown from now on. */
void krs_controls_give(krs_controls *controls, uint64_t id);

/* Unknown ids are ignored; true when the id was known. */
bool krs_controls_cancel(krs_controls *controls, uint64_t id);
bool krs_controls_grant(krs_controls *controls, uint64_t id, uint32_t n_tokens);

/* id must be alive. */
bool krs_controls_is_cancelled(const krs_controls *controls, uint64_t id);

/* The next slot of which something was asked; false when there is none (any more). A slot may come up
 * whose stream has ended since. */
bool krs_controls_next(krs_controls *controls, uint32_t *slot);

/* What was asked of a live id; grants are taken out, cancelled stays. */
krs_control krs_controls_collect(krs_controls *controls, uint64_t id);
