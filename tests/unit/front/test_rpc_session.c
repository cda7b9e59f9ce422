/* unit/front/test_rpc_session.c - messages to calls: who is answered, what reaches the runtime, what is refused. */
#include "rpc_fixture.h"

#define GEN "\"model_id\":\"fake\",\"prompt\":\"hi\",\"stream_id\":\"s\""

static void ids_come_back_as_they_were(void **state)
{
    fixture *f = *state;
    static const char *const ids[] = {"\"readiness-probe\"", "7", "-1", "1.5", "null", "\"\""};
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        char line[128];
        (void)snprintf(line, sizeof(line),
                       "{\"jsonrpc\":\"2.0\",\"method\":\"runtime/state\",\"id\":%s}\n", ids[i]);
        feed(f, line);
        const json_t *message = next_message(f);
        json_t *want = json_loads(ids[i], JSON_DECODE_ANY, NULL);
        assert_true(json_equal(at(message, "id"), want));
        json_decref(want);
        assert_non_null(at(message, "result"));
    }
}

static void notifications_are_never_answered(void **state)
{
    fixture *f = *state;
    feed(f, "{\"jsonrpc\":\"2.0\",\"method\":\"runtime/state\"}\n"
            "{\"jsonrpc\":\"2.0\",\"method\":\"no such\"}\n"
            "{\"jsonrpc\":\"2.0\",\"method\":\"tokenize\",\"params\":{\"model_id\":\"x\",\"text\":"
            "\"\"}}\n"
            "{\"jsonrpc\":\"2.0\",\"method\":\"batch_generate\",\"params\":{\"requests\":[{" GEN
            "}]}}\n"
            "{\"jsonrpc\":\"2.0\",\"method\":\"generate\",\"params\":{\"model_id\":5}}\n");
    assert_null(next_message(f));
    assert_int_equal(f->n_opened, 1);
    tell_end(f, 0, KRS_FINISH_STOP);
}

static void what_is_no_request_is_told_so(void **state)
{
    fixture *f = *state;
    feed(f, "nonsense\n");
    const json_t *message = next_message(f);
    assert_true(is_null(at(message, "id")));
    assert_int_equal(int_at(at(message, "error"), "code"), -32700);
    assert_null(json_object_get(at(message, "error"), "data"));
    feed(f, "{\"jsonrpc\":\"2.0\",\"method\":\"runtime/state\",,\"id\":12}\n");
    message = next_message(f);
    assert_int_equal(int_at(message, "id"), 12); /* its caller need not wait */
    assert_int_equal(int_at(at(message, "error"), "code"), -32700);
    feed(f, "[]\n");
    (void)expect_error(f, -32600, "batch arrays are not supported");
    feed(f, "{\"jsonrpc\":\"2.0\",\"id\":1}\n");
    (void)expect_error(f, -32600, "method: want a string");
    ask(f, "no/such", "{}");
    const json_t *data = at(expect_error(f, -32602, "Unknown method: no/such"), "data");
    assert_string_equal(text_at(data, "type"), "ValidationError");
}

static void a_message_too_long_is_answered_by_its_id(void **state)
{
    fixture *f = *state;
    const size_t n = KRS_RPC_MAX_MESSAGE_BYTES + 100;
    char *line = malloc(n + 64);
    assert_non_null(line);
    memset(line, 'x', n);
    memcpy(line, "{\"jsonrpc\":\"2.0\",\"method\":\"", 27);
    (void)snprintf(line + n, 64, "\",\"id\":42}\n");
    feed(f, line);
    free(line);
    const json_t *message = next_message(f);
    assert_int_equal(int_at(message, "id"), 42);
    assert_int_equal(int_at(at(message, "error"), "code"), -32600);
    assert_string_equal(text_at(at(message, "error"), "message"),
                        "Buffer overflow: would exceed 1048576 bytes");
}

static void defaults_are_the_contracts(void **state)
{
    fixture *f = *state;
    ask(f, "generate", "{" GEN "}");
    const krs_request *r = f->streams[0].request;
    assert_string_equal(r->model, "fake");
    assert_int_equal(r->prompt.kind, KRS_PROMPT_TEXT);
    assert_true(krs_str_equal(r->prompt.text, KRS_STR("hi")));
    assert_true(r->sampling.temperature == 0.7 && r->sampling.top_p == 1.0);
    assert_int_equal(r->sampling.n_logprobs, -1);
    assert_int_equal(r->stopping.max_tokens, 512);
    assert_int_equal(r->priority, KRS_PRIORITY_NORMAL);
    assert_true(r->deadline_ns == UINT64_MAX);
    assert_int_equal(r->credit, KRS_RPC_WINDOW_TOKENS);
    assert_string_equal(r->correlation_id, "s");
    const json_t *result = expect_result(f);
    assert_string_equal(text_at(result, "stream_id"), "s");
    assert_true(json_real_value(at(result, "started_at")) > 1.6e9);
    ask(f, "continuous_generate", "{\"model_id\":\"fake\",\"prompt\":\"x\"}");
    assert_true(f->streams[1].request->sampling.temperature == 1.0);
}

