/* text/detok: the stream is the whole, cut anywhere, and never half a character.
 *
 * krs_decode and the stream share their code, so "equal" alone would prove little: the vectors hold the
 * whole to the Rust library (test_tokenizer.c), and here the cuts are what is tested. */
#include "support/tokenizers.h"
#include "text/unicode.h"

#include <stdlib.h>

#define SEED_DEFAULT 20260102u /* any; printed, and taken from KRS_TEST_SEED when set */

static uint64_t seed(void)
{
    const char *text = getenv("KRS_TEST_SEED");
    const uint64_t value = text ? strtoull(text, NULL, 10) : SEED_DEFAULT;
    print_message("KRS_TEST_SEED=%llu\n", (unsigned long long)value);
    return value;
}

static uint32_t next(uint64_t *random, uint32_t n)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*random >> 33) % n;
}

/* Push ids one at a time; what comes is whole characters and never taken back. */
static void check_stream(const krs_tokenizer *t, krs_detok *d, const uint32_t *ids, size_t n,
                         bool skip_special)
{
    krs_buf whole;
    krs_buf streamed;
    krs_buf_init(&whole, NULL, KRS_TEST_TEXT_BYTES);
    krs_buf_init(&streamed, NULL, KRS_TEST_TEXT_BYTES);
    assert_int_equal(krs_decode(t, ids, n, skip_special, &whole, NULL), KRS_OK);
    krs_detok_reset(d);
    for (size_t i = 0; i < n; i++) {
        const size_t before = streamed.len;
        assert_int_equal(krs_detok_push(d, ids[i], &streamed), KRS_OK);
        const krs_str piece = {streamed.data + before, streamed.len - before};
        assert_int_equal(piece.len > 0 ? krs_utf8_valid_prefix(piece) : 0, piece.len);
        assert_true(krs_str_starts_with(krs_buf_view(&whole), krs_buf_view(&streamed)));
    }
    assert_int_equal(krs_detok_finish(d, &streamed), KRS_OK);
    assert_true(krs_str_equal(krs_buf_view(&whole), krs_buf_view(&streamed)));
    krs_buf_deinit(&whole);
    krs_buf_deinit(&streamed);
}

static void random_ids_stream_as_they_decode(void **state)
{
    static const char *const names[] = {"tiny-bpe-640",      "gpt-2",    "phi-3",
                                        "bert-base-uncased", "t5-small", "clip"};
    (void)state;
    uint64_t random = seed();
    for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
        krs_tokenizer *t = krs_test_tokenizer(names[k]);
        for (int skip = 0; skip < 2; skip++) {
            krs_detok *d = NULL;
            assert_int_equal(krs_detok_new(t, skip != 0, NULL, &d), KRS_OK);
            for (int round = 0; round < 300; round++) {
                uint32_t ids[40];
                /* Half the rounds stay among the low ids, where bytes and special tokens are. */
                const uint32_t n_ids = round % 2 ? krs_tokenizer_vocab_size(t) : 300;
                const size_t n = next(&random, 40);
                for (size_t i = 0; i < n; i++) {
                    ids[i] = next(&random, n_ids);
                }
                check_stream(t, d, ids, n, skip != 0);
            }
            krs_detok_free(d);
        }
        krs_tokenizer_free(t);
    }
}

static void a_prefix_of_real_text_streams_as_it_decodes(void **state)
{
    static const char *const names[] = {"gpt-2",    "qwen3", "phi-3", "bert-base-uncased",
                                        "t5-small", "clip"};
    static const char text[] = "  Hi \xF0\x9F\x91\xA8\xE2\x80\x8D\xF0\x9F\x91\xA9 \xE2\x96\x81x "
                               "<0x41>\xE1\x8A\xA0 \xE6\x97"
                               "\xA5\xE6\x9C\xAC\xEF\xBF\xBD\n\n";
    (void)state;
    for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
        krs_tokenizer *t = krs_test_tokenizer(names[k]);
        krs_encoder *e = krs_test_encoder(t);
        krs_detok *d = NULL;
        krs_ids ids;
        assert_int_equal(krs_detok_new(t, false, NULL, &d), KRS_OK);
        assert_int_equal(krs_encode(e, krs_str_of(text), true, &ids, NULL), KRS_OK);
        for (size_t n = 0; n <= ids.n; n++) { /* every cut, also inside a character */
            check_stream(t, d, ids.ids, n, false);
        }
        krs_detok_free(d);
        krs_encoder_free(e);
        krs_tokenizer_free(t);
    }
}

