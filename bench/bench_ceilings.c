/* bench/bench_ceilings.c - what this machine can do at most: the table that every kernel report is held against.
 *
 *   bench_ceilings [--threads N] [--isa NAME] [--folder DIR]
 *
 * Reading: GB/s of KRS_CPU_CEILING_BYTES in order, from small pages (4 KiB), from huge ones, and from a file
 * mapped as weights are (a temporary one in DIR, default $TMPDIR or /tmp, read before so that it lies in
 * the page cache). Of each the fastest of 64 windows, and their median in brackets. Products: Gop/s in
 * registers, a multiply and an add being two operations. Columns: 1, 2, 4 ... N threads (default: all
 * that this process may use). */
#define _GNU_SOURCE /* mkstemp, MADV_NOHUGEPAGE */
#include "base/str.h"
#include "compute/backend.h"
#include "compute/cpu/ceiling.h"
#include "os/cpu.h"
#include "os/file.h"
#include "os/pages.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAX_COLUMNS 16 /* 1, 2, 4 ... KRS_BACKEND_MAX_THREADS and one between */
#define N_TURNS                                                                                    \
    3 /* over the columns; the best of a column counts, so a slow moment costs one turn */

typedef struct settings {
    const char *isa;
    const char *folder;
    uint32_t threads[MAX_COLUMNS];
    int n_columns;
} settings;

static void must(krs_status status, const krs_error *err)
{
    if (status != KRS_OK) {
        (void)fprintf(stderr, "bench_ceilings: %s\n", err->message);
        exit(EXIT_FAILURE);
    }
}

