/* text/tokenizer, from the file's side: each component does what the Rust library's does, and a file
 * that is wrong or asks for more than we have is refused with the reason. */
#include "support/tokenizers.h"
#include "text/tokenizer_priv.h"

#define MAX_JSON 4000

static const char LETTERS[] = "{\"type\":\"BPE\",\"merges\":[[\"a\",\"b\"]],\"unk_token\":\"?\","
                              "\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\" \":3,\"?\":4,\"c\":5}}";

/* A file of LETTERS and one more member. */
static krs_tokenizer *with(const char *member)
{
    char json[MAX_JSON];
    assert_true((size_t)snprintf(json, sizeof(json), "{\"model\":%s,%s}", LETTERS, member) <
                sizeof(json));
    return krs_test_tokenizer_of(json);
}

/* The pieces of text under a pre-tokeniser, with | between them. */
static void check_pieces(const char *pretokenizer, const char *text, const char *want)
{
    char member[MAX_JSON];
    char got[MAX_JSON] = "";
    (void)snprintf(member, sizeof(member), "\"pre_tokenizer\":%s", pretokenizer);
    krs_tokenizer *t = with(member);
    krs_pattern_room *room = krs_pattern_room_new(NULL);
    krs_pieces pieces;
    krs_pieces_init(&pieces, NULL, MAX_JSON);
    assert_int_equal(
        krs_pretokenizer_apply(&t->pretokenizer, room, krs_str_of(text), true, &pieces), KRS_OK);
    size_t n = 0;
    for (size_t i = 0; i < pieces.spans.n; i++) {
        const krs_span span = pieces.spans.items[i];
        n += (size_t)snprintf(got + n, sizeof(got) - n, "%s%.*s", i > 0 ? "|" : "",
                              (int)(span.end - span.start), pieces.text.ptr + span.start);
    }
    if (strcmp(got, want) != 0) {
        fail_msg("%s of \"%s\": %s, want %s", pretokenizer, text, got, want);
    }
    krs_pieces_deinit(&pieces);
    krs_pattern_room_free(room);
    krs_tokenizer_free(t);
}

#define SPLIT(pattern, behavior, invert)                                                           \
    "{\"type\":\"Split\",\"pattern\":" pattern ",\"behavior\":\"" behavior "\",\"invert\":" invert \
    "}"

static void splits_behave_in_five_ways(void **state)
{
    static const char text[] = "the-final--countdown";
    (void)state;
    check_pieces(SPLIT("{\"String\":\"-\"}", "Removed", "false"), text, "the|final|countdown");
    check_pieces(SPLIT("{\"String\":\"-\"}", "Isolated", "false"), text,
                 "the|-|final|-|-|countdown");
    check_pieces(SPLIT("{\"String\":\"-\"}", "MergedWithPrevious", "false"), text,
                 "the-|final-|-|countdown");
    check_pieces(SPLIT("{\"String\":\"-\"}", "MergedWithNext", "false"), text,
                 "the|-final|-|-countdown");
    check_pieces(SPLIT("{\"String\":\"-\"}", "Contiguous", "false"), text,
                 "the|-|final|--|countdown");
    check_pieces(SPLIT("{\"Regex\":\"[a-z]+\"}", "Removed", "true"), text, "the|final|countdown");
    check_pieces(SPLIT("{\"Regex\":\"\"}", "Isolated", "false"), "a\xC3\xA9", "a|\xC3\xA9");
    check_pieces(SPLIT("{\"String\":\".\"}", "Isolated", "false"), "a.b", "a|.|b");
}

static void character_classes_split_as_their_names_say(void **state)
{
    (void)state;
    check_pieces("{\"type\":\"Digits\",\"individual_digits\":true}", "a12\xC2\xBD",
                 "a|1|2|\xC2\xBD");
    check_pieces("{\"type\":\"Digits\",\"individual_digits\":false}", "a12b", "a|12|b");
    check_pieces("{\"type\":\"Punctuation\"}", "hi!?$ x", "hi|!|?|$| x");
    check_pieces("{\"type\":\"Punctuation\",\"behavior\":\"Contiguous\"}", "hi!? x", "hi|!?| x");
    check_pieces("{\"type\":\"Whitespace\"}", "Hey friend!  How?!", "Hey|friend|!|How|?!");
    check_pieces("{\"type\":\"WhitespaceSplit\"}", " Hey friend!\xE3\x80\x80x ", "Hey|friend!|x");
}

