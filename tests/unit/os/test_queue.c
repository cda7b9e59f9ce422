/* os/queue, os/thread, os/wake: messages move once, full and closed are answers, naps end. */
#include "base/fault.h"
#include "os/clock.h"
#include "os/queue.h"
#include "os/thread.h"
#include "os/wake.h"
#include "support/cmocka.h"

#include <stdatomic.h>
#include <string.h>

#define N_PRODUCERS 3
#define N_CONSUMERS 2
#define N_EACH      5000u

static krs_os_queue *queue_of(uint32_t max_items)
{
    krs_os_queue *queue = NULL;
    assert_int_equal(krs_os_queue_new(max_items, NULL, &queue), KRS_OK);
    return queue;
}

static void full_is_an_answer_and_order_is_kept(void **state)
{
    (void)state;
    krs_os_queue *queue = queue_of(2);
    int items[3] = {0, 1, 2};
    void *out = NULL;
    assert_int_equal(krs_os_queue_try_pop(queue, &out), KRS_EAGAIN);
    assert_int_equal(krs_os_queue_push(queue, &items[0]), KRS_OK);
    assert_int_equal(krs_os_queue_push(queue, &items[1]), KRS_OK);
    assert_int_equal(krs_os_queue_push(queue, &items[2]), KRS_EBUSY);
    assert_int_equal(krs_os_queue_count(queue), 2);
    assert_int_equal(krs_os_queue_try_pop(queue, &out), KRS_OK);
    assert_ptr_equal(out, &items[0]);
    assert_int_equal(krs_os_queue_push(queue, &items[2]), KRS_OK);
    assert_int_equal(krs_os_queue_pop(queue, UINT64_MAX, &out), KRS_OK);
    assert_ptr_equal(out, &items[1]);
    assert_int_equal(krs_os_queue_pop(queue, 0, &out), KRS_OK); /* no wait needed */
    assert_ptr_equal(out, &items[2]);
    krs_os_queue_free(queue);
    krs_os_queue_free(NULL);
    assert_int_equal(krs_os_queue_new(0, NULL, &queue), KRS_EINVAL);
    assert_int_equal(krs_os_queue_new((1u << 24) + 1, NULL, &queue), KRS_EINVAL);
    assert_null(queue);
}

static void a_closed_queue_gives_what_is_inside_then_ends(void **state)
{
    (void)state;
    krs_os_queue *queue = queue_of(4);
    int item = 0;
    void *out = NULL;
    assert_int_equal(krs_os_queue_push(queue, &item), KRS_OK);
    krs_os_queue_close(queue);
    assert_int_equal(krs_os_queue_push(queue, &item), KRS_EUNAVAILABLE);
    assert_int_equal(krs_os_queue_pop(queue, UINT64_MAX, &out), KRS_OK);
    assert_int_equal(krs_os_queue_pop(queue, UINT64_MAX, &out), KRS_EEOF);
    assert_int_equal(krs_os_queue_try_pop(queue, &out), KRS_EEOF);
    krs_os_queue_free(queue);
}

static void a_deadline_ends_the_wait(void **state)
{
    (void)state;
    krs_os_queue *queue = queue_of(4);
    void *out = NULL;
    const uint64_t deadline = krs_os_now_ns() + 5 * KRS_NS_PER_MS;
    assert_int_equal(krs_os_queue_pop(queue, deadline, &out), KRS_EAGAIN);
    assert_true(krs_os_now_ns() >= deadline);
    krs_os_queue_free(queue);
}

typedef struct traffic {
    krs_os_queue *queue;
    _Atomic uint64_t sum;
    _Atomic uint32_t n_popped;
    _Atomic uint32_t n_ended;
} traffic;

static void produce(void *arg)
{
    traffic *t = arg;
    for (uintptr_t i = 1; i <= N_EACH; i++) {
        while (krs_os_queue_push(t->queue, (void *)i) == KRS_EBUSY) {
            krs_os_sleep_ns(1000);
        }
    }
}

