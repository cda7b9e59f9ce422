/* os/file, os/dir: whole files, atomic replacement, ceilings, faults, and clear refusals. */
#define _POSIX_C_SOURCE 200809L
#include "base/fault.h"
#include "os/dir.h"
#include "support/cmocka.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct scratch {
    char dir[KRS_OS_PATH_BYTES];
    char file[KRS_OS_PATH_BYTES];
} scratch;

static int make_scratch(void **state)
{
    static scratch s;
    *state = &s;
    return krs_os_dir_temporary(s.dir, NULL) == KRS_OK &&
                   krs_os_path_join(s.dir, "file", s.file, sizeof(s.file)) == KRS_OK
               ? 0
               : -1;
}

static int drop_scratch(void **state)
{
    const scratch *s = *state;
    return krs_os_dir_remove(s->dir, NULL) == KRS_OK ? 0 : -1;
}

static void put(const scratch *s, const char *text)
{
    assert_int_equal(krs_os_file_write(s->file, text, strlen(text), NULL), KRS_OK);
}

static size_t n_entries(const scratch *s)
{
    krs_arena arena;
    krs_arena_init(&arena, NULL, 4096, 1u << 20);
    const krs_str *names;
    size_t n = 0;
    assert_int_equal(krs_os_dir_list(s->dir, &arena, &names, &n, NULL), KRS_OK);
    krs_arena_deinit(&arena);
    return n;
}

static void what_is_written_is_read_and_mapped(void **state)
{
    const scratch *s = *state;
    put(s, "hello");
    krs_buf text;
    krs_buf_init(&text, NULL, 100);
    assert_int_equal(krs_os_file_read(s->file, &text, NULL), KRS_OK);
    assert_string_equal(text.data, "hello");
    assert_int_equal(krs_os_file_read(s->file, &text, NULL), KRS_OK); /* appends */
    assert_string_equal(text.data, "hellohello");
    krs_buf_deinit(&text);
    for (int mode = KRS_OS_MAP_SHARED_PAGES; mode <= KRS_OS_MAP_COPY; mode++) {
        krs_os_map map;
        assert_int_equal(krs_os_map_open(s->file, (krs_os_map_mode)mode, &map, NULL), KRS_OK);
        assert_int_equal(map.n_bytes, 5);
        assert_memory_equal(map.data, "hello", 5);
        assert_int_equal((uintptr_t)map.data % (uintptr_t)sysconf(_SC_PAGESIZE), 0);
        assert_int_equal(map.is_copy, mode == KRS_OS_MAP_COPY);
        krs_os_map_close(&map);
        krs_os_map_close(&map); /* again is fine */
    }
    put(s, "");
    krs_os_map map;
    assert_int_equal(krs_os_map_open(s->file, KRS_OS_MAP_SHARED_PAGES, &map, NULL), KRS_OK);
    assert_null(map.data);
    assert_int_equal(map.n_bytes, 0);
}

static void a_ceiling_is_exact_however_memory_grows(void **state)
{
    const scratch *s = *state;
    char text[201];
    memset(text, 'x', 200);
    text[200] = '\0';
    put(s, text);
    for (size_t ceiling = 1; ceiling < 260; ceiling++) {
        krs_buf read;
        krs_error err = KRS_ERROR_INIT;
        krs_buf_init(&read, NULL, ceiling);
        const krs_status status = krs_os_file_read(s->file, &read, &err);
        assert_int_equal(status, ceiling < 200 ? KRS_ETOOLARGE : KRS_OK);
        assert_int_equal(read.len, ceiling < 200 ? 0 : 200); /* all or nothing */
        krs_buf_deinit(&read);
    }
}

static void large_files_come_whole(void **state)
{
    const scratch *s = *state;
    const size_t n = 3u << 20;
    unsigned char *bytes = krs_alloc_bytes(NULL, n);
    assert_non_null(bytes);
    for (size_t i = 0; i < n; i++) {
        bytes[i] = (unsigned char)(i * 31 + i / 4096);
    }
    assert_int_equal(krs_os_file_write(s->file, bytes, n, NULL), KRS_OK);
    krs_buf read;
    krs_buf_init(&read, NULL, n);
    assert_int_equal(krs_os_file_read(s->file, &read, NULL), KRS_OK);
    assert_int_equal(read.len, n);
    assert_memory_equal(read.data, bytes, n);
    krs_buf_deinit(&read);
    krs_os_map map;
    assert_int_equal(krs_os_map_open(s->file, KRS_OS_MAP_COPY, &map, NULL), KRS_OK);
    assert_memory_equal(map.data, bytes, n);
    krs_os_map_close(&map);
    krs_alloc_free(NULL, bytes);
}

