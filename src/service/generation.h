/* service/generation.h - answers: admission, and the account of each.
 *
 * The caller keeps one krs_generation for each answer and shows it every event, in order, on whatever
 * thread it reads them: latency is then measured where the client feels it, queues included.
 *
 * Thread: a krs_generation has one owner; the service is shared.  Memory: caller's. */
#pragma once

#include "service/service.h"

typedef struct krs_generation {
    uint64_t stream_id;
    uint64_t opened_ns;
    uint64_t last_token_ns; /* 0: none yet */
    bool is_open;           /* its end event has not been observed */
    char correlation_id[KRS_CORRELATION_ID_BYTES];
} krs_generation;

/* Why an answer is given up. */
typedef enum krs_cancel_reason {
    KRS_CANCEL_GONE, /* the client went away */
    KRS_CANCEL_SLOW, /* the client does not read */
    KRS_CANCEL_DRAIN,
    KRS_CANCEL_SIBLING, /* another choice of the same call failed */
} krs_cancel_reason;

/* Start one answer; as krs_runtime_open (the request is taken on success only), and a place among
 * max_in_flight is held until the end event has been observed.
 * Errors: KRS_EBUSY (no place), KRS_EUNAVAILABLE (draining), and those of krs_runtime_open. */
KRS_MUST_USE krs_status krs_service_generate(krs_service *service, krs_request *request,
                                             const krs_sink *sink, void *user, krs_generation *out,
                                             krs_error *err);

/* Count one event of the answer. The end event closes the generation. */
void krs_service_observe(krs_service *service, krs_generation *generation,
                         const krs_stream_event *event);

/* End the answer within one step; its end event still comes. No-op when it has ended. */
void krs_service_cancel(krs_service *service, const krs_generation *generation,
                        krs_cancel_reason reason);

/* The reader takes n more tokens of the answer (the credit of api/runtime.h). No-op when it has ended. */
void krs_service_grant(krs_service *service, const krs_generation *generation, uint32_t n_tokens);
