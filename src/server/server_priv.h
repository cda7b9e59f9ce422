/* server/server_priv.h - the objects of this folder and who owns which.
 *
 *   krs_server --owns--> krs_listener
 *        \--owns--> krs_io (one per io thread) --owns--> krs_peer: krs_conn (HTTP) --owns--> krs_exchange
 *                                             \--owns--> krs_stream <--refers-- krs_exchange
 *
 * A peer is a connection of whatever protocol, as its io thread sees it; krs_conn is the HTTP one. A stream
 * outlives its exchange when the client goes away (stream.h).
 *
 * Thread: an io, its peers, exchanges and streams belong to that io's thread; the mailbox is
 * the way in. n_connections, n_body_bytes and n_io_done are atomic counts. */
#pragma once

#include "front/call.h"
#include "os/thread.h"
#include "server/listener.h"
#include "server/mailbox.h"
#include "server/rpc_peer.h"
#include "server/server.h"
#include "server/stream.h"
#include "service/access.h"
#include "wire/gzip_stream.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdatomic.h>

#define KRS_SERVER_MAX_LISTENERS     4
#define KRS_CONN_SHED_MS             3000  /* idle, when all places are taken and more wait */
#define KRS_CONN_LINGER_MS           2000  /* after our last byte, so that no reset overtakes it */
#define KRS_CONN_LINGER_MAX_MS       30000 /* the same while the peer keeps sending */
#define KRS_CONN_MAX_OUTPUT_BYTES    (1u << 20) /* not yet taken by its reader: no request is read */
#define KRS_CONN_MAX_PIPELINED_BYTES (64u << 10)  /* sent ahead while an answer runs or waits */
#define KRS_CONN_KEEP_OUT_BYTES      (64u << 10)  /* of out, kept between answers */
#define KRS_CONN_MAX_OUT_BYTES       (256u << 20) /* one whole answer with log probabilities */
/* Unsent output at which a stream's reader is behind, and at which it has caught up: some two hundred
 * events, and a tenth of a round trip at a gigabit. */
#define KRS_CONN_HIGH_BYTES (64u << 10)
#define KRS_CONN_LOW_BYTES  (16u << 10)
/* Unsent output that no credit explains: a window of tokens with 20 log probabilities each, 16 choices. */
#define KRS_CONN_CAP_BYTES         (16u << 20)
#define KRS_CONN_UNSENT_BYTES      (64 << 10) /* what the system may hold beside that */
#define KRS_SERVER_GRACE_MS        5000 /* from cancelling to leaving without the end events */
#define KRS_SERVER_ACCEPT_PAUSE_MS 100  /* after accept failed, say for want of descriptors */
#define KRS_IO_SCRATCH_CHUNK_BYTES (16u << 10)
#define KRS_IO_SCRATCH_MAX_BYTES                                                                   \
    (256u << 20)                          /* one unpacked event; ids and pieces of a whole body */
#define KRS_IO_OUT_MAX_BYTES (257u << 20) /* one whole answer with its head */

typedef struct krs_io krs_io;
typedef struct krs_peer krs_peer;
typedef struct krs_conn krs_conn;
typedef struct krs_exchange krs_exchange;

/* What an io thread does with a peer, whatever it speaks. */
typedef struct krs_peer_ops {
    /* Close if nothing is going on, else let the next answer be the last. */
    void (*drain)(krs_peer *peer);
    /* Close if nothing has been going on for KRS_CONN_SHED_MS. */
    void (*shed)(krs_peer *peer, uint64_t now_ns);
    /* The drain has taken too long: cancel what runs, and say so; give up when nothing does. */
    void (*cancel)(krs_peer *peer);
    /* Give it up at once; must lead to krs_io_forget. */
    void (*abort)(krs_peer *peer, krs_cancel_reason reason);
    /* All events of a take have been read: send what they made. Only after krs_io_touch. */
    void (*flush)(krs_peer *peer);
    void (*free)(krs_peer *peer);
} krs_peer_ops;

