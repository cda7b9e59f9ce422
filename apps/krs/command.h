/* apps/krs/command.h - what the subcommands share: their prototypes, and one way to talk.
 *
 * Data goes to standard output, talk to standard error, failures become one line and the exit code of
 * status.def. --json turns the failure line into {"error": {...}} for scripts.
 *
 * Thread: main only. */
#pragma once

#include "api/config.h"

/* The program itself is broken: beside the codes of status.def. */
#define KRS_EXIT_BROKEN 1

/* int krs_cmd_run(const krs_config *config): runs the command, returns the exit code. */
#define KRS_COMMAND(id, function, name, min, max, arguments, summary)                              \
    int krs_cmd_##function(const krs_config *config);
#include "api/command.def"
#undef KRS_COMMAND

/* Print err ("krs: message") and return its status's exit code. */
int krs_say_error(const krs_config *config, const krs_error *err);

/* A note for people on standard error; nothing with --quiet, or with --json, where
 * standard error is JSON lines: the log of serve, the error of the others. */
void krs_say_note(const krs_config *config, const char *format, ...) KRS_PRINTF(2, 3);

/* Print value as one line of JSON on standard output, release it, return as krs_say_flush;
 * KRS_EXIT_BROKEN for NULL, which could not be made. */
int krs_say_json(json_t *value);

/* Flush standard output. 0, or when it cannot be written KRS_EIO's exit code, after one line that says so
 * (none when its reader left: a closed pipe is no news to whoever closed it). */
int krs_say_flush(void);

#define KRS_HELP_OPTION_BYTES 512 /* an option with its words; the longest list takes 190 */

/* krs --help and krs COMMAND --help, on standard output. */
void krs_help_all(void);
void krs_help_command(krs_command command);

/* krs config docs: the reference of the configuration file, on standard output. */
int krs_config_docs(void);

#define KRS_VERSION "0.1.0" /* as in CMakeLists.txt; a test compares them */
