/* os/cpu.h - how much machine this process really has.
 *
 * In a container the machine's own numbers mislead: the affinity mask and the cgroup's CPU quota bound
 * the threads worth starting, the cgroup's memory limit bounds what may be allocated before the kernel
 * kills us. Every function answers with the tightest bound it can find and falls back to the machine's.
 *
 * Thread: any.  Memory: none.
 * Source: proc(5), sched_getaffinity(2), getauxval(3); the kernel's admin-guide/cputopology. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define KRS_OS_MAX_CPUS 8192u /* Linux builds go to this many */

/* Instructions beyond an architecture's baseline that the kernel says programs may use. Only those are listed
 * that no compiler detects by itself. */
typedef enum krs_os_cpu_feature {
    KRS_OS_CPU_DOTPROD = 1, /* aarch64: SDOT, UDOT (FEAT_DotProd) */
    KRS_OS_CPU_I8MM = 2,    /* aarch64: SMMLA, USDOT (FEAT_I8MM) */
    KRS_OS_CPU_BF16 = 4,    /* aarch64: BFDOT, BFMMLA (FEAT_BF16) */
} krs_os_cpu_feature;

/* The features of this machine, ORed; 0 on other architectures. */
uint32_t krs_os_cpu_features(void);

/* CPUs this process may keep busy at once, at least 1: the affinity mask, cut by the cgroup's quota (see
 * cgroup.h for how a fraction counts). */
uint32_t krs_os_cpu_count(void);

/* May this process use the matrix unit of its processor (Intel AMX with bytes and bf16)? The first call asks the kernel, for all threads
 * of the process; false where there is none, and on other architectures. */
bool krs_os_cpu_use_amx(void);

/* The CPUs that are worth a computing thread each, into out[max], ascending; returns how many, at least 1
 * (max >= 1): one of each physical core in the affinity mask, the lowest, and no more than the cgroup's
 * quota. Two threads of one core share its vector units, so the second computes little and takes the
 * place where the threads that serve connections could run. */
uint32_t krs_os_core_cpus(uint32_t *out, uint32_t max);

/* Bytes of memory this process may use: the machine's, cut by the cgroup's limit. 0 when unknown. */
uint64_t krs_os_memory_bytes(void);

/* Bytes of memory this process occupies now (resident set, mapped files included). 0 when unknown. */
uint64_t krs_os_resident_bytes(void);

/* Bytes of address space this process has mapped, touched or not. 0 when unknown. */
uint64_t krs_os_virtual_bytes(void);

/* The memory the system could give without swapping, cut by what the cgroup has left. 0 when unknown. */
uint64_t krs_os_memory_free_bytes(void);

/* The parts, for tests. */

/* The affinity mask's CPUs, ascending, into out[max]; returns how many. */
uint32_t krs_os_allowed_cpus(uint32_t *out, uint32_t max);

/* Keep of cpus[n], ascending, the first of each physical core, in place; returns how many. root: "" for the
 * system, a folder with sys/ in it for tests. A CPU whose topology cannot be read is a core of its own. */
uint32_t krs_os_cores_among(const char *root, uint32_t *cpus, uint32_t n);

/* The first CPU of a list as sysfs writes them ("0-3,8", "0,32"), UINT32_MAX when it is none. */
uint32_t krs_os_cpu_list_first(const char *text);
