/* front/openai_messages.c - a chat body to the variables of a chat template.
 *
 * Templates are written for transformers' conventions, which differ from the API's in three places,
 * settled here: an array of text parts becomes one string (joined by newlines), the arguments of a
 * tool call become an object instead of JSON inside a string, and the role "developer" becomes "system".
 * Everything else of a message passes through untouched. */
#include "front/openai_priv.h"

#include "front/chat_builder.h"

#include <stdio.h>

#define ROLE_MAX_BYTES    32
#define EFFORT_MAX_BYTES  32 /* "medium" */
#define FIELD_TEXT_BYTES  64 /* "messages[4095].tool_calls" */
#define ENTRY_TEXT_BYTES  24 /* "[131071]" behind it */
#define CONTENT_MAX_BYTES KRS_REQUEST_MAX_BYTES

/* Which message, and where to complain. */
typedef struct place {
    char field[FIELD_TEXT_BYTES];
    size_t *n_values; /* that arguments unfolded to so far, in all messages */
    krs_error *err;
} place;

static place place_of(size_t index, const char *member, size_t *n_values, krs_error *err)
{
    place at = {.n_values = n_values, .err = err};
    (void)snprintf(at.field, sizeof(at.field), "messages[%zu].%s", index, member);
    return at;
}

static krs_status no_memory(krs_error *err)
{
    return krs_fail(err, KRS_ENOMEM, "messages: no memory");
}

static krs_status join_part(const json_t *part, bool is_first, krs_buf *text, const place *at)
{
    const char *type = json_string_value(json_object_get(part, "type"));
    const json_t *value = json_object_get(part, "text");
    if (!type || strcmp(type, "text") != 0) {
        return krs_call_refuse(at->err, at->field,
                               "part of type \"%.40s\", want only \"text\" parts",
                               type ? type : "");
    }
    if (!json_is_string(value)) {
        return krs_call_refuse(at->err, at->field, "a text part must hold a string `text`");
    }
    krs_status status = is_first ? KRS_OK : krs_buf_append_char(text, '\n');
    if (status == KRS_OK) {
        status = krs_buf_append(text, json_string_value(value), json_string_length(value));
    }
    return status == KRS_OK ? KRS_OK : no_memory(at->err);
}

/* Replace an array of parts by its text. */
static krs_status flatten_parts(json_t *message, const json_t *parts, const place *at)
{
    krs_buf text;
    krs_buf_init(&text, NULL, CONTENT_MAX_BYTES);
    krs_status status = KRS_OK;
    for (size_t i = 0; status == KRS_OK && i < json_array_size(parts); i++) {
        status = join_part(json_array_get(parts, i), i == 0, &text, at);
    }
    if (status == KRS_OK &&
        json_object_set_new(message, "content",
                            json_stringn(text.data ? text.data : "", text.len)) != 0) {
        status = no_memory(at->err);
    }
    krs_buf_deinit(&text);
    return status;
}

/* Content: a string, or parts; null only where tool calls stand in its place. */
static krs_status fix_content(json_t *message, const place *at)
{
    const json_t *content = json_object_get(message, "content");
    if (json_is_array(content)) {
        return flatten_parts(message, content, at);
    }
    if (json_is_string(content)) {
        return KRS_OK;
    }
    const bool has_calls = json_array_size(json_object_get(message, "tool_calls")) > 0;
    if (content && !json_is_null(content)) {
        return krs_call_refuse(at->err, at->field, "want a string or an array of text parts");
    }
    return has_calls ? KRS_OK : krs_call_refuse(at->err, at->field, "missing");
}

/* "arguments": "{\"a\": 1}" becomes {"a": 1}. */
static krs_status fix_arguments(json_t *function, size_t i, const place *at)
{
    const json_t *given = json_object_get(function, "arguments");
    char field[FIELD_TEXT_BYTES + ENTRY_TEXT_BYTES];
    json_t *arguments = NULL;
    if (json_is_object(given)) {
        return KRS_OK;
    }
    (void)snprintf(field, sizeof(field), "%s[%zu]", at->field, i);
    const krs_status status =
        krs_chat_parse_arguments(given, field, at->n_values, &arguments, at->err);
    if (status != KRS_OK) {
        return status;
    }
    return json_object_set_new(function, "arguments", arguments) == 0 ? KRS_OK : no_memory(at->err);
}

