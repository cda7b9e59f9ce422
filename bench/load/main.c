/* bench/load/main.c - the load generator: keeps streams open, checks every byte, prints one JSON object.
 * See load.h for how, options.c for what it can be told. */
#define _GNU_SOURCE /* sched_setaffinity */
#include "load.h"
#include "os/clock.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#define MAX_EVENTS 256
#define TICK_MS    20
#define SAMPLE_MS  1000
#define SETTLE_MS  500 /* for the server to see that the last clients are gone */

static bool stay_on(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    return sched_setaffinity(0, sizeof(set), &set) == 0;
}

/* Every stream is a descriptor: ask for as many as may be. */
static void raise_fd_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static krs_status open_streams(load_run *run, krs_error *err)
{
    const load_options *o = run->options;
    run->streams = krs_alloc_array(NULL, o->n_streams, sizeof(*run->streams));
    run->poller = epoll_create1(EPOLL_CLOEXEC);
    if (!run->streams || run->poller < 0) {
        return krs_fail(err, KRS_ENOMEM, "no memory for %u streams", o->n_streams);
    }
    uint32_t tenant = 0;
    uint32_t left = o->tenants[0].n_streams;
    for (uint32_t i = 0; i < o->n_streams; i++) {
        while (left == 0) {
            left = o->tenants[++tenant].n_streams;
        }
        left--;
        load_stream *s = &run->streams[i];
        s->fd = -1;
        s->index = i;
        s->tenant = tenant;
        s->is_pauser = i < o->n_paused;
        s->random = o->seed * UINT64_C(1000003) + i;
        load_answer_init(&s->answer);
        krs_buf_init(&s->request, NULL, LOAD_ANSWER_MAX_BYTES);
        krs_buf_init(&s->text, NULL, 4u * LOAD_ANSWER_MAX_BYTES);
    }
    return KRS_OK;
}

static void close_streams(load_run *run)
{
    for (uint32_t i = 0; run->streams && i < run->options->n_streams; i++) {
        load_stream *s = &run->streams[i];
        if (s->fd >= 0) {
            (void)close(s->fd);
        }
        load_answer_deinit(&s->answer);
        krs_buf_deinit(&s->request);
        krs_buf_deinit(&s->text);
    }
    krs_alloc_free(NULL, run->streams);
    if (run->poller >= 0) {
        (void)close(run->poller);
    }
}

static void note_costs(load_run *run, int i)
{
    const int pid = run->options->server_pid;
    run->cpu_ns[i] = pid > 0 ? load_cpu_ns(pid) : 0;
    run->n_threads[i] = pid > 0 ? load_thread_cpus(pid, run->threads[i], LOAD_MAX_THREADS) : 0;
    run->own_cpu_ns[i] = load_cpu_ns(0);
}

static void sample(load_run *run)
{
    const int pid = run->options->server_pid;
    if (pid > 0 && run->now_ns >= run->measure_ns && run->now_ns < run->stop_ns) {
        const double seconds = (double)(run->now_ns - run->measure_ns) / 1e9;
        load_trend_add(&run->rss, seconds, (double)load_rss_bytes(pid));
    }
}

static bool is_busy(const load_run *run)
{
    bool is_any = false;
    for (uint32_t i = 0; i < run->options->n_streams && !is_any; i++) {
        is_any = run->streams[i].state != LOAD_IDLE;
    }
    return is_any;
}

static void poll_once(load_run *run, uint64_t tick_ns)
{
    struct epoll_event events[MAX_EVENTS];
    const uint64_t now = krs_os_now_ns();
    const int wait_ms = now >= tick_ns ? 0 : (int)((tick_ns - now) / KRS_NS_PER_MS) + 1;
    const int n = epoll_wait(run->poller, events, MAX_EVENTS, wait_ms);
    for (int i = 0; i < n; i++) {
        run->now_ns = krs_os_now_ns(); /* each event has its own time: reading takes some */
        load_stream *s = events[i].data.ptr;
        load_stream_ready(run, s, events[i].events);
        if (s->state == LOAD_IDLE) {
            load_stream_tick(run, s);
        }
    }
    run->now_ns = krs_os_now_ns();
}

/* Where a run is: warming up, measuring, letting the last answers end. */
typedef struct phase {
    bool has_begun;
    bool has_stopped;
    uint64_t tick_ns;   /* when to look at every stream's clock next */
    uint64_t sample_ns; /* when to look at the server's memory next */
} phase;

