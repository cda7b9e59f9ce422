/* text/tokenizer: the same ids and texts as the Rust library, for every vector we have.
 *
 * tests/data/tokenizers holds a few real tokenizers; more are checked when KRS_TESTDATA names a folder
 * of them. */
#include "support/tokenizers.h"

#include <stdlib.h>

static void check_pairs(krs_encoder *e, const json_t *pairs)
{
    assert_true(json_array_size(pairs) > 0);
    for (size_t i = 0; i < json_array_size(pairs); i++) {
        const json_t *c = json_array_get(pairs, i);
        const krs_str first = krs_test_str(json_object_get(c, "a"));
        krs_ids got;
        krs_error err = KRS_ERROR_INIT;
        if (krs_encode_pair(e, first, krs_test_str(json_object_get(c, "b")), true, &got, &err) !=
            KRS_OK) {
            fail_msg("%s", err.message);
        }
        krs_test_same_ids(first, got, json_object_get(c, "ids"));
    }
}

/* Every case of a folder, both directions, and every pair. */
static void check_vectors(const char *folder)
{
    krs_tokenizer *t = krs_test_tokenizer_at(folder);
    krs_encoder *e = krs_test_encoder(t);
    json_t *root = krs_test_vectors(folder);
    const json_t *cases = json_object_get(root, "cases");
    assert_true(json_array_size(cases) > 300);
    assert_int_equal(krs_tokenizer_vocab_size(t),
                     json_integer_value(json_object_get(root, "vocab_size")));
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i);
        const krs_str text = krs_test_str(json_object_get(c, "text"));
        const json_t *ids = json_object_get(c, "ids");
        krs_test_encodes(e, text, false, ids);
        krs_test_decodes(t, ids, false, krs_test_str(json_object_get(c, "decoded")));
        const json_t *special = json_object_get(c, "ids_special");
        if (special) {
            krs_test_encodes(e, text, true, special);
            krs_test_decodes(t, special, true, krs_test_str(json_object_get(c, "decoded_skip")));
        }
    }
    check_pairs(e, json_object_get(root, "pairs"));
    json_decref(root);
    krs_encoder_free(e);
    krs_tokenizer_free(t);
}

static void equals_the_rust_library_on_kept_vectors(void **state)
{
    static const char *const names[] = {"tiny-bpe-640",      "gpt-2", "smollm2", "qwen3", "phi-3",
                                        "bert-base-uncased", "clip",  "t5-small"};
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char folder[KRS_OS_PATH_BYTES];
        (void)snprintf(folder, sizeof(folder), "%s/%s", KRS_TEST_TOKENIZERS, names[i]);
        check_vectors(folder);
    }
}

static void equals_the_rust_library_on_other_vectors(void **state)
{
    static const char *const names[] = {
        "gpt-2",
        "gpt-oss",
        "llama-3.1",
        "qwen2.5",
        "qwen3",
        "smollm2",
        "pythia-410m",
        "tiny-bpe-640",
        "phi-3",
        "llama-2-tinyllama",
        "mistral-7b-instruct-v0.3",
        "bert-base-uncased",
        "bge-large-en",
        "clip",
        "t5-small",
    };
    (void)state;
    const char *data = getenv("KRS_TESTDATA");
    if (!data) {
        print_message("skipped: KRS_TESTDATA is not set\n");
        skip();
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char folder[KRS_OS_PATH_BYTES];
        (void)snprintf(folder, sizeof(folder), "%s/tokenizers/%s", data, names[i]);
        check_vectors(folder);
    }
}

static void broken_utf8_counts_as_replacement_characters(void **state)
{
    (void)state;
    krs_tokenizer *t = krs_test_tokenizer("gpt-2");
    krs_encoder *e = krs_test_encoder(t);
    krs_encoder *e2 = krs_test_encoder(t);
    krs_ids broken;
    krs_ids repaired;
    assert_int_equal(krs_encode(e,
                                KRS_STR("a\xFF"
                                        "b\xE2\x82 \xF0\x9F\x98"),
                                false, &broken, NULL),
                     KRS_OK);
    assert_int_equal(krs_encode(e2,
                                KRS_STR("a\xEF\xBF\xBD"
                                        "b\xEF\xBF\xBD \xEF\xBF\xBD"),
                                false, &repaired, NULL),
                     KRS_OK);
    assert_int_equal(broken.n, repaired.n);
    assert_memory_equal(broken.ids, repaired.ids, broken.n * sizeof(broken.ids[0]));
    krs_encoder_free(e);
    krs_encoder_free(e2);
    krs_tokenizer_free(t);
}

