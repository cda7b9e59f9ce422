/* apps/krs/serve_log.h - the log of krs serve on standard error, which never stops the server.
 *
 * Thread: lines from any thread; open and set_level by main. */
#pragma once

#include "api/config.h"
#include "telemetry/log.h"

#include <stdatomic.h>

typedef struct serve_log {
    krs_log log;
    _Atomic uint32_t n_lost_lines; /* since the last line that was written */
} serve_log;

/* As --log-level, --json and --quiet say. out must stay where it is. Errors: KRS_EINVAL. */
KRS_MUST_USE krs_status serve_log_open(serve_log *out, const krs_config *config, krs_error *err);

/* The level again, from a configuration that was read again. Errors: KRS_EINVAL. */
KRS_MUST_USE krs_status serve_log_set_level(serve_log *log, const krs_config *config,
                                            krs_error *err);
