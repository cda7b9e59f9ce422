/* The option table: four sources, their order, and what a wrong value says. */
#include "api/config_file.h"

#include "base/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h> /* after the headers it needs */

static krs_config config_of(krs_command command)
{
    krs_config config;
    krs_config_init(&config, command);
    return config;
}

static krs_status read_args(krs_config *config, krs_error *err, int n, const char *const *words)
{
    char *argv[16];
    for (int i = 0; i < n; i++) {
        argv[i] = (char *)(uintptr_t)words[i];
    }
    return krs_config_read_args(config, n, argv, err);
}
#define ARGS(config, err, ...)                                                                     \
    read_args(config, err, (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)),          \
              (const char *[]){__VA_ARGS__})

static const char *environment(const char *name)
{
    return strcmp(name, "KRS_PORT") == 0        ? "9000"
           : strcmp(name, "KRS_MAX_SEQS") == 0  ? "3"
           : strcmp(name, "KRS_LOG_LEVEL") == 0 ? "warn"
                                                : NULL;
}

static const char *bad_environment(const char *name)
{
    return strcmp(name, "KRS_PORT") == 0 ? "http" : NULL;
}

static void defaults_pass_their_own_checks(void **state)
{
    (void)state;
    for (unsigned c = 0; c < KRS_COMMAND_COUNT; c++) {
        const krs_config config = config_of((krs_command)c);
        assert_int_equal(config.command, c);
        assert_false(krs_config_is_given(&config, KRS_OPTION_PORT));
    }
}

static void flags_are_read_in_every_spelling(void **state)
{
    (void)state;
    krs_error err = KRS_ERROR_INIT;
    krs_config config = config_of(KRS_COMMAND_SERVE);
    assert_int_equal(ARGS(&config, &err, "models/demo", "--port", "1", "--host=::1", "-t", "2",
                          "--no-mmap", "--memory", "3G", "-q"),
                     KRS_OK);
    assert_string_equal(config.positionals[0], "models/demo");
    assert_int_equal(krs_config_int(&config, KRS_OPTION_PORT), 1);
    assert_string_equal(krs_config_text(&config, KRS_OPTION_HOST), "::1");
    assert_int_equal(krs_config_int(&config, KRS_OPTION_THREADS), 2);
    assert_false(krs_config_bool(&config, KRS_OPTION_MMAP));
    assert_true(krs_config_bool(&config, KRS_OPTION_QUIET));
    assert_int_equal(krs_config_int(&config, KRS_OPTION_MEMORY), INT64_C(3) << 30);
}

static void two_dashes_end_the_flags(void **state)
{
    (void)state;
    krs_config config = config_of(KRS_COMMAND_RUN);
    assert_int_equal(ARGS(&config, NULL, "m", "--", "--port"), KRS_OK);
    assert_string_equal(config.positionals[1], "--port");
}

static void a_flag_wins_over_environment_over_file_over_default(void **state)
{
    (void)state;
    krs_error err = KRS_ERROR_INIT;
    krs_config_file *file = NULL;
    const krs_str text = KRS_STR("port: 7\nmax-seqs: '9'\nmmap: false\nio-threads: 4\n");
    assert_int_equal(krs_config_file_parse(text, "f", &file, &err), KRS_OK);
    krs_config config = config_of(KRS_COMMAND_SERVE);
    assert_int_equal(ARGS(&config, &err, "m", "--port", "5"), KRS_OK);
    assert_int_equal(krs_config_read_environment(&config, environment, &err), KRS_OK);
    assert_int_equal(krs_config_file_apply(file, NULL, &config, &err), KRS_OK);
    assert_int_equal(krs_config_int(&config, KRS_OPTION_PORT), 5);
    assert_int_equal(krs_config_int(&config, KRS_OPTION_MAX_SEQS), 3);
    assert_int_equal(krs_config_int(&config, KRS_OPTION_IO_THREADS), 4);
    assert_false(krs_config_bool(&config, KRS_OPTION_MMAP));
    assert_int_equal(krs_config_int(&config, KRS_OPTION_DRAIN_MS), 10000);
    assert_string_equal(krs_config_text(&config, KRS_OPTION_LOG_LEVEL), "warn");
    krs_config_file_close(file);
}

