/* tests/unit/format/test_safetensors_folder.c - model folders: one file, shards and their index, and every
 * way in which they can disagree. */
#define _XOPEN_SOURCE 700 /* mkdtemp */
#include "format/safetensors.h"
#include "support/cmocka.h"

#include <stdio.h>
#include <stdlib.h>

#define FILE_BYTES 4096

/* A file with this header and n_data bytes after it, in `out`; returns its size. */
static size_t make_file(const char *header, size_t n_data, unsigned char *out)
{
    const size_t n = strlen(header);
    assert_true(8 + n + n_data <= FILE_BYTES);
    for (size_t i = 0; i < 8; i++) {
        out[i] = (unsigned char)(n >> (8 * i));
    }
    for (size_t i = 0; i < n; i++) {
        out[8 + i] = (unsigned char)header[i];
    }
    for (size_t i = 0; i < n_data; i++) {
        out[8 + n + i] = (unsigned char)i;
    }
    return 8 + n + n_data;
}

#define T(dtype, shape, begin, end)                                                                \
    "{\"dtype\":\"" dtype "\",\"shape\":[" shape "],\"data_offsets\":[" begin "," end "]}"

typedef struct folder {
    char path[64];
} folder;

static void put(const folder *f, const char *name, const void *bytes, size_t n)
{
    char path[KRS_OS_PATH_BYTES];
    assert_int_equal(krs_os_path_join(f->path, name, path, sizeof(path)), KRS_OK);
    assert_int_equal(krs_os_file_write(path, bytes, n, NULL), KRS_OK);
}

static void put_tensors(const folder *f, const char *name, const char *header, size_t n_data)
{
    unsigned char file[FILE_BYTES];
    const size_t n = make_file(header, n_data, file);
    put(f, name, file, n);
}

static void put_index(const folder *f, const char *text)
{
    put(f, "model.safetensors.index.json", text, strlen(text));
}

static int make_folder(void **state)
{
    static folder f;
    (void)snprintf(f.path, sizeof(f.path), "/tmp/krs-safetensors-XXXXXX");
    *state = &f;
    return mkdtemp(f.path) ? 0 : -1;
}

static int drop_folder(void **state)
{
    static const char *const names[] = {"model.safetensors", "model.safetensors.index.json",
                                        "one.safetensors", "two.safetensors"};
    const folder *f = *state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[KRS_OS_PATH_BYTES];
        if (krs_os_path_join(f->path, names[i], path, sizeof(path)) == KRS_OK) {
            (void)remove(path);
        }
    }
    return remove(f->path);
}

static void refuse_folder(const folder *f, krs_status want, const char *who, const char *why)
{
    krs_safetensors *st;
    krs_error err = KRS_ERROR_INIT;
    const krs_status status =
        krs_safetensors_open(f->path, KRS_OS_MAP_SHARED_PAGES, NULL, &st, &err);
    assert_null(st);
    if (status != want || !strstr(err.message, who) || !strstr(err.message, why)) {
        print_error("gave %s: %s\n  want \"%s\" and \"%s\"\n", krs_status_name(status), err.message,
                    who, why);
        fail();
    }
}

static const char index_two[] =
    "{\"metadata\":{\"total_size\":7,\"deep\":[[{\"x\":-1.5e3}],null,true]},"
    "\"weight_map\":{\"a\":\"one.safetensors\",\"c\":\"two.safetensors\","
    "\"b\":\"one.safetensors\"}}";

static void put_two_shards(const folder *f)
{
    put_tensors(f, "one.safetensors",
                "{\"b\":" T("U8", "4", "0", "4") ",\"a\":" T("U8", "2", "4", "6") "}", 6);
    put_tensors(f, "two.safetensors", "{\"c\":" T("U8", "1", "0", "1") "}", 1);
}

