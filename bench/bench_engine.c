/* bench/bench_engine.c - what a token costs beside the device: planning, choosing, text, delivery.
 *
 *     bench_engine MODEL [TOKENS [ROUNDS]]
 *
 * For 1, 32 and 256 streams: every stream answers TOKENS tokens, together, into a sink that copies the
 * text as a front end would. The engine's own metrics give device, choosing and overhead of every step;
 * the sums over the steps in which all streams took part, divided by tokens, are the costs of a token.
 * Throughput is tokens over the time of those steps, beside the device alone: what `krs bench` measures.
 *
 * Then pairs that take turns in one process, so that a busy machine disturbs both alike: steps of 32
 * streams with metrics and without, and steps of 16 streams alone and beside 16 whose readers take nothing.
 * The time between two deliveries differs by what metrics cost, or by what paused neighbours cost. */
#include "engine/engine.h"
#include "os/clock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_STREAMS    256
#define MAX_STEPS      4096
#define DEFAULT_TOKENS 256
#define DEFAULT_ROUNDS 5
#define PROMPT_TOKENS  16
#define N_PAUSED       16  /* readers that take nothing, of 32 streams */
#define COPY_BYTES     256 /* of a token's text and ids, for each stream */

typedef struct listener {
    uint32_t n_streams;
    uint64_t last_ns;
    uint64_t gaps_ns[MAX_STEPS]; /* between deliveries to everybody */
    uint32_t n_gaps;
    char copy[MAX_STREAMS][COPY_BYTES];
    _Atomic uint32_t n_ended;
} listener;

typedef struct totals {
    uint64_t n_steps;
    uint64_t n_tokens;
    uint64_t device_ns;
    uint64_t sampling_ns;
    uint64_t overhead_ns;
} totals;

/* As a front end does: the text is copied to the connection's buffer, and the thread is woken elsewhere. */
static void listen_to(void *ctx, const krs_stream_event *events, uint32_t n)
{
    listener *l = ctx;
    const uint64_t now_ns = krs_os_now_ns();
    uint32_t n_ended = 0;
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t stream = (uint32_t)(uintptr_t)events[i].user;
        const size_t n_bytes = events[i].text.len < COPY_BYTES ? events[i].text.len : COPY_BYTES;
        if (n_bytes > 0) {
            memcpy(l->copy[stream], events[i].text.ptr, n_bytes);
        }
        n_ended += events[i].is_end;
    }
    const bool is_full = n == l->n_streams && n_ended == 0;
    if (is_full && l->last_ns != 0 && l->n_gaps < MAX_STEPS) {
        l->gaps_ns[l->n_gaps++] = now_ns - l->last_ns;
    }
    l->last_ns = is_full ? now_ns : 0;
    (void)atomic_fetch_add(&l->n_ended, n_ended);
}

static krs_request *make_request(uint32_t stream, uint32_t n_tokens, bool is_greedy)
{
    krs_request *r = NULL;
    if (krs_request_new(NULL, &r) != KRS_OK) {
        return NULL;
    }
    uint32_t *ids = krs_arena_array(&r->arena, PROMPT_TOKENS, sizeof(*ids));
    for (uint32_t i = 0; ids && i < PROMPT_TOKENS; i++) {
        ids[i] = (stream * 31 + i * 7) % 1000;
    }
    r->prompt.kind = KRS_PROMPT_TOKENS;
    r->prompt.tokens = ids;
    r->prompt.n_tokens = ids ? PROMPT_TOKENS : 0;
    r->sampling.temperature = is_greedy ? 0.0 : 0.8;
    r->sampling.top_p = is_greedy ? 1.0 : 0.95;
    r->sampling.seed = stream;
    r->stopping.max_tokens = n_tokens;
    r->stopping.is_eos_ignored = true;
    return r;
}

static uint64_t sum_of(const krs_metrics *metrics, krs_metric metric, uint64_t *count)
{
    krs_histogram h;
    krs_metrics_read_histogram(metrics, metric, &h);
    if (count) {
        *count = h.count;
    }
    return h.sum;
}

static totals read_totals(const krs_metrics *metrics)
{
    totals t = {0};
    t.n_tokens = sum_of(metrics, KRS_METRIC_STEP_TOKENS, &t.n_steps);
    t.device_ns = sum_of(metrics, KRS_METRIC_STEP_DURATION, NULL);
    t.sampling_ns = sum_of(metrics, KRS_METRIC_STEP_SAMPLING, NULL);
    t.overhead_ns = sum_of(metrics, KRS_METRIC_STEP_OVERHEAD, NULL);
    return t;
}

