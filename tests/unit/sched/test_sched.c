/* tests/unit/sched/test_sched.c - the policy on small hands: admission, budget, decodes first, preemption,
 * credit, cancel and deadline, bounds. Each test plays the engine: plan, "run", append or finish. */
#include "sched/sched.h"
#include "support/cmocka.h"

#include <string.h>

#define MAX_SEQS 8

typedef struct fixture {
    krs_kv_pool *pool;
    krs_sched *sched;
    krs_sched_seq seqs[MAX_SEQS];
} fixture;

static krs_sched_limits limits_of(uint32_t max_running, uint32_t max_step_tokens)
{
    return (krs_sched_limits){.max_running = max_running,
                              .max_waiting = 4,
                              .max_waiting_tokens = 1000,
                              .max_step_tokens = max_step_tokens,
                              .max_seq_tokens = 32,
                              .block_tokens = 4};
}

static void fixture_init(fixture *f, const krs_sched_limits *limits, uint32_t n_blocks)
{
    memset(f, 0, sizeof(*f));
    assert_int_equal(krs_kv_pool_new(n_blocks, NULL, &f->pool, NULL), KRS_OK);
    assert_int_equal(krs_sched_new(limits, f->pool, NULL, NULL, &f->sched, NULL), KRS_OK);
}

static krs_status add_until(fixture *f, uint32_t i, uint32_t n_tokens, uint64_t deadline_ns)
{
    f->seqs[i].n_tokens = n_tokens;
    f->seqs[i].credit = KRS_SCHED_UNLIMITED;
    f->seqs[i].deadline_ns = deadline_ns;
    f->seqs[i].is_sampling = true;
    f->seqs[i].priority = KRS_PRIORITY_NORMAL;
    return krs_sched_add(f->sched, &f->seqs[i], NULL);
}

static krs_status add(fixture *f, uint32_t i, uint32_t n_tokens)
{
    return add_until(f, i, n_tokens, UINT64_MAX);
}

static void fixture_end(fixture *f)
{
    for (uint32_t i = 0; i < MAX_SEQS; i++) {
        if (f->seqs[i].state != KRS_SCHED_OUT) {
            krs_sched_finish(f->sched, &f->seqs[i]);
        }
    }
    assert_int_equal(krs_kv_pool_n_free(f->pool), krs_kv_pool_n_blocks(f->pool));
    krs_sched_free(f->sched);
    krs_kv_pool_free(f->pool);
}

/* Plan at time 0 and sample a token for all that are due. */
static krs_sched_step step(fixture *f)
{
    krs_sched_step plan;
    krs_sched_plan(f->sched, 0, &plan);
    for (uint32_t i = 0; i < plan.n_items; i++) {
        if (plan.items[i].is_last_known) {
            krs_sched_append(f->sched, plan.items[i].seq, 1);
        }
    }
    return plan;
}

static void prompts_get_the_rows_granted_beside_decodes_and_all_without(void **state)
{
    (void)state;
    fixture f;
    krs_sched_limits limits = limits_of(4, 64);
    limits.max_seq_tokens = 256;
    fixture_init(&f, &limits, 256);
    krs_sched_set_prompt_rows(f.sched, 1); /* raised to KRS_SCHED_MIN_PROMPT_ROWS */
    assert_int_equal(add(&f, 0, 70), KRS_OK);
    assert_int_equal(step(&f).n_rows, 64); /* nobody waits between tokens */
    assert_int_equal(step(&f).n_rows, 6);
    assert_int_equal(add(&f, 1, 90), KRS_OK);
    assert_int_equal(add(&f, 2, 90), KRS_OK);
    krs_sched_step plan = step(&f);
    assert_int_equal(plan.n_rows, 1 + KRS_SCHED_MIN_PROMPT_ROWS);
    assert_int_equal(plan.n_prompt_rows, KRS_SCHED_MIN_PROMPT_ROWS);
    krs_sched_set_prompt_rows(f.sched, 40);
    plan = step(&f);
    assert_int_equal(plan.n_prompt_rows, 40);
    krs_sched_set_prompt_rows(f.sched, 1000);
    plan = step(&f); /* the end of one prompt and more of the other, up to the step's limit */
    assert_int_equal(plan.n_rows, 64);
    assert_int_equal(plan.n_items, 3);
    krs_sched_finish(f.sched, &f.seqs[0]);
    krs_sched_finish(f.sched, &f.seqs[1]);
    krs_sched_set_prompt_rows(f.sched, 32);
    assert_int_equal(step(&f).n_rows, 90 - (64 - 1 - 18)); /* no decode beside it */
    fixture_end(&f);
}

