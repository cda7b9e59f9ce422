/* compute/cpu/dot_int8.h - the inner product of int8 codes, in registers: the ceiling of integer kernels.
 *
 * Not part of krs_cpu_kernels: no op runs it, it exists to be timed (ceiling.h). Integer kernels multiply
 * unsigned codes by signed activations into i32, so that is what is measured: VPDPBUSD where the machine
 * has VNNI, else VPMADDUBSW and VPMADDWD of AVX2; on AArch64 SMMLA or SDOT of bytes that are both signed.
 *
 * Thread: pure. */
#pragma once

#include "compute/cpu/kernels.h"

/* n rounds of KRS_CPU_DOT_CHAINS sums, as krs_cpu_dot_fn: 64 products to a sum, or 32; on AArch64 32, or 16. */
float krs_cpu_avx512vnni_dot(int64_t n, float x);
float krs_cpu_avx2_dot_int8(int64_t n, float x);
float krs_cpu_neoni8mm_dot(int64_t n, float x);
float krs_cpu_neondot_dot(int64_t n, float x);

/* What the instruction set `isa` (one that is here; isa.h) has. *ops_of_round: a product and its sum are
 * two operations. NULL: nothing but scalar code, and *ops_of_round is 0. */
krs_cpu_dot_fn krs_cpu_dot_int8_of(const char *isa, double *ops_of_round);
