/* Reading a tokenizer, encoding, decoding and streaming, with each allocation failing once. jansson's,
 * PCRE2's and utf8proc's own memory is not ours to fail. */
#include "support/oom.h"
#include "support/tokenizers.h"

/* Small, but with every kind of step that takes memory. */
static const char SMALL[] =
    "{\"model\":{\"type\":\"BPE\",\"byte_fallback\":true,\"unk_token\":\"?\",\"fuse_unk\":true,"
    "\"vocab\":{\"?\":0,\"a\":1,\"b\":2,\"ab\":3,\"_\":4,\"_a\":5,\"<0x21>\":6},"
    "\"merges\":[[\"a\",\"b\"],\"_ a\"]},"
    "\"added_tokens\":[{\"id\":7,\"content\":\"[X]\",\"special\":true},"
    "{\"id\":8,\"content\":\"[n]\",\"normalized\":true,\"lstrip\":true}],"
    "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},"
    "{\"type\":\"Lowercase\"},{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"c+\"},"
    "\"content\":\"a\"},{\"type\":\"Prepend\",\"prepend\":\"b\"}]},"
    "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":"
    "{\"String\":\"-\"},\"behavior\":\"Removed\"},{\"type\":\"Metaspace\",\"replacement\":\"_\"}]},"
    "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":"
    "{\"id\":\"[X]\"}},{\"Sequence\":{\"id\":\"A\"}},{\"SpecialToken\":{\"id\":\"[X]\"}}],"
    "\"special_tokens\":{\"[X]\":{\"ids\":[7]}}},"
    "\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{"
    "\"String\":"
    "\"_\"},\"content\":\" \"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},{\"type\":\"Strip\","
    "\"content\":\" \",\"start\":1,\"stop\":1}]}}";

#define CHARSMAP                                                                                   \
    "iAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"                 \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"                 \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"                 \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"                 \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"                 \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"                 \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAIBhBQAAeHkA"

static const char PIECES[] =
    "{\"model\":{\"type\":\"Unigram\",\"byte_fallback\":true,\"unk_id\":0,\"vocab\":[[\"?\",0],"
    "[\"a\",-1],[\"b\",-1],[\"ab\",-1.5],[\"<0x21>\",-9],[\"_\",-2]]},"
    "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Precompiled\","
    "\"precompiled_charsmap\":\"" CHARSMAP "\"},{\"type\":\"Nmt\"}]},"
    "\"pre_tokenizer\":{\"type\":\"CharDelimiterSplit\",\"delimiter\":\"-\"},"
    "\"post_processor\":{\"type\":\"RobertaProcessing\",\"cls\":[\"?\",0],\"sep\":[\"b\",2]},"
    "\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"CTC\",\"pad_token\":\"?\","
    "\"word_delimiter_token\":\"_\"},{\"type\":\"BPEDecoder\",\"suffix\":\"b\"}]}}";

static const char WORDS[] =
    "{\"model\":{\"type\":\"WordPiece\",\"continuing_subword_prefix\":\"##\",\"unk_token\":\"?\","
    "\"max_input_chars_per_word\":100,\"vocab\":{\"?\":0,\"a\":1,\"##a\":2,\"##b\":3,\"##ab\":4}},"
    "\"normalizer\":{\"type\":\"BertNormalizer\"},\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"}"
    ","
    "\"post_processor\":{\"type\":\"BertProcessing\",\"cls\":[\"?\",0],\"sep\":[\"a\",1]},"
    "\"decoder\":{\"type\":\"WordPiece\",\"prefix\":\"##\"}}";

static const char SUFFIXED[] =
    "{\"model\":{\"type\":\"BPE\",\"end_of_word_suffix\":\"</w>\",\"unk_token\":\"?\",\"vocab\":"
    "{\"?\":0,\"a\":1,\"b</w>\":2,\"ab</w>\":3},\"merges\":[\"a b</w>\"]},"
    "\"pre_tokenizer\":{\"type\":\"ByteLevel\"},\"decoder\":{\"type\":\"ByteLevel\"}}";

