/* unit/front/test_tokens.c - /tokenize and /detokenize. */
#include "call_fixture.h"

static const bad_case bad_tokenize[] = {
    {"\"x\":1", "prompt"},
    {"\"prompt\":\"a\",\"messages\":[]", "prompt"},
    {"\"prompt\":[]", "prompt"},
    {"\"prompt\":[1]", "prompt"},
    {"\"prompt\":[[1]]", "prompt"},
    {"\"prompt\":[\"a\",1]", "prompt"},
    {"\"prompt\":[\"a\",[1]]", "prompt"},
    {"\"prompt\":7", "prompt"},
    {"\"prompt\":\"a\",\"add_special_tokens\":1", "add_special_tokens"},
    {"\"prompt\":\"a\",\"return_token_strs\":1", "return_token_strs"},
    {"\"messages\":[]", "messages"},
    {"\"messages\":[{\"role\":\"user\"}]", "messages[0].content"},
    {"\"prompt\":\"a\",\"continue_final_message\":true", "continue_final_message"},
};

static const bad_case bad_detokenize[] = {
    {"\"x\":1", "tokens"},
    {"\"tokens\":\"a\"", "tokens"},
    {"\"tokens\":[50]", "tokens"},
    {"\"tokens\":[-1]", "tokens"},
    {"\"tokens\":[1.5]", "tokens"},
    {"\"tokens\":[1],\"skip_special_tokens\":1", "skip_special_tokens"},
};

static void every_bad_field_is_named(void **state)
{
    (void)state;
    check_bad(KRS_CALL_TOKENIZE, bad_tokenize, sizeof(bad_tokenize) / sizeof(bad_tokenize[0]));
    check_bad(KRS_CALL_DETOKENIZE, bad_detokenize,
              sizeof(bad_detokenize) / sizeof(bad_detokenize[0]));
}

static void text_gets_special_tokens_and_templates_write_their_own(void **state)
{
    (void)state;
    krs_call *call = parse_good(KRS_CALL_TOKENIZE, "{\"prompt\":\"a\"}"); /* the only model */
    const krs_request *request = call->requests[0];
    assert_int_equal(request->task, KRS_TASK_TOKENIZE);
    assert_false(request->task_options.has_no_special || request->task_options.has_pieces);
    krs_call_free(call);
    call = parse_good(KRS_CALL_TOKENIZE, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\","
                                         "\"content\":\"a\"}],\"add_generation_prompt\":false}");
    request = call->requests[0];
    assert_true(request->task_options.has_no_special);
    assert_int_equal(request->prompt.kind, KRS_PROMPT_CHAT);
    expect_tree(request->prompt.chat, "{\"add_generation_prompt\":false,\"messages\":[{\"content\":"
                                      "\"a\",\"role\":\"user\"}]}");
    krs_call_free(call);
    call = parse_good(KRS_CALL_TOKENIZE, "{\"prompt\":\"\",\"add_special_tokens\":false,"
                                         "\"return_token_strs\":true}");
    request = call->requests[0];
    assert_true(request->task_options.has_no_special && request->task_options.has_pieces);
    krs_call_free(call);
}

static void ids_come_back_as_vllm_has_them(void **state)
{
    (void)state;
    const uint32_t ids[] = {1, 49};
    const krs_str pieces[] = {KRS_STR("<s>"), KRS_STR("\xE2\x82")};
    krs_stream_event event = end_event(KRS_FINISH_STOP);
    event.ids = ids;
    event.n_ids = 2;
    talk t = talk_of(KRS_CALL_TOKENIZE, "{\"prompt\":\"a\"}");
    assert_string_equal(
        hear(&t, 0, &event),
        "{\"count\":2,\"max_model_len\":100,\"tokens\":[1,49],\"token_strs\":null}");
    assert_int_equal(krs_answer_state_of(t.answer), KRS_ANSWER_DONE);
    talk_end(&t);
    event.pieces = pieces;
    t = talk_of(KRS_CALL_TOKENIZE, "{\"prompt\":\"a\",\"return_token_strs\":true}");
    assert_string_equal(hear(&t, 0, &event),
                        "{\"count\":2,\"max_model_len\":100,\"tokens\":[1,49],\"token_strs\":"
                        "[\"<s>\",\"\xEF\xBF\xBD\xEF\xBF\xBD\"]}");
    talk_end(&t);
}

