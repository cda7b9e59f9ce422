/* model/decoder.h - interprets a family's steps into a program.
 *
 * Thread: one owner.  Memory: the program's. */
#pragma once

#include "model/bind.h"

/* Bind every weight of binder->family and write the steps of the whole network into binder->program,
 * which is empty. context: tokens a sequence may have at most, >= 1. On failure the program holds a part; deinit it.
 * Errors: as krs_binder_bind; KRS_EUNSUPPORTED (activation); KRS_EINTERNAL (krs_program_check). */
KRS_MUST_USE krs_status krs_decoder_build(krs_binder *binder, int64_t context, krs_error *err);