static void every_wish_reaches_the_runtime(void **state)
{
    fixture *f = *state;
    ask(f, "generate",
        "{" GEN ",\"max_tokens\":9,\"temperature\":0,\"top_p\":0.5,\"top_k\":7,\"min_p\":0.1,"
        "\"presence_penalty\":1,\"frequency_penalty\":-1,\"repetition_penalty\":1.5,\"seed\":11,"
        "\"stop_sequences\":[\"a\",\"b\"],\"stop_token_ids\":[3,999999],\"logprobs\":true,"
        "\"top_logprobs\":4,\"priority\":\"urgent\",\"timeout_ms\":5,\"min_tokens\":2,"
        "\"ignore_eos\":true,\"credit\":3}");
    const krs_request *r = f->streams[0].request;
    assert_int_equal(r->stopping.max_tokens, 9);
    assert_int_equal(r->stopping.min_tokens, 2);
    assert_true(r->stopping.is_eos_ignored);
    assert_int_equal(r->stopping.n_stops, 2);
    assert_true(krs_str_equal(r->stopping.stops[1], KRS_STR("b")));
    assert_int_equal(r->stopping.n_stop_ids, 1); /* the model has no token 999999 */
    assert_int_equal(r->stopping.stop_ids[0], 3);
    const krs_sampling *s = &r->sampling;
    assert_true(s->temperature == 0 && s->top_p == 0.5 && s->min_p == 0.1);
    assert_true(s->presence_penalty == 1 && s->frequency_penalty == -1);
    assert_true(s->repetition_penalty == 1.5);
    assert_int_equal(s->top_k, 7);
    assert_int_equal(s->seed, 11);
    assert_int_equal(s->n_logprobs, 4);
    assert_int_equal(r->priority, KRS_PRIORITY_URGENT);
    assert_true(r->deadline_ns == f->now_ns + 5 * MS);
    assert_int_equal(r->credit, 3);
}

static void prompts_come_as_text_ids_or_messages(void **state)
{
    fixture *f = *state;
    ask(f, "generate", "{\"model_id\":\"fake\",\"prompt\":\"\",\"prompt_tokens\":[5,6,7]}");
    assert_int_equal(f->streams[0].request->prompt.kind, KRS_PROMPT_TOKENS);
    assert_int_equal(f->streams[0].request->prompt.n_tokens, 3);
    assert_int_equal(f->streams[0].request->prompt.tokens[2], 7);
    ask(f, "chat",
        "{\"model_id\":\"fake\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],"
        "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]}");
    const krs_prompt *prompt = &f->streams[1].request->prompt;
    assert_int_equal(prompt->kind, KRS_PROMPT_CHAT);
    assert_int_equal(json_array_size(at(prompt->chat, "messages")), 1);
    assert_int_equal(json_array_size(at(prompt->chat, "tools")), 1);
    assert_int_equal(prompt->chat->refcount, 1); /* it moves to another thread */
    assert_int_equal(at(prompt->chat, "messages")->refcount, 1);
    (void)next_message(f);
    (void)next_message(f);
    ask(f, "generate", "{\"model_id\":\"fake\"}");
    (void)expect_error(f, -32602, "prompt: required parameter is missing");
}

