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

/* A stream of a session: what connects a task above with a krs_stream below. */
typedef struct link {
    rpc_peer *peer;
    krs_rpc_task *task; /* NULL: it has had its end */
    krs_stream *stream;
} link;

struct krs_rpc_hub {
    krs_io *io;
    krs_rpc_desk *desk;
    krs_os_mutex *mutex;
    krs_rpc_post *posts; /* under the mutex; newest first */
    krs_os_wake wake;
    struct event *wake_event;
    char input[KRS_RPC_READ_BYTES];
};

static rpc_peer *peer_of(krs_peer *peer)
{
    return (rpc_peer *)peer;
}

/* ---- streams ---- */

static krs_status on_event(void *ctx, uint32_t index, const krs_stream_event *event)
{
    link *l = ctx;
    krs_rpc_task *task = l->task;
    (void)index;
    if (event->is_end) {
        l->task = NULL;
    }
    krs_io_touch(&l->peer->peer);
    if (task) {
        krs_rpc_event(task, event, krs_os_now_ns());
    }
    return KRS_OK;
}

static void on_done(void *ctx, uint32_t index, krs_status status, bool is_over)
{
    link *l = ctx;
    if (l->task && (status != KRS_OK || is_over)) {
        krs_stream_event end = {.is_end = true, .finish = KRS_FINISH_ERROR};
        (void)krs_fail(&end.error, status == KRS_OK ? KRS_EINTERNAL : status,
                       "the answer outgrew the memory it may use here");
        (void)on_event(l, index, &end);
        if (!is_over) {
            krs_stream_give_up(l->stream, KRS_CANCEL_SIBLING);
            is_over = true;
        }
    }
    if (is_over) {
        krs_alloc_free(l->peer->peer.io->server->alloc, l);
    }
}

static const krs_stream_reader reader = {on_event, on_done};

static krs_status carrier_open(void *ctx, krs_request *request, krs_rpc_task *task, void **stream,
                               krs_error *err)
{
    rpc_peer *p = ctx;
    link *l = krs_alloc_zero(p->peer.io->server->alloc, sizeof(*l));
    if (!l) {
        return krs_fail(err, KRS_ENOMEM, "no memory for a stream");
    }
    *l = (link){.peer = p, .task = task};
    const krs_stream_options options = {
        .reader = &reader, .ctx = l, .window = request->credit, .has_tokens = true};
    const krs_status status = krs_stream_open(p->peer.io, request, &options, &l->stream, err);
    if (status != KRS_OK) {
        krs_alloc_free(p->peer.io->server->alloc, l);
        return status;
    }
    *stream = l;
    return KRS_OK;
}

static void carrier_cancel(void *stream, krs_cancel_reason reason)
{
    krs_stream_cancel(((link *)stream)->stream, reason);
}

static void carrier_drop(void *stream, krs_cancel_reason reason)
{
    link *l = stream;
    krs_stream_give_up(l->stream, reason);
    krs_alloc_free(l->peer->peer.io->server->alloc, l);
}

static void carrier_grant(void *stream, uint32_t n_tokens)
{
    const link *l = stream;
    krs_service_grant(l->peer->peer.io->server->service, &l->stream->generation, n_tokens);
}

/* ---- the hub ---- */

static void carrier_post(void *ctx, krs_rpc_post *post)
{
    krs_rpc_hub *hub = ctx;
    krs_os_mutex_lock(hub->mutex);
    post->next = hub->posts;
    hub->posts = post;
    krs_os_mutex_unlock(hub->mutex);
    krs_os_wake_raise(&hub->wake);
}

static const krs_rpc_carrier carrier = {carrier_open, carrier_cancel, carrier_drop, carrier_grant,
                                        carrier_post};

/* Oldest first. */
static void run_posts(krs_rpc_hub *hub)
{
    krs_os_mutex_lock(hub->mutex);
    krs_rpc_post *newest = hub->posts;
    hub->posts = NULL;
    krs_os_mutex_unlock(hub->mutex);
    krs_rpc_post *oldest = NULL;
    while (newest) {
        krs_rpc_post *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        krs_rpc_post *next = oldest->next;
        oldest->run(oldest);
        oldest = next;
    }
}

static void flush_peer(krs_peer *peer);

static void on_wake(evutil_socket_t fd, short what, void *ctx)
{
    krs_rpc_hub *hub = ctx;
    (void)fd;
    (void)what;
    krs_os_wake_clear(&hub->wake);
    run_posts(hub);
    for (krs_peer *peer = hub->io->peers, *next = NULL; peer; peer = next) {
        next = peer->next;
        if (peer->ops->flush == flush_peer) {
            flush_peer(peer);
        }
    }
}

void krs_rpc_hub_free(krs_rpc_hub *hub)
{
    if (!hub) {
        return;
    }
    if (hub->mutex) {
        run_posts(hub);
    }
    if (hub->wake_event) {
        event_free(hub->wake_event);
    }
    krs_rpc_desk_free(hub->desk);
    krs_os_wake_close(&hub->wake);
    krs_os_mutex_free(hub->mutex);
    krs_alloc_free(hub->io->server->alloc, hub);
}

