/* tests/fuzz/replay.c - runs a fuzz target over its kept corpus, so a plain build holds the ground
 * that fuzzing gained. Takes files and folders; an empty corpus is a failure, because a test that
 * runs nothing cannot fail. */
#define _POSIX_C_SOURCE 200809L
#include "base/buf.h"
#include "os/file.h"

#include <dirent.h>
#include <stdio.h>

#define REPLAY_MAX_BYTES (64u << 20) /* far above any corpus file */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

static size_t replay_file(const char *path)
{
    krs_buf bytes;
    krs_buf_init(&bytes, NULL, REPLAY_MAX_BYTES);
    krs_error err = KRS_ERROR_INIT;
    size_t n_run = 0;
    if (krs_os_file_read(path, &bytes, &err) == KRS_OK) {
        (void)LLVMFuzzerTestOneInput((const uint8_t *)(bytes.data ? bytes.data : ""), bytes.len);
        n_run = 1;
    } else {
        (void)fprintf(stderr, "%s: %s\n", path, err.message);
    }
    krs_buf_deinit(&bytes);
    return n_run;
}

static size_t replay_folder(const char *path)
{
    DIR *folder = opendir(path);
    size_t n_run = 0;
    for (const struct dirent *entry; folder && (entry = readdir(folder));) {
        char file[KRS_OS_PATH_BYTES];
        if (krs_os_path_join(path, entry->d_name, file, sizeof(file)) == KRS_OK &&
            krs_os_path_kind(file) == KRS_OS_FILE) {
            n_run += replay_file(file);
        }
    }
    if (folder) {
        (void)closedir(folder);
    }
    return n_run;
}

int main(int argc, char **argv)
{
    size_t n_run = 0;
    for (int i = 1; i < argc; i++) {
        n_run +=
            krs_os_path_kind(argv[i]) == KRS_OS_DIR ? replay_folder(argv[i]) : replay_file(argv[i]);
    }
    (void)printf("replayed %zu inputs\n", n_run);
    return n_run > 0 ? 0 : 1;
}
