/* The file of options: its environments, and faults told by file, line, key and nearest name. */
#include "api/config_file.h"

#include "support/cmocka.h"

#include <stdio.h>

static krs_config_file *parsed(const char *text)
{
    krs_config_file *file = NULL;
    krs_error err = KRS_ERROR_INIT;
    if (krs_config_file_parse(krs_str_of(text), "krs.yaml", &file, &err) != KRS_OK) {
        print_error("%s\n", err.message);
    }
    assert_non_null(file);
    return file;
}

static krs_status apply(const char *text, const char *environment, krs_config *config,
                        krs_error *err)
{
    krs_config_file *file = parsed(text);
    krs_config_init(config, KRS_COMMAND_SERVE);
    const krs_status status = krs_config_file_apply(file, environment, config, err);
    krs_config_file_close(file);
    return status;
}

static const char *const two = "port: 1\nmax-seqs: 4\nthreads: 3\n"
                               "environments:\n"
                               "  dev:\n    port: 2\n    max-seqs: 5\n"
                               "  prod:\n    port: 3\n"
                               "  bare:\n";

static void an_environment_wins_over_the_top(void **state)
{
    (void)state;
    const struct {
        const char *environment;
        int port;
        int max_seqs;
    } cases[] = {{NULL, 1, 4}, {"dev", 2, 5}, {"prod", 3, 4}, {"bare", 1, 4}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        krs_config config;
        krs_error err = KRS_ERROR_INIT;
        assert_int_equal(apply(two, cases[i].environment, &config, &err), KRS_OK);
        assert_int_equal(krs_config_int(&config, KRS_OPTION_PORT), cases[i].port);
        assert_int_equal(krs_config_int(&config, KRS_OPTION_MAX_SEQS), cases[i].max_seqs);
        assert_int_equal(krs_config_int(&config, KRS_OPTION_THREADS), 3);
    }
}

static void an_unknown_environment_is_told_its_nearest(void **state)
{
    (void)state;
    krs_config config;
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(apply(two, "prodd", &config, &err), KRS_EINVAL);
    assert_string_equal(err.message, "krs.yaml: no environment prodd; did you mean prod?");
    assert_string_equal(err.field, "env");
    assert_int_equal(apply("port: 1\n", "prod", &config, &err), KRS_EINVAL);
    assert_string_equal(err.message, "krs.yaml: no environment prod");
}

