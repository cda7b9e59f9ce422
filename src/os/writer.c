/* os/writer.c - see writer.h. */
#define _POSIX_C_SOURCE 200809L
#include "os/writer.h"

#include "base/fault.h"
#include "os/errno_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* One write call takes at most this: Linux stops at 2 GiB minus a page. */
#define WRITE_MAX_BYTES (1u << 30)

/* Does path name something that a rename would destroy: a device, a pipe, a link? */
static bool is_written_in_place(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && !S_ISREG(st.st_mode);
}

/* No temporary file marks the writer as one that writes in place. */
static krs_status open_in_place(krs_os_writer *writer, krs_error *err)
{
    writer->temporary[0] = '\0';
    writer->fd = open(writer->path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    return writer->fd >= 0 ? KRS_OK : krs_os_fail_errno(err, errno, "open", writer->path);
}

static krs_status close_file(krs_os_writer *writer, krs_error *err)
{
    const int fd = writer->fd;
    writer->fd = -1;
    return close(fd) == 0 ? KRS_OK : krs_os_fail_errno(err, errno, "close", writer->path);
}

krs_status krs_os_writer_open(krs_os_writer *writer, const char *path, krs_error *err)
{
    *writer = (krs_os_writer){.fd = -1};
    const int n = snprintf(writer->path, sizeof(writer->path), "%s", path);
    const int m = snprintf(writer->temporary, sizeof(writer->temporary), "%s.XXXXXX", path);
    if (n < 0 || m < 0 || (size_t)m >= sizeof(writer->temporary)) {
        return krs_fail(err, KRS_ETOOLARGE, "write %s: path longer than %d bytes",
                        krs_os_base_name(path), KRS_OS_PATH_BYTES - 8);
    }
    if (is_written_in_place(path)) {
        return open_in_place(writer, err);
    }
    writer->fd = mkstemp(writer->temporary);
    return writer->fd >= 0 ? KRS_OK : krs_os_fail_errno(err, errno, "create", path);
}

krs_status krs_os_writer_put(krs_os_writer *writer, const void *bytes, size_t n_bytes,
                             krs_error *err)
{
    const unsigned char *next = bytes;
    while (n_bytes > 0) {
        const size_t want = n_bytes < WRITE_MAX_BYTES ? n_bytes : WRITE_MAX_BYTES;
        const ssize_t put = krs_fault_hit(KRS_FAULT_FILE_WRITE) ? (errno = ENOSPC, -1)
                                                                : write(writer->fd, next, want);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0) {
            return krs_os_fail_errno(err, errno, "write", writer->path);
        }
        next += put;
        n_bytes -= (size_t)put;
        writer->n_bytes += (uint64_t)put;
    }
    return KRS_OK;
}

krs_status krs_os_writer_commit(krs_os_writer *writer, krs_error *err)
{
    if (writer->temporary[0] == '\0') {
        return close_file(writer, err);
    }
    krs_status status = KRS_OK;
    if (fchmod(writer->fd, S_IRUSR | S_IWUSR | S_IRGRP | S_IROTH) != 0) {
        status = krs_os_fail_errno(err, errno, "chmod", writer->path);
    } else if (fsync(writer->fd) != 0) {
        status = krs_os_fail_errno(err, errno, "sync", writer->path);
    }
    const krs_status closed = close_file(writer, status == KRS_OK ? err : NULL);
    status = status == KRS_OK ? closed : status;
    if (status == KRS_OK && rename(writer->temporary, writer->path) != 0) {
        status = krs_os_fail_errno(err, errno, "rename", writer->path);
    }
    if (status != KRS_OK) {
        (void)unlink(writer->temporary);
    }
    return status;
}

void krs_os_writer_abandon(krs_os_writer *writer)
{
    if (writer->fd >= 0) {
        (void)close_file(writer, NULL);
        if (writer->temporary[0] != '\0') {
            (void)unlink(writer->temporary);
        }
    }
}
