/* support/http_client.h - the plainest HTTP client a test can have: blocking sockets, whole responses.
 *
 * Reads wait at most CLIENT_TIMEOUT_S, so a server that does not answer fails a test instead of hanging it.
 * Memory: one static-size buffer per client. */
#pragma once

#include "support/cmocka.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define CLIENT_TIMEOUT_S 20
#define CLIENT_MAX_BYTES (1u << 20)

typedef struct client {
    int fd;
    size_t n_in; /* bytes in `in` */
    char in[CLIENT_MAX_BYTES + 1];
} client;

/* One response; body is de-chunked. Views into the client, until the next read. */
typedef struct client_response {
    int status;
    char head[4096];
    char body[CLIENT_MAX_BYTES + 1];
    size_t n_body;
} client_response;

static inline client *client_open(uint16_t port)
{
    client *c = calloc(1, sizeof(*c));
    assert_non_null(c);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(c->fd >= 0);
    const struct timeval limit = {CLIENT_TIMEOUT_S, 0};
    const int on = 1;
    (void)setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    /* A head and a body in two sends would wait for each other's acknowledgement: 40 ms a request. */
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    union {
        struct sockaddr_in *v4;
        struct sockaddr *any;
    } to = {&address};
    assert_int_equal(connect(c->fd, to.any, sizeof(address)), 0);
    return c;
}

static inline void client_close(client *c)
{
    (void)close(c->fd);
    free(c);
}

/* Drop the connection with a reset instead of an orderly end. */
static inline void client_reset(client *c)
{
    const struct linger now = {1, 0};
    (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    client_close(c);
}

static inline void client_send_bytes(client *c, const char *bytes, size_t n)
{
    for (size_t sent = 0; sent < n;) {
        const ssize_t k = send(c->fd, bytes + sent, n - sent, MSG_NOSIGNAL);
        if (k <= 0) {
            return; /* the server may close early: the response says why */
        }
        sent += (size_t)k;
    }
}

static inline void client_send(client *c, const char *text)
{
    client_send_bytes(c, text, strlen(text));
}

/* POST body as JSON on a connection that stays. */
static inline void client_post(client *c, const char *path, const char *body)
{
    char head[512];
    (void)snprintf(head, sizeof(head),
                   "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                   "Content-Length: %zu\r\n\r\n",
                   path, strlen(body));
    client_send(c, head);
    client_send(c, body);
}

static inline void client_get(client *c, const char *method, const char *path)
{
    char head[512];
    (void)snprintf(head, sizeof(head), "%s %s HTTP/1.1\r\nHost: localhost\r\n\r\n", method, path);
    client_send(c, head);
}

/* More bytes; false at the end of the connection (or after the time limit). */
static inline bool client_more(client *c)
{
    const ssize_t n = recv(c->fd, c->in + c->n_in, CLIENT_MAX_BYTES - c->n_in, 0);
    if (n <= 0) {
        return false;
    }
    c->n_in += (size_t)n;
    c->in[c->n_in] = '\0';
    return true;
}

static inline void client_drop(client *c, size_t n)
{
    memmove(c->in, c->in + n, c->n_in - n);
    c->n_in -= n;
    c->in[c->n_in] = '\0';
}

/* Wait until the input holds n bytes. */
static inline bool client_need(client *c, size_t n)
{
    while (c->n_in < n) {
        if (!client_more(c)) {
            return false;
        }
    }
    return true;
}

/* Wait for a text; its offset, or -1 at the end of the connection. */
static inline long client_wait(client *c, const char *text)
{
    for (;;) {
        const char *at = strstr(c->in, text);
        if (at) {
            return at - c->in;
        }
        if (!client_more(c)) {
            return -1;
        }
    }
}

static inline bool client_read_chunks(client *c, client_response *r)
{
    for (;;) {
        const long end = client_wait(c, "\r\n");
        if (end < 0) {
            return false;
        }
        const size_t size = strtoul(c->in, NULL, 16);
        client_drop(c, (size_t)end + 2);
        if (!client_need(c, size + 2)) {
            return false;
        }
        memcpy(r->body + r->n_body, c->in, size);
        r->n_body += size;
        client_drop(c, size + 2);
        if (size == 0) {
            return true;
        }
    }
}

/* One whole response into r; false when the connection ended before it was complete. */
static inline bool client_read(client *c, client_response *r, bool has_body)
{
    memset(r, 0, sizeof(*r));
    const long end = client_wait(c, "\r\n\r\n");
    if (end < 0) {
        return false;
    }
    (void)snprintf(r->head, sizeof(r->head), "%.*s\r\n", (int)end, c->in);
    client_drop(c, (size_t)end + 4);
    r->status = (int)strtol(r->head + sizeof("HTTP/1.1 ") - 1, NULL, 10);
    if (!has_body || r->status == 204 || r->status == 100) {
        return true;
    }
    if (strstr(r->head, "Transfer-Encoding: chunked")) {
        return client_read_chunks(c, r);
    }
    const char *length = strstr(r->head, "Content-Length: ");
    const size_t n = length ? strtoul(length + 16, NULL, 10) : 0;
    if (!client_need(c, n)) {
        return false;
    }
    memcpy(r->body, c->in, n);
    r->n_body = n;
    client_drop(c, n);
    return true;
}
