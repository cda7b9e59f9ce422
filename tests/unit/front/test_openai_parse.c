/* unit/front/test_openai_parse.c - bodies, good and bad: what becomes of them, and who is blamed. */
#include "call_fixture.h"
#include "front/openai_priv.h"

#define MSG "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"

static const krs_openai_call *openai_call_of(const krs_call *call)
{
    return (const krs_openai_call *)(const void *)call;
}

static const bad_case bad_chats[] = {
    {"\"messages\":[]", "messages"},
    {"\"messages\":\"hi\"", "messages"},
    {"\"x\":1", "messages"},
    {"\"messages\":[1]", "messages"},
    {"\"messages\":[{\"content\":\"a\"}]", "messages[0].role"},
    {"\"messages\":[{\"role\":\"boss\",\"content\":\"a\"}]", "messages[0].role"},
    {"\"messages\":[{\"role\":\"user\"}]", "messages[0].content"},
    {"\"messages\":[{\"role\":\"user\",\"content\":7}]", "messages[0].content"},
    {"\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}]",
     "messages[0].content"},
    {"\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}]", "messages[0].content"},
    {"\"messages\":[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":{}}]",
     "messages[0].content"},
    {"\"messages\":[{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":{}}]",
     "messages[0].tool_calls"},
    {"\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{}}]}]",
     "messages[0].tool_calls"},
    {"\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":\"f\","
     "\"arguments\":\"[1]\"}}]}]",
     "messages[0].tool_calls[0]"},
    {"\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":\"f\"}},"
     "{\"function\":{\"name\":\"f\",\"arguments\":\"{\"}}]}]",
     "messages[0].tool_calls[1]"},
    {"\"messages\":[{\"role\":\"assistant\",\"content\":\"\",\"function_call\":{}}]",
     "messages[0].function_call"},
    {MSG ",\"temperature\":-0.1", "temperature"},
    {MSG ",\"temperature\":2.1", "temperature"},
    {MSG ",\"temperature\":\"1\"", "temperature"},
    {MSG ",\"top_p\":0", "top_p"},
    {MSG ",\"top_p\":1.1", "top_p"},
    {MSG ",\"min_p\":1", "min_p"},
    {MSG ",\"top_k\":-2", "top_k"},
    {MSG ",\"top_k\":1.5", "top_k"},
    {MSG ",\"repetition_penalty\":0", "repetition_penalty"},
    {MSG ",\"presence_penalty\":-2.5", "presence_penalty"},
    {MSG ",\"frequency_penalty\":2.5", "frequency_penalty"},
    {MSG ",\"max_tokens\":0", "max_tokens"},
    {MSG ",\"max_completion_tokens\":-1", "max_completion_tokens"},
    {MSG ",\"max_tokens\":2,\"min_tokens\":3", "min_tokens"},
    {MSG ",\"n\":0", "n"},
    {MSG ",\"n\":17", "n"},
    {MSG ",\"stream\":1", "stream"},
    {MSG ",\"stream_options\":{}", "stream_options"},
    {MSG ",\"stream\":true,\"stream_options\":{\"include_usage\":1}",
     "stream_options.include_usage"},
    {MSG ",\"stop\":1", "stop"},
    {MSG ",\"stop\":\"\"", "stop"},
    {MSG ",\"stop\":[\"a\",1]", "stop"},
    {MSG ",\"stop\":[\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\","
         "\"a\",\"a\",\"a\",\"a\",\"a\"]",
     "stop"},
    {MSG ",\"stop_token_ids\":[50]", "stop_token_ids"},
    {MSG ",\"stop_token_ids\":3", "stop_token_ids"},
    {MSG ",\"seed\":\"x\"", "seed"},
    {MSG ",\"logit_bias\":{\"x\":1}", "logit_bias"},
    {MSG ",\"logit_bias\":{\"50\":1}", "logit_bias"},
    {MSG ",\"logit_bias\":{\"-1\":1}", "logit_bias"},
    {MSG ",\"logit_bias\":{\"1\":101}", "logit_bias"},
    {MSG ",\"logit_bias\":[1]", "logit_bias"},
    {MSG ",\"logprobs\":3", "logprobs"},
    {MSG ",\"top_logprobs\":3", "top_logprobs"},
    {MSG ",\"logprobs\":true,\"top_logprobs\":21", "top_logprobs"},
    {MSG ",\"user\":1", "user"},
    {MSG ",\"tools\":{}", "tools"},
    {MSG ",\"tools\":[{\"type\":\"web\"}]", "tools[0].type"},
    {MSG ",\"tools\":[{\"type\":\"function\",\"function\":{}}]", "tools[0].function.name"},
    {MSG ",\"tool_choice\":\"required\"", "tool_choice"},
    {MSG ",\"tool_choice\":{\"type\":\"function\"}", "tool_choice.name"},
    {MSG ",\"response_format\":\"text\"", "response_format"},
    {MSG ",\"functions\":[{\"name\":\"f\"}]", "functions"},
    {MSG ",\"modalities\":[\"text\",\"audio\"]", "modalities"},
    {MSG ",\"web_search_options\":{\"a\":1}", "web_search_options"},
    {MSG ",\"continue_final_message\":true", "continue_final_message"},
    {MSG ",\"chat_template\":\"{{ 1 }}\"", "chat_template"},
    {MSG ",\"add_special_tokens\":true", "add_special_tokens"},
    {MSG ",\"skip_special_tokens\":false", "skip_special_tokens"},
    {MSG ",\"length_penalty\":2", "length_penalty"},
    {MSG ",\"truncate_prompt_tokens\":5", "truncate_prompt_tokens"},
    {MSG ",\"verbosity\":\"low\"", "verbosity"},
    {MSG ",\"metadata\":{\"a\":1}", "metadata"},
    {MSG ",\"store\":\"yes\"", "store"},
    {MSG ",\"cache_salt\":\"\"", "cache_salt"},
    {MSG ",\"speculation\":true", "speculation"},
    {MSG ",\"speculation\":{\"mode\":\"fast\"}", "speculation.mode"},
    {MSG ",\"speculation\":{\"mode\":1}", "mode"},
    {MSG ",\"speculation\":{\"max_tokens\":16}", "max_tokens"},
    {MSG ",\"reasoning_effort\":3", "reasoning_effort"},
    {MSG ",\"priority\":\"high\"", "priority"},
    {MSG ",\"timeout_ms\":0", "timeout_ms"},
    {MSG ",\"ignore_eos\":1", "ignore_eos"},
    {MSG ",\"chat_template_kwargs\":{\"messages\":1}", "chat_template_kwargs"},
    {MSG ",\"chat_template_kwargs\":7", "chat_template_kwargs"},
    {MSG ",\"add_generation_prompt\":1", "add_generation_prompt"},
};

