/* server/server_priv.h - the objects of this folder and who owns which.
 *
 *   krs_server --owns--> krs_io (one per io thread) --owns--> krs_conn --owns--> krs_exchange
 *                                                  \--owns--> krs_stream <--refers-- krs_exchange
 *
 * A stream outlives its exchange when the client goes away: the runtime may still deliver to it until
 * its end event, so the io thread keeps it until then, alone ("orphaned": exchange is NULL).
 *
 * Thread: an io, its connections, exchanges and streams belong to that io's thread; the mailbox is
 * the way in. n_connections, n_body_bytes and n_io_done are atomic counts. */
#pragma once

#include "front/call.h"
#include "os/thread.h"
#include "server/mailbox.h"
#include "server/server.h"
#include "service/generation.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdatomic.h>

#define KRS_CONN_IDLE_MS             75000 /* kept open between requests, as nginx does */
#define KRS_CONN_SHED_MS             3000  /* the same when all places are taken and more wait */
#define KRS_CONN_HEAD_MS             15000 /* from the first byte of a head to its last */
#define KRS_CONN_BODY_MS             60000 /* the whole body */
#define KRS_CONN_WRITE_MS            30000 /* a reader that takes nothing for so long is gone */
#define KRS_CONN_LINGER_MS           2000  /* after our last byte, so that no reset overtakes it */
#define KRS_CONN_LINGER_MAX_MS       30000 /* the same while the peer keeps sending */
#define KRS_CONN_MAX_OUTPUT_BYTES    (1u << 20)  /* not yet taken by its reader: no more is made */
#define KRS_CONN_MAX_PIPELINED_BYTES (64u << 10) /* sent ahead while an answer runs or waits */
#define KRS_SERVER_GRACE_MS          5000 /* from cancelling to leaving without the end events */
#define KRS_SERVER_ACCEPT_PAUSE_MS   100  /* after accept failed, say for want of descriptors */
#define KRS_IO_SCRATCH_CHUNK_BYTES   (16u << 10)
#define KRS_IO_SCRATCH_MAX_BYTES     (64u << 20)  /* unpacked log probabilities of one take */
#define KRS_IO_OUT_MAX_BYTES         (256u << 20) /* one whole answer with log probabilities */

typedef struct krs_io krs_io;
typedef struct krs_conn krs_conn;
typedef struct krs_exchange krs_exchange;
typedef struct krs_stream krs_stream;

struct krs_io {
    krs_server *server;
    struct event_base *base;
    struct event *wake_event;
    struct event *reap_event; /* frees dead connections outside their own callbacks */
    krs_os_thread *thread;
    krs_mailbox mailbox;
    krs_sink sink;
    krs_conn *conns;
    krs_conn *dead;
    krs_stream *streams;
    krs_arena scratch;  /* of one record */
    krs_buf out;        /* of one response; valid until the next use */
    int *sockets;       /* [max_connections] for krs_mailbox_take */
    uint64_t n_batches; /* of events taken so far */
    bool is_draining;
    bool is_done; /* told the server that nothing is left */
};

struct krs_server {
    const krs_alloc *alloc;
    krs_server_options options;
    krs_service *service;
    int listen_fd;
    uint16_t port;
    krs_os_wake stop_wake;
    krs_os_wake done_wake; /* an io thread has nothing left */
    krs_io ios[KRS_SERVER_MAX_IO_THREADS];
    uint32_t n_ios;
    uint32_t next_io;
    _Atomic uint32_t n_connections;
    _Atomic size_t n_body_bytes; /* memory of the bodies of all connections */
    _Atomic uint32_t n_io_done;
};

typedef enum krs_conn_state {
    KRS_CONN_READING,
    KRS_CONN_ANSWERING, /* a request is complete and its response is not */
    KRS_CONN_LINGER,    /* the last byte is on its way; input is dropped */
    KRS_CONN_DEAD,
} krs_conn_state;

struct krs_conn {
    krs_io *io;
    krs_conn *prev;
    krs_conn *next;
    struct bufferevent *bev;
    struct event *timer;
    krs_http_parser parser;
    krs_conn_state state;
    krs_exchange *exchange; /* or NULL */
    uint64_t started_ns;    /* when the request was complete */
    uint64_t idle_ns;       /* when it was opened or the last response was written */
    uint64_t linger_end_ns; /* valid in LINGER */
    size_t n_body_bytes;    /* counted in the server's */
    uint64_t batch;         /* the io's n_batches when backlog_bytes was read */
    size_t backlog_bytes;   /* output the peer had not taken when the batch began */
    int status;             /* sent */
    bool is_keep_alive;
    bool is_chunked;    /* the response */
    bool is_processing; /* inside krs_conn_process: do not enter again */
    bool is_eof;
    char correlation_id[KRS_CORRELATION_ID_BYTES];
};

typedef struct krs_response {
    int status;
    const char *type;  /* Content-Type */
    const char *allow; /* NULL, or the Allow header */
    krs_str body;
} krs_response;

/* io.c */
KRS_MUST_USE krs_status krs_io_init(krs_io *io, krs_server *server, krs_error *err);
void krs_io_deinit(krs_io *io);
/* Abort what is still connected, while the runtime is there to be told. The thread has ended. */
void krs_io_close_conns(krs_io *io);
void krs_io_run(void *io); /* thread body */
void krs_io_forget_conn(krs_conn *conn);

/* conn.c */
void krs_conn_open(krs_io *io, int fd);
void krs_conn_free(krs_conn *conn);
/* Give the connection up at once; its answers are cancelled. It is freed later. */
void krs_conn_abort(krs_conn *conn, krs_cancel_reason reason);
/* Close if nothing is going on, else let the next response be the last. */
void krs_conn_drain(krs_conn *conn);
/* Close if nothing has been going on for KRS_CONN_SHED_MS. */
void krs_conn_shed(krs_conn *conn, uint64_t now_ns);
/* A response has been written: count it, then go on with the connection, or end it. */
void krs_conn_finish(krs_conn *conn);

/* respond.c: each copies what it is given. */
void krs_conn_respond(krs_conn *conn, const krs_response *response);
void krs_conn_respond_error(krs_conn *conn, const krs_error *error);
/* An error that has no status of ours: an HTTP status and a sentence of ours, without quotes. */
void krs_conn_respond_refusal(krs_conn *conn, int status, const char *message, const char *allow);
/* A response of unknown length: head, pieces, end. False: the connection was given up. */
KRS_MUST_USE bool krs_conn_stream_start(krs_conn *conn, const char *type);
KRS_MUST_USE bool krs_conn_stream_write(krs_conn *conn, krs_str bytes);
void krs_conn_stream_end(krs_conn *conn);

/* routes.c: answer the complete request of the parser. */
void krs_routes_dispatch(krs_conn *conn);

/* exchange.c */
/* Start the API call in the parser's body, or answer with its error. */
void krs_exchange_start(krs_conn *conn, krs_call_kind kind);
/* Cancel what runs and free; streams stay with the io thread until their end. */
void krs_exchange_abandon(krs_exchange *exchange, krs_cancel_reason reason);
/* Cancel but go on, so that the client reads why (drain). */
void krs_exchange_cancel(krs_exchange *exchange, krs_cancel_reason reason);
/* Events of a stream have been taken from the mailbox. May free the stream. */
void krs_stream_handle(krs_stream *stream);
void krs_stream_free_all(krs_io *io);
