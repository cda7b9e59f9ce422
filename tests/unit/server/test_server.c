/* unit/server/test_server.c - the server over real loopback sockets, with a runtime that needs no model. */
#define _POSIX_C_SOURCE 200809L
#include "server/server.h"
#include "support/fake_runtime.h"
#include "support/http_client.h"

#define STEP_NS     KRS_NS_PER_MS
#define WAIT_NS     (20 * KRS_NS_PER_S) /* far above what any condition takes, so a failure is real */
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

static void run_server(void *ctx)
{
    fixture *f = ctx;
    f->run_status = krs_server_run(f->server, NULL);
}

static fixture *start(uint32_t n_io_threads, uint32_t max_connections, uint32_t drain_ms)
{
    fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->fake = fake_runtime_new(STEP_NS);
    assert_int_equal(krs_metrics_new(NULL, &f->metrics), KRS_OK);
    krs_service_options so = KRS_SERVICE_OPTIONS_INIT;
    so.runtime = &f->fake->base;
    so.metrics = f->metrics;
    assert_int_equal(krs_service_new(&so, NULL, &f->service, NULL), KRS_OK);
    krs_server_options options = KRS_SERVER_OPTIONS_INIT;
    options.port = 0;
    options.n_io_threads = n_io_threads;
    options.max_connections = max_connections;
    options.drain_ms = drain_ms;
    options.max_body_bytes = 64u << 10;
    options.version = "9.9.9";
    krs_error err = KRS_ERROR_INIT;
    if (krs_server_open(&options, f->service, NULL, &f->server, &err) != KRS_OK) {
        fail_msg("%s", err.message);
    }
    f->port = krs_server_port(f->server);
    assert_int_not_equal(f->port, 0);
    assert_int_equal(krs_os_thread_start("server", run_server, f, &f->thread, NULL), KRS_OK);
    return f;
}

static int set_up(void **state)
{
    *state = start(2, 64, 2000);
    return 0;
}

static void stop(fixture *f)
{
    krs_server_stop(f->server);
    krs_os_thread_join(f->thread);
    f->thread = NULL;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    if (f->thread) {
        stop(f);
    }
    assert_int_equal(f->run_status, KRS_OK);
    krs_runtime_free(&f->fake->base);
    krs_server_free(f->server);
    krs_service_free(f->service);
    krs_metrics_free(f->metrics);
    free(f);
    return 0;
}

static void wait_for(const _Atomic uint64_t *counter, uint64_t value)
{
    const uint64_t deadline_ns = krs_os_now_ns() + WAIT_NS;
    while (atomic_load(counter) < value) {
        assert_true(krs_os_now_ns() < deadline_ns);
        krs_os_sleep_ns(KRS_NS_PER_MS);
    }
}

static void wait_for_metric(const fixture *f, krs_metric metric, int64_t value)
{
    const uint64_t deadline_ns = krs_os_now_ns() + WAIT_NS;
    while (krs_metrics_read(f->metrics, metric) < value) {
        assert_true(krs_os_now_ns() < deadline_ns);
        krs_os_sleep_ns(KRS_NS_PER_MS);
    }
}

static void chat_body(char *out, size_t n, const char *prompt, const char *more)
{
    (void)snprintf(out, n,
                   "{\"model\":\"fake\",\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]%s}",
                   prompt, more);
}

static void post_chat(client *c, const char *prompt, const char *more)
{
    char body[1024];
    chat_body(body, sizeof(body), prompt, more);
    client_post(c, CHAT, body);
}

/* Read a response and require its status. */
static const char *expect(fixture *f, client *c, int status)
{
    assert_true(client_read(c, &f->r, true));
    if (f->r.status != status) {
        fail_msg("status %d, want %d: %s", f->r.status, status, f->r.body);
    }
    return f->r.body;
}

static void chat_answers_whole(void **state)
{
    fixture *f = *state;
    client *c = client_open(f->port);
    post_chat(c, "hi", "");
    const char *body = expect(f, c, 200);
    assert_non_null(strstr(body, "\"object\":\"chat.completion\""));
    assert_non_null(strstr(body, "\"content\":\"w0 w1 w2 w3 w4 \""));
    assert_non_null(strstr(body, "\"finish_reason\":\"length\""));
    assert_non_null(
        strstr(body, "\"prompt_tokens\":7,\"completion_tokens\":5,\"total_tokens\":12"));
    client_close(c);
}