static void a_fault_names_file_line_key_and_limit(void **state)
{
    (void)state;
    const struct {
        const char *text;
        const char *message;
        const char *field;
    } cases[] = {
        {"\nprot: 1", "krs.yaml:2: unknown option prot; did you mean port?", "prot"},
        {"xyzzy: 1", "krs.yaml:1: unknown option xyzzy", "xyzzy"},
        {"port: -1", "krs.yaml:1: --port: \"-1\", want a whole number in 0..65535", "port"},
        {"port: [1]", "krs.yaml:1: port: want a single value", "port"},
        {"port: {a: 1}", "krs.yaml:1: port: want a single value", "port"},
        {"port:", "krs.yaml:1: port: no value", "port"},
        {"port: 1.5", "krs.yaml:1: --port: \"1.5\", want a whole number in 0..65535", "port"},
        {"host: 1", "krs.yaml:1: host: want text; put it in quotes", "host"},
        {"host: \"a\\0b\"", "krs.yaml:1: host: holds a NUL byte", "host"},
        {"config: x", "krs.yaml:1: config: not in a file; it is a flag or a variable", "config"},
        {"env: x", "krs.yaml:1: env: not in a file; it is a flag or a variable", "env"},
        {"[port]", "krs.yaml: want a mapping of option names to values", ""},
        {"environments: [a]", "krs.yaml:1: environments: want a mapping of names to options",
         "environments"},
        {"environments:\n  a: 1", "krs.yaml:2: environment a: want a mapping of options", "a"},
        /* Also in a section that was not chosen. */
        {"environments:\n  a:\n    mmap: perhaps",
         "krs.yaml:3: --mmap: \"perhaps\", want true or false", "mmap"},
        {"environments:\n  a:\n    environments: {}", "krs.yaml:3: unknown option environments",
         "environments"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        krs_config config;
        krs_error err = KRS_ERROR_INIT;
        assert_int_equal(apply(cases[i].text, NULL, &config, &err), KRS_EINVAL);
        assert_string_equal(err.message, cases[i].message);
        assert_string_equal(err.field, cases[i].field);
    }
}

static void what_does_not_parse_is_told_with_its_place(void **state)
{
    (void)state;
    krs_config_file *file = NULL;
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(krs_config_file_parse(KRS_STR("a: 1\na: 2\n"), "krs.yaml", &file, &err),
                     KRS_EINVAL);
    assert_null(file);
    assert_string_equal(err.message, "krs.yaml: YAML line 2 column 4: this key was given before");
    assert_int_equal(krs_config_file_open("no/such.yaml", &file, &err), KRS_ENOENT);
    assert_null(file);
    assert_non_null(strstr(err.message, "no/such.yaml"));
}

static void an_empty_file_sets_nothing(void **state)
{
    (void)state;
    const char *const texts[] = {"", "# nothing\n", "{}", "environments:\n"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        krs_config config;
        assert_int_equal(apply(texts[i], NULL, &config, NULL), KRS_OK);
        assert_false(krs_config_is_given(&config, KRS_OPTION_PORT));
    }
}

static void options_of_another_command_are_checked_and_passed_over(void **state)
{
    (void)state;
    krs_config_file *file = parsed("port: 1\nlog-level: warn\n");
    krs_config config;
    krs_config_init(&config, KRS_COMMAND_RUN);
    assert_int_equal(krs_config_file_apply(file, NULL, &config, NULL), KRS_OK);
    assert_false(krs_config_is_given(&config, KRS_OPTION_PORT));
    krs_config_file_close(file);
    file = parsed("port: -1\n");
    assert_int_equal(krs_config_file_apply(file, NULL, &config, NULL), KRS_EINVAL);
    krs_config_file_close(file);
}

typedef struct seen {
    uint32_t n;
    char all[1024];
} seen;

static void see(void *ctx, const krs_error *fault)
{
    seen *s = ctx;
    const size_t n = strlen(s->all);
    (void)snprintf(s->all + n, sizeof(s->all) - n, "%s\n", fault->message);
    s->n++;
}

static void a_check_reports_every_fault(void **state)
{
    (void)state;
    krs_config_file *file =
        parsed("prot: 1\nthreads: 2\nport: x\nenvironments:\n  a:\n    mmap: 3\n"
               "  b: 1\n  c:\n    hots: x\n");
    seen s = {0};
    assert_int_equal(krs_config_file_check(file, see, &s), 5);
    assert_int_equal(s.n, 5);
    assert_string_equal(s.all, "krs.yaml:1: unknown option prot; did you mean port?\n"
                               "krs.yaml:3: --port: \"x\", want a whole number in 0..65535\n"
                               "krs.yaml:6: --mmap: \"3\", want true or false\n"
                               "krs.yaml:7: environment b: want a mapping of options\n"
                               "krs.yaml:9: unknown option hots; did you mean host?\n");
    krs_config_file_close(file);
    file = parsed(two);
    assert_int_equal(krs_config_file_check(file, see, &s), 0);
    krs_config_file_close(file);
}

static void a_value_is_found_where_it_stands(void **state)
{
    (void)state;
    krs_config_file *file = parsed(two);
    bool in_section = false;
    assert_int_equal(krs_config_file_line(file, "dev", KRS_OPTION_PORT, &in_section), 6);
    assert_true(in_section);
    assert_int_equal(krs_config_file_line(file, "prod", KRS_OPTION_MAX_SEQS, &in_section), 2);
    assert_false(in_section);
    assert_int_equal(krs_config_file_line(file, NULL, KRS_OPTION_PORT, &in_section), 1);
    assert_int_equal(krs_config_file_line(file, "dev", KRS_OPTION_HOST, &in_section), 0);
    assert_string_equal(krs_config_file_environment(file, 0), "dev");
    assert_string_equal(krs_config_file_environment(file, 2), "bare");
    assert_null(krs_config_file_environment(file, 3));
    krs_config_file_close(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_environment_wins_over_the_top),
        cmocka_unit_test(an_unknown_environment_is_told_its_nearest),
        cmocka_unit_test(a_fault_names_file_line_key_and_limit),
        cmocka_unit_test(what_does_not_parse_is_told_with_its_place),
        cmocka_unit_test(an_empty_file_sets_nothing),
        cmocka_unit_test(options_of_another_command_are_checked_and_passed_over),
        cmocka_unit_test(a_check_reports_every_fault),
        cmocka_unit_test(a_value_is_found_where_it_stands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
