/* server/exchange.c - one API call on one connection: its answer and the streams that feed it.
 *
 * Everything here runs on the connection's io thread. The head of a streamed response is held back
 * until the first byte of the answer, so that what the runtime finds out late (a prompt that is too
 * long) still becomes a real HTTP status.
 *
 * Backpressure: what the socket has not taken is measured before each batch of events; past the cap the
 * answer is cancelled. The place to pause it instead (krs_runtime_grant) is push_bytes. */
#include "os/clock.h"
#include "os/random.h"
#include "server/event_pack.h"
#include "server/server_priv.h"

struct krs_stream {
    krs_inbox inbox; /* first: the sink's user pointer is the stream */
    krs_io *io;
    krs_stream *prev;
    krs_stream *next;
    krs_exchange *exchange; /* NULL: the client is gone */
    uint32_t choice;
    krs_generation generation;
};

struct krs_exchange {
    krs_conn *conn;
    krs_answer *answer;
    bool is_stream;
    bool has_head; /* the response's head has been sent */
    uint32_t n_streams;
    krs_stream *streams[]; /* [n_streams], NULL: not opened, or ended */
};

static krs_service *service_of(const krs_io *io)
{
    return io->server->service;
}

static krs_stream *new_stream(krs_exchange *exchange, uint32_t choice, bool has_tokens)
{
    krs_io *io = exchange->conn->io;
    krs_stream *stream = krs_alloc_zero(io->server->alloc, sizeof(*stream));
    if (!stream) {
        return NULL;
    }
    krs_inbox_init(&stream->inbox, has_tokens, io->server->alloc);
    stream->io = io;
    stream->exchange = exchange;
    stream->choice = choice;
    stream->next = io->streams;
    if (io->streams) {
        io->streams->prev = stream;
    }
    io->streams = stream;
    return stream;
}

static void free_stream(krs_stream *stream)
{
    krs_io *io = stream->io;
    if (stream->exchange) {
        stream->exchange->streams[stream->choice] = NULL;
    }
    if (stream->prev) {
        stream->prev->next = stream->next;
    } else {
        io->streams = stream->next;
    }
    if (stream->next) {
        stream->next->prev = stream->prev;
    }
    krs_inbox_deinit(&stream->inbox);
    krs_alloc_free(io->server->alloc, stream);
}

void krs_stream_free_all(krs_io *io)
{
    while (io->streams) {
        free_stream(io->streams);
    }
}

void krs_exchange_cancel(krs_exchange *exchange, krs_cancel_reason reason)
{
    for (uint32_t i = 0; i < exchange->n_streams; i++) {
        if (exchange->streams[i]) {
            krs_service_cancel(service_of(exchange->conn->io), &exchange->streams[i]->generation,
                               reason);
        }
    }
}

void krs_exchange_abandon(krs_exchange *exchange, krs_cancel_reason reason)
{
    krs_exchange_cancel(exchange, reason);
    for (uint32_t i = 0; i < exchange->n_streams; i++) {
        if (exchange->streams[i]) {
            exchange->streams[i]->exchange = NULL;
        }
    }
    krs_answer_free(exchange->answer);
    exchange->conn->exchange = NULL;
    krs_alloc_free(exchange->conn->io->server->alloc, exchange);
}

/* Hand one choice's request to the service. On failure nothing of it is left. */
static krs_status open_stream(krs_exchange *exchange, krs_call *call, uint32_t choice,
                              krs_error *err)
{
    krs_io *io = exchange->conn->io;
    krs_stream *stream = new_stream(exchange, choice, call->has_tokens);
    if (!stream) {
        return krs_fail(err, KRS_ENOMEM, "no memory for a stream");
    }
    const krs_status status =
        krs_service_generate(service_of(io), call->requests[choice], &io->sink, &stream->inbox,
                             &stream->generation, err);
    if (status != KRS_OK) {
        free_stream(stream);
        return status;
    }
    call->requests[choice] = NULL;
    exchange->streams[choice] = stream;
    return KRS_OK;
}

static krs_status open_streams(krs_exchange *exchange, krs_call *call, krs_error *err)
{
    krs_status status = KRS_OK;
    for (uint32_t i = 0; status == KRS_OK && i < call->n_requests; i++) {
        status = open_stream(exchange, call, i, err);
    }
    return status;
}

static krs_status parse_call(krs_conn *conn, krs_call_kind kind, krs_call **out, krs_error *err)
{
    krs_model_info models[KRS_SERVICE_MAX_MODELS];
    const krs_call_context context = {
        .models = models,
        .n_models = krs_service_models(service_of(conn->io), models, KRS_SERVICE_MAX_MODELS),
        .correlation_id = conn->correlation_id,
        .now_ns = krs_os_now_ns(),
        .now_unix_s = krs_os_wall_ns() / KRS_NS_PER_S,
        .random = krs_os_random_u64(),
        .max_body_bytes = conn->io->server->options.max_body_bytes,
        .alloc = conn->io->server->alloc,
    };
    return krs_call_parse(&context, kind, conn->parser.request.body, out, err);
}