static void chat_streams_and_the_connection_goes_on(void **state)
{
    fixture *f = *state;
    client *c = client_open(f->port);
    for (int i = 0; i < 3; i++) {
        post_chat(c, "hi", ",\"stream\":true,\"stream_options\":{\"include_usage\":true}");
        const char *body = expect(f, c, 200);
        assert_non_null(strstr(f->r.head, "Content-Type: text/event-stream"));
        assert_non_null(strstr(body, "\"delta\":{\"role\":\"assistant\",\"content\":\"\"}"));
        assert_non_null(strstr(body, "\"delta\":{\"content\":\"w4 \"}"));
        assert_non_null(strstr(body, "\"choices\":[],\"usage\":{\"prompt_tokens\":7"));
        assert_non_null(strstr(body, "\n\ndata: [DONE]\n\n"));
    }
    client_close(c);
}

static void completion_takes_several_prompts(void **state)
{
    fixture *f = *state;
    client *c = client_open(f->port);
    client_post(c, COMPLETIONS,
                "{\"model\":\"fake\",\"prompt\":[\"a\",\"b\"],\"n\":2,\"max_tokens\":2}");
    const char *body = expect(f, c, 200);
    assert_non_null(strstr(body, "\"object\":\"text_completion\""));
    assert_non_null(strstr(body, "{\"index\":3,\"text\":\"w0 w1 \""));
    assert_non_null(strstr(body, "\"prompt_tokens\":14,\"completion_tokens\":8"));
    client_close(c);
}

static void request_id_is_taken_over_or_made(void **state)
{
    fixture *f = *state;
    client *c = client_open(f->port);
    client_send(c, "GET /version HTTP/1.1\r\nHost: t\r\nX-Request-Id: abc-1\r\n\r\n");
    assert_string_equal(expect(f, c, 200), "{\"name\":\"kr-serve\",\"version\":\"9.9.9\"}");
    assert_non_null(strstr(f->r.head, "X-Request-Id: abc-1\r\n"));
    client_send(c, "GET /version HTTP/1.1\r\nHost: t\r\nX-Request-Id: a b\r\n\r\n");
    (void)expect(f, c, 200);
    assert_non_null(strstr(f->r.head, "X-Request-Id: req-"));
    client_close(c);
}

static void models_are_listed_and_found(void **state)
{
    fixture *f = *state;
    client *c = client_open(f->port);
    client_get(c, "GET", "/v1/models");
    assert_non_null(strstr(expect(f, c, 200), "\"id\":\"fake\""));
    client_get(c, "GET", "/v1/models/f%61ke");
    assert_non_null(strstr(expect(f, c, 200), "\"id\":\"fake\""));
    client_get(c, "GET", "/v1/models/other");
    assert_non_null(strstr(expect(f, c, 404), "\"code\":\"model_not_found\""));
    client_close(c);
}

static void health_and_metrics_tell_the_truth(void **state)
{
    fixture *f = *state;
    client *c = client_open(f->port);
    client_get(c, "GET", "/health/live");
    assert_non_null(strstr(expect(f, c, 200), "\"status\":\"ok\""));
    client_get(c, "GET", "/health/ready");
    (void)expect(f, c, 200);
    post_chat(c, "hi", "");
    (void)expect(f, c, 200);
    client_get(c, "GET", "/metrics");
    const char *body = expect(f, c, 200);
    assert_non_null(strstr(body, "krs_requests_accepted_total 1\n"));
    assert_non_null(strstr(body, "krs_requests_finished_total{finish=\"length\"} 1\n"));
    assert_non_null(strstr(body, "krs_answer_tokens_total 5\n"));
    assert_non_null(strstr(body, "krs_time_to_first_token_seconds_count 1\n"));
    assert_non_null(strstr(body, "krs_inter_token_latency_seconds_count 4\n"));
    assert_non_null(strstr(body, "krs_kv_blocks_used 40\n"));
    atomic_store(&f->fake->state, KRS_RUNTIME_FAILED);
    client_get(c, "GET", "/health/live");
    (void)expect(f, c, 503);
    client_get(c, "GET", "/health/ready");
    (void)expect(f, c, 503);
    client_close(c);
}

typedef struct refusal_case {
    const char *request;
    int status;
    const char *part; /* of head or body */
} refusal_case;

