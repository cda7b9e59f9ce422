/* tests/unit/text/test_template.c - the template language, construct by construct, and its limits.
 *
 * tests/data/template_constructs holds about a thousand one-line templates with what Jinja2 made of
 * them, so the expectations are not ours. The rest is what Jinja2 has no answer to: budgets, statuses,
 * line numbers. */
#include "os/clock.h"
#include "os/file.h"
#include "support/cmocka.h"
#include "text/template.h"

#include <stdio.h>
#include <stdlib.h>

#define FILE_MAX_BYTES (16u << 20)
#define NOW            1767323045u /* 2026-01-02T03:04:05Z */

typedef struct outcome {
    krs_status status;
    krs_error err;
    krs_buf out;
} outcome;

static outcome render_with(krs_str source, const json_t *inputs, uint64_t max_steps)
{
    outcome o = {.err = KRS_ERROR_INIT};
    krs_template *t = NULL;
    krs_template_options options = KRS_TEMPLATE_OPTIONS_INIT;
    options.now_unix_s = NOW;
    options.max_steps = max_steps;
    krs_buf_init(&o.out, NULL, FILE_MAX_BYTES * 8);
    o.status = krs_template_parse(source, NULL, &t, &o.err);
    if (o.status == KRS_OK) {
        o.status = krs_template_render(t, inputs, &options, &o.out, &o.err);
    }
    krs_template_free(t);
    return o;
}

static outcome render(const char *source)
{
    json_t *inputs = json_object();
    outcome o = render_with(krs_str_of(source), inputs, 0);
    json_decref(inputs);
    return o;
}

static void assert_renders(const char *source, const char *want)
{
    outcome o = render(source);
    assert_int_equal(o.status, KRS_OK);
    assert_string_equal(o.out.data ? o.out.data : "", want);
    krs_buf_deinit(&o.out);
}

static void assert_fails(const char *source, krs_status status, const char *words)
{
    outcome o = render(source);
    if (o.status != status || !strstr(o.err.message, words)) {
        print_error("%s\n  gave %s: %s\n", source, krs_status_name(o.status), o.err.message);
    }
    assert_int_equal(o.status, status);
    assert_non_null(strstr(o.err.message, words));
    assert_int_equal(o.out.len, 0); /* all or nothing */
    krs_buf_deinit(&o.out);
}

static json_t *read_json(const char *path)
{
    krs_buf bytes;
    json_t *out = NULL;
    const krs_json_limits limits = {FILE_MAX_BYTES, true};
    krs_buf_init(&bytes, NULL, FILE_MAX_BYTES);
    assert_int_equal(krs_os_file_read(path, &bytes, NULL), KRS_OK);
    assert_int_equal(krs_json_parse(krs_buf_view(&bytes), &limits, &out, NULL), KRS_OK);
    krs_buf_deinit(&bytes);
    return out;
}

/* ---- against Jinja2 ---- */

static bool is_as_jinja(const json_t *c, const outcome *o)
{
    const json_t *want = json_object_get(c, "rendered");
    if (!want) {
        return o->status != KRS_OK;
    }
    const krs_str text = {json_string_value(want), json_string_length(want)};
    return o->status == KRS_OK && krs_str_equal(krs_buf_view(&o->out), text);
}

static void constructs_render_as_jinja_does(void **state)
{
    (void)state;
    json_t *doc = read_json(KRS_SOURCE_DIR "/tests/data/template_constructs/constructs.json");
    const json_t *cases = json_object_get(doc, "cases");
    size_t n_failed = 0;
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i);
        const json_t *source = json_object_get(c, "template");
        outcome o = render_with((krs_str){json_string_value(source), json_string_length(source)},
                                json_object_get(doc, "inputs"), 0);
        if (!is_as_jinja(c, &o)) {
            const json_t *want = json_object_get(c, "rendered");
            want = want ? want : json_object_get(c, "error");
            print_error("%s\n  got:  %s\n  want: %s\n", json_string_value(source),
                        o.status == KRS_OK ? (o.out.data ? o.out.data : "") : o.err.message,
                        json_string_value(want));
            n_failed++;
        }
        krs_buf_deinit(&o.out);
    }
    print_message("%zu constructs, %zu differ\n", json_array_size(cases), n_failed);
    assert_true(json_array_size(cases) > 900);
    assert_int_equal(n_failed, 0);
    json_decref(doc);
}

/* ---- budgets: a bomb ends with its status, long before it is done ---- */