static void half_a_character_waits_for_the_other_half(void **state)
{
    (void)state;
    krs_tokenizer *t = krs_test_tokenizer("gpt-2");
    krs_detok *d = NULL;
    krs_buf out;
    krs_buf_init(&out, NULL, 100);
    assert_int_equal(krs_detok_new(t, false, NULL, &d), KRS_OK);
    /* U+1F642 is two tokens: F0 9F, then 99 82. */
    const int64_t first = krs_tokenizer_id_of(t, KRS_STR("\xC3\xB0\xC5\x81"));
    const int64_t second = krs_tokenizer_id_of(t, KRS_STR("\xC4\xBB\xC4\xA4"));
    assert_true(first >= 0 && second >= 0);
    assert_int_equal(krs_detok_push(d, (uint32_t)first, &out), KRS_OK);
    assert_int_equal(out.len, 0);
    assert_int_equal(krs_detok_push(d, (uint32_t)second, &out), KRS_OK);
    assert_string_equal(out.data, "\xF0\x9F\x99\x82");
    /* Cut short it is one U+FFFD. */
    krs_buf_reset(&out);
    krs_detok_reset(d);
    assert_int_equal(krs_detok_push(d, (uint32_t)first, &out), KRS_OK);
    assert_int_equal(krs_detok_finish(d, &out), KRS_OK);
    assert_string_equal(out.data, "\xEF\xBF\xBD");
    krs_buf_deinit(&out);
    krs_detok_free(d);
    krs_tokenizer_free(t);
}

static void an_id_past_the_vocabulary_is_refused(void **state)
{
    (void)state;
    krs_tokenizer *t = krs_test_tokenizer("tiny-bpe-640");
    krs_detok *d = NULL;
    krs_buf out;
    krs_buf_init(&out, NULL, 100);
    assert_int_equal(krs_detok_new(t, false, NULL, &d), KRS_OK);
    assert_int_equal(krs_detok_push(d, 640, &out), KRS_EINVAL);
    assert_int_equal(krs_detok_push(d, 639, &out), KRS_OK);
    krs_buf_deinit(&out);
    krs_detok_free(d);
    krs_tokenizer_free(t);
}

/* A file with this decoder and the tokens a, b, "_a", "<0xC3>", "<0xA9>", "_", "##a", ".", "n't", "b</w>",
 * "do not" as ids 0 .. 10. */
static krs_tokenizer *with_decoder(const char *decoder)
{
    char json[2000];
    assert_true((size_t)snprintf(json, sizeof(json),
                                 "{\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{\"a\":0,"
                                 "\"b\":1,\"_a\":2,\"<0xC3>\":3,\"<0xA9>\":4,\"_\":5,\"##a\":6,"
                                 "\".\":7,\"n't\":8,\"b</w>\":9,\"do not\":10}},"
                                 "\"decoder\":%s}",
                                 decoder) < sizeof(json));
    return krs_test_tokenizer_of(json);
}

