/* front/messages_input.c - system and messages of Anthropic's messages API as a chat.
 *
 * The system prompt is a message of its own role for the template; turns of one role that follow each other
 * become one, as the API says. Results of tools, which the API has inside turns of the user, are messages
 * of their own. A last turn of the assistant would have to be continued, which is not supported, so it is
 * refused.
 *
 * Source: Anthropic API reference, messages; tool use; extended thinking. */
#include "front/messages_priv.h"

#include "front/chat_builder.h"

#include <stdio.h>

#define FIELD_TEXT_BYTES 64 /* "messages[4095].content[131071].content[131071]" */

static krs_str text_of(const json_t *string)
{
    return (krs_str){json_string_value(string), json_string_length(string)};
}

/* One block of type text. */
static krs_status add_text(krs_chat_builder *builder, const json_t *block, const char *field)
{
    const char *type = json_string_value(json_object_get(block, "type"));
    const json_t *text = json_object_get(block, "text");
    if (!type || strcmp(type, "text") != 0) {
        return krs_call_refuse(builder->err, field, "block of type \"%.40s\" is not supported here",
                               type ? type : "");
    }
    if (!json_is_string(text)) {
        return krs_call_refuse(builder->err, field, "a text block must hold a string `text`");
    }
    return krs_chat_add(builder, text_of(text));
}

/* A string, or blocks of text, into the message being made. */
static krs_status add_texts(krs_chat_builder *builder, const json_t *content, const char *field)
{
    if (json_is_string(content)) {
        return krs_chat_add(builder, text_of(content));
    }
    if (!json_is_array(content) || json_array_size(content) == 0) {
        return krs_call_refuse(builder->err, field,
                               "want a string or a non-empty array of text blocks");
    }
    krs_status status = KRS_OK;
    for (size_t i = 0; status == KRS_OK && i < json_array_size(content); i++) {
        char place[FIELD_TEXT_BYTES];
        (void)snprintf(place, sizeof(place), "%.40s[%zu]", field, i);
        status = add_text(builder, json_array_get(content, i), place);
    }
    return status;
}

/* A call that the assistant made. */
static krs_status add_tool_use(krs_chat_builder *builder, const json_t *block, const char *field)
{
    const json_t *id = json_object_get(block, "id");
    const json_t *name = json_object_get(block, "name");
    const json_t *input = json_object_get(block, "input");
    if (!json_is_string(id) || !json_is_string(name) || !json_is_object(input)) {
        return krs_call_refuse(builder->err, field,
                               "a tool_use block must hold strings `id` and `name` and an object "
                               "`input`");
    }
    return krs_chat_add_call(builder, text_of(id), text_of(name), input);
}

/* The result of one: a message of its own. Without content it is an empty one. */
static krs_status add_tool_result(krs_chat_builder *builder, const json_t *block, const char *field)
{
    char place[FIELD_TEXT_BYTES];
    const json_t *id = json_object_get(block, "tool_use_id");
    const json_t *content = json_object_get(block, "content");
    if (!json_is_string(id)) {
        return krs_call_refuse(builder->err, field,
                               "a tool_result block must hold a string `tool_use_id`");
    }
    const krs_status status = krs_chat_begin_result(builder, text_of(id));
    if (status != KRS_OK || !content || json_is_null(content)) {
        return status;
    }
    if (json_is_array(content) && json_array_size(content) == 0) {
        return KRS_OK;
    }
    (void)snprintf(place, sizeof(place), "%.40s.content", field);
    return add_texts(builder, content, place);
}

static krs_status add_thinking(krs_chat_builder *builder, const json_t *block, const char *field)
{
    const json_t *text = json_object_get(block, "thinking");
    return json_is_string(text) ? krs_chat_add_reasoning(builder, text_of(text))
                                : krs_call_refuse(builder->err, field,
                                                  "a thinking block must hold a string `thinking`");
}

/* A block of a turn; what a role may hold, it may hold in any order. Reasoning that somebody made
 * unreadable is accepted, as clients send back what they were given, and shown to no one. */