static void assert_defused(const char *source, const char *words)
{
    assert_fails(source, KRS_ETOOLARGE, words); /* the test runner's time limit does the rest */
}

static void nested_loops_run_out_of_steps(void **state)
{
    (void)state;
    assert_defused("{% set r = range(99999) %}{% for a in r %}{% for b in r %}{% for c in r %}"
                   "{% endfor %}{% endfor %}{% endfor %}",
                   "steps");
    assert_defused("{% for a in range(99999) %}{% for b in range(99999) %}{{ a }}"
                   "{% endfor %}{% endfor %}",
                   "");
}

static void a_step_budget_can_be_given(void **state)
{
    (void)state;
    json_t *inputs = json_object();
    const krs_str source = KRS_STR("{% for a in range(100) %}x{% endfor %}");
    outcome o = render_with(source, inputs, 50);
    assert_int_equal(o.status, KRS_ETOOLARGE);
    krs_buf_deinit(&o.out);
    o = render_with(source, inputs, 5000);
    assert_int_equal(o.status, KRS_OK);
    krs_buf_deinit(&o.out);
    json_decref(inputs);
}

static void a_giant_range_is_refused(void **state)
{
    (void)state;
    assert_defused("{{ range(100001) }}", "limit 100000");
    assert_defused("{{ range(-9223372036854775807, 9223372036854775807) }}", "limit 100000");
    assert_renders("{{ range(100000)|length }}", "100000");
}

static void doubling_a_string_runs_out_of_memory_budget(void **state)
{
    (void)state;
    assert_defused("{% set n = namespace(s='xxxxxxxxxxxxxxxx') %}{% for a in range(99) %}"
                   "{% set n.s = n.s ~ n.s %}{% endfor %}",
                   "");
    assert_defused("{{ 'x' * 9999999999 }}", "times");
    assert_defused("{{ ([1] * 9999999) * 9999999 }}", "times");
    assert_defused("{{ '%9999999d' % 1 }}", "wider");
}

static void doubling_a_list_runs_out_of_memory_budget(void **state)
{
    (void)state;
    assert_defused("{% set n = namespace(l=[1]) %}{% for a in range(99) %}"
                   "{% set n.l = n.l + n.l %}{% endfor %}",
                   "");
}

static void output_has_a_ceiling(void **state)
{
    (void)state;
    assert_defused("{% set s = 'x' * 1000000 %}{% for a in range(1000) %}{{ s }}{% endfor %}", "");
}

static void recursion_ends_at_its_depth(void **state)
{
    (void)state;
    assert_defused("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "deeper");
    assert_defused("{% for a in [1] recursive %}{{ loop([a]) }}{% endfor %}", "deeper");
}

static void a_value_nested_without_end_cannot_be_printed_or_compared(void **state)
{
    (void)state;
    static const char nest[] = "{% set n = namespace(l=[]) %}{% for a in range(5000) %}"
                               "{% set n.l = [n.l] %}{% endfor %}";
    static const char *const uses[] = {"{{ n.l }}", "{{ n.l|tojson }}", "{{ n.l == [n.l] }}",
                                       "{{ n.l < [n.l] }}"};
    for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); i++) {
        char source[256];
        (void)snprintf(source, sizeof(source), "%s%s", nest, uses[i]);
        assert_defused(source, "nested deeper");
    }
}

static void repeat_into(krs_buf *buf, const char *piece, size_t times)
{
    for (size_t i = 0; i < times; i++) {
        assert_int_equal(krs_buf_append(buf, piece, strlen(piece)), KRS_OK);
    }
}

static void assert_nest_refused(const char *open, const char *middle, const char *close)
{
    krs_buf source;
    json_t *inputs = json_object();
    krs_buf_init(&source, NULL, FILE_MAX_BYTES);
    repeat_into(&source, open, 20000);
    repeat_into(&source, middle, 1);
    repeat_into(&source, close, 20000);
    outcome o = render_with(krs_buf_view(&source), inputs, 0);
    assert_int_equal(o.status, KRS_ETOOLARGE);
    krs_buf_deinit(&o.out);
    krs_buf_deinit(&source);
    json_decref(inputs);
}

static void deep_syntax_is_refused_while_parsing(void **state)
{
    (void)state;
    assert_nest_refused("{% if 1 %}", "x", "{% endif %}");
    assert_nest_refused("{{", "1", "}}"); /* a dict in a dict in a dict: brackets */
}

