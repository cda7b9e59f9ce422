/* server/exchange.c - one API call on one connection: its answer and the streams that feed it.
 *
 * Everything here runs on the connection's io thread. The head of a streamed response is held back
 * until the first byte of the answer, so that what the runtime finds out late (a prompt that is too
 * long) still becomes a real HTTP status; a queue that is longer than a heartbeat ends that patience.
 *
 * Backpressure: what the reader has not taken is looked at after each write (output.c); while it is behind,
 * the streams of its answer get no more credit. An answer that is not streamed has no reader to wait
 * for: it gets all the credit there is, and its size is bounded instead. */
#include "os/clock.h"
#include "os/random.h"
#include "server/server_priv.h"

/* Streams of one call at once; a call of more inputs opens the rest as these end. */
#define KRS_EXCHANGE_MAX_OPEN KRS_MAX_CHOICES

struct krs_exchange {
    krs_conn *conn;
    krs_answer *answer;
    krs_call *call; /* the answer's: requests that wait for their turn */
    bool is_stream;
    bool has_head; /* the response's head has been sent */
    uint32_t n_streams;
    uint32_t n_begun;      /* streams that were opened, in order */
    uint32_t n_open;       /* of them, not over */
    krs_stream *streams[]; /* [n_streams]; NULL before it was opened and once it ended */
};

void krs_exchange_cancel(krs_exchange *exchange, krs_cancel_reason reason)
{
    for (uint32_t i = 0; i < exchange->n_streams; i++) {
        if (exchange->streams[i]) {
            krs_stream_cancel(exchange->streams[i], reason);
        }
    }
}

void krs_exchange_abandon(krs_exchange *exchange, krs_cancel_reason reason)
{
    for (uint32_t i = 0; i < exchange->n_streams; i++) {
        if (exchange->streams[i]) {
            krs_stream_give_up(exchange->streams[i], reason);
        }
    }
    krs_answer_free(exchange->answer);
    exchange->conn->exchange = NULL;
    krs_alloc_free(exchange->conn->io->server->alloc, exchange);
}

void krs_exchange_settle(krs_exchange *exchange)
{
    for (uint32_t i = 0; i < exchange->n_streams; i++) {
        if (exchange->streams[i]) {
            krs_stream_settle(exchange->streams[i]);
        }
    }
}

static void finish_whole(krs_exchange *exchange)
{
    krs_conn *conn = exchange->conn;
    krs_exchange_abandon(exchange, KRS_CANCEL_SIBLING);
    const krs_response response = {
        .status = 200, .type = "application/json", .body = krs_buf_view(&conn->out)};
    krs_conn_respond(conn, &response);
}

/* The answer can not go on. */
static void fail_exchange(krs_exchange *exchange, const krs_error *err)
{
    krs_conn *conn = exchange->conn;
    const krs_error copy = *err; /* may lie in the answer */
    if (exchange->has_head) {
        krs_conn_abort(conn, KRS_CANCEL_SIBLING);
    } else {
        krs_exchange_abandon(exchange, KRS_CANCEL_SIBLING);
        krs_conn_respond_error(conn, &copy);
    }
}

/* Bring what has been written to the reader; false when the connection was given up. */
static bool push(krs_exchange *exchange, bool is_last)
{
    krs_conn *conn = exchange->conn;
    const bool has_head = exchange->has_head;
    exchange->has_head = true;
    return krs_conn_stream_send(conn, has_head, is_last);
}

static void flush_stream(krs_exchange *exchange, bool is_done)
{
    krs_conn *conn = exchange->conn;
    if (conn->out.len == 0 && !is_done) {
        krs_conn_settle(conn); /* tokens without text use up credit, too */
        return;
    }
    if (!push(exchange, is_done)) {
        return;
    }
    if (is_done) {
        krs_exchange_abandon(exchange, KRS_CANCEL_SIBLING);
        krs_conn_finish(conn);
    } else {
        krs_conn_settle(conn);
    }
}

void krs_exchange_flush(krs_exchange *exchange)
{
    const krs_answer_state state = krs_answer_state_of(exchange->answer);
    if (state == KRS_ANSWER_FAILED) {
        fail_exchange(exchange, krs_answer_error(exchange->answer));
    } else if (exchange->is_stream) {
        flush_stream(exchange, state == KRS_ANSWER_DONE);
    } else if (state == KRS_ANSWER_DONE) {
        finish_whole(exchange);
    }
}

void krs_exchange_tick(krs_exchange *exchange)
{
    krs_conn *conn = exchange->conn;
    const uint32_t every_ms = conn->io->server->options.times.heartbeat_ms;
    const uint64_t idle_ms = (krs_os_now_ns() - conn->sent_ns) / KRS_NS_PER_MS;
    if (idle_ms < every_ms) {
        krs_conn_arm(conn, every_ms - (uint32_t)idle_ms);
        return;
    }
    krs_conn_arm(conn, every_ms);
    if (krs_conn_unsent(conn) == 0 && /* else the reader has something to read */
        krs_answer_heartbeat(exchange->answer, &conn->out) == KRS_OK) {
        (void)push(exchange, false);
    }
}

/* The reader of the streams; ctx is the exchange. */
static krs_status add_event(void *ctx, uint32_t index, const krs_stream_event *event)
{
    krs_exchange *exchange = ctx;
    return krs_answer_add(exchange->answer, index, event, &exchange->conn->out);
}

static void end_take(void *ctx, uint32_t index, krs_status status, bool is_over);

static const krs_stream_reader reader = {.add = add_event, .done = end_take};

/* Are the requests of this call inputs of one kind, which need not run at the same time? */
static bool is_list_of_inputs(krs_call_kind kind)
{
    return kind == KRS_CALL_EMBEDDINGS || kind == KRS_CALL_TOKENIZE;
}