static krs_status change_phase(load_run *run, phase *p, krs_error *err)
{
    if (!p->has_begun && run->now_ns >= run->measure_ns) {
        p->has_begun = true;
        const krs_status status = load_metrics_fetch(run->options, &run->metrics[0], err);
        note_costs(run, 0);
        return status;
    }
    if (!p->has_stopped && run->now_ns >= run->stop_ns) {
        p->has_stopped = true;
        note_costs(run, 1);
        return load_metrics_fetch(run->options, &run->metrics[1], err);
    }
    return KRS_OK;
}

static void tick(load_run *run, phase *p)
{
    if (run->now_ns >= p->sample_ns) {
        sample(run);
        p->sample_ns = run->now_ns + SAMPLE_MS * KRS_NS_PER_MS;
    }
    if (run->now_ns >= p->tick_ns) {
        for (uint32_t i = 0; i < run->options->n_streams; i++) {
            load_stream_tick(run, &run->streams[i]);
        }
        p->tick_ns = run->now_ns + TICK_MS * KRS_NS_PER_MS;
    }
}

static krs_status drive(load_run *run, krs_error *err)
{
    const uint64_t end_ns = run->stop_ns + run->options->drain_s * KRS_NS_PER_S;
    phase p = {.tick_ns = run->now_ns, .sample_ns = run->now_ns};
    krs_status status = KRS_OK;
    while (status == KRS_OK && run->now_ns < end_ns && (!p.has_stopped || is_busy(run))) {
        status = change_phase(run, &p, err);
        tick(run, &p);
        poll_once(run, p.tick_ns);
    }
    for (uint32_t i = 0; i < run->options->n_streams; i++) {
        run->counts.errors[LOAD_ERROR_TIMEOUT] += run->streams[i].state != LOAD_IDLE;
    }
    return status;
}

/* Hang up, give the server a moment, and see what it still holds. */
static krs_status settle(load_run *run, krs_error *err)
{
    const int pid = run->options->server_pid;
    for (uint32_t i = 0; i < run->options->n_streams; i++) {
        if (run->streams[i].fd >= 0) {
            (void)close(run->streams[i].fd);
            run->streams[i].fd = -1;
        }
    }
    krs_os_sleep_ns(SETTLE_MS * KRS_NS_PER_MS);
    run->fds[1] = pid > 0 ? load_n_fds(pid) : 0;
    return load_metrics_fetch(run->options, &run->metrics[2], err);
}

static krs_status run_all(load_run *run, krs_error *err)
{
    const load_options *o = run->options;
    krs_status status = load_work_new(o, &run->work, err);
    if (status == KRS_OK) {
        run->fds[0] = o->server_pid > 0 ? load_n_fds(o->server_pid) : 0;
        status = open_streams(run, err);
    }
    if (status == KRS_OK) {
        run->now_ns = run->start_ns = krs_os_now_ns();
        run->measure_ns = run->start_ns + o->warmup_s * KRS_NS_PER_S;
        run->stop_ns = run->start_ns + o->seconds * KRS_NS_PER_S;
        status = drive(run, err);
    }
    return status == KRS_OK ? settle(run, err) : status;
}

int main(int argc, char **argv)
{
    load_options options;
    const int code = load_options_read(argc, argv, &options);
    if (code >= 0) {
        return code;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    raise_fd_limit();
    if (options.cpu >= 0 && !stay_on(options.cpu)) {
        (void)fprintf(stderr, "bench_load: there is no CPU %d\n", options.cpu);
        return 2;
    }
    krs_error err = KRS_ERROR_INIT;
    static load_run run; /* histograms: too large for a stack */
    run.options = &options;
    run.poller = -1;
    krs_status status = run_all(&run, &err);
    uint64_t n_errors = 0;
    for (int i = 0; i < LOAD_ERROR_COUNT; i++) {
        n_errors += run.counts.errors[i];
    }
    if (status == KRS_OK) {
        status = load_report(&run);
    }
    if (status == KRS_OK) {
        status = load_work_save(run.work, &err);
    }
    close_streams(&run);
    load_work_free(run.work);
    if (status != KRS_OK) {
        (void)fprintf(stderr, "bench_load: %s\n", err.message);
    }
    return status != KRS_OK || n_errors > 0 ? 1 : 0;
}
