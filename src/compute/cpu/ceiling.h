/* compute/cpu/ceiling.h - what this machine can do at most, measured: the floors of every kernel's time.
 *
 * A decode step reads every weight once, a prefill multiplies; so read bandwidth and dot products are
 * the ceilings. All are measured with the team's own threads, the way kernels use them.
 *
 * Thread: the team's owner.  Memory: one buffer for the time of the call. */
#pragma once

#include "base/alloc.h"

/* Larger than any last-level cache part a guest sees, small enough to allocate anywhere. */
#define KRS_CPU_CEILING_BYTES (UINT64_C(512) << 20)

/* Bytes per second over the windows of one measurement. best: of the fastest, what the machine can do;
 * median: what it gave while other work ran beside. */
typedef struct krs_cpu_read_rates {
    double best;
    double median;
} krs_cpu_read_rates;

/* Read all of bytes[n_bytes] once, in 64 windows one after the other, each cut over n_threads (0: as many as
 * this process may use). n_bytes: at least 64 KiB; much more than the caches, and written or mapped
 * before, else it is not memory that is measured. About n_bytes / 20e9 s.
 * Errors: KRS_EINVAL (n_threads, n_bytes), KRS_ENOMEM, KRS_EAGAIN (no threads). */
KRS_MUST_USE krs_status krs_cpu_read_rate(uint32_t n_threads, const void *bytes, uint64_t n_bytes,
                                          const krs_alloc *alloc, krs_cpu_read_rates *out,
                                          krs_error *err);

/* krs_cpu_read_rate of KRS_CPU_CEILING_BYTES of our own in huge pages, where the system grants them: the
 * fastest memory there is for weights. About 0.2 s. Errors: the same. */
KRS_MUST_USE krs_status krs_cpu_read_bandwidth(uint32_t n_threads, const krs_alloc *alloc,
                                               krs_cpu_read_rates *out, krs_error *err);

typedef enum krs_cpu_dot {
    KRS_CPU_DOT_F32,
    KRS_CPU_DOT_BF16, /* pairs of bf16 into f32 */
    KRS_CPU_DOT_INT8, /* u8 by i8 into i32 */
    KRS_CPU_DOT_COUNT
} krs_cpu_dot;

/* "f32", "bf16", "int8". */
const char *krs_cpu_dot_name(krs_cpu_dot dot);

/* Operations per second (a multiply and an add are two) of an inner product on data that never leaves
 * the registers, with n_threads. isa: NULL = best. *ops_per_s: 0 where the instruction set has no such
 * product. About 0.1 s. Errors: as above, and as krs_cpu_isa_kernels. */
KRS_MUST_USE krs_status krs_cpu_dot_rate(uint32_t n_threads, const char *isa, krs_cpu_dot dot,
                                         const krs_alloc *alloc, double *ops_per_s, krs_error *err);
