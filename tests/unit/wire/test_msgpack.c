/* unit/wire/test_msgpack.c - what JSON has comes through; what it has not is refused; lies about lengths cost nothing. */
#include "support/cmocka.h"
#include "wire/msgpack.h"

static void every_json_value_comes_through(void **state)
{
    (void)state;
    json_t *tree = json_pack("[n,b,b,i,i,i,I,f,s,s,[],{},{s:[i]}]", 1, 0, 0, -1, 70000,
                             (json_int_t)INT64_MIN, 1.5, "", "\xE2\x82\xAC", "key", 200);
    assert_non_null(tree);
    krs_buf out;
    krs_buf_init(&out, NULL, 4096);
    assert_int_equal(krs_msgpack_put_tree(&out, tree), KRS_OK);
    json_t *back = NULL;
    assert_int_equal(krs_msgpack_parse(krs_buf_view(&out), 100, &back, NULL), KRS_OK);
    assert_true(json_equal(tree, back));
    json_decref(back);
    json_decref(tree);
    krs_buf_deinit(&out);
}

static void expect(krs_str bytes, krs_status want)
{
    json_t *tree = NULL;
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(krs_msgpack_parse(bytes, 8, &tree, &err), want);
    assert_int_equal(tree != NULL, want == KRS_OK);
    assert_int_equal(err.message[0] != '\0', want != KRS_OK);
    json_decref(tree);
}

static void known_bytes_are_read_as_the_format_says(void **state)
{
    (void)state;
    expect(KRS_STR("\x07"), KRS_OK);
    expect(KRS_STR("\xE0"), KRS_OK);
    expect(KRS_STR("\xA0"), KRS_OK);
    expect(KRS_STR("\x92\xF2\xA0"), KRS_OK); /* an empty text at the very end */
    expect(KRS_STR("\x81\xA0\xA0"), KRS_OK);
    expect(KRS_STR("\x82\xA1"
                   "a\x01\xA1"
                   "b\x02"),
           KRS_OK);
    expect(KRS_STR("\xD9\x03"
                   "abc"),
           KRS_OK);
    expect(KRS_STR("\xDC\x00\x02\xC2\xC3"), KRS_OK);
    expect(KRS_STR("\xCA\x3F\x80\x00\x00"), KRS_OK);
}

static void what_json_does_not_have_is_refused(void **state)
{
    (void)state;
    expect(KRS_STR("\xC1"), KRS_EINVAL);             /* never used */
    expect(KRS_STR("\xC4\x01x"), KRS_EINVAL);        /* bytes */
    expect(KRS_STR("\xD4\x01x"), KRS_EINVAL);        /* extension */
    expect(KRS_STR("\x81\x01\x02"), KRS_EINVAL);     /* a number as a key */
    expect(KRS_STR("\xA1\xFF"), KRS_EINVAL);         /* not UTF-8 */
    expect(KRS_STR("\x81\xA1\x00\x02"), KRS_EINVAL); /* NUL in a key */
    expect(KRS_STR("\x82\xA1"
                   "a\x01\xA1"
                   "a\x02"),
           KRS_EINVAL);                                                  /* twice */
    expect(KRS_STR("\xCF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"), KRS_EINVAL); /* 2^64 - 1 */
    expect(KRS_STR("\xCB\x7F\xF0\x00\x00\x00\x00\x00\x00"), KRS_EINVAL); /* infinity */
}

static void lengths_that_lie_are_refused_before_memory_is_taken(void **state)
{
    (void)state;
    expect(KRS_STR(""), KRS_EINVAL);
    expect(KRS_STR("\x07\x07"), KRS_EINVAL);
    expect(KRS_STR("\xDD\xFF\xFF\xFF\xFF"), KRS_EINVAL);
    expect(KRS_STR("\xDF\xFF\xFF\xFF\xFF\x01"), KRS_EINVAL);
    expect(KRS_STR("\xDB\xFF\xFF\xFF\xFFx"), KRS_EINVAL);
    expect(KRS_STR("\x92\x01"), KRS_EINVAL);
    expect(KRS_STR("\xCD\x01"), KRS_EINVAL);
    expect(KRS_STR("\x98\x01\x01\x01\x01\x01\x01\x01\x01"), KRS_ETOOLARGE); /* nine values */
}

static void depth_is_bounded(void **state)
{
    (void)state;
    char deep[KRS_MSGPACK_MAX_DEPTH + 8];
    memset(deep, '\x91', sizeof(deep));
    deep[sizeof(deep) - 1] = '\x01';
    json_t *tree = NULL;
    const krs_str all = {deep, sizeof(deep)};
    assert_int_equal(krs_msgpack_parse(all, 1000, &tree, NULL), KRS_EINVAL);
    const krs_str fits = {deep + 8, sizeof(deep) - 8};
    assert_int_equal(krs_msgpack_parse(fits, 1000, &tree, NULL), KRS_OK);
    json_decref(tree);
}

static void parts_of_characters_are_replaced(void **state)
{
    (void)state;
    krs_buf out;
    krs_buf_init(&out, NULL, 64);
    assert_int_equal(krs_msgpack_put_str(&out, KRS_STR("a\xE2\x82z\xE2\x82\xAC")), KRS_OK);
    json_t *tree = NULL;
    assert_int_equal(krs_msgpack_parse(krs_buf_view(&out), 1, &tree, NULL), KRS_OK);
    assert_string_equal(json_string_value(tree), "a\xEF\xBF\xBD\xEF\xBF\xBDz\xE2\x82\xAC");
    json_decref(tree);
    krs_buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_json_value_comes_through),
        cmocka_unit_test(known_bytes_are_read_as_the_format_says),
        cmocka_unit_test(what_json_does_not_have_is_refused),
        cmocka_unit_test(lengths_that_lie_are_refused_before_memory_is_taken),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(parts_of_characters_are_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
