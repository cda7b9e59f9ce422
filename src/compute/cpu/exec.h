/* compute/cpu/exec.h - planning and building a krs_cpu_exec. See cpu.h. */
#pragma once

#include "compute/cpu/cpu.h"

/* As krs_exec_plan_of, krs_exec_new and krs_exec_free. */
KRS_MUST_USE krs_status krs_cpu_exec_plan(const krs_cpu_backend *backend,
                                          const krs_program *program, const krs_exec_limits *limits,
                                          krs_exec_plan *out, krs_error *err);
KRS_MUST_USE krs_status krs_cpu_exec_new(krs_cpu_backend *backend, const krs_program *program,
                                         const krs_exec_limits *limits, krs_cpu_exec **out,
                                         krs_error *err);
void krs_cpu_exec_free(krs_exec *exec);
