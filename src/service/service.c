/* service/service.c - see service.h. */
#include "service/service_priv.h"

#include "os/clock.h"
#include "os/cpu.h"
#include "os/random.h"
#include "os/usage.h"
#include "service/series.h"

#include <stdio.h>

_Static_assert(KRS_METHOD_COUNT <= KRS_METRIC_FAMILY_VALUES, "each method has a counter");

static krs_status check_options(const krs_service_options *options, krs_error *err)
{
    if (options->size != sizeof(*options) || (!options->runtime && !options->opener.open)) {
        return krs_fail(err, KRS_EINVAL,
                        "service: options of another version, or neither runtime nor opener");
    }
    if (options->max_in_flight == 0 || options->max_in_flight > KRS_GOVERNOR_MAX_LIMIT) {
        return krs_fail_field(err, KRS_EINVAL, "max-in-flight", "max-in-flight: %u, want 1..%u",
                              options->max_in_flight, KRS_GOVERNOR_MAX_LIMIT);
    }
    return krs_governor_check(&options->governor, err);
}

static krs_status open_bus(krs_service *service, krs_error *err)
{
    const krs_service_options *options = &service->options;
    krs_status status = krs_bus_new(service->alloc, options->metrics, &service->bus);
    if (status != KRS_OK) {
        return krs_fail(err, status, "service: no memory for events");
    }
    const krs_subscriber feeds = krs_feeds_subscriber(service);
    status = krs_bus_subscribe(service->bus, &feeds, err);
    if (status == KRS_OK && options->log) {
        const krs_subscriber log = krs_bus_log_subscriber(options->log);
        status = krs_bus_subscribe(service->bus, &log, err);
    }
    krs_bus_seal(service->bus);
    return status;
}

static const char *method_name(uint32_t i)
{
    return krs_method_row_of((krs_method)i)->name;
}

/* The family of that name; a second service over the same metrics counts into the first one's. */
static krs_status take_family(krs_service *service, const char *name, const char *help,
                              uint32_t *out, krs_error *err)
{
    krs_metrics *metrics = service->options.metrics;
    const krs_metric_family family = {.name = name,
                                      .label = "method",
                                      .help = help,
                                      .value_of = method_name,
                                      .n_values = KRS_METHOD_COUNT};
    for (uint32_t i = 0; krs_metrics_family_of(metrics, i); i++) {
        if (strcmp(krs_metrics_family_of(metrics, i)->name, name) == 0) {
            *out = i;
            return KRS_OK;
        }
    }
    const krs_status status = krs_metrics_add_family(metrics, &family, out);
    return status == KRS_OK ? status : krs_fail(err, status, "metrics: no place for %s", name);
}

static krs_status add_method_counters(krs_service *service, krs_error *err)
{
    const krs_status status =
        take_family(service, "krs_rpc_calls_total",
                    "JSON-RPC calls, by method; refused ones included.", &service->rpc_calls, err);
    return status == KRS_OK ? take_family(service, "krs_rpc_errors_total",
                                          "JSON-RPC calls that ended with an error, by method.",
                                          &service->rpc_errors, err)
                            : status;
}

static krs_status open_parts(krs_service *service, krs_error *err)
{
    krs_status status = krs_feeds_init(&service->feeds, err);
    if (status == KRS_OK) {
        status = add_method_counters(service, err);
    }
    if (status == KRS_OK) {
        status = open_bus(service, err);
    }
    if (status == KRS_OK) {
        status = krs_breakers_init(&service->breakers, err);
    }
    if (status == KRS_OK) {
        status = krs_admission_init(service, err);
    }
    if (status == KRS_OK) {
        status = krs_keys_init(service, err);
    }
    return status == KRS_OK ? krs_models_init(service, err) : status;
}

krs_status krs_service_new(const krs_service_options *options, const krs_alloc *alloc,
                           krs_service **out, krs_error *err)
{
    *out = NULL;
    krs_status status = check_options(options, err);
    if (status != KRS_OK) {
        return status;
    }
    krs_service *service = krs_alloc_zero(alloc, sizeof(*service));
    if (!service) {
        return krs_fail(err, KRS_ENOMEM, "service: no memory");
    }
    service->alloc = alloc;
    service->options = *options;
    service->opened_ns = krs_os_now_ns();
    status = open_parts(service, err);
    if (status != KRS_OK) {
        service->models.slots[0].is_owned = false; /* the runtime stays the caller's */
        krs_service_free(service);
        return status;
    }
    *out = service;
    return KRS_OK;
}

void krs_service_stop(krs_service *service)
{
    if (!service->is_stopped) {
        service->is_stopped = true;
        krs_models_stop(service);
    }
}

void krs_service_free(krs_service *service)
{
    if (!service) {
        return;
    }
    krs_service_stop(service);
    krs_models_deinit(service);
    krs_keys_deinit(service);
    krs_admission_deinit(service);
    krs_breakers_deinit(&service->breakers);
    krs_bus_free(service->bus);
    krs_feeds_deinit(&service->feeds);
    krs_alloc_free(service->alloc, service);
}

krs_metrics *krs_service_metrics(const krs_service *service)
{
    return service->options.metrics;
}

const krs_log *krs_service_log(const krs_service *service)
{
    return service->options.log;
}

krs_bus *krs_service_bus(krs_service *service)
{
    return service->bus;
}

void krs_service_publish(krs_service *service, krs_event_kind kind, const char *correlation_id,
                         const krs_log_field *fields, size_t n_fields)
{
    krs_bus_publish(service->bus, kind, correlation_id, fields, n_fields);
}

