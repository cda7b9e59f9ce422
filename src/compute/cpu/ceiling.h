/* compute/cpu/ceiling.h - what this machine can do at most, measured: the floors of every kernel's time.
 *
 * A decode step reads every weight once, a prefill multiplies; so read bandwidth and dot products are
 * the two ceilings. Both are measured with the team's own threads, the way kernels use them.
 *
 * Thread: the team's owner.  Memory: one buffer for the time of the call. */
#pragma once

#include "base/alloc.h"

/* Larger than any last-level cache part a guest sees, small enough to allocate anywhere. */
#define KRS_CPU_CEILING_BYTES (UINT64_C(512) << 20)

/* Bytes per second that n_threads (0: as many as this process may use) read from memory: the best of
 * many windows of KRS_CPU_CEILING_BYTES, none of them in a cache. About 0.2 s.
 * Errors: KRS_EINVAL (n_threads), KRS_ENOMEM, KRS_EAGAIN (no threads). */
KRS_MUST_USE krs_status krs_cpu_read_bandwidth(uint32_t n_threads, const krs_alloc *alloc,
                                               double *bytes_per_s, krs_error *err);

/* Operations per second (a multiply and an add are two) of the linear kernel's inner product on data
 * that never leaves the registers and the first cache, with n_threads. isa: NULL = best; is_bf16: by
 * bf16 pairs, where the instruction set has them, else by f32. About 0.1 s. */
KRS_MUST_USE krs_status krs_cpu_dot_rate(uint32_t n_threads, const char *isa, bool is_bf16,
                                         const krs_alloc *alloc, double *ops_per_s, krs_error *err);
