/* text/reply: every format's calls, what becomes of malformed ones, and that no cut changes anything. */
#include "support/cmocka.h"
#include "support/reply_cases.h"

#include <stdlib.h>

#define SEED_DEFAULT 20261123u /* any; printed, and taken from KRS_TEST_SEED when set */

static krs_reply_options options_of(const krs_test_reply_case *c, const krs_test_reply_tools *t)
{
    krs_reply_options options = KRS_REPLY_OPTIONS_INIT;
    options.style = c->style;
    options.is_reasoning_open = c->is_open;
    options.tools = t->list;
    options.n_tools = 3;
    return options;
}

static void check_cut(const krs_test_reply_case *c, const krs_test_reply_tools *t,
                      const size_t *cuts, size_t n_cuts)
{
    const krs_reply_options options = options_of(c, t);
    krs_test_record record;
    assert_int_equal(krs_test_record_cut(&options, krs_str_of(c->text), cuts, n_cuts, &record),
                     KRS_OK);
    const krs_str line = krs_test_record_line(&record);
    if (!krs_str_equal(line, krs_str_of(c->line))) {
        print_error("%s, %zu cuts, first %zu:\n  %.*s\nwant\n  %s\n", c->name, n_cuts,
                    n_cuts ? cuts[0] : 0, KRS_STR_ARGS(line), c->line);
        fail();
    }
    krs_buf_deinit(&record.line);
}

static void whole_replies_are_taken_apart(void **state)
{
    (void)state;
    krs_test_reply_tools t;
    krs_test_reply_tools_init(&t);
    for (size_t i = 0; i < KRS_TEST_N_REPLIES; i++) {
        check_cut(&krs_test_reply_cases[i], &t, NULL, 0);
    }
    json_decref(t.weather);
}

static void every_cut_in_two_and_single_bytes_change_nothing(void **state)
{
    (void)state;
    krs_test_reply_tools t;
    krs_test_reply_tools_init(&t);
    for (size_t i = 0; i < KRS_TEST_N_REPLIES; i++) {
        size_t all[1024];
        const size_t n = strlen(krs_test_reply_cases[i].text);
        assert_true(n < 1024);
        for (size_t at = 0; at <= n; at++) {
            check_cut(&krs_test_reply_cases[i], &t, &at, 1);
            all[at] = at;
        }
        check_cut(&krs_test_reply_cases[i], &t, all, n);
    }
    json_decref(t.weather);
}

static uint32_t next(uint64_t *random, uint32_t n)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*random >> 33) % n;
}

static void random_cuts_change_nothing(void **state)
{
    (void)state;
    const char *text = getenv("KRS_TEST_SEED");
    uint64_t random = text ? strtoull(text, NULL, 10) : SEED_DEFAULT;
    print_message("KRS_TEST_SEED=%llu\n", (unsigned long long)random);
    krs_test_reply_tools t;
    krs_test_reply_tools_init(&t);
    for (size_t i = 0; i < KRS_TEST_N_REPLIES; i++) {
        const size_t n = strlen(krs_test_reply_cases[i].text);
        for (int round = 0; round < 200; round++) {
            size_t cuts[1024];
            size_t n_cuts = 0;
            const uint32_t rarity = 1 + next(&random, 20);
            for (size_t at = 0; at <= n; at++) {
                cuts[n_cuts] = at;
                n_cuts += next(&random, rarity) == 0;
            }
            check_cut(&krs_test_reply_cases[i], &t, cuts, n_cuts);
        }
    }
    json_decref(t.weather);
}

/* Text is told as soon as it can be no tag: what is still held is told by the end alone. */
static void nothing_is_held_longer_than_needed(void **state)
{
    static const struct {
        const char *text;
        const char *line; /* before the end */
    } steps[] = {
        {"Hi <", "content:Hi"},
        {"Hi <t", "content:Hi"},
        {"Hi <ta", "content:Hi <ta"},
        {"Hi ", "content:Hi"},
        {"a <tool_call> ", "content:a"},
        {"a <tool_call> x", "content:a <tool_call> x"},
        {"<tool_call>{\"name\":\"add\", \"arguments\": {\"a\"", "call:add|args:{\"a\""},
        {"<tool_call>{\"name\":\"add\", \"arguments\": {}", "call:add|args:{}|end|"},
        {"<tool_call>{\"name\":\"adder\", \"arguments\": {",
         "content:<tool_call>{\"name\":\"adder\", \"arguments\": {"},
        {"<think>a</", "thought:a"},
        {"<think>a</b", "thought:a</b"},
    };
    (void)state;
    krs_test_reply_tools t;
    krs_test_reply_tools_init(&t);
    const krs_test_reply_case style = {"", HERMES, false, "", ""};
    const krs_reply_options options = options_of(&style, &t);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        krs_reply_parser *parser = NULL;
        krs_test_record record;
        krs_test_record_init(&record, NULL);
        const krs_reply_sink sink = {&record, krs_test_record_event};
        assert_int_equal(krs_reply_parser_new(&options, NULL, &parser), KRS_OK);
        assert_int_equal(krs_reply_parser_feed(parser, krs_str_of(steps[i].text), &sink), KRS_OK);
        const krs_str line = krs_test_record_line(&record);
        if (!krs_str_equal(line, krs_str_of(steps[i].line))) {
            print_error("%s:\n  %.*s\n", steps[i].text, KRS_STR_ARGS(line));
            fail();
        }
        krs_reply_parser_free(parser);
        krs_buf_deinit(&record.line);
    }
    json_decref(t.weather);
}

