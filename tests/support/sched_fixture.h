/* tests/support/sched_fixture.h - a small house: pool, index, scheduler and sequences with their tokens; the
 * test plays the engine. Blocks of 4 tokens. */
#pragma once

#include "sched/sched.h"
#include "support/cmocka.h"

#include <stdlib.h>
#include <string.h>

#define MAX_SEQS   40
#define MAX_TOKENS 320

typedef struct fixture {
    krs_kv_pool *pool;
    krs_kv_state *states; /* NULL: the model has none */
    krs_kv_prefix *prefix;
    krs_sched *sched;
    krs_sched_seq seqs[MAX_SEQS];
    uint32_t tokens[MAX_SEQS][MAX_TOKENS];
} fixture;

/* n_states: slots of a model with state; 0: it has none. */
static inline fixture *fixture_with_states(uint32_t max_running, uint32_t max_step_tokens,
                                           uint32_t n_blocks, uint32_t n_states)
{
    fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    const krs_sched_limits limits = {.max_running = max_running,
                                     .max_waiting = MAX_SEQS,
                                     .max_parked = MAX_SEQS,
                                     .max_tenants = 4,
                                     .max_tenant_waiting = 38,
                                     .max_waiting_tokens = 100000,
                                     .max_step_tokens = max_step_tokens,
                                     .max_seq_tokens = n_blocks * 4 < 300 ? n_blocks * 4 : 300,
                                     .block_tokens = 4};
    if (n_states > 0) {
        assert_int_equal(krs_kv_state_new(n_states, NULL, &f->states, NULL), KRS_OK);
    }
    const krs_kv_prefix_options options = {.block_tokens = 4, .seed = 3, .states = f->states};
    assert_int_equal(krs_kv_pool_new(n_blocks, NULL, &f->pool, NULL), KRS_OK);
    assert_int_equal(krs_kv_prefix_new(f->pool, &options, NULL, &f->prefix, NULL), KRS_OK);
    assert_int_equal(krs_sched_new(&limits, f->pool, f->prefix, NULL, &f->sched, NULL), KRS_OK);
    if (f->states) {
        assert_int_equal(krs_sched_use_states(f->sched, f->states, NULL), KRS_OK);
    }
    for (uint32_t i = 0; i < MAX_SEQS; i++) {
        f->seqs[i] = (krs_sched_seq){.tokens = f->tokens[i],
                                     .credit = KRS_SCHED_UNLIMITED,
                                     .deadline_ns = UINT64_MAX,
                                     .priority = KRS_PRIORITY_NORMAL,
                                     .is_sampling = true};
    }
    return f;
}

static inline fixture *fixture_new(uint32_t max_running, uint32_t max_step_tokens,
                                   uint32_t n_blocks)
{
    return fixture_with_states(max_running, max_step_tokens, n_blocks, 0);
}

/* A prompt of n tokens that begins like all of its family. */
static inline void add(fixture *f, uint32_t i, uint32_t n, uint32_t family)
{
    f->seqs[i].n_tokens = n;
    for (uint32_t t = 0; t < n; t++) {
        f->tokens[i][t] = family * 1000 + t;
    }
    assert_int_equal(krs_sched_add(f->sched, &f->seqs[i], NULL), KRS_OK);
}

static inline void add_as(fixture *f, uint32_t i, uint32_t n, krs_priority priority)
{
    f->seqs[i].priority = priority;
    add(f, i, n, 100 + i);
}

static inline void fixture_free(fixture *f)
{
    for (uint32_t i = 0; i < MAX_SEQS; i++) {
        if (f->seqs[i].state != KRS_SCHED_OUT) {
            krs_sched_finish(f->sched, &f->seqs[i]);
        }
    }
    assert_int_equal(krs_kv_pool_n_free(f->pool), krs_kv_pool_n_blocks(f->pool));
    krs_kv_prefix_check(f->prefix);
    krs_sched_free(f->sched);
    krs_kv_prefix_free(f->prefix);
    krs_kv_state_free(f->states); /* aborts when a slot is held */
    krs_kv_pool_free(f->pool);
    free(f);
}

static inline krs_sched_step step(fixture *f)
{
    krs_sched_step plan;
    krs_sched_plan(f->sched, 0, &plan);
    for (uint32_t i = 0; i < plan.n_items; i++) {
        krs_sched_seq *seq = plan.items[i].seq;
        if (plan.items[i].is_last_known && seq->is_sampling) {
            f->tokens[seq - f->seqs][seq->n_tokens] = 7;
            krs_sched_append(f->sched, seq, 1);
        }
    }
    return plan;
}

/* Rows the plan gave to sequence i, 0 when none. */
static inline uint32_t rows_of(const fixture *f, const krs_sched_step *plan, uint32_t i)
{
    for (uint32_t k = 0; k < plan->n_items; k++) {
        if (plan->items[k].seq == &f->seqs[i]) {
            return plan->items[k].n_rows;
        }
    }
    return 0;
}
