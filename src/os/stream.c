/* os/stream.c - see stream.h. F_SETPIPE_SZ is Linux's own. */
#define _GNU_SOURCE
#include "os/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_ready(int fd, short what)
{
    struct pollfd p = {.fd = fd, .events = what};
    return poll(&p, 1, 0) == 1;
}

static bool is_socket(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

static bool is_later(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

krs_status krs_os_stream_read(int fd, void *bytes, size_t max_bytes, size_t *n)
{
    *n = 0;
    ssize_t got = recv(fd, bytes, max_bytes, MSG_DONTWAIT);
    if (got < 0 && errno == ENOTSOCK) {
        if (!is_ready(fd, POLLIN)) {
            return KRS_OK;
        }
        got = read(fd, bytes, max_bytes);
    }
    if (got > 0) {
        *n = (size_t)got;
        return KRS_OK;
    }
    if (got == 0) {
        return KRS_EEOF;
    }
    return is_later() ? KRS_OK : KRS_EIO;
}

/* A pipe that poll calls writable takes PIPE_BUF bytes without waiting, and no more is promised. */
static ssize_t write_piece(int fd, const char *bytes, size_t n_bytes)
{
    if (!is_ready(fd, POLLOUT)) {
        errno = EAGAIN;
        return -1;
    }
    return write(fd, bytes, n_bytes < PIPE_BUF ? n_bytes : PIPE_BUF);
}

krs_status krs_os_stream_write(int fd, const void *bytes, size_t n_bytes, size_t *n)
{
    *n = 0;
    const bool is_sock = is_socket(fd);
    while (*n < n_bytes) {
        const char *rest = (const char *)bytes + *n;
        const ssize_t put = is_sock ? send(fd, rest, n_bytes - *n, MSG_DONTWAIT | MSG_NOSIGNAL)
                                    : write_piece(fd, rest, n_bytes - *n);
        if (put < 0) {
            return is_later() ? KRS_OK : KRS_EIO;
        }
        *n += (size_t)put;
    }
    return KRS_OK;
}

void krs_os_stream_limit(int fd, int n_bytes)
{
    if (is_socket(fd)) {
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &n_bytes, sizeof(n_bytes));
    } else {
        (void)fcntl(fd, F_SETPIPE_SZ, n_bytes); /* fails for anything that is no pipe */
    }
}
