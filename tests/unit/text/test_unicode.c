/* text/unicode: broken UTF-8 by the WHATWG's rule, properties at their edges, normal forms. */
#include "support/cmocka.h"
#include "text/bytelevel.h"
#include "text/unicode.h"

#include <string.h>

#define MAX_OUT 4000

static void check_repair(const char *bytes, const char *want)
{
    krs_buf out;
    krs_buf_init(&out, NULL, MAX_OUT);
    assert_int_equal(krs_utf8_repair(krs_str_of(bytes), &out), KRS_OK);
    assert_string_equal(out.data, want);
    krs_buf_deinit(&out);
}

static void each_maximal_subpart_becomes_one_replacement(void **state)
{
    (void)state;
    check_repair("plain \xC3\xA9 \xF0\x9F\x99\x82", "plain \xC3\xA9 \xF0\x9F\x99\x82");
    check_repair("\x80\xBF", "\xEF\xBF\xBD\xEF\xBF\xBD");
    check_repair("\xE2\x82!", "\xEF\xBF\xBD!");           /* cut: one for what was right */
    check_repair("\xF0\x9F\x99", "\xEF\xBF\xBD");         /* at the end too */
    check_repair("\xC0\xAF", "\xEF\xBF\xBD\xEF\xBF\xBD"); /* overlong */
    check_repair("\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"); /* surrogate */
    check_repair("\xF4\x90\x80\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
    check_repair("\xF1\x80\x80\xE1\x80\xC2"
                 "b",
                 "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"
                 "b");
}

static void every_character_survives_encoding(void **state)
{
    (void)state;
    for (uint32_t c = 0; c <= 0x10FFFF; c++) {
        char bytes[KRS_UTF8_MAX_BYTES];
        size_t n_scan;
        size_t n;
        const krs_str s = {bytes, krs_utf8_encode(c, bytes)};
        const bool is_surrogate = c >= 0xD800 && c <= 0xDFFF;
        assert_true((krs_utf8_scan(s, &n_scan) == KRS_UTF8_VALID) != is_surrogate);
        assert_true(is_surrogate || (krs_utf8_decode(s, &n) == c && n == s.len && n_scan == n));
    }
}

static void a_cut_character_is_incomplete_not_wrong(void **state)
{
    (void)state;
    size_t n;
    assert_int_equal(krs_utf8_scan(KRS_STR("\xF0\x9F\x99"), &n), KRS_UTF8_INCOMPLETE);
    assert_int_equal(n, 3);
    assert_int_equal(krs_utf8_scan(KRS_STR("\xF0\x8F"), &n), KRS_UTF8_INVALID);
    assert_int_equal(n, 1);
}

static void the_byte_alphabet_is_one_to_one(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        assert_int_equal(krs_bytelevel_byte(krs_bytelevel_char((unsigned char)byte)), byte);
    }
    size_t n = 0;
    for (uint32_t c = 0; c < 0x1000; c++) {
        n += krs_bytelevel_byte(c) >= 0;
    }
    assert_int_equal(n, 256);
    assert_int_equal(krs_bytelevel_char(' '), 0x120);
    assert_int_equal(krs_bytelevel_char('\n'), 0x10A);
    assert_int_equal(krs_bytelevel_char(0xAD), 0x143);
}

static void properties_hold_at_their_edges(void **state)
{
    (void)state;
    assert_true(krs_unicode_is_space('\t') && krs_unicode_is_space('\r'));
    assert_false(krs_unicode_is_space(0x1C) || krs_unicode_is_space(0x200B));
    assert_true(krs_unicode_is_space(0x85) && krs_unicode_is_space(0x200A));
    assert_false(krs_unicode_is_space(0x180E));
    assert_true(krs_unicode_is_numeric(0xBD) && krs_unicode_is_numeric(0x2167));
    assert_false(krs_unicode_is_numeric('a'));
    assert_true(krs_unicode_is_punct('$') && krs_unicode_is_punct(0x2014));
    assert_false(krs_unicode_is_punct(0x20AC)); /* a currency sign above ASCII is a symbol */
    assert_true(krs_unicode_is_word('_') && krs_unicode_is_word(0x301));
    assert_true(krs_unicode_is_word(0x24B6) && krs_unicode_is_word(0x200D));
    assert_false(krs_unicode_is_word('-') || krs_unicode_is_word(0xB2));
}

