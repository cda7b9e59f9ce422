/* service/models_priv.h - the table behind models.h. For this folder only.
 *
 *   slot: FREE -> LOADING -> READY -> DRAINING -> FREE
 *                     \-> FAILED -> FREE
 *
 * A slot is one opening of one name. A name has at most one READY slot, one LOADING slot (its replacement)
 * and any number of DRAINING ones. A slot is not reused while it is leased, so whoever holds a lease may
 * use its runtime without the lock. Runtimes are opened and freed on the loader thread, outside the lock:
 * freeing joins the runtime's threads, and those deliver the events that end leases.
 *
 * Thread: the mutex guards every field of every slot but what a lease makes immutable (id, runtime, info). */
#pragma once

#include "os/thread.h"
#include "service/models.h"

#include <stdatomic.h>

/* Ready and loading, as many draining, as many failures remembered. */
#define KRS_MODELS_SLOTS     (3 * KRS_SERVICE_MAX_MODELS)
#define KRS_MODELS_MAX_WAITS 256 /* callers waiting for loads, all together */

typedef enum krs_slot_state {
    KRS_SLOT_FREE,
    KRS_SLOT_LOADING,
    KRS_SLOT_READY,
    KRS_SLOT_DRAINING,
    KRS_SLOT_FAILED,
} krs_slot_state;

/* Somebody who wants to know how a load ends. */
typedef struct krs_model_wait {
    struct krs_model_wait *next;
    krs_model_loaded done;
    void *ctx;
} krs_model_wait;

typedef struct krs_model {
    krs_slot_state state;
    bool is_owned;     /* runtime is ours to free */
    bool is_cancelled; /* LOADING: unloaded before it was there */
    uint32_t n_leases;
    _Atomic uint64_t n_answers; /* begun */
    _Atomic uint64_t n_tokens;  /* of answers */
    uint64_t order;             /* of the name: when it was first loaded */
    uint64_t ticket;            /* of this opening; loads run in its order */
    char id[KRS_MODEL_ID_BYTES];
    char *path; /* LOADING: owned */
    uint32_t context_tokens;
    krs_model_wait *waits; /* LOADING: newest first */
    krs_runtime *runtime;  /* READY, DRAINING */
    krs_model_info info;
    krs_error error; /* FAILED */
} krs_model;

typedef struct krs_models {
    krs_os_mutex *mutex;
    krs_os_cond *cond; /* the loader has something to do */
    krs_os_thread *loader;
    bool is_stopping;
    uint32_t n_waits;
    uint64_t last_ticket;
    krs_model slots[KRS_MODELS_SLOTS];
} krs_models;

/* The first model, when the options bring one, and the loader thread, when there is anything to own. */
KRS_MUST_USE krs_status krs_models_init(krs_service *service, krs_error *err);
void krs_models_stop(krs_service *service);
void krs_models_deinit(krs_service *service);

/* Hold the model that answers by id ("": the first). Errors: as krs_service_model. */
KRS_MUST_USE krs_status krs_models_lease(krs_service *service, const char *id, krs_model **out,
                                         krs_error *err);
void krs_models_release(krs_service *service, krs_model *model);

/* Hold every READY model, in order; returns how many. Release each. */
uint32_t krs_models_lease_all(krs_service *service, krs_model *out[KRS_SERVICE_MAX_MODELS]);

/* Is any model being loaded? */
bool krs_models_is_loading(krs_service *service);

/* loader.c: the body of the loader thread, and the end of a load as its waiters and the bus are told. */
void krs_models_run_loader(void *service);
void krs_models_tell(krs_service *service, krs_model_wait *waits, krs_status status,
                     const krs_model_info *info, const krs_error *err);

/* Make a slot FREE; its path and error go. Under the mutex; nobody leases it, its runtime is gone. */
void krs_models_clear(krs_service *service, krs_model *slot);
