/* service/admission.c - see admission.h and admission_priv.h. */
#include "os/clock.h"
#include "service/models_priv.h"
#include "service/service_priv.h"

#include <math.h>

#define BACKGROUND_NUMERATOR   3 /* of BACKGROUND_DENOMINATOR places */
#define BACKGROUND_DENOMINATOR 4
#define NO_RATE_RETRY_MS       1000u /* nothing has ended lately: there is nothing to estimate from */
#define LATE_QUANTILE          0.95

static krs_admission *admission_of(krs_service *service)
{
    return &service->admission;
}

krs_status krs_admission_init(krs_service *service, krs_error *err)
{
    krs_admission *a = admission_of(service);
    const uint64_t now_ns = krs_os_now_ns();
    krs_governor_init(&a->governor, &service->options.governor, now_ns);
    atomic_store_explicit(&a->limit, service->options.max_in_flight, memory_order_relaxed);
    if (service->options.is_adaptive &&
        service->options.governor.max_limit < service->options.max_in_flight) {
        atomic_store_explicit(&a->limit, service->options.governor.max_limit, memory_order_relaxed);
    }
    a->state.limit = atomic_load_explicit(&a->limit, memory_order_relaxed);
    a->state.retry_after_ms = NO_RATE_RETRY_MS;
    const krs_status status = krs_os_mutex_new(&a->mutex);
    return status == KRS_OK ? status : krs_fail(err, status, "service: no memory for a lock");
}

void krs_admission_deinit(krs_service *service)
{
    krs_os_mutex_free(admission_of(service)->mutex);
}

/* --- measuring --- */

static bool is_worse(krs_runtime_state a, krs_runtime_state b)
{
    static const int badness[] = {
        [KRS_RUNTIME_READY] = 0,   [KRS_RUNTIME_STARTING] = 1, [KRS_RUNTIME_DRAINING] = 2,
        [KRS_RUNTIME_STOPPED] = 3, [KRS_RUNTIME_FAILED] = 4,
    };
    return badness[a] > badness[b];
}

static void add_health(krs_runtime_health *sum, const krs_runtime_health *one)
{
    sum->state = is_worse(one->state, sum->state) ? one->state : sum->state;
    sum->heartbeat_ns =
        one->heartbeat_ns < sum->heartbeat_ns ? one->heartbeat_ns : sum->heartbeat_ns;
    sum->n_running += one->n_running;
    sum->n_waiting += one->n_waiting;
    sum->max_waiting += one->max_waiting;
    sum->n_waiting_tokens += one->n_waiting_tokens;
    sum->max_waiting_tokens += one->max_waiting_tokens;
    sum->n_paused += one->n_paused;
    sum->n_parked += one->n_parked;
    sum->n_kv_blocks += one->n_kv_blocks;
    sum->n_kv_blocks_free += one->n_kv_blocks_free;
    sum->n_kv_blocks_cached += one->n_kv_blocks_cached;
}

krs_runtime_health krs_admission_health(krs_service *service, uint32_t *n_models)
{
    krs_model *models[KRS_SERVICE_MAX_MODELS];
    const uint32_t n = krs_models_lease_all(service, models);
    krs_runtime_health sum = {.state = KRS_RUNTIME_READY, .heartbeat_ns = UINT64_MAX};
    for (uint32_t i = 0; i < n; i++) {
        const krs_runtime_health one = krs_runtime_health_of(models[i]->runtime);
        add_health(&sum, &one);
        krs_models_release(service, models[i]);
    }
    *n_models = n;
    return sum;
}

/* Little's law: so many wait, so many end a second. */
static uint32_t estimate_retry_ms(const krs_runtime_health *health, double ends_per_s)
{
    if (ends_per_s <= 0) {
        return NO_RATE_RETRY_MS;
    }
    const double ms = ((double)health->n_waiting + 1.0) * 1000.0 / ends_per_s;
    const double most = KRS_ADMISSION_MAX_RETRY_MS;
    const double least = KRS_ADMISSION_MIN_RETRY_MS;
    return (uint32_t)(ms < least ? least : ms > most ? most : ms);
}

/* The same for the queue alone. Not measured: a wait is known to us when its answer ends, long after. */
static uint64_t estimate_wait_ns(const krs_runtime_health *health, double begins_per_s)
{
    return begins_per_s > 0 ? (uint64_t)((double)health->n_waiting * 1e9 / begins_per_s) : 0;
}

