/* telemetry/log: lines that are valid whatever is put into them. */
#include "support/cmocka.h"
#include "telemetry/log.h"

#include <stdio.h>

typedef struct caught {
    char text[KRS_LOG_LINE_BYTES + 1];
    krs_log_level level;
    int n;
} caught;

static void catch_line(void *ctx, krs_log_level level, krs_str line)
{
    caught *c = ctx;
    assert_true(line.len <= KRS_LOG_LINE_BYTES);
    memcpy(c->text, line.ptr, line.len);
    c->text[line.len] = '\0';
    c->level = level;
    c->n++;
}

static uint64_t fixed_clock(void)
{
    return UINT64_C(1767323045123456789); /* 2026-01-02T03:04:05.123 UTC */
}

static krs_log log_into(caught *c, krs_log_format format)
{
    memset(c, 0, sizeof(*c));
    return (krs_log){c, catch_line, fixed_clock, KRS_LOG_INFO, format};
}

static void a_record_is_one_json_line(void **state)
{
    (void)state;
    caught c;
    const krs_log log = log_into(&c, KRS_LOG_NDJSON);
    const krs_log_field fields[] = {
        krs_log_text("model", "a\"b\n\x01\xff"),
        krs_log_int("n", -5),
        krs_log_double("x", 0.25),
        krs_log_double("inf", 1.0 / 0.0),
        krs_log_bool("ok", true),
    };
    krs_log_write(&log, KRS_LOG_WARN, "model.loaded", "req-1", fields, 5);
    assert_string_equal(c.text, "{\"time\":\"2026-01-02T03:04:05.123Z\",\"level\":\"warn\","
                                "\"event\":\"model.loaded\",\"id\":\"req-1\","
                                "\"model\":\"a\\\"b\\n\\u0001\xef\xbf\xbd\",\"n\":-5,\"x\":0.25,"
                                "\"inf\":null,\"ok\":true}\n");
    assert_int_equal(c.level, KRS_LOG_WARN);
    krs_log_write(&log, KRS_LOG_INFO, "a.b", NULL, NULL, 0);
    assert_string_equal(c.text, "{\"time\":\"2026-01-02T03:04:05.123Z\",\"level\":\"info\","
                                "\"event\":\"a.b\"}\n");
}

static void the_text_form_is_for_people(void **state)
{
    (void)state;
    caught c;
    const krs_log log = log_into(&c, KRS_LOG_TEXT);
    const krs_log_field fields[] = {krs_log_text("m", "x y"), krs_log_int("n", 1)};
    krs_log_write(&log, KRS_LOG_INFO, "model.loaded", "r", fields, 2);
    assert_string_equal(c.text, "03:04:05.123 info  model.loaded id=\"r\" m=\"x y\" n=1\n");
}

static void levels_filter_and_null_is_silent(void **state)
{
    (void)state;
    caught c;
    krs_log log = log_into(&c, KRS_LOG_NDJSON);
    krs_log_write(&log, KRS_LOG_DEBUG, "a.b", NULL, NULL, 0);
    assert_int_equal(c.n, 0);
    log.min_level = KRS_LOG_SILENT;
    krs_log_write(&log, KRS_LOG_ERROR, "a.b", NULL, NULL, 0);
    assert_int_equal(c.n, 0);
    krs_log_write(NULL, KRS_LOG_ERROR, "a.b", NULL, NULL, 0);
    assert_false(krs_log_is_on(NULL, KRS_LOG_ERROR));
    log.min_level = KRS_LOG_DEBUG;
    krs_log_write(&log, KRS_LOG_DEBUG, "a.b", NULL, NULL, 0);
    assert_int_equal(c.n, 1);
}

