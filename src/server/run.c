/* server/run.c - the main thread's half: accepting, handing sockets out, reloading, stopping in order.
 *
 * Shutdown order: stop accepting; service refuses new answers; io threads close what idles and finish
 * what runs; past drain_ms answers are cancelled, and their clients told; past the grace what is left is
 * dropped; join the io threads. The runtime is freed by its owner after that, then the server. */
#include "os/socket.h"
#include "server/server_priv.h"

#include <event2/listener.h>

/* The loop of one run. */
typedef enum stop_phase { SERVING, DRAINING, CANCELLING, LEAVING } stop_phase;

typedef struct run run;

/* Where connections come in. */
typedef struct door {
    run *run;
    const krs_listener *listener;
    struct evconnlistener *accepting; /* NULL: closed */
} door;

struct run {
    krs_server *server;
    struct event_base *base;
    door doors[KRS_SERVER_MAX_LISTENERS]; /* as the server's listeners */
    struct event *stop_event;
    struct event *reload_event;
    struct event *signal_event; /* or NULL */
    struct event *done_event;
    struct event *timer; /* next phase of stopping, or accept again */
    stop_phase phase;
};

static void refuse_socket(int fd, krs_listener_kind kind)
{
    static const char rpc[] =
        "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32013,\"message\":"
        "\"Too many connections; try again.\"}}\n";
    static const char http[] =
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
        "Content-Length: 121\r\nRetry-After: 1\r\nConnection: close\r\n\r\n"
        "{\"error\":{\"message\":\"Too many connections; try again.\",\"type\":\"server_error\","
        "\"param\":null,\"code\":\"too_many_connections\"}}";
    size_t n_sent;
    const krs_str answer = kind == KRS_LISTENER_RPC ? KRS_STR(rpc) : KRS_STR(http);
    const krs_status status = krs_os_socket_send(fd, answer.ptr, answer.len, &n_sent);
    (void)status; /* a last word, if it fits */
    krs_os_socket_close(fd);
}

static void command_all(const run *r, krs_mailbox_command command)
{
    for (uint32_t i = 0; i < r->server->n_ios; i++) {
        krs_mailbox_command_set(&r->server->ios[i].mailbox, command);
    }
}

/* Hand it to the next io thread; false when all places are taken. */
static bool hand_over(const run *r, const krs_accepted *accepted)
{
    krs_server *server = r->server;
    const uint32_t n = atomic_fetch_add_explicit(&server->n_connections, 1, memory_order_relaxed);
    /* JSON-RPC keeps figures over its connections, so they live on one thread. */
    const bool is_rpc = accepted->listener->kind == KRS_LISTENER_RPC;
    krs_io *io = &server->ios[is_rpc ? 0 : server->next_io++ % server->n_ios];
    if (n < server->options.max_connections && krs_mailbox_push_socket(&io->mailbox, accepted)) {
        return true;
    }
    (void)atomic_fetch_sub_explicit(&server->n_connections, 1, memory_order_relaxed);
    return false;
}

/* Accepted sockets go round the io threads in turn and stay where they land. */
static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
                      int n_bytes, void *ctx)
{
    const door *d = ctx;
    (void)listener;
    (void)address;
    (void)n_bytes;
    krs_accepted accepted;
    if (!krs_listener_admit(d->listener, fd, &accepted) || hand_over(d->run, &accepted)) {
        return;
    }
    if (accepted.ssl) {
        krs_accepted_close(&accepted); /* no word is understood before the handshake */
    } else {
        refuse_socket(fd, d->listener->kind);
    }
    command_all(d->run, KRS_MAILBOX_SHED); /* so that there may be room when it tries again */
}

static void set_timer(const run *r, uint32_t ms)
{
    const struct timeval after = {(time_t)(ms / 1000), (suseconds_t)(ms % 1000) * 1000};
    (void)evtimer_add(r->timer, &after);
}