void krs_service_name(char out[KRS_CORRELATION_ID_BYTES])
{
    (void)snprintf(out, KRS_CORRELATION_ID_BYTES, "req-%016llx",
                   (unsigned long long)krs_os_random_u64());
}

void krs_service_count_method(krs_service *service, krs_method method, bool is_error)
{
    krs_metrics_count(service->options.metrics, service->rpc_calls, method);
    if (is_error) {
        krs_metrics_count(service->options.metrics, service->rpc_errors, method);
    }
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("._:-", c));
}

bool krs_service_adopt_name(krs_str given, char out[KRS_CORRELATION_ID_BYTES])
{
    const size_t n =
        given.len < KRS_CORRELATION_ID_BYTES ? given.len : KRS_CORRELATION_ID_BYTES - 1;
    for (size_t i = 0; i < given.len; i++) {
        if (!is_name_char(given.ptr[i])) {
            return false;
        }
    }
    if (n > 0) {
        memcpy(out, given.ptr, n);
        out[n] = '\0';
    }
    return n > 0;
}

void krs_service_drain(krs_service *service)
{
    atomic_store_explicit(&service->is_draining, true, memory_order_relaxed);
    krs_model *models[KRS_SERVICE_MAX_MODELS];
    const uint32_t n = krs_models_lease_all(service, models);
    for (uint32_t i = 0; i < n; i++) {
        krs_runtime_drain(models[i]->runtime);
        krs_models_release(service, models[i]);
    }
}

static void set_runtime_gauges(krs_service *service)
{
    krs_metrics *metrics = service->options.metrics;
    uint32_t n_models = 0;
    const krs_runtime_health health = krs_admission_health(service, &n_models);
    krs_model_info models[KRS_SERVICE_MAX_MODELS];
    n_models = krs_service_models(service, models, KRS_SERVICE_MAX_MODELS);
    uint64_t model_bytes = 0;
    for (uint32_t i = 0; i < n_models; i++) {
        model_bytes += models[i].file_bytes;
    }
    krs_metrics_set(metrics, KRS_METRIC_QUEUE_DEPTH, health.n_waiting);
    krs_metrics_set(metrics, KRS_METRIC_QUEUE_TOKENS, (int64_t)health.n_waiting_tokens);
    krs_metrics_set(metrics, KRS_METRIC_SEQUENCES_RUNNING, health.n_running);
    krs_metrics_set(metrics, KRS_METRIC_SEQUENCES_PAUSED, health.n_paused);
    krs_metrics_set(metrics, KRS_METRIC_SEQUENCES_PARKED, health.n_parked);
    krs_metrics_set(metrics, KRS_METRIC_KV_BLOCKS_TOTAL, health.n_kv_blocks);
    krs_metrics_set(metrics, KRS_METRIC_KV_BLOCKS_USED,
                    (int64_t)health.n_kv_blocks - (int64_t)health.n_kv_blocks_free);
    krs_metrics_set(metrics, KRS_METRIC_KV_BLOCKS_CACHED, health.n_kv_blocks_cached);
    krs_metrics_set(metrics, KRS_METRIC_MODELS_LOADED, n_models);
    krs_metrics_set(metrics, KRS_METRIC_MODEL_BYTES, (int64_t)model_bytes);
}

static void set_own_gauges(krs_service *service)
{
    krs_metrics *metrics = service->options.metrics;
    const krs_admission_state admission = krs_service_admission(service);
    krs_metrics_set(metrics, KRS_METRIC_IN_FLIGHT, admission.n_in_flight);
    krs_metrics_set(metrics, KRS_METRIC_ADMISSION_LIMIT, admission.limit);
    krs_metrics_set(metrics, KRS_METRIC_PRESSURE, (int64_t)(admission.pressure.value * 1000.0));
    krs_metrics_set(metrics, KRS_METRIC_BREAKERS_OPEN, krs_breakers_count_open(service));
    krs_metrics_set(metrics, KRS_METRIC_UPTIME, (int64_t)(krs_os_now_ns() - service->opened_ns));
}

static void set_process_gauges(krs_metrics *metrics)
{
    const krs_os_usage usage = krs_os_usage_of_self();
    krs_metrics_set(metrics, KRS_METRIC_RESIDENT_BYTES, (int64_t)krs_os_resident_bytes());
    krs_metrics_set(metrics, KRS_METRIC_PROCESS_VIRTUAL, (int64_t)usage.virtual_bytes);
    krs_metrics_set(metrics, KRS_METRIC_PROCESS_CPU, (int64_t)usage.cpu_ns);
    krs_metrics_set(metrics, KRS_METRIC_PROCESS_START, (int64_t)usage.start_wall_ns);
    krs_metrics_set(metrics, KRS_METRIC_PROCESS_FDS, usage.n_fds);
    krs_metrics_set(metrics, KRS_METRIC_PROCESS_MAX_FDS, usage.max_fds);
    krs_metrics_set(metrics, KRS_METRIC_PROCESS_THREADS, usage.n_threads);
}

krs_status krs_service_write_metrics(krs_service *service, krs_buf *out)
{
    if (!service->options.metrics) {
        return KRS_OK;
    }
    set_runtime_gauges(service);
    set_own_gauges(service);
    set_process_gauges(service->options.metrics);
    const krs_status status = krs_metrics_render_prometheus(service->options.metrics, out);
    return status == KRS_OK ? krs_series_write(service, out) : status;
}
