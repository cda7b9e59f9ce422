/* server/rpc_peer.c - see rpc_peer.h.
 *
 * Plain events of libevent, not bufferevents: descriptors may be pipes or files, input and output may be two,
 * and how much the system holds is the point. A file cannot be polled: it is taken for always readable. */
#include "server/rpc_peer.h"

#include "os/clock.h"
#include "os/stream.h"
#include "server/server_priv.h"

typedef struct rpc_peer {
    krs_peer peer; /* first */
    int in_fd;
    int out_fd;
    bool is_stdio;
    bool is_file;    /* input that cannot be polled */
    bool is_closing; /* nothing is read any more; send what is left */
    bool is_dead;
    uint64_t grace_ns; /* closing ends then */
    struct event *in_event;
    struct event *out_event;
    struct event *timer;
    krs_rpc_session *session;
} rpc_peer;

static rpc_peer *peer_of(krs_peer *peer)
{
    return (rpc_peer *)peer;
}

static void die(rpc_peer *p)
{
    if (p->is_dead) {
        return;
    }
    p->is_dead = true;
    krs_rpc_session_free(p->session);
    p->session = NULL;
    (void)event_del(p->in_event);
    (void)event_del(p->out_event);
    (void)event_del(p->timer);
    if (p->is_stdio) {
        krs_server_stop(p->peer.io->server);
    }
    krs_io_forget(&p->peer);
}

/* Look again when tokens are due, or when closing has taken too long. */
static void arm(rpc_peer *p)
{
    uint64_t due_ns = krs_rpc_due_ns(p->session);
    if (p->is_closing && p->grace_ns < due_ns) {
        due_ns = p->grace_ns;
    }
    if (due_ns == UINT64_MAX) {
        return;
    }
    const uint64_t now_ns = krs_os_now_ns();
    const uint64_t wait_us = due_ns > now_ns ? (due_ns - now_ns) / KRS_NS_PER_US + 1 : 0;
    const struct timeval after = {(time_t)(wait_us / 1000000), (suseconds_t)(wait_us % 1000000)};
    (void)evtimer_add(p->timer, &after);
}

static void start_closing(rpc_peer *p)
{
    if (!p->is_closing) {
        p->is_closing = true;
        p->grace_ns = krs_os_now_ns() + KRS_RPC_GRACE_MS * KRS_NS_PER_MS;
        (void)event_del(p->in_event);
    }
}

/* Read on, or not, as the peer reads us. */
static void set_appetite(rpc_peer *p)
{
    if (p->is_closing || !krs_rpc_is_hungry(p->session)) {
        (void)event_del(p->in_event);
    } else if (p->is_file) {
        event_active(p->in_event, EV_READ, 1);
    } else {
        (void)event_add(p->in_event, NULL);
    }
}

/* Send all that fits. False: the connection is dead. */
static bool send_output(rpc_peer *p)
{
    for (krs_str out = krs_rpc_output(p->session); out.len > 0; out = krs_rpc_output(p->session)) {
        size_t n = 0;
        if (krs_os_stream_write(p->out_fd, out.ptr, out.len, &n) != KRS_OK) {
            die(p);
            return false;
        }
        if (n == 0) {
            (void)event_add(p->out_event, NULL);
            return true;
        }
        krs_rpc_sent(p->session, n);
    }
    return true;
}

/* Is everything said that there is to say? */
static bool is_finished(const rpc_peer *p)
{
    const bool is_said = krs_rpc_output(p->session).len == 0;
    const bool is_waited = krs_rpc_is_over(p->session) || krs_rpc_unanswered(p->session) == 0 ||
                           krs_os_now_ns() >= p->grace_ns;
    return p->is_closing && is_waited && (is_said || krs_os_now_ns() >= p->grace_ns);
}

/* Does nothing run for it, and nothing wait? */
static bool is_idle(const rpc_peer *p)
{
    return krs_rpc_streams(p->session) == 0 && krs_rpc_unanswered(p->session) == 0;
}

static void flush_peer(krs_peer *peer)
{
    rpc_peer *p = peer_of(peer);
    if (p->is_dead) {
        return;
    }
    if (krs_rpc_is_broken(p->session)) {
        die(p);
        return;
    }
    if (!send_output(p)) {
        return;
    }
    if (krs_rpc_is_over(p->session) || (peer->io->is_draining && is_idle(p))) {
        start_closing(p);
    }
    if (is_finished(p)) {
        die(p);
        return;
    }
    set_appetite(p);
    arm(p);
}

/* Nobody is there to read answers; what was asked before may still be answered to a pipe. */
static void on_input_end(rpc_peer *p)
{
    if (p->is_stdio && krs_rpc_unanswered(p->session) > 0) {
        start_closing(p);
        flush_peer(&p->peer);
    } else {
        (void)send_output(p);
        die(p);
    }
}

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
    rpc_peer *p = ctx;
    (void)fd;
    (void)what;
    if (p->is_dead || p->is_closing) {
        return;
    }
    char *input = krs_rpc_hub_input(p->peer.io->rpc);
    size_t n = 0;
    const krs_status status = krs_os_stream_read(p->in_fd, input, KRS_RPC_READ_BYTES, &n);
    if (status == KRS_OK) {
        krs_rpc_feed(p->session, (krs_str){input, n}, krs_os_now_ns());
        flush_peer(&p->peer);
    } else {
        on_input_end(p);
    }
}

