/* bench/bench_telemetry.c - what counting, telling and letting in cost: nanoseconds a call, one thread's CPU time.
 *
 * Telemetry is on by default, so it must be a part of a decode step that nobody finds: a token costs one
 * observed event (a counter, a histogram, a tenant's charge), a request the rest. Each line is the best of
 * several passes, for other load on the machine only ever slows; the service runs over a port that does nothing.
 *
 * usage: bench_telemetry */
#define _POSIX_C_SOURCE 200809L /* clock_gettime */
#include "os/clock.h"
#include "service/access.h"
#include "service/feed.h"
#include "service/generation.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define N_PASSES 7
#define N_CALLS  100000
#define N_SLOW   200 /* of what takes microseconds */

typedef struct bench {
    krs_metrics *metrics;
    krs_service *service;
    krs_runtime port;
    krs_generation generation;
    krs_buf text;
    krs_log log;
    uint64_t n_bytes; /* of log lines: they are not thrown away unseen */
} bench;

static void fail(const char *what)
{
    (void)fprintf(stderr, "bench_telemetry: %s failed\n", what);
    _Exit(1);
}

/* --- a port that does nothing --- */

static krs_status port_open(krs_runtime *self, krs_request *request, const krs_sink *sink,
                            void *user, uint64_t *id, krs_error *err)
{
    (void)self;
    (void)sink;
    (void)user;
    (void)err;
    *id = 1;
    krs_request_free(request);
    return KRS_OK;
}

static krs_runtime_health port_health(krs_runtime *self)
{
    (void)self;
    return (krs_runtime_health){.state = KRS_RUNTIME_READY, .heartbeat_ns = krs_os_now_ns()};
}

static uint32_t port_models(krs_runtime *self, krs_model_info *out, uint32_t max)
{
    (void)self;
    if (max > 0) {
        *out = (krs_model_info){.id = "m"};
    }
    return 1;
}

static const krs_runtime_vtable vtable = {
    .open = port_open, .health = port_health, .models = port_models};

/* --- what is measured; each makes n calls --- */

static void add(bench *b, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        krs_metrics_add(b->metrics, KRS_METRIC_TOKENS_ANSWER, 1);
    }
}

static void observe_doubling(bench *b, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        krs_metrics_observe(b->metrics, KRS_METRIC_INTER_TOKEN, (uint64_t)i * 1000);
    }
}

static void observe_listed(bench *b, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        krs_metrics_observe(b->metrics, KRS_METRIC_TTFT, (uint64_t)i * 100000);
    }
}

static void set_gauge(bench *b, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        krs_metrics_set(b->metrics, KRS_METRIC_QUEUE_DEPTH, i);
    }
}

static void publish(bench *b, uint32_t n)
{
    const krs_log_field field = krs_log_int("first_token_ms", 5);
    for (uint32_t i = 0; i < n; i++) {
        krs_service_publish(b->service, KRS_EVENT_REQUEST_STARTED, "req-0", &field, 1);
    }
}

static void observe_token(bench *b, uint32_t n)
{
    const krs_stream_event event = {.n_tokens = 1};
    for (uint32_t i = 0; i < n; i++) {
        krs_service_observe(b->service, &b->generation, &event);
    }
}

static void open_one(bench *b, krs_generation *generation)
{
    krs_request *request = NULL;
    if (krs_request_new(NULL, &request) != KRS_OK ||
        krs_service_generate(b->service, request, NULL, NULL, generation, NULL) != KRS_OK) {
        fail("a request");
    }
}

static void whole_request(bench *b, uint32_t n)
{
    const krs_stream_event end = {.is_end = true, .finish = KRS_FINISH_STOP, .n_tokens = 1};
    for (uint32_t i = 0; i < n; i++) {
        krs_generation generation;
        open_one(b, &generation);
        krs_service_observe(b->service, &generation, &end);
    }
}

static void authenticate(bench *b, uint32_t n)
{
    krs_access access;
    for (uint32_t i = 0; i < n; i++) {
        if (krs_service_authenticate(b->service, KRS_STR(""), &access, NULL) != KRS_OK) {
            fail("a key");
        }
    }
}

static void render(bench *b, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        krs_buf_reset(&b->text);
        if (krs_metrics_render_prometheus(b->metrics, &b->text) != KRS_OK) {
            fail("rendering");
        }
    }
}

static void render_with_gauges(bench *b, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        krs_buf_reset(&b->text);
        if (krs_service_write_metrics(b->service, &b->text) != KRS_OK) {
            fail("rendering");
        }
    }
}

/* --- measuring --- */

static double cpu_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void measure(bench *b, const char *name, void (*body)(bench *, uint32_t), uint32_t n)
{
    double best_ns = 0;
    for (int pass = 0; pass < N_PASSES; pass++) {
        const double begin_ns = cpu_ns();
        body(b, n);
        const double each_ns = (cpu_ns() - begin_ns) / n;
        best_ns = pass == 0 || each_ns < best_ns ? each_ns : best_ns;
    }
    (void)printf("%-52s %10.1f ns\n", name, best_ns);
}

static void take_line(void *ctx, krs_log_level level, krs_str line)
{
    (void)level;
    ((bench *)ctx)->n_bytes += line.len;
}

int main(void)
{
    static bench b;
    b.port.vtable = &vtable;
    b.log = (krs_log){
        .ctx = &b, .sink = take_line, .wall_ns = krs_os_wall_ns, .min_level = KRS_LOG_INFO};
    krs_buf_init(&b.text, NULL, KRS_SERVICE_METRICS_BYTES);
    krs_service_options options = KRS_SERVICE_OPTIONS_INIT;
    options.runtime = &b.port;
    options.log = &b.log;
    if (krs_metrics_new(NULL, &b.metrics) != KRS_OK) {
        fail("memory");
    }
    options.metrics = b.metrics;
    if (krs_service_new(&options, NULL, &b.service, NULL) != KRS_OK) {
        fail("the service");
    }
    open_one(&b, &b.generation);
    measure(&b, "a counter", add, N_CALLS);
    measure(&b, "a histogram, bounds that double", observe_doubling, N_CALLS);
    measure(&b, "a histogram, bounds of a list", observe_listed, N_CALLS);
    measure(&b, "a gauge", set_gauge, N_CALLS);
    measure(&b, "an event that nobody logs or watches", publish, N_CALLS);
    measure(&b, "a token of an answer, all of its account", observe_token, N_CALLS);
    measure(&b, "a request: in, one token, out, its log line", whole_request, N_CALLS / 10);
    measure(&b, "whose key, without a key file", authenticate, N_CALLS);
    measure(&b, "/metrics, the text alone", render, N_SLOW);
    measure(&b, "/metrics, with gauges and the process's numbers", render_with_gauges, N_SLOW);
    (void)printf("%zu bytes of text; %llu bytes of log\n", b.text.len,
                 (unsigned long long)b.n_bytes);
    const krs_stream_event end = {.is_end = true};
    krs_service_observe(b.service, &b.generation, &end);
    krs_service_free(b.service);
    krs_buf_deinit(&b.text);
    krs_metrics_free(b.metrics);
    return 0;
}
