/* Tokenizers inside GGUF files against the ids that the Hugging Face library gave for the same texts
 * (tests/data/gguf-vocab/SOURCE.md). KRS_TESTDATA names a folder with more of them. */
#include "format/gguf_folder.h"
#include "os/file.h"
#include "support/cmocka.h"
#include "support/gguf_file.h"
#include "text/tokenizer.h"
#include "wire/gzip.h"

#include <stdio.h>
#include <stdlib.h>

#define DATA           KRS_SOURCE_DIR "/tests/data/gguf-vocab"
#define MAX_FILE_BYTES (64u << 20)
#define MARK           "\n__ggml_vocab_test__\n"

typedef struct places {
    const char *vocab; /* printf patterns of a name */
    const char *texts;
    const char *ids;
} places;

static const places shipped = {DATA "/%s.gguf.gz", DATA "/%s.inp", DATA "/%s.out"};

static void read_named(const char *pattern, const char *name, krs_buf *out)
{
    char path[KRS_OS_PATH_BYTES];
    const char *mark = strstr(pattern, "%s");
    (void)snprintf(path, sizeof(path), "%.*s%s%s", (int)(mark - pattern), pattern, name, mark + 2);
    krs_buf_init(out, NULL, MAX_FILE_BYTES);
    krs_error err = KRS_ERROR_INIT;
    if (krs_os_file_read(path, out, &err) != KRS_OK) {
        fail_msg("%s: %s", path, err.message);
    }
}

static krs_tokenizer *load(const places *at, const char *name)
{
    krs_buf packed;
    krs_buf file;
    read_named(at->vocab, name, &packed);
    krs_buf_init(&file, NULL, MAX_FILE_BYTES);
    assert_int_equal(krs_gunzip(krs_buf_view(&packed), &file, NULL), KRS_OK);
    krs_gguf *g = NULL;
    json_t *doc = NULL;
    krs_tokenizer *t = NULL;
    krs_error err = KRS_ERROR_INIT;
    krs_status status = krs_gguf_parse((const unsigned char *)file.data, file.len, NULL, &g, &err);
    if (status == KRS_OK) {
        status = krs_gguf_tokenizer(g, &doc, &err);
    }
    if (status == KRS_OK) {
        status = krs_tokenizer_read(doc, NULL, &t, &err);
    }
    if (status != KRS_OK) {
        fail_msg("%s: %s", name, err.message);
    }
    json_decref(doc);
    krs_gguf_close(g);
    krs_buf_deinit(&file);
    krs_buf_deinit(&packed);
    return t;
}

/* The ids of one line are those we got? */
static bool is_line(const char *line, const krs_ids *ids)
{
    for (size_t i = 0; i < ids->n; i++) {
        char *end;
        const unsigned long id = strtoul(line, &end, 10);
        if (end == line || id != ids->ids[i]) {
            return false;
        }
        line = end;
    }
    line += strspn(line, " ");
    return *line == '\n' || *line == '\0';
}

static uint32_t compare(const char *name, krs_encoder *e, krs_str texts, const char *line)
{
    uint32_t n = 0;
    uint32_t n_wrong = 0;
    for (size_t at = 0; at < texts.len; n++) {
        const size_t end = krs_str_find(texts, KRS_STR(MARK), at);
        assert_true(end != SIZE_MAX && line);
        krs_ids ids;
        const krs_str text = {texts.ptr + at, end - at};
        assert_int_equal(krs_encode(e, text, false, &ids, NULL), KRS_OK);
        if (!is_line(line, &ids)) {
            n_wrong++;
            (void)printf("%s: text %u \"%.*s\": want %.*s, have", name, n, KRS_STR_ARGS(text),
                         (int)strcspn(line, "\n"), line);
            for (size_t i = 0; i < ids.n; i++) {
                (void)printf(" %u", ids.ids[i]);
            }
            (void)printf("\n");
        }
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
        at = end + strlen(MARK);
    }
    (void)printf("%-16s %u texts, %u wrong\n", name, n, n_wrong);
    assert_true(n > 40);
    return n_wrong;
}

static uint32_t check(const places *at, const char *name)
{
    krs_tokenizer *t = load(at, name);
    krs_encoder *e = NULL;
    assert_int_equal(krs_encoder_new(t, &e, NULL), KRS_OK);
    krs_buf texts;
    krs_buf ids;
    read_named(at->texts, name, &texts);
    read_named(at->ids, name, &ids);
    assert_int_equal(krs_buf_append_char(&ids, '\0'), KRS_OK);
    const uint32_t n_wrong = compare(name, e, krs_buf_view(&texts), ids.data);
    krs_buf_deinit(&ids);
    krs_buf_deinit(&texts);
    krs_encoder_free(e);
    krs_tokenizer_free(t);
    return n_wrong;
}