/* No descriptors or no memory: the pending connection would be reported again at once. Wait a little, and
 * let those go who do nothing. */
static void on_accept_error(struct evconnlistener *listener, void *ctx)
{
    const door *d = ctx;
    (void)evconnlistener_disable(listener);
    command_all(d->run, KRS_MAILBOX_SHED);
    set_timer(d->run, KRS_SERVER_ACCEPT_PAUSE_MS);
}

static void close_doors(run *r)
{
    for (uint32_t i = 0; i < KRS_SERVER_MAX_LISTENERS; i++) {
        if (r->doors[i].accepting) {
            evconnlistener_free(r->doors[i].accepting);
            krs_listener_close(&r->server->listeners[i]);
            r->doors[i].accepting = NULL;
        }
    }
}

/* One phase nearer to the end. */
static void advance(run *r)
{
    switch (r->phase) {
    case SERVING:
        r->phase = DRAINING;
        close_doors(r);
        krs_service_drain(r->server->service);
        krs_service_publish(r->server->service, KRS_EVENT_SERVER_DRAINING, NULL, NULL, 0);
        command_all(r, KRS_MAILBOX_DRAIN);
        set_timer(r, r->server->options.drain_ms);
        break;
    case DRAINING:
        r->phase = CANCELLING;
        command_all(r, KRS_MAILBOX_CANCEL);
        set_timer(r, KRS_SERVER_GRACE_MS);
        break;
    default:
        r->phase = LEAVING;
        (void)event_base_loopbreak(r->base);
        break;
    }
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
    run *r = ctx;
    (void)fd;
    (void)what;
    if (r->phase != SERVING) {
        advance(r);
        return;
    }
    for (uint32_t i = 0; i < r->server->n_listeners; i++) {
        (void)evconnlistener_enable(r->doors[i].accepting);
    }
}

static void on_stop(evutil_socket_t fd, short what, void *ctx)
{
    run *r = ctx;
    (void)fd;
    (void)what;
    krs_os_wake_clear(&r->server->stop_wake);
    if (r->phase == SERVING) {
        advance(r);
    }
}

/* Keys, certificate, and what the program adds. What cannot be read leaves the old in use, and a record. */
static void reload(const run *r)
{
    krs_server *server = r->server;
    const krs_log *log = krs_service_log(server->service);
    krs_error err = KRS_ERROR_INIT;
    if (krs_service_reload_keys(server->service, &err) != KRS_OK) {
        krs_log_error(log, KRS_LOG_ERROR, "reload.failed", NULL, &err);
    }
    if (server->tls && krs_tls_reload(server->tls, &err) != KRS_OK) {
        krs_log_error(log, KRS_LOG_ERROR, "reload.failed", NULL, &err);
    }
    if (server->options.reload) {
        server->options.reload(server->options.reload_ctx);
    }
    krs_service_publish(server->service, KRS_EVENT_SERVER_RELOADED, NULL, NULL, 0);
}

static void on_reload(evutil_socket_t fd, short what, void *ctx)
{
    const run *r = ctx;
    (void)fd;
    (void)what;
    krs_os_wake_clear(&r->server->reload_wake);
    reload(r);
}

/* SIGHUP reloads; of the others the first drains, the second cuts the drain short. */
static void on_signal(evutil_socket_t fd, short what, void *ctx)
{
    run *r = ctx;
    (void)fd;
    (void)what;
    const int signal = krs_os_signals_take(r->server->options.signals);
    if (krs_os_signal_is_hangup(signal)) {
        reload(r);
    } else if (signal != 0 && r->phase < CANCELLING) {
        advance(r);
    }
}

static void on_done(evutil_socket_t fd, short what, void *ctx)
{
    run *r = ctx;
    (void)fd;
    (void)what;
    krs_os_wake_clear(&r->server->done_wake);
    /* Acquire: pairs with the release in io.c. */
    if (atomic_load_explicit(&r->server->n_io_done, memory_order_acquire) == r->server->n_ios) {
        (void)event_base_loopbreak(r->base);
    }
}

