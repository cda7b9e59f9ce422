/* service/keyfile, service/access: which files are keys, whose key it is, what a key may spend. */
#include "service_fixture.h"

#include "os/dir.h"
#include "support/oom.h"

#include <unistd.h>

/* SHA-256 of "alice-key", "alice-new", "bob-key" and "root-key" are computed, not quoted. */
typedef struct key_fixture {
    fixture *f;
    char dir[KRS_OS_PATH_BYTES];
    char path[KRS_OS_PATH_BYTES + 16];
} key_fixture;

static const char *hex_of(const char *key)
{
    static char hex[4][KRS_SHA256_HEX_BYTES];
    static unsigned n;
    char *out = hex[n++ % 4];
    uint8_t digest[KRS_SHA256_BYTES];
    krs_sha256(krs_str_of(key), digest);
    krs_sha256_write(digest, out);
    return out;
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

static krs_status new_service(key_fixture *k, krs_error *err)
{
    krs_service_options options = KRS_SERVICE_OPTIONS_INIT;
    options.opener = (krs_opener){&k->f->shelf, shelf_open};
    options.runtime = &counted_runtime(&k->f->shelf)->base;
    options.is_runtime_given = true;
    options.metrics = k->f->metrics;
    options.key_file = k->path;
    const krs_status status = krs_service_new(&options, NULL, &k->f->service, err);
    if (status != KRS_OK) {
        krs_runtime_free(options.runtime);
    }
    return status;
}

static key_fixture *keys_of(const char *text)
{
    key_fixture *k = calloc(1, sizeof(*k));
    assert_non_null(k);
    k->f = calloc(1, sizeof(*k->f));
    assert_non_null(k->f);
    shelf_of_free = &k->f->shelf;
    assert_int_equal(krs_metrics_new(NULL, &k->f->metrics), KRS_OK);
    assert_int_equal(krs_os_dir_temporary(k->dir, NULL), KRS_OK);
    (void)snprintf(k->path, sizeof(k->path), "%s/keys", k->dir);
    write_file(k->path, text);
    krs_error err = KRS_ERROR_INIT;
    if (new_service(k, &err) != KRS_OK) {
        fail_msg("%s", err.message);
    }
    return k;
}

static void keys_free(key_fixture *k)
{
    fixture_free(k->f);
    assert_int_equal(krs_os_dir_remove(k->dir, NULL), KRS_OK);
    free(k);
}

static krs_status whose(key_fixture *k, const char *key, krs_access *out)
{
    return krs_service_authenticate(k->f->service, krs_str_of(key), out, NULL);
}

/* --- the file --- */

/* The text with a digest for every '@' and a digest that lacks a digit for every '~'. */
static krs_status parse(const char *pattern, krs_keyfile *file, krs_error *err)
{
    char text[4096];
    size_t n = 0;
    for (const char *c = pattern; *c; c++) {
        if (*c == '@' || *c == '~') {
            n += (size_t)snprintf(text + n, sizeof(text) - n, "%.*s", *c == '@' ? 64 : 63,
                                  hex_of("alice-key"));
        } else {
            text[n++] = *c;
        }
    }
    return krs_keyfile_parse((krs_str){text, n}, NULL, file, err);
}

static void a_line_is_read_in_full(void **state)
{
    (void)state;
    krs_keyfile file;
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(parse("# all of it\n\n \t\r\nalice\tsha256:@  admin rpm=60/90 tpm=1000 "
                           "concurrent=8 weight=3 best=normal # and why\r\n",
                           &file, &err),
                     KRS_OK);
    assert_int_equal(file.n_rows, 1);
    const krs_key_row *row = &file.rows[0];
    assert_string_equal(row->name, "alice");
    assert_true(row->is_admin && row->is_first);
    assert_int_equal(row->line, 4);
    assert_int_equal(row->best_priority, KRS_PRIORITY_NORMAL);
    assert_int_equal(row->limits.calls.per_minute, 60);
    assert_int_equal(row->limits.calls.burst, 90);
    assert_int_equal(row->limits.tokens.per_minute, 1000);
    assert_int_equal(row->limits.tokens.burst, 1000);
    assert_int_equal(row->limits.max_in_flight, 8);
    assert_int_equal(row->limits.weight, 3);
    krs_keyfile_deinit(&file);
}

static void wrong_lines_are_refused_by_number(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "alice",
        "alice md5:@",
        "alice sha256:~",
        "alice sha256:@0",
        "al!ce sha256:@",
        "alice sha256:@ rpm=0",
        "alice sha256:@ rpm=-1",
        "alice sha256:@ rpm=1/",
        "alice sha256:@ rpm=1/0",
        "alice sha256:@ rpm=",
        "alice sha256:@ rpm=1000000001",
        "alice sha256:@ rpm=99999999999999999999",
        "alice sha256:@ concurrent=65537",
        "alice sha256:@ weight=1001",
        "alice sha256:@ best=first",
        "alice sha256:@ Admin",
        "alice sha256:@ colour=red",
        "alice sha256:@\nbob sha256:@", /* one key, two names */
        "0123456789012345678901234567890123456789012345678901234567890123 sha256:@",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        krs_keyfile file;
        krs_error err = KRS_ERROR_INIT;
        if (parse(bad[i], &file, &err) != KRS_EFORMAT) {
            fail_msg("taken: %s", bad[i]);
        }
        assert_int_equal(strncmp(err.message, "line ", 5), 0);
        assert_null(strstr(err.message, hex_of("alice-key"))); /* never quotes a digest */
        assert_int_equal(file.n_rows, 0);
    }
}