static const bad_case bad_completions[] = {
    {"\"x\":1", "prompt"},
    {"\"prompt\":7", "prompt"},
    {"\"prompt\":[]", "prompt"},
    {"\"prompt\":\"\"", "prompt"},
    {"\"prompt\":[1,50]", "prompt"},
    {"\"prompt\":[1,\"a\"]", "prompt"},
    {"\"prompt\":[\"a\",1]", "prompt"},
    {"\"prompt\":[[]]", "prompt"},
    {"\"prompt\":[[1],[\"a\"]]", "prompt"},
    {"\"prompt\":[\"a\",\"b\"],\"n\":9", "n"},
    {"\"prompt\":\"a\",\"logprobs\":21", "logprobs"},
    {"\"prompt\":\"a\",\"logprobs\":true", "logprobs"},
    {"\"prompt\":\"a\",\"echo\":true", "echo"},
    {"\"prompt\":\"a\",\"suffix\":\"b\"", "suffix"},
    {"\"prompt\":\"a\",\"best_of\":2", "best_of"},
    {"\"prompt\":\"a\",\"add_special_tokens\":false", "add_special_tokens"},
};

static void every_bad_chat_field_is_named(void **state)
{
    (void)state;
    check_bad(KRS_CALL_CHAT, bad_chats, sizeof(bad_chats) / sizeof(bad_chats[0]));
}

static void every_bad_completion_field_is_named(void **state)
{
    (void)state;
    check_bad(KRS_CALL_COMPLETION, bad_completions,
              sizeof(bad_completions) / sizeof(bad_completions[0]));
}

