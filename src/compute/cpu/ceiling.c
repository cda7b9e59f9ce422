/* compute/cpu/ceiling.c - see ceiling.h. The best of many short passes is taken: a ceiling is what the
 * machine can do, everything that disturbs a pass makes it slower, and a pass of about a millisecond
 * has a chance to fit between disturbances. */
#include "compute/cpu/ceiling.h"

#include "compute/backend.h"
#include "compute/cpu/isa.h"
#include "compute/cpu/team.h"
#include "os/clock.h"
#include "os/cpu.h"

#include <string.h>

#define N_PASSES       64
#define DOT_ITERATIONS 100000 /* 1 to 2 ms a pass: above the clock's and the team's noise */
#define WINDOW_BYTES   (KRS_CPU_CEILING_BYTES / N_PASSES) /* read by one pass */
#define N_SUMS         8 /* independent sums, so that loads and not additions set the pace */

typedef struct pass {
    const uint64_t *words;
    unsigned char *bytes; /* the same memory, while it is filled */
    int64_t n_words;
    int64_t first_word; /* of this pass's window */
    const krs_cpu_kernels *kernels;
    bool is_bf16;
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
    krs_cpu_team_share((int64_t)(WINDOW_BYTES / 8), N_SUMS, index, n_threads, &begin, &end);
    const uint64_t *words = p->words + p->first_word;
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
    const krs_cpu_dot_fn dot = p->is_bf16 ? p->kernels->dot_bf16 : p->kernels->dot_f32;
    p->sums[index] += (uint64_t)dot(DOT_ITERATIONS, 0x1p-60f);
}

/* Seconds of the fastest of N_PASSES runs of a task. */
static double fastest_s(krs_cpu_team *team, krs_cpu_task task, pass *p)
{
    uint64_t best_ns = UINT64_MAX;
    for (int i = 0; i < N_PASSES; i++) {
        p->first_word = (int64_t)(WINDOW_BYTES / 8) * i;
        const uint64_t start_ns = krs_os_now_ns();
        krs_cpu_team_run(team, task, p);
        const uint64_t took_ns = krs_os_now_ns() - start_ns;
        best_ns = took_ns < best_ns ? took_ns : best_ns;
    }
    return (double)best_ns / (double)KRS_NS_PER_S;
}

static krs_status open_team(uint32_t n_threads, const krs_alloc *alloc, krs_cpu_team **out,
                            krs_error *err)
{
    *out = NULL;
    const uint32_t n = n_threads ? n_threads : krs_os_cpu_count();
    if (n > KRS_BACKEND_MAX_THREADS) {
        return krs_fail_field(err, KRS_EINVAL, "n_threads", "n_threads: %u, want 0..%d", n_threads,
                              KRS_BACKEND_MAX_THREADS);
    }
    return krs_cpu_team_new(n, alloc, out, err);
}

krs_status krs_cpu_read_bandwidth(uint32_t n_threads, const krs_alloc *alloc, double *bytes_per_s,
                                  krs_error *err)
{
    krs_cpu_team *team;
    const krs_status status = open_team(n_threads, alloc, &team, err);
    if (status != KRS_OK) {
        return status;
    }
    pass *p = krs_alloc_zero(alloc, sizeof(*p));
    unsigned char *bytes = p ? krs_alloc_bytes(alloc, KRS_CPU_CEILING_BYTES) : NULL;
    if (bytes) {
        p->bytes = bytes;
        p->words = (const uint64_t *)(const void *)bytes;
        p->n_words = (int64_t)(KRS_CPU_CEILING_BYTES / 8);
        krs_cpu_team_run(team, fill_share, p);
        const uint64_t window_bytes = WINDOW_BYTES;
        *bytes_per_s = (double)window_bytes / fastest_s(team, read_share, p);
    }
    krs_alloc_free(alloc, bytes);
    krs_alloc_free(alloc, p);
    krs_cpu_team_free(team);
    return bytes ? KRS_OK
                 : krs_fail(err, KRS_ENOMEM, "read bandwidth: a buffer of %llu bytes",
                            (unsigned long long)KRS_CPU_CEILING_BYTES);
}

krs_status krs_cpu_dot_rate(uint32_t n_threads, const char *isa, bool is_bf16,
                            const krs_alloc *alloc, double *ops_per_s, krs_error *err)
{
    krs_cpu_kernels kernels;
    krs_cpu_team *team;
    krs_status status = krs_cpu_isa_kernels(isa, &kernels, NULL, err);
    if (status == KRS_OK) {
        status = open_team(n_threads, alloc, &team, err);
    }
    if (status != KRS_OK) {
        return status;
    }
    pass *p = krs_alloc_zero(alloc, sizeof(*p));
    if (p) {
        p->kernels = &kernels;
        p->is_bf16 = is_bf16 && kernels.dot_bf16;
        const double per_iteration = p->is_bf16 ? kernels.dot_bf16_ops : kernels.dot_f32_ops;
        const double n_ops = per_iteration * DOT_ITERATIONS * krs_cpu_team_n_threads(team);
        *ops_per_s = n_ops / fastest_s(team, dot_share, p);
    }
    krs_alloc_free(alloc, p);
    krs_cpu_team_free(team);
    return p ? KRS_OK : krs_fail(err, KRS_ENOMEM, "dot rate: out of memory");
}
