/* server/mailbox.h - what other threads leave for an io thread.
 *
 *   engine thread --deliver--> [ ready streams, each with its packed events ] \
 *   main thread  --sockets---> [ accepted connections ]                        +--take--> io thread
 *   main thread  --commands--> [ bits ]                                       /   (one wake per batch)
 *
 * Bounded without ever losing the end of a stream: events wait in their own stream's buffer under a
 * ceiling, ends in a field of the stream, and the list of ready streams runs through the streams
 * themselves. A queue of messages could be full when an end arrives; this cannot.
 *
 * Thread: deliver, push and command from any thread; take by the owner. One leaf lock, held for
 * copies and pointer swaps only.  Memory: buffers grow to their ceiling and are reused. */
#pragma once

#include "api/runtime.h"
#include "base/buf.h"
#include "os/thread.h"
#include "os/wake.h"

/* Packed events an io thread may be behind with: a stream's credit bounds them to far less; an answer
 * that comes whole (token ids of a large body) needs it all. */
#define KRS_STREAM_MAX_PENDING_BYTES (64u << 20)

/* The half of a stream that crosses threads; the owner embeds it as first member. */
typedef struct krs_inbox krs_inbox;
struct krs_inbox {
    krs_inbox *next_ready; /* under the lock */
    krs_inbox *next_taken; /* the owner's: list of this take */
    krs_buf pending;       /* under the lock: packed events since the last take */
    krs_buf taken;         /* the owner's: packed events of this take */
    krs_status
        lost_taken;    /* the owner's: not KRS_OK: events did not fit; what follows is worthless */
    bool is_end_taken; /* the owner's: nothing comes after; the fields below are valid */
    bool has_tokens;   /* immutable: pack tokens too */
    bool is_ready;     /* under the lock */
    krs_status lost;   /* under the lock: why events did not fit */
    bool has_end;      /* under the lock */
    krs_finish finish;
    krs_usage usage;
    krs_error error;
};

typedef enum krs_mailbox_command {
    KRS_MAILBOX_DRAIN = 1, /* finish what runs, close what idles */
    KRS_MAILBOX_CANCEL = 2,
    KRS_MAILBOX_QUIT = 4,
    KRS_MAILBOX_SHED = 8, /* all places are taken: close what idles longest */
} krs_mailbox_command;

/* A connection just accepted: ownership of the descriptor moves with it. */
typedef struct krs_accepted {
    int fd;
    const struct krs_listener *listener; /* where; outlives the io thread */
    struct ssl_st *ssl;                  /* owned; NULL: no TLS */
} krs_accepted;

typedef struct krs_mailbox {
    krs_os_mutex *mutex;
    krs_os_wake wake;
    krs_inbox *first_ready; /* oldest first */
    krs_inbox *last_ready;
    uint32_t commands;
    krs_accepted *sockets; /* [max_sockets], n_sockets waiting */
    uint32_t n_sockets;
    uint32_t max_sockets;
    const krs_alloc *alloc;
} krs_mailbox;

/* What take found; sockets [n_sockets] were copied to the caller's array. */
typedef struct krs_mailbox_batch {
    krs_inbox *first; /* list by next_taken; read that before freeing a stream */
    uint32_t commands;
    uint32_t n_sockets;
} krs_mailbox_batch;

/* max_sockets: accepted connections that may wait. Errors: KRS_ENOMEM, KRS_EIO. */
KRS_MUST_USE krs_status krs_mailbox_init(krs_mailbox *mailbox, uint32_t max_sockets,
                                         const krs_alloc *alloc, krs_error *err);
/* Sockets that nobody took are closed. */
void krs_mailbox_deinit(krs_mailbox *mailbox);

/* max_bytes: of packed events that nobody has taken yet. */
void krs_inbox_init(krs_inbox *inbox, bool has_tokens, size_t max_bytes, const krs_alloc *alloc);
void krs_inbox_deinit(krs_inbox *inbox);

/* The sink of this mailbox: ctx is the mailbox, each event's user its krs_inbox. */
void krs_mailbox_deliver(void *mailbox, const krs_stream_event *events, uint32_t n);

/* False when max_sockets wait already; the socket stays the caller's then. */
KRS_MUST_USE bool krs_mailbox_push_socket(krs_mailbox *mailbox, const krs_accepted *accepted);
void krs_mailbox_command_set(krs_mailbox *mailbox, krs_mailbox_command command);

/* Empty the mailbox. sockets: [max_sockets]. */
krs_mailbox_batch krs_mailbox_take(krs_mailbox *mailbox, krs_accepted *sockets);
