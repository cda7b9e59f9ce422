/* base/str, base/utf8, base/checked: the small pure things, at their edges. */
#include "base/checked.h"
#include "base/str.h"
#include "base/utf8.h"
#include "support/cmocka.h"

static void finding_works_at_both_ends(void **state)
{
    (void)state;
    const krs_str hay = KRS_STR("aabaab\0ab");
    assert_int_equal(krs_str_find(hay, KRS_STR("ab"), 0), 1);
    assert_int_equal(krs_str_find(hay, KRS_STR("ab"), 2), 4);
    assert_int_equal(krs_str_find(hay, KRS_STR("ab"), 5), 7);
    assert_true(krs_str_find(hay, KRS_STR("ab"), 8) == SIZE_MAX);
    assert_true(krs_str_find(hay, KRS_STR("ab"), 100) == SIZE_MAX);
    assert_int_equal(krs_str_find(hay, KRS_STR(""), 9), 9);
    assert_true(krs_str_find(hay, KRS_STR(""), 10) == SIZE_MAX);
    assert_true(krs_str_find(KRS_STR("ab"), KRS_STR("abc"), 0) == SIZE_MAX);
    assert_int_equal(krs_str_find(hay, KRS_STR("b\0a"), 0), 5);
    assert_int_equal(krs_str_find((krs_str){NULL, 0}, (krs_str){NULL, 0}, 0), 0);
}

static void starts_ends_and_equality_allow_empty(void **state)
{
    (void)state;
    const krs_str none = {NULL, 0};
    assert_true(krs_str_equal(none, KRS_STR("")));
    assert_true(krs_str_starts_with(KRS_STR("ab"), none));
    assert_true(krs_str_ends_with(KRS_STR("ab"), KRS_STR("ab")));
    assert_false(krs_str_ends_with(KRS_STR("b"), KRS_STR("ab")));
    assert_false(krs_str_starts_with(none, KRS_STR("a")));
    assert_false(krs_str_equal(KRS_STR("ab"), KRS_STR("ac")));
    assert_int_equal(krs_str_of(NULL).len, 0);
}

static void hashes_differ_where_texts_differ(void **state)
{
    (void)state;
    /* Every length around the word size, every single-bit change, another seed. */
    unsigned char text[24] = {0};
    for (size_t n = 0; n <= sizeof(text); n++) {
        const krs_str s = {(const char *)text, n};
        const uint64_t h = krs_str_hash(s, 1);
        assert_true(h == krs_str_hash(s, 1));
        assert_true(h != krs_str_hash(s, 2));
        assert_true(n == 0 || h != krs_str_hash((krs_str){s.ptr, n - 1}, 1));
        for (size_t bit = 0; bit < 8 * n; bit++) {
            text[bit / 8] ^= (unsigned char)(1u << bit % 8);
            assert_true(h != krs_str_hash(s, 1));
            text[bit / 8] ^= (unsigned char)(1u << bit % 8);
        }
    }
}

/* Encodes by arithmetic, the other way round than the decoder under test. */
static size_t encode(uint32_t c, char out[4])
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    const size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n; i-- > 1; c >>= 6) {
        out[i] = (char)(0x80 | (c & 0x3F));
    }
    out[0] = (char)((0xF00u >> n) | c);
    return n;
}

static void every_character_is_whole_and_nothing_else_is(void **state)
{
    (void)state;
    char s[4];
    for (uint32_t c = 0; c <= 0x10FFFF; c++) {
        const size_t n = encode(c, s);
        const bool is_surrogate = c >= 0xD800 && c <= 0xDFFF;
        if (krs_utf8_length(s, n) != (is_surrogate ? 0 : n) ||
            (n > 1 && krs_utf8_length(s, n - 1) != 0)) {
            fail_msg("U+%04X", c);
        }
    }
    assert_int_equal(krs_utf8_length("\xc0\x80", 2), 0); /* overlong */
    assert_int_equal(krs_utf8_length("\xc1\xbf", 2), 0);
    assert_int_equal(krs_utf8_length("\xe0\x9f\xbf", 3), 0);
    assert_int_equal(krs_utf8_length("\xf0\x8f\xbf\xbf", 4), 0);
    assert_int_equal(krs_utf8_length("\xf4\x90\x80\x80", 4), 0); /* above U+10FFFF */
    assert_int_equal(krs_utf8_length("\xf5\x80\x80\x80", 4), 0);
    assert_int_equal(krs_utf8_length("\x80", 1), 0);
    assert_int_equal(krs_utf8_length("\xff", 1), 0);
    assert_int_equal(krs_utf8_length("\xe2\x82\x2c", 3), 0);
    assert_int_equal(krs_utf8_length("a", 0), 0);
}

static void checked_sizes_refuse_overflow_and_keep_the_result(void **state)
{
    (void)state;
    size_t out = 7;
    assert_true(krs_size_add(SIZE_MAX - 1, 1, &out) && out == SIZE_MAX);
    out = 7;
    assert_false(krs_size_add(SIZE_MAX, 1, &out));
    assert_false(krs_size_mul(SIZE_MAX / 2 + 1, 2, &out));
    assert_false(krs_size_round_up(SIZE_MAX - 2, 16, &out));
    assert_int_equal(out, 7);
    assert_true(krs_size_mul(SIZE_MAX / 2, 2, &out) && out == SIZE_MAX - 1);
    assert_true(krs_size_round_up(17, 16, &out) && out == 32);
    assert_true(krs_size_round_up(0, 16, &out) && out == 0);
    assert_true(krs_range_fits(0, 0, 0));
    assert_true(krs_range_fits(10, 0, 10));
    assert_true(krs_range_fits(4, 6, 10));
    assert_false(krs_range_fits(4, 7, 10));
    assert_false(krs_range_fits(11, 0, 10));
    assert_false(krs_range_fits(5, UINT64_MAX, 10));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finding_works_at_both_ends),
        cmocka_unit_test(starts_ends_and_equality_allow_empty),
        cmocka_unit_test(hashes_differ_where_texts_differ),
        cmocka_unit_test(every_character_is_whole_and_nothing_else_is),
        cmocka_unit_test(checked_sizes_refuse_overflow_and_keep_the_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
