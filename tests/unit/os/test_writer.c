/* tests/unit/os/test_writer.c - a streamed file is there whole, or is not there. */
#define _POSIX_C_SOURCE 200809L
#include "base/fault.h"
#include "os/dir.h"
#include "os/writer.h"
#include "support/cmocka.h"

#include <stdio.h>
#include <unistd.h>

static int make_folder(void **state)
{
    static char dir[KRS_OS_PATH_BYTES];
    *state = dir;
    return krs_os_dir_temporary(dir, NULL) == KRS_OK ? 0 : -1;
}

static int drop_folder(void **state)
{
    krs_fault_arm(KRS_FAULT_FILE_WRITE, 0);
    return krs_os_dir_remove(*state, NULL) == KRS_OK ? 0 : -1;
}

static size_t n_entries(const char *dir)
{
    krs_arena arena;
    const krs_str *names;
    size_t n;
    krs_arena_init(&arena, NULL, 4096, 65536);
    assert_int_equal(krs_os_dir_list(dir, &arena, &names, &n, NULL), KRS_OK);
    krs_arena_deinit(&arena);
    return n;
}

static void open_in(const char *dir, krs_os_writer *writer, char path[KRS_OS_PATH_BYTES])
{
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(krs_os_path_join(dir, "f", path, KRS_OS_PATH_BYTES), KRS_OK);
    assert_int_equal(krs_os_writer_open(writer, path, &err), KRS_OK);
}

static void assert_holds(const char *path, const char *want)
{
    krs_buf bytes;
    krs_buf_init(&bytes, NULL, 1024);
    assert_int_equal(krs_os_file_read(path, &bytes, NULL), KRS_OK);
    assert_string_equal(bytes.data, want);
    krs_buf_deinit(&bytes);
}

static void pieces_become_one_file_at_commit(void **state)
{
    krs_os_writer writer;
    char path[KRS_OS_PATH_BYTES];
    open_in(*state, &writer, path);
    assert_int_equal(krs_os_writer_put(&writer, "one ", 4, NULL), KRS_OK);
    assert_int_equal(krs_os_writer_put(&writer, "", 0, NULL), KRS_OK);
    assert_int_equal(krs_os_writer_put(&writer, "two", 3, NULL), KRS_OK);
    assert_int_equal(krs_os_path_kind(path), KRS_OS_ABSENT);
    assert_int_equal(writer.n_bytes, 7);
    assert_int_equal(krs_os_writer_commit(&writer, NULL), KRS_OK);
    assert_holds(path, "one two");
    krs_os_writer_abandon(&writer);
    assert_holds(path, "one two");
    assert_int_equal(n_entries(*state), 1);
}

static void an_abandoned_file_leaves_what_was_there(void **state)
{
    krs_os_writer writer;
    char path[KRS_OS_PATH_BYTES];
    open_in(*state, &writer, path);
    assert_int_equal(krs_os_writer_put(&writer, "old", 3, NULL), KRS_OK);
    assert_int_equal(krs_os_writer_commit(&writer, NULL), KRS_OK);
    open_in(*state, &writer, path);
    assert_int_equal(krs_os_writer_put(&writer, "new", 3, NULL), KRS_OK);
    krs_os_writer_abandon(&writer);
    assert_holds(path, "old");
    assert_int_equal(n_entries(*state), 1);
}

/* A rename would replace the device; it did once, with the system's /dev/full. */
static void what_is_no_plain_file_is_written_in_place(void **state)
{
    krs_os_writer writer;
    char path[KRS_OS_PATH_BYTES];
    int ends[2];
    char got[8] = "";
    assert_int_equal(krs_os_path_join(*state, "f", path, sizeof(path)), KRS_OK);
    assert_int_equal(pipe(ends), 0);
    char target[64];
    (void)snprintf(target, sizeof(target), "/proc/self/fd/%d", ends[1]);
    assert_int_equal(symlink(target, path), 0);
    open_in(*state, &writer, path);
    assert_int_equal(krs_os_writer_put(&writer, "piped", 5, NULL), KRS_OK);
    assert_int_equal(krs_os_writer_commit(&writer, NULL), KRS_OK);
    assert_int_equal(read(ends[0], got, sizeof(got)), 5);
    assert_string_equal(got, "piped");
    assert_int_equal(krs_os_path_kind(path), KRS_OS_OTHER);
    open_in(*state, &writer, path);
    krs_os_writer_abandon(&writer);
    assert_int_equal(krs_os_path_kind(path), KRS_OS_OTHER);
    assert_int_equal(n_entries(*state), 1);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void a_full_disk_is_reported_and_leaves_nothing(void **state)
{
    krs_os_writer writer;
    char path[KRS_OS_PATH_BYTES];
    krs_error err = KRS_ERROR_INIT;
    open_in(*state, &writer, path);
    krs_fault_arm(KRS_FAULT_FILE_WRITE, 1);
    assert_int_equal(krs_os_writer_put(&writer, "x", 1, &err), KRS_EIO);
    assert_non_null(strstr(err.message, "write f"));
    krs_os_writer_abandon(&writer);
    assert_int_equal(n_entries(*state), 0);
}

static void a_folder_that_is_not_there_is_named(void **state)
{
    (void)state;
    krs_os_writer writer;
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(krs_os_writer_open(&writer, "/nonexistent/f", &err), KRS_ENOENT);
    krs_os_writer_abandon(&writer);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, drop_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(pieces_become_one_file_at_commit),
        IN_FOLDER(an_abandoned_file_leaves_what_was_there),
        IN_FOLDER(a_full_disk_is_reported_and_leaves_nothing),
        IN_FOLDER(what_is_no_plain_file_is_written_in_place),
        cmocka_unit_test(a_folder_that_is_not_there_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
