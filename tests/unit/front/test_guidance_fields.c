/* unit/front/test_guidance_fields.c - every name a client has for a form of the answer, as one krs_guidance. */
#include "call_fixture.h"

#define MSG    "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"
#define SCHEMA "{\"type\":\"object\",\"properties\":{\"b\":{},\"a\":{}}}"

static krs_call *parse_of(krs_call_kind kind, const char *fields)
{
    char body[2048];
    (void)snprintf(body, sizeof(body), "{\"model\":\"m\",%s}", fields);
    return parse_good(kind, body);
}

static void expect(krs_call_kind kind, const char *fields, krs_guidance_kind want, const char *text)
{
    krs_call *call = parse_of(kind, fields);
    for (uint32_t i = 0; i < call->n_requests; i++) {
        const krs_guidance *g = &call->requests[i]->guidance;
        assert_int_equal(g->kind, want);
        if (text) {
            assert_true(krs_str_equal(g->root.text, krs_str_of(text)));
        }
    }
    krs_call_free(call);
}

static void formats_of_openai_are_read(void **state)
{
    (void)state;
    expect(KRS_CALL_CHAT, MSG, KRS_GUIDANCE_NONE, NULL);
    expect(KRS_CALL_CHAT, MSG ",\"response_format\":{\"type\":\"text\"}", KRS_GUIDANCE_NONE, NULL);
    expect(KRS_CALL_CHAT, MSG ",\"response_format\":null", KRS_GUIDANCE_NONE, NULL);
    expect(KRS_CALL_CHAT, MSG ",\"n\":3,\"response_format\":{\"type\":\"json_object\"}",
           KRS_GUIDANCE_JSON_OBJECT, NULL);
    /* members in the order they came */
    expect(KRS_CALL_CHAT,
           MSG ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"x-1\","
               "\"strict\":true,\"schema\":" SCHEMA "}}",
           KRS_GUIDANCE_JSON_SCHEMA, SCHEMA);
    expect(KRS_CALL_COMPLETION, "\"prompt\":\"a\",\"response_format\":{\"type\":\"json_object\"}",
           KRS_GUIDANCE_JSON_OBJECT, NULL);
    expect(KRS_CALL_RESPONSES,
           "\"input\":\"a\",\"text\":{\"format\":{\"type\":\"json_schema\",\"name\":\"x\","
           "\"schema\":" SCHEMA "}}",
           KRS_GUIDANCE_JSON_SCHEMA, SCHEMA);
}

static void formats_of_anthropic_are_read(void **state)
{
    (void)state;
    expect(KRS_CALL_MESSAGES,
           MSG ",\"max_tokens\":9,\"output_config\":{\"format\":{\"type\":\"json_schema\","
               "\"schema\":" SCHEMA "}}",
           KRS_GUIDANCE_JSON_SCHEMA, SCHEMA);
    expect(KRS_CALL_MESSAGES,
           MSG ",\"max_tokens\":9,\"output_format\":{\"type\":\"json_schema\",\"schema\":true}",
           KRS_GUIDANCE_JSON_SCHEMA, "true");
}

static void extensions_of_vllm_are_read(void **state)
{
    (void)state;
    expect(KRS_CALL_CHAT, MSG ",\"guided_json\":{}", KRS_GUIDANCE_JSON_SCHEMA, "{}");
    expect(KRS_CALL_CHAT, MSG ",\"guided_json\":\"{ }\"", KRS_GUIDANCE_JSON_SCHEMA, "{ }");
    expect(KRS_CALL_CHAT, MSG ",\"guided_regex\":\"a+\"", KRS_GUIDANCE_REGEX, "a+");
    expect(KRS_CALL_CHAT, MSG ",\"guided_grammar\":\"start: 1\"", KRS_GUIDANCE_GRAMMAR, "start: 1");
    expect(KRS_CALL_RESPONSES, "\"input\":\"a\",\"structured_outputs\":{\"regex\":\"b\"}",
           KRS_GUIDANCE_REGEX, "b");
    expect(KRS_CALL_COMPLETION,
           "\"prompt\":\"a\",\"structured_outputs\":{\"json_object\":true,\"regex\":null}",
           KRS_GUIDANCE_JSON_OBJECT, NULL);
    krs_call *call = parse_of(KRS_CALL_CHAT, MSG ",\"guided_choice\":[\"yes\",\"no\"]");
    const krs_guidance *g = &call->requests[0]->guidance;
    assert_int_equal(g->kind, KRS_GUIDANCE_CHOICE);
    assert_int_equal(g->root.n_parts, 2);
    assert_true(krs_str_equal(g->root.parts[1].text, KRS_STR("no")));
    krs_call_free(call);
}

