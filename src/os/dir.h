/* os/dir.h - what lies in a folder, and folders for scratch files.
 *
 * Thread: any.  Memory: see each function. */
#pragma once

#include "base/arena.h"
#include "os/file.h"

#define KRS_OS_DIR_MAX_ENTRIES 100000 /* a model folder has dozens; this bounds a wrong path */

/* Names of dir's entries without "." and "..", sorted by bytes, in arena: *names is [*n].
 * Errors: KRS_ENOENT, KRS_EPERM, KRS_EINVAL (not a folder), KRS_ETOOLARGE, KRS_ENOMEM, KRS_EIO. */
KRS_MUST_USE krs_status krs_os_dir_list(const char *dir, krs_arena *arena, const krs_str **names,
                                        size_t *n, krs_error *err);

/* A new empty folder, readable by this user only, under TMPDIR or /tmp; its path in out.
 * Errors: KRS_EPERM, KRS_EIO, KRS_ETOOLARGE. */
KRS_MUST_USE krs_status krs_os_dir_temporary(char out[KRS_OS_PATH_BYTES], krs_error *err);

/* Remove a folder and the files in it; nothing when it is absent. Folders inside it are removed too,
 * links are removed and not followed. Errors: KRS_EPERM, KRS_EIO. */
KRS_MUST_USE krs_status krs_os_dir_remove(const char *path, krs_error *err);

/* Remove one file; an absent one is fine. Errors: KRS_EPERM, KRS_EIO. */
KRS_MUST_USE krs_status krs_os_file_remove(const char *path, krs_error *err);
