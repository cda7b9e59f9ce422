/* os/cpu.h - how much machine this process really has.
 *
 * In a container the machine's own numbers mislead: the affinity mask and the cgroup's CPU quota bound
 * the threads worth starting, the cgroup's memory limit bounds what may be allocated before the kernel
 * kills us. Every function answers with the tightest bound it can find and falls back to the machine's.
 *
 * Thread: any.  Memory: none.
 * Source: Linux cgroup-v1 (cpu, memory controllers) and cgroup-v2 documentation; proc(5). */
#pragma once

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

/* CPUs this process may keep busy at once, at least 1: the affinity mask, cut by the cgroup's quota
 * rounded up (2.5 CPUs are 3 threads: two and a half would idle one core). */
uint32_t krs_os_cpu_count(void);

/* Bytes of memory this process may use: the machine's, cut by the cgroup's limit. 0 when unknown. */
uint64_t krs_os_memory_bytes(void);

/* Bytes of memory this process occupies now (resident set, mapped files included). 0 when unknown. */
uint64_t krs_os_resident_bytes(void);

/* Bytes of address space this process has mapped, touched or not. 0 when unknown. */
uint64_t krs_os_virtual_bytes(void);

/* The memory the system could give without swapping, cut by what the cgroup has left. 0 when unknown. */
uint64_t krs_os_memory_free_bytes(void);

/* The parsers behind it, for their tests. text: NUL-terminated contents of the file. */

/* cgroup v2 cpu.max "quota period" or "max period" to CPUs, rounded up; 0: no limit. */
uint32_t krs_os_cgroup_cpus_v2(const char *text);

/* cgroup v1 cpu.cfs_quota_us and cpu.cfs_period_us to CPUs, rounded up; 0: no limit. */
uint32_t krs_os_cgroup_cpus_v1(const char *quota, const char *period);

/* memory.max or memory.limit_in_bytes to bytes; UINT64_MAX: no limit. */
uint64_t krs_os_cgroup_bytes(const char *text);

/* The path of this process in a hierarchy, from /proc/self/cgroup. controller: "cpu", "memory", or ""
 * for v2. Errors: KRS_ENOENT (not listed), KRS_ETOOLARGE. */
KRS_MUST_USE krs_status krs_os_cgroup_path(const char *proc_self_cgroup, const char *controller,
                                           char *out, size_t max_bytes);
