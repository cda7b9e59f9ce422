/* compute/step_check.h - is a step one that an exec may run? Shared by every backend.
 *
 * A step is checked whole before anything runs, because it comes from a scheduler that may one day be
 * another process; the cost is a pass over a few small arrays.
 *
 * Thread: any; pure. */
#pragma once

#include "compute/backend.h"

/* Tokens of a step must be below this: the rows of the smallest embedding; UINT32_MAX without one. */
uint32_t krs_step_vocab_of(const krs_program *program);

/* vocab: krs_step_vocab_of(program). Errors: KRS_EINVAL naming what breaks which limit. */
KRS_MUST_USE krs_status krs_step_check(const krs_program *program, const krs_exec_limits *limits,
                                       uint32_t vocab, const krs_step *step, krs_error *err);
