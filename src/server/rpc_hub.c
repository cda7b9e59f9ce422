/* server/rpc_hub.c - what the JSON-RPC connections of an io thread share: the desk, the carrier, posts.
 *
 *   task (front/rpc.h) <--link--> krs_stream (stream.h)          other threads --post--> list --wake--> us
 *
 * A link ends with the stream's last event, or when either side gives the stream up; whoever is first. */
#include "os/clock.h"
#include "server/rpc_peer.h"
#include "server/server_priv.h"

/* A stream of a session: what connects a task above with a krs_stream below. */
typedef struct link {
    krs_peer *peer;
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
    char input[KRS_RPC_READ_BYTES]; /* of whichever connection is read */
};

/* ---- streams ---- */

static krs_status on_event(void *ctx, uint32_t index, const krs_stream_event *event)
{
    link *l = ctx;
    krs_rpc_task *task = l->task;
    (void)index;
    if (event->is_end) {
        l->task = NULL;
    }
    krs_io_touch(l->peer);
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
        krs_alloc_free(l->peer->io->server->alloc, l);
    }
}

static const krs_stream_reader reader = {on_event, on_done};

static krs_status carrier_open(void *ctx, krs_request *request, krs_rpc_task *task, void **stream,
                               krs_error *err)
{
    krs_peer *p = ctx;
    link *l = krs_alloc_zero(p->io->server->alloc, sizeof(*l));
    if (!l) {
        return krs_fail(err, KRS_ENOMEM, "no memory for a stream");
    }
    *l = (link){.peer = p, .task = task};
    const krs_stream_options options = {
        .reader = &reader, .ctx = l, .window = request->credit, .has_tokens = true};
    const krs_status status = krs_stream_open(p->io, request, &options, &l->stream, err);
    if (status != KRS_OK) {
        krs_alloc_free(p->io->server->alloc, l);
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
    krs_alloc_free(l->peer->io->server->alloc, l);
}

static void carrier_grant(void *stream, uint32_t n_tokens)
{
    const link *l = stream;
    krs_service_grant(l->peer->io->server->service, &l->stream->generation, n_tokens);
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

static void on_wake(evutil_socket_t fd, short what, void *ctx)
{
    krs_rpc_hub *hub = ctx;
    (void)fd;
    (void)what;
    krs_os_wake_clear(&hub->wake);
    run_posts(hub);
    for (krs_peer *peer = hub->io->peers, *next = NULL; peer; peer = next) {
        next = peer->next;
        if (peer->ops == &krs_rpc_peer_ops) {
            peer->ops->flush(peer);
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

krs_rpc_hub *krs_rpc_hub_of(krs_io *io, krs_error *err)
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

krs_rpc_desk *krs_rpc_hub_desk(const krs_rpc_hub *hub)
{
    return hub->desk;
}

char *krs_rpc_hub_input(krs_rpc_hub *hub)
{
    return hub->input;
}