static void check_form(krs_unicode_form form, const char *text, const char *want)
{
    krs_buf out;
    krs_buf_init(&out, NULL, MAX_OUT);
    assert_int_equal(krs_unicode_normalize(form, krs_str_of(text), &out), KRS_OK);
    if (!krs_str_equal(krs_buf_view(&out), krs_str_of(want))) {
        fail_msg("\"%s\": \"%s\", want \"%s\"", text, out.data, want);
    }
    krs_buf_deinit(&out);
}

static void normal_forms_join_across_the_end_of_ascii(void **state)
{
    (void)state;
    check_form(KRS_UNICODE_NFC, "abce\xCC\x81xe\xCC\x81", "abc\xC3\xA9x\xC3\xA9");
    check_form(KRS_UNICODE_NFC,
               "\xCC\x81"
               "a",
               "\xCC\x81"
               "a");
    check_form(KRS_UNICODE_NFC, "q\xCC\x87\xCC\xA3", "q\xCC\xA3\xCC\x87");   /* reordered */
    check_form(KRS_UNICODE_NFC, "\xE1\x84\x80\xE1\x85\xA1", "\xEA\xB0\x80"); /* Hangul */
    check_form(KRS_UNICODE_NFD, "a\xC3\xA9z", "ae\xCC\x81z");
    check_form(KRS_UNICODE_NFKC, "x\xC2\xB2y", "x2y");
    check_form(KRS_UNICODE_NFKC, "e\xEF\xAC\x81\xCC\x81", "ef\xC3\xAD");
    check_form(KRS_UNICODE_NFC, "plain", "plain");
}

/* Twice as many marks as fit the insertion sort, of two classes in turn: stable, and by class. */
static void long_runs_of_marks_are_ordered_too(void **state)
{
    (void)state;
    char text[1 + 4 * 32 + 1] = "x";
    char want[1 + 4 * 32 + 1] = "x";
    for (size_t i = 0; i < 32; i++) {
        memcpy(text + 1 + 4 * i, i % 2 ? "\xCC\x8A\xCC\xA3" : "\xCC\x8B\xCC\xA4", 4);
        memcpy(want + 1 + 2 * i, i % 2 ? "\xCC\xA3" : "\xCC\xA4", 2);
        memcpy(want + 1 + 2 * (32 + i), i % 2 ? "\xCC\x8A" : "\xCC\x8B", 2);
    }
    check_form(KRS_UNICODE_NFD, text, want);
    check_form(KRS_UNICODE_NFC, text, want + 0);
}

static void a_full_buffer_is_an_error(void **state)
{
    (void)state;
    krs_buf out;
    krs_buf_init(&out, NULL, 3);
    assert_int_equal(krs_unicode_normalize(KRS_UNICODE_NFD, KRS_STR("\xC3\xA9\xC3\xA9"), &out),
                     KRS_ETOOLARGE);
    assert_int_equal(krs_unicode_normalize(KRS_UNICODE_NFD, KRS_STR("\xC3\xA9"), &out), KRS_OK);
    assert_int_equal(out.len, 3);
    krs_buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_maximal_subpart_becomes_one_replacement),
        cmocka_unit_test(every_character_survives_encoding),
        cmocka_unit_test(a_cut_character_is_incomplete_not_wrong),
        cmocka_unit_test(the_byte_alphabet_is_one_to_one),
        cmocka_unit_test(properties_hold_at_their_edges),
        cmocka_unit_test(normal_forms_join_across_the_end_of_ascii),
        cmocka_unit_test(long_runs_of_marks_are_ordered_too),
        cmocka_unit_test(a_full_buffer_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
