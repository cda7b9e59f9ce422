/* server/http_parse.c - see http_parse.h.
 *
 * The head is gathered whole before it is looked into: its end is the only thing decided byte by byte,
 * so feeding a request in one piece or in a thousand cannot give two readings. */
#include "server/http_parse.h"

#include "server/http_head.h"

enum { CHUNK_SIZE, CHUNK_DATA, CHUNK_END, CHUNK_TRAILER };

#define CHUNK_SIZE_DIGITS 8 /* hexadecimal; 4 GiB, far above any body limit */

void krs_http_parser_init(krs_http_parser *parser, const krs_alloc *alloc,
                          const krs_http_limits *limits)
{
    *parser = (krs_http_parser){.limits = *limits};
    krs_buf_init(&parser->head, alloc, limits->max_head_bytes);
    krs_buf_init(&parser->body, alloc, limits->max_body_bytes);
}

void krs_http_parser_deinit(krs_http_parser *parser)
{
    krs_buf_deinit(&parser->head);
    krs_buf_deinit(&parser->body);
}

void krs_http_parser_reset(krs_http_parser *parser)
{
    krs_buf_reset(&parser->head);
    if (parser->body.cap > KRS_HTTP_KEEP_BODY_BYTES) {
        krs_buf_deinit(&parser->body); /* one large request must not cost memory for ever */
    }
    krs_buf_reset(&parser->body);
    parser->phase = KRS_HTTP_HEAD;
    parser->request = (krs_http_request){0};
    parser->line_bytes = 0;
    parser->body_left = 0;
    parser->n_trailers = 0;
    parser->n_blank_lines = 0;
    parser->chunk_state = CHUNK_SIZE;
    parser->fail_status = 0;
    parser->fail_text = NULL;
}

void krs_http_parser_drop_body(krs_http_parser *parser)
{
    krs_buf_deinit(&parser->body);
    parser->request.body = KRS_STR("");
}

bool krs_http_parser_is_idle(const krs_http_parser *parser)
{
    return parser->phase == KRS_HTTP_HEAD && parser->head.len == 0;
}

static void fail(krs_http_parser *parser, int status, const char *text)
{
    parser->phase = KRS_HTTP_FAILED;
    parser->fail_status = status;
    parser->fail_text = text;
}

static void finish(krs_http_parser *parser)
{
    parser->request.body = krs_buf_view(&parser->body);
    parser->phase = KRS_HTTP_DONE;
}

static void end_head(krs_http_parser *parser)
{
    krs_http_framing framing;
    const krs_http_refusal refusal = krs_http_head_parse(
        krs_buf_view(&parser->head), &parser->limits, &parser->request, &framing);
    if (refusal.status != 0) {
        fail(parser, refusal.status, refusal.text);
        return;
    }
    parser->request.is_chunked = framing.is_chunked;
    parser->request.has_body = framing.is_chunked || framing.n_body_bytes > 0;
    parser->body_left = framing.n_body_bytes;
    parser->line_bytes = 0;
    parser->phase = KRS_HTTP_BODY;
    if (!parser->request.has_body) {
        finish(parser);
    }
}

/* Is c allowed after what stands in the head so far? Lines end with CRLF and with nothing else. */
static bool head_byte_fits(const krs_buf *head, char c)
{
    const bool is_after_cr = head->len > 0 && head->data[head->len - 1] == '\r';
    if (is_after_cr || c == '\n') {
        return is_after_cr && c == '\n';
    }
    const unsigned char byte = (unsigned char)c;
    return (byte >= 0x20 && byte != 0x7F) || c == '\t' || c == '\r';
}

static void feed_head(krs_http_parser *parser, char c)
{
    krs_buf *head = &parser->head;
    if (!head_byte_fits(head, c)) {
        fail(parser, 400, "The head of the request holds a control character or a bare line end.");
        return;
    }
    const krs_status status = krs_buf_append_char(head, c);
    if (status != KRS_OK) {
        const bool is_first_line = krs_str_find(krs_buf_view(head), KRS_STR("\n"), 0) == SIZE_MAX;
        fail(parser, status == KRS_ENOMEM ? 503 : (is_first_line ? 414 : 431),
             "The head of the request is too large.");
        return;
    }
    if (c != '\n') {
        parser->line_bytes += c != '\r';
        return;
    }
    if (parser->line_bytes > 0) {
        parser->line_bytes = 0;
    } else if (head->len > 2) {
        end_head(parser);
    } else if (++parser->n_blank_lines <= KRS_HTTP_MAX_BLANK_LINES) {
        krs_buf_reset(head); /* an empty line before the request: RFC 9112, 2.2 */
    } else {
        fail(parser, 400, "Too many empty lines before the request.");
    }
}