/* Takes the call in every case. */
static krs_status new_exchange(krs_conn *conn, krs_call *call, krs_exchange **out, krs_error *err)
{
    const krs_alloc *alloc = conn->io->server->alloc;
    krs_exchange *exchange =
        krs_alloc_zero(alloc, sizeof(*exchange) + call->n_requests * sizeof(exchange->streams[0]));
    if (!exchange || krs_answer_new(call, &exchange->answer) != KRS_OK) {
        krs_call_free(call);
        krs_alloc_free(alloc, exchange);
        (void)krs_fail(err, KRS_ENOMEM, "no memory for the answer");
        return KRS_ENOMEM;
    }
    exchange->conn = conn;
    exchange->is_stream = call->is_stream;
    exchange->n_streams = call->n_requests;
    *out = exchange;
    return KRS_OK;
}

void krs_exchange_start(krs_conn *conn, krs_call_kind kind)
{
    krs_error err = KRS_ERROR_INIT;
    krs_call *call = NULL;
    krs_exchange *exchange = NULL;
    if (parse_call(conn, kind, &call, &err) != KRS_OK ||
        new_exchange(conn, call, &exchange, &err) != KRS_OK) {
        krs_conn_respond_error(conn, &err);
        return;
    }
    conn->exchange = exchange;
    krs_http_parser_drop_body(&conn->parser);
    if (open_streams(exchange, call, &err) != KRS_OK) {
        krs_exchange_abandon(exchange, KRS_CANCEL_SIBLING);
        krs_conn_respond_error(conn, &err);
    }
}

/* Write out's bytes into the response; false when the connection was given up. */
static bool push_bytes(krs_exchange *exchange, krs_str bytes)
{
    krs_conn *conn = exchange->conn;
    if (bytes.len == 0) {
        return true;
    }
    if (!exchange->has_head && !krs_conn_stream_start(conn, "text/event-stream; charset=utf-8")) {
        return false;
    }
    exchange->has_head = true;
    return krs_conn_stream_write(conn, bytes);
}

static void finish_stream(krs_exchange *exchange)
{
    krs_conn *conn = exchange->conn;
    krs_exchange_abandon(exchange, KRS_CANCEL_SIBLING);
    krs_conn_stream_end(conn);
}

static void finish_whole(krs_exchange *exchange, krs_str body)
{
    krs_conn *conn = exchange->conn;
    krs_exchange_abandon(exchange, KRS_CANCEL_SIBLING);
    const krs_response response = {.status = 200, .type = "application/json", .body = body};
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

/* Bring what the answer has written to the client, and end the exchange when the answer has ended. */
static void flush_exchange(krs_exchange *exchange, krs_str bytes)
{
    const krs_answer_state state = krs_answer_state_of(exchange->answer);
    if (state == KRS_ANSWER_FAILED) {
        fail_exchange(exchange, krs_answer_error(exchange->answer));
    } else if (!exchange->is_stream) {
        if (state == KRS_ANSWER_DONE) {
            finish_whole(exchange, bytes);
        }
    } else if (push_bytes(exchange, bytes) && state == KRS_ANSWER_DONE) {
        finish_stream(exchange);
    }
}

/* Count an event, and add it to the answer if anyone still waits for that. */
static krs_status add_event(krs_stream *stream, const krs_stream_event *event)
{
    krs_service_observe(service_of(stream->io), &stream->generation, event);
    if (!stream->exchange) {
        return KRS_OK;
    }
    return krs_answer_add(stream->exchange->answer, stream->choice, event, &stream->io->out);
}

static krs_status add_records(krs_stream *stream)
{
    krs_io *io = stream->io;
    krs_status status = KRS_OK;
    krs_stream_event event;
    size_t offset = 0;
    krs_arena_reset(&io->scratch);
    while (status == KRS_OK && krs_event_unpack(krs_buf_view(&stream->inbox.taken), &offset,
                                                &io->scratch, &event, &status)) {
        status = add_event(stream, &event);
        krs_arena_reset(&io->scratch);
    }
    return status;
}

void krs_stream_handle(krs_stream *stream)
{
    krs_io *io = stream->io;
    const krs_inbox *inbox = &stream->inbox;
    krs_buf_reset(&io->out);
    krs_status status = add_records(stream);
    if (status == KRS_OK && inbox->is_lost_taken) {
        status = KRS_ETOOLARGE;
    }
    if (inbox->is_end_taken) {
        const krs_stream_event end = {
            .is_end = true, .finish = inbox->finish, .usage = inbox->usage, .error = inbox->error};
        const krs_status end_status = add_event(stream, &end);
        status = status == KRS_OK ? end_status : status;
    }
    if (stream->exchange && status != KRS_OK) {
        krs_error err = KRS_ERROR_INIT;
        (void)krs_fail(&err, status, "the answer outgrew the memory it may use here");
        fail_exchange(stream->exchange, &err);
    } else if (stream->exchange) {
        flush_exchange(stream->exchange, krs_buf_view(&io->out));
    }
    if (inbox->is_end_taken) {
        free_stream(stream);
    }
}
