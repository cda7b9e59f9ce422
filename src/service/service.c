/* service/service.c - see service.h. */
#include "service/service_priv.h"

#include "os/clock.h"
#include "os/cpu.h"
#include "os/random.h"

#include <stdio.h>

#define MAX_IN_FLIGHT_CEILING 65536 /* a typing error, not a use we know */

krs_status krs_service_new(const krs_service_options *options, const krs_alloc *alloc,
                           krs_service **out, krs_error *err)
{
    *out = NULL;
    if (options->size != sizeof(*options) || !options->runtime) {
        return krs_fail(err, KRS_EINVAL, "service: options of another version, or no runtime");
    }
    if (options->max_in_flight == 0 || options->max_in_flight > MAX_IN_FLIGHT_CEILING) {
        return krs_fail(err, KRS_EINVAL, "service: max_in_flight %u, want 1..%d",
                        options->max_in_flight, MAX_IN_FLIGHT_CEILING);
    }
    krs_service *service = krs_alloc_zero(alloc, sizeof(*service));
    if (!service) {
        return krs_fail(err, KRS_ENOMEM, "service: no memory");
    }
    service->alloc = alloc;
    service->options = *options;
    service->opened_ns = krs_os_now_ns();
    *out = service;
    return KRS_OK;
}

void krs_service_free(krs_service *service)
{
    if (service) {
        krs_alloc_free(service->alloc, service);
    }
}

krs_metrics *krs_service_metrics(const krs_service *service)
{
    return service->options.metrics;
}

const krs_log *krs_service_log(const krs_service *service)
{
    return service->options.log;
}

void krs_service_name(char out[KRS_CORRELATION_ID_BYTES])
{
    (void)snprintf(out, KRS_CORRELATION_ID_BYTES, "req-%016llx",
                   (unsigned long long)krs_os_random_u64());
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

uint32_t krs_service_models(krs_service *service, krs_model_info *out, uint32_t max)
{
    const uint32_t n = krs_runtime_models(service->options.runtime, out, max);
    return n < max ? n : max;
}

void krs_service_drain(krs_service *service)
{
    atomic_store_explicit(&service->is_draining, true, memory_order_relaxed);
    krs_runtime_drain(service->options.runtime);
}

static void set_gauges(krs_service *service)
{
    krs_metrics *metrics = service->options.metrics;
    const krs_runtime_health health = krs_runtime_health_of(service->options.runtime);
    krs_model_info models[KRS_SERVICE_MAX_MODELS];
    const uint32_t n_models = krs_service_models(service, models, KRS_SERVICE_MAX_MODELS);
    uint64_t model_bytes = 0;
    for (uint32_t i = 0; i < n_models; i++) {
        model_bytes += models[i].file_bytes;
    }
    krs_metrics_set(metrics, KRS_METRIC_QUEUE_DEPTH, health.n_waiting);
    krs_metrics_set(metrics, KRS_METRIC_SEQUENCES_RUNNING, health.n_running);
    krs_metrics_set(metrics, KRS_METRIC_KV_BLOCKS_TOTAL, health.n_kv_blocks);
    krs_metrics_set(metrics, KRS_METRIC_KV_BLOCKS_USED,
                    (int64_t)health.n_kv_blocks - (int64_t)health.n_kv_blocks_free);
    krs_metrics_set(metrics, KRS_METRIC_MODELS_LOADED, n_models);
    krs_metrics_set(metrics, KRS_METRIC_MODEL_BYTES, (int64_t)model_bytes);
    krs_metrics_set(metrics, KRS_METRIC_RESIDENT_BYTES, (int64_t)krs_os_resident_bytes());
    krs_metrics_set(metrics, KRS_METRIC_UPTIME, (int64_t)(krs_os_now_ns() - service->opened_ns));
}

krs_status krs_service_write_metrics(krs_service *service, krs_buf *out)
{
    if (!service->options.metrics) {
        return KRS_OK;
    }
    set_gauges(service);
    return krs_metrics_render_prometheus(service->options.metrics, out);
}
