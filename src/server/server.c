/* server/server.c - options checked, listeners bound, parts taken and given back. See run.c for the loop. */
#include "server/server.h"

#include "server/server_priv.h"

#define MAX_CONNECTIONS_CEILING 65536 /* of descriptors a process may usually have */
#define MAX_STREAM_WINDOW       65536 /* tokens; more is no limit at all */

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

static bool has_listener(const krs_server_options *options)
{
    return options->host || options->unix_path || options->rpc.path || options->rpc.is_stdio;
}

static krs_status check_options(const krs_server_options *options, krs_error *err)
{
    if (options->size != sizeof(*options) || !options->version) {
        return krs_fail(err, KRS_EINVAL, "server: options of another version");
    }
    if (!has_listener(options)) {
        return krs_fail_field(err, KRS_EINVAL, "unix", "unix: nothing to listen on without TCP");
    }
    if (options->stream_window == 0 || options->stream_window > MAX_STREAM_WINDOW) {
        return krs_fail_field(err, KRS_EINVAL, "stream-window", "stream-window: %u, want 1..%d",
                              options->stream_window, MAX_STREAM_WINDOW);
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

static krs_status open_tls(krs_server *server, krs_error *err)
{
    const krs_server_options *options = &server->options;
    if (!options->tls_cert && !options->tls_key) {
        return KRS_OK;
    }
    return krs_tls_open(options->tls_cert, options->tls_key, server->alloc, &server->tls, err);
}

static krs_status open_listeners(krs_server *server, krs_error *err)
{
    const krs_server_options *options = &server->options;
    krs_status status = KRS_OK;
    if (options->host) {
        status = krs_listener_open_tcp(&server->listeners[server->n_listeners], options->host,
                                       options->port, server->tls, err);
        server->n_listeners += status == KRS_OK;
    }
    if (status == KRS_OK && options->unix_path) {
        status = krs_listener_open_unix(&server->listeners[server->n_listeners], KRS_LISTENER_HTTP,
                                        options->unix_path, options->is_unix_any, err);
        server->n_listeners += status == KRS_OK;
    }
    if (status == KRS_OK && options->rpc.path) {
        status = krs_listener_open_unix(&server->listeners[server->n_listeners], KRS_LISTENER_RPC,
                                        options->rpc.path, false, err);
        server->n_listeners += status == KRS_OK;
    }
    return status;
}

static krs_status open_wakes(krs_server *server, krs_error *err)
{
    krs_os_wake *const wakes[] = {&server->stop_wake, &server->reload_wake, &server->done_wake};
    krs_status status = KRS_OK;
    for (size_t i = 0; status == KRS_OK && i < sizeof(wakes) / sizeof(wakes[0]); i++) {
        status = krs_os_wake_open(wakes[i], err);
    }
    return status;
}

static krs_status open_parts(krs_server *server, krs_error *err)
{
    krs_status status = open_wakes(server, err);
    if (status == KRS_OK) {
        status = open_tls(server, err);
    }
    if (status == KRS_OK) {
        status = open_listeners(server, err);
    }
    while (status == KRS_OK && server->n_ios < server->options.n_io_threads) {
        status = krs_io_init(&server->ios[server->n_ios], server, err);
        server->n_ios += status == KRS_OK;
    }
    if (status == KRS_OK && server->options.rpc.is_stdio) {
        status = krs_rpc_peer_open_stdio(&server->ios[0], err);
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
    server->stop_wake.fd = server->reload_wake.fd = server->done_wake.fd = -1;
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
    for (uint32_t i = 0; i < server->n_listeners; i++) {
        if (!server->listeners[i].is_unix) {
            return server->listeners[i].port;
        }
    }
    return 0;
}

void krs_server_stop(krs_server *server)
{
    krs_os_wake_raise(&server->stop_wake);
}

void krs_server_reload(krs_server *server)
{
    krs_os_wake_raise(&server->reload_wake);
}

void krs_server_free(krs_server *server)
{
    if (!server) {
        return;
    }
    for (uint32_t i = 0; i < server->n_ios; i++) {
        krs_io_deinit(&server->ios[i]);
    }
    for (uint32_t i = 0; i < server->n_listeners; i++) {
        krs_listener_close(&server->listeners[i]);
    }
    krs_tls_close(server->tls);
    krs_os_wake_close(&server->done_wake);
    krs_os_wake_close(&server->reload_wake);
    krs_os_wake_close(&server->stop_wake);
    krs_alloc_free(server->alloc, server);
}
