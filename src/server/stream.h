/* server/stream.h - one answer of the runtime on its way to one io thread, whatever protocol reads it.
 *
 *   runtime --mailbox--> krs_stream --add, once per event--> its reader --done, once per take-->
 *                            \--reader gone: kept, unread, until the end event has come
 *
 * The runtime may deliver to a stream until its end event, so the io thread keeps it until then even when
 * nobody reads it any more. What the reader has been given is granted back to the runtime when the reader says
 * that the peer has taken it: that is how a peer that stops reading pauses its own answer.
 *
 * Thread: the io thread's.  Memory: the server's allocator; buffers are reused for the stream's life. */
#pragma once

#include "server/mailbox.h"
#include "service/generation.h"

struct krs_io;
typedef struct krs_stream krs_stream;

/* Who reads a stream. */
typedef struct krs_stream_reader {
    /* One event; views are valid during the call. Not OK: the answer can not go on (see done). */
    krs_status (*add)(void *ctx, uint32_t index, const krs_stream_event *event);
    /* Every event of this take has been added, or status says why not. is_over: the stream is freed when this
     * returns. May give the stream up. */
    void (*done)(void *ctx, uint32_t index, krs_status status, bool is_over);
} krs_stream_reader;

struct krs_stream {
    krs_inbox inbox; /* first: the sink's user pointer is the stream */
    struct krs_io *io;
    krs_stream *prev;
    krs_stream *next;
    const krs_stream_reader *reader; /* NULL: nobody reads any more */
    void *ctx;                       /* the reader's */
    uint32_t index;                  /* the reader's: which of its streams */
    uint32_t n_owed;                 /* tokens given to the reader and not granted back */
    uint32_t window;                 /* the credit it began with */
    krs_generation generation;
};

typedef struct krs_stream_options {
    const krs_stream_reader *reader; /* static */
    void *ctx;
    uint32_t index;
    uint32_t window; /* credit; KRS_CREDIT_UNLIMITED: none is kept */
    bool has_tokens; /* the reader wants the events' tokens, not their number alone */
} krs_stream_options;

/* Hand the request to the service; taken on success only. Errors: KRS_ENOMEM, and those of
 * krs_service_generate. */
KRS_MUST_USE krs_status krs_stream_open(struct krs_io *io, krs_request *request,
                                        const krs_stream_options *options, krs_stream **out,
                                        krs_error *err);

/* End it within one step; the end event is still read. */
void krs_stream_cancel(krs_stream *stream, krs_cancel_reason reason);

/* Nobody reads it any more: cancel, and keep it until its end. */
void krs_stream_give_up(krs_stream *stream, krs_cancel_reason reason);

/* The peer has taken what was given to the reader: let the runtime go on. Grants half a window at a time,
 * for a grant may wake the engine. */
void krs_stream_settle(krs_stream *stream);

/* The mailbox has given events of it. May free the stream. */
void krs_stream_take(krs_inbox *inbox);

void krs_stream_free_all(struct krs_io *io);
