/* server/respond.c - responses as bytes: heads, bodies, errors.
 *
 * Every response says when it was made, whom it belongs to (X-Request-Id), which span of which trace it is
 * (traceparent), which fields of the request had no effect, and whether the connection goes on. Errors are
 * JSON in the shape of the API that was called on every path, so a client has one thing to parse. */
#include "server/server_priv.h"

#define ERROR_BODY_BYTES 4096       /* an error of 256 bytes, escaped, and what stands around it */
#define KEEP_WIRE_BYTES  (1u << 20) /* of io->wire, kept between responses */
#define DEFAULT_RETRY_MS 1000       /* when nobody knows better */
#define MAX_RETRY_S      3600

typedef struct reason {
    int status;
    const char *text;
    const char *code; /* of the error object, when nothing better is known */
} reason;

static const reason reasons[] = {
    {200, "OK", ""},
    {202, "Accepted", ""},
    {204, "No Content", ""},
    {400, "Bad Request", "bad_request"},
    {401, "Unauthorized", "invalid_api_key"},
    {403, "Forbidden", "not_allowed"},
    {404, "Not Found", "not_found"},
    {405, "Method Not Allowed", "method_not_allowed"},
    {408, "Request Timeout", "request_timeout"},
    {409, "Conflict", "conflict"},
    {413, "Content Too Large", "too_large"},
    {414, "URI Too Long", "too_large"},
    {415, "Unsupported Media Type", "unsupported_media_type"},
    {417, "Expectation Failed", "expectation_failed"},
    {422, "Unprocessable Content", "unsupported"},
    {429, "Too Many Requests", "queue_full"},
    {431, "Request Header Fields Too Large", "too_large"},
    {499, "Client Closed Request", "cancelled"},
    {500, "Internal Server Error", "internal"},
    {501, "Not Implemented", "not_implemented"},
    {503, "Service Unavailable", "unavailable"},
    {504, "Gateway Timeout", "deadline"},
    {505, "HTTP Version Not Supported", "http_version"},
};

static reason reason_of(int status)
{
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (reasons[i].status == status) {
            return reasons[i];
        }
    }
    return (reason){status, "Error", "error"};
}

/* Names of JSON fields may hold anything; a header may not. */
static krs_status add_ignored(const char *names, krs_buf *out)
{
    krs_status status = krs_buf_append_str(out, KRS_STR("X-Krs-Ignored-Fields: "));
    for (const char *c = names; status == KRS_OK && *c; c++) {
        status = krs_buf_append_char(out, *c >= ' ' && *c < 0x7F ? *c : '?');
    }
    return status == KRS_OK ? krs_buf_append_str(out, KRS_STR("\r\n")) : status;
}

/* Status line and the headers that every response has; the blank line is still to come. */
static krs_status add_head(krs_conn *conn, int status, krs_buf *out)
{
    char date[64];
    char trace[KRS_TRACEPARENT_BYTES];
    (void)evutil_date_rfc1123(date, sizeof(date), NULL);
    krs_trace_write(&conn->trace, trace);
    conn->status = status;
    krs_status good = krs_buf_printf(out,
                                     "HTTP/1.1 %d %s\r\nDate: %s\r\nX-Request-Id: %s\r\n"
                                     "traceparent: %s\r\nConnection: %s\r\n"
                                     "X-Content-Type-Options: nosniff\r\n",
                                     status, reason_of(status).text, date, conn->correlation_id,
                                     trace, conn->is_keep_alive ? "keep-alive" : "close");
    if (good == KRS_OK &&
        (conn->kind == KRS_CALL_MESSAGES || conn->kind == KRS_CALL_COUNT_TOKENS)) {
        good =
            krs_buf_printf(out, "request-id: %s\r\n", conn->correlation_id); /* Anthropic's name */
    }
    if (good == KRS_OK && conn->ignored[0]) {
        good = add_ignored(conn->ignored, out);
    }
    return good == KRS_OK && conn->has_origin ? krs_gate_origin_headers(conn, out) : good;
}

static krs_status add_retry(const krs_response *response, krs_buf *out)
{
    if (response->status != 429 && response->status != 503) {
        return KRS_OK;
    }
    const uint32_t ms = response->retry_after_ms ? response->retry_after_ms : DEFAULT_RETRY_MS;
    const uint32_t s = ms / 1000 + (ms % 1000 != 0);
    return krs_buf_printf(out, "Retry-After: %u\r\n", s < MAX_RETRY_S ? s : MAX_RETRY_S);
}

