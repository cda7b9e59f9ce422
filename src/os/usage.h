/* os/usage.h - what this process has used of the machine, as the system counts it.
 *
 * Thread: any.  Memory: none.  Source: proc(5), getrlimit(2). */
#pragma once

#include <stdint.h>

typedef struct krs_os_usage {
    uint64_t cpu_ns;        /* of all threads, user and system */
    uint64_t start_wall_ns; /* when it began, since 1970; exact to a clock tick */
    uint64_t virtual_bytes;
    uint32_t n_threads;
    uint32_t n_fds;   /* open descriptors */
    uint32_t max_fds; /* it may have open */
} krs_os_usage;

/* What cannot be read is 0. Cost: two small files and a folder of /proc. */
krs_os_usage krs_os_usage_of_self(void);

/* The part of /proc/self/stat: start in clock ticks since boot, threads, virtual size. For its test.
 * text: NUL-terminated. What is not there stays as it was. */
void krs_os_usage_read_stat(const char *text, uint64_t *start_ticks, krs_os_usage *out);