/* Every decoder's own words, by hand from the Rust library's definitions. */
static void decoders_say_what_they_should(void **state)
{
    static const struct {
        const char *decoder;
        uint32_t ids[8];
        size_t n;
        const char *text;
    } cases[] = {
        {"null", {0, 1, 2}, 3, "a b _a"},
        {"{\"type\":\"Fuse\"}", {0, 1, 2}, 3, "ab_a"},
        {"{\"type\":\"Metaspace\",\"replacement\":\"_\"}", {2, 2, 5, 0}, 4, "a a a"},
        {"{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"never\"}",
         {2, 2},
         2,
         " a a"},
        {"{\"type\":\"ByteFallback\"}",
         {0, 3, 4, 1},
         4,
         "a\xC3\xA9"
         "b"},
        {"{\"type\":\"ByteFallback\"}", {3, 4, 3}, 3, "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"{\"type\":\"Strip\",\"content\":\"a\",\"start\":1,\"stop\":0}", {0, 1, 2}, 3, "b_a"},
        {"{\"type\":\"Strip\",\"content\":\"a\",\"start\":0,\"stop\":1}", {0, 1, 2}, 3, "b_"},
        {"{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Fuse\"},"
         "{\"type\":\"Strip\",\"content\":\"a\",\"start\":2,\"stop\":1}]}",
         {0, 0, 0, 1, 0, 0},
         6,
         "aba"},
        {"{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Fuse\"},{\"type\":\"Replace\","
         "\"pattern\":{\"String\":\"ab_\"},\"content\":\"X\"}]}",
         {0, 0, 1, 2, 0, 1},
         6,
         "aXaab"},
        {"{\"type\":\"WordPiece\",\"prefix\":\"##\",\"cleanup\":true}",
         {6, 0, 6, 1, 7, 8, 10},
         7,
         "##a aa b.n't don't"},
        {"{\"type\":\"WordPiece\",\"prefix\":\"##\",\"cleanup\":false}",
         {7, 0, 6, 7, 8},
         5,
         ". aa . n't"},
        {"{\"type\":\"BPEDecoder\",\"suffix\":\"</w>\"}", {0, 9, 0, 9}, 4, "ab ab"},
        {"{\"type\":\"BPEDecoder\",\"suffix\":\"</w>\"}", {9, 9, 0}, 3, "b b a"},
        {"{\"type\":\"CTC\",\"pad_token\":\"b\",\"word_delimiter_token\":\"_\",\"cleanup\":true}",
         {0, 0, 1, 0, 1, 1, 2, 5},
         8,
         "aa a "},
        {"{\"type\":\"CTC\",\"pad_token\":\"b\",\"word_delimiter_token\":\"_\",\"cleanup\":false}",
         {0, 0, 5},
         3,
         "a_"},
        {"{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"BPEDecoder\",\"suffix\":\"</w>\"},"
         "{\"type\":\"Metaspace\",\"replacement\":\"_\"}]}",
         {2, 9, 2},
         3,
         "ab  a"},
        {"{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"[ab]\"},\"content\":\"-\"}",
         {0, 1, 2},
         3,
         "--_-"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        krs_tokenizer *t = with_decoder(cases[i].decoder);
        krs_buf out;
        krs_buf_init(&out, NULL, 100);
        assert_int_equal(krs_decode(t, cases[i].ids, cases[i].n, false, &out, NULL), KRS_OK);
        if (!krs_str_equal(krs_buf_view(&out), krs_str_of(cases[i].text))) {
            fail_msg("%s: \"%s\", want \"%s\"", cases[i].decoder, out.data, cases[i].text);
        }
        krs_detok *d = NULL;
        assert_int_equal(krs_detok_new(t, false, NULL, &d), KRS_OK);
        check_stream(t, d, cases[i].ids, cases[i].n, false);
        krs_detok_free(d);
        krs_buf_deinit(&out);
        krs_tokenizer_free(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_ids_stream_as_they_decode),
        cmocka_unit_test(a_prefix_of_real_text_streams_as_it_decodes),
        cmocka_unit_test(half_a_character_waits_for_the_other_half),
        cmocka_unit_test(an_id_past_the_vocabulary_is_refused),
        cmocka_unit_test(decoders_say_what_they_should),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
