/* unit/server/server_fixture.h - a server on a free port, with a runtime that needs no model.
 *
 * Two io threads, so that every test also crosses threads; nothing here depends on how fast anything is:
 * waits end as soon as their condition holds, and fail only after WAIT_NS. */
#pragma once

#include "server/server.h"
#include "support/fake_runtime.h"
#include "support/http_client.h"

#define STEP_NS KRS_NS_PER_MS
#define WAIT_NS                                                                                    \
    (180 * KRS_NS_PER_S) /* a flood takes 20 s under TSan on a busy machine; so a failure is real */
#define CHAT        "/v1/chat/completions"
#define COMPLETIONS "/v1/completions"

typedef struct fixture {
    fake_runtime *fake;
    krs_metrics *metrics;
    krs_service *service;
    krs_server *server;
    krs_os_thread *thread;
    krs_status run_status;
    uint16_t port;
    client_response r;
} fixture;

static inline void run_server(void *ctx)
{
    fixture *f = ctx;
    f->run_status = krs_server_run(f->server, NULL);
}

/* What a test may want otherwise. */
typedef struct fixture_options {
    krs_server_options server;
    uint64_t step_ns;       /* of the runtime */
    const char *key_file;   /* or NULL */
    uint32_t max_in_flight; /* of the service; 0: its default */
    uint64_t timeout_ns;    /* of requests without a deadline; 0: none */
    const krs_alloc *alloc; /* of the server; NULL: the heap */
} fixture_options;

static inline fixture_options defaults(void)
{
    fixture_options options = {.server = KRS_SERVER_OPTIONS_INIT, .step_ns = STEP_NS};
    options.server.port = 0;
    options.server.n_io_threads = 2;
    options.server.max_connections = 64;
    options.server.drain_ms = 2000;
    options.server.max_body_bytes = 64u << 10;
    options.server.version = "9.9.9";
    return options;
}

static inline void drop_fixture(fixture *f)
{
    krs_runtime_free(&f->fake->base);
    krs_server_free(f->server);
    krs_service_free(f->service);
    krs_metrics_free(f->metrics);
    free(f);
}

/* NULL when the server could not be opened for want of memory. */
static inline fixture *try_fixture(const fixture_options *options)
{
    fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->fake = fake_runtime_new(options->step_ns);
    assert_int_equal(krs_metrics_new(NULL, &f->metrics), KRS_OK);
    krs_service_options so = KRS_SERVICE_OPTIONS_INIT;
    so.runtime = &f->fake->base;
    so.metrics = f->metrics;
    so.key_file = options->key_file;
    so.default_timeout_ns = options->timeout_ns;
    so.max_in_flight = options->max_in_flight ? options->max_in_flight : so.max_in_flight;
    assert_int_equal(krs_service_new(&so, NULL, &f->service, NULL), KRS_OK);
    krs_error err = KRS_ERROR_INIT;
    const krs_status status =
        krs_server_open(&options->server, f->service, options->alloc, &f->server, &err);
    if (status == KRS_ENOMEM) {
        drop_fixture(f);
        return NULL;
    }
    if (status != KRS_OK) {
        fail_msg("%s", err.message);
    }
    f->port = krs_server_port(f->server);
    assert_true(f->port != 0 || !options->server.host);
    assert_int_equal(krs_os_thread_start("server", run_server, f, &f->thread, NULL), KRS_OK);
    return f;
}

static inline fixture *start_fixture(const fixture_options *options)
{
    fixture *f = try_fixture(options);
    assert_non_null(f);
    return f;
}

static inline fixture *start_with(const krs_server_options *server)
{
    const fixture_options options = {.server = *server, .step_ns = STEP_NS};
    return start_fixture(&options);
}

static inline fixture *start(uint32_t n_io_threads, uint32_t max_connections, uint32_t drain_ms)
{
    fixture_options options = defaults();
    options.server.n_io_threads = n_io_threads;
    options.server.max_connections = max_connections;
    options.server.drain_ms = drain_ms;
    return start_fixture(&options);
}

static inline int set_up(void **state)
{
    *state = start(2, 64, 2000);
    return 0;
}

static inline void stop(fixture *f)
{
    krs_server_stop(f->server);
    krs_os_thread_join(f->thread);
    f->thread = NULL;
}

static inline int tear_down(void **state)
{
    fixture *f = *state;
    if (f->thread) {
        stop(f);
    }
    assert_int_equal(f->run_status, KRS_OK);
    drop_fixture(f);
    return 0;
}

static inline void wait_for(const _Atomic uint64_t *counter, uint64_t value)
{
    const uint64_t deadline_ns = krs_os_now_ns() + WAIT_NS;
    while (atomic_load(counter) < value) {
        assert_true(krs_os_now_ns() < deadline_ns);
        krs_os_sleep_ns(KRS_NS_PER_MS);
    }
}

/* For tests that start their own. */
static inline void end_fixture(fixture *f)
{
    void *state = f;
    (void)tear_down(&state);
}

static inline void wait_for_metric(const fixture *f, krs_metric metric, int64_t value)
{
    const uint64_t deadline_ns = krs_os_now_ns() + WAIT_NS;
    while (krs_metrics_read(f->metrics, metric) < value) {
        assert_true(krs_os_now_ns() < deadline_ns);
        krs_os_sleep_ns(KRS_NS_PER_MS);
    }
}

static inline void chat_body(char *out, size_t n, const char *prompt, const char *more)
{
    (void)snprintf(out, n,
                   "{\"model\":\"fake\",\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]%s}",
                   prompt, more);
}

static inline void post_chat(client *c, const char *prompt, const char *more)
{
    char body[1024];
    chat_body(body, sizeof(body), prompt, more);
    client_post(c, CHAT, body);
}

/* Read a response and require its status. */
static inline const char *expect(fixture *f, client *c, int status)
{
    assert_true(client_read(c, &f->r, true));
    if (f->r.status != status) {
        fail_msg("status %d, want %d: %s", f->r.status, status, f->r.body);
    }
    return f->r.body;
}