static krs_status open_hub(krs_rpc_hub *hub, krs_error *err)
{
    const krs_server *server = hub->io->server;
    const krs_server_rpc *rpc = &server->options.rpc;
    const krs_rpc_desk_options options = {.service = server->service,
                                          .carrier = &carrier,
                                          .carrier_ctx = hub,
                                          .version = server->options.version,
                                          .trusted = rpc->trusted,
                                          .n_trusted = rpc->n_trusted,
                                          .hub_dir = rpc->hub_dir,
                                          .alloc = server->alloc};
    krs_status status = krs_os_mutex_new(&hub->mutex);
    if (status == KRS_OK) {
        status = krs_os_wake_open(&hub->wake, err);
    }
    if (status == KRS_OK) {
        status = krs_rpc_desk_new(&options, &hub->desk);
    }
    if (status == KRS_OK) {
        hub->wake_event =
            event_new(hub->io->base, hub->wake.fd, EV_READ | EV_PERSIST, on_wake, hub);
        if (!hub->wake_event || event_add(hub->wake_event, NULL) != 0) {
            status = krs_fail(err, KRS_ENOMEM, "rpc: no memory");
        }
    }
    return status;
}

static krs_rpc_hub *hub_of(krs_io *io, krs_error *err)
{
    if (!io->rpc) {
        krs_rpc_hub *hub = krs_alloc_zero(io->server->alloc, sizeof(*hub));
        if (!hub) {
            return NULL;
        }
        hub->io = io;
        hub->wake.fd = -1;
        if (open_hub(hub, err) != KRS_OK) {
            krs_rpc_hub_free(hub);
            return NULL;
        }
        io->rpc = hub;
    }
    return io->rpc;
}

/* ---- a connection ---- */

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
    if (krs_rpc_is_over(p->session)) {
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
    krs_rpc_hub *hub = p->peer.io->rpc;
    size_t n = 0;
    const krs_status status = krs_os_stream_read(p->in_fd, hub->input, sizeof(hub->input), &n);
    if (status == KRS_OK) {
        krs_rpc_feed(p->session, (krs_str){hub->input, n}, krs_os_now_ns());
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

/* ---- what the io thread does with any peer ---- */

static void drain_peer(krs_peer *peer)
{
    rpc_peer *p = peer_of(peer);
    if (!p->is_dead && krs_rpc_streams(p->session) == 0 && krs_rpc_unanswered(p->session) == 0) {
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

static const krs_peer_ops ops = {drain_peer, shed_peer,  cancel_peer,
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

/* Takes nothing: the descriptors stay the caller's on failure. */
static krs_status open_peer(krs_io *io, int in_fd, int out_fd, bool is_stdio, rpc_peer **out,
                            krs_error *err)
{
    const krs_rpc_hub *hub = hub_of(io, err);
    rpc_peer *p = hub ? krs_alloc_zero(io->server->alloc, sizeof(*p)) : NULL;
    if (!p) {
        return krs_fail(err, KRS_ENOMEM, "rpc: no memory for a connection");
    }
    p->peer.ops = &ops;
    p->peer.io = io;
    p->in_fd = in_fd;
    p->out_fd = out_fd;
    p->is_stdio = true; /* until it is ours: free_peer leaves the descriptors alone */
    const krs_rpc_session_options options = {
        .carrier_ctx = p, .max_line_bytes = is_stdio ? KRS_STDIO_LINE_BYTES : KRS_RPC_LINE_BYTES};
    krs_status status = krs_rpc_session_new(hub->desk, &options, &p->session);
    if (status == KRS_OK) {
        status = open_events(p, err);
    }
    if (status != KRS_OK) {
        free_peer(&p->peer);
        return status;
    }
    p->is_stdio = is_stdio;
    *out = p;
    return KRS_OK;
}

void krs_rpc_peer_open(krs_io *io, krs_accepted *accepted)
{
    rpc_peer *p = NULL;
    if (open_peer(io, accepted->fd, accepted->fd, false, &p, NULL) != KRS_OK) {
        krs_accepted_close(accepted);
        (void)atomic_fetch_sub_explicit(&io->server->n_connections, 1, memory_order_relaxed);
        return;
    }
    p->peer.listener = accepted->listener;
    krs_io_adopt(io, &p->peer);
}

krs_status krs_rpc_peer_open_stdio(krs_io *io, krs_error *err)
{
    rpc_peer *p = NULL;
    const krs_status status = open_peer(io, 0, 1, true, &p, err);
    if (status != KRS_OK) {
        return status;
    }
    krs_os_stream_limit(1, KRS_STDIO_SEND_BYTES);
    (void)atomic_fetch_add_explicit(&io->server->n_connections, 1, memory_order_relaxed);
    krs_io_adopt(io, &p->peer);
    return KRS_OK;
}
