/* api/config_read.c - whole sources of options: the command line, the environment, a YAML tree. */
#include "api/config.h"

#include <stdio.h>

#define NUMBER_BYTES           32 /* any int64_t or double in decimal */
#define ENVIRONMENT_NAME_BYTES 64 /* "KRS_" and the longest option name fit twice over */

static krs_option find_option(krs_command command, krs_str name)
{
    for (unsigned i = 0; i < KRS_OPTION_COUNT; i++) {
        const krs_option option = (krs_option)i;
        if (krs_option_is_for(option, command) &&
            krs_str_equal(name, krs_str_of(krs_option_row_of(option)->name))) {
            return option;
        }
    }
    return KRS_OPTION_COUNT;
}

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
    flag f = {find_option(command, name), equals ? equals + 1 : NULL};
    if (f.option != KRS_OPTION_COUNT) {
        const bool is_bool = krs_option_row_of(f.option)->type == KRS_OPTION_TYPE_BOOL;
        f.value = is_bool && !equals ? "true" : f.value;
        return f;
    }
    if (krs_str_starts_with(name, KRS_STR("no-")) && !equals) {
        f.option = find_option(command, (krs_str){name.ptr + 3, name.len - 3});
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

/* One flag at argv[*i]; moves *i on when the value is the next argument. */
static krs_status read_flag(krs_config *config, int argc, char **argv, int *i, krs_error *err)
{
    const char *command = krs_command_row_of(config->command)->name;
    flag f = parse_flag(config->command, argv[*i]);
    if (f.option == KRS_OPTION_COUNT) {
        return krs_fail(err, KRS_EINVAL, "%s: unknown option %s; see krs %s --help", command,
                        argv[*i], command);
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

static void environment_name(const char *option, char out[ENVIRONMENT_NAME_BYTES])
{
    (void)snprintf(out, ENVIRONMENT_NAME_BYTES, "KRS_%s", option);
    for (char *c = out; *c; c++) {
        if (*c == '-') {
            *c = '_';
        } else if (*c >= 'a' && *c <= 'z') {
            *c = (char)(*c - 'a' + 'A');
        }
    }
}

krs_status krs_config_read_environment(krs_config *config, const char *(*lookup)(const char *name),
                                       krs_error *err)
{
    for (unsigned i = 0; i < KRS_OPTION_COUNT; i++) {
        const krs_option option = (krs_option)i;
        if (!krs_option_is_for(option, config->command)) {
            continue;
        }
        char name[ENVIRONMENT_NAME_BYTES];
        environment_name(krs_option_row_of(option)->name, name);
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
                             krs_error *err)
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
    const krs_status status = krs_config_set(config, option, text, KRS_SOURCE_FILE, err);
    if (config->values[option].text == text) {
        config->values[option].text = NULL;
    }
    return status;
}

static krs_status set_scalar(krs_config *config, krs_option option, const json_t *value,
                             krs_error *err)
{
    if (json_is_string(value)) {
        return krs_config_set(config, option, json_string_value(value), KRS_SOURCE_FILE, err);
    }
    if (json_is_boolean(value)) {
        return krs_config_set(config, option, json_is_true(value) ? "true" : "false",
                              KRS_SOURCE_FILE, err);
    }
    if (json_is_number(value)) {
        return set_number(config, option, value, err);
    }
    const char *name = krs_option_row_of(option)->name;
    return krs_fail_field(err, KRS_EINVAL, name, "%s: want a single value", name);
}

static krs_status set_tree_value(krs_config *config, krs_option option, const json_t *value,
                                 krs_error *err)
{
    if (!json_is_array(value) || krs_option_row_of(option)->type != KRS_OPTION_TYPE_LIST) {
        return set_scalar(config, option, value, err);
    }
    krs_status status = KRS_OK;
    for (size_t i = 0; status == KRS_OK && i < json_array_size(value); i++) {
        status = set_scalar(config, option, json_array_get(value, i), err);
    }
    return status;
}

krs_status krs_config_read_tree(krs_config *config, const json_t *tree, krs_error *err)
{
    if (!json_is_object(tree)) {
        return krs_fail(err, KRS_EINVAL, "configuration file: want a mapping of options to values");
    }
    const char *key;
    json_t *value;
    json_t *root = (json_t *)(uintptr_t)tree; /* jansson's iteration takes no const */
    json_object_foreach(root, key, value)
    {
        const krs_option option = find_option(config->command, krs_str_of(key));
        if (option == KRS_OPTION_COUNT) {
            return krs_fail_field(err, KRS_EINVAL, key, "configuration file: unknown option %s",
                                  key);
        }
        const krs_status status = set_tree_value(config, option, value, err);
        if (status != KRS_OK) {
            return krs_error_wrap(err, status, "configuration file");
        }
    }
    return KRS_OK;
}
