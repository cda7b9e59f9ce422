/* front/tools_choice.c - which tool must be called, if any: tool_choice of either API, and how many at once.
 *
 * Source: OpenAI API reference, tool_choice, parallel_tool_calls; Anthropic API reference, tool_choice. */
#include "front/tools.h"

#include "front/call_priv.h"

#define ALLOWED_TOOLS "tool_choice.tools" /* wherever the API puts them */

typedef struct choice_word {
    const char *word;
    krs_tool_choice choice;
} choice_word;

static const choice_word openai_words[] = {
    {"auto", KRS_TOOLS_AUTO}, {"none", KRS_TOOLS_NONE}, {"required", KRS_TOOLS_REQUIRED}};
static const choice_word allowed_words[] = {{"auto", KRS_TOOLS_AUTO},
                                            {"required", KRS_TOOLS_REQUIRED}};
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
static krs_status find_tool(const krs_tools *tools, const json_t *name, const char *field,
                            uint32_t *out, krs_error *err)
{
    if (!json_is_string(name)) {
        return krs_call_refuse(err, field, "missing, want the name of a tool");
    }
    const krs_str text = {json_string_value(name), json_string_length(name)};
    for (uint32_t i = 0; i < tools->n; i++) {
        if (krs_str_equal(tools->offered[i].name, text)) {
            *out = i;
            return KRS_OK;
        }
    }
    return krs_call_refuse(err, field, "\"%.60s\" is none of the tools", text.ptr);
}

static krs_status find_named(krs_tools *tools, const json_t *name, const char *field,
                             krs_error *err)
{
    const krs_status status = find_tool(tools, name, field, &tools->named, err);
    if (status == KRS_OK) {
        tools->choice = KRS_TOOLS_NAMED;
    }
    return status;
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

/* {"type": "function", "function": {"name": ..}}, or as the responses API has it: {"type": "function", "name": ..} */
static const json_t *name_of(const json_t *reference)
{
    const json_t *function = json_object_get(reference, "function");
    return json_object_get(function ? function : reference, "name");
}

/* Bar all tools but those of the list. */
static krs_status allow(krs_tools *tools, const json_t *list, krs_error *err)
{
    if (!json_is_array(list) || json_array_size(list) == 0) {
        return krs_call_refuse(err, ALLOWED_TOOLS, "want an array of some of the tools");
    }
    for (uint32_t i = 0; i < tools->n; i++) {
        tools->is_barred[i] = true;
    }
    tools->n_barred = tools->n;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *reference = json_array_get(list, i);
        const char *type = json_string_value(json_object_get(reference, "type"));
        uint32_t at = 0;
        if (!type || strcmp(type, "function") != 0) {
            return krs_call_refuse(err, ALLOWED_TOOLS, "entry %zu: want the type \"function\"", i);
        }
        const krs_status status = find_tool(tools, name_of(reference), ALLOWED_TOOLS, &at, err);
        if (status != KRS_OK) {
            return status;
        }
        tools->n_barred -= tools->is_barred[at];
        tools->is_barred[at] = false;
    }
    return KRS_OK;
}

/* {"mode": "auto" | "required", "tools": [..]}: the model sees all tools and may call these. */
static krs_status read_allowed(krs_tools *tools, const json_t *choice, krs_error *err)
{
    const json_t *inner = json_object_get(choice, "allowed_tools");
    const json_t *allowed = inner ? inner : choice;
    const char *mode = json_string_value(json_object_get(allowed, "mode"));
    if (!find_word(allowed_words, sizeof(allowed_words) / sizeof(allowed_words[0]), mode,
                   &tools->choice)) {
        return krs_call_refuse(err, "tool_choice.mode", "\"%.40s\", want \"auto\" or \"required\"",
                               mode ? mode : "");
    }
    return allow(tools, json_object_get(allowed, "tools"), err);
}

static krs_status read_object(krs_tools *tools, const json_t *choice, krs_error *err)
{
    const char *type = json_string_value(json_object_get(choice, "type"));
    if (type && strcmp(type, "allowed_tools") == 0) {
        return read_allowed(tools, choice, err);
    }
    if (!type || strcmp(type, "function") != 0) {
        return krs_call_refuse(err, "tool_choice.type",
                               "\"%.40s\", want \"function\" or \"allowed_tools\"",
                               type ? type : "");
    }
    const bool is_wrapped = json_object_get(choice, "function") != NULL;
    return find_named(tools, name_of(choice),
                      is_wrapped ? "tool_choice.function.name" : "tool_choice.name", err);
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
