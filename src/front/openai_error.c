/* front/openai_error.c - a failure in the shape OpenAI clients read, and the list of models. */
#include "front/openai_priv.h"

#include <stdio.h>

typedef struct error_row {
    krs_status status;
    const char *type;
    const char *code; /* NULL: none */
} error_row;

/* Statuses that a client can tell apart by more than their HTTP status; others follow the default. */
static const error_row rows[] = {
    {KRS_EINVAL, "invalid_request_error", NULL},
    {KRS_ETOOLARGE, "invalid_request_error", "too_large"},
    {KRS_ENOTLOADED, "invalid_request_error", "model_not_found"},
    {KRS_ENOENT, "invalid_request_error", "not_found"},
    {KRS_EUNSUPPORTED, "invalid_request_error", "unsupported"},
    {KRS_EAUTH, "authentication_error", "invalid_api_key"},
    {KRS_EPERM, "permission_error", "not_allowed"},
    {KRS_EBUSY, "rate_limit_error", "queue_full"},
    {KRS_EUNAVAILABLE, "server_error", "unavailable"},
    {KRS_EDEADLINE, "server_error", "deadline"},
    {KRS_ECANCELLED, "server_error", "cancelled"},
    {KRS_EDEVICE, "server_error", "device"},
    {KRS_ENOMEM, "server_error", "out_of_memory"},
};

/* A prompt that the context does not hold. Clients know this one by its code and shorten the prompt. */
static bool is_too_long_prompt(const krs_error *error)
{
    return error->status == KRS_ETOOLARGE &&
           (strcmp(error->field, "messages") == 0 || strcmp(error->field, "prompt") == 0);
}

static error_row row_of(krs_status status)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].status == status) {
            return rows[i];
        }
    }
    const bool is_ours = krs_status_http(status) >= 500;
    return (error_row){status, is_ours ? "server_error" : "invalid_request_error", NULL};
}

krs_status krs_openai_refuse(krs_error *err, const char *field, const char *format, ...)
{
    char why[KRS_ERROR_MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(why, sizeof(why), format, args);
    va_end(args);
    return krs_fail_field(err, KRS_EINVAL, field, "%s: %s", field, why);
}

static krs_status write_or_null(const char *text, krs_buf *out)
{
    return text && *text ? krs_json_write_string(krs_str_of(text), out)
                         : krs_buf_append_str(out, KRS_STR("null"));
}

krs_status krs_openai_error_write(const krs_error *error, krs_buf *out)
{
    const error_row row = row_of(error->status);
    const char *code = is_too_long_prompt(error) ? "context_length_exceeded" : row.code;
    const char *message = *error->message ? error->message : krs_status_sentence(error->status);
    krs_status status = krs_buf_append_str(out, KRS_STR("{\"error\":{\"message\":"));
    if (status == KRS_OK) {
        status = krs_json_write_string(krs_str_of(message), out);
    }
    if (status == KRS_OK) {
        status = krs_buf_printf(out, ",\"type\":\"%s\",\"param\":", row.type);
    }
    if (status == KRS_OK) {
        status = write_or_null(error->field, out);
    }
    if (status == KRS_OK) {
        status = krs_buf_append_str(out, KRS_STR(",\"code\":"));
    }
    if (status == KRS_OK) {
        status = write_or_null(code, out);
    }
    return status == KRS_OK ? krs_buf_append_str(out, KRS_STR("}}")) : status;
}

krs_status krs_openai_model_write(const krs_model_info *model, krs_buf *out)
{
    krs_status status = krs_buf_append_str(out, KRS_STR("{\"id\":"));
    if (status == KRS_OK) {
        status = krs_json_write_string(krs_str_of(model->id), out);
    }
    if (status == KRS_OK) {
        status = krs_buf_printf(out,
                                ",\"object\":\"model\",\"created\":%llu,\"owned_by\":\"kr-serve\","
                                "\"max_model_len\":%u}",
                                (unsigned long long)model->created_unix_s, model->context_tokens);
    }
    return status;
}

krs_status krs_openai_models_write(const krs_model_info *models, uint32_t n_models, krs_buf *out)
{
    krs_status status = krs_buf_append_str(out, KRS_STR("{\"object\":\"list\",\"data\":["));
    for (uint32_t i = 0; status == KRS_OK && i < n_models; i++) {
        if (i > 0) {
            status = krs_buf_append_char(out, ',');
        }
        if (status == KRS_OK) {
            status = krs_openai_model_write(&models[i], out);
        }
    }
    return status == KRS_OK ? krs_buf_append_str(out, KRS_STR("]}")) : status;
}
