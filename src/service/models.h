/* service/models.h - which models are loaded, under which names, and how they come and go.
 *
 *   absent --load--> loading --opener done--> ready --unload--> draining --last answer out--> absent
 *                       \--> failed (the error is kept until the next load of that name)
 *
 * A load runs on the service's own loader thread (disk and repacking take seconds), never on an io thread;
 * two loads of one name share one opening. An answer holds a lease on its model, so unloading waits
 * for answers that run, and refuses new ones at once. One runtime serves one model here; which name leads
 * to which runtime is this room's business alone.
 *
 * Thread: any.  Memory: the service's. */
#pragma once

#include "service/service.h"

typedef struct krs_model_spec {
    char id[KRS_MODEL_ID_BYTES]; /* the name it gets */
    const char *path;            /* its folder; copied */
    uint32_t context_tokens;     /* 0: as configured */
} krs_model_spec;

typedef enum krs_model_state {
    KRS_MODEL_LOADING,
    KRS_MODEL_READY,
    KRS_MODEL_DRAINING, /* unloaded or replaced; its last answers run */
    KRS_MODEL_FAILED,   /* its last load failed and no older one answers */
    KRS_MODEL_STATE_COUNT
} krs_model_state;

typedef struct krs_model_status {
    krs_model_state state;
    uint32_t n_in_flight; /* answers that hold it */
    krs_model_info info;  /* info.id always; the rest when READY or DRAINING */
    krs_error error;      /* FAILED: why */
} krs_model_status;

/* How a load ended, on the loader thread; must not block. info: NULL unless status is KRS_OK. */
typedef void (*krs_model_loaded)(void *ctx, krs_status status, const krs_model_info *info,
                                 const krs_error *err);

/* Start loading; done (may be NULL) is called exactly once, unless this fails. A name that is ready is
 * replaced: new answers go to the new one, old ones finish on the old one. An unload meanwhile ends the load
 * with KRS_ECANCELLED. Errors name no folder.
 * Errors: KRS_EINVAL (id, path), KRS_EUNSUPPORTED (no opener), KRS_EBUSY (too many loads, too many models, or
 * that name is being loaded from another folder), KRS_EUNAVAILABLE (draining, or its breaker is
 * open), KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_service_load_model(krs_service *service, const krs_model_spec *spec,
                                               krs_model_loaded done, void *ctx, krs_error *err);

/* Refuse new answers by this name now, free the model when its last answer is out. A name that failed to
 * load is forgotten.  Errors: KRS_ENOTLOADED. */
KRS_MUST_USE krs_status krs_service_unload_model(krs_service *service, const char *id,
                                                 krs_error *err);

/* What answers by this name now ("": the first model). Errors: KRS_ENOTLOADED (a name that failed: with the
 * kind of failure; the reason is for whoever loads, and for the log), KRS_EUNAVAILABLE (it is being loaded). */
KRS_MUST_USE krs_status krs_service_model(krs_service *service, const char *id, krs_model_info *out,
                                          krs_error *err);

/* Every model in whatever state, in the order they were first loaded; returns how many were written. */
uint32_t krs_service_list_models(krs_service *service, krs_model_status *out, uint32_t max);

/* "loading", "ready", "draining", "failed". */
const char *krs_model_state_name(krs_model_state state);