static void what_is_no_file_is_refused_by_kind(void **state)
{
    const scratch *s = *state;
    krs_os_map map;
    krs_buf text;
    krs_buf_init(&text, NULL, 100);
    krs_error err = KRS_ERROR_INIT;
    char absent[KRS_OS_PATH_BYTES];
    assert_int_equal(krs_os_path_join(s->dir, "absent", absent, sizeof(absent)), KRS_OK);
    assert_int_equal(krs_os_map_open(absent, KRS_OS_MAP_COPY, &map, &err), KRS_ENOENT);
    assert_int_equal(err.os_errno, ENOENT);
    assert_non_null(strstr(err.message, "open absent: "));
    assert_null(strstr(err.message, s->dir)); /* a message may reach a client: no full paths */
    assert_int_equal(krs_os_file_read(absent, &text, &err), KRS_ENOENT);
    assert_int_equal(krs_os_map_open(s->dir, KRS_OS_MAP_SHARED_PAGES, &map, &err), KRS_EINVAL);
    assert_int_equal(krs_os_file_read(s->dir, &text, &err), KRS_EINVAL);
    assert_int_equal(mkfifo(s->file, 0600), 0);
    assert_int_equal(krs_os_map_open(s->file, KRS_OS_MAP_COPY, &map, &err),
                     KRS_EINVAL); /* no hang */
    assert_null(map.data);
    krs_buf_deinit(&text);
}

static void a_failed_write_keeps_the_old_file_and_no_litter(void **state)
{
    const scratch *s = *state;
    put(s, "old");
    krs_error err = KRS_ERROR_INIT;
    krs_fault_arm(KRS_FAULT_FILE_WRITE, 1);
    assert_int_equal(krs_os_file_write(s->file, "new", 3, &err), KRS_EIO);
    assert_int_equal(err.os_errno, ENOSPC);
    krs_buf text;
    krs_buf_init(&text, NULL, 100);
    assert_int_equal(krs_os_file_read(s->file, &text, NULL), KRS_OK);
    assert_string_equal(text.data, "old");
    krs_buf_deinit(&text);
    assert_int_equal(n_entries(s), 1);
    char nowhere[KRS_OS_PATH_BYTES];
    assert_int_equal(krs_os_path_join(s->dir, "no/such", nowhere, sizeof(nowhere)), KRS_OK);
    assert_int_equal(krs_os_file_write(nowhere, "x", 1, &err), KRS_ENOENT);
}

static void faults_reach_every_read(void **state)
{
    const scratch *s = *state;
    put(s, "text");
    krs_os_map map;
    krs_buf text;
    krs_buf_init(&text, NULL, 100);
    krs_fault_arm(KRS_FAULT_FILE_MAP, 1);
    assert_int_equal(krs_os_map_open(s->file, KRS_OS_MAP_SHARED_PAGES, &map, NULL), KRS_EIO);
    krs_fault_arm(KRS_FAULT_FILE_READ, 1);
    assert_int_equal(krs_os_map_open(s->file, KRS_OS_MAP_COPY, &map, NULL), KRS_EIO);
    krs_fault_arm(KRS_FAULT_FILE_READ, 2); /* after bytes have come */
    assert_int_equal(krs_os_file_read(s->file, &text, NULL), KRS_EIO);
    assert_int_equal(text.len, 0);
    krs_buf_deinit(&text);
}

static void folders_list_sorted_and_vanish_whole(void **state)
{
    const scratch *s = *state;
    char path[KRS_OS_PATH_BYTES];
    static const char *const names[] = {"b", "a", "B", "ab", ".hidden"};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(krs_os_path_join(s->dir, names[i], path, sizeof(path)), KRS_OK);
        assert_int_equal(krs_os_file_write(path, "", 0, NULL), KRS_OK);
    }
    krs_arena arena;
    krs_arena_init(&arena, NULL, 4096, 1u << 20);
    const krs_str *found;
    size_t n;
    assert_int_equal(krs_os_dir_list(s->dir, &arena, &found, &n, NULL), KRS_OK);
    assert_int_equal(n, 5);
    static const char *const sorted[] = {".hidden", "B", "a", "ab", "b"};
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(found[i].ptr, sorted[i]);
    }
    assert_int_equal(krs_os_dir_list(path, &arena, &found, &n, NULL), KRS_EINVAL);
    assert_int_equal(krs_os_dir_list("/no/such", &arena, &found, &n, NULL), KRS_ENOENT);
    krs_arena_deinit(&arena);
    assert_int_equal(krs_os_path_join(s->dir, "sub", path, sizeof(path)), KRS_OK);
    assert_int_equal(krs_os_dir_make(path, NULL), KRS_OK);
    assert_int_equal(krs_os_dir_make(path, NULL), KRS_OK); /* one that exists is fine */
    assert_int_equal(krs_os_path_kind(path), KRS_OS_DIR);
    assert_int_equal(krs_os_dir_remove(path, NULL), KRS_OK);
    assert_int_equal(krs_os_dir_remove(path, NULL), KRS_OK);
    assert_int_equal(krs_os_path_kind(path), KRS_OS_ABSENT);
    put(s, "x");
    assert_int_equal(krs_os_dir_make(s->file, NULL), KRS_EEXIST);
    assert_int_equal(krs_os_path_kind(s->file), KRS_OS_FILE);
    assert_int_equal(krs_os_file_remove(s->file, NULL), KRS_OK);
    assert_int_equal(krs_os_file_remove(s->file, NULL), KRS_OK);
}

