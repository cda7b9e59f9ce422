/* kv/ghost.h - hashes of what was evicted lately, in a fixed room.
 *
 * Sets of four, newest first: a hash goes to the set its bits name and pushes out the oldest there. So the
 * record needs no list and no deletion of its own, and forgets about evenly. Only for this folder.
 *
 * Thread: the owner's.  Memory: one array, taken in _init. */
#pragma once

#include "base/alloc.h"
#include "kv/prefix.h"

typedef struct krs_kv_ghosts {
    uint64_t *keys;  /* [n_sets * 4], 0: empty */
    uint32_t n_sets; /* a power of two */
} krs_kv_ghosts;

/* Room for at least n hashes. Errors: KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_kv_ghosts_init(krs_kv_ghosts *ghosts, uint32_t n,
                                           const krs_alloc *alloc);
void krs_kv_ghosts_deinit(krs_kv_ghosts *ghosts, const krs_alloc *alloc);

void krs_kv_ghosts_add(krs_kv_ghosts *ghosts, krs_kv_hash hash);
/* It lives again. */
void krs_kv_ghosts_remove(krs_kv_ghosts *ghosts, krs_kv_hash hash);
bool krs_kv_ghosts_has(const krs_kv_ghosts *ghosts, krs_kv_hash hash);
