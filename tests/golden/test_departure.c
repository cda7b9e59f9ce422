/* golden/test_departure.c - a client that is gone leaves nothing behind in the engine: the real one, behind the
 * real server and a real socket, watched through its health. */
#define _POSIX_C_SOURCE 200809L
#include "engine/engine.h"
#include "os/clock.h"
#include "os/thread.h"
#include "server/server.h"
#include "support/http_client.h"

#define WAIT_NS   (180 * KRS_NS_PER_S)
#define N_CLIENTS 8

typedef struct world {
    krs_metrics *metrics;
    krs_runtime *runtime;
    krs_service *service;
    krs_server *server;
    krs_os_thread *thread;
    uint16_t port;
} world;

static void run_server(void *ctx)
{
    world *w = ctx;
    assert_int_equal(krs_server_run(w->server, NULL), KRS_OK);
}

static void open_world(world *w)
{
    *w = (world){0};
    assert_int_equal(krs_metrics_new(NULL, &w->metrics), KRS_OK);
    krs_error err = KRS_ERROR_INIT;
    krs_engine_options engine = KRS_ENGINE_OPTIONS_INIT;
    engine.model_dir = KRS_SOURCE_DIR "/models/demo";
    engine.n_threads = 1;
    engine.metrics = w->metrics;
    if (krs_engine_open(&engine, &w->runtime, &err) != KRS_OK) {
        fail_msg("%s", err.message);
    }
    krs_service_options service = KRS_SERVICE_OPTIONS_INIT;
    service.runtime = w->runtime;
    service.metrics = w->metrics;
    assert_int_equal(krs_service_new(&service, NULL, &w->service, NULL), KRS_OK);
    krs_server_options server = KRS_SERVER_OPTIONS_INIT;
    server.port = 0;
    assert_int_equal(krs_server_open(&server, w->service, NULL, &w->server, NULL), KRS_OK);
    w->port = krs_server_port(w->server);
    assert_int_equal(krs_os_thread_start("server", run_server, w, &w->thread, NULL), KRS_OK);
}

static void close_world(world *w)
{
    krs_server_stop(w->server);
    krs_os_thread_join(w->thread);
    krs_runtime_free(w->runtime);
    krs_server_free(w->server);
    krs_service_free(w->service);
    krs_metrics_free(w->metrics);
}

/* A stream that does not end by itself before its context is full. */
static client *begin_stream(const world *w, int i)
{
    char body[512];
    (void)snprintf(body, sizeof(body),
                   "{\"model\":\"demo\",\"stream\":true,\"ignore_eos\":true,\"seed\":%d,"
                   "\"messages\":[{\"role\":\"user\",\"content\":\"Tell me story %d.\"}]}",
                   i, i);
    client *c = client_open(w->port);
    client_post(c, "/v1/chat/completions", body);
    return c;
}

/* Wait until nothing runs and every block is free. */
static void wait_until_free(const world *w)
{
    const uint64_t deadline_ns = krs_os_now_ns() + WAIT_NS;
    krs_runtime_health health = krs_runtime_health_of(w->runtime);
    while (health.n_running + health.n_waiting > 0 ||
           health.n_kv_blocks_free < health.n_kv_blocks) {
        if (krs_os_now_ns() > deadline_ns) {
            fail_msg("%u run, %u wait, %u of %u blocks are free", health.n_running,
                     health.n_waiting, health.n_kv_blocks_free, health.n_kv_blocks);
        }
        krs_os_sleep_ns(KRS_NS_PER_MS);
        health = krs_runtime_health_of(w->runtime);
    }
}

static void killed_clients_free_their_blocks(void **state)
{
    (void)state;
    world w;
    open_world(&w);
    wait_until_free(&w);
    client *clients[N_CLIENTS];
    for (int i = 0; i < N_CLIENTS; i++) {
        clients[i] = begin_stream(&w, i);
    }
    for (int i = 0; i < N_CLIENTS; i++) { /* each has a token, so each holds blocks */
        assert_true(client_wait(clients[i], "\"delta\":{\"content\":") > 0);
    }
    assert_true(krs_runtime_health_of(w.runtime).n_kv_blocks_free <
                krs_runtime_health_of(w.runtime).n_kv_blocks);
    for (int i = 0; i < N_CLIENTS; i++) {
        if (i % 2) {
            client_reset(clients[i]);
        } else {
            client_close(clients[i]);
        }
    }
    wait_until_free(&w);
    assert_int_equal(krs_metrics_read(w.metrics, KRS_METRIC_REQUESTS_CANCELLED), N_CLIENTS);
    client *c = begin_stream(&w, 99); /* and the next one is served */
    assert_true(client_wait(c, "\"delta\":{\"content\":") > 0);
    client_close(c);
    wait_until_free(&w);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(killed_clients_free_their_blocks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
