/* unit/front/test_responses.c - OpenAI's responses API: input, refusals, the sequence of events. */
#include "call_fixture.h"
#include "front/responses_priv.h"

#define ASK "{\"model\":\"m\",\"input\":\"hi\""

static const bad_case bad[] = {
    {"\"x\":1", "input"},
    {"\"input\":[]", "input"},
    {"\"input\":7", "input"},
    {"\"input\":[1]", "input[0].role"},
    {"\"input\":[{\"role\":\"user\"}]", "input[0].content"},
    {"\"input\":[{\"role\":\"tool\",\"content\":\"a\"}]", "input[0].role"},
    {"\"input\":[{\"role\":\"user\",\"content\":[]}]", "input[0].content"},
    {"\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_image\"}]}]",
     "input[0].content[0]"},
    {"\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_text\"}]}]",
     "input[0].content[0]"},
    {"\"input\":[{\"type\":\"function_call_output\",\"output\":\"a\"}]", "input[0].call_id"},
    {"\"input\":[{\"type\":\"function_call_output\",\"call_id\":\"c\"}]", "input[0].output"},
    {"\"input\":[{\"type\":\"function_call\",\"call_id\":\"c\"}]", "input[0]"},
    {"\"input\":[{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\",\"arguments\":\"{\"}"
     "]",
     "input[0].arguments"},
    {"\"input\":[{\"type\":\"reasoning\",\"summary\":[7]}]", "input[0]"},
    {"\"input\":[{\"type\":\"item_reference\",\"id\":\"a\"}]", "input[0].type"},
    {"\"input\":\"a\",\"instructions\":7", "instructions"},
    {"\"input\":\"a\",\"max_output_tokens\":0", "max_output_tokens"},
    {"\"input\":\"a\",\"temperature\":2.5", "temperature"},
    {"\"input\":\"a\",\"top_logprobs\":21", "top_logprobs"},
    {"\"input\":\"a\",\"include\":[\"file_search_call.results\"]", "include"},
    {"\"input\":\"a\",\"include\":\"a\"", "include"},
    {"\"input\":\"a\",\"previous_response_id\":\"resp_1\"", "previous_response_id"},
    {"\"input\":\"a\",\"conversation\":\"conv_1\"", "conversation"},
    {"\"input\":\"a\",\"background\":true", "background"},
    {"\"input\":\"a\",\"prompt\":{\"id\":\"x\"}", "prompt"},
    {"\"input\":\"a\",\"tools\":[{\"type\":\"web_search\"}]", "tools[0].type"},
    {"\"input\":\"a\",\"tool_choice\":\"required\"", "tool_choice"},
    {"\"input\":\"a\",\"truncation\":\"auto\"", "truncation"},
    {"\"input\":\"a\",\"text\":{\"format\":{\"type\":\"xml\"}}", "text.format"},
    {"\"input\":\"a\",\"text\":{\"format\":{\"type\":\"json_schema\",\"name\":\"a b\"}}",
     "text.format"},
    {"\"input\":\"a\",\"text\":{\"verbosity\":\"low\"}", "text.verbosity"},
    {"\"input\":\"a\",\"metadata\":{\"a\":1}", "metadata"},
    {"\"input\":\"a\",\"store\":1", "store"},
    {"\"input\":\"a\",\"stream\":1", "stream"},
    {"\"input\":\"a\",\"service_tier\":1", "service_tier"},
    {"\"input\":\"a\",\"stop\":7", "stop"},
};

static void every_bad_field_is_named(void **state)
{
    (void)state;
    check_bad(KRS_CALL_RESPONSES, bad, sizeof(bad) / sizeof(bad[0]));
}

static void expect_chat(const char *fields, const char *messages)
{
    char body[4096];
    (void)snprintf(body, sizeof(body), "{\"model\":\"m\",%s}", fields);
    krs_call *call = parse_good(KRS_CALL_RESPONSES, body);
    expect_tree(json_object_get(call->requests[0]->prompt.chat, "messages"), messages);
    assert_string_equal(call->ignored, "");
    krs_call_free(call);
}