static krs_status add_extra_headers(const krs_response *response, krs_buf *out)
{
    krs_status status =
        response->allow ? krs_buf_printf(out, "Allow: %s\r\n", response->allow) : KRS_OK;
    if (status == KRS_OK && response->status == 401) {
        status = krs_buf_append_str(out, KRS_STR("WWW-Authenticate: Bearer\r\n"));
    }
    if (status == KRS_OK) {
        status = add_retry(response, out);
    }
    if (status == KRS_OK) {
        status = krs_buf_append_str(out, response->headers);
    }
    if (status == KRS_OK && response->status != 204) {
        status = krs_buf_printf(out, "Content-Type: %s\r\nContent-Length: %zu\r\n", response->type,
                                response->body.len);
    }
    return status;
}

static bool is_head_request(const krs_conn *conn)
{
    return krs_str_equal(conn->parser.request.method, KRS_STR("HEAD"));
}

static krs_status add_response(krs_conn *conn, const krs_response *response, krs_buf *out)
{
    krs_status status = add_head(conn, response->status, out);
    if (status == KRS_OK) {
        status = add_extra_headers(response, out);
    }
    if (status == KRS_OK) {
        status = krs_buf_append_str(out, KRS_STR("\r\n"));
    }
    return status == KRS_OK && !is_head_request(conn) ? krs_buf_append_str(out, response->body)
                                                      : status;
}

void krs_conn_respond(krs_conn *conn, const krs_response *response)
{
    krs_buf *wire = &conn->io->wire;
    krs_buf_reset(wire);
    if (add_response(conn, response, wire) != KRS_OK) {
        krs_conn_abort(conn, KRS_CANCEL_GONE); /* no memory, not even to say so */
        return;
    }
    const bool is_sent = krs_conn_send(conn, krs_buf_view(wire));
    if (wire->cap > KEEP_WIRE_BYTES) {
        krs_buf_deinit(wire); /* one large answer must not cost memory for ever */
    }
    if (is_sent) {
        krs_conn_finish(conn);
    }
}

void krs_conn_respond_out(krs_conn *conn, krs_status status, int http, const char *type)
{
    if (status != KRS_OK) {
        krs_error err = KRS_ERROR_INIT;
        (void)krs_fail(&err, status, "no memory for the response");
        krs_conn_respond_error(conn, &err);
        return;
    }
    const krs_response response = {
        .status = http, .type = type, .body = krs_buf_view(&conn->io->out)};
    krs_conn_respond(conn, &response);
}

void krs_conn_respond_error(krs_conn *conn, const krs_error *error)
{
    krs_buf body;
    krs_buf_init(&body, conn->io->server->alloc, ERROR_BODY_BYTES);
    const krs_status status = krs_call_error_write(conn->kind, error, conn->correlation_id, &body);
    const krs_response response = {
        .status = krs_status_http(error->status),
        .type = "application/json",
        .retry_after_ms = error->retry_after_ms,
        .body = status == KRS_OK ? krs_buf_view(&body) : KRS_STR(""),
    };
    krs_conn_respond(conn, &response);
    krs_buf_deinit(&body);
}

void krs_conn_respond_refusal(krs_conn *conn, int status, const char *message, const char *allow)
{
    char body[768]; /* messages are our own constants, short and without quotes */
    const int n = evutil_snprintf(
        body, sizeof(body),
        "{\"error\":{\"message\":\"%s\",\"type\":\"%s\",\"param\":null,\"code\":\"%s\","
        "\"retryable\":%s,\"context\":{\"http\":%d},\"correlation_id\":\"%s\"}}",
        message, status < 500 ? "invalid_request_error" : "server_error", reason_of(status).code,
        status == 408 || status == 503 ? "true" : "false", status, conn->correlation_id);
    const krs_response response = {.status = status,
                                   .type = "application/json",
                                   .allow = allow,
                                   .body = {body, n > 0 ? (size_t)n : 0}};
    krs_conn_respond(conn, &response);
}

krs_status krs_conn_stream_head(krs_conn *conn, krs_buf *out)
{
    /* HTTP/1.0 has no chunks: the end of the connection is the end of the body. */
    conn->is_chunked = conn->parser.request.minor_version == 1;
    conn->is_keep_alive = conn->is_keep_alive && conn->is_chunked;
    const krs_str accepted = krs_http_header_of(&conn->parser.request, "accept-encoding");
    if (conn->io->server->options.has_gzip && krs_http_accepts_gzip(accepted) &&
        krs_gzip_stream_new(conn->io->server->alloc, &conn->gzip) != KRS_OK) {
        conn->gzip = NULL; /* without memory for it the stream goes out as it is */
    }
    const krs_status status = add_head(conn, 200, out);
    return status == KRS_OK
               ? krs_buf_printf(out,
                                "Content-Type: text/event-stream; charset=utf-8\r\n"
                                "Cache-Control: no-store\r\nX-Accel-Buffering: no\r\n%s%s\r\n",
                                conn->gzip ? "Content-Encoding: gzip\r\nVary: Accept-Encoding\r\n"
                                           : "",
                                conn->is_chunked ? "Transfer-Encoding: chunked\r\n" : "")
               : status;
}
