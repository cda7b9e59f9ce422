/* os/file.c - see file.h. */
#define _GNU_SOURCE /* mkostemp */
#include "os/file.h"

#include "base/fault.h"
#include "os/errno_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_CHUNK_BYTES (256u * 1024u) /* one read call; large enough that calls do not count */

/* Read exactly n bytes, or fail; a file that shrank is KRS_EIO. */
static krs_status read_exact(int fd, const char *path, unsigned char *out, size_t n, krs_error *err)
{
    size_t done = 0;
    if (krs_fault_hit(KRS_FAULT_FILE_READ)) {
        return krs_os_fail_errno(err, EIO, "read", path);
    }
    while (done < n) {
        const size_t want = n - done < READ_CHUNK_BYTES ? n - done : READ_CHUNK_BYTES;
        const ssize_t got = read(fd, out + done, want);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return krs_os_fail_errno(err, errno, "read", path);
        }
        if (got == 0) {
            return krs_fail(err, KRS_EIO, "read %s: it ended after %zu of %zu bytes",
                            krs_os_base_name(path), done, n);
        }
        done += (size_t)got;
    }
    return KRS_OK;
}

static krs_status map_pages(int fd, const char *path, size_t n, krs_os_map *out, krs_error *err)
{
    if (krs_fault_hit(KRS_FAULT_FILE_MAP)) {
        return krs_os_fail_errno(err, EIO, "map", path);
    }
    void *data = mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) {
        return krs_os_fail_errno(err, errno, "map", path);
    }
    *out = (krs_os_map){data, n, false};
    return KRS_OK;
}

static krs_status map_copy(int fd, const char *path, size_t n, krs_os_map *out, krs_error *err)
{
    void *data = NULL;
    const int code = posix_memalign(&data, (size_t)sysconf(_SC_PAGESIZE), n);
    if (code != 0) {
        return krs_fail(err, KRS_ENOMEM, "read %s: %zu bytes", krs_os_base_name(path), n);
    }
    const krs_status status = read_exact(fd, path, data, n, err);
    if (status != KRS_OK) {
        free(data);
        return status;
    }
    *out = (krs_os_map){data, n, true};
    return KRS_OK;
}

krs_status krs_os_map_open(const char *path, krs_os_map_mode mode, krs_os_map *out, krs_error *err)
{
    *out = (krs_os_map){NULL, 0, false};
    /* O_NONBLOCK: a FIFO in a model folder must not hang the open; no effect on regular files. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return krs_os_fail_errno(err, errno, "open", path);
    }
    krs_status status = KRS_OK;
    struct stat st;
    if (fstat(fd, &st) != 0) {
        status = krs_os_fail_errno(err, errno, "stat", path);
    } else if (!S_ISREG(st.st_mode)) {
        status = krs_fail(err, KRS_EINVAL, "open %s: not a regular file", krs_os_base_name(path));
    } else if (st.st_size > 0) {
        status = mode == KRS_OS_MAP_COPY ? map_copy(fd, path, (size_t)st.st_size, out, err)
                                         : map_pages(fd, path, (size_t)st.st_size, out, err);
    }
    (void)close(fd);
    return status;
}

void krs_os_map_close(krs_os_map *map)
{
    if (map->data) {
        void *data = (void *)(uintptr_t)map->data; /* the mapping is ours to drop */
        if (map->is_copy) {
            free(data);
        } else {
            (void)munmap(data, map->n_bytes);
        }
    }
    *map = (krs_os_map){NULL, 0, false};
}

/* Does the map hold all of it? Addresses, not pointers: `at` may be of another object. */
static bool holds(const krs_os_map *map, uintptr_t at, size_t n_bytes)
{
    const uintptr_t begin = (uintptr_t)map->data;
    return map->data && !map->is_copy && at >= begin && n_bytes <= map->n_bytes &&
           at - begin <= map->n_bytes - n_bytes;
}

void krs_os_map_forget(const krs_os_map *maps, size_t n_maps, const void *at, size_t n_bytes)
{
    size_t i = 0;
    while (i < n_maps && !holds(&maps[i], (uintptr_t)at, n_bytes)) {
        i++;
    }
    if (i == n_maps || n_bytes == 0) {
        return;
    }
    const size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    const uintptr_t misfit = (uintptr_t)at % page_bytes; /* maps begin with a page */
    /* A refusal leaves the pages where they are: memory is not saved, nothing else is wrong. */
    (void)madvise((void *)((uintptr_t)at - misfit), n_bytes + misfit, MADV_DONTNEED);
}

/* Room for another read: at least a byte, at most what the ceiling leaves. Memory is doubled and may
 * exceed the ceiling; the read must not. */
static krs_status make_room(krs_buf *out, size_t *room)
{
    const size_t left = out->max_bytes - out->len;
    const size_t want = left < READ_CHUNK_BYTES ? left : READ_CHUNK_BYTES;
    const krs_status status = krs_buf_reserve(out, want);
    *room = want;
    return status;
}

/* One read call into out, *n bytes of it; *n = 0 at the end. At the ceiling a single byte is tried, which
 * tells "exactly full" from "too large". */
