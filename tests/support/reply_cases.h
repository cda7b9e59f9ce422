/* tests/support/reply_cases.h - replies of every format, whole and malformed, and what they are.
 *
 * Lines are as reply_record.h writes them; the tools offered are those of krs_test_reply_tools_init. */
#pragma once

#include "support/reply_record.h"

#define BAR          "\xEF\xBD\x9C"
#define LOW          "\xE2\x96\x81"
#define DS_CALLS     "<" BAR "tool" LOW "calls" LOW "begin" BAR ">"
#define DS_CALLS_END "<" BAR "tool" LOW "calls" LOW "end" BAR ">"
#define DS_CALL      "<" BAR "tool" LOW "call" LOW "begin" BAR ">"
#define DS_CALL_END  "<" BAR "tool" LOW "call" LOW "end" BAR ">"
#define DS_SEP       "<" BAR "tool" LOW "sep" BAR ">"

#define ADD  "call:add|args:{\"a\": 1, \"b\": 2}|end|"
#define CITY "call:weather|args:{\"city\": \"K\xC3\xB6ln\"}|end|"

typedef struct krs_test_reply_case {
    const char *name;
    krs_reply_style style;
    bool is_open; /* reasoning, by the prompt */
    const char *text;
    const char *line;
} krs_test_reply_case;

#define PLAIN                                                                                      \
    {                                                                                              \
        KRS_REPLY_PLAIN, KRS_REPLY_REASONING_NONE                                                  \
    }
#define HERMES                                                                                     \
    {                                                                                              \
        KRS_REPLY_HERMES, KRS_REPLY_REASONING_THINK                                                \
    }
#define CODER                                                                                      \
    {                                                                                              \
        KRS_REPLY_QWEN3_CODER, KRS_REPLY_REASONING_NONE                                            \
    }
#define GLM                                                                                        \
    {                                                                                              \
        KRS_REPLY_GLM, KRS_REPLY_REASONING_THINK                                                   \
    }
#define LLAMA                                                                                      \
    {                                                                                              \
        KRS_REPLY_LLAMA3, KRS_REPLY_REASONING_NONE                                                 \
    }
#define MISTRAL                                                                                    \
    {                                                                                              \
        KRS_REPLY_MISTRAL, KRS_REPLY_REASONING_BRACKET                                             \
    }
#define DS3                                                                                        \
    {                                                                                              \
        KRS_REPLY_DEEPSEEK_V3, KRS_REPLY_REASONING_THINK                                           \
    }
#define DS31                                                                                       \
    {                                                                                              \
        KRS_REPLY_DEEPSEEK_V31, KRS_REPLY_REASONING_THINK                                          \
    }
#define HARMONY                                                                                    \
    {                                                                                              \
        KRS_REPLY_HARMONY, KRS_REPLY_REASONING_HARMONY                                             \
    }
#define KIMI                                                                                       \
    {                                                                                              \
        KRS_REPLY_KIMI_K2, KRS_REPLY_REASONING_THINK                                               \
    }
#define GEMMA                                                                                      \
    {                                                                                              \
        KRS_REPLY_GEMMA, KRS_REPLY_REASONING_GEMMA                                                 \
    }
#define COHERE                                                                                     \
    {                                                                                              \
        KRS_REPLY_COHERE, KRS_REPLY_REASONING_COHERE                                               \
    }
#define APRIEL                                                                                     \
    {                                                                                              \
        KRS_REPLY_APRIEL, KRS_REPLY_REASONING_NONE                                                 \
    }
#define FIRE                                                                                       \
    {                                                                                              \
        KRS_REPLY_FIREFUNCTION, KRS_REPLY_REASONING_NONE                                           \
    }
#define GRANITE                                                                                    \
    {                                                                                              \
        KRS_REPLY_GRANITE, KRS_REPLY_REASONING_NONE                                                \
    }