static void shards_make_one_directory_in_name_order(void **state)
{
    const folder *f = *state;
    put_two_shards(f);
    put_index(f, index_two);
    for (int mode = 0; mode < 2; mode++) {
        krs_safetensors *st;
        krs_error err = KRS_ERROR_INIT;
        assert_int_equal(krs_safetensors_open(f->path, (krs_os_map_mode)mode, NULL, &st, &err),
                         KRS_OK);
        assert_int_equal(krs_safetensors_count(st), 3);
        assert_true(krs_str_equal(krs_safetensors_at(st, 0)->name, KRS_STR("a")));
        assert_true(krs_str_equal(krs_safetensors_at(st, 2)->name, KRS_STR("c")));
        assert_null(krs_safetensors_at(st, 3));
        const krs_tensor *a = krs_safetensors_find(st, KRS_STR("a"));
        assert_non_null(a);
        assert_int_equal(a->rank, 1);
        assert_int_equal(a->dims[0], 2);
        assert_int_equal(a->dtype, KRS_DTYPE_U8);
        assert_int_equal(((const unsigned char *)a->data)[1], 5);
        assert_null(krs_safetensors_find(st, KRS_STR("")));
        assert_null(krs_safetensors_find(st, KRS_STR("aa")));
        assert_true(krs_safetensors_file_bytes(st) > 7);
        krs_safetensors_close(st);
    }
}

static void a_shard_that_is_missing_is_named(void **state)
{
    const folder *f = *state;
    put_tensors(f, "one.safetensors",
                "{\"b\":" T("U8", "4", "0", "4") ",\"a\":" T("U8", "2", "4", "6") "}", 6);
    put_index(f, index_two);
    refuse_folder(f, KRS_ENOENT, "two.safetensors", "index.json");
}

static void an_index_and_its_shards_must_agree(void **state)
{
    const folder *f = *state;
    put_two_shards(f);
    put_index(f, "{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"one.safetensors\",\"c\":"
                 "\"two.safetensors\",\"d\":\"two.safetensors\"}}");
    refuse_folder(f, KRS_EFORMAT, "tensor d", "not in two.safetensors");
    put_index(f, "{\"weight_map\":{\"a\":\"one.safetensors\",\"c\":\"two.safetensors\"}}");
    refuse_folder(f, KRS_EFORMAT, "tensor b", "in one.safetensors, but not in");
    put_index(f, "{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"two.safetensors\",\"c\":"
                 "\"two.safetensors\"}}");
    refuse_folder(f, KRS_EFORMAT, "tensor b", "elsewhere");
}

static void a_tensor_in_two_shards_is_refused(void **state)
{
    const folder *f = *state;
    put_tensors(f, "one.safetensors", "{\"a\":" T("U8", "1", "0", "1") "}", 1);
    put_tensors(f, "two.safetensors",
                "{\"a\":" T("U8", "1", "0", "1") ",\"b\":" T("U8", "1", "1", "2") "}", 2);
    put_index(f, "{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"two.safetensors\"}}");
    refuse_folder(f, KRS_EFORMAT, "tensor a", "twice");
}

static void an_index_may_only_name_files_of_its_folder(void **state)
{
    const folder *f = *state;
    static const char *const names[] = {"../one.safetensors",     "/etc/x.safetensors",
                                        "sub/one.safetensors",    ".safetensors",
                                        "sub\\\\one.safetensors", "passwd"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char text[128];
        (void)snprintf(text, sizeof(text), "{\"weight_map\":{\"a\":\"%s\"}}", names[i]);
        put_index(f, text);
        refuse_folder(f, KRS_EFORMAT, "weight_map", "in this folder");
    }
    put_index(f, "{\"weight_map\":{\"a\":\"\"}}");
    refuse_folder(f, KRS_EFORMAT, "weight_map", "0 bytes");
    put_index(f, "{\"weight_map\":{\"a\":\"x\\u0000.safetensors\"}}");
    refuse_folder(f, KRS_EFORMAT, "weight_map", "control");
}

