/* bench/load/watch.h - the server from outside: its memory, CPU time and descriptors, and its metrics.
 *
 * Memory is sampled once a second and judged by the slope of a straight line through the samples, which
 * noise of allocators does not move and a leak does. CPU time is the kernel's own count in nanoseconds.
 *
 * Thread: one owner.  Memory: LOAD_MAX_SERIES names.  Source: proc(5), clock_getcpuclockid(3). */
#pragma once

#include "base/buf.h"
#include "options.h"
#include "stats.h"

#define LOAD_MAX_SERIES        384
#define LOAD_SERIES_NAME_BYTES 112

typedef struct load_series {
    char name[LOAD_SERIES_NAME_BYTES]; /* with its labels */
    double value;
} load_series;

/* What /metrics says, without the buckets of histograms. */
typedef struct load_metrics {
    uint32_t n;
    load_series series[LOAD_MAX_SERIES];
} load_metrics;

/* Errors: KRS_EIO (no connection, no answer), KRS_EFORMAT (not a 200 with metrics). */
KRS_MUST_USE krs_status load_metrics_fetch(const load_options *options, load_metrics *out,
                                           krs_error *err);
/* Value of a series by its whole name, or 0. */
double load_metrics_value(const load_metrics *m, const char *name);

/* A socket connected, or being connected, to the server; -1 on failure. is_blocking: wait for it and give
 * reads ten seconds. rcvbuf: bytes of receive buffer, 0 as the system has it. */
int load_connect(const load_options *options, bool is_blocking, int rcvbuf);

/* CPU time of a process in ns, 0 when it is gone; of this one with pid 0. */
uint64_t load_cpu_ns(int pid);
/* CPU time of its threads, summed by name; out: filled from the start. Returns how many names. */
uint32_t load_thread_cpus(int pid, load_series *out, uint32_t max);
/* Resident bytes, and open descriptors; 0 when it is gone. */
uint64_t load_rss_bytes(int pid);
uint32_t load_n_fds(int pid);
