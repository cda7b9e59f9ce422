/* service/service.h - what a deployment offers, whatever runs the models and whoever asks.
 *
 *   front end --generate--> key, budget, breaker, admission --> model (a lease) --> runtime port
 *   front end <--events--- (the caller's sink) ; each event is shown to _observe, which counts
 *
 * One place decides who gets in and one place counts, so that HTTP, JSON-RPC and the command line behave
 * and measure alike. It sees the runtime port only; which process runs a model is not its business.
 * The parts have headers of their own: models.h, access.h, admission.h, generation.h, health.h, feed.h.
 * Deliberately absent here: sockets and formats (above), scheduling (below).
 *
 * Thread: every function may be called from any thread unless it says otherwise.
 * Memory: fixed tables, taken in _new; tenants and loads take theirs as they come. Metrics and log are
 * borrowed and outlive it. */
#pragma once

#include "api/method.h"
#include "api/runtime.h"
#include "base/buf.h"
#include "service/governor.h"
#include "telemetry/bus.h"
#include "telemetry/log.h"
#include "telemetry/metrics.h"

#define KRS_SERVICE_MAX_IN_FLIGHT 1024 /* default; admitted answers, running or queued */
#define KRS_SERVICE_MAX_MODELS    16   /* ready or loading at once; a host has memory for few */
#define KRS_SERVICE_ALIVE_NS      UINT64_C(30000000000) /* 30 s: no step of a healthy engine is longer */
#define KRS_SERVICE_METRICS_BYTES (1u << 20)            /* one rendering is some 40 KiB */

typedef struct krs_service krs_service;
struct krs_model_spec; /* models.h */

/* Turns a folder into a runtime. Called on the service's loader thread, may take minutes. */
typedef struct krs_opener {
    void *ctx;
    /* *out: owned by the service, krs_runtime_free. NULL: models cannot be loaded here. */
    krs_status (*open)(void *ctx, const struct krs_model_spec *spec, krs_runtime **out,
                       krs_error *err);
} krs_opener;

typedef struct krs_service_options {
    size_t size;                 /* sizeof(krs_service_options) */
    krs_runtime *runtime;        /* the first model, named as it names itself; NULL: none yet */
    bool is_runtime_given;       /* the service owns `runtime` once _new succeeded, and frees it */
    krs_opener opener;           /* how more are loaded */
    krs_metrics *metrics;        /* NULL: nothing is counted */
    const krs_log *log;          /* NULL: silent */
    const char *key_file;        /* see access.h; NULL: no keys, everyone is tenant 0; copied */
    uint32_t max_in_flight;      /* 1 .. 65536, whatever the admission */
    uint64_t default_timeout_ns; /* of requests without a deadline of their own; 0: none */
    bool is_adaptive;            /* admission follows `governor`, not max_in_flight alone */
    krs_governor_options governor;
} krs_service_options;

#define KRS_SERVICE_OPTIONS_INIT                                                                   \
    {                                                                                              \
        .size = sizeof(krs_service_options), .max_in_flight = KRS_SERVICE_MAX_IN_FLIGHT,           \
        .governor = KRS_GOVERNOR_OPTIONS_INIT                                                      \
    }

/* runtime or opener is required. Errors: KRS_EINVAL, KRS_ENOMEM, KRS_EAGAIN (threads), those of the key
 * file (access.h). On failure the runtime stays the caller's. */
KRS_MUST_USE krs_status krs_service_new(const krs_service_options *options, const krs_alloc *alloc,
                                        krs_service **out, krs_error *err);

/* End loading and free every runtime the service owns; their streams are cancelled and their end events
 * still delivered. Nothing else of the service may run meanwhile, and afterwards only _observe and _free may. */
void krs_service_stop(krs_service *service);

/* Stops first when that has not been done. NULL is a no-op. */
void krs_service_free(krs_service *service);

krs_metrics *krs_service_metrics(const krs_service *service);
const krs_log *krs_service_log(const krs_service *service);

/* The bus behind it, sealed; for runtimes that tell what happens to them. */
krs_bus *krs_service_bus(krs_service *service);

/* Tell the bus: the log, and everyone who watches (feed.h). correlation_id may be NULL. */
void krs_service_publish(krs_service *service, krs_event_kind kind, const char *correlation_id,
                         const krs_log_field *fields, size_t n_fields);

/* Count one JSON-RPC call of that method, and whether it ended with an error. */
void krs_service_count_method(krs_service *service, krs_method method, bool is_error);

/* A fresh correlation id, "req-" and 16 hexadecimal digits. */
void krs_service_name(char out[KRS_CORRELATION_ID_BYTES]);

/* Take over a client's id: letters, digits and ._:- are kept, anything else makes it unusable (logs and
 * headers would have to quote it) and false is returned. Cut to what fits. */
bool krs_service_adopt_name(krs_str given, char out[KRS_CORRELATION_ID_BYTES]);

/* The models that answer now, in the order they were first loaded, into out[max]; returns how many
 * were written. */
uint32_t krs_service_models(krs_service *service, krs_model_info *out, uint32_t max);

/* Refuse new work from now on (readiness turns false); what runs may finish. */
void krs_service_drain(krs_service *service);

/* All metrics in Prometheus text format; gauges are read from the runtimes now.
 * Errors: KRS_ETOOLARGE, KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_service_write_metrics(krs_service *service, krs_buf *out);