static void a_malformed_index_is_refused(void **state)
{
    const folder *f = *state;
    put_index(f, "{}");
    refuse_folder(f, KRS_EFORMAT, "index.json", "no weight_map");
    put_index(f, "{\"weight_map\":{}}");
    refuse_folder(f, KRS_EFORMAT, "index.json", "empty");
    put_index(f, "{\"weight_map\":{\"a\":7}}");
    refuse_folder(f, KRS_EFORMAT, "weight_map", "'\"'");
    put_index(f, "{\"weight_map\":{\"a\":\"one.safetensors\",\"a\":\"one.safetensors\"}}");
    refuse_folder(f, KRS_EFORMAT, "tensor a", "twice");
    put_index(f, "{\"weight_map\":{\"a\":\"one.safetensors\"},\"weight_map\":{}}");
    refuse_folder(f, KRS_EFORMAT, "weight_map", "twice");
    put_index(f, "{\"x\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}");
    refuse_folder(f, KRS_EFORMAT, "index.json", "nesting");
    put_index(f, "{\"x\":tru}");
    refuse_folder(f, KRS_EFORMAT, "index.json", "a value");
    put_index(f, "{\"x\":-}");
    refuse_folder(f, KRS_EFORMAT, "index.json", "a value");
}

static void a_single_file_wins_over_an_index(void **state)
{
    const folder *f = *state;
    put_tensors(f, "model.safetensors", "{\"a\":" T("U8", "1", "0", "1") "}", 1);
    put_index(f, "not even JSON");
    krs_safetensors *st;
    assert_int_equal(krs_safetensors_open(f->path, KRS_OS_MAP_COPY, NULL, &st, NULL), KRS_OK);
    assert_int_equal(krs_safetensors_count(st), 1);
    krs_safetensors_close(st);
}

static void a_folder_without_tensors_and_a_lying_file_say_so(void **state)
{
    const folder *f = *state;
    refuse_folder(f, KRS_ENOENT, "model.safetensors", "no ");
    put(f, "model.safetensors", "", 0);
    refuse_folder(f, KRS_EFORMAT, "model.safetensors", "0 bytes");
    put_tensors(f, "model.safetensors", "{\"a\":" T("F32", "1", "0", "4") "}", 3);
    refuse_folder(f, KRS_EFORMAT, "model.safetensors: tensor a", "3 bytes");
}

static void samples_of_other_writers_open(void **state)
{
    (void)state;
    const char *data = getenv("KRS_TESTDATA");
    if (!data) {
        print_message("skipped: KRS_TESTDATA is not set\n");
        skip();
    }
    static const struct {
        const char *name;
        krs_dtype dtype;
        int rank;
    } samples[] = {{"tensor-1d-int32", KRS_DTYPE_I32, 1},
                   {"tensor-2d-float64", KRS_DTYPE_F64, 2},
                   {"tensor-3d-float32", KRS_DTYPE_F32, 3},
                   {"tensor-4d-float32", KRS_DTYPE_F32, 4}};
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        char path[KRS_OS_PATH_BYTES];
        (void)snprintf(path, sizeof(path), "%s/safetensors/%s.safetensors", data, samples[i].name);
        krs_safetensors *st;
        assert_int_equal(krs_safetensors_open(path, KRS_OS_MAP_SHARED_PAGES, NULL, &st, NULL),
                         KRS_OK);
        assert_int_equal(krs_safetensors_count(st), 1);
        assert_int_equal(krs_safetensors_at(st, 0)->dtype, samples[i].dtype);
        assert_int_equal(krs_safetensors_at(st, 0)->rank, samples[i].rank);
        krs_safetensors_close(st);
    }
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, drop_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(shards_make_one_directory_in_name_order),
        IN_FOLDER(a_shard_that_is_missing_is_named),
        IN_FOLDER(an_index_and_its_shards_must_agree),
        IN_FOLDER(a_tensor_in_two_shards_is_refused),
        IN_FOLDER(an_index_may_only_name_files_of_its_folder),
        IN_FOLDER(a_malformed_index_is_refused),
        IN_FOLDER(a_single_file_wins_over_an_index),
        IN_FOLDER(a_folder_without_tensors_and_a_lying_file_say_so),
        cmocka_unit_test(samples_of_other_writers_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
