/* The team: every share of each task runs exactly once, before run returns, whether threads were spinning,
 * asleep or busy with a share; the shares of a thread that is held up are run by others; a thread that
 * cannot start is an error that leaks nothing. */
#include "compute/cpu/team.h"

#include "base/fault.h"
#include "os/clock.h"
#include "os/cpu.h"
#include "support/cmocka.h"

#include <stdatomic.h>
#include <string.h>

#define MAX_THREADS 5
#define MAX_SHARES  40
#define N_ITEMS     103

typedef struct tally {
    uint32_t n_runs[MAX_SHARES]; /* plain: two threads in one share would be a race */
    uint32_t n_shares[MAX_SHARES];
    int64_t items[N_ITEMS];
} tally;

static void count_run(void *arg, uint32_t index, uint32_t n_shares)
{
    tally *t = arg;
    t->n_runs[index]++;
    t->n_shares[index] = n_shares;
    int64_t begin;
    int64_t end;
    krs_cpu_team_share(N_ITEMS, 4, index, n_shares, &begin, &end);
    for (int64_t i = begin; i < end; i++) {
        t->items[i]++;
    }
}

static void every_share_of_every_task_runs_once_before_run_returns(void **state)
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
                assert_int_equal(t.n_shares[i], n);
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

static void shares_may_be_fewer_or_more_than_threads(void **state)
{
    (void)state;
    for (uint32_t n_threads = 1; n_threads <= MAX_THREADS; n_threads++) {
        krs_cpu_team *team;
        assert_int_equal(krs_cpu_team_new(n_threads, NULL, &team, NULL), KRS_OK);
        for (uint32_t n = 1; n <= MAX_SHARES; n++) {
            tally t = {0};
            krs_cpu_team_run_shares(team, n, count_run, &t);
            for (uint32_t i = 0; i < MAX_SHARES; i++) {
                assert_int_equal(t.n_runs[i], i < n);
                assert_int_equal(t.n_shares[i], i < n ? n : 0);
            }
            for (int64_t i = 0; i < N_ITEMS; i++) {
                assert_int_equal(t.items[i], 1);
            }
        }
        krs_cpu_team_free(team);
    }
}

typedef struct held_up {
    _Atomic uint32_t n_done;
    uint32_t held; /* the share that ends last */
} held_up;

/* Shares must not wait for each other, but this one does: only if somebody else runs what lies behind it
 * in its thread's lane does it ever return. */
static void wait_in_one_share(void *arg, uint32_t index, uint32_t n_shares)
{
    held_up *h = arg;
    while (index == h->held && atomic_load(&h->n_done) + 1 < n_shares) {
        krs_os_sleep_ns(KRS_NS_PER_US);
    }
    atomic_fetch_add(&h->n_done, 1);
}

static void a_thread_held_up_holds_up_only_the_share_it_began(void **state)
{
    (void)state;
    enum { N_SHARES = 12 };
    for (uint32_t n_threads = 2; n_threads <= 4; n_threads++) {
        krs_cpu_team *team;
        assert_int_equal(krs_cpu_team_new(n_threads, NULL, &team, NULL), KRS_OK);
        for (uint32_t run = 0; run < 10 * N_SHARES; run++) {
            held_up h = {.n_done = 0, .held = run % N_SHARES};
            krs_cpu_team_run_shares(team, N_SHARES, wait_in_one_share, &h);
            assert_int_equal(atomic_load(&h.n_done), N_SHARES);
        }
        krs_cpu_team_free(team);
    }
}

static uint32_t next_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*seed >> 33);
}

typedef struct mixed {
    tally tally;
    uint32_t slow; /* shares whose index it divides take long */
} mixed;

static void count_slowly(void *arg, uint32_t index, uint32_t n_shares)
{
    mixed *m = arg;
    if (index % m->slow == 0) {
        krs_os_sleep_ns(m->slow * KRS_NS_PER_US);
    }
    count_run(&m->tally, index, n_shares);
}

/* Threads arrive late, find the next fork or the one after, sleep and wake in every order. */
static void random_forks_lose_and_repeat_nothing(void **state)
{
    (void)state;
    uint64_t seed = krs_os_now_ns();
    print_message("seed %llu\n", (unsigned long long)seed);
    for (int round = 0; round < 12; round++) {
        krs_cpu_team *team;
        mixed m = {.slow = 1};
        uint32_t n_forks[MAX_SHARES] = {0};
        const uint32_t n_threads = 2 + next_random(&seed) % 8;
        assert_int_equal(krs_cpu_team_new(n_threads, NULL, &team, NULL), KRS_OK);
        for (int fork = 0; fork < 200; fork++) {
            const uint32_t n = 1 + next_random(&seed) % MAX_SHARES;
            m.slow = 1 + next_random(&seed) % (2 * MAX_SHARES);
            if (next_random(&seed) % 32 == 0) {
                krs_os_sleep_ns(next_random(&seed) % (2 * KRS_CPU_TEAM_SPIN_NS));
            }
            krs_cpu_team_run_shares(team, n, m.slow > MAX_SHARES ? count_run : count_slowly, &m);
            for (uint32_t i = 0; i < MAX_SHARES; i++) {
                n_forks[i] += i < n;
                assert_int_equal(m.tally.n_runs[i], n_forks[i]);
            }
        }
        krs_cpu_team_free(team);
    }
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

static void a_pinned_team_works_and_a_short_list_pins_nobody(void **state)
{
    (void)state;
    uint32_t cpus[KRS_OS_MAX_CPUS];
    const uint32_t n = krs_os_allowed_cpus(cpus, KRS_OS_MAX_CPUS);
    krs_cpu_team *team;
    tally t = {0};
    assert_int_equal(krs_cpu_team_new(n + 1 > 5 ? 5 : n + 1, NULL, &team, NULL), KRS_OK);
    assert_false(krs_cpu_team_pin(team, cpus, krs_cpu_team_n_threads(team) - 1));
    uint32_t last[5]; /* more threads than CPUs, perhaps: all on the last one */
    for (uint32_t i = 0; i < 5; i++) {
        last[i] = cpus[n - 1];
    }
    assert_true(krs_cpu_team_pin(team, last, 5));
    for (uint32_t run = 1; run <= 20; run++) {
        krs_cpu_team_run(team, count_run, &t);
        for (uint32_t i = 0; i < krs_cpu_team_n_threads(team); i++) {
            assert_int_equal(t.n_runs[i], run);
        }
    }
    krs_cpu_team_free(team);
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
        cmocka_unit_test(every_share_of_every_task_runs_once_before_run_returns),
        cmocka_unit_test(sleeping_threads_wake_for_the_next_task),
        cmocka_unit_test(the_owner_waits_for_a_slow_thread),
        cmocka_unit_test(shares_may_be_fewer_or_more_than_threads),
        cmocka_unit_test(a_thread_held_up_holds_up_only_the_share_it_began),
        cmocka_unit_test(random_forks_lose_and_repeat_nothing),
        cmocka_unit_test(shares_cover_everything_once_in_whole_grains),
        cmocka_unit_test(a_pinned_team_works_and_a_short_list_pins_nobody),
        cmocka_unit_test(a_thread_that_cannot_start_fails_the_team),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
