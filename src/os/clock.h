/* os/clock.h - time. Deadlines and durations use the monotonic clock only.
 * Thread: any. */
#pragma once

#include <stdint.h>

#define KRS_NS_PER_S  UINT64_C(1000000000)
#define KRS_NS_PER_MS UINT64_C(1000000)
#define KRS_NS_PER_US UINT64_C(1000)

/* Nanoseconds since an arbitrary start; never goes back. */
uint64_t krs_os_now_ns(void);

/* Nanoseconds since 1970-01-01 UTC; may jump. For timestamps people see, nothing else. */
uint64_t krs_os_wall_ns(void);

/* Sleep at least ns, resuming after signals. */
void krs_os_sleep_ns(uint64_t ns);
