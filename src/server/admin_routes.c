/* server/admin_routes.c - what an operator may do while the server runs: load and unload models, drain,
 * read the configuration again.
 *
 * Loading takes seconds to minutes on a thread of the service, so it is answered with 202 at once; how it
 * went is told by GET /admin/models, by the log, and by the first call that names the model. */
#include "server/server_priv.h"
#include "service/models.h"
#include "wire/json.h"

#define ADMIN_MAX_BODY_BYTES (16u << 10) /* a name and a path */
#define ADMIN_MAX_PATH_BYTES 4095        /* PATH_MAX without its NUL */

static krs_service *service_of(const krs_conn *conn)
{
    return conn->io->server->service;
}

/* The body as an object, or the answer has been given. */
static json_t *read_body(krs_conn *conn)
{
    const krs_json_limits limits = {ADMIN_MAX_BODY_BYTES, false};
    krs_error err = KRS_ERROR_INIT;
    json_t *tree = NULL;
    krs_status status = krs_json_parse(conn->parser.request.body, &limits, &tree, &err);
    if (status == KRS_OK && !json_is_object(tree)) {
        status = krs_fail(&err, KRS_EINVAL, "The body must be a JSON object.");
        json_decref(tree);
        tree = NULL;
    }
    if (status != KRS_OK) {
        krs_conn_respond_error(conn, &err);
    }
    return tree;
}

/* A required string field. */
static krs_status get_text(const json_t *tree, const char *field, size_t max_bytes, krs_str *out,
                           krs_error *err)
{
    *out = KRS_STR("");
    const krs_status status = krs_json_get_str(tree, field, max_bytes, out, err);
    return status != KRS_OK || out->len > 0
               ? status
               : krs_fail_field(err, KRS_EINVAL, field, "%s: missing, want a string", field);
}

/* {"id": .., "state": ..}, or the error. Frees nothing. */
static void respond_state(krs_conn *conn, krs_status status, krs_str id, const char *state,
                          const krs_error *err)
{
    if (status != KRS_OK) {
        krs_conn_respond_error(conn, err);
        return;
    }
    krs_buf *out = &conn->io->out;
    krs_buf_reset(out);
    status = krs_buf_append_str(out, KRS_STR("{\"id\":"));
    if (status == KRS_OK) {
        status = krs_json_write_string(id, out);
    }
    if (status == KRS_OK) {
        status = krs_buf_printf(out, ",\"state\":\"%s\"}", state);
    }
    krs_conn_respond_out(conn, status, 202, "application/json");
}

static krs_status load(krs_service *service, const json_t *tree, krs_str *id, krs_error *err)
{
    krs_model_spec spec = {.path = NULL};
    krs_str path;
    int64_t context_tokens = 0;
    krs_status status = get_text(tree, "id", sizeof(spec.id) - 1, id, err);
    if (status == KRS_OK) {
        status = get_text(tree, "path", ADMIN_MAX_PATH_BYTES, &path, err);
    }
    if (status == KRS_OK) {
        status = krs_json_get_int(tree, "context_tokens", 0, UINT32_MAX, &context_tokens, err);
    }
    if (status != KRS_OK) {
        return status;
    }
    memcpy(spec.id, id->ptr, id->len);
    spec.path = path.ptr; /* jansson's strings end with NUL */
    spec.context_tokens = (uint32_t)context_tokens;
    return krs_service_load_model(service, &spec, NULL, NULL, err);
}

void krs_route_admin_load(krs_conn *conn)
{
    json_t *tree = read_body(conn);
    if (tree) {
        krs_error err = KRS_ERROR_INIT;
        krs_str id = KRS_STR("");
        const krs_status status = load(service_of(conn), tree, &id, &err);
        respond_state(conn, status, id, "loading", &err);
        json_decref(tree);
    }
}

void krs_route_admin_unload(krs_conn *conn)
{
    json_t *tree = read_body(conn);
    if (tree) {
        krs_error err = KRS_ERROR_INIT;
        krs_str id = KRS_STR("");
        krs_status status = get_text(tree, "id", KRS_MODEL_ID_BYTES - 1, &id, &err);
        if (status == KRS_OK) {
            status = krs_service_unload_model(service_of(conn), id.ptr, &err);
        }
        respond_state(conn, status, id, "draining", &err);
        json_decref(tree);
    }
}

static krs_status write_model(const krs_model_status *model, bool is_first, krs_buf *out)
{
    krs_status status = krs_buf_printf(out, "%s{\"id\":", is_first ? "" : ",");
    if (status == KRS_OK) {
        status = krs_json_write_string(krs_str_of(model->info.id), out);
    }
    if (status == KRS_OK) {
        status = krs_buf_printf(out, ",\"state\":\"%s\",\"in_flight\":%u,\"error\":",
                                krs_model_state_name(model->state), model->n_in_flight);
    }
    if (status == KRS_OK) {
        status = model->state == KRS_MODEL_FAILED
                     ? krs_json_write_string(krs_str_of(model->error.message), out)
                     : krs_buf_append_str(out, KRS_STR("null"));
    }
    return status == KRS_OK ? krs_buf_append_char(out, '}') : status;
}

void krs_route_admin_models(krs_conn *conn)
{
    krs_model_status models[KRS_SERVICE_MAX_MODELS];
    const uint32_t n = krs_service_list_models(service_of(conn), models, KRS_SERVICE_MAX_MODELS);
    krs_buf *out = &conn->io->out;
    krs_buf_reset(out);
    krs_status status = krs_buf_append_str(out, KRS_STR("{\"models\":["));
    for (uint32_t i = 0; status == KRS_OK && i < n; i++) {
        status = write_model(&models[i], i == 0, out);
    }
    if (status == KRS_OK) {
        status = krs_buf_append_str(out, KRS_STR("]}"));
    }
    krs_conn_respond_out(conn, status, 200, "application/json");
}

void krs_route_admin_drain(krs_conn *conn)
{
    krs_service_drain(service_of(conn));
    const krs_response response = {
        .status = 202, .type = "application/json", .body = KRS_STR("{\"state\":\"draining\"}")};
    krs_conn_respond(conn, &response);
}

void krs_route_admin_reload(krs_conn *conn)
{
    krs_server_reload(conn->io->server);
    const krs_response response = {
        .status = 202, .type = "application/json", .body = KRS_STR("{\"state\":\"reloading\"}")};
    krs_conn_respond(conn, &response);
}
