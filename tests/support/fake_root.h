/* support/fake_root.h - a folder that stands for the root of the file system, with the files of proc/ and sys/
 * that a test wants there.
 *
 *     fake_root_test(what_must_hold)       each test gets an empty one as *state
 *     fake_root_write(root, "/sys/fs/cgroup/cpu.max", "200000 100000\n");
 *
 * Thread: one.  Memory: a folder under TMPDIR, removed after the test. */
#pragma once

#include "os/dir.h"
#include "support/cmocka.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct fake_root {
    char path[KRS_OS_PATH_BYTES];
} fake_root;

#define fake_root_test(function)                                                                   \
    cmocka_unit_test_setup_teardown(function, fake_root_new, fake_root_remove)

static inline int fake_root_new(void **state)
{
    fake_root *root = malloc(sizeof(*root));
    *state = root;
    return root && krs_os_dir_temporary(root->path, NULL) == KRS_OK ? 0 : -1;
}

static inline int fake_root_remove(void **state)
{
    fake_root *root = *state;
    const krs_status status = krs_os_dir_remove(root->path, NULL);
    free(root);
    return status == KRS_OK ? 0 : -1;
}

/* path: absolute, as the system has it; its folders are made. */
static inline void fake_root_write(const fake_root *root, const char *path, const char *text)
{
    char full[KRS_OS_PATH_BYTES + 256];
    (void)snprintf(full, sizeof(full), "%s%s", root->path, path);
    for (char *slash = full + strlen(root->path) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        assert_int_equal(krs_os_dir_make(full, NULL), KRS_OK);
        *slash = '/';
    }
    assert_int_equal(krs_os_file_write(full, text, strlen(text), NULL), KRS_OK);
}
