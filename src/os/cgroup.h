/* os/cgroup.h - what the control group of this process lets it use: containers set limits here, and the
 * machine's own numbers say nothing of them.
 *
 * Limits are read once, at start; one that is changed later holds from the next start. Files that are
 * absent or say something else than a kernel would are no limit.
 *
 * Thread: any.  Memory: none.
 * Source: Linux cgroup-v1 (cpu, memory controllers) and cgroup-v2 documentation; cgroups(7). */
#pragma once

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

#define KRS_OS_NO_LIMIT UINT64_MAX

/* CPUs the tightest quota on our way to the root of the hierarchy gives, or KRS_OS_NO_LIMIT. root: "" for
 * the system, a folder with proc/ and sys/ in it for tests. */
uint64_t krs_os_cgroup_cpus(const char *root);

/* The tightest memory limit in bytes, or KRS_OS_NO_LIMIT. */
uint64_t krs_os_cgroup_memory(const char *root);

/* The parsers behind it, for their tests. text: NUL-terminated contents of the file. */

/* cgroup v2 cpu.max "quota period" or "max period" to CPUs, rounded to the nearest and at least 1; 0: no
 * limit. Half a CPU and more is worth a thread; less is not, for such a thread is stopped most of the
 * time, with shares that others wait for. */
uint32_t krs_os_cgroup_cpus_v2(const char *text);

/* cgroup v1 cpu.cfs_quota_us and cpu.cfs_period_us, the same. */
uint32_t krs_os_cgroup_cpus_v1(const char *quota, const char *period);

/* memory.max or memory.limit_in_bytes to bytes; KRS_OS_NO_LIMIT: none. */
uint64_t krs_os_cgroup_bytes(const char *text);

/* The path of this process in a hierarchy, from /proc/self/cgroup. controller: "cpu", "memory", or ""
 * for v2. Errors: KRS_ENOENT (not listed), KRS_ETOOLARGE. */
KRS_MUST_USE krs_status krs_os_cgroup_path(const char *proc_self_cgroup, const char *controller,
                                           char *out, size_t max_bytes);
