/* server/gate.c - who may come in: the host that was meant, the page that asks, the key, the rate.
 *
 * Host: a web page may give its own name the address 127.0.0.1 (DNS rebinding) and then reach a server on
 * loopback as if it were the page's own. Its requests carry the page's name in Host, so that is looked at.
 * Origin: other pages are answered without CORS headers, which browsers read as no, unless their origin
 * was allowed by name. A browser asks first (OPTIONS), and what it asks then carries no key.
 * Body: a stranger's is not read, so that strangers cannot fill the memory that all bodies share.
 * Key: every route but liveness needs one when there is a key file; administration needs an admin key, or,
 * without a key file, a Unix socket, which only this user can open (not one of --unix-any).
 *
 * Source: W3C Fetch, CORS protocol; RFC 6750 (Bearer). */
#include "server/server_priv.h"

#include <strings.h>

#define PREFLIGHT_MAX_AGE_S 600

static const krs_server_options *options_of(const krs_conn *conn)
{
    return &conn->io->server->options;
}

static bool equal_no_case(krs_str a, krs_str b)
{
    return a.len == b.len && strncasecmp(a.ptr, b.ptr, a.len) == 0;
}

/* The next item of a comma list, without blanks; list is moved behind it. */
static krs_str take_item(krs_str *list)
{
    const size_t comma = krs_str_find(*list, KRS_STR(","), 0);
    krs_str item = {list->ptr, comma == SIZE_MAX ? list->len : comma};
    const size_t used = comma == SIZE_MAX ? list->len : comma + 1;
    *list = (krs_str){list->ptr + used, list->len - used};
    while (item.len > 0 && item.ptr[0] == ' ') {
        item = (krs_str){item.ptr + 1, item.len - 1};
    }
    while (item.len > 0 && item.ptr[item.len - 1] == ' ') {
        item.len--;
    }
    return item;
}

static bool list_has(const char *text, krs_str item)
{
    krs_str list = krs_str_of(text);
    while (list.len > 0) {
        if (equal_no_case(take_item(&list), item)) {
            return true;
        }
    }
    return false;
}

/* "localhost:8080" to "localhost", "[::1]:8080" to "[::1]". */
static krs_str without_port(krs_str host)
{
    for (size_t i = host.len; i > 0; i--) {
        const char c = host.ptr[i - 1];
        if (c == ':') {
            return (krs_str){host.ptr, i - 1};
        }
        if (c < '0' || c > '9') {
            break;
        }
    }
    return host;
}

static bool is_host_allowed(const krs_conn *conn)
{
    const krs_listener *listener = conn->peer.listener;
    const krs_server_options *options = options_of(conn);
    const krs_str given = krs_http_header_of(&conn->parser.request, "host");
    if (listener->is_unix || !given.ptr || (!listener->is_loopback && !options->allowed_hosts)) {
        return true; /* no page can open a socket file, or leave the header out */
    }
    const krs_str host = without_port(given);
    return list_has("localhost,127.0.0.1,[::1]", host) ||
           equal_no_case(host, krs_str_of(options->host)) ||
           (options->allowed_hosts && (list_has(options->allowed_hosts, host) ||
                                       list_has(options->allowed_hosts, KRS_STR("*"))));
}

/* Remember whether the page that asks may read the answer. */
static void look_at_origin(krs_conn *conn)
{
    const krs_str origin = krs_http_header_of(&conn->parser.request, "origin");
    const char *allowed = options_of(conn)->cors_origins;
    conn->has_origin = allowed && origin.len > 0 && list_has(allowed, origin);
}

krs_status krs_gate_origin_headers(const krs_conn *conn, krs_buf *out)
{
    const krs_str origin = krs_http_header_of(&conn->parser.request, "origin");
    return krs_buf_printf(out,
                          "Access-Control-Allow-Origin: %.*s\r\nVary: Origin\r\n"
                          "Access-Control-Expose-Headers: X-Request-Id, traceparent, Retry-After, "
                          "X-Krs-Ignored-Fields\r\n",
                          KRS_STR_ARGS(origin));
}

bool krs_gate_preflight(krs_conn *conn, const char *allow)
{
    const krs_http_request *request = &conn->parser.request;
    const krs_str asked = krs_http_header_of(request, "access-control-request-headers");
    if (!conn->has_origin || !krs_http_header_of(request, "access-control-request-method").ptr) {
        return false;
    }
    /* The origin is trusted by name, so it may send what headers it likes; the parser has refused controls. */
    krs_buf *extra = &conn->io->out;
    krs_buf_reset(extra);
    const krs_status status =
        krs_buf_printf(extra,
                       "Access-Control-Allow-Methods: %s\r\nAccess-Control-Allow-Headers: %.*s\r\n"
                       "Access-Control-Max-Age: %d\r\n",
                       allow, KRS_STR_ARGS(asked), PREFLIGHT_MAX_AGE_S);
    const krs_response response = {.status = 204,
                                   .allow = allow,
                                   .headers = status == KRS_OK ? krs_buf_view(extra) : KRS_STR("")};
    krs_conn_respond(conn, &response);
    return true;
}

/* "Bearer <key>" of Authorization, or the whole of X-Api-Key; empty: none. */
static krs_str key_of(const krs_http_request *request)
{
    static const char scheme[] = "Bearer ";
    const size_t n = sizeof(scheme) - 1;
    const krs_str given = krs_http_header_of(request, "authorization");
    if (given.len > n && strncasecmp(given.ptr, scheme, n) == 0) {
        return (krs_str){given.ptr + n, given.len - n};
    }
    const krs_str key = krs_http_header_of(request, "x-api-key");
    return key.ptr ? key : KRS_STR("");
}

bool krs_gate_takes_body(const krs_conn *conn)
{
    return krs_service_knows_key(conn->io->server->service, key_of(&conn->parser.request));
}

static krs_status check_key(krs_conn *conn, bool needs_admin, krs_error *err)
{
    krs_service *service = conn->io->server->service;
    if (!krs_service_has_keys(service)) {
        const krs_listener *listener = conn->peer.listener;
        conn->access.is_admin = listener->is_unix && !listener->is_any_peer;
    } else {
        const krs_status status =
            krs_service_authenticate(service, key_of(&conn->parser.request), &conn->access, err);
        if (status != KRS_OK) {
            return status;
        }
    }
    return !needs_admin || conn->access.is_admin
               ? KRS_OK
               : krs_fail(err, KRS_EPERM,
                          "Administration needs an admin key, or, without a key file, the Unix "
                          "socket.");
}

bool krs_gate_pass(krs_conn *conn, bool is_open, bool needs_admin)
{
    look_at_origin(conn);
    if (!is_host_allowed(conn)) {
        krs_conn_respond_refusal(
            conn, 403, "The Host header names a host that is not served here; see --allowed-hosts.",
            NULL);
        return false;
    }
    const bool is_options =
        krs_str_equal(conn->parser.request.method, KRS_STR("OPTIONS")); /* says nothing secret */
    krs_error err = KRS_ERROR_INIT;
    if (!is_open && !is_options && check_key(conn, needs_admin, &err) != KRS_OK) {
        krs_conn_respond_error(conn, &err);
        return false;
    }
    return true;
}

bool krs_gate_spend(krs_conn *conn)
{
    krs_error err = KRS_ERROR_INIT;
    if (krs_service_spend_call(conn->io->server->service, conn->access.tenant, &err) == KRS_OK) {
        return true;
    }
    krs_conn_respond_error(conn, &err);
    return false;
}
