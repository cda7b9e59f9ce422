/* os/cgroup.c - see cgroup.h.
 *
 * A limit may sit on any ancestor of our cgroup, so the walk goes from our own directory up to the
 * mount point and keeps the tightest. Inside a container the namespace hides the ancestors and the
 * mount point itself carries the limit: the walk ends there either way. */
#include "os/cgroup.h"

#include "os/file.h"
#include "os/small_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_CPUS       8192         /* Linux builds go to this many */
#define NO_LIMIT_BYTES (1ull << 60) /* v1 writes "no limit" as a page-rounded 2^63 */

/* One hierarchy: where it is mounted, and the controller under which /proc/self/cgroup lists it. */
typedef struct hierarchy {
    const char *mount;
    const char *controller;
    bool is_v2;
} hierarchy;

static uint32_t cpus_of(long long quota, long long period)
{
    if (quota <= 0 || period <= 0) {
        return 0;
    }
    const long long rest = quota % period;
    const long long cpus = quota / period + (rest >= period - rest);
    return cpus > MAX_CPUS ? MAX_CPUS : cpus < 1 ? 1 : (uint32_t)cpus;
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

/* What one directory of a hierarchy says, KRS_OS_NO_LIMIT for nothing. dir: below root. */
typedef uint64_t (*read_limit)(const char *root, const char *dir, bool is_v2);

static void read_in(const char *root, const char *dir, const char *name,
                    char out[KRS_OS_SMALL_BYTES])
{
    char path[KRS_OS_PATH_BYTES];
    out[0] = '\0';
    if (krs_os_path_join(dir, name, path, sizeof(path)) == KRS_OK) {
        krs_os_read_small(root, path, out);
    }
}

static uint64_t cpus_in(const char *root, const char *dir, bool is_v2)
{
    char quota[KRS_OS_SMALL_BYTES];
    char period[KRS_OS_SMALL_BYTES];
    uint32_t cpus;
    if (is_v2) {
        read_in(root, dir, "cpu.max", quota);
        cpus = krs_os_cgroup_cpus_v2(quota);
    } else {
        read_in(root, dir, "cpu.cfs_quota_us", quota);
        read_in(root, dir, "cpu.cfs_period_us", period);
        cpus = krs_os_cgroup_cpus_v1(quota, period);
    }
    return cpus ? cpus : KRS_OS_NO_LIMIT;
}

static uint64_t bytes_in(const char *root, const char *dir, bool is_v2)
{
    char text[KRS_OS_SMALL_BYTES];
    read_in(root, dir, is_v2 ? "memory.max" : "memory.limit_in_bytes", text);
    return krs_os_cgroup_bytes(text);
}

/* Tightest limit from mount + our path up to mount. */
static uint64_t walk_up(const char *root, const hierarchy *in, read_limit limit_in)
{
    char listing[KRS_OS_SMALL_BYTES];
    char own[KRS_OS_PATH_BYTES];
    char dir[KRS_OS_PATH_BYTES];
    krs_os_read_small(root, "/proc/self/cgroup", listing);
    if (krs_os_cgroup_path(listing, in->controller, own, sizeof(own)) != KRS_OK) {
        return KRS_OS_NO_LIMIT;
    }
    /* A cgroup outside our namespace reads as "/../x": what is mounted here is all we can see. */
    const int n = snprintf(dir, sizeof(dir), "%s%s", in->mount, strstr(own, "/..") ? "" : own);
    if (n < 0 || (size_t)n >= sizeof(dir)) {
        return KRS_OS_NO_LIMIT;
    }
    const size_t n_mount = strlen(in->mount);
    uint64_t tightest = KRS_OS_NO_LIMIT;
    for (;;) {
        const uint64_t limit = limit_in(root, dir, in->is_v2);
        tightest = limit < tightest ? limit : tightest;
        char *slash = strrchr(dir, '/');
        if (strlen(dir) <= n_mount || !slash) {
            return tightest;
        }
        *slash = '\0';
    }
}

static uint64_t tightest_of(const char *root, const hierarchy *in, size_t n, read_limit limit_in)
{
    uint64_t tightest = KRS_OS_NO_LIMIT;
    for (size_t i = 0; i < n; i++) {
        const uint64_t limit = walk_up(root, &in[i], limit_in);
        tightest = limit < tightest ? limit : tightest;
    }
    return tightest;
}

uint64_t krs_os_cgroup_cpus(const char *root)
{
    static const hierarchy all[] = {{"/sys/fs/cgroup", "", true},
                                    {"/sys/fs/cgroup/unified", "", true},
                                    {"/sys/fs/cgroup/cpu", "cpu", false},
                                    {"/sys/fs/cgroup/cpu,cpuacct", "cpu", false}};
    return tightest_of(root, all, sizeof(all) / sizeof(all[0]), cpus_in);
}

uint64_t krs_os_cgroup_memory(const char *root)
{
    static const hierarchy all[] = {{"/sys/fs/cgroup", "", true},
                                    {"/sys/fs/cgroup/unified", "", true},
                                    {"/sys/fs/cgroup/memory", "memory", false}};
    return tightest_of(root, all, sizeof(all) / sizeof(all[0]), bytes_in);
}