static void metaspace_marks_and_splits(void **state)
{
    (void)state;
    check_pieces("{\"type\":\"Metaspace\",\"replacement\":\"_\"}", "Hey friend", "_Hey|_friend");
    check_pieces("{\"type\":\"Metaspace\",\"replacement\":\"_\",\"split\":false}", "Hey  you",
                 "_Hey__you");
    check_pieces("{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"never\"}",
                 "Hey friend", "Hey|_friend");
    check_pieces("{\"type\":\"Metaspace\",\"replacement\":\"_\",\"add_prefix_space\":false}",
                 "Hey friend", "Hey|_friend");
    check_pieces("{\"type\":\"Metaspace\",\"replacement\":\"_\"}", " Hey", "_Hey");
    /* "first": once, where the text begins, also after another split. */
    check_pieces("{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"WhitespaceSplit\"},"
                 "{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"first\"}]}",
                 "a b", "_a|b");
    check_pieces("{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"WhitespaceSplit\"},"
                 "{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"first\"}]}",
                 " a b", "a|b");
}

static void bert_and_delimiters_split(void **state)
{
    (void)state;
    check_pieces("{\"type\":\"BertPreTokenizer\"}", " Hey  friend!?\xE3\x80\x81x",
                 "Hey|friend|!|?|\xE3\x80\x81|x");
    check_pieces("{\"type\":\"CharDelimiterSplit\",\"delimiter\":\"-\"}", "the-final--countdown",
                 "the|final|countdown");
    check_pieces("{\"type\":\"CharDelimiterSplit\",\"delimiter\":\"\xE3\x80\x81\"}",
                 "a\xE3\x80\x81\xE3\x80\x82", "a|\xE3\x80\x82");
    check_pieces("{\"type\":\"FixedLength\",\"length\":2}",
                 "\xC3\xA9\n\xC3\xA9"
                 "bc",
                 "\xC3\xA9\n|\xC3\xA9"
                 "b|c");
    check_pieces("{\"type\":\"FixedLength\"}", "abcdefg", "abcde|fg");
}

static void bytelevel_splits_and_spells(void **state)
{
    (void)state;
    check_pieces("{\"type\":\"ByteLevel\",\"add_prefix_space\":true}", "it's 12 \n x",
                 " it|'s| 12| \n| x");
    check_pieces("{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}", "a b",
                 "a b");
    /* Not last: what follows sees the alphabet, in which byte B2 is a superscript two. */
    check_pieces("{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"ByteLevel\","
                 "\"add_prefix_space\":false},{\"type\":\"Digits\",\"individual_digits\":false}]}",
                 "a 1\xC2\xB2", "a|\xC4\xA0|1|\xC3\x82|\xC2\xB2");
}

/* Ids of text as "1 2 3". */
static void check_ids(krs_tokenizer *t, const char *text, const char *want)
{
    char got[MAX_JSON] = "";
    size_t n = 0;
    krs_encoder *e = krs_test_encoder(t);
    krs_ids ids;
    assert_int_equal(krs_encode(e, krs_str_of(text), false, &ids, NULL), KRS_OK);
    for (size_t i = 0; i < ids.n; i++) {
        n += (size_t)snprintf(got + n, sizeof(got) - n, "%s%u", i > 0 ? " " : "", ids.ids[i]);
    }
    if (strcmp(got, want) != 0) {
        fail_msg("\"%s\": %s, want %s", text, got, want);
    }
    krs_encoder_free(e);
}

#define ADDED(id, content, flags) "{\"id\":" id ",\"content\":\"" content "\"" flags "}"

static void added_tokens_obey_their_flags(void **state)
{
    (void)state;
    krs_tokenizer *t = with("\"added_tokens\":[" ADDED("10", "[L]", ",\"lstrip\":true") "," ADDED(
        "11", "[R]",
        ",\"rstrip\":true") "," ADDED("12", "cab",
                                      ",\"single_word\":true") "," ADDED("13", "[LL]",
                                                                         "") "," ADDED("14", "[L",
                                                                                       "") "," ADDED("99",
                                                                                                     "ab",
                                                                                                     "") "]");
    check_ids(t, "a[L]a", "0 10 0");
    check_ids(t, "a  [L] a", "0 10 3 0");  /* takes the space before */
    check_ids(t, "a [R]  a", "0 3 11 0");  /* and after */
    check_ids(t, "[LL][L[L]", "13 14 10"); /* the longest at the leftmost place */
    check_ids(t, "a cab a", "0 3 12 3 0");
    check_ids(t, "acab", "0 5 2"); /* inside a word it is text; "ab" is an added token again */
    check_ids(t, "cab", "12");
    assert_int_equal(krs_tokenizer_id_of(t, KRS_STR("ab")), 2); /* the model's id wins */
    assert_int_equal(krs_tokenizer_vocab_size(t), 15);
    krs_tokenizer_free(t);
}