static void bodies_that_are_no_call_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        krs_status status;
        const char *param;
    } cases[] = {{"", KRS_EINVAL, ""},
                 {"{", KRS_EINVAL, ""},
                 {"[]", KRS_EINVAL, ""},
                 {"null", KRS_EINVAL, ""},
                 {"{\"model\":\"m\",\"model\":\"m\"}", KRS_EINVAL, ""}, /* two readings */
                 {"{" MSG "}", KRS_EINVAL, "model"},
                 {"{\"model\":1," MSG "}", KRS_EINVAL, "model"},
                 {"{\"model\":\"other\"," MSG "}", KRS_ENOTLOADED, "model"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        krs_call *call = NULL;
        krs_error err = KRS_ERROR_INIT;
        assert_int_equal(parse(KRS_CALL_CHAT, cases[i].body, &call, &err), cases[i].status);
        assert_string_equal(err.field, cases[i].param);
        assert_null(call);
    }
}

static void absent_fields_take_the_models_defaults(void **state)
{
    (void)state;
    krs_call *call =
        parse_good(KRS_CALL_CHAT,
                   "{\"model\":\"m\"," MSG ",\"temperature\":null,\"stop\":null,\"n\":null,"
                   "\"functions\":null,\"echo\":false,\"best_of\":1,"
                   "\"skip_special_tokens\":true,\"add_special_tokens\":false,"
                   "\"length_penalty\":1,\"verbosity\":\"medium\",\"unknown_field\":{\"a\":[]}}");
    const krs_request *r = call->requests[0];
    assert_true(r->sampling.temperature == 0.7 && r->sampling.top_p == 0.9);
    assert_int_equal(r->sampling.seed, 0xAB);
    assert_int_equal(r->sampling.n_logprobs, -1);
    assert_int_equal(r->stopping.max_tokens, 0);
    assert_int_equal(r->deadline_ns, UINT64_MAX);
    assert_int_equal(r->priority, KRS_PRIORITY_NORMAL);
    assert_string_equal(r->correlation_id, "req-1");
    assert_string_equal(openai_call_of(call)->head.id, "chatcmpl-00000000000000ab");
    assert_false(call->is_stream);
    krs_call_free(call);
}

static void given_fields_arrive(void **state)
{
    (void)state;
    krs_call *call = parse_good(
        KRS_CALL_CHAT,
        "{\"model\":\"m\"," MSG ",\"temperature\":0,\"top_p\":0.5,\"top_k\":-1,\"min_p\":0.1,"
        "\"repetition_penalty\":1.1,\"presence_penalty\":1,\"frequency_penalty\":-1,\"seed\":-5,"
        "\"max_tokens\":10,\"max_completion_tokens\":20,\"min_tokens\":3,\"ignore_eos\":true,"
        "\"include_stop_str_in_output\":true,\"stop\":[\"x\",\"yy\"],\"stop_token_ids\":[1,49],"
        "\"logit_bias\":{\"3\":-100,\"4\":1.5},\"logprobs\":true,\"top_logprobs\":2,\"n\":2,"
        "\"priority\":\"urgent\",\"timeout_ms\":2,\"stream\":true,"
        "\"speculation\":{\"mode\":\"ngram\",\"max_tokens\":7},"
        "\"stream_options\":{\"include_usage\":true}}");
    const krs_request *r = call->requests[1];
    assert_true(r->sampling.temperature == 0 && r->sampling.top_p == 0.5);
    assert_true(r->sampling.min_p == 0.1 && r->sampling.repetition_penalty == 1.1);
    assert_true(r->sampling.presence_penalty == 1 && r->sampling.frequency_penalty == -1);
    assert_int_equal(r->sampling.top_k, 0);
    assert_int_equal(r->sampling.seed, (uint64_t)-5 + 1); /* the second choice */
    assert_int_equal(call->requests[0]->sampling.seed, (uint64_t)-5);
    assert_int_equal(r->stopping.max_tokens, 20);
    assert_int_equal(r->speculation.mode, KRS_SPECULATION_NGRAM);
    assert_int_equal(r->speculation.max_tokens, 7);
    assert_int_equal(r->stopping.min_tokens, 3);
    assert_true(r->stopping.is_eos_ignored && r->stopping.has_stop_text);
    assert_int_equal(r->stopping.n_stops, 2);
    assert_true(krs_str_equal(r->stopping.stops[1], KRS_STR("yy")));
    assert_int_equal(r->stopping.n_stop_ids, 2);
    assert_int_equal(r->stopping.stop_ids[1], 49);
    assert_int_equal(r->sampling.n_bias, 2);
    assert_int_equal(r->sampling.bias[0].token, 3);
    assert_true(r->sampling.bias[0].bias == -100.0F);
    assert_int_equal(r->sampling.n_logprobs, 2);
    assert_int_equal(r->priority, KRS_PRIORITY_URGENT);
    assert_int_equal(r->deadline_ns, 1000 + 2 * KRS_NS_PER_MS);
    assert_true(call->is_stream && call->has_tokens);
    assert_true(openai_call_of(call)->has_usage_chunk);
    assert_int_equal(call->n_requests, 2);
    krs_call_free(call);
}

