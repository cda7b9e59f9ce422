/* base/status: the table is whole, and errors tell one story that fits and stays valid UTF-8. */
#include "base/status.h"
#include "base/utf8.h"
#include "support/cmocka.h"

#include <errno.h>
#include <string.h>

static void every_code_has_a_whole_row(void **state)
{
    (void)state;
    for (unsigned i = 0; i < KRS_STATUS_COUNT; i++) {
        const krs_status status = (krs_status)i;
        assert_memory_equal(krs_status_name(status), "KRS_", 4);
        assert_true(strlen(krs_status_sentence(status)) > 5);
        assert_in_range(krs_status_http(status), 200, 599);
        assert_in_range(krs_status_exit_code(status), 0, 125);
        assert_int_equal(krs_status_exit_code(status) == 0, status == KRS_OK);
        assert_int_not_equal(krs_status_exit_code(status), 1); /* kept for a broken program */
        assert_int_equal(krs_status_jsonrpc(status) == 0, status == KRS_OK);
        for (unsigned j = 0; j < i; j++) {
            assert_string_not_equal(krs_status_name((krs_status)j), krs_status_name(status));
            assert_int_not_equal(krs_status_exit_code((krs_status)j), krs_status_exit_code(status));
        }
    }
}

/* The numbers are a contract with scripts and clients: this table is written by hand on purpose. */
static void codes_keep_their_meaning(void **state)
{
    (void)state;
    static const struct {
        krs_status status;
        const char *name;
        int http;
        int jsonrpc;
        bool is_retryable;
        int exit_code;
    } rows[] = {
        {KRS_OK, "KRS_OK", 200, 0, false, 0},
        {KRS_EAGAIN, "KRS_EAGAIN", 503, -32010, true, 75},
        {KRS_EEOF, "KRS_EEOF", 400, -32602, false, 65},
        {KRS_EINVAL, "KRS_EINVAL", 400, -32602, false, 2},
        {KRS_ENOENT, "KRS_ENOENT", 404, -32602, false, 3},
        {KRS_EEXIST, "KRS_EEXIST", 409, -32602, false, 4},
        {KRS_EFORMAT, "KRS_EFORMAT", 422, -32001, false, 5},
        {KRS_EUNSUPPORTED, "KRS_EUNSUPPORTED", 422, -32001, false, 6},
        {KRS_ETOOLARGE, "KRS_ETOOLARGE", 413, -32602, false, 7},
        {KRS_EAUTH, "KRS_EAUTH", 401, -32011, false, 8},
        {KRS_EPERM, "KRS_EPERM", 403, -32012, false, 9},
        {KRS_EBUSY, "KRS_EBUSY", 429, -32013, true, 10},
        {KRS_EUNAVAILABLE, "KRS_EUNAVAILABLE", 503, -32014, true, 11},
        {KRS_ENOMEM, "KRS_ENOMEM", 503, -32015, true, 12},
        {KRS_EDEADLINE, "KRS_EDEADLINE", 504, -32016, true, 13},
        {KRS_ECANCELLED, "KRS_ECANCELLED", 499, -32017, false, 14},
        {KRS_EIO, "KRS_EIO", 500, -32018, true, 15},
        {KRS_EDEVICE, "KRS_EDEVICE", 503, -32019, true, 16},
        {KRS_ENOTLOADED, "KRS_ENOTLOADED", 404, -32005, false, 17},
        {KRS_EINTERNAL, "KRS_EINTERNAL", 500, -32099, false, 18},
    };
    assert_int_equal(sizeof(rows) / sizeof(rows[0]), KRS_STATUS_COUNT);
    for (size_t i = 0; i < KRS_STATUS_COUNT; i++) {
        assert_int_equal(rows[i].status, i);
        assert_string_equal(krs_status_name(rows[i].status), rows[i].name);
        assert_int_equal(krs_status_http(rows[i].status), rows[i].http);
        assert_int_equal(krs_status_jsonrpc(rows[i].status), rows[i].jsonrpc);
        assert_int_equal(krs_status_is_retryable(rows[i].status), rows[i].is_retryable);
        assert_int_equal(krs_status_exit_code(rows[i].status), rows[i].exit_code);
    }
}

static void an_unknown_code_reads_as_internal(void **state)
{
    (void)state;
    assert_string_equal(krs_status_name((krs_status)KRS_STATUS_COUNT), "KRS_EINTERNAL");
    assert_int_equal(krs_status_http((krs_status)12345), 500);
    assert_false(krs_status_is_retryable((krs_status)12345));
}

