/* server/conn.c - one connection: bytes in, requests out, and when to let go.
 *
 *            complete request           response written, keep-alive
 *   READING ------------------> ANSWERING ------------------> READING ...
 *      | bad request, timeout       | last response               \-- peer gone, write error: DEAD
 *      v                            v
 *   LINGER (flush, end output, drop input) --peer closes or 2 s--> DEAD --reaped--> freed
 *
 * Reading never stops while an answer runs, because that is how a vanished peer is seen; what it sends
 * ahead is kept up to a bound and read when the answer is out (pipelining). */
#include "os/clock.h"
#include "os/random.h"
#include "os/socket.h"
#include "server/server_priv.h"

#include <event2/bufferevent_ssl.h>

void krs_conn_arm(krs_conn *conn, uint32_t ms)
{
    const struct timeval after = {(time_t)(ms / 1000), (suseconds_t)(ms % 1000) * 1000};
    (void)evtimer_add(conn->timer, &after);
}

static struct evbuffer *input_of(const krs_conn *conn)
{
    return bufferevent_get_input(conn->bev);
}

static const krs_server_times *times_of(const krs_conn *conn)
{
    return &conn->io->server->options.times;
}

void krs_conn_abort(krs_conn *conn, krs_cancel_reason reason)
{
    if (conn->state == KRS_CONN_DEAD) {
        return;
    }
    if (conn->exchange) {
        krs_exchange_abandon(conn->exchange, reason);
    }
    conn->state = KRS_CONN_DEAD;
    (void)bufferevent_disable(conn->bev, EV_READ | EV_WRITE);
    (void)evtimer_del(conn->timer);
    krs_io_forget(&conn->peer);
}

/* Nothing more will be sent: let the peer read what is on its way before the socket goes. */
static void linger(krs_conn *conn)
{
    if (conn->state != KRS_CONN_LINGER) {
        conn->state = KRS_CONN_LINGER;
        conn->linger_end_ns = krs_os_now_ns() + KRS_CONN_LINGER_MAX_MS * KRS_NS_PER_MS;
    }
    krs_conn_arm(conn, krs_conn_write_ms(conn));
    if (krs_conn_unsent(conn) == 0) {
        if (conn->is_eof) {
            krs_conn_abort(conn, KRS_CANCEL_GONE);
            return;
        }
        krs_tls_end_output(conn->ssl);
        krs_os_socket_end_output(bufferevent_getfd(conn->bev));
        krs_conn_arm(conn, KRS_CONN_LINGER_MS);
    }
}

static void name_request(krs_conn *conn)
{
    const krs_http_request *request = &conn->parser.request;
    const krs_str given = krs_http_header_of(request, "x-request-id");
    if (!given.ptr || !krs_service_adopt_name(given, conn->correlation_id)) {
        krs_service_name(conn->correlation_id);
    }
    krs_trace parent;
    uint8_t random[24];
    (void)krs_trace_parse(krs_http_header_of(request, "traceparent"), &parent);
    krs_os_random_bytes(random, sizeof(random));
    krs_trace_child(&parent, random, &conn->trace);
}

/* The request is there: who is it, and will another follow? */
static void begin_response(krs_conn *conn)
{
    conn->state = KRS_CONN_ANSWERING;
    conn->started_ns = krs_os_now_ns();
    conn->is_keep_alive = conn->parser.phase == KRS_HTTP_DONE &&
                          conn->parser.request.is_keep_alive && !conn->io->is_draining;
    conn->kind = KRS_CALL_CHAT;
    conn->has_origin = false;
    conn->ignored[0] = '\0';
    conn->access = (krs_access){.best_priority = KRS_PRIORITY_URGENT};
    name_request(conn);
    (void)evtimer_del(conn->timer);
}

static void count_response(const krs_conn *conn)
{
    krs_service *service = conn->io->server->service;
    krs_metrics *metrics = krs_service_metrics(service);
    const uint64_t took_ns = krs_os_now_ns() - conn->started_ns;
    const krs_metric class = conn->status < 400   ? KRS_METRIC_HTTP_2XX
                             : conn->status < 500 ? KRS_METRIC_HTTP_4XX
                                                  : KRS_METRIC_HTTP_5XX;
    krs_metrics_add(metrics, class, 1);
    krs_metrics_observe(metrics, KRS_METRIC_HTTP_DURATION, took_ns);
    const krs_log_field fields[] = {
        krs_log_str("method", conn->parser.request.method),
        krs_log_str("path", conn->parser.request.path),
        krs_log_int("status", conn->status),
        krs_log_int("duration_ms", (int64_t)(took_ns / KRS_NS_PER_MS)),
    };
    krs_service_publish(service, KRS_EVENT_HTTP_ANSWERED, conn->correlation_id, fields,
                        sizeof(fields) / sizeof(fields[0]));
}

