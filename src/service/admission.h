/* service/admission.h - how many answers are let in, and how loaded the server is.
 *
 *   first tokens, ends, queue  --windows-->  pressure (pressure.h) and limit (governor.h)
 *                                                        |
 *   request --draining? budget? background under pressure? a place?--> in, or KRS_EBUSY and when to come back
 *
 * The numbers are worked out when somebody asks and the last ones are old, at most every sample_ns: an idle
 * server computes nothing, and no thread exists for it. Background work may take three quarters of the places
 * and none under pressure, so that interactive work always finds some.
 *
 * Thread: any.  Memory: inside the service. */
#pragma once

#include "service/pressure.h"
#include "service/service.h"

/* Above it background work is refused. */
#define KRS_ADMISSION_SHED_PRESSURE 0.75
/* Limits of what is told as Retry-After. */
#define KRS_ADMISSION_MIN_RETRY_MS 100u
#define KRS_ADMISSION_MAX_RETRY_MS 60000u

typedef struct krs_admission_state {
    krs_pressure pressure;
    uint32_t n_in_flight;
    uint32_t limit;   /* in force */
    uint64_t ttft_ns; /* p95 of late; what waits now counts as long as it has waited */
    uint64_t wait_ns; /* of one who comes now: the queue over how fast answers begin */
    uint32_t
        retry_after_ms; /* when a place may be free, estimated from the queue and how fast it moves */
} krs_admission_state;

/* The state of now. Cost: an atomic read or two, and every sample_ns the health of each model. */
krs_admission_state krs_service_admission(krs_service *service);