static void a_list_collects_and_a_stronger_source_replaces_it(void **state)
{
    (void)state;
    krs_config config = config_of(KRS_COMMAND_RUN);
    assert_int_equal(krs_config_set(&config, KRS_OPTION_STOP, "old", KRS_SOURCE_FILE, NULL),
                     KRS_OK);
    assert_int_equal(ARGS(&config, NULL, "m", "--stop", "a", "--stop=b"), KRS_OK);
    assert_int_equal(config.n_stops, 2);
    assert_string_equal(config.stops[0], "a");
    assert_string_equal(config.stops[1], "b");
}

static void a_list_is_bounded(void **state)
{
    (void)state;
    krs_config config = config_of(KRS_COMMAND_RUN);
    krs_error err = KRS_ERROR_INIT;
    for (int i = 0; i < KRS_CONFIG_MAX_LIST; i++) {
        assert_int_equal(krs_config_set(&config, KRS_OPTION_STOP, "x", KRS_SOURCE_FLAG, &err),
                         KRS_OK);
    }
    assert_int_equal(krs_config_set(&config, KRS_OPTION_STOP, "x", KRS_SOURCE_FLAG, &err),
                     KRS_EINVAL);
    assert_int_equal(config.n_stops, KRS_CONFIG_MAX_LIST);
}

static void assert_refused(krs_command command, const char *flag, const char *value,
                           const char *in_message)
{
    krs_config config = config_of(command);
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(ARGS(&config, &err, "m", flag, value), KRS_EINVAL);
    assert_non_null(strstr(err.message, in_message));
}

static void a_bad_value_names_option_value_and_range(void **state)
{
    (void)state;
    assert_refused(KRS_COMMAND_SERVE, "--port", "70000",
                   "--port: \"70000\", want a whole number in "
                   "0..65535");
    assert_refused(KRS_COMMAND_SERVE, "--port", "12x", "\"12x\"");
    assert_refused(KRS_COMMAND_SERVE, "--port", "", "\"\"");
    assert_refused(KRS_COMMAND_SERVE, "--memory", "1X", "\"1X\"");
    assert_refused(KRS_COMMAND_SERVE, "--memory", "99999999999T", "--memory");
    assert_refused(KRS_COMMAND_SERVE, "--log-level", "loud", "debug|info|warn|error");
    assert_refused(KRS_COMMAND_SERVE, "--mmap=perhaps", "x", "want true or false");
    assert_refused(KRS_COMMAND_RUN, "--top-p", "nan", "--top-p");
    assert_refused(KRS_COMMAND_RUN, "--temperature", "2.5", "0..2");
    assert_refused(KRS_COMMAND_RUN, "--port", "1", "unknown option --port");
    assert_refused(KRS_COMMAND_RUN, "--no-seed", "1", "unknown option --no-seed");
}

static void json_behind_a_wrong_flag_still_counts(void **state)
{
    (void)state;
    krs_error err = KRS_ERROR_INIT;
    krs_config config = config_of(KRS_COMMAND_RUN);
    assert_int_equal(ARGS(&config, &err, "m", "--prt", "--json"), KRS_EINVAL);
    assert_true(krs_config_bool(&config, KRS_OPTION_JSON));
    config = config_of(KRS_COMMAND_RUN);
    assert_int_equal(ARGS(&config, &err, "m", "--prt", "--", "--json"), KRS_EINVAL);
    assert_false(krs_config_bool(&config, KRS_OPTION_JSON));
}

