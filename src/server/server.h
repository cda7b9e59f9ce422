/* server/server.h - HTTP for a service: listeners, connections, limits, drain.
 *
 *   main thread: accepts, watches signals --socket--> io thread 1..8: connections, pinned for life
 *                                                        ^--- events of the runtime, one wake per step
 *
 *   open --run--> serving --stop or signal--> draining --all answers out, or drain_ms--> run returns
 *
 * Own HTTP over libevent's bufferevents rather than evhttp, for two reasons: a peer that goes away is
 * noticed while nothing is being written, so its answer ends within one step; and what a slow reader has
 * not taken is counted on the real socket's buffer. Routes are a table in routes.c.
 *
 * A streamed answer begins with a credit of stream_window tokens, and gets more as its reader takes them:
 * one that stops reading pauses its own answer and nobody else's. It may stay away for stall_ms.
 *
 * Deliberately absent: HTTP/2, compressed request bodies, serving files.
 *
 * A client that closes its sending half is taken for gone: no HTTP client in use half-closes.
 *
 * Thread: open, run and free by one thread; stop and reload from any thread or signal handler.
 * Memory: bounded by max_connections times the limits below, bodies by max_bodies_bytes.
 * Source: RFC 9112; W3C Fetch (CORS); docs/api.md. */
#pragma once

#include "os/signal.h"
#include "server/http_parse.h"
#include "service/service.h"

#define KRS_SERVER_MAX_IO_THREADS  8
#define KRS_SERVER_MAX_CONNECTIONS 1024 /* default */
#define KRS_SERVER_MAX_BODIES_BYTES                                                                \
    (512u << 20) /* default; large bodies being received at once: 16 of the largest */
#define KRS_SERVER_STREAM_WINDOW 64u /* default; tokens: a third of a second at 200 a second */

typedef struct krs_server krs_server;

/* How long a peer may take for what; milliseconds. */
typedef struct krs_server_times {
    uint32_t idle_ms;      /* kept open between requests */
    uint32_t head_ms;      /* from the first byte of a head to its last; a TLS handshake */
    uint32_t body_ms;      /* the whole body */
    uint32_t write_ms;     /* a reader of a whole answer that takes nothing for so long is gone */
    uint32_t stall_ms;     /* the same for a stream, which is only paused until then */
    uint32_t heartbeat_ms; /* an idle stream says so this often; 0: never */
} krs_server_times;

#define KRS_SERVER_TIMES_INIT                                                                      \
    {                                                                                              \
        .idle_ms = 75000 /* as nginx does */, .head_ms = 15000, .body_ms = 60000,                  \
        .write_ms = 30000, .stall_ms = 600000, .heartbeat_ms = 15000                               \
    }

/* JSON-RPC (docs/rpc.md), beside HTTP or alone. */
typedef struct krs_server_rpc {
    const char *path;           /* NULL, or: listen on a Unix socket there, for this user only */
    bool is_stdio;              /* speak on standard input and output; their end stops the server */
    const char *const *trusted; /* [n_trusted] folders that load_model may be pointed at */
    uint32_t n_trusted;         /* 0: any */
    const char *hub_dir;        /* the Hugging Face hub cache, read only; NULL: none */
} krs_server_rpc;

/* Strings are borrowed and outlive the server. */
typedef struct krs_server_options {
    size_t size;           /* sizeof(krs_server_options) */
    const char *host;      /* name or address to listen on; NULL: no TCP */
    uint16_t port;         /* 0: any free one; see krs_server_port */
    const char *unix_path; /* NULL, or: listen there too */
    bool is_unix_any;      /* who may open the socket may come in, whoever that is */
    krs_server_rpc rpc;    /* all zero: none */
    const char *tls_cert;  /* PEM files: TLS over TCP; NULL: plain */
    const char *tls_key;
    const char *
        allowed_hosts; /* NULL, or a comma list: names that Host may hold beside loopback's; "*": any */
    const char *cors_origins; /* NULL, or a comma list of origins whose pages may call */
    uint32_t n_io_threads;    /* 1 .. KRS_SERVER_MAX_IO_THREADS */
    uint32_t max_connections; /* 1 .. 65536; one more is told 503 */
    size_t max_body_bytes;
    size_t max_bodies_bytes; /* all at once; past it KRS_HTTP_KEEP_BODY_BYTES pass, more gets 503 */
    uint32_t stream_window;  /* tokens a stream may be ahead of its reader, 1 .. 65536 */
    bool has_gzip;           /* compress streams for who accepts it */
    krs_server_times times;
    uint32_t drain_ms; /* time running answers get after stop */
    const krs_os_signals *
        signals; /* NULL, or: the first one stops, the second cuts the drain short; SIGHUP reloads */
    void (*reload)(void *ctx); /* NULL, or: what else a reload means; on the thread of run */
    void *reload_ctx;
    const char *version; /* of the program, for GET /version */
} krs_server_options;

#define KRS_SERVER_OPTIONS_INIT                                                                    \
    {                                                                                              \
        .size = sizeof(krs_server_options), .host = "127.0.0.1", .port = 8080, .n_io_threads = 1,  \
        .max_connections = KRS_SERVER_MAX_CONNECTIONS, .max_body_bytes = KRS_HTTP_MAX_BODY_BYTES,  \
        .max_bodies_bytes = KRS_SERVER_MAX_BODIES_BYTES,                                           \
        .stream_window = KRS_SERVER_STREAM_WINDOW, .has_gzip = true,                               \
        .times = KRS_SERVER_TIMES_INIT, .drain_ms = 10000, .version = "unknown"                    \
    }

/* Check the options, read the certificate and start listening; connections wait until _run. service:
 * borrowed, outlives the server. Errors: KRS_EINVAL, KRS_EEXIST (address in use), KRS_EPERM, KRS_EFORMAT
 * (certificate), KRS_EIO, KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_server_open(const krs_server_options *options, krs_service *service,
                                        const krs_alloc *alloc, krs_server **out, krs_error *err);

/* The TCP port that is listened on; 0: none. */
uint16_t krs_server_port(const krs_server *server);

/* Serve until stopped, then drain: no new connections, answers may finish for drain_ms, then they are
 * cancelled. Returns when the last connection is closed. Call once.
 * Errors: KRS_ENOMEM, KRS_EAGAIN (no threads). */
KRS_MUST_USE krs_status krs_server_run(krs_server *server, krs_error *err);

/* Make run return, in order. Any thread; safe in a signal handler. */
void krs_server_stop(krs_server *server);

/* Read keys and certificate again, and call options.reload, soon, on the thread of run. Any thread. */
void krs_server_reload(krs_server *server);

/* Free after run has returned and after the runtime has been freed: until then it may still deliver the
 * end of an answer that was cut. NULL is a no-op. */
void krs_server_free(krs_server *server);
