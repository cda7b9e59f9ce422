/* unit/front/test_call.c - what all APIs do alike: unknown fields, who asks, errors, signs of life. */
#include "call_fixture.h"

#define MSG  "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"
#define CHAT "{\"model\":\"m\"," MSG

static void expect_ignored(const char *body, const char *want)
{
    krs_call *call = parse_good(KRS_CALL_CHAT, body);
    assert_string_equal(call->ignored, want);
    krs_call_free(call);
}

static void unknown_fields_are_accepted_and_listed(void **state)
{
    (void)state;
    expect_ignored(CHAT "}", "");
    expect_ignored(
        CHAT ",\"temperature\":0.5,\"metadata\":{\"a\":\"b\"},\"service_tier\":\"auto\"}", "");
    expect_ignored(CHAT ",\"foo\":1}", "foo");
    expect_ignored(CHAT ",\"stream\":true,\"stream_options\":{\"include_usage\":true,\"foo\":1}}",
                   "stream_options.foo");
    expect_ignored(CHAT ",\"include_usage\":true}", "include_usage"); /* known, but not here */
    expect_ignored(CHAT ",\"store\":true}", "store");
    expect_ignored(CHAT ",\"store\":false}", "");
    /* Names end in a header: nothing of a stranger's may break it. */
    expect_ignored(CHAT ",\"a\\r\\nSet-Cookie: x\":1}", "a??Set-Cookie??x");
}

static void the_list_is_cut_at_a_whole_name(void **state)
{
    (void)state;
    char body[2048] = CHAT;
    for (int i = 0; i < 40; i++) {
        char field[32];
        (void)snprintf(field, sizeof(field), ",\"unknown_%02d\":1", i);
        (void)strncat(body, field, sizeof(body) - strlen(body) - 1);
    }
    (void)strncat(body, "}", sizeof(body) - strlen(body) - 1);
    krs_call *call = parse_good(KRS_CALL_CHAT, body);
    const size_t n = strlen(call->ignored);
    assert_in_range(n, KRS_CALL_IGNORED_BYTES - 14, KRS_CALL_IGNORED_BYTES - 1);
    assert_memory_equal(call->ignored + n - 10, "unknown_", 8);
    krs_call_free(call);
}

static void two_readings_of_one_body_are_refused(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        CHAT ",\"n\":1,\"n\":2}", CHAT ",\"stream_options\":{\"a\":1,\"a\":2}}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"role\":\"user\",\"content\":\"\"}]}"};
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        krs_call *call = NULL;
        krs_error err = KRS_ERROR_INIT;
        assert_int_equal(parse(KRS_CALL_CHAT, bodies[i], &call, &err), KRS_EINVAL);
        assert_non_null(strstr(err.message, "duplicate"));
    }
}

static void requests_carry_who_asks(void **state)
{
    (void)state;
    const krs_model_info info = model_info();
    krs_call_context context = context_of(&info);
    context.tenant = 7;
    context.trace.is_set = true;
    context.trace.span_id[0] = 9;
    krs_call *call = NULL;
    assert_int_equal(krs_call_parse(&context, KRS_CALL_CHAT,
                                    KRS_STR(CHAT ",\"cache_salt\":\"a\",\"user\":\"u\"}"), &call,
                                    NULL),
                     KRS_OK);
    const krs_request *request = call->requests[0];
    assert_int_equal(request->tenant, 7);
    assert_true(request->trace.is_set && request->trace.span_id[0] == 9);
    assert_int_equal(request->task, KRS_TASK_GENERATE);
    const uint64_t salt = request->cache_salt;
    assert_int_not_equal(salt, 0);
    krs_call_free(call);
    call = parse_good(KRS_CALL_CHAT, CHAT ",\"cache_salt\":\"b\"}");
    assert_int_not_equal(call->requests[0]->cache_salt, salt);
    krs_call_free(call);
    call = parse_good(KRS_CALL_CHAT, CHAT "}");
    assert_int_equal(call->requests[0]->cache_salt, 0);
    krs_call_free(call);
}

static void a_key_bounds_how_urgent_a_call_may_be(void **state)
{
    (void)state;
    const krs_model_info info = model_info();
    krs_call_context context = context_of(&info);
    krs_call *call = NULL;
    krs_error err = KRS_ERROR_INIT;
    context.best_priority = KRS_PRIORITY_NORMAL;
    assert_int_equal(krs_call_parse(&context, KRS_CALL_CHAT,
                                    KRS_STR(CHAT ",\"priority\":\"urgent\"}"), &call, &err),
                     KRS_EPERM);
    assert_string_equal(err.field, "priority");
    context.best_priority = KRS_PRIORITY_BACKGROUND;
    assert_int_equal(krs_call_parse(&context, KRS_CALL_CHAT, KRS_STR(CHAT "}"), &call, &err),
                     KRS_OK);
    assert_int_equal(call->requests[0]->priority, KRS_PRIORITY_BACKGROUND); /* not asked for more */
    krs_call_free(call);
}

