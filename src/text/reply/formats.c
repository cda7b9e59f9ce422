/* text/reply/formats.c - the formats of calls, as data: see reply.h and docs/tool-calls.md.
 *
 * A rule is a tag and the steps behind it. Closing tags are MAYBE: the call is whole without them, models
 * leave them out, and some of them are end tokens whose text never comes. Sections of several calls need
 * no memory: each call within is found by its own tag, and the section's end by the last call before it.
 *
 * Source: the chat templates of the models' own repositories; harmony: the format's published guide. */
#include "text/reply/priv.h"

#include "base/check.h"

static const krs_reply_step leave_steps[] = {{KRS_REPLY_OP_LEAVE, 0, NULL}};

static const krs_reply_step hermes_steps[] = {
    {KRS_REPLY_OP_OBJECT, 0, NULL},
    {KRS_REPLY_OP_MAYBE, 2, "</tool_call>"},
    {KRS_REPLY_OP_LEAVE, 0, NULL},
};

static const krs_reply_step qwen3_coder_steps[] = {
    {KRS_REPLY_OP_WORD, 0, "<function="},
    {KRS_REPLY_OP_NAME, 0, NULL},
    {KRS_REPLY_OP_WORD, 0, ">"},
    {KRS_REPLY_OP_FIELDS, 0, NULL},
    {KRS_REPLY_OP_MAYBE, 5, "</tool_call>"},
    {KRS_REPLY_OP_LEAVE, 0, NULL},
};
static const krs_reply_fields qwen3_coder_fields = {
    "<parameter=",    ">",           NULL,           "</parameter>",
    "\n</parameter>", "</function>", "</tool_call>", true};

static const krs_reply_step glm_steps[] = {
    {KRS_REPLY_OP_NAME, 0, NULL},
    {KRS_REPLY_OP_FIELDS, 0, NULL},
    {KRS_REPLY_OP_LEAVE, 0, NULL},
};
static const krs_reply_fields glm_fields = {"<arg_key>",    "</arg_key>",   "<arg_value>",
                                            "</arg_value>", "</arg_value>", "</tool_call>",
                                            "</tool_call>", false};

static const krs_reply_step llama3_steps[] = {
    {KRS_REPLY_OP_OBJECT, 0, NULL},
    {KRS_REPLY_OP_MAYBE, 2, ";"},
    {KRS_REPLY_OP_LEAVE, 0, NULL},
};

/* Its own tools were called in Python: brave_search.call(query="..."). */
static const krs_reply_step llama3_tag_steps[] = {
    {KRS_REPLY_OP_LOOK, 4, "{"},   {KRS_REPLY_OP_OBJECT, 0, NULL}, {KRS_REPLY_OP_MAYBE, 3, ";"},
    {KRS_REPLY_OP_LEAVE, 0, NULL}, {KRS_REPLY_OP_NAME, 0, NULL},   {KRS_REPLY_OP_PYTHON, 0, NULL},
    {KRS_REPLY_OP_LEAVE, 0, NULL},
};

/* A list of calls. */
static const krs_reply_step pythonic_steps[] = {
    {KRS_REPLY_OP_WORD, 0, "["},
    {KRS_REPLY_OP_NAME, 0, NULL},
    {KRS_REPLY_OP_PYTHON, 0, NULL},
    {KRS_REPLY_OP_MAYBE, 5, ","},
    {KRS_REPLY_OP_GOTO, 1, NULL},
    {KRS_REPLY_OP_MAYBE, 6, "]"},
    {KRS_REPLY_OP_MAYBE, 7, "<|tool_call_end|>"},
    {KRS_REPLY_OP_LEAVE, 0, NULL},
};

/* A block of code, one call a line, perhaps inside of print(). */
static const krs_reply_step tool_code_steps[] = {
    {KRS_REPLY_OP_MAYBE, 1, "print("}, {KRS_REPLY_OP_NAME, 0, NULL}, {KRS_REPLY_OP_PYTHON, 0, NULL},
    {KRS_REPLY_OP_MAYBE, 4, ")"},      {KRS_REPLY_OP_LOOK, 0, "`"},  {KRS_REPLY_OP_MAYBE, 6, "```"},
    {KRS_REPLY_OP_LEAVE, 0, NULL},
};

