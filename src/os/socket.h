/* os/socket.h - the few things about TCP sockets that a loop library leaves to us.
 *
 * Thread: any.  Source: POSIX.1-2008 sockets; RFC 9293. */
#pragma once

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

#define KRS_OS_SOCKET_BACKLOG                                                                      \
    1024 /* connections waiting to be accepted; Linux cuts it to somaxconn */

/* A listening, non-blocking, close-on-exec socket. host: a name or numeric address, NUL-terminated;
 * port 0: any free one. *out_port: the one it has.
 * Errors: KRS_EINVAL (no such host), KRS_EPERM, KRS_EEXIST (address in use), KRS_EIO. */
KRS_MUST_USE krs_status krs_os_socket_listen(const char *host, uint16_t port, int *out_fd,
                                             uint16_t *out_port, krs_error *err);
void krs_os_socket_close(int fd);

/* Send small writes at once (one token is one write). Best effort. */
void krs_os_socket_no_delay(int fd);

/* "I will send no more": the peer reads end of stream, we may still read. Best effort. */
void krs_os_socket_end_output(int fd);

/* Send what fits without waiting, for a last word before closing. Best effort. */
void krs_os_socket_send(int fd, const void *bytes, size_t n_bytes);