static void paths_join_with_one_slash_and_a_limit(void **state)
{
    (void)state;
    char path[8];
    assert_int_equal(krs_os_path_join("a", "b", path, sizeof(path)), KRS_OK);
    assert_string_equal(path, "a/b");
    assert_int_equal(krs_os_path_join("a/", "b", path, sizeof(path)), KRS_OK);
    assert_string_equal(path, "a/b");
    assert_int_equal(krs_os_path_join("", "b", path, sizeof(path)), KRS_OK);
    assert_string_equal(path, "b");
    assert_int_equal(krs_os_path_join("abcd", "efg", path, sizeof(path)), KRS_ETOOLARGE);
    assert_int_equal(krs_os_path_join("abc", "efg", path, sizeof(path)), KRS_OK);
}

/* "Rss:" of the mapping that begins at `at`, in KiB, as the kernel counts it; -1: no such mapping. */
static long resident_kib(const void *at)
{
    char range[32];
    krs_buf text;
    long kib = -1;
    krs_buf_init(&text, NULL, 8u << 20);
    assert_int_equal(krs_os_file_read("/proc/self/smaps", &text, NULL), KRS_OK);
    assert_int_equal(krs_buf_append(&text, "", 1), KRS_OK);
    (void)snprintf(range, sizeof(range), "%lx-", (unsigned long)(uintptr_t)at);
    const char *entry = strstr((const char *)text.data, range);
    const char *rss = entry ? strstr(entry, "\nRss:") : NULL;
    if (rss) {
        kib = strtol(rss + sizeof("\nRss:") - 1, NULL, 10);
    }
    krs_buf_deinit(&text);
    return kib;
}

static bool all_are(const unsigned char *bytes, size_t n, unsigned char value)
{
    for (size_t i = 0; i < n; i++) {
        if (bytes[i] != value) {
            return false;
        }
    }
    return true;
}

/* doc: forgotten pages leave this process and come back unchanged; copies and strangers are left alone. */
static void forgotten_pages_come_back(void **state)
{
    enum { KIB = 256, N_BYTES = KIB * 1024 };
    const scratch *s = *state;
    static unsigned char bytes[N_BYTES];
    krs_os_map maps[2];
    memset(bytes, 7, sizeof(bytes));
    assert_int_equal(krs_os_file_write(s->file, bytes, sizeof(bytes), NULL), KRS_OK);
    assert_int_equal(krs_os_map_open(s->file, KRS_OS_MAP_COPY, &maps[0], NULL), KRS_OK);
    assert_int_equal(krs_os_map_open(s->file, KRS_OS_MAP_SHARED_PAGES, &maps[1], NULL), KRS_OK);
    assert_true(all_are(maps[1].data, N_BYTES, 7));
    assert_int_equal(resident_kib(maps[1].data), KIB);
    krs_os_map_forget(maps, 2, maps[1].data + 5000, N_BYTES); /* not inside: nothing happens */
    krs_os_map_forget(maps, 2, bytes, sizeof(bytes));
    krs_os_map_forget(maps, 2, maps[0].data, N_BYTES);
    krs_os_map_forget(NULL, 0, maps[1].data, N_BYTES);
    assert_int_equal(resident_kib(maps[1].data), KIB);
    krs_os_map_forget(maps, 2, maps[1].data + 5000, N_BYTES - 5000); /* from the second page on */
    assert_true(resident_kib(maps[1].data) <= 4);
    assert_true(all_are(maps[0].data, N_BYTES, 7) && all_are(maps[1].data, N_BYTES, 7));
    assert_true(all_are(bytes, N_BYTES, 7));
    krs_os_map_close(&maps[0]);
    krs_os_map_close(&maps[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_written_is_read_and_mapped, make_scratch,
                                        drop_scratch),
        cmocka_unit_test_setup_teardown(a_ceiling_is_exact_however_memory_grows, make_scratch,
                                        drop_scratch),
        cmocka_unit_test_setup_teardown(forgotten_pages_come_back, make_scratch, drop_scratch),
        cmocka_unit_test_setup_teardown(large_files_come_whole, make_scratch, drop_scratch),
        cmocka_unit_test_setup_teardown(what_is_no_file_is_refused_by_kind, make_scratch,
                                        drop_scratch),
        cmocka_unit_test_setup_teardown(a_failed_write_keeps_the_old_file_and_no_litter,
                                        make_scratch, drop_scratch),
        cmocka_unit_test_setup_teardown(faults_reach_every_read, make_scratch, drop_scratch),
        cmocka_unit_test_setup_teardown(folders_list_sorted_and_vanish_whole, make_scratch,
                                        drop_scratch),
        cmocka_unit_test(paths_join_with_one_slash_and_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