static void fewer_rows_for_prompts_make_the_promised_wait_longer(void **state)
{
    (void)state;
    fixture f;
    krs_sched_limits limits = limits_of(1, 200);
    limits.max_seq_tokens = 256;
    fixture_init(&f, &limits, 256);
    assert_int_equal(add(&f, 0, 100), KRS_OK);
    const uint64_t before = krs_sched_wait_bound(f.sched, &f.seqs[0]);
    krs_sched_set_prompt_rows(f.sched, 32);
    krs_sched_set_prompt_rows(f.sched, 1000); /* it was low once */
    assert_true(krs_sched_wait_bound(f.sched, &f.seqs[0]) >= before);
    fixture_end(&f);
}

static void a_prompt_is_read_in_chunks_then_decoded(void **state)
{
    (void)state;
    fixture f;
    const krs_sched_limits limits = limits_of(4, 6);
    fixture_init(&f, &limits, 16);
    assert_int_equal(add(&f, 0, 14), KRS_OK);
    const uint32_t rows[] = {6, 6, 2, 1, 1};
    uint32_t past = 0;
    for (int i = 0; i < 5; i++) {
        const krs_sched_step plan = step(&f);
        assert_int_equal(plan.n_items, 1);
        assert_int_equal(plan.items[0].n_rows, rows[i]);
        assert_int_equal(plan.items[0].n_past, past);
        assert_int_equal(plan.n_samples, i >= 2);
        past += rows[i];
    }
    assert_int_equal(f.seqs[0].n_tokens, 17);
    assert_int_equal(f.seqs[0].table.n_blocks, 4); /* 16 computed tokens; the 17th is not fed yet */
    fixture_end(&f);
}

static void decodes_come_before_prefill(void **state)
{
    (void)state;
    fixture f;
    const krs_sched_limits limits = limits_of(4, 5);
    fixture_init(&f, &limits, 32);
    assert_int_equal(add(&f, 0, 2), KRS_OK);
    assert_int_equal(add(&f, 1, 2), KRS_OK);
    (void)step(&f);
    assert_int_equal(add(&f, 2, 20), KRS_OK);
    const krs_sched_step plan = step(&f);
    assert_int_equal(plan.n_items, 3);
    assert_ptr_equal(plan.items[0].seq, &f.seqs[0]);
    assert_ptr_equal(plan.items[1].seq, &f.seqs[1]);
    assert_int_equal(plan.items[2].n_rows, 3);
    assert_int_equal(plan.n_rows, 5);
    fixture_end(&f);
}

static void one_that_does_not_fit_is_not_overtaken(void **state)
{
    (void)state;
    fixture f;
    const krs_sched_limits limits = limits_of(4, 64);
    fixture_init(&f, &limits, 8);
    assert_int_equal(add(&f, 0, 24), KRS_OK); /* 6 of 8 blocks */
    (void)step(&f);
    assert_int_equal(add(&f, 1, 16), KRS_OK); /* needs 4 */
    assert_int_equal(add(&f, 2, 1), KRS_OK);  /* would fit */
    (void)step(&f);
    assert_int_equal(krs_sched_n_running(f.sched), 1);
    assert_int_equal(krs_sched_n_waiting(f.sched), 2);
    krs_sched_finish(f.sched, &f.seqs[0]);
    (void)step(&f);
    assert_int_equal(krs_sched_n_running(f.sched), 2);
    fixture_end(&f);
}

