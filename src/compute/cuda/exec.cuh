/* compute/cuda/exec.cuh - running steps: see exec.cu. */
#pragma once

#include "compute/cuda/device.cuh"

/* As krs_exec_submit and krs_exec_collect. */
krs_status krs_cuda_submit(krs_exec *base, const krs_step *step, krs_error *err);
krs_status krs_cuda_collect(krs_exec *base, krs_step_result *out, krs_error *err);