/* Keep the server's count of body memory; false when a large body has brought it above its limit. Small
 * ones always pass, so that a few large ones do not shut everybody out. */
static bool count_body(krs_conn *conn)
{
    krs_server *server = conn->io->server;
    const size_t n_bytes = conn->parser.body.cap;
    /* The difference may be negative: both sums are modulo 2^64. */
    const size_t change = n_bytes - conn->n_body_bytes;
    const size_t total =
        atomic_fetch_add_explicit(&server->n_body_bytes, change, memory_order_relaxed) + change;
    conn->n_body_bytes = n_bytes;
    return total <= server->options.max_bodies_bytes || n_bytes <= KRS_HTTP_KEEP_BODY_BYTES;
}

static void process(krs_conn *conn);

/* What only this response needed. */
static void drop_response(krs_conn *conn)
{
    krs_gzip_stream_free(conn->gzip);
    conn->gzip = NULL;
    if (conn->out.cap > KRS_CONN_KEEP_OUT_BYTES) {
        krs_buf_deinit(&conn->out);
    } else {
        krs_buf_reset(&conn->out);
    }
    conn->is_behind = false;
    if (conn->is_patient && krs_conn_unsent(conn) == 0) {
        krs_conn_set_patience(conn, false);
    }
}

void krs_conn_finish(krs_conn *conn)
{
    count_response(conn);
    drop_response(conn);
    if (!conn->is_keep_alive || conn->io->is_draining) {
        linger(conn);
        return;
    }
    krs_http_parser_reset(&conn->parser);
    (void)count_body(conn);
    conn->state = KRS_CONN_READING;
    conn->idle_ns = krs_os_now_ns();
    krs_conn_arm(conn, times_of(conn)->idle_ms);
    process(conn);
}

/* The parser has refused the request. What is too large is told how large it may be. */
static void refuse_request(krs_conn *conn)
{
    const krs_http_parser *parser = &conn->parser;
    char text[192];
    const char *message = parser->fail_text;
    if (parser->fail_status == 413) {
        (void)evutil_snprintf(text, sizeof(text), "%s The limit is %zu bytes.", message,
                              parser->limits.max_body_bytes);
        message = text;
    }
    krs_conn_respond_refusal(conn, parser->fail_status, message, NULL);
}

/* The phase of the request has changed; act on it. */
static void advance(krs_conn *conn)
{
    krs_http_parser *parser = &conn->parser;
    switch (parser->phase) {
    case KRS_HTTP_BODY:
        if (!krs_gate_takes_body(conn)) {
            begin_response(conn); /* the last: its body is in the way of another */
            krs_routes_dispatch(conn);
            return;
        }
        krs_conn_arm(conn, times_of(conn)->body_ms);
        if (parser->request.expects_continue &&
            !krs_conn_send(conn, KRS_STR("HTTP/1.1 100 Continue\r\n\r\n"))) {
            return; /* given up */
        }
        break;
    case KRS_HTTP_DONE:
        begin_response(conn);
        krs_routes_dispatch(conn);
        break;
    case KRS_HTTP_FAILED:
        begin_response(conn);
        refuse_request(conn);
        break;
    default:
        break;
    }
}

static void refuse_body(krs_conn *conn)
{
    begin_response(conn);
    conn->is_keep_alive = false;
    krs_http_parser_drop_body(&conn->parser);
    krs_conn_respond_refusal(conn, 503, "Too many large bodies at once; try again.", NULL);
}

/* Feed the first contiguous piece of the input to the parser. */
static void feed_piece(krs_conn *conn)
{
    struct evbuffer *input = input_of(conn);
    struct evbuffer_iovec piece;
    if (evbuffer_peek(input, -1, NULL, &piece, 1) < 1) {
        return;
    }
    if (krs_http_parser_is_idle(&conn->parser)) {
        krs_conn_arm(conn, times_of(conn)->head_ms);
    }
    const krs_http_phase before = conn->parser.phase;
    const size_t used = krs_http_feed(&conn->parser, piece.iov_base, piece.iov_len);
    (void)evbuffer_drain(input, used);
    if (!count_body(conn)) {
        refuse_body(conn);
    } else if (conn->parser.phase != before) {
        advance(conn);
    }
    (void)count_body(conn); /* the body may have been read and dropped */
}