static void a_line_too_long_loses_whole_fields_and_says_so(void **state)
{
    (void)state;
    caught c;
    const krs_log log = log_into(&c, KRS_LOG_NDJSON);
    char large[KRS_LOG_LINE_BYTES];
    memset(large, 'x', sizeof(large));
    const krs_log_field fields[] = {
        krs_log_int("kept", 1),
        krs_log_str("large", (krs_str){large, sizeof(large)}),
        krs_log_int("lost", 2),
    };
    krs_log_write(&log, KRS_LOG_INFO, "a.b", NULL, fields, 3);
    assert_non_null(strstr(c.text, "\"event\":\"a.b\",\"kept\":1,\"cut\":true}\n"));
    assert_null(strstr(c.text, "xxx"));
    /* Every length near the limit gives a whole line. */
    for (size_t n = KRS_LOG_LINE_BYTES - 140; n < KRS_LOG_LINE_BYTES; n++) {
        const krs_log_field near = krs_log_str("s", (krs_str){large, n});
        krs_log_write(&log, KRS_LOG_INFO, "a.b", NULL, &near, 1);
        const size_t len = strlen(c.text);
        assert_true(c.text[len - 1] == '\n' && c.text[len - 2] == '}');
        assert_true((strstr(c.text, "\"cut\":true") != NULL) != (strstr(c.text, "xxx") != NULL));
    }
}

static void an_overlong_id_still_gives_a_valid_line(void **state)
{
    (void)state;
    caught c;
    const krs_log log = log_into(&c, KRS_LOG_NDJSON);
    char large[KRS_LOG_LINE_BYTES + 100];
    memset(large, 'x', sizeof(large));
    large[sizeof(large) - 1] = '\0';
    krs_log_write(&log, KRS_LOG_INFO, "a.b", large, NULL, 0);
    assert_string_equal(c.text, "{\"event\":\"log.overlong\"}\n");
}

static void dates_are_right_through_leap_years(void **state)
{
    (void)state;
    static const struct {
        uint64_t second;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00"},          {951782400, "2000-02-29T00:00:00"},
        {951868800, "2000-03-01T00:00:00"},  {1709164799, "2024-02-28T23:59:59"},
        {1709164800, "2024-02-29T00:00:00"}, {4107542400, "2100-03-01T00:00:00"},
        {1798761599, "2026-12-31T23:59:59"}, {4107542399, "2100-02-28T23:59:59"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char line[KRS_LOG_LINE_BYTES];
        const krs_log_record record = {.wall_ns = cases[i].second * UINT64_C(1000000000),
                                       .event = "a.b"};
        const size_t n = krs_log_format_record(&record, KRS_LOG_NDJSON, line);
        assert_true(n > 30);
        assert_memory_equal(line + 9, cases[i].text, 19);
    }
}

static void an_error_becomes_fields(void **state)
{
    (void)state;
    caught c;
    const krs_log log = log_into(&c, KRS_LOG_NDJSON);
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(krs_fail_field(&err, KRS_EINVAL, "top_k", "top_k: %d", -1), KRS_EINVAL);
    krs_log_error(&log, KRS_LOG_ERROR, "request.refused", "r", &err);
    assert_non_null(
        strstr(c.text, "\"status\":\"KRS_EINVAL\",\"message\":\"top_k: -1\",\"field\":\"top_k\"}"));
    krs_log_error(&log, KRS_LOG_ERROR, "request.refused", "r", NULL);
    assert_non_null(strstr(c.text, "\"status\":\"KRS_OK\""));
}

static void level_names_read_back(void **state)
{
    (void)state;
    for (int i = KRS_LOG_DEBUG; i <= KRS_LOG_SILENT; i++) {
        krs_log_level level = KRS_LOG_SILENT;
        assert_int_equal(krs_log_level_of(krs_str_of(krs_log_level_name((krs_log_level)i)), &level),
                         KRS_OK);
        assert_int_equal(level, i);
    }
    krs_log_level level = KRS_LOG_WARN;
    assert_int_equal(krs_log_level_of(KRS_STR("loud"), &level), KRS_EINVAL);
    assert_int_equal(level, KRS_LOG_WARN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_one_json_line),
        cmocka_unit_test(the_text_form_is_for_people),
        cmocka_unit_test(levels_filter_and_null_is_silent),
        cmocka_unit_test(a_line_too_long_loses_whole_fields_and_says_so),
        cmocka_unit_test(an_overlong_id_still_gives_a_valid_line),
        cmocka_unit_test(dates_are_right_through_leap_years),
        cmocka_unit_test(an_error_becomes_fields),
        cmocka_unit_test(level_names_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
