/* tests/unit/sched/test_policy.c - who goes first, who gives way, what is refused. */
#include "support/sched_fixture.h"

/* ---- who goes first ---- */

static void prompts_go_by_priority_then_by_age(void **state)
{
    (void)state;
    fixture *f = fixture_new(8, 10, 64);
    add_as(f, 0, 8, KRS_PRIORITY_BACKGROUND);
    add_as(f, 1, 8, KRS_PRIORITY_NORMAL);
    add_as(f, 2, 8, KRS_PRIORITY_URGENT);
    add_as(f, 3, 8, KRS_PRIORITY_NORMAL);
    krs_sched_step plan = step(f);
    assert_int_equal(rows_of(f, &plan, 2), 8);
    assert_int_equal(rows_of(f, &plan, 1), 2);
    plan = step(f); /* one decode, then what was begun, then its own age */
    assert_int_equal(rows_of(f, &plan, 1), 6);
    assert_int_equal(rows_of(f, &plan, 3), 3);
    assert_int_equal(rows_of(f, &plan, 0), 0);
    fixture_free(f);
}

static void an_urgent_prompt_goes_before_one_that_was_begun(void **state)
{
    (void)state;
    fixture *f = fixture_new(8, 10, 64);
    add_as(f, 0, 60, KRS_PRIORITY_NORMAL);
    krs_sched_step plan = step(f);
    assert_int_equal(rows_of(f, &plan, 0), 10);
    add_as(f, 1, 8, KRS_PRIORITY_URGENT);
    plan = step(f);
    assert_int_equal(rows_of(f, &plan, 1), 8);
    assert_int_equal(rows_of(f, &plan, 0), 2);
    fixture_free(f);
}

/* Urgent prompts take all rows, plan after plan: one that was begun gets some within its patience. */
static void a_begun_prompt_is_not_forgotten_beside_urgent_ones(void **state)
{
    (void)state;
    fixture *f = fixture_new(4, 8, 64);
    add_as(f, 0, 60, KRS_PRIORITY_NORMAL);
    (void)step(f);
    const uint64_t bound = krs_sched_wait_bound(f->sched, &f->seqs[0]);
    assert_int_equal(bound, KRS_SCHED_PATIENCE_NORMAL + 4);
    uint32_t n = 0;
    uint32_t n_rows = 0;
    while (n_rows == 0 && n <= bound) {
        for (uint32_t i = 1; i < 3; i++) {
            if (f->seqs[i].state != KRS_SCHED_OUT && f->seqs[i].n_computed > 0) {
                krs_sched_finish(f->sched, &f->seqs[i]);
            }
            if (f->seqs[i].state == KRS_SCHED_OUT) {
                f->seqs[i].cache_salt = n + 1; /* nothing to be found */
                add_as(f, i, 60, KRS_PRIORITY_URGENT);
            }
        }
        const krs_sched_step plan = step(f);
        n_rows = rows_of(f, &plan, 0);
        n++;
    }
    assert_int_equal(n, KRS_SCHED_PATIENCE_NORMAL);
    assert_int_equal(n_rows, 8);
    fixture_free(f);
}

static void the_least_served_tenant_is_next_and_weight_counts(void **state)
{
    (void)state;
    fixture *f = fixture_new(1, 64, 64);
    for (uint32_t i = 0; i < 12; i++) {
        f->seqs[i].tenant = i < 9; /* tenant 1 was first with nine */
        add(f, i, 8, 100 + i);
    }
    assert_int_equal(krs_sched_set_weight(f->sched, 1, 3), KRS_OK);
    uint32_t n_of[2] = {0, 0};
    for (uint32_t k = 0; k < 8; k++) {
        const krs_sched_step plan = step(f);
        n_of[plan.items[0].seq->tenant]++;
        krs_sched_finish(f->sched, plan.items[0].seq);
    }
    assert_int_equal(n_of[1], 6);
    assert_int_equal(n_of[0], 2);
    assert_int_equal(krs_sched_tenant_service(f->sched, 1), 6 * 8);
    fixture_free(f);
}

/* ---- who gives way ---- */

static void priority_takes_a_place_after_the_quantum(void **state)
{
    (void)state;
    fixture *f = fixture_new(1, 16, 64);
    add_as(f, 0, 8, KRS_PRIORITY_BACKGROUND);
    (void)step(f);
    add_as(f, 1, 8, KRS_PRIORITY_URGENT);
    uint32_t n = 1;
    krs_sched_step plan = step(f);
    while (rows_of(f, &plan, 1) == 0) {
        assert_int_equal(rows_of(f, &plan, 0), 1);
        plan = step(f);
        n++;
    }
    assert_int_equal(n, KRS_SCHED_QUANTUM_TOKENS);
    assert_int_equal(f->seqs[0].state, KRS_SCHED_WAITING);
    assert_int_equal(f->seqs[0].n_preempted, 1);
    fixture_free(f);
}