static void shipped_vocabularies_give_the_published_ids(void **state)
{
    (void)state;
    uint32_t n_wrong = 0;
    static const char *const names[] = {"gpt-2", "phi-3", "bert-bge"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        n_wrong += check(&shipped, names[i]);
    }
    assert_int_equal(n_wrong, 0);
}

/* Special tokens inside a text, and what stands beside them. */
static void phi_3_reads_a_conversation_as_its_tokenizer_json_does(void **state)
{
    (void)state;
    const krs_str text = KRS_STR("<|system|>\nBe brief.<|end|>\n<|user|>\n Hi  <|end|>\n\n"
                                 "<|assistant|>\n<s> x<|endoftext|> y</s> z");
    krs_tokenizer *file = load(&shipped, "phi-3");
    krs_tokenizer *json = NULL;
    krs_encoder *a = NULL;
    krs_encoder *b = NULL;
    krs_ids x;
    krs_ids y;
    assert_int_equal(krs_tokenizer_load(KRS_SOURCE_DIR
                                        "/tests/data/tokenizers/phi-3/tokenizer.json.gz",
                                        NULL, &json, NULL),
                     KRS_OK);
    assert_int_equal(krs_encoder_new(file, &a, NULL), KRS_OK);
    assert_int_equal(krs_encoder_new(json, &b, NULL), KRS_OK);
    assert_int_equal(krs_encode(a, text, false, &x, NULL), KRS_OK);
    assert_int_equal(krs_encode(b, text, false, &y, NULL), KRS_OK);
    assert_int_equal(x.n, y.n);
    assert_memory_equal(x.ids, y.ids, x.n * sizeof(x.ids[0]));
    krs_encoder_free(a);
    krs_encoder_free(b);
    krs_tokenizer_free(file);
    krs_tokenizer_free(json);
}

static uint32_t digit_of(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = strchr(digits, c);
    return at ? (uint32_t)(at - digits) : 0;
}

/* t5's tokenizer.json as a converter lays it out: tokens, scores, the normaliser's map as bytes. */
static void put_unigram(krs_gguf_file *f, const json_t *doc)
{
    const json_t *vocab = json_object_get(json_object_get(doc, "model"), "vocab");
    const size_t n = json_array_size(vocab);
    krs_gguf_put_str(f, "tokenizer.ggml.model", "t5");
    krs_gguf_put_list(f, "tokenizer.ggml.tokens", 8, n);
    for (size_t i = 0; i < n; i++) {
        const json_t *text = json_array_get(json_array_get(vocab, i), 0);
        krs_gguf_put_text(&f->values, json_string_value(text), json_string_length(text));
    }
    krs_gguf_put_list(f, "tokenizer.ggml.scores", 6, n);
    for (size_t i = 0; i < n; i++) {
        const float score = (float)json_number_value(json_array_get(json_array_get(vocab, i), 1));
        krs_gguf_put_bytes(&f->values, &score, sizeof(score));
    }
    krs_gguf_put_list(f, "tokenizer.ggml.token_type", 5, n);
    for (uint32_t i = 0; i < n; i++) {
        krs_gguf_put_u32(&f->values, i == 2 ? 2 : i < 2 ? 3 : 1);
    }
    const json_t *map = json_object_get(json_object_get(doc, "normalizer"), "precompiled_charsmap");
    const char *base64 = json_string_value(map);
    const size_t n_text = json_string_length(map);
    const size_t n_pad = (base64[n_text - 1] == '=') + (size_t)(base64[n_text - 2] == '=');
    const size_t n_bytes = n_text / 4 * 3 - n_pad;
    krs_gguf_put_list(f, "tokenizer.ggml.precompiled_charsmap", 1, n_bytes);
    for (size_t i = 0; i < n_bytes; i++) {
        const uint32_t at = (uint32_t)(i % 3);
        const char *four = base64 + i / 3 * 4;
        const uint32_t all = digit_of(four[0]) << 18 | digit_of(four[1]) << 12 |
                             digit_of(four[2]) << 6 | digit_of(four[3]);
        const unsigned char byte = (unsigned char)(all >> (16 - 8 * at));
        krs_gguf_put_bytes(&f->values, &byte, 1);
    }
    krs_gguf_put_int(f, "tokenizer.ggml.unknown_token_id", 2);
    krs_gguf_put_int(f, "tokenizer.ggml.eos_token_id", 1);
}