/* The first token is late by at least as long as nothing has begun while somebody waited. */
static uint64_t stalled_ns(krs_admission *a, uint64_t now_ns)
{
    if (atomic_load_explicit(&a->n_pending, memory_order_relaxed) == 0) {
        return 0;
    }
    const uint64_t since_ns = atomic_load_explicit(&a->progress_ns, memory_order_relaxed);
    return now_ns > since_ns ? now_ns - since_ns : 0;
}

static void measure(krs_service *service, uint64_t now_ns, krs_runtime_health *health,
                    krs_admission_state *out)
{
    krs_admission *a = admission_of(service);
    const uint64_t window_ns = service->options.governor.window_ns;
    uint32_t n_models = 0;
    *health = krs_admission_health(service, &n_models);
    const uint64_t stall_ns = stalled_ns(a, now_ns);
    out->ttft_ns = krs_window_quantile(&a->ttft, LATE_QUANTILE, window_ns, now_ns);
    out->ttft_ns = out->ttft_ns > stall_ns ? out->ttft_ns : stall_ns;
    out->wait_ns = estimate_wait_ns(health, krs_window_rate(&a->ttft, window_ns, now_ns));
    out->n_in_flight = atomic_load_explicit(&a->n_in_flight, memory_order_relaxed);
    out->retry_after_ms = estimate_retry_ms(health, krs_window_rate(&a->ends, window_ns, now_ns));
}

/* --- deciding --- */

static void tell_limit(krs_service *service, const krs_admission_state *state, uint32_t most)
{
    krs_admission *a = admission_of(service);
    const bool is_limited = state->limit < most;
    if (is_limited == a->is_limited) {
        return;
    }
    a->is_limited = is_limited;
    const krs_log_field fields[] = {
        krs_log_int("limit", state->limit),
        krs_log_double("pressure", state->pressure.value),
        krs_log_int("first_token_ms", (int64_t)(state->ttft_ns / KRS_NS_PER_MS)),
    };
    krs_service_publish(service,
                        is_limited ? KRS_EVENT_ADMISSION_LIMITED : KRS_EVENT_ADMISSION_RESTORED,
                        NULL, fields, is_limited ? 3 : 1);
}

static void work_out(krs_service *service, uint64_t now_ns)
{
    krs_admission *a = admission_of(service);
    const krs_service_options *options = &service->options;
    krs_admission_state state = {.limit = options->max_in_flight};
    krs_runtime_health health;
    measure(service, now_ns, &health, &state);
    uint32_t most = options->max_in_flight;
    if (options->is_adaptive) {
        const krs_governor_sample sample = {state.ttft_ns, state.wait_ns};
        const uint32_t limit = krs_governor_step(&a->governor, &sample, now_ns);
        const uint32_t highest = options->governor.max_limit;
        most = highest < most ? highest : most;
        state.limit = limit < most ? limit : most;
    }
    const krs_pressure_input input = {
        .runtime = health,
        .n_in_flight = state.n_in_flight,
        .max_in_flight = state.limit,
        .ttft_ns = state.ttft_ns,
        .wait_ns = state.wait_ns,
        .slo_ttft_ns = options->is_adaptive ? options->governor.slo_ttft_ns : 0,
    };
    state.pressure = krs_pressure_of(&input);
    atomic_store_explicit(&a->limit, state.limit, memory_order_relaxed);
    atomic_store_explicit(&a->pressure_milli, (uint32_t)lround(state.pressure.value * 1000.0),
                          memory_order_relaxed);
    krs_os_mutex_lock(a->mutex);
    a->state = state;
    krs_os_mutex_unlock(a->mutex);
    tell_limit(service, &state, most);
}

void krs_admission_sample(krs_service *service, uint64_t now_ns)
{
    krs_admission *a = admission_of(service);
    const uint64_t sampled_ns = atomic_load_explicit(&a->sampled_ns, memory_order_relaxed);
    if (sampled_ns != 0 && now_ns < sampled_ns + service->options.governor.sample_ns) {
        return;
    }
    bool is_sampling = false;
    /* Acquire pairs with the release below: the governor of the last sampling is seen whole. */
    if (!atomic_compare_exchange_strong_explicit(&a->is_sampling, &is_sampling, true,
                                                 memory_order_acquire, memory_order_relaxed)) {
        return;
    }
    atomic_store_explicit(&a->sampled_ns, now_ns, memory_order_relaxed);
    work_out(service, now_ns);
    atomic_store_explicit(&a->is_sampling, false, memory_order_release);
}

