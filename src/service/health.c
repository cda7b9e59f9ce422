/* service/health.c - see health.h. */
#include "service/health.h"

#include "os/clock.h"
#include "service/service_priv.h"

const char *krs_runtime_state_name(krs_runtime_state state)
{
    static const char *const names[] = {"starting", "ready", "draining", "failed", "stopped"};
    const unsigned i = (unsigned)state;
    return i < sizeof(names) / sizeof(names[0]) ? names[i] : "unknown";
}

static const char *reason_of_models(krs_service *service, const krs_service_health *health)
{
    if (health->n_models > 0) {
        return health->runtime.state == KRS_RUNTIME_READY
                   ? ""
                   : krs_runtime_state_name(health->runtime.state);
    }
    return krs_models_is_loading(service) ? "a model is being loaded" : "no model is loaded";
}

static const char *reason_of(krs_service *service, const krs_service_health *health)
{
    const krs_runtime_health *runtime = &health->runtime;
    if (!health->is_live) {
        return "the engine has not moved for too long";
    }
    if (atomic_load_explicit(&service->is_draining, memory_order_relaxed)) {
        return "draining";
    }
    const char *reason = reason_of_models(service, health);
    if (reason[0] != '\0') {
        return reason;
    }
    if (runtime->n_waiting >= runtime->max_waiting) {
        return "the queue is full";
    }
    return health->n_in_flight >= health->max_in_flight ? "too many answers in flight" : "";
}

krs_service_health krs_service_health_of(krs_service *service)
{
    krs_service_health health = {.n_models = 0};
    health.runtime = krs_admission_health(service, &health.n_models);
    const krs_admission_state admission = krs_service_admission(service);
    const uint64_t now_ns = krs_os_now_ns();
    /* The heartbeat is another thread's reading of the clock and may be newer than ours. */
    health.heartbeat_age_ns =
        now_ns > health.runtime.heartbeat_ns ? now_ns - health.runtime.heartbeat_ns : 0;
    health.n_in_flight = admission.n_in_flight;
    health.max_in_flight = admission.limit;
    health.pressure = admission.pressure.value;
    health.is_live = health.heartbeat_age_ns <= KRS_SERVICE_ALIVE_NS &&
                     health.runtime.state != KRS_RUNTIME_FAILED;
    health.reason = reason_of(service, &health);
    health.is_ready = health.reason[0] == '\0';
    return health;
}
