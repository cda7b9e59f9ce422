/* apps/krs/local.h - start engines in this process from the options, now or whenever a service loads a model.
 *
 * Thread: main; the opener on the service's loader thread. */
#pragma once

#include "api/config.h"
#include "engine/engine.h"
#include "service/models.h"

/* What every engine that a service opens shares. All borrowed, and outlive the service. */
typedef struct krs_local {
    const krs_config *config;
    krs_metrics *metrics;
    const krs_log *log;
    krs_bus *bus; /* the service's, set once there is one; NULL: engines tell the log alone */
} krs_local;

/* Fill engine options from --device, --threads, --ctx, --kv-dtype, --memory and the like (the serving
 * ones only where the command has them). model_dir: borrowed. */
krs_engine_options krs_local_options(const krs_config *config, const char *model_dir);

/* --speculation and --speculation-tokens; "auto" is MODEL. */
krs_speculation krs_local_speculation(const krs_config *config);

/* Is there a folder? Errors: KRS_ENOENT, naming it. */
KRS_MUST_USE krs_status krs_local_check_folder(const char *model_dir, krs_error *err);

/* Open with these options and print the memory plan as a note. Errors: those of krs_engine_open. */
KRS_MUST_USE krs_status krs_local_open(const krs_config *config, const krs_engine_options *options,
                                       krs_runtime **out, krs_error *err);

/* Opens a model by its spec: as krs_local_open, under the spec's name and with its context, without talk. */
krs_opener krs_local_opener(krs_local *local);

/* Fill what the options say about admission, keys and deadlines; runtime, metrics and log are the caller's. */
krs_service_options krs_local_service_options(const krs_config *config);

/* --kv-dtype: KRS_DTYPE_COUNT for auto. */
krs_dtype krs_local_kv_dtype(const krs_config *config);
/* Does --activations ask for exact rows? */
bool krs_local_is_exact(const krs_config *config);