/* The chat tree of a good body, as JSON with sorted keys. */
static void expect_chat(const char *fields, const char *want)
{
    char body[2048];
    (void)snprintf(body, sizeof(body), "{\"model\":\"m\",%s}", fields);
    krs_call *call = parse_good(KRS_CALL_CHAT, body);
    char *got = json_dumps(call->requests[0]->prompt.chat, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(got, want);
    free(got);
    krs_call_free(call);
}

static void chats_become_what_templates_expect(void **state)
{
    (void)state;
    expect_chat("\"messages\":[{\"role\":\"developer\",\"content\":\"s\"},{\"role\":\"user\","
                "\"name\":\"bo\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},"
                "{\"type\":\"text\",\"text\":\"b\\u0000\"}]}]",
                "{\"add_generation_prompt\":true,\"messages\":["
                "{\"content\":\"s\",\"role\":\"system\"},"
                "{\"content\":\"a\\nb\\u0000\",\"name\":\"bo\",\"role\":\"user\"}]}");
    expect_chat("\"messages\":[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":"
                "\"1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":"
                "\"{\\\"x\\\":1}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"1\","
                "\"content\":\"2\"}],\"tools\":[{\"type\":\"function\",\"function\":"
                "{\"name\":\"f\"}}],\"chat_template_kwargs\":{\"think\":false}",
                "{\"add_generation_prompt\":true,\"messages\":[{\"content\":null,\"role\":"
                "\"assistant\",\"tool_calls\":[{\"function\":{\"arguments\":{\"x\":1},\"name\":"
                "\"f\"},\"id\":\"1\",\"type\":\"function\"}]},{\"content\":\"2\",\"role\":"
                "\"tool\",\"tool_call_id\":\"1\"}],\"think\":false,\"tools\":[{\"function\":"
                "{\"name\":\"f\"},\"type\":\"function\"}]}");
    /* A call without arguments, as clients may send it back. */
    expect_chat(
        "\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":\"f\","
        "\"arguments\":\"\"}},{\"function\":{\"name\":\"g\"}}]}]",
        "{\"add_generation_prompt\":true,\"messages\":[{\"role\":\"assistant\",\"tool_calls\":"
        "[{\"function\":{\"arguments\":{},\"name\":\"f\"}},{\"function\":{\"arguments\":{},"
        "\"name\":\"g\"}}]}]}");
    expect_chat(MSG ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],"
                    "\"tool_choice\":\"none\"",
                "{\"add_generation_prompt\":true,\"messages\":[{\"content\":\"hi\",\"role\":"
                "\"user\"}]}");
}

static void prompts_come_in_four_shapes(void **state)
{
    (void)state;
    krs_call *call = parse_good(KRS_CALL_COMPLETION, "{\"model\":\"m\",\"prompt\":\"a\\u0000b\"}");
    assert_int_equal(call->requests[0]->prompt.text.len, 3);
    assert_int_equal(call->requests[0]->stopping.max_tokens, KRS_OPENAI_DEFAULT_TOKENS);
    krs_call_free(call);
    call = parse_good(KRS_CALL_COMPLETION, "{\"model\":\"m\",\"prompt\":[1,2,3]}");
    assert_int_equal(call->n_requests, 1);
    assert_int_equal(call->requests[0]->prompt.kind, KRS_PROMPT_TOKENS);
    assert_int_equal(call->requests[0]->prompt.n_tokens, 3);
    assert_int_equal(call->requests[0]->prompt.tokens[2], 3);
    krs_call_free(call);
    call = parse_good(KRS_CALL_COMPLETION,
                      "{\"model\":\"m\",\"prompt\":[[1],[2,3]],\"n\":2,\"max_tokens\":1}");
    assert_int_equal(call->n_requests, 4);
    assert_int_equal(call->requests[1]->prompt.n_tokens, 1);
    assert_int_equal(call->requests[2]->prompt.n_tokens, 2);
    krs_call_free(call);
    call = parse_good(KRS_CALL_COMPLETION, "{\"model\":\"m\",\"prompt\":[\"a\",\"bc\"]}");
    assert_int_equal(openai_call_of(call)->n_prompts, 2);
    assert_true(krs_str_equal(call->requests[1]->prompt.text, KRS_STR("bc")));
    krs_call_free(call);
}

