/* os/wake.h - wake a loop from another thread: a file descriptor that becomes readable.
 *
 * One wake per batch: several raises before the loop looks are one wake. Works with poll, epoll and
 * libevent alike.
 *
 * Thread: raise from any thread; fd and clear by the owner.  Source: eventfd(2). */
#pragma once

#include "base/status.h"

typedef struct krs_os_wake {
    int fd; /* -1 when closed */
} krs_os_wake;

/* Errors: KRS_EIO, KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_os_wake_open(krs_os_wake *out, krs_error *err);
void krs_os_wake_close(krs_os_wake *wake);

/* Make fd readable. Never blocks, never fails in a way that loses the wake. */
void krs_os_wake_raise(const krs_os_wake *wake);

/* Make fd unreadable again; call before looking at what the wake announced. */
void krs_os_wake_clear(const krs_os_wake *wake);

/* Wait until one of fds[n] (n <= KRS_OS_WAIT_MAX_FDS) is readable or timeout_ms passed (-1: for ever).
 * Returns the index of the first readable one, or -1. */
#define KRS_OS_WAIT_MAX_FDS 8
int krs_os_wait_readable(const int *fds, uint32_t n, int timeout_ms);

/* Would a write of up to PIPE_BUF (4096) bytes go through now? A pipe that nobody reads is not writable. */
bool krs_os_is_writable(int fd);