static void input_becomes_a_chat(void **state)
{
    (void)state;
    expect_chat("\"input\":\"hi\"", "[{\"content\":\"hi\",\"role\":\"user\"}]");
    expect_chat("\"instructions\":\"be\",\"input\":[{\"role\":\"developer\",\"content\":\"kind\"},"
                "{\"type\":\"message\",\"role\":\"user\",\"content\":[{\"type\":\"input_text\","
                "\"text\":\"a\"},{\"type\":\"input_text\",\"text\":\"b\"}]},{\"role\":"
                "\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"c\"}]},"
                "{\"role\":\"user\",\"content\":\"\"}]",
                "[{\"content\":\"be\\nkind\",\"role\":\"system\"},{\"content\":\"a\\nb\",\"role\":"
                "\"user\"},{\"content\":\"c\",\"role\":\"assistant\"},{\"content\":\"\",\"role\":"
                "\"user\"}]");
    expect_chat("\"input\":\"hi\",\"instructions\":null,\"tools\":[],\"store\":false,"
                "\"previous_response_id\":null,\"truncation\":\"disabled\",\"text\":{\"format\":"
                "{\"type\":\"text\"}},\"tool_choice\":\"auto\",\"include\":["
                "\"reasoning.encrypted_content\"],\"background\":false",
                "[{\"content\":\"hi\",\"role\":\"user\"}]");
}

static void what_the_assistant_gave_in_items_is_one_message(void **state)
{
    (void)state;
    expect_chat("\"input\":[{\"role\":\"user\",\"content\":\"2+3?\"},{\"type\":\"reasoning"
                "\",\"id\":\"r\",\"summary\":[],\"content\":[{\"type\":\"reasoning_text\","
                "\"text\":\"sum\"}]},{\"type\":\"message\",\"role\":\"assistant\",\"conten"
                "t\":[{\"type\":\"output_text\",\"text\":\"I add.\"}]},{\"type\":\"functi"
                "on_call\",\"id\":\"fc\",\"call_id\":\"c1\",\"name\":\"add\",\"arguments\":\""
                "{\\\"a\\\":2}\"},{\"type\":\"function_call\",\"call_id\":\"c2\",\"name\":\"n"
                "ow\",\"arguments\":\"{}\"},{\"type\":\"function_call_output\",\"call_i"
                "d\":\"c1\",\"output\":\"5\"},{\"type\":\"function_call_output\",\"call_i"
                "d\":\"c2\",\"output\":[{\"type\":\"input_text\",\"text\":\"noon\"}]},{\"ty"
                "pe\":\"reasoning\",\"summary\":[{\"type\":\"summary_text\",\"text\":\"s\""
                "},{\"type\":\"summary_text\",\"text\":\"t\"}]},{\"type\":\"function_cal"
                "l\",\"call_id\":\"c3\",\"name\":\"f\",\"arguments\":\"{}\"},{\"type\":\"func"
                "tion_call_output\",\"call_id\":\"c9\",\"output\":\"\"}]",
                "[{\"content\":\"2+3?\",\"role\":\"user\"},{\"content\":\"I add.\",\"reaso"
                "ning_content\":\"sum\",\"role\":\"assistant\",\"tool_calls\":[{\"funct"
                "ion\":{\"arguments\":{\"a\":2},\"name\":\"add\"},\"id\":\"c1\",\"type\":\"fu"
                "nction\"},{\"function\":{\"arguments\":{},\"name\":\"now\"},\"id\":\"c2\""
                ",\"type\":\"function\"}]},{\"content\":\"5\",\"name\":\"add\",\"role\":\"to"
                "ol\",\"tool_call_id\":\"c1\"},{\"content\":\"noon\",\"name\":\"now\",\"rol"
                "e\":\"tool\",\"tool_call_id\":\"c2\"},{\"content\":null,\"reasoning_co"
                "ntent\":\"s\\nt\",\"role\":\"assistant\",\"tool_calls\":[{\"function\":{"
                "\"arguments\":{},\"name\":\"f\"},\"id\":\"c3\",\"type\":\"function\"}]},{\""
                "content\":\"\",\"role\":\"tool\",\"tool_call_id\":\"c9\"}]");
}

