/* server/routes.c - which path and method does what: a table, and the small handlers.
 *
 * HEAD is GET without its body, OPTIONS names what a path allows. A body must be application/json:
 * besides being right, it keeps web pages from posting to a server on loopback, because a browser asks
 * first (and is not answered) before it sends that type across origins. */
#include "front/openai.h"
#include "server/server_priv.h"
#include "service/health.h"

typedef struct route {
    const char *method;
    const char *path;
    bool is_prefix; /* path is followed by more */
    void (*handle)(krs_conn *conn);
} route;

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define ID_MAX_BYTES (3 * KRS_MODEL_ID_BYTES) /* every byte of an id percent-encoded */

static krs_service *service_of(const krs_conn *conn)
{
    return conn->io->server->service;
}

static void respond_buf(krs_conn *conn, krs_status status, int http, const char *type)
{
    if (status != KRS_OK) {
        krs_error err = KRS_ERROR_INIT;
        (void)krs_fail(&err, status, "no memory for the response");
        krs_conn_respond_error(conn, &err);
        return;
    }
    const krs_response response = {
        .status = http, .type = type, .body = krs_buf_view(&conn->io->out)};
    krs_conn_respond(conn, &response);
}

static void post_chat(krs_conn *conn)
{
    krs_exchange_start(conn, KRS_CALL_CHAT);
}

static void post_completion(krs_conn *conn)
{
    krs_exchange_start(conn, KRS_CALL_COMPLETION);
}

static void get_models(krs_conn *conn)
{
    krs_model_info models[KRS_SERVICE_MAX_MODELS];
    const uint32_t n = krs_service_models(service_of(conn), models, KRS_SERVICE_MAX_MODELS);
    krs_buf_reset(&conn->io->out);
    respond_buf(conn, krs_openai_models_write(models, n, &conn->io->out), 200, "application/json");
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    const char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* "org%2Fname" to "org/name", in place; what is no escape stays. */
static krs_str decode_percent(krs_str in, unsigned char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < in.len; i++) {
        const bool is_escape = in.ptr[i] == '%' && in.len - i > 2 &&
                               hex_value(in.ptr[i + 1]) >= 0 && hex_value(in.ptr[i + 2]) >= 0;
        out[n] = (unsigned char)in.ptr[i];
        if (is_escape) {
            out[n] = (unsigned char)(hex_value(in.ptr[i + 1]) * 16 + hex_value(in.ptr[i + 2]));
            i += 2;
        }
        n++;
    }
    return (krs_str){(const char *)out, n};
}

static void get_model(krs_conn *conn)
{
    const krs_str path = conn->parser.request.path;
    const size_t prefix = sizeof("/v1/models/") - 1;
    unsigned char decoded[ID_MAX_BYTES];
    const krs_str rest = {path.ptr + prefix, path.len - prefix};
    const krs_str id = rest.len <= sizeof(decoded) ? decode_percent(rest, decoded) : rest;
    krs_model_info models[KRS_SERVICE_MAX_MODELS];
    const uint32_t n = krs_service_models(service_of(conn), models, KRS_SERVICE_MAX_MODELS);
    for (uint32_t i = 0; i < n; i++) {
        if (krs_str_equal(id, krs_str_of(models[i].id))) {
            krs_buf_reset(&conn->io->out);
            respond_buf(conn, krs_openai_model_write(&models[i], &conn->io->out), 200,
                        "application/json");
            return;
        }
    }
    krs_error err = KRS_ERROR_INIT;
    (void)krs_fail_field(&err, KRS_ENOTLOADED, "model", "model: \"%.*s\" does not exist here",
                         KRS_STR_ARGS(id));
    krs_conn_respond_error(conn, &err);
}

static krs_status write_health(const krs_service_health *health, bool is_good, krs_buf *out)
{
    krs_buf_reset(out);
    return krs_buf_printf(out,
                          "{\"status\":\"%s\",\"reason\":\"%s\",\"state\":\"%s\","
                          "\"running\":%u,\"waiting\":%u,\"in_flight\":%u,"
                          "\"heartbeat_age_ms\":%llu}",
                          is_good ? "ok" : "unavailable", is_good ? "" : health->reason,
                          krs_runtime_state_name(health->runtime.state), health->runtime.n_running,
                          health->runtime.n_waiting, health->n_in_flight,
                          (unsigned long long)(health->heartbeat_age_ns / 1000000));
}

