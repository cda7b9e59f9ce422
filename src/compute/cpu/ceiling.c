/* compute/cpu/ceiling.c - see ceiling.h. The best of many short passes is taken: a ceiling is what the
 * machine can do, everything that disturbs a pass makes it slower, and a pass of less than a millisecond
 * has a chance to fit between disturbances.
 *
 * Plain loads in order are as fast as any loop tried (wider loads, prefetch at 1 to 16 KiB, two and four
 * streams at once): what matters is the size of the pages. */
#include "compute/cpu/ceiling.h"

#include "compute/backend.h"
#include "compute/cpu/dot_int8.h"
#include "compute/cpu/isa.h"
#include "compute/cpu/team.h"
#include "os/clock.h"
#include "os/cpu.h"
#include "os/pages.h"

#include <stdlib.h>
#include <string.h>

#define N_PASSES       64
#define DOT_ITERATIONS 100000 /* 0.3 ms a pass: above the clock's and the team's noise */
#define N_SUMS         8      /* independent sums, so that loads and not additions set the pace */
#define MIN_BYTES      (UINT64_C(64) << 10)

typedef struct pass {
    const uint64_t *words;
    unsigned char *bytes; /* the same memory, while it is filled */
    int64_t n_words;      /* of one window; when filled, of all */
    krs_cpu_dot_fn dot;
    uint64_t sums[KRS_BACKEND_MAX_THREADS]; /* keeps the compiler from dropping the work */
} pass;

static void fill_share(void *arg, uint32_t index, uint32_t n_threads)
{
    const pass *p = arg;
    int64_t begin;
    int64_t end;
    krs_cpu_team_share(p->n_words, N_SUMS, index, n_threads, &begin, &end);
    memset(p->bytes + begin * 8, 1, (size_t)(end - begin) * 8);
}

static void read_share(void *arg, uint32_t index, uint32_t n_threads)
{
    pass *p = arg;
    uint64_t sums[N_SUMS] = {0};
    int64_t begin;
    int64_t end;
    krs_cpu_team_share(p->n_words, N_SUMS, index, n_threads, &begin, &end);
    const uint64_t *words = p->words;
    for (int64_t i = begin; i + N_SUMS <= end; i += N_SUMS) {
        for (int k = 0; k < N_SUMS; k++) {
            sums[k] += words[i + k];
        }
    }
    for (int k = 0; k < N_SUMS; k++) {
        p->sums[index] += sums[k];
    }
}

static void dot_share(void *arg, uint32_t index, uint32_t n_threads)
{
    pass *p = arg;
    (void)n_threads;
    p->sums[index] += p->dot(DOT_ITERATIONS, 0x1p-60f) > 0;
}

static double time_pass_s(krs_cpu_team *team, krs_cpu_task task, pass *p)
{
    const uint64_t start_ns = krs_os_now_ns();
    krs_cpu_team_run(team, task, p);
    return (double)(krs_os_now_ns() - start_ns) / (double)KRS_NS_PER_S;
}

static int compare_s(const void *a, const void *b)
{
    double x;
    double y;
    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return (x > y) - (x < y);
}

static krs_status open_team(uint32_t n_threads, const krs_alloc *alloc, krs_cpu_team **team,
                            pass **p, krs_error *err)
{
    *p = NULL;
    const uint32_t n = n_threads ? n_threads : krs_os_cpu_count();
    if (n > KRS_BACKEND_MAX_THREADS) {
        return krs_fail_field(err, KRS_EINVAL, "n_threads", "n_threads: %u, want 0..%d", n_threads,
                              KRS_BACKEND_MAX_THREADS);
    }
    const krs_status status = krs_cpu_team_new(n, alloc, team, err);
    if (status != KRS_OK) {
        return status;
    }
    *p = krs_alloc_zero(alloc, sizeof(**p));
    if (!*p) {
        krs_cpu_team_free(*team);
        return krs_fail(err, KRS_ENOMEM, "ceiling: out of memory");
    }
    return KRS_OK;
}