static krs_status fix_tool_calls(json_t *message, const place *at)
{
    const json_t *calls = json_object_get(message, "tool_calls");
    if (!calls || json_is_null(calls)) {
        return KRS_OK;
    }
    if (!json_is_array(calls)) {
        return krs_call_refuse(at->err, at->field, "want an array");
    }
    krs_status status = KRS_OK;
    for (size_t i = 0; status == KRS_OK && i < json_array_size(calls); i++) {
        json_t *function = json_object_get(json_array_get(calls, i), "function");
        if (!json_is_string(json_object_get(function, "name"))) {
            return krs_call_refuse(at->err, at->field, "entry %zu has no function.name", i);
        }
        status = fix_arguments(function, i, at);
    }
    return status;
}

static krs_status fix_role(json_t *message, const place *at)
{
    static const char *const roles[] = {"system", "user", "assistant", "tool"};
    const char *role = json_string_value(json_object_get(message, "role"));
    if (!role) {
        return krs_call_refuse(at->err, at->field, "missing, want a string");
    }
    if (strcmp(role, "developer") == 0) {
        return json_object_set_new(message, "role", json_string("system")) == 0
                   ? KRS_OK
                   : no_memory(at->err);
    }
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
        if (strcmp(role, roles[i]) == 0) {
            return KRS_OK;
        }
    }
    return krs_call_refuse(at->err, at->field,
                           "\"%.*s\", want system, developer, user, assistant or tool",
                           ROLE_MAX_BYTES, role);
}

/* reasoning_content, and tool_call_id: texts. Harmony's template calls the first `thinking`. */
static krs_status fix_reasoning(json_t *message, size_t i, bool is_harmony, krs_error *err)
{
    static const char *const members[] = {"reasoning_content", "tool_call_id"};
    for (size_t k = 0; k < sizeof(members) / sizeof(members[0]); k++) {
        const json_t *value = json_object_get(message, members[k]);
        if (value && !json_is_null(value) && !json_is_string(value)) {
            const place at = place_of(i, members[k], NULL, err);
            return krs_call_refuse(err, at.field, "want a string");
        }
    }
    json_t *reasoning = json_object_get(message, "reasoning_content");
    if (!is_harmony || !json_is_string(reasoning) || json_object_get(message, "thinking")) {
        return KRS_OK;
    }
    return json_object_set(message, "thinking", reasoning) == 0 ? KRS_OK : no_memory(err);
}

static krs_status fix_message(json_t *message, size_t i, bool is_harmony, size_t *n_values,
                              krs_error *err)
{
    place at = place_of(i, "role", n_values, err);
    if (!json_is_object(message)) {
        return krs_call_refuse(err, "messages", "entry %zu is not an object", i);
    }
    krs_status status = fix_role(message, &at);
    if (status == KRS_OK) {
        at = place_of(i, "content", n_values, err);
        status = fix_content(message, &at);
    }
    if (status == KRS_OK) {
        at = place_of(i, "tool_calls", n_values, err);
        status = fix_tool_calls(message, &at);
    }
    if (status == KRS_OK) {
        status = fix_reasoning(message, i, is_harmony, err);
    }
    if (status == KRS_OK && json_object_get(message, "function_call")) {
        at = place_of(i, "function_call", n_values, err);
        status = krs_call_refuse(err, at.field, "not supported; use tool_calls");
    }
    return status;
}

krs_status krs_openai_fix_calls(json_t *messages, krs_error *err)
{
    size_t n_values = 0;
    krs_status status = KRS_OK;
    for (size_t i = 0; status == KRS_OK && i < json_array_size(messages); i++) {
        const place at = place_of(i, "tool_calls", &n_values, err);
        status = fix_tool_calls(json_array_get(messages, i), &at);
    }
    return status;
}

