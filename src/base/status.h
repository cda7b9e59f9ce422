/* base/status.h - how every call that can fail says so.
 *
 * A function returns krs_status; the story behind a failure goes into a krs_error that the caller
 * owns and may omit. It is filled once, where the fact is known, and callers prepend context. There
 * is no thread-local last error and no global handler, so an error never outlives or crosses a call.
 * Expected outcomes (KRS_EAGAIN, KRS_ENOENT, KRS_EEOF) need no error object.
 *
 * Thread: values; any thread.  Memory: none. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#define KRS_MUST_USE       __attribute__((warn_unused_result))
#define KRS_PRINTF(fmt, a) __attribute__((format(printf, fmt, a)))

typedef enum krs_status {
#define KRS_STATUS(name, sentence, http, jsonrpc, retryable, exit_code) KRS_##name,
#include "base/status.def"
#undef KRS_STATUS
    KRS_STATUS_COUNT
} krs_status;

#define KRS_ERROR_FIELD_BYTES   40  /* longest request field named in an error, with its NUL */
#define KRS_ERROR_MESSAGE_BYTES 200 /* what is left of 256 bytes */

/* The story of one failure, 256 bytes, copied by value. `field` is the request field or option at
 * fault ("" when none): front ends show it as `param`. Messages carry no address and no stack. */
typedef struct krs_error {
    krs_status status;
    int32_t os_errno;        /* errno of the failing system call, or 0 */
    int32_t device_code;     /* code of the device API, or 0 */
    uint32_t retry_after_ms; /* when a retry may succeed, as far as is known; 0: not known */
    char field[KRS_ERROR_FIELD_BYTES];
    char message[KRS_ERROR_MESSAGE_BYTES];
} krs_error;

#define KRS_ERROR_INIT                                                                             \
    {                                                                                              \
        KRS_OK, 0, 0, 0, "", ""                                                                    \
    }

/* Fill err (may be NULL) and return status, so that a failure is one line:
 *     return krs_fail(err, KRS_EINVAL, "top_k: %d, want 0..%d", k, max);
 * A message that does not fit is cut at a whole UTF-8 character. */
krs_status krs_fail(krs_error *err, krs_status status, const char *format, ...) KRS_PRINTF(3, 4);

/* As krs_fail, naming the request field at fault; the message should name it too. */
krs_status krs_fail_field(krs_error *err, krs_status status, const char *field, const char *format,
                          ...) KRS_PRINTF(4, 5);

/* As krs_fail for a failed system call: appends the errno's text. */
krs_status krs_fail_os(krs_error *err, krs_status status, int os_errno, const char *format, ...)
    KRS_PRINTF(4, 5);

/* Prepend "context: " to err's message, make status its status (the caller may see the same fault another
 * way: what is a bad argument to a parser is a bad file to its reader) and return status. A context that
 * does not fit is shown from its end ("...snapshots/x: reason"). err may be NULL. */
krs_status krs_error_wrap(krs_error *err, krs_status status, const char *format, ...)
    KRS_PRINTF(3, 4);

/* The columns of status.def. An unknown value reads as KRS_EINTERNAL. */
const char *krs_status_name(krs_status status);     /* "KRS_EINVAL" */
const char *krs_status_sentence(krs_status status); /* "invalid argument or field" */
int krs_status_http(krs_status status);
int krs_status_jsonrpc(krs_status status);
bool krs_status_is_retryable(krs_status status);
int krs_status_exit_code(krs_status status);
