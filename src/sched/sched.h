/* sched/sched.h - the policy: queues and KV books in, the next step's plan out.
 *
 *            add                plan: admit                 finish, or plan: ended
 *   caller -------> WAITING ---------------> RUNNING -------------------------------> OUT
 *                    ^  ^                       |
 *                    |  +-----------------------+  plan: preempted (gives its blocks back, keeps its
 *         set_credit |                          |  place by arrival, is computed anew: same bytes)
 *                  PARKED <---------------------+  plan: preempted without credit
 *
 * Rules, in the order a plan applies them:
 *  1. Cancelled and late sequences leave, wherever they are. Their computed blocks stay cached.
 *  2. Every running sequence with credit that lacks one token gets one row (decode). When blocks run out,
 *     victims give theirs back first: without credit before with, those just back from a preemption last,
 *     lower priority before higher, then who loses the fewest tokens that nobody else holds, then the
 *     youngest. The oldest running sequence with credit is never a victim, so work is never stuck.
 *  3. What is left of the budget goes to prompts by priority: at equal priority those begun, oldest first,
 *     then waiting ones, first of the tenant that has had the least service. A waiting sequence starts
 *     behind what is cached of its prompt, when all its known tokens' blocks fit. One that does not fit is
 *     not overtaken by another that waits; it may take the place of sequences without credit, and of
 *     running ones of a lower priority that have had KRS_SCHED_QUANTUM_TOKENS new tokens since they were
 *     admitted. Beside decodes prompts get no more than the rows that krs_sched_set_prompt_rows grants, for
 *     those who read their answers wait for the whole step.
 *  4. Elders: of the sequences that have waited longer than their class's patience, the one whose patience
 *     ended first gets at least every KRS_SCHED_ELDER_TURN-th admission, whatever its priority or tenant.
 *  5. A waiting sequence whose next block is being computed in this step for another waits for it, but no
 *     longer than its patience: a prompt asked for n times is computed once.
 *
 *  6. A whole sequence gets all its rows in one step or none: while it is next and the rest of the budget is
 *     too small, nobody who waits overtakes it, so the next step is its.
 *  7. Last of all, proposed tokens of decodes get rows (krs_sched_seq.n_draft): what is left of
 *     max_draft_rows when everybody else has theirs, in even shares; before guesses those that are sure, out of
 *     what prompts have left, for a row now is a row less later. They take a block only when one stays free for
 *     each running sequence, and their tenant is charged for those that are accepted.
 *
 * Fairness: service is counted per tenant in tokens by weight (a prompt's token KRS_SCHED_PREFILL_COST, an
 * answer's KRS_SCHED_DECODE_COST; cached and replayed ones are free); a tenant that comes back from idle is
 * lifted to the least served that waits, so idle time earns nothing. While two tenants both have work of one
 * class waiting, neither gets more service / weight than the other by more than krs_sched_fair_bound, and
 * what elders' turns gave it (rule 4), and what the other left while it waited for blocks (rule 5).
 *
 * No starvation: krs_sched_wait_bound says after how many plans at most a sequence gets its next row.
 *
 * Models with state (krs_sched_use_states): a running sequence holds a slot, and its steps carry copies. Its
 * state is kept where another can go on from: at the last block of its prompt (a chunk ends there), where
 * its prompt left one whose blocks are cached but had no checkpoint, and behind the last block it filled.
 *
 * Thread: one owner, the engine thread.  Memory: all in _new; sequences are linked in place, so a
 * plan allocates nothing.  Source: Yu et al. 2022, Orca (OSDI 22); Agrawal et al. 2024, Sarathi-Serve;
 * Sheng et al. 2024, Fairness in Serving Large Language Models (OSDI 24). */
#pragma once

#include "api/generate.h"
#include "kv/prefix.h"
#include "kv/table.h"

