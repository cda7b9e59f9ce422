/* api/config.h - options: one table (config.def), four sources, one set of checked values.
 *
 * Flags win over the environment (KRS_NAME), that over the configuration file, that over the default.
 * Parsing, ranges, help, completion and the manual all read the same rows, so they cannot disagree.
 * Later sources never overwrite a stronger one, whatever the order of the calls.
 *
 * Thread: filled at start by main, immutable after.  Memory: values borrow argv, the environment and
 * the configuration tree; all outlive the krs_config. */
#pragma once

#include "base/status.h"
#include "base/str.h"
#include "wire/json.h"

#define KRS_CONFIG_MAX_LIST        16 /* values of one LIST option */
#define KRS_CONFIG_MAX_POSITIONALS 4

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
    KRS_SOURCE_ENVIRONMENT,
    KRS_SOURCE_FLAG,
} krs_source;

/* A row of config.def. */
typedef struct krs_option_row {
    const char *name;
    char letter; /* 0: none */
    krs_option_type type;
    const char *value; /* default, or NULL */
    double min;
    double max;
    uint32_t commands; /* bit 1 << krs_command */
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

typedef struct krs_config {
    krs_command command;
    krs_option_value values[KRS_OPTION_COUNT];
    const char *stops[KRS_CONFIG_MAX_LIST]; /* of --stop, the one LIST option */
    uint32_t n_stops;
    const char *positionals[KRS_CONFIG_MAX_POSITIONALS];
    int n_positionals;
} krs_config;

const krs_option_row *krs_option_row_of(krs_option option);
const krs_command_row *krs_command_row_of(krs_command command);
bool krs_option_is_for(krs_option option, krs_command command);
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

/* A mapping of option names to scalars (or a sequence for a LIST), from a YAML file; borrowed for the
 * life of config. An unknown key is KRS_EINVAL. */
KRS_MUST_USE krs_status krs_config_read_tree(krs_config *config, const json_t *tree,
                                             krs_error *err);

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
