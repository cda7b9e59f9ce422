/* apps/krs/cmd_config.c - krs config check|show|docs: what a server would be told, without starting one.
 *
 * check looks at a whole file, all environments, and names every fault; show merges all sources as
 * `krs serve` does and says where each value comes from; docs is docs/config.md. What show prints is a
 * configuration file itself: what was not given stands behind a '#'. */
#include "api/config_load.h"
#include "command.h"

#include <stdio.h>

#define SOURCE_COLUMN 40           /* fits `kv-tokens: 1073741824` and most paths */
#define VALUE_BYTES   (128u << 10) /* one shown value; an argument is not longer */

extern char **environ; /* POSIX: the variables of this process; no header of C declares it */

/* The file that is spoken of: an argument, or --config. NULL: none. */
static const char *path_of(const krs_config *config)
{
    return config->n_positionals > 1 ? config->positionals[1]
                                     : krs_config_text(config, KRS_OPTION_CONFIG);
}

/* "KRS_MAX_TOKENS=5" to "max-tokens"; false when it is no variable of ours. */
static bool option_name_of(const char *variable, char out[KRS_OPTION_VARIABLE_BYTES])
{
    const size_t n = strcspn(variable, "=");
    if (strncmp(variable, "KRS_", 4) != 0 || n - 4 >= KRS_OPTION_VARIABLE_BYTES) {
        return false;
    }
    for (size_t i = 4; i < n; i++) {
        const char c = variable[i];
        out[i - 4] = c == '_' ? '-' : (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
    out[n - 4] = '\0';
    return true;
}

static bool is_known(const char *name)
{
    bool is_there = false;
    for (unsigned c = 0; c < KRS_COMMAND_COUNT && !is_there; c++) {
        is_there = krs_option_of_name((krs_command)c, krs_str_of(name)) != KRS_OPTION_COUNT;
    }
    return is_there;
}

/* A variable that nobody reads is no fault, but one that is nearly an option is surely a mistake. */
static void note_variables(const krs_config *config)
{
    for (char **at = environ; *at; at++) {
        char name[KRS_OPTION_VARIABLE_BYTES];
        if (!option_name_of(*at, name) || is_known(name)) {
            continue;
        }
        const krs_str near = krs_option_nearest(KRS_COMMAND_CONFIG, krs_str_of(name));
        if (near.len > 0) {
            char variable[KRS_OPTION_VARIABLE_BYTES];
            krs_option_variable(krs_option_of_name(KRS_COMMAND_CONFIG, near), variable);
            krs_say_note(config, "note: variable %.*s is no option; did you mean %s?",
                         (int)strcspn(*at, "="), *at, variable);
        }
    }
}

typedef struct faults {
    const krs_config *config;
    json_t *list; /* NULL: they are printed one by one */
} faults;

static void take_fault(void *ctx, const krs_error *fault)
{
    faults *f = ctx;
    if (f->list) {
        (void)json_array_append_new(
            f->list, json_pack("{s:s, s:s}", "field", fault->field, "message", fault->message));
    } else {
        (void)krs_say_error(f->config, fault);
    }
}

static int say_checked(const krs_config_file *file, uint32_t n_faults, json_t *list)
{
    if (list) {
        json_t *names = json_array();
        const char *name = krs_config_file_environment(file, 0);
        for (size_t i = 1; name; i++) {
            (void)json_array_append_new(names, json_string(name));
            name = krs_config_file_environment(file, i);
        }
        return krs_say_json(json_pack("{s:s, s:b, s:o, s:o}", "file", krs_config_file_name(file),
                                      "is_ok", n_faults == 0, "environments", names, "faults",
                                      list));
    }
    if (n_faults == 0) {
        (void)printf("%s: ok", krs_config_file_name(file));
        const char *name = krs_config_file_environment(file, 0);
        for (size_t i = 1; name; i++) {
            (void)printf("%s%s", i == 1 ? "; environments: " : ", ", name);
            name = krs_config_file_environment(file, i);
        }
        (void)printf("\n");
    }
    return krs_say_flush();
}

/* Is there the environment that --env or KRS_ENV names? */
static uint32_t check_environment(const krs_config *config, const krs_config_file *file, faults *f)
{
    krs_config merged = *config;
    krs_error err = KRS_ERROR_INIT;
    const krs_status status =
        krs_config_file_apply(file, krs_config_text(config, KRS_OPTION_ENV), &merged, &err);
    if (status != KRS_OK) {
        take_fault(f, &err);
    }
    return status != KRS_OK;
}

static int check(const krs_config *config)
{
    krs_error err = KRS_ERROR_INIT;
    const char *path = path_of(config);
    krs_config_file *file = NULL;
    krs_status status = path ? krs_config_file_open(path, &file, &err)
                             : krs_fail(&err, KRS_EINVAL, "config check: which FILE?");
    if (status != KRS_OK) {
        return krs_say_error(config, &err);
    }
    faults f = {config, krs_config_bool(config, KRS_OPTION_JSON) ? json_array() : NULL};
    uint32_t n_faults = krs_config_file_check(file, take_fault, &f);
    if (n_faults == 0) {
        n_faults = check_environment(config, file, &f);
    }
    note_variables(config);
    const int code = say_checked(file, n_faults, f.list);
    krs_config_file_close(file);
    return n_faults > 0 ? krs_status_exit_code(KRS_EINVAL) : code;
}

/* Where the value comes from, into out. */
static krs_status write_source(const krs_config *config, krs_option option, krs_buf *out)
{
    char variable[KRS_OPTION_VARIABLE_BYTES];
    bool in_section = false;
    uint32_t line;
    switch (config->values[option].source) {
    case KRS_SOURCE_UNSET:
        return krs_buf_append_str(out, KRS_STR("not set"));
    case KRS_SOURCE_DEFAULT:
        return krs_buf_append_str(out, KRS_STR("default"));
    case KRS_SOURCE_ENVIRONMENT:
        krs_option_variable(option, variable);
        return krs_buf_append_str(out, krs_str_of(variable));
    case KRS_SOURCE_FLAG:
        return krs_buf_printf(out, "--%s", krs_option_row_of(option)->name);
    default:
        break;
    }
    const char *environment = krs_config_text(config, KRS_OPTION_ENV);
    line = krs_config_file_line(config->file, environment, option, &in_section);
    const krs_status status =
        krs_buf_printf(out, "%s:%u", krs_config_file_name(config->file), line);
    return status == KRS_OK && in_section ? krs_buf_printf(out, ", environment %s", environment)
                                          : status;
}

static json_t *json_of(const krs_config *config, krs_option option, const char *text)
{
    if (config->values[option].source == KRS_SOURCE_UNSET) {
        return json_null();
    }
    switch (krs_option_row_of(option)->type) {
    case KRS_OPTION_TYPE_BOOL:
        return json_boolean(krs_config_bool(config, option));
    case KRS_OPTION_TYPE_REAL:
        return json_real(krs_config_real(config, option));
    case KRS_OPTION_TYPE_INT:
    case KRS_OPTION_TYPE_BYTES:
        return json_integer(krs_config_int(config, option));
    default:
        return json_string(text);
    }
}

static bool is_text(const krs_config *config, krs_option option)
{
    const krs_option_type type = krs_option_row_of(option)->type;
    return config->values[option].source != KRS_SOURCE_UNSET &&
           (type == KRS_OPTION_TYPE_TEXT || type == KRS_OPTION_TYPE_LIST ||
            type == KRS_OPTION_TYPE_CHOICE);
}

/* `name: value   # source`, quoted as YAML reads it; a whole comment when a file cannot or need not say it. */
static krs_status print_row(const krs_config *config, krs_option option, krs_str value,
                            krs_str source)
{
    krs_buf quoted;
    krs_buf_init(&quoted, NULL, 8 * VALUE_BYTES);
    krs_status status = KRS_OK;
    if (is_text(config, option)) {
        status = krs_json_write_string(value, &quoted);
        value = krs_buf_view(&quoted);
    }
    if (status == KRS_OK) {
        const bool is_comment = option == KRS_OPTION_CONFIG || option == KRS_OPTION_ENV ||
                                config->values[option].source == KRS_SOURCE_UNSET;
        const int n = printf("%s%s:%s%.*s", is_comment ? "# " : "", krs_option_row_of(option)->name,
                             value.len > 0 ? " " : "", KRS_STR_ARGS(value));
        (void)printf("%*s # %.*s\n", n < SOURCE_COLUMN ? SOURCE_COLUMN - n : 0, "",
                     KRS_STR_ARGS(source));
    }
    krs_buf_deinit(&quoted);
    return status;
}

/* One option: a line, or a member of tree. */
static krs_status show_option(const krs_config *config, krs_option option, json_t *tree)
{
    krs_buf value;
    krs_buf source;
    krs_buf_init(&value, NULL, VALUE_BYTES);
    krs_buf_init(&source, NULL, VALUE_BYTES);
    krs_status status = krs_config_show(config, option, &value);
    if (status == KRS_OK) {
        status = write_source(config, option, &source);
    }
    if (status == KRS_OK && tree) {
        json_t *shown =
            json_pack("{s:o, s:s}", "value", json_of(config, option, value.data ? value.data : ""),
                      "source", source.data);
        status = json_object_set_new(tree, krs_option_row_of(option)->name, shown) == 0
                     ? KRS_OK
                     : KRS_EINVAL; /* text that is no UTF-8 */
    } else if (status == KRS_OK) {
        status = print_row(config, option, krs_buf_view(&value), krs_buf_view(&source));
    }
    krs_buf_deinit(&value);
    krs_buf_deinit(&source);
    return status;
}

static krs_status show_all(const krs_config *config, json_t *tree, krs_error *err)
{
    krs_status status = KRS_OK;
    for (unsigned i = 0; status == KRS_OK && i < KRS_OPTION_COUNT; i++) {
        const krs_option option = (krs_option)i;
        if (krs_option_is_for(option, KRS_COMMAND_CONFIG) && option != KRS_OPTION_HELP) {
            status = show_option(config, option, tree);
            if (status != KRS_OK) {
                (void)krs_fail(err, status, "config show: --%s cannot be shown",
                               krs_option_row_of(option)->name);
            }
        }
    }
    return status;
}

static int show(const krs_config *config)
{
    krs_config all = *config;
    krs_error err = KRS_ERROR_INIT;
    krs_status status = KRS_OK;
    if (config->n_positionals > 1) {
        status =
            krs_config_set(&all, KRS_OPTION_CONFIG, config->positionals[1], KRS_SOURCE_FLAG, &err);
    }
    if (status == KRS_OK) {
        status = krs_config_load_file(&all, &err);
    }
    json_t *tree = krs_config_bool(&all, KRS_OPTION_JSON) ? json_object() : NULL;
    if (status == KRS_OK) {
        status = show_all(&all, tree, &err);
    }
    krs_config_deinit(&all);
    if (status != KRS_OK) {
        json_decref(tree);
        return krs_say_error(config, &err);
    }
    return tree ? krs_say_json(tree) : krs_say_flush();
}

int krs_cmd_config(const krs_config *config)
{
    const char *word = config->positionals[0];
    if (strcmp(word, "check") == 0) {
        return check(config);
    }
    if (strcmp(word, "show") == 0) {
        return show(config);
    }
    if (strcmp(word, "docs") == 0) {
        return krs_config_docs();
    }
    krs_error err = KRS_ERROR_INIT;
    (void)krs_fail(&err, KRS_EINVAL, "config: \"%s\", want check, show or docs", word);
    return krs_say_error(config, &err);
}
