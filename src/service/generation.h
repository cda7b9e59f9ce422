/* service/generation.h - answers: who gets one, and the account of each.
 *
 * The caller keeps one krs_generation for each answer and shows it every event, in order, on whatever
 * thread it reads them: latency is then measured where the client feels it, queues included. The end event
 * gives back what the answer held: its place, its tenant's, and the lease on its model.
 *
 * Thread: a krs_generation has one owner; the service is shared.  Memory: caller's. */
#pragma once

#include "service/service.h"

typedef struct krs_generation {
    uint64_t stream_id;
    uint64_t opened_ns;
    uint64_t first_token_ns; /* when, on krs_os_now_ns's clock; 0: none yet */
    uint64_t last_token_ns;
    struct krs_model *model;   /* held until the end event */
    struct krs_tenant *tenant; /* whose budget it uses */
    krs_priority priority;
    krs_task task;
    krs_trace trace;
    bool is_open;   /* its end event has not been observed */
    bool is_judged; /* the breaker knows how it went */
    char correlation_id[KRS_CORRELATION_ID_BYTES];
} krs_generation;

/* Why an answer is given up. */
typedef enum krs_cancel_reason {
    KRS_CANCEL_GONE, /* the client went away */
    KRS_CANCEL_SLOW, /* the client does not read */
    KRS_CANCEL_DRAIN,
    KRS_CANCEL_SIBLING, /* another choice of the same call failed */
} krs_cancel_reason;

/* Start one answer from the model that request->model names ("": the first); as krs_runtime_open (the
 * request is taken on success only). A model that was replaced before it took the request gives way to
 * its successor, once. Every KRS_EBUSY and KRS_EUNAVAILABLE carries err->retry_after_ms.
 * Errors: KRS_EUNAVAILABLE (draining, loading, the model's breaker is open), KRS_ENOTLOADED, KRS_EBUSY (the
 * tenant's budget, no place, no background work under pressure), and those of krs_runtime_open. */
KRS_MUST_USE krs_status krs_service_generate(krs_service *service, krs_request *request,
                                             const krs_sink *sink, void *user, krs_generation *out,
                                             krs_error *err);

/* Count one event of the answer. The end event closes the generation. */
void krs_service_observe(krs_service *service, krs_generation *generation,
                         const krs_stream_event *event);

/* Let the answer get n more tokens (api/runtime.h, credit). No-op when it has ended. */
void krs_service_grant(krs_service *service, const krs_generation *generation, uint32_t n_tokens);

/* End the answer within one step; its end event still comes. No-op when it has ended. */
void krs_service_cancel(krs_service *service, const krs_generation *generation,
                        krs_cancel_reason reason);