krs_admission_state krs_service_admission(krs_service *service)
{
    krs_admission *a = admission_of(service);
    krs_admission_sample(service, krs_os_now_ns());
    krs_os_mutex_lock(a->mutex);
    krs_admission_state state = a->state;
    krs_os_mutex_unlock(a->mutex);
    state.n_in_flight = atomic_load_explicit(&a->n_in_flight, memory_order_relaxed);
    return state;
}

/* --- places --- */

/* Add one to a bounded count. */
static bool take_one(_Atomic uint32_t *count, uint32_t max)
{
    uint32_t n = atomic_load_explicit(count, memory_order_relaxed);
    while (n < max) {
        if (atomic_compare_exchange_weak_explicit(count, &n, n + 1, memory_order_relaxed,
                                                  memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

static uint32_t retry_after_ms(krs_admission *a)
{
    krs_os_mutex_lock(a->mutex);
    const uint32_t retry_ms = a->state.retry_after_ms;
    krs_os_mutex_unlock(a->mutex);
    return retry_ms;
}

static krs_status refuse(krs_admission *a, krs_status status, krs_error *err)
{
    if (err) {
        err->retry_after_ms = retry_after_ms(a);
    }
    return status;
}

/* Background work may not fill the server, nor come while others wait. */
static krs_status enter_background(krs_admission *a, uint32_t limit, krs_error *err)
{
    const uint32_t pressure = atomic_load_explicit(&a->pressure_milli, memory_order_relaxed);
    if (pressure >= (uint32_t)(KRS_ADMISSION_SHED_PRESSURE * 1000.0)) {
        return krs_fail_field(err, KRS_EBUSY, "priority",
                              "priority: the server is too loaded for background work; try again.");
    }
    const uint32_t max =
        (limit * BACKGROUND_NUMERATOR + BACKGROUND_DENOMINATOR - 1) / BACKGROUND_DENOMINATOR;
    if (!take_one(&a->n_background, max)) {
        return krs_fail_field(err, KRS_EBUSY, "priority",
                              "priority: %u background answers are in flight, which is the limit; "
                              "try again.",
                              max);
    }
    return KRS_OK;
}

krs_status krs_admission_enter(krs_service *service, krs_priority priority, uint64_t now_ns,
                               krs_error *err)
{
    krs_admission *a = admission_of(service);
    krs_admission_sample(service, now_ns);
    const uint32_t limit = atomic_load_explicit(&a->limit, memory_order_relaxed);
    if (priority == KRS_PRIORITY_BACKGROUND) {
        const krs_status status = enter_background(a, limit, err);
        if (status != KRS_OK) {
            return refuse(a, status, err);
        }
    }
    if (!take_one(&a->n_in_flight, limit)) {
        if (priority == KRS_PRIORITY_BACKGROUND) {
            (void)atomic_fetch_sub_explicit(&a->n_background, 1, memory_order_relaxed);
        }
        return refuse(a,
                      krs_fail(err, KRS_EBUSY,
                               "%u answers are in flight, which is the limit; try again.", limit),
                      err);
    }
    if (atomic_fetch_add_explicit(&a->n_pending, 1, memory_order_relaxed) == 0) {
        atomic_store_explicit(&a->progress_ns, now_ns, memory_order_relaxed);
    }
    return KRS_OK;
}

void krs_admission_begun(krs_service *service, uint64_t now_ns)
{
    krs_admission *a = admission_of(service);
    atomic_store_explicit(&a->progress_ns, now_ns, memory_order_relaxed);
    (void)atomic_fetch_sub_explicit(&a->n_pending, 1, memory_order_relaxed);
}

void krs_admission_leave(krs_service *service, krs_priority priority)
{
    krs_admission *a = admission_of(service);
    (void)atomic_fetch_sub_explicit(&a->n_in_flight, 1, memory_order_relaxed);
    if (priority == KRS_PRIORITY_BACKGROUND) {
        (void)atomic_fetch_sub_explicit(&a->n_background, 1, memory_order_relaxed);
    }
}
