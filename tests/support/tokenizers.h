/* support/tokenizers.h - the tokenizers under test: loading, vectors, whole-list comparisons.
 *
 * krs_test_tokenizer("gpt-2") comes from tests/data/tokenizers; krs_test_tokenizer_at(folder) from
 * anywhere. Everything fails the test on the spot, with the reason.
 *
 * Thread: one owner. */
#pragma once

#include "os/file.h"
#include "support/cmocka.h"
#include "text/detok.h"
#include "text/tokenizer.h"
#include "wire/gzip.h"
#include "wire/json.h"

#include <stdio.h>

#define KRS_TEST_TOKENIZERS KRS_SOURCE_DIR "/tests/data/tokenizers"
#define KRS_TEST_FILE_BYTES (256u << 20)
#define KRS_TEST_TEXT_BYTES (64u << 20)

/* "folder/name" or "folder/name.gz", whichever is there. */
static inline void krs_test_find(const char *folder, const char *name, char *path, size_t n_path)
{
    assert_true((size_t)snprintf(path, n_path, "%s/%s", folder, name) < n_path);
    if (krs_os_path_kind(path) != KRS_OS_FILE) {
        assert_true((size_t)snprintf(path, n_path, "%s/%s.gz", folder, name) < n_path);
    }
}

static inline krs_tokenizer *krs_test_tokenizer_at(const char *folder)
{
    char path[KRS_OS_PATH_BYTES];
    krs_tokenizer *t = NULL;
    krs_error err = KRS_ERROR_INIT;
    krs_test_find(folder, "tokenizer.json", path, sizeof(path));
    if (krs_tokenizer_load(path, NULL, &t, &err) != KRS_OK) {
        fail_msg("%s: %s", path, err.message);
    }
    return t;
}

static inline krs_tokenizer *krs_test_tokenizer(const char *name)
{
    char folder[KRS_OS_PATH_BYTES];
    (void)snprintf(folder, sizeof(folder), "%s/%s", KRS_TEST_TOKENIZERS, name);
    return krs_test_tokenizer_at(folder);
}

static inline krs_tokenizer *krs_test_tokenizer_of(const char *json)
{
    krs_tokenizer *t = NULL;
    krs_error err = KRS_ERROR_INIT;
    if (krs_tokenizer_parse(krs_str_of(json), NULL, &t, &err) != KRS_OK) {
        fail_msg("%s: %s", json, err.message);
    }
    return t;
}

static inline krs_encoder *krs_test_encoder(const krs_tokenizer *t)
{
    krs_encoder *e = NULL;
    assert_int_equal(krs_encoder_new(t, &e, NULL), KRS_OK);
    return e;
}

/* The vectors of a folder; json_decref. */
static inline json_t *krs_test_vectors(const char *folder)
{
    char path[KRS_OS_PATH_BYTES];
    krs_buf packed;
    krs_buf text;
    krs_buf_init(&packed, NULL, KRS_TEST_FILE_BYTES);
    krs_buf_init(&text, NULL, KRS_TEST_FILE_BYTES);
    krs_test_find(folder, "vectors.json", path, sizeof(path));
    assert_int_equal(krs_os_file_read(path, &packed, NULL), KRS_OK);
    assert_int_equal(krs_gunzip(krs_buf_view(&packed), &text, NULL), KRS_OK);
    const krs_json_limits limits = {KRS_TEST_FILE_BYTES, false};
    json_t *root = NULL;
    krs_error err = KRS_ERROR_INIT;
    if (krs_json_parse(krs_buf_view(&text), &limits, &root, &err) != KRS_OK) {
        fail_msg("%s: %s", path, err.message);
    }
    krs_buf_deinit(&packed);
    krs_buf_deinit(&text);
    return root;
}

static inline krs_str krs_test_str(const json_t *value)
{
    assert_true(json_is_string(value));
    return (krs_str){json_string_value(value), json_string_length(value)};
}

/* The ids of a JSON array; krs_alloc_free(NULL, ..). */
static inline uint32_t *krs_test_ids(const json_t *array, size_t *n)
{
    *n = json_array_size(array);
    uint32_t *ids = krs_alloc_array(NULL, *n + 1, sizeof(ids[0]));
    assert_non_null(ids);
    for (size_t i = 0; i < *n; i++) {
        ids[i] = (uint32_t)json_integer_value(json_array_get(array, i));
    }
    return ids;
}

/* Fail unless text encodes to want. */
static inline void krs_test_same_ids(krs_str text, krs_ids got, const json_t *want)
{
    size_t n;
    uint32_t *ids = krs_test_ids(want, &n);
    for (size_t i = 0; i < n || i < got.n; i++) {
        if (i >= n || i >= got.n || ids[i] != got.ids[i]) {
            fail_msg("\"%.60s\": id %zu of %zu is %u, want %u (of %zu)", text.ptr, i, got.n,
                     i < got.n ? got.ids[i] : 0, i < n ? ids[i] : 0, n);
        }
    }
    krs_alloc_free(NULL, ids);
}

static inline void krs_test_encodes(krs_encoder *e, krs_str text, bool with_special,
                                    const json_t *want)
{
    krs_ids got;
    krs_error err = KRS_ERROR_INIT;
    if (krs_encode(e, text, with_special, &got, &err) != KRS_OK) {
        fail_msg("\"%.60s\": %s", text.ptr, err.message);
    }
    krs_test_same_ids(text, got, want);
}

/* Fail unless ids decode to want. */
static inline void krs_test_decodes(const krs_tokenizer *t, const json_t *list, bool skip_special,
                                    krs_str want)
{
    size_t n;
    uint32_t *ids = krs_test_ids(list, &n);
    krs_buf out;
    krs_buf_init(&out, NULL, KRS_TEST_TEXT_BYTES);
    assert_int_equal(krs_decode(t, ids, n, skip_special, &out, NULL), KRS_OK);
    if (!krs_str_equal(krs_buf_view(&out), want)) {
        fail_msg("decoded \"%.60s\", want \"%.60s\"", out.data ? out.data : "", want.ptr);
    }
    krs_buf_deinit(&out);
    krs_alloc_free(NULL, ids);
}
