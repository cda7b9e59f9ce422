/* bench/load/answer.h - the bytes of one HTTP response, taken apart: head, chunks, events.
 *
 *   HEAD --blank line--> SIZE --"1f4"--> DATA --all of it--> BREAK --> SIZE ... --"0"--> TRAILER --> END
 *                   \--Content-Length--> BODY --all of it--> END
 *
 * Events come out one by one, each with its data. Anything that is not exactly HTTP/1.1 with chunks, or not
 * server-sent events with one `data` line, is malformed: a generator that is generous finds no faults.
 *
 * Thread: one owner.  Memory: one buffer, LOAD_ANSWER_MAX_BYTES at most.
 * Source: RFC 9112; the HTML standard's server-sent events. */
#pragma once

#include "base/buf.h"

#define LOAD_ANSWER_MAX_BYTES                                                                      \
    (256u << 10) /* of a head, or of one event, or of a body that tells an error */

typedef enum load_answer_state {
    LOAD_ANSWER_HEAD,
    LOAD_ANSWER_SIZE,
    LOAD_ANSWER_DATA,
    LOAD_ANSWER_BREAK,
    LOAD_ANSWER_TRAILER,
    LOAD_ANSWER_BODY,
    LOAD_ANSWER_END, /* complete; the connection may carry another */
    LOAD_ANSWER_BAD,
} load_answer_state;

typedef struct load_answer {
    load_answer_state state;
    int http_status;      /* 0 before the head is there */
    uint32_t retry_after; /* seconds, of the head */
    bool is_events;       /* Content-Type: text/event-stream */
    bool will_close;      /* Connection: close */
    size_t left;          /* bytes of this chunk or body to come */
    krs_buf raw;          /* not yet understood: part of a head or a line of chunks */
    krs_buf event;        /* body bytes up to the next blank line */
    const char *bad;      /* why LOAD_ANSWER_BAD; static text */
} load_answer;

/* The data of one event (its one `data` line). Returns false to have the rest ignored. */
typedef bool (*load_on_event)(void *ctx, krs_str data);

void load_answer_init(load_answer *a);
void load_answer_deinit(load_answer *a);
/* Ready for the next response; memory is kept. */
void load_answer_reset(load_answer *a);

/* Take bytes that came; events are told as they become whole. Comments (heartbeats) are passed over. */
void load_answer_feed(load_answer *a, krs_str bytes, load_on_event on_event, void *ctx);
