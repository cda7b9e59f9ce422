/* tests/unit/sched/test_whole.c - sequences whose rows go into one step together: encoders' texts. */
#include "support/sched_fixture.h"

static void add_whole(fixture *f, uint32_t i, uint32_t n, krs_priority priority)
{
    f->seqs[i].tokens = NULL;
    f->seqs[i].n_tokens = n;
    f->seqs[i].priority = priority;
    f->seqs[i].is_sampling = false;
    f->seqs[i].is_whole = true;
    f->seqs[i].wants_all = true;
    assert_int_equal(krs_sched_add(f->sched, &f->seqs[i], NULL), KRS_OK);
}

/* Plan, and finish what ran, as an engine does. */
static krs_sched_step run(fixture *f)
{
    const krs_sched_step plan = step(f);
    for (uint32_t i = 0; i < plan.n_items; i++) {
        assert_int_equal(plan.items[i].n_past, 0);
        assert_int_equal(plan.items[i].n_rows, plan.items[i].seq->n_tokens);
        assert_true(plan.items[i].is_last_known);
        krs_sched_finish(f->sched, plan.items[i].seq);
    }
    return plan;
}

static void a_step_has_all_rows_of_a_sequence_or_none(void **state)
{
    (void)state;
    fixture *f = fixture_new(8, 32, 64);
    add_whole(f, 0, 20, KRS_PRIORITY_NORMAL);
    add_whole(f, 1, 12, KRS_PRIORITY_NORMAL); /* fills the step */
    add_whole(f, 2, 32, KRS_PRIORITY_NORMAL);
    krs_sched_step plan = run(f);
    assert_int_equal(plan.n_rows, 32);
    assert_int_equal(plan.n_wanted, 32);
    plan = run(f);
    assert_int_equal(plan.n_items, 1);
    assert_int_equal(plan.n_rows, 32);
    assert_int_equal(krs_sched_n_waiting(f->sched), 0);
    fixture_free(f);
}

/* Short texts that never stop coming would fill every step beside it. */
static void a_long_sequence_is_not_overtaken_by_short_ones(void **state)
{
    (void)state;
    fixture *f = fixture_new(8, 32, 64);
    add_whole(f, 0, 4, KRS_PRIORITY_NORMAL);
    add_whole(f, 1, 30, KRS_PRIORITY_NORMAL);
    add_whole(f, 2, 4, KRS_PRIORITY_NORMAL);
    krs_sched_step plan = run(f);
    assert_int_equal(plan.n_items, 1); /* 30 do not fit beside 4, and 2 does not go before 1 */
    assert_int_equal(rows_of(f, &plan, 0), 4);
    plan = run(f);
    assert_int_equal(rows_of(f, &plan, 1), 30);
    plan = run(f);
    assert_int_equal(rows_of(f, &plan, 2), 4);
    fixture_free(f);
}

static void priority_still_goes_first(void **state)
{
    (void)state;
    fixture *f = fixture_new(8, 32, 64);
    add_whole(f, 0, 30, KRS_PRIORITY_BACKGROUND);
    add_whole(f, 1, 30, KRS_PRIORITY_URGENT);
    krs_sched_step plan = run(f);
    assert_int_equal(rows_of(f, &plan, 1), 30);
    plan = run(f);
    assert_int_equal(rows_of(f, &plan, 0), 30);
    fixture_free(f);
}

static void what_no_step_holds_is_refused(void **state)
{
    (void)state;
    fixture *f = fixture_new(8, 32, 64);
    f->seqs[0].tokens = NULL;
    f->seqs[0].n_tokens = 33;
    f->seqs[0].is_sampling = false;
    f->seqs[0].is_whole = true;
    assert_int_equal(krs_sched_add(f->sched, &f->seqs[0], NULL), KRS_ETOOLARGE);
    assert_int_equal(f->seqs[0].state, KRS_SCHED_OUT);
    fixture_free(f);
}

/* The device failed: they keep their places, and the oldest goes first though not all fit one step. */
static void a_reverted_step_is_run_again_whole(void **state)
{
    (void)state;
    fixture *f = fixture_new(8, 32, 64);
    add_whole(f, 0, 16, KRS_PRIORITY_NORMAL);
    add_whole(f, 1, 16, KRS_PRIORITY_NORMAL);
    krs_sched_step plan = step(f);
    assert_int_equal(plan.n_rows, 32);
    krs_sched_revert(f->sched);
    add_whole(f, 2, 8, KRS_PRIORITY_URGENT);
    plan = run(f); /* the urgent one, then the oldest; the third does not fit any more */
    assert_int_equal(rows_of(f, &plan, 2), 8);
    assert_int_equal(rows_of(f, &plan, 0), 16);
    assert_int_equal(plan.n_rows, 24);
    plan = run(f);
    assert_int_equal(rows_of(f, &plan, 1), 16);
    fixture_free(f);
}

/* 300 texts of random lengths from four tenants: each gets its step within the promised number of plans. */
static void every_sequence_gets_its_step_within_the_bound(void **state)
{
    (void)state;
    uint32_t random = 11;
    print_message("seed %u\n", random);
    fixture *f = fixture_new(4, 32, 64);
    uint64_t due[MAX_SEQS] = {0};
    uint32_t n_added = 0;
    uint32_t n_done = 0;
    for (uint64_t now = 0; n_done < 300; now++) {
        for (uint32_t i = 0; i < MAX_SEQS - 4; i++) {
            random = random * 1664525u + 1013904223u;
            if (n_added < 300 && f->seqs[i].state == KRS_SCHED_OUT && (random >> 16) % 8 == 0) {
                f->seqs[i].tenant = (random >> 20) % 4;
                add_whole(f, i, 1 + (random >> 8) % 32, (krs_priority)((random >> 24) % 3));
                due[i] = now + krs_sched_wait_bound(f->sched, &f->seqs[i]);
                n_added++;
            }
        }
        const krs_sched_step plan = run(f);
        assert_true(plan.n_items > 0 || krs_sched_n_waiting(f->sched) == 0);
        for (uint32_t k = 0; k < plan.n_items; k++) {
            assert_true(now <= due[plan.items[k].seq - f->seqs]);
        }
        n_done += plan.n_items;
    }
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_has_all_rows_of_a_sequence_or_none),
        cmocka_unit_test(a_long_sequence_is_not_overtaken_by_short_ones),
        cmocka_unit_test(priority_still_goes_first),
        cmocka_unit_test(what_no_step_holds_is_refused),
        cmocka_unit_test(a_reverted_step_is_run_again_whole),
        cmocka_unit_test(every_sequence_gets_its_step_within_the_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
