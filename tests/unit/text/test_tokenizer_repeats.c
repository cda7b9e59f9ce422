/* text/tokenizer on a quarter of a megabyte of one thing, again and again. Each of these takes quadratic time in
 * some tokenizer or other; here ctest's limit would end it. (The models' own work is counted in
 * test_unigram.c and test_wordpiece.c; this is about everything around them.) */
#include "support/tokenizers.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define N_BYTES (1u << 17) /* a square of it would still be seen */
#else
#define N_BYTES (1u << 18)
#endif

/* Ids for a byte: U+FDFA's three bytes are 33 when spelled out. */
#define MAX_GROWTH 11

static const struct {
    const char *text;
    bool is_nfc; /* its repetition is its own normal form */
} units[] = {
    {"a", true},
    {"A", true},
    {"1", true},
    {" ", true},
    {"\n", true},
    {"!", true},
    {"ab", true},
    {"\r\n", true},
    {"'s", true},
    {"<|im_", true},
    {"[MA", true},
    {"\xC3\xA9", true},
    {"e\xCC\x81", false},
    {"\xE4\xB8\xAD", true},
    {"\xCC\x81", true},
    {"\xCC\x81\xCC\xA3", false},
    {"\xE2\x80\x8D", true},
    {"\xEF\xB7\xBA", true},
    {"##a", true},
};

/* Every unit through a tokenizer and back. is_lossless: a text in normal form comes back as it was. */
static void check_all(const char *name, bool is_lossless)
{
    krs_tokenizer *t = krs_test_tokenizer(name);
    krs_encoder *e = krs_test_encoder(t);
    krs_buf text;
    krs_buf back;
    krs_buf_init(&text, NULL, KRS_TEST_TEXT_BYTES);
    krs_buf_init(&back, NULL, KRS_TEST_TEXT_BYTES);
    for (size_t k = 0; k < sizeof(units) / sizeof(units[0]); k++) {
        krs_ids ids;
        krs_error err = KRS_ERROR_INIT;
        krs_buf_reset(&text);
        krs_buf_reset(&back);
        while (text.len < N_BYTES) {
            assert_int_equal(krs_buf_append_str(&text, krs_str_of(units[k].text)), KRS_OK);
        }
        if (krs_encode(e, krs_buf_view(&text), false, &ids, &err) != KRS_OK) {
            fail_msg("%s, \"%s\" again and again: %s", name, units[k].text, err.message);
        }
        assert_true(ids.n <= MAX_GROWTH * text.len);
        assert_int_equal(krs_decode(t, ids.ids, ids.n, false, &back, NULL), KRS_OK);
        assert_true(!is_lossless || !units[k].is_nfc ||
                    krs_str_equal(krs_buf_view(&text), krs_buf_view(&back)));
    }
    krs_buf_deinit(&text);
    krs_buf_deinit(&back);
    krs_encoder_free(e);
    krs_tokenizer_free(t);
}

static void byte_level_bpe_gives_it_back(void **state)
{
    (void)state;
    check_all("gpt-2", true);
    check_all("qwen3", true);
}

static void byte_fallback_gives_it_back(void **state)
{
    (void)state;
    check_all("phi-3", true);
}

static void a_word_with_a_suffix_is_no_trouble(void **state)
{
    (void)state;
    check_all("clip", false);
}

static void wordpiece_is_no_trouble(void **state)
{
    (void)state;
    check_all("bert-base-uncased", false);
}

static void unigram_and_its_rules_are_no_trouble(void **state)
{
    (void)state;
    check_all("t5-small", false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(byte_level_bpe_gives_it_back),
        cmocka_unit_test(byte_fallback_gives_it_back),
        cmocka_unit_test(a_word_with_a_suffix_is_no_trouble),
        cmocka_unit_test(wordpiece_is_no_trouble),
        cmocka_unit_test(unigram_and_its_rules_are_no_trouble),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
