/* tests/unit/sched/test_reuse.c - what is found in the cache, who waits for a neighbour's blocks, and how an
 * embedding runs, of which all rows or only the last are wanted. */
#include "support/sched_fixture.h"

/* ---- the cache ---- */

static void a_retry_finds_what_a_cancelled_one_computed(void **state)
{
    (void)state;
    fixture *f = fixture_new(4, 16, 64);
    add(f, 0, 50, 1);
    (void)step(f);
    (void)step(f);
    krs_sched_cancel(f->sched, &f->seqs[0]);
    assert_ptr_equal(step(f).ended, &f->seqs[0]);
    add(f, 1, 50, 1);
    const krs_sched_step plan = step(f);
    assert_int_equal(plan.items[0].n_past, 32);
    assert_int_equal(f->seqs[1].n_cached, 32);
    assert_int_equal(f->seqs[1].cache_end, KRS_CACHE_END_UNSEEN);
    fixture_free(f);
}

static void answers_are_found_too_and_a_salt_divides(void **state)
{
    (void)state;
    fixture *f = fixture_new(4, 64, 64);
    add(f, 0, 8, 1);
    for (uint32_t n = 0; n < 9; n++) {
        (void)step(f); /* 16 tokens computed: 8 of the prompt, 8 sevens */
    }
    krs_sched_finish(f->sched, &f->seqs[0]);
    for (uint32_t i = 1; i < 3; i++) {
        memcpy(f->tokens[i], f->tokens[0], 20 * sizeof(uint32_t));
        f->seqs[i].n_tokens = 20;
        f->seqs[i].cache_salt = i - 1;
        assert_int_equal(krs_sched_add(f->sched, &f->seqs[i], NULL), KRS_OK);
    }
    (void)step(f);
    assert_int_equal(f->seqs[1].n_cached, 16);
    assert_int_equal(f->seqs[2].n_cached, 0);
    fixture_free(f);
}

/* Sixteen choices of one prompt, in three steps of it: every block is computed once, plus each one's last
 * tokens. */
static void choices_wait_for_the_prompt_that_is_being_computed(void **state)
{
    (void)state;
    fixture *f = fixture_new(16, 40, 256);
    for (uint32_t i = 0; i < 16; i++) {
        add(f, i, 102, 1);
    }
    add(f, 16, 4, 2); /* waits for nobody */
    uint32_t n_rows = 0;
    krs_sched_step plan = step(f);
    assert_int_equal(plan.n_items, 1); /* the prompt takes all rows */
    n_rows += plan.n_rows;
    plan = step(f);
    n_rows += plan.n_rows;
    plan = step(f);
    assert_int_equal(rows_of(f, &plan, 0), 22);
    assert_int_equal(rows_of(f, &plan, 16), 4);
    assert_int_equal(plan.n_items, 2);
    n_rows += plan.n_rows - 4;
    plan = step(f);
    assert_int_equal(plan.n_items, 16); /* one place was left to the odd one */
    assert_int_equal(rows_of(f, &plan, 1), 2);
    assert_int_equal(f->seqs[1].n_cached, 100);
    assert_int_equal(n_rows, 102);
    fixture_free(f);
}

static void who_waits_for_a_long_prompt_finds_all_of_it(void **state)
{
    (void)state;
    fixture *f = fixture_new(3, 3, 256);
    add(f, 0, 4, 2);
    (void)step(f);
    (void)step(f); /* decodes from now on: two rows a step are left */
    add(f, 1, 290, 1);
    add(f, 2, 290, 1);
    for (uint32_t n = 1; n < KRS_SCHED_PATIENCE_NORMAL; n++) {
        const krs_sched_step plan = step(f);
        assert_int_equal(rows_of(f, &plan, 1), 2);
        assert_int_equal(f->seqs[2].state, KRS_SCHED_WAITING);
    }
    while (f->seqs[1].n_computed < 290) {
        (void)step(f); /* what is begun goes first; there is no row to spare */
    }
    (void)step(f);
    assert_int_equal(f->seqs[2].n_cached, 288);
    fixture_free(f);
}

/* An urgent one does not wait at the pace of a lower priority. */
static void priority_does_not_wait_for_the_blocks_of_a_lower_one(void **state)
{
    (void)state;
    fixture *f = fixture_new(3, 8, 256);
    add(f, 0, 120, 1);
    (void)step(f);
    f->seqs[1].priority = KRS_PRIORITY_URGENT;
    add(f, 1, 120, 1);
    const krs_sched_step plan = step(f);
    assert_int_equal(rows_of(f, &plan, 1), 8);
    assert_int_equal(f->seqs[1].n_cached, 8);
    fixture_free(f);
}

/* ---- embeddings ---- */

static void an_embedding_ends_with_its_last_row(void **state)
{
    (void)state;
    fixture *f = fixture_new(4, 8, 8);
    f->seqs[0].is_sampling = false;
    f->seqs[0].wants_all = true;
    f->seqs[1].is_sampling = false;
    add(f, 0, 32, 1); /* as long as a sequence may be: it needs no room for an answer */
    for (uint32_t n = 0; n < 4; n++) {
        const krs_sched_step plan = step(f);
        assert_int_equal(plan.n_wanted, 8);
        assert_int_equal(plan.n_samples, 0);
        assert_int_equal(plan.items[0].is_last_known, n == 3);
    }
    assert_int_equal(f->seqs[0].cache_end, KRS_CACHE_END_OFF);
    assert_int_equal(step(f).n_items, 0); /* nothing is left to do for it */
    krs_sched_finish(f->sched, &f->seqs[0]);
    add(f, 1, 32, 1); /* only the last row: the cache may stand in for the others */
    const krs_sched_step plan = step(f);
    assert_int_equal(plan.items[0].n_past, 28);
    assert_int_equal(plan.n_wanted, 1);
    assert_int_equal(f->seqs[1].cache_end, KRS_CACHE_END_FULL);
    fixture_free(f);
}

static void every_row_that_is_wanted_is_computed(void **state)
{
    (void)state;
    fixture *f = fixture_new(4, 64, 64);
    for (uint32_t i = 0; i < 2; i++) {
        f->seqs[i].is_sampling = false;
        f->seqs[i].wants_all = true;
        add(f, i, 20, 1);
        const krs_sched_step plan = step(f);
        assert_int_equal(rows_of(f, &plan, i), 20);
    }
    (void)step(f); /* registers: both hold the same blocks now */
    assert_int_equal(f->seqs[0].table.blocks[2], f->seqs[1].table.blocks[2]);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_retry_finds_what_a_cancelled_one_computed),
        cmocka_unit_test(answers_are_found_too_and_a_salt_divides),
        cmocka_unit_test(choices_wait_for_the_prompt_that_is_being_computed),
        cmocka_unit_test(who_waits_for_a_long_prompt_finds_all_of_it),
        cmocka_unit_test(priority_does_not_wait_for_the_blocks_of_a_lower_one),
        cmocka_unit_test(an_embedding_ends_with_its_last_row),
        cmocka_unit_test(every_row_that_is_wanted_is_computed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