static void on_writable(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    flush_peer(ctx);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
    rpc_peer *p = ctx;
    (void)fd;
    (void)what;
    if (!p->is_dead) {
        krs_rpc_flush(p->session, krs_os_now_ns());
        flush_peer(&p->peer);
    }
}

static void drain_peer(krs_peer *peer)
{
    rpc_peer *p = peer_of(peer);
    if (!p->is_dead && is_idle(p)) {
        (void)(send_output(p) && (die(p), true));
    }
}

static void shed_peer(krs_peer *peer, uint64_t now_ns)
{
    (void)peer; /* a client keeps its connection open for days: none is worth less than another */
    (void)now_ns;
}

static void cancel_peer(krs_peer *peer)
{
    rpc_peer *p = peer_of(peer);
    if (!p->is_dead) {
        krs_rpc_end_streams(p->session);
        start_closing(p);
        flush_peer(peer);
    }
}

static void abort_peer(krs_peer *peer, krs_cancel_reason reason)
{
    (void)reason;
    die(peer_of(peer));
}

static void free_peer(krs_peer *peer)
{
    rpc_peer *p = peer_of(peer);
    krs_rpc_session_free(p->session);
    struct event *const events[] = {p->in_event, p->out_event, p->timer};
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        if (events[i]) {
            event_free(events[i]);
        }
    }
    if (!p->is_stdio) {
        krs_os_socket_close(p->in_fd);
    }
    krs_alloc_free(peer->io->server->alloc, p);
}

const krs_peer_ops krs_rpc_peer_ops = {drain_peer, shed_peer,  cancel_peer,
                                       abort_peer, flush_peer, free_peer};

static krs_status open_events(rpc_peer *p, krs_error *err)
{
    struct event_base *base = p->peer.io->base;
    p->in_event = event_new(base, p->in_fd, EV_READ | EV_PERSIST, on_readable, p);
    p->out_event = event_new(base, p->out_fd, EV_WRITE, on_writable, p);
    p->timer = evtimer_new(base, on_timer, p);
    if (!p->in_event || !p->out_event || !p->timer) {
        return krs_fail(err, KRS_ENOMEM, "rpc: no memory for a connection");
    }
    if (event_add(p->in_event, NULL) != 0) { /* epoll takes no files */
        p->is_file = true;
        event_free(p->in_event);
        p->in_event = event_new(base, -1, EV_READ | EV_PERSIST, on_readable, p);
        if (!p->in_event) {
            return krs_fail(err, KRS_ENOMEM, "rpc: no memory for a connection");
        }
        event_active(p->in_event, EV_READ, 1);
    }
    return KRS_OK;
}

/* NULL on failure: the descriptors stay the caller's then. */
static rpc_peer *open_peer(krs_io *io, int in_fd, int out_fd, bool is_stdio, krs_error *err)
{
    const krs_rpc_hub *hub = krs_rpc_hub_of(io, err);
    rpc_peer *p = hub ? krs_alloc_zero(io->server->alloc, sizeof(*p)) : NULL;
    if (!p) {
        return NULL;
    }
    p->peer.ops = &krs_rpc_peer_ops;
    p->peer.io = io;
    p->in_fd = in_fd;
    p->out_fd = out_fd;
    p->is_stdio = true; /* until it is ours: free_peer leaves the descriptors alone */
    const krs_rpc_session_options options = {
        .carrier_ctx = p, .max_line_bytes = is_stdio ? KRS_STDIO_LINE_BYTES : KRS_RPC_LINE_BYTES};
    krs_status status = krs_rpc_session_new(krs_rpc_hub_desk(hub), &options, &p->session);
    if (status == KRS_OK) {
        status = open_events(p, err);
    }
    if (status != KRS_OK) {
        free_peer(&p->peer);
        return NULL;
    }
    p->is_stdio = is_stdio;
    return p;
}

void krs_rpc_peer_open(krs_io *io, krs_accepted *accepted)
{
    rpc_peer *p = open_peer(io, accepted->fd, accepted->fd, false, NULL);
    if (!p) {
        krs_accepted_close(accepted);
        (void)atomic_fetch_sub_explicit(&io->server->n_connections, 1, memory_order_relaxed);
        return;
    }
    p->peer.listener = accepted->listener;
    krs_io_adopt(io, &p->peer);
}

krs_status krs_rpc_peer_open_stdio(krs_io *io, krs_error *err)
{
    rpc_peer *p = open_peer(io, 0, 1, true, err);
    if (!p) {
        return krs_fail(err, KRS_ENOMEM, "stdio: no memory, or no descriptor");
    }
    krs_os_stream_limit(1, KRS_STDIO_SEND_BYTES);
    (void)atomic_fetch_add_explicit(&io->server->n_connections, 1, memory_order_relaxed);
    krs_io_adopt(io, &p->peer);
    return KRS_OK;
}