static void white_space_is_a_choice(void **state)
{
    (void)state;
    krs_call *call = parse_of(KRS_CALL_CHAT, MSG ",\"structured_outputs\":{\"json_object\":true}");
    assert_int_equal(call->requests[0]->guidance.space, KRS_GUIDANCE_SPACE_ANY);
    krs_call_free(call);
    call = parse_of(KRS_CALL_CHAT, MSG ",\"guided_json\":{\"type\":\"null\"}");
    assert_int_equal(call->requests[0]->guidance.space, KRS_GUIDANCE_SPACE_SINGLE);
    krs_call_free(call);
    call = parse_of(KRS_CALL_CHAT, MSG ",\"structured_outputs\":{\"json_object\":true,"
                                       "\"disable_any_whitespace\":true}");
    assert_int_equal(call->requests[0]->guidance.space, KRS_GUIDANCE_SPACE_COMPACT);
    krs_call_free(call);
}

static const bad_case bad_chats[] = {
    {MSG ",\"response_format\":{\"type\":\"xml\"}", "response_format"},
    {MSG ",\"response_format\":{}", "response_format"},
    {MSG ",\"response_format\":{\"type\":\"json_schema\"}", "response_format"},
    {MSG ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"schema\":{}}}",
     "response_format"},
    {MSG ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"a b\","
         "\"schema\":{}}}",
     "response_format"},
    {MSG ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"a\"}}",
     "response_format"},
    {MSG ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"a\","
         "\"strict\":1,\"schema\":{}}}",
     "response_format"},
    {MSG ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"a\","
         "\"schema\":[]}}",
     "response_format"},
    {MSG ",\"guided_json\":7", "guided_json"},
    {MSG ",\"guided_regex\":\"\"", "guided_regex"},
    {MSG ",\"guided_regex\":{}", "guided_regex"},
    {MSG ",\"guided_choice\":[]", "guided_choice"},
    {MSG ",\"guided_choice\":[1]", "guided_choice"},
    {MSG ",\"guided_choice\":\"a\"", "guided_choice"},
    {MSG ",\"guided_regex\":\"a\",\"guided_json\":{}", "guided_regex"},
    {MSG ",\"response_format\":{\"type\":\"json_object\"},\"guided_json\":{}", "guided_json"},
    {MSG ",\"structured_outputs\":true", "structured_outputs"},
    {MSG ",\"structured_outputs\":{\"structural_tag\":\"x\"}", "structured_outputs"},
    {MSG ",\"structured_outputs\":{\"json_object\":1}", "structured_outputs"},
    {MSG ",\"structured_outputs\":{\"regex\":\"a\",\"grammar\":\"b\"}", "structured_outputs"},
};

static const bad_case bad_messages[] = {
    {MSG ",\"max_tokens\":9,\"output_format\":{\"type\":\"json_object\"}", "output_format"},
    {MSG ",\"max_tokens\":9,\"output_format\":{\"type\":\"json_schema\"}", "output_format"},
    {MSG ",\"max_tokens\":9,\"output_config\":{\"effort\":\"low\"}", "output_config"},
};

static void what_is_no_form_is_named(void **state)
{
    (void)state;
    check_bad(KRS_CALL_CHAT, bad_chats, sizeof(bad_chats) / sizeof(bad_chats[0]));
    check_bad(KRS_CALL_MESSAGES, bad_messages, sizeof(bad_messages) / sizeof(bad_messages[0]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_of_openai_are_read),
        cmocka_unit_test(formats_of_anthropic_are_read),
        cmocka_unit_test(extensions_of_vllm_are_read),
        cmocka_unit_test(white_space_is_a_choice),
        cmocka_unit_test(what_is_no_form_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
