/* tests/unit/format/test_safetensors_write.c - what the writer writes, the reader takes back: same names,
 * shapes and bytes, in one file or in shards. */
#include "format/safetensors.h"
#include "format/safetensors_write.h"
#include "os/dir.h"
#include "support/cmocka.h"

#include <stdio.h>

#define N 5

static const krs_tensor tensors[N] = {
    {.name = {"a", 1}, .dtype = KRS_DTYPE_U8, .rank = 1, .dims = {10}, .n_bytes = 10},
    {.name = {"b.\"q\"", 5}, .dtype = KRS_DTYPE_F32, .rank = 2, .dims = {2, 3}, .n_bytes = 24},
    {.name = {"empty", 5}, .dtype = KRS_DTYPE_F32, .rank = 2, .dims = {0, 3}, .n_bytes = 0},
    {.name = {"s", 1}, .dtype = KRS_DTYPE_BF16, .rank = 0, .n_bytes = 2},
    {.name = {"z", 1}, .dtype = KRS_DTYPE_U32, .rank = 3, .dims = {1, 4, 2}, .n_bytes = 32},
};

static unsigned char byte_of(uint32_t tensor, size_t i)
{
    return (unsigned char)(37 * tensor + i);
}

/* Put every tensor in pieces of at most `piece` bytes. */
static void put_all(krs_safetensors_writer *writer, size_t piece)
{
    for (uint32_t t = 0; t < N; t++) {
        for (size_t at = 0; at < tensors[t].n_bytes; at += piece) {
            unsigned char bytes[64];
            size_t n = tensors[t].n_bytes - at;
            n = n < piece ? n : piece;
            for (size_t i = 0; i < n; i++) {
                bytes[i] = byte_of(t, at + i);
            }
            assert_int_equal(krs_safetensors_writer_put(writer, bytes, n, NULL), KRS_OK);
        }
    }
}

static void check_folder(const char *dir)
{
    krs_safetensors *st;
    krs_error err = KRS_ERROR_INIT;
    if (krs_safetensors_open(dir, KRS_OS_MAP_COPY, NULL, &st, &err) != KRS_OK) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(krs_safetensors_count(st), N);
    for (uint32_t t = 0; t < N; t++) {
        const krs_tensor *got = krs_safetensors_find(st, tensors[t].name);
        assert_non_null(got);
        assert_int_equal(got->dtype, tensors[t].dtype);
        assert_int_equal(got->rank, tensors[t].rank);
        assert_memory_equal(got->dims, tensors[t].dims, sizeof(got->dims));
        assert_int_equal(got->n_bytes, tensors[t].n_bytes);
        for (size_t i = 0; i < got->n_bytes; i++) {
            assert_int_equal(((const unsigned char *)got->data)[i], byte_of(t, i));
        }
    }
    krs_safetensors_close(st);
}

static uint32_t write_folder(const char *dir, uint64_t max_shard_bytes, size_t piece)
{
    krs_safetensors_writer *writer;
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(
        krs_safetensors_writer_open(dir, tensors, N, max_shard_bytes, NULL, &writer, &err), KRS_OK);
    const uint32_t n_shards = krs_safetensors_writer_n_shards(writer);
    put_all(writer, piece);
    assert_int_equal(krs_safetensors_writer_finish(writer, &err), KRS_OK);
    krs_safetensors_writer_free(writer);
    return n_shards;
}

static bool is_there(const char *dir, const char *name)
{
    char path[KRS_OS_PATH_BYTES];
    assert_int_equal(krs_os_path_join(dir, name, path, sizeof(path)), KRS_OK);
    return krs_os_path_kind(path) == KRS_OS_FILE;
}

static int make_folder(void **state)
{
    static char dir[KRS_OS_PATH_BYTES];
    *state = dir;
    return krs_os_dir_temporary(dir, NULL) == KRS_OK ? 0 : -1;
}

static int drop_folder(void **state)
{
    return krs_os_dir_remove(*state, NULL) == KRS_OK ? 0 : -1;
}

static void what_fits_becomes_one_file_without_an_index(void **state)
{
    const char *dir = *state;
    assert_int_equal(write_folder(dir, 68, 64), 1);
    assert_true(is_there(dir, "model.safetensors"));
    assert_false(is_there(dir, "model.safetensors.index.json"));
    check_folder(dir);
}

static void what_does_not_fit_becomes_shards_with_an_index(void **state)
{
    const char *dir = *state;
    assert_int_equal(write_folder(dir, 36, 7), 2);
    assert_true(is_there(dir, "model-00001-of-00002.safetensors"));
    assert_true(is_there(dir, "model-00002-of-00002.safetensors"));
    assert_true(is_there(dir, "model.safetensors.index.json"));
    check_folder(dir);
}

static void a_tensor_larger_than_a_shard_stands_alone(void **state)
{
    const char *dir = *state;
    assert_int_equal(write_folder(dir, 1, 64), 4); /* the empty one rides along */
    check_folder(dir);
}

static void a_shard_has_no_name_before_it_is_whole(void **state)
{
    const char *dir = *state;
    krs_safetensors_writer *writer;
    assert_int_equal(krs_safetensors_writer_open(dir, tensors, N, 1000, NULL, &writer, NULL),
                     KRS_OK);
    const unsigned char bytes[10] = {0};
    assert_int_equal(krs_safetensors_writer_put(writer, bytes, 10, NULL), KRS_OK);
    assert_false(is_there(dir, "model.safetensors"));
    krs_safetensors_writer_free(writer);
    krs_arena arena;
    const krs_str *names;
    size_t n;
    krs_arena_init(&arena, NULL, 4096, 65536);
    assert_int_equal(krs_os_dir_list(dir, &arena, &names, &n, NULL), KRS_OK);
    assert_int_equal(n, 0);
    krs_arena_deinit(&arena);
}

static void plans_that_contradict_themselves_are_refused(void **state)
{
    const char *dir = *state;
    krs_safetensors_writer *writer;
    krs_error err = KRS_ERROR_INIT;
    krs_tensor bad = tensors[1];
    bad.n_bytes = 23;
    assert_int_equal(krs_safetensors_writer_open(dir, &bad, 1, 100, NULL, &writer, &err),
                     KRS_EINVAL);
    assert_non_null(strstr(err.message, "23 bytes"));
    bad = tensors[1];
    bad.dims[0] = INT64_MAX;
    assert_int_equal(krs_safetensors_writer_open(dir, &bad, 1, 100, NULL, &writer, &err),
                     KRS_EINVAL);
    bad = tensors[1];
    bad.name = (krs_str){"", 0};
    assert_int_equal(krs_safetensors_writer_open(dir, &bad, 1, 100, NULL, &writer, &err),
                     KRS_EINVAL);
    assert_int_equal(krs_safetensors_writer_open(dir, &bad, 0, 100, NULL, &writer, &err),
                     KRS_EINVAL);
    assert_int_equal(
        krs_safetensors_writer_open("/nonexistent", tensors, N, 100, NULL, &writer, &err),
        KRS_ENOENT);
    assert_null(writer);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, drop_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(what_fits_becomes_one_file_without_an_index),
        IN_FOLDER(what_does_not_fit_becomes_shards_with_an_index),
        IN_FOLDER(a_tensor_larger_than_a_shard_stands_alone),
        IN_FOLDER(a_shard_has_no_name_before_it_is_whole),
        IN_FOLDER(plans_that_contradict_themselves_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
