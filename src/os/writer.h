/* os/writer.h - a file too large to hold in memory, written piece by piece and then there at once.
 *
 * As krs_os_file_write, but streaming: the bytes go to a temporary file beside the path, and commit
 * makes them durable and gives them their name. Whoever opens the path sees the old file or the whole
 * new one; a program that dies in between leaves only a temporary file. What is no plain file (/dev/null,
 * a pipe, a link such as /dev/stdout) is written in place, without that promise: a rename would put a
 * plain file where the device was.
 *
 * Thread: one owner.  Memory: none; callers pass pieces of a size worth a system call.
 * Source: POSIX.1-2008. */
#pragma once

#include "os/file.h"

typedef struct krs_os_writer {
    int fd; /* -1: not open */
    uint64_t n_bytes;
    char path[KRS_OS_PATH_BYTES];
    char temporary[KRS_OS_PATH_BYTES]; /* "": written in place */
} krs_os_writer;

/* Errors: KRS_ENOENT (no such folder), KRS_EPERM, KRS_EIO, KRS_ETOOLARGE (the path). On failure the
 * writer is closed. */
KRS_MUST_USE krs_status krs_os_writer_open(krs_os_writer *writer, const char *path, krs_error *err);

/* Append. On failure (KRS_EIO: a full disk, say) only abandon is left to do. */
KRS_MUST_USE krs_status krs_os_writer_put(krs_os_writer *writer, const void *bytes, size_t n_bytes,
                                          krs_error *err);

/* Make the file durable and rename it to its path. The writer is closed, whatever the result; on failure
 * the path is as it was before open (but for one written in place). */
KRS_MUST_USE krs_status krs_os_writer_commit(krs_os_writer *writer, krs_error *err);

/* Drop everything. A closed writer is fine. */
void krs_os_writer_abandon(krs_os_writer *writer);
