/* unit/front/test_tool_choice.c - what of an answer a choice of tools and a form bind: some of the tools, calls or
 * content of the form, and where the form begins. Promises of whole calls: test_tool_calls.c. */
#include "hermes_fixture.h"

/* How many leaves say this? */
static uint32_t count_text(const krs_guide *guide, const char *text)
{
    uint32_t n = guide->n_parts == 0 && krs_str_equal(guide->text, krs_str_of(text));
    for (uint32_t i = 0; i < guide->n_parts; i++) {
        n += count_text(&guide->parts[i], text);
    }
    return n;
}

static void only_allowed_tools_can_be_called(void **state)
{
    (void)state;
    static const struct {
        krs_call_kind kind;
        const char *fields;
        bool is_free;
    } cases[] = {
        {KRS_CALL_CHAT,
         ALLOWED("auto", "[{\"type\":\"function\",\"function\":{\"name\":\"now\"}}]"), true},
        {KRS_CALL_CHAT,
         ALLOWED("required", "[{\"type\":\"function\",\"function\":{\"name\":\"now\"}},"
                             "{\"type\":\"function\",\"function\":{\"name\":\"now\"}}]"),
         false},
        {KRS_CALL_RESPONSES,
         RESPONSES_TOOLS ",\"tool_choice\":{\"type\":\"allowed_tools\",\"mode\":\"required\","
                         "\"tools\":[{\"type\":\"function\",\"name\":\"now\"}]},\"input\":\"a\"",
         false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        krs_call *call = hermes_call(cases[i].kind, cases[i].fields);
        const krs_request *request = call->requests[0];
        uint32_t counts[KRS_GUIDE_COUNT] = {0};
        count_leaves(&request->guidance.root, counts);
        assert_int_equal(counts[KRS_GUIDE_FREE] > 0, cases[i].is_free);
        assert_int_equal(count_text(&request->guidance.root, "add"), 0);
        assert_true(count_text(&request->guidance.root, "now") > 0);
        assert_int_equal(json_array_size(json_object_get(request->prompt.chat, "tools")), 2);
        krs_call_free(call);
    }
}

/* Behind the reasoning: the form; beside tools, calls or the form, and no other text. */
static void a_form_is_of_content(void **state)
{
    (void)state;
    krs_call *call = hermes_call(KRS_CALL_CHAT, USER FORM);
    const krs_guidance *guidance = &call->requests[0]->guidance;
    assert_int_equal(guidance->root.kind, KRS_GUIDE_SCHEMA);
    assert_true(krs_str_equal(guidance->reasoning_close, KRS_STR("</think>")));
    krs_call_free(call);

    call = hermes_call(KRS_CALL_CHAT, CHAT_TOOLS "," USER FORM);
    uint32_t counts[KRS_GUIDE_COUNT] = {0};
    guidance = &call->requests[0]->guidance;
    count_leaves(&guidance->root, counts);
    assert_int_equal(guidance->kind, KRS_GUIDANCE_JSON_SCHEMA);
    assert_int_equal(guidance->root.kind, KRS_GUIDE_ALT);
    assert_int_equal(guidance->root.n_parts, 2);
    assert_string_equal(guidance->root.parts[0].field, "tools");
    assert_string_equal(guidance->root.parts[1].field, "response_format");
    assert_int_equal(counts[KRS_GUIDE_FREE], 0);
    assert_int_equal(count_text(&guidance->root, "{\"type\":\"integer\"}"), 1);
    assert_true(count_text(&guidance->root, "add") > 0);
    krs_call_free(call);

    call = hermes_call(KRS_CALL_CHAT, CHAT_TOOLS ",\"tool_choice\":\"required\"," USER FORM);
    guidance = &call->requests[0]->guidance;
    assert_int_equal(guidance->kind, KRS_GUIDANCE_CALLS); /* there is no content */
    assert_int_equal(count_text(&guidance->root, "{\"type\":\"integer\"}"), 0);
    krs_call_free(call);

    call = hermes_call(KRS_CALL_CHAT, CHAT_TOOLS ",\"tool_choice\":\"none\"," USER FORM);
    assert_int_equal(call->requests[0]->guidance.root.kind, KRS_GUIDE_SCHEMA);
    krs_call_free(call);

    call = hermes_call(KRS_CALL_MESSAGES,
                       MESSAGES_TOOLS "," USER ",\"output_format\":{\"type\":\"json_schema\","
                                      "\"schema\":{\"type\":\"integer\"}}");
    guidance = &call->requests[0]->guidance;
    assert_int_equal(guidance->root.n_parts, 2);
    assert_true(krs_str_equal(guidance->reasoning_open, KRS_STR("<think>")));
    krs_call_free(call);
}

/* Harmony's content stands in a message of the final channel, with and without a message before it. */
static void a_form_has_the_head_of_its_format(void **state)
{
    (void)state;
    krs_model_info info = model_info();
    (void)snprintf(info.reply_format, sizeof(info.reply_format), "harmony");
    (void)snprintf(info.reply_reasoning, sizeof(info.reply_reasoning), "harmony");
    const krs_call_context context = context_of(&info);
    const char *const bodies[] = {"{\"model\":\"m\"," USER FORM "}",
                                  "{\"model\":\"m\"," CHAT_TOOLS "," USER FORM "}"};
    for (uint32_t i = 0; i < 2; i++) {
        krs_call *call = NULL;
        krs_error err = KRS_ERROR_INIT;
        assert_int_equal(
            krs_call_parse(&context, KRS_CALL_CHAT, krs_str_of(bodies[i]), &call, &err), KRS_OK);
        const krs_guidance *guidance = &call->requests[0]->guidance;
        const krs_guide *root = &guidance->root;
        const krs_guide *content = i == 0 ? root : &root->parts[root->n_parts - 1];
        assert_int_equal(krs_guidance_check(guidance, &err), KRS_OK);
        assert_true(guidance->reasoning_open.len > 0);
        assert_int_equal(content->kind, KRS_GUIDE_SEQ);
        assert_int_equal(count_text(&content->parts[0], "final"), 2);
        assert_int_equal(content->parts[1].kind, KRS_GUIDE_SCHEMA);
        assert_int_equal(root->n_parts, i == 0 ? 2 : 3);
        assert_true(call->requests[0]->task_options.is_special_shown);
        krs_call_free(call);
    }
}

static void a_plain_model_cannot_be_made_to_call(void **state)
{
    (void)state;
    krs_call *call = NULL;
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(parse(KRS_CALL_CHAT,
                           "{\"model\":\"m\"," CHAT_TOOLS ",\"tool_choice\":\"required\"," USER "}",
                           &call, &err),
                     KRS_EUNSUPPORTED);
    assert_string_equal(err.field, "tool_choice");
    call = parse_good(KRS_CALL_CHAT, "{\"model\":\"m\"," CHAT_TOOLS "," USER FORM "}");
    assert_int_equal(call->requests[0]->guidance.root.kind, KRS_GUIDE_SCHEMA); /* it cannot call */
    krs_call_free(call);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_allowed_tools_can_be_called),
        cmocka_unit_test(a_form_is_of_content),
        cmocka_unit_test(a_form_has_the_head_of_its_format),
        cmocka_unit_test(a_plain_model_cannot_be_made_to_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
