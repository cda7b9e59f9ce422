/* os/small_priv.h - files of /proc and /sys: small, made by the kernel as they are read, maybe absent.
 *
 * Thread: any.  Memory: the caller's. */
#pragma once

#define KRS_OS_SMALL_BYTES 8192u /* of such a file, with a NUL */

/* The file at root/path as text; "" when it cannot be read or does not fit. root: "" for the system's own
 * tree, in tests a folder that stands for it. */
void krs_os_read_small(const char *root, const char *path, char out[KRS_OS_SMALL_BYTES]);
