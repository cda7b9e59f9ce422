/* sched/sched_priv.h - the scheduler's own state, shared by sched.c (queues) and plan.c (policy).
 *
 * Both queues are kept in order of arrival, so "oldest" is the head and "youngest" the tail.
 *
 * Thread: one owner.  Memory: see sched.h. */
#pragma once

#include "sched/sched.h"

typedef struct sched_queue {
    krs_sched_seq *head;
    krs_sched_seq *tail;
    uint32_t n;
} sched_queue;

struct krs_sched {
    const krs_alloc *alloc;
    krs_sched_limits limits;
    krs_kv_pool *pool;
    sched_queue running;
    sched_queue waiting;
    uint64_t waiting_tokens;
    uint64_t next_arrival;
    krs_sched_item items[]; /* [limits.max_running] */
};

/* Insert by arrival, searching from the tail, where new ones belong. */
void krs_sched_queue_insert(sched_queue *queue, krs_sched_seq *seq);
void krs_sched_queue_remove(sched_queue *queue, krs_sched_seq *seq);

/* Move a running sequence back to the waiting queue, blocks given back. */
void krs_sched_preempt(krs_sched *sched, krs_sched_seq *seq);
