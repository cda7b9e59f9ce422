/* unit/front/test_messages.c - Anthropic's messages API: turns, refusals, the sequence of events. */
#include "call_fixture.h"

#define MSG "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"
#define ASK "{\"model\":\"m\",\"max_tokens\":9," MSG

static const bad_case bad[] = {
    {MSG, "max_tokens"},
    {"\"max_tokens\":0," MSG, "max_tokens"},
    {"\"max_tokens\":1", "messages"},
    {"\"max_tokens\":1,\"messages\":[]", "messages"},
    {"\"max_tokens\":1,\"messages\":{}", "messages"},
    {"\"max_tokens\":1,\"messages\":[7]", "messages[0].role"},
    {"\"max_tokens\":1,\"messages\":[{\"role\":\"tool\",\"content\":\"a\"}]", "messages[0].role"},
    {"\"max_tokens\":1,\"messages\":[{\"role\":\"user\"}]", "messages[0].content"},
    {"\"max_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":[]}]", "messages[0].content"},
    {"\"max_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\"}]}]",
     "messages[0].content[0]"},
    {"\"max_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}]",
     "messages[0].content[0]"},
    {"\"max_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":"
     "\"assistant\",\"content\":\"b\"}]",
     "messages[1].role"},
    {"\"max_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\""
     ":\"tool_result\"}]}]",
     "messages[0].content[0]"},
    {"\"max_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\""
     ":\"tool_result\",\"tool_use_id\":\"a\",\"content\":[{\"type\":\"image\"}"
     "]}]}]",
     "messages[0].content[0].content[0]"},
    {"\"max_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\""
     ":\"tool_use\",\"id\":\"a\",\"name\":\"f\",\"input\":{}}]}]",
     "messages[0].content[0]"},
    {"\"max_tokens\":1,\"messages\":[{\"role\":\"assistant\",\"content\":[{\""
     "type\":\"tool_use\",\"id\":\"a\",\"name\":\"f\"}]},{\"role\":\"user\",\"cont"
     "ent\":\"a\"}]",
     "messages[0].content[0]"},
    {"\"max_tokens\":1,\"messages\":[{\"role\":\"assistant\",\"content\":[{\""
     "type\":\"thinking\"}]},{\"role\":\"user\",\"content\":\"a\"}]",
     "messages[0].content[0]"},
    {"\"max_tokens\":1,\"system\":7," MSG, "system"},
    {"\"max_tokens\":1,\"system\":[{\"type\":\"image\"}]," MSG, "system[0]"},
    {"\"max_tokens\":1,\"temperature\":1.1," MSG, "temperature"},
    {"\"max_tokens\":1,\"top_p\":0," MSG, "top_p"},
    {"\"max_tokens\":1,\"top_k\":-2," MSG, "top_k"},
    {"\"max_tokens\":1,\"stop_sequences\":\"a\"," MSG, "stop_sequences"},
    {"\"max_tokens\":1,\"stop_sequences\":[\"\"]," MSG, "stop_sequences"},
    {"\"max_tokens\":1,\"stop_sequences\":[1]," MSG, "stop_sequences"},
    {"\"max_tokens\":1,\"stream\":1," MSG, "stream"},
    {"\"max_tokens\":1,\"metadata\":7," MSG, "metadata"},
    {"\"max_tokens\":1,\"metadata\":{\"user_id\":7}," MSG, "metadata.user_id"},
    {"\"max_tokens\":1,\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":9}," MSG, "thinking"},
    {"\"max_tokens\":1,\"tools\":[{\"name\":\"f\"}]," MSG, "tools[0].input_schema"},
    {"\"max_tokens\":1,\"mcp_servers\":[{\"a\":1}]," MSG, "mcp_servers"},
};

static void every_bad_field_is_named(void **state)
{
    (void)state;
    check_bad(KRS_CALL_MESSAGES, bad, sizeof(bad) / sizeof(bad[0]));
}

static void expect_chat(const char *fields, const char *messages)
{
    char body[4096];
    (void)snprintf(body, sizeof(body), "{\"model\":\"m\",\"max_tokens\":1,%s}", fields);
    krs_call *call = parse_good(KRS_CALL_MESSAGES, body);
    expect_tree(json_object_get(call->requests[0]->prompt.chat, "messages"), messages);
    krs_call_free(call);
}

