/* os/errno_priv.h - errno to status, in one place: no errno crosses the edge of this folder.
 *
 * Thread: any. */
#pragma once

#include "base/status.h"

/* KRS_EIO for what has no better name. */
krs_status krs_os_status_of_errno(int code);

/* Fail with errno's status and text: "what name: reason". name is cut to its last path component, since
 * the message may reach a client. */
krs_status krs_os_fail_errno(krs_error *err, int code, const char *what, const char *name);

/* The last component of path. */
const char *krs_os_base_name(const char *path);
