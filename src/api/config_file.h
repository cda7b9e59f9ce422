/* api/config_file.h - the YAML file of options, with its environments.
 *
 *   port: 8080                  an option of the table, by its name
 *   log-level: info
 *   environments:
 *     production:               chosen by --env or KRS_ENV; wins over what stands above
 *       log-level: warn
 *
 * Every section is checked, the chosen one or not, so a file that starts one machine starts the others.
 * A fault is told by file, line, key, value and limit; an unknown key with the known one it resembles. One
 * file may serve several commands: an option that only another of them takes is passed over. A file does
 * not name other files and does not choose its own environment: `config`, `env` and `help` are refused.
 *
 * Thread: one owner.  Memory: values that _apply sets borrow the file; it outlives them.
 * Source: docs/config.md. */
#pragma once

#include "api/config.h"

typedef struct krs_config_file krs_config_file;

/* Read and parse path ("-": standard input). *out: owned by the caller, NULL on failure.
 * Errors: KRS_ENOENT, KRS_EPERM, KRS_EIO, KRS_ETOOLARGE, KRS_EINVAL (line and column), KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_config_file_open(const char *path, krs_config_file **out,
                                             krs_error *err);

/* The same from text; name stands for the path in messages. Both are copied. */
KRS_MUST_USE krs_status krs_config_file_parse(krs_str text, const char *name, krs_config_file **out,
                                              krs_error *err);
void krs_config_file_close(krs_config_file *file);

/* Set the options of config's command from the file: its top, then the section `environment` (NULL: none).
 * Errors: KRS_EINVAL (unknown key or environment, bad value). On failure config holds some of the values. */
KRS_MUST_USE krs_status krs_config_file_apply(const krs_config_file *file, const char *environment,
                                              krs_config *config, krs_error *err);

/* A fault that _check found. */
typedef void (*krs_config_report)(void *ctx, const krs_error *fault);

/* Look at every key of every section and report each fault. Returns how many there are. */
uint32_t krs_config_file_check(const krs_config_file *file, krs_config_report report, void *ctx);

/* Where `option` was set for that environment: the line of its key, and whether it stands in the
 * section; 0 when the file does not set it. Cost: O(file). */
uint32_t krs_config_file_line(const krs_config_file *file, const char *environment,
                              krs_option option, bool *in_section);

/* The name of section i in the order of the file, or NULL past the last. */
const char *krs_config_file_environment(const krs_config_file *file, size_t i);
const char *krs_config_file_name(const krs_config_file *file);
