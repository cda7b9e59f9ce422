/* apps/krs/say.c - see command.h. */
#include "command.h"
#include "wire/json.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define ERROR_JSON_MAX_BYTES (8 * KRS_ERROR_MESSAGE_BYTES) /* every byte as \u00xx, and quotes */
#define REAL_DIGITS          15 /* 12.8 ms is 12.8, not 12.800000000000001 */

/* Written by hand, for the message may quote an argument that is no UTF-8, which jansson refuses. */
static void print_json_error(const krs_error *err, const char *text)
{
    krs_buf message;
    krs_buf_init(&message, NULL, ERROR_JSON_MAX_BYTES);
    const bool is_whole = krs_json_write_string(krs_str_of(text), &message) == KRS_OK;
    (void)fprintf(stderr, "{\"error\":{\"code\":\"%s\",\"message\":%s,\"retryable\":%s}}\n",
                  krs_status_name(err->status), is_whole ? message.data : "\"\"",
                  krs_status_is_retryable(err->status) ? "true" : "false");
    krs_buf_deinit(&message);
}

int krs_say_error(const krs_config *config, const krs_error *err)
{
    const char *text = err->message[0] ? err->message : krs_status_sentence(err->status);
    if (config && krs_config_bool(config, KRS_OPTION_JSON)) {
        print_json_error(err, text);
    } else {
        (void)fprintf(stderr, "krs: %s\n", text);
    }
    return krs_status_exit_code(err->status);
}

void krs_say_note(const krs_config *config, const char *format, ...)
{
    if (krs_config_bool(config, KRS_OPTION_QUIET) || krs_config_bool(config, KRS_OPTION_JSON)) {
        return;
    }
    va_list args;
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputc('\n', stderr);
}

int krs_say_json(json_t *value)
{
    if (!value) {
        (void)fprintf(stderr,
                      "krs: the result is no JSON: a name that is not UTF-8, or no memory\n");
        return KRS_EXIT_BROKEN;
    }
    (void)json_dumpf(value, stdout, /* which a failing flush tells of */
                     JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(REAL_DIGITS));
    json_decref(value);
    (void)fputc('\n', stdout);
    return krs_say_flush();
}

int krs_say_flush(void)
{
    errno = 0;
    if (fflush(stdout) == 0 && ferror(stdout) == 0) {
        return 0;
    }
    if (errno != EPIPE) { /* a reader that left, head say, knows that it did */
        krs_error err = KRS_ERROR_INIT;
        (void)krs_fail_os(&err, KRS_EIO, errno ? errno : EIO, "standard output");
        (void)krs_say_error(NULL, &err);
    }
    return krs_status_exit_code(KRS_EIO);
}
