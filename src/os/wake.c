/* os/wake.c - see wake.h. */
#define _POSIX_C_SOURCE 200809L
#include "os/wake.h"

#include "base/check.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

krs_status krs_os_wake_open(krs_os_wake *out, krs_error *err)
{
    out->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return out->fd >= 0 ? KRS_OK : krs_fail_os(err, KRS_EIO, errno, "eventfd");
}

void krs_os_wake_close(krs_os_wake *wake)
{
    if (wake->fd >= 0) {
        (void)close(wake->fd);
        wake->fd = -1;
    }
}

void krs_os_wake_raise(const krs_os_wake *wake)
{
    const uint64_t one = 1;
    /* EAGAIN: the counter is full, so the descriptor is readable already. */
    while (write(wake->fd, &one, sizeof(one)) < 0 && errno == EINTR) {
    }
}

void krs_os_wake_clear(const krs_os_wake *wake)
{
    uint64_t count;
    while (read(wake->fd, &count, sizeof(count)) < 0 && errno == EINTR) {
    }
}

int krs_os_wait_readable(const int *fds, uint32_t n, int timeout_ms)
{
    KRS_CHECK(n <= KRS_OS_WAIT_MAX_FDS);
    struct pollfd polled[KRS_OS_WAIT_MAX_FDS];
    for (uint32_t i = 0; i < n; i++) {
        polled[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
    }
    if (poll(polled, n, timeout_ms) <= 0) {
        return -1; /* time passed, or a signal: the caller looks again */
    }
    for (uint32_t i = 0; i < n; i++) {
        if (polled[i].revents != 0) {
            return (int)i;
        }
    }
    return -1;
}

bool krs_os_is_writable(int fd)
{
    struct pollfd polled = {.fd = fd, .events = POLLOUT};
    return poll(&polled, 1, 0) == 1 && (polled.revents & POLLOUT) != 0;
}
