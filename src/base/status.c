/* base/status.c - see status.h.  Cutting at a whole character matters because messages quote names
 * from files, and an error must stay valid UTF-8 to be sent as JSON. */
#define _POSIX_C_SOURCE 200809L /* strerror_r */
#include "base/status.h"

#include <stdio.h>
#include <string.h>

#define CONTEXT_BYTES 1024 /* of a wrap: a path, of which a message can show the end */

typedef struct status_row {
    const char *name;
    const char *sentence;
    int http;
    int jsonrpc;
    int exit_code;
    bool is_retryable;
} status_row;

static const status_row status_rows[KRS_STATUS_COUNT] = {
#define KRS_STATUS(name, sentence, http, jsonrpc, retryable, exit_code)                            \
    {"KRS_" #name, sentence, http, jsonrpc, exit_code, (retryable) != 0},
#include "base/status.def"
#undef KRS_STATUS
};

static const status_row *row_of(krs_status status)
{
    const unsigned i = (unsigned)status;
    return &status_rows[i < KRS_STATUS_COUNT ? i : KRS_EINTERNAL];
}

/* Cut text at the last whole UTF-8 character if snprintf had to truncate it. */
static void cut_whole(char *text, size_t capacity, int wanted)
{
    if (wanted < 0 || (size_t)wanted < capacity) {
        return;
    }
    size_t n = strlen(text);
    while (n > 0 && ((unsigned char)text[n - 1] & 0xC0u) == 0x80u) {
        n--;
    }
    if (n > 0 && ((unsigned char)text[n - 1] & 0x80u) != 0) {
        n--;
    }
    text[n] = '\0';
}

static void fill(krs_error *err, krs_status status, const char *field, const char *format,
                 va_list args) KRS_PRINTF(4, 0);

static void fill(krs_error *err, krs_status status, const char *field, const char *format,
                 va_list args)
{
    *err = (krs_error)KRS_ERROR_INIT;
    err->status = status;
    if (field) {
        const int n_field = snprintf(err->field, sizeof(err->field), "%s", field);
        cut_whole(err->field, sizeof(err->field), n_field);
    }
    const int n = vsnprintf(err->message, sizeof(err->message), format, args);
    cut_whole(err->message, sizeof(err->message), n);
}

krs_status krs_fail(krs_error *err, krs_status status, const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        fill(err, status, NULL, format, args);
        va_end(args);
    }
    return status;
}

krs_status krs_fail_field(krs_error *err, krs_status status, const char *field, const char *format,
                          ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        fill(err, status, field, format, args);
        va_end(args);
    }
    return status;
}

krs_status krs_fail_os(krs_error *err, krs_status status, int os_errno, const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        fill(err, status, NULL, format, args);
        va_end(args);
        err->os_errno = os_errno;
        char reason[80] = "";
        /* strerror_r, the XSI one, is the thread-safe way; its failure leaves an empty reason. */
        if (strerror_r(os_errno, reason, sizeof(reason)) == 0) {
            const size_t used = strlen(err->message);
            const size_t left = sizeof(err->message) - used;
            const int n = snprintf(err->message + used, left, ": %s", reason);
            cut_whole(err->message + used, left, n);
        }
    }
    return status;
}

/* The last bytes of text that fit, from a whole character on; all of it when it fits. */
static const char *last_bytes(const char *text, size_t max_bytes)
{
    const size_t n = strlen(text);
    const char *tail = n > max_bytes ? text + (n - max_bytes) : text;
    while (((unsigned char)*tail & 0xC0u) == 0x80u) {
        tail++;
    }
    return tail;
}

/* "context: " before message. The reason is worth more than the way to it: a context too long loses its
 * front, then all of itself. */
static void prepend(char message[KRS_ERROR_MESSAGE_BYTES], const char *context)
{
    const size_t n = strlen(message);
    const size_t left = KRS_ERROR_MESSAGE_BYTES - 1 - n;
    const char *end = context + strlen(context);
    const size_t n_dots = (size_t)(end - context) + 2 > left ? 3 : 0;
    if (left < n_dots + 2) {
        return;
    }
    const char *tail = last_bytes(context, left - n_dots - 2);
    const size_t n_tail = (size_t)(end - tail);
    memmove(message + n_dots + n_tail + 2, message, n + 1);
    memset(message, '.', n_dots);
    memcpy(message + n_dots, tail, n_tail);
    message[n_dots + n_tail] = ':';
    message[n_dots + n_tail + 1] = ' ';
}

krs_status krs_error_wrap(krs_error *err, krs_status status, const char *format, ...)
{
    if (err) {
        err->status = status;
        char context[CONTEXT_BYTES];
        va_list args;
        va_start(args, format);
        const int n_context = vsnprintf(context, sizeof(context), format, args);
        va_end(args);
        cut_whole(context, sizeof(context), n_context);
        prepend(err->message, context);
    }
    return status;
}

const char *krs_status_name(krs_status status)
{
    return row_of(status)->name;
}

const char *krs_status_sentence(krs_status status)
{
    return row_of(status)->sentence;
}

int krs_status_http(krs_status status)
{
    return row_of(status)->http;
}

int krs_status_jsonrpc(krs_status status)
{
    return row_of(status)->jsonrpc;
}

bool krs_status_is_retryable(krs_status status)
{
    return row_of(status)->is_retryable;
}

int krs_status_exit_code(krs_status status)
{
    return row_of(status)->exit_code;
}
