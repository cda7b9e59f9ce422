/* unit/front/hermes_fixture.h - a model that writes calls and reasoning as Hermes does, asked through every API.
 *
 * Beside call_fixture.h, whose model writes plain text. */
#pragma once

#include "call_fixture.h"

#define USER "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"
#define CHAT_TOOLS                                                                                 \
    "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"add\",\"parameters\":{\"type\":"   \
    "\"object\"},\"strict\":false}},{\"type\":\"function\",\"function\":{\"name\":\"now\"}}]"
#define RESPONSES_TOOLS                                                                            \
    "\"tools\":[{\"type\":\"function\",\"name\":\"add\",\"parameters\":{\"type\":\"object\"},"     \
    "\"strict\":false},{\"type\":\"function\",\"name\":\"now\",\"parameters\":null}]"
#define MESSAGES_TOOLS                                                                             \
    "\"max_tokens\":9,\"tools\":[{\"name\":\"add\",\"input_schema\":{\"type\":\"object\"},"        \
    "\"cache_control\":{\"type\":\"ephemeral\"}},{\"type\":\"custom\",\"name\":\"now\","           \
    "\"input_schema\":{}}]"
#define ALLOWED(mode, tools)                                                                       \
    CHAT_TOOLS ",\"tool_choice\":{\"type\":\"allowed_tools\",\"allowed_tools\":{\"mode\":\"" mode  \
               "\",\"tools\":" tools "}}," USER
#define FORM                                                                                       \
    ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"x\",\"schema\":"   \
    "{\"type\":\"integer\"}}}"
#define THOUGHT "<think>Sum it.</think>"
#define CALL    "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 1}}\n</tool_call>"
#define ANSWER                                                                                     \
    THOUGHT "Well.\n" CALL "\n<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>"

static inline krs_model_info hermes_model(void)
{
    krs_model_info info = model_info();
    (void)snprintf(info.reply_format, sizeof(info.reply_format), "hermes");
    (void)snprintf(info.reply_reasoning, sizeof(info.reply_reasoning), "think");
    return info;
}

static inline krs_status parse_hermes(krs_call_kind kind, const char *fields, krs_call **call,
                                      krs_error *err)
{
    char body[4096];
    const krs_model_info info = hermes_model();
    const krs_call_context context = context_of(&info);
    const int n = snprintf(body, sizeof(body), "{\"model\":\"m\",%s}", fields);
    assert_true(n > 0 && (size_t)n < sizeof(body));
    return krs_call_parse(&context, kind, krs_str_of(body), call, err);
}

static inline krs_call *hermes_call(krs_call_kind kind, const char *fields)
{
    krs_call *call = NULL;
    krs_error err = KRS_ERROR_INIT;
    if (parse_hermes(kind, fields, &call, &err) != KRS_OK) {
        fail_msg("%s: %s", fields, err.message);
    }
    return call;
}

static inline talk hermes_talk(krs_call_kind kind, const char *fields)
{
    talk t;
    assert_int_equal(krs_answer_new(hermes_call(kind, fields), &t.answer), KRS_OK);
    krs_buf_init(&t.out, NULL, 1u << 20);
    return t;
}

static inline void expect_refusal(krs_call_kind kind, const char *fields, const char *param)
{
    krs_call *call = NULL;
    krs_error err = KRS_ERROR_INIT;
    const krs_status status = parse_hermes(kind, fields, &call, &err);
    if (status == KRS_OK || strcmp(err.field, param) != 0 || !strstr(err.message, param)) {
        fail_msg("%s: %s, param \"%s\" (%s), want \"%s\"", fields, krs_status_name(status),
                 err.field, err.message, param);
    }
    assert_null(call);
}

/* How many literals, tokens and schemas a guide has, all told. */
static inline void count_leaves(const krs_guide *guide, uint32_t counts[KRS_GUIDE_COUNT])
{
    counts[guide->kind]++;
    for (uint32_t i = 0; i < guide->n_parts; i++) {
        count_leaves(&guide->parts[i], counts);
    }
}