static void turns_become_a_chat(void **state)
{
    (void)state;
    expect_chat(MSG, "[{\"content\":\"hi\",\"role\":\"user\"}]");
    expect_chat("\"system\":\"be\"," MSG, "[{\"content\":\"be\",\"role\":\"system\"},"
                                          "{\"content\":\"hi\",\"role\":\"user\"}]");
    expect_chat("\"system\":[{\"type\":\"text\",\"text\":\"be\",\"cache_control\":{\"type\":"
                "\"ephemeral\"}},{\"type\":\"text\",\"text\":\"kind\"}]," MSG,
                "[{\"content\":\"be\\nkind\",\"role\":\"system\"},{\"content\":\"hi\",\"role\":"
                "\"user\"}]");
    expect_chat("\"system\":[]," MSG, "[{\"content\":\"hi\",\"role\":\"user\"}]");
    /* Turns of one role are one turn. */
    expect_chat("\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"user\","
                "\"content\":[{\"type\":\"text\",\"text\":\"b\"},{\"type\":\"text\",\"text\":"
                "\"\"}]},{\"role\":\"assistant\",\"content\":\"c\"},{\"role\":\"user\","
                "\"content\":\"d\"}]",
                "[{\"content\":\"a\\nb\\n\",\"role\":\"user\"},{\"content\":\"c\",\"role\":"
                "\"assistant\"},{\"content\":\"d\",\"role\":\"user\"}]");
}

static void calls_and_their_results_become_messages(void **state)
{
    (void)state;
    expect_chat("\"messages\":[{\"role\":\"user\",\"content\":\"2+3?\"},{\"role\":\"assist"
                "ant\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"sum\",\"signatu"
                "re\":\"s\"},{\"type\":\"redacted_thinking\",\"data\":\"x\"},{\"type\":\"te"
                "xt\",\"text\":\"I add.\"},{\"type\":\"tool_use\",\"id\":\"t1\",\"name\":\"ad"
                "d\",\"input\":{\"a\":2}},{\"type\":\"tool_use\",\"id\":\"t2\",\"name\":\"now"
                "\",\"input\":{}}]},{\"role\":\"user\",\"content\":[{\"type\":\"tool_resu"
                "lt\",\"tool_use_id\":\"t1\",\"content\":\"5\"},{\"type\":\"tool_result\","
                "\"tool_use_id\":\"t2\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"t"
                "ype\":\"text\",\"text\":\"b\"}],\"is_error\":true},{\"type\":\"tool_resu"
                "lt\",\"tool_use_id\":\"t9\"},{\"type\":\"text\",\"text\":\"go on\"}]},{\"r"
                "ole\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"t3\",\"na"
                "me\":\"f\",\"input\":{}}]},{\"role\":\"user\",\"content\":[{\"type\":\"too"
                "l_result\",\"tool_use_id\":\"t3\",\"content\":[]}]}]",
                "[{\"content\":\"2+3?\",\"role\":\"user\"},{\"content\":\"I add.\",\"reaso"
                "ning_content\":\"sum\",\"role\":\"assistant\",\"tool_calls\":[{\"funct"
                "ion\":{\"arguments\":{\"a\":2},\"name\":\"add\"},\"id\":\"t1\",\"type\":\"fu"
                "nction\"},{\"function\":{\"arguments\":{},\"name\":\"now\"},\"id\":\"t2\""
                ",\"type\":\"function\"}]},{\"content\":\"5\",\"name\":\"add\",\"role\":\"to"
                "ol\",\"tool_call_id\":\"t1\"},{\"content\":\"a\\nb\",\"name\":\"now\",\"rol"
                "e\":\"tool\",\"tool_call_id\":\"t2\"},{\"content\":\"\",\"role\":\"tool\",\""
                "tool_call_id\":\"t9\"},{\"content\":\"go on\",\"role\":\"user\"},{\"cont"
                "ent\":null,\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"arg"
                "uments\":{},\"name\":\"f\"},\"id\":\"t3\",\"type\":\"function\"}]},{\"cont"
                "ent\":\"\",\"name\":\"f\",\"role\":\"tool\",\"tool_call_id\":\"t3\"}]");
}

