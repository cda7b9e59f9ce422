/* sched/sched.h - the policy: queues and KV books in, the next step's plan out.
 *
 *            add                plan: admit                 finish, or plan: ended
 *   caller -------> WAITING ---------------> RUNNING -------------------------------> OUT
 *                      ^                        |
 *                      +------------------------+  plan: preempted (gives its blocks back, keeps its
 *                                                  place by arrival, is computed anew: same bytes)
 *
 * Rules, in the order a plan applies them:
 *  1. Cancelled and late sequences leave, wherever they are.
 *  2. Each running sequence with credit that lacks one token gets one row (decode), oldest first. When
 *     it needs a block and none is free, sequences are preempted: paused ones (no credit) first, then
 *     the youngest. So the oldest with credit always goes on, and work is never stuck.
 *  3. What is left of the token budget goes to prefill: running ones by arrival, then waiting ones are
 *     admitted by arrival while all their known tokens' blocks fit. A waiting sequence that does not
 *     fit is not overtaken (it would starve); one without credit is. Running ones without credit lose
 *     their place to waiting ones that could use it.
 *
 * Every bound is checked at add: what can never fit is refused there, so rule 2 always ends.
 *
 * Thread: one owner, the engine thread.  Memory: all in _new; sequences are linked in place, so a
 * plan allocates nothing.  Source: Yu et al. 2022, Orca (OSDI 22); Agrawal et al. 2024, Sarathi-Serve. */
#pragma once

#include "kv/table.h"

#define KRS_SCHED_UNLIMITED UINT32_MAX /* credit of a reader that never said how much it takes */

typedef struct krs_sched krs_sched;
typedef struct krs_sched_seq krs_sched_seq;

typedef struct krs_sched_limits {
    uint32_t max_running;        /* sequences in a step, >= 1 */
    uint32_t max_waiting;        /* sequences queued, >= 1 */
    uint64_t max_waiting_tokens; /* their prompts together; one request alone always passes */
    uint32_t max_step_tokens;    /* rows of a step, >= max_running so that no decode waits */
    uint32_t max_seq_tokens;     /* prompt and answer; its blocks must fit the pool */
    uint32_t block_tokens;       /* tokens of a KV block, >= 1 */
} krs_sched_limits;

typedef enum krs_sched_state {
    KRS_SCHED_OUT,
    KRS_SCHED_WAITING,
    KRS_SCHED_RUNNING,
} krs_sched_state;

/* One sequence. The caller owns the memory, zeroes it, sets the first group, and may change credit,
 * is_cancelled and deadline_ns between plans. The rest is the scheduler's. */
struct krs_sched_seq {
    uint32_t n_tokens; /* known: prompt, then prompt and answer; krs_sched_append counts up */
    uint32_t credit;   /* tokens its reader takes now; KRS_SCHED_UNLIMITED: all */
    bool is_cancelled;
    uint64_t deadline_ns; /* UINT64_MAX: none */

    krs_sched_state state;
    uint32_t n_computed; /* tokens whose keys and values are in the cache */
    uint32_t n_preempted;
    uint64_t arrival;
    krs_kv_table table;
    krs_status end; /* of an ended one: KRS_ECANCELLED, KRS_EDEADLINE */
    krs_sched_seq *prev;
    krs_sched_seq *next; /* in its queue; in krs_sched_plan_out.ended */
};

/* Rows n_past .. n_past + n_rows - 1 of a sequence. */
typedef struct krs_sched_item {
    krs_sched_seq *seq;
    uint32_t n_past;
    uint32_t n_rows;
    bool is_last_known; /* its last row is the last known token: sample after it */
} krs_sched_item;

typedef struct krs_sched_step {
    const krs_sched_item *items; /* [n_items], valid until the next plan */
    uint32_t n_items;
    uint32_t n_rows;
    uint32_t n_samples;   /* items with is_last_known */
    uint32_t n_preempted; /* by this plan */
    krs_sched_seq *ended; /* list through next: out of the queues, blocks given back */
} krs_sched_step;

/* pool: borrowed, outlives the scheduler, which is its only user.
 * Errors: KRS_EINVAL (a limit, named), KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_sched_new(const krs_sched_limits *limits, krs_kv_pool *pool,
                                      const krs_alloc *alloc, krs_sched **out, krs_error *err);
/* The queues must be empty. */
void krs_sched_free(krs_sched *sched);

/* Queue a sequence with its prompt; borrowed until it is ended or finished.
 * Errors: KRS_EINVAL (no tokens), KRS_ETOOLARGE (max_seq_tokens leaves no room for an answer),
 * KRS_EBUSY (the queue is full in sequences or tokens), KRS_ENOMEM (its block table). */
KRS_MUST_USE krs_status krs_sched_add(krs_sched *sched, krs_sched_seq *seq, const krs_alloc *alloc);

/* Decide the next step. Nothing to do is a step without rows. Items count as computed from now on: a
 * step that is planned is run. */
void krs_sched_plan(krs_sched *sched, uint64_t now_ns, krs_sched_step *out);

/* A token was sampled for seq (running, all computed): one more is known and one credit is used. */
void krs_sched_append(krs_sched *sched, krs_sched_seq *seq);

/* Take a waiting or running sequence out, giving its blocks back. */
void krs_sched_finish(krs_sched *sched, krs_sched_seq *seq);

/* The earliest deadline of all sequences, UINT64_MAX when there is none: when to plan again. */
uint64_t krs_sched_next_deadline(const krs_sched *sched);

uint32_t krs_sched_n_running(const krs_sched *sched);
uint32_t krs_sched_n_waiting(const krs_sched *sched);
