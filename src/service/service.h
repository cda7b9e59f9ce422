/* service/service.h - what a deployment offers, whatever runs the model and whoever asks.
 *
 *   front end --generate--> admission, id, deadline --> runtime port
 *   front end <--events--- (the caller's sink) ; each event is shown to _observe, which counts
 *
 * One place decides who gets in and one place counts, so that HTTP, the command line and later JSON-RPC
 * behave and measure alike. It sees the runtime port only; which process runs the model is not its business.
 * Deliberately absent here: sockets and formats (above), scheduling (below), tenants, breakers and
 * recovery (later work; their place is in front of krs_runtime_open in generation.c).
 *
 * Thread: every function may be called from any thread unless it says otherwise; shared state is
 * atomic.  Memory: one allocation in _new. Runtime, metrics and log are borrowed and outlive it. */
#pragma once

#include "api/runtime.h"
#include "base/buf.h"
#include "telemetry/log.h"
#include "telemetry/metrics.h"

#define KRS_SERVICE_MAX_IN_FLIGHT 1024 /* default; admitted answers, running or queued */
#define KRS_SERVICE_MAX_MODELS    16   /* listed at once; this issue loads one */
#define KRS_SERVICE_ALIVE_NS      UINT64_C(30000000000) /* 30 s: no step of a healthy engine is longer */
#define KRS_SERVICE_METRICS_BYTES (1u << 20)            /* one rendering is some 20 KiB */

typedef struct krs_service krs_service;

typedef struct krs_service_options {
    size_t size;                 /* sizeof(krs_service_options) */
    krs_runtime *runtime;        /* required */
    krs_metrics *metrics;        /* NULL: nothing is counted */
    const krs_log *log;          /* NULL: silent */
    uint32_t max_in_flight;      /* 1 .. 65536 */
    uint64_t default_timeout_ns; /* of requests without a deadline of their own; 0: none */
} krs_service_options;

#define KRS_SERVICE_OPTIONS_INIT                                                                   \
    {                                                                                              \
        sizeof(krs_service_options), NULL, NULL, NULL, KRS_SERVICE_MAX_IN_FLIGHT, 0                \
    }

/* Errors: KRS_EINVAL, KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_service_new(const krs_service_options *options, const krs_alloc *alloc,
                                        krs_service **out, krs_error *err);
/* No answer may be in flight. */
void krs_service_free(krs_service *service);

krs_metrics *krs_service_metrics(const krs_service *service);
const krs_log *krs_service_log(const krs_service *service);

/* A fresh correlation id, "req-" and 16 hexadecimal digits. */
void krs_service_name(char out[KRS_CORRELATION_ID_BYTES]);

/* Take over a client's id: letters, digits and ._:- are kept, anything else makes it unusable (logs and
 * headers would have to quote it) and false is returned. Cut to what fits. */
bool krs_service_adopt_name(krs_str given, char out[KRS_CORRELATION_ID_BYTES]);

/* What is loaded, into out[max]; returns how many were written. */
uint32_t krs_service_models(krs_service *service, krs_model_info *out, uint32_t max);

/* Refuse new work from now on (readiness turns false); what runs may finish. */
void krs_service_drain(krs_service *service);

/* All metrics in Prometheus text format; gauges are read from the runtime now.
 * Errors: KRS_ETOOLARGE, KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_service_write_metrics(krs_service *service, krs_buf *out);
