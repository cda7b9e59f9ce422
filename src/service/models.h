/* service/models.h - which models are loaded, under which names, and how they come and go.
 *
 *   absent --load--> loading --opener done--> ready --unload--> draining --last answer out--> absent
 *                       \--> failed (the error is kept until the next load of that name)
 *
 * A load runs on the service's own loader thread (disk and repacking take seconds), never on an io thread;
 * two loads of one name share one opening. An answer holds a lease on its model, so unloading waits
 * for answers that run, and refuses new ones at once.
 *
 * Thread: any.  Memory: the service's. */
#pragma once

#include "service/service.h"

typedef struct krs_model_spec {
    char id[KRS_MODEL_ID_BYTES]; /* the name it gets */
    const char *path;            /* its folder; copied */
    uint32_t context_tokens;     /* 0: as configured */
} krs_model_spec;

/* How a load ended, on the loader thread; must not block. info: NULL unless status is KRS_OK. */
typedef void (*krs_model_loaded)(void *ctx, krs_status status, const krs_model_info *info,
                                 const krs_error *err);

/* Start loading; done is called exactly once, unless this fails. A name that is ready is replaced: new answers
 * go to the new one, old ones finish on the old one.
 * Errors: KRS_EINVAL (id), KRS_EUNSUPPORTED (no opener), KRS_EBUSY (too many loads, too many models),
 * KRS_EUNAVAILABLE (draining), KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_service_load_model(krs_service *service, const krs_model_spec *spec,
                                               krs_model_loaded done, void *ctx, krs_error *err);

/* Refuse new answers by this name now, free the model when its last answer is out.
 * Errors: KRS_ENOTLOADED. */
KRS_MUST_USE krs_status krs_service_unload_model(krs_service *service, const char *id,
                                                 krs_error *err);

/* Errors: KRS_ENOTLOADED. */
KRS_MUST_USE krs_status krs_service_model(krs_service *service, const char *id, krs_model_info *out,
                                          krs_error *err);
