/* sched/inflight.h - the blocks that this step computes for somebody's prompt, by hash.
 *
 * A waiting sequence whose next block is in here had better wait for it than compute it again. Hashes are
 * not compared by content: a collision costs a wait of bounded length, nothing else. Only for this folder.
 *
 * Thread: the scheduler's.  Memory: one array in _init. */
#pragma once

#include "kv/hash.h"
#include "kv/prefix.h"

typedef struct sched_inflight_slot {
    krs_kv_hash hash;
    uint64_t step; /* whose plan put it here; older ones are empty */
} sched_inflight_slot;

typedef struct sched_inflight {
    sched_inflight_slot *slots; /* [n_slots] */
    uint32_t n_slots;           /* a power of two, at least twice what a step can hold */
    uint64_t step;
    uint32_t n; /* of this step */
} sched_inflight;

/* Room for max_blocks a step. Errors: KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_sched_inflight_init(sched_inflight *inflight, uint32_t max_blocks,
                                                const krs_alloc *alloc);
void krs_sched_inflight_deinit(sched_inflight *inflight, const krs_alloc *alloc);

/* A new step, steps count up from 1: empty. */
void krs_sched_inflight_clear(sched_inflight *inflight, uint64_t step);
void krs_sched_inflight_add(sched_inflight *inflight, krs_kv_hash hash);
bool krs_sched_inflight_has(const sched_inflight *inflight, krs_kv_hash hash);