#define KRS_SCHED_UNLIMITED       UINT32_MAX /* credit of a reader that never said how much it takes */
#define KRS_SCHED_CLASSES         3u         /* krs_priority */
#define KRS_SCHED_PREFILL_COST    1u /* as Sheng et al. weigh them: a decoded row reads all */
#define KRS_SCHED_DECODE_COST     2u /* weights alone, a prompt's rows share the reading */
#define KRS_SCHED_MAX_WEIGHT      1000u
#define KRS_SCHED_QUANTUM_TOKENS  32u /* new tokens of a place before priority may take it away */
#define KRS_SCHED_ELDER_TURN      16u /* elders' share of admissions: what they may tilt */
#define KRS_SCHED_PATIENCE_URGENT 32u /* plans; at 50 ms a step 1.6 s */
#define KRS_SCHED_PATIENCE_NORMAL 128u
#define KRS_SCHED_PATIENCE_BACK   512u
#define KRS_SCHED_THAW_CREDIT     16u /* tokens of a parked reader's credit worth a block's rows */
#define KRS_SCHED_THAW_PLANS      32u /* plans after which any credit is */
#define KRS_SCHED_MIN_PROMPT_ROWS 32u /* beside decodes: fewer would read all weights for little */
#define KRS_SCHED_MAX_HELD        32u /* sequences rule 5 makes wait in a plan: bounds its cost */

typedef struct krs_sched krs_sched;
typedef struct krs_sched_seq krs_sched_seq;

typedef struct krs_sched_limits {
    uint32_t max_running;        /* sequences in a step, >= 1 */
    uint32_t max_waiting;        /* sequences queued, >= 1 */
    uint32_t max_parked;         /* further sequences in the house: readers that take nothing */
    uint32_t max_tenants;        /* tenant numbers are below it; 0: 1 */
    uint32_t max_tenant_waiting; /* of max_waiting for one tenant; 0: all */
    uint64_t max_waiting_tokens; /* their prompts together; one request alone always passes */
    uint32_t max_step_tokens;    /* rows of a step, >= max_running so that no decode waits */
    uint32_t max_seq_tokens;     /* prompt and answer; its blocks must fit the pool */
    uint32_t block_tokens;       /* tokens of a KV block, >= 1 */
    uint32_t max_draft_rows; /* rows of a step beyond which no proposal gets one; 0: none does */
} krs_sched_limits;

typedef enum krs_sched_state {
    KRS_SCHED_OUT,
    KRS_SCHED_WAITING,
    KRS_SCHED_RUNNING,
    KRS_SCHED_PARKED, /* without blocks; without credit, or with little since a moment ago */
} krs_sched_state;

/* One sequence. The caller owns the memory, zeroes it, and sets the first group before add; from then on
 * it is read only, but for krs_sched_append, _set_credit and _cancel, and n_draft with is_draft_sure, which may be
 * set between plans. The rest is the scheduler's. */
struct krs_sched_seq {
    const uint32_t
        *tokens; /* [n_tokens], stays put while tokens are appended; NULL: nothing is shared */
    uint32_t n_tokens;    /* known: prompt, then prompt and answer; krs_sched_append counts up */
    uint32_t credit;      /* tokens its reader takes now; KRS_SCHED_UNLIMITED: all */
    uint64_t deadline_ns; /* UINT64_MAX: none */
    uint64_t cache_salt;  /* blocks are shared only under the same salt */
    krs_priority priority;
    uint32_t tenant;
    bool is_sampling; /* false: it ends when all its tokens are computed (an embedding) */
    bool wants_all; /* the result of every row is wanted, so no cached block may stand in for one */
    bool is_whole;  /* all its rows in one step (an encoder's text): not sampling, tokens NULL */
    bool is_cancelled; /* krs_sched_cancel */
    /* Rows wanted for tokens proposed behind the known ones; 0 again after an append, and without a place. */
    uint32_t n_draft;
    bool is_draft_sure; /* all of them will be accepted, and only the last one's result is wanted */

