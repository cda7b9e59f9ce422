/* os/cpu.c - see cpu.h.
 *
 * A limit may sit on any ancestor of our cgroup, so the walk goes from our own directory up to the
 * mount point and keeps the tightest. Inside a container the namespace hides the ancestors and the
 * mount point itself carries the limit: the walk ends there either way. */
#define _GNU_SOURCE /* sched_getaffinity, CPU_ALLOC */
#include "os/cpu.h"

#include "os/file.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CPU_MAX_MASK   8192  /* CPUs in an affinity mask; Linux builds go to this many */
#define SMALL_FILE     8192u /* of /proc and cgroup files we read */
#define CGROUP_MOUNT   "/sys/fs/cgroup"
#define NO_LIMIT_BYTES (1ull << 60) /* v1 writes "no limit" as a page-rounded 2^63 */

/* A small file as text into out[SMALL_FILE]; "" when it cannot be read. */
static void read_small(const char *path, char out[SMALL_FILE])
{
    krs_buf buf;
    krs_buf_init(&buf, NULL, SMALL_FILE - 1);
    out[0] = '\0';
    if (krs_os_file_read(path, &buf, NULL) == KRS_OK && buf.len > 0) {
        memcpy(out, buf.data, buf.len);
        out[buf.len] = '\0';
    }
    krs_buf_deinit(&buf);
}

static uint32_t cpus_of(long long quota, long long period)
{
    if (quota <= 0 || period <= 0) {
        return 0;
    }
    const long long cpus = quota / period + (quota % period != 0);
    return cpus > CPU_MAX_MASK ? CPU_MAX_MASK : (uint32_t)cpus;
}

uint32_t krs_os_cgroup_cpus_v2(const char *text)
{
    char *end;
    const long long quota = strtoll(text, &end, 10); /* "max" reads as 0: no limit */
    return end == text ? 0 : cpus_of(quota, strtoll(end, NULL, 10));
}

uint32_t krs_os_cgroup_cpus_v1(const char *quota, const char *period)
{
    return cpus_of(strtoll(quota, NULL, 10), strtoll(period, NULL, 10));
}

uint64_t krs_os_cgroup_bytes(const char *text)
{
    char *end;
    const unsigned long long n = strtoull(text, &end, 10);
    return end == text || n >= NO_LIMIT_BYTES ? UINT64_MAX : (uint64_t)n;
}

/* Is `wanted` one of the comma-separated names in list[n]? */
static bool has_name(const char *list, size_t n, const char *wanted)
{
    const size_t n_wanted = strlen(wanted);
    for (size_t at = 0; at <= n;) {
        const char *comma = memchr(list + at, ',', n - at);
        const size_t end = comma ? (size_t)(comma - list) : n;
        if (end - at == n_wanted && memcmp(list + at, wanted, n_wanted) == 0) {
            return true;
        }
        at = end + 1;
    }
    return false;
}

krs_status krs_os_cgroup_path(const char *proc_self_cgroup, const char *controller, char *out,
                              size_t max_bytes)
{
    /* Lines: id:controllers:path; v2 has no controllers. */
    for (const char *line = proc_self_cgroup; *line;) {
        const size_t n_line = strcspn(line, "\n");
        const char *first = memchr(line, ':', n_line);
        const char *second =
            first ? memchr(first + 1, ':', n_line - (size_t)(first + 1 - line)) : NULL;
        if (second && has_name(first + 1, (size_t)(second - first - 1), controller)) {
            const size_t n = n_line - (size_t)(second + 1 - line);
            if (n >= max_bytes) {
                return KRS_ETOOLARGE;
            }
            memcpy(out, second + 1, n);
            out[n] = '\0';
            return KRS_OK;
        }
        line += n_line + (line[n_line] == '\n');
    }
    return KRS_ENOENT;
}

/* What one directory of a hierarchy says. dir: NUL-terminated. Returns UINT64_MAX for no limit. */
typedef uint64_t (*read_limit)(const char *dir);

static void read_in(const char *dir, const char *name, char out[SMALL_FILE])
{
    char path[KRS_OS_PATH_BYTES];
    out[0] = '\0';
    if (krs_os_path_join(dir, name, path, sizeof(path)) == KRS_OK) {
        read_small(path, out);
    }
}

static uint64_t cpus_v2_in(const char *dir)
{
    char text[SMALL_FILE];
    read_in(dir, "cpu.max", text);
    const uint32_t cpus = krs_os_cgroup_cpus_v2(text);
    return cpus ? cpus : UINT64_MAX;
}