/* Read as many requests as there are, up to one whose answer takes time, or until the peer is too far
 * behind with reading: responses cost more bytes than requests, so asking without reading must not fill
 * our memory. A response that is written at once comes back here through krs_conn_finish; the flag makes
 * that a loop, not a recursion. */
static void process(krs_conn *conn)
{
    if (conn->is_processing) {
        return;
    }
    conn->is_processing = true;
    while (conn->state == KRS_CONN_READING && evbuffer_get_length(input_of(conn)) > 0 &&
           krs_conn_unsent(conn) <= KRS_CONN_MAX_OUTPUT_BYTES) {
        feed_piece(conn);
    }
    conn->is_processing = false;
}

/* In LINGER: a peer that still sends its refused body reads our answer only after that, and a reset would
 * take the answer away from it. So it gets more time, within a bound. */
static void drop_input(krs_conn *conn)
{
    struct evbuffer *input = input_of(conn);
    (void)evbuffer_drain(input, evbuffer_get_length(input));
    if (krs_conn_unsent(conn) == 0 && krs_os_now_ns() < conn->linger_end_ns) {
        krs_conn_arm(conn, KRS_CONN_LINGER_MS);
    }
}

static void on_read(struct bufferevent *bev, void *ctx)
{
    krs_conn *conn = ctx;
    (void)bev;
    if (conn->state == KRS_CONN_READING) {
        process(conn);
    }
    if (conn->state == KRS_CONN_LINGER) {
        drop_input(conn);
    }
    if (conn->state != KRS_CONN_DEAD && /* what is left waits for an answer, or for the reader */
        evbuffer_get_length(input_of(conn)) > KRS_CONN_MAX_PIPELINED_BYTES) {
        krs_conn_abort(conn, KRS_CANCEL_GONE);
    }
}

/* The reader has taken something, and what is left is below the low mark. */
static void on_written(struct bufferevent *bev, void *ctx)
{
    krs_conn *conn = ctx;
    (void)bev;
    krs_conn_settle(conn);
    if (conn->is_patient && !conn->exchange && krs_conn_unsent(conn) == 0) {
        krs_conn_set_patience(conn, false);
    }
    if (conn->state == KRS_CONN_LINGER) {
        linger(conn);
    }
    process(conn); /* requests may have waited for this */
}

static void on_eof(krs_conn *conn)
{
    conn->is_eof = true;
    if (conn->state == KRS_CONN_READING || conn->state == KRS_CONN_LINGER) {
        conn->is_keep_alive = false;
        linger(conn); /* responses to earlier requests may still be on their way */
    } else {
        krs_conn_abort(conn, KRS_CANCEL_GONE);
    }
}

static void on_event(struct bufferevent *bev, short what, void *ctx)
{
    krs_conn *conn = ctx;
    (void)bev;
    if (conn->state == KRS_CONN_DEAD) {
        return;
    }
    if (what & BEV_EVENT_CONNECTED) {
        krs_conn_arm(conn, times_of(conn)->idle_ms); /* the TLS handshake is done */
    } else if (what & BEV_EVENT_EOF) {
        on_eof(conn);
    } else if (what & BEV_EVENT_TIMEOUT) {
        krs_conn_abort(conn, KRS_CANCEL_SLOW);
    } else if (what & BEV_EVENT_ERROR) {
        krs_conn_abort(conn, KRS_CANCEL_GONE);
    }
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
    krs_conn *conn = ctx;
    (void)fd;
    (void)what;
    if (conn->state == KRS_CONN_READING && !krs_http_parser_is_idle(&conn->parser)) {
        begin_response(conn);
        conn->is_keep_alive = false;
        krs_conn_respond_refusal(conn, 408, "The request did not arrive in time.", NULL);
    } else if (conn->state == KRS_CONN_ANSWERING && conn->exchange) {
        krs_exchange_tick(conn->exchange);
    } else if (conn->state == KRS_CONN_READING && krs_conn_unsent(conn) > 0) {
        krs_conn_arm(conn, times_of(conn)->idle_ms); /* the write limit watches over this one */
    } else {
        krs_conn_abort(conn, KRS_CANCEL_GONE);
    }
}

static void drain(krs_peer *peer)
{
    krs_conn *conn = (krs_conn *)peer;
    if (conn->state == KRS_CONN_READING && krs_http_parser_is_idle(&conn->parser)) {
        conn->is_keep_alive = false;
        linger(conn);
    }
}

static void shed(krs_peer *peer, uint64_t now_ns)
{
    const krs_conn *conn = (const krs_conn *)peer;
    if (now_ns >= conn->idle_ns + KRS_CONN_SHED_MS * KRS_NS_PER_MS) {
        drain(peer);
    }
}

