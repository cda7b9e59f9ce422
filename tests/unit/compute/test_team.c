/* The team: every thread runs each task exactly once, before run returns, whether it was spinning or
 * asleep; shares cover everything once; a thread that cannot start is an error that leaks nothing. */
#include "compute/cpu/team.h"

#include "base/fault.h"
#include "os/clock.h"
#include "support/cmocka.h"

#include <string.h>

#define MAX_THREADS 5
#define N_ITEMS     103

typedef struct tally {
    uint32_t n_runs[MAX_THREADS]; /* each written by its own thread only */
    uint32_t n_threads[MAX_THREADS];
    int64_t items[N_ITEMS];
} tally;

static void count_run(void *arg, uint32_t index, uint32_t n_threads)
{
    tally *t = arg;
    t->n_runs[index]++;
    t->n_threads[index] = n_threads;
    int64_t begin;
    int64_t end;
    krs_cpu_team_share(N_ITEMS, 4, index, n_threads, &begin, &end);
    for (int64_t i = begin; i < end; i++) {
        t->items[i]++;
    }
}

static void every_thread_runs_every_task_once_before_run_returns(void **state)
{
    (void)state;
    enum { N_RUNS = 500 };
    for (uint32_t n = 1; n <= MAX_THREADS; n++) {
        krs_cpu_team *team;
        tally t = {0};
        assert_int_equal(krs_cpu_team_new(n, NULL, &team, NULL), KRS_OK);
        assert_int_equal(krs_cpu_team_n_threads(team), n);
        for (uint32_t run = 1; run <= N_RUNS; run++) {
            krs_cpu_team_run(team, count_run, &t);
            /* Plain reads: the end of run orders them after the workers' writes. */
            for (uint32_t i = 0; i < n; i++) {
                assert_int_equal(t.n_runs[i], run);
                assert_int_equal(t.n_threads[i], n);
            }
        }
        for (int64_t i = 0; i < N_ITEMS; i++) {
            assert_int_equal(t.items[i], N_RUNS);
        }
        krs_cpu_team_free(team);
    }
}

static void sleeping_threads_wake_for_the_next_task(void **state)
{
    (void)state;
    krs_cpu_team *team;
    tally t = {0};
    assert_int_equal(krs_cpu_team_new(MAX_THREADS, NULL, &team, NULL), KRS_OK);
    for (uint32_t run = 1; run <= 20; run++) {
        krs_os_sleep_ns(20 * KRS_CPU_TEAM_SPIN_NS); /* long past the spinning */
        krs_cpu_team_run(team, count_run, &t);
        for (uint32_t i = 0; i < MAX_THREADS; i++) {
            assert_int_equal(t.n_runs[i], run);
        }
    }
    krs_cpu_team_free(team);
}

static void wait_long(void *arg, uint32_t index, uint32_t n_threads)
{
    tally *t = arg;
    (void)n_threads;
    if (index > 0) {
        krs_os_sleep_ns(4 * KRS_CPU_TEAM_SPIN_NS); /* the owner gives up spinning and sleeps */
    }
    t->n_runs[index]++;
}

static void the_owner_waits_for_a_slow_thread(void **state)
{
    (void)state;
    krs_cpu_team *team;
    tally t = {0};
    assert_int_equal(krs_cpu_team_new(3, NULL, &team, NULL), KRS_OK);
    for (uint32_t run = 1; run <= 50; run++) {
        krs_cpu_team_run(team, wait_long, &t);
        assert_int_equal(t.n_runs[1], run);
        assert_int_equal(t.n_runs[2], run);
    }
    krs_cpu_team_free(team);
}

static void shares_cover_everything_once_in_whole_grains(void **state)
{
    (void)state;
    for (int64_t n = 0; n < 70; n++) {
        for (int64_t grain = 1; grain <= 16; grain *= 4) {
            for (uint32_t n_threads = 1; n_threads < 9; n_threads++) {
                int64_t next = 0;
                for (uint32_t i = 0; i < n_threads; i++) {
                    int64_t begin;
                    int64_t end;
                    krs_cpu_team_share(n, grain, i, n_threads, &begin, &end);
                    assert_true(begin == next && end >= begin);
                    assert_true(begin % grain == 0 || begin == n);
                    next = end;
                }
                assert_int_equal(next, n);
            }
        }
    }
}

static void a_thread_that_cannot_start_fails_the_team(void **state)
{
    (void)state;
    for (uint32_t nth = 1; nth <= 3; nth++) {
        krs_cpu_team *team;
        krs_error err = KRS_ERROR_INIT;
        krs_fault_arm(KRS_FAULT_THREAD_START, nth);
        assert_int_equal(krs_cpu_team_new(4, NULL, &team, &err), KRS_EAGAIN);
        assert_null(team);
        assert_true(err.message[0] != '\0');
    }
    krs_fault_arm(KRS_FAULT_THREAD_START, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_thread_runs_every_task_once_before_run_returns),
        cmocka_unit_test(sleeping_threads_wake_for_the_next_task),
        cmocka_unit_test(the_owner_waits_for_a_slow_thread),
        cmocka_unit_test(shares_cover_everything_once_in_whole_grains),
        cmocka_unit_test(a_thread_that_cannot_start_fails_the_team),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
