/* text/unicode: the normal forms against utf8proc's own on random texts, what NFC may copy unseen, and the
 * fast check of UTF-8 against the slow one. */
#include "support/cmocka.h"
#include "text/unicode.h"

#include <stdio.h>
#include <stdlib.h>
#include <utf8proc.h>

#define SEED_DEFAULT 3u
#define N_TEXTS      20000
#define MAX_CHARS    24
#define MAX_OUT      (64u << 10)
#define N_CODES      0x110000u

static uint32_t next(uint64_t *random, uint32_t n)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*random >> 33) % n;
}

static uint64_t seed_of_run(void)
{
    const char *text = getenv("KRS_TEST_SEED");
    const uint64_t seed = text ? strtoull(text, NULL, 10) : SEED_DEFAULT;
    print_message("seed %llu (KRS_TEST_SEED)\n", (unsigned long long)seed);
    return seed;
}

static void append_char(krs_buf *out, uint32_t c)
{
    char bytes[KRS_UTF8_MAX_BYTES];
    assert_int_equal(krs_buf_append(out, bytes, krs_utf8_encode(c, bytes)), KRS_OK);
}

/* Settled characters start a piece of text (class 0), are their own NFC, and are the second half of
 * nothing: they stand behind the first character of no canonical decomposition. */
static void settled_characters_stay_and_join_nothing_before(void **state)
{
    (void)state;
    krs_buf one;
    krs_buf out;
    krs_buf_init(&one, NULL, KRS_UTF8_MAX_BYTES);
    krs_buf_init(&out, NULL, MAX_OUT);
    size_t n_settled = 0;
    for (uint32_t c = 0; c < N_CODES; c++) {
        if (c >= 0xD800 && c <= 0xDFFF) {
            continue;
        }
        krs_buf_reset(&one);
        krs_buf_reset(&out);
        append_char(&one, c);
        assert_int_equal(krs_unicode_normalize(KRS_UNICODE_NFD, krs_buf_view(&one), &out), KRS_OK);
        krs_str rest = krs_buf_view(&out);
        for (size_t i = 0, n; rest.len > 0; i++, rest = (krs_str){rest.ptr + n, rest.len - n}) {
            const uint32_t part = krs_utf8_decode(rest, &n);
            if (i > 0 && krs_unicode_is_settled(part)) {
                fail_msg("U+%04X is part %zu of U+%04X", part, i, c);
            }
        }
        if (krs_unicode_is_settled(c)) {
            n_settled++;
            assert_int_equal(utf8proc_get_property((utf8proc_int32_t)c)->combining_class, 0);
            utf8proc_uint8_t *own = utf8proc_NFC((const utf8proc_uint8_t *)one.data);
            if (c > 0 && strcmp((const char *)own, one.data) != 0) {
                fail_msg("U+%04X has another NFC", c);
            }
            free(own);
        }
    }
    assert_true(n_settled > 30000);
    krs_buf_deinit(&one);
    krs_buf_deinit(&out);
}

/* Letters with and without accents, marks of several classes, Hangul whole and in parts, characters with
 * other forms, and any others. */
static void write_random(uint64_t *random, krs_buf *out)
{
    static const uint32_t telling[] = {
        'a',    'e',    'o',    ' ',    0xE9,   0xC5,   0x1EAD, 0x212B, 0x2126, 0x300,  0x301,
        0x308,  0x323,  0x327,  0x345,  0x1100, 0x1161, 0x11A8, 0xAC00, 0xAC01, 0x304B, 0x304C,
        0x3099, 0x30AB, 0x65E5, 0xF900, 0x9FFF, 0x438,  0x439,  0x306,  0x627,  0x653,  0x5D0,
        0x5B7,  0xFB2E, 0x928,  0x93C,  0x958,  0x9C7,  0x9BE,  0xE33,  0x1F600};
    krs_buf_reset(out);
    for (uint32_t i = 1 + next(random, MAX_CHARS); i > 0; i--) {
        uint32_t c = telling[next(random, sizeof(telling) / sizeof(telling[0]))];
        if (next(random, 8) == 0) {
            c = 1 + next(random, N_CODES - 1);
            c = c >= 0xD800 && c <= 0xDFFF ? 'x' : c;
        }
        append_char(out, c);
    }
}

static void random_texts_have_the_forms_of_utf8proc(void **state)
{
    (void)state;
    static utf8proc_uint8_t *(*const whole[])(const utf8proc_uint8_t *) = {
        [KRS_UNICODE_NFC] = utf8proc_NFC,
        [KRS_UNICODE_NFD] = utf8proc_NFD,
        [KRS_UNICODE_NFKC] = utf8proc_NFKC,
        [KRS_UNICODE_NFKD] = utf8proc_NFKD,
    };
    uint64_t random = seed_of_run();
    krs_buf text;
    krs_buf out;
    krs_buf_init(&text, NULL, MAX_OUT);
    krs_buf_init(&out, NULL, MAX_OUT);
    for (size_t i = 0; i < N_TEXTS; i++) {
        const krs_unicode_form form = (krs_unicode_form)(i % 2 ? KRS_UNICODE_NFC : i / 2 % 4);
        write_random(&random, &text);
        krs_buf_reset(&out);
        assert_int_equal(krs_unicode_normalize(form, krs_buf_view(&text), &out), KRS_OK);
        utf8proc_uint8_t *want = whole[form]((const utf8proc_uint8_t *)text.data);
        assert_non_null(want);
        if (strcmp(out.data, (const char *)want) != 0) {
            fail_msg("form %d of \"%s\": \"%s\", want \"%s\"", (int)form, text.data, out.data,
                     (const char *)want);
        }
        free(want);
    }
    krs_buf_deinit(&text);
    krs_buf_deinit(&out);
}

/* Text with a byte changed here and there is valid up to where the scan says. */
static void broken_text_is_valid_up_to_its_first_fault(void **state)
{
    (void)state;
    uint64_t random = seed_of_run();
    krs_buf text;
    krs_buf_init(&text, NULL, MAX_OUT);
    for (size_t i = 0; i < N_TEXTS; i++) {
        write_random(&random, &text);
        for (uint32_t k = next(&random, 3); k > 0; k--) {
            text.data[next(&random, (uint32_t)text.len)] = (char)next(&random, 256);
        }
        krs_str s = krs_buf_view(&text);
        s.len -= next(&random, 2);
        size_t want = 0;
        size_t n;
        while (want < s.len &&
               krs_utf8_scan((krs_str){s.ptr + want, s.len - want}, &n) == KRS_UTF8_VALID) {
            want += n;
        }
        assert_int_equal(krs_utf8_valid_prefix(s), want);
    }
    krs_buf_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settled_characters_stay_and_join_nothing_before),
        cmocka_unit_test(random_texts_have_the_forms_of_utf8proc),
        cmocka_unit_test(broken_text_is_valid_up_to_its_first_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
