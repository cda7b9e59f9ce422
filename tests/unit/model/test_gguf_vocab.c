/* Tokenizers inside GGUF files against the ids that the Hugging Face library gave for the same texts
 * (tests/data/gguf-vocab/SOURCE.md). KRS_TESTDATA names a folder with more of them. */
#include "format/gguf_folder.h"
#include "os/file.h"
#include "support/cmocka.h"
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
        cmocka_unit_test(other_vocabularies_give_the_published_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
