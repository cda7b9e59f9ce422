/* compute/cuda/cuda.h - the NVIDIA backend's door, in plain C: no CUDA header passes it.
 *
 * Thread: as backend.h. */
#pragma once

#include "compute/backend_priv.h"

/* The n-th CUDA device. Errors: KRS_EUNSUPPORTED (no such device, no driver, compute capability below
 * 8.0), KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_cuda_open(int ordinal, const krs_alloc *alloc, krs_backend **out,
                                      krs_error *err);
