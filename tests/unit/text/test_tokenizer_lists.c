/* text/tokenizer_lists: what is cut out of a file and what is left to the parser; and that a tokenizer read
 * without its lists is the one that its whole tree gives. */
#include "support/cmocka.h"
#include "support/tokenizers.h"
#include "text/tokenizer_lists.h"
#include "text/tokenizer_priv.h"

#define MAX_REST 4000

/* The rest of json without its lists; NULL: not cut. */
static const char *rest_of(const char *json, krs_tokenizer_lists *lists, krs_buf *rest)
{
    krs_buf_reset(rest);
    return krs_tokenizer_lists_cut(krs_str_of(json), lists, rest) ? rest->data : NULL;
}

static void lists_are_cut_out_wherever_they_stand(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        const char *rest;
        size_t n_vocab;
        size_t n_merges;
    } cases[] = {
        {"{\"model\":{\"vocab\":{\"a\":0,\"b\":1},\"merges\":[\"a b\"]}}",
         "{\"model\":{\"vocab\":{},\"merges\":[]}}", 2, 1},
        {" { \"x\" : [ 1 , {\"model\":{\"vocab\":{\"a\":1}}} ] , \"model\" : { \"merges\" : [ [ "
         "\"a\" , \"b\" "
         "] , \"c d\"] , \"t\":null,\"vocab\" : { \"\\u0120\\n\" : 7 } , \"z\":true } } ",
         " { \"x\" : [ 1 , {\"model\":{\"vocab\":{\"a\":1}}} ] , \"model\" : { \"merges\" : [] , "
         "\"t\":null,\"vocab\" : {} , \"z\":true } } ",
         1, 2},
        {"{\"mo\\u0064el\":{\"vocab\":{}},\"v\":\"]}\\\"\"}",
         "{\"mo\\u0064el\":{\"vocab\":{}},\"v\":\"]}\\\"\"}", 0, 0},
    };
    krs_buf rest;
    krs_buf_init(&rest, NULL, MAX_REST);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        krs_tokenizer_lists lists;
        const char *got = rest_of(cases[i].json, &lists, &rest);
        assert_non_null(got);
        assert_string_equal(got, cases[i].rest);
        assert_int_equal(lists.n_vocab, cases[i].n_vocab);
        assert_int_equal(lists.n_merges, cases[i].n_merges);
    }
    krs_buf_deinit(&rest);
}

/* Right or wrong, these are for the parser to judge. */
static void what_is_not_plain_is_left_to_the_parser(void **state)
{
    (void)state;
    static const char *const files[] = {
        "",
        "[]",
        "{}",
        "{\"model\":{}}",
        "{\"model\":[]}",
        "{\"model\":{\"vocab\":[[\"a\",0.5]]}}",
        "{\"model\":{\"vocab\":{\"a\":0}},\"model\":{\"vocab\":{\"a\":0}}}",
        "{\"model\":{\"vocab\":{\"a\":0},\"vocab\":{\"a\":0}}}",
        "{\"model\":{\"vocab\":{\"a\":0},\"merges\":[],\"merges\":[]}}",
        "{\"model\":{\"vocab\":{\"a\":0},}}",
        "{\"model\":{\"vocab\":{\"a\":0,}}}",
        "{\"model\":{\"vocab\":{,\"a\":0}}}",
        "{\"model\":{\"vocab\":{\"a\" 0}}}",
        "{\"model\":{\"vocab\":{\"a\":0 1}}}",
        "{\"model\":{\"vocab\":{\"a\":-1}}}",
        "{\"model\":{\"vocab\":{\"a\":01}}}",
        "{\"model\":{\"vocab\":{\"a\":1.0}}}",
        "{\"model\":{\"vocab\":{\"a\":1e3}}}",
        "{\"model\":{\"vocab\":{\"a\":12345678}}}",
        "{\"model\":{\"vocab\":{\"a\":null}}}",
        "{\"model\":{\"vocab\":{a:0}}}",
        "{\"model\":{\"vocab\":{\"\\uD83D\\uDE00\":0}}}",
        "{\"model\":{\"vocab\":{\"\\u0000\":0}}}",
        "{\"model\":{\"vocab\":{\"\\x\":0}}}",
        "{\"model\":{\"vocab\":{\"\\u12\":0}}}",
        "{\"model\":{\"vocab\":{\"a\tb\":0}}}",
        "{\"model\":{\"vocab\":{\"\xFF\":0}}}",
        "{\"model\":{\"vocab\":{\"a\":0}",
        "{\"model\":{\"vocab\":{\"a\":0",
        "{\"model\":{\"vocab\":{\"a",
        "{\"model\":{\"vocab\":{\"a\":0},\"merges\":[\"a b\"",
        "{\"model\":{\"vocab\":{\"a\":0},\"merges\":[\"a b\",]}}",
        "{\"model\":{\"vocab\":{\"a\":0},\"merges\":[[\"a\"]]}}",
        "{\"model\":{\"vocab\":{\"a\":0},\"merges\":[[\"a\",\"b\",\"c\"]]}}",
        "{\"model\":{\"vocab\":{\"a\":0},\"merges\":[1]}}",
        "{\"model\":{\"vocab\":{\"a\":0},\"merges\":[[\"a\",1]]}}",
    };
    krs_buf rest;
    krs_buf_init(&rest, NULL, MAX_REST);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        krs_tokenizer_lists lists;
        if (rest_of(files[i], &lists, &rest)) {
            fail_msg("cut: %s", files[i]);
        }
    }
    krs_buf_deinit(&rest);
}

