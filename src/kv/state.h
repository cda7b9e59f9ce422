/* kv/state.h - slots for the state of recurrent layers: accounting only, like pool.h for blocks.
 *
 * Attention keeps every token, so any block of a cached prefix can be the last. A recurrent layer (or a
 * window whose blocks are freed behind it) keeps one state, which is overwritten as tokens come: a prompt
 * can only go on from a place where its state was saved. A slot holds one such state on the device.
 *
 *   take          keep (checkpoint of a cached block)      hold
 *  FREE ----> HELD -------------------------> KEPT <-----------------> KEPT and HELD
 *   ^          | give                          | evicted, dropped       drop_hold
 *   +----------+-------------------------------+
 *
 * A sequence holds the slot it writes. A copy of it, kept, belongs to a block of the prefix index; kept
 * slots that nobody holds make room for takers, least recently used first.
 *
 * Thread: engine thread only.  Memory: one allocation in _new. */
#pragma once

#include "kv/pool.h"

#define KRS_KV_STATE_MAX_SLOTS (1u << 16) /* a state is megabytes: more cannot be meant */
#define KRS_KV_NO_STATE        UINT32_MAX

typedef struct krs_kv_state krs_kv_state;

/* n_slots: 1 .. KRS_KV_STATE_MAX_SLOTS. Errors: KRS_EINVAL, KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_kv_state_new(uint32_t n_slots, const krs_alloc *alloc,
                                         krs_kv_state **out, krs_error *err);
/* No slot may be held. */
void krs_kv_state_free(krs_kv_state *states);

/* Who is told that a kept slot had to make room: its block has no checkpoint any more. */
void krs_kv_state_on_evict(krs_kv_state *states, krs_kv_evict_fn *evict, void *ctx);

/* A slot to write to, held. Errors: KRS_EAGAIN (all are held). */
KRS_MUST_USE krs_status krs_kv_state_take(krs_kv_state *states, uint32_t *slot);
void krs_kv_state_give(krs_kv_state *states, uint32_t slot);

/* A held slot becomes the checkpoint of a block, and is not held any more. */
void krs_kv_state_keep(krs_kv_state *states, uint32_t slot, krs_kv_block block);
/* A kept slot is no checkpoint any more and held by the caller: false, and nothing is changed, when somebody
 * holds it. Nobody is told. */
bool krs_kv_state_reclaim(krs_kv_state *states, uint32_t slot);
/* A kept slot is about to be read: it stays until as many drops; it is the most recently used then. */
void krs_kv_state_hold(krs_kv_state *states, uint32_t slot);
void krs_kv_state_drop_hold(krs_kv_state *states, uint32_t slot);
/* The block is gone: free the slot now, or with its last hold. Nobody is told. */
void krs_kv_state_drop(krs_kv_state *states, uint32_t slot);

uint32_t krs_kv_state_n_free(const krs_kv_state *states); /* free, or kept and held by nobody */
uint32_t krs_kv_state_n_kept(const krs_kv_state *states);
uint32_t krs_kv_state_n_slots(const krs_kv_state *states);
