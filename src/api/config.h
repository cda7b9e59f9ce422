/* api/config.h - options: one table (config.def), four sources, one set of checked values.
 *
 * Flags win over the environment (KRS_NAME), that over the configuration file (config_file.h), that over
 * the default. config_load.h reads them all.
 * Parsing, ranges, help, completion and the manual all read the same rows, so they cannot disagree.
 * Later sources never overwrite a stronger one, whatever the order of the calls.
 *
 * Thread: filled at start by main, immutable after; reloading makes another one.  Memory: values borrow argv, the environment and
 * the configuration tree; all outlive the krs_config. */
#pragma once

#include "base/status.h"
#include "base/str.h"
#include "wire/json.h"

#define KRS_CONFIG_MAX_LIST        16 /* values of one LIST option */
#define KRS_CONFIG_MAX_POSITIONALS 64 /* texts of one `krs embed`; more go by standard input */

typedef enum krs_command {
#define KRS_COMMAND(id, function, name, min, max, arguments, summary) KRS_COMMAND_##id,
#include "api/command.def"
#undef KRS_COMMAND
    KRS_COMMAND_COUNT
} krs_command;

typedef enum krs_option {
#define KRS_OPTION(id, name, letter, type, value, min, max, commands, metavar, help)               \
    KRS_OPTION_##id,
#include "api/config.def"
#undef KRS_OPTION
    KRS_OPTION_COUNT
} krs_option;

typedef enum krs_option_type {
    KRS_OPTION_TYPE_TEXT,
    KRS_OPTION_TYPE_LIST,
    KRS_OPTION_TYPE_CHOICE,
    KRS_OPTION_TYPE_INT,
    KRS_OPTION_TYPE_REAL,
    KRS_OPTION_TYPE_BYTES,
    KRS_OPTION_TYPE_BOOL,
} krs_option_type;

typedef enum krs_source {
    KRS_SOURCE_UNSET,
    KRS_SOURCE_DEFAULT,
    KRS_SOURCE_FILE,
    KRS_SOURCE_FILE_SECTION, /* of the file's environments */
    KRS_SOURCE_ENVIRONMENT,
    KRS_SOURCE_FLAG,
} krs_source;

#define KRS_OPTION_LIVE (1u << 31) /* SIGHUP may change it while the server runs */

/* A row of config.def. */
typedef struct krs_option_row {
    const char *name;
    char letter; /* 0: none */
    krs_option_type type;
    const char *value; /* default, or NULL */
    double min;
    double max;
    uint32_t commands; /* bit 1 << krs_command, and KRS_OPTION_LIVE */
    const char *metavar;
    const char *help;
} krs_option_row;

/* A row of command.def. */
typedef struct krs_command_row {
    const char *name;
    int min_positionals;
    int max_positionals;
    const char *arguments;
    const char *summary;
} krs_command_row;

typedef struct krs_option_value {
    krs_source source;
    const char *text; /* as given; NULL when unset */
    int64_t integer;  /* INT, BYTES, BOOL (0 or 1) */
    double real;      /* REAL */
} krs_option_value;

/* Where flags and variables come from, so that they can be read again. */
typedef struct krs_config_origin {
    int argc;
    char **argv;                             /* after the subcommand; borrowed */
    const char *(*lookup)(const char *name); /* getenv, or a test's own */
} krs_config_origin;

typedef struct krs_config {
    krs_command command;
    krs_config_origin origin;     /* of krs_config_load; zero otherwise */
    struct krs_config_file *file; /* of krs_config_load: owned, or NULL */
    krs_option_value values[KRS_OPTION_COUNT];
    const char *stops[KRS_CONFIG_MAX_LIST]; /* of --stop, the one LIST option */
    uint32_t n_stops;
    const char *positionals[KRS_CONFIG_MAX_POSITIONALS];
    int n_positionals;
} krs_config;

const krs_option_row *krs_option_row_of(krs_option option);
const krs_command_row *krs_command_row_of(krs_command command);
/* `krs config` speaks of every option that the command of a server takes. */
bool krs_option_is_for(krs_option option, krs_command command);
bool krs_option_is_live(krs_option option);
/* KRS_OPTION_COUNT when the command has none of that name. */
krs_option krs_option_of_name(krs_command command, krs_str name);
/* Name of the option that a mistyped name resembles; empty when none is near. */
krs_str krs_option_nearest(krs_command command, krs_str name);
#define KRS_OPTION_VARIABLE_BYTES 64 /* "KRS_" and the longest option name fit twice over */
/* "KRS_MAX_TOKENS" of "max-tokens", into out. */
void krs_option_variable(krs_option option, char out[KRS_OPTION_VARIABLE_BYTES]);
/* KRS_COMMAND_COUNT when there is none of that name. */
krs_command krs_command_of_name(krs_str name);

/* Defaults for a command. */
void krs_config_init(krs_config *config, krs_command command);

/* argv[0 .. argc - 1] after the subcommand: --name value, --name=value, --flag, --no-flag, -x value,
 * "--" ends flags. Errors: KRS_EINVAL naming the option, its value and what is allowed; --help set skips
 * the check of positional arguments. On failure config holds the flags before the wrong one, and --json
 * wherever it stood. */
KRS_MUST_USE krs_status krs_config_read_args(krs_config *config, int argc, char **argv,
                                             krs_error *err);

/* KRS_<NAME> for every option of the command. lookup: getenv, or a test's own. */
KRS_MUST_USE krs_status krs_config_read_environment(krs_config *config,
                                                    const char *(*lookup)(const char *name),
                                                    krs_error *err);

/* Set one option from a value of a YAML file: a scalar, or a sequence of them for a LIST. Texts are borrowed.
 * Errors: KRS_EINVAL. */
KRS_MUST_USE krs_status krs_config_set_tree(krs_config *config, krs_option option,
                                            const json_t *value, krs_source source, krs_error *err);

/* Set one option from text. A weaker source than what is there is ignored. */
KRS_MUST_USE krs_status krs_config_set(krs_config *config, krs_option option, const char *text,
                                       krs_source source, krs_error *err);

/* The values. text: NULL when unset. */
const char *krs_config_text(const krs_config *config, krs_option option);
int64_t krs_config_int(const krs_config *config, krs_option option);
double krs_config_real(const krs_config *config, krs_option option);
bool krs_config_bool(const krs_config *config, krs_option option);
/* Was it given by anyone (not a default)? */
bool krs_config_is_given(const krs_config *config, krs_option option);
/* Do two configs of one command say the same about option, whatever the source? */
bool krs_config_is_same(const krs_config *a, const krs_config *b, krs_option option);
/* The value as text, as it would be given to --option; "" when unset. A LIST: joined with ", ". */
KRS_MUST_USE krs_status krs_config_show(const krs_config *config, krs_option option, krs_buf *out);
