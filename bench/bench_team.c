/* bench/bench_team.c - what forking the cpu team costs: hot, between tasks, asleep, and on cores that
 * others want too.
 *
 *   bench_team [--threads N] [--forks N] [--beside N]
 *
 * A fork of 0 us tasks is nothing but the team: publish, wake, count down. Tasks of a few microseconds
 * with a gap between forks are a decode step, whose loss is the wall time less the tasks and gaps. The
 * tasks busy-wait on the clock, so their length is wall time: a thread that has lost its core pays
 * nothing but its late start. For what a team loses to others, fixed work in more and more shares, told in
 * multiples of its time alone: up to --beside threads of this process compute all the while.
 *
 * Medians and 99th percentiles of single forks, because the mean on a virtual machine is made by the few
 * forks in which the hypervisor took a core away. */
#define _POSIX_C_SOURCE 200809L
#include "compute/cpu/team.h"
#include "os/clock.h"
#include "os/cpu.h"
#include "os/thread.h"

#include <getopt.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_BESIDE 64
#define MAX_FORKS  1000000u
#define SLEEP_NS   (2 * KRS_NS_PER_MS) /* far past the spinning: everybody sleeps */
#define N_SLEEPS   200u
#define WORK_20_US 20000u /* turns of the fixed work that take about as long */
#define CROWD_US   1e6    /* of work per line of the crowd's table */
#define N_ALONE    100u

typedef struct settings {
    uint32_t n_threads;
    uint32_t n_forks;
    uint32_t n_beside;
} settings;

typedef struct load {
    krs_os_thread *threads[MAX_BESIDE];
    _Atomic bool is_over;
} load;

typedef struct task {
    uint64_t wait_ns;             /* busy-wait, or else */
    uint32_t n_turns;             /* work */
    _Atomic uint64_t n_done;      /* keeps the work from being dropped */
    _Atomic uint32_t n_tasks_run; /* every task counted: the bench checks the team, too */
} task;

static void die(const char *what)
{
    (void)fprintf(stderr, "bench_team: %s\n", what);
    exit(EXIT_FAILURE);
}

static void wait_ns(uint64_t n)
{
    const uint64_t end_ns = krs_os_now_ns() + n;
    while (krs_os_now_ns() < end_ns) {
    }
}

static uint64_t work(uint32_t n_turns)
{
    uint64_t x = n_turns;
    for (uint32_t i = 0; i < n_turns; i++) {
        x = x * UINT64_C(6364136223846793005) + i;
    }
    return x;
}

static void run_task(void *arg, uint32_t index, uint32_t n_threads)
{
    task *t = arg;
    (void)n_threads;
    if (t->wait_ns > 0) {
        wait_ns(t->wait_ns);
    } else if (t->n_turns > 0) {
        atomic_fetch_add_explicit(&t->n_done, work(t->n_turns), memory_order_relaxed);
    }
    if (index == 1) {
        atomic_fetch_add_explicit(&t->n_tasks_run, 1, memory_order_relaxed);
    }
}

static int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a;
    const uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

typedef struct figures {
    double p10_us;
    double median_us;
    double p99_us;
    double mean_us;
} figures;

static figures figures_of(uint64_t *ns, uint32_t n)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        sum += ns[i];
    }
    qsort(ns, n, sizeof(*ns), by_value);
    return (figures){(double)ns[n / 10] * 1e-3, (double)ns[n / 2] * 1e-3,
                     (double)ns[n - 1 - n / 100] * 1e-3, (double)sum * 1e-3 / n};
}

/* n forks of t, gap_ns of the owner's own work or (sleeps) of sleep before each. */
static figures time_forks(krs_cpu_team *team, task *t, uint32_t n, uint64_t gap_ns, bool sleeps,
                          uint64_t *ns)
{
    for (uint32_t i = 0; i < n; i++) {
        if (sleeps) {
            krs_os_sleep_ns(gap_ns);
        } else if (gap_ns > 0) {
            wait_ns(gap_ns);
        }
        const uint64_t start_ns = krs_os_now_ns();
        krs_cpu_team_run(team, run_task, t);
        ns[i] = krs_os_now_ns() - start_ns;
    }
    return figures_of(ns, n);
}

static void print_row(const char *name, figures f, double task_us)
{
    (void)printf("%-44s %8.2f %8.2f %8.2f %8.2f\n", name, f.p10_us - task_us, f.median_us - task_us,
                 f.p99_us - task_us, f.mean_us - task_us);
}