static void normalized_added_tokens_are_sought_in_the_normal_form(void **state)
{
    (void)state;
    krs_tokenizer *t = with("\"normalizer\":{\"type\":\"Lowercase\"},\"added_tokens\":[" ADDED(
        "10", "[N]", ",\"normalized\":true") "," ADDED("11", "[X]", ",\"normalized\":false") "]");
    check_ids(t, "A[n]B[N]c", "0 10 1 10 5");
    check_ids(t, "[X][x]", "11 4 4 4"); /* raw only as written; "[", "x" and "]" are unknown */
    krs_tokenizer_free(t);
}

static void templates_put_ids_around_the_text(void **state)
{
    (void)state;
    krs_tokenizer *t =
        with("\"post_processor\":{\"type\":\"Sequence\",\"processors\":[{\"type\":\"ByteLevel\"},"
             "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"c\",\"type_"
             "id\":0}},"
             "{\"Sequence\":{\"id\":\"A\",\"type_id\":0}},{\"SpecialToken\":{\"id\":\"e\",\"type_"
             "id\":0}}],"
             "\"pair\":[],\"special_tokens\":{\"c\":{\"id\":\"c\",\"ids\":[5,4],\"tokens\":[\"c\","
             "\"?\"]},"
             "\"e\":{\"id\":\"e\",\"ids\":[1],\"tokens\":[\"b\"]}}}]}");
    krs_encoder *e = krs_test_encoder(t);
    krs_ids ids;
    assert_int_equal(krs_encode(e, KRS_STR("a"), true, &ids, NULL), KRS_OK);
    assert_int_equal(ids.n, 4);
    assert_memory_equal(ids.ids, ((const uint32_t[]){5, 4, 0, 1}), 16);
    assert_int_equal(krs_encode(e, KRS_STR("a"), false, &ids, NULL), KRS_OK);
    assert_int_equal(ids.n, 1);
    krs_encoder_free(e);
    krs_tokenizer_free(t);
}

/* Ids of "a" and "b" with what a processor puts around them, and whether pairs are known. */
static void check_around(const char *processor, const char *single, const char *pair)
{
    char member[MAX_JSON];
    (void)snprintf(member, sizeof(member), "\"post_processor\":%s", processor);
    krs_tokenizer *t = with(member);
    krs_encoder *e = krs_test_encoder(t);
    for (int is_pair = 0; is_pair < 2; is_pair++) {
        krs_ids ids;
        char got[MAX_JSON] = "";
        size_t n = 0;
        const krs_status status =
            is_pair ? krs_encode_pair(e, KRS_STR("a"), KRS_STR("b"), true, &ids, NULL)
                    : krs_encode(e, KRS_STR("a"), true, &ids, NULL);
        for (size_t i = 0; i < ids.n; i++) {
            n += (size_t)snprintf(got + n, sizeof(got) - n, "%s%u", i > 0 ? " " : "", ids.ids[i]);
        }
        assert_int_equal(status, is_pair && !pair ? KRS_EUNSUPPORTED : KRS_OK);
        assert_string_equal(got, is_pair ? (pair ? pair : "") : single);
    }
    krs_encoder_free(e);
    krs_tokenizer_free(t);
}

static void bert_and_roberta_put_ids_around_texts(void **state)
{
    (void)state;
    check_around("{\"type\":\"BertProcessing\",\"cls\":[\"c\",5],\"sep\":[\"?\",4]}", "5 0 4",
                 "5 0 4 1 4");
    check_around("{\"type\":\"RobertaProcessing\",\"cls\":[\"c\",5],\"sep\":[\"?\",4],"
                 "\"trim_offsets\":true,\"add_prefix_space\":false}",
                 "5 0 4", "5 0 4 4 1 4");
    check_around("{\"type\":\"Sequence\",\"processors\":["
                 "{\"type\":\"BertProcessing\",\"cls\":[\"c\",5],\"sep\":[\"?\",4]},"
                 "{\"type\":\"BertProcessing\",\"cls\":[\"ab\",2],\"sep\":[\" \",3]}]}",
                 "2 5 0 4 3", NULL);
}

