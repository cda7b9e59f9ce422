/* apps/krs/cmd_serve.c - krs serve MODEL: the model over HTTP until Ctrl-C.
 *
 * Order of life: signals blocked first (every thread inherits that), then service, server, and only then the
 * model, which the service loads on a thread of its own: a port that is taken is noticed at once, and who asks
 * meanwhile learns that the server is alive and not ready. A model that cannot be loaded ends the program.
 * On the way out the runtimes are freed (krs_service_stop) before the server, which may be given the last
 * end events until then. */
#include "api/config_load.h"
#include "command.h"
#include "local.h"
#include "model/source.h"
#include "rpc_options.h"
#include "serve_log.h"
#include "server/server.h"
#include "service/models.h"

#define PLAN_TEXT_BYTES 256 /* one line */
#define URL_BYTES       320 /* scheme, brackets, port and a DNS name of 253 bytes */

/* What serving takes, in the order it is opened. */
typedef struct serving {
    const krs_config *config;
    krs_config current; /* what a reload has left of it; main's */
    serve_log log;
    krs_os_signals signals;
    krs_metrics *metrics;
    krs_local local;
    krs_opener opener; /* of local */
    krs_service *service;
    krs_server *server;
    krs_model_spec spec;
    rpc_options rpc;
    /* How loading the first model ended; written by the loader, read when it has been joined. */
    krs_status load_status;
    krs_error load_error;
} serving;

static const char *model_dir_of(const krs_config *config)
{
    return config->n_positionals > 0 ? config->positionals[0]
                                     : krs_config_text(config, KRS_OPTION_MODEL);
}

/* A name that a URL, a log line and the printed curl command carry as it is. */
static krs_status check_model_id(const char *id, krs_error *err)
{
    bool is_plain = id[0] && strlen(id) < KRS_MODEL_ID_BYTES;
    for (const char *c = id; is_plain && *c; c++) {
        is_plain = (unsigned char)*c > ' ' && *c != 0x7F && !strchr("\"'\\", *c);
    }
    return is_plain ? KRS_OK
                    : krs_fail_field(err, KRS_EINVAL, "model-id",
                                     "--model-id: \"%s\", want a name without blanks, quotes and "
                                     "backslashes",
                                     id);
}

/* path: room for the model's real path, into which *id points. */
static krs_status name_of_model(const char *dir, char *path, const char **id, krs_error *err)
{
    const krs_status status = krs_model_source_name(dir, path, id, err);
    return status == KRS_OK ? check_model_id(*id, err) : status;
}

/* The model and its name: as told, or its own. */
static krs_status name_model(serving *s, krs_error *err)
{
    s->spec.path = model_dir_of(s->config);
    if (!s->spec.path) {
        return krs_fail_field(err, KRS_EINVAL, "model", "serve: which model? krs serve MODEL");
    }
    char path[KRS_OS_PATH_BYTES];
    const char *id = krs_config_text(s->config, KRS_OPTION_MODEL_ID);
    krs_status status = id ? check_model_id(id, err) : KRS_OK;
    if (status == KRS_OK) {
        status = krs_local_check_folder(s->spec.path, err);
    }
    if (status == KRS_OK && !id) {
        status = name_of_model(s->spec.path, path, &id, err);
    }
    if (status == KRS_OK) {
        memcpy(s->spec.id, id, strlen(id) + 1);
    }
    return status;
}

/* Loads as krs_local does. The operator, who named the first model, is told its plan, or what is wrong with its
 * folder by name. */
static krs_status open_model(void *ctx, const krs_model_spec *spec, krs_runtime **out,
                             krs_error *err)
{
    serving *s = ctx;
    const krs_status status = s->opener.open(s->opener.ctx, spec, out, err);
    if (strcmp(spec->path, s->spec.path) != 0) {
        return status;
    }
    if (status != KRS_OK) {
        s->load_error = *err;
        (void)krs_error_wrap(&s->load_error, status, "%s", spec->path);
        return status;
    }
    char text[PLAN_TEXT_BYTES];
    krs_engine_plan_text(krs_engine_plan_of(*out), text, sizeof(text));
    krs_say_note(s->config, "%s", text);
    return KRS_OK;
}