static krs_status stream(const krs_tokenizer *t, const krs_alloc *alloc, const uint32_t *ids,
                         size_t n)
{
    krs_detok *d;
    krs_buf out;
    krs_buf_init(&out, alloc, 1u << 16);
    krs_status status = krs_detok_new(t, true, alloc, &d);
    for (size_t i = 0; status == KRS_OK && i < n; i++) {
        status = krs_detok_push(d, ids[i], &out);
    }
    if (status == KRS_OK) {
        status = krs_detok_finish(d, &out);
    }
    assert_true((d != NULL) || status != KRS_OK);
    krs_detok_free(d);
    krs_buf_deinit(&out);
    return status;
}

static krs_status encode_and_decode(const krs_tokenizer *t, krs_str text, const krs_alloc *alloc)
{
    krs_encoder *e;
    krs_ids ids;
    krs_buf out;
    krs_error err = KRS_ERROR_INIT;
    krs_buf_init(&out, alloc, 1u << 16);
    krs_status status = krs_encoder_new(t, &e, &err);
    if (status == KRS_OK) {
        status = krs_encode(e, text, true, &ids, &err);
    }
    if (status == KRS_OK) {
        status = krs_decode(t, ids.ids, ids.n, false, &out, &err);
    }
    if (status == KRS_OK) {
        status = stream(t, alloc, ids.ids, ids.n);
    }
    assert_true(status == KRS_OK || status == KRS_ENOMEM);
    krs_encoder_free(e);
    krs_buf_deinit(&out);
    return status;
}

static krs_status parse_and_use(const krs_alloc *alloc, void *ctx)
{
    const krs_str *json = ctx;
    /* Longer than the scan's words, and broken, so that every buffer is needed. */
    static const char text[] =
        "a-b [N]abcccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab[X]e\xCC\x81!\xFF";
    krs_tokenizer *t;
    krs_error err = KRS_ERROR_INIT;
    krs_status status = krs_tokenizer_parse(*json, alloc, &t, &err);
    assert_true((status == KRS_OK) == (t != NULL));
    assert_true(status == KRS_OK || err.status == status);
    if (status == KRS_OK) {
        status = encode_and_decode(t, krs_str_of(text), alloc);
    }
    krs_tokenizer_free(t);
    return status;
}

static void every_failed_allocation_leaves_nothing_behind(void **state)
{
    static const struct {
        const char *json;
        size_t n_least; /* allocations */
    } files[] = {{SMALL, 60}, {PIECES, 40}, {WORDS, 25}, {SUFFIXED, 25}};
    (void)state;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        krs_str json = krs_str_of(files[i].json);
        const size_t n = krs_oom_sweep(parse_and_use, &json);
        if (n <= files[i].n_least) {
            fail_msg("file %zu: %zu allocations", i, n);
        }
    }
}

static void a_real_tokenizer_survives_too(void **state)
{
    (void)state;
    krs_buf packed;
    krs_buf json;
    krs_buf_init(&packed, NULL, KRS_TEST_FILE_BYTES);
    krs_buf_init(&json, NULL, KRS_TEST_FILE_BYTES);
    assert_int_equal(
        krs_os_file_read(KRS_TEST_TOKENIZERS "/tiny-bpe-640/tokenizer.json.gz", &packed, NULL),
        KRS_OK);
    assert_int_equal(krs_gunzip(krs_buf_view(&packed), &json, NULL), KRS_OK);
    krs_str text = krs_buf_view(&json);
    assert_true(krs_oom_sweep(parse_and_use, &text) > 20);
    krs_buf_deinit(&packed);
    krs_buf_deinit(&json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failed_allocation_leaves_nothing_behind),
        cmocka_unit_test(a_real_tokenizer_survives_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