    krs_sched_state state;
    uint32_t n_computed; /* tokens whose keys and values are in the cache */
    uint32_t n_cached;   /* of them, found there when it was first admitted */
    uint32_t n_preempted;
    krs_cache_end cache_end; /* why not more; valid once it has run */
    krs_status end;          /* of an ended one: KRS_ECANCELLED, KRS_EDEADLINE */
    krs_kv_table table;
    krs_kv_chain
        chain;     /* how far its blocks are registered; waiting: how far it has been looked up */
    uint32_t slot; /* running, of a model with state: where its state is */
    uint32_t next_checkpoint; /* tokens after which its state is kept; 0: nowhere in the prompt */
    uint32_t trail_slot;      /* its checkpoint behind the last block, or KRS_KV_NO_STATE */
    krs_kv_block trail_block;
    uint64_t arrival;
    uint64_t due_step;          /* waiting: when its patience ends; counted in plans */
    uint64_t last_row_step;     /* running: the last plan that gave it a row */
    uint32_t n_charged;         /* tokens its tenant has been charged for, or that were cached */
    uint32_t quantum_end;       /* running: tokens from which on priority may take its place */
    bool is_elder;              /* running: by an elder's turn */
    krs_sched_seq *prev;        /* in the list of its state */
    krs_sched_seq *next;        /* there; in krs_sched_step.ended */
    krs_sched_seq *tenant_prev; /* waiting: in its tenant's queue */
    krs_sched_seq *tenant_next;
};

/* Rows n_past .. n_past + n_rows - 1 of a sequence. */
typedef struct krs_sched_item {
    krs_sched_seq *seq;
    uint32_t n_past;
    uint32_t n_rows;
    uint32_t n_wanted;  /* the last so many rows' results are wanted: all, the last, or none */
    uint32_t n_draft;   /* the last so many rows are proposed tokens */
    bool is_last_known; /* the row before those is the last known token: sample after it, or end */
} krs_sched_item;

/* States move before the step's rows, in list order. */
typedef struct krs_sched_copy {
    uint32_t from;
    uint32_t to;
} krs_sched_copy;

typedef struct krs_sched_step {
    const krs_sched_item *items; /* [n_items], valid until the next plan */
    uint32_t n_items;
    uint32_t n_rows;
    uint32_t n_prompt_rows; /* of them, prompts' */
    uint32_t n_drafts;      /* of them, proposed tokens */
    uint32_t n_wanted;      /* of all items */
    uint32_t n_samples;     /* items with is_last_known of sequences that sample */
    uint32_t n_preempted;   /* by this plan */
    krs_sched_seq *ended;   /* list through next: out of the queues, blocks given back */
    const krs_sched_copy
        *copies; /* [n_copies], valid until the next plan; see krs_sched_use_states */
    uint32_t n_copies;
} krs_sched_step;

typedef struct krs_sched_stats {
    uint32_t n_running;
    uint32_t n_paused; /* running, without credit */
    uint32_t n_waiting;
    uint32_t n_parked;
    uint64_t n_waiting_tokens;
    uint64_t n_admitted;     /* so far, with those that were admitted again */
    uint64_t n_asked_tokens; /* known when admitted */
    uint64_t n_found_tokens; /* of them, found in the cache */
} krs_sched_stats;

/* pool: borrowed, outlives the scheduler, which is its only user. prefix: borrowed, over the same pool;
 * NULL: no block is shared. Errors: KRS_EINVAL (a limit, named), KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_sched_new(const krs_sched_limits *limits, krs_kv_pool *pool,
                                      krs_kv_prefix *prefix, const krs_alloc *alloc,
                                      krs_sched **out, krs_error *err);
/* The house must be empty. */
void krs_sched_free(krs_sched *sched);

/* The model has a state beside its cache. Called once, before any sequence is added; states: borrowed, with more
 * than max_running slots, and the same that prefix has, if there is one. Errors: KRS_EINVAL (too few
 * slots). */
KRS_MUST_USE krs_status krs_sched_use_states(krs_sched *sched, krs_kv_state *states,
                                             krs_error *err);

/* What a tenant's service is divided by, 1 .. KRS_SCHED_MAX_WEIGHT; 1 unless set.
 * Errors: KRS_EINVAL (no such tenant, out of range). */
KRS_MUST_USE krs_status krs_sched_set_weight(krs_sched *sched, uint32_t tenant, uint32_t weight);

/* Queue a sequence with its prompt; borrowed until it is ended or finished.
 * Errors: KRS_EINVAL (no tokens, no such tenant), KRS_ETOOLARGE (max_seq_tokens leaves no room for an
 * answer, or a whole one is more than a step), KRS_EBUSY (a queue is full in sequences or tokens), KRS_ENOMEM (its block table). */