static void a_message_quotes_a_limits_name_but_nothing_that_may_be_a_key(void **state)
{
    (void)state;
    krs_keyfile file;
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(parse("alice sha256:@ rpm=5 rpx=77", &file, &err), KRS_EFORMAT);
    assert_non_null(strstr(err.message, "line 1: \"rpx=\": want admin"));
    assert_null(strstr(err.message, "77"));
    assert_int_equal(parse("alice sha256:@ krs-0123", &file, &err), KRS_EFORMAT);
    assert_null(strstr(err.message, "krs-0123"));
}

static void limits_belong_to_a_names_first_line(void **state)
{
    (void)state;
    char text[512];
    krs_keyfile file;
    (void)snprintf(text, sizeof(text), "a sha256:%s rpm=5\na sha256:%s admin\n", hex_of("1"),
                   hex_of("2"));
    assert_int_equal(krs_keyfile_parse(krs_str_of(text), NULL, &file, NULL), KRS_OK);
    assert_true(file.rows[0].is_first && !file.rows[1].is_first && file.rows[1].is_admin);
    krs_keyfile_deinit(&file);
    (void)snprintf(text, sizeof(text), "a sha256:%s\na sha256:%s rpm=5\n", hex_of("1"),
                   hex_of("2"));
    assert_int_equal(krs_keyfile_parse(krs_str_of(text), NULL, &file, NULL), KRS_EFORMAT);
}

static krs_status parse_many(const krs_alloc *alloc, void *ctx)
{
    krs_keyfile file;
    const krs_status status = krs_keyfile_parse(krs_str_of(ctx), alloc, &file, NULL);
    krs_keyfile_deinit(&file);
    return status;
}

static void no_memory_for_keys_is_clean(void **state)
{
    (void)state;
    static char text[64 * 128];
    size_t n = 0;
    for (int i = 0; i < 40; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "key%d", i);
        n += (size_t)snprintf(text + n, sizeof(text) - n, "n%d sha256:%s\n", i, hex_of(key));
    }
    krs_oom_sweep(parse_many, text);
}

/* --- whose key --- */

static void without_a_file_everyone_is_nobody_in_particular(void **state)
{
    (void)state;
    fixture *f = fixture_new(true);
    krs_access access;
    assert_false(krs_service_has_keys(f->service));
    assert_int_equal(krs_service_authenticate(f->service, KRS_STR(""), &access, NULL), KRS_OK);
    assert_int_equal(access.tenant, 0);
    assert_true(access.is_admin);
    assert_int_equal(krs_service_reload_keys(f->service, NULL), KRS_OK);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(krs_service_spend_call(f->service, 0, NULL), KRS_OK);
    }
    assert_int_equal(krs_service_spend_call(f->service, KRS_MAX_TENANTS + 5, NULL), KRS_OK);
    fixture_free(f);
}