static void given_fields_arrive(void **state)
{
    (void)state;
    krs_call *call = parse_good(
        KRS_CALL_RESPONSES,
        ASK ",\"max_output_tokens\":9,\"temperature\":0.5,\"top_p\":0.25,\"seed\":4,\"top_k\":3,"
            "\"include\":[\"message.output_text.logprobs\"],\"stop\":\"x\",\"stream\":true,"
            "\"store\":true,\"reasoning\":{\"effort\":\"low\",\"foo\":1},\"timeout_ms\":2}");
    const krs_request *r = call->requests[0];
    assert_int_equal(r->stopping.max_tokens, 9);
    assert_int_equal(r->stopping.n_stops, 1);
    assert_true(r->sampling.temperature == 0.5 && r->sampling.top_p == 0.25);
    assert_int_equal(r->sampling.seed, 4);
    assert_int_equal(r->sampling.n_logprobs, 0);
    assert_true(call->is_stream && call->has_tokens);
    assert_string_equal(json_string_value(json_object_get(r->prompt.chat, "reasoning_effort")),
                        "low");
    assert_non_null(strstr(call->ignored, "reasoning.foo"));
    assert_non_null(strstr(call->ignored, "store"));
    krs_call_free(call);
}

#define REST                                                                                       \
    "\"max_tool_calls\":null,\"metadata\":{\"k\":\"v\"},\"model\":\"m\",\"object\":\"response\","  \
    "\"output\":[%s],\"parallel_tool_calls\":true,\"previous_response_id\":null,\"reasoning\":"    \
    "{\"effort\":null,\"summary\":null},\"service_tier\":\"default\",\"status\":\"%s\",\"store\":" \
    "false,\"temperature\":0.5,\"text\":{\"format\":{\"type\":\"text\"}},\"tool_choice\":"         \
    "\"auto\",\"tools\":[],\"top_logprobs\":0,\"top_p\":0.9,\"truncation\":\"disabled\","          \
    "\"usage\":%s,\"user\":\"u\"}"
#define USAGE                                                                                      \
    "{\"input_tokens\":7,\"input_tokens_details\":{\"cached_tokens\":3},\"output_tokens\":5,"      \
    "\"output_tokens_details\":{\"reasoning_tokens\":0},\"total_tokens\":12}"
#define ITEM                                                                                       \
    "{\"content\":[{\"annotations\":[],\"logprobs\":[],\"text\":\"one\\ntwo\",\"type\":"           \
    "\"output_text\"}],\"id\":\"msg_00000000000000ab\",\"role\":\"assistant\",\"status\":\"%s\","  \
    "\"type\":\"message\"}"

/* The response object in a state, as JSON with sorted keys. */
static const char *response_of(char out[4096], const char *status, const char *incomplete,
                               bool is_over)
{
    char item[1024] = "";
    if (is_over) {
        (void)snprintf(item, sizeof(item), ITEM, status);
    }
    const int n = snprintf(out, 4096,
                           "{\"background\":false,\"created_at\":1700000000,\"error\":null,"
                           "\"id\":\"resp_00000000000000ab\",\"incomplete_details\":%s,"
                           "\"instructions\":\"be\",\"max_output_tokens\":null,",
                           incomplete);
    (void)snprintf(out + n, 4096 - (size_t)n, REST, item, status, is_over ? USAGE : "null");
    return out;
}

static const char full[] = "{\"model\":\"m\",\"input\":\"hi\",\"instructions\":\"be\",\"user\":"
                           "\"u\",\"metadata\":{\"k\":\"v\"},\"temperature\":0.5}";
static const char streamed[] = "{\"model\":\"m\",\"input\":\"hi\",\"instructions\":\"be\",\"user\":"
                               "\"u\",\"metadata\":{\"k\":\"v\"},\"temperature\":0.5,\"stream\":"
                               "true}";

