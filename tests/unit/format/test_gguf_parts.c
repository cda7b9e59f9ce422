/* Models cut into several GGUF files. */
#include "format/gguf.h"

#include "os/dir.h"
#include "support/gguf_file.h"

typedef struct folder {
    char path[KRS_OS_PATH_BYTES];
} folder;

static void write_part(const folder *dir, const char *name, uint32_t no, uint32_t count,
                       uint32_t n_tensors, const char *tensor)
{
    char path[KRS_OS_PATH_BYTES];
    krs_gguf_file f;
    krs_gguf_file_init(&f);
    if (no == 0) {
        krs_gguf_put_str(&f, "general.architecture", "llama");
    }
    krs_gguf_put_int(&f, "split.no", no);
    krs_gguf_put_int(&f, "split.count", count);
    krs_gguf_put_int(&f, "split.tensors.count", n_tensors);
    krs_gguf_put_tensor(&f, tensor, 24, 1, (int64_t[]){3}, name, 3);
    const krs_buf *file = krs_gguf_file_finish(&f, 3);
    assert_int_equal(krs_os_path_join(dir->path, name, path, sizeof(path)), KRS_OK);
    assert_int_equal(krs_os_file_write(path, file->data, file->len, NULL), KRS_OK);
    krs_gguf_file_deinit(&f);
}

static krs_status open_in(const folder *dir, const char *name, krs_gguf **out, krs_error *err)
{
    char path[KRS_OS_PATH_BYTES];
    assert_int_equal(krs_os_path_join(dir->path, name, path, sizeof(path)), KRS_OK);
    return krs_gguf_open(path, KRS_OS_MAP_SHARED_PAGES, NULL, out, err);
}

static void parts_are_opened_by_the_first(void **state)
{
    folder *dir = *state;
    krs_gguf *g = NULL;
    krs_error err = KRS_ERROR_INIT;
    write_part(dir, "m-00001-of-00003.gguf", 0, 3, 3, "a");
    write_part(dir, "m-00002-of-00003.gguf", 1, 3, 3, "b");
    assert_int_equal(open_in(dir, "m-00001-of-00003.gguf", &g, &err), KRS_ENOENT);
    assert_non_null(strstr(err.message, "m-00003-of-00003.gguf"));
    write_part(dir, "m-00003-of-00003.gguf", 2, 3, 3, "c");
    assert_int_equal(open_in(dir, "m-00001-of-00003.gguf", &g, &err), KRS_OK);
    assert_int_equal(krs_gguf_n_shards(g), 3);
    assert_int_equal(krs_gguf_dir(g)->n_tensors, 3);
    const krs_tensor *c = krs_tensor_dir_find(krs_gguf_dir(g), KRS_STR("c"));
    assert_int_equal(c->shard, 2);
    assert_int_equal(krs_gguf_n_values(g), 4);
    krs_gguf_close(g);
}

static void parts_that_do_not_belong_together_are_refused(void **state)
{
    folder *dir = *state;
    krs_gguf *g = NULL;
    krs_error err = KRS_ERROR_INIT;
    write_part(dir, "m-00001-of-00002.gguf", 0, 2, 2, "a");
    write_part(dir, "m-00002-of-00002.gguf", 0, 2, 2, "b");
    assert_int_equal(open_in(dir, "m-00001-of-00002.gguf", &g, &err), KRS_EFORMAT);
    assert_non_null(strstr(err.message, "part 2 of 2: the file says it is part 1 of 2"));
    write_part(dir, "m-00002-of-00002.gguf", 1, 2, 2, "a");
    assert_int_equal(open_in(dir, "m-00001-of-00002.gguf", &g, &err), KRS_EFORMAT);
    assert_non_null(strstr(err.message, "stands twice"));
    assert_int_equal(open_in(dir, "m-00002-of-00002.gguf", &g, &err), KRS_EINVAL);
    assert_non_null(strstr(err.message, "open the first part"));
    write_part(dir, "m-00002-of-00002.gguf", 1, 2, 2, "b");
    write_part(dir, "m-00001-of-00002.gguf", 0, 2, 5, "a");
    write_part(dir, "odd.gguf", 0, 2, 2, "a");
    assert_int_equal(open_in(dir, "odd.gguf", &g, &err), KRS_EFORMAT);
    assert_non_null(strstr(err.message, "does not end in -00001-of-00002.gguf"));
    assert_int_equal(open_in(dir, "m-00001-of-00002.gguf", &g, &err), KRS_EFORMAT);
    assert_non_null(strstr(err.message, "split.tensors.count: 5, the parts have 2"));
    assert_int_equal(open_in(dir, "absent.gguf", &g, &err), KRS_ENOENT);
    assert_null(g);
}

static int make_folder(void **state)
{
    static folder dir;
    *state = &dir;
    return krs_os_dir_temporary(dir.path, NULL) == KRS_OK ? 0 : -1;
}

static int drop_folder(void **state)
{
    const folder *dir = *state;
    return krs_os_dir_remove(dir->path, NULL) == KRS_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(parts_are_opened_by_the_first, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(parts_that_do_not_belong_together_are_refused, make_folder,
                                        drop_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
