/* os/writer.c - see writer.h. */
#define _POSIX_C_SOURCE 200809L
#include "os/writer.h"

#include "base/fault.h"
#include "os/errno_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* One write call takes at most this: Linux stops at 2 GiB minus a page. */
#define WRITE_MAX_BYTES (1u << 30)

krs_status krs_os_writer_open(krs_os_writer *writer, const char *path, krs_error *err)
{
    *writer = (krs_os_writer){.fd = -1};
    const int n = snprintf(writer->path, sizeof(writer->path), "%s", path);
    const int m = snprintf(writer->temporary, sizeof(writer->temporary), "%s.XXXXXX", path);
    if (n < 0 || m < 0 || (size_t)m >= sizeof(writer->temporary)) {
        return krs_fail(err, KRS_ETOOLARGE, "write %s: path longer than %d bytes",
                        krs_os_base_name(path), KRS_OS_PATH_BYTES - 8);
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
    krs_status status = KRS_OK;
    if (fchmod(writer->fd, S_IRUSR | S_IWUSR | S_IRGRP | S_IROTH) != 0) {
        status = krs_os_fail_errno(err, errno, "chmod", writer->path);
    } else if (fsync(writer->fd) != 0) {
        status = krs_os_fail_errno(err, errno, "sync", writer->path);
    }
    if (close(writer->fd) != 0 && status == KRS_OK) {
        status = krs_os_fail_errno(err, errno, "close", writer->path);
    }
    writer->fd = -1;
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
        (void)close(writer->fd);
        (void)unlink(writer->temporary);
        writer->fd = -1;
    }
}