/* On a reload: options that may change now do. */
static void reload(void *ctx)
{
    serving *s = ctx;
    krs_error err = KRS_ERROR_INIT;
    krs_config_changes changes;
    krs_status status = krs_config_reload(s->config, &s->current, &changes, &err);
    if (status == KRS_OK) {
        status = serve_log_set_level(&s->log, &s->current, &err);
    }
    if (status != KRS_OK) {
        krs_log_error(&s->log.log, KRS_LOG_ERROR, "reload.failed", NULL, &err);
        return;
    }
    for (unsigned i = 0; i < KRS_OPTION_COUNT; i++) {
        if (changes.is_waiting[i]) {
            const krs_log_field field =
                krs_log_text("option", krs_option_row_of((krs_option)i)->name);
            krs_log_write(&s->log.log, KRS_LOG_WARN, "reload.deferred", NULL, &field, 1);
        }
    }
}

static krs_status open_service(serving *s, krs_error *err)
{
    s->local = (krs_local){.config = s->config, .metrics = s->metrics, .log = &s->log.log};
    s->opener = krs_local_opener(&s->local);
    krs_service_options options = krs_local_service_options(s->config);
    options.opener = (krs_opener){.ctx = s, .open = open_model};
    options.metrics = s->metrics;
    options.log = &s->log.log;
    const krs_status status = krs_service_new(&options, NULL, &s->service, err);
    s->local.bus = status == KRS_OK ? krs_service_bus(s->service) : NULL;
    return status;
}

static krs_status open_server(serving *s, krs_error *err)
{
    const krs_config *config = s->config;
    krs_server_options options = KRS_SERVER_OPTIONS_INIT;
    options.host =
        krs_config_bool(config, KRS_OPTION_TCP) ? krs_config_text(config, KRS_OPTION_HOST) : NULL;
    options.port = (uint16_t)krs_config_int(config, KRS_OPTION_PORT);
    options.unix_path = krs_config_text(config, KRS_OPTION_UNIX);
    options.is_unix_any = krs_config_bool(config, KRS_OPTION_UNIX_ANY);
    options.tls_cert = krs_config_text(config, KRS_OPTION_TLS_CERT);
    options.tls_key = krs_config_text(config, KRS_OPTION_TLS_KEY);
    options.allowed_hosts = krs_config_text(config, KRS_OPTION_ALLOWED_HOSTS);
    options.cors_origins = krs_config_text(config, KRS_OPTION_CORS);
    options.n_io_threads = (uint32_t)krs_config_int(config, KRS_OPTION_IO_THREADS);
    options.max_connections = (uint32_t)krs_config_int(config, KRS_OPTION_MAX_CONNECTIONS);
    options.max_body_bytes = (size_t)krs_config_int(config, KRS_OPTION_MAX_BODY);
    options.stream_window = (uint32_t)krs_config_int(config, KRS_OPTION_STREAM_WINDOW);
    options.has_gzip = krs_config_bool(config, KRS_OPTION_SSE_GZIP);
    options.times.stall_ms = (uint32_t)krs_config_int(config, KRS_OPTION_STREAM_STALL_MS);
    options.times.heartbeat_ms = (uint32_t)krs_config_int(config, KRS_OPTION_SSE_HEARTBEAT_MS);
    options.drain_ms = (uint32_t)krs_config_int(config, KRS_OPTION_DRAIN_MS);
    rpc_options_fill(&s->rpc, config, &options.rpc);
    options.signals = &s->signals;
    options.reload = reload;
    options.reload_ctx = s;
    options.version = KRS_VERSION;
    return krs_server_open(&options, s->service, NULL, &s->server, err);
}

static krs_status open_all(serving *s, krs_error *err)
{
    krs_status status = serve_log_open(&s->log, s->config, err);
    if (status == KRS_OK) {
        status = name_model(s, err);
    }
    if (status == KRS_OK) {
        status = krs_os_signals_open(&s->signals, err);
    }
    if (status == KRS_OK) {
        status = krs_os_signals_add_hangup(&s->signals, err);
    }
    if (status == KRS_OK && krs_metrics_new(NULL, &s->metrics) != KRS_OK) {
        status = krs_fail(err, KRS_ENOMEM, "metrics: no memory");
    }
    if (status == KRS_OK) {
        status = open_service(s, err);
    }
    return status == KRS_OK ? open_server(s, err) : status;
}

