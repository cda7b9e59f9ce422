/* base/buf: grows, stops at its ceiling, and never half-appends. */
#include "base/buf.h"
#include "support/cmocka.h"

static void appends_keep_a_nul_after_the_end(void **state)
{
    (void)state;
    krs_buf buf;
    krs_buf_init(&buf, NULL, 1000);
    assert_null(buf.data);
    assert_int_equal(krs_buf_append_str(&buf, KRS_STR("ab")), KRS_OK);
    assert_int_equal(krs_buf_append_char(&buf, 'c'), KRS_OK);
    assert_int_equal(krs_buf_printf(&buf, "-%d-%s", 42, "x"), KRS_OK);
    assert_int_equal(krs_buf_append(&buf, "\0z", 2), KRS_OK);
    assert_int_equal(buf.len, 10);
    assert_memory_equal(buf.data, "abc-42-x\0z\0", 11);
    assert_int_equal(krs_buf_append(&buf, NULL, 0), KRS_OK);
    krs_buf_deinit(&buf);
    krs_buf_deinit(&buf); /* again is fine */
}

static void the_ceiling_is_exact_and_failure_changes_nothing(void **state)
{
    (void)state;
    krs_buf buf;
    krs_buf_init(&buf, NULL, 10);
    assert_int_equal(krs_buf_append(&buf, "0123456789", 10), KRS_OK);
    assert_int_equal(krs_buf_append_char(&buf, 'x'), KRS_ETOOLARGE);
    assert_int_equal(krs_buf_printf(&buf, "%s", "x"), KRS_ETOOLARGE);
    assert_int_equal(krs_buf_reserve(&buf, SIZE_MAX), KRS_ETOOLARGE);
    assert_int_equal(krs_buf_reserve(&buf, 0), KRS_OK);
    assert_int_equal(buf.len, 10);
    assert_string_equal(buf.data, "0123456789");
    krs_buf_consume(&buf, 4);
    assert_string_equal(buf.data, "456789");
    assert_int_equal(krs_buf_append(&buf, "abcd", 4), KRS_OK);
    assert_int_equal(krs_buf_append_char(&buf, 'x'), KRS_ETOOLARGE);
    krs_buf_deinit(&buf);
    krs_buf_init(&buf, NULL, SIZE_MAX);
    assert_int_equal(krs_buf_reserve(&buf, SIZE_MAX), KRS_ETOOLARGE); /* no room for the NUL */
    krs_buf_deinit(&buf);
}

static void reset_keeps_memory_and_take_gives_it_away(void **state)
{
    (void)state;
    krs_buf buf;
    krs_buf_init(&buf, NULL, 1000);
    assert_null(krs_buf_take(&buf));
    assert_int_equal(krs_buf_append(&buf, "0123456789", 10), KRS_OK);
    const char *before = buf.data;
    krs_buf_reset(&buf);
    assert_string_equal(buf.data, "");
    assert_int_equal(krs_buf_append(&buf, "ab", 2), KRS_OK);
    assert_ptr_equal(buf.data, before);
    assert_true(krs_str_equal(krs_buf_view(&buf), KRS_STR("ab")));
    char *taken = krs_buf_take(&buf);
    assert_string_equal(taken, "ab");
    assert_null(buf.data);
    assert_int_equal(buf.len, 0);
    krs_alloc_free(NULL, taken);
    krs_buf_deinit(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_keep_a_nul_after_the_end),
        cmocka_unit_test(the_ceiling_is_exact_and_failure_changes_nothing),
        cmocka_unit_test(reset_keeps_memory_and_take_gives_it_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