static void equal_priority_takes_no_place(void **state)
{
    (void)state;
    fixture *f = fixture_new(1, 16, 64);
    add(f, 0, 8, 1);
    (void)step(f);
    add(f, 1, 8, 2);
    for (uint32_t n = 0; n < 100; n++) {
        assert_int_equal(step(f).items[0].seq - f->seqs, 0);
    }
    fixture_free(f);
}

/* Three run and fill the pool; somebody must go. */
static fixture *crowded(uint32_t a, uint32_t b, uint32_t c)
{
    fixture *f = fixture_new(
        3, 200, krs_kv_blocks_for(a, 4) + krs_kv_blocks_for(b, 4) + krs_kv_blocks_for(c, 4) + 4);
    const uint32_t n[] = {a, b, c};
    for (uint32_t i = 0; i < 3; i++) {
        add(f, i, n[i], 100 + i);
        (void)step(f);
    }
    assert_int_equal(krs_sched_n_running(f->sched), 3);
    return f;
}

static uint32_t first_victim(fixture *f)
{
    for (uint32_t n = 0; n < 60; n++) {
        (void)step(f);
        for (uint32_t i = 0; i < 3; i++) {
            if (f->seqs[i].n_preempted > 0) {
                return i;
            }
        }
    }
    fail_msg("nobody had to go");
    return MAX_SEQS;
}

static void the_cheapest_goes_first_but_never_the_oldest(void **state)
{
    (void)state;
    fixture *f = crowded(8, 12, 40); /* the oldest would be the cheapest */
    assert_int_equal(first_victim(f), 1);
    fixture_free(f);
    f = crowded(8, 40, 12);
    assert_int_equal(first_victim(f), 2);
    fixture_free(f);
}

static void low_priority_goes_before_cheap_and_paused_before_all(void **state)
{
    (void)state;
    fixture *f = fixture_new(3, 200, 19);
    add_as(f, 0, 8, KRS_PRIORITY_NORMAL);
    (void)step(f);
    add_as(f, 1, 8, KRS_PRIORITY_NORMAL);
    (void)step(f);
    add_as(f, 2, 40, KRS_PRIORITY_BACKGROUND);
    (void)step(f);
    assert_int_equal(first_victim(f), 2);
    fixture_free(f);
    f = crowded(40, 12, 12);
    krs_sched_set_credit(f->sched, &f->seqs[0], 0); /* oldest, dearest, but it takes nothing */
    assert_int_equal(first_victim(f), 0);
    assert_int_equal(f->seqs[0].state, KRS_SCHED_PARKED);
    fixture_free(f);
}

/* What others hold, too, is not lost: the long prompt with a shared beginning is the cheap one. */
static void shared_blocks_cost_a_victim_nothing(void **state)
{
    (void)state;
    fixture *f = fixture_new(3, 200, 18);
    add(f, 0, 40, 1);
    (void)step(f);
    add(f, 1, 44, 1); /* 40 of its tokens are those of the first */
    (void)step(f);
    add(f, 2, 16, 2);
    (void)step(f);
    assert_int_equal(f->seqs[1].n_cached, 40);
    assert_int_equal(first_victim(f), 1);
    fixture_free(f);
}

static void a_preempted_one_replays_only_what_was_taken(void **state)
{
    (void)state;
    fixture *f = crowded(40, 24, 24);
    const uint32_t victim = first_victim(f);
    assert_int_equal(victim, 2);
    krs_sched_finish(f->sched, &f->seqs[0]);
    const krs_sched_step plan = step(f);
    assert_true(rows_of(f, &plan, victim) > 0);
    assert_true(rows_of(f, &plan, victim) < 16);   /* of more than 24 */
    assert_int_equal(f->seqs[victim].n_cached, 0); /* tells of its first admission */
    fixture_free(f);
}

