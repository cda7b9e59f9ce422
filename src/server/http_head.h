/* server/http_head.h - the text of a request head to its parts. Half of http_parse.h, kept apart
 * because it works on a whole head and needs no state.
 *
 * Thread: any; pure.  Memory: fills views into head. */
#pragma once

#include "server/http_parse.h"

typedef struct krs_http_refusal {
    int status; /* 0: accepted */
    const char *text;
} krs_http_refusal;

/* What the head says about the body. */
typedef struct krs_http_framing {
    size_t n_body_bytes;
    bool is_chunked;
} krs_http_framing;

/* head: every byte up to and including the blank line, lines ended by CRLF, no other controls than
 * TAB (the caller saw to that). Fills request and framing, or says why not. */
krs_http_refusal krs_http_head_parse(krs_str head, const krs_http_limits *limits,
                                     krs_http_request *request, krs_http_framing *framing);

/* Is c allowed in a token (method, header name)? RFC 9110, 5.6.2. */
bool krs_http_is_token_char(char c);
