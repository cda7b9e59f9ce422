/* base/ring: order, fullness, wrap-round, and two threads that never lose or tear an item. */
#include "base/ring.h"
#include "support/cmocka.h"

#include <pthread.h>
#include <sched.h>

#define N_ITEMS 200000u

/* Wide enough that a torn copy shows. */
typedef struct item {
    uint64_t number;
    uint64_t twice;
    uint64_t again;
} item;

static void keeps_order_and_knows_full_and_empty(void **state)
{
    (void)state;
    krs_ring ring;
    assert_int_equal(krs_ring_init(&ring, NULL, 5, sizeof(int)), KRS_OK); /* becomes 8 */
    int out = 0;
    assert_false(krs_ring_pop(&ring, &out));
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 8; i++) {
            assert_true(krs_ring_push(&ring, &(int){i * 10}));
        }
        assert_false(krs_ring_push(&ring, &(int){99}));
        assert_int_equal(krs_ring_count(&ring), 8);
        for (int i = 0; i < 8; i++) {
            assert_true(krs_ring_pop(&ring, &out));
            assert_int_equal(out, i * 10);
        }
        assert_false(krs_ring_pop(&ring, &out));
        assert_true(krs_ring_push(&ring, &(int){1})); /* so the next round starts elsewhere */
        assert_true(krs_ring_pop(&ring, &out));
    }
    krs_ring_deinit(&ring);
}

static void indices_may_pass_2_to_the_32(void **state)
{
    (void)state;
    krs_ring ring;
    assert_int_equal(krs_ring_init(&ring, NULL, 4, sizeof(int)), KRS_OK);
    atomic_store(&ring.head, UINT32_MAX - 1);
    atomic_store(&ring.tail, UINT32_MAX - 1);
    int out = 0;
    for (int i = 0; i < 4; i++) {
        assert_true(krs_ring_push(&ring, &(int){i}));
    }
    assert_false(krs_ring_push(&ring, &(int){4}));
    for (int i = 0; i < 4; i++) {
        assert_true(krs_ring_pop(&ring, &out));
        assert_int_equal(out, i);
    }
    assert_false(krs_ring_pop(&ring, &out));
    krs_ring_deinit(&ring);
}

static void bad_sizes_are_refused(void **state)
{
    (void)state;
    krs_ring ring;
    assert_int_equal(krs_ring_init(&ring, NULL, 0, 1), KRS_EINVAL);
    assert_int_equal(krs_ring_init(&ring, NULL, KRS_RING_MAX_ITEMS + 1, 1), KRS_EINVAL);
    assert_int_equal(krs_ring_init(&ring, NULL, 4, 0), KRS_EINVAL);
    assert_int_equal(krs_ring_init(&ring, NULL, 4, SIZE_MAX / 2), KRS_ENOMEM);
}

static void *push_all(void *arg)
{
    krs_ring *ring = arg;
    for (uint64_t i = 1; i <= N_ITEMS; i++) {
        const item one = {i, 2 * i, i};
        while (!krs_ring_push(ring, &one)) {
            (void)sched_yield();
        }
    }
    return NULL;
}

static void two_threads_pass_every_item_whole_and_in_order(void **state)
{
    (void)state;
    krs_ring ring;
    assert_int_equal(krs_ring_init(&ring, NULL, 16, sizeof(item)), KRS_OK);
    pthread_t pusher;
    assert_int_equal(pthread_create(&pusher, NULL, push_all, &ring), 0);
    for (uint64_t want = 1; want <= N_ITEMS;) {
        item got;
        if (!krs_ring_pop(&ring, &got)) {
            (void)sched_yield();
            continue;
        }
        if (got.number != want || got.twice != 2 * want || got.again != want) {
            fail_msg("item %llu came as %llu, %llu, %llu", (unsigned long long)want,
                     (unsigned long long)got.number, (unsigned long long)got.twice,
                     (unsigned long long)got.again);
        }
        want++;
    }
    assert_int_equal(pthread_join(pusher, NULL), 0);
    assert_int_equal(krs_ring_count(&ring), 0);
    krs_ring_deinit(&ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_order_and_knows_full_and_empty),
        cmocka_unit_test(indices_may_pass_2_to_the_32),
        cmocka_unit_test(bad_sizes_are_refused),
        cmocka_unit_test(two_threads_pass_every_item_whole_and_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
