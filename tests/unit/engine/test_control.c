/* tests/unit/engine/test_control.c - cancel and credit reach the stream they are meant for, once, and only
 * streams of which something was asked come up. */
#include "engine/control.h"
#include "os/thread.h"
#include "support/cmocka.h"
#include "support/oom.h"

#define N_SLOTS   130 /* more than two words of bits */
#define N_GRANTS  2000
#define N_THREADS 3

static void an_id_lives_until_it_is_given_back(void **state)
{
    (void)state;
    krs_controls c;
    uint64_t ids[2];
    uint64_t id = 0;
    assert_int_equal(krs_controls_init(&c, 0, NULL), KRS_EINVAL);
    assert_int_equal(krs_controls_init(&c, 2, NULL), KRS_OK);
    assert_int_equal(krs_controls_take(&c, &ids[0]), KRS_OK);
    assert_int_equal(krs_controls_take(&c, &ids[1]), KRS_OK);
    assert_int_equal(krs_controls_take(&c, &id), KRS_EBUSY);
    assert_true(ids[0] != 0 && ids[0] != ids[1]);
    krs_controls_give(&c, ids[0]);
    assert_false(krs_controls_cancel(&c, ids[0]));
    assert_false(krs_controls_grant(&c, ids[0], 1));
    assert_int_equal(krs_controls_take(&c, &id), KRS_OK);
    assert_int_equal(krs_controls_slot(id), krs_controls_slot(ids[0]));
    assert_false(krs_controls_cancel(&c, ids[0])); /* the slot's next stream is another */
    assert_false(krs_controls_is_cancelled(&c, id));
    assert_false(krs_controls_cancel(&c, UINT64_MAX));
    assert_false(krs_controls_cancel(&c, 0));
    krs_controls_give(&c, id);
    krs_controls_give(&c, ids[1]);
    krs_controls_deinit(&c);
}

static void grants_add_up_until_they_are_collected(void **state)
{
    (void)state;
    krs_controls c;
    uint64_t id = 0;
    assert_int_equal(krs_controls_init(&c, 1, NULL), KRS_OK);
    assert_int_equal(krs_controls_take(&c, &id), KRS_OK);
    krs_control control = krs_controls_collect(&c, id);
    assert_false(control.is_granted || control.is_cancelled);
    assert_true(krs_controls_grant(&c, id, 3));
    assert_true(krs_controls_grant(&c, id, 4));
    control = krs_controls_collect(&c, id);
    assert_true(control.is_granted);
    assert_int_equal(control.n_granted, 7);
    control = krs_controls_collect(&c, id);
    assert_false(control.is_granted);
    assert_int_equal(control.n_granted, 0);
    assert_true(krs_controls_grant(&c, id, 0)); /* limits a stream to nothing */
    assert_true(krs_controls_collect(&c, id).is_granted);
    assert_true(krs_controls_grant(&c, id, UINT32_MAX));
    assert_true(krs_controls_grant(&c, id, UINT32_MAX));
    assert_int_equal(krs_controls_collect(&c, id).n_granted, KRS_CREDIT_UNLIMITED - 1);
    assert_true(krs_controls_cancel(&c, id));
    assert_true(krs_controls_collect(&c, id).is_cancelled);
    assert_true(krs_controls_collect(&c, id).is_cancelled); /* that stays */
    krs_controls_give(&c, id);
    krs_controls_deinit(&c);
}