static krs_status add_block(krs_chat_builder *builder, const char *role, const json_t *block,
                            const char *field)
{
    const char *given = json_string_value(json_object_get(block, "type"));
    const krs_str type = krs_str_of(given);
    const bool is_assistant = strcmp(role, "assistant") == 0;
    if (strcmp(role, "user") == 0 && krs_str_equal(type, KRS_STR("tool_result"))) {
        return add_tool_result(builder, block, field);
    }
    const krs_status status = krs_chat_begin(builder, role, true);
    if (status != KRS_OK || (is_assistant && krs_str_equal(type, KRS_STR("redacted_thinking")))) {
        return status;
    }
    if (is_assistant && krs_str_equal(type, KRS_STR("tool_use"))) {
        return add_tool_use(builder, block, field);
    }
    if (is_assistant && krs_str_equal(type, KRS_STR("thinking"))) {
        return add_thinking(builder, block, field);
    }
    return add_text(builder, block, field);
}

/* A turn: a string, or blocks. */
static krs_status add_turn(krs_chat_builder *builder, const char *role, const json_t *content,
                           const char *field)
{
    if (!json_is_array(content) || json_array_size(content) == 0) {
        const krs_status status = krs_chat_begin(builder, role, true);
        return status == KRS_OK ? add_texts(builder, content, field) : status;
    }
    krs_status status = KRS_OK;
    for (size_t i = 0; status == KRS_OK && i < json_array_size(content); i++) {
        char place[FIELD_TEXT_BYTES];
        (void)snprintf(place, sizeof(place), "%.40s[%zu]", field, i);
        status = add_block(builder, role, json_array_get(content, i), place);
    }
    return status;
}

static krs_status add_system(const krs_call_reader *reader, krs_chat_builder *builder)
{
    const json_t *system = json_object_get(reader->body, "system");
    if (!system || json_is_null(system)) {
        return KRS_OK;
    }
    if (json_is_array(system) && json_array_size(system) == 0) {
        return KRS_OK;
    }
    const krs_status status = krs_chat_begin(builder, "system", false);
    return status == KRS_OK ? add_texts(builder, system, "system") : status;
}

/* The role as a static string, or NULL. */
static const char *role_of(const char *role)
{
    static const char *const roles[] = {"user", "assistant", "system"};
    for (size_t i = 0; role && i < sizeof(roles) / sizeof(roles[0]); i++) {
        if (strcmp(role, roles[i]) == 0) {
            return roles[i];
        }
    }
    return NULL;
}

static krs_status add_message(krs_chat_builder *builder, const json_t *message, size_t i,
                              bool is_last)
{
    char field[FIELD_TEXT_BYTES];
    const char *given = json_string_value(json_object_get(message, "role"));
    const char *role = role_of(given);
    (void)snprintf(field, sizeof(field), "messages[%zu].role", i);
    if (!role) {
        return krs_call_refuse(builder->err, field, "\"%.32s\", want user, assistant or system",
                               given ? given : "");
    }
    if (is_last && strcmp(role, "assistant") == 0) {
        return krs_call_refuse(builder->err, field,
                               "the last message must not be the assistant's: going on with its "
                               "text is not supported");
    }
    (void)snprintf(field, sizeof(field), "messages[%zu].content", i);
    return add_turn(builder, role, json_object_get(message, "content"), field);
}

static krs_status add_messages(const krs_call_reader *reader, krs_chat_builder *builder)
{
    const json_t *messages = json_object_get(reader->body, "messages");
    const size_t n = json_array_size(messages);
    if (n == 0) {
        return krs_call_refuse(reader->err, "messages", "want a non-empty array");
    }
    if (n > KRS_CALL_MAX_MESSAGES) {
        return krs_call_refuse(reader->err, "messages", "%zu messages, limit %d", n,
                               KRS_CALL_MAX_MESSAGES);
    }
    krs_status status = KRS_OK;
    for (size_t i = 0; status == KRS_OK && i < n; i++) {
        status = add_message(builder, json_array_get(messages, i), i, i + 1 == n);
    }
    return status;
}

krs_status krs_messages_read_chat(const krs_call_reader *reader, krs_request *request)
{
    krs_chat_builder builder;
    krs_status status = krs_chat_init(&builder, reader->call->alloc, reader->err);
    if (status == KRS_OK) {
        status = add_system(reader, &builder);
    }
    if (status == KRS_OK) {
        status = add_messages(reader, &builder);
    }
    if (status == KRS_OK) {
        request->prompt.kind = KRS_PROMPT_CHAT;
        status = krs_chat_finish(&builder, &request->prompt.chat);
    }
    krs_chat_deinit(&builder);
    return status;
}
