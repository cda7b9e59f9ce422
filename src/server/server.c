/* server/server.c - the main thread's half: listening, handing sockets out, stopping in order.
 *
 * Shutdown order: stop accepting; service refuses new answers; io threads close what idles and finish
 * what runs; past drain_ms answers are cancelled, and their clients told; past the grace what is left is
 * dropped; join the io threads. The runtime is freed by its owner after that, then the server. */
#include "server/server.h"

#include "os/socket.h"
#include "server/server_priv.h"

#include <event2/listener.h>

#define MAX_CONNECTIONS_CEILING 65536 /* of descriptors a process may usually have */

/* The loop of one run. */
typedef enum stop_phase { SERVING, DRAINING, CANCELLING, LEAVING } stop_phase;

typedef struct run {
    krs_server *server;
    struct event_base *base;
    struct evconnlistener *listener;
    struct event *stop_event;
    struct event *signal_event; /* or NULL */
    struct event *done_event;
    struct event *timer; /* next phase of stopping, or accept again */
    stop_phase phase;
} run;

static krs_status check_sizes(const krs_server_options *options, krs_error *err)
{
    if (options->max_body_bytes == 0 || options->max_body_bytes > KRS_REQUEST_MAX_BYTES) {
        return krs_fail_field(err, KRS_EINVAL, "max-body", "max-body: %zu bytes, want 1..%u",
                              options->max_body_bytes, KRS_REQUEST_MAX_BYTES);
    }
    /* A buffer grows by doubling, so the largest body may take twice its size. */
    if (options->max_bodies_bytes / 2 < options->max_body_bytes) {
        return krs_fail_field(err, KRS_EINVAL, "max-bodies",
                              "max-bodies: %zu bytes, want twice max-body (%zu) at least",
                              options->max_bodies_bytes, options->max_body_bytes);
    }
    return KRS_OK;
}

static krs_status check_options(const krs_server_options *options, krs_error *err)
{
    if (options->size != sizeof(*options) || !options->host || !options->version) {
        return krs_fail(err, KRS_EINVAL, "server: options of another version, or without a host");
    }
    if (options->n_io_threads == 0 || options->n_io_threads > KRS_SERVER_MAX_IO_THREADS) {
        return krs_fail_field(err, KRS_EINVAL, "io-threads", "io-threads: %u, want 1..%d",
                              options->n_io_threads, KRS_SERVER_MAX_IO_THREADS);
    }
    if (options->max_connections == 0 || options->max_connections > MAX_CONNECTIONS_CEILING) {
        return krs_fail_field(err, KRS_EINVAL, "max-connections", "max-connections: %u, want 1..%d",
                              options->max_connections, MAX_CONNECTIONS_CEILING);
    }
    return check_sizes(options, err);
}

static krs_status open_parts(krs_server *server, krs_error *err)
{
    krs_status status = krs_os_wake_open(&server->stop_wake, err);
    if (status == KRS_OK) {
        status = krs_os_wake_open(&server->done_wake, err);
    }
    while (status == KRS_OK && server->n_ios < server->options.n_io_threads) {
        status = krs_io_init(&server->ios[server->n_ios], server, err);
        server->n_ios += status == KRS_OK;
    }
    if (status == KRS_OK) {
        status = krs_os_socket_listen(server->options.host, server->options.port,
                                      &server->listen_fd, &server->port, err);
    }
    return status;
}

krs_status krs_server_open(const krs_server_options *options, krs_service *service,
                           const krs_alloc *alloc, krs_server **out, krs_error *err)
{
    *out = NULL;
    krs_status status = check_options(options, err);
    if (status != KRS_OK) {
        return status;
    }
    krs_server *server = krs_alloc_zero(alloc, sizeof(*server));
    if (!server) {
        return krs_fail(err, KRS_ENOMEM, "server: no memory");
    }
    server->alloc = alloc;
    server->options = *options;
    server->service = service;
    server->listen_fd = -1;
    server->stop_wake.fd = server->done_wake.fd = -1;
    status = open_parts(server, err);
    if (status != KRS_OK) {
        krs_server_free(server);
        return status;
    }
    *out = server;
    return KRS_OK;
}

uint16_t krs_server_port(const krs_server *server)
{
    return server->port;
}

void krs_server_stop(krs_server *server)
{
    krs_os_wake_raise(&server->stop_wake);
}

void krs_server_free(krs_server *server)
{
    if (!server) {
        return;
    }
    for (uint32_t i = 0; i < server->n_ios; i++) {
        krs_io_deinit(&server->ios[i]);
    }
    krs_os_socket_close(server->listen_fd);
    krs_os_wake_close(&server->done_wake);
    krs_os_wake_close(&server->stop_wake);
    krs_alloc_free(server->alloc, server);
}