static const krs_reply_step mistral_steps[] = {
    {KRS_REPLY_OP_MAYBE, 6, "["}, {KRS_REPLY_OP_OBJECT, 0, NULL},
    {KRS_REPLY_OP_MAYBE, 4, ","}, {KRS_REPLY_OP_GOTO, 1, NULL},
    {KRS_REPLY_OP_MAYBE, 5, "]"}, {KRS_REPLY_OP_LEAVE, 0, NULL},
    {KRS_REPLY_OP_NAME, 0, NULL}, {KRS_REPLY_OP_MAYBE, 9, "[CALL_ID]"},
    {KRS_REPLY_OP_ID, 0, NULL},   {KRS_REPLY_OP_MAYBE, 10, "[ARGS]"},
    {KRS_REPLY_OP_JSON, 0, NULL}, {KRS_REPLY_OP_LEAVE, 0, NULL},
};

static const krs_reply_step deepseek_v3_steps[] = {
    {KRS_REPLY_OP_WORD, 0, DS_CALL_BEGIN}, {KRS_REPLY_OP_NAME, 0, NULL}, /* "function" */
    {KRS_REPLY_OP_WORD, 0, DS_SEP},        {KRS_REPLY_OP_NAME, 0, NULL},
    {KRS_REPLY_OP_MAYBE, 5, "```json"},    {KRS_REPLY_OP_JSON, 0, NULL},
    {KRS_REPLY_OP_MAYBE, 7, "```"},        {KRS_REPLY_OP_MAYBE, 8, DS_CALL_END},
    {KRS_REPLY_OP_MAYBE, 9, DS_CALLS_END}, {KRS_REPLY_OP_LEAVE, 0, NULL},
};

static const krs_reply_step deepseek_v31_steps[] = {
    {KRS_REPLY_OP_WORD, 0, DS_CALL_BEGIN}, {KRS_REPLY_OP_NAME, 0, NULL},
    {KRS_REPLY_OP_WORD, 0, DS_SEP},        {KRS_REPLY_OP_JSON, 0, NULL},
    {KRS_REPLY_OP_MAYBE, 5, DS_CALL_END},  {KRS_REPLY_OP_MAYBE, 6, DS_CALLS_END},
    {KRS_REPLY_OP_LEAVE, 0, NULL},
};

/* Behind a header that names a tool. */
const krs_reply_step krs_reply_harmony_steps[] = {
    {KRS_REPLY_OP_JSON, 0, NULL},
    {KRS_REPLY_OP_MAYBE, 2, "<|call|>"},
    {KRS_REPLY_OP_MAYBE, 3, "<|end|>"},
    {KRS_REPLY_OP_LEAVE, 0, NULL},
};

static const krs_reply_step kimi_k2_steps[] = {
    {KRS_REPLY_OP_WORD, 0, "<|tool_call_begin|>"},
    {KRS_REPLY_OP_NAME, 0, ":"}, /* "functions.f:0" */
    {KRS_REPLY_OP_WORD, 0, "<|tool_call_argument_begin|>"},
    {KRS_REPLY_OP_JSON, 0, NULL},
    {KRS_REPLY_OP_MAYBE, 5, "<|tool_call_end|>"},
    {KRS_REPLY_OP_MAYBE, 6, "<|tool_calls_section_end|>"},
    {KRS_REPLY_OP_LEAVE, 0, NULL},
};

static const krs_reply_step gemma_steps[] = {
    {KRS_REPLY_OP_WORD, 0, "call:"},
    {KRS_REPLY_OP_NAME, 0, NULL},
    {KRS_REPLY_OP_BRACES, 0, "<|\"|>"},
    {KRS_REPLY_OP_MAYBE, 4, "<tool_call|>"},
    {KRS_REPLY_OP_MAYBE, 5, "<|tool_response>"},
    {KRS_REPLY_OP_LEAVE, 0, NULL},
};

static const krs_reply_step cohere_steps[] = {
    {KRS_REPLY_OP_MAYBE, 1, "["},  {KRS_REPLY_OP_OBJECT, 0, NULL},
    {KRS_REPLY_OP_MAYBE, 4, ","},  {KRS_REPLY_OP_GOTO, 1, NULL},
    {KRS_REPLY_OP_MAYBE, 5, "]"},  {KRS_REPLY_OP_MAYBE, 6, "<|END_ACTION|>"},
    {KRS_REPLY_OP_LEAVE, 0, NULL},
};

