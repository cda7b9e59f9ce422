/* server/output.c - bytes to the socket of an HTTP connection, and what its reader has taken of them.
 *
 *   out (payload of a step) --gzip?--> chunk, with head and end when due --> io->wire --send--> socket
 *                                                                             \--what it does not take--> bev
 *
 * A step's bytes are tried on the socket at once, out of a buffer that is used again: one system call for a
 * step of a connection, and no allocation. Only what the socket does not take goes into libevent's buffer,
 * which then writes it when it can. With TLS everything goes that way.
 *
 * Credit: above the high mark the reader is behind, and its streams get no more credit until it is below
 * the low mark. The system is told to hold little itself (krs_os_socket_limit_unsent), else it would take
 * megabytes before we saw anything of a reader that has stopped. */
#include "os/clock.h"
#include "os/socket.h"
#include "server/server_priv.h"

#define CHUNK_HEAD_BYTES 18 /* 16 hexadecimal digits, CR LF */

static struct evbuffer *output_of(const krs_conn *conn)
{
    return bufferevent_get_output(conn->bev);
}

size_t krs_conn_unsent(const krs_conn *conn)
{
    return evbuffer_get_length(output_of(conn));
}

bool krs_conn_send(krs_conn *conn, krs_str bytes)
{
    size_t n_sent = 0;
    krs_status status = KRS_OK;
    if (!conn->ssl && krs_conn_unsent(conn) == 0) {
        status = krs_os_socket_send(bufferevent_getfd(conn->bev), bytes.ptr, bytes.len, &n_sent);
    }
    if (status == KRS_OK && n_sent < bytes.len &&
        evbuffer_add(output_of(conn), bytes.ptr + n_sent, bytes.len - n_sent) != 0) {
        status = KRS_ENOMEM; /* half a response must not stay */
    }
    if (status != KRS_OK) {
        krs_conn_abort(conn, KRS_CANCEL_GONE);
    }
    return status == KRS_OK;
}

uint32_t krs_conn_write_ms(const krs_conn *conn)
{
    const krs_server_times *times = &conn->io->server->options.times;
    return conn->is_patient ? times->stall_ms : times->write_ms;
}

void krs_conn_set_patience(krs_conn *conn, bool is_patient)
{
    conn->is_patient = is_patient;
    const uint32_t ms = krs_conn_write_ms(conn);
    const struct timeval limit = {(time_t)(ms / 1000), (suseconds_t)(ms % 1000) * 1000};
    (void)bufferevent_set_timeouts(conn->bev, NULL, &limit);
}

void krs_conn_settle(krs_conn *conn)
{
    const size_t unsent = krs_conn_unsent(conn);
    if (unsent > KRS_CONN_HIGH_BYTES && !conn->is_behind) {
        conn->is_behind = true;
        krs_metrics_add(krs_service_metrics(conn->io->server->service), KRS_METRIC_STREAM_PAUSES,
                        1);
    } else if (unsent <= KRS_CONN_LOW_BYTES) {
        conn->is_behind = false;
    }
    if (!conn->is_behind && conn->exchange) {
        krs_exchange_settle(conn->exchange);
    }
}

/* The payload as it goes out: itself, or compressed into io->zipped. */
static krs_status pack(const krs_conn *conn, bool is_last, krs_str *payload)
{
    if (!conn->gzip || (payload->len == 0 && !is_last)) {
        return KRS_OK;
    }
    krs_buf *zipped = &conn->io->zipped;
    krs_buf_reset(zipped);
    const krs_status status = krs_gzip_stream_add(conn->gzip, *payload, is_last, zipped);
    *payload = krs_buf_view(zipped);
    return status;
}

/* "1a2\r\n": the size of a chunk. */
static krs_status add_chunk_head(krs_buf *wire, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    char line[CHUNK_HEAD_BYTES] = {[CHUNK_HEAD_BYTES - 2] = '\r', [CHUNK_HEAD_BYTES - 1] = '\n'};
    size_t at = CHUNK_HEAD_BYTES - 2;
    do {
        line[--at] = digits[n % 16];
        n /= 16;
    } while (n > 0);
    return krs_buf_append(wire, line + at, sizeof(line) - at);
}

static krs_status add_piece(const krs_conn *conn, krs_str payload, krs_buf *wire)
{
    if (payload.len == 0) {
        return KRS_OK; /* an empty chunk would be the end */
    }
    krs_status status = conn->is_chunked ? add_chunk_head(wire, payload.len) : KRS_OK;
    if (status == KRS_OK) {
        status = krs_buf_append_str(wire, payload);
    }
    return status == KRS_OK && conn->is_chunked ? krs_buf_append_str(wire, KRS_STR("\r\n"))
                                                : status;
}

static krs_status frame(krs_conn *conn, bool has_head, bool is_last, krs_buf *wire)
{
    krs_str payload = krs_buf_view(&conn->out);
    krs_status status = has_head ? KRS_OK : krs_conn_stream_head(conn, wire);
    if (status == KRS_OK) {
        status = pack(conn, is_last, &payload);
    }
    if (status == KRS_OK) {
        status = add_piece(conn, payload, wire);
    }
    return status == KRS_OK && is_last && conn->is_chunked
               ? krs_buf_append_str(wire, KRS_STR("0\r\n\r\n"))
               : status;
}

bool krs_conn_stream_send(krs_conn *conn, bool has_head, bool is_last)
{
    krs_buf *wire = &conn->io->wire;
    krs_buf_reset(wire);
    const krs_status status = frame(conn, has_head, is_last, wire);
    krs_buf_reset(&conn->out);
    if (status != KRS_OK || krs_conn_unsent(conn) > KRS_CONN_CAP_BYTES) {
        krs_conn_abort(conn, status != KRS_OK ? KRS_CANCEL_GONE : KRS_CANCEL_SLOW);
        return false;
    }
    conn->sent_ns = krs_os_now_ns();
    return krs_conn_send(conn, krs_buf_view(wire));
}