static void get_live(krs_conn *conn)
{
    const krs_service_health health = krs_service_health_of(service_of(conn));
    respond_buf(conn, write_health(&health, health.is_live, &conn->io->out),
                health.is_live ? 200 : 503, "application/json");
}

static void get_ready(krs_conn *conn)
{
    const krs_service_health health = krs_service_health_of(service_of(conn));
    respond_buf(conn, write_health(&health, health.is_ready, &conn->io->out),
                health.is_ready ? 200 : 503, "application/json");
}

static void get_metrics(krs_conn *conn)
{
    const uint32_t n_connections =
        atomic_load_explicit(&conn->io->server->n_connections, memory_order_relaxed);
    krs_metrics_set(krs_service_metrics(service_of(conn)), KRS_METRIC_HTTP_CONNECTIONS,
                    n_connections);
    krs_buf_reset(&conn->io->out);
    respond_buf(conn, krs_service_write_metrics(service_of(conn), &conn->io->out), 200,
                METRICS_TYPE);
}

static void get_version(krs_conn *conn)
{
    krs_buf_reset(&conn->io->out);
    respond_buf(conn,
                krs_buf_printf(&conn->io->out, "{\"name\":\"kr-serve\",\"version\":\"%s\"}",
                               conn->io->server->options.version),
                200, "application/json");
}

static const route routes[] = {
    {"POST", "/v1/chat/completions", false, post_chat},
    {"POST", "/v1/completions", false, post_completion},
    {"GET", "/v1/models", false, get_models},
    {"GET", "/v1/models/", true, get_model},
    {"GET", "/health/live", false, get_live},
    {"GET", "/health/ready", false, get_ready},
    {"GET", "/metrics", false, get_metrics},
    {"GET", "/version", false, get_version},
};

/* The route of a path, whatever the method; each path has one method. */
static const route *find_route(krs_str path)
{
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        const krs_str known = krs_str_of(routes[i].path);
        if (routes[i].is_prefix ? krs_str_starts_with(path, known) && path.len > known.len
                                : krs_str_equal(path, known)) {
            return &routes[i];
        }
    }
    return NULL;
}

static const char *allow_of(const route *found)
{
    return strcmp(found->method, "GET") == 0 ? "GET, HEAD, OPTIONS" : "POST, OPTIONS";
}

static bool is_method(krs_str method, const route *found)
{
    const bool is_head = krs_str_equal(method, KRS_STR("HEAD"));
    return krs_str_equal(is_head ? KRS_STR("GET") : method, krs_str_of(found->method));
}

/* "application/json", with or without parameters. */
static bool is_json(krs_str type)
{
    const size_t semicolon = krs_str_find(type, KRS_STR(";"), 0);
    const krs_str bare = {type.ptr, semicolon == SIZE_MAX ? type.len : semicolon};
    return krs_http_list_has(bare, "application/json");
}

static void dispatch_post(krs_conn *conn, const route *found)
{
    const krs_http_request *request = &conn->parser.request;
    if (!is_json(krs_http_header_of(request, "content-type"))) {
        krs_conn_respond_refusal(conn, 415, "The body must be sent as application/json.", NULL);
    } else if (krs_http_header_of(request, "content-encoding").ptr) {
        krs_conn_respond_refusal(conn, 415, "Compressed bodies are not read here.", NULL);
    } else {
        found->handle(conn);
    }
}

void krs_routes_dispatch(krs_conn *conn)
{
    const krs_http_request *request = &conn->parser.request;
    const route *found = find_route(request->path);
    const bool is_options = krs_str_equal(request->method, KRS_STR("OPTIONS"));
    if (is_options && (found || krs_str_equal(request->path, KRS_STR("*")))) {
        const krs_response response = {
            .status = 204, .allow = found ? allow_of(found) : "GET, HEAD, POST, OPTIONS"};
        krs_conn_respond(conn, &response);
    } else if (!found) {
        krs_conn_respond_refusal(conn, 404, "There is nothing at this path.", NULL);
    } else if (!is_method(request->method, found)) {
        krs_conn_respond_refusal(conn, 405, "This path does not take that method.",
                                 allow_of(found));
    } else if (strcmp(found->method, "POST") == 0) {
        dispatch_post(conn, found);
    } else {
        found->handle(conn);
    }
}
