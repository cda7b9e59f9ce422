/* front/responses_input.c - the input of a responses body, a string or items, as a chat.
 *
 * Instructions come first, as a message of the system; a system or developer message right after them is
 * joined to it, because many templates take one system message and only at the beginning. What the assistant
 * gave in several items (reasoning, a message, calls) is one message for a template. References to what a
 * server stored, and items of tools that run on servers, are refused by their type. */
#include "front/responses_priv.h"

#include "front/chat_builder.h"

#include <stdio.h>

#define FIELD_TEXT_BYTES 64 /* "input[4095].content[131071]" */

static krs_status add_part(krs_chat_builder *builder, const json_t *part, const char *field)
{
    static const char *const types[] = {"input_text", "output_text", "text"};
    const char *type = json_string_value(json_object_get(part, "type"));
    const json_t *text = json_object_get(part, "text");
    bool is_text = false;
    for (size_t i = 0; type && i < sizeof(types) / sizeof(types[0]); i++) {
        is_text = is_text || strcmp(type, types[i]) == 0;
    }
    if (!is_text) {
        return krs_call_refuse(builder->err, field,
                               "part of type \"%.40s\", want only text (input_text, output_text)",
                               type ? type : "");
    }
    if (!json_is_string(text)) {
        return krs_call_refuse(builder->err, field, "a text part must hold a string `text`");
    }
    return krs_chat_add(builder, (krs_str){json_string_value(text), json_string_length(text)});
}

/* A string, or parts of text, into the message being made. */
static krs_status add_texts(krs_chat_builder *builder, const json_t *content, const char *field)
{
    if (json_is_string(content)) {
        return krs_chat_add(builder,
                            (krs_str){json_string_value(content), json_string_length(content)});
    }
    if (!json_is_array(content) || json_array_size(content) == 0) {
        return krs_call_refuse(builder->err, field,
                               "want a string or a non-empty array of text parts");
    }
    krs_status status = KRS_OK;
    for (size_t k = 0; status == KRS_OK && k < json_array_size(content); k++) {
        char place[FIELD_TEXT_BYTES];
        (void)snprintf(place, sizeof(place), "%.40s[%zu]", field, k);
        status = add_part(builder, json_array_get(content, k), place);
    }
    return status;
}

static krs_status add_content(krs_chat_builder *builder, const json_t *content, size_t i)
{
    char field[FIELD_TEXT_BYTES];
    (void)snprintf(field, sizeof(field), "input[%zu].content", i);
    return add_texts(builder, content, field);
}

/* The template's word for a role, or NULL. */
static const char *role_of(const char *role)
{
    static const char *const roles[][2] = {{"user", "user"},
                                           {"assistant", "assistant"},
                                           {"system", "system"},
                                           {"developer", "system"}};
    for (size_t i = 0; role && i < sizeof(roles) / sizeof(roles[0]); i++) {
        if (strcmp(role, roles[i][0]) == 0) {
            return roles[i][1];
        }
    }
    return NULL;
}

static krs_str text_of(const json_t *string)
{
    return (krs_str){json_string_value(string), json_string_length(string)};
}

static krs_status add_message(krs_chat_builder *builder, const json_t *item, size_t i)
{
    char field[FIELD_TEXT_BYTES];
    const char *given = json_string_value(json_object_get(item, "role"));
    const char *role = role_of(given);
    if (!role) {
        (void)snprintf(field, sizeof(field), "input[%zu].role", i);
        return krs_call_refuse(builder->err, field,
                               "\"%.32s\", want user, assistant, system or developer",
                               given ? given : "");
    }
    /* The answer behind its reasoning; else two messages of one role stay two. */
    const bool is_joining = strcmp(role, "system") == 0 || !krs_chat_has_content(builder);
    const krs_status status = krs_chat_begin(builder, role, is_joining);
    return status == KRS_OK ? add_content(builder, json_object_get(item, "content"), i) : status;
}

/* {"type": "function_call", "call_id": .., "name": .., "arguments": "{..}"} */
static krs_status add_call(krs_chat_builder *builder, const json_t *item, size_t i)
{
    char field[FIELD_TEXT_BYTES];
    const json_t *id = json_object_get(item, "call_id");
    const json_t *name = json_object_get(item, "name");
    json_t *arguments = NULL;
    (void)snprintf(field, sizeof(field), "input[%zu]", i);
    if (!json_is_string(id) || !json_is_string(name)) {
        return krs_call_refuse(builder->err, field,
                               "a function_call must hold strings `call_id` and `name`");
    }
    (void)snprintf(field, sizeof(field), "input[%zu].arguments", i);
    krs_status status = krs_chat_parse_arguments(json_object_get(item, "arguments"), field,
                                                 &builder->n_values, &arguments, builder->err);
    if (status == KRS_OK) {
        status = krs_chat_begin(builder, "assistant", true);
    }
    if (status == KRS_OK) {
        status = krs_chat_add_call(builder, text_of(id), text_of(name), arguments);
    }
    json_decref(arguments);
    return status;
}

