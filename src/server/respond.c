/* server/respond.c - responses as bytes: heads, bodies, chunks.
 *
 * Every response says when it was made, whom it belongs to (X-Request-Id) and whether the connection
 * goes on. Errors are JSON in OpenAI's shape on every path, so a client has one thing to parse. */
#include "server/server_priv.h"

typedef struct reason {
    int status;
    const char *text;
    const char *code; /* of the error object, when nothing better is known */
} reason;

static const reason reasons[] = {
    {200, "OK", ""},
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

/* Status line and the headers that every response has; the blank line is still to come. */
static int add_head(krs_conn *conn, int status)
{
    struct evbuffer *out = bufferevent_get_output(conn->bev);
    char date[64];
    (void)evutil_date_rfc1123(date, sizeof(date), NULL);
    conn->status = status;
    return evbuffer_add_printf(out,
                               "HTTP/1.1 %d %s\r\nDate: %s\r\nX-Request-Id: %s\r\n"
                               "Connection: %s\r\nX-Content-Type-Options: nosniff\r\n",
                               status, reason_of(status).text, date, conn->correlation_id,
                               conn->is_keep_alive ? "keep-alive" : "close");
}

static int add_extra_headers(struct evbuffer *out, const krs_response *response)
{
    int failed = 0;
    if (response->allow) {
        failed |= evbuffer_add_printf(out, "Allow: %s\r\n", response->allow) < 0;
    }
    if (response->status == 429 || response->status == 503) {
        failed |= evbuffer_add_printf(out, "Retry-After: 1\r\n") < 0;
    }
    if (response->status != 204) {
        failed |= evbuffer_add_printf(out, "Content-Type: %s\r\nContent-Length: %zu\r\n",
                                      response->type, response->body.len) < 0;
    }
    return failed;
}

static bool is_head_request(const krs_conn *conn)
{
    return krs_str_equal(conn->parser.request.method, KRS_STR("HEAD"));
}

void krs_conn_respond(krs_conn *conn, const krs_response *response)
{
    struct evbuffer *out = bufferevent_get_output(conn->bev);
    int failed = add_head(conn, response->status) < 0;
    failed |= add_extra_headers(out, response);
    failed |= evbuffer_add(out, "\r\n", 2);
    if (response->body.len > 0 && !is_head_request(conn)) {
        failed |= evbuffer_add(out, response->body.ptr, response->body.len);
    }
    if (failed) {
        krs_conn_abort(conn, KRS_CANCEL_GONE); /* no memory: half a head must not stay */
    } else {
        krs_conn_finish(conn);
    }
}

void krs_conn_respond_error(krs_conn *conn, const krs_error *error)
{
    krs_buf body;
    krs_buf_init(&body, conn->io->server->alloc, 4096); /* an error of 256 bytes, escaped */
    const krs_status status =
        krs_call_error_write(KRS_CALL_CHAT, error, conn->correlation_id, &body);
    const krs_response response = {
        .status = krs_status_http(error->status),
        .type = "application/json",
        .body = status == KRS_OK ? krs_buf_view(&body) : KRS_STR(""),
    };
    krs_conn_respond(conn, &response);
    krs_buf_deinit(&body);
}

void krs_conn_respond_refusal(krs_conn *conn, int status, const char *message, const char *allow)
{
    char body[512]; /* messages are our own constants, short and without quotes */
    const int n = evutil_snprintf(body, sizeof(body),
                                  "{\"error\":{\"message\":\"%s\",\"type\":\"%s\",\"param\":null,"
                                  "\"code\":\"%s\"}}",
                                  message, status < 500 ? "invalid_request_error" : "server_error",
                                  reason_of(status).code);
    const krs_response response = {.status = status,
                                   .type = "application/json",
                                   .allow = allow,
                                   .body = {body, n > 0 ? (size_t)n : 0}};
    krs_conn_respond(conn, &response);
}

bool krs_conn_stream_start(krs_conn *conn, const char *type)
{
    struct evbuffer *out = bufferevent_get_output(conn->bev);
    /* HTTP/1.0 has no chunks: the end of the connection is the end of the body. */
    conn->is_chunked = conn->parser.request.minor_version == 1;
    conn->is_keep_alive = conn->is_keep_alive && conn->is_chunked;
    int failed = add_head(conn, 200) < 0;
    failed |=
        evbuffer_add_printf(out, "Content-Type: %s\r\nCache-Control: no-store\r\n%s\r\n", type,
                            conn->is_chunked ? "Transfer-Encoding: chunked\r\n" : "") < 0;
    if (failed) {
        krs_conn_abort(conn, KRS_CANCEL_GONE);
    }
    return !failed;
}

/* What the peer had not taken before this batch of events. What the batch itself brings is no fault of the
 * peer: it comes in one piece when this thread was held up, and the socket has not seen it yet. */
static size_t backlog_of(krs_conn *conn)
{
    if (conn->batch != conn->io->n_batches) {
        conn->batch = conn->io->n_batches;
        conn->backlog_bytes = evbuffer_get_length(bufferevent_get_output(conn->bev));
    }
    return conn->backlog_bytes;
}

bool krs_conn_stream_write(krs_conn *conn, krs_str bytes)
{
    struct evbuffer *out = bufferevent_get_output(conn->bev);
    const bool is_slow = backlog_of(conn) > KRS_CONN_MAX_OUTPUT_BYTES;
    int failed = 0;
    if (conn->is_chunked) {
        failed |= evbuffer_add_printf(out, "%zx\r\n", bytes.len) < 0;
    }
    failed |= evbuffer_add(out, bytes.ptr, bytes.len);
    if (conn->is_chunked) {
        failed |= evbuffer_add(out, "\r\n", 2);
    }
    if (failed || is_slow) {
        krs_conn_abort(conn, failed ? KRS_CANCEL_GONE : KRS_CANCEL_SLOW);
        return false;
    }
    return true;
}

void krs_conn_stream_end(krs_conn *conn)
{
    if (conn->is_chunked && evbuffer_add(bufferevent_get_output(conn->bev), "0\r\n\r\n", 5) != 0) {
        krs_conn_abort(conn, KRS_CANCEL_GONE);
        return;
    }
    krs_conn_finish(conn);
}
