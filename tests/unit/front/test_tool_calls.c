/* unit/front/test_tool_calls.c - calls of tools and reasoning through every API: what a body asks for, what reaches
 * the template, and what becomes of an answer, whole, streamed, and cut anywhere. The model writes as Hermes does. */
#include "hermes_fixture.h"

/* --- what is asked for --- */

static void tools_of_every_api_are_the_same_to_the_template(void **state)
{
    (void)state;
    static const char *const bodies[] = {CHAT_TOOLS "," USER, RESPONSES_TOOLS ",\"input\":\"hi\"",
                                         MESSAGES_TOOLS "," USER};
    static const krs_call_kind kinds[] = {KRS_CALL_CHAT, KRS_CALL_RESPONSES, KRS_CALL_MESSAGES};
    for (size_t i = 0; i < 3; i++) {
        krs_call *call = hermes_call(kinds[i], bodies[i]);
        const json_t *tools = json_object_get(call->requests[0]->prompt.chat, "tools");
        assert_int_equal(json_array_size(tools), 2);
        expect_tree(json_array_get(tools, 0),
                    "{\"function\":{\"name\":\"add\",\"parameters\":{\"type\":\"object\"}},"
                    "\"type\":\"function\"}");
        assert_string_equal(json_string_value(dig(tools, "1.function.name")), "now");
        assert_int_equal(call->requests[0]->guidance.kind, KRS_GUIDANCE_NONE);
        assert_true(call->requests[0]->task_options.is_special_shown); /* its tags may be */
        krs_call_free(call);
    }
}

static void tools_not_to_be_called_are_hidden(void **state)
{
    (void)state;
    krs_call *call = hermes_call(KRS_CALL_CHAT, CHAT_TOOLS ",\"tool_choice\":\"none\"," USER);
    assert_null(json_object_get(call->requests[0]->prompt.chat, "tools"));
    krs_call_free(call);
    call =
        hermes_call(KRS_CALL_MESSAGES, MESSAGES_TOOLS ",\"tool_choice\":{\"type\":\"none\"}," USER);
    assert_null(json_object_get(call->requests[0]->prompt.chat, "tools"));
    krs_call_free(call);
}

static void a_promise_constrains_the_answer(void **state)
{
    (void)state;
    static const struct {
        krs_call_kind kind;
        const char *fields;
        uint32_t n_schemas; /* that bind, of one way to call */
        bool is_free;       /* text may come first */
    } cases[] = {
        {KRS_CALL_CHAT,
         CHAT_TOOLS ",\"tool_choice\":\"required\",\"parallel_tool_calls\":false," USER, 1, false},
        {KRS_CALL_CHAT,
         CHAT_TOOLS ",\"parallel_tool_calls\":false,\"tool_choice\":{\"type\":\"function\","
                    "\"function\":{\"name\":\"add\"}}," USER,
         1, false},
        {KRS_CALL_CHAT, CHAT_TOOLS ",\"parallel_tool_calls\":false," USER, 0, true},
        {KRS_CALL_RESPONSES,
         RESPONSES_TOOLS ",\"parallel_tool_calls\":false,\"tool_choice\":{\"type\":"
                         "\"function\",\"name\":\"add\"},\"input\":\"hi\"",
         1, false},
        {KRS_CALL_MESSAGES,
         MESSAGES_TOOLS ",\"tool_choice\":{\"type\":\"tool\",\"name\":\"add\","
                        "\"disable_parallel_tool_use\":true}," USER,
         1, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        krs_call *call = hermes_call(cases[i].kind, cases[i].fields);
        const krs_guidance *guidance = &call->requests[0]->guidance;
        uint32_t counts[KRS_GUIDE_COUNT] = {0};
        krs_error err = KRS_ERROR_INIT;
        assert_int_equal(guidance->kind, KRS_GUIDANCE_CALLS);
        assert_int_equal(krs_guidance_check(guidance, &err), KRS_OK);
        assert_true(krs_str_equal(guidance->reasoning_open, KRS_STR("<think>")));
        count_leaves(&guidance->root, counts);
        if (counts[KRS_GUIDE_SCHEMA] != cases[i].n_schemas ||
            (counts[KRS_GUIDE_FREE] > 0) != cases[i].is_free) {
            fail_msg("%s: %u schemas, %u free texts", cases[i].fields, counts[KRS_GUIDE_SCHEMA],
                     counts[KRS_GUIDE_FREE]);
        }
        krs_call_free(call);
    }
}

static void a_strict_tool_binds_its_own_arguments_only(void **state)
{
    (void)state;
    krs_call *call = hermes_call(
        KRS_CALL_CHAT,
        "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a\",\"strict\":true,"
        "\"parameters\":{\"const\":1}}},{\"type\":\"function\",\"function\":{\"name\":\"b\","
        "\"parameters\":{\"const\":2}}}],\"n\":2,\"parallel_tool_calls\":false," USER);
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t counts[KRS_GUIDE_COUNT] = {0};
        count_leaves(&call->requests[i]->guidance.root, counts);
        assert_int_equal(counts[KRS_GUIDE_SCHEMA], 1);
        assert_int_equal(counts[KRS_GUIDE_OBJECT], 1);
    }
    krs_call_free(call);
}

