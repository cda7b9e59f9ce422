/* model/modules.h - every weight that a model of this configuration keeps in its file, as a list.
 *
 * For those who make models rather than load them (krs synth): the same tables that bind.c looks names
 * up in, read forwards. Order is the file's: embedding, layers, final norm, head.
 *
 * Thread: any; pure.  Memory: the list and its names from the caller's arena. */
#pragma once

#include "base/arena.h"
#include "format/synth.h"
#include "model/family.h"

/* *out: [*n] in arena. A tied head has no module of its own.
 * Errors: KRS_EUNSUPPORTED (model_type, naming those there are), KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_model_modules(const krs_model_config *config, krs_arena *arena,
                                          krs_synth_module **out, uint32_t *n, krs_error *err);
