/* front/chat_builder.c - see chat_builder.h. */
#include "front/chat_builder.h"

#include "front/call_priv.h"

static krs_status no_memory(const krs_chat_builder *builder)
{
    return krs_fail(builder->err, KRS_ENOMEM, "messages: no memory");
}

krs_status krs_chat_init(krs_chat_builder *builder, const krs_alloc *alloc, krs_error *err)
{
    *builder = (krs_chat_builder){.err = err};
    krs_buf_init(&builder->text, alloc, KRS_REQUEST_MAX_BYTES);
    krs_buf_init(&builder->reasoning, alloc, KRS_REQUEST_MAX_BYTES);
    builder->chat = json_object();
    builder->messages = json_array();
    /* Setting takes the value in every case, also when there is no object to set it in. */
    if (json_object_set_new(builder->chat, "messages", builder->messages) != 0 ||
        json_object_set_new(builder->chat, "add_generation_prompt", json_true()) != 0) {
        json_decref(builder->chat);
        builder->chat = NULL;
        return no_memory(builder);
    }
    return KRS_OK;
}

void krs_chat_deinit(krs_chat_builder *builder)
{
    json_decref(builder->chat);
    json_decref(builder->extra);
    krs_buf_deinit(&builder->text);
    krs_buf_deinit(&builder->reasoning);
}

static json_t *string_of(krs_str text)
{
    return json_stringn(text.ptr ? text.ptr : "", text.len);
}

static json_t *calls_of(const krs_chat_builder *builder)
{
    return json_object_get(builder->extra, "tool_calls");
}

bool krs_chat_has_content(const krs_chat_builder *builder)
{
    return builder->role && (builder->has_text || calls_of(builder));
}

/* The members that stand beside role and content. */
static bool add_beside(const krs_chat_builder *builder, json_t *message)
{
    const bool is_good = !builder->has_reasoning ||
                         json_object_set_new(message, "reasoning_content",
                                             string_of(krs_buf_view(&builder->reasoning))) == 0;
    return is_good && (!builder->extra || json_object_update(message, builder->extra) == 0);
}

/* {"role": .., "content": ..} of what was gathered, and what goes with it. */
static krs_status end_message(krs_chat_builder *builder)
{
    if (!builder->role) {
        return KRS_OK;
    }
    const bool is_call = calls_of(builder) && builder->text.len == 0;
    json_t *content = is_call ? json_null() : string_of(krs_buf_view(&builder->text));
    json_t *message = json_object();
    const bool is_good = json_object_set_new(message, "role", json_string(builder->role)) == 0;
    if (json_object_set_new(message, "content", content) != 0 || !is_good ||
        !add_beside(builder, message)) {
        json_decref(message);
        return no_memory(builder);
    }
    krs_buf_reset(&builder->text);
    krs_buf_reset(&builder->reasoning);
    json_decref(builder->extra);
    builder->extra = NULL;
    builder->role = NULL;
    builder->has_text = false;
    builder->has_reasoning = false;
    return json_array_append_new(builder->messages, message) == 0 ? KRS_OK : no_memory(builder);
}

krs_status krs_chat_begin(krs_chat_builder *builder, const char *role, bool is_joining)
{
    if (is_joining && builder->role && strcmp(builder->role, role) == 0) {
        return KRS_OK;
    }
    const krs_status status = end_message(builder);
    builder->role = role;
    return status;
}

/* The name of the tool that the call `id` in this message was for, or NULL. */
static const json_t *tool_in(const json_t *message, krs_str id)
{
    const json_t *calls = json_object_get(message, "tool_calls");
    for (size_t i = 0; i < json_array_size(calls); i++) {
        const json_t *call = json_array_get(calls, i);
        const json_t *given = json_object_get(call, "id");
        const krs_str text = {json_string_value(given), json_string_length(given)};
        if (krs_str_equal(text, id)) {
            return json_object_get(json_object_get(call, "function"), "name");
        }
    }
    return NULL;
}

/* The latest wins: clients number their calls anew in every turn. */
static json_t *tool_of(const krs_chat_builder *builder, krs_str id)
{
    const json_t *name = NULL;
    for (size_t i = json_array_size(builder->messages); i > 0 && !name; i--) {
        name = tool_in(json_array_get(builder->messages, i - 1), id);
    }
    return name ? json_copy((json_t *)(uintptr_t)name) : NULL;
}

