/* front/rpc.h - JSON-RPC as meaning, without descriptors: bytes to calls on the service, events to bytes.
 *
 *   bytes --feed--> messages --method table--> service        carrier: opens streams, wakes, sends
 *   bytes <--output-- replies, notifications <--event-- streams <------/
 *
 * A session is one connection, whatever carries it: standard streams, a Unix socket, a test. All sessions
 * of a thread share a desk, which keeps what outlives a connection: counters, the figures of
 * continuous_generate. Nothing here waits: a load or a batch answers later, out of order, as JSON-RPC allows.
 *
 * Tokens are written straight into the output, several of a stream in one message when they come faster
 * than KRS_RPC_FLUSH_NS; after warm-up that allocates nothing. A stream may be KRS_RPC_WINDOW_TOKENS ahead of
 * what the peer has taken; then it is paused, and nobody else is.
 *
 * Thread: a desk and its sessions belong to one thread; only krs_rpc_carrier.post is called from others.
 * Memory: bounded by the constants below, for each session.
 * Source: the wire contract (docs/rpc.md); JSON-RPC 2.0. */
#pragma once

#include "service/generation.h"
#include "service/models.h"
#include "wire/jsonrpc.h"

#define KRS_RPC_MAX_STREAMS    256u /* open at once in a session: one full batch_generate */
#define KRS_RPC_MAX_UNANSWERED 256u /* requests; the contract's client has 100 at most */
#define KRS_RPC_WINDOW_TOKENS  64u  /* a stream's lead over its reader */
#define KRS_RPC_FLUSH_NS                                                                           \
    UINT64_C(6000000)                    /* tokens wait so long for company; the contract's 6 ms */
#define KRS_RPC_FLUSH_TOKENS 16u         /* of one message, the contract's */
#define KRS_RPC_HIGH_BYTES   (32u << 10) /* unsent output at which no input is read */
#define KRS_RPC_MAX_OUTPUT_BYTES                                                                   \
    (64u << 20)                       /* unsent: replies to KRS_RPC_MAX_UNANSWERED, and windows */
#define KRS_RPC_LINE_BYTES (1u << 20) /* longest message we send, by default */
#define KRS_RPC_TOPICS     16u        /* events.subscribe */

typedef struct krs_rpc_desk krs_rpc_desk;
typedef struct krs_rpc_session krs_rpc_session;
typedef struct krs_rpc_task krs_rpc_task;

/* Work that another thread has finished for a session. The carrier keeps a list of them through next and
 * calls run on the session's thread. */
typedef struct krs_rpc_post krs_rpc_post;
struct krs_rpc_post {
    krs_rpc_post *next;
    void (*run)(krs_rpc_post *post); /* frees the post */
};

/* Who carries a desk's sessions. ctx of open is the session's, that of post the desk's. */
typedef struct krs_rpc_carrier {
    /* As krs_service_generate, with the credit the request names; events go to krs_rpc_event(task).
     * *stream: for the calls below, until its end event. */
    krs_status (*open)(void *ctx, krs_request *request, krs_rpc_task *task, void **stream,
                       krs_error *err);
    void (*cancel)(void *stream, krs_cancel_reason reason); /* the end event still comes */
    void (*drop)(void *stream, krs_cancel_reason reason);   /* cancel, and no more events */
    void (*grant)(void *stream, uint32_t n_tokens);
    void (*post)(void *ctx, krs_rpc_post *post); /* any thread; never fails */
} krs_rpc_carrier;

typedef struct krs_rpc_desk_options {
    krs_service *service; /* borrowed, outlives the desk */
    const krs_rpc_carrier *carrier;
    void *carrier_ctx;          /* of post */
    const char *version;        /* of the program */
    const char *const *trusted; /* [n_trusted] folders that local_path may lie in; borrowed */
    uint32_t n_trusted;         /* 0: anywhere */
    const char *hub_dir;        /* the Hugging Face hub cache, or NULL; borrowed */
    const krs_alloc *alloc;
} krs_rpc_desk_options;

KRS_MUST_USE krs_status krs_rpc_desk_new(const krs_rpc_desk_options *options, krs_rpc_desk **out);
/* Every session is closed, every load has been posted. */
void krs_rpc_desk_free(krs_rpc_desk *desk);

typedef struct krs_rpc_session_options {
    void *carrier_ctx;     /* of open */
    size_t max_line_bytes; /* of what we send, until the client negotiates */
} krs_rpc_session_options;

KRS_MUST_USE krs_status krs_rpc_session_new(krs_rpc_desk *desk,
                                            const krs_rpc_session_options *options,
                                            krs_rpc_session **out);
/* Its streams are dropped; replies still due are not made. */
void krs_rpc_session_free(krs_rpc_session *session);

/* Bytes from the peer. Everything in them is handled; what is only begun is kept. */
void krs_rpc_feed(krs_rpc_session *session, krs_str bytes, uint64_t now_ns);

/* One event of a stream. Views are valid during the call; with is_end the task is gone afterwards. */
void krs_rpc_event(krs_rpc_task *task, const krs_stream_event *event, uint64_t now_ns);

/* Write the tokens that have waited long enough. */
void krs_rpc_flush(krs_rpc_session *session, uint64_t now_ns);
/* When to call that; UINT64_MAX: nothing waits. */
uint64_t krs_rpc_due_ns(const krs_rpc_session *session);

/* What is to be sent; valid until the next call. */
krs_str krs_rpc_output(const krs_rpc_session *session);
/* The first n bytes of it have been taken by the peer (or its socket). */
void krs_rpc_sent(krs_rpc_session *session, size_t n);

/* Should more input be fed now? Not while the peer leaves so much unread. */
bool krs_rpc_is_hungry(const krs_rpc_session *session);
/* Send what is left, then close: shutdown was called, or the output outgrew its bound (then at once). */
bool krs_rpc_is_over(const krs_rpc_session *session);
bool krs_rpc_is_broken(const krs_rpc_session *session);
/* Requests not answered yet (streams are not requests). */
uint32_t krs_rpc_unanswered(const krs_rpc_session *session);
uint32_t krs_rpc_streams(const krs_rpc_session *session);

/* End every stream with finish_reason "shutdown", as the method does. */
void krs_rpc_end_streams(krs_rpc_session *session);
