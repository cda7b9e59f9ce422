/* apps/krs/local.h - start the engine in this process from the options.
 *
 * Thread: main. */
#pragma once

#include "api/config.h"
#include "engine/engine.h"

/* Fill engine options from --device, --threads, --ctx, --kv-dtype, --memory and the like (the serving
 * ones only where the command has them). model_dir: borrowed. */
krs_engine_options krs_local_options(const krs_config *config, const char *model_dir);

/* Open with these options and print the memory plan as a note. Errors: those of krs_engine_open. */
KRS_MUST_USE krs_status krs_local_open(const krs_config *config, const krs_engine_options *options,
                                       krs_runtime **out, krs_error *err);

/* --kv-dtype: KRS_DTYPE_COUNT for auto. */
krs_dtype krs_local_kv_dtype(const krs_config *config);