/* First member of every connection. */
struct krs_peer {
    const krs_peer_ops *ops;
    krs_io *io;
    const krs_listener *listener;
    krs_peer *prev;
    krs_peer *next;
    krs_peer *next_touched;
    bool is_touched;
};

struct krs_io {
    krs_server *server;
    struct event_base *base;
    struct event *wake_event;
    struct event *reap_event; /* frees dead peers outside their own callbacks */
    krs_os_thread *thread;
    krs_mailbox mailbox;
    krs_sink sink;
    struct krs_rpc_hub *rpc; /* what its JSON-RPC connections share; or NULL */
    krs_peer *peers;
    krs_peer *dead;
    krs_peer *touched; /* to be flushed after this take */
    krs_stream *streams;
    krs_arena scratch;     /* of one record */
    krs_buf out;           /* of one response; valid until the next use */
    krs_buf wire;          /* what is being sent; valid until the next use */
    krs_buf zipped;        /* the same, compressed */
    krs_accepted *sockets; /* [max_connections] for krs_mailbox_take */
    bool is_draining;
    bool is_done; /* told the server that nothing is left */
};

struct krs_server {
    const krs_alloc *alloc;
    krs_server_options options;
    krs_service *service;
    krs_tls *tls; /* or NULL */
    krs_listener listeners[KRS_SERVER_MAX_LISTENERS];
    uint32_t n_listeners;
    krs_os_wake stop_wake;
    krs_os_wake reload_wake;
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

/* An HTTP connection. */
struct krs_conn {
    krs_peer peer; /* first */
    krs_io *io;
    struct bufferevent *bev;
    struct ssl_st *ssl; /* bev's; NULL: no TLS */
    struct event *timer;
    krs_http_parser parser;
    krs_conn_state state;
    krs_exchange *exchange; /* or NULL */
    uint64_t started_ns;    /* when the request was complete */
    uint64_t idle_ns;       /* when it was opened or the last response was written */
    uint64_t linger_end_ns; /* valid in LINGER */
    uint64_t sent_ns;       /* when a stream was last written to */
    size_t n_body_bytes;    /* counted in the server's */
    krs_buf out;            /* payload of the response, made and not yet framed */
    krs_gzip_stream *gzip;  /* of the streamed response; NULL: as it is */
    int status;             /* sent */
    bool is_keep_alive;
    bool is_chunked;    /* the response */
    bool is_processing; /* inside krs_conn_process: do not enter again */
    bool is_eof;
    bool is_behind;     /* its reader is above the high mark and not yet below the low one */
    bool is_patient;    /* what is unsent belongs to a stream: stall_ms, not write_ms */
    bool has_origin;    /* the page at `origin` may read the answer */
    krs_call_kind kind; /* of the route: in whose shape errors are */
    krs_access access;
    krs_trace trace;
    char ignored[KRS_CALL_IGNORED_BYTES]; /* fields of the request without effect */
    char correlation_id[KRS_CORRELATION_ID_BYTES];
};

typedef struct krs_response {
    int status;
    const char *type;        /* Content-Type */
    const char *allow;       /* NULL, or the Allow header */
    uint32_t retry_after_ms; /* with 429 and 503; 0: not known */
    krs_str headers;         /* more lines, each with its CR LF */
    krs_str body;
} krs_response;

/* io.c */
KRS_MUST_USE krs_status krs_io_init(krs_io *io, krs_server *server, krs_error *err);
void krs_io_deinit(krs_io *io);
/* Abort what is still connected, while the runtime is there to be told. The thread has ended. */
void krs_io_close_peers(krs_io *io);
void krs_io_run(void *io); /* thread body */
/* A new peer, with ops and listener set: the io owns it from now on. */
void krs_io_adopt(krs_io *io, krs_peer *peer);
/* A peer is dead: it is freed soon, outside every callback of its own. */
void krs_io_forget(krs_peer *peer);
/* Call ops->flush when all events of this take have been read. */
void krs_io_touch(krs_peer *peer);

/* conn.c */
void krs_conn_open(krs_io *io, krs_accepted *accepted);
/* Give the connection up at once; its answers are cancelled. It is freed later. */
void krs_conn_abort(krs_conn *conn, krs_cancel_reason reason);
/* A response has been written: count it, then go on with the connection, or end it. */
void krs_conn_finish(krs_conn *conn);
/* Look at the clock again in ms. */
void krs_conn_arm(krs_conn *conn, uint32_t ms);

/* output.c: bytes to the socket. */
/* Send, or queue what the socket does not take now. False: the connection was given up. */
KRS_MUST_USE bool krs_conn_send(krs_conn *conn, krs_str bytes);
/* Unsent bytes. */
size_t krs_conn_unsent(const krs_conn *conn);
/* Send the payload in out as the next piece of a streamed response, after its head when that has not been
 * sent; is_last: and its end. False: the connection was given up. */
KRS_MUST_USE bool krs_conn_stream_send(krs_conn *conn, bool has_head, bool is_last);
/* The reader has taken something, or been given something: may its streams go on? */
void krs_conn_settle(krs_conn *conn);
/* How long may the reader take nothing? */
void krs_conn_set_patience(krs_conn *conn, bool is_patient);
uint32_t krs_conn_write_ms(const krs_conn *conn);

/* respond.c: each copies what it is given. */
void krs_conn_respond(krs_conn *conn, const krs_response *response);
/* The body is io->out, unless status says that it could not be made. */
void krs_conn_respond_out(krs_conn *conn, krs_status status, int http, const char *type);
void krs_conn_respond_error(krs_conn *conn, const krs_error *error);
/* An error that has no status of ours: an HTTP status and a sentence of ours, without quotes. */
void krs_conn_respond_refusal(krs_conn *conn, int status, const char *message, const char *allow);
/* The head of a streamed response into io->wire. */
KRS_MUST_USE krs_status krs_conn_stream_head(krs_conn *conn, krs_buf *out);

/* gate.c: who may come in. False: the answer has been given. */
KRS_MUST_USE bool krs_gate_pass(krs_conn *conn, bool is_open, bool needs_admin);
/* May the request, of which the head is there, send its body? Strangers may not when there are keys. */
bool krs_gate_takes_body(const krs_conn *conn);
/* Is this an API call of a page elsewhere that asks first? Then it has been answered. */
KRS_MUST_USE bool krs_gate_preflight(krs_conn *conn, const char *allow);
/* One call of the tenant: within its rate? */
KRS_MUST_USE bool krs_gate_spend(krs_conn *conn);
/* Headers for the page that asked. */
KRS_MUST_USE krs_status krs_gate_origin_headers(const krs_conn *conn, krs_buf *out);

/* routes.c: answer the complete request of the parser. */
void krs_routes_dispatch(krs_conn *conn);

/* status_routes.c, admin_routes.c: handlers. */
void krs_route_models(krs_conn *conn);
void krs_route_model(krs_conn *conn);
void krs_route_live(krs_conn *conn);
void krs_route_ready(krs_conn *conn);
void krs_route_metrics(krs_conn *conn);
void krs_route_version(krs_conn *conn);
void krs_route_admin_models(krs_conn *conn);
void krs_route_admin_load(krs_conn *conn);
void krs_route_admin_unload(krs_conn *conn);
void krs_route_admin_drain(krs_conn *conn);
void krs_route_admin_reload(krs_conn *conn);

/* exchange.c */
/* Start the API call in the parser's body, or answer with its error. */
void krs_exchange_start(krs_conn *conn, krs_call_kind kind);
/* Cancel what runs and free; streams stay with the io thread until their end. */
void krs_exchange_abandon(krs_exchange *exchange, krs_cancel_reason reason);
/* Cancel but go on, so that the client reads why (drain). */
void krs_exchange_cancel(krs_exchange *exchange, krs_cancel_reason reason);
/* Bring what the answer has written to the client, and end the exchange when the answer has ended. */
void krs_exchange_flush(krs_exchange *exchange);
/* The reader has caught up: its streams may go on. */
void krs_exchange_settle(krs_exchange *exchange);
/* The timer of an answering connection: an idle stream says that it is there. */
void krs_exchange_tick(krs_exchange *exchange);