static void refusals_are_json_with_the_right_status(void **state)
{
    fixture *f = *state;
    static const refusal_case cases[] = {
        {"GET /nothing HTTP/1.1\r\nHost: t\r\n\r\n", 404, "\"code\":\"not_found\""},
        {"GET /v1/chat/completions HTTP/1.1\r\nHost: t\r\n\r\n", 405, "Allow: POST, OPTIONS\r\n"},
        {"DELETE /metrics HTTP/1.1\r\nHost: t\r\n\r\n", 405, "Allow: GET, HEAD, OPTIONS\r\n"},
        {"OPTIONS /metrics HTTP/1.1\r\nHost: t\r\n\r\n", 204, "Allow: GET, HEAD, OPTIONS\r\n"},
        {"OPTIONS * HTTP/1.1\r\nHost: t\r\n\r\n", 204, "Allow: GET, HEAD, POST, OPTIONS\r\n"},
        {"POST /v1/completions HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\n{}", 415,
         "application/json"},
        {"POST /v1/completions HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
         "Content-Length: 2\r\n\r\n{]",
         400, "body: JSON line 1"},
        {"POST /v1/completions HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
         "Content-Length: 65537\r\n\r\n",
         413, "\"code\":\"too_large\""},
        {"GET / HTTP/1.1\r\n\r\n", 400, "Host"},
        {"GET / HTTP/3.0\r\nHost: t\r\n\r\n", 505, "http_version"},
        {"\x16\x03\x01\x02", 400, "bad_request"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        client *c = client_open(f->port);
        client_send(c, cases[i].request);
        (void)expect(f, c, cases[i].status);
        if (!strstr(f->r.head, cases[i].part) && !strstr(f->r.body, cases[i].part)) {
            fail_msg("case %zu: no %s in %s%s", i, cases[i].part, f->r.head, f->r.body);
        }
        client_close(c);
    }
}

static void head_has_the_length_and_no_body(void **state)
{
    fixture *f = *state;
    client *c = client_open(f->port);
    client_get(c, "HEAD", "/version");
    assert_true(client_read(c, &f->r, false));
    assert_int_equal(f->r.status, 200);
    assert_non_null(strstr(f->r.head, "Content-Length: 37\r\n"));
    client_get(c, "GET", "/version"); /* nothing of a body lies between */
    assert_int_equal(strlen(expect(f, c, 200)), 37);
    client_close(c);
}

static void unknown_model_is_404_and_bad_field_400_with_param(void **state)
{
    fixture *f = *state;
    client *c = client_open(f->port);
    client_post(c, CHAT, "{\"model\":\"x\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}");
    assert_non_null(strstr(expect(f, c, 404), "\"param\":\"model\""));
    post_chat(c, "hi", ",\"temperature\":9");
    assert_non_null(strstr(expect(f, c, 400), "\"param\":\"temperature\""));
    client_close(c);
}

static void late_error_is_still_a_status(void **state)
{
    fixture *f = *state;
    client *c = client_open(f->port);
    post_chat(c, "fail", "");
    assert_non_null(strstr(expect(f, c, 400), "\"param\":\"messages\""));
    post_chat(c, "fail", ",\"stream\":true");
    assert_non_null(strstr(expect(f, c, 400), "failed by the test"));
    client_close(c);
}

static void error_inside_a_stream_is_an_event(void **state)
{
    fixture *f = *state;
    client *c = client_open(f->port);
    post_chat(c, "break", ",\"stream\":true");
    const char *body = expect(f, c, 200);
    assert_non_null(strstr(body, "data: {\"error\":{\"message\":\"failed by the test\""));
    assert_non_null(strstr(body, "data: [DONE]"));
    client_close(c);
}

static void full_queue_is_429_with_retry_after(void **state)
{
    fixture *f = *state;
    client *c = client_open(f->port);
    atomic_store(&f->fake->open_status, KRS_EBUSY);
    post_chat(c, "hi", ",\"n\":2");
    (void)expect(f, c, 429);
    assert_non_null(strstr(f->r.head, "Retry-After: 1\r\n"));
    atomic_store(&f->fake->open_status, KRS_OK);
    post_chat(c, "hi", "");
    (void)expect(f, c, 200);
    client_close(c);
}

static void deadline_is_504(void **state)
{
    fixture *f = *state;
    client *c = client_open(f->port);
    post_chat(c, "forever", ",\"timeout_ms\":20");
    assert_non_null(strstr(expect(f, c, 504), "\"param\":\"timeout_ms\""));
    client_close(c);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    fixture *f = *state;
    client *c = client_open(f->port);
    post_chat(c, "hi", "");
    client_get(c, "GET", "/version");
    post_chat(c, "hi", ",\"max_tokens\":1,\"stream\":true");
    client_get(c, "GET", "/nothing");
    assert_non_null(strstr(expect(f, c, 200), "w4"));
    assert_non_null(strstr(expect(f, c, 200), "9.9.9"));
    assert_non_null(strstr(expect(f, c, 200), "[DONE]"));
    (void)expect(f, c, 404);
    client_close(c);
}

static void too_much_sent_ahead_ends_the_connection(void **state)
{
    fixture *f = *state;
    client *c = client_open(f->port);
    post_chat(c, "forever", "");
    wait_for(&f->fake->n_opened, 1);
    char junk[4096];
    memset(junk, 'x', sizeof(junk));
    for (int i = 0; i < 64; i++) {
        client_send_bytes(c, junk, sizeof(junk));
    }
    wait_for(&f->fake->n_cancelled, 1);
    client_close(c);
}

static void connection_close_is_obeyed(void **state)
{
    fixture *f = *state;
    client *c = client_open(f->port);
    client_send(c, "GET /version HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
    (void)expect(f, c, 200);
    assert_non_null(strstr(f->r.head, "Connection: close\r\n"));
    assert_false(client_more(c)); /* end of stream */
    client_close(c);
    c = client_open(f->port);
    client_send(c, "GET /version HTTP/1.0\r\n\r\n");
    (void)expect(f, c, 200);
    assert_false(client_more(c));
    client_close(c);
}

static void http_1_0_stream_ends_with_the_connection(void **state)
{
    fixture *f = *state;
    client *c = client_open(f->port);
    char body[512];
    char head[256];
    chat_body(body, sizeof(body), "hi", ",\"stream\":true");
    (void)snprintf(head, sizeof(head),
                   "POST " CHAT " HTTP/1.0\r\nContent-Type: application/json\r\n"
                   "Content-Length: %zu\r\n\r\n",
                   strlen(body));
    client_send(c, head);
    client_send(c, body);
    assert_true(client_wait(c, "data: [DONE]\n\n") > 0);
    assert_null(strstr(c->in, "chunked"));
    while (client_more(c)) {
    }
    client_close(c);
}

static void chunked_body_and_expect_continue_work(void **state)
{
    fixture *f = *state;
    client *c = client_open(f->port);
    char body[512];
    char chunk[600];
    chat_body(body, sizeof(body), "hi", "");
    client_send(c, "POST " CHAT " HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
                   "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_true(client_read(c, &f->r, false));
    assert_int_equal(f->r.status, 100);
    (void)snprintf(chunk, sizeof(chunk), "%zx\r\n%s\r\n0\r\n\r\n", strlen(body), body);
    for (const char *p = chunk; *p; p++) {
        client_send_bytes(c, p, 1);
    }
    (void)expect(f, c, 200);
    client_close(c);
}

/* Nothing is being written to the vanished client of a whole answer, and still it is noticed. */
static void vanished_client_ends_its_answers(void **state)
{
    fixture *f = *state;
    client *whole = client_open(f->port);
    post_chat(whole, "forever", ",\"n\":3");
    client *streamed = client_open(f->port);
    post_chat(streamed, "forever", ",\"stream\":true");
    assert_true(client_wait(streamed, "w0 ") > 0);
    wait_for(&f->fake->n_opened, 4);
    client_close(whole);
    wait_for(&f->fake->n_cancelled, 3);
    client_reset(streamed);
    wait_for(&f->fake->n_cancelled, 4);
    wait_for_metric(f, KRS_METRIC_REQUESTS_CANCELLED, 4);
    assert_int_equal(krs_metrics_read(f->metrics, KRS_METRIC_STREAM_CANCELS), 4);
}

static void slow_reader_is_cancelled_alone(void **state)
{
    fixture *f = *state;
    client *slow = client_open(f->port);
    post_chat(slow, "flood", ",\"stream\":true"); /* and never read */
    wait_for_metric(f, KRS_METRIC_STREAM_SLOW, 1);
    wait_for(&f->fake->n_cancelled, 1);
    client *c = client_open(f->port);
    post_chat(c, "hi", "");
    (void)expect(f, c, 200);
    client_close(c);
    client_close(slow);
}

static void many_connections_are_served(void **state)
{
    fixture *f = *state;
    client *c[40];
    for (size_t i = 0; i < 40; i++) {
        c[i] = client_open(f->port);
        post_chat(c[i], "hi", i % 2 ? ",\"stream\":true" : "");
    }
    for (size_t i = 0; i < 40; i++) {
        assert_non_null(strstr(expect(f, c[i], 200), "w4"));
        client_close(c[i]);
    }
}

static void one_connection_too_many_is_told_503(void **state)
{
    (void)state;
    fixture *f = start(1, 2, 100);
    client *a = client_open(f->port);
    client *b = client_open(f->port);
    client_get(a, "GET", "/version");
    client_get(b, "GET", "/version");
    (void)expect(f, a, 200);
    (void)expect(f, b, 200);
    client *c = client_open(f->port);
    assert_non_null(strstr(expect(f, c, 503), "too_many_connections"));
    client_close(a);
    client_close(b);
    client_close(c);
    void *again = f;
    (void)tear_down(&again);
}

static void drain_lets_answers_finish(void **state)
{
    fixture *f = *state;
    client *idle = client_open(f->port);
    client_get(idle, "GET", "/version");
    (void)expect(f, idle, 200);
    client *c = client_open(f->port);
    post_chat(c, "hi", ",\"stream\":true,\"max_tokens\":300");
    assert_true(client_wait(c, "w0 ") > 0);
    krs_server_stop(f->server);
    assert_false(client_more(idle)); /* closed without a word */
    assert_non_null(strstr(expect(f, c, 200), "data: [DONE]"));
    client_close(c);
    client_close(idle);
    stop(f);
    assert_int_equal(atomic_load(&f->fake->n_cancelled), 0);
}

static void drain_cancels_at_its_deadline_and_says_so(void **state)
{
    (void)state;
    fixture *f = start(1, 16, 50);
    client *c = client_open(f->port);
    post_chat(c, "forever", ",\"stream\":true");
    assert_true(client_wait(c, "w0 ") > 0);
    krs_server_stop(f->server);
    assert_non_null(strstr(expect(f, c, 200), "\"code\":\"unavailable\""));
    client_close(c);
    stop(f);
    assert_int_equal(atomic_load(&f->fake->n_cancelled), 1);
    void *again = f;
    (void)tear_down(&again);
}

static void logprobs_travel_whole(void **state)
{
    fixture *f = *state;
    client *c = client_open(f->port);
    post_chat(c, "hi", ",\"logprobs\":true,\"top_logprobs\":2,\"max_tokens\":1");
    assert_non_null(strstr(expect(f, c, 200),
                           "\"logprobs\":{\"content\":[{\"token\":\"w0 \",\"logprob\":-0.25,"
                           "\"bytes\":[119,48,32],\"top_logprobs\":[{\"token\":\"x\","
                           "\"logprob\":-0.5,\"bytes\":[120]},"));
    client_post(c, COMPLETIONS,
                "{\"model\":\"fake\",\"prompt\":\"a\",\"logprobs\":2,\"max_tokens\":2}");
    assert_non_null(
        strstr(expect(f, c, 200),
               "\"logprobs\":{\"tokens\":[\"w0 \",\"w1 \"],\"token_logprobs\":[-0.25,-0.25],"
               "\"top_logprobs\":[{\"x\":-0.5,\"bytes:\\\\xe2\\\\x82\":-1.5},"));
    assert_non_null(strstr(f->r.body, "\"text_offset\":[0,3]}"));
    client_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(chat_answers_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(chat_streams_and_the_connection_goes_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(completion_takes_several_prompts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(request_id_is_taken_over_or_made, set_up, tear_down),
        cmocka_unit_test_setup_teardown(models_are_listed_and_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(health_and_metrics_tell_the_truth, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refusals_are_json_with_the_right_status, set_up, tear_down),
        cmocka_unit_test_setup_teardown(head_has_the_length_and_no_body, set_up, tear_down),
        cmocka_unit_test_setup_teardown(unknown_model_is_404_and_bad_field_400_with_param, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(late_error_is_still_a_status, set_up, tear_down),
        cmocka_unit_test_setup_teardown(error_inside_a_stream_is_an_event, set_up, tear_down),
        cmocka_unit_test_setup_teardown(full_queue_is_429_with_retry_after, set_up, tear_down),
        cmocka_unit_test_setup_teardown(deadline_is_504, set_up, tear_down),
        cmocka_unit_test_setup_teardown(pipelined_requests_are_answered_in_order, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(too_much_sent_ahead_ends_the_connection, set_up, tear_down),
        cmocka_unit_test_setup_teardown(connection_close_is_obeyed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(http_1_0_stream_ends_with_the_connection, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(chunked_body_and_expect_continue_work, set_up, tear_down),
        cmocka_unit_test_setup_teardown(vanished_client_ends_its_answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(slow_reader_is_cancelled_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_connections_are_served, set_up, tear_down),
        cmocka_unit_test(one_connection_too_many_is_told_503),
        cmocka_unit_test_setup_teardown(drain_lets_answers_finish, set_up, tear_down),
        cmocka_unit_test(drain_cancels_at_its_deadline_and_says_so),
        cmocka_unit_test_setup_teardown(logprobs_travel_whole, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
