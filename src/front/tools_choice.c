/* front/tools_choice.c - which tool must be called, if any: tool_choice of either API, and how many at once.
 *
 * Source: OpenAI API reference, tool_choice, parallel_tool_calls; Anthropic API reference, tool_choice. */
#include "front/tools.h"

#include "front/call_priv.h"

typedef struct choice_word {
    const char *word;
    krs_tool_choice choice;
} choice_word;

static const choice_word openai_words[] = {
    {"auto", KRS_TOOLS_AUTO}, {"none", KRS_TOOLS_NONE}, {"required", KRS_TOOLS_REQUIRED}};
static const choice_word messages_words[] = {{"auto", KRS_TOOLS_AUTO},
                                             {"none", KRS_TOOLS_NONE},
                                             {"any", KRS_TOOLS_REQUIRED},
                                             {"tool", KRS_TOOLS_NAMED}};

static bool find_word(const choice_word *words, size_t n, const char *word, krs_tool_choice *out)
{
    for (size_t i = 0; word && i < n; i++) {
        if (strcmp(words[i].word, word) == 0) {
            *out = words[i].choice;
            return true;
        }
    }
    return false;
}

/* The tool by that name. */
static krs_status find_named(krs_tools *tools, const json_t *name, const char *field,
                             krs_error *err)
{
    if (!json_is_string(name)) {
        return krs_call_refuse(err, field, "missing, want the name of a tool");
    }
    const krs_str text = {json_string_value(name), json_string_length(name)};
    for (uint32_t i = 0; i < tools->n; i++) {
        if (krs_str_equal(tools->offered[i].name, text)) {
            tools->choice = KRS_TOOLS_NAMED;
            tools->named = i;
            return KRS_OK;
        }
    }
    return krs_call_refuse(err, field, "\"%.60s\" is none of the tools", text.ptr);
}

/* A choice of none hides them; one that needs a tool needs tools. */
static krs_status settle(krs_tools *tools, krs_error *err)
{
    if (tools->choice == KRS_TOOLS_NONE) {
        tools->n = 0;
    }
    return tools->choice == KRS_TOOLS_REQUIRED && tools->n == 0
               ? krs_call_refuse(err, "tool_choice", "a call is required, and tools has none")
               : KRS_OK;
}

static krs_status read_object(krs_tools *tools, const json_t *choice, krs_error *err)
{
    const char *type = json_string_value(json_object_get(choice, "type"));
    if (!type || strcmp(type, "function") != 0) {
        return krs_call_refuse(err, "tool_choice.type", "\"%.40s\", want \"function\"",
                               type ? type : "");
    }
    const json_t *function = json_object_get(choice, "function");
    return function ? find_named(tools, json_object_get(function, "name"),
                                 "tool_choice.function.name", err)
                    : find_named(tools, json_object_get(choice, "name"), "tool_choice.name", err);
}

krs_status krs_tools_read_choice(krs_tools *tools, const json_t *body, krs_error *err)
{
    const json_t *choice = json_object_get(body, "tool_choice");
    bool is_parallel = true;
    krs_status status = krs_json_get_bool(body, "parallel_tool_calls", &is_parallel, err);
    tools->is_single = !is_parallel;
    if (status != KRS_OK || !choice || json_is_null(choice)) {
        return status;
    }
    if (json_is_object(choice)) {
        return read_object(tools, choice, err);
    }
    if (!find_word(openai_words, sizeof(openai_words) / sizeof(openai_words[0]),
                   json_string_value(choice), &tools->choice)) {
        return krs_call_refuse(
            err, "tool_choice",
            "\"%.40s\", want \"auto\", \"none\", \"required\" or a function's name",
            json_is_string(choice) ? json_string_value(choice) : "");
    }
    return settle(tools, err);
}

krs_status krs_tools_read_messages_choice(krs_tools *tools, const json_t *body, krs_error *err)
{
    json_t *choice = NULL;
    krs_status status = krs_json_get_tree(body, "tool_choice", JSON_OBJECT, &choice, err);
    if (status != KRS_OK || !choice) {
        return status;
    }
    const char *type = json_string_value(json_object_get(choice, "type"));
    if (!find_word(messages_words, sizeof(messages_words) / sizeof(messages_words[0]), type,
                   &tools->choice)) {
        return krs_call_refuse(err, "tool_choice.type",
                               "\"%.40s\", want \"auto\", \"any\", \"tool\" or \"none\"",
                               type ? type : "");
    }
    if (krs_json_get_bool(choice, "disable_parallel_tool_use", &tools->is_single, NULL) != KRS_OK) {
        return krs_call_refuse(err, "tool_choice.disable_parallel_tool_use", "want true or false");
    }
    return tools->choice == KRS_TOOLS_NAMED
               ? find_named(tools, json_object_get(choice, "name"), "tool_choice.name", err)
               : settle(tools, err);
}