static void cancel(krs_peer *peer)
{
    krs_conn *conn = (krs_conn *)peer;
    if (conn->exchange) {
        krs_exchange_cancel(conn->exchange, KRS_CANCEL_DRAIN);
    } else {
        krs_conn_abort(conn, KRS_CANCEL_DRAIN);
    }
}

static void abort_peer(krs_peer *peer, krs_cancel_reason reason)
{
    krs_conn_abort((krs_conn *)peer, reason);
}

static void flush(krs_peer *peer)
{
    krs_conn *conn = (krs_conn *)peer;
    if (conn->state != KRS_CONN_DEAD && conn->exchange) {
        krs_exchange_flush(conn->exchange);
    }
}

static void free_conn(krs_peer *peer)
{
    krs_conn *conn = (krs_conn *)peer;
    if (conn->timer) {
        event_free(conn->timer);
    }
    if (conn->bev) {
        bufferevent_free(conn->bev); /* closes the socket, frees the TLS session */
    }
    krs_http_parser_deinit(&conn->parser);
    (void)count_body(conn);
    krs_gzip_stream_free(conn->gzip);
    krs_buf_deinit(&conn->out);
    krs_alloc_free(conn->io->server->alloc, conn);
}

static const krs_peer_ops ops = {.drain = drain,
                                 .shed = shed,
                                 .cancel = cancel,
                                 .abort = abort_peer,
                                 .flush = flush,
                                 .free = free_conn};

/* Takes the socket and its TLS session on success. */
static struct bufferevent *new_bev(const krs_io *io, const krs_accepted *accepted)
{
    if (!accepted->ssl) {
        return bufferevent_socket_new(io->base, accepted->fd, BEV_OPT_CLOSE_ON_FREE);
    }
    struct bufferevent *bev = bufferevent_openssl_socket_new(
        io->base, accepted->fd, accepted->ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
    if (bev) {
        bufferevent_openssl_set_allow_dirty_shutdown(bev, 1); /* many clients just close */
    }
    return bev;
}

/* Takes the accepted connection in every case. */
static krs_conn *new_conn(krs_io *io, krs_accepted *accepted)
{
    const krs_server *server = io->server;
    krs_conn *conn = krs_alloc_zero(server->alloc, sizeof(*conn));
    if (!conn) {
        krs_accepted_close(accepted);
        return NULL;
    }
    const krs_http_limits limits = {KRS_HTTP_MAX_HEAD_BYTES, server->options.max_body_bytes};
    krs_http_parser_init(&conn->parser, server->alloc, &limits);
    krs_buf_init(&conn->out, server->alloc, KRS_CONN_MAX_OUT_BYTES);
    conn->peer = (krs_peer){.ops = &ops, .io = io, .listener = accepted->listener};
    conn->io = io;
    conn->ssl = accepted->ssl;
    conn->bev = new_bev(io, accepted);
    conn->timer = evtimer_new(io->base, on_timer, conn);
    if (!conn->bev) {
        krs_accepted_close(accepted);
    }
    if (!conn->bev || !conn->timer) {
        free_conn(&conn->peer);
        return NULL;
    }
    return conn;
}

static void set_socket(const krs_listener *listener, int fd)
{
    if (!listener->is_unix) {
        krs_os_socket_no_delay(fd);
        krs_os_socket_keep_alive(fd);
    }
    krs_os_socket_limit_unsent(fd, KRS_CONN_UNSENT_BYTES);
}

void krs_conn_open(krs_io *io, krs_accepted *accepted)
{
    krs_conn *conn = new_conn(io, accepted);
    if (!conn) {
        (void)atomic_fetch_sub_explicit(&io->server->n_connections, 1, memory_order_relaxed);
        return;
    }
    krs_io_adopt(io, &conn->peer);
    set_socket(conn->peer.listener, accepted->fd);
    bufferevent_setcb(conn->bev, on_read, on_written, on_event, conn);
    bufferevent_setwatermark(conn->bev, EV_WRITE, KRS_CONN_LOW_BYTES, 0);
    krs_conn_set_patience(conn, false);
    conn->idle_ns = krs_os_now_ns();
    krs_conn_arm(conn, conn->ssl ? times_of(conn)->head_ms : times_of(conn)->idle_ms);
    if (bufferevent_enable(conn->bev, EV_READ | EV_WRITE) != 0) {
        krs_conn_abort(conn, KRS_CANCEL_GONE);
    }
}
