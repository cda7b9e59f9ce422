/* server/http_parse.h - HTTP/1.1 requests out of bytes, strictly and within limits.
 *
 *   HEAD --blank line--> BODY --last byte--> DONE        any of them --bad byte--> FAILED
 *
 * A pure machine over bytes: no socket, no clock, so it can be fuzzed and fed one byte at a time. What
 * two parsers could read differently is refused, not repaired: bare CR or LF, folded headers, spaces
 * before a colon, two lengths, a length beside chunked coding, a transfer coding other than chunked.
 * That is what keeps a proxy in front of us from being fooled about where a request ends.
 * Deliberately absent: trailers (read, bounded, dropped), chunk extensions (same), upgrades, CONNECT.
 *
 * Thread: one owner.  Memory: head and body buffers, bounded by the limits; kept between requests.
 * Source: RFC 9110, RFC 9112. */
#pragma once

#include "base/buf.h"
#include "base/str.h"

#define KRS_HTTP_MAX_HEAD_BYTES                                                                    \
    (32u << 10) /* request line and headers; browsers send under 8 KiB */
#define KRS_HTTP_MAX_HEADERS      100
#define KRS_HTTP_MAX_TARGET_BYTES (8u << 10)  /* RFC 9112 asks for 8000 at least */
#define KRS_HTTP_MAX_BODY_BYTES   (16u << 20) /* default; a chat of a million tokens is some 5 MiB */
#define KRS_HTTP_MAX_LINE_BYTES   1024        /* a chunk size with extensions, a trailer */
#define KRS_HTTP_MAX_TRAILERS     32
#define KRS_HTTP_MAX_BLANK_LINES                                                                   \
    8 /* before a request: RFC 9112 asks for one; more only buys time */
#define KRS_HTTP_KEEP_BODY_BYTES (64u << 10) /* body memory kept between requests */

typedef struct krs_http_limits {
    size_t max_head_bytes;
    size_t max_body_bytes;
} krs_http_limits;

typedef enum krs_http_phase {
    KRS_HTTP_HEAD,
    KRS_HTTP_BODY,
    KRS_HTTP_DONE,
    KRS_HTTP_FAILED,
} krs_http_phase;

typedef struct krs_http_header {
    krs_str name; /* as sent; compare without case */
    krs_str value;
} krs_http_header;

/* One request; views into the parser, valid until the next _reset. */
typedef struct krs_http_request {
    krs_str method;
    krs_str path;  /* without the query; as sent, not percent-decoded */
    krs_str query; /* after '?', may be empty */
    int minor_version;
    krs_http_header headers[KRS_HTTP_MAX_HEADERS];
    uint32_t n_headers;
    krs_str body;
    bool is_keep_alive;    /* may another request follow? */
    bool expects_continue; /* the client waits for "100 Continue" before the body */
    bool is_chunked;
    bool has_body; /* a length above 0, or chunked */
} krs_http_request;

typedef struct krs_http_parser {
    krs_http_phase phase;
    krs_http_limits limits;
    krs_buf head;
    krs_buf body;
    krs_http_request request;
    size_t line_bytes;                  /* of the line being read */
    char line[KRS_HTTP_MAX_LINE_BYTES]; /* a chunk size or trailer line */
    size_t body_left;                   /* of the body, or of the chunk */
    uint32_t n_trailers;
    uint32_t n_blank_lines; /* before the request */
    int chunk_state;        /* private */
    int fail_status;        /* HTTP status of the refusal, in FAILED */
    const char *fail_text;  /* one sentence, static */
} krs_http_parser;

void krs_http_parser_init(krs_http_parser *parser, const krs_alloc *alloc,
                          const krs_http_limits *limits);
void krs_http_parser_deinit(krs_http_parser *parser);

/* Ready for the next request. */
void krs_http_parser_reset(krs_http_parser *parser);

/* Read some of bytes[n]; returns how many were used. Stops early when the phase changes, so that the
 * caller sees a complete head before the body is asked for. In DONE and FAILED nothing is used. */
size_t krs_http_feed(krs_http_parser *parser, const char *bytes, size_t n);

/* Give up the body's memory once it has been read; the request's body view is empty after. */
void krs_http_parser_drop_body(krs_http_parser *parser);

/* Has anything of a request arrived? (An idle connection may be closed without a word.) */
bool krs_http_parser_is_idle(const krs_http_parser *parser);

/* The first header called name (lower case), or an empty view with ptr NULL. */
krs_str krs_http_header_of(const krs_http_request *request, const char *name);

/* Is `token` (lower case) a member of this comma list? */
bool krs_http_list_has(krs_str list, const char *token);

/* Does this Accept-Encoding list ask for gzip, or at least not refuse it? Naming it is asking. */
bool krs_http_accepts_gzip(krs_str list);