/* head, n times unit, tail. Freed by the caller. */
static char *repeated(const char *head, const char *unit, size_t n, const char *tail)
{
    krs_buf text;
    krs_buf_init(&text, NULL, 64u << 20);
    assert_int_equal(krs_buf_append_str(&text, krs_str_of(head)), KRS_OK);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(krs_buf_append_str(&text, krs_str_of(unit)), KRS_OK);
    }
    assert_int_equal(krs_buf_append_str(&text, krs_str_of(tail)), KRS_OK);
    return text.data;
}

/* A tree is fifty times the size of its text, so the text's length alone is no bound. */
static void values_are_bounded_where_bytes_are_not(void **state)
{
    (void)state;
    krs_call *call = NULL;
    krs_error err = KRS_ERROR_INIT;
    char *body =
        repeated("{\"model\":\"m\"," MSG ",\"x\":[", "[],", KRS_CALL_MAX_CHAT_VALUES / 2, "1]}");
    assert_int_equal(parse(KRS_CALL_CHAT, body, &call, &err), KRS_ETOOLARGE);
    assert_non_null(strstr(err.message, "JSON values, limit 131072"));
    free(body);
    /* The same inside the strings of tool calls, each below every limit of its own. */
    char *calls =
        repeated("{\"model\":\"m\",\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[",
                 "{\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":[0,0,0,0,0,0,0,0,0,"
                 "0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]}\"}},",
                 KRS_CALL_MAX_CHAT_VALUES / 32, "{\"function\":{\"name\":\"f\"}}]}]}");
    assert_int_equal(parse(KRS_CALL_CHAT, calls, &call, &err), KRS_EINVAL);
    assert_string_equal(err.field, "messages[0].tool_calls[3855]");
    assert_non_null(strstr(err.message, "too many values"));
    free(calls);
}

static void errors_have_openai_s_shape(void **state)
{
    (void)state;
    krs_buf out;
    krs_buf_init(&out, NULL, 4096);
    krs_error err = KRS_ERROR_INIT;
    (void)krs_fail_field(&err, KRS_ENOTLOADED, "model", "model: \"x\" no");
    assert_int_equal(krs_call_error_write(KRS_CALL_CHAT, &err, "req-1", &out), KRS_OK);
    assert_string_equal(out.data, "{\"error\":{\"message\":\"model: \\\"x\\\" no\",\"type\":"
                                  "\"invalid_request_error\",\"param\":\"model\",\"code\":"
                                  "\"model_not_found\",\"retryable\":false,\"context\":{"
                                  "\"status\":\"KRS_ENOTLOADED\"},\"correlation_id\":\"req-1\"}}");
    krs_buf_reset(&out);
    (void)krs_fail_field(&err, KRS_ETOOLARGE, "messages", "messages: 9 tokens, want at most 8");
    assert_int_equal(krs_call_error_write(KRS_CALL_CHAT, &err, "req-1", &out), KRS_OK);
    assert_non_null(
        strstr(out.data, "\"param\":\"messages\",\"code\":\"context_length_exceeded\""));
    for (int status = KRS_EAGAIN; status < KRS_STATUS_COUNT; status++) {
        krs_buf_reset(&out);
        err = (krs_error){.status = (krs_status)status};
        assert_int_equal(krs_call_error_write(KRS_CALL_CHAT, &err, "req-1", &out), KRS_OK);
        json_t *tree = json_loads(out.data, 0, NULL);
        const json_t *error = json_object_get(tree, "error");
        assert_true(json_string_length(json_object_get(error, "message")) > 0);
        assert_true(json_is_string(json_object_get(error, "type")));
        assert_true(json_is_null(json_object_get(error, "param")));
        json_decref(tree);
    }
    krs_buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_bad_chat_field_is_named),
        cmocka_unit_test(every_bad_completion_field_is_named),
        cmocka_unit_test(bodies_that_are_no_call_are_refused),
        cmocka_unit_test(absent_fields_take_the_models_defaults),
        cmocka_unit_test(given_fields_arrive),
        cmocka_unit_test(chats_become_what_templates_expect),
        cmocka_unit_test(prompts_come_in_four_shapes),
        cmocka_unit_test(values_are_bounded_where_bytes_are_not),
        cmocka_unit_test(errors_have_openai_s_shape),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
