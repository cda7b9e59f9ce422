/* base/fault.h - fault points: one line where something outside can fail, so tests can make it fail.
 *
 * Armed by name and count, at run time (krs_fault_arm) or from the variable KRS_FAULTS, which the
 * program reads at its start: KRS_FAULTS="file.read=3,thread.start=1" fails the third read and the
 * first thread. Disarmed, a point costs one relaxed load.
 *
 * Thread: any; counters are atomic. The only mutable process state of the libraries, and it exists
 * for tests alone. */
#pragma once

#include "base/status.h"

typedef enum krs_fault {
#define KRS_FAULT(id, name, what) KRS_FAULT_##id,
#include "base/fault.def"
#undef KRS_FAULT
    KRS_FAULT_COUNT
} krs_fault;

/* Must this call fail now? Counts the hit; true exactly once, on the armed hit. */
bool krs_fault_hit(krs_fault fault);

/* Fail the nth hit from now (1 = the next); 0 disarms. */
void krs_fault_arm(krs_fault fault, uint32_t nth);

/* Arm from "name=n,name=n"; NULL or "" is nothing to do. Errors: KRS_EINVAL naming the bad part
 * (points before it stay armed). */
KRS_MUST_USE krs_status krs_fault_arm_all(const char *spec, krs_error *err);
