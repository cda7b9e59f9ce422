/* sched/sched_priv.h - the scheduler's own state, shared by its files:
 *
 *   sched.c    in and out: limits, add, append, credit, cancel, finish, numbers
 *   waiting.c  who waits: by class and age, by tenant and service; who is next
 *   place.c    places: admission, blocks, victims
 *   state.c    the slots of models with state: who holds which, what is kept
 *   plan.c     the rules in their order
 *   bound.c    the promises as numbers
 *
 * The running list is in order of arrival, so its first with credit is the oldest. A class's list is in
 * order of due_step. A tenant's queue is in order of arrival.
 *
 * Thread: one owner.  Memory: see sched.h. */
#pragma once

#include "sched/heap.h"
#include "sched/inflight.h"
#include "sched/sched.h"

/* A unit of service in a tenant's counter, divided by its weight: fine enough that rounding is below 0.1 %
 * at the highest weight, coarse enough for 2^48 tokens. */
#define SCHED_SERVICE_UNIT (UINT64_C(1) << 16)
#define SCHED_NO_TENANT    UINT32_MAX

typedef struct sched_list {
    krs_sched_seq *head;
    krs_sched_seq *tail;
    uint32_t n;
} sched_list;

typedef struct sched_tenant {
    uint64_t counter; /* service by weight, lifted when it comes back from idle */
    uint64_t service;
    uint64_t elder_service;
    uint32_t weight;
    uint32_t n_waiting;
    struct {
        krs_sched_seq *head;
        krs_sched_seq *tail;
        uint32_t n;  /* waiting; held ones are out of the queue for a plan, but counted */
        uint32_t at; /* place in the class's heap, or SCHED_NO_TENANT */
    } queues[KRS_SCHED_CLASSES];
} sched_tenant;

typedef struct sched_class {
    sched_list list; /* all that wait, by due_step */
    uint32_t *heap;  /* [n_heap] tenants with a queue, least served first */
    uint32_t n_heap;
    uint32_t last_tenant; /* whose queue became empty last */
} sched_class;

struct krs_sched {
    const krs_alloc *alloc;
    krs_sched_limits limits;
    krs_kv_pool *pool;
    krs_kv_prefix *prefix; /* or NULL */
    krs_kv_state *states;  /* or NULL: the model has none */

    uint32_t prompt_rows;        /* of a step with decodes, at most */
    uint32_t fewest_prompt_rows; /* it ever was */
    uint32_t plan_rows;          /* of this plan, but for whole sequences, at most */

    uint64_t step; /* plans so far */
    uint64_t next_arrival;
    uint64_t next_deadline_ns; /* of the earliest, or earlier */
    uint32_t n_cancelled;      /* in the house, to be ended by the next plan */
    uint32_t n_since_elder;    /* admissions while an elder waited and was not the one */
    krs_sched_stats stats;
    uint32_t n_running_of[KRS_SCHED_CLASSES];

    sched_list running;
    sched_list parked;  /* without credit */
    sched_list thawing; /* with a little, by due_step */
    sched_class classes[KRS_SCHED_CLASSES];
    sched_tenant *tenants; /* [limits.max_tenants] */
    krs_sched_seq *held;   /* by tenant_next: wait in this plan for another's blocks */
    uint32_t n_held;       /* so many */
    sched_inflight inflight;

    krs_sched_item *items; /* [limits.max_running], n_items of the last plan */
    uint32_t n_items;
    krs_sched_copy *copies;  /* [2 * limits.max_running]: one to go on from, one to keep */
    krs_sched_seq **decodes; /* [limits.max_running] */
    uint32_t n_decodes;
    sched_heap prompts; /* running, prompt not computed yet */
    sched_heap victims;
};

/* sched.c: lists through prev and next. */
void krs_sched_list_insert_after(sched_list *list, krs_sched_seq *before, krs_sched_seq *seq);
void krs_sched_list_append(sched_list *list, krs_sched_seq *seq);
void krs_sched_list_insert(sched_list *list, krs_sched_seq *seq); /* by arrival */
void krs_sched_list_remove(sched_list *list, krs_sched_seq *seq);

/* waiting.c */
uint64_t krs_sched_patience(krs_priority priority);
void krs_sched_enqueue(krs_sched *sched, krs_sched_seq *seq); /* becomes WAITING */
void krs_sched_dequeue(krs_sched *sched, krs_sched_seq *seq);
void krs_sched_hold(krs_sched *sched, krs_sched_seq *seq); /* not looked at again in this plan */
void krs_sched_end_holds(krs_sched *sched);
void krs_sched_charge(krs_sched *sched, const krs_sched_seq *seq, uint64_t cost);
void krs_sched_park(krs_sched *sched, krs_sched_seq *seq); /* becomes PARKED */
void krs_sched_unpark(krs_sched *sched, krs_sched_seq *seq);
/* Let those wait whose thaw is over, or whom nobody is in the way of. */
void krs_sched_thaw(krs_sched *sched);
/* The one whose patience ended first, NULL when nobody's has. */
krs_sched_seq *krs_sched_elder(const krs_sched *sched);
/* Is it the elder's turn? */
bool krs_sched_is_elder_turn(const krs_sched *sched);
/* Who is to be admitted next, NULL when nobody waits. */
krs_sched_seq *krs_sched_next(const krs_sched *sched);

/* state.c: nothing is done without states */
/* A slot for who starts behind `match`, whose hold ends; the caller has seen that one is free. */
void krs_sched_take_slot(krs_sched *sched, krs_sched_seq *seq, const krs_kv_match *match,
                         krs_sched_step *out);
/* Its place is given up: keep its state if it ends with a block, which is registered. */
void krs_sched_give_slot(krs_sched *sched, krs_sched_seq *seq);
/* Rows of a prompt, at most n, up to the next place where its state is wanted. */
uint32_t krs_sched_rows_to_checkpoint(const krs_sched *sched, const krs_sched_seq *seq, uint32_t n);
/* It is about to get rows: keep the state it has now, if it is wanted. */
void krs_sched_checkpoint(krs_sched *sched, krs_sched_seq *seq, krs_sched_step *out);

/* place.c */
typedef enum sched_admission {
    SCHED_ADMITTED,
    SCHED_HELD,    /* waits for blocks that are being computed */
    SCHED_BLOCKED, /* no place */
} sched_admission;

/* Register what is computed, give the blocks back, leave the running list. */
void krs_sched_leave_place(krs_sched *sched, krs_sched_seq *seq);
void krs_sched_extend(krs_sched *sched, krs_sched_seq *seq);
void krs_sched_preempt(krs_sched *sched, krs_sched_seq *seq, krs_sched_step *out);
/* Its known tokens reach beyond its blocks: true of a decode only. */
bool krs_sched_needs_block(const krs_sched *sched, const krs_sched_seq *seq);
/* Rule 2: the decodes need n_blocks more; preempt until they are free. */
void krs_sched_make_room(krs_sched *sched, uint32_t n_blocks, krs_sched_step *out);
/* Rule 3: let who is next take the place of lower priorities, before they have rows in the plan. */
void krs_sched_displace(krs_sched *sched, krs_sched_step *out);
sched_admission krs_sched_admit(krs_sched *sched, krs_sched_seq *seq, krs_sched_step *out);
