/* front/responses_input.c - the input of a responses body, a string or items, as a chat.
 *
 * Instructions come first, as a message of the system; a system or developer message right after them is
 * joined to it, because many templates take one system message and only at the beginning. Items that are no
 * messages (tool calls and their results, reasoning, references to what a server stored) are refused by
 * their type. */
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

static krs_status add_content(krs_chat_builder *builder, const json_t *content, size_t i)
{
    char field[FIELD_TEXT_BYTES];
    if (json_is_string(content)) {
        return krs_chat_add(builder,
                            (krs_str){json_string_value(content), json_string_length(content)});
    }
    (void)snprintf(field, sizeof(field), "input[%zu].content", i);
    if (!json_is_array(content) || json_array_size(content) == 0) {
        return krs_call_refuse(builder->err, field,
                               "want a string or a non-empty array of text parts");
    }
    krs_status status = KRS_OK;
    for (size_t k = 0; status == KRS_OK && k < json_array_size(content); k++) {
        (void)snprintf(field, sizeof(field), "input[%zu].content[%zu]", i, k);
        status = add_part(builder, json_array_get(content, k), field);
    }
    return status;
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

static krs_status add_item(krs_chat_builder *builder, const json_t *item, size_t i)
{
    char field[FIELD_TEXT_BYTES];
    const char *type = json_string_value(json_object_get(item, "type"));
    const char *given = json_string_value(json_object_get(item, "role"));
    const char *role = role_of(given);
    if (type && strcmp(type, "message") != 0) {
        (void)snprintf(field, sizeof(field), "input[%zu].type", i);
        return krs_call_refuse(builder->err, field,
                               "\"%.40s\" items are not supported, want \"message\"", type);
    }
    if (!role) {
        (void)snprintf(field, sizeof(field), "input[%zu].role", i);
        return krs_call_refuse(builder->err, field,
                               "\"%.32s\", want user, assistant, system or developer",
                               given ? given : "");
    }
    const krs_status status = krs_chat_begin(builder, role, strcmp(role, "system") == 0);
    return status == KRS_OK ? add_content(builder, json_object_get(item, "content"), i) : status;
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
