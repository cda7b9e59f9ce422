/* unit/server/test_apis.c - every API through a real connection, and calls of more inputs than places. */
#define _POSIX_C_SOURCE 200809L
#include "server_fixture.h"

#include <jansson.h>

#define MSG "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"

typedef struct api_case {
    const char *path;
    const char *body;
    const char *want; /* in the answer */
} api_case;

static const api_case cases[] = {
    {CHAT, "{\"model\":\"fake\"," MSG "}", "\"object\":\"chat.completion\""},
    {COMPLETIONS, "{\"model\":\"fake\",\"prompt\":\"hi\"}", "\"object\":\"text_completion\""},
    {"/v1/responses", "{\"model\":\"fake\",\"input\":\"hi\"}", "\"object\":\"response\""},
    {"/v1/messages", "{\"model\":\"fake\",\"max_tokens\":3," MSG "}",
     "\"stop_reason\":\"max_tokens\""},
    {"/v1/messages/count_tokens", "{\"model\":\"fake\"," MSG "}", "{\"input_tokens\":"},
    {"/v1/embeddings", "{\"model\":\"fake\",\"input\":[\"a\",\"b\"]}", "\"index\":1"},
    {"/tokenize", "{\"prompt\":\"hi\",\"return_token_strs\":true}", "\"token_strs\":[\""},
    {"/tokenize", "{\"prompt\":[\"hi\",\"\"],\"return_token_strs\":true}", "\"token_strs\":[[\""},
    {"/detokenize", "{\"tokens\":[1,2]}", "{\"prompt\":\""},
};

static void every_api_answers(void **state)
{
    fixture *f = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        client *c = client_open(f->port);
        client_post(c, cases[i].path, cases[i].body);
        const char *body = expect(f, c, 200);
        if (!strstr(body, cases[i].want)) {
            fail_msg("%s: %s", cases[i].path, body);
        }
        json_t *tree = json_loads(body, JSON_REJECT_DUPLICATES, NULL);
        assert_true(json_is_object(tree));
        json_decref(tree);
        client_close(c);
    }
}

static void streams_end_as_their_api_ends_them(void **state)
{
    fixture *f = *state;
    static const api_case streams[] = {
        {CHAT, "{\"model\":\"fake\",\"stream\":true," MSG "}", "data: [DONE]\n\n"},
        {COMPLETIONS, "{\"model\":\"fake\",\"stream\":true,\"prompt\":\"hi\"}", "data: [DONE]\n\n"},
        {"/v1/responses", "{\"model\":\"fake\",\"stream\":true,\"input\":\"hi\"}",
         "event: response.incomplete\n"},
        {"/v1/messages", "{\"model\":\"fake\",\"stream\":true,\"max_tokens\":3," MSG "}",
         "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"},
    };
    for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++) {
        client *c = client_open(f->port);
        client_post(c, streams[i].path, streams[i].body);
        const char *body = expect(f, c, 200);
        assert_non_null(strstr(f->r.head, "text/event-stream"));
        if (!strstr(body, streams[i].want) || !strstr(body, "w0 ") || !strstr(body, "w2 ")) {
            fail_msg("%s: %s", streams[i].path, body);
        }
        client_close(c);
    }
}

static void errors_have_their_api_s_shape(void **state)
{
    fixture *f = *state;
    client *c = client_open(f->port);
    client_post(c, "/v1/messages", "{\"model\":\"fake\"," MSG "}");
    assert_memory_equal(expect(f, c, 400), "{\"type\":\"error\",\"error\":{", 25);
    client_post(c, "/v1/responses", "{\"model\":\"fake\",\"input\":[]}");
    assert_memory_equal(expect(f, c, 400), "{\"error\":{", 10);
    client_close(c);
}

/* A call of n inputs in a field. */
static char *list_of(const char *field, size_t n)
{
    krs_buf body;
    krs_buf_init(&body, NULL, 1u << 20);
    assert_int_equal(krs_buf_printf(&body, "{\"model\":\"fake\",\"%s\":[\"a\"", field), KRS_OK);
    for (size_t i = 1; i < n; i++) {
        assert_int_equal(krs_buf_append_str(&body, KRS_STR(",\"b\"")), KRS_OK);
    }
    assert_int_equal(krs_buf_append_str(&body, KRS_STR("]}")), KRS_OK);
    return krs_buf_take(&body);
}

static void inputs_of_a_large_call_take_turns(void **state)
{
    (void)state;
    fixture_options options = defaults();
    options.max_in_flight = 20;
    fixture *f = start_fixture(&options);
    client *c = client_open(f->port);
    char *body = list_of("input", 300);
    client_post(c, "/v1/embeddings", body);
    assert_non_null(strstr(expect(f, c, 200), "\"index\":299"));
    wait_for(&f->fake->n_ended, 300);
    assert_int_equal(atomic_load(&f->fake->n_opened), 300);
    free(body);
    client_close(c);
    end_fixture(f);
}

/* Four places for fifty texts: the later ones wait for the earlier ones, and nobody is refused. */
static void texts_of_a_list_wait_for_places(void **state)
{
    (void)state;
    fixture_options options = defaults();
    options.max_in_flight = 4;
    fixture *f = start_fixture(&options);
    client *c = client_open(f->port);
    char *body = list_of("prompt", 50);
    client_post(c, "/tokenize", body);
    assert_non_null(strstr(expect(f, c, 200), "\"count\":100,")); /* one byte and BOS each */
    assert_int_equal(atomic_load(&f->fake->n_opened), 50);
    free(body);
    client_close(c);
    end_fixture(f);
}

static void choices_of_one_answer_do_not_wait(void **state)
{
    (void)state;
    fixture_options options = defaults();
    options.max_in_flight = 8;
    fixture *f = start_fixture(&options);
    client *c = client_open(f->port);
    post_chat(c, "hi", ",\"n\":9");
    (void)expect(f, c, 429);
    post_chat(c, "hi", ",\"n\":1"); /* the places of the refused call are free again, in a while */
    assert_true(client_read(c, &f->r, true));
    client_close(c);
    end_fixture(f);
}

static void a_client_that_leaves_takes_its_waiting_inputs_along(void **state)
{
    (void)state;
    fixture_options options = defaults();
    options.max_in_flight = 4;
    options.step_ns = 20 * KRS_NS_PER_MS;
    fixture *f = start_fixture(&options);
    client *c = client_open(f->port);
    char *few = list_of("input", 20);
    char *body = list_of("input", 2048);
    client_post(c, "/v1/embeddings", few);
    (void)expect(f, c, 200); /* four at a time */
    client_close(c);
    end_fixture(f);
    options.max_in_flight = 20;
    f = start_fixture(&options);
    c = client_open(f->port);
    client_post(c, "/v1/embeddings", body);
    wait_for(&f->fake->n_ended, 1);
    client_reset(c);
    wait_for_metric(f, KRS_METRIC_STREAM_CANCELS, 1);
    end_fixture(f);
    free(body);
    free(few);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_api_answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(streams_end_as_their_api_ends_them, set_up, tear_down),
        cmocka_unit_test_setup_teardown(errors_have_their_api_s_shape, set_up, tear_down),
        cmocka_unit_test(inputs_of_a_large_call_take_turns),
        cmocka_unit_test(texts_of_a_list_wait_for_places),
        cmocka_unit_test(choices_of_one_answer_do_not_wait),
        cmocka_unit_test(a_client_that_leaves_takes_its_waiting_inputs_along),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