/* Open what may run now. Choices of one answer all find a place at once, or the call is refused; of inputs the
 * later ones take the places of those that ended, and wait while there is none. */
static krs_status open_streams(krs_exchange *exchange, krs_error *err)
{
    krs_io *io = exchange->conn->io;
    krs_stream_options options = {.reader = &reader,
                                  .ctx = exchange,
                                  .window = exchange->is_stream ? io->server->options.stream_window
                                                                : KRS_CREDIT_UNLIMITED,
                                  .has_tokens = exchange->call->has_tokens};
    while (exchange->n_begun < exchange->n_streams && exchange->n_open < KRS_EXCHANGE_MAX_OPEN) {
        const uint32_t i = exchange->n_begun;
        options.index = i;
        const krs_status status =
            krs_stream_open(io, exchange->call->requests[i], &options, &exchange->streams[i], err);
        if (status == KRS_EBUSY && exchange->n_open > 0 &&
            is_list_of_inputs(exchange->call->kind)) {
            return KRS_OK;
        }
        if (status != KRS_OK) {
            return status;
        }
        exchange->call->requests[i] = NULL;
        exchange->n_begun++;
        exchange->n_open++;
    }
    return KRS_OK;
}

static void end_take(void *ctx, uint32_t index, krs_status status, bool is_over)
{
    krs_exchange *exchange = ctx;
    krs_error err = KRS_ERROR_INIT;
    if (status != KRS_OK) {
        (void)krs_fail(&err, status, "the answer outgrew the memory it may use here");
    }
    if (is_over) {
        exchange->streams[index] = NULL;
        exchange->n_open--;
    }
    if (status == KRS_OK && krs_answer_state_of(exchange->answer) == KRS_ANSWER_RUNNING) {
        status = open_streams(exchange, &err);
    }
    if (status != KRS_OK) {
        fail_exchange(exchange, &err);
    } else {
        krs_io_touch(&exchange->conn->peer);
    }
}

static krs_status parse_call(krs_conn *conn, krs_call_kind kind, krs_call **out, krs_error *err)
{
    const krs_server *server = conn->io->server;
    krs_model_info models[KRS_SERVICE_MAX_MODELS];
    const krs_call_context context = {
        .models = models,
        .n_models = krs_service_models(server->service, models, KRS_SERVICE_MAX_MODELS),
        .correlation_id = conn->correlation_id,
        .trace = conn->trace,
        .tenant = conn->access.tenant,
        .best_priority = conn->access.best_priority,
        .now_ns = krs_os_now_ns(),
        .now_unix_s = krs_os_wall_ns() / KRS_NS_PER_S,
        .random = krs_os_random_u64(),
        .max_body_bytes = server->options.max_body_bytes,
        .alloc = server->alloc,
    };
    return krs_call_parse(&context, kind, conn->parser.request.body, out, err);
}

/* Takes the call in every case. */
static krs_status new_exchange(krs_conn *conn, krs_call *call, krs_exchange **out, krs_error *err)
{
    const krs_alloc *alloc = conn->io->server->alloc;
    krs_exchange *exchange =
        krs_alloc_zero(alloc, sizeof(*exchange) + call->n_requests * sizeof(krs_stream *));
    if (!exchange || krs_answer_new(call, &exchange->answer) != KRS_OK) {
        krs_call_free(call);
        krs_alloc_free(alloc, exchange);
        (void)krs_fail(err, KRS_ENOMEM, "no memory for the answer");
        return KRS_ENOMEM; /* said plainly, for the analyzer */
    }
    exchange->conn = conn;
    exchange->call = call;
    exchange->is_stream = call->is_stream;
    exchange->n_streams = call->n_requests;
    *out = exchange;
    return KRS_OK;
}

/* The rows of the routes stand in the order of the kinds. */
static krs_metric route_metric_of(krs_call_kind kind)
{
    _Static_assert(KRS_METRIC_ROUTE_DETOKENIZE - KRS_METRIC_ROUTE_CHAT == KRS_CALL_DETOKENIZE &&
                       KRS_METRIC_ROUTE_MESSAGES - KRS_METRIC_ROUTE_CHAT == KRS_CALL_MESSAGES,
                   "a row for each kind, in its order");
    return (krs_metric)((unsigned)KRS_METRIC_ROUTE_CHAT + (unsigned)kind);
}

void krs_exchange_start(krs_conn *conn, krs_call_kind kind)
{
    krs_error err = KRS_ERROR_INIT;
    krs_call *call = NULL;
    krs_exchange *exchange = NULL;
    krs_metrics_add(krs_service_metrics(conn->io->server->service), route_metric_of(kind), 1);
    if (parse_call(conn, kind, &call, &err) != KRS_OK) {
        krs_conn_respond_error(conn, &err);
        return;
    }
    memcpy(conn->ignored, call->ignored, sizeof(conn->ignored));
    if (new_exchange(conn, call, &exchange, &err) != KRS_OK) {
        krs_conn_respond_error(conn, &err);
        return;
    }
    conn->exchange = exchange;
    krs_http_parser_drop_body(&conn->parser);
    if (open_streams(exchange, &err) != KRS_OK) {
        krs_exchange_abandon(exchange, KRS_CANCEL_SIBLING);
        krs_conn_respond_error(conn, &err);
        return;
    }
    const uint32_t heartbeat_ms = conn->io->server->options.times.heartbeat_ms;
    if (exchange->is_stream) {
        conn->sent_ns = krs_os_now_ns();
        krs_conn_set_patience(conn, true);
        if (heartbeat_ms > 0) {
            krs_conn_arm(conn, heartbeat_ms);
        }
    }
}
