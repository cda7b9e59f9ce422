/* os/cpu.c - see cpu.h. */
#define _GNU_SOURCE /* sched_getaffinity, CPU_ALLOC */
#include "os/cpu.h"

#include "os/cgroup.h"
#include "os/small_priv.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>

/* <asm/prctl.h> of Debian 12 lacks both names, which Linux has had since 5.16. */
#define REQUEST_PERMISSION 0x1023L
#define TILE_DATA          18UL

/* Of leaf 7, EDX: AMX-BF16, AMX-TILE, AMX-INT8. No compiler of ours knows all three by name. */
#define AMX_BITS (1u << 22 | 1u << 24 | 1u << 25)

static bool has_amx(void)
{
    unsigned a;
    unsigned b;
    unsigned c;
    unsigned d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & AMX_BITS) == AMX_BITS;
}

bool krs_os_cpu_use_amx(void)
{
    return has_amx() && syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}
#else
bool krs_os_cpu_use_amx(void)
{
    return false;
}
#endif

#if defined(__aarch64__)
#include <sys/auxv.h>

uint32_t krs_os_cpu_features(void)
{
    const unsigned long first = getauxval(AT_HWCAP);
    const unsigned long second = getauxval(AT_HWCAP2);
    return (first & HWCAP_ASIMDDP ? KRS_OS_CPU_DOTPROD : 0u) |
           (second & HWCAP2_I8MM ? KRS_OS_CPU_I8MM : 0u) |
           (second & HWCAP2_BF16 ? KRS_OS_CPU_BF16 : 0u);
}
#else
uint32_t krs_os_cpu_features(void)
{
    return 0;
}
#endif

static uint64_t min_of(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The CPUs of the affinity mask, ascending, into out[max]; 0 when it cannot be read. */
static uint32_t affinity_ids(uint32_t *out, uint32_t max)
{
    cpu_set_t *mask = CPU_ALLOC(KRS_OS_MAX_CPUS);
    if (!mask) {
        return 0;
    }
    const size_t n_bytes = CPU_ALLOC_SIZE(KRS_OS_MAX_CPUS);
    uint32_t n = 0;
    CPU_ZERO_S(n_bytes, mask);
    if (sched_getaffinity(0, n_bytes, mask) == 0) {
        for (uint32_t i = 0; i < KRS_OS_MAX_CPUS && n < max; i++) {
            if (CPU_ISSET_S(i, n_bytes, mask)) {
                out[n++] = i;
            }
        }
    }
    CPU_FREE(mask);
    return n;
}

uint32_t krs_os_allowed_cpus(uint32_t *out, uint32_t max)
{
    const uint32_t n = affinity_ids(out, max);
    if (n > 0) {
        return n;
    }
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    const uint32_t n_online = online > 0 ? (uint32_t)online : 1;
    const uint32_t n_out = n_online < max ? n_online : max;
    for (uint32_t i = 0; i < n_out; i++) {
        out[i] = i;
    }
    return n_out;
}

uint32_t krs_os_cpu_list_first(const char *text)
{
    char *end;
    const unsigned long long first = strtoull(text, &end, 10);
    const bool is_list = text[0] >= '0' && text[0] <= '9' &&
                         (*end == ',' || *end == '-' || *end == '\n' || *end == '\0');
    return is_list && first < KRS_OS_MAX_CPUS ? (uint32_t)first : UINT32_MAX;
}

/* The core a CPU belongs to, named by the lowest CPU of it; itself when the system does not say. */
static uint32_t core_of(const char *root, uint32_t cpu)
{
    char path[96];
    char text[KRS_OS_SMALL_BYTES];
    (void)snprintf(path, sizeof(path),
                   "/sys/devices/system/cpu/cpu%u/topology/thread_siblings_list", cpu);
    krs_os_read_small(root, path, text);
    const uint32_t first = krs_os_cpu_list_first(text);
    return first <= cpu ? first : cpu; /* a list that begins above its own CPU is none */
}

uint32_t krs_os_cores_among(const char *root, uint32_t *cpus, uint32_t n)
{
    unsigned char seen[KRS_OS_MAX_CPUS / 8] = {0};
    uint32_t n_cores = 0;
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t core = core_of(root, cpus[i]) % KRS_OS_MAX_CPUS;
        const unsigned char bit = (unsigned char)(1u << core % 8);
        if (!(seen[core / 8] & bit)) {
            seen[core / 8] |= bit;
            cpus[n_cores++] = cpus[i];
        }
    }
    return n_cores;
}

uint32_t krs_os_cpu_count(void)
{
    uint32_t cpus[KRS_OS_MAX_CPUS];
    return (uint32_t)min_of(krs_os_allowed_cpus(cpus, KRS_OS_MAX_CPUS), krs_os_cgroup_cpus(""));
}

uint32_t krs_os_core_cpus(uint32_t *out, uint32_t max)
{
    uint32_t cpus[KRS_OS_MAX_CPUS];
    const uint32_t n_allowed = krs_os_allowed_cpus(cpus, KRS_OS_MAX_CPUS);
    const uint32_t n_cores = krs_os_cores_among("", cpus, n_allowed);
    const uint32_t n = (uint32_t)min_of(min_of(n_cores, krs_os_cgroup_cpus("")), max);
    memcpy(out, cpus, n * sizeof(*out));
    return n;
}

/* "MemTotal:  123 kB" of /proc/meminfo in bytes, 0 when absent. */
static uint64_t meminfo_bytes(const char *key)
{
    char text[KRS_OS_SMALL_BYTES];
    krs_os_read_small("", "/proc/meminfo", text);
    const char *line = strstr(text, key);
    return line ? strtoull(line + strlen(key), NULL, 10) * 1024 : 0;
}

uint64_t krs_os_memory_bytes(void)
{
    const uint64_t machine = meminfo_bytes("MemTotal:");
    const uint64_t limit = krs_os_cgroup_memory("");
    return limit == KRS_OS_NO_LIMIT ? machine : machine ? min_of(machine, limit) : limit;
}

uint64_t krs_os_memory_free_bytes(void)
{
    const uint64_t machine = meminfo_bytes("MemAvailable:");
    const uint64_t limit = krs_os_cgroup_memory("");
    if (limit == KRS_OS_NO_LIMIT) {
        return machine;
    }
    /* Our own share stands for the cgroup's use: others in it are not ours to see in every version. */
    const uint64_t used = krs_os_resident_bytes();
    return min_of(machine, limit > used ? limit - used : 0);
}

/* Field i of /proc/self/statm (0: program size, 1: resident set), there in pages. */
static uint64_t statm_bytes(int i)
{
    char text[KRS_OS_SMALL_BYTES];
    krs_os_read_small("", "/proc/self/statm", text);
    char *at = text;
    uint64_t pages = 0;
    for (int k = 0; k <= i; k++) {
        pages = strtoull(at, &at, 10);
    }
    const long page_bytes = sysconf(_SC_PAGESIZE);
    return page_bytes > 0 ? pages * (uint64_t)page_bytes : 0;
}

uint64_t krs_os_resident_bytes(void)
{
    return statm_bytes(1);
}

uint64_t krs_os_virtual_bytes(void)
{
    return statm_bytes(0);
}
