/* text/tokenizer: the ids that other projects publish, made by other code than the Rust library's vectors.
 *
 * tests/data/tokenizers/others.json.gz has what we may ship; KRS_TESTDATA names a folder with the rest, in
 * the form each project has it. Texts that their libraries decode are not compared: they clean up what
 * tokenizer.json does not speak of. */
#include "support/tokenizers.h"

#include <stdlib.h>

static json_t *read_json(const char *path)
{
    krs_buf packed;
    krs_buf text;
    krs_buf_init(&packed, NULL, KRS_TEST_FILE_BYTES);
    krs_buf_init(&text, NULL, KRS_TEST_FILE_BYTES);
    assert_int_equal(krs_os_file_read(path, &packed, NULL), KRS_OK);
    krs_str json = krs_buf_view(&packed);
    if (krs_gzip_is(json)) {
        assert_int_equal(krs_gunzip(json, &text, NULL), KRS_OK);
        json = krs_buf_view(&text);
    }
    const krs_json_limits limits = {KRS_TEST_FILE_BYTES, false};
    json_t *root = NULL;
    assert_int_equal(krs_json_parse(json, &limits, &root, NULL), KRS_OK);
    krs_buf_deinit(&packed);
    krs_buf_deinit(&text);
    return root;
}

static void kept_cases_are_equal(void **state)
{
    (void)state;
    json_t *root = read_json(KRS_TEST_TOKENIZERS "/others.json.gz");
    assert_true(json_object_size(root) >= 5);
    for (void *it = json_object_iter(root); it; it = json_object_iter_next(root, it)) {
        const json_t *cases = json_object_iter_value(it);
        krs_tokenizer *t = krs_test_tokenizer(json_object_iter_key(it));
        krs_encoder *e = krs_test_encoder(t);
        assert_true(json_array_size(cases) > 20);
        for (size_t i = 0; i < json_array_size(cases); i++) {
            const json_t *c = json_array_get(cases, i);
            krs_test_encodes(e, krs_test_str(json_object_get(c, "text")),
                             json_is_true(json_object_get(c, "special")),
                             json_object_get(c, "ids"));
        }
        krs_encoder_free(e);
        krs_tokenizer_free(t);
    }
    json_decref(root);
}

/* Where the other cases are, or NULL. */
static const char *data_folder(void)
{
    const char *data = getenv("KRS_TESTDATA");
    if (!data) {
        print_message("skipped: KRS_TESTDATA is not set\n");
    }
    return data;
}

typedef struct fixture {
    krs_tokenizer *t;
    krs_encoder *e;
} fixture;

static fixture open_at(const char *data, const char *name)
{
    char folder[KRS_OS_PATH_BYTES];
    (void)snprintf(folder, sizeof(folder), "%s/tokenizers/%s", data, name);
    fixture f = {krs_test_tokenizer_at(folder), NULL};
    f.e = krs_test_encoder(f.t);
    return f;
}

static void close_it(fixture *f)
{
    krs_encoder_free(f->e);
    krs_tokenizer_free(f->t);
}

/* {model: {case: {text, ids}}}; cases with two texts have their own form and are left out. */
static void equals_tokenizers_js(void **state)
{
    static const struct {
        const char *file;
        const char *model;
        const char *ours;
    } rows[] = {
        {"bert", "Xenova/bert-base-uncased", "bert-base-uncased"},
        {"distilbert", "Xenova/distilbert-base-uncased-finetuned-sst-2-english", "bge-large-en"},
        {"t5", "Xenova/t5-small", "t5-small"},
        {"clip", "Xenova/clip-vit-base-patch16", "clip"},
        {"gpt2", "Xenova/gpt2", "gpt-2"},
        {"gpt2", "Xenova/gpt-4o", "gpt-oss"},
        {"llama", "Xenova/llama-tokenizer", "llama-2-tinyllama"},
        {"llama", "Xenova/llama3-tokenizer-new", "llama-3.1"},
        {"qwen2", "Xenova/Qwen1.5-0.5B-Chat", "qwen2.5"},
    };
    (void)state;
    size_t n = 0;
    const char *data = data_folder();
    if (!data) {
        skip();
    }
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char path[KRS_OS_PATH_BYTES];
        (void)snprintf(path, sizeof(path), "%s/vectors-other/tokenizers.js/%s.json", data,
                       rows[i].file);
        json_t *root = read_json(path);
        json_t *cases = json_object_get(root, rows[i].model);
        fixture f = open_at(data, rows[i].ours);
        for (void *it = json_object_iter(cases); it; it = json_object_iter_next(cases, it)) {
            const json_t *c = json_object_iter_value(it);
            if (json_is_string(json_object_get(c, "text")) && !json_object_get(c, "text_pair")) {
                krs_test_encodes(f.e, krs_test_str(json_object_get(c, "text")), true,
                                 json_object_get(c, "ids"));
                n++;
            }
        }
        close_it(&f);
        json_decref(root);
    }
    assert_true(n >= 236);
}

/* The ids of one line, as a JSON array. */
static json_t *line_of_ids(const char *line)
{
    json_t *ids = json_array();
    line += strspn(line, " ");
    while (*line && *line != '\n') {
        char *end = NULL;
        const long id = strtol(line, &end, 10);
        assert_true(end != line);
        assert_int_equal(json_array_append_new(ids, json_integer(id)), 0);
        line = end + strspn(end, " ");
    }
    return ids;
}

