/* bench/load/event.h - one event of an answer, read strictly and by its own code.
 *
 * The generator judges the server, so it does not parse with the server's parser. One pass, no tree: every
 * event is checked to be whole, valid JSON in valid UTF-8, and the few members that a client needs are taken
 * out on the way. That costs about a microsecond, which leaves the core to the server.
 *
 * Thread: any.  Memory: the caller's buffer.  Source: RFC 8259; OpenAI's chat.completion.chunk. */
#pragma once

#include "base/buf.h"

#define LOAD_FINISH_BYTES 24 /* "content_filter" is the longest of OpenAI's */

typedef struct load_event {
    bool is_done;                   /* data: [DONE] */
    bool is_error;                  /* it has an "error" */
    size_t n_text;                  /* bytes that were appended to text */
    char finish[LOAD_FINISH_BYTES]; /* "" when null or absent */
    bool has_usage;
    uint32_t n_tokens; /* usage.completion_tokens */
} load_event;

/* Read the data of one event; its delta's content (or a completion's text) is appended to text.
 * Errors: KRS_EFORMAT (not one valid JSON object), KRS_ENOMEM. */
KRS_MUST_USE krs_status load_event_read(krs_str data, load_event *out, krs_buf *text);