static void kinds_of_model_are_told_without_a_type(void **state)
{
    (void)state;
    krs_tokenizer *t = krs_test_tokenizer_of(
        "{\"model\":{\"unk_id\":0,\"vocab\":[[\"?\",0],[\"a\",-1],[\"ab\",-1.5],[\"b\",-1]]}}");
    check_ids(t, "abxyaa", "2 0 1 1"); /* Unigram; a run of unknown ones is one */
    krs_tokenizer_free(t);
    t = krs_test_tokenizer_of(
        "{\"model\":{\"unk_token\":\"?\",\"continuing_subword_prefix\":\"##\","
        "\"max_input_chars_per_word\":4,\"vocab\":{\"?\":0,\"a\":1,\"##b\":2}}}");
    check_ids(t, "abb", "1 2 2"); /* WordPiece */
    check_ids(t, "abbbb", "0");
    krs_tokenizer_free(t);
    t = krs_test_tokenizer_of("{\"model\":{\"unk_token\":\"?\",\"vocab\":{\"?\":0,\"ab\":1}},"
                              "\"pre_tokenizer\":{\"type\":\"WhitespaceSplit\"}}");
    check_ids(t, "ab a ab", "1 0 1"); /* WordLevel */
    krs_tokenizer_free(t);
}

static void merges_are_read_in_both_spellings(void **state)
{
    (void)state;
    krs_tokenizer *t = krs_test_tokenizer_of(
        "{\"model\":{\"merges\":[\"#version: 0.2\",\"b c\",\"a b\"],"
        "\"vocab\":{\"a\":0,\"b\":1,\"c\":2,\"ab\":3,\"bc\":4}}}"); /* no type, as in old files */
    check_ids(t, "abc", "0 4");
    krs_tokenizer_free(t);
}

/* "lower" as in Sennrich's paper: the last symbol carries the suffix, and so do its merges. */
static void symbols_carry_the_marks_of_their_place(void **state)
{
    (void)state;
    krs_tokenizer *t = krs_test_tokenizer_of(
        "{\"model\":{\"type\":\"BPE\",\"end_of_word_suffix\":\"</w>\",\"unk_token\":\"?\","
        "\"vocab\":{\"l\":0,\"o\":1,\"w\":2,\"w</w>\":3,\"lo\":4,\"low</w>\":5,\"low\":6,\"?\":7},"
        "\"merges\":[\"l o\",\"lo w</w>\",\"lo w\"]}}");
    check_ids(t, "low", "5");
    check_ids(t, "lowlow", "6 5");
    check_ids(t, "wol", "2 1 7"); /* no "l</w>" */
    krs_tokenizer_free(t);
    t = krs_test_tokenizer_of(
        "{\"model\":{\"type\":\"BPE\",\"continuing_subword_prefix\":\"##\",\"unk_token\":\"?\","
        "\"vocab\":{\"a\":0,\"##a\":1,\"##b\":2,\"ab\":3,\"##ab\":4,\"?\":5},"
        "\"merges\":[\"a ##b\",\"##a ##b\"]}}");
    check_ids(t, "abab", "3 4");
    check_ids(t, "aab", "0 4");
    check_ids(t, "ba", "5 1"); /* no "b" to begin with */
    krs_tokenizer_free(t);
}

#define MODEL(fields) "{\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{\"a\":0}" fields "}}"
#define OTHER(member) "{\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{\"a\":0}}," member "}"