static void the_youngest_gives_way_and_comes_back(void **state)
{
    (void)state;
    fixture f;
    krs_sched_limits limits = limits_of(4, 64);
    limits.max_seq_tokens = 16;
    fixture_init(&f, &limits, 4);
    assert_int_equal(add(&f, 0, 4), KRS_OK);
    assert_int_equal(add(&f, 1, 4), KRS_OK);
    assert_int_equal(step(&f).n_items, 2); /* 1 block each, then a second each */
    assert_int_equal(step(&f).n_items, 2);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(step(&f).n_items, 2);
    }
    /* Both know 9 tokens and want a third block; none is free. */
    const krs_sched_step plan = step(&f);
    assert_int_equal(plan.n_preempted, 1);
    assert_int_equal(plan.n_items, 1);
    assert_ptr_equal(plan.items[0].seq, &f.seqs[0]);
    assert_int_equal(f.seqs[1].state, KRS_SCHED_WAITING);
    assert_int_equal(f.seqs[1].n_computed, 0);
    assert_int_equal(f.seqs[1].n_tokens, 9);
    krs_sched_finish(f.sched, &f.seqs[0]);
    const krs_sched_step again = step(&f);
    assert_int_equal(again.items[0].n_past, 0);
    assert_int_equal(again.items[0].n_rows, 9); /* prompt and answer so far, in one go */
    fixture_end(&f);
}

static void without_credit_a_sequence_is_not_planned(void **state)
{
    (void)state;
    fixture f;
    const krs_sched_limits limits = limits_of(4, 64);
    fixture_init(&f, &limits, 16);
    assert_int_equal(add(&f, 0, 3), KRS_OK);
    krs_sched_set_credit(f.sched, &f.seqs[0], 2);
    assert_int_equal(step(&f).n_items, 1);
    assert_int_equal(step(&f).n_items, 1);
    assert_int_equal(f.seqs[0].credit, 0);
    assert_int_equal(step(&f).n_items, 0);
    krs_sched_set_credit(f.sched, &f.seqs[0], 1);
    assert_int_equal(step(&f).n_items, 1);
    /* One that waits without credit is overtaken: it asked for nothing. */
    assert_int_equal(add(&f, 1, 3), KRS_OK);
    assert_int_equal(add(&f, 2, 3), KRS_OK);
    krs_sched_set_credit(f.sched, &f.seqs[1], 0);
    const krs_sched_step plan = step(&f);
    assert_int_equal(plan.n_items, 1);
    assert_ptr_equal(plan.items[0].seq, &f.seqs[2]);
    fixture_end(&f);
}

static void a_paused_sequence_loses_its_place_to_one_that_waits(void **state)
{
    (void)state;
    fixture f;
    const krs_sched_limits limits = limits_of(1, 64);
    fixture_init(&f, &limits, 16);
    assert_int_equal(add(&f, 0, 3), KRS_OK);
    (void)step(&f);
    krs_sched_set_credit(f.sched, &f.seqs[0], 0);
    assert_int_equal(step(&f).n_items, 0);
    assert_int_equal(f.seqs[0].state, KRS_SCHED_RUNNING); /* nobody wants it */
    assert_int_equal(add(&f, 1, 3), KRS_OK);
    const krs_sched_step plan = step(&f);
    assert_int_equal(plan.n_items, 1);
    assert_ptr_equal(plan.items[0].seq, &f.seqs[1]);
    assert_int_equal(f.seqs[0].state, KRS_SCHED_PARKED);
    assert_int_equal(krs_sched_stats_of(f.sched).n_parked, 1);
    krs_sched_finish(f.sched, &f.seqs[1]);
    assert_int_equal(step(&f).n_items, 0);
    krs_sched_set_credit(f.sched, &f.seqs[0], 1);
    assert_int_equal(step(&f).items[0].n_rows, 4); /* computed anew */
    fixture_end(&f);
}

