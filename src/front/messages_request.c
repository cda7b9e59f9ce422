/* front/messages_request.c - a body of Anthropic's messages API to one request.
 *
 * Source: Anthropic API reference, messages; count tokens. */
#include "front/guidance_fields.h"
#include "front/messages_priv.h"

#include <stdio.h>

#define MAX_TEMPERATURE 1.0 /* of this API */

static const krs_refusal unsupported[] = {
    {"mcp_servers", KRS_REFUSE_SET, NULL},
    {"container", KRS_REFUSE_SET, NULL},
    {"context_management", KRS_REFUSE_SET, NULL},
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

static krs_status set_thinking(const krs_call_reader *reader, const json_t *thinking, krs_str type,
                               json_t *chat)
{
    const bool is_enabled = krs_str_equal(type, KRS_STR("enabled"));
    if (!is_enabled && !krs_str_equal(type, KRS_STR("disabled"))) {
        return krs_call_refuse(reader->err, "thinking",
                               "type \"%.*s\" is not supported, want \"enabled\" or \"disabled\"",
                               KRS_STR_ARGS(type));
    }
    if (is_enabled && reader->call->tools.style.reasoning == KRS_REPLY_REASONING_NONE) {
        return krs_call_refuse(reader->err, "thinking",
                               "type \"enabled\" is not supported by this model");
    }
    if (json_object_get(thinking, "budget_tokens")) {
        krs_call_note_ignored(&reader->call->call, "thinking.budget_tokens");
    }
    return json_object_set_new(chat, "enable_thinking", json_boolean(is_enabled)) == 0
               ? KRS_OK
               : krs_fail(reader->err, KRS_ENOMEM, "thinking: no memory");
}

/* thinking: {"type": "enabled"} of a model that can, "disabled" of any: variable enable_thinking of templates
 * that know it. How many tokens it may take is not bounded: budget_tokens is listed as ignored. */
static krs_status read_thinking(const krs_call_reader *reader, json_t *chat)
{
    json_t *thinking = NULL;
    krs_str type = KRS_STR("disabled");
    krs_status status =
        krs_json_get_tree(reader->body, "thinking", JSON_OBJECT, &thinking, reader->err);
    if (status == KRS_OK && thinking) {
        status = krs_json_get_str(thinking, "type", 64, &type, reader->err);
    }
    if (status != KRS_OK || !thinking) {
        return status;
    }
    return set_thinking(reader, thinking, type, chat);
}

/* The chat, and what stands beside its messages. */
static krs_status read_chat(const krs_call_reader *reader, krs_request *request)
{
    krs_tools *tools = &reader->call->tools;
    krs_status status = krs_messages_read_chat(reader, request);
    if (status == KRS_OK) {
        status = read_thinking(reader, request->prompt.chat);
    }
    if (status == KRS_OK) {
        status = krs_tools_read(tools, reader->body, &krs_tools_form_messages, reader->err);
    }
    if (status == KRS_OK) {
        status = krs_tools_read_messages_choice(tools, reader->body, reader->err);
    }
    return status == KRS_OK ? krs_tools_show(tools, request->prompt.chat, reader->err) : status;
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

/* {"type": "json_schema", "schema": {..}} */
static krs_status read_format(const krs_call_reader *reader, const json_t *format,
                              const char *field, krs_request *request)
{
    const char *type = json_string_value(json_object_get(format, "type"));
    if (!format || json_is_null(format)) {
        return KRS_OK;
    }
    if (!type || strcmp(type, "json_schema") != 0) {
        return krs_call_refuse(reader->err, field, "type \"%.40s\", want json_schema",
                               type ? type : "");
    }
    return krs_guidance_set_schema(json_object_get(format, "schema"), field, request, reader->err);
}

/* output_config.format, or output_format as it was called first. */
static krs_status read_form(const krs_call_reader *reader, krs_request *request)
{
    json_t *config = NULL;
    krs_status status = read_format(reader, json_object_get(reader->body, "output_format"),
                                    "output_format", request);
    if (status == KRS_OK) {
        status =
            krs_json_get_tree(reader->body, "output_config", JSON_OBJECT, &config, reader->err);
    }
    const json_t *effort = json_object_get(config, "effort");
    if (status == KRS_OK && effort && !json_is_null(effort)) {
        return krs_call_refuse(reader->err, "output_config", "effort: not supported");
    }
    return status == KRS_OK ? read_format(reader, json_object_get(config, "format"),
                                          "output_config.format", request)
                            : status;
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
    if (status == KRS_OK) {
        status = read_form(reader, request);
    }
    if (status == KRS_OK) {
        status = krs_tools_constrain(&reader->call->tools, request, reader->err);
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