static const struct {
    const char *json;
    krs_status status;
    const char *words;
} wrong_files[] = {
    {"", KRS_EFORMAT, "JSON"},
    {"[]", KRS_EFORMAT, "model"},
    {"{\"model\":{\"type\":\"Syllables\",\"vocab\":[]}}", KRS_EUNSUPPORTED, "model \"Syllables\""},
    {"{\"model\":{\"type\":7,\"vocab\":[]}}", KRS_EFORMAT, "model: no type"},
    {"{\"model\":{\"vocab\":{}}}", KRS_EFORMAT, "model: no type"},
    {"{\"model\":{\"type\":\"Unigram\",\"vocab\":{}}}", KRS_EFORMAT, "want an array"},
    {"{\"model\":{\"vocab\":[[\"a\",\"b\"]]}}", KRS_EFORMAT, "model.vocab[0]"},
    {"{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",0]],\"unk_id\":1}}", KRS_EFORMAT,
     "unk_id: 1, vocabulary of 1"},
    {"{\"model\":{\"type\":\"WordPiece\",\"vocab\":{}}}", KRS_EFORMAT,
     "continuing_subword_prefix: missing"},
    {"{\"model\":{\"type\":\"WordPiece\",\"continuing_subword_prefix\":\"##\",\"vocab\":{}}}",
     KRS_EFORMAT, "max_input_chars_per_word: missing"},
    {"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{}}}", KRS_EFORMAT, "unk_token: missing"},
    {"{\"model\":{\"type\":\"BPE\",\"vocab\":{}}}", KRS_EFORMAT, "merges"},
    {"{\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{\"a\":-1}}}", KRS_EFORMAT, "\"a\""},
    {"{\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{\"a\":4194304}}}", KRS_EFORMAT,
     "4194303"},
    {"{\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{\"a\":0,\"b\":0}}}", KRS_EFORMAT,
     "id 0"},
    {"{\"model\":{\"type\":\"BPE\",\"merges\":[\"a b c\"],\"vocab\":{\"a\":0}}}", KRS_EFORMAT,
     "merges[0]"},
    {"{\"model\":{\"type\":\"BPE\",\"merges\":[\"a x\"],\"vocab\":{\"a\":0}}}", KRS_EFORMAT,
     "\"x\" is no token"},
    {MODEL(",\"dropout\":0.1"), KRS_EUNSUPPORTED, "dropout"},
    {MODEL(",\"dropout\":7"), KRS_EFORMAT, "dropout"},
    {MODEL(",\"end_of_word_suffix\":1"), KRS_EFORMAT, "end_of_word_suffix"},
    {"{\"model\":{\"type\":\"BPE\",\"continuing_subword_prefix\":\"##\",\"merges\":[\"a b\"],"
     "\"vocab\":{\"a\":0,\"b\":1,\"ab\":2}}}",
     KRS_EFORMAT, "shorter than the prefix \"##\""},
    {MODEL(",\"byte_fallback\":1"), KRS_EFORMAT, "byte_fallback"},
    {OTHER("\"normalizer\":{\"type\":\"Tidy\"}"), KRS_EUNSUPPORTED, "normalizer \"Tidy\""},
    {OTHER("\"normalizer\":{\"type\":\"Precompiled\"}"), KRS_EFORMAT,
     "precompiled_charsmap: missing"},
    {OTHER("\"normalizer\":{\"type\":\"BertNormalizer\",\"lowercase\":1}"), KRS_EFORMAT,
     "lowercase"},
    {OTHER("\"pre_tokenizer\":{\"type\":\"FixedLength\",\"length\":0}"), KRS_EFORMAT, "length"},
    {OTHER("\"pre_tokenizer\":{\"type\":\"UnicodeScripts\"}"), KRS_EUNSUPPORTED, "UnicodeScripts"},
    {OTHER("\"pre_tokenizer\":{\"type\":\"Moon\"}"), KRS_EUNSUPPORTED, "pre_tokenizer \"Moon\""},
    {OTHER("\"pre_tokenizer\":{\"type\":\"CharDelimiterSplit\",\"delimiter\":\"ab\"}"), KRS_EFORMAT,
     "one character"},
    {OTHER("\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(\"},"
           "\"behavior\":\"Isolated\"}"),
     KRS_EFORMAT, "regex"},
    {OTHER("\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"[a&&b]\"},"
           "\"behavior\":\"Isolated\"}"),
     KRS_EUNSUPPORTED, "&&"},
    {OTHER("\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a\"},"
           "\"behavior\":\"Sideways\"}"),
     KRS_EUNSUPPORTED, "Sideways"},
    {OTHER("\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"ab\"}"), KRS_EFORMAT,
     "one character"},
    {OTHER("\"post_processor\":{\"type\":\"Shout\"}"), KRS_EUNSUPPORTED,
     "post_processor \"Shout\""},
    {OTHER("\"post_processor\":{\"type\":\"RobertaProcessing\"}"), KRS_EFORMAT,
     "cls: want [text, id]"},
    {OTHER("\"post_processor\":{\"type\":\"BertProcessing\",\"cls\":[\"a\",0],"
           "\"sep\":[\"b\",9]}"),
     KRS_EFORMAT, "id 9"},
    {OTHER("\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[]}"), KRS_EUNSUPPORTED,
     "0 times"},
    {OTHER("\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":["
           "{\"SpecialToken\":{\"id\":\"x\"}},{\"Sequence\":{\"id\":\"A\"}}],"
           "\"special_tokens\":{\"x\":{\"ids\":[7]}}}"),
     KRS_EFORMAT, "id 7"},
    {OTHER("\"decoder\":{\"type\":\"Morse\"}"), KRS_EUNSUPPORTED, "decoder \"Morse\""},
    {OTHER("\"decoder\":{\"type\":\"CTC\"}"), KRS_EFORMAT, "pad_token: missing"},
    {OTHER("\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Fuse\"},"
           "{\"type\":\"WordPiece\",\"prefix\":\"##\"}]}"),
     KRS_EUNSUPPORTED, "WordPiece after Fuse"},
    {OTHER("\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Fuse\"},"
           "{\"type\":\"ByteFallback\"}]}"),
     KRS_EUNSUPPORTED, "ByteFallback after Fuse"},
    {OTHER("\"added_tokens\":[{\"id\":0,\"content\":\"b\"}]"), KRS_EFORMAT, "added_tokens[0]"},
    {OTHER("\"added_tokens\":[{\"content\":\"b\"}]"), KRS_EFORMAT, "id: missing"},
    {OTHER("\"added_tokens\":[{\"id\":1}]"), KRS_EFORMAT, "content"},
    {OTHER("\"added_tokens\":[{\"id\":1,\"content\":\"b\",\"special\":\"yes\"}]"), KRS_EFORMAT,
     "special"},
};