static void refuse_socket(int fd)
{
    static const char answer[] =
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
        "Content-Length: 121\r\nRetry-After: 1\r\nConnection: close\r\n\r\n"
        "{\"error\":{\"message\":\"Too many connections; try again.\",\"type\":\"server_error\","
        "\"param\":null,\"code\":\"too_many_connections\"}}";
    krs_os_socket_send(fd, answer, sizeof(answer) - 1);
    krs_os_socket_close(fd);
}

static void command_all(const run *r, krs_mailbox_command command)
{
    for (uint32_t i = 0; i < r->server->n_ios; i++) {
        krs_mailbox_command_set(&r->server->ios[i].mailbox, command);
    }
}

/* Accepted sockets go round the io threads in turn and stay where they land. */
static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
                      int n_bytes, void *ctx)
{
    const run *r = ctx;
    krs_server *server = r->server;
    (void)listener;
    (void)address;
    (void)n_bytes;
    const uint32_t n = atomic_fetch_add_explicit(&server->n_connections, 1, memory_order_relaxed);
    krs_io *io = &server->ios[server->next_io++ % server->n_ios];
    if (n >= server->options.max_connections || !krs_mailbox_push_socket(&io->mailbox, fd)) {
        (void)atomic_fetch_sub_explicit(&server->n_connections, 1, memory_order_relaxed);
        refuse_socket(fd);
        command_all(r, KRS_MAILBOX_SHED); /* so that there may be room when it tries again */
    }
}

static void set_timer(const run *r, uint32_t ms)
{
    const struct timeval after = {(time_t)(ms / 1000), (suseconds_t)(ms % 1000) * 1000};
    (void)evtimer_add(r->timer, &after);
}

/* No descriptors or no memory: the pending connection would be reported again at once. Wait a little. */
static void on_accept_error(struct evconnlistener *listener, void *ctx)
{
    const run *r = ctx;
    (void)evconnlistener_disable(listener);
    set_timer(r, KRS_SERVER_ACCEPT_PAUSE_MS);
}

/* One phase nearer to the end. */
static void advance(run *r)
{
    switch (r->phase) {
    case SERVING:
        r->phase = DRAINING;
        evconnlistener_free(r->listener);
        r->listener = NULL;
        krs_service_drain(r->server->service);
        krs_log_write(krs_service_log(r->server->service), KRS_LOG_INFO, "server.draining", NULL,
                      NULL, 0);
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
    if (r->phase == SERVING) {
        (void)evconnlistener_enable(r->listener);
    } else {
        advance(r);
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

/* The first signal drains, the second cuts the drain short. */
static void on_signal(evutil_socket_t fd, short what, void *ctx)
{
    run *r = ctx;
    (void)fd;
    (void)what;
    if (krs_os_signals_take(r->server->options.signals) != 0 && r->phase < CANCELLING) {
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

static krs_status open_run(run *r, krs_error *err)
{
    krs_server *server = r->server;
    r->base = event_base_new();
    if (r->base) {
        r->stop_event = watch(r, server->stop_wake.fd, on_stop);
        r->done_event = watch(r, server->done_wake.fd, on_done);
        r->timer = evtimer_new(r->base, on_timer, r);
        r->listener =
            evconnlistener_new(r->base, on_accept, r, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC,
                               0, server->listen_fd);
    }
    if (r->base && server->options.signals) {
        r->signal_event = watch(r, server->options.signals->fd, on_signal);
    }
    if (!r->stop_event || !r->done_event || !r->timer || !r->listener ||
        (server->options.signals && !r->signal_event)) {
        return krs_fail(err, KRS_ENOMEM, "server: no memory for the loop");
    }
    server->listen_fd = -1; /* the listener closes it */
    evconnlistener_set_error_cb(r->listener, on_accept_error);
    return KRS_OK;
}

static void close_run(const run *r)
{
    if (r->listener) {
        evconnlistener_free(r->listener);
    }
    struct event *const events[] = {r->stop_event, r->signal_event, r->done_event, r->timer};
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
        krs_io_close_conns(&server->ios[i]);
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
        krs_log_field fields[] = {krs_log_text("address", server->options.host),
                                  krs_log_int("port", server->port)};
        krs_log_write(krs_service_log(server->service), KRS_LOG_INFO, "server.started", NULL,
                      fields, 2);
        (void)event_base_dispatch(r.base);
    }
    command_all(&r, KRS_MAILBOX_QUIT);
    join_threads(server);
    close_run(&r);
    krs_log_write(krs_service_log(server->service), KRS_LOG_INFO, "server.stopped", NULL, NULL, 0);
    return status;
}