static void every_status_has_both_shapes(void **state)
{
    (void)state;
    krs_buf out;
    krs_buf_init(&out, NULL, 4096);
    for (int status = KRS_EAGAIN; status < KRS_STATUS_COUNT; status++) {
        const krs_error err = {.status = (krs_status)status};
        for (krs_call_kind kind = KRS_CALL_CHAT; kind < KRS_CALL_KIND_COUNT; kind++) {
            krs_buf_reset(&out);
            assert_int_equal(krs_call_error_write(kind, &err, "req-1", &out), KRS_OK);
            json_t *tree = json_loads(out.data, JSON_REJECT_DUPLICATES, NULL);
            const json_t *error = json_object_get(tree, "error");
            assert_true(json_string_length(json_object_get(error, "message")) > 0);
            assert_true(json_is_string(json_object_get(error, "type")));
            assert_true(json_is_null(json_object_get(error, "param")));
            assert_int_equal(json_is_true(json_object_get(error, "retryable")),
                             krs_status_is_retryable((krs_status)status));
            assert_string_equal(json_string_value(json_object_get(error, "correlation_id")),
                                "req-1");
            const json_t *context = json_object_get(error, "context");
            assert_string_equal(json_string_value(json_object_get(context, "status")),
                                krs_status_name((krs_status)status));
            json_decref(tree);
        }
    }
    krs_buf_deinit(&out);
}

static void anthropic_s_shape_names_the_request(void **state)
{
    (void)state;
    krs_buf out;
    krs_buf_init(&out, NULL, 4096);
    krs_error err = KRS_ERROR_INIT;
    (void)krs_fail(&err, KRS_EBUSY, "full");
    err.retry_after_ms = 1500;
    assert_int_equal(krs_call_error_write(KRS_CALL_MESSAGES, &err, "req-1", &out), KRS_OK);
    assert_string_equal(out.data,
                        "{\"type\":\"error\",\"error\":{\"message\":\"full\",\"type\":"
                        "\"rate_limit_error\",\"param\":null,\"code\":\"queue_full\",\"retryable\":"
                        "true,\"context\":{\"status\":\"KRS_EBUSY\",\"retry_after_ms\":1500},"
                        "\"correlation_id\":\"req-1\"},\"request_id\":\"req-1\"}");
    krs_buf_deinit(&out);
}

static void what_broke_inside_is_told_by_its_kind_only(void **state)
{
    (void)state;
    static const krs_status inner[] = {KRS_EIO, KRS_EDEVICE, KRS_EINTERNAL, KRS_EFORMAT,
                                       KRS_ENOMEM};
    krs_buf out;
    krs_buf_init(&out, NULL, 4096);
    for (size_t i = 0; i < sizeof(inner) / sizeof(inner[0]); i++) {
        krs_error err = KRS_ERROR_INIT;
        (void)krs_fail(&err, inner[i], "open /opt/me/secret: no");
        krs_buf_reset(&out);
        assert_int_equal(krs_call_error_write(KRS_CALL_CHAT, &err, "req-1", &out), KRS_OK);
        assert_null(strstr(out.data, "secret"));
        assert_non_null(strstr(out.data, krs_status_sentence(inner[i])));
    }
    krs_buf_deinit(&out);
}

static void heartbeats_commit_a_stream_to_its_status(void **state)
{
    (void)state;
    talk t = talk_of(KRS_CALL_CHAT, CHAT ",\"stream\":true}");
    assert_int_equal(krs_answer_heartbeat(t.answer, &t.out), KRS_OK);
    assert_memory_equal(t.out.data, ":", 1); /* a comment */
    assert_non_null(strstr(t.out.data, "\n\n"));
    const char *end = hear_end(&t, 0, KRS_FINISH_DEADLINE);
    assert_int_equal(krs_answer_state_of(t.answer), KRS_ANSWER_DONE);
    assert_non_null(strstr(end, "\"param\":\"timeout_ms\""));
    assert_non_null(strstr(end, "data: [DONE]\n\n"));
    krs_buf_reset(&t.out);
    assert_int_equal(krs_answer_heartbeat(t.answer, &t.out), KRS_OK);
    assert_int_equal(t.out.len, 0); /* nothing follows the end */
    talk_end(&t);
    t = talk_of(KRS_CALL_CHAT, CHAT "}");
    assert_int_equal(krs_answer_heartbeat(t.answer, &t.out), KRS_OK);
    assert_int_equal(t.out.len, 0); /* one object has no place for it */
    talk_end(&t);
    t = talk_of(KRS_CALL_MESSAGES, CHAT ",\"stream\":true,\"max_tokens\":1}");
    assert_int_equal(krs_answer_heartbeat(t.answer, &t.out), KRS_OK);
    assert_string_equal(t.out.data, "event: ping\ndata: {\"type\":\"ping\"}\n\n");
    talk_end(&t);
}

static void failures_before_the_first_byte_fail_the_answer(void **state)
{
    (void)state;
    talk t = talk_of(KRS_CALL_CHAT, CHAT ",\"stream\":true,\"n\":2}");
    krs_stream_event event = end_event(KRS_FINISH_ERROR);
    (void)krs_fail_field(&event.error, KRS_ETOOLARGE, "messages", "messages: 9 tokens, limit 8");
    assert_string_equal(hear(&t, 1, &event), "");
    assert_int_equal(krs_answer_state_of(t.answer), KRS_ANSWER_FAILED);
    assert_int_equal(krs_answer_error(t.answer)->status, KRS_ETOOLARGE);
    assert_string_equal(hear_text(&t, 0, "late"), ""); /* nothing follows it */
    talk_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_fields_are_accepted_and_listed),
        cmocka_unit_test(the_list_is_cut_at_a_whole_name),
        cmocka_unit_test(two_readings_of_one_body_are_refused),
        cmocka_unit_test(requests_carry_who_asks),
        cmocka_unit_test(a_key_bounds_how_urgent_a_call_may_be),
        cmocka_unit_test(every_status_has_both_shapes),
        cmocka_unit_test(anthropic_s_shape_names_the_request),
        cmocka_unit_test(what_broke_inside_is_told_by_its_kind_only),
        cmocka_unit_test(heartbeats_commit_a_stream_to_its_status),
        cmocka_unit_test(failures_before_the_first_byte_fail_the_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
