/* unit/server/test_server.c - the server over real loopback sockets, with a runtime that needs no model. */
#define _POSIX_C_SOURCE 200809L
#include "server_fixture.h"

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
    client_send(c, "GET /version HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: abc-1\r\n\r\n");
    assert_string_equal(expect(f, c, 200), "{\"name\":\"kr-serve\",\"version\":\"9.9.9\"}");
    assert_non_null(strstr(f->r.head, "X-Request-Id: abc-1\r\n"));
    client_send(c, "GET /version HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: a b\r\n\r\n");
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
    assert_non_null(strstr(body, "gen_ai_server_time_to_first_token_seconds_count 1\n"));
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
        {"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n", 404, "\"code\":\"not_found\""},
        {"GET /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n\r\n", 405,
         "Allow: POST, OPTIONS\r\n"},
        {"DELETE /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", 405,
         "Allow: GET, HEAD, OPTIONS\r\n"},
        {"OPTIONS /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", 204,
         "Allow: GET, HEAD, OPTIONS\r\n"},
        {"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", 204,
         "Allow: GET, HEAD, POST, OPTIONS\r\n"},
        {"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}", 415,
         "application/json"},
        {"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
         "Content-Length: 2\r\n\r\n{]",
         400, "body: JSON line 1"},
        {"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
         "Content-Length: 65537\r\n\r\n",
         413, "\"code\":\"too_large\""},
        {"GET / HTTP/1.1\r\n\r\n", 400, "Host"},
        {"GET / HTTP/3.0\r\nHost: localhost\r\n\r\n", 505, "http_version"},
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
    assert_non_null(strstr(body, "data: {\"error\":{\"message\":\"the compute device failed\""));
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

static void connection_close_is_obeyed(void **state)
{
    fixture *f = *state;
    client *c = client_open(f->port);
    client_send(c, "GET /version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
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
    client_send(c, "POST " CHAT " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
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
               "\"top_logprobs\":[{\"x\":-0.5,\"bytes:\\\\xe2\\\\x82\":-1.5,"
               "\"w0 \":-0.25},")); /* the chosen one is not among the best: it comes last */
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
        cmocka_unit_test_setup_teardown(connection_close_is_obeyed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(http_1_0_stream_ends_with_the_connection, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(chunked_body_and_expect_continue_work, set_up, tear_down),
        cmocka_unit_test_setup_teardown(logprobs_travel_whole, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