/* Texts are requests of their own; their answers come in any order and stand in that of the texts. */
static void a_list_of_texts_is_answered_in_its_order(void **state)
{
    (void)state;
    const uint32_t ids[] = {7, 8, 9};
    const krs_str pieces[] = {KRS_STR("x"), KRS_STR("\""), KRS_STR("z")};
    for (int has_pieces = 0; has_pieces < 2; has_pieces++) {
        talk t = talk_of(KRS_CALL_TOKENIZE,
                         has_pieces ? "{\"prompt\":[\"a\",\"b\",\"\"],\"return_token_strs\":true}"
                                    : "{\"prompt\":[\"a\",\"b\",\"\"]}");
        const krs_call *call = krs_answer_call(t.answer);
        assert_int_equal(call->n_requests, 3);
        assert_true(krs_str_equal(call->requests[1]->prompt.text, KRS_STR("b")));
        assert_int_equal(call->requests[2]->task, KRS_TASK_TOKENIZE);
        krs_stream_event event = end_event(KRS_FINISH_STOP);
        event.ids = ids;
        event.pieces = has_pieces ? pieces : NULL;
        event.n_ids = 3;
        assert_string_equal(hear(&t, 1, &event), "");
        event.n_ids = 0;
        assert_string_equal(hear(&t, 2, &event), "");
        event.n_ids = 1;
        assert_string_equal(hear(&t, 0, &event),
                            has_pieces
                                ? "{\"count\":4,\"max_model_len\":100,\"tokens\":[[7],[7,8,9],[]],"
                                  "\"token_strs\":[[\"x\"],[\"x\",\"\\\"\",\"z\"],[]]}"
                                : "{\"count\":4,\"max_model_len\":100,\"tokens\":[[7],[7,8,9],[]],"
                                  "\"token_strs\":null}");
        assert_int_equal(krs_answer_state_of(t.answer), KRS_ANSWER_DONE);
        talk_end(&t);
    }
    talk t = talk_of(KRS_CALL_TOKENIZE, "{\"prompt\":[\"a\"]}");
    krs_stream_event event = end_event(KRS_FINISH_STOP);
    event.ids = ids;
    event.n_ids = 2;
    assert_string_equal(
        hear(&t, 0, &event),
        "{\"count\":2,\"max_model_len\":100,\"tokens\":[[7,8]],\"token_strs\":null}");
    talk_end(&t);
}

static void detokenize_gives_the_text(void **state)
{
    (void)state;
    talk t = talk_of(KRS_CALL_DETOKENIZE, "{\"model\":\"m\",\"tokens\":[1,2]}");
    const krs_request *request = krs_answer_call(t.answer)->requests[0];
    assert_int_equal(request->task, KRS_TASK_DETOKENIZE);
    assert_true(request->task_options.is_special_shown);
    assert_int_equal(request->prompt.n_tokens, 2);
    assert_string_equal(hear_text(&t, 0, "a\""), "");
    krs_stream_event event = end_event(KRS_FINISH_STOP);
    event.text = KRS_STR("b");
    assert_string_equal(hear(&t, 0, &event), "{\"prompt\":\"a\\\"b\"}");
    talk_end(&t);
    t = talk_of(KRS_CALL_DETOKENIZE, "{\"model\":\"m\",\"tokens\":[]}");
    assert_string_equal(hear_end(&t, 0, KRS_FINISH_STOP), "{\"prompt\":\"\"}");
    talk_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_bad_field_is_named),
        cmocka_unit_test(text_gets_special_tokens_and_templates_write_their_own),
        cmocka_unit_test(ids_come_back_as_vllm_has_them),
        cmocka_unit_test(a_list_of_texts_is_answered_in_its_order),
        cmocka_unit_test(detokenize_gives_the_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
