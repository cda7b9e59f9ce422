/* server/io.c - an io thread: its loop, its mailbox, its connections.
 *
 * The thread sleeps in libevent until a socket or the mailbox's wake descriptor is readable. A take reads
 * all events first and sends afterwards, so that a connection with several streams gets one write for
 * a step. Dead connections are freed by an event of their own, never inside their own callbacks. */
#include "os/clock.h"
#include "server/server_priv.h"

static void reap(evutil_socket_t fd, short what, void *ctx)
{
    krs_io *io = ctx;
    (void)fd;
    (void)what;
    while (io->dead) {
        krs_peer *peer = io->dead;
        io->dead = peer->next;
        peer->ops->free(peer);
    }
}

void krs_io_adopt(krs_io *io, krs_peer *peer)
{
    peer->io = io;
    peer->next = io->peers;
    if (io->peers) {
        io->peers->prev = peer;
    }
    io->peers = peer;
}

void krs_io_forget(krs_peer *peer)
{
    krs_io *io = peer->io;
    if (peer->prev) {
        peer->prev->next = peer->next;
    } else {
        io->peers = peer->next;
    }
    if (peer->next) {
        peer->next->prev = peer->prev;
    }
    peer->prev = NULL;
    peer->next = io->dead;
    io->dead = peer;
    (void)atomic_fetch_sub_explicit(&io->server->n_connections, 1, memory_order_relaxed);
    event_active(io->reap_event, EV_TIMEOUT, 1);
}

void krs_io_touch(krs_peer *peer)
{
    if (!peer->is_touched) {
        peer->is_touched = true;
        peer->next_touched = peer->io->touched;
        peer->io->touched = peer;
    }
}

/* A peer that has died meanwhile is still there: it is reaped by an event of its own. */
static void flush_touched(krs_io *io)
{
    while (io->touched) {
        krs_peer *peer = io->touched;
        io->touched = peer->next_touched;
        peer->is_touched = false;
        peer->ops->flush(peer);
    }
}

/* Once draining, tell the main thread when nothing is left, streams of vanished clients included. */
static void report_done(krs_io *io)
{
    if (io->is_draining && !io->is_done && !io->peers && !io->streams) {
        io->is_done = true;
        /* Release: pairs with the acquire in run.c, which then frees what we own. */
        (void)atomic_fetch_add_explicit(&io->server->n_io_done, 1, memory_order_release);
        krs_os_wake_raise(&io->server->done_wake);
    }
}

static void drain(krs_io *io)
{
    io->is_draining = true;
    for (krs_peer *peer = io->peers, *next = NULL; peer; peer = next) {
        next = peer->next;
        peer->ops->drain(peer);
    }
}

/* Idle connections cost their owner nothing, so one client could keep all others out with them. */
static void shed(krs_io *io)
{
    const uint64_t now_ns = krs_os_now_ns();
    for (krs_peer *peer = io->peers, *next = NULL; peer; peer = next) {
        next = peer->next;
        peer->ops->shed(peer, now_ns);
    }
}

static void cancel_all(krs_io *io)
{
    for (krs_peer *peer = io->peers, *next = NULL; peer; peer = next) {
        next = peer->next;
        peer->ops->cancel(peer);
    }
}

static void obey(krs_io *io, uint32_t commands)
{
    if (commands & KRS_MAILBOX_SHED) {
        shed(io);
    }
    if (commands & KRS_MAILBOX_DRAIN) {
        drain(io);
    }
    if (commands & KRS_MAILBOX_CANCEL) {
        cancel_all(io);
    }
    if (commands & KRS_MAILBOX_QUIT) {
        (void)event_base_loopbreak(io->base);
    }
}

static void open_peer(krs_io *io, krs_accepted *accepted)
{
    if (accepted->listener->kind == KRS_LISTENER_RPC) {
        krs_rpc_peer_open(io, accepted);
    } else {
        krs_conn_open(io, accepted);
    }
}

static void on_wake(evutil_socket_t fd, short what, void *ctx)
{
    krs_io *io = ctx;
    (void)fd;
    (void)what;
    const krs_mailbox_batch batch = krs_mailbox_take(&io->mailbox, io->sockets);
    for (uint32_t i = 0; i < batch.n_sockets; i++) {
        open_peer(io, &io->sockets[i]);
    }
    for (krs_inbox *inbox = batch.first, *next = NULL; inbox; inbox = next) {
        next = inbox->next_taken;
        krs_stream_take(inbox);
    }
    flush_touched(io);
    obey(io, batch.commands);
}

static krs_status init_loop(krs_io *io, krs_error *err)
{
    const uint32_t max_sockets = io->server->options.max_connections;
    io->sockets = krs_alloc_array(io->server->alloc, max_sockets, sizeof(*io->sockets));
    io->base = event_base_new();
    if (io->base && io->sockets) {
        io->wake_event =
            event_new(io->base, io->mailbox.wake.fd, EV_READ | EV_PERSIST, on_wake, io);
        io->reap_event = event_new(io->base, -1, 0, reap, io);
    }
    if (!io->wake_event || !io->reap_event || event_add(io->wake_event, NULL) != 0) {
        return krs_fail(err, KRS_ENOMEM, "io thread: no memory");
    }
    return KRS_OK;
}

krs_status krs_io_init(krs_io *io, krs_server *server, krs_error *err)
{
    *io = (krs_io){.server = server};
    io->mailbox.wake.fd = -1;
    krs_arena_init(&io->scratch, server->alloc, KRS_IO_SCRATCH_CHUNK_BYTES,
                   KRS_IO_SCRATCH_MAX_BYTES);
    krs_buf_init(&io->out, server->alloc, KRS_IO_OUT_MAX_BYTES);
    krs_buf_init(&io->wire, server->alloc, KRS_IO_OUT_MAX_BYTES);
    krs_buf_init(&io->zipped, server->alloc, KRS_IO_OUT_MAX_BYTES);
    krs_status status =
        krs_mailbox_init(&io->mailbox, server->options.max_connections, server->alloc, err);
    if (status != KRS_OK) {
        return status;
    }
    io->sink = (krs_sink){&io->mailbox, krs_mailbox_deliver};
    status = init_loop(io, err);
    if (status != KRS_OK) {
        krs_io_deinit(io);
    }
    return status;
}

void krs_io_close_peers(krs_io *io)
{
    while (io->peers) {
        io->peers->ops->abort(io->peers, KRS_CANCEL_DRAIN);
    }
    reap(-1, 0, io);
}

void krs_io_deinit(krs_io *io)
{
    krs_stream_free_all(io);
    krs_rpc_hub_free(io->rpc);
    if (io->wake_event) {
        event_free(io->wake_event);
    }
    if (io->reap_event) {
        event_free(io->reap_event);
    }
    if (io->base) {
        event_base_free(io->base);
    }
    krs_alloc_free(io->server->alloc, io->sockets);
    krs_buf_deinit(&io->zipped);
    krs_buf_deinit(&io->wire);
    krs_buf_deinit(&io->out);
    krs_arena_deinit(&io->scratch);
    if (io->mailbox.mutex) {
        krs_mailbox_deinit(&io->mailbox);
    }
}

void krs_io_run(void *ctx)
{
    krs_io *io = ctx;
    while (event_base_got_break(io->base) == 0 && event_base_loop(io->base, EVLOOP_ONCE) == 0) {
        report_done(io);
    }
}
