/* apps/krs/cmd_stdio.c - krs stdio: JSON-RPC for the program that started us, until it has enough.
 *
 * It starts without a model; load_model brings them. Standard output carries messages and nothing else; that
 * we can answer is said on standard error, in the words that the contract's client waits for. It ends when
 * `shutdown` is called or standard input ends. SIGTERM keeps its default: a private child has nothing to
 * save, and its parent may rely on nothing stronger.
 *
 * A load that is still running when the end comes would hold it up for seconds, in code that cannot be
 * interrupted; then the process leaves with its memory as it is, and the system takes it back. */
#include "command.h"
#include "local.h"
#include "rpc_options.h"
#include "serve_log.h"
#include "server/server.h"
#include "service/models.h"

#include <stdio.h>

#define READY_LINE   "MLX Runtime ready\n" /* the contract's; the client looks for these words */
#define GIVE_UP_MS   200                   /* streams end within a step; their client is gone */
#define MAX_SESSIONS 1

typedef struct piping {
    serve_log log;
    rpc_options rpc;
    krs_metrics *metrics;
    krs_local local;
    krs_service *service;
    krs_server *server;
} piping;

static krs_status open_service(piping *p, const krs_config *config, krs_error *err)
{
    p->local = (krs_local){.config = config, .metrics = p->metrics, .log = &p->log.log};
    krs_service_options options = krs_local_service_options(config);
    options.opener = krs_local_opener(&p->local);
    options.metrics = p->metrics;
    options.log = &p->log.log;
    const krs_status status = krs_service_new(&options, NULL, &p->service, err);
    p->local.bus = status == KRS_OK ? krs_service_bus(p->service) : NULL;
    return status;
}

static krs_status open_server(piping *p, const krs_config *config, krs_error *err)
{
    krs_server_options options = KRS_SERVER_OPTIONS_INIT;
    options.host = NULL;
    options.max_connections = MAX_SESSIONS;
    options.drain_ms = GIVE_UP_MS;
    options.version = KRS_VERSION;
    rpc_options_fill(&p->rpc, config, &options.rpc);
    options.rpc.is_stdio = true;
    return krs_server_open(&options, p->service, NULL, &p->server, err);
}

static krs_status open_all(piping *p, const krs_config *config, krs_error *err)
{
    krs_status status = serve_log_open(&p->log, config, err);
    if (status == KRS_OK && !krs_config_is_given(config, KRS_OPTION_LOG_LEVEL)) {
        p->log.log.min_level =
            KRS_LOG_WARN; /* the contract's client takes every line for a warning */
    }
    if (status == KRS_OK && krs_metrics_new(NULL, &p->metrics) != KRS_OK) {
        status = krs_fail(err, KRS_ENOMEM, "metrics: no memory");
    }
    if (status == KRS_OK) {
        status = open_service(p, config, err);
    }
    return status == KRS_OK ? open_server(p, config, err) : status;
}

static bool is_loading(krs_service *service)
{
    krs_model_status models[KRS_SERVICE_MAX_MODELS];
    const uint32_t n = krs_service_list_models(service, models, KRS_SERVICE_MAX_MODELS);
    bool is_any = false;
    for (uint32_t i = 0; i < n && i < KRS_SERVICE_MAX_MODELS; i++) {
        is_any = is_any || models[i].state == KRS_MODEL_LOADING;
    }
    return is_any;
}

static void close_all(piping *p)
{
    if (p->service) {
        krs_service_stop(p->service);
    }
    krs_server_free(p->server);
    krs_service_free(p->service);
    krs_metrics_free(p->metrics);
}

int krs_cmd_stdio(const krs_config *config)
{
    krs_error err = KRS_ERROR_INIT;
    piping *p = krs_alloc_zero(NULL, sizeof(*p)); /* not our stack: a loader may outlive it */
    if (!p) {
        (void)krs_fail(&err, KRS_ENOMEM, "no memory");
        return krs_say_error(config, &err);
    }
    krs_status status = open_all(p, config, &err);
    if (status == KRS_OK) {
        (void)fputs(READY_LINE, stderr);
        status = krs_server_run(p->server, &err);
        if (status == KRS_OK && is_loading(p->service)) {
            return 0;
        }
    }
    close_all(p);
    krs_alloc_free(NULL, p);
    return status == KRS_OK ? 0 : krs_say_error(config, &err);
}
