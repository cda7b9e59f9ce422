/* tests/unit/text/test_template_pairs.c - real chat templates against what transformers made of them.
 *
 * Each X.jinja stands beside X.json: conversations, and for each the text Jinja2 rendered or the error
 * it raised. Text must match byte for byte; where Jinja2 failed we must fail, and say the same when the
 * words are the template's own (raise_exception). Templates with a permissive licence are kept in
 * tests/data/templates; the folder named by KRS_TESTDATA holds more. */
#include "os/file.h"
#include "support/cmocka.h"
#include "text/template.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#define PAIRS_MAX_BYTES (16u << 20) /* any one file */
#define PAIRS_NOW       1767323045u /* 2026-01-02T03:04:05Z, as in the files */

typedef struct tally {
    size_t n_files;
    size_t n_passed;
    size_t n_failed;
    size_t n_same_words; /* of the errors: the message holds Jinja2's */
    size_t n_errors;
} tally;

static json_t *read_json(const char *path)
{
    krs_buf bytes;
    json_t *out = NULL;
    const krs_json_limits limits = {PAIRS_MAX_BYTES, true};
    krs_buf_init(&bytes, NULL, PAIRS_MAX_BYTES);
    assert_int_equal(krs_os_file_read(path, &bytes, NULL), KRS_OK);
    assert_int_equal(krs_json_parse(krs_buf_view(&bytes), &limits, &out, NULL), KRS_OK);
    krs_buf_deinit(&bytes);
    return out;
}

static void report(const char *name, const json_t *c, const char *what, krs_str got)
{
    const json_t *error = json_object_get(c, "error");
    const json_t *want = error ? error : json_object_get(c, "rendered");
    print_error("%s, case %s: %s\n  got:  %.*s\n  want: %.300s\n", name,
                json_string_value(json_object_get(c, "case")), what,
                got.len > 300 ? 300 : (int)got.len, got.ptr ? got.ptr : "",
                json_string_value(want));
}

/* What Jinja2 said, without the name of its exception. */
static const char *words_of(const char *error)
{
    const char *colon = strstr(error, ": ");
    return colon ? colon + 2 : error;
}

static void check_error(const char *name, const json_t *c, krs_status status, const krs_error *err,
                        tally *t)
{
    const char *want = json_string_value(json_object_get(c, "error"));
    const bool is_own = strncmp(want, "TemplateError: ", 15) == 0;
    const bool is_same = strstr(err->message, words_of(want)) != NULL;
    const bool is_ok = status != KRS_OK && (is_same || !is_own);
    t->n_errors++;
    t->n_same_words += status != KRS_OK && is_same;
    t->n_passed += is_ok;
    t->n_failed += !is_ok;
    if (!is_ok || !is_same) {
        report(name, c, is_ok ? "(note) other words" : "should have failed so",
               krs_str_of(err->message));
    }
}

static void check_case(const char *name, const krs_template *template, const json_t *doc,
                       const json_t *c, tally *t)
{
    json_t *inputs = json_copy(json_object_get(c, "inputs"));
    krs_template_options options = KRS_TEMPLATE_OPTIONS_INIT;
    krs_error err = KRS_ERROR_INIT;
    krs_buf out;
    options.now_unix_s = PAIRS_NOW;
    krs_buf_init(&out, NULL, PAIRS_MAX_BYTES);
    json_object_set(inputs, "bos_token", json_object_get(doc, "bos_token"));
    json_object_set(inputs, "eos_token", json_object_get(doc, "eos_token"));
    krs_status status = krs_template_render(template, inputs, &options, &out, &err);
    const json_t *want = json_object_get(c, "rendered");
    if (!want) {
        check_error(name, c, status, &err, t);
    } else {
        const krs_str text = {json_string_value(want), json_string_length(want)};
        const bool is_ok = status == KRS_OK && krs_str_equal(krs_buf_view(&out), text);
        t->n_passed += is_ok;
        t->n_failed += !is_ok;
        if (!is_ok) {
            report(name, c, status == KRS_OK ? "text differs" : "failed",
                   status == KRS_OK ? krs_buf_view(&out) : krs_str_of(err.message));
        }
    }
    krs_buf_deinit(&out);
    json_decref(inputs);
}

static void check_pair(const char *folder, const char *name, tally *t)
{
    char path[KRS_OS_PATH_BYTES];
    krs_buf source;
    krs_template *template = NULL;
    krs_error err = KRS_ERROR_INIT;
    (void)snprintf(path, sizeof(path), "%s/%s.json", folder, name);
    json_t *doc = read_json(path);
    const json_t *cases = json_object_get(doc, "cases");
    krs_buf_init(&source, NULL, PAIRS_MAX_BYTES);
    (void)snprintf(path, sizeof(path), "%s/%s.jinja", folder, name);
    assert_int_equal(krs_os_file_read(path, &source, NULL), KRS_OK);
    t->n_files++;
    if (krs_template_parse(krs_buf_view(&source), NULL, &template, &err) != KRS_OK) {
        print_error("%s: %s\n", name, err.message);
        t->n_failed += json_array_size(cases);
    }
    for (size_t i = 0; template && i < json_array_size(cases); i++) {
        check_case(name, template, doc, json_array_get(cases, i), t);
    }
    krs_template_free(template);
    krs_buf_deinit(&source);
    json_decref(doc);
}

static void check_folder(const char *folder)
{
    tally t = {0};
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir));) {
        char name[256];
        const size_t n = strlen(entry->d_name);
        if (n > 6 && n < sizeof(name) && strcmp(entry->d_name + n - 6, ".jinja") == 0) {
            memcpy(name, entry->d_name, n - 6);
            name[n - 6] = '\0';
            check_pair(folder, name, &t);
        }
    }
    (void)closedir(dir);
    print_message(
        "%s: %zu templates, %zu cases passed, %zu failed; %zu errors, %zu in the same words\n",
        folder, t.n_files, t.n_passed, t.n_failed, t.n_errors, t.n_same_words);
    assert_true(t.n_files > 0);
    assert_int_equal(t.n_failed, 0);
}

static void kept_templates_render_as_transformers_does(void **state)
{
    (void)state;
    check_folder(KRS_SOURCE_DIR "/tests/data/templates");
}

static void all_templates_render_as_transformers_does(void **state)
{
    (void)state;
    char folder[KRS_OS_PATH_BYTES];
    const char *data = getenv("KRS_TESTDATA");
    if (!data) {
        print_message("skipped: KRS_TESTDATA is not set\n");
        skip();
        return;
    }
    (void)snprintf(folder, sizeof(folder), "%s/templates", data);
    check_folder(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_templates_render_as_transformers_does),
        cmocka_unit_test(all_templates_render_as_transformers_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
