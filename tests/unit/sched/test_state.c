/* tests/unit/sched/test_state.c - models with state: from which places another sequence can go on, and what is
 * copied for it. That no row is ever shown somebody else's state is tests/prop/test_sched.c. */
#include "support/sched_fixture.h"

/* Admit sequence i with these tokens, and run it to the end of its prompt; returns what was found. */
static uint32_t run_prompt(fixture *f, uint32_t i)
{
    assert_int_equal(krs_sched_add(f->sched, &f->seqs[i], NULL), KRS_OK);
    while (f->seqs[i].n_computed == 0 || f->seqs[i].n_computed < f->seqs[i].n_tokens - 1) {
        (void)step(f);
    }
    return f->seqs[i].n_cached;
}

/* n_common tokens as sequence 0 has them, then its own. */
static uint32_t ask_alike(fixture *f, uint32_t i, uint32_t n, uint32_t n_common)
{
    memcpy(f->tokens[i], f->tokens[0], n_common * sizeof(uint32_t));
    for (uint32_t t = n_common; t < n; t++) {
        f->tokens[i][t] = 5000 + 100 * i + t;
    }
    f->seqs[i].n_tokens = n;
    return run_prompt(f, i);
}

static void a_prompt_is_cut_where_its_state_is_kept(void **state)
{
    (void)state;
    fixture *f = fixture_with_states(2, 64, 64, 6);
    add(f, 0, 22, 1);
    krs_sched_step plan = step(f);
    assert_int_equal(rows_of(f, &plan, 0), 20); /* five blocks */
    assert_int_equal(plan.n_copies, 0);
    plan = step(f);
    assert_int_equal(rows_of(f, &plan, 0), 2);
    assert_int_equal(plan.n_copies, 1); /* before the rows: the state after 20 tokens */
    assert_int_equal(plan.copies[0].from, f->seqs[0].slot);
    assert_int_not_equal(plan.copies[0].to, f->seqs[0].slot);
    fixture_free(f);
}

static void the_same_prompt_goes_on_from_its_last_block(void **state)
{
    (void)state;
    fixture *f = fixture_with_states(2, 64, 64, 6);
    add(f, 0, 22, 1);
    for (uint32_t n = 0; n < 3; n++) {
        (void)step(f);
    }
    add(f, 1, 22, 1);
    const krs_sched_step plan = step(f);
    assert_int_equal(f->seqs[1].n_cached, 20);
    assert_int_equal(rows_of(f, &plan, 1), 2);
    assert_int_equal(plan.copies[plan.n_copies - 1].to, f->seqs[1].slot);
    fixture_free(f);
}

static void the_second_of_a_kind_keeps_a_state_for_the_third(void **state)
{
    (void)state;
    fixture *f = fixture_with_states(2, 64, 64, 8);
    f->seqs[0].n_tokens = 40;
    (void)ask_alike(f, 0, 40, 0);
    krs_sched_finish(f->sched, &f->seqs[0]);
    assert_int_equal(ask_alike(f, 1, 40, 18), 0); /* four blocks are there, their state is not */
    assert_int_equal(f->seqs[1].cache_end, KRS_CACHE_END_CHECKPOINT);
    krs_sched_finish(f->sched, &f->seqs[1]);
    assert_int_equal(ask_alike(f, 2, 40, 18), 16);
    fixture_free(f);
}

static void a_conversation_goes_on_behind_its_last_full_block(void **state)
{
    (void)state;
    fixture *f = fixture_with_states(2, 64, 64, 6);
    (void)ask_alike(f, 0, 10, 0);
    while (f->seqs[0].n_computed < 23) {
        (void)step(f);
    }
    krs_sched_finish(f->sched, &f->seqs[0]);
    assert_int_equal(ask_alike(f, 1, 30, 23), 20);
    fixture_free(f);
}

/* Its own slot holds just what is wanted: no copy, and it is kept. */
static void who_ends_with_a_block_leaves_its_slot(void **state)
{
    (void)state;
    fixture *f = fixture_with_states(1, 64, 64, 2);
    (void)ask_alike(f, 0, 10, 0);
    while (f->seqs[0].n_computed < 16) {
        (void)step(f);
    }
    const uint32_t slot = f->seqs[0].slot;
    krs_sched_finish(f->sched, &f->seqs[0]);
    memcpy(f->tokens[1], f->tokens[0], 20 * sizeof(uint32_t));
    f->seqs[1].n_tokens = 20;
    assert_int_equal(krs_sched_add(f->sched, &f->seqs[1], NULL), KRS_OK);
    const krs_sched_step plan = step(f);
    assert_int_equal(f->seqs[1].n_cached, 16);
    assert_int_equal(plan.n_copies, 1);
    assert_int_equal(plan.copies[0].from, slot);
    fixture_free(f);
}

/* An answer of any length keeps one state, so it does not push out those of prompts. */
static void one_slot_trails_an_answer(void **state)
{
    (void)state;
    fixture *f = fixture_with_states(1, 64, 64, 4);
    (void)ask_alike(f, 0, 10, 0);
    while (f->seqs[0].n_computed < 60) {
        (void)step(f);
    }
    assert_int_equal(krs_kv_state_n_kept(f->states), 2); /* at 8 and at 60 */
    krs_sched_finish(f->sched, &f->seqs[0]);
    assert_int_equal(ask_alike(f, 1, 10, 10), 8);
    fixture_free(f);
}

static void without_a_spare_slot_nothing_is_kept_but_all_runs(void **state)
{
    (void)state;
    fixture *f = fixture_with_states(2, 64, 64, 3);
    for (uint32_t i = 0; i < 12; i++) {
        add(f, i, 9 + i, i);
    }
    for (uint32_t n = 0; n < 40; n++) {
        (void)step(f);
        for (uint32_t i = 0; i < 12; i++) {
            if (f->seqs[i].state == KRS_SCHED_RUNNING && f->seqs[i].n_tokens > 24) {
                krs_sched_finish(f->sched, &f->seqs[i]);
            }
        }
    }
    assert_true(krs_kv_state_n_kept(f->states) <= 1 + 2);
    fixture_free(f);
}

static void fewer_slots_than_sequences_are_refused(void **state)
{
    (void)state;
    fixture *f = fixture_new(4, 64, 64);
    krs_kv_state *states = NULL;
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(krs_kv_state_new(4, NULL, &states, NULL), KRS_OK);
    assert_int_equal(krs_sched_use_states(f->sched, states, &err), KRS_EINVAL);
    assert_string_equal(err.message, "scheduler: 4 states, want more than its 4 sequences");
    krs_kv_state_free(states);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_prompt_is_cut_where_its_state_is_kept),
        cmocka_unit_test(the_same_prompt_goes_on_from_its_last_block),
        cmocka_unit_test(the_second_of_a_kind_keeps_a_state_for_the_third),
        cmocka_unit_test(a_conversation_goes_on_behind_its_last_full_block),
        cmocka_unit_test(who_ends_with_a_block_leaves_its_slot),
        cmocka_unit_test(one_slot_trails_an_answer),
        cmocka_unit_test(without_a_spare_slot_nothing_is_kept_but_all_runs),
        cmocka_unit_test(fewer_slots_than_sequences_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
