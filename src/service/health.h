/* service/health.h - two questions an orchestrator asks, answered without running a token.
 *
 * Live: every engine thread went round its loop within KRS_SERVICE_ALIVE_NS; if not, restart the process.
 * Ready: a request sent now would be taken; if not, send it elsewhere and leave the process alone.
 *
 * Thread: any. */
#pragma once

#include "service/admission.h"
#include "service/service.h"

typedef struct krs_service_health {
    bool is_live;
    bool is_ready;
    const char *reason; /* why not ready (or not live), static; "" when both hold */
    uint64_t heartbeat_age_ns;
    krs_runtime_health runtime; /* summed over the models; state: the worst */
    uint32_t n_models;          /* that answer */
    uint32_t n_in_flight;
    uint32_t max_in_flight; /* in force now */
    double pressure;        /* 0 idle .. 1 full */
} krs_service_health;

krs_service_health krs_service_health_of(krs_service *service);

/* "starting", "ready", "draining", "failed", "stopped". */
const char *krs_runtime_state_name(krs_runtime_state state);