/* Run n_streams to their ends. */
static bool run_round(krs_runtime *runtime, listener *l, uint32_t n_tokens, bool is_greedy)
{
    const krs_sink sink = {l, listen_to};
    atomic_store(&l->n_ended, 0);
    l->last_ns = 0;
    for (uint32_t i = 0; i < l->n_streams; i++) {
        krs_request *r = make_request(i, n_tokens, is_greedy);
        krs_error err = KRS_ERROR_INIT;
        uint64_t id = 0;
        if (!r || krs_runtime_open(runtime, r, &sink, (void *)(uintptr_t)i, &id, &err) != KRS_OK) {
            (void)fprintf(stderr, "bench_engine: %s\n", err.message);
            krs_request_free(r);
            return false;
        }
    }
    while (atomic_load(&l->n_ended) < l->n_streams) {
        krs_os_sleep_ns(KRS_NS_PER_MS);
    }
    return true;
}

static krs_runtime *open_engine(const char *dir, uint32_t n_streams, uint32_t n_tokens,
                                krs_metrics *metrics)
{
    krs_engine_options options = KRS_ENGINE_OPTIONS_INIT;
    krs_runtime *runtime = NULL;
    krs_error err = KRS_ERROR_INIT;
    const uint32_t context = PROMPT_TOKENS + n_tokens + 16;
    options.model_dir = dir;
    options.max_seqs = n_streams;
    options.max_waiting = MAX_STREAMS;
    options.max_context_tokens = context;
    options.kv_tokens = (uint64_t)n_streams * (context + 16);
    options.metrics = metrics;
    if (krs_engine_open(&options, &runtime, &err) != KRS_OK) {
        (void)fprintf(stderr, "bench_engine: %s\n", err.message);
    }
    return runtime;
}

static int compare(const void *a, const void *b)
{
    uint64_t x;
    uint64_t y;
    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return (x > y) - (x < y);
}

/* Sorts. */
static double quantile_us(listener *l, double q)
{
    qsort(l->gaps_ns, l->n_gaps, sizeof(l->gaps_ns[0]), compare);
    const uint32_t at = (uint32_t)(q * (l->n_gaps ? l->n_gaps - 1 : 0));
    return l->n_gaps ? (double)l->gaps_ns[at] / 1e3 : 0.0;
}

static bool measure(const char *dir, uint32_t n_streams, uint32_t n_tokens, bool is_greedy)
{
    static listener l;
    krs_metrics *metrics = NULL;
    memset(&l, 0, sizeof(l));
    l.n_streams = n_streams;
    if (krs_metrics_new(NULL, &metrics) != KRS_OK) {
        return false;
    }
    krs_runtime *runtime = open_engine(dir, n_streams, n_tokens, metrics);
    bool is_ok = runtime && run_round(runtime, &l, n_tokens, is_greedy); /* warm */
    const totals before = read_totals(metrics);
    l.n_gaps = 0;
    is_ok = is_ok && run_round(runtime, &l, n_tokens, is_greedy);
    const totals after = read_totals(metrics);
    krs_runtime_free(runtime);
    krs_metrics_free(metrics);
    if (!is_ok || after.n_tokens == before.n_tokens) {
        return false;
    }
    const double n = (double)(after.n_tokens - before.n_tokens);
    const double device = (double)(after.device_ns - before.device_ns) / n / 1e3;
    const double sampling = (double)(after.sampling_ns - before.sampling_ns) / n / 1e3;
    const double overhead = (double)(after.overhead_ns - before.overhead_ns) / n / 1e3;
    printf("%4u streams, %-8s  device %8.2f us/token, choosing %6.2f, overhead %6.2f;"
           " %9.0f tokens/s, %.3f of the device alone\n",
           n_streams, is_greedy ? "greedy" : "sampled", device, sampling, overhead,
           1e6 / (device + sampling + overhead), device / (device + sampling + overhead));
    return true;
}

/* Two ways to run a round, in turns and in changing order; the first round of each is not counted. */
typedef struct pair {
    listener *l; /* [2] */
    uint32_t n_tokens;
    void *ctx;
    bool (*run)(struct pair *pair, uint32_t which);
} pair;

static bool take_turns(pair *p, uint32_t n_rounds)
{
    bool is_ok = true;
    for (uint32_t round = 0; is_ok && round <= n_rounds; round++) {
        for (uint32_t i = 0; is_ok && i < 2; i++) {
            const uint32_t which = (i + round) % 2;
            is_ok = p->run(p, which);
            p->l[which].n_gaps = round == 0 ? 0 : p->l[which].n_gaps;
        }
    }
    return is_ok;
}

