/* os/socket.c - see socket.h. */
#define _GNU_SOURCE /* SOCK_NONBLOCK, SOCK_CLOEXEC */
#include "os/socket.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A socket listening on one address, or -1 with errno set. */
static int listen_on(const struct addrinfo *address)
{
    const int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    const int on = 1;
    /* A restarted server may listen at once, while old connections linger in TIME_WAIT. */
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
        bind(fd, address->ai_addr, address->ai_addrlen) == 0 &&
        listen(fd, KRS_OS_SOCKET_BACKLOG) == 0) {
        return fd;
    }
    const int why = errno;
    (void)close(fd);
    errno = why;
    return -1;
}

static uint16_t port_of(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address;
    memset(&address, 0, sizeof(address));
    socklen_t n_bytes = sizeof(address);
    if (getsockname(fd, &address.any, &n_bytes) != 0) {
        return 0;
    }
    return ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
}

static krs_status status_of(int why)
{
    if (why == EADDRINUSE) {
        return KRS_EEXIST;
    }
    return why == EACCES || why == EPERM ? KRS_EPERM : KRS_EIO;
}

krs_status krs_os_socket_listen(const char *host, uint16_t port, int *out_fd, uint16_t *out_port,
                                krs_error *err)
{
    *out_fd = -1;
    char service[8];
    (void)snprintf(service, sizeof(service), "%u", port);
    const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    const int failed = getaddrinfo(host, service, &hints, &list);
    if (failed != 0) {
        return krs_fail_field(err, KRS_EINVAL, "host", "host: \"%s\": %s", host,
                              gai_strerror(failed));
    }
    int fd = -1;
    for (const struct addrinfo *one = list; one && fd < 0; one = one->ai_next) {
        fd = listen_on(one);
    }
    const int why = errno;
    freeaddrinfo(list);
    if (fd < 0) {
        return krs_fail_os(err, status_of(why), why, "listen on %s port %u", host, port);
    }
    *out_fd = fd;
    *out_port = port_of(fd);
    return KRS_OK;
}

void krs_os_socket_close(int fd)
{
    if (fd >= 0) {
        (void)close(fd);
    }
}

void krs_os_socket_no_delay(int fd)
{
    const int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

void krs_os_socket_end_output(int fd)
{
    (void)shutdown(fd, SHUT_WR);
}

void krs_os_socket_send(int fd, const void *bytes, size_t n_bytes)
{
    (void)send(fd, bytes, n_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
}