static void bench_costs(krs_cpu_team *team, const settings *set, uint64_t *ns)
{
    task empty = {.wait_ns = 0};
    task short_task = {.wait_ns = 20 * KRS_NS_PER_US};
    const uint32_t n = set->n_forks;
    (void)printf("%-44s %8s %8s %8s %8s\n", "us a fork beyond its tasks", "p10", "median", "p99",
                 "mean");
    (void)time_forks(team, &empty, n / 10 + 1, 0, false, ns);
    print_row("empty tasks, back to back", time_forks(team, &empty, n, 0, false, ns), 0);
    print_row("empty tasks, 5 us between forks",
              time_forks(team, &empty, n / 4 + 1, 5000, false, ns), 0);
    print_row("20 us tasks, 2 us between forks",
              time_forks(team, &short_task, n / 10 + 1, 2000, false, ns), 20);
    print_row("20 us tasks, 30 us between forks",
              time_forks(team, &short_task, n / 20 + 1, 30000, false, ns), 20);
    print_row("empty tasks, asleep",
              time_forks(team, &empty, n < N_SLEEPS ? n : N_SLEEPS, SLEEP_NS, true, ns), 0);
}

static void burn(void *arg)
{
    load *l = arg;
    uint64_t x = 0;
    while (!atomic_load_explicit(&l->is_over, memory_order_relaxed)) {
        x += work(WORK_20_US);
    }
    if (x == 0) {
        (void)fputs("", stderr); /* keeps x */
    }
}

/* Median time of n_turns of work on this thread alone, and nothing beside it. */
static double alone_us(uint32_t n_turns, uint64_t *ns)
{
    task t = {.n_turns = n_turns};
    for (uint32_t i = 0; i < N_ALONE; i++) {
        const uint64_t start_ns = krs_os_now_ns();
        run_task(&t, 0, 1);
        ns[i] = krs_os_now_ns() - start_ns;
    }
    return figures_of(ns, N_ALONE).median_us;
}

/* Forks of n_turns of work for each thread, cut into more and more shares. */
static void bench_work(krs_cpu_team *team, const settings *set, uint32_t n_turns, uint32_t beside,
                       uint64_t *ns)
{
    const double unit_us = alone_us(n_turns, ns);
    const uint32_t n_forks = (uint32_t)(CROWD_US / unit_us);
    for (uint32_t per_thread = 1; per_thread <= 8; per_thread *= 2) {
        task t = {.n_turns = n_turns / per_thread};
        for (uint32_t i = 0; i < n_forks; i++) {
            const uint64_t start_ns = krs_os_now_ns();
            krs_cpu_team_run_shares(team, per_thread * set->n_threads, run_task, &t);
            ns[i] = krs_os_now_ns() - start_ns;
        }
        const figures f = figures_of(ns, n_forks);
        (void)printf("%5.0f us a thread in %u shares, %u beside %9s %8.2f %8.2f %8.2f %8.2f\n",
                     unit_us, per_thread, beside, "", f.p10_us / unit_us, f.median_us / unit_us,
                     f.p99_us / unit_us, f.mean_us / unit_us);
    }
}

static void bench_crowd(krs_cpu_team *team, const settings *set, uint64_t *ns)
{
    load l = {.is_over = false};
    (void)printf("%-44s %8s %8s %8s %8s\n", "times of the work alone", "p10", "median", "p99",
                 "mean");
    for (uint32_t beside = 0; beside <= set->n_beside; beside++) {
        bench_work(team, set, WORK_20_US, beside, ns);
        bench_work(team, set, WORK_20_US * 50, beside, ns);
        if (beside < set->n_beside &&
            krs_os_thread_start("burn", burn, &l, &l.threads[beside], NULL) != KRS_OK) {
            die("no thread");
        }
    }
    atomic_store(&l.is_over, true);
    for (uint32_t i = 0; i < set->n_beside; i++) {
        krs_os_thread_join(l.threads[i]);
    }
}

static settings read_options(int argc, char **argv)
{
    static const struct option options[] = {{"threads", required_argument, NULL, 't'},
                                            {"forks", required_argument, NULL, 'f'},
                                            {"beside", required_argument, NULL, 'b'},
                                            {NULL, 0, NULL, 0}};
    settings set = {krs_os_cpu_count(), 100000, 2};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == '?') {
            exit(EXIT_FAILURE);
        }
        uint32_t *value = c == 't' ? &set.n_threads : c == 'f' ? &set.n_forks : &set.n_beside;
        *value = (uint32_t)strtoul(optarg, NULL, 10);
    }
    if (set.n_threads < 1 || set.n_threads > 512 || set.n_forks < 100000 ||
        set.n_forks > MAX_FORKS || set.n_beside > MAX_BESIDE) {
        die("want --threads 1..512, --forks 100000..1000000, --beside 0..64");
    }
    return set;
}

int main(int argc, char **argv)
{
    const settings set = read_options(argc, argv);
    krs_error err = KRS_ERROR_INIT;
    krs_cpu_team *team;
    uint64_t *ns = krs_alloc_array(NULL, set.n_forks, sizeof(*ns));
    if (!ns || krs_cpu_team_new(set.n_threads, NULL, &team, &err) != KRS_OK) {
        die(ns ? err.message : "out of memory");
    }
    (void)printf("%u threads, %u CPUs\n", set.n_threads, krs_os_cpu_count());
    bench_costs(team, &set, ns);
    bench_crowd(team, &set, ns);
    krs_cpu_team_free(team);
    krs_alloc_free(NULL, ns);
    return EXIT_SUCCESS;
}