static void cancelled_and_late_ones_leave_from_both_queues(void **state)
{
    (void)state;
    fixture f;
    const krs_sched_limits limits = limits_of(2, 64);
    fixture_init(&f, &limits, 16);
    const uint64_t deadlines[] = {UINT64_MAX, 100, 50, UINT64_MAX};
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(add_until(&f, i, 3, deadlines[i]), KRS_OK);
    }
    (void)step(&f);
    krs_sched_cancel(f.sched, &f.seqs[0]);
    krs_sched_cancel(f.sched, &f.seqs[3]);
    assert_int_equal(krs_sched_next_deadline(f.sched), 50);
    krs_sched_step plan;
    krs_sched_plan(f.sched, 99, &plan);
    uint32_t n_ended = 0;
    for (const krs_sched_seq *seq = plan.ended; seq; seq = seq->next) {
        const bool is_late = seq == &f.seqs[2];
        assert_int_equal(seq->end, is_late ? KRS_EDEADLINE : KRS_ECANCELLED);
        assert_int_equal(seq->state, KRS_SCHED_OUT);
        n_ended++;
    }
    assert_int_equal(n_ended, 3);
    assert_int_equal(plan.n_items, 1);
    krs_sched_append(f.sched, plan.items[0].seq, 1);
    krs_sched_plan(f.sched, 100, &plan);
    assert_ptr_equal(plan.ended, &f.seqs[1]);
    assert_int_equal(krs_sched_next_deadline(f.sched), UINT64_MAX);
    fixture_end(&f);
}

static void add_refuses_what_can_never_run_or_does_not_fit_the_queue(void **state)
{
    (void)state;
    fixture f;
    krs_sched_limits limits = limits_of(1, 64);
    limits.max_waiting = 2;
    limits.max_waiting_tokens = 20;
    fixture_init(&f, &limits, 8);
    assert_int_equal(add(&f, 0, 0), KRS_EINVAL);
    assert_int_equal(add(&f, 0, 32), KRS_ETOOLARGE);
    assert_int_equal(add(&f, 0, 31), KRS_OK); /* alone it may pass the bound on tokens */
    assert_int_equal(add(&f, 1, 1), KRS_EBUSY);
    krs_sched_finish(f.sched, &f.seqs[0]);
    assert_int_equal(add(&f, 0, 9), KRS_OK);
    assert_int_equal(add(&f, 1, 12), KRS_EBUSY);
    assert_int_equal(add(&f, 1, 11), KRS_OK);
    assert_int_equal(add(&f, 2, 1), KRS_EBUSY);
    fixture_end(&f);
}

static void new_refuses_limits_that_could_get_stuck(void **state)
{
    (void)state;
    krs_kv_pool *pool = NULL;
    assert_int_equal(krs_kv_pool_new(4, NULL, &pool, NULL), KRS_OK);
    krs_sched *sched = NULL;
    krs_error err = KRS_ERROR_INIT;
    krs_sched_limits limits = limits_of(4, 3);
    limits.max_seq_tokens = 16;
    assert_int_equal(krs_sched_new(&limits, pool, NULL, NULL, &sched, &err), KRS_EINVAL);
    assert_non_null(strstr(err.message, "3 tokens a step"));
    limits.max_step_tokens = 4;
    limits.max_seq_tokens = 17; /* 5 blocks of 4 */
    assert_int_equal(krs_sched_new(&limits, pool, NULL, NULL, &sched, &err), KRS_EINVAL);
    assert_non_null(strstr(err.message, "17 tokens"));
    limits.max_seq_tokens = 16;
    limits.max_running = 0;
    assert_int_equal(krs_sched_new(&limits, pool, NULL, NULL, &sched, &err), KRS_EINVAL);
    limits.max_running = 1;
    assert_int_equal(krs_sched_new(&limits, pool, NULL, NULL, &sched, &err), KRS_OK);
    krs_sched_free(sched);
    krs_sched_free(NULL);
    krs_kv_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prompts_get_the_rows_granted_beside_decodes_and_all_without),
        cmocka_unit_test(fewer_rows_for_prompts_make_the_promised_wait_longer),
        cmocka_unit_test(a_prompt_is_read_in_chunks_then_decoded),
        cmocka_unit_test(decodes_come_before_prefill),
        cmocka_unit_test(one_that_does_not_fit_is_not_overtaken),
        cmocka_unit_test(the_youngest_gives_way_and_comes_back),
        cmocka_unit_test(without_credit_a_sequence_is_not_planned),
        cmocka_unit_test(a_paused_sequence_loses_its_place_to_one_that_waits),
        cmocka_unit_test(cancelled_and_late_ones_leave_from_both_queues),
        cmocka_unit_test(add_refuses_what_can_never_run_or_does_not_fit_the_queue),
        cmocka_unit_test(new_refuses_limits_that_could_get_stuck),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
