/* server/server.h - HTTP for a service: listening, connections, limits, drain.
 *
 *   main thread: accepts, watches signals --socket--> io thread 1..8: connections, pinned for life
 *                                                        ^--- events of the runtime, one wake per step
 *
 *   open --run--> serving --stop or signal--> draining --all answers out, or drain_ms--> run returns
 *
 * Own HTTP over libevent's bufferevents rather than evhttp, for two reasons: a peer that goes away is
 * noticed while nothing is being written, so its answer ends within one step; and what a slow reader has
 * not taken is counted on the real socket's buffer. Routes are a table in routes.c.
 * Deliberately absent: TLS and keys (a later issue), compression, HTTP/2.
 *
 * A client that closes its sending half is taken for gone: no HTTP client in use half-closes.
 *
 * Thread: open, run and free by one thread; stop from any thread or signal handler.
 * Memory: bounded by max_connections times the limits below, bodies by max_bodies_bytes.  Source: RFC 9112; docs/api.md. */
#pragma once

#include "os/signal.h"
#include "server/http_parse.h"
#include "service/service.h"

#define KRS_SERVER_MAX_IO_THREADS  8
#define KRS_SERVER_MAX_CONNECTIONS 1024 /* default */
#define KRS_SERVER_MAX_BODIES_BYTES                                                                \
    (512u << 20) /* default; large bodies being received at once: 16 of the largest */

typedef struct krs_server krs_server;

typedef struct krs_server_options {
    size_t size;              /* sizeof(krs_server_options) */
    const char *host;         /* name or address to listen on */
    uint16_t port;            /* 0: any free one; see krs_server_port */
    uint32_t n_io_threads;    /* 1 .. KRS_SERVER_MAX_IO_THREADS */
    uint32_t max_connections; /* 1 .. 65536; one more is told 503 */
    size_t max_body_bytes;
    size_t max_bodies_bytes; /* all at once; past it KRS_HTTP_KEEP_BODY_BYTES pass, more gets 503 */
    uint32_t drain_ms;       /* time running answers get after stop */
    const krs_os_signals
        *signals;        /* NULL, or: the first one stops, the second cuts the drain short */
    const char *version; /* of the program, for GET /version */
} krs_server_options;

#define KRS_SERVER_OPTIONS_INIT                                                                    \
    {                                                                                              \
        sizeof(krs_server_options), "127.0.0.1", 8080, 1, KRS_SERVER_MAX_CONNECTIONS,              \
            KRS_HTTP_MAX_BODY_BYTES, KRS_SERVER_MAX_BODIES_BYTES, 10000, NULL, "unknown"           \
    }

/* Check the options and start listening; connections wait until _run. service: borrowed, outlives the
 * server. Errors: KRS_EINVAL, KRS_EEXIST (address in use), KRS_EPERM, KRS_EIO, KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_server_open(const krs_server_options *options, krs_service *service,
                                        const krs_alloc *alloc, krs_server **out, krs_error *err);

/* The port that is listened on. */
uint16_t krs_server_port(const krs_server *server);

/* Serve until stopped, then drain: no new connections, answers may finish for drain_ms, then they are
 * cancelled. Returns when the last connection is closed. Call once.
 * Errors: KRS_ENOMEM, KRS_EAGAIN (no threads). */
KRS_MUST_USE krs_status krs_server_run(krs_server *server, krs_error *err);

/* Make run return, in order. Any thread; safe in a signal handler. */
void krs_server_stop(krs_server *server);

/* Free after run has returned and after the runtime has been freed: until then it may still deliver the
 * end of an answer that was cut. NULL is a no-op. */
void krs_server_free(krs_server *server);
