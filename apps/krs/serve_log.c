/* apps/krs/serve_log.c - see serve_log.h. */
#include "serve_log.h"

#include "os/clock.h"
#include "os/wake.h"

#include <stdio.h>

#define STDERR_FD 2

/* A line costs less than an answer: when nobody reads the pipe that standard error is (a pager, a stuck
 * collector), lines are lost and counted, for a blocked write would stop every thread that serves. */
static void write_line(void *ctx, krs_log_level level, krs_str line)
{
    serve_log *log = ctx;
    (void)level;
    if (!krs_os_is_writable(STDERR_FD)) {
        (void)atomic_fetch_add_explicit(&log->n_lost_lines, 1, memory_order_relaxed);
        return;
    }
    const uint32_t n_lost = atomic_exchange_explicit(&log->n_lost_lines, 0, memory_order_relaxed);
    if (n_lost > 0) {
        (void)fprintf(stderr,
                      log->log.format == KRS_LOG_NDJSON ? "{\"event\":\"log.lost\",\"lines\":%u}\n"
                                                        : "%u log lines were lost here\n",
                      n_lost);
    }
    (void)fwrite(line.ptr, 1, line.len, stderr); /* one call a line: stdio locks it */
}

krs_status serve_log_set_level(serve_log *log, const krs_config *config, krs_error *err)
{
    krs_log_level level;
    const krs_status status =
        krs_log_level_of(krs_str_of(krs_config_text(config, KRS_OPTION_LOG_LEVEL)), &level);
    if (status != KRS_OK) {
        return krs_fail(err, status, "log-level: not a level");
    }
    log->log.min_level = krs_config_bool(config, KRS_OPTION_QUIET) ? KRS_LOG_WARN : level;
    return KRS_OK;
}

krs_status serve_log_open(serve_log *out, const krs_config *config, krs_error *err)
{
    const bool is_json = krs_config_bool(config, KRS_OPTION_JSON);
    out->log.ctx = out;
    out->log.sink = write_line;
    out->log.wall_ns = krs_os_wall_ns;
    out->log.format = is_json ? KRS_LOG_NDJSON : KRS_LOG_TEXT;
    return serve_log_set_level(out, config, err);
}
