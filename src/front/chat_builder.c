/* front/chat_builder.c - see chat_builder.h. */
#include "front/chat_builder.h"

#include "api/generate.h"

static krs_status no_memory(const krs_chat_builder *builder)
{
    return krs_fail(builder->err, KRS_ENOMEM, "messages: no memory");
}

krs_status krs_chat_init(krs_chat_builder *builder, const krs_alloc *alloc, krs_error *err)
{
    *builder = (krs_chat_builder){.err = err};
    krs_buf_init(&builder->text, alloc, KRS_REQUEST_MAX_BYTES);
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
    krs_buf_deinit(&builder->text);
}

/* {"role": .., "content": ..} of what was gathered. */
static krs_status end_message(krs_chat_builder *builder)
{
    if (!builder->role) {
        return KRS_OK;
    }
    const krs_str text = krs_buf_view(&builder->text);
    json_t *message = json_object();
    const bool is_good = json_object_set_new(message, "role", json_string(builder->role)) == 0 &&
                         json_object_set_new(message, "content",
                                             json_stringn(text.ptr ? text.ptr : "", text.len)) == 0;
    if (!is_good) {
        json_decref(message);
        return no_memory(builder);
    }
    krs_buf_reset(&builder->text);
    builder->role = NULL;
    return json_array_append_new(builder->messages, message) == 0 ? KRS_OK : no_memory(builder);
}

krs_status krs_chat_begin(krs_chat_builder *builder, const char *role, bool is_joining)
{
    if (is_joining && builder->role && strcmp(builder->role, role) == 0) {
        return KRS_OK;
    }
    const krs_status status = end_message(builder);
    builder->role = role;
    builder->has_text = false;
    return status;
}

krs_status krs_chat_add(krs_chat_builder *builder, krs_str text)
{
    krs_status status = builder->has_text ? krs_buf_append_char(&builder->text, '\n') : KRS_OK;
    builder->has_text = true;
    if (status == KRS_OK) {
        status = krs_buf_append_str(&builder->text, text);
    }
    return status == KRS_OK ? KRS_OK : krs_fail(builder->err, status, "messages: too much text");
}

krs_status krs_chat_finish(krs_chat_builder *builder, json_t **out)
{
    const krs_status status = end_message(builder);
    if (status == KRS_OK) {
        *out = json_incref(builder->chat);
    }
    return status;
}