static void too_few_or_many_arguments_are_refused(void **state)
{
    (void)state;
    krs_error err = KRS_ERROR_INIT;
    krs_config config = config_of(KRS_COMMAND_INSPECT);
    assert_int_equal(ARGS(&config, &err, "a", "b"), KRS_EINVAL);
    assert_non_null(strstr(err.message, "unexpected argument \"b\""));
    config = config_of(KRS_COMMAND_INSPECT);
    assert_int_equal(ARGS(&config, &err, "--json"), KRS_EINVAL);
    assert_non_null(strstr(err.message, "usage: krs inspect MODEL"));
    config = config_of(KRS_COMMAND_INSPECT);
    assert_int_equal(ARGS(&config, &err, "--help"), KRS_OK);
    config = config_of(KRS_COMMAND_INSPECT);
    assert_int_equal(ARGS(&config, &err, "m", "--ctx"), KRS_EINVAL);
    assert_non_null(strstr(err.message, "--ctx wants a value (TOKENS)"));
}

static void a_bad_environment_variable_is_named(void **state)
{
    (void)state;
    krs_error err = KRS_ERROR_INIT;
    krs_config config = config_of(KRS_COMMAND_SERVE);
    assert_int_equal(krs_config_read_environment(&config, bad_environment, &err), KRS_EINVAL);
    assert_non_null(strstr(err.message, "KRS_PORT"));
}

static void an_unknown_flag_is_told_its_nearest(void **state)
{
    (void)state;
    assert_refused(KRS_COMMAND_SERVE, "--max-sequences=3", "x", "unknown option --max-sequences=3");
    assert_refused(KRS_COMMAND_SERVE, "--max-seq=3", "x", "did you mean --max-seqs?");
    assert_refused(KRS_COMMAND_SERVE, "--prot", "1", "did you mean --port?");
    assert_refused(KRS_COMMAND_SERVE, "--xyzzy", "1", "see krs serve --help");
}

static void a_value_is_shown_as_it_would_be_given(void **state)
{
    (void)state;
    const struct {
        krs_option option;
        const char *given;
        const char *want;
    } cases[] = {{KRS_OPTION_MEMORY, "3K", "3072"},
                 {KRS_OPTION_TEMPERATURE, "0.30", "0.3"},
                 {KRS_OPTION_RAW, "on", "true"},
                 {KRS_OPTION_SYSTEM, "be kind", "be kind"},
                 {KRS_OPTION_MAX_TOKENS, "12", "12"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        krs_config config = config_of(KRS_COMMAND_RUN);
        krs_config again = config_of(KRS_COMMAND_RUN);
        assert_int_equal(
            krs_config_set(&config, cases[i].option, cases[i].given, KRS_SOURCE_FLAG, NULL),
            KRS_OK);
        krs_buf out;
        krs_buf_init(&out, NULL, 64);
        assert_int_equal(krs_config_show(&config, cases[i].option, &out), KRS_OK);
        assert_string_equal(out.data, cases[i].want);
        assert_false(krs_config_is_same(&config, &again, cases[i].option));
        assert_int_equal(krs_config_set(&again, cases[i].option, out.data, KRS_SOURCE_FLAG, NULL),
                         KRS_OK);
        assert_true(krs_config_is_same(&config, &again, cases[i].option));
        krs_buf_deinit(&out);
    }
}

static void a_variable_is_named_after_its_option(void **state)
{
    (void)state;
    char name[KRS_OPTION_VARIABLE_BYTES];
    krs_option_variable(KRS_OPTION_MAX_TOKENS, name);
    assert_string_equal(name, "KRS_MAX_TOKENS");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_pass_their_own_checks),
        cmocka_unit_test(flags_are_read_in_every_spelling),
        cmocka_unit_test(two_dashes_end_the_flags),
        cmocka_unit_test(a_flag_wins_over_environment_over_file_over_default),
        cmocka_unit_test(a_list_collects_and_a_stronger_source_replaces_it),
        cmocka_unit_test(a_list_is_bounded),
        cmocka_unit_test(a_bad_value_names_option_value_and_range),
        cmocka_unit_test(json_behind_a_wrong_flag_still_counts),
        cmocka_unit_test(too_few_or_many_arguments_are_refused),
        cmocka_unit_test(a_bad_environment_variable_is_named),
        cmocka_unit_test(an_unknown_flag_is_told_its_nearest),
        cmocka_unit_test(a_value_is_shown_as_it_would_be_given),
        cmocka_unit_test(a_variable_is_named_after_its_option),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
