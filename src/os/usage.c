/* os/usage.c - see usage.h. */
#define _GNU_SOURCE /* CLOCK_BOOTTIME */
#include "os/usage.h"

#include "os/clock.h"
#include "os/file.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define STAT_BYTES 1024u /* one line of some 50 numbers */

/* Numbers of /proc/self/stat, counted from 1 as proc(5) does. */
#define FIELD_AFTER_NAME 3
#define FIELD_THREADS    20
#define FIELD_START      22
#define FIELD_VIRTUAL    23

void krs_os_usage_read_stat(const char *text, uint64_t *start_ticks, krs_os_usage *out)
{
    /* The second field is the program's name in parentheses and may hold blanks and parentheses. */
    const char *at = strrchr(text, ')');
    at = at ? strchr(at, ' ') : NULL;
    for (int field = FIELD_AFTER_NAME; at && field <= FIELD_VIRTUAL; field++) {
        const uint64_t value = strtoull(at + 1, NULL, 10);
        if (field == FIELD_THREADS) {
            out->n_threads = (uint32_t)value;
        } else if (field == FIELD_START) {
            *start_ticks = value;
        } else if (field == FIELD_VIRTUAL) {
            out->virtual_bytes = value;
        }
        at = strchr(at + 1, ' ');
    }
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec t = {0};
    (void)clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * KRS_NS_PER_S + (uint64_t)t.tv_nsec;
}

static uint32_t count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    uint32_t n = 0;
    while (dir && readdir(dir)) {
        n++;
    }
    if (dir) {
        (void)closedir(dir);
    }
    return n > 3 ? n - 3 : 0; /* ".", "..", and the one that reads it */
}

static uint32_t max_fds(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return 0;
    }
    return limit.rlim_cur < UINT32_MAX ? (uint32_t)limit.rlim_cur : UINT32_MAX;
}

static void read_stat(uint64_t *start_ticks, krs_os_usage *out)
{
    krs_buf text;
    krs_buf_init(&text, NULL, STAT_BYTES);
    if (krs_os_file_read("/proc/self/stat", &text, NULL) == KRS_OK && text.len > 0) {
        krs_os_usage_read_stat(text.data, start_ticks, out);
    }
    krs_buf_deinit(&text);
}

krs_os_usage krs_os_usage_of_self(void)
{
    krs_os_usage usage = {
        .cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID), .n_fds = count_fds(), .max_fds = max_fds()};
    uint64_t start_ticks = 0;
    read_stat(&start_ticks, &usage);
    const long ticks_per_s = sysconf(_SC_CLK_TCK);
    if (start_ticks > 0 && ticks_per_s > 0) {
        const uint64_t start_ns = start_ticks * (KRS_NS_PER_S / (uint64_t)ticks_per_s);
        const uint64_t age_ns = clock_ns(CLOCK_BOOTTIME) - start_ns;
        usage.start_wall_ns = krs_os_wall_ns() - age_ns;
    }
    return usage;
}
