/* compute/cpu/attention.h - what attention over the cache shares with exec.c, which sizes its scratch, and
 * attend_rows.c, which has tiles of its own. The op itself is in cpu.h.
 *
 * Thread: pure, but for the scratch. */
#pragma once

#include "compute/cpu/cpu.h"

/* Floats of scratch that threads share, when one step's attention is spread over them part by part. */
int64_t krs_cpu_attention_shared_floats(const krs_kv_layout *kv, uint32_t n_threads);

/* One tile, all its parts. scratch: krs_cpu_attention_floats(unit->kv) floats of the calling thread. */
void krs_cpu_attend(const krs_cpu_attention_kernel *kernel, const krs_cpu_attention *unit,
                    float *scratch);
