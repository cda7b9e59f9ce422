/* text/normalize, from the file's side: each normaliser rewrites as the Rust library's does. */
#include "support/tokenizers.h"
#include "text/tokenizer_priv.h"

#define MAX_JSON 4000

#define CHARSMAP                                                                                   \
    "iAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"                 \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"                 \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"                 \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"                 \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"                 \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"                 \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAIBhBQAAeHkA"

static void check_normal(const char *normalizer, const char *text, const char *want)
{
    char json[MAX_JSON];
    assert_true((size_t)snprintf(json, sizeof(json),
                                 "{\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{\"a\":0}},"
                                 "\"normalizer\":%s}",
                                 normalizer) < sizeof(json));
    krs_tokenizer *t = krs_test_tokenizer_of(json);
    krs_pattern_room *room = krs_pattern_room_new(NULL);
    krs_buf buffers[2];
    krs_buf_init(&buffers[0], NULL, MAX_JSON);
    krs_buf_init(&buffers[1], NULL, MAX_JSON);
    krs_str got;
    assert_int_equal(krs_normalizer_apply(&t->normalizer, room, krs_str_of(text), buffers, &got),
                     KRS_OK);
    if (!krs_str_equal(got, krs_str_of(want))) {
        fail_msg("%s of \"%s\": %.*s, want %s", normalizer, text, (int)got.len, got.ptr, want);
    }
    krs_buf_deinit(&buffers[0]);
    krs_buf_deinit(&buffers[1]);
    krs_pattern_room_free(room);
    krs_tokenizer_free(t);
}

static void normalizers_rewrite_as_their_names_say(void **state)
{
    (void)state;
    check_normal("{\"type\":\"NFC\"}", "e\xCC\x81", "\xC3\xA9");
    check_normal("{\"type\":\"NFD\"}", "\xC3\xA9", "e\xCC\x81");
    check_normal("{\"type\":\"NFKC\"}", "\xEF\xAC\x81\xE2\x91\xA0", "fi1");
    check_normal("{\"type\":\"NFKD\"}", "\xEF\xAC\x81\xC3\xA9", "fie\xCC\x81");
    check_normal("{\"type\":\"Lowercase\"}", "A\xC3\x89\xC4\xB0", "a\xC3\xA9i\xCC\x87");
    check_normal("{\"type\":\"Strip\",\"strip_left\":true,\"strip_right\":false}", " \t a ", "a ");
    check_normal("{\"type\":\"Strip\",\"strip_left\":false,\"strip_right\":true}",
                 " a\xE3\x80\x80 ", " a");
    check_normal("{\"type\":\"Prepend\",\"prepend\":\"_\"}", "a", "_a");
    check_normal("{\"type\":\"Prepend\",\"prepend\":\"_\"}", "", "");
    check_normal("{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"_\"}", "a b",
                 "a_b");
    check_normal("{\"type\":\"Replace\",\"pattern\":{\"Regex\":\" {2,}\"},\"content\":\"\"}",
                 "a  b c", "ab c");
    check_normal("{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Lowercase\"},"
                 "{\"type\":\"Prepend\",\"prepend\":\"X\"}]}",
                 "A", "Xa");
}

#define BERT(clean, chinese, accents, lower)                                                       \
    "{\"type\":\"BertNormalizer\",\"clean_text\":" clean ",\"handle_chinese_chars\":" chinese      \
    ",\"strip_accents\":" accents ",\"lowercase\":" lower "}"

static void bert_cleans_what_it_is_told(void **state)
{
    static const char text[] =
        "A\xC3\x89\x01\t\xE2\x80\x8B\xE6\xBC\xA2\xEF\xBF\xBD\xEE\x80\x80\xC2\xA0";
    (void)state;
    check_normal(BERT("true", "false", "false", "false"), text, "A\xC3\x89 \xE6\xBC\xA2 ");
    check_normal(BERT("false", "true", "false", "false"), "a\xE6\xBC\xA2\xE3\x81\x82",
                 "a \xE6\xBC\xA2 \xE3\x81\x82"); /* kana stay */
    check_normal(BERT("false", "false", "true", "false"), "A\xC3\x89\xE0\xA4\x95\xE0\xA4\xBE",
                 "AE\xE0\xA4\x95\xE0\xA4\xBE"); /* a spacing mark is none of these */
    check_normal(BERT("false", "false", "false", "true"), "A\xC3\x89", "a\xC3\xA9");
    check_normal(BERT("false", "false", "null", "true"), "A\xC3\x89", "ae"); /* as lowercase */
    check_normal(BERT("false", "false", "null", "false"), "A\xC3\x89", "A\xC3\x89");
    check_normal("{\"type\":\"BertNormalizer\"}", text, "ae  \xE6\xBC\xA2  ");
}

static void other_normalizers_rewrite_characters(void **state)
{
    (void)state;
    check_normal("{\"type\":\"StripAccents\"}", "e\xCC\x81\xC3\xA9\xE0\xA4\x95\xE0\xA4\xBE",
                 "e\xC3\xA9\xE0\xA4\x95"); /* composed ones stay; spacing marks go, too */
    check_normal("{\"type\":\"Nmt\"}",
                 "a\x01\x7F\n\xE2\x80\x8B\xE2\x96\x81\xC2\x8F\x0B"
                 "b",
                 "a   b");
    check_normal("{\"type\":\"ByteLevel\"}", "a \xC3\xA9", "a\xC4\xA0\xC3\x83\xC2\xA9");
    /* One rule, "a" is "xy": 98 units, of which 0x60 is the value and 0x61 leads to it. */
    check_normal("{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Precompiled\","
                 "\"precompiled_charsmap\":\"" CHARSMAP "\"},{\"type\":\"Lowercase\"}]}",
                 "Aab", "axyb");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(normalizers_rewrite_as_their_names_say),
        cmocka_unit_test(bert_cleans_what_it_is_told),
        cmocka_unit_test(other_normalizers_rewrite_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