/* {"type": "function_call_output", "call_id": .., "output": a string or parts of text} */
static krs_status add_output(krs_chat_builder *builder, const json_t *item, size_t i)
{
    char field[FIELD_TEXT_BYTES];
    const json_t *id = json_object_get(item, "call_id");
    if (!json_is_string(id)) {
        (void)snprintf(field, sizeof(field), "input[%zu].call_id", i);
        return krs_call_refuse(builder->err, field, "missing, want a string");
    }
    (void)snprintf(field, sizeof(field), "input[%zu].output", i);
    const krs_status status = krs_chat_begin_result(builder, text_of(id));
    return status == KRS_OK ? add_texts(builder, json_object_get(item, "output"), field) : status;
}

/* {"type": "reasoning", "content": [{"type": "reasoning_text", "text": ..}], "summary": [..]}: the text
 * itself where there is one, else its summary; what is encrypted is not for us. */
static krs_status add_reasoning(krs_chat_builder *builder, const json_t *item, size_t i)
{
    char field[FIELD_TEXT_BYTES];
    const json_t *parts = json_object_get(item, "content");
    parts = json_array_size(parts) > 0 ? parts : json_object_get(item, "summary");
    krs_status status = krs_chat_begin(builder, "assistant", false);
    for (size_t k = 0; status == KRS_OK && k < json_array_size(parts); k++) {
        const json_t *text = json_object_get(json_array_get(parts, k), "text");
        if (!json_is_string(text)) {
            (void)snprintf(field, sizeof(field), "input[%zu]", i);
            return krs_call_refuse(builder->err, field, "its parts must hold a string `text`");
        }
        status = krs_chat_add_reasoning(builder, text_of(text));
    }
    return status;
}

typedef krs_status (*add_item_fn)(krs_chat_builder *builder, const json_t *item, size_t i);

static krs_status add_item(krs_chat_builder *builder, const json_t *item, size_t i)
{
    static const struct {
        const char *type;
        add_item_fn add;
    } kinds[] = {
        {"message", add_message},
        {"function_call", add_call},
        {"function_call_output", add_output},
        {"reasoning", add_reasoning},
    };
    char field[FIELD_TEXT_BYTES];
    const char *given = json_string_value(json_object_get(item, "type"));
    const char *type = given ? given : "message";
    for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
        if (strcmp(type, kinds[k].type) == 0) {
            return kinds[k].add(builder, item, i);
        }
    }
    (void)snprintf(field, sizeof(field), "input[%zu].type", i);
    return krs_call_refuse(builder->err, field,
                           "\"%.40s\" items are not supported, want message, function_call, "
                           "function_call_output or reasoning",
                           type);
}

static krs_status add_input(const krs_call_reader *reader, krs_chat_builder *builder)
{
    const json_t *input = json_object_get(reader->body, "input");
    const size_t n = json_array_size(input);
    if (json_is_string(input)) {
        const krs_status status = krs_chat_begin(builder, "user", false);
        return status == KRS_OK ? krs_chat_add(builder, (krs_str){json_string_value(input),
                                                                  json_string_length(input)})
                                : status;
    }
    if (n == 0) {
        return krs_call_refuse(reader->err, "input", "want a string or a non-empty array of items");
    }
    if (n > KRS_CALL_MAX_MESSAGES) {
        return krs_call_refuse(reader->err, "input", "%zu items, limit %d", n,
                               KRS_CALL_MAX_MESSAGES);
    }
    krs_status status = KRS_OK;
    for (size_t i = 0; status == KRS_OK && i < n; i++) {
        status = add_item(builder, json_array_get(input, i), i);
    }
    return status;
}

static krs_status add_instructions(const krs_call_reader *reader, krs_chat_builder *builder)
{
    krs_str text = {NULL, 0};
    krs_status status =
        krs_json_get_str(reader->body, "instructions", KRS_REQUEST_MAX_BYTES, &text, reader->err);
    if (status == KRS_OK && text.ptr) {
        status = krs_chat_begin(builder, "system", false);
        if (status == KRS_OK) {
            status = krs_chat_add(builder, text);
        }
    }
    return status;
}

krs_status krs_responses_read_input(const krs_call_reader *reader, krs_request *request)
{
    krs_chat_builder builder;
    krs_status status = krs_chat_init(&builder, reader->call->alloc, reader->err);
    if (status == KRS_OK) {
        status = add_instructions(reader, &builder);
    }
    if (status == KRS_OK) {
        status = add_input(reader, &builder);
    }
    if (status == KRS_OK) {
        request->prompt.kind = KRS_PROMPT_CHAT;
        status = krs_chat_finish(&builder, &request->prompt.chat);
    }
    krs_chat_deinit(&builder);
    return status;
}
