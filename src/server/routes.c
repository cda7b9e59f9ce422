/* server/routes.c - which path and method does what: a table.
 *
 * HEAD is GET without its body, OPTIONS names what a path allows. A body must be application/json:
 * besides being right, it keeps web pages from posting to a server on loopback, because a browser asks
 * first before it sends that type across origins, and is answered only when its origin was allowed. */
#include "server/server_priv.h"

/* Who may use a route when there are keys. */
typedef enum route_access {
    OPEN,  /* everyone */
    KEY,   /* whoever has a key */
    ADMIN, /* whoever has an admin key */
} route_access;

typedef struct route {
    const char *method;
    const char *path;
    bool is_prefix; /* path is followed by more */
    route_access access;
    krs_call_kind call;             /* what handle is NULL for */
    void (*handle)(krs_conn *conn); /* NULL: an API call */
} route;

static const route routes[] = {
    {"POST", "/v1/chat/completions", false, KEY, KRS_CALL_CHAT, NULL},
    {"POST", "/v1/completions", false, KEY, KRS_CALL_COMPLETION, NULL},
    {"POST", "/v1/embeddings", false, KEY, KRS_CALL_EMBEDDINGS, NULL},
    {"POST", "/v1/responses", false, KEY, KRS_CALL_RESPONSES, NULL},
    {"POST", "/v1/messages", false, KEY, KRS_CALL_MESSAGES, NULL},
    {"POST", "/v1/messages/count_tokens", false, KEY, KRS_CALL_COUNT_TOKENS, NULL},
    {"POST", "/tokenize", false, KEY, KRS_CALL_TOKENIZE, NULL},
    {"POST", "/detokenize", false, KEY, KRS_CALL_DETOKENIZE, NULL},
    {"GET", "/v1/models", false, KEY, KRS_CALL_CHAT, krs_route_models},
    {"GET", "/v1/models/", true, KEY, KRS_CALL_CHAT, krs_route_model},
    {"GET", "/health/live", false, OPEN, KRS_CALL_CHAT, krs_route_live},
    {"GET", "/health/ready", false, KEY, KRS_CALL_CHAT, krs_route_ready},
    {"GET", "/metrics", false, KEY, KRS_CALL_CHAT, krs_route_metrics},
    {"GET", "/version", false, KEY, KRS_CALL_CHAT, krs_route_version},
    {"GET", "/admin/models", false, ADMIN, KRS_CALL_CHAT, krs_route_admin_models},
    {"POST", "/admin/models/load", false, ADMIN, KRS_CALL_CHAT, krs_route_admin_load},
    {"POST", "/admin/models/unload", false, ADMIN, KRS_CALL_CHAT, krs_route_admin_unload},
    {"POST", "/admin/drain", false, ADMIN, KRS_CALL_CHAT, krs_route_admin_drain},
    {"POST", "/admin/reload", false, ADMIN, KRS_CALL_CHAT, krs_route_admin_reload},
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
    } else if (found->handle) {
        found->handle(conn);
    } else if (krs_gate_spend(conn)) {
        krs_exchange_start(conn, found->call);
    }
}

static void answer_options(krs_conn *conn, const route *found)
{
    const char *allow = found ? allow_of(found) : "GET, HEAD, POST, OPTIONS";
    if (!krs_gate_preflight(conn, allow)) {
        const krs_response response = {.status = 204, .allow = allow};
        krs_conn_respond(conn, &response);
    }
}

/* Who asks may ask this. */
static void dispatch(krs_conn *conn, const route *found)
{
    const krs_http_request *request = &conn->parser.request;
    if (!found) {
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

void krs_routes_dispatch(krs_conn *conn)
{
    const krs_http_request *request = &conn->parser.request;
    const route *found = find_route(request->path);
    const bool is_options = krs_str_equal(request->method, KRS_STR("OPTIONS"));
    conn->kind = found ? found->call : KRS_CALL_CHAT;
    if (!krs_gate_pass(conn, found && found->access == OPEN, found && found->access == ADMIN)) {
        return;
    }
    if (is_options && (found || krs_str_equal(request->path, KRS_STR("*")))) {
        answer_options(conn, found);
    } else {
        dispatch(conn, found);
    }
}
