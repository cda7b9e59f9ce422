/* server/status_routes.c - what there is and how it is: models, health, metrics, version. */
#include "front/openai.h"
#include "server/server_priv.h"
#include "service/health.h"

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define ID_MAX_BYTES (3 * KRS_MODEL_ID_BYTES) /* every byte of an id percent-encoded */

static krs_service *service_of(const krs_conn *conn)
{
    return conn->io->server->service;
}

void krs_route_models(krs_conn *conn)
{
    krs_model_info models[KRS_SERVICE_MAX_MODELS];
    const uint32_t n = krs_service_models(service_of(conn), models, KRS_SERVICE_MAX_MODELS);
    krs_buf_reset(&conn->io->out);
    krs_conn_respond_out(conn, krs_openai_models_write(models, n, &conn->io->out), 200,
                         "application/json");
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

void krs_route_model(krs_conn *conn)
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
            krs_conn_respond_out(conn, krs_openai_model_write(&models[i], &conn->io->out), 200,
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

void krs_route_live(krs_conn *conn)
{
    const krs_service_health health = krs_service_health_of(service_of(conn));
    krs_conn_respond_out(conn, write_health(&health, health.is_live, &conn->io->out),
                         health.is_live ? 200 : 503, "application/json");
}

void krs_route_ready(krs_conn *conn)
{
    const krs_service_health health = krs_service_health_of(service_of(conn));
    krs_conn_respond_out(conn, write_health(&health, health.is_ready, &conn->io->out),
                         health.is_ready ? 200 : 503, "application/json");
}

void krs_route_metrics(krs_conn *conn)
{
    const uint32_t n_connections =
        atomic_load_explicit(&conn->io->server->n_connections, memory_order_relaxed);
    krs_metrics_set(krs_service_metrics(service_of(conn)), KRS_METRIC_HTTP_CONNECTIONS,
                    n_connections);
    krs_buf_reset(&conn->io->out);
    krs_conn_respond_out(conn, krs_service_write_metrics(service_of(conn), &conn->io->out), 200,
                         METRICS_TYPE);
}

void krs_route_version(krs_conn *conn)
{
    krs_buf_reset(&conn->io->out);
    krs_conn_respond_out(conn,
                         krs_buf_printf(&conn->io->out,
                                        "{\"name\":\"kr-serve\",\"version\":\"%s\"}",
                                        conn->io->server->options.version),
                         200, "application/json");
}
