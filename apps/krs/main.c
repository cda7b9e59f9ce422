/* apps/krs/main.c - one binary, subcommands. Finds the command, reads its options from every source,
 * and calls it; everything else is elsewhere. */
#define _POSIX_C_SOURCE 200809L
#include "api/config_load.h"
#include "base/fault.h"
#include "base/nearest.h"
#include "command.h"

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

static krs_status read_options(krs_config *config, krs_command command, int argc, char **argv,
                               krs_error *err)
{
    const krs_config_origin origin = {argc, argv, lookup_environment};
    krs_config_init(config, command);
    const krs_status status = krs_fault_arm_all(getenv("KRS_FAULTS"), err);
    return status == KRS_OK ? krs_config_load(config, command, &origin, err) : status;
}

static int say_unknown_command(krs_str word)
{
    krs_error err = KRS_ERROR_INIT;
    krs_nearest nearest = {.word = word};
    for (unsigned c = 0; c < KRS_COMMAND_COUNT; c++) {
        krs_nearest_offer(&nearest, krs_str_of(krs_command_row_of((krs_command)c)->name));
    }
    if (nearest.best.len > 0) {
        (void)krs_fail(&err, KRS_EINVAL, "unknown command \"%.*s\"; did you mean %.*s?",
                       KRS_STR_ARGS(word), KRS_STR_ARGS(nearest.best));
    } else {
        (void)krs_fail(&err, KRS_EINVAL, "unknown command \"%.*s\"; see krs --help",
                       KRS_STR_ARGS(word));
    }
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
    krs_error err = KRS_ERROR_INIT;
    int code;
    if (read_options(&config, command, argc - 2, argv + 2, &err) != KRS_OK) {
        code = krs_say_error(&config, &err);
    } else if (krs_config_bool(&config, KRS_OPTION_HELP)) {
        krs_help_command(command);
        code = krs_say_flush();
    } else {
        code = functions[command](&config);
    }
    krs_config_deinit(&config);
    return code;
}
