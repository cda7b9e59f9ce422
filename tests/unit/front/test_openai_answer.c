/* unit/front/test_openai_answer.c - chat completions and completions on the way back. */
#include "call_fixture.h"

#define MSG    "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"
#define CHAT   "{\"model\":\"m\"," MSG
#define PROMPT "{\"model\":\"m\",\"prompt\":\"a\""
#define CHUNK                                                                                      \
    "\"created\":1700000000,\"id\":\"chatcmpl-00000000000000ab\",\"model\":\"m\",\"object\":"      \
    "\"chat.completion.chunk\",\"system_fingerprint\":\"krs-1\""

static const krs_logprob best[2] = {{1, -0.25F, {"\xE2\x82", 2}}, {2, -1.5F, {"b\"", 2}}};
static const krs_token token = {2, -1.5F, best, 2, {"b\"", 2}, 0, 0};
static const krs_token next_token = {2, -1.5F, best, 2, {"b\"", 2}, 0, 2};

static void a_chat_streams_role_text_end_usage(void **state)
{
    (void)state;
    talk t = talk_of(KRS_CALL_CHAT,
                     CHAT ",\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
    const char *first = hear_text(&t, 0, "a\n\"\x01\xC3\xA9");
    expect_sse(first, 0, NULL,
               "{\"choices\":[{\"delta\":{\"content\":\"\",\"role\":\"assistant\"},"
               "\"finish_reason\":null,\"index\":0,\"logprobs\":null}]," CHUNK ",\"usage\":null}");
    expect_sse(first, 1, NULL,
               "{\"choices\":[{\"delta\":{\"content\":\"a\\n\\\"\\u0001\xC3\xA9\"},"
               "\"finish_reason\":null,\"index\":0,\"logprobs\":null}]," CHUNK ",\"usage\":null}");
    assert_string_equal(hear_text(&t, 0, ""), ""); /* a step without text */
    const char *end = hear_end(&t, 0, KRS_FINISH_STOP);
    assert_int_equal(count_sse(end), 3);
    expect_sse(end, 0, NULL,
               "{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\",\"index\":0,\"logprobs\":"
               "null}]," CHUNK ",\"usage\":null}");
    expect_sse(end, 1, NULL,
               "{\"choices\":[]," CHUNK ",\"usage\":{\"completion_tokens\":5,"
               "\"completion_tokens_details\":{\"accepted_prediction_tokens\":0,"
               "\"reasoning_tokens\":0,\"rejected_prediction_tokens\":0},\"prompt_tokens\":7,"
               "\"prompt_tokens_details\":{\"cached_tokens\":3},\"total_tokens\":12}}");
    assert_non_null(strstr(end, "\n\ndata: [DONE]\n\n"));
    assert_int_equal(krs_answer_state_of(t.answer), KRS_ANSWER_DONE);
    talk_end(&t);
}

static void choices_of_a_stream_interleave(void **state)
{
    (void)state;
    talk t = talk_of(KRS_CALL_CHAT, CHAT ",\"stream\":true,\"n\":2}");
    assert_non_null(strstr(hear_text(&t, 1, "x"), "{\"index\":1,\"delta\":{\"content\":\"x\"}"));
    assert_null(strstr(hear_end(&t, 1, KRS_FINISH_LENGTH), "[DONE]"));
    assert_string_equal(hear_text(&t, 1, "late"), ""); /* that choice has ended */
    assert_non_null(strstr(hear_end(&t, 0, KRS_FINISH_STOP), "[DONE]"));
    talk_end(&t);
}

static void a_whole_chat_waits_for_every_choice(void **state)
{
    (void)state;
    talk t = talk_of(KRS_CALL_CHAT, CHAT ",\"n\":2}");
    assert_string_equal(hear_text(&t, 1, "two"), "");
    assert_string_equal(hear_end(&t, 1, KRS_FINISH_LENGTH), "");
    assert_string_equal(hear_text(&t, 0, "o"), "");
    assert_string_equal(hear_text(&t, 0, "ne"), "");
    (void)hear_end(&t, 0, KRS_FINISH_STOP);
    expect_json(&t, "{\"choices\":[{\"finish_reason\":\"stop\",\"index\":0,\"logprobs\":null,"
                    "\"message\":{\"content\":\"one\",\"refusal\":null,\"role\":\"assistant\"}},"
                    "{\"finish_reason\":\"length\",\"index\":1,\"logprobs\":null,\"message\":"
                    "{\"content\":\"two\",\"refusal\":null,\"role\":\"assistant\"}}],"
                    "\"created\":1700000000,\"id\":\"chatcmpl-00000000000000ab\",\"model\":\"m\","
                    "\"object\":\"chat.completion\",\"system_fingerprint\":\"krs-1\",\"usage\":"
                    "{\"completion_tokens\":10,\"completion_tokens_details\":"
                    "{\"accepted_prediction_tokens\":0,\"reasoning_tokens\":0,\"rejected_"
                    "prediction_tokens\":0},"
                    "\"prompt_tokens\":7,\"prompt_tokens_details\":"
                    "{\"cached_tokens\":3},\"total_tokens\":17}}");
    talk_end(&t);
}

static void log_probabilities_of_a_chat_are_objects(void **state)
{
    (void)state;
    const krs_stream_event event = {.text = KRS_STR("b\""), .tokens = &token, .n_tokens = 1};
    const char *want =
        "[{\"bytes\":[98,34],\"logprob\":-1.5,\"token\":\"b\\\"\",\"top_logprobs\":["
        "{\"bytes\":[226,130],\"logprob\":-0.25,\"token\":\"\xEF\xBF\xBD\xEF\xBF\xBD\"},"
        "{\"bytes\":[98,34],\"logprob\":-1.5,\"token\":\"b\\\"\"}]}]";
    talk t = talk_of(KRS_CALL_CHAT, CHAT ",\"stream\":true,\"logprobs\":true,\"top_logprobs\":2}");
    json_t *tree = sse_data(hear(&t, 0, &event), 1, NULL);
    const json_t *choice = json_array_get(json_object_get(tree, "choices"), 0);
    expect_tree(json_object_get(json_object_get(choice, "logprobs"), "content"), want);
    json_decref(tree);
    talk_end(&t);
    t = talk_of(KRS_CALL_CHAT, CHAT ",\"logprobs\":true,\"top_logprobs\":2}");
    (void)hear(&t, 0, &event);
    (void)hear(&t, 0, &event);
    (void)hear_end(&t, 0, KRS_FINISH_STOP);
    tree = json_loads(t.out.data, 0, NULL);
    choice = json_array_get(json_object_get(tree, "choices"), 0);
    const json_t *entries = json_object_get(json_object_get(choice, "logprobs"), "content");
    assert_int_equal(json_array_size(entries), 2);
    json_decref(tree);
    talk_end(&t);
}

static void log_probabilities_of_a_completion_are_arrays(void **state)
{
    (void)state;
    const krs_stream_event event = {.text = KRS_STR("b\""), .tokens = &token, .n_tokens = 1};
    const krs_stream_event next = {.text = KRS_STR("b\""), .tokens = &next_token, .n_tokens = 1};
    talk t = talk_of(KRS_CALL_COMPLETION, PROMPT ",\"logprobs\":2}");
    (void)hear(&t, 0, &event);
    (void)hear(&t, 0, &next);
    (void)hear_end(&t, 0, KRS_FINISH_STOP);
    json_t *tree = json_loads(t.out.data, 0, NULL);
    const json_t *choice = json_array_get(json_object_get(tree, "choices"), 0);
    assert_string_equal(json_string_value(json_object_get(choice, "text")), "b\"b\"");
    expect_tree(json_object_get(choice, "logprobs"),
                "{\"text_offset\":[0,2],\"token_logprobs\":[-1.5,-1.5],\"tokens\":[\"b\\\"\","
                "\"b\\\"\"],\"top_logprobs\":[{\"b\\\"\":-1.5,\"bytes:\\\\xe2\\\\x82\":-0.25},"
                "{\"b\\\"\":-1.5,\"bytes:\\\\xe2\\\\x82\":-0.25}]}");
    json_decref(tree);
    talk_end(&t);
}

static void prompts_of_a_completion_count_once(void **state)
{
    (void)state;
    talk t = talk_of(KRS_CALL_COMPLETION, "{\"model\":\"m\",\"prompt\":[\"a\",\"b\"],\"n\":2}");
    for (uint32_t i = 0; i < 4; i++) {
        (void)hear_end(&t, i, KRS_FINISH_STOP);
    }
    assert_non_null(
        strstr(t.out.data, "\"usage\":{\"prompt_tokens\":14,\"completion_tokens\":20,"));
    talk_end(&t);
}

static void a_failure_within_a_stream_is_told_there(void **state)
{
    (void)state;
    talk t = talk_of(KRS_CALL_CHAT, CHAT ",\"stream\":true}");
    (void)hear_text(&t, 0, "a");
    krs_stream_event event = end_event(KRS_FINISH_ERROR);
    (void)krs_fail(&event.error, KRS_EDEVICE, "gone");
    const char *end = hear(&t, 0, &event);
    json_t *tree = sse_data(end, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(json_object_get(tree, "error"), "code")),
                        "device");
    json_decref(tree);
    assert_non_null(strstr(end, "data: [DONE]"));
    assert_int_equal(krs_answer_state_of(t.answer), KRS_ANSWER_DONE);
    talk_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chat_streams_role_text_end_usage),
        cmocka_unit_test(choices_of_a_stream_interleave),
        cmocka_unit_test(a_whole_chat_waits_for_every_choice),
        cmocka_unit_test(log_probabilities_of_a_chat_are_objects),
        cmocka_unit_test(log_probabilities_of_a_completion_are_arrays),
        cmocka_unit_test(prompts_of_a_completion_count_once),
        cmocka_unit_test(a_failure_within_a_stream_is_told_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
