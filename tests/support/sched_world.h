/* support/sched_world.h - a random world for the scheduler: its limits, its pool, and visitors with prompts.
 *
 * Everything is drawn from the seed, so a world is its number.
 *
 * Thread: one owner.  Memory: fixed, but for what the scheduler and the pool take. */
#pragma once

#include "sched/sched.h"
#include "support/oom.h"
#include "support/sched_device.h"

#define WORLD_SEQS   120
#define BLOCK_TOKENS SCHED_DEVICE_BLOCK_TOKENS
#define MAX_TOKENS   64
#define MAX_BLOCKS   SCHED_DEVICE_BLOCKS
#define FAMILIES     5 /* of prompts with a common beginning */
#define MAX_DRAFT    6 /* fit behind the longest sequence */

typedef struct visitor {
    krs_sched_seq seq; /* first */
    uint32_t tokens[MAX_TOKENS];
    uint64_t arrives;
    uint32_t n_answer; /* tokens it wants */
    uint32_t n_got;
    uint32_t expected; /* next position to be computed */
    uint32_t seen_preempted;
    uint64_t last_step; /* waiting longer than this breaks the promise */
    bool is_slow;       /* grants credit now and then */
    bool is_added;
    bool is_done;
    bool is_due; /* must be in this plan, or lose its place */
} visitor;

typedef struct world {
    uint64_t seed;
    uint64_t now;
    uint64_t step;
    krs_sched_limits limits;
    uint32_t prompt_rows; /* granted beside decodes */
    krs_oom oom;          /* counts */
    krs_kv_pool *pool;
    krs_kv_prefix *prefix;
    krs_sched *sched;
    visitor visitors[WORLD_SEQS];
    krs_kv_state *states; /* of every other world */
    uint32_t holders[MAX_BLOCKS];
    sched_device device;
} world;

static inline uint64_t draw(world *w, uint64_t n)
{
    w->seed ^= w->seed << 13;
    w->seed ^= w->seed >> 7;
    w->seed ^= w->seed << 17;
    return (w->seed >> 11) % n;
}

/* Greedy decoding: equal prompts give equal answers, so that a retry can find its own. */
static inline uint32_t token_after(const visitor *v, uint32_t n_tokens)
{
    return (uint32_t)(sched_device_after(&v->seq, n_tokens - 1) >> 7) % 7;
}

/* Somebody guesses what comes, sometimes right, or knows it. */
static inline void propose(world *w, visitor *v)
{
    v->seq.n_draft = (uint32_t)draw(w, MAX_DRAFT + 1);
    v->seq.is_draft_sure = draw(w, 3) == 0;
    for (uint32_t i = 0; i < v->seq.n_draft; i++) {
        const uint32_t at = v->seq.n_tokens + i;
        v->tokens[at] = token_after(v, at) + (!v->seq.is_draft_sure && draw(w, 4) == 0);
    }
}

static inline void write_prompt(world *w, visitor *v)
{
    const uint64_t family = draw(w, FAMILIES);
    const uint32_t n_common = (uint32_t)draw(w, v->seq.n_tokens + 1);
    for (uint32_t i = 0; i < v->seq.n_tokens; i++) {
        v->tokens[i] = (uint32_t)(i < n_common ? family * 1000 + i : draw(w, 3));
    }
    v->seq.tokens = v->tokens;
}

static inline void make_visitor(world *w, visitor *v, uint64_t arrives)
{
    v->arrives = arrives;
    v->seq.n_tokens = 1 + (uint32_t)draw(w, w->limits.max_seq_tokens - 1);
    v->seq.is_sampling = draw(w, 8) != 0;
    v->seq.wants_all = !v->seq.is_sampling && draw(w, 2);
    v->seq.priority = (krs_priority)draw(w, KRS_SCHED_CLASSES);
    v->seq.tenant = (uint32_t)draw(w, w->limits.max_tenants);
    v->seq.cache_salt = draw(w, 4) == 0;
    v->n_answer = 1 + (uint32_t)draw(w, w->limits.max_seq_tokens - v->seq.n_tokens);
    v->is_slow = draw(w, 4) == 0;
    v->seq.credit = v->is_slow ? (uint32_t)draw(w, 3) : KRS_SCHED_UNLIMITED;
    v->seq.deadline_ns = draw(w, 6) == 0 ? arrives + draw(w, 300) : UINT64_MAX;
    write_prompt(w, v);
    v->last_step = UINT64_MAX;
}

static inline void world_init(world *w, uint64_t seed)
{
    memset(w, 0, sizeof(*w));
    sched_device_init(&w->device, seed % 2);
    w->seed = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    krs_oom_init(&w->oom, 0);
    w->prompt_rows = UINT32_MAX;
    const uint32_t max_running = 1 + (uint32_t)draw(w, 6);
    w->limits = (krs_sched_limits){.max_running = max_running,
                                   .max_waiting = 1 + (uint32_t)draw(w, 20),
                                   .max_parked = (uint32_t)draw(w, 10),
                                   .max_tenants = 1 + (uint32_t)draw(w, 5),
                                   .max_tenant_waiting = (uint32_t)draw(w, 12),
                                   .max_waiting_tokens = 50 + draw(w, 500),
                                   .max_step_tokens = max_running + (uint32_t)draw(w, 40),
                                   .max_seq_tokens = 8 + (uint32_t)draw(w, 50),
                                   .block_tokens = BLOCK_TOKENS,
                                   .max_draft_rows = (uint32_t)draw(w, 16)};
    const uint32_t least = krs_kv_blocks_for(w->limits.max_seq_tokens, BLOCK_TOKENS);
    const uint32_t n_blocks = least + (uint32_t)draw(w, 3 * least);
    if (seed % 2) {
        const uint32_t n_slots = max_running + 1 + (uint32_t)draw(w, 12);
        assert_int_equal(krs_kv_state_new(n_slots, NULL, &w->states, NULL), KRS_OK);
    }
    const krs_kv_prefix_options options = {
        .block_tokens = BLOCK_TOKENS, .seed = seed, .states = w->states};
    assert_in_range(n_blocks, 1, MAX_BLOCKS);
    assert_int_equal(krs_kv_pool_new(n_blocks, NULL, &w->pool, NULL), KRS_OK);
    if (draw(w, 8) > 0) {
        assert_int_equal(krs_kv_prefix_new(w->pool, &options, NULL, &w->prefix, NULL), KRS_OK);
    }
    const krs_status status =
        krs_sched_new(&w->limits, w->pool, w->prefix, krs_oom_alloc(&w->oom), &w->sched, NULL);
    assert_int_equal(status, KRS_OK);
    if (w->states) {
        assert_int_equal(krs_sched_use_states(w->sched, w->states, NULL), KRS_OK);
    }
    for (uint32_t i = 0; i < w->limits.max_tenants; i++) {
        const uint32_t weight = 1 + (uint32_t)draw(w, 4);
        assert_int_equal(krs_sched_set_weight(w->sched, i, weight), KRS_OK);
    }
    uint64_t t = 0;
    for (uint32_t i = 0; i < WORLD_SEQS; i++) {
        t += draw(w, 12);
        make_visitor(w, &w->visitors[i], t);
    }
}