/* A member of the message being made; takes the value. */
static bool set_extra(krs_chat_builder *builder, const char *key, json_t *value)
{
    if (!builder->extra) {
        builder->extra = json_object();
    }
    return json_object_set_new(builder->extra, key, value) == 0;
}

krs_status krs_chat_begin_result(krs_chat_builder *builder, krs_str id)
{
    const krs_status status = krs_chat_begin(builder, "tool", false);
    if (status != KRS_OK) {
        return status;
    }
    json_t *name = tool_of(builder, id);
    if (!set_extra(builder, "tool_call_id", string_of(id))) {
        json_decref(name);
        return no_memory(builder);
    }
    return !name || set_extra(builder, "name", name) ? KRS_OK : no_memory(builder);
}

static krs_status add_line(const krs_chat_builder *builder, krs_buf *out, bool *has_text,
                           krs_str text)
{
    krs_status status = *has_text ? krs_buf_append_char(out, '\n') : KRS_OK;
    *has_text = true;
    if (status == KRS_OK) {
        status = krs_buf_append_str(out, text);
    }
    return status == KRS_OK ? KRS_OK : krs_fail(builder->err, status, "messages: too much text");
}

krs_status krs_chat_add(krs_chat_builder *builder, krs_str text)
{
    return add_line(builder, &builder->text, &builder->has_text, text);
}

krs_status krs_chat_add_reasoning(krs_chat_builder *builder, krs_str text)
{
    return add_line(builder, &builder->reasoning, &builder->has_reasoning, text);
}

krs_status krs_chat_add_call(krs_chat_builder *builder, krs_str id, krs_str name,
                             const json_t *arguments)
{
    if (!calls_of(builder) && !set_extra(builder, "tool_calls", json_array())) {
        return no_memory(builder);
    }
    json_t *function = json_object();
    const bool has_name = json_object_set_new(function, "name", string_of(name)) == 0;
    const bool has_arguments =
        json_object_set_new(function, "arguments", json_deep_copy(arguments)) == 0;
    json_t *call =
        json_pack("{s:o, s:s, s:o}", "id", string_of(id), "type", "function", "function", function);
    const bool is_good = call && has_name && has_arguments;
    if (!is_good) {
        json_decref(call);
        return no_memory(builder);
    }
    return json_array_append_new(calls_of(builder), call) == 0 ? KRS_OK : no_memory(builder);
}

krs_status krs_chat_parse_arguments(const json_t *text, const char *field, size_t *n_values,
                                    json_t **out, krs_error *err)
{
    const krs_json_limits limits = {KRS_CHAT_MAX_ARGUMENTS, false};
    const krs_str given = {json_string_value(text), json_string_length(text)};
    krs_error why = KRS_ERROR_INIT;
    *out = NULL;
    if (!text || json_is_null(text) || (json_is_string(text) && given.len == 0)) {
        *out = json_object(); /* as clients write what a call without arguments streamed */
        return *out ? KRS_OK : krs_fail(err, KRS_ENOMEM, "messages: no memory");
    }
    if (!json_is_string(text)) {
        return krs_call_refuse(err, field, "arguments must be a JSON object in a string");
    }
    *n_values += krs_json_count_values(given);
    if (*n_values > KRS_CALL_MAX_CHAT_VALUES) {
        return krs_call_refuse(err, field, "arguments hold too many values, limit %u",
                               KRS_CALL_MAX_CHAT_VALUES);
    }
    if (krs_json_parse(given, &limits, out, &why) != KRS_OK) {
        return krs_call_refuse(err, field, "arguments must be a JSON object in a string; %s",
                               why.message);
    }
    if (!json_is_object(*out)) {
        json_decref(*out);
        *out = NULL;
        return krs_call_refuse(
            err, field, "arguments must be a JSON object in a string, not \"%.20s\"", given.ptr);
    }
    return KRS_OK;
}

krs_status krs_chat_finish(krs_chat_builder *builder, json_t **out)
{
    const krs_status status = end_message(builder);
    if (status == KRS_OK) {
        *out = json_incref(builder->chat);
    }
    return status;
}
