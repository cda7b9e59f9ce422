/* compute/cuda/supported.h - what the CUDA backend can run, asked before anything is sized.
 *
 * Plain C that touches no device and is in every build, so that its test runs on machines without one:
 * a kernel that ignored a number it does not know would give fluent nonsense.
 *
 * Thread: any; pure. */
#pragma once

#include "compute/program.h"

/* program has passed krs_program_check. KRS_EUNSUPPORTED, naming the op and what about it, or the
 * matrix and its layout. */
KRS_MUST_USE krs_status krs_cuda_check_program(const krs_program *program, krs_error *err);