static void tokens_are_found_by_text_and_told_by_bytes(void **state)
{
    (void)state;
    krs_tokenizer *t = krs_test_tokenizer("qwen3");
    assert_int_equal(krs_tokenizer_id_of(t, KRS_STR("<|im_end|>")), 151645);
    assert_int_equal(krs_tokenizer_id_of(t, KRS_STR("no such token")), -1);
    assert_true(krs_tokenizer_is_special(t, 151645));
    assert_false(krs_tokenizer_is_special(t, 0));
    assert_false(krs_tokenizer_is_special(t, UINT32_MAX));
    /* Byte-level undone: U+0120 in the file is a space. */
    const int64_t space_a = krs_tokenizer_id_of(t, KRS_STR("\xC4\xA0"
                                                           "a"));
    assert_true(space_a >= 0);
    assert_true(krs_str_equal(krs_tokenizer_token_bytes(t, (uint32_t)space_a), KRS_STR(" a")));
    assert_int_equal(krs_tokenizer_token_bytes(t, UINT32_MAX).len, 0);
    krs_tokenizer_free(t);
    /* Byte fallback undone, and U+2581. */
    t = krs_test_tokenizer("phi-3");
    const int64_t newline = krs_tokenizer_id_of(t, KRS_STR("<0x0A>"));
    const int64_t the = krs_tokenizer_id_of(t, KRS_STR("\xE2\x96\x81the"));
    assert_true(krs_str_equal(krs_tokenizer_token_bytes(t, (uint32_t)newline), KRS_STR("\n")));
    assert_true(krs_str_equal(krs_tokenizer_token_bytes(t, (uint32_t)the), KRS_STR(" the")));
    krs_tokenizer_free(t);
}

/* The bytes of the tokens, end to end, are the text: what constrained decoding relies on. */
static void check_bytes(const char *name, const char *text, const char *want)
{
    krs_tokenizer *t = krs_test_tokenizer(name);
    krs_encoder *e = krs_test_encoder(t);
    krs_ids ids;
    krs_buf sum;
    krs_buf_init(&sum, NULL, KRS_TEST_TEXT_BYTES);
    assert_int_equal(krs_encode(e, krs_str_of(text), false, &ids, NULL), KRS_OK);
    for (size_t i = 0; i < ids.n; i++) {
        assert_int_equal(krs_buf_append_str(&sum, krs_tokenizer_token_bytes(t, ids.ids[i])),
                         KRS_OK);
    }
    assert_string_equal(sum.data, want);
    krs_buf_deinit(&sum);
    krs_encoder_free(e);
    krs_tokenizer_free(t);
}

/* As in running text: no token knows that it is the first, so the space before it is there. */
static void bytes_of_tokens_add_up_to_the_text(void **state)
{
    static const char text[] = "na\xC3\xAFve \xF0\x9F\x98\x80 \xE6\x97\xA5\xE6\x9C\xAC\n\tx = 1;";
    (void)state;
    check_bytes("gpt-2", text, text);
    check_bytes("phi-3", "na\xC3\xAFve \xF0\x9F\x98\x80", " na\xC3\xAFve \xF0\x9F\x98\x80");
    check_bytes("t5-small", "Hello, unbelievable world!", " Hello, unbelievable world!");
    check_bytes("bert-base-uncased", "Hello, unbelievable world!", " hello, unbelievable world!");
}

static void an_id_past_the_vocabulary_is_refused_by_name(void **state)
{
    (void)state;
    krs_tokenizer *t = krs_test_tokenizer("tiny-bpe-640");
    const uint32_t ids[] = {70, 640};
    krs_buf out;
    krs_buf_init(&out, NULL, 100);
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(krs_decode(t, ids, 2, false, &out, &err), KRS_EINVAL);
    assert_non_null(strstr(err.message, "ids[1]: 640"));
    assert_int_equal(out.len, 0); /* all or nothing */
    krs_buf_deinit(&out);
    krs_tokenizer_free(t);
}

static void a_missing_file_is_not_found(void **state)
{
    (void)state;
    krs_tokenizer *t = NULL;
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(krs_tokenizer_load("/nonexistent/tokenizer.json", NULL, &t, &err), KRS_ENOENT);
    assert_null(t);
    assert_int_equal(krs_tokenizer_load(KRS_TEST_TOKENIZERS, NULL, &t, &err), KRS_ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_the_rust_library_on_kept_vectors),
        cmocka_unit_test(equals_the_rust_library_on_other_vectors),
        cmocka_unit_test(broken_utf8_counts_as_replacement_characters),
        cmocka_unit_test(tokens_are_found_by_text_and_told_by_bytes),
        cmocka_unit_test(bytes_of_tokens_add_up_to_the_text),
        cmocka_unit_test(an_id_past_the_vocabulary_is_refused_by_name),
        cmocka_unit_test(a_missing_file_is_not_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
