/* os/socket.h - the few things about TCP and Unix sockets that a loop library leaves to us.
 *
 * Thread: any.  Source: POSIX.1-2008 sockets; RFC 9293; unix(7), tcp(7). */
#pragma once

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

#define KRS_OS_SOCKET_BACKLOG                                                                      \
    1024 /* connections waiting to be accepted; Linux cuts it to somaxconn */
#define KRS_OS_SOCKET_PATH_BYTES 108 /* with its NUL; what sockaddr_un holds */

/* A listening, non-blocking, close-on-exec socket. host: a name or numeric address, NUL-terminated;
 * port 0: any free one. *out_port: the one it has.
 * Errors: KRS_EINVAL (no such host), KRS_EPERM, KRS_EEXIST (address in use), KRS_EIO. */
KRS_MUST_USE krs_status krs_os_socket_listen(const char *host, uint16_t port, int *out_fd,
                                             uint16_t *out_port, krs_error *err);

/* The same at a path, which only this user may connect to (mode 0600, set before the first connection can
 * be made). A socket that nobody listens at any more is taken away first; anything else at the path stays.
 * Errors: KRS_EINVAL (path too long), KRS_EEXIST (in use, or no socket), KRS_EPERM, KRS_EIO. */
KRS_MUST_USE krs_status krs_os_socket_listen_unix(const char *path, int *out_fd, krs_error *err);

/* Take away the path of a socket that this process listened at, if it is still ours. Call before closing
 * fd. Best effort. */
void krs_os_socket_unlink(int fd, const char *path);

void krs_os_socket_close(int fd);

/* Does the listening socket take connections from this machine only? */
bool krs_os_socket_is_loopback(int fd);

/* Is the process at the other end of a Unix socket run by this user, or by root? */
bool krs_os_socket_is_same_user(int fd);

/* Send small writes at once (one token is one write). Best effort. */
void krs_os_socket_no_delay(int fd);

/* Ask a silent peer now and then whether it is still there. Best effort. */
void krs_os_socket_keep_alive(int fd);

/* Let the system hold about n bytes that the peer has not been sent, so that what it does not read piles up
 * with us, where it is seen. Best effort. */
void krs_os_socket_limit_unsent(int fd, int n_bytes);

/* "I will send no more": the peer reads end of stream, we may still read. Best effort. */
void krs_os_socket_end_output(int fd);

/* Send what fits without waiting; *n_sent says how much, 0 when nothing does. Errors: KRS_EIO (the
 * connection is broken). */
KRS_MUST_USE krs_status krs_os_socket_send(int fd, const void *bytes, size_t n_bytes,
                                           size_t *n_sent);