static void print_pair(const char *what, listener *l)
{
    const double without = quantile_us(&l[0], 0.5);
    const double with = quantile_us(&l[1], 0.5);
    const double tail[2] = {quantile_us(&l[0], 0.99), quantile_us(&l[1], 0.99)};
    printf("%s: median gap %.2f us without, %.2f us with: %+.2f %%; p99 %.2f us and %.2f us: %+.2f "
           "%%\n",
           what, without, with, 100.0 * (with - without) / without, tail[0], tail[1],
           100.0 * (tail[1] - tail[0]) / tail[0]);
}

static bool run_either(pair *p, uint32_t which)
{
    krs_runtime *const *runtimes = p->ctx;
    return run_round(runtimes[which], &p->l[which], p->n_tokens, true);
}

static bool compare_metrics(const char *dir, uint32_t n_tokens, uint32_t n_rounds)
{
    static listener l[2];
    krs_metrics *metrics = NULL;
    memset(l, 0, sizeof(l));
    l[0].n_streams = l[1].n_streams = 32;
    bool is_ok = krs_metrics_new(NULL, &metrics) == KRS_OK;
    krs_runtime *runtimes[2] = {is_ok ? open_engine(dir, 32, n_tokens, NULL) : NULL,
                                is_ok ? open_engine(dir, 32, n_tokens, metrics) : NULL};
    pair p = {l, n_tokens, runtimes, run_either};
    is_ok = runtimes[0] && runtimes[1] && take_turns(&p, n_rounds);
    krs_runtime_free(runtimes[0]);
    krs_runtime_free(runtimes[1]);
    krs_metrics_free(metrics);
    if (is_ok) {
        print_pair("metrics, 32 streams", l);
    }
    return is_ok;
}

static void hear_nothing(void *ctx, const krs_stream_event *events, uint32_t n)
{
    (void)ctx;
    (void)events;
    (void)n;
}

/* Open streams that stop after two tokens, until all of them have. ids[n]: to cancel them. */
static bool open_paused(krs_runtime *runtime, const krs_sink *sink, uint32_t n, uint64_t *ids)
{
    for (uint32_t i = 0; i < n; i++) {
        krs_request *r = make_request(100 + i, PROMPT_TOKENS, true);
        if (!r) {
            return false;
        }
        r->credit = 2;
        if (krs_runtime_open(runtime, r, sink, NULL, &ids[i], NULL) != KRS_OK) {
            krs_request_free(r);
            return false;
        }
    }
    while (krs_runtime_health_of(runtime).n_paused < n) {
        krs_os_sleep_ns(KRS_NS_PER_MS);
    }
    return true;
}

/* One engine; every other round has neighbours that read nothing. */
static bool run_beside(pair *p, uint32_t which)
{
    static const krs_sink nobody = {NULL, hear_nothing};
    krs_runtime *runtime = p->ctx;
    uint64_t ids[N_PAUSED];
    if (which == 1 && !open_paused(runtime, &nobody, N_PAUSED, ids)) {
        return false;
    }
    const bool is_ok = run_round(runtime, &p->l[which], p->n_tokens, true);
    for (uint32_t i = 0; which == 1 && i < N_PAUSED; i++) {
        krs_runtime_cancel(runtime, ids[i]);
    }
    while (krs_runtime_health_of(runtime).n_running > 0) {
        krs_os_sleep_ns(KRS_NS_PER_MS);
    }
    return is_ok;
}

static bool compare_paused(const char *dir, uint32_t n_tokens, uint32_t n_rounds)
{
    static listener l[2];
    memset(l, 0, sizeof(l));
    l[0].n_streams = l[1].n_streams = 32 - N_PAUSED;
    krs_runtime *runtime = open_engine(dir, 32, n_tokens, NULL);
    pair p = {l, n_tokens, runtime, run_beside};
    const bool is_ok = runtime && take_turns(&p, n_rounds);
    krs_runtime_free(runtime);
    if (is_ok) {
        print_pair("16 paused beside 16", l);
    }
    return is_ok;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        (void)fprintf(stderr, "usage: bench_engine MODEL [TOKENS [ROUNDS]]\n");
        return 2;
    }
    const uint32_t n_tokens = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : DEFAULT_TOKENS;
    const uint32_t n_rounds = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : DEFAULT_ROUNDS;
    static const uint32_t counts[] = {1, 32, 256};
    bool is_ok = true;
    for (size_t i = 0; is_ok && i < sizeof(counts) / sizeof(counts[0]); i++) {
        is_ok = measure(argv[1], counts[i], n_tokens, true) &&
                measure(argv[1], counts[i], n_tokens, false);
    }
    is_ok = is_ok && compare_metrics(argv[1], n_tokens, n_rounds) &&
            compare_paused(argv[1], n_tokens, n_rounds);
    return is_ok ? 0 : 1;
}
