/* front/call_error.c - a failure in the shapes that clients read.
 *
 * Both shapes hold the same facts: message, type, param and code are the APIs' own; retryable, context
 * and correlation_id are ours. What went wrong inside the server (a file, a device, a broken invariant) is
 * told by its kind only: those messages may name paths, and belong into the log, under the same
 * correlation id. */
#include "front/call_priv.h"

#include <stdio.h>

typedef struct error_row {
    krs_status status;
    const char *type;           /* OpenAI's */
    const char *code;           /* NULL: none */
    const char *anthropic_type; /* Anthropic's */
} error_row;

/* Statuses that a client can tell apart by more than their HTTP status; others follow the default. */
static const error_row rows[] = {
    {KRS_EINVAL, "invalid_request_error", NULL, "invalid_request_error"},
    {KRS_ETOOLARGE, "invalid_request_error", "too_large", "request_too_large"},
    {KRS_ENOTLOADED, "invalid_request_error", "model_not_found", "not_found_error"},
    {KRS_ENOENT, "invalid_request_error", "not_found", "not_found_error"},
    {KRS_EUNSUPPORTED, "invalid_request_error", "unsupported", "invalid_request_error"},
    {KRS_EAUTH, "authentication_error", "invalid_api_key", "authentication_error"},
    {KRS_EPERM, "permission_error", "not_allowed", "permission_error"},
    {KRS_EBUSY, "rate_limit_error", "queue_full", "rate_limit_error"},
    {KRS_EUNAVAILABLE, "server_error", "unavailable", "overloaded_error"},
    {KRS_EDEADLINE, "server_error", "deadline", "timeout_error"},
    {KRS_ECANCELLED, "server_error", "cancelled", "api_error"},
    {KRS_EDEVICE, "server_error", "device", "api_error"},
    {KRS_ENOMEM, "server_error", "out_of_memory", "overloaded_error"},
};

/* A prompt that the context does not hold. Clients know this one by its code and shorten the prompt. */
static bool is_too_long_prompt(const krs_error *error)
{
    return error->status == KRS_ETOOLARGE &&
           (strcmp(error->field, "messages") == 0 || strcmp(error->field, "prompt") == 0 ||
            strcmp(error->field, "input") == 0);
}

static error_row row_of(const krs_error *error)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].status == error->status) {
            error_row row = rows[i];
            row.code = is_too_long_prompt(error) ? "context_length_exceeded" : row.code;
            return row;
        }
    }
    return krs_status_http(error->status) >= 500
               ? (error_row){error->status, "server_error", NULL, "api_error"}
               : (error_row){error->status, "invalid_request_error", NULL, "invalid_request_error"};
}

/* Does the message speak about the request, and not about our insides? */
static bool is_about_request(krs_status status)
{
    return krs_status_http(status) < 500 || status == KRS_EUNAVAILABLE || status == KRS_EDEADLINE;
}

static krs_str message_of(const krs_error *error)
{
    const bool is_public = is_about_request(error->status) && error->status != KRS_EFORMAT;
    return krs_str_of(is_public && *error->message ? error->message
                                                   : krs_status_sentence(error->status));
}

krs_status krs_call_refuse(krs_error *err, const char *field, const char *format, ...)
{
    char why[KRS_ERROR_MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(why, sizeof(why), format, args);
    va_end(args);
    return krs_fail_field(err, KRS_EINVAL, field, "%s: %s", field, why);
}

/* {"message":..,"type":..,"param":..,"code":..,"retryable":..,"context":{..},"correlation_id":..} */
static void put_error(krs_writer *w, const krs_error *error, const char *type, const char *code,
                      const char *correlation_id)
{
    krs_put(w, KRS_STR("{\"message\":"));
    krs_put_string(w, message_of(error));
    krs_put(w, KRS_STR(",\"type\":"));
    krs_put_string(w, krs_str_of(type));
    krs_put(w, KRS_STR(",\"param\":"));
    krs_put_string_or_null(w, krs_str_of(error->field));
    krs_put(w, KRS_STR(",\"code\":"));
    krs_put_string_or_null(w, krs_str_of(code));
    krs_put(w, KRS_STR(",\"retryable\":"));
    krs_put_bool(w, krs_status_is_retryable(error->status));
    krs_put(w, KRS_STR(",\"context\":{\"status\":"));
    krs_put_string(w, krs_str_of(krs_status_name(error->status)));
    if (error->retry_after_ms > 0) {
        krs_put(w, KRS_STR(",\"retry_after_ms\":"));
        krs_put_number(w, error->retry_after_ms);
    }
    krs_put(w, KRS_STR("},\"correlation_id\":"));
    krs_put_string_or_null(w, krs_str_of(correlation_id));
    krs_put(w, KRS_STR("}"));
}

krs_status krs_openai_error_write(const krs_error *error, const char *correlation_id, krs_buf *out)
{
    const error_row row = row_of(error);
    krs_writer w = {out, KRS_OK};
    krs_put(&w, KRS_STR("{\"error\":"));
    put_error(&w, error, row.type, row.code, correlation_id);
    krs_put(&w, KRS_STR("}"));
    return w.status;
}

krs_status krs_anthropic_error_write(const krs_error *error, const char *correlation_id,
                                     krs_buf *out)
{
    const error_row row = row_of(error);
    krs_writer w = {out, KRS_OK};
    krs_put(&w, KRS_STR("{\"type\":\"error\",\"error\":"));
    put_error(&w, error, row.anthropic_type, row.code, correlation_id);
    krs_put(&w, KRS_STR(",\"request_id\":"));
    krs_put_string_or_null(&w, krs_str_of(correlation_id));
    krs_put(&w, KRS_STR("}"));
    return w.status;
}

void krs_call_put_response_error(krs_writer *w, const krs_error *error, const char *correlation_id)
{
    const char *code = "server_error";
    if (error->status == KRS_EBUSY) {
        code = "rate_limit_exceeded";
    } else if (krs_status_http(error->status) < 500) {
        code = "invalid_prompt";
    }
    put_error(w, error, row_of(error).type, code, correlation_id);
}

void krs_call_put_comment(krs_writer *w)
{
    krs_put(w, KRS_STR(": still here\n\n"));
}
