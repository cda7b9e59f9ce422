/* wire/gzip: whole files only, within the buffer's ceiling, and nothing left of a failure. */
#include "support/cmocka.h"
#include "wire/gzip.h"

#include <string.h>

/* "hello hello hello\n", as gzip -9 -n packs it. */
static const unsigned char HELLO[] = {
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xcb, 0x48, 0xcd, 0xc9, 0xc9,
    0x57, 0xc8, 0x40, 0x90, 0x5c, 0x00, 0x3b, 0x7c, 0x8a, 0xdf, 0x12, 0x00, 0x00, 0x00,
};

static krs_str hello(size_t n)
{
    return (krs_str){(const char *)HELLO, n};
}

static void unpacks_one_member_or_more(void **state)
{
    (void)state;
    krs_buf out;
    krs_buf_init(&out, NULL, 1000);
    assert_true(krs_gzip_is(hello(sizeof(HELLO))));
    assert_int_equal(krs_gunzip(hello(sizeof(HELLO)), &out, NULL), KRS_OK);
    assert_string_equal(out.data, "hello hello hello\n");
    char twice[2 * sizeof(HELLO)];
    memcpy(twice, HELLO, sizeof(HELLO));
    memcpy(twice + sizeof(HELLO), HELLO, sizeof(HELLO));
    krs_buf_reset(&out);
    assert_int_equal(krs_gunzip((krs_str){twice, sizeof(twice)}, &out, NULL), KRS_OK);
    assert_string_equal(out.data, "hello hello hello\nhello hello hello\n");
    krs_buf_deinit(&out);
}

static void every_cut_and_every_damaged_byte_is_refused(void **state)
{
    (void)state;
    krs_buf out;
    krs_buf_init(&out, NULL, 1000);
    assert_int_equal(krs_buf_append(&out, "before", 6), KRS_OK);
    for (size_t n = 0; n < sizeof(HELLO); n++) {
        krs_error err = KRS_ERROR_INIT;
        assert_int_equal(krs_gunzip(hello(n), &out, &err), KRS_EFORMAT);
        assert_string_equal(out.data, "before");
        assert_true(err.message[0] != '\0');
    }
    for (size_t i = 10; i < sizeof(HELLO); i++) { /* behind the header, all is under a checksum */
        unsigned char bad[sizeof(HELLO)];
        memcpy(bad, HELLO, sizeof(bad));
        bad[i] ^= 0x40;
        assert_int_not_equal(krs_gunzip((krs_str){(const char *)bad, sizeof(bad)}, &out, NULL),
                             KRS_OK);
        assert_string_equal(out.data, "before");
    }
    krs_buf_deinit(&out);
}

static void bytes_behind_the_end_are_refused(void **state)
{
    (void)state;
    char longer[sizeof(HELLO) + 1];
    memcpy(longer, HELLO, sizeof(HELLO));
    longer[sizeof(HELLO)] = 'x';
    krs_buf out;
    krs_buf_init(&out, NULL, 1000);
    assert_int_equal(krs_gunzip((krs_str){longer, sizeof(longer)}, &out, NULL), KRS_EFORMAT);
    assert_int_equal(out.len, 0);
    krs_buf_deinit(&out);
}

static void the_ceiling_holds(void **state)
{
    (void)state;
    krs_buf out;
    krs_buf_init(&out, NULL, 17); /* one byte short */
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(krs_gunzip(hello(sizeof(HELLO)), &out, &err), KRS_ETOOLARGE);
    assert_non_null(strstr(err.message, "17"));
    assert_int_equal(out.len, 0);
    krs_buf_deinit(&out);
    krs_buf_init(&out, NULL, 18); /* to the byte */
    assert_int_equal(krs_gunzip(hello(sizeof(HELLO)), &out, &err), KRS_OK);
    krs_buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unpacks_one_member_or_more),
        cmocka_unit_test(every_cut_and_every_damaged_byte_is_refused),
        cmocka_unit_test(bytes_behind_the_end_are_refused),
        cmocka_unit_test(the_ceiling_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