static void must_be(bool is_true, const char *what)
{
    if (!is_true) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

static void print_read(const settings *set, const char *name, const void *bytes)
{
    krs_error err = KRS_ERROR_INIT;
    krs_cpu_read_rates rates[MAX_COLUMNS] = {{0}};
    for (int turn = 0; turn < N_TURNS; turn++) {
        for (int i = 0; i < set->n_columns; i++) {
            krs_cpu_read_rates now;
            must(krs_cpu_read_rate(set->threads[i], bytes, KRS_CPU_CEILING_BYTES, NULL, &now, &err),
                 &err);
            rates[i].best = now.best > rates[i].best ? now.best : rates[i].best;
            rates[i].median = now.median > rates[i].median ? now.median : rates[i].median;
        }
    }
    printf("%-24s", name);
    for (int i = 0; i < set->n_columns; i++) {
        printf("   %6.1f (%5.1f)", rates[i].best * 1e-9, rates[i].median * 1e-9);
    }
    printf("\n");
    (void)fflush(stdout);
}

/* A mapping of our own whose pages stay small, whatever the system's setting. */
static void bench_small_pages(const settings *set)
{
    void *bytes = mmap(NULL, KRS_CPU_CEILING_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must_be(bytes != MAP_FAILED, "mmap");
    (void)madvise(bytes, KRS_CPU_CEILING_BYTES, MADV_NOHUGEPAGE); /* fails where there are none */
    memset(bytes, 1, KRS_CPU_CEILING_BYTES);
    print_read(set, "read, 4 KiB pages", bytes);
    (void)munmap(bytes, KRS_CPU_CEILING_BYTES);
}

static void bench_huge_pages(const settings *set)
{
    krs_error err = KRS_ERROR_INIT;
    krs_os_pages *pages;
    must(krs_os_pages_new(KRS_CPU_CEILING_BYTES, KRS_OS_PLACE_INTERLEAVED, NULL, &pages, &err),
         &err);
    memset(krs_os_pages_data(pages), 1, KRS_CPU_CEILING_BYTES);
    print_read(set, "read, huge pages", krs_os_pages_data(pages));
    krs_os_pages_free(pages);
}

static void fill_file(int fd)
{
    enum { PART_BYTES = 1 << 20 };
    char *part = krs_alloc_zero(NULL, PART_BYTES);
    must_be(part != NULL, "malloc");
    for (uint64_t at = 0; at < KRS_CPU_CEILING_BYTES; at += PART_BYTES) {
        must_be(write(fd, part, PART_BYTES) == PART_BYTES, "write");
    }
    krs_alloc_free(NULL, part);
}

static void bench_file(const settings *set)
{
    char path[4096];
    const int n = snprintf(path, sizeof(path), "%s/bench_ceilings.XXXXXX", set->folder);
    must_be(n > 0 && (size_t)n < sizeof(path), "the folder's name");
    const int fd = mkstemp(path);
    must_be(fd >= 0, path);
    fill_file(fd);
    krs_error err = KRS_ERROR_INIT;
    krs_os_map map;
    const krs_status status = krs_os_map_open(path, KRS_OS_MAP_SHARED_PAGES, &map, &err);
    (void)unlink(path);
    (void)close(fd);
    must(status, &err);
    krs_cpu_read_rates rates; /* faults the pages in */
    must(krs_cpu_read_rate(1, map.data, map.n_bytes, NULL, &rates, &err), &err);
    print_read(set, "read, mapped file", map.data);
    krs_os_map_close(&map);
}

static void bench_dot(const settings *set, krs_cpu_dot dot)
{
    printf("%-4s products %10s", krs_cpu_dot_name(dot), "");
    for (int i = 0; i < set->n_columns; i++) {
        krs_error err = KRS_ERROR_INIT;
        double best = 0;
        for (int turn = 0; turn < N_TURNS; turn++) {
            double rate;
            must(krs_cpu_dot_rate(set->threads[i], set->isa, dot, NULL, &rate, &err), &err);
            best = rate > best ? rate : best;
        }
        printf("   %6.0f        ", best * 1e-9);
    }
    printf("\n");
    (void)fflush(stdout);
}

static void print_head(const settings *set)
{
    krs_error err = KRS_ERROR_INIT;
    krs_backend_options options = KRS_BACKEND_OPTIONS_INIT;
    options.isa = set->isa;
    options.n_threads = (int32_t)set->threads[set->n_columns - 1];
    krs_backend *backend;
    must(krs_backend_open("cpu", &options, NULL, &backend, &err), &err);
    printf("%s\n", krs_backend_describe(backend));
    krs_backend_close(backend);
    printf("%-24s", "GB/s, Gop/s; threads:");
    for (int i = 0; i < set->n_columns; i++) {
        printf("   %6u        ", set->threads[i]);
    }
    printf("\n");
}

/* 1, 2, 4 ... and n itself. */
static void choose_columns(settings *set, uint32_t n)
{
    if (n == 0 || n > KRS_BACKEND_MAX_THREADS) {
        (void)fprintf(stderr, "bench_ceilings: --threads: want 1..%d\n", KRS_BACKEND_MAX_THREADS);
        exit(EXIT_FAILURE);
    }
    for (uint32_t t = 1; t < n; t *= 2) {
        set->threads[set->n_columns++] = t;
    }
    set->threads[set->n_columns++] = n;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"threads", required_argument, NULL, 't'},
                                            {"isa", required_argument, NULL, 'i'},
                                            {"folder", required_argument, NULL, 'f'},
                                            {NULL, 0, NULL, 0}};
    const char *tmp = getenv("TMPDIR");
    settings set = {.folder = tmp ? tmp : "/tmp"};
    uint32_t n = krs_os_cpu_count();
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 't':
            n = (uint32_t)strtoul(optarg, NULL, 10);
            break;
        case 'i':
            set.isa = optarg;
            break;
        case 'f':
            set.folder = optarg;
            break;
        default:
            return EXIT_FAILURE;
        }
    }
    choose_columns(&set, n);
    print_head(&set);
    bench_small_pages(&set);
    bench_huge_pages(&set);
    bench_file(&set);
    for (krs_cpu_dot dot = KRS_CPU_DOT_F32; dot < KRS_CPU_DOT_COUNT; dot++) {
        bench_dot(&set, dot);
    }
    return EXIT_SUCCESS;
}