static uint64_t cpus_v1_in(const char *dir)
{
    char quota[SMALL_FILE];
    char period[SMALL_FILE];
    read_in(dir, "cpu.cfs_quota_us", quota);
    read_in(dir, "cpu.cfs_period_us", period);
    const uint32_t cpus = krs_os_cgroup_cpus_v1(quota, period);
    return cpus ? cpus : UINT64_MAX;
}

static uint64_t bytes_v2_in(const char *dir)
{
    char text[SMALL_FILE];
    read_in(dir, "memory.max", text);
    return krs_os_cgroup_bytes(text);
}

static uint64_t bytes_v1_in(const char *dir)
{
    char text[SMALL_FILE];
    read_in(dir, "memory.limit_in_bytes", text);
    return krs_os_cgroup_bytes(text);
}

/* Tightest limit from mount + our path up to mount. */
static uint64_t walk_up(const char *mount, const char *controller, read_limit limit_in)
{
    char listing[SMALL_FILE];
    char own[KRS_OS_PATH_BYTES];
    char dir[KRS_OS_PATH_BYTES + sizeof(CGROUP_MOUNT) + 16];
    read_small("/proc/self/cgroup", listing);
    if (krs_os_cgroup_path(listing, controller, own, sizeof(own)) != KRS_OK) {
        return UINT64_MAX;
    }
    (void)snprintf(dir, sizeof(dir), "%s%s", mount, own);
    const size_t n_mount = strlen(mount);
    uint64_t tightest = UINT64_MAX;
    for (;;) {
        const uint64_t limit = limit_in(dir);
        tightest = limit < tightest ? limit : tightest;
        char *slash = strrchr(dir, '/');
        if (strlen(dir) <= n_mount || !slash) {
            return tightest;
        }
        *slash = '\0';
    }
}

static uint64_t min_of(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint32_t affinity_count(void)
{
    cpu_set_t *mask = CPU_ALLOC(CPU_MAX_MASK);
    if (mask) {
        const size_t n_bytes = CPU_ALLOC_SIZE(CPU_MAX_MASK);
        CPU_ZERO_S(n_bytes, mask);
        const int n = sched_getaffinity(0, n_bytes, mask) == 0 ? CPU_COUNT_S(n_bytes, mask) : 0;
        CPU_FREE(mask);
        if (n > 0) {
            return (uint32_t)n;
        }
    }
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (uint32_t)online : 1;
}

uint32_t krs_os_cpu_count(void)
{
    const uint64_t quota = min_of(walk_up(CGROUP_MOUNT, "", cpus_v2_in),
                                  walk_up(CGROUP_MOUNT "/cpu", "cpu", cpus_v1_in));
    return (uint32_t)min_of(affinity_count(), quota);
}

static uint64_t cgroup_memory_bytes(void)
{
    return min_of(walk_up(CGROUP_MOUNT, "", bytes_v2_in),
                  walk_up(CGROUP_MOUNT "/memory", "memory", bytes_v1_in));
}

/* "MemTotal:  123 kB" of /proc/meminfo in bytes, 0 when absent. */
static uint64_t meminfo_bytes(const char *key)
{
    char text[SMALL_FILE];
    read_small("/proc/meminfo", text);
    const char *line = strstr(text, key);
    return line ? strtoull(line + strlen(key), NULL, 10) * 1024 : 0;
}

uint64_t krs_os_memory_bytes(void)
{
    const uint64_t machine = meminfo_bytes("MemTotal:");
    const uint64_t limit = cgroup_memory_bytes();
    return limit == UINT64_MAX ? machine : machine ? min_of(machine, limit) : limit;
}

uint64_t krs_os_memory_free_bytes(void)
{
    const uint64_t machine = meminfo_bytes("MemAvailable:");
    const uint64_t limit = cgroup_memory_bytes();
    if (limit == UINT64_MAX) {
        return machine;
    }
    /* Our own share stands for the cgroup's use: others in it are not ours to see in every version. */
    const uint64_t used = krs_os_resident_bytes();
    return min_of(machine, limit > used ? limit - used : 0);
}

/* Field i of /proc/self/statm (0: program size, 1: resident set), there in pages. */
static uint64_t statm_bytes(int i)
{
    char text[SMALL_FILE];
    read_small("/proc/self/statm", text);
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