static void only_changed_slots_come_up_and_each_once(void **state)
{
    (void)state;
    krs_controls c;
    uint64_t ids[N_SLOTS];
    assert_int_equal(krs_controls_init(&c, N_SLOTS, NULL), KRS_OK);
    for (uint32_t i = 0; i < N_SLOTS; i++) {
        assert_int_equal(krs_controls_take(&c, &ids[i]), KRS_OK);
    }
    uint32_t slot = 0;
    assert_false(krs_controls_next(&c, &slot));
    const uint32_t changed[] = {0, 63, 64, 129};
    for (uint32_t i = 0; i < 4; i++) {
        assert_true(krs_controls_grant(&c, ids[changed[i]], 1));
        assert_true(krs_controls_cancel(&c, ids[changed[i]]));
    }
    for (uint32_t i = 0; i < 4; i++) {
        assert_true(krs_controls_next(&c, &slot));
        assert_int_equal(slot, krs_controls_slot(ids[changed[i]]));
        if (i == 1) { /* in the middle of a round: comes up in it or in the next */
            assert_true(krs_controls_cancel(&c, ids[5]));
        }
    }
    assert_false(krs_controls_next(&c, &slot));
    assert_true(krs_controls_next(&c, &slot));
    assert_int_equal(slot, krs_controls_slot(ids[5]));
    assert_false(krs_controls_next(&c, &slot));
    assert_false(krs_controls_next(&c, &slot));
    for (uint32_t i = 0; i < N_SLOTS; i++) {
        krs_controls_give(&c, ids[i]);
    }
    krs_controls_deinit(&c);
}

typedef struct granter {
    krs_controls *controls;
    uint64_t id;
} granter;

static void grant_many(void *arg)
{
    const granter *g = arg;
    for (uint32_t i = 0; i < N_GRANTS; i++) {
        (void)krs_controls_grant(g->controls, g->id, 1);
    }
}

/* Each of three threads grants to its own stream and all to the last; a fourth collects meanwhile. */
static void no_grant_is_lost_between_threads(void **state)
{
    (void)state;
    krs_controls c;
    granter granters[2 * N_THREADS];
    krs_os_thread *threads[2 * N_THREADS];
    uint64_t ids[N_THREADS + 1];
    assert_int_equal(krs_controls_init(&c, N_THREADS + 1, NULL), KRS_OK);
    for (uint32_t i = 0; i <= N_THREADS; i++) {
        assert_int_equal(krs_controls_take(&c, &ids[i]), KRS_OK);
    }
    for (uint32_t i = 0; i < 2 * N_THREADS; i++) {
        granters[i] = (granter){&c, ids[i < N_THREADS ? i : N_THREADS]};
        assert_int_equal(
            krs_os_thread_start("granter", grant_many, &granters[i], &threads[i], NULL), KRS_OK);
    }
    uint64_t n = 0;
    while (n < (uint64_t)2 * N_THREADS * N_GRANTS) {
        uint32_t slot = 0;
        while (krs_controls_next(&c, &slot)) {
            for (uint32_t i = 0; i <= N_THREADS; i++) {
                n += slot == krs_controls_slot(ids[i]) ? krs_controls_collect(&c, ids[i]).n_granted
                                                       : 0;
            }
        }
    }
    for (uint32_t i = 0; i < 2 * N_THREADS; i++) {
        krs_os_thread_join(threads[i]);
    }
    assert_int_equal(n, 2 * N_THREADS * N_GRANTS);
    for (uint32_t i = 0; i <= N_THREADS; i++) {
        assert_false(krs_controls_collect(&c, ids[i]).is_granted);
        krs_controls_give(&c, ids[i]);
    }
    krs_controls_deinit(&c);
}

static krs_status make_and_drop(const krs_alloc *alloc, void *ctx)
{
    (void)ctx;
    krs_controls c;
    const krs_status status = krs_controls_init(&c, 100, alloc);
    if (status == KRS_OK) {
        krs_controls_deinit(&c);
    }
    return status;
}

static void running_out_of_memory_leaks_nothing(void **state)
{
    (void)state;
    assert_true(krs_oom_sweep(make_and_drop, NULL) > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_lives_until_it_is_given_back),
        cmocka_unit_test(grants_add_up_until_they_are_collected),
        cmocka_unit_test(only_changed_slots_come_up_and_each_once),
        cmocka_unit_test(no_grant_is_lost_between_threads),
        cmocka_unit_test(running_out_of_memory_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