static krs_tokenizer *tokenizer_of(krs_gguf_file *f)
{
    const krs_buf *file = krs_gguf_file_finish(f, 3);
    krs_gguf *g = NULL;
    json_t *doc = NULL;
    krs_tokenizer *t = NULL;
    krs_error err = KRS_ERROR_INIT;
    krs_status status =
        krs_gguf_parse((const unsigned char *)file->data, file->len, NULL, &g, &err);
    status = status == KRS_OK ? krs_gguf_tokenizer(g, &doc, &err) : status;
    status = status == KRS_OK ? krs_tokenizer_read(doc, NULL, &t, &err) : status;
    if (status != KRS_OK) {
        fail_msg("%s", err.message);
    }
    json_decref(doc);
    krs_gguf_close(g);
    return t;
}

static void unigram_inside_a_file_encodes_as_its_tokenizer_json(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "translate English to German: That is good.",
        "  \xEF\xAC\x81ne \xE2\x84\xA2 \xEF\xBC\xA1\xEF\xBC\xA2  caf\xC3\xA9\tcafe\xCC\x81 ",
        "1 + 2 = 3\n\nNeunundneunzig Luftballons",
        "\xE6\x97\xA5\xE6\x9C\xAC",
        "",
        " ",
    };
    krs_buf packed;
    krs_buf text;
    read_named(KRS_SOURCE_DIR "/tests/data/tokenizers/%s/tokenizer.json.gz", "t5-small", &packed);
    krs_buf_init(&text, NULL, MAX_FILE_BYTES);
    assert_int_equal(krs_gunzip(krs_buf_view(&packed), &text, NULL), KRS_OK);
    json_t *doc = json_loadb(text.data, text.len, 0, NULL);
    assert_non_null(doc);
    krs_gguf_file f;
    krs_gguf_file_init(&f);
    put_unigram(&f, doc);
    krs_tokenizer *file = tokenizer_of(&f);
    krs_tokenizer *json = NULL;
    krs_encoder *a = NULL;
    krs_encoder *b = NULL;
    assert_int_equal(krs_tokenizer_read(doc, NULL, &json, NULL), KRS_OK);
    assert_int_equal(krs_encoder_new(file, &a, NULL), KRS_OK);
    assert_int_equal(krs_encoder_new(json, &b, NULL), KRS_OK);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        krs_ids x;
        krs_ids y;
        assert_int_equal(krs_encode(a, krs_str_of(texts[i]), true, &x, NULL), KRS_OK);
        assert_int_equal(krs_encode(b, krs_str_of(texts[i]), true, &y, NULL), KRS_OK);
        assert_int_equal(x.n, y.n);
        assert_memory_equal(x.ids, y.ids, x.n * sizeof(x.ids[0]));
    }
    krs_encoder_free(a);
    krs_encoder_free(b);
    krs_tokenizer_free(file);
    krs_tokenizer_free(json);
    krs_gguf_file_deinit(&f);
    json_decref(doc);
    krs_buf_deinit(&text);
    krs_buf_deinit(&packed);
}

static void other_vocabularies_give_the_published_ids(void **state)
{
    (void)state;
    const char *data = getenv("KRS_TESTDATA");
    if (!data) {
        print_message("skipped: KRS_TESTDATA is not set\n");
        skip();
    }
    char vocab[KRS_OS_PATH_BYTES / 2];
    char texts[KRS_OS_PATH_BYTES / 2];
    char ids[KRS_OS_PATH_BYTES / 2];
    (void)snprintf(vocab, sizeof(vocab), "%s/gguf-vocab/ggml-vocab-%%s.gguf.gz", data);
    (void)snprintf(texts, sizeof(texts), "%s/vectors-other/llama.cpp/ggml-vocab-%%s.gguf.inp",
                   data);
    (void)snprintf(ids, sizeof(ids), "%s/vectors-other/llama.cpp/ggml-vocab-%%s.gguf.out", data);
    const places at = {vocab, texts, ids};
    uint32_t n_wrong = 0;
    static const char *const names[] = {
        "deepseek-coder", "deepseek-llm", "falcon", "llama-spm", "mpt", "refact", "starcoder"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        n_wrong += check(&at, names[i]);
    }
    static const char *const silent[] = {"baichuan", "gpt-neox"}; /* no ids are published */
    for (size_t i = 0; i < sizeof(silent) / sizeof(silent[0]); i++) {
        krs_tokenizer_free(load(&at, silent[i]));
    }
    assert_int_equal(n_wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shipped_vocabularies_give_the_published_ids),
        cmocka_unit_test(phi_3_reads_a_conversation_as_its_tokenizer_json_does),
        cmocka_unit_test(unigram_inside_a_file_encodes_as_its_tokenizer_json),
        cmocka_unit_test(other_vocabularies_give_the_published_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
