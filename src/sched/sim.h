/* sched/sim.h - the scheduler under virtual time: a recorded or invented trace in, latencies and shares out.
 *
 * The scheduler and the KV books are the real ones; only the device is a formula: a step takes a base (the
 * weights are read once, whatever the batch), so much a row, and so much a token of context that a row
 * attends to. Nothing waits, so an hour of traffic takes seconds, and two policies can be compared on the
 * same trace before either meets a client. bench/bench_sched prints what it finds.
 *
 * Tokens are invented, too: the first prefix_tokens of a prompt depend on prefix_id and place only, so that
 * prompts with one prefix_id share their beginning; the rest is each request's own.
 *
 * Thread: one owner.  Memory: all requests' tokens live while they are in the house. */
#pragma once

#include "sched/sched.h"

#define KRS_SIM_MAX_REQUESTS (1u << 22)
#define KRS_SIM_NEVER        UINT64_MAX

/* One line of a trace. Times from the start of the trace. */
typedef struct krs_sim_request {
    uint64_t arrival_ns;
    uint64_t cancel_ns;   /* KRS_SIM_NEVER */
    uint64_t deadline_ns; /* KRS_SIM_NEVER */
    uint64_t read_ns;     /* its reader takes a token each so often; 0: at once */
    uint32_t prompt_tokens;
    uint32_t answer_tokens; /* 0: an embedding */
    uint32_t tenant;
    krs_priority priority;
    uint32_t prefix_id;
    uint32_t prefix_tokens; /* at most prompt_tokens */
} krs_sim_request;

/* What became of it. */
typedef struct krs_sim_result {
    krs_status end;    /* KRS_OK, KRS_ECANCELLED, KRS_EDEADLINE, or what add refused it with */
    uint64_t first_ns; /* its first token came; KRS_SIM_NEVER */
    uint64_t end_ns;
    uint32_t n_answer;
    uint32_t n_cached;
    uint32_t n_preempted;
} krs_sim_result;

/* What a step costs. */
typedef struct krs_sim_cost {
    uint64_t base_ns;
    uint64_t row_ns;
    uint64_t context_ps; /* picoseconds a row and token it attends to */
} krs_sim_cost;

typedef struct krs_sim_options {
    krs_sched_limits limits;
    uint32_t n_blocks;
    bool has_prefix_cache;
    krs_sim_cost cost;
} krs_sim_options;

typedef struct krs_sim_totals {
    uint64_t n_steps;
    uint64_t n_rows;
    uint64_t n_answer; /* tokens */
    uint64_t n_preempted;
    uint64_t busy_ns; /* in steps */
    uint64_t end_ns;
    krs_sched_stats sched;
    krs_kv_prefix_stats prefix;
} krs_sim_totals;

typedef struct krs_sim krs_sim;

/* requests: [n] in order of arrival, borrowed. Errors: KRS_EINVAL (no request or too many, out of order, a
 * prefix longer than its prompt; limits: as krs_sched_new), KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_sim_new(const krs_sim_options *options, const krs_sim_request *requests,
                                    uint32_t n, const krs_alloc *alloc, krs_sim **out,
                                    krs_error *err);
/* Whoever is in the house is thrown out. */
void krs_sim_free(krs_sim *sim);

/* One plan, run, and the time it takes; without work, on to the next arrival. False when all is over.
 * Errors: KRS_ENOMEM (a request's tokens). */
KRS_MUST_USE krs_status krs_sim_step(krs_sim *sim, bool *is_over, krs_error *err);

/* [n] of the requests that are over. Valid until free. */
const krs_sim_result *krs_sim_results(const krs_sim *sim);
krs_sim_totals krs_sim_totals_of(const krs_sim *sim);
uint64_t krs_sim_now_ns(const krs_sim *sim);
/* The scheduler, to look at between steps. */
const krs_sched *krs_sim_sched(const krs_sim *sim);