/* Every window once. */
static krs_cpu_read_rates read_windows(krs_cpu_team *team, pass *p, const void *bytes,
                                       uint64_t n_bytes)
{
    double took_s[N_PASSES];
    p->n_words = (int64_t)(n_bytes / 8 / N_PASSES);
    for (int i = 0; i < N_PASSES; i++) {
        p->words = (const uint64_t *)bytes + p->n_words * i;
        took_s[i] = time_pass_s(team, read_share, p);
    }
    qsort(took_s, N_PASSES, sizeof(took_s[0]), compare_s);
    const double window_bytes = 8.0 * (double)p->n_words;
    return (krs_cpu_read_rates){window_bytes / took_s[0], window_bytes / took_s[N_PASSES / 2]};
}

krs_status krs_cpu_read_rate(uint32_t n_threads, const void *bytes, uint64_t n_bytes,
                             const krs_alloc *alloc, krs_cpu_read_rates *out, krs_error *err)
{
    if (n_bytes < MIN_BYTES) {
        return krs_fail_field(err, KRS_EINVAL, "n_bytes", "n_bytes: %llu, want at least %llu",
                              (unsigned long long)n_bytes, (unsigned long long)MIN_BYTES);
    }
    krs_cpu_team *team = NULL;
    pass *p = NULL;
    const krs_status status = open_team(n_threads, alloc, &team, &p, err);
    if (status == KRS_OK && p) {
        *out = read_windows(team, p, bytes, n_bytes);
        krs_alloc_free(alloc, p);
        krs_cpu_team_free(team);
    }
    return status;
}

krs_status krs_cpu_read_bandwidth(uint32_t n_threads, const krs_alloc *alloc,
                                  krs_cpu_read_rates *out, krs_error *err)
{
    krs_cpu_team *team = NULL;
    pass *p = NULL;
    krs_status status = open_team(n_threads, alloc, &team, &p, err);
    if (status != KRS_OK || !p) {
        return status;
    }
    krs_os_pages *pages;
    status = krs_os_pages_new(KRS_CPU_CEILING_BYTES, KRS_OS_PLACE_FIRST_TOUCH, alloc, &pages, err);
    if (status == KRS_OK) {
        p->bytes = krs_os_pages_data(pages);
        p->n_words = (int64_t)(KRS_CPU_CEILING_BYTES / 8);
        krs_cpu_team_run(team, fill_share, p);
        *out = read_windows(team, p, p->bytes, KRS_CPU_CEILING_BYTES);
        krs_os_pages_free(pages);
    }
    krs_alloc_free(alloc, p);
    krs_cpu_team_free(team);
    return status;
}

const char *krs_cpu_dot_name(krs_cpu_dot dot)
{
    static const char *const names[KRS_CPU_DOT_COUNT] = {"f32", "bf16", "int8"};
    return names[dot];
}

static krs_cpu_dot_fn dot_of(const krs_cpu_kernels *kernels, krs_cpu_dot dot, double *ops_of_round)
{
    switch (dot) {
    case KRS_CPU_DOT_BF16:
        *ops_of_round = kernels->dot_bf16_ops;
        return kernels->dot_bf16;
    case KRS_CPU_DOT_INT8:
        return krs_cpu_dot_int8_of(kernels->isa, ops_of_round);
    default:
        *ops_of_round = kernels->dot_f32_ops;
        return kernels->dot_f32;
    }
}

krs_status krs_cpu_dot_rate(uint32_t n_threads, const char *isa, krs_cpu_dot dot,
                            const krs_alloc *alloc, double *ops_per_s, krs_error *err)
{
    *ops_per_s = 0;
    krs_cpu_kernels kernels;
    krs_status status = krs_cpu_isa_kernels(isa, &kernels, NULL, err);
    double ops_of_round;
    const krs_cpu_dot_fn run = status == KRS_OK ? dot_of(&kernels, dot, &ops_of_round) : NULL;
    if (!run) {
        return status;
    }
    krs_cpu_team *team = NULL;
    pass *p = NULL;
    status = open_team(n_threads, alloc, &team, &p, err);
    if (status != KRS_OK || !p) {
        return status;
    }
    p->dot = run;
    double best_s = time_pass_s(team, dot_share, p);
    for (int i = 1; i < N_PASSES; i++) {
        const double took_s = time_pass_s(team, dot_share, p);
        best_s = took_s < best_s ? took_s : best_s;
    }
    *ops_per_s = ops_of_round * DOT_ITERATIONS * krs_cpu_team_n_threads(team) / best_s;
    krs_alloc_free(alloc, p);
    krs_cpu_team_free(team);
    return KRS_OK;
}