/* Append to the body; false (and FAILED) when it does not fit. */
static bool take_body(krs_http_parser *parser, const char *bytes, size_t n)
{
    const krs_status status = krs_buf_append(&parser->body, bytes, n);
    if (status == KRS_ETOOLARGE) {
        fail(parser, 413, "The body is larger than this server accepts.");
    } else if (status != KRS_OK) {
        fail(parser, 503, "No memory for the body.");
    }
    return status == KRS_OK;
}

static size_t feed_counted(krs_http_parser *parser, const char *bytes, size_t n)
{
    const size_t take = n < parser->body_left ? n : parser->body_left;
    if (take_body(parser, bytes, take)) {
        parser->body_left -= take;
    }
    return take;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    const char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* "1a;ext=1" to 26. Extensions are dropped, as RFC 9112 7.1.1 has it. */
static void end_chunk_size(krs_http_parser *parser)
{
    const krs_str line = {parser->line, parser->line_bytes};
    size_t value = 0;
    size_t n_digits = 0;
    while (n_digits < line.len && hex_digit(line.ptr[n_digits]) >= 0) {
        if (n_digits == CHUNK_SIZE_DIGITS) {
            fail(parser, 413, "A chunk is larger than this server accepts.");
            return;
        }
        value = value * 16 + (size_t)hex_digit(line.ptr[n_digits++]);
    }
    if (n_digits == 0 || (n_digits < line.len && line.ptr[n_digits] != ';')) {
        fail(parser, 400, "A chunk must start with its size in hexadecimal.");
        return;
    }
    if (value > parser->limits.max_body_bytes - parser->body.len) {
        fail(parser, 413, "The body is larger than this server accepts.");
        return;
    }
    parser->body_left = value;
    parser->chunk_state = value > 0 ? CHUNK_DATA : CHUNK_TRAILER;
}

static void end_trailer(krs_http_parser *parser)
{
    if (parser->line_bytes == 0) {
        finish(parser);
    } else if (++parser->n_trailers > KRS_HTTP_MAX_TRAILERS) {
        fail(parser, 431, "Too many trailer lines.");
    }
}

static void end_chunk_line(krs_http_parser *parser)
{
    if (parser->chunk_state == CHUNK_SIZE) {
        end_chunk_size(parser);
    } else if (parser->chunk_state == CHUNK_TRAILER) {
        end_trailer(parser);
    } else if (parser->line_bytes > 0) {
        fail(parser, 400, "A chunk is longer than its size says.");
    } else {
        parser->chunk_state = CHUNK_SIZE;
    }
    parser->line_bytes = 0;
}

/* One byte of a line between chunks. The CR is kept in the line until its LF comes. */
static void feed_chunk_line(krs_http_parser *parser, char c)
{
    const bool is_after_cr = parser->line_bytes > 0 && parser->line[parser->line_bytes - 1] == '\r';
    if (is_after_cr != (c == '\n') || c == '\0') {
        fail(parser, 400, "The lines between chunks must end with CR LF.");
    } else if (is_after_cr) {
        parser->line_bytes--;
        end_chunk_line(parser);
    } else if (parser->line_bytes == sizeof(parser->line)) {
        fail(parser, 431, "A line between chunks is too long.");
    } else {
        parser->line[parser->line_bytes++] = c;
    }
}

static size_t feed_chunked(krs_http_parser *parser, const char *bytes, size_t n)
{
    if (parser->chunk_state != CHUNK_DATA) {
        feed_chunk_line(parser, bytes[0]);
        return 1;
    }
    const size_t used = feed_counted(parser, bytes, n);
    if (parser->body_left == 0) {
        parser->chunk_state = CHUNK_END;
    }
    return used;
}

static size_t feed_body(krs_http_parser *parser, const char *bytes, size_t n)
{
    if (parser->request.is_chunked) {
        return feed_chunked(parser, bytes, n);
    }
    const size_t used = feed_counted(parser, bytes, n);
    if (parser->phase == KRS_HTTP_BODY && parser->body_left == 0) {
        finish(parser);
    }
    return used;
}

size_t krs_http_feed(krs_http_parser *parser, const char *bytes, size_t n)
{
    const krs_http_phase phase = parser->phase;
    size_t used = 0;
    while (used < n && parser->phase == phase && phase <= KRS_HTTP_BODY) {
        if (phase == KRS_HTTP_HEAD) {
            feed_head(parser, bytes[used++]);
        } else {
            used += feed_body(parser, bytes + used, n - used);
        }
    }
    return used;
}
