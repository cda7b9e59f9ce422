/* os/socket.c - see socket.h. */
#define _GNU_SOURCE /* SOCK_NONBLOCK, SOCK_CLOEXEC, struct ucred */
#include "os/socket.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define KEEP_IDLE_S     60 /* silence before the first question */
#define KEEP_INTERVAL_S 10
#define KEEP_COUNT      6 /* questions without an answer: two minutes in all */

/* An address of any family we know. */
typedef union any_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un path;
} any_address;

/* Close fd and return -1, errno as it was. */
static int give_up(int fd)
{
    const int why = errno;
    (void)close(fd);
    errno = why;
    return -1;
}

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
    return give_up(fd);
}

/* The address that fd is bound to; of family AF_UNSPEC when that cannot be found out. */
static any_address address_of(int fd)
{
    any_address address;
    memset(&address, 0, sizeof(address));
    socklen_t n_bytes = sizeof(address);
    if (getsockname(fd, &address.any, &n_bytes) != 0) {
        address.any.sa_family = AF_UNSPEC;
    }
    return address;
}

static uint16_t port_of(int fd)
{
    const any_address address = address_of(fd);
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

static bool set_path(const char *path, any_address *out)
{
    memset(out, 0, sizeof(*out));
    out->path.sun_family = AF_UNIX;
    const size_t n = strlen(path);
    if (n == 0 || n >= sizeof(out->path.sun_path)) {
        return false;
    }
    memcpy(out->path.sun_path, path, n);
    return true;
}

/* Does a server that has ended lie there? Then nobody answers a connection. */
static bool is_stale(const any_address *address)
{
    struct stat at;
    if (lstat(address->path.sun_path, &at) != 0 || !S_ISSOCK(at.st_mode)) {
        return false;
    }
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const bool is_refused =
        fd >= 0 && connect(fd, &address->any, sizeof(address->path)) != 0 && errno == ECONNREFUSED;
    krs_os_socket_close(fd);
    return is_refused;
}

/* A socket listening at a path, or -1 with errno set. */
static int listen_at(const any_address *address)
{
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    const char *path = address->path.sun_path;
    if (bind(fd, &address->any, sizeof(address->path)) != 0) {
        return give_up(fd);
    }
    /* Before listen() nobody can connect, so there is no moment with a wider mode. */
    if (chmod(path, S_IRUSR | S_IWUSR) == 0 && listen(fd, KRS_OS_SOCKET_BACKLOG) == 0) {
        return fd;
    }
    (void)unlink(path);
    return give_up(fd);
}

krs_status krs_os_socket_listen_unix(const char *path, int *out_fd, krs_error *err)
{
    *out_fd = -1;
    any_address address;
    if (!set_path(path, &address)) {
        return krs_fail(err, KRS_EINVAL, "socket path \"%s\": %zu bytes, want 1..%d", path,
                        strlen(path), KRS_OS_SOCKET_PATH_BYTES - 1);
    }
    if (is_stale(&address)) {
        (void)unlink(path);
    }
    *out_fd = listen_at(&address);
    if (*out_fd < 0) {
        return krs_fail_os(err, status_of(errno), errno, "listen at %s", path);
    }
    return KRS_OK;
}

void krs_os_socket_unlink(int fd, const char *path)
{
    const any_address address = address_of(fd);
    struct stat at;
    /* A successor that found us gone may listen there by now; ours is the one that answers to our name, and
     * as long as fd is open nobody else can have taken the path without removing it first. */
    if (address.any.sa_family == AF_UNIX && strcmp(address.path.sun_path, path) == 0 &&
        lstat(path, &at) == 0 && S_ISSOCK(at.st_mode)) {
        (void)unlink(path);
    }
}

bool krs_os_socket_is_loopback(int fd)
{
    const any_address address = address_of(fd);
    if (address.any.sa_family == AF_INET6) {
        return IN6_IS_ADDR_LOOPBACK(&address.v6.sin6_addr);
    }
    return address.any.sa_family == AF_INET && ntohl(address.v4.sin_addr.s_addr) >> 24 == 127;
}

bool krs_os_socket_is_same_user(int fd)
{
    struct ucred peer;
    socklen_t n_bytes = sizeof(peer);
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n_bytes) == 0 &&
           (peer.uid == 0 || peer.uid == geteuid());
}

void krs_os_socket_keep_alive(int fd)
{
    const int on = 1;
    const int idle_s = KEEP_IDLE_S;
    const int interval_s = KEEP_INTERVAL_S;
    const int count = KEEP_COUNT;
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
}

void krs_os_socket_limit_unsent(int fd, int n_bytes)
{
    if (address_of(fd).any.sa_family == AF_UNIX) {
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &n_bytes, sizeof(n_bytes));
    } else {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &n_bytes, sizeof(n_bytes));
    }
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

krs_status krs_os_socket_send(int fd, const void *bytes, size_t n_bytes, size_t *n_sent)
{
    const ssize_t n = send(fd, bytes, n_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
    *n_sent = n > 0 ? (size_t)n : 0;
    const bool may_go_on = n >= 0 || errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
    return may_go_on ? KRS_OK : KRS_EIO;
}
