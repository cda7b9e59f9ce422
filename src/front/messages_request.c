/* front/messages_request.c - a body of Anthropic's messages API to one request.
 *
 * The system prompt is a message of its own role for the template; turns of one role that follow each other
 * become one, as the API says. A last turn of the assistant would have to be continued, which is not
 * supported, so it is refused.
 *
 * Source: Anthropic API reference, messages; count tokens. */
#include "front/messages_priv.h"

#include "front/chat_builder.h"

#include <stdio.h>

#define MAX_TEMPERATURE  1.0 /* of this API */
#define FIELD_TEXT_BYTES 64  /* "messages[4095].content[131071]" */

static const krs_refusal unsupported[] = {
    {"tools", KRS_REFUSE_SET, NULL},         {"mcp_servers", KRS_REFUSE_SET, NULL},
    {"container", KRS_REFUSE_SET, NULL},     {"context_management", KRS_REFUSE_SET, NULL},
    {"output_format", KRS_REFUSE_SET, NULL}, {"output_config", KRS_REFUSE_SET, NULL},
    {"speed", KRS_REFUSE_OTHER, "standard"},
};

static krs_messages_call *call_of(krs_call_head *head)
{
    return (krs_messages_call *)(void *)head;
}

void krs_messages_call_deinit(krs_call_head *head)
{
    json_decref(call_of(head)->stop_strings);
}

/* One content block of type text. */
static krs_status add_block(krs_chat_builder *builder, const json_t *block, const char *field)
{
    const char *type = json_string_value(json_object_get(block, "type"));
    const json_t *text = json_object_get(block, "text");
    if (!type || strcmp(type, "text") != 0) {
        return krs_call_refuse(builder->err, field,
                               "block of type \"%.40s\", want only \"text\" blocks",
                               type ? type : "");
    }
    if (!json_is_string(text)) {
        return krs_call_refuse(builder->err, field, "a text block must hold a string `text`");
    }
    return krs_chat_add(builder, (krs_str){json_string_value(text), json_string_length(text)});
}

/* A string, or blocks of text. */
static krs_status add_content(krs_chat_builder *builder, const json_t *content, const char *field)
{
    if (json_is_string(content)) {
        return krs_chat_add(builder,
                            (krs_str){json_string_value(content), json_string_length(content)});
    }
    if (!json_is_array(content) || json_array_size(content) == 0) {
        return krs_call_refuse(builder->err, field,
                               "want a string or a non-empty array of text blocks");
    }
    krs_status status = KRS_OK;
    for (size_t i = 0; status == KRS_OK && i < json_array_size(content); i++) {
        char place[FIELD_TEXT_BYTES];
        (void)snprintf(place, sizeof(place), "%.20s[%zu]", field, i);
        status = add_block(builder, json_array_get(content, i), place);
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
    return status == KRS_OK ? add_content(builder, system, "system") : status;
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
    const krs_status status = krs_chat_begin(builder, role, true);
    return status == KRS_OK ? add_content(builder, json_object_get(message, "content"), field)
                            : status;
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

static krs_status read_chat(const krs_call_reader *reader, krs_request *request)
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

/* thinking: only {"type": "disabled"}. */
static krs_status check_thinking(const krs_call_reader *reader)
{
    json_t *thinking = NULL;
    krs_str type = KRS_STR("disabled");
    krs_status status =
        krs_json_get_tree(reader->body, "thinking", JSON_OBJECT, &thinking, reader->err);
    if (status == KRS_OK && thinking) {
        status = krs_json_get_str(thinking, "type", 64, &type, reader->err);
    }
    if (status == KRS_OK && !krs_str_equal(type, KRS_STR("disabled"))) {
        status = krs_call_refuse(reader->err, "thinking",
                                 "type \"%.*s\" is not supported, want \"disabled\"",
                                 KRS_STR_ARGS(type));
    }
    return status;
}

static krs_status check_metadata(const krs_call_reader *reader)
{
    json_t *metadata = NULL;
    krs_str user;
    krs_status status =
        krs_json_get_tree(reader->body, "metadata", JSON_OBJECT, &metadata, reader->err);
    if (status == KRS_OK && metadata &&
        krs_json_get_str(metadata, "user_id", KRS_CALL_MAX_USER_BYTES, &user, NULL) != KRS_OK) {
        status = krs_call_refuse(reader->err, "metadata.user_id",
                                 "want a string of at most %d bytes", KRS_CALL_MAX_USER_BYTES);
    }
    return status == KRS_OK ? krs_call_check_string(reader, "service_tier") : status;
}

static krs_status check_rest(const krs_call_reader *reader)
{
    krs_status status = krs_call_refuse_unsupported(reader, unsupported,
                                                    sizeof(unsupported) / sizeof(unsupported[0]));
    if (status == KRS_OK) {
        status = check_thinking(reader);
    }
    return status == KRS_OK ? check_metadata(reader) : status;
}

static krs_status read_stopping(const krs_call_reader *reader, krs_request *request)
{
    uint32_t max_tokens = 0;
    krs_status status = krs_call_read_u32(reader, "max_tokens", 1, KRS_MAX_NEW_TOKENS, &max_tokens);
    if (status == KRS_OK && max_tokens == 0) {
        return krs_call_refuse(reader->err, "max_tokens", "missing, want 1..%u",
                               KRS_MAX_NEW_TOKENS);
    }
    request->stopping.max_tokens = max_tokens;
    call_of(reader->call)->max_tokens = max_tokens;
    if (status == KRS_OK) {
        status = krs_call_read_stops(reader, "stop_sequences", request);
    }
    if (status == KRS_OK && request->stopping.n_stops > 0) {
        json_t *stops = json_object_get(reader->body, "stop_sequences");
        if (!json_is_array(stops)) {
            return krs_call_refuse(reader->err, "stop_sequences", "want an array of strings");
        }
        call_of(reader->call)->stop_strings = json_incref(stops);
    }
    return status;
}

krs_status krs_messages_read(krs_call_reader *reader)
{
    krs_request *request = NULL;
    krs_call *call = &reader->call->call;
    (void)snprintf(reader->call->id, sizeof(reader->call->id), "msg_%016llx",
                   (unsigned long long)reader->context->random);
    krs_status status = check_rest(reader);
    if (status == KRS_OK) {
        status = krs_json_get_bool(reader->body, "stream", &call->is_stream, reader->err);
    }
    if (status == KRS_OK) {
        status = krs_call_reserve(reader, 1);
    }
    if (status == KRS_OK) {
        status = krs_call_new_request(reader, 0, KRS_TASK_GENERATE, &request);
    }
    if (status == KRS_OK) {
        status = krs_call_read_sampling(reader, MAX_TEMPERATURE, request);
    }
    if (status == KRS_OK) {
        status = read_stopping(reader, request);
    }
    if (status == KRS_OK) {
        status = read_chat(reader, request);
    }
    return status == KRS_OK ? krs_request_check(request, reader->err) : status;
}

krs_status krs_messages_read_count(krs_call_reader *reader)
{
    krs_request *request = NULL;
    krs_status status = check_rest(reader);
    if (status == KRS_OK) {
        status = krs_call_reserve(reader, 1);
    }
    if (status == KRS_OK) {
        status = krs_call_new_request(reader, 0, KRS_TASK_TOKENIZE, &request);
    }
    if (status == KRS_OK) {
        request->task_options.has_no_special = true; /* a template writes its own */
        status = read_chat(reader, request);
    }
    return status == KRS_OK ? krs_request_check(request, reader->err) : status;
}
