/* compute/cpu/attend_rows.h - KRS_OP_ATTEND_ROWS on the cpu backend. See cpu.h.
 *
 * Thread: as cpu.h.  Memory: krs_cpu_exec.attend, as large as the op that asks for most. */
#pragma once

#include "compute/cpu/cpu.h"

/* Scratch of one such op. */
size_t krs_cpu_attend_rows_bytes(const krs_exec_limits *limits, const krs_op *op);

/* Floats of a thread's scratch. */
int64_t krs_cpu_attend_rows_floats(const krs_exec_limits *limits, const krs_op *op);

void krs_cpu_attend_rows(krs_cpu_exec *exec, const krs_op *op);