static const krs_reply_step apriel_steps[] = {
    {KRS_REPLY_OP_MAYBE, 1, "["},  {KRS_REPLY_OP_OBJECT, 0, NULL},
    {KRS_REPLY_OP_MAYBE, 4, ","},  {KRS_REPLY_OP_GOTO, 1, NULL},
    {KRS_REPLY_OP_MAYBE, 5, "]"},  {KRS_REPLY_OP_MAYBE, 6, "</tool_calls>"},
    {KRS_REPLY_OP_LEAVE, 0, NULL},
};

static const krs_reply_step granite_steps[] = {
    {KRS_REPLY_OP_MAYBE, 1, "["},  {KRS_REPLY_OP_OBJECT, 0, NULL},
    {KRS_REPLY_OP_MAYBE, 4, ","},  {KRS_REPLY_OP_GOTO, 1, NULL},
    {KRS_REPLY_OP_MAYBE, 5, "]"},  {KRS_REPLY_OP_MAYBE, 6, "<|/tool_call|>"},
    {KRS_REPLY_OP_LEAVE, 0, NULL},
};

static const krs_reply_step firefunction_steps[] = {
    {KRS_REPLY_OP_OBJECT, 0, NULL}, {KRS_REPLY_OP_MAYBE, 3, ","},  {KRS_REPLY_OP_GOTO, 0, NULL},
    {KRS_REPLY_OP_MAYBE, 4, "]"},   {KRS_REPLY_OP_LEAVE, 0, NULL},
};

static const krs_reply_form forms[KRS_REPLY_FORMAT_COUNT] = {
    [KRS_REPLY_PLAIN] = {.name = "plain"},
    [KRS_REPLY_HERMES] = {.name = "hermes",
                          .rules = {{"<tool_call>", hermes_steps, 0, false, false}},
                          .has_special = true},
    [KRS_REPLY_QWEN3_CODER] = {.name = "qwen3-coder",
                               .rules = {{"<tool_call>", qwen3_coder_steps, 0, false, false},
                                         {"<function=", qwen3_coder_steps, 1, false, false}},
                               .fields = &qwen3_coder_fields,
                               .has_special = true},
    [KRS_REPLY_GLM] = {.name = "glm",
                       .rules = {{"<tool_call>", glm_steps, 0, false, false}},
                       .fields = &glm_fields,
                       .has_special = true},
    [KRS_REPLY_LLAMA3] = {.name = "llama3",
                          .rules = {{"<|python_tag|>", llama3_tag_steps, 0, false, false},
                                    {"{", llama3_steps, 0, true, true}},
                          .has_special = true},
    [KRS_REPLY_MISTRAL] = {.name = "mistral",
                           .rules = {{"[TOOL_CALLS]", mistral_steps, 0, false, false}},
                           .has_special = true},
    [KRS_REPLY_DEEPSEEK_V3] = {.name = "deepseek-v3",
                               .rules = {{DS_CALLS_BEGIN, deepseek_v3_steps, 0, false, false},
                                         {DS_CALL_BEGIN, deepseek_v3_steps, 1, false, false}},
                               .has_special = true},
    [KRS_REPLY_DEEPSEEK_V31] = {.name = "deepseek-v3.1",
                                .rules = {{DS_CALLS_BEGIN, deepseek_v31_steps, 0, false, false},
                                          {DS_CALL_BEGIN, deepseek_v31_steps, 1, false, false}},
                                .has_special = true},
    [KRS_REPLY_HARMONY] = {.name = "harmony", .has_special = true},
    [KRS_REPLY_KIMI_K2] = {.name = "kimi-k2",
                           .rules = {{"<|tool_calls_section_begin|>", kimi_k2_steps, 0, false,
                                      false},
                                     {"<|tool_call_begin|>", kimi_k2_steps, 1, false, false}},
                           .has_special = true},
    [KRS_REPLY_GEMMA] = {.name = "gemma",
                         .rules = {{"<|tool_call>", gemma_steps, 0, false, false}},
                         .has_special = true},
    [KRS_REPLY_COHERE] = {.name = "cohere",
                          .rules = {{"<|START_ACTION|>", cohere_steps, 0, false, false},
                                    {"<|START_RESPONSE|>", leave_steps, 0, false, false},
                                    {"<|END_RESPONSE|>", leave_steps, 0, false, false}},
                          .has_special = true},
    [KRS_REPLY_APRIEL] = {.name = "apriel",
                          .rules = {{"<tool_calls>", apriel_steps, 0, false, false}}},
    [KRS_REPLY_FIREFUNCTION] = {.name = "firefunction",
                                .rules = {{"functools[", firefunction_steps, 0, false, false}}},
    [KRS_REPLY_GRANITE] = {.name = "granite",
                           .rules = {{"<|tool_call|>", granite_steps, 0, false, false}},
                           .has_special = true},
    [KRS_REPLY_LFM2] = {.name = "lfm2",
                        .rules = {{"<|tool_call_start|>", pythonic_steps, 0, false, false}},
                        .has_special = true},
    [KRS_REPLY_PYTHONIC] = {.name = "pythonic", .rules = {{"[", pythonic_steps, 0, true, true}}},
    [KRS_REPLY_TOOL_CODE] = {.name = "tool-code",
                             .rules = {{"```tool_code", tool_code_steps, 0, false, false}}},
};