static krs_status read_some(int fd, const char *path, krs_buf *out, size_t *n, krs_error *err)
{
    size_t room;
    char probe;
    *n = 0;
    if (make_room(out, &room) != KRS_OK) {
        return krs_fail(err, KRS_ENOMEM, "read %s: out of memory", krs_os_base_name(path));
    }
    ssize_t got;
    do {
        got = room > 0 ? read(fd, out->data + out->len, room) : read(fd, &probe, 1);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return krs_os_fail_errno(err, errno, "read", path);
    }
    if (got > 0 && room == 0) {
        return krs_fail(err, KRS_ETOOLARGE, "read %s: more than %zu bytes", krs_os_base_name(path),
                        out->max_bytes);
    }
    *n = (size_t)got;
    return KRS_OK;
}

static krs_status read_all(int fd, const char *path, krs_buf *out, krs_error *err)
{
    const size_t before = out->len;
    size_t n = 0;
    krs_status status = KRS_OK;
    do {
        status = krs_fault_hit(KRS_FAULT_FILE_READ) ? krs_os_fail_errno(err, EIO, "read", path)
                                                    : read_some(fd, path, out, &n, err);
        if (status == KRS_OK && n > 0) {
            out->len += n;
            out->data[out->len] = '\0';
        }
    } while (status == KRS_OK && n > 0);
    if (status != KRS_OK && out->data) { /* all or nothing */
        out->len = before;
        out->data[before] = '\0';
    }
    return status;
}

krs_status krs_os_file_read(const char *path, krs_buf *out, krs_error *err)
{
    const bool is_stdin = strcmp(path, "-") == 0;
    const int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return krs_os_fail_errno(err, errno, "open", path);
    }
    const krs_status status = read_all(fd, path, out, err);
    if (!is_stdin) {
        (void)close(fd);
    }
    return status;
}

static krs_status write_all(int fd, const char *path, const unsigned char *bytes, size_t n,
                            krs_error *err)
{
    while (n > 0) {
        const ssize_t put = krs_fault_hit(KRS_FAULT_FILE_WRITE) ? (errno = ENOSPC, (ssize_t)-1)
                                                                : write(fd, bytes, n);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0) {
            return krs_os_fail_errno(err, errno, "write", path);
        }
        bytes += put;
        n -= (size_t)put;
    }
    return fsync(fd) == 0 ? KRS_OK : krs_os_fail_errno(err, errno, "sync", path);
}

/* Fill the temporary file and give it its name. */
static krs_status write_and_rename(int fd, const char *temporary, const char *path,
                                   const void *bytes, size_t n_bytes, krs_error *err)
{
    krs_status status = write_all(fd, path, bytes, n_bytes, err);
    if (status == KRS_OK && fchmod(fd, S_IRUSR | S_IWUSR | S_IRGRP | S_IROTH) != 0) {
        status = krs_os_fail_errno(err, errno, "chmod", path);
    }
    if (close(fd) != 0 && status == KRS_OK) {
        status = krs_os_fail_errno(err, errno, "close", path);
    }
    if (status == KRS_OK && rename(temporary, path) != 0) {
        status = krs_os_fail_errno(err, errno, "rename", path);
    }
    return status;
}

krs_status krs_os_file_write(const char *path, const void *bytes, size_t n_bytes, krs_error *err)
{
    char temporary[KRS_OS_PATH_BYTES];
    const int n = snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path);
    if (n < 0 || (size_t)n >= sizeof(temporary)) {
        return krs_fail(err, KRS_ETOOLARGE, "write %s: path longer than %d bytes",
                        krs_os_base_name(path), KRS_OS_PATH_BYTES - 8);
    }
    const int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0) {
        return krs_os_fail_errno(err, errno, "create", path);
    }
    const krs_status status = write_and_rename(fd, temporary, path, bytes, n_bytes, err);
    if (status != KRS_OK) {
        (void)unlink(temporary);
    }
    return status;
}

krs_os_kind krs_os_path_kind(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        return KRS_OS_ABSENT;
    }
    if (S_ISREG(st.st_mode)) {
        return KRS_OS_FILE;
    }
    return S_ISDIR(st.st_mode) ? KRS_OS_DIR : KRS_OS_OTHER;
}

krs_status krs_os_path_join(const char *dir, const char *name, char *out, size_t max_bytes)
{
    const size_t n_dir = strlen(dir);
    const char *separator = n_dir > 0 && dir[n_dir - 1] != '/' ? "/" : "";
    const int n = snprintf(out, max_bytes, "%s%s%s", dir, separator, name);
    return n >= 0 && (size_t)n < max_bytes ? KRS_OK : KRS_ETOOLARGE;
}

krs_status krs_os_path_real(const char *path, char *out, krs_error *err)
{
    return realpath(path, out) ? KRS_OK : krs_os_fail_errno(err, errno, "resolve", path);
}

krs_status krs_os_dir_make(const char *path, krs_error *err)
{
    if (mkdir(path, S_IRWXU | S_IRGRP | S_IXGRP | S_IROTH | S_IXOTH) == 0) {
        return KRS_OK;
    }
    const int code = errno;
    if (code == EEXIST && krs_os_path_kind(path) == KRS_OS_DIR) {
        return KRS_OK;
    }
    return krs_os_fail_errno(err, code, "create", path);
}
