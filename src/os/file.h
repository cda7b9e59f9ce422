/* os/file.h - files as the rest of the program sees them: whole, read-only, or replaced at once.
 *
 * Paths are NUL-terminated, as the system wants them. Errors name the last path component only
 * where the message may reach a client; full paths are for the CLI, which adds them itself.
 *
 * Thread: any; objects have one owner, a mapping is immutable and may be read from any thread.
 * Source: POSIX.1-2008. */
#pragma once

#include "base/alloc.h"
#include "base/buf.h"
#include "base/str.h"

/* A file mapped read-only and private. A file truncated while mapped kills the process (SIGBUS): the
 * accepted price of mmap; KRS_OS_MAP_COPY is the answer for untrusted storage. */
typedef struct krs_os_map {
    const unsigned char *data; /* [n_bytes], page aligned, valid until krs_os_map_close */
    size_t n_bytes;
    bool is_copy; /* owned memory instead of a mapping */
} krs_os_map;

typedef enum krs_os_map_mode {
    KRS_OS_MAP_SHARED_PAGES, /* mmap: pages shared with every other process that maps the file */
    KRS_OS_MAP_COPY,         /* read into own memory */
} krs_os_map_mode;

/* Errors: KRS_ENOENT, KRS_EPERM, KRS_EIO, KRS_ENOMEM, KRS_EINVAL (not a regular file). An empty file
 * maps to data = NULL, n_bytes = 0. */
KRS_MUST_USE krs_status krs_os_map_open(const char *path, krs_os_map_mode mode, krs_os_map *out,
                                        krs_error *err);
void krs_os_map_close(krs_os_map *map);

/* [at, at + n_bytes) will not be read for a while: if it lies in one of maps, the pages it touches leave this
 * process's memory. They stay in the system's file cache and come back, unchanged, when they are next read
 * (by any thread). Memory that is no mapping of a file, a copy above all, is left alone.
 * maps: [n_maps], NULL with 0. Cost: O(n_maps + pages). */
void krs_os_map_forget(const krs_os_map *maps, size_t n_maps, const void *at, size_t n_bytes);

/* Append a whole file to out (its ceiling bounds the size). path "-" is standard input.
 * Errors: as krs_os_map_open, and KRS_ETOOLARGE. */
KRS_MUST_USE krs_status krs_os_file_read(const char *path, krs_buf *out, krs_error *err);

/* Replace or create path with bytes, whole or not at all (temporary file, fsync, rename). */
KRS_MUST_USE krs_status krs_os_file_write(const char *path, const void *bytes, size_t n_bytes,
                                          krs_error *err);

typedef enum krs_os_kind {
    KRS_OS_ABSENT,
    KRS_OS_FILE,
    KRS_OS_DIR,
    KRS_OS_OTHER,
} krs_os_kind;

/* What stands at path (following links)? KRS_OS_ABSENT also when it cannot be looked at. */
krs_os_kind krs_os_path_kind(const char *path);

/* "dir/name" into out[max_bytes]. Errors: KRS_ETOOLARGE. */
KRS_MUST_USE krs_status krs_os_path_join(const char *dir, const char *name, char *out,
                                         size_t max_bytes);

/* The absolute path without links, "." and "..", into out[KRS_OS_PATH_BYTES].
 * Errors: KRS_ENOENT, KRS_EPERM, KRS_EIO. */
KRS_MUST_USE krs_status krs_os_path_real(const char *path, char *out, krs_error *err);

/* Create a directory; one that exists already is fine. */
KRS_MUST_USE krs_status krs_os_dir_make(const char *path, krs_error *err);

#define KRS_OS_PATH_BYTES 4096 /* PATH_MAX on Linux, with the NUL */
