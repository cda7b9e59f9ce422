/* os/park: no sleep on a word that has changed, and no wake-up lost when it changes. */
#include "os/park.h"
#include "os/thread.h"
#include "support/cmocka.h"

#include <stdatomic.h>

static void a_word_that_has_changed_is_not_slept_on(void **state)
{
    (void)state;
    const _Atomic uint32_t word = 7;
    krs_os_park(&word, 6); /* would sleep for ever */
    krs_os_unpark(&word, 1);
}

typedef struct turns {
    _Atomic uint32_t word; /* even: the test's turn, odd: the other thread's */
    uint32_t n_taken;      /* plain: the word orders it */
} turns;

enum { N_TURNS = 2000 };

static void wait_while(turns *t, uint32_t seen)
{
    while (atomic_load(&t->word) == seen) {
        krs_os_park(&t->word, seen);
    }
}

static void answer_turns(void *arg)
{
    turns *t = arg;
    for (uint32_t i = 0; i < N_TURNS; i++) {
        wait_while(t, 2 * i);
        t->n_taken++;
        atomic_store(&t->word, 2 * i + 2);
        krs_os_unpark(&t->word, 1);
    }
}

static void two_threads_take_turns_and_lose_none(void **state)
{
    (void)state;
    turns t = {.word = 0};
    krs_os_thread *thread = NULL;
    assert_int_equal(krs_os_thread_start("turns", answer_turns, &t, &thread, NULL), 0);
    for (uint32_t i = 0; i < N_TURNS; i++) {
        assert_int_equal(t.n_taken, i);
        atomic_store(&t.word, 2 * i + 1);
        krs_os_unpark(&t.word, 1);
        wait_while(&t, 2 * i + 1);
    }
    krs_os_thread_join(thread);
    assert_int_equal(t.n_taken, N_TURNS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_word_that_has_changed_is_not_slept_on),
        cmocka_unit_test(two_threads_take_turns_and_lose_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
