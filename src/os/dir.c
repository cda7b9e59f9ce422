/* os/dir.c - see dir.h. Sorted, because the order readdir gives differs between machines and a program
 * that depends on it works on one of them. */
#define _XOPEN_SOURCE 700 /* nftw */
#include "os/dir.h"

#include "os/errno_priv.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIR_WALK_FDS 16 /* folders nftw holds open at once; deeper ones are reopened */

static bool is_entry(const char *name)
{
    return strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static int by_bytes(const void *a, const void *b)
{
    const krs_str *x = a;
    const krs_str *y = b;
    const size_t n = x->len < y->len ? x->len : y->len;
    const int order = memcmp(x->ptr, y->ptr, n);
    return order != 0 ? order : (x->len > y->len) - (x->len < y->len);
}

/* Fill names[max] (max may be 0: only count); *n is how many there are. */
static krs_status read_names(DIR *folder, krs_arena *arena, krs_str *names, size_t max, size_t *n)
{
    *n = 0;
    rewinddir(folder);
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(folder);
        if (!entry) {
            return errno == 0 ? KRS_OK : krs_os_status_of_errno(errno);
        }
        if (!is_entry(entry->d_name)) {
            continue;
        }
        if (*n == KRS_OS_DIR_MAX_ENTRIES) {
            return KRS_ETOOLARGE;
        }
        if (*n < max) {
            names[*n] = krs_arena_copy(arena, krs_str_of(entry->d_name));
            if (!names[*n].ptr) {
                return KRS_ENOMEM;
            }
        }
        (*n)++;
    }
}

static krs_status list_open(DIR *folder, krs_arena *arena, const krs_str **names, size_t *n)
{
    size_t n_counted;
    krs_status status = read_names(folder, arena, NULL, 0, &n_counted);
    if (status != KRS_OK) {
        return status;
    }
    krs_str *all = krs_arena_array(arena, n_counted ? n_counted : 1, sizeof(*all));
    if (!all) {
        return KRS_ENOMEM;
    }
    size_t n_read;
    status = read_names(folder, arena, all, n_counted, &n_read);
    if (status == KRS_OK) {
        *n = n_read < n_counted ? n_read : n_counted; /* entries may come and go meanwhile */
        qsort(all, *n, sizeof(*all), by_bytes);
        *names = all;
    }
    return status;
}

krs_status krs_os_dir_list(const char *dir, krs_arena *arena, const krs_str **names, size_t *n,
                           krs_error *err)
{
    *names = NULL;
    *n = 0;
    DIR *folder = opendir(dir);
    if (!folder) {
        return errno == ENOTDIR
                   ? krs_fail(err, KRS_EINVAL, "list %s: not a folder", krs_os_base_name(dir))
                   : krs_os_fail_errno(err, errno, "list", dir);
    }
    const krs_status status = list_open(folder, arena, names, n);
    (void)closedir(folder);
    return status == KRS_OK ? status
                            : krs_fail(err, status, "list %s: %s", krs_os_base_name(dir),
                                       krs_status_sentence(status));
}

krs_status krs_os_dir_temporary(char out[KRS_OS_PATH_BYTES], krs_error *err)
{
    const char *root = getenv("TMPDIR");
    const krs_status status =
        krs_os_path_join(root && root[0] ? root : "/tmp", "krs-XXXXXX", out, KRS_OS_PATH_BYTES);
    if (status != KRS_OK) {
        return krs_fail(err, status, "TMPDIR: longer than %d bytes", KRS_OS_PATH_BYTES);
    }
    return mkdtemp(out) ? KRS_OK : krs_os_fail_errno(err, errno, "create", out);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st;
    (void)type;
    (void)where;
    return remove(path) == 0 || errno == ENOENT ? 0 : errno;
}

krs_status krs_os_dir_remove(const char *path, krs_error *err)
{
    const int code = nftw(path, remove_one, DIR_WALK_FDS, FTW_DEPTH | FTW_PHYS);
    if (code == 0 || (code == -1 && errno == ENOENT)) {
        return KRS_OK;
    }
    return krs_os_fail_errno(err, code == -1 ? errno : code, "remove", path);
}

krs_status krs_os_file_remove(const char *path, krs_error *err)
{
    return unlink(path) == 0 || errno == ENOENT ? KRS_OK
                                                : krs_os_fail_errno(err, errno, "remove", path);
}