/* The body's messages, checked and fixed in a copy. */
static krs_status copy_messages(const krs_call_reader *reader, json_t *chat)
{
    const json_t *given = json_object_get(reader->body, "messages");
    const size_t n = json_array_size(given);
    if (!json_is_array(given) || n == 0) {
        return krs_call_refuse(reader->err, "messages", "want a non-empty array");
    }
    if (n > KRS_CALL_MAX_MESSAGES) {
        return krs_call_refuse(reader->err, "messages", "%zu messages, limit %d", n,
                               KRS_CALL_MAX_MESSAGES);
    }
    json_t *messages = json_deep_copy(given);
    if (!messages || json_object_set_new(chat, "messages", messages) != 0) {
        return no_memory(reader->err);
    }
    krs_status status = KRS_OK;
    size_t n_values = 0;
    for (size_t i = 0; status == KRS_OK && i < n; i++) {
        status = fix_message(json_array_get(messages, i), i,
                             reader->call->tools.style.format == KRS_REPLY_HARMONY, &n_values,
                             reader->err);
    }
    return status;
}

/* Once for a call, whose choices share them. */
static krs_status read_tools(const krs_call_reader *reader)
{
    krs_tools *tools = &reader->call->tools;
    const krs_status status =
        krs_tools_read(tools, reader->body, &krs_tools_form_chat, reader->err);
    return status == KRS_OK ? krs_tools_read_choice(tools, reader->body, reader->err) : status;
}

static krs_status copy_tools(const krs_call_reader *reader, json_t *chat)
{
    const krs_status status = read_tools(reader);
    return status == KRS_OK ? krs_tools_show(&reader->call->tools, chat, reader->err) : status;
}

/* reasoning_effort: templates of models that reason know it as a variable. */
static krs_status copy_effort(const krs_call_reader *reader, json_t *chat)
{
    krs_str effort = {NULL, 0};
    const krs_status status =
        krs_json_get_str(reader->body, "reasoning_effort", EFFORT_MAX_BYTES, &effort, reader->err);
    if (status != KRS_OK || !effort.ptr) {
        return status;
    }
    return json_object_set_new(chat, "reasoning_effort", json_stringn(effort.ptr, effort.len)) == 0
               ? KRS_OK
               : no_memory(reader->err);
}

/* Further variables of the template, as the client names them. */
static krs_status copy_kwargs(const krs_call_reader *reader, json_t *chat)
{
    json_t *kwargs = NULL;
    krs_status status =
        krs_json_get_tree(reader->body, "chat_template_kwargs", JSON_OBJECT, &kwargs, reader->err);
    for (void *it = json_object_iter(kwargs); it && status == KRS_OK;
         it = json_object_iter_next(kwargs, it)) {
        const char *key = json_object_iter_key(it);
        if (json_object_get(chat, key)) {
            return krs_call_refuse(reader->err, "chat_template_kwargs",
                                   "\"%.40s\" has a field of its own", key);
        }
        if (json_object_set_new(chat, key, json_deep_copy(json_object_iter_value(it))) != 0) {
            status = no_memory(reader->err);
        }
    }
    return status;
}

krs_status krs_openai_read_template(const krs_call_reader *reader, json_t **out)
{
    bool has_prompt = true;
    krs_status status =
        krs_json_get_bool(reader->body, "add_generation_prompt", &has_prompt, reader->err);
    json_t *chat = json_object();
    if (!chat ||
        json_object_set_new(chat, "add_generation_prompt", json_boolean(has_prompt)) != 0) {
        status = no_memory(reader->err);
    }
    if (status == KRS_OK) {
        status = copy_messages(reader, chat);
    }
    if (status == KRS_OK) {
        status = copy_tools(reader, chat);
    }
    if (status == KRS_OK) {
        status = copy_effort(reader, chat);
    }
    if (status == KRS_OK) {
        status = copy_kwargs(reader, chat);
    }
    if (status != KRS_OK) {
        json_decref(chat);
        return status;
    }
    *out = chat;
    return KRS_OK;
}
