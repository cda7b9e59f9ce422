/* api/config_read.c - options from the command line, from the environment, and one from a YAML value. */
#include "api/config.h"

#include <stdio.h>

#define NUMBER_BYTES 32 /* any int64_t or double in decimal */

static krs_option find_letter(krs_command command, char letter)
{
    for (unsigned i = 0; i < KRS_OPTION_COUNT; i++) {
        const krs_option option = (krs_option)i;
        if (krs_option_is_for(option, command) && krs_option_row_of(option)->letter == letter) {
            return option;
        }
    }
    return KRS_OPTION_COUNT;
}

/* A flag as written, taken apart: which option, and the value that came with it. */
typedef struct flag {
    krs_option option;
    const char *value; /* after '=' or implied by a BOOL; NULL: the next argument */
} flag;

static flag parse_long(krs_command command, const char *text)
{
    const char *equals = strchr(text, '=');
    const krs_str name = {text, equals ? (size_t)(equals - text) : strlen(text)};
    flag f = {krs_option_of_name(command, name), equals ? equals + 1 : NULL};
    if (f.option != KRS_OPTION_COUNT) {
        const bool is_bool = krs_option_row_of(f.option)->type == KRS_OPTION_TYPE_BOOL;
        f.value = is_bool && !equals ? "true" : f.value;
        return f;
    }
    if (krs_str_starts_with(name, KRS_STR("no-")) && !equals) {
        f.option = krs_option_of_name(command, (krs_str){name.ptr + 3, name.len - 3});
        if (f.option != KRS_OPTION_COUNT &&
            krs_option_row_of(f.option)->type != KRS_OPTION_TYPE_BOOL) {
            f.option = KRS_OPTION_COUNT;
        }
        f.value = "false";
    }
    return f;
}

static flag parse_flag(krs_command command, const char *argument)
{
    if (argument[1] == '-') {
        return parse_long(command, argument + 2);
    }
    flag f = {find_letter(command, argument[1]), argument[2] ? argument + 2 : NULL};
    if (f.option != KRS_OPTION_COUNT && !f.value &&
        krs_option_row_of(f.option)->type == KRS_OPTION_TYPE_BOOL) {
        f.value = "true";
    }
    return f;
}

static krs_status add_positional(krs_config *config, const char *text, krs_error *err)
{
    const krs_command_row *row = krs_command_row_of(config->command);
    if (config->n_positionals >= row->max_positionals) {
        return krs_fail(err, KRS_EINVAL, "%s: unexpected argument \"%s\"; see krs %s --help",
                        row->name, text, row->name);
    }
    config->positionals[config->n_positionals++] = text;
    return KRS_OK;
}

static krs_status fail_unknown(krs_command command, const char *argument, krs_error *err)
{
    const char *name = krs_command_row_of(command)->name;
    const char *word = argument + strspn(argument, "-");
    const krs_str near = krs_option_nearest(command, (krs_str){word, strcspn(word, "=")});
    if (near.len > 0) {
        return krs_fail(err, KRS_EINVAL, "%s: unknown option %s; did you mean --%.*s?", name,
                        argument, KRS_STR_ARGS(near));
    }
    return krs_fail(err, KRS_EINVAL, "%s: unknown option %s; see krs %s --help", name, argument,
                    name);
}

/* One flag at argv[*i]; moves *i on when the value is the next argument. */
static krs_status read_flag(krs_config *config, int argc, char **argv, int *i, krs_error *err)
{
    const char *command = krs_command_row_of(config->command)->name;
    flag f = parse_flag(config->command, argv[*i]);
    if (f.option == KRS_OPTION_COUNT) {
        return fail_unknown(config->command, argv[*i], err);
    }
    if (!f.value) {
        if (*i + 1 >= argc) {
            return krs_fail_field(err, KRS_EINVAL, krs_option_row_of(f.option)->name,
                                  "%s: %s wants a value (%s)", command, argv[*i],
                                  krs_option_row_of(f.option)->metavar);
        }
        f.value = argv[++*i];
    }
    return krs_config_set(config, f.option, f.value, KRS_SOURCE_FLAG, err);
}

/* Everything after "--" and everything that is no flag ("-" alone is standard input). */
static bool is_flag(const char *argument)
{
    return argument[0] == '-' && argument[1] != '\0';
}

static krs_status read_all_args(krs_config *config, int argc, char **argv, krs_error *err)
{
    bool is_over = false; /* after "--" */
    krs_status status = KRS_OK;
    for (int i = 0; status == KRS_OK && i < argc; i++) {
        if (is_over || !is_flag(argv[i])) {
            status = add_positional(config, argv[i], err);
        } else if (strcmp(argv[i], "--") == 0) {
            is_over = true;
        } else {
            status = read_flag(config, argc, argv, &i, err);
        }
    }
    return status;
}

