/* text/reply: calls written in Python, as Llama, LFM and Gemma write them, however they are cut. */
#include "support/cmocka.h"
#include "support/reply_cases.h"

typedef struct python_case {
    krs_reply_format format;
    const char *text;
    const char *line;
} python_case;

static const python_case cases[] = {
    {KRS_REPLY_LLAMA3, "<|python_tag|>weather.call(city=\"K\xC3\xB6ln\", days=3)",
     "call:weather|args:{\"city\":\"K\xC3\xB6ln\",\"days\":3}|end|"},
    {KRS_REPLY_LLAMA3, "<|python_tag|>now()", "call:now|args:{}|end|"},
    {KRS_REPLY_LLAMA3, "<|python_tag|>{\"name\": \"now\", \"parameters\": {}}; {\"name\": \"now\"}",
     "call:now|args:{}|end|call:now|args:{}|end|"},
    /* Code that calls no tool, and a tool nobody offered, stay text. */
    {KRS_REPLY_LLAMA3, "<|python_tag|>import math\nprint(math.pi)",
     "content:<|python_tag|>import math\nprint(math.pi)"},
    {KRS_REPLY_LLAMA3, "<|python_tag|>search.call(q=\"x\")",
     "content:<|python_tag|>search.call(q=\"x\")"},
    {KRS_REPLY_LFM2,
     "<|tool_call_start|>[weather(city='it\\'s \"K\"'), add(a=[1, (2, -3.5)], b={'x': True, "
     "\"y\": None, 7: {}})]<|tool_call_end|>Done.",
     "call:weather|args:{\"city\":\"it's \\\"K\\\"\"}|end|call:add|args:{\"a\":[1,[2,-3.5]],"
     "\"b\":{\"x\":true,\"y\":null,\"7\":{}}}|end|content:Done."},
    {KRS_REPLY_LFM2, "a <|tool_call_start|>[now( )] <|tool_call_end|> b",
     "content:a|call:now|args:{}|end|content:b"},
    /* Arguments without a name have their parameter's. */
    {KRS_REPLY_LFM2, "<|tool_call_start|>[weather(\"K\", 3, True)]",
     "call:weather|args:{\"city\":\"K\",\"days\":3,\"sure\":true}|end|"},
    {KRS_REPLY_LFM2, "<|tool_call_start|>[weather(\"K\", sure = False,)]",
     "call:weather|args:{\"city\":\"K\",\"sure\":false}|end|"},
    {KRS_REPLY_LFM2, "<|tool_call_start|>[add(1)]", "call:add|args:{|end!|content:1)]"},
    /* Escapes; what is none stays as it is. */
    {KRS_REPLY_LFM2, "<|tool_call_start|>[add(a='\\n\\t\\x41\\u00e9\\U0001F600\\d\\\\\\\n')]",
     "call:add|args:{\"a\":\"\\n\\tA\xC3\xA9\xF0\x9F\x98\x80\\\\d\\\\\"}|end|"},
    {KRS_REPLY_LFM2, "<|tool_call_start|>[add(a='\\ud83d')]",
     "call:add|args:{\"a\":\"\xEF\xBF\xBD\"}|end|"},
    {KRS_REPLY_LFM2, "<|tool_call_start|>[add(a='\\x4g')]",
     "call:add|args:{\"a\":\"|end!|content:g')]"},
    /* A word that is no literal is a string; one that goes on is not a call any more. */
    {KRS_REPLY_LFM2, "<|tool_call_start|>[add(a=north west, b=1e3)]",
     "call:add|args:{\"a\":\"north west\",\"b\":1e3}|end|"},
    {KRS_REPLY_LFM2, "<|tool_call_start|>[add(a=f(1))]",
     "call:add|args:{\"a\":\"f\"|end!|content:(1))]"},
    {KRS_REPLY_LFM2, "<|tool_call_start|>[add(a=1], b)",
     "call:add|args:{\"a\":1|end!|content:], b)"},
    {KRS_REPLY_LFM2, "<|tool_call_start|>[add(a=\"x", "call:add|args:{\"a\":\"x|end!|"},
    {KRS_REPLY_LFM2, "<|tool_call_start|>[now(), late()]", "call:now|args:{}|end|content:late()]"},
    {KRS_REPLY_LFM2, "<|tool_call_start|>oops", "content:<|tool_call_start|>oops"},
    {KRS_REPLY_PYTHONIC, "[now(), add(a=1)]", "call:now|args:{}|end|call:add|args:{\"a\":1}|end|"},
    {KRS_REPLY_PYTHONIC, "[1, 2]", "content:[1, 2]"},
    {KRS_REPLY_PYTHONIC, "As [now()] says", "content:As [now()] says"},
    {KRS_REPLY_TOOL_CODE, "Let me see.\n```tool_code\nprint(weather(city=\"K\"))\nnow()\n```\nSo.",
     "content:Let me see.|call:weather|args:{\"city\":\"K\"}|end|call:now|args:{}|end|content:So."},
    {KRS_REPLY_TOOL_CODE, "```tool_code\nnow()\n```", "call:now|args:{}|end|"},
    {KRS_REPLY_TOOL_CODE, "```python\nnow()\n```", "content:```python\nnow()\n```"},
};

