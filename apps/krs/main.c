/* apps/krs/main.c - one binary, subcommands. Finds the command, reads its options from every source,
 * and calls it; everything else is elsewhere. */
#define _POSIX_C_SOURCE 200809L
#include "base/fault.h"
#include "command.h"
#include "os/file.h"
#include "wire/yaml.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static int (*const functions[KRS_COMMAND_COUNT])(const krs_config *config) = {
#define KRS_COMMAND(id, function, name, min, max, arguments, summary) krs_cmd_##function,
#include "api/command.def"
#undef KRS_COMMAND
};

static const char *lookup_environment(const char *name)
{
    return getenv(name); /* read once, before any thread starts */
}

/* Read the file of --config, when there is one. *tree: a new reference that config's values borrow. */
static krs_status read_file(krs_config *config, json_t **tree, krs_error *err)
{
    const char *path = krs_config_text(config, KRS_OPTION_CONFIG);
    if (!path) {
        return KRS_OK;
    }
    krs_buf text;
    krs_buf_init(&text, NULL, KRS_YAML_MAX_BYTES);
    krs_status status = krs_os_file_read(path, &text, err);
    if (status == KRS_OK) {
        status = krs_yaml_parse(krs_buf_view(&text), tree, err);
    }
    if (status == KRS_OK) {
        status = krs_config_read_tree(config, *tree, err);
    }
    krs_buf_deinit(&text);
    return status == KRS_OK ? status : krs_error_wrap(err, status, "%s", path);
}

static krs_status read_options(krs_config *config, int argc, char **argv, json_t **tree,
                               krs_error *err)
{
    krs_status status = krs_fault_arm_all(getenv("KRS_FAULTS"), err);
    if (status == KRS_OK) {
        status = krs_config_read_args(config, argc, argv, err);
    }
    if (status == KRS_OK && krs_config_bool(config, KRS_OPTION_HELP)) {
        return KRS_OK; /* help is there also for whoever set a variable wrongly */
    }
    if (status == KRS_OK) {
        status = krs_config_read_environment(config, lookup_environment, err);
    }
    return status == KRS_OK ? read_file(config, tree, err) : status;
}

static int say_unknown_command(krs_str word)
{
    krs_error err = KRS_ERROR_INIT;
    (void)krs_fail(&err, KRS_EINVAL, "unknown command \"%.*s\"; see krs --help",
                   KRS_STR_ARGS(word));
    return krs_say_error(NULL, &err);
}

static int help_about(krs_str name)
{
    const krs_command command = krs_command_of_name(name);
    if (command == KRS_COMMAND_COUNT) {
        return say_unknown_command(name);
    }
    krs_help_command(command);
    return krs_say_flush();
}

/* "krs", "krs help", "krs help COMMAND", "krs --help", "krs --version". */
static int run_without_command(int argc, char **argv)
{
    const krs_str word = krs_str_of(argc > 1 ? argv[1] : "help");
    if (krs_str_equal(word, KRS_STR("--version"))) {
        return krs_cmd_version(NULL);
    }
    const bool is_help = krs_str_equal(word, KRS_STR("help")) ||
                         krs_str_equal(word, KRS_STR("--help")) ||
                         krs_str_equal(word, KRS_STR("-h"));
    if (!is_help) {
        return say_unknown_command(word);
    }
    if (argc > 2) {
        return help_about(krs_str_of(argv[2]));
    }
    krs_help_all();
    return argc > 1 ? krs_say_flush() : krs_status_exit_code(KRS_EINVAL);
}

int main(int argc, char **argv)
{
    /* A reader that goes away is an error return of write, not a death. */
    (void)signal(SIGPIPE, SIG_IGN);
    const krs_command command = krs_command_of_name(krs_str_of(argc > 1 ? argv[1] : ""));
    if (command == KRS_COMMAND_COUNT) {
        return run_without_command(argc, argv);
    }
    krs_config config;
    krs_config_init(&config, command);
    krs_error err = KRS_ERROR_INIT;
    json_t *tree = NULL;
    int code;
    if (read_options(&config, argc - 2, argv + 2, &tree, &err) != KRS_OK) {
        code = krs_say_error(&config, &err);
    } else if (krs_config_bool(&config, KRS_OPTION_HELP)) {
        krs_help_command(command);
        code = krs_say_flush();
    } else {
        code = functions[command](&config);
    }
    json_decref(tree);
    return code;
}
