/* service/admission_priv.h - what admission keeps. For this folder only.
 *
 * Windows and counters are written by every answer without a lock. The state that follows from them is
 * worked out by one thread at a time (whoever wins is_sampling) and put under the mutex for readers; the limit
 * is also an atomic, which is all that letting an answer in reads.
 *
 * Thread: any. */
#pragma once

#include "os/thread.h"
#include "service/access_priv.h"
#include "service/admission.h"
#include "service/window.h"

typedef struct krs_admission {
    krs_os_mutex *mutex;
    _Atomic uint32_t n_in_flight;
    _Atomic uint32_t n_background; /* of them */
    _Atomic uint32_t n_pending;    /* of them, without a first token */
    _Atomic uint64_t progress_ns;  /* the last first token, or when the first of the pending came */
    _Atomic uint32_t limit;
    _Atomic uint32_t pressure_milli;
    _Atomic uint64_t sampled_ns;
    _Atomic bool is_sampling;
    krs_window ttft;
    krs_window ends;
    krs_governor governor;     /* whoever is sampling */
    bool is_limited;           /* whoever is sampling: published as limited */
    krs_admission_state state; /* under the mutex */
} krs_admission;

KRS_MUST_USE krs_status krs_admission_init(krs_service *service, krs_error *err);
void krs_admission_deinit(krs_service *service);

/* Take a place. Errors: KRS_EBUSY with err->retry_after_ms. */
KRS_MUST_USE krs_status krs_admission_enter(krs_service *service, krs_priority priority,
                                            uint64_t now_ns, krs_error *err);

/* The answer's first token came, or it ended without one. */
void krs_admission_begun(krs_service *service, uint64_t now_ns);

/* Give the place back. */
void krs_admission_leave(krs_service *service, krs_priority priority);

/* Work out the state when it is old. */
void krs_admission_sample(krs_service *service, uint64_t now_ns);

/* The runtimes' health, summed over the models; state is the worst of them, heartbeat the oldest. */
krs_runtime_health krs_admission_health(krs_service *service, uint32_t *n_models);