static void deep_expressions_are_refused_while_parsing(void **state)
{
    (void)state;
    krs_buf source;
    json_t *inputs = json_object();
    static const char *const pieces[] = {"(",      "[", "not ", "-", "1+", "1 if 1 else ",
                                         "1 and ", "a."};
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        krs_buf_init(&source, NULL, FILE_MAX_BYTES);
        repeat_into(&source, "{{ ", 1);
        repeat_into(&source, pieces[i], 5000);
        repeat_into(&source, "x }}", 1);
        outcome o = render_with(krs_buf_view(&source), inputs, 0);
        assert_int_equal(o.status, KRS_ETOOLARGE);
        krs_buf_deinit(&o.out);
        krs_buf_deinit(&source);
    }
    json_decref(inputs);
}

static void a_long_prompt_built_piece_by_piece_stays_within_memory(void **state)
{
    (void)state;
    /* 20,000 appends of 100 bytes: copying each time would take 20 GB. */
    outcome o =
        render("{% set n = namespace(s='') %}{% set p = 'x' * 100 %}{% for a in range(20000) %}"
               "{% set n.s = n.s + p %}{% endfor %}{{ n.s }}");
    assert_int_equal(o.status, KRS_OK);
    assert_int_equal(o.out.len, 2000000);
    krs_buf_deinit(&o.out);
}

/* ---- failures: which status, which words ---- */

static void syntax_errors_name_their_line(void **state)
{
    (void)state;
    assert_fails("a\nb\n{% if %}", KRS_EFORMAT, "line 3");
    assert_fails("{{ 'abc", KRS_EFORMAT, "a string has no end");
    assert_fails("{# abc", KRS_EFORMAT, "a comment has no end");
    assert_fails("{% for a in b %}", KRS_EFORMAT, "'else' is missing");
    assert_fails("{% break %}", KRS_EFORMAT, "outside a loop");
    assert_fails("{{ 99999999999999999999 }}", KRS_EUNSUPPORTED, "64 bits");
    assert_fails("{{ '\\ud800' }}", KRS_EFORMAT, "escape");
}

static void what_reaches_outside_is_refused_by_name(void **state)
{
    (void)state;
    assert_fails("\n{% include 'x' %}", KRS_EUNSUPPORTED, "line 2: 'include'");
    assert_fails("{% import 'x' as y %}", KRS_EUNSUPPORTED, "'import'");
    assert_fails("{% extends 'x' %}", KRS_EUNSUPPORTED, "'extends'");
    assert_fails("{% do x %}", KRS_EUNSUPPORTED, "'do'");
    assert_fails("{% nonsense %}", KRS_EUNSUPPORTED, "unknown tag 'nonsense'");
    assert_fails("{{ 1|nonsense }}", KRS_EUNSUPPORTED, "No filter named 'nonsense'");
    assert_fails("{{ 1 is nonsense }}", KRS_EUNSUPPORTED, "No test named 'nonsense'");
    assert_fails("{{ 'a'.encode() }}", KRS_EUNSUPPORTED, "'encode' is not supported");
}

static void an_unknown_filter_in_a_condition_waits_until_it_is_reached(void **state)
{
    (void)state;
    assert_renders("{% if false %}{{ 1|nonsense }}{% endif %}ok", "ok");
    assert_renders("{{ 1|nonsense if false else 'ok' }}", "ok");
    assert_fails("{% if true %}{{ 1|nonsense }}{% endif %}", KRS_EUNSUPPORTED, "nonsense");
}

static void raised_words_are_the_whole_message(void **state)
{
    (void)state;
    outcome o = render("\n\n{{ raise_exception('roles must alternate') }}");
    assert_int_equal(o.status, KRS_EINVAL);
    assert_string_equal(o.err.message, "roles must alternate");
    krs_buf_deinit(&o.out);
}

static void run_time_errors_name_their_line(void **state)
{
    (void)state;
    assert_fails("a\n{{ x.y }}", KRS_EINVAL, "line 2: 'x' is undefined");
    assert_fails("{{ [].append(1) }}", KRS_EINVAL, "'append' of 'list' object is unsafe");
    assert_fails("{{ 9223372036854775807 + 1 }}", KRS_EINVAL, "64 bits");
    assert_fails("{{ 2 ** 64 }}", KRS_EINVAL, "64 bits");
    assert_fails("{{ (-9223372036854775807 - 1) // -1 }}", KRS_EINVAL, "64 bits");
}