/* Texts between marks in .inp, a line of ids for each in .out. */
static void check_llama_cpp(const char *data, const char *name, const char *ours)
{
    static const char mark[] = "\n__ggml_vocab_test__\n";
    krs_buf files[2];
    for (size_t i = 0; i < 2; i++) {
        char path[KRS_OS_PATH_BYTES];
        (void)snprintf(path, sizeof(path), "%s/vectors-other/llama.cpp/ggml-vocab-%s.gguf.%s", data,
                       name, i == 0 ? "inp" : "out");
        krs_buf_init(&files[i], NULL, KRS_TEST_FILE_BYTES);
        assert_int_equal(krs_os_file_read(path, &files[i], NULL), KRS_OK);
    }
    fixture f = open_at(data, ours);
    krs_str rest = krs_buf_view(&files[0]);
    const char *line = files[1].data;
    size_t n = 0;
    for (size_t end = krs_str_find(rest, KRS_STR(mark), 0); end != SIZE_MAX && line;
         end = krs_str_find(rest, KRS_STR(mark), 0)) {
        json_t *ids = line_of_ids(line);
        krs_test_encodes(f.e, (krs_str){rest.ptr, end}, false, ids);
        json_decref(ids);
        rest = (krs_str){rest.ptr + end + sizeof(mark) - 1, rest.len - end - (sizeof(mark) - 1)};
        line = strchr(line, '\n');
        line += line != NULL;
        n++;
    }
    assert_true(n >= 46);
    close_it(&f);
    krs_buf_deinit(&files[0]);
    krs_buf_deinit(&files[1]);
}

static void equals_llama_cpp(void **state)
{
    (void)state;
    const char *data = data_folder();
    if (!data) {
        skip();
    }
    check_llama_cpp(data, "bert-bge", "bge-large-en");
    check_llama_cpp(data, "gpt-2", "gpt-2");
    check_llama_cpp(data, "llama-bpe", "llama-3.1");
    check_llama_cpp(data, "llama-spm", "llama-2-tinyllama");
    check_llama_cpp(data, "phi-3", "phi-3");
    check_llama_cpp(data, "qwen2", "qwen2.5");
}

static json_t *read_swift(const char *data, const char *file)
{
    char path[KRS_OS_PATH_BYTES];
    (void)snprintf(path, sizeof(path), "%s/vectors-other/swift-transformers/%s", data, file);
    return read_json(path);
}

static void equals_swift_transformers(void **state)
{
    static const struct {
        const char *file; /* one text; NULL: the list of `name` in tokenizer_tests.json */
        const char *name;
        const char *ours;
    } rows[] = {
        {"bert_uncased_encoded.json", NULL, "bert-base-uncased"},
        {"gpt2_encoded_tokens.json", NULL, "gpt-2"},
        {"t5_base_encoded.json", NULL, "t5-small"},
        {"llama_encoded.json", NULL, "llama-2-tinyllama"},
        {"llama_3.2_encoded.json", NULL, "llama-3.1"},
        {NULL, "bert-base-uncased", "bert-base-uncased"},
        {NULL, "distilgpt2", "gpt-2"},
        {NULL, "t5-base", "t5-small"},
        {NULL, "google-bert/bert-base-uncased", "bert-base-uncased"},
        {NULL, "pcuenq/Llama-3.2-1B-Instruct-tokenizer", "llama-3.1"},
    };
    (void)state;
    const char *data = data_folder();
    if (!data) {
        skip();
    }
    json_t *lists = read_swift(data, "tokenizer_tests.json");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        fixture f = open_at(data, rows[i].ours);
        json_t *one = rows[i].file ? read_swift(data, rows[i].file) : NULL;
        if (one) {
            krs_test_encodes(f.e, krs_test_str(json_object_get(one, "text")), true,
                             json_object_get(one, "token_ids"));
        }
        const json_t *list = one ? NULL : json_object_get(lists, rows[i].name);
        assert_true(one || json_array_size(list) > 0);
        for (size_t k = 0; k < json_array_size(list); k++) {
            const json_t *c = json_array_get(list, k);
            const json_t *ids = json_object_get(json_object_get(c, "encoded"), "input_ids");
            krs_test_encodes(f.e, krs_test_str(json_object_get(c, "input")), true, ids);
        }
        json_decref(one);
        close_it(&f);
    }
    json_decref(lists);
}

/* Ten thousand questions under BERT. */
static void equals_swift_transformers_on_questions(void **state)
{
    (void)state;
    const char *data = data_folder();
    if (!data) {
        skip();
    }
    json_t *texts = read_swift(data, "question_tokens.json.gz");
    json_t *ids = read_swift(data, "tokenized_questions.json");
    fixture f = open_at(data, "bert-base-uncased");
    assert_int_equal(json_array_size(texts), json_array_size(ids));
    assert_true(json_array_size(texts) > 10000);
    for (size_t i = 0; i < json_array_size(texts); i++) {
        const json_t *text = json_object_get(json_array_get(texts, i), "original");
        krs_test_encodes(f.e, krs_test_str(text), false, json_array_get(ids, i));
    }
    close_it(&f);
    json_decref(texts);
    json_decref(ids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_cases_are_equal),
        cmocka_unit_test(equals_tokenizers_js),
        cmocka_unit_test(equals_llama_cpp),
        cmocka_unit_test(equals_swift_transformers),
        cmocka_unit_test(equals_swift_transformers_on_questions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
