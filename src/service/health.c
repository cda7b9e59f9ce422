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

static bool is_draining(krs_service *service)
{
    return atomic_load_explicit(&service->is_draining, memory_order_relaxed);
}

static const char *reason_of(krs_service *service, const krs_service_health *health)
{
    const krs_runtime_health *runtime = &health->runtime;
    if (!health->is_live) {
        return "the engine has not moved for too long";
    }
    if (is_draining(service)) {
        return "draining";
    }
    if (runtime->state != KRS_RUNTIME_READY) {
        return krs_runtime_state_name(runtime->state);
    }
    if (runtime->n_waiting >= runtime->max_waiting) {
        return "the queue is full";
    }
    return health->n_in_flight >= health->max_in_flight ? "too many answers in flight" : "";
}

krs_service_health krs_service_health_of(krs_service *service)
{
    krs_service_health health = {.runtime = krs_runtime_health_of(service->options.runtime)};
    const uint64_t now_ns = krs_os_now_ns();
    /* The heartbeat is another thread's reading of the clock and may be newer than ours. */
    health.heartbeat_age_ns =
        now_ns > health.runtime.heartbeat_ns ? now_ns - health.runtime.heartbeat_ns : 0;
    health.n_in_flight = atomic_load_explicit(&service->n_in_flight, memory_order_relaxed);
    health.max_in_flight = service->options.max_in_flight;
    health.is_live = health.heartbeat_age_ns <= KRS_SERVICE_ALIVE_NS &&
                     health.runtime.state != KRS_RUNTIME_FAILED;
    health.reason = reason_of(service, &health);
    health.is_ready = health.reason[0] == '\0';
    return health;
}