static void without_tools_calls_are_content(void **state)
{
    (void)state;
    krs_reply_options options = KRS_REPLY_OPTIONS_INIT;
    options.style.format = KRS_REPLY_HERMES;
    options.style.reasoning = KRS_REPLY_REASONING_THINK;
    krs_test_record record;
    const krs_str text = KRS_STR("<think>a</think><tool_call>{\"name\": \"add\"}</tool_call> ");
    assert_int_equal(krs_test_record_cut(&options, text, NULL, 0, &record), KRS_OK);
    assert_true(
        krs_str_equal(krs_test_record_line(&record),
                      KRS_STR("thought:a|content:<tool_call>{\"name\": \"add\"}</tool_call> ")));
    krs_buf_deinit(&record.line);
}

static void heads_and_values_have_ceilings(void **state)
{
    (void)state;
    krs_test_reply_tools t;
    krs_test_reply_tools_init(&t);
    krs_buf text;
    krs_test_record record;
    krs_buf_init(&text, NULL, 16u << 20);
    /* Arguments before the name, longer than what is held: no call, and nothing lost. */
    const krs_test_reply_case hermes = {"", HERMES, false, "", ""};
    krs_reply_options options = options_of(&hermes, &t);
    assert_int_equal(krs_buf_printf(&text,
                                    "<tool_call>{\"arguments\":{\"a\":\"%*s\"},\"name\":\"add\"}",
                                    (int)KRS_REPLY_MAX_HEAD_BYTES, "x"),
                     KRS_OK);
    assert_int_equal(krs_test_record_cut(&options, krs_buf_view(&text), NULL, 0, &record), KRS_OK);
    assert_int_equal(record.n_calls, 0);
    assert_int_equal(record.line.len, strlen("content:") + text.len);
    krs_buf_deinit(&record.line);
    /* A value that must be held, over its ceiling. */
    const krs_test_reply_case coder = {"", CODER, false, "", ""};
    options = options_of(&coder, &t);
    krs_buf_reset(&text);
    assert_int_equal(krs_buf_printf(&text, "<function=weather><parameter=days>%*s",
                                    (int)KRS_REPLY_MAX_VALUE_BYTES + 1, "3"),
                     KRS_OK);
    assert_int_equal(krs_test_record_cut(&options, krs_buf_view(&text), NULL, 0, &record),
                     KRS_ETOOLARGE);
    krs_buf_deinit(&record.line);
    krs_buf_deinit(&text);
    json_decref(t.weather);
}

static krs_status refuse(void *user, const krs_reply_event *event)
{
    (void)event;
    *(int *)user += 1;
    return KRS_ECANCELLED;
}

static void a_sink_that_fails_ends_the_feeding(void **state)
{
    (void)state;
    const krs_reply_options options = KRS_REPLY_OPTIONS_INIT;
    krs_reply_parser *parser = NULL;
    int n = 0;
    const krs_reply_sink sink = {&n, refuse};
    assert_int_equal(krs_reply_parser_new(&options, NULL, &parser), KRS_OK);
    assert_int_equal(krs_reply_parser_feed(parser, KRS_STR("a"), &sink), KRS_ECANCELLED);
    assert_int_equal(krs_reply_parser_end(parser, &sink), KRS_ECANCELLED);
    assert_int_equal(n, 1);
    krs_reply_parser_free(parser);
}

static void names_are_found_again(void **state)
{
    (void)state;
    for (int i = 0; i < KRS_REPLY_FORMAT_COUNT; i++) {
        krs_reply_format format = KRS_REPLY_FORMAT_COUNT;
        assert_true(
            krs_reply_format_find(krs_str_of(krs_reply_format_name((krs_reply_format)i)), &format));
        assert_int_equal(format, i);
    }
    for (int i = 0; i < KRS_REPLY_REASONING_COUNT; i++) {
        krs_reply_reasoning reasoning = KRS_REPLY_REASONING_COUNT;
        assert_true(krs_reply_reasoning_find(
            krs_str_of(krs_reply_reasoning_name((krs_reply_reasoning)i)), &reasoning));
        assert_int_equal(reasoning, i);
    }
    krs_reply_format format = KRS_REPLY_GLM;
    assert_false(krs_reply_format_find(KRS_STR("glm5"), &format));
    assert_int_equal(format, KRS_REPLY_GLM);
}

static void prompts_that_open_reasoning_are_seen(void **state)
{
    (void)state;
    const krs_reply_style think = HERMES;
    const krs_reply_style gemma = GEMMA;
    const krs_reply_style none = CODER;
    assert_true(krs_reply_style_is_open(think, KRS_STR("assistant\n<think>\n")));
    assert_false(krs_reply_style_is_open(think, KRS_STR("assistant\n<think>\n\n</think>\n\n")));
    assert_false(krs_reply_style_is_open(think, KRS_STR("")));
    assert_true(krs_reply_style_is_open(gemma, KRS_STR("<|turn>model\n<|channel>thought\n")));
    assert_false(krs_reply_style_is_open(gemma, KRS_STR("<|channel>thought\n<channel|>")));
    assert_false(krs_reply_style_is_open(none, KRS_STR("<think>\n")));
    assert_true(krs_reply_style_has_special(gemma));
    assert_false(krs_reply_style_has_special((krs_reply_style)PLAIN));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_replies_are_taken_apart),
        cmocka_unit_test(every_cut_in_two_and_single_bytes_change_nothing),
        cmocka_unit_test(random_cuts_change_nothing),
        cmocka_unit_test(nothing_is_held_longer_than_needed),
        cmocka_unit_test(without_tools_calls_are_content),
        cmocka_unit_test(heads_and_values_have_ceilings),
        cmocka_unit_test(a_sink_that_fails_ends_the_feeding),
        cmocka_unit_test(names_are_found_again),
        cmocka_unit_test(prompts_that_open_reasoning_are_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
