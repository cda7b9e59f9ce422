/* apps/krs/cmd_serve.c - krs serve MODEL: the model over HTTP until Ctrl-C.
 *
 * Order of life: signals blocked first (every thread inherits that), then engine, service, server; on the
 * way out the runtime is freed before the server, which may be given the last end events until then. */
#include "command.h"
#include "local.h"
#include "os/clock.h"
#include "os/wake.h"
#include "server/server.h"

#include <stdatomic.h>
#include <stdio.h>

/* What serving takes, in the order it is opened. */
typedef struct serving {
    const krs_config *config;
    krs_log log;
    krs_os_signals signals;
    krs_metrics *metrics;
    krs_runtime *runtime;
    krs_service *service;
    krs_server *server;
    _Atomic uint32_t n_lost_lines; /* since the last line that was written */
} serving;

#define STDERR_FD 2

/* A line costs less than an answer: when nobody reads the pipe that standard error is (a pager, a stuck
 * collector), lines are lost and counted, for a blocked write would stop every thread that serves. */
static void write_log(void *ctx, krs_log_level level, krs_str line)
{
    serving *s = ctx;
    (void)level;
    if (!krs_os_is_writable(STDERR_FD)) {
        (void)atomic_fetch_add_explicit(&s->n_lost_lines, 1, memory_order_relaxed);
        return;
    }
    const uint32_t n_lost = atomic_exchange_explicit(&s->n_lost_lines, 0, memory_order_relaxed);
    if (n_lost > 0) {
        (void)fprintf(stderr,
                      s->log.format == KRS_LOG_NDJSON ? "{\"event\":\"log.lost\",\"lines\":%u}\n"
                                                      : "%u log lines were lost here\n",
                      n_lost);
    }
    (void)fwrite(line.ptr, 1, line.len, stderr); /* one call a line: stdio locks it */
}

static const char *model_dir_of(const krs_config *config)
{
    return config->n_positionals > 0 ? config->positionals[0]
                                     : krs_config_text(config, KRS_OPTION_MODEL);
}

static krs_status open_log(serving *s, krs_error *err)
{
    const bool is_json = krs_config_bool(s->config, KRS_OPTION_JSON);
    s->log = (krs_log){.ctx = s,
                       .sink = write_log,
                       .wall_ns = krs_os_wall_ns,
                       .format = is_json ? KRS_LOG_NDJSON : KRS_LOG_TEXT};
    const krs_status status = krs_log_level_of(
        krs_str_of(krs_config_text(s->config, KRS_OPTION_LOG_LEVEL)), &s->log.min_level);
    if (krs_config_bool(s->config, KRS_OPTION_QUIET)) {
        s->log.min_level = KRS_LOG_WARN;
    }
    return status == KRS_OK ? status : krs_fail(err, status, "log-level: not a level");
}

/* A name that a URL, a log line and the printed curl command carry as it is. */
static krs_status check_model_id(const char *id, krs_error *err)
{
    bool is_plain = !id || id[0];
    for (const char *c = id; c && *c; c++) {
        is_plain = is_plain && (unsigned char)*c > ' ' && *c != 0x7F && !strchr("\"'\\", *c);
    }
    return is_plain ? KRS_OK
                    : krs_fail_field(err, KRS_EINVAL, "model-id",
                                     "--model-id: \"%s\", want a name without blanks, quotes and "
                                     "backslashes",
                                     id);
}

static krs_status open_engine(serving *s, krs_error *err)
{
    const char *model_dir = model_dir_of(s->config);
    if (!model_dir) {
        return krs_fail_field(err, KRS_EINVAL, "model", "serve: which model? krs serve MODEL");
    }
    const krs_status status = check_model_id(krs_config_text(s->config, KRS_OPTION_MODEL_ID), err);
    if (status != KRS_OK) {
        return status;
    }
    krs_engine_options options = krs_local_options(s->config, model_dir);
    options.metrics = s->metrics;
    options.log = &s->log;
    return krs_local_open(s->config, &options, &s->runtime, err);
}

static krs_status open_service(serving *s, krs_error *err)
{
    krs_service_options options = KRS_SERVICE_OPTIONS_INIT;
    options.runtime = s->runtime;
    options.metrics = s->metrics;
    options.log = &s->log;
    return krs_service_new(&options, NULL, &s->service, err);
}

static krs_status open_server(serving *s, krs_error *err)
{
    const krs_config *config = s->config;
    krs_server_options options = KRS_SERVER_OPTIONS_INIT;
    options.host = krs_config_text(config, KRS_OPTION_HOST);
    options.port = (uint16_t)krs_config_int(config, KRS_OPTION_PORT);
    options.n_io_threads = (uint32_t)krs_config_int(config, KRS_OPTION_IO_THREADS);
    options.max_connections = (uint32_t)krs_config_int(config, KRS_OPTION_MAX_CONNECTIONS);
    options.max_body_bytes = (size_t)krs_config_int(config, KRS_OPTION_MAX_BODY);
    options.drain_ms = (uint32_t)krs_config_int(config, KRS_OPTION_DRAIN_MS);
    options.signals = &s->signals;
    options.version = KRS_VERSION;
    return krs_server_open(&options, s->service, NULL, &s->server, err);
}

static krs_status open_all(serving *s, krs_error *err)
{
    krs_status status = open_log(s, err);
    if (status == KRS_OK) {
        status = krs_os_signals_open(&s->signals, err);
    }
    if (status == KRS_OK && krs_metrics_new(NULL, &s->metrics) != KRS_OK) {
        status = krs_fail(err, KRS_ENOMEM, "metrics: no memory");
    }
    if (status == KRS_OK) {
        status = open_engine(s, err);
    }
    if (status == KRS_OK) {
        status = open_service(s, err);
    }
    return status == KRS_OK ? open_server(s, err) : status;
}

static void close_all(serving *s)
{
    krs_runtime_free(s->runtime);
    krs_server_free(s->server);
    krs_service_free(s->service);
    krs_metrics_free(s->metrics);
    krs_os_signals_close(&s->signals);
}

/* "http://[::1]:8080": an IPv6 address stands in brackets. */
static void say_ready(const serving *s)
{
    const char *host = krs_config_text(s->config, KRS_OPTION_HOST);
    const char *left = strchr(host, ':') ? "[" : "";
    const char *right = *left ? "]" : "";
    const unsigned port = krs_server_port(s->server);
    krs_model_info model = {.id = ""};
    (void)krs_service_models(s->service, &model, 1);
    krs_say_note(s->config, "listening on http://%s%s%s:%u", left, host, right, port);
    krs_say_note(s->config,
                 "try:\n  curl -N http://%s%s%s:%u/v1/chat/completions -H 'Content-Type: "
                 "application/json' \\\n    -d '{\"model\":\"%s\",\"stream\":true,\"messages\":"
                 "[{\"role\":\"user\",\"content\":\"What is 12 + 7?\"}]}'",
                 left, host, right, port, model.id);
}

int krs_cmd_serve(const krs_config *config)
{
    krs_error err = KRS_ERROR_INIT;
    serving s = {.config = config, .signals = {-1}};
    krs_status status = open_all(&s, &err);
    if (status == KRS_OK) {
        say_ready(&s);
        status = krs_server_run(s.server, &err);
    }
    close_all(&s);
    return status == KRS_OK ? 0 : krs_say_error(config, &err);
}