static const krs_test_reply_case krs_test_reply_cases[] = {
    {"plain is content", PLAIN, false, " <tool_call>{}</tool_call> \n",
     "content: <tool_call>{}</tool_call> \n"},
    {"plain without text", PLAIN, false, "", ""},

    {"hermes, one call", HERMES, false,
     "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 1, \"b\": 2}}\n</tool_call>", ADD},
    {"hermes, words before, two calls, thought", HERMES, false,
     "<think>\nhm, a < b\n</think>\n\nLet me see. \n"
     "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 1, \"b\": 2}}\n</tool_call>\n"
     "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": "
     "\"K\xC3\xB6ln\"}}\n</tool_call>",
     "thought:hm, a < b|content:Let me see.|" ADD CITY},
    {"hermes, begins inside reasoning", HERMES, true, "\nso\n</think>\n\nHi\n",
     "thought:so|content:Hi\n"},
    {"hermes, reasoning that never ends", HERMES, false, "<think>so\n\n", "thought:so\n\n"},
    {"hermes, a tag in the text is text", HERMES, false, "Say <think> or </think>.",
     "content:Say <think> or </think>."},
    {"hermes, no closing tag", HERMES, false,
     "<tool_call>{\"name\":\"add\",\"arguments\":{\"a\": 1, \"b\": 2}}", ADD},
    {"hermes, no closing bracket", HERMES, false,
     "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 1, \"b\": 2}\n</tool_call>\n so",
     ADD "content:so"},
    {"hermes, words behind", HERMES, false,
     "<tool_call>{\"name\":\"add\",\"arguments\":{\"a\": 1, \"b\": 2}}</tool_call>\n done",
     ADD "content:done"},
    {"hermes, arguments first", HERMES, false,
     "<tool_call>{\"arguments\":{\"a\": 1, \"b\": 2}, \"id\": 7, \"name\":\"add\"}</tool_call>",
     ADD},
    {"hermes, arguments as a string", HERMES, false,
     "<tool_call>{\"name\":\"add\",\"arguments\":\"{\\\"a\\\": 1, \\\"b\\\": 2}\"}</tool_call>",
     ADD},
    {"hermes, no arguments", HERMES, false,
     "<tool_call>{\"name\": \"now\"}</tool_call><tool_call>{\"name\": \"now\", \"arguments\": null}"
     "</tool_call>",
     "call:now|args:{}|end|call:now|args:{}|end|"},
    {"hermes, brackets in strings", HERMES, false,
     "<tool_call>{\"name\":\"weather\",\"arguments\":{\"city\":\"}]\\\"{</tool_call>\"}}</"
     "tool_call>",
     "call:weather|args:{\"city\":\"}]\\\"{</tool_call>\"}|end|"},
    {"hermes, unknown tool", HERMES, false,
     "<tool_call>{\"name\": \"rm\", \"arguments\": {}}</tool_call>",
     "content:<tool_call>{\"name\": \"rm\", \"arguments\": {}}</tool_call>"},
    {"hermes, no JSON", HERMES, false, "Use <tool_call> tags, so: <tool_call>add</tool_call>",
     "content:Use <tool_call> tags, so: <tool_call>add</tool_call>"},
    {"hermes, a call behind a tag that was none", HERMES, false,
     "<tool_call> <tool_call>{\"name\":\"add\",\"arguments\":{\"a\": 1, \"b\": 2}}</tool_call>",
     "content:<tool_call>|" ADD},
    {"hermes, strange member", HERMES, false, "<tool_call>{\"nome\": \"add\"}</tool_call>",
     "content:<tool_call>{\"nome\": \"add\"}</tool_call>"},
    {"hermes, breaks off in its head", HERMES, false, "x\n<tool_call>\n{\"name\": \"ad",
     "content:x\n<tool_call>\n{\"name\": \"ad"},
    {"hermes, breaks off in its arguments", HERMES, false,
     "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": [1",
     "call:add|args:{\"a\": [1|end!|"},
    {"hermes, breaks off behind its arguments", HERMES, false,
     "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 1, \"b\": 2}}\n</tool_", ADD},
    {"hermes, half a tag at the end", HERMES, false, "a <tool_c", "content:a <tool_c"},
    {"hermes, something behind the arguments", HERMES, false,
     "<tool_call>{\"name\":\"add\",\"arguments\":{\"a\": 1, \"b\": 2}, \"id\": [1], \"x\": 2 ; }",
     ADD "content:, \"id\": [1], \"x\": 2 ; }"},

    {"qwen3-coder", CODER, false,
     "I look.\n<tool_call>\n<function=weather>\n<parameter=city>\nK\xC3\xB6ln\n</parameter>\n"
     "<parameter=days>\n3\n</parameter>\n<parameter=sure>\nTrue\n</parameter>\n</function>\n"
     "</tool_call>\n",
     "content:I look.|call:weather|args:{\"city\": \"K\xC3\xB6ln\", \"days\": 3, \"sure\": "
     "true}|end|"},
    {"qwen3-coder, lines, quotes, tags in a string", CODER, false,
     "<function=weather><parameter=city>a\n\"b\"\\\n</par</parameter></function>",
     "call:weather|args:{\"city\": \"a\\n\\\"b\\\"\\\\\\n</par\"}|end|"},
    {"qwen3-coder, values of other types", CODER, false,
     "<tool_call><function=weather><parameter=days>soon</parameter><parameter=extra>{\"x\": [1]}"
     "</parameter><parameter=unknown>5</parameter></tool_call>",
     "call:weather|args:{\"days\": \"soon\", \"extra\": {\"x\": [1]}, \"unknown\": 5}|end|"},
    {"qwen3-coder, no parameters", CODER, false,
     "<tool_call>\n<function=now>\n</function>\n</tool_call>", "call:now|args:{}|end|"},
    {"qwen3-coder, words between parameters", CODER, false,
     "<function=weather><parameter=days>3</parameter> and </function>",
     "call:weather|args:{\"days\": 3|end!|content:and </function>"},
    {"qwen3-coder, unknown tool", CODER, false, "<tool_call>\n<function=rm>\n</function>",
     "content:<tool_call>\n<function=rm>\n</function>"},
    {"qwen3-coder, breaks off in a value", CODER, false,
     "<function=weather><parameter=city>\nK\xC3\xB6ln\n</param",
     "call:weather|args:{\"city\": \"K\xC3\xB6ln|end!|content:\n</param"},

    {"glm", GLM, false,
     "\n<think>hm</think>\nYes.\n<tool_call>weather\n<arg_key>city</"
     "arg_key>\n<arg_value>K\xC3\xB6ln"
     "</arg_value>\n<arg_key>days</arg_key>\n<arg_value>3</arg_value>\n</tool_call>\n"
     "<tool_call>now</tool_call>",
     "thought:hm|content:Yes.|call:weather|args:{\"city\": \"K\xC3\xB6ln\", \"days\": 3}|end|"
     "call:now|args:{}|end|"},
    {"glm, a number that is a string", GLM, false,
     "<tool_call>weather<arg_key>city</arg_key><arg_value>50667</arg_value></tool_call>",
     "call:weather|args:{\"city\": \"50667\"}|end|"},
    {"glm, a value without its tag", GLM, false,
     "<tool_call>weather<arg_key>city</arg_key>x</tool_call>",
     "call:weather|args:{\"city\": |end!|content:x</tool_call>"},

    {"llama3", LLAMA, false, "{\"name\": \"add\", \"parameters\": {\"a\": 1, \"b\": 2}}", ADD},
    {"llama3, python tag, two calls", LLAMA, false,
     "<|python_tag|>{\"name\": \"add\", \"parameters\": {\"a\": 1, \"b\": 2}}; "
     "{\"type\": \"function\", \"name\": \"weather\", \"parameters\": {\"city\": \"K\xC3\xB6ln\"}}",
     ADD CITY},
    {"llama3, JSON that is no call", LLAMA, false, "{\"answer\": {\"name\": \"add\"}}\n",
     "content:{\"answer\": {\"name\": \"add\"}}\n"},
    {"llama3, JSON inside text", LLAMA, false, "So: {\"name\": \"now\"}",
     "content:So: {\"name\": \"now\"}"},
    {"llama3, python code", LLAMA, false, "<|python_tag|>print(1)",
     "content:<|python_tag|>print(1)"},

    {"mistral, list", MISTRAL, false,
     "[TOOL_CALLS] [{\"name\": \"add\", \"arguments\": {\"a\": 1, \"b\": 2}, \"id\": \"x\"}, "
     "{\"name\": \"weather\", \"arguments\": {\"city\": \"K\xC3\xB6ln\"}}]",
     ADD CITY},
    {"mistral, names, reasoning", MISTRAL, false,
     "[THINK]a [b][/THINK]Text [x][TOOL_CALLS]add[ARGS]{\"a\": 1, \"b\": 2}[TOOL_CALLS]weather"
     "[CALL_ID]123456789[ARGS]{\"city\": \"K\xC3\xB6ln\"}",
     "thought:a [b]|content:Text [x]|" ADD
     "call:weather#123456789|args:{\"city\": \"K\xC3\xB6ln\"}|end|"},
    {"mistral, a list that breaks off", MISTRAL, false,
     "[TOOL_CALLS][{\"name\": \"add\", \"arguments\": {\"a\": 1, \"b\": 2}}, ", ADD},
    {"mistral, unknown tool", MISTRAL, false, "[TOOL_CALLS]rm[ARGS]{}",
     "content:[TOOL_CALLS]rm[ARGS]{}"},

    {"deepseek-v3", DS3, true,
     "hm\n</think>\n\nOk." DS_CALLS DS_CALL "function" DS_SEP
     "add\n```json\n{\"a\": 1, \"b\": 2}\n```" DS_CALL_END "\n" DS_CALL "function" DS_SEP
     "weather\n```json\n{\"city\": \"K\xC3\xB6ln\"}\n```" DS_CALL_END DS_CALLS_END,
     "thought:hm|content:Ok.|" ADD CITY},
    {"deepseek-v3, tags without a call", DS3, false, DS_CALLS "x" DS_CALLS_END,
     "content:" DS_CALLS "x" DS_CALLS_END},
    {"deepseek-v3.1", DS31, false,
     DS_CALLS DS_CALL "add" DS_SEP "{\"a\": 1, \"b\": 2}" DS_CALL_END DS_CALL "weather" DS_SEP
                      "{\"city\": \"K\xC3\xB6ln\"}" DS_CALL_END DS_CALLS_END "\nDone",
     ADD CITY "content:Done"},

    {"harmony, reasoning and answer", HARMONY, false,
     "<|channel|>analysis<|message|>a < b<|end|><|start|>assistant<|channel|>final<|message|>Hi\n",
     "thought:a < b|content:Hi\n"},
    {"harmony, a call", HARMONY, false,
     "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>commentary<|message|>I "
     "look."
     "<|end|><|start|>assistant<|channel|>commentary to=functions.add <|constrain|>json<|message|>"
     "{\"a\": 1, \"b\": 2}<|call|>",
     "thought:hm|content:I look.|" ADD},
    {"harmony, the name first, no end", HARMONY, false,
     " to=functions.weather<|channel|>commentary json<|message|>{\"city\": \"K\xC3\xB6ln\"}", CITY},
    {"harmony, unknown tool", HARMONY, false,
     "<|channel|>commentary to=functions.rm<|message|>{}<|call|>",
     "content:<|channel|>commentary to=functions.rm<|message|>{}"},
    {"harmony, two messages of a kind", HARMONY, false,
     "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>analysis<|message|>b<|end|"
     ">"
     "<|start|>assistant<|channel|>final<|message|>c<|return|>",
     "thought:a\nb|content:c"},
    {"harmony, no channels at all", HARMONY, false, "to be <|channel|> or not", "content:to be "},
    {"harmony, text", HARMONY, false, "assist me, assistant", "content:assist me, assistant"},
    {"harmony, a header that breaks off", HARMONY, false, "<|channel|>ana", ""},

    {"kimi-k2", KIMI, false,
     "<think>hm</think>Ok<|tool_calls_section_begin|><|tool_call_begin|>functions.add:0"
     "<|tool_call_argument_begin|>{\"a\": 1, \"b\": 2}<|tool_call_end|><|tool_call_begin|>"
     "functions.weather:1 <|tool_call_argument_begin|> {\"city\": \"K\xC3\xB6ln\"}<|tool_call_end|>"
     "<|tool_calls_section_end|>",
     "thought:hm|content:Ok|call:add#functions.add:0|args:{\"a\": 1, \"b\": 2}|end|"
     "call:weather#functions.weather:1|args:{\"city\": \"K\xC3\xB6ln\"}|end|"},

    {"gemma", GEMMA, false,
     "<|channel>thought\nhm\n<channel|>Ok<|tool_call>call:weather{city:<|\"|>K\xC3\xB6ln "
     "\"x\"\n<|\"|>,"
     "days:3,sure:true,at:[1, <|\"|>b<|\"|>,{}],extra:{x:null , y : bare word}}<tool_call|>",
     "thought:hm|content:Ok|call:weather|args:{\"city\":\"K\xC3\xB6ln \\\"x\\\"\\n\",\"days\":3,"
     "\"sure\":true,\"at\":[1,\"b\",{}],\"extra\":{\"x\":null,\"y\":\"bare word\"}}|end|"},
    {"gemma, no arguments, JSON's quotes", GEMMA, false,
     "<|tool_call>call:now{}<tool_call|><|tool_call>call:weather{\"city\":\"a\\\"b\"}<tool_call|>"
     "<|tool_response>",
     "call:now|args:{}|end|call:weather|args:{\"city\":\"a\\\"b\"}|end|"},
    {"gemma, wrong bracket", GEMMA, false, "<|tool_call>call:weather{at:[1}<tool_call|>",
     "call:weather|args:{\"at\":[1|end!|content:}<tool_call|>"},
    {"gemma, no call", GEMMA, false, "<|tool_call>call me", "content:<|tool_call>call me"},

    {"cohere", COHERE, false,
     "<|START_THINKING|>hm<|END_THINKING|><|START_ACTION|>[\n    {\"tool_call_id\": \"0\", "
     "\"tool_name\": \"add\", \"parameters\": {\"a\": 1, \"b\": 2}},\n {\"tool_call_id\": \"1\", "
     "\"tool_name\": \"weather\", \"parameters\": {\"city\": \"K\xC3\xB6ln\"}}\n]<|END_ACTION|>",
     "thought:hm|" ADD CITY},
    {"cohere, marked answer", COHERE, false, "<|START_RESPONSE|>Hi<|END_RESPONSE|>", "content:Hi"},
    {"apriel", APRIEL, false,
     "Ok\n<tool_calls>[{\"name\": \"add\", \"arguments\": {\"a\": 1, \"b\": 2}, \"id\": \"q\"}]"
     "</tool_calls>",
     "content:Ok|" ADD},
    {"firefunction", FIRE, false,
     " functools[{\"name\": \"add\", \"arguments\": {\"a\": 1, \"b\": 2}}, {\"name\": \"weather\", "
     "\"arguments\": {\"city\": \"K\xC3\xB6ln\"}}]",
     ADD CITY},
    {"granite", GRANITE, false,
     "<|tool_call|>[{\"name\": \"add\", \"arguments\": {\"a\": 1, \"b\": 2}}]<|/tool_call|>", ADD},
};

#define KRS_TEST_N_REPLIES (sizeof(krs_test_reply_cases) / sizeof(krs_test_reply_cases[0]))

typedef struct krs_test_reply_tools {
    json_t *weather;
    krs_reply_tool list[3];
} krs_test_reply_tools;

static inline void krs_test_reply_tools_init(krs_test_reply_tools *t)
{
    static const char schema[] =
        "{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"},"
        "\"days\":{\"type\":\"integer\"},\"sure\":{\"type\":\"boolean\"},"
        "\"extra\":{\"anyOf\":[{\"type\":\"object\"},{\"type\":\"null\"}]}}}";
    t->weather = json_loads(schema, 0, NULL);
    KRS_CHECK(t->weather);
    t->list[0] = (krs_reply_tool){KRS_STR("add"), NULL};
    t->list[1] = (krs_reply_tool){KRS_STR("weather"), t->weather};
    t->list[2] = (krs_reply_tool){KRS_STR("now"), NULL};
}