static void a_whole_response_is_one_object(void **state)
{
    (void)state;
    char want[4096];
    talk t = talk_of(KRS_CALL_RESPONSES, full);
    assert_string_equal(hear_text(&t, 0, "one\n"), "");
    assert_string_equal(hear_text(&t, 0, "two"), "");
    (void)hear_end(&t, 0, KRS_FINISH_STOP);
    expect_json(&t, response_of(want, "completed", "null", true));
    talk_end(&t);
    t = talk_of(KRS_CALL_RESPONSES, full);
    (void)hear_text(&t, 0, "one\ntwo");
    (void)hear_end(&t, 0, KRS_FINISH_LENGTH);
    expect_json(&t, response_of(want, "incomplete", "{\"reason\":\"max_output_tokens\"}", true));
    talk_end(&t);
}

/* Event n of bytes has this name, the next sequence number, and at path the text want. */
static void expect_event(const char *bytes, size_t n, const char *name, int sequence,
                         const char *path, const char *want)
{
    json_t *tree = sse_data(bytes, n, name);
    assert_int_equal(json_integer_value(json_object_get(tree, "sequence_number")), sequence);
    assert_string_equal(json_string_value(dig(tree, path)), want);
    if (json_object_get(tree, "item_id")) {
        assert_string_equal(json_string_value(dig(tree, "item_id")), "msg_00000000000000ab");
        assert_int_equal(json_integer_value(dig(tree, "content_index")), 0);
    }
    if (!json_object_get(tree, "response")) {
        assert_true(json_is_integer(dig(tree, "output_index")));
    }
    json_decref(tree);
}

static void expect_response(const char *bytes, size_t n, const char *name, const char *want)
{
    json_t *tree = sse_data(bytes, n, name);
    expect_tree(json_object_get(tree, "response"), want);
    json_decref(tree);
}

static void a_streamed_response_is_the_full_sequence(void **state)
{
    (void)state;
    char want[4096];
    talk t = talk_of(KRS_CALL_RESPONSES, streamed);
    const char *s = hear_text(&t, 0, "one\n");
    assert_int_equal(count_sse(s), 5);
    (void)response_of(want, "in_progress", "null", false);
    expect_response(s, 0, "response.created", want);
    expect_event(s, 0, "response.created", 0, "response.status", "in_progress");
    expect_response(s, 1, "response.in_progress", want);
    expect_event(s, 1, "response.in_progress", 1, "response.status", "in_progress");
    expect_event(s, 2, "response.output_item.added", 2, "item.status", "in_progress");
    expect_event(s, 3, "response.content_part.added", 3, "part.text", "");
    expect_event(s, 4, "response.output_text.delta", 4, "delta", "one\n");
    s = hear_text(&t, 0, "two");
    expect_event(s, 0, "response.output_text.delta", 5, "delta", "two");
    assert_string_equal(hear_text(&t, 0, ""), "");
    s = hear_end(&t, 0, KRS_FINISH_STOP);
    assert_int_equal(count_sse(s), 4);
    expect_event(s, 0, "response.output_text.done", 6, "text", "one\ntwo");
    expect_event(s, 1, "response.content_part.done", 7, "part.text", "one\ntwo");
    expect_event(s, 2, "response.output_item.done", 8, "item.status", "completed");
    expect_response(s, 3, "response.completed", response_of(want, "completed", "null", true));
    expect_event(s, 3, "response.completed", 9, "response.status", "completed");
    assert_int_equal(krs_answer_state_of(t.answer), KRS_ANSWER_DONE);
    talk_end(&t);
}

static void a_cut_response_is_incomplete(void **state)
{
    (void)state;
    char want[4096];
    talk t = talk_of(KRS_CALL_RESPONSES, streamed);
    krs_stream_event event = end_event(KRS_FINISH_LENGTH);
    event.text = KRS_STR("one\ntwo"); /* the first event is the last, too */
    const char *s = hear(&t, 0, &event);
    assert_int_equal(count_sse(s), 9);
    expect_event(s, 7, "response.output_item.done", 7, "item.status", "incomplete");
    expect_response(s, 8, "response.incomplete",
                    response_of(want, "incomplete", "{\"reason\":\"max_output_tokens\"}", true));
    talk_end(&t);
}