static void consume(void *arg)
{
    traffic *t = arg;
    void *item;
    while (krs_os_queue_pop(t->queue, UINT64_MAX, &item) == KRS_OK) {
        atomic_fetch_add(&t->sum, (uint64_t)(uintptr_t)item);
        atomic_fetch_add(&t->n_popped, 1);
    }
    atomic_fetch_add(&t->n_ended, 1);
}

static void many_threads_move_every_message_once(void **state)
{
    (void)state;
    traffic t = {.queue = queue_of(16)};
    krs_os_thread *producers[N_PRODUCERS];
    krs_os_thread *consumers[N_CONSUMERS];
    for (int i = 0; i < N_CONSUMERS; i++) {
        assert_int_equal(krs_os_thread_start("consumer", consume, &t, &consumers[i], NULL), KRS_OK);
    }
    for (int i = 0; i < N_PRODUCERS; i++) {
        assert_int_equal(krs_os_thread_start("producer", produce, &t, &producers[i], NULL), KRS_OK);
    }
    for (int i = 0; i < N_PRODUCERS; i++) {
        krs_os_thread_join(producers[i]);
    }
    krs_os_queue_close(t.queue); /* wakes the consumers that sleep */
    for (int i = 0; i < N_CONSUMERS; i++) {
        krs_os_thread_join(consumers[i]);
    }
    assert_int_equal(atomic_load(&t.n_popped), N_PRODUCERS * N_EACH);
    assert_int_equal(atomic_load(&t.sum), (uint64_t)N_PRODUCERS * N_EACH * (N_EACH + 1) / 2);
    assert_int_equal(atomic_load(&t.n_ended), N_CONSUMERS);
    krs_os_queue_free(t.queue);
}

static void nothing(void *arg)
{
    (void)arg;
}

static void a_thread_that_cannot_start_is_a_status(void **state)
{
    (void)state;
    krs_error err = KRS_ERROR_INIT;
    krs_os_thread *thread = NULL;
    krs_fault_arm(KRS_FAULT_THREAD_START, 1);
    assert_int_equal(krs_os_thread_start("engine", nothing, NULL, &thread, &err), KRS_EAGAIN);
    assert_null(thread);
    assert_non_null(strstr(err.message, "engine"));
    krs_os_thread_join(NULL);
}

static void raise_late(void *arg)
{
    krs_os_wake_raise(arg);
    krs_os_wake_raise(arg);
}

static void a_wake_ends_a_wait_and_collapses(void **state)
{
    (void)state;
    krs_os_wake wake;
    krs_os_wake other;
    assert_int_equal(krs_os_wake_open(&wake, NULL), KRS_OK);
    assert_int_equal(krs_os_wake_open(&other, NULL), KRS_OK);
    const int fds[2] = {other.fd, wake.fd};
    assert_int_equal(krs_os_wait_readable(fds, 2, 0), -1);
    krs_os_thread *thread;
    assert_int_equal(krs_os_thread_start("raiser", raise_late, &wake, &thread, NULL), KRS_OK);
    assert_int_equal(krs_os_wait_readable(fds, 2, -1), 1);
    krs_os_thread_join(thread);
    krs_os_wake_clear(&wake);
    assert_int_equal(krs_os_wait_readable(fds, 2, 0), -1); /* two raises were one wake */
    krs_os_wake_close(&wake);
    krs_os_wake_close(&wake);
    krs_os_wake_close(&other);
    assert_int_equal(wake.fd, -1);
}

static void clocks_go_forward(void **state)
{
    (void)state;
    const uint64_t before = krs_os_now_ns();
    krs_os_sleep_ns(KRS_NS_PER_MS);
    assert_true(krs_os_now_ns() >= before + KRS_NS_PER_MS);
    assert_true(krs_os_wall_ns() > UINT64_C(1700000000) * KRS_NS_PER_S); /* after 2023 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_is_an_answer_and_order_is_kept),
        cmocka_unit_test(a_closed_queue_gives_what_is_inside_then_ends),
        cmocka_unit_test(a_deadline_ends_the_wait),
        cmocka_unit_test(many_threads_move_every_message_once),
        cmocka_unit_test(a_thread_that_cannot_start_is_a_status),
        cmocka_unit_test(a_wake_ends_a_wait_and_collapses),
        cmocka_unit_test(clocks_go_forward),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
