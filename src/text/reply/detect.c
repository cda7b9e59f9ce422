/* text/reply/detect.c - which style a model's chat template is of, by words in its source.
 *
 * The tags of calls are in the source because the template writes earlier calls with them. Rows are tried
 * in order, the particular before the general: several formats share <tool_call>.
 *
 * Source: the public chat templates that the golden tests render. */
#include "text/reply/priv.h"

#define MAX_SIGNS 3

/* All signs are in the source, and `not` is not. */
typedef struct format_signs {
    krs_reply_format format;
    const char *signs[MAX_SIGNS];
    const char *absent;
} format_signs;

#define DS_SEP "<\xEF\xBD\x9Ctool\xE2\x96\x81sep\xEF\xBD\x9C>"

static const format_signs formats[] = {
    {KRS_REPLY_HARMONY, {"<|channel|>", "<|message|>", "commentary"}, NULL},
    {KRS_REPLY_GLM, {"<tool_call>", "<arg_key>", "<arg_value>"}, NULL},
    {KRS_REPLY_QWEN3_CODER, {"<tool_call>", "<function=", "<parameter="}, NULL},
    {KRS_REPLY_DEEPSEEK_V3, {DS_SEP, "```json", NULL}, NULL},
    {KRS_REPLY_DEEPSEEK_V31, {DS_SEP, NULL, NULL}, NULL},
    {KRS_REPLY_KIMI_K2, {"<|tool_calls_section_begin|>", "<|tool_call_begin|>", NULL}, NULL},
    {KRS_REPLY_GEMMA, {"<|tool_call>call:", NULL, NULL}, NULL},
    {KRS_REPLY_COHERE, {"<|START_ACTION|>", "\"tool_name\"", NULL}, NULL},
    {KRS_REPLY_MISTRAL, {"[TOOL_CALLS]", NULL, NULL}, NULL},
    {KRS_REPLY_APRIEL, {"<tool_calls>[", NULL, NULL}, NULL},
    {KRS_REPLY_FIREFUNCTION, {"functools[", NULL, NULL}, NULL},
    {KRS_REPLY_HERMES, {"<tool_call>", NULL, NULL}, NULL},
    {KRS_REPLY_GRANITE, {"<|tool_call|>", NULL, NULL}, NULL},
    {KRS_REPLY_LFM2, {"List of tools: [", "<|im_start|>", NULL}, "<tool_call>"},
    {KRS_REPLY_LLAMA3, {"<|start_header_id|>", "\"parameters\": ", NULL}, "<tool_call>"},
};

typedef struct reasoning_signs {
    krs_reply_reasoning reasoning;
    const char *sign;
} reasoning_signs;

static const reasoning_signs reasonings[] = {
    {KRS_REPLY_REASONING_HARMONY, "<|channel|>analysis"},
    {KRS_REPLY_REASONING_GEMMA, "<|channel>thought"},
    {KRS_REPLY_REASONING_COHERE, "<|START_THINKING|>"},
    {KRS_REPLY_REASONING_BRACKET, "[THINK]"},
    {KRS_REPLY_REASONING_THINK, "</think>"},
    {KRS_REPLY_REASONING_THINK, "<think>"},
};

static bool has(krs_str source, const char *sign)
{
    return krs_str_find(source, krs_str_of(sign), 0) != SIZE_MAX;
}

static bool is_format(krs_str source, const format_signs *row)
{
    for (uint32_t i = 0; i < MAX_SIGNS && row->signs[i]; i++) {
        if (!has(source, row->signs[i])) {
            return false;
        }
    }
    return !row->absent || !has(source, row->absent);
}

krs_reply_style krs_reply_style_detect(krs_str source)
{
    krs_reply_style style = {KRS_REPLY_PLAIN, KRS_REPLY_REASONING_NONE};
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        if (is_format(source, &formats[i])) {
            style.format = formats[i].format;
            break;
        }
    }
    for (size_t i = 0; i < sizeof(reasonings) / sizeof(reasonings[0]); i++) {
        if (has(source, reasonings[i].sign)) {
            style.reasoning = reasonings[i].reasoning;
            break;
        }
    }
    return style;
}
