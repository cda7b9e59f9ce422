/* sched/heap.h - a binary heap of sequences by a fixed rank, lowest first.
 *
 * Built when it is needed, in an array the scheduler owns, and thrown away with the plan: choosing k of n
 * costs n + k log n, where sorting or searching again each time would not. Only for this folder.
 *
 * Thread: the owner's.  Memory: items[], the caller's. */
#pragma once

#include "sched/sched.h"

typedef struct sched_rank {
    uint64_t a; /* compared first */
    uint64_t b;
    krs_sched_seq *seq;
} sched_rank;

typedef struct sched_heap {
    sched_rank *items; /* [n], room for all running sequences */
    uint32_t n;
} sched_heap;

static inline bool krs_sched_rank_is_less(const sched_rank *x, const sched_rank *y)
{
    return x->a != y->a ? x->a < y->a : x->b < y->b;
}

static inline void krs_sched_heap_push(sched_heap *heap, sched_rank item)
{
    uint32_t i = heap->n++;
    while (i > 0 && krs_sched_rank_is_less(&item, &heap->items[(i - 1) / 2])) {
        heap->items[i] = heap->items[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    heap->items[i] = item;
}

/* n > 0. */
static inline krs_sched_seq *krs_sched_heap_pop(sched_heap *heap)
{
    krs_sched_seq *first = heap->items[0].seq;
    const sched_rank item = heap->items[--heap->n];
    uint32_t i = 0;
    for (uint32_t child = 1; child < heap->n; child = 2 * i + 1) {
        child += child + 1 < heap->n &&
                 krs_sched_rank_is_less(&heap->items[child + 1], &heap->items[child]);
        if (!krs_sched_rank_is_less(&heap->items[child], &item)) {
            break;
        }
        heap->items[i] = heap->items[child];
        i = child;
    }
    heap->items[i] = item;
    return first;
}