KRS_MUST_USE krs_status krs_sched_add(krs_sched *sched, krs_sched_seq *seq, const krs_alloc *alloc);

/* The reader takes so many tokens more from now on (not: in addition). One that had lost its place for want
 * of credit waits again when it takes KRS_SCHED_THAW_CREDIT, or any for KRS_SCHED_THAW_PLANS, or nobody is
 * in its way: what a reader takes by single tokens must not cost its neighbours a block each. */
void krs_sched_set_credit(krs_sched *sched, krs_sched_seq *seq, uint32_t credit);

/* End it with the next plan. OUT sequences are ignored; a second call is nothing. */
void krs_sched_cancel(krs_sched *sched, krs_sched_seq *seq);

/* From the next plan on prompts get at most n_rows (raised to KRS_SCHED_MIN_PROMPT_ROWS) in a step that has
 * decodes; a whole sequence gets all of its rows. At first there is no such limit. */
void krs_sched_set_prompt_rows(krs_sched *sched, uint32_t n_rows);

/* Decide the next step. Nothing to do is a step without rows. Items count as computed from now on: a
 * step that is planned is run, or krs_sched_revert is called, before any other call. */
void krs_sched_plan(krs_sched *sched, uint64_t now_ns, krs_sched_step *out);

/* The step just planned was not run (the device failed): its items are as before. */
void krs_sched_revert(krs_sched *sched);

/* n_tokens were sampled for seq (running, all computed) and written behind its known ones: the first after
 * its last known row, each other after the row of the proposed token it confirmed, so at most one more
 * than the step had of those. So many are known and so many credits used; the rows of other proposals
 * count as never computed, and what they left in the cache is overwritten before it is read or shared. */
void krs_sched_append(krs_sched *sched, krs_sched_seq *seq, uint32_t n_tokens);

/* Take a sequence out, giving its blocks back; what is computed stays cached for who comes with the same
 * tokens. */
void krs_sched_finish(krs_sched *sched, krs_sched_seq *seq);

/* No later than the earliest deadline of all sequences, UINT64_MAX when there is none: when to plan again
 * though nothing happened. A plan at that time makes it exact. */
uint64_t krs_sched_next_deadline(const krs_sched *sched);

/* After how many plans at most does seq get its next row, if it keeps its credit? With
 *   R, B, L, N  sequences and rows of a step, longest sequence, sequences in the house
 *   Q           B - R + 1, or the fewest rows ever granted to prompts beside decodes when those are fewer
 *   k           sequences that fit the pool at full length, at most R; never less than 1
 *   A           others whose patience ends no later: counted, or N - 1 while its own has not ended
 *   P           plans until its own patience ends
 * a waiting one:   P + (R + KRS_SCHED_ELDER_TURN * (A + 1)) * (ceil(L / min(k, Q)) + 1) + 1
 * a parked one: as one that begins to wait, after the rest of KRS_SCHED_THAW_PLANS
 * a running one in its prompt: patience of its class + R; one that decodes: 1 (a victim starts anew).
 * UINT64_MAX for one without credit. Cost: O(waiting). */
uint64_t krs_sched_wait_bound(const krs_sched *sched, const krs_sched_seq *seq);

/* Service of a tenant so far: tokens by cost, not divided by its weight. */
uint64_t krs_sched_tenant_service(const krs_sched *sched, uint32_t tenant);
/* Of that, what elders' turns gave it. */
uint64_t krs_sched_tenant_elder_service(const krs_sched *sched, uint32_t tenant);

/* The bound of the fairness rule, in units of service per weight:
 *   2 * max(KRS_SCHED_PREFILL_COST * L, KRS_SCHED_DECODE_COST * R * L). */
uint64_t krs_sched_fair_bound(const krs_sched_limits *limits);

krs_sched_stats krs_sched_stats_of(const krs_sched *sched);
uint32_t krs_sched_n_running(const krs_sched *sched);
uint32_t krs_sched_n_waiting(const krs_sched *sched);