static void wrong_files_are_refused_with_the_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(wrong_files) / sizeof(wrong_files[0]); i++) {
        krs_tokenizer *t = NULL;
        krs_error err = KRS_ERROR_INIT;
        const krs_status status =
            krs_tokenizer_parse(krs_str_of(wrong_files[i].json), NULL, &t, &err);
        if (status != wrong_files[i].status || err.status != status ||
            !strstr(err.message, wrong_files[i].words)) {
            fail_msg("%s: %s \"%s\", want %s \"%s\"", wrong_files[i].json, krs_status_name(status),
                     err.message, krs_status_name(wrong_files[i].status), wrong_files[i].words);
        }
        assert_null(t);
    }
}

static void a_text_that_cannot_be_said_is_an_error_not_a_gap(void **state)
{
    (void)state;
    krs_tokenizer *t = krs_test_tokenizer_of(MODEL(""));
    krs_encoder *e = krs_test_encoder(t);
    krs_ids ids;
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(krs_encode(e, KRS_STR("ab"), false, &ids, &err), KRS_EINVAL);
    assert_non_null(strstr(err.message, "\"b\" has no token"));
    assert_int_equal(ids.n, 0);
    assert_int_equal(krs_encode(e, KRS_STR("aa"), false, &ids, &err), KRS_OK); /* still usable */
    assert_int_equal(ids.n, 2);
    krs_encoder_free(e);
    krs_tokenizer_free(t);
}

/* A regex that backtracks without end is stopped by the limit. */
static void a_hostile_regex_ends(void **state)
{
    (void)state;
    krs_tokenizer *t =
        with("\"pre_tokenizer\":" SPLIT("{\"Regex\":\"(a|a)+d\"}", "Isolated", "false"));
    krs_encoder *e = krs_test_encoder(t);
    krs_ids ids;
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(krs_encode(e, KRS_STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaabd"),
                                false, &ids, &err),
                     KRS_EINVAL);
    assert_non_null(strstr(err.message, "backtracks"));
    krs_encoder_free(e);
    krs_tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits_behave_in_five_ways),
        cmocka_unit_test(character_classes_split_as_their_names_say),
        cmocka_unit_test(metaspace_marks_and_splits),
        cmocka_unit_test(bert_and_delimiters_split),
        cmocka_unit_test(bytelevel_splits_and_spells),
        cmocka_unit_test(added_tokens_obey_their_flags),
        cmocka_unit_test(normalized_added_tokens_are_sought_in_the_normal_form),
        cmocka_unit_test(templates_put_ids_around_the_text),
        cmocka_unit_test(bert_and_roberta_put_ids_around_texts),
        cmocka_unit_test(kinds_of_model_are_told_without_a_type),
        cmocka_unit_test(merges_are_read_in_both_spellings),
        cmocka_unit_test(symbols_carry_the_marks_of_their_place),
        cmocka_unit_test(wrong_files_are_refused_with_the_reason),
        cmocka_unit_test(a_text_that_cannot_be_said_is_an_error_not_a_gap),
        cmocka_unit_test(a_hostile_regex_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