/* Is --json among the flags? The failure of one flag is told as asked for by another, also a later one. */
static bool wants_json(int argc, char **argv)
{
    bool is_there = false;
    for (int i = 0; i < argc && !is_there && strcmp(argv[i], "--") != 0; i++) {
        is_there = strcmp(argv[i], "--json") == 0;
    }
    return is_there;
}

krs_status krs_config_read_args(krs_config *config, int argc, char **argv, krs_error *err)
{
    const krs_status status = read_all_args(config, argc, argv, err);
    if (status != KRS_OK && wants_json(argc, argv)) {
        config->values[KRS_OPTION_JSON] =
            (krs_option_value){.source = KRS_SOURCE_FLAG, .text = "true", .integer = 1};
    }
    const krs_command_row *row = krs_command_row_of(config->command);
    if (status == KRS_OK && config->n_positionals < row->min_positionals &&
        !krs_config_bool(config, KRS_OPTION_HELP)) {
        return krs_fail(err, KRS_EINVAL, "usage: krs %s %s [options]; see krs %s --help", row->name,
                        row->arguments, row->name);
    }
    return status;
}

krs_status krs_config_read_environment(krs_config *config, const char *(*lookup)(const char *name),
                                       krs_error *err)
{
    for (unsigned i = 0; i < KRS_OPTION_COUNT; i++) {
        const krs_option option = (krs_option)i;
        if (!krs_option_is_for(option, config->command)) {
            continue;
        }
        char name[KRS_OPTION_VARIABLE_BYTES];
        krs_option_variable(option, name);
        const char *text = lookup(name);
        if (text) {
            const krs_status status =
                krs_config_set(config, option, text, KRS_SOURCE_ENVIRONMENT, err);
            if (status != KRS_OK) {
                return krs_error_wrap(err, status, "environment variable %s", name);
            }
        }
    }
    return KRS_OK;
}

/* A number of the tree, for an option that wants one. Its text dies with this call, so the value keeps
 * none: numbers are read through krs_config_int and _real. */
static krs_status set_number(krs_config *config, krs_option option, const json_t *value,
                             krs_source source, krs_error *err)
{
    const krs_option_row *row = krs_option_row_of(option);
    if (row->type == KRS_OPTION_TYPE_TEXT || row->type == KRS_OPTION_TYPE_LIST) {
        return krs_fail_field(err, KRS_EINVAL, row->name, "%s: want text; put it in quotes",
                              row->name);
    }
    char text[NUMBER_BYTES];
    if (json_is_integer(value)) {
        (void)snprintf(text, sizeof(text), "%lld", (long long)json_integer_value(value));
    } else {
        (void)snprintf(text, sizeof(text), "%.17g", json_real_value(value));
    }
    const krs_status status = krs_config_set(config, option, text, source, err);
    if (config->values[option].text == text) {
        config->values[option].text = NULL;
    }
    return status;
}

static krs_status set_scalar(krs_config *config, krs_option option, const json_t *value,
                             krs_source source, krs_error *err)
{
    const char *name = krs_option_row_of(option)->name;
    if (json_is_string(value)) {
        if (strlen(json_string_value(value)) != json_string_length(value)) {
            return krs_fail_field(err, KRS_EINVAL, name, "%s: holds a NUL byte", name);
        }
        return krs_config_set(config, option, json_string_value(value), source, err);
    }
    if (json_is_boolean(value)) {
        return krs_config_set(config, option, json_is_true(value) ? "true" : "false", source, err);
    }
    if (json_is_number(value)) {
        return set_number(config, option, value, source, err);
    }
    if (json_is_null(value)) {
        return krs_fail_field(err, KRS_EINVAL, name, "%s: no value", name);
    }
    return krs_fail_field(err, KRS_EINVAL, name, "%s: want a single value", name);
}

krs_status krs_config_set_tree(krs_config *config, krs_option option, const json_t *value,
                               krs_source source, krs_error *err)
{
    if (!json_is_array(value) || krs_option_row_of(option)->type != KRS_OPTION_TYPE_LIST) {
        return set_scalar(config, option, value, source, err);
    }
    krs_status status = KRS_OK;
    for (size_t i = 0; status == KRS_OK && i < json_array_size(value); i++) {
        status = set_scalar(config, option, json_array_get(value, i), source, err);
    }
    return status;
}
