/* service/breakers.h - one breaker for each method and model that has failed lately. For this folder.
 *
 * A pair has an entry from its first failure on, so the table of a healthy service is empty and asking it
 * costs one atomic read. Names come from clients (a load names any model): the table is bounded, and
 * the entry unused for longest gives way.
 *
 * Thread: any, internally locked (a leaf lock).  Memory: inside the service. */
#pragma once

#include "os/thread.h"
#include "service/breaker.h"
#include "service/service.h"

#include <stdatomic.h>

#define KRS_BREAKERS_MAX 64 /* entries; four methods of each model that fits */

typedef enum krs_breaker_method {
    KRS_BREAKER_GENERATE,
    KRS_BREAKER_LOAD,
    KRS_BREAKER_METHOD_COUNT
} krs_breaker_method;

typedef struct krs_breaker_entry {
    bool is_used;
    krs_breaker_method method;
    char id[KRS_MODEL_ID_BYTES];
    uint64_t used_ns;
    krs_breaker breaker;
} krs_breaker_entry;

typedef struct krs_breakers {
    krs_os_mutex *mutex;
    _Atomic uint32_t n_used; /* changed under the mutex, read without */
    krs_breaker_entry entries[KRS_BREAKERS_MAX];
} krs_breakers;

KRS_MUST_USE krs_status krs_breakers_init(krs_breakers *breakers, krs_error *err);
void krs_breakers_deinit(krs_breakers *breakers);

/* Would a call pass now?  Errors: KRS_EUNAVAILABLE with err->retry_after_ms. */
KRS_MUST_USE krs_status krs_breakers_look(krs_service *service, krs_breaker_method method,
                                          const char *id, krs_error *err);

/* As _look, and it passes: tell _leave how it ended. */
KRS_MUST_USE krs_status krs_breakers_enter(krs_service *service, krs_breaker_method method,
                                           const char *id, krs_error *err);
void krs_breakers_leave(krs_service *service, krs_breaker_method method, const char *id,
                        krs_status status);

/* Something new stands behind the name: forget what the old one did. */
void krs_breakers_reset(krs_service *service, krs_breaker_method method, const char *id);

/* How many are not closed. */
uint32_t krs_breakers_count_open(krs_service *service);
