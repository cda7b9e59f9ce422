/* tests/prop/test_sched.c - the scheduler in a random world under virtual time: requests come, read at
 * their own pace, give up, run late. Whatever happens, in every step:
 *
 *   - no bound is passed (rows, sequences, blocks) and no block belongs to two sequences;
 *   - rows of a sequence follow each other without gap or overlap since its last preemption;
 *   - a cancelled or late sequence is gone with the next plan;
 *   - work is never stuck: with anything that could run, some row runs;
 *   - and at the end everybody has had an answer or an end, and every block is free.
 *
 * The seed is printed; KRS_PROP_SEED runs another world. */
#include "sched/sched.h"
#include "support/cmocka.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORLDS       60
#define WORLD_SEQS   120
#define BLOCK_TOKENS 4
#define MAX_STEPS    200000 /* a world that needs more is stuck */

typedef struct visitor {
    krs_sched_seq seq; /* first */
    uint64_t arrives;
    uint32_t n_answer; /* tokens it wants */
    uint32_t n_got;
    uint32_t expected; /* next position to be computed */
    uint32_t seen_preempted;
    bool is_slow; /* grants credit now and then */
    bool is_added;
    bool is_done;
} visitor;

typedef struct world {
    uint64_t seed;
    uint64_t now;
    krs_sched_limits limits;
    krs_kv_pool *pool;
    krs_sched *sched;
    visitor visitors[WORLD_SEQS];
    uint32_t *owner; /* [n_blocks], 1 + visitor or 0 */
} world;

static uint64_t draw(world *w, uint64_t n)
{
    w->seed ^= w->seed << 13;
    w->seed ^= w->seed >> 7;
    w->seed ^= w->seed << 17;
    return (w->seed >> 11) % n;
}

static void world_init(world *w, uint64_t seed)
{
    memset(w, 0, sizeof(*w));
    w->seed = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    const uint32_t max_running = 1 + (uint32_t)draw(w, 6);
    w->limits = (krs_sched_limits){.max_running = max_running,
                                   .max_waiting = 1 + (uint32_t)draw(w, 20),
                                   .max_waiting_tokens = 50 + draw(w, 500),
                                   .max_step_tokens = max_running + (uint32_t)draw(w, 40),
                                   .max_seq_tokens = 8 + (uint32_t)draw(w, 50),
                                   .block_tokens = BLOCK_TOKENS};
    const uint32_t least = krs_kv_blocks_for(w->limits.max_seq_tokens, BLOCK_TOKENS);
    const uint32_t n_blocks = least + (uint32_t)draw(w, 2 * least);
    assert_int_equal(krs_kv_pool_new(n_blocks, NULL, &w->pool, NULL), KRS_OK);
    assert_int_equal(krs_sched_new(&w->limits, w->pool, NULL, NULL, &w->sched, NULL), KRS_OK);
    w->owner = calloc(n_blocks, sizeof(*w->owner));
    assert_non_null(w->owner);
    uint64_t t = 0;
    for (uint32_t i = 0; i < WORLD_SEQS; i++) {
        visitor *v = &w->visitors[i];
        t += draw(w, 12);
        v->arrives = t;
        v->seq.n_tokens = 1 + (uint32_t)draw(w, w->limits.max_seq_tokens - 1);
        v->n_answer = 1 + (uint32_t)draw(w, w->limits.max_seq_tokens - v->seq.n_tokens);
        v->is_slow = draw(w, 4) == 0;
        v->seq.is_sampling = true;
        v->seq.credit = v->is_slow ? (uint32_t)draw(w, 3) : KRS_SCHED_UNLIMITED;
        v->seq.deadline_ns = draw(w, 6) == 0 ? t + draw(w, 300) : UINT64_MAX;
    }
}

static void let_visitors_act(world *w)
{
    for (uint32_t i = 0; i < WORLD_SEQS; i++) {
        visitor *v = &w->visitors[i];
        if (!v->is_added && v->arrives <= w->now) {
            const krs_status status = krs_sched_add(w->sched, &v->seq, NULL);
            assert_true(status == KRS_OK || status == KRS_EBUSY);
            if (status == KRS_OK) {
                v->is_added = true;
            } else {
                v->arrives = w->now + 1 + draw(w, 10); /* tries again, as clients do */
            }
        }
        if (v->is_added && !v->is_done) {
            if (v->is_slow && draw(w, 5) == 0) {
                krs_sched_set_credit(w->sched, &v->seq, v->seq.credit + (uint32_t)draw(w, 4));
            }
            if (draw(w, 400) == 0) {
                krs_sched_cancel(w->sched, &v->seq);
            }
        }
    }
}