static const krs_reply_marks marks[KRS_REPLY_REASONING_COUNT] = {
    [KRS_REPLY_REASONING_NONE] = {"none", "", "", false},
    [KRS_REPLY_REASONING_THINK] = {"think", "<think>", "</think>", false},
    [KRS_REPLY_REASONING_BRACKET] = {"bracket", "[THINK]", "[/THINK]", true},
    [KRS_REPLY_REASONING_COHERE] = {"cohere", "<|START_THINKING|>", "<|END_THINKING|>", true},
    [KRS_REPLY_REASONING_GEMMA] = {"gemma", "<|channel>thought\n", "<channel|>", true},
    [KRS_REPLY_REASONING_HARMONY] = {"harmony", "<|channel|>analysis<|message|>", "<|end|>", true},
};

const krs_reply_form *krs_reply_form_of(krs_reply_format format)
{
    KRS_CHECK((unsigned)format < KRS_REPLY_FORMAT_COUNT);
    return &forms[format];
}

const krs_reply_marks *krs_reply_marks_of(krs_reply_reasoning reasoning)
{
    KRS_CHECK((unsigned)reasoning < KRS_REPLY_REASONING_COUNT);
    return &marks[reasoning];
}

const char *krs_reply_format_name(krs_reply_format format)
{
    return krs_reply_form_of(format)->name;
}

const char *krs_reply_reasoning_name(krs_reply_reasoning reasoning)
{
    return krs_reply_marks_of(reasoning)->name;
}

bool krs_reply_format_find(krs_str name, krs_reply_format *out)
{
    for (uint32_t i = 0; i < KRS_REPLY_FORMAT_COUNT; i++) {
        if (krs_str_equal(name, krs_str_of(forms[i].name))) {
            *out = (krs_reply_format)i;
            return true;
        }
    }
    return false;
}

bool krs_reply_reasoning_find(krs_str name, krs_reply_reasoning *out)
{
    for (uint32_t i = 0; i < KRS_REPLY_REASONING_COUNT; i++) {
        if (krs_str_equal(name, krs_str_of(marks[i].name))) {
            *out = (krs_reply_reasoning)i;
            return true;
        }
    }
    return false;
}

bool krs_reply_style_has_special(krs_reply_style style)
{
    return krs_reply_form_of(style.format)->has_special ||
           krs_reply_marks_of(style.reasoning)->has_special;
}

void krs_reply_style_tags(krs_reply_style style, krs_str *open, krs_str *close)
{
    *open = krs_str_of(krs_reply_marks_of(style.reasoning)->open);
    *close = krs_str_of(krs_reply_marks_of(style.reasoning)->close);
}

bool krs_reply_style_is_open(krs_reply_style style, krs_str prompt)
{
    const krs_str open = krs_str_of(krs_reply_marks_of(style.reasoning)->open);
    size_t n = prompt.len;
    while (n > 0 && krs_reply_is_space(prompt.ptr[n - 1])) {
        n--;
    }
    size_t n_open = open.len;
    while (n_open > 0 && krs_reply_is_space(open.ptr[n_open - 1])) {
        n_open--;
    }
    return n_open > 0 && krs_str_ends_with((krs_str){prompt.ptr, n}, (krs_str){open.ptr, n_open});
}