static void entries_come_without_their_escapes(void **state)
{
    (void)state;
    krs_list_cursor c;
    krs_str first;
    krs_str second;
    uint32_t id = 0;
    krs_list_cursor_init(&c, KRS_STR("\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0120\\u20ac\":41,\"\":0 }"),
                         NULL);
    assert_true(krs_list_next_token(&c, &first, &id));
    assert_true(krs_str_equal(first, KRS_STR("a\"\\/\b\f\n\r\t\xC4\xA0\xE2\x82\xAC")));
    assert_int_equal(id, 41);
    assert_true(krs_list_next_token(&c, &first, &id));
    assert_int_equal(first.len, 0);
    assert_int_equal(id, 0);
    assert_false(krs_list_next_token(&c, &first, &id));
    assert_false(c.is_bad);
    krs_list_cursor_deinit(&c);
    krs_list_cursor_init(&c, KRS_STR("[\"\\u0061\",\"\\u0062\"],\"c d\"]"), NULL);
    assert_true(krs_list_next_merge(&c, &first, &second));
    assert_true(krs_str_equal(first, KRS_STR("a")) && krs_str_equal(second, KRS_STR("b")));
    assert_true(krs_list_next_merge(&c, &first, &second));
    assert_true(krs_str_equal(first, KRS_STR("c d")) && !second.ptr);
    assert_false(krs_list_next_merge(&c, &first, &second));
    assert_false(c.is_bad);
    krs_list_cursor_deinit(&c);
}

/* Both ways the same vocabulary and, through the merges, the same ids. */
static void check_file(const char *name)
{
    char path[KRS_OS_PATH_BYTES];
    krs_buf packed;
    krs_buf text;
    krs_buf rest;
    krs_buf_init(&packed, NULL, KRS_TEST_FILE_BYTES);
    krs_buf_init(&text, NULL, KRS_TEST_FILE_BYTES);
    krs_buf_init(&rest, NULL, KRS_TEST_FILE_BYTES);
    (void)snprintf(path, sizeof(path), "%s/%s/tokenizer.json.gz", KRS_TEST_TOKENIZERS, name);
    assert_int_equal(krs_os_file_read(path, &packed, NULL), KRS_OK);
    assert_int_equal(krs_gunzip(krs_buf_view(&packed), &text, NULL), KRS_OK);
    krs_tokenizer_lists lists;
    assert_true(krs_tokenizer_lists_cut(krs_buf_view(&text), &lists, &rest));
    assert_true(rest.len < text.len / 2);
    const krs_json_limits limits = {KRS_TEST_FILE_BYTES, true};
    json_t *root = NULL;
    assert_int_equal(krs_json_parse(krs_buf_view(&text), &limits, &root, NULL), KRS_OK);
    krs_tokenizer *whole = NULL;
    krs_tokenizer *cut = NULL;
    assert_int_equal(krs_tokenizer_read(root, NULL, &whole, NULL), KRS_OK);
    assert_int_equal(krs_tokenizer_parse(krs_buf_view(&text), NULL, &cut, NULL), KRS_OK);
    assert_int_equal(krs_tokenizer_vocab_size(whole), krs_tokenizer_vocab_size(cut));
    for (uint32_t id = 0; id < krs_tokenizer_vocab_size(whole); id++) {
        assert_true(
            krs_str_equal(krs_tokenizer_text_of(whole, id), krs_tokenizer_text_of(cut, id)));
    }
    krs_encoder *encoders[] = {krs_test_encoder(whole), krs_test_encoder(cut)};
    const krs_str sample = {text.data, 50000};
    krs_ids ids[2];
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(krs_encode(encoders[i], sample, true, &ids[i], NULL), KRS_OK);
    }
    assert_int_equal(ids[0].n, ids[1].n);
    assert_memory_equal(ids[0].ids, ids[1].ids, ids[0].n * sizeof(ids[0].ids[0]));
    for (size_t i = 0; i < 2; i++) {
        krs_encoder_free(encoders[i]);
    }
    krs_tokenizer_free(whole);
    krs_tokenizer_free(cut);
    json_decref(root);
    krs_buf_deinit(&packed);
    krs_buf_deinit(&text);
    krs_buf_deinit(&rest);
}

static void a_cut_file_gives_the_same_tokenizer(void **state)
{
    (void)state;
    check_file("gpt-2"); /* merges as one string */
    check_file("qwen3");
    check_file("tiny-bpe-640");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_are_cut_out_wherever_they_stand),
        cmocka_unit_test(what_is_not_plain_is_left_to_the_parser),
        cmocka_unit_test(entries_come_without_their_escapes),
        cmocka_unit_test(a_cut_file_gives_the_same_tokenizer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