static void failing_fills_the_error_and_returns_the_status(void **state)
{
    (void)state;
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(krs_fail(&err, KRS_EINVAL, "top_k: %d, want 0..%d", 9, 5), KRS_EINVAL);
    assert_int_equal(err.status, KRS_EINVAL);
    assert_string_equal(err.message, "top_k: 9, want 0..5");
    assert_string_equal(err.field, "");
    assert_int_equal(krs_fail_field(&err, KRS_ETOOLARGE, "stop", "stop: long"), KRS_ETOOLARGE);
    assert_string_equal(err.field, "stop");
    assert_int_equal(krs_fail_os(&err, KRS_EIO, ENOSPC, "write %s", "x"), KRS_EIO);
    assert_string_equal(err.message, "write x: No space left on device");
    assert_int_equal(err.os_errno, ENOSPC);
    assert_string_equal(err.field, ""); /* nothing of the story before */
    assert_int_equal(krs_error_wrap(&err, KRS_EIO, "load %s", "m"), KRS_EIO);
    assert_string_equal(err.message, "load m: write x: No space left on device");
    assert_int_equal(sizeof(krs_error), 256);
}

static void wrapping_may_change_what_kind_of_fault_it_is(void **state)
{
    (void)state;
    krs_error err = KRS_ERROR_INIT;
    (void)krs_fail(&err, KRS_EINVAL, "line 2: want '}'");
    assert_int_equal(krs_error_wrap(&err, KRS_EFORMAT, "config.json"), KRS_EFORMAT);
    assert_int_equal(err.status, KRS_EFORMAT);
}

static void a_long_context_leaves_room_for_the_reason(void **state)
{
    (void)state;
    char path[2 * KRS_ERROR_MESSAGE_BYTES];
    memset(path, 'a', sizeof(path));
    memcpy(path + sizeof(path) - 5, "/end", 5);
    krs_error err = KRS_ERROR_INIT;
    const krs_status status = krs_fail(&err, KRS_ENOENT, "no such folder");
    assert_int_equal(krs_error_wrap(&err, status, "%s", path), KRS_ENOENT);
    assert_int_equal(strlen(err.message), KRS_ERROR_MESSAGE_BYTES - 1);
    assert_int_equal(strncmp(err.message, "...aaa", 6), 0);
    assert_non_null(strstr(err.message, "/end: no such folder"));
    krs_error full = err; /* no room at all: the reason stays */
    assert_int_equal(krs_error_wrap(&full, status, "outer"), KRS_ENOENT);
    assert_string_equal(full.message, err.message);
}

static void no_error_object_is_fine(void **state)
{
    (void)state;
    assert_int_equal(krs_fail(NULL, KRS_EIO, "x"), KRS_EIO);
    assert_int_equal(krs_fail_field(NULL, KRS_EINVAL, "f", "x"), KRS_EINVAL);
    assert_int_equal(krs_fail_os(NULL, KRS_EIO, EIO, "x"), KRS_EIO);
    assert_int_equal(krs_error_wrap(NULL, KRS_EIO, "x"), KRS_EIO);
}

static bool is_utf8(const char *text)
{
    const size_t n = strlen(text);
    for (size_t i = 0; i < n;) {
        const size_t length = krs_utf8_length(text + i, n - i);
        if (length == 0) {
            return false;
        }
        i += length;
    }
    return true;
}

static void what_does_not_fit_is_cut_at_a_whole_character(void **state)
{
    (void)state;
    char smileys[400] = "";
    for (size_t i = 0; i + 4 < sizeof(smileys); i += 4) {
        memcpy(smileys + i, "\xf0\x9f\x99\x82", 5);
    }
    for (int shift = 0; shift < 4; shift++) {
        krs_error err = KRS_ERROR_INIT;
        assert_int_equal(krs_fail_field(&err, KRS_EINVAL, smileys, "%.*s%s", shift, "abc", smileys),
                         KRS_EINVAL);
        assert_true(is_utf8(err.message));
        assert_true(is_utf8(err.field));
        assert_true(strlen(err.message) > KRS_ERROR_MESSAGE_BYTES - 10);
        assert_int_equal(krs_error_wrap(&err, KRS_EINVAL, "%.*s%s", shift, "abc", smileys),
                         KRS_EINVAL);
        assert_true(is_utf8(err.message));
        assert_int_equal(krs_fail_os(&err, KRS_EIO, EIO, "%.*s%s", shift, "abc", smileys), KRS_EIO);
        assert_true(is_utf8(err.message));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_a_whole_row),
        cmocka_unit_test(codes_keep_their_meaning),
        cmocka_unit_test(an_unknown_code_reads_as_internal),
        cmocka_unit_test(failing_fills_the_error_and_returns_the_status),
        cmocka_unit_test(wrapping_may_change_what_kind_of_fault_it_is),
        cmocka_unit_test(a_long_context_leaves_room_for_the_reason),
        cmocka_unit_test(no_error_object_is_fine),
        cmocka_unit_test(what_does_not_fit_is_cut_at_a_whole_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
