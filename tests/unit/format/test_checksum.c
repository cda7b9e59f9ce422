/* tests/unit/format/test_checksum.c - lists of checksums, blobs named by theirs, and files that differ. */
#define _POSIX_C_SOURCE 200809L /* symlink */
#include "format/checksum.h"
#include "os/dir.h"
#include "support/cmocka.h"

#include <stdio.h>
#include <unistd.h>

/* sha256sum of "hello\n", and the name git hash-object gives it. */
#define HELLO     "hello\n"
#define HELLO_SHA "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
#define HELLO_GIT "ce013625030ba8dba906f756967f9e9ca394464a"

typedef struct fixture {
    char dir[KRS_OS_PATH_BYTES];
    krs_arena arena;
    krs_checksum *sums;
    size_t n;
    krs_error err;
} fixture;

static void fixture_open(fixture *f)
{
    memset(f, 0, sizeof(*f));
    krs_arena_init(&f->arena, NULL, 4096, 1u << 20);
    assert_int_equal(krs_os_dir_temporary(f->dir, NULL), KRS_OK);
}

static void fixture_close(fixture *f)
{
    krs_arena_deinit(&f->arena);
    assert_int_equal(krs_os_dir_remove(f->dir, NULL), KRS_OK);
}

static const char *path_of(const fixture *f, const char *name)
{
    static char path[KRS_OS_PATH_BYTES];
    assert_int_equal(krs_os_path_join(f->dir, name, path, sizeof(path)), KRS_OK);
    return path;
}

static void put(const fixture *f, const char *name, const char *text)
{
    assert_int_equal(krs_os_file_write(path_of(f, name), text, strlen(text), NULL), KRS_OK);
}

static krs_status check(fixture *f, const char *path)
{
    return krs_checksum_files(path, &f->arena, &f->sums, &f->n, &f->err);
}

static void a_file_nobody_vouches_for_is_unknown_and_not_wrong(void **state)
{
    (void)state;
    fixture f;
    fixture_open(&f);
    put(&f, "weights", HELLO);
    assert_int_equal(check(&f, f.dir), KRS_OK);
    assert_int_equal(f.n, 1);
    assert_string_equal(f.sums[0].sha256, HELLO_SHA);
    assert_int_equal(f.sums[0].n_bytes, 6);
    assert_int_equal(f.sums[0].kind, KRS_CHECKSUM_NONE);
    assert_true(f.sums[0].is_right);
    fixture_close(&f);
}

static void a_list_vouches_for_its_files(void **state)
{
    (void)state;
    fixture f;
    fixture_open(&f);
    put(&f, "a", HELLO);
    put(&f, "b", "hullo\n");
    put(&f, KRS_CHECKSUM_FILE, HELLO_SHA "  ./a\r\n\n" HELLO_SHA " *b\n");
    assert_int_equal(check(&f, f.dir), KRS_OK);
    assert_int_equal(f.n, 2);
    assert_int_equal(f.sums[0].kind, KRS_CHECKSUM_LIST);
    assert_true(f.sums[0].is_right);
    assert_false(f.sums[1].is_right);
    fixture_close(&f);
}

static void a_list_names_what_is_missing(void **state)
{
    (void)state;
    fixture f;
    fixture_open(&f);
    put(&f, "a", HELLO);
    put(&f, KRS_CHECKSUM_FILE, HELLO_SHA "  a\n" HELLO_SHA "  gone");
    assert_int_equal(check(&f, f.dir), KRS_ENOENT);
    assert_string_equal(f.err.message, "SHA256SUMS: gone is not in the folder");
    fixture_close(&f);
}

static void a_line_that_is_none_is_refused_by_its_number(void **state)
{
    (void)state;
    static const char *const lines[] = {"hello",
                                        HELLO_SHA,
                                        HELLO_SHA " a",
                                        HELLO_SHA "  ",
                                        HELLO_SHA "  ./",
                                        "x891b5b522d5df086d0ff0b110fbd9d21bb4fc"
                                        "7163af34d08286a2e846f6be03  a"};
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        fixture f;
        fixture_open(&f);
        char text[512];
        (void)snprintf(text, sizeof(text), "\n%s\n", lines[i]);
        put(&f, KRS_CHECKSUM_FILE, text);
        assert_int_equal(check(&f, f.dir), KRS_EFORMAT);
        assert_non_null(strstr(f.err.message, "line 2"));
        fixture_close(&f);
    }
}

/* As the hub's cache lays a snapshot out. */
static void a_blob_vouches_by_its_name(void **state)
{
    (void)state;
    fixture f;
    fixture_open(&f);
    assert_int_equal(krs_os_dir_make(path_of(&f, "blobs"), NULL), KRS_OK);
    assert_int_equal(krs_os_dir_make(path_of(&f, "snap"), NULL), KRS_OK);
    put(&f, "blobs/" HELLO_SHA, HELLO);
    put(&f, "blobs/" HELLO_GIT, HELLO);
    put(&f, "blobs/0000000000000000000000000000000000000000", HELLO);
    assert_int_equal(symlink("../blobs/" HELLO_SHA, path_of(&f, "snap/a")), 0);
    assert_int_equal(symlink("../blobs/" HELLO_GIT, path_of(&f, "snap/b")), 0);
    assert_int_equal(
        symlink("../blobs/0000000000000000000000000000000000000000", path_of(&f, "snap/c")), 0);
    assert_int_equal(check(&f, path_of(&f, "snap")), KRS_OK);
    assert_int_equal(f.n, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(f.sums[i].kind, KRS_CHECKSUM_BLOB);
        assert_int_equal(f.sums[i].is_right, i < 2);
    }
    fixture_close(&f);
}

static void one_file_is_checked_alone(void **state)
{
    (void)state;
    fixture f;
    fixture_open(&f);
    put(&f, "one.gguf", "");
    assert_int_equal(check(&f, path_of(&f, "one.gguf")), KRS_OK);
    assert_int_equal(f.n, 1);
    assert_string_equal(f.sums[0].name.ptr, "one.gguf");
    assert_int_equal(check(&f, path_of(&f, "none.gguf")), KRS_ENOENT);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_nobody_vouches_for_is_unknown_and_not_wrong),
        cmocka_unit_test(a_list_vouches_for_its_files),
        cmocka_unit_test(a_list_names_what_is_missing),
        cmocka_unit_test(a_line_that_is_none_is_refused_by_its_number),
        cmocka_unit_test(a_blob_vouches_by_its_name),
        cmocka_unit_test(one_file_is_checked_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