static void what_cannot_be_is_refused_by_its_own_code(void **state)
{
    fixture *f = *state;
    ask(f, "generate", "{\"model_id\":\"absent\",\"prompt\":\"x\"}");
    const json_t *error = expect_error(f, -32005, "Model not loaded: absent");
    assert_string_equal(text_at(at(error, "data"), "model_id"), "absent");
    ask(f, "generate", "{" GEN ",\"guidance\":{\"mode\":\"json_schema\"}}");
    (void)expect_error(f, -32004, "Guidance error for fake: ");
    ask(f, "generate", "{" GEN ",\"guidance\":{\"mode\":\"xml\",\"schema\":\"<a/>\"}}");
    (void)expect_error(f, -32004, "xml is not supported");
    ask(f, "generate", "{" GEN ",\"required_dtype\":\"bf17\"}");
    (void)expect_error(f, -32002, "Generation failed for fake: required_dtype: bf17");
    ask(f, "load_vision_model", "{\"model_id\":\"v\"}");
    (void)expect_error(f, -32001, "vision models are not supported");
    ask(f, "generate_with_image", "{\"model_id\":\"v\"}");
    (void)expect_error(f, -32002, "vision models are not supported");
    f->max_open = 0;
    ask(f, "generate", "{" GEN "}");
    error = expect_error(f, -32013, "the queue is full");
    assert_true(is_true(at(at(error, "data"), "retryable")));
    assert_int_equal(f->n_opened, 0);
}

static void loads_answer_when_they_end(void **state)
{
    fixture *f = *state; /* whose service cannot load: no opener */
    ask(f, "load_model", "{\"model_id\":\"tests\"}");
    (void)expect_error(f, -32001, "Failed to load model tests: ");
    ask(f, "load_model", "{\"model_id\":\"m\",\"local_path\":\"/no/such/place\"}");
    (void)expect_error(f, -32602, "local_path: does not exist");
    ask(f, "load_model", "{\"model_id\":\"m\",\"local_path\":\"a/../b\"}");
    (void)expect_error(f, -32602, "potentially unsafe sequences");
    ask(f, "load_model", "{\"model_id\":\"m\",\"local_path\":\"relative\"}");
    (void)expect_error(f, -32602, "must be absolute");
    ask(f, "unload_model", "{\"model_id\":\"never heard of\"}");
    (void)expect_error(f, -32602, "invalid characters");
    ask(f, "unload_model", "{\"model_id\":\"never\"}");
    assert_true(is_true(at(expect_result(f), "success")));
    assert_int_equal(krs_rpc_unanswered(f->session), 0);
}