static void given_fields_arrive(void **state)
{
    (void)state;
    krs_call *call = parse_good(
        KRS_CALL_MESSAGES,
        ASK ",\"temperature\":1,\"top_p\":0.5,\"top_k\":3,\"stop_sequences\":[\"x\",\"yy\"],"
            "\"stream\":true,\"metadata\":{\"user_id\":null,\"foo\":1},\"thinking\":{\"type\":"
            "\"disabled\"},\"service_tier\":\"auto\",\"cache_salt\":\"s\",\"seed\":5}");
    const krs_request *r = call->requests[0];
    assert_int_equal(r->stopping.max_tokens, 9);
    assert_int_equal(r->stopping.n_stops, 2);
    assert_true(krs_str_equal(r->stopping.stops[1], KRS_STR("yy")));
    assert_true(r->sampling.temperature == 1 && r->sampling.top_p == 0.5);
    assert_int_equal(r->sampling.top_k, 3);
    assert_int_equal(r->sampling.seed, 5);
    assert_true(call->is_stream && !call->has_tokens);
    assert_string_equal(call->ignored, "metadata.foo");
    krs_call_free(call);
}

#define MESSAGE                                                                                    \
    "{\"container\":null,\"content\":[%s],\"id\":\"msg_00000000000000ab\",\"model\":\"m\","        \
    "\"role\":"                                                                                    \
    "\"assistant\",\"stop_details\":null,\"stop_reason\":%s,\"stop_sequence\":%s,\"type\":"        \
    "\"message\",\"usage\":" USAGE "}"
#define USAGE                                                                                      \
    "{\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":3,\"input_tokens\":4,"         \
    "\"output_tokens\":5,\"output_tokens_details\":null,\"server_tool_use\":null}"

/* A whole answer that ends so. stop: number of the stop string, 0: none. */
static void expect_ending(const char *max_tokens, krs_finish finish, uint32_t stop,
                          const char *reason, const char *sequence)
{
    char body[256];
    char want[1024];
    (void)snprintf(body, sizeof(body),
                   "{\"model\":\"m\"," MSG ",\"max_tokens\":%s,\"stop_sequences\":[\"x\","
                   "\"y\\\"\"]}",
                   max_tokens);
    talk t = talk_of(KRS_CALL_MESSAGES, body);
    krs_stream_event event = end_event(finish);
    event.usage.stop = stop;
    assert_string_equal(hear_text(&t, 0, "a\n"), "");
    (void)hear(&t, 0, &event);
    (void)snprintf(want, sizeof(want), MESSAGE,
                   "{\"citations\":null,\"text\":\"a\\n\",\"type\":\"text\"}", reason, sequence);
    expect_json(&t, want);
    talk_end(&t);
}

static void a_whole_message_says_why_it_ended(void **state)
{
    (void)state;
    expect_ending("9", KRS_FINISH_STOP, 0, "\"end_turn\"", "null");
    expect_ending("5", KRS_FINISH_LENGTH, 0, "\"max_tokens\"", "null");
    expect_ending("6", KRS_FINISH_LENGTH, 0, "\"model_context_window_exceeded\"", "null");
    expect_ending("9", KRS_FINISH_STOP, 2, "\"stop_sequence\"", "\"y\\\"\"");
}

static void a_streamed_message_is_the_full_sequence(void **state)
{
    (void)state;
    char want[1024];
    talk t = talk_of(KRS_CALL_MESSAGES, ASK ",\"stream\":true,\"stop_sequences\":[\"x\"]}");
    const krs_stream_event first = {.text = KRS_STR("a"),
                                    .usage = {.n_prompt_tokens = 7, .n_cached_tokens = 3}};
    const char *s = hear(&t, 0, &first);
    assert_int_equal(count_sse(s), 3);
    (void)snprintf(want, sizeof(want), "{\"message\":" MESSAGE ",\"type\":\"message_start\"}", "",
                   "null", "null");
    char *tokens = strstr(want, "\"output_tokens\":5");
    tokens[strlen("\"output_tokens\":")] = '0';
    expect_sse(s, 0, "message_start", want);
    expect_sse(s, 1, "content_block_start",
               "{\"content_block\":{\"citations\":null,\"text\":\"\",\"type\":\"text\"},\"index\":"
               "0,\"type\":"
               "\"content_block_start\"}");
    expect_sse(s, 2, "content_block_delta",
               "{\"delta\":{\"text\":\"a\",\"type\":\"text_delta\"},\"index\":0,\"type\":"
               "\"content_block_delta\"}");
    assert_string_equal(hear_text(&t, 0, ""), "");
    krs_stream_event end = end_event(KRS_FINISH_STOP);
    end.usage.stop = 1;
    end.text = KRS_STR("b");
    s = hear(&t, 0, &end);
    assert_int_equal(count_sse(s), 4);
    expect_sse(s, 0, "content_block_delta",
               "{\"delta\":{\"text\":\"b\",\"type\":\"text_delta\"},\"index\":0,\"type\":"
               "\"content_block_delta\"}");
    expect_sse(s, 1, "content_block_stop", "{\"index\":0,\"type\":\"content_block_stop\"}");
    expect_sse(
        s, 2, "message_delta",
        "{\"delta\":{\"container\":null,\"stop_details\":null,\"stop_reason\":"
        "\"stop_sequence\",\"stop_sequence\":\"x\"},\"type\":\"message_delta\",\"usage\":" USAGE
        "}");
    expect_sse(s, 3, "message_stop", "{\"type\":\"message_stop\"}");
    assert_int_equal(krs_answer_state_of(t.answer), KRS_ANSWER_DONE);
    talk_end(&t);
}

