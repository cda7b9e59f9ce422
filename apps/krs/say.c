/* apps/krs/say.c - see command.h. */
#include "command.h"

#include <stdarg.h>
#include <stdio.h>

int krs_say_error(const krs_config *config, const krs_error *err)
{
    const char *text = err->message[0] ? err->message : krs_status_sentence(err->status);
    if (config && krs_config_bool(config, KRS_OPTION_JSON)) {
        json_t *value =
            json_pack("{s:{s:s, s:s, s:b}}", "error", "code", krs_status_name(err->status),
                      "message", text, "retryable", (int)krs_status_is_retryable(err->status));
        (void)json_dumpf(value, stderr, JSON_COMPACT);
        (void)fputc('\n', stderr);
        json_decref(value);
    } else {
        (void)fprintf(stderr, "krs: %s\n", text);
    }
    return krs_status_exit_code(err->status);
}

void krs_say_note(const krs_config *config, const char *format, ...)
{
    if (krs_config_bool(config, KRS_OPTION_QUIET)) {
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
    const int code = value ? json_dumpf(value, stdout, JSON_COMPACT | JSON_ENCODE_ANY) : -1;
    json_decref(value);
    (void)fputc('\n', stdout);
    return code == 0 ? krs_say_flush() : KRS_EXIT_BROKEN;
}

int krs_say_flush(void)
{
    return fflush(stdout) == 0 && ferror(stdout) == 0 ? 0 : KRS_EXIT_BROKEN;
}