static void inputs_that_are_no_object_are_refused(void **state)
{
    (void)state;
    json_t *list = json_array();
    outcome o = render_with(KRS_STR("x"), list, 0);
    assert_int_equal(o.status, KRS_EINVAL);
    krs_buf_deinit(&o.out);
    json_decref(list);
}

static void a_source_above_the_limit_is_refused(void **state)
{
    (void)state;
    krs_template *t = NULL;
    char *source = krs_alloc_zero(NULL, KRS_TEMPLATE_MAX_BYTES + 1);
    assert_non_null(source);
    const krs_str text = {source, KRS_TEMPLATE_MAX_BYTES + 1};
    assert_int_equal(krs_template_parse(text, NULL, &t, NULL), KRS_ETOOLARGE);
    assert_null(t);
    krs_alloc_free(NULL, source);
}

static void output_is_appended_to_what_is_there(void **state)
{
    (void)state;
    krs_template *t = NULL;
    json_t *inputs = json_object();
    krs_buf out;
    krs_buf_init(&out, NULL, 64);
    assert_int_equal(krs_buf_append(&out, "ab", 2), KRS_OK);
    assert_int_equal(krs_template_parse(KRS_STR("{{ 'cd' }}"), NULL, &t, NULL), KRS_OK);
    assert_int_equal(krs_template_render(t, inputs, NULL, &out, NULL), KRS_OK);
    assert_string_equal(out.data, "abcd");
    krs_buf_deinit(&out);
    krs_template_free(t);
    json_decref(inputs);
}

static void mentions_knows_the_variables_of_a_template(void **state)
{
    (void)state;
    krs_template *t = NULL;
    assert_int_equal(
        krs_template_parse(KRS_STR("{% if tools %}tools and messages{% endif %}"), NULL, &t, NULL),
        KRS_OK);
    assert_true(krs_template_mentions(t, KRS_STR("tools")));
    assert_false(krs_template_mentions(t, KRS_STR("messages"))); /* text, not a variable */
    krs_template_free(t);
}

static void the_clock_is_the_one_given(void **state)
{
    (void)state;
    assert_renders("{{ strftime_now('%d %B %Y %H:%M:%S') }}", "02 January 2026 03:04:05");
    json_t *inputs = json_object();
    krs_template *t = NULL;
    krs_buf out;
    krs_template_options options = KRS_TEMPLATE_OPTIONS_INIT;
    options.now_unix_s = 951782400 + 86399; /* the last second of 2000-02-29 */
    krs_buf_init(&out, NULL, 64);
    assert_int_equal(
        krs_template_parse(KRS_STR("{{ strftime_now('%F %T %j %a') }}"), NULL, &t, NULL), KRS_OK);
    assert_int_equal(krs_template_render(t, inputs, &options, &out, NULL), KRS_OK);
    assert_string_equal(out.data, "2000-02-29 23:59:59 060 Tue");
    krs_buf_deinit(&out);
    krs_template_free(t);
    json_decref(inputs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constructs_render_as_jinja_does),
        cmocka_unit_test(nested_loops_run_out_of_steps),
        cmocka_unit_test(a_step_budget_can_be_given),
        cmocka_unit_test(a_giant_range_is_refused),
        cmocka_unit_test(doubling_a_string_runs_out_of_memory_budget),
        cmocka_unit_test(doubling_a_list_runs_out_of_memory_budget),
        cmocka_unit_test(output_has_a_ceiling),
        cmocka_unit_test(recursion_ends_at_its_depth),
        cmocka_unit_test(a_value_nested_without_end_cannot_be_printed_or_compared),
        cmocka_unit_test(deep_syntax_is_refused_while_parsing),
        cmocka_unit_test(deep_expressions_are_refused_while_parsing),
        cmocka_unit_test(a_long_prompt_built_piece_by_piece_stays_within_memory),
        cmocka_unit_test(syntax_errors_name_their_line),
        cmocka_unit_test(what_reaches_outside_is_refused_by_name),
        cmocka_unit_test(an_unknown_filter_in_a_condition_waits_until_it_is_reached),
        cmocka_unit_test(raised_words_are_the_whole_message),
        cmocka_unit_test(run_time_errors_name_their_line),
        cmocka_unit_test(inputs_that_are_no_object_are_refused),
        cmocka_unit_test(a_source_above_the_limit_is_refused),
        cmocka_unit_test(output_is_appended_to_what_is_there),
        cmocka_unit_test(mentions_knows_the_variables_of_a_template),
        cmocka_unit_test(the_clock_is_the_one_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