static void check_ended(world *w, const krs_sched_step *plan)
{
    for (krs_sched_seq *seq = plan->ended; seq; seq = seq->next) {
        visitor *v = (visitor *)seq;
        assert_false(v->is_done);
        assert_true(seq->is_cancelled || seq->deadline_ns <= w->now);
        assert_int_equal(seq->end, seq->is_cancelled ? KRS_ECANCELLED : KRS_EDEADLINE);
        v->is_done = true;
    }
    for (uint32_t i = 0; i < WORLD_SEQS; i++) {
        const visitor *v = &w->visitors[i];
        if (v->is_added && !v->is_done) {
            assert_false(v->seq.is_cancelled || v->seq.deadline_ns <= w->now);
        }
    }
}

static void check_blocks(world *w)
{
    const uint32_t n_blocks = krs_kv_pool_n_blocks(w->pool);
    memset(w->owner, 0, n_blocks * sizeof(*w->owner));
    uint32_t n_held = 0;
    for (uint32_t i = 0; i < WORLD_SEQS; i++) {
        const krs_sched_seq *seq = &w->visitors[i].seq;
        if (seq->state != KRS_SCHED_RUNNING) {
            continue;
        }
        assert_true(seq->table.n_blocks * BLOCK_TOKENS >= seq->n_computed);
        for (uint32_t b = 0; b < seq->table.n_blocks; b++) {
            assert_int_equal(w->owner[seq->table.blocks[b]], 0);
            w->owner[seq->table.blocks[b]] = i + 1;
            n_held++;
        }
    }
    assert_int_equal(n_held + krs_kv_pool_n_free(w->pool), n_blocks);
}

static void run_item(world *w, const krs_sched_item *item)
{
    visitor *v = (visitor *)item->seq;
    if (v->seen_preempted != item->seq->n_preempted) {
        v->seen_preempted = item->seq->n_preempted;
        v->expected = 0;
    }
    assert_int_equal(item->n_past, v->expected);
    assert_true(item->n_rows > 0);
    v->expected += item->n_rows;
    assert_int_equal(item->is_last_known, v->expected == item->seq->n_tokens);
    if (!item->is_last_known) {
        return;
    }
    v->n_got++;
    if (v->n_got == v->n_answer) {
        krs_sched_finish(w->sched, item->seq);
        v->is_done = true;
    } else {
        krs_sched_append(w->sched, item->seq);
    }
}

static bool somebody_could_run(const world *w)
{
    for (uint32_t i = 0; i < WORLD_SEQS; i++) {
        const visitor *v = &w->visitors[i];
        if (v->is_added && !v->is_done && v->seq.credit > 0) {
            return true;
        }
    }
    return false;
}

/* The oldest with credit among the running must be in every plan that has room for prefill. */
static void run_step(world *w)
{
    krs_sched_step plan;
    krs_sched_plan(w->sched, w->now, &plan);
    check_ended(w, &plan);
    check_blocks(w);
    assert_true(plan.n_rows <= w->limits.max_step_tokens);
    assert_true(plan.n_items <= w->limits.max_running);
    assert_true(krs_sched_n_running(w->sched) <= w->limits.max_running);
    if (plan.n_items == 0) {
        assert_false(somebody_could_run(w));
    }
    uint32_t n_rows = 0;
    for (uint32_t i = 0; i < plan.n_items; i++) {
        n_rows += plan.items[i].n_rows;
        run_item(w, &plan.items[i]);
    }
    assert_int_equal(n_rows, plan.n_rows);
}

static bool is_over(const world *w)
{
    for (uint32_t i = 0; i < WORLD_SEQS; i++) {
        if (!w->visitors[i].is_done) {
            return false;
        }
    }
    return true;
}

static uint32_t run_world(uint64_t seed)
{
    static world w;
    world_init(&w, seed);
    uint32_t n_steps = 0;
    uint32_t n_preempted = 0;
    while (!is_over(&w)) {
        let_visitors_act(&w);
        run_step(&w);
        w.now += 1 + draw(&w, 3);
        assert_true(++n_steps < MAX_STEPS);
    }
    for (uint32_t i = 0; i < WORLD_SEQS; i++) {
        n_preempted += w.visitors[i].seq.n_preempted;
    }
    assert_int_equal(krs_kv_pool_n_free(w.pool), krs_kv_pool_n_blocks(w.pool));
    krs_sched_free(w.sched);
    krs_kv_pool_free(w.pool);
    free(w.owner);
    return n_preempted;
}

static void random_worlds_keep_every_promise(void **state)
{
    (void)state;
    const char *text = getenv("KRS_PROP_SEED");
    const uint64_t first = text ? strtoull(text, NULL, 10) : 1;
    uint32_t n_preempted = 0;
    for (uint64_t seed = first; seed < first + WORLDS; seed++) {
        printf("seed %llu\n", (unsigned long long)seed);
        n_preempted += run_world(seed);
    }
    printf("%u preemptions\n", n_preempted);
    assert_true(n_preempted > 100); /* else the worlds are too easy */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_worlds_keep_every_promise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
