/* compute/cpu/experts.h - the scratch that the experts of a program need; sized with the exec.
 *
 * Thread: pure. */
#pragma once

#include "compute/cpu/cpu.h"

/* Rows of a step are taken in parts whose scratch stays below this (one row's always fits): large
 * enough that an expert's weights, read once for each part, meet some dozens of rows in a prefill. */
#define KRS_CPU_EXPERTS_BYTES (64 * 1024 * 1024)

/* Bytes of scratch that an EXPERTS op wants in steps of up to max_rows rows, padded. */
size_t krs_cpu_experts_bytes(const krs_cpu_kernels *kernels, const krs_program *program,
                             const krs_op *op, size_t max_rows);