static void a_key_tells_who_and_what(void **state)
{
    (void)state;
    char text[512];
    (void)snprintf(
        text, sizeof(text),
        "alice sha256:%s weight=7\nbob sha256:%s best=background\nroot sha256:%s admin\n",
        hex_of("alice-key"), hex_of("bob-key"), hex_of("root-key"));
    key_fixture *k = keys_of(text);
    krs_access a;
    krs_access b;
    assert_true(krs_service_has_keys(k->f->service));
    assert_int_equal(whose(k, "alice-key", &a), KRS_OK);
    assert_string_equal(a.name, "alice");
    assert_true(a.tenant > 0 && !a.is_admin);
    assert_int_equal(a.best_priority, KRS_PRIORITY_URGENT);
    assert_int_equal(krs_service_tenant_weight(k->f->service, a.tenant), 7);
    assert_int_equal(whose(k, "bob-key", &b), KRS_OK);
    assert_int_not_equal(a.tenant, b.tenant);
    assert_int_equal(b.best_priority, KRS_PRIORITY_BACKGROUND);
    assert_int_equal(krs_service_tenant_weight(k->f->service, b.tenant), 1);
    assert_int_equal(whose(k, "root-key", &a), KRS_OK);
    assert_true(a.is_admin);
    static const char *const wrong[] = {"", "alice-ke", "alice-key ", "Alice-key"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(whose(k, wrong[i], &a), KRS_EAUTH);
        assert_false(a.is_admin);
        assert_int_equal(a.tenant, 0);
    }
    assert_int_equal(krs_metrics_read(k->f->metrics, KRS_METRIC_AUTH_FAILURES), 4);
    keys_free(k);
}

static void the_digest_of_nothing_is_no_key(void **state)
{
    (void)state;
    char text[256];
    (void)snprintf(text, sizeof(text), "x sha256:%s\n", hex_of(""));
    key_fixture *k = keys_of(text);
    krs_access a;
    assert_int_equal(whose(k, "", &a), KRS_EAUTH);
    keys_free(k);
}

static void reloading_keeps_numbers_and_what_was_spent(void **state)
{
    (void)state;
    char text[512];
    (void)snprintf(text, sizeof(text), "bob sha256:%s\nalice sha256:%s rpm=2\n", hex_of("bob-key"),
                   hex_of("alice-key"));
    key_fixture *k = keys_of(text);
    krs_access before;
    krs_access after;
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(whose(k, "alice-key", &before), KRS_OK);
    assert_int_equal(krs_service_spend_call(k->f->service, before.tenant, NULL), KRS_OK);
    assert_int_equal(krs_service_spend_call(k->f->service, before.tenant, NULL), KRS_OK);
    (void)snprintf(text, sizeof(text), "alice sha256:%s rpm=2\nalice sha256:%s\n",
                   hex_of("alice-key"), hex_of("alice-new"));
    write_file(k->path, text);
    assert_int_equal(krs_service_reload_keys(k->f->service, &err), KRS_OK);
    assert_int_equal(whose(k, "bob-key", &after), KRS_EAUTH);
    assert_int_equal(whose(k, "alice-new", &after), KRS_OK);
    assert_int_equal(after.tenant, before.tenant);
    assert_int_equal(krs_service_spend_call(k->f->service, after.tenant, &err), KRS_EBUSY);
    assert_in_range(err.retry_after_ms, 25000, 30001);
    assert_non_null(strstr(err.message, "2 requests a minute"));
    write_file(k->path, "nonsense\n");
    assert_int_equal(krs_service_reload_keys(k->f->service, &err), KRS_EFORMAT);
    assert_null(strstr(err.message, k->dir));
    assert_int_equal(whose(k, "alice-new", &after), KRS_OK); /* the old keys stay */
    assert_int_equal(unlink(k->path), 0);
    assert_int_equal(krs_service_reload_keys(k->f->service, &err), KRS_ENOENT);
    assert_int_equal(whose(k, "alice-key", &after), KRS_OK);
    keys_free(k);
}