/* Each place taken again for one token would cost the neighbours a block's rows. */
static void a_parked_reader_of_single_tokens_is_thawed_with_patience(void **state)
{
    (void)state;
    for (uint32_t n_granted = 1; n_granted <= KRS_SCHED_THAW_CREDIT;
         n_granted += KRS_SCHED_THAW_CREDIT - 1) {
        fixture *f = fixture_new(1, 16, 64);
        add_as(f, 0, 8, KRS_PRIORITY_NORMAL);
        krs_sched_set_credit(f->sched, &f->seqs[0], 1);
        (void)step(f);
        add_as(f, 1, 8, KRS_PRIORITY_NORMAL);
        (void)step(f);
        assert_int_equal(f->seqs[0].state, KRS_SCHED_PARKED);
        krs_sched_set_credit(f->sched, &f->seqs[0], n_granted);
        uint32_t n = 0;
        while (f->seqs[0].state == KRS_SCHED_PARKED) {
            (void)step(f);
            n++;
        }
        assert_int_equal(n, n_granted == 1 ? KRS_SCHED_THAW_PLANS : 0);
        krs_sched_set_credit(f->sched, &f->seqs[0], 0);
        assert_int_equal(f->seqs[0].state, KRS_SCHED_PARKED);
        krs_sched_set_credit(f->sched, &f->seqs[0], 1);
        krs_sched_finish(f->sched, &f->seqs[1]);
        assert_int_equal(step(f).n_items, 1); /* nobody is in its way */
        fixture_free(f);
    }
}

/* ---- edges ---- */

static void a_step_that_was_not_run_is_planned_again(void **state)
{
    (void)state;
    fixture *f = fixture_new(4, 16, 64);
    add(f, 0, 50, 1);
    (void)step(f);
    krs_sched_step plan;
    krs_sched_plan(f->sched, 0, &plan);
    assert_int_equal(plan.items[0].n_past, 16);
    krs_sched_revert(f->sched);
    krs_sched_plan(f->sched, 0, &plan);
    assert_int_equal(plan.items[0].n_past, 16);
    krs_sched_cancel(f->sched, &f->seqs[0]);
    krs_sched_revert(f->sched);
    (void)step(f); /* what was never computed must not be found */
    add(f, 1, 50, 1);
    assert_int_equal(step(f).items[0].n_past, 16);
    fixture_free(f);
}

static void refusals_name_nothing_but_leave_all_as_it_was(void **state)
{
    (void)state;
    fixture *f = fixture_new(1, 16, 64);
    f->seqs[0].n_tokens = 4;
    f->seqs[0].tenant = 4;
    assert_int_equal(krs_sched_add(f->sched, &f->seqs[0], NULL), KRS_EINVAL);
    assert_int_equal(krs_sched_set_weight(f->sched, 4, 1), KRS_EINVAL);
    assert_int_equal(krs_sched_set_weight(f->sched, 0, 0), KRS_EINVAL);
    assert_int_equal(krs_sched_set_weight(f->sched, 0, KRS_SCHED_MAX_WEIGHT + 1), KRS_EINVAL);
    for (uint32_t i = 1; i < 39; i++) {
        f->seqs[i].tenant = 1;
        add(f, i, 1, i);
    }
    f->seqs[39].tenant = 1; /* its tenant has as many waiting as it may */
    f->seqs[39].n_tokens = 1;
    assert_int_equal(krs_sched_add(f->sched, &f->seqs[39], NULL), KRS_EBUSY);
    assert_int_equal(f->seqs[39].state, KRS_SCHED_OUT);
    f->seqs[39].tenant = 2;
    assert_int_equal(krs_sched_add(f->sched, &f->seqs[39], NULL), KRS_OK);
    fixture_free(f);
}

static void pins_leave_room_for_the_longest_sequence(void **state)
{
    (void)state;
    fixture *f = fixture_new(2, 64, 10); /* sequences of 10 blocks: nothing may be pinned */
    add(f, 0, 20, 1);
    (void)step(f);
    (void)step(f);
    uint32_t n_pinned = 0;
    const krs_status status = krs_kv_prefix_pin(f->prefix, 0, f->tokens[0], 20, &n_pinned);
    assert_int_equal(status, KRS_EBUSY);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prompts_go_by_priority_then_by_age),
        cmocka_unit_test(an_urgent_prompt_goes_before_one_that_was_begun),
        cmocka_unit_test(a_begun_prompt_is_not_forgotten_beside_urgent_ones),
        cmocka_unit_test(the_least_served_tenant_is_next_and_weight_counts),
        cmocka_unit_test(priority_takes_a_place_after_the_quantum),
        cmocka_unit_test(equal_priority_takes_no_place),
        cmocka_unit_test(the_cheapest_goes_first_but_never_the_oldest),
        cmocka_unit_test(low_priority_goes_before_cheap_and_paused_before_all),
        cmocka_unit_test(shared_blocks_cost_a_victim_nothing),
        cmocka_unit_test(a_preempted_one_replays_only_what_was_taken),
        cmocka_unit_test(a_parked_reader_of_single_tokens_is_thawed_with_patience),
        cmocka_unit_test(a_step_that_was_not_run_is_planned_again),
        cmocka_unit_test(refusals_name_nothing_but_leave_all_as_it_was),
        cmocka_unit_test(pins_leave_room_for_the_longest_sequence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
