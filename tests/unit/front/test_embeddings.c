/* unit/front/test_embeddings.c - texts to vectors: what is asked, what comes back. */
#include "call_fixture.h"

#define EMBED "{\"model\":\"m\",\"input\":"

static const bad_case bad[] = {
    {"\"x\":1", "input"},
    {"\"input\":\"\"", "input"},
    {"\"input\":[]", "input"},
    {"\"input\":[\"a\",\"\"]", "input"},
    {"\"input\":[1,50]", "input"},
    {"\"input\":[[1],[]]", "input"},
    {"\"input\":{}", "input"},
    {"\"input\":\"a\",\"encoding_format\":\"int8\"", "encoding_format"},
    {"\"input\":\"a\",\"encoding_format\":1", "encoding_format"},
    {"\"input\":\"a\",\"dimensions\":0", "dimensions"},
    {"\"input\":\"a\",\"dimensions\":5", "dimensions"},
    {"\"input\":\"a\",\"user\":1", "user"},
    {"\"input\":\"a\",\"priority\":\"x\"", "priority"},
};

static void every_bad_field_is_named(void **state)
{
    (void)state;
    check_bad(KRS_CALL_EMBEDDINGS, bad, sizeof(bad) / sizeof(bad[0]));
}

static void inputs_come_in_four_shapes(void **state)
{
    (void)state;
    krs_call *call = parse_good(KRS_CALL_EMBEDDINGS, EMBED "\"a\"}");
    assert_int_equal(call->n_requests, 1);
    assert_int_equal(call->requests[0]->task, KRS_TASK_EMBED);
    assert_true(krs_str_equal(call->requests[0]->prompt.text, KRS_STR("a")));
    assert_false(call->is_stream);
    krs_call_free(call);
    call = parse_good(KRS_CALL_EMBEDDINGS, EMBED "[\"a\",\"bc\"]}");
    assert_int_equal(call->n_requests, 2);
    krs_call_free(call);
    call = parse_good(KRS_CALL_EMBEDDINGS, EMBED "[1,2]}");
    assert_int_equal(call->n_requests, 1);
    assert_int_equal(call->requests[0]->prompt.n_tokens, 2);
    krs_call_free(call);
    call = parse_good(KRS_CALL_EMBEDDINGS, EMBED "[[1,2],[3]]}");
    assert_int_equal(call->n_requests, 2);
    assert_int_equal(call->requests[1]->prompt.tokens[0], 3);
    krs_call_free(call);
}

static void inputs_are_bounded(void **state)
{
    (void)state;
    krs_buf body;
    krs_buf_init(&body, NULL, 1u << 20);
    assert_int_equal(krs_buf_append_str(&body, KRS_STR(EMBED "[\"a\"")), KRS_OK);
    for (int i = 0; i < KRS_CALL_MAX_EMBEDDINGS; i++) {
        assert_int_equal(krs_buf_append_str(&body, KRS_STR(",\"a\"")), KRS_OK);
    }
    assert_int_equal(krs_buf_append_str(&body, KRS_STR("]}")), KRS_OK);
    krs_call *call = NULL;
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(parse(KRS_CALL_EMBEDDINGS, body.data, &call, &err), KRS_EINVAL);
    assert_non_null(strstr(err.message, "2049 prompts, limit 2048"));
    /* As many as allowed, but of vectors that do not fit one answer. */
    krs_model_info info = model_info();
    info.hidden = 4096;
    const krs_call_context context = context_of(&info);
    body.data[body.len - 5] = ' ';
    body.data[body.len - 4] = ' ';
    body.data[body.len - 3] = ' ';
    body.data[body.len - 6] = ' ';
    assert_int_equal(
        krs_call_parse(&context, KRS_CALL_EMBEDDINGS, krs_buf_view(&body), &call, &err),
        KRS_EINVAL);
    assert_non_null(strstr(err.message, "2048 vectors of 4096 numbers"));
    krs_buf_deinit(&body);
}

static void a_model_without_vectors_is_named(void **state)
{
    (void)state;
    krs_model_info info = model_info();
    info.hidden = 0;
    const krs_call_context context = context_of(&info);
    krs_call *call = NULL;
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(
        krs_call_parse(&context, KRS_CALL_EMBEDDINGS, KRS_STR(EMBED "\"a\"}"), &call, &err),
        KRS_EINVAL);
    assert_string_equal(err.field, "model");
}

static const char *hear_vector(talk *t, uint32_t i, const float vector[4])
{
    krs_stream_event event = end_event(KRS_FINISH_STOP);
    event.embedding = vector;
    event.n_embedding = 4;
    return hear(t, i, &event);
}

static void vectors_come_back_in_order(void **state)
{
    (void)state;
    const float first[4] = {0.5F, -0.5F, 0.5F, 0.5F};
    const float second[4] = {1, 0, 0, 0.1F};
    talk t = talk_of(KRS_CALL_EMBEDDINGS, EMBED "[\"a\",\"b\"]}");
    assert_string_equal(hear_vector(&t, 1, second), "");
    (void)hear_vector(&t, 0, first);
    assert_int_equal(krs_answer_state_of(t.answer), KRS_ANSWER_DONE);
    assert_string_equal(
        t.out.data,
        "{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":0,\"embedding\":"
        "[0.5,-0.5,0.5,0.5]},{\"object\":\"embedding\",\"index\":1,\"embedding\":[1,0,0,"
        "0.100000001]}],\"model\":\"m\",\"usage\":{\"prompt_tokens\":14,\"total_tokens\":14}}");
    talk_end(&t);
}

static void base64_is_little_endian_float32(void **state)
{
    (void)state;
    const float vector[4] = {1, -2, 0.1F, 3};
    talk t = talk_of(KRS_CALL_EMBEDDINGS, EMBED "\"a\",\"encoding_format\":\"base64\"}");
    (void)hear_vector(&t, 0, vector);
    /* python3: base64.b64encode(struct.pack("<4f", 1, -2, 0.1, 3)) */
    assert_non_null(strstr(t.out.data, "\"embedding\":\"AACAPwAAAMDNzMw9AABAQA==\"}"));
    talk_end(&t);
}

static void fewer_dimensions_are_of_length_one_again(void **state)
{
    (void)state;
    const float vector[4] = {3, 4, 5, 6};
    talk t = talk_of(KRS_CALL_EMBEDDINGS, EMBED "\"a\",\"dimensions\":2}");
    (void)hear_vector(&t, 0, vector);
    assert_non_null(strstr(t.out.data, "\"embedding\":[0.600000024,0.800000012]}"));
    talk_end(&t);
}

static void a_vector_that_is_missing_is_no_answer(void **state)
{
    (void)state;
    talk t = talk_of(KRS_CALL_EMBEDDINGS, EMBED "\"a\"}");
    assert_string_equal(hear_end(&t, 0, KRS_FINISH_STOP), "");
    assert_int_equal(krs_answer_state_of(t.answer), KRS_ANSWER_FAILED);
    assert_int_equal(krs_answer_error(t.answer)->status, KRS_EINTERNAL);
    talk_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_bad_field_is_named),
        cmocka_unit_test(inputs_come_in_four_shapes),
        cmocka_unit_test(inputs_are_bounded),
        cmocka_unit_test(a_model_without_vectors_is_named),
        cmocka_unit_test(vectors_come_back_in_order),
        cmocka_unit_test(base64_is_little_endian_float32),
        cmocka_unit_test(fewer_dimensions_are_of_length_one_again),
        cmocka_unit_test(a_vector_that_is_missing_is_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