static void a_service_does_not_start_with_a_bad_file(void **state)
{
    (void)state;
    key_fixture *k = keys_of("");
    krs_service *first = k->f->service;
    krs_error err = KRS_ERROR_INIT;
    write_file(k->path, "alice\n");
    assert_int_equal(new_service(k, &err), KRS_EFORMAT);
    assert_null(k->f->service);
    assert_non_null(strstr(err.message, "line 1"));
    k->f->service = first;
    keys_free(k);
}

/* --- budgets --- */

static void concurrency_and_tokens_bound_a_tenant_and_no_other(void **state)
{
    (void)state;
    char text[512];
    (void)snprintf(text, sizeof(text), "alice sha256:%s concurrent=1 tpm=600/10\nbob sha256:%s\n",
                   hex_of("alice-key"), hex_of("bob-key"));
    key_fixture *k = keys_of(text);
    krs_access alice;
    krs_access bob;
    assert_int_equal(whose(k, "alice-key", &alice), KRS_OK);
    assert_int_equal(whose(k, "bob-key", &bob), KRS_OK);
    answer a;
    answer b;
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(ask_as(k->f, "", "forever", alice.tenant, &a, &err), KRS_OK);
    assert_int_equal(ask_as(k->f, "", "hello", alice.tenant, &b, &err), KRS_EBUSY);
    assert_non_null(strstr(err.message, "1 answers at once"));
    assert_string_equal(err.field, "");
    assert_true(err.retry_after_ms > 0);
    assert_int_equal(ask_as(k->f, "", "hello", bob.tenant, &b, &err), KRS_OK);
    (void)settle(k->f, &b);
    while (atomic_load(&a.n_tokens) < 300) { /* far beyond its ten */
        krs_os_sleep_ns(STEP_NS);
    }
    krs_service_cancel(k->f->service, &a.generation, KRS_CANCEL_GONE);
    (void)settle(k->f, &a);
    assert_int_equal(ask_as(k->f, "", "hello", alice.tenant, &a, &err), KRS_EBUSY);
    assert_non_null(strstr(err.message, "600 tokens a minute"));
    assert_true(err.retry_after_ms > 20000); /* at ten a second, 290 of debt */
    assert_int_equal(krs_metrics_read(k->f->metrics, KRS_METRIC_REFUSED_TENANT), 2);
    krs_buf page;
    krs_buf_init(&page, NULL, KRS_SERVICE_METRICS_BYTES);
    assert_int_equal(krs_service_write_metrics(k->f->service, &page), KRS_OK);
    assert_non_null(strstr(page.data, "\nkrs_tenant_requests_total{tenant=\"alice\"} 1\n"));
    assert_non_null(strstr(page.data, "\nkrs_tenant_requests_refused_total{tenant=\"alice\"} 2\n"));
    assert_non_null(strstr(page.data, "\nkrs_tenant_tokens_total{tenant=\"bob\"} 12\n"));
    assert_non_null(strstr(page.data, "\nkrs_tenant_requests_in_flight{tenant=\"alice\"} 0\n"));
    assert_non_null(strstr(page.data, "\nkrs_model_requests_total{model=\"fake\"} 2\n"));
    assert_non_null(strstr(page.data, "\nkrs_model_requests_in_flight{model=\"fake\"} 0\n"));
    krs_buf_deinit(&page);
    assert_int_equal(ask_as(k->f, "", "hello", bob.tenant, &b, &err), KRS_OK);
    (void)settle(k->f, &b);
    keys_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_read_in_full),
        cmocka_unit_test(wrong_lines_are_refused_by_number),
        cmocka_unit_test(a_message_quotes_a_limits_name_but_nothing_that_may_be_a_key),
        cmocka_unit_test(limits_belong_to_a_names_first_line),
        cmocka_unit_test(no_memory_for_keys_is_clean),
        cmocka_unit_test(without_a_file_everyone_is_nobody_in_particular),
        cmocka_unit_test(a_key_tells_who_and_what),
        cmocka_unit_test(the_digest_of_nothing_is_no_key),
        cmocka_unit_test(reloading_keeps_numbers_and_what_was_spent),
        cmocka_unit_test(a_service_does_not_start_with_a_bad_file),
        cmocka_unit_test(concurrency_and_tokens_bound_a_tenant_and_no_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