/* The field of the first schema in the tree. */
static const char *schema_field(const krs_guide *guide)
{
    const char *field = guide->kind == KRS_GUIDE_SCHEMA ? guide->field : NULL;
    for (uint32_t i = 0; i < guide->n_parts && !field; i++) {
        field = schema_field(&guide->parts[i]);
    }
    return field;
}

static void what_is_wrong_in_a_schema_names_its_tool(void **state)
{
    (void)state;
    krs_call *call = hermes_call(
        KRS_CALL_CHAT,
        "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a\"}},{\"type\":\"function\","
        "\"function\":{\"name\":\"b\",\"strict\":true,\"parameters\":{\"minLength\":\"x\"}}}]"
        "," USER);
    assert_string_equal(schema_field(&call->requests[0]->guidance.root),
                        "tools[1].function.parameters");
    krs_call_free(call);
    call = hermes_call(KRS_CALL_MESSAGES, MESSAGES_TOOLS
                       ",\"tool_choice\":{\"type\":\"tool\",\"name\":\"add\"}," USER);
    assert_non_null(strstr(schema_field(&call->requests[0]->guidance.root), "].input_schema"));
    krs_call_free(call);
}

static void what_is_no_tool_is_refused_by_its_place(void **state)
{
    (void)state;
    static const struct {
        krs_call_kind kind;
        const char *fields;
        const char *param;
    } cases[] = {
        {KRS_CALL_CHAT, "\"tools\":[1]," USER, "tools"},
        {KRS_CALL_CHAT, "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a b\"}}]," USER,
         "tools[0].function.name"},
        {KRS_CALL_CHAT,
         "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a\",\"parameters\":[]}}]"
         "," USER,
         "tools[0].function.parameters"},
        {KRS_CALL_CHAT,
         "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a\",\"strict\":1}}]," USER,
         "tools[0].function.strict"},
        {KRS_CALL_CHAT,
         "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a\"}},{\"type\":\"function\","
         "\"function\":"
         "{\"name\":\"a\"}}]," USER,
         "tools[1].function.name"},
        {KRS_CALL_CHAT, CHAT_TOOLS ",\"tool_choice\":\"any\"," USER, "tool_choice"},
        {KRS_CALL_CHAT, "\"tool_choice\":\"required\"," USER, "tool_choice"},
        {KRS_CALL_CHAT, CHAT_TOOLS ",\"tool_choice\":{\"type\":\"custom\"}," USER,
         "tool_choice.type"},
        {KRS_CALL_CHAT, CHAT_TOOLS ",\"tool_choice\":{\"type\":\"allowed_tools\"}," USER,
         "tool_choice.mode"},
        {KRS_CALL_CHAT, ALLOWED("none", "[]"), "tool_choice.mode"},
        {KRS_CALL_CHAT, ALLOWED("auto", "[]"), "tool_choice.tools"},
        {KRS_CALL_CHAT, ALLOWED("auto", "{}"), "tool_choice.tools"},
        {KRS_CALL_CHAT, ALLOWED("auto", "[{\"type\":\"custom\",\"custom\":{\"name\":\"add\"}}]"),
         "tool_choice.tools"},
        {KRS_CALL_CHAT, ALLOWED("auto", "[{\"type\":\"function\",\"function\":{\"name\":\"a\"}}]"),
         "tool_choice.tools"},
        {KRS_CALL_RESPONSES,
         RESPONSES_TOOLS ",\"tool_choice\":{\"type\":\"allowed_tools\",\"mode\":\"auto\",\"tools\":"
                         "[{\"type\":\"function\"}]},\"input\":\"a\"",
         "tool_choice.tools"},
        {KRS_CALL_CHAT,
         CHAT_TOOLS
         ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"sub\"}}," USER,
         "tool_choice.function.name"},
        {KRS_CALL_CHAT, CHAT_TOOLS ",\"parallel_tool_calls\":1," USER, "parallel_tool_calls"},
        {KRS_CALL_RESPONSES,
         RESPONSES_TOOLS ",\"tool_choice\":{\"type\":\"function\",\"name\":\"x\"},\"input\":\"a\"",
         "tool_choice.name"},
        {KRS_CALL_MESSAGES,
         "\"max_tokens\":1,\"tools\":[{\"type\":\"bash_20250124\",\"name\":\"bash\"}]," USER,
         "tools[0].type"},
        {KRS_CALL_MESSAGES, MESSAGES_TOOLS ",\"tool_choice\":{\"type\":\"required\"}," USER,
         "tool_choice.type"},
        {KRS_CALL_MESSAGES, MESSAGES_TOOLS ",\"tool_choice\":{\"type\":\"tool\"}," USER,
         "tool_choice.name"},
        {KRS_CALL_CHAT,
         "\"messages\":[{\"role\":\"assistant\",\"content\":\"a\",\"reasoning_content\":1}]",
         "messages[0].reasoning_content"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        expect_refusal(cases[i].kind, cases[i].fields, cases[i].param);
    }
}

/* --- what comes back --- */

static void a_whole_chat_has_calls_and_reasoning(void **state)
{
    (void)state;
    talk t = hermes_talk(KRS_CALL_CHAT, CHAT_TOOLS "," USER);
    (void)hear_text(&t, 0, ANSWER);
    json_t *tree = json_loads(hear_end(&t, 0, KRS_FINISH_STOP), 0, NULL);
    expect_tree(dig(tree, "choices.0"),
                "{\"finish_reason\":\"tool_calls\",\"index\":0,\"logprobs\":null,\"message\":{"
                "\"content\":\"Well.\",\"reasoning_content\":\"Sum it.\",\"refusal\":null,"
                "\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"arguments\":\"{\\\"a\\\": "
                "1}\",\"name\":\"add\"},\"id\":\"call_00000000000000ab\",\"type\":\"function\"},{"
                "\"function\":{\"arguments\":\"{}\",\"name\":\"now\"},\"id\":"
                "\"call_00000000000000ac\",\"type\":\"function\"}]}}");
    json_decref(tree);
    talk_end(&t);
}

static void a_call_alone_leaves_content_null(void **state)
{
    (void)state;
    talk t = hermes_talk(KRS_CALL_CHAT, CHAT_TOOLS "," USER);
    (void)hear_text(&t, 0, CALL);
    json_t *tree = json_loads(hear_end(&t, 0, KRS_FINISH_LENGTH), 0, NULL);
    assert_true(json_typeof(dig(tree, "choices.0.message.content")) == JSON_NULL);
    assert_null(json_object_get(dig(tree, "choices.0.message"), "reasoning_content"));
    assert_string_equal(json_string_value(dig(tree, "choices.0.finish_reason")), "length");
    json_decref(tree);
    talk_end(&t);
}

static void without_tools_a_call_is_text(void **state)
{
    (void)state;
    talk t = hermes_talk(KRS_CALL_CHAT, USER);
    (void)hear_text(&t, 0, CALL);
    json_t *tree = json_loads(hear_end(&t, 0, KRS_FINISH_STOP), 0, NULL);
    assert_string_equal(json_string_value(dig(tree, "choices.0.message.content")), CALL);
    assert_string_equal(json_string_value(dig(tree, "choices.0.finish_reason")), "stop");
    json_decref(tree);
    talk_end(&t);
}

static void reasoning_that_the_prompt_opened_is_reasoning(void **state)
{
    (void)state;
    talk t = hermes_talk(KRS_CALL_CHAT, USER);
    const krs_stream_event event = {
        .text = KRS_STR("Hm.</think>Yes."), .n_tokens = 4, .is_reasoning = true};
    (void)hear(&t, 0, &event);
    json_t *tree = json_loads(hear_end(&t, 0, KRS_FINISH_STOP), 0, NULL);
    assert_string_equal(json_string_value(dig(tree, "choices.0.message.reasoning_content")), "Hm.");
    assert_string_equal(json_string_value(dig(tree, "choices.0.message.content")), "Yes.");
    json_decref(tree);
    talk_end(&t);
}

/* What the deltas of a streamed chat add up to, as one line. */
static void add_deltas(const char *bytes, char *out, size_t max)
{
    const size_t n = count_sse(bytes);
    for (size_t i = 0; i < n; i++) {
        if (strncmp(bytes, "data: [DONE]", 12) != 0) {
            json_t *tree = sse_data(bytes, 0, NULL);
            const json_t *delta = dig(tree, "choices.0.delta");
            const json_t *call = dig(delta, "tool_calls.0");
            const char *texts[] = {json_string_value(json_object_get(delta, "content")),
                                   json_string_value(json_object_get(delta, "reasoning_content")),
                                   json_string_value(dig(call, "function.name")),
                                   json_string_value(dig(call, "function.arguments")),
                                   json_string_value(dig(tree, "choices.0.finish_reason"))};
            static const char marks[] = "CRNAF";
            for (size_t k = 0; k < 5; k++) {
                const size_t used = strlen(out);
                if (texts[k] && texts[k][0]) { /* the mark once for each run of a kind */
                    (void)snprintf(out + used, max - used, "%c%s", marks[k], texts[k]);
                }
            }
            json_decref(tree);
        }
        bytes = strstr(bytes, "\n\n") + 2;
    }
}

/* Without the marks between pieces of one kind. */
static void join_pieces(char *text)
{
    char *to = text;
    char last = 0;
    for (const char *from = text; *from; from++) {
        if (strchr("CRNAF", *from) && *from == last) {
            continue;
        }
        last = strchr("CRNAF", *from) ? *from : last;
        *to++ = *from;
    }
    *to = '\0';
}

static void a_streamed_chat_says_the_same_wherever_it_is_cut(void **state)
{
    (void)state;
    static const char answer[] = "<think>sum it.</think>well.\n" CALL;
    const size_t n = strlen(answer);
    for (size_t cut = 0; cut <= n; cut++) {
        char got[512] = "";
        talk t = hermes_talk(KRS_CALL_CHAT, "\"stream\":true," CHAT_TOOLS "," USER);
        krs_stream_event event = {.text = {answer, cut}};
        add_deltas(hear(&t, 0, &event), got, sizeof(got));
        event.text = (krs_str){answer + cut, n - cut};
        add_deltas(hear(&t, 0, &event), got, sizeof(got));
        add_deltas(hear_end(&t, 0, KRS_FINISH_STOP), got, sizeof(got));
        join_pieces(got);
        assert_string_equal(got, "Rsum it.Cwell.NaddA{\"a\": 1}Ftool_calls");
        talk_end(&t);
    }
}

static void log_probabilities_of_a_chat_are_told_once(void **state)
{
    (void)state;
    talk t = hermes_talk(KRS_CALL_CHAT, "\"stream\":true,\"logprobs\":true," CHAT_TOOLS "," USER);
    const krs_token token = {.id = 1, .logprob = -1, .bytes = KRS_STR("x")};
    const krs_stream_event event = {.text = KRS_STR(CALL), .tokens = &token, .n_tokens = 1};
    const char *s = hear(&t, 0, &event);
    size_t n_told = 0;
    for (const char *at = strstr(s, "\"logprob\":"); at; at = strstr(at + 1, "\"logprob\":")) {
        n_told++;
    }
    assert_int_equal(n_told, 1);
    const krs_stream_event silent = {.tokens = &token, .n_tokens = 1};
    assert_non_null(strstr(hear(&t, 0, &silent), "\"logprob\":"));
    talk_end(&t);
}

static void responses_have_items(void **state)
{
    (void)state;
    talk t = hermes_talk(KRS_CALL_RESPONSES, RESPONSES_TOOLS ",\"input\":\"hi\"");
    (void)hear_text(&t, 0, THOUGHT "Well.\n" CALL);
    json_t *tree = json_loads(hear_end(&t, 0, KRS_FINISH_STOP), 0, NULL);
    expect_tree(
        json_object_get(tree, "output"),
        "[{\"content\":[{\"text\":\"Sum it.\",\"type\":\"reasoning_text\"}],\"id\":"
        "\"rs_00000000000000ab\",\"status\":\"completed\",\"summary\":[],\"type\":"
        "\"reasoning\"},{\"content\":[{\"annotations\":[],\"logprobs\":[],\"text\":\"Well.\","
        "\"type\":\"output_text\"}],\"id\":\"msg_00000000000000ab_1\",\"role\":"
        "\"assistant\",\"status\":\"completed\",\"type\":\"message\"},{\"arguments\":"
        "\"{\\\"a\\\": 1}\",\"call_id\":\"call_00000000000000ab\",\"id\":"
        "\"fc_00000000000000ab_2\",\"name\":\"add\",\"status\":\"completed\",\"type\":"
        "\"function_call\"}]");
    assert_int_equal(json_array_size(json_object_get(tree, "tools")), 2);
    json_decref(tree);
    talk_end(&t);
}

/* The names of the events, "response." left off. */
static void add_names(const char *bytes, char *out, size_t max)
{
    for (const char *at = strstr(bytes, "event: "); at; at = strstr(at + 1, "event: ")) {
        const size_t used = strlen(out);
        const char *name = at + 7;
        name += strncmp(name, "response.", 9) == 0 ? 9 : 0;
        (void)snprintf(out + used, max - used, "%.*s ", (int)strcspn(name, "\n"), name);
    }
}

static void a_streamed_response_says_when_items_begin_and_end(void **state)
{
    (void)state;
    char names[1024] = "";
    talk t =
        hermes_talk(KRS_CALL_RESPONSES, "\"stream\":true," RESPONSES_TOOLS ",\"input\":\"hi\"");
    add_names(hear_text(&t, 0, THOUGHT), names, sizeof(names));
    add_names(hear_text(&t, 0, "Well.\n" CALL), names, sizeof(names));
    add_names(hear_end(&t, 0, KRS_FINISH_STOP), names, sizeof(names));
    assert_string_equal(
        names,
        "created in_progress output_item.added content_part.added reasoning_text.delta "
        "reasoning_text.done content_part.done output_item.done output_item.added "
        "content_part.added output_text.delta output_text.done content_part.done output_item.done "
        "output_item.added function_call_arguments.delta function_call_arguments.done "
        "output_item.done completed ");
    talk_end(&t);
}

static void a_message_has_blocks(void **state)
{
    (void)state;
    talk t = hermes_talk(KRS_CALL_MESSAGES, MESSAGES_TOOLS "," USER);
    (void)hear_text(&t, 0, THOUGHT "Well.\n" CALL);
    json_t *tree = json_loads(hear_end(&t, 0, KRS_FINISH_STOP), 0, NULL);
    expect_tree(json_object_get(tree, "content"),
                "[{\"signature\":\"\",\"thinking\":\"Sum it.\",\"type\":\"thinking\"},{"
                "\"citations\":null,\"text\":\"Well.\",\"type\":\"text\"},{\"id\":"
                "\"toolu_00000000000000ab\",\"input\":{\"a\":1},\"name\":\"add\",\"type\":"
                "\"tool_use\"}]");
    assert_string_equal(json_string_value(json_object_get(tree, "stop_reason")), "tool_use");
    json_decref(tree);
    talk_end(&t);
}

static void arguments_cut_short_are_an_empty_input(void **state)
{
    (void)state;
    talk t = hermes_talk(KRS_CALL_MESSAGES, MESSAGES_TOOLS "," USER);
    (void)hear_text(&t, 0, "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 1");
    json_t *tree = json_loads(hear_end(&t, 0, KRS_FINISH_LENGTH), 0, NULL);
    assert_int_equal(json_object_size(dig(tree, "content.0.input")), 0);
    assert_string_equal(json_string_value(dig(tree, "content.0.name")), "add");
    json_decref(tree);
    talk_end(&t);
}

static void a_streamed_message_says_when_blocks_begin_and_end(void **state)
{
    (void)state;
    char names[1024] = "";
    talk t = hermes_talk(KRS_CALL_MESSAGES, "\"stream\":true," MESSAGES_TOOLS "," USER);
    add_names(hear_text(&t, 0, THOUGHT), names, sizeof(names));
    const char *s = hear_text(&t, 0, CALL);
    add_names(s, names, sizeof(names));
    assert_non_null(
        strstr(s, "\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a"));
    s = hear_end(&t, 0, KRS_FINISH_STOP);
    add_names(s, names, sizeof(names));
    assert_non_null(strstr(s, "\"stop_reason\":\"tool_use\""));
    assert_string_equal(names, "message_start content_block_start content_block_delta "
                               "content_block_stop content_block_start content_block_delta "
                               "content_block_stop message_delta message_stop ");
    talk_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tools_of_every_api_are_the_same_to_the_template),
        cmocka_unit_test(tools_not_to_be_called_are_hidden),
        cmocka_unit_test(a_promise_constrains_the_answer),
        cmocka_unit_test(a_strict_tool_binds_its_own_arguments_only),
        cmocka_unit_test(what_is_wrong_in_a_schema_names_its_tool),
        cmocka_unit_test(what_is_no_tool_is_refused_by_its_place),
        cmocka_unit_test(a_whole_chat_has_calls_and_reasoning),
        cmocka_unit_test(a_call_alone_leaves_content_null),
        cmocka_unit_test(without_tools_a_call_is_text),
        cmocka_unit_test(reasoning_that_the_prompt_opened_is_reasoning),
        cmocka_unit_test(a_streamed_chat_says_the_same_wherever_it_is_cut),
        cmocka_unit_test(log_probabilities_of_a_chat_are_told_once),
        cmocka_unit_test(responses_have_items),
        cmocka_unit_test(a_streamed_response_says_when_items_begin_and_end),
        cmocka_unit_test(a_message_has_blocks),
        cmocka_unit_test(arguments_cut_short_are_an_empty_input),
        cmocka_unit_test(a_streamed_message_says_when_blocks_begin_and_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