#define N_CASES (sizeof(cases) / sizeof(cases[0]))

static void check_cut(const python_case *c, const krs_test_reply_tools *t, const size_t *cuts,
                      size_t n_cuts)
{
    krs_reply_options options = KRS_REPLY_OPTIONS_INIT;
    krs_test_record record;
    options.style.format = c->format;
    options.tools = t->list;
    options.n_tools = 3;
    assert_int_equal(krs_test_record_cut(&options, krs_str_of(c->text), cuts, n_cuts, &record),
                     KRS_OK);
    const krs_str line = krs_test_record_line(&record);
    if (!krs_str_equal(line, krs_str_of(c->line))) {
        print_error("%s, %zu cuts, first %zu:\n  %.*s\nwant\n  %s\n", c->text, n_cuts,
                    n_cuts ? cuts[0] : 0, KRS_STR_ARGS(line), c->line);
        fail();
    }
    krs_buf_deinit(&record.line);
}

static void calls_in_python_are_read(void **state)
{
    (void)state;
    krs_test_reply_tools t;
    krs_test_reply_tools_init(&t);
    for (size_t i = 0; i < N_CASES; i++) {
        check_cut(&cases[i], &t, NULL, 0);
    }
    json_decref(t.weather);
}

static void every_cut_in_two_and_single_bytes_change_nothing(void **state)
{
    (void)state;
    krs_test_reply_tools t;
    krs_test_reply_tools_init(&t);
    for (size_t i = 0; i < N_CASES; i++) {
        size_t all[256];
        const size_t n = strlen(cases[i].text);
        assert_true(n < 256);
        for (size_t at = 0; at <= n; at++) {
            check_cut(&cases[i], &t, &at, 1);
            all[at] = at;
        }
        check_cut(&cases[i], &t, all, n);
    }
    json_decref(t.weather);
}

static void nesting_has_a_bound(void **state)
{
    (void)state;
    krs_test_reply_tools t;
    krs_test_reply_tools_init(&t);
    krs_reply_options options = KRS_REPLY_OPTIONS_INIT;
    options.style.format = KRS_REPLY_PYTHONIC;
    options.tools = t.list;
    options.n_tools = 3;
    char text[2 * KRS_REPLY_MAX_DEPTH];
    (void)memset(text, '[', sizeof(text));
    (void)memcpy(text, "[add(a=", 7);
    krs_test_record record;
    assert_int_equal(krs_test_record_cut(&options, (krs_str){text, sizeof(text)}, NULL, 0, &record),
                     KRS_OK);
    assert_int_not_equal(krs_str_find(krs_test_record_line(&record), KRS_STR("|end!|content:["), 0),
                         SIZE_MAX);
    krs_buf_deinit(&record.line);
    json_decref(t.weather);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_in_python_are_read),
        cmocka_unit_test(every_cut_in_two_and_single_bytes_change_nothing),
        cmocka_unit_test(nesting_has_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