static void a_failed_response_says_why(void **state)
{
    (void)state;
    talk t = talk_of(KRS_CALL_RESPONSES, streamed);
    (void)hear_text(&t, 0, "a");
    krs_stream_event event = end_event(KRS_FINISH_ERROR);
    (void)krs_fail(&event.error, KRS_EDEVICE, "gone");
    const char *s = hear(&t, 0, &event);
    assert_int_equal(count_sse(s), 1);
    expect_event(s, 0, "response.failed", 5, "response.status", "failed");
    expect_event(s, 0, "response.failed", 5, "response.error.code", "server_error");
    expect_event(s, 0, "response.failed", 5, "response.error.correlation_id", "req-1");
    assert_int_equal(krs_answer_state_of(t.answer), KRS_ANSWER_DONE);
    talk_end(&t);
    /* After a heartbeat the sequence begins before it can fail. */
    t = talk_of(KRS_CALL_RESPONSES, streamed);
    assert_int_equal(krs_answer_heartbeat(t.answer, &t.out), KRS_OK);
    s = hear_end(&t, 0, KRS_FINISH_DEADLINE);
    expect_event(s, 0, "response.created", 0, "response.status", "in_progress");
    expect_event(s, 2, "response.failed", 2, "response.error.param", "timeout_ms");
    talk_end(&t);
}

static void a_prompt_that_is_too_long_is_the_input(void **state)
{
    (void)state;
    talk t = talk_of(KRS_CALL_RESPONSES, full);
    krs_stream_event event = end_event(KRS_FINISH_ERROR);
    (void)krs_fail_field(&event.error, KRS_ETOOLARGE, "messages", "messages: 9 tokens, limit 8");
    (void)hear(&t, 0, &event);
    assert_int_equal(krs_answer_state_of(t.answer), KRS_ANSWER_FAILED);
    assert_string_equal(krs_answer_error(t.answer)->field, "input");
    assert_string_equal(krs_answer_error(t.answer)->message, "input: 9 tokens, limit 8");
    talk_end(&t);
}

static void log_probabilities_stand_in_deltas_and_in_the_part(void **state)
{
    (void)state;
    static const krs_logprob best = {2, -0.5F, {"ab", 2}};
    static const krs_token token = {2, -0.5F, &best, 1, {"ab", 2}, 2, 0};
    const krs_stream_event event = {.text = KRS_STR("ab"), .tokens = &token, .n_tokens = 1};
    talk t = talk_of(KRS_CALL_RESPONSES, ASK ",\"stream\":true,\"top_logprobs\":1}");
    const char *s = hear(&t, 0, &event);
    json_t *tree = sse_data(s, 4, "response.output_text.delta");
    assert_string_equal(json_string_value(dig(tree, "logprobs.0.top_logprobs.0.token")), "ab");
    json_decref(tree);
    (void)hear(&t, 0, &event);
    s = hear_end(&t, 0, KRS_FINISH_STOP);
    tree = sse_data(s, 3, "response.completed");
    assert_string_equal(json_string_value(dig(tree, "response.output.0.content.0.text")), "abab");
    assert_int_equal(json_array_size(dig(tree, "response.output.0.content.0.logprobs")), 2);
    json_decref(tree);
    talk_end(&t);
}

static void a_response_without_anything_has_an_empty_message(void **state)
{
    (void)state;
    talk t = talk_of(KRS_CALL_RESPONSES, "{\"model\":\"m\",\"input\":\"hi\"}");
    json_t *tree = json_loads(hear_end(&t, 0, KRS_FINISH_STOP), 0, NULL);
    assert_string_equal(json_string_value(dig(tree, "output.0.content.0.text")), "");
    json_decref(tree);
    talk_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_response_without_anything_has_an_empty_message),
        cmocka_unit_test(every_bad_field_is_named),
        cmocka_unit_test(input_becomes_a_chat),
        cmocka_unit_test(what_the_assistant_gave_in_items_is_one_message),
        cmocka_unit_test(given_fields_arrive),
        cmocka_unit_test(a_whole_response_is_one_object),
        cmocka_unit_test(a_streamed_response_is_the_full_sequence),
        cmocka_unit_test(a_cut_response_is_incomplete),
        cmocka_unit_test(a_failed_response_says_why),
        cmocka_unit_test(a_prompt_that_is_too_long_is_the_input),
        cmocka_unit_test(log_probabilities_stand_in_deltas_and_in_the_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