static struct event *watch(run *r, int fd, event_callback_fn callback)
{
    struct event *event = event_new(r->base, fd, EV_READ | EV_PERSIST, callback, r);
    if (event && event_add(event, NULL) != 0) {
        event_free(event);
        event = NULL;
    }
    return event;
}

static bool open_doors(run *r)
{
    for (uint32_t i = 0; i < r->server->n_listeners; i++) {
        door *d = &r->doors[i];
        *d = (door){.run = r, .listener = &r->server->listeners[i]};
        d->accepting =
            evconnlistener_new(r->base, on_accept, d, LEV_OPT_CLOSE_ON_EXEC, 0, d->listener->fd);
        if (!d->accepting) {
            return false;
        }
        evconnlistener_set_error_cb(d->accepting, on_accept_error);
    }
    return true;
}

static bool open_events(run *r)
{
    const krs_server *server = r->server;
    r->base = event_base_new();
    if (!r->base) {
        return false;
    }
    r->stop_event = watch(r, server->stop_wake.fd, on_stop);
    r->reload_event = watch(r, server->reload_wake.fd, on_reload);
    r->done_event = watch(r, server->done_wake.fd, on_done);
    r->timer = evtimer_new(r->base, on_timer, r);
    if (server->options.signals) {
        r->signal_event = watch(r, server->options.signals->fd, on_signal);
    }
    return r->stop_event && r->reload_event && r->done_event && r->timer &&
           (!server->options.signals || r->signal_event);
}

static krs_status open_run(run *r, krs_error *err)
{
    return open_events(r) && open_doors(r)
               ? KRS_OK
               : krs_fail(err, KRS_ENOMEM, "server: no memory for the loop");
}

static void close_run(run *r)
{
    close_doors(r);
    struct event *const events[] = {r->stop_event, r->reload_event, r->signal_event, r->done_event,
                                    r->timer};
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        if (events[i]) {
            event_free(events[i]);
        }
    }
    if (r->base) {
        event_base_free(r->base);
    }
}

static krs_status start_threads(krs_server *server, krs_error *err)
{
    krs_status status = KRS_OK;
    for (uint32_t i = 0; status == KRS_OK && i < server->n_ios; i++) {
        status =
            krs_os_thread_start("krs-io", krs_io_run, &server->ios[i], &server->ios[i].thread, err);
    }
    return status;
}

static void join_threads(krs_server *server)
{
    for (uint32_t i = 0; i < server->n_ios; i++) {
        krs_os_thread_join(server->ios[i].thread);
        server->ios[i].thread = NULL;
        krs_io_close_peers(&server->ios[i]);
    }
}

static void log_start(const krs_server *server)
{
    for (uint32_t i = 0; i < server->n_listeners; i++) {
        const krs_listener *listener = &server->listeners[i];
        const krs_log_field fields[] = {
            krs_log_text("address", listener->is_unix ? listener->path : server->options.host),
            krs_log_int("port", listener->port), krs_log_bool("tls", listener->tls != NULL)};
        krs_service_publish(server->service, KRS_EVENT_SERVER_STARTED, NULL, fields,
                            sizeof(fields) / sizeof(fields[0]));
    }
}

krs_status krs_server_run(krs_server *server, krs_error *err)
{
    run r = {.server = server};
    krs_status status = open_run(&r, err);
    if (status == KRS_OK) {
        status = start_threads(server, err);
    }
    if (status == KRS_OK) {
        log_start(server);
        (void)event_base_dispatch(r.base);
    }
    command_all(&r, KRS_MAILBOX_QUIT);
    join_threads(server);
    close_run(&r);
    krs_service_publish(server->service, KRS_EVENT_SERVER_STOPPED, NULL, NULL, 0);
    return status;
}
