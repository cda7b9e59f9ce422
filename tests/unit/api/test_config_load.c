/* All sources at once, and again while running: what SIGHUP may change and what waits for a restart. */
#define _POSIX_C_SOURCE 200809L /* mkstemp */
#include "api/config_load.h"

#include "support/cmocka.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct fixture {
    char path[64];
    char flag[80];
    char *argv[3];
    krs_config boot;
    krs_config current;
} fixture;

static const char *no_variable(const char *name)
{
    (void)name;
    return NULL;
}

static const char *prod_variable(const char *name)
{
    return strcmp(name, "KRS_ENV") == 0 ? "prod" : NULL;
}

static void write_file(const fixture *f, const char *text)
{
    FILE *file = fopen(f->path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* A server started on a file of this text; its flags set the port. */
static void start(fixture *f, const char *text)
{
    *f = (fixture){.path = "/tmp/krs_test_config_XXXXXX"};
    const int fd = mkstemp(f->path);
    assert_true(fd >= 0);
    (void)close(fd);
    write_file(f, text);
    (void)snprintf(f->flag, sizeof(f->flag), "--config=%s", f->path);
    static char port[] = "--port=77";
    static char model[] = "m";
    f->argv[0] = f->flag;
    f->argv[1] = port;
    f->argv[2] = model;
    const krs_config_origin origin = {3, f->argv, no_variable};
    krs_error err = KRS_ERROR_INIT;
    if (krs_config_load(&f->boot, KRS_COMMAND_SERVE, &origin, &err) != KRS_OK) {
        fail_msg("%s", err.message);
    }
    f->current = f->boot;
    f->current.file = NULL;
}

static void stop(fixture *f)
{
    krs_config_deinit(&f->current);
    krs_config_deinit(&f->boot);
    (void)unlink(f->path);
}

static void a_reload_applies_live_options_only(void **state)
{
    (void)state;
    fixture f;
    start(&f, "log-level: info\nmax-seqs: 4\nhost: ::1\n");
    krs_config_changes changes;
    krs_error err = KRS_ERROR_INIT;
    write_file(&f, "log-level: debug\nmax-seqs: 8\nhost: ::1\n");
    assert_int_equal(krs_config_reload(&f.boot, &f.current, &changes, &err), KRS_OK);
    assert_int_equal(changes.n_applied, 1);
    assert_true(changes.is_applied[KRS_OPTION_LOG_LEVEL]);
    assert_int_equal(changes.n_waiting, 1);
    assert_true(changes.is_waiting[KRS_OPTION_MAX_SEQS]);
    assert_string_equal(krs_config_text(&f.current, KRS_OPTION_LOG_LEVEL), "debug");
    assert_int_equal(krs_config_int(&f.current, KRS_OPTION_MAX_SEQS), 4);
    assert_string_equal(krs_config_text(&f.current, KRS_OPTION_HOST), "::1");

    /* The same file again: nothing new, but what waits still waits. */
    assert_int_equal(krs_config_reload(&f.boot, &f.current, &changes, &err), KRS_OK);
    assert_int_equal(changes.n_applied, 0);
    assert_int_equal(changes.n_waiting, 1);
    assert_string_equal(krs_config_text(&f.current, KRS_OPTION_LOG_LEVEL), "debug");

    /* A value taken out of the file falls back to its default. */
    write_file(&f, "max-seqs: 4\nhost: ::1\n");
    assert_int_equal(krs_config_reload(&f.boot, &f.current, &changes, &err), KRS_OK);
    assert_int_equal(changes.n_applied, 1);
    assert_int_equal(changes.n_waiting, 0);
    assert_string_equal(krs_config_text(&f.current, KRS_OPTION_LOG_LEVEL), "info");
    stop(&f);
}

static void a_flag_still_wins_after_a_reload(void **state)
{
    (void)state;
    fixture f;
    start(&f, "port: 5\n");
    krs_config_changes changes;
    write_file(&f, "port: 6\n");
    assert_int_equal(krs_config_reload(&f.boot, &f.current, &changes, NULL), KRS_OK);
    assert_int_equal(changes.n_applied + changes.n_waiting, 0);
    assert_int_equal(krs_config_int(&f.current, KRS_OPTION_PORT), 77);
    stop(&f);
}

static void a_faulty_file_changes_nothing(void **state)
{
    (void)state;
    const char *const texts[] = {"log-level: loud\n", "log-levle: debug\n", "log-level: [\n",
                                 "log-level: debug\nenvironments: {a: {port: x}}\n"};
    fixture f;
    start(&f, "log-level: warn\n");
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        write_file(&f, texts[i]);
        krs_config_changes changes = {.n_applied = 9};
        krs_error err = KRS_ERROR_INIT;
        assert_int_equal(krs_config_reload(&f.boot, &f.current, &changes, &err), KRS_EINVAL);
        assert_non_null(strstr(err.message, f.path));
        assert_int_equal(changes.n_applied, 9);
        assert_string_equal(krs_config_text(&f.current, KRS_OPTION_LOG_LEVEL), "warn");
    }
    (void)unlink(f.path);
    krs_config_changes changes;
    assert_int_equal(krs_config_reload(&f.boot, &f.current, &changes, NULL), KRS_ENOENT);
    assert_string_equal(krs_config_text(&f.current, KRS_OPTION_LOG_LEVEL), "warn");
    stop(&f);
}

static void the_environment_comes_from_a_variable(void **state)
{
    (void)state;
    fixture f;
    start(&f, "environments:\n  prod:\n    log-level: error\n");
    assert_string_equal(krs_config_text(&f.boot, KRS_OPTION_LOG_LEVEL), "info");
    krs_config config;
    const krs_config_origin origin = {3, f.argv, prod_variable};
    assert_int_equal(krs_config_load(&config, KRS_COMMAND_SERVE, &origin, NULL), KRS_OK);
    assert_string_equal(krs_config_text(&config, KRS_OPTION_LOG_LEVEL), "error");
    assert_int_equal(config.values[KRS_OPTION_LOG_LEVEL].source, KRS_SOURCE_FILE_SECTION);
    krs_config_deinit(&config);
    stop(&f);
}

static void an_environment_without_a_file_is_a_fault_only_as_a_flag(void **state)
{
    (void)state;
    char model[] = "m";
    char flag[] = "--env=prod";
    char *argv[] = {model, flag};
    krs_config config;
    krs_error err = KRS_ERROR_INIT;
    const krs_config_origin by_flag = {2, argv, no_variable};
    assert_int_equal(krs_config_load(&config, KRS_COMMAND_SERVE, &by_flag, &err), KRS_EINVAL);
    assert_string_equal(err.message, "--env: \"prod\", want --config too");
    krs_config_deinit(&config);
    const krs_config_origin by_variable = {1, argv, prod_variable};
    assert_int_equal(krs_config_load(&config, KRS_COMMAND_SERVE, &by_variable, &err), KRS_OK);
    krs_config_deinit(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reload_applies_live_options_only),
        cmocka_unit_test(a_flag_still_wins_after_a_reload),
        cmocka_unit_test(a_faulty_file_changes_nothing),
        cmocka_unit_test(the_environment_comes_from_a_variable),
        cmocka_unit_test(an_environment_without_a_file_is_a_fault_only_as_a_flag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
