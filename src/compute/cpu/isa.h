/* compute/cpu/isa.h - which kernels this machine can run.
 *
 * Thread: any; pure after the first call of the compiler's CPU detection. */
#pragma once

#include "compute/cpu/kernels.h"

/* Every instruction set this build knows, worst first; NULL past the last. */
const char *krs_cpu_isa_name(uint32_t index);

/* Can this machine and its OS run it? False for unknown names. */
bool krs_cpu_isa_is_here(const char *name);

/* Kernels of `name`, or of the best one here for NULL.
 * Errors: KRS_EINVAL (no such name; the known ones are listed), KRS_EUNSUPPORTED (not on this machine). */
KRS_MUST_USE krs_status krs_cpu_isa_kernels(const char *name, krs_cpu_kernels *out,
                                            krs_cpu_kernels *exact, krs_error *err);