static void close_all(serving *s)
{
    if (s->service) {
        krs_service_stop(s->service);
    }
    krs_server_free(s->server);
    krs_service_free(s->service);
    krs_metrics_free(s->metrics);
    krs_os_signals_close(&s->signals);
    krs_config_deinit(&s->current);
}

/* A line to paste: with what the server will ask for. */
static void say_try(const krs_config *config, const char *url, const char *model)
{
    const char *key = krs_config_is_given(config, KRS_OPTION_API_KEYS)
                          ? "    -H \"Authorization: Bearer $KEY\" \\\n"
                          : "";
    const bool is_tls = krs_config_is_given(config, KRS_OPTION_TLS_CERT);
    krs_say_note(config,
                 "try:\n  curl -N %s/v1/chat/completions -H 'Content-Type: application/json' \\\n"
                 "%s%s%s%s    -d '{\"model\":\"%s\",\"stream\":true,\"messages\":"
                 "[{\"role\":\"user\",\"content\":\"What is 12 + 7?\"}]}'",
                 url, key, is_tls ? "    --cacert '" : "",
                 is_tls ? krs_config_text(config, KRS_OPTION_TLS_CERT) : "", is_tls ? "' \\\n" : "",
                 model);
}

/* "http://[::1]:8080": an IPv6 address stands in brackets. */
static void say_ready(const serving *s, const char *model)
{
    const krs_config *config = s->config;
    if (krs_config_is_given(config, KRS_OPTION_UNIX)) {
        krs_say_note(config, "listening at %s", krs_config_text(config, KRS_OPTION_UNIX));
    }
    if (krs_config_is_given(config, KRS_OPTION_RPC_SOCKET)) {
        krs_say_note(config, "speaking JSON-RPC at %s",
                     krs_config_text(config, KRS_OPTION_RPC_SOCKET));
    }
    if (!krs_config_bool(config, KRS_OPTION_TCP)) {
        return;
    }
    const char *scheme = krs_config_is_given(config, KRS_OPTION_TLS_CERT) ? "https" : "http";
    const char *host = krs_config_text(config, KRS_OPTION_HOST);
    const char *left = strchr(host, ':') ? "[" : "";
    const char *right = *left ? "]" : "";
    char url[URL_BYTES];
    (void)snprintf(url, sizeof(url), "%s://%s%s%s:%u", scheme, left, host, right,
                   (unsigned)krs_server_port(s->server));
    krs_say_note(config, "listening on %s", url);
    say_try(config, url, model);
}

/* The loader's thread says how it went; a server without its model has nothing to serve. */
static void end_loading(void *ctx, krs_status status, const krs_model_info *info,
                        const krs_error *err)
{
    serving *s = ctx;
    s->load_status = status;
    if (status == KRS_OK) {
        say_ready(s, info->id);
        return;
    }
    if (s->load_error.status == KRS_OK) {
        s->load_error = *err;
    }
    krs_server_stop(s->server);
}

int krs_cmd_serve(const krs_config *config)
{
    krs_error err = KRS_ERROR_INIT;
    serving s = {.config = config, .current = *config, .signals = {-1}};
    s.current.file = NULL;
    krs_status status = open_all(&s, &err);
    if (status == KRS_OK) {
        status = krs_service_load_model(s.service, &s.spec, end_loading, &s, &err);
    }
    if (status == KRS_OK) {
        status = krs_server_run(s.server, &err);
    }
    close_all(&s);
    /* A load that was cut short by Ctrl-C is no failure. */
    if (status == KRS_OK && s.load_status != KRS_OK && s.load_status != KRS_ECANCELLED &&
        s.load_status != KRS_EUNAVAILABLE) {
        status = s.load_status;
        err = s.load_error;
    }
    return status == KRS_OK ? 0 : krs_say_error(config, &err);
}