static void a_failure_within_a_stream_is_an_error_event(void **state)
{
    (void)state;
    talk t = talk_of(KRS_CALL_MESSAGES, ASK ",\"stream\":true}");
    (void)hear_text(&t, 0, "a");
    const char *s = hear_end(&t, 0, KRS_FINISH_DEADLINE);
    assert_int_equal(count_sse(s), 1);
    json_t *tree = sse_data(s, 0, "error");
    assert_string_equal(json_string_value(dig(tree, "error.type")), "timeout_error");
    assert_string_equal(json_string_value(dig(tree, "request_id")), "req-1");
    json_decref(tree);
    talk_end(&t);
}

static void tokens_of_a_chat_are_counted(void **state)
{
    (void)state;
    static const bad_case cases[] = {
        {"\"messages\":[]", "messages"},
        {"\"tools\":[{\"name\":\"f\"}]," MSG, "tools[0].input_schema"}};
    check_bad(KRS_CALL_COUNT_TOKENS, cases, sizeof(cases) / sizeof(cases[0]));
    talk t = talk_of(KRS_CALL_COUNT_TOKENS, "{\"model\":\"m\",\"system\":\"be\"," MSG "}");
    const krs_request *request = krs_answer_call(t.answer)->requests[0];
    assert_int_equal(request->task, KRS_TASK_TOKENIZE);
    assert_int_equal(request->prompt.kind, KRS_PROMPT_CHAT);
    assert_true(request->task_options.has_no_special);
    const uint32_t ids[] = {1, 2, 3};
    krs_stream_event event = end_event(KRS_FINISH_STOP);
    event.ids = ids;
    event.n_ids = 3;
    assert_string_equal(hear(&t, 0, &event), "{\"input_tokens\":3}");
    talk_end(&t);
}

static void thinking_is_a_variable_of_templates_of_models_that_think(void **state)
{
    (void)state;
    krs_model_info info = model_info();
    (void)snprintf(info.reply_reasoning, sizeof(info.reply_reasoning), "think");
    const krs_call_context context = context_of(&info);
    krs_call *call = NULL;
    krs_error err = KRS_ERROR_INIT;
    const char *body = "{\"model\":\"m\",\"max_tokens\":1,\"thinking\":{\"type\":\"enabled\","
                       "\"budget_tokens\":1024}," MSG "}";
    assert_int_equal(krs_call_parse(&context, KRS_CALL_MESSAGES, krs_str_of(body), &call, &err),
                     KRS_OK);
    assert_true(json_typeof(json_object_get(call->requests[0]->prompt.chat, "enable_thinking")) ==
                JSON_TRUE);
    assert_string_equal(call->ignored, "thinking.budget_tokens");
    krs_call_free(call);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thinking_is_a_variable_of_templates_of_models_that_think),
        cmocka_unit_test(every_bad_field_is_named),
        cmocka_unit_test(turns_become_a_chat),
        cmocka_unit_test(calls_and_their_results_become_messages),
        cmocka_unit_test(given_fields_arrive),
        cmocka_unit_test(a_whole_message_says_why_it_ended),
        cmocka_unit_test(a_streamed_message_is_the_full_sequence),
        cmocka_unit_test(a_failure_within_a_stream_is_an_error_event),
        cmocka_unit_test(tokens_of_a_chat_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