static void paths_lose_all_but_their_last_part(void **state)
{
    (void)state;
    static const struct {
        const char *before;
        const char *after;
    } cases[] = {
        {"/srv/models/x.bin: gone", "x.bin: gone"},
        {"cannot read \"/opt/me/a b\"", "cannot read \"a b\""},
        {"org/model is not loaded", "org/model is not loaded"},
        {"want 1/2 of / or more", "want 1/2 of / or more"},
        {"at=/tmp/x", "at=x"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[64];
        (void)snprintf(text, sizeof(text), "%s", cases[i].before);
        krs_rpc_hide_paths(text);
        assert_string_equal(text, cases[i].after);
    }
}

static void a_reply_that_the_client_cannot_read_becomes_an_error(void **state)
{
    fixture *f = *state;
    ask(f, "rpc.negotiate", "{\"max_line_bytes\":16384}");
    assert_int_equal(int_at(expect_result(f), "max_line_bytes"), 16384);
    char *text = malloc(30000);
    assert_non_null(text);
    memset(text, '7', 29999);
    text[29999] = '\0';
    json_t *id = json_integer(5);
    krs_rpc_reply_tree(f->session, id, json_pack("{s:s}", "big", text));
    json_decref(id);
    free(text);
    (void)expect_error(f, -32602, "the reply would take 300");
}

static void a_client_that_does_not_read_is_not_read_either(void **state)
{
    fixture *f = *state;
    int n = 0;
    while (krs_rpc_is_hungry(f->session)) {
        ask(f, "runtime/info", "{}");
        assert_true(++n < 1000);
    }
    assert_true(krs_rpc_output(f->session).len >= KRS_RPC_HIGH_BYTES);
    sent_all(f);
    assert_true(krs_rpc_is_hungry(f->session));
}

static void shutdown_ends_streams_answers_and_hears_no_more(void **state)
{
    fixture *f = *state;
    ask(f, "generate", "{" GEN "}");
    (void)next_message(f);
    feed(f, "{\"jsonrpc\":\"2.0\",\"method\":\"shutdown\",\"id\":\"shutdown\"}\n"
            "{\"jsonrpc\":\"2.0\",\"method\":\"runtime/state\",\"id\":2}\n");
    (void)expect_notification(f, "stream.stats");
    const json_t *event = expect_notification(f, "stream.event");
    assert_string_equal(text_at(event, "event"), "completed");
    assert_string_equal(text_at(event, "finish_reason"), "shutdown");
    assert_true(is_true(at(expect_result(f), "success")));
    assert_null(next_message(f));
    assert_true(krs_rpc_is_over(f->session));
    assert_true(f->streams[0].is_dropped);
}

static void capabilities_are_those_that_work(void **state)
{
    fixture *f = *state;
    ask(f, "runtime_info", "{}");
    const json_t *result = expect_result(f);
    assert_string_equal(text_at(result, "version"), "9.9.9");
    assert_string_equal(text_at(result, "protocol"), "json-rpc-2.0");
    char *all = json_dumps(at(result, "capabilities"), 0);
    assert_non_null(strstr(all, "\"batch_generate\""));
    assert_non_null(strstr(all, "\"batch_tokenize\""));
    assert_non_null(strstr(all, "\"batch_check_draft\""));
    assert_null(strstr(all, "vision"));
    assert_null(strstr(all, "image"));
    assert_non_null(strstr(all, "\"guidance\""));
    free(all);
}

static void drafts_are_compared_as_the_contract_says(void **state)
{
    fixture *f = *state;
    ask(f, "check_draft", "{\"primary_id\":\"fake\",\"draft_id\":\"fake\"}");
    const json_t *result = expect_result(f);
    assert_true(is_true(at(result, "compatible")));
    assert_int_equal(json_array_size(at(result, "errors")), 0);
    const json_t *estimate = at(at(result, "details"), "performance_estimate");
    assert_string_equal(text_at(estimate, "expected_speedup"), "1.00x");
    assert_string_equal(text_at(estimate, "size_ratio"), "N/A"); /* no parameters are known */
    ask(f, "batch_check_draft",
        "{\"requests\":[{\"primary_id\":\"fake\",\"draft_id\":\"no\"},{\"primary_id\":1}]}");
    const json_t *results = at(expect_result(f), "results");
    assert_int_equal(json_array_size(results), 2);
    assert_true(is_null(at(json_array_get(results, 0), "result")));
    assert_non_null(strstr(text_at(json_array_get(results, 0), "error"), "not loaded"));
    assert_non_null(strstr(text_at(json_array_get(results, 1), "error"), "primary_id"));
}

static void figures_are_exact_over_what_they_keep(void **state)
{
    (void)state;
    krs_rpc_latency latency = {.n = 0};
    assert_true(krs_rpc_latency_quantile(&latency, 0.99) == 0);
    for (uint64_t i = 1; i <= 101; i++) {
        krs_rpc_latency_add(&latency, i * MS);
    }
    assert_true(krs_rpc_latency_quantile(&latency, 0.5) == 51);
    assert_true(krs_rpc_latency_quantile(&latency, 0.99) == 100);
    assert_true(krs_rpc_latency_mean(&latency) == 51);
    assert_true(latency.min_ms == 1 && latency.max_ms == 101);
    krs_rpc_batcher batcher = {.n_active = 0};
    krs_rpc_batcher_start(&batcher);
    krs_rpc_batcher_start(&batcher);
    const krs_stream_event end = {.is_end = true, .usage = {.n_answer_tokens = 50}};
    krs_rpc_batcher_end(&batcher, &end, 100 * KRS_NS_PER_S);
    assert_true(krs_rpc_batcher_rate(&batcher, true, 5, 102 * KRS_NS_PER_S) == 10);
    assert_true(krs_rpc_batcher_rate(&batcher, true, 5, 105 * KRS_NS_PER_S) == 0);
    assert_true(krs_rpc_batcher_rate(&batcher, false, 60, 105 * KRS_NS_PER_S) * 60 == 1);
    assert_int_equal(batcher.by_size[1], 1);
    assert_int_equal(batcher.by_size[2], 1);
    assert_int_equal(batcher.n_active, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(ids_come_back_as_they_were),
        TEST(notifications_are_never_answered),
        TEST(what_is_no_request_is_told_so),
        TEST(a_message_too_long_is_answered_by_its_id),
        TEST(defaults_are_the_contracts),
        TEST(every_wish_reaches_the_runtime),
        TEST(prompts_come_as_text_ids_or_messages),
        TEST(what_cannot_be_is_refused_by_its_own_code),
        TEST(loads_answer_when_they_end),
        cmocka_unit_test(paths_lose_all_but_their_last_part),
        TEST(a_reply_that_the_client_cannot_read_becomes_an_error),
        TEST(a_client_that_does_not_read_is_not_read_either),
        TEST(shutdown_ends_streams_answers_and_hears_no_more),
        TEST(capabilities_are_those_that_work),
        TEST(drafts_are_compared_as_the_contract_says),
        cmocka_unit_test(figures_are_exact_over_what_they_keep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
