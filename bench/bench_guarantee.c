/* bench/bench_guarantee.c - what "a row depends on itself" costs.
 *
 * The product fixes the order of every sum by the op's shape (docs/adr/0003). Here a model runs with the
 * shipped linear kernels and, step by step in turn, with kernels that are free of that promise and pick
 * their arithmetic by the number of rows. They exist in this file only:
 *
 *   1 or 2 rows   each output's sum is cut into four over K, folded at the end
 *   16 and more   affine: outputs are widened to bf16 once for all rows, scale and bias rounded in, and
 *                 multiplied as a dense matrix, with neither scales nor group sums left in the loop
 *
 * Dense bf16 with many rows has no freer form known here: its tile runs at the rate of the instruction.
 * Attention has none either: its units are (row, KV head), enough for every thread, and its parts
 * could be cut over threads without changing the order in which they are merged.
 *
 * Times are CPU time of one thread (a machine shared with others makes wall clock useless), the two
 * variants alternating; the median of the runs' ratios is what counts. --wall N: wall clock, N threads.
 *
 * usage: bench_guarantee MODEL [--wall N] [--repeat N] */
#define _POSIX_C_SOURCE 200809L /* clock_gettime */

#include "compute/cpu/cpu.h"
#include "model/model.h"
#include "os/clock.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#if defined(__x86_64__)
#include <immintrin.h>
#define HAS_VARIANTS true
#define WIDE         __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,fma")))
#else
#define HAS_VARIANTS false
#endif

enum {
    CONTEXT = 64,     /* tokens behind every sequence of a decode step */
    MAX_BATCH = 32,   /* sequences */
    PREFILL = 256,    /* rows */
    MAX_REPEAT = 101, /* runs of a case */
    BLOCKS_EACH = (CONTEXT + PREFILL) / KRS_KV_BLOCK_TOKENS + 1,
};

typedef struct bench_case {
    const char *name;
    uint32_t n_seqs;
    uint32_t n_rows_each;
} bench_case;

static const bench_case cases[] = {
    {"decode, batch 1", 1, 1},
    {"decode, batch 8", 8, 1},
    {"decode, batch 32", 32, 1},
    {"prefill, 256 rows", 1, PREFILL},
};

#define N_CASES (sizeof(cases) / sizeof(cases[0]))

/* What the free kernels may know and the shipped ones may not: how many rows the step has. */
static int64_t step_rows;
static krs_cpu_linear_fn shipped[KRS_CPU_LAYOUT_COUNT];

static void must(krs_status status, const krs_error *err)
{
    if (status != KRS_OK) {
        (void)fprintf(stderr, "bench_guarantee: %s\n", err->message);
        exit(EXIT_FAILURE);
    }
}

#if HAS_VARIANTS

enum {
    FEW_ROWS = 2,
    MANY_ROWS = 16,
    TILE_R = 6,
    TILE_O = 4,
    PANEL_BYTES = 512 * 1024, /* widened outputs: half of an L2 cache */
    ROWS_BYTES = 256 * 1024,
    MAX_PANEL_OUTS = 64,
    MAX_GROUPS = 1024, /* of a row: 65,536 elements in groups of 64 */
};

typedef struct panel {
    const unsigned char *w; /* bf16, in the order of the packed rows */
    size_t row_bytes;
    size_t n_vectors; /* of a row */
} panel;

static _Thread_local _Alignas(KRS_CPU_VECTOR_BYTES) unsigned char panel_memory[2 * PANEL_BYTES];

WIDE static inline void multiply_tile(const panel *p, const unsigned char *const *x,
                                      const unsigned char *w, __m512 sums[TILE_R][TILE_O])
{
    for (size_t at = 0; at < p->n_vectors * 64; at += 64) {
#pragma GCC unroll 8
        for (int o = 0; o < TILE_O; o++) {
            const __m512bh v = (__m512bh)_mm512_loadu_si512(w + (size_t)o * p->row_bytes + at);
#pragma GCC unroll 8
            for (int r = 0; r < TILE_R; r++) {
                sums[r][o] =
                    _mm512_dpbf16_ps(sums[r][o], (__m512bh)_mm512_loadu_si512(x[r] + at), v);
            }
        }
    }
}

WIDE static inline void dense_tile(const panel *p, const krs_cpu_linear *op, int64_t row,
                                   int n_rows, const unsigned char *w, int64_t out)
{
    __m512 sums[TILE_R][TILE_O];
    const unsigned char *x[TILE_R];
    for (int r = 0; r < TILE_R; r++) { /* a short tile computes its last row again */
        x[r] = op->x + (size_t)(row + (r < n_rows ? r : n_rows - 1)) * op->x_row_bytes;
        for (int o = 0; o < TILE_O; o++) {
            sums[r][o] = _mm512_setzero_ps();
        }
    }
    multiply_tile(p, x, w, sums);
    for (int r = 0; r < n_rows; r++) {
        for (int o = 0; o < TILE_O; o++) {
            const float y = _mm512_reduce_add_ps(sums[r][o]);
            op->out[(row + r) * op->out_stride + out + o] = op->bias ? y + op->bias[out + o] : y;
        }
    }
}

/* Rows [0, n_rows) against n_outs (a multiple of TILE_O) outputs of a panel. */
WIDE static void dense_rows(const panel *p, const krs_cpu_linear *op, int64_t n_rows, int64_t out,
                            int64_t n_outs)
{
    const int64_t fitting = ROWS_BYTES / (int64_t)op->x_row_bytes / TILE_R * TILE_R;
    const int64_t block = fitting < TILE_R ? TILE_R : fitting;
    for (int64_t first = 0; first < n_rows; first += block) {
        const int64_t last = first + block < n_rows ? first + block : n_rows;
        for (int64_t o = 0; o < n_outs; o += TILE_O) {
            for (int64_t r = first; r < last; r += TILE_R) {
                const int n = last - r < TILE_R ? (int)(last - r) : TILE_R;
                dense_tile(p, op, r, n, p->w + (size_t)o * p->row_bytes, out + o);
            }
        }
    }
}

/* 16 codes (in words) to weights, their bf16 in the upper halves: scale * code + bias, rounded. */
WIDE static inline __m512i weights_of(__m512i codes, __m512 scale, __m512 bias)
{
    const __m512 w = _mm512_fmadd_ps(_mm512_cvtepi32_ps(codes), scale, bias);
    return _mm512_add_epi32(_mm512_castps_si512(w), _mm512_set1_epi32(0x8000));
}

/* Vector k of a block: code k of each half-word. */
WIDE static inline __m512i widen_vector(__m512i words, int bits, int k, __m512 scale, __m512 bias)
{
    const __m512i mask = _mm512_set1_epi32(bits == 4 ? 15 : 255);
    const __m512i low = _mm512_srl_epi32(words, _mm_cvtsi32_si128(bits * k));
    const __m512i high = _mm512_srl_epi32(words, _mm_cvtsi32_si128(bits * k + 16));
    const __m512i even = weights_of(_mm512_and_si512(low, mask), scale, bias);
    const __m512i odd = weights_of(_mm512_and_si512(high, mask), scale, bias);
    const __m512i upper = _mm512_set1_epi32((int)0xFFFF0000);
    return _mm512_or_si512(_mm512_and_si512(odd, upper), _mm512_srli_epi32(even, 16));
}

/* values[n] of bf16 as f32, and zeros behind them. */
WIDE static void widen_scales(const unsigned char *values, int64_t n, float *out)
{
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        const __m256i half = _mm256_loadu_si256((const void *)(values + i * 2));
        _mm512_storeu_si512(out + i, _mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
    }
    (void)krs_f32_of_any(KRS_DTYPE_BF16, values + i * 2, (size_t)(n - i), out + i);
    memset(out + n, 0, 16 * sizeof(*out));
}

/* One output's codes as bf16 weights. */
WIDE static inline void widen_output(const krs_cpu_linear *op, int bits, int64_t out,
                                     unsigned char *to)
{
    static _Thread_local float scales[MAX_GROUPS + 16];
    static _Thread_local float biases[MAX_GROUPS + 16];
    const unsigned char *w = op->w + (size_t)out * op->w_row_bytes;
    const size_t at = (size_t)out * (size_t)op->n_groups * sizeof(uint16_t);
    widen_scales(op->scales + at, op->n_groups, scales);
    widen_scales(op->biases + at, op->n_groups, biases);
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i group_of_lane =
        _mm512_srli_epi32(_mm512_mullo_epi32(lane, _mm512_set1_epi32(op->groups_per_block)), 4);
    for (int64_t b = 0; b < op->n_blocks; b++) {
        const int64_t g = b * op->groups_per_block / op->blocks_per_group;
        const __m512 scale = _mm512_permutexvar_ps(group_of_lane, _mm512_loadu_ps(scales + g));
        const __m512 bias = _mm512_permutexvar_ps(group_of_lane, _mm512_loadu_ps(biases + g));
        const __m512i words = _mm512_loadu_si512(w + b * 64);
#pragma GCC unroll 4
        for (int k = 0; k < 16 / bits; k++) {
            _mm512_store_si512(to + k * 64, widen_vector(words, bits, k, scale, bias));
        }
        to += 1024 / bits;
    }
}

/* All rows of the step at once: the first block of rows does the work, the others find it done. */
WIDE static void widened(const krs_cpu_linear *op, int bits, int64_t out, int64_t n_outs)
{
    const int n_vectors = bits == 4 ? 4 : 2;
    const panel shape = {panel_memory, (size_t)(op->n_blocks * n_vectors * 64),
                         (size_t)(op->n_blocks * n_vectors)};
    int64_t each = PANEL_BYTES / (int64_t)shape.row_bytes / TILE_O * TILE_O;
    each = each < TILE_O ? TILE_O : each > MAX_PANEL_OUTS ? MAX_PANEL_OUTS : each;
    for (int64_t o = 0; o < n_outs; o += each) {
        const int64_t n = n_outs - o < each ? n_outs - o : each;
        for (int64_t k = 0; k < n; k++) {
            unsigned char *to = panel_memory + (size_t)k * shape.row_bytes;
            if (bits == 4) {
                widen_output(op, 4, out + o + k, to);
            } else {
                widen_output(op, 8, out + o + k, to);
            }
        }
        dense_rows(&shape, op, step_rows, out + o, n);
    }
}

/* One row, one output, four sums over K. */
WIDE static void dense_few(const krs_cpu_linear *op, int64_t row, int64_t n_rows, int64_t out,
                           int64_t n_outs)
{
    for (int64_t o = out; o < out + n_outs; o++) {
        const unsigned char *w = op->w + (size_t)o * op->w_row_bytes;
        for (int64_t r = row; r < row + n_rows; r++) {
            const unsigned char *x = op->x + (size_t)r * op->x_row_bytes;
            __m512 sums[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(),
                              _mm512_setzero_ps()};
            for (int64_t b = 0; b + 4 <= op->n_blocks; b += 4) {
#pragma GCC unroll 4
                for (int k = 0; k < 4; k++) {
                    sums[k] =
                        _mm512_dpbf16_ps(sums[k], (__m512bh)_mm512_loadu_si512(x + (b + k) * 64),
                                         (__m512bh)_mm512_loadu_si512(w + (b + k) * 64));
                }
            }
            const float y = _mm512_reduce_add_ps(
                _mm512_add_ps(_mm512_add_ps(sums[0], sums[1]), _mm512_add_ps(sums[2], sums[3])));
            op->out[r * op->out_stride + o] = op->bias ? y + op->bias[o] : y;
        }
    }
}

static void free_bf16(const krs_cpu_linear *op, int64_t row, int64_t n_rows, int64_t out,
                      int64_t n_outs, float *scratch)
{
    if (n_rows <= FEW_ROWS && op->n_blocks % 4 == 0 && op->tail_bytes == 0) {
        dense_few(op, row, n_rows, out, n_outs);
    } else {
        shipped[KRS_CPU_BF16](op, row, n_rows, out, n_outs, scratch);
    }
}

/* Shapes that `widened` was written for: all of the models it is used on. */
static bool is_widenable(const krs_cpu_linear *op, int64_t n_outs)
{
    return n_outs % TILE_O == 0 && op->tail_bytes == 0 && op->n_groups <= MAX_GROUPS &&
           op->scale_dtype == KRS_DTYPE_BF16;
}

static void free_affine(const krs_cpu_linear *op, int bits, int64_t row, int64_t n_rows,
                        int64_t out, int64_t n_outs, float *scratch)
{
    const bool is_head = n_rows < step_rows && row == 0 && n_rows <= FEW_ROWS;
    if (step_rows < MANY_ROWS || is_head || !is_widenable(op, n_outs)) {
        shipped[bits == 4 ? KRS_CPU_AFFINE4 : KRS_CPU_AFFINE8](op, row, n_rows, out, n_outs,
                                                               scratch);
    } else if (row == 0) {
        widened(op, bits, out, n_outs);
    }
}

static void free_affine4(const krs_cpu_linear *op, int64_t row, int64_t n_rows, int64_t out,
                         int64_t n_outs, float *scratch)
{
    free_affine(op, 4, row, n_rows, out, n_outs, scratch);
}

static void free_affine8(const krs_cpu_linear *op, int64_t row, int64_t n_rows, int64_t out,
                         int64_t n_outs, float *scratch)
{
    free_affine(op, 8, row, n_rows, out, n_outs, scratch);
}

/* The kernels of one variant into the backend, whose execs read them at every op. */
static void choose(krs_cpu_backend *backend, bool is_free)
{
    backend->kernels.linear[KRS_CPU_BF16].run = is_free ? free_bf16 : shipped[KRS_CPU_BF16];
    backend->kernels.linear[KRS_CPU_AFFINE4].run =
        is_free ? free_affine4 : shipped[KRS_CPU_AFFINE4];
    backend->kernels.linear[KRS_CPU_AFFINE8].run =
        is_free ? free_affine8 : shipped[KRS_CPU_AFFINE8];
}

#else

static void choose(krs_cpu_backend *backend, bool is_free)
{
    (void)backend;
    (void)is_free;
}

#endif

typedef struct bench {
    krs_backend *backend;
    krs_exec *exec;
    uint32_t n_threads; /* 0: CPU time of one thread */
    uint32_t blocks[MAX_BATCH * BLOCKS_EACH];
    uint32_t tokens[PREFILL];
    uint32_t rows[MAX_BATCH];
    krs_step_seq seqs[MAX_BATCH];
    int64_t vocab;
} bench;

static uint64_t now_ns(const bench *b)
{
    struct timespec t;
    if (b->n_threads > 0 || clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) != 0) {
        return krs_os_now_ns();
    }
    return (uint64_t)t.tv_sec * KRS_NS_PER_S + (uint64_t)t.tv_nsec;
}

/* One step of a case; returns seconds. Logits of its last row go to out[vocab]. */
static double run_step(bench *b, const bench_case *c, float *out)
{
    for (uint32_t s = 0; s < c->n_seqs; s++) {
        b->seqs[s] = (krs_step_seq){s * c->n_rows_each,
                                    c->n_rows_each,
                                    c->n_rows_each == 1 ? CONTEXT : 0,
                                    BLOCKS_EACH,
                                    b->blocks + s * BLOCKS_EACH,
                                    0};
        b->rows[s] = (s + 1) * c->n_rows_each - 1;
    }
    const krs_step step = {
        .n_rows = c->n_seqs * c->n_rows_each,
        .n_seqs = c->n_seqs,
        .n_logit_rows = c->n_seqs,
        .tokens = b->tokens,
        .seqs = b->seqs,
        .logit_rows = b->rows,
    };
    krs_error err = KRS_ERROR_INIT;
    krs_step_result result;
    step_rows = step.n_rows;
    const uint64_t start_ns = now_ns(b);
    must(krs_exec_submit(b->exec, &step, &err), &err);
    must(krs_exec_collect(b->exec, &result, &err), &err);
    const uint64_t took_ns = now_ns(b) - start_ns;
    memcpy(out, result.logits + (size_t)(c->n_seqs - 1) * (size_t)b->vocab,
           (size_t)b->vocab * sizeof(*out));
    return (double)took_ns * 1e-9;
}

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, uint32_t n)
{
    qsort(values, n, sizeof(*values), compare_doubles);
    return values[n / 2];
}

/* How far the free kernels' logits are from the shipped ones': they must compute the same thing. */
static double relative_rms(const float *got, const float *want, int64_t n)
{
    double error = 0;
    double power = 0;
    for (int64_t i = 0; i < n; i++) {
        const double d = (double)got[i] - (double)want[i];
        error += d * d;
        power += (double)want[i] * (double)want[i];
    }
    return sqrt(error / power);
}

static void run_case(bench *b, const bench_case *c, uint32_t n_repeat)
{
    double times[2][MAX_REPEAT];
    double ratios[MAX_REPEAT];
    float *logits[2];
    for (int v = 0; v < 2; v++) {
        logits[v] = krs_alloc_array(NULL, (size_t)b->vocab, sizeof(float));
        if (!logits[v]) {
            exit(EXIT_FAILURE);
        }
        choose((krs_cpu_backend *)b->backend, v == 1);
        (void)run_step(b, c, logits[v]); /* warm */
    }
    for (uint32_t i = 0; i < n_repeat; i++) {
        for (uint32_t k = 0; k < 2; k++) {
            const uint32_t v = (i + k) % 2; /* neither is always first */
            choose((krs_cpu_backend *)b->backend, v == 1);
            times[v][i] = run_step(b, c, logits[v]);
        }
        ratios[i] = times[0][i] / times[1][i];
    }
    const double cost = median(ratios, n_repeat) - 1;
    (void)printf("%-18s shipped %9.3f ms, free %9.3f ms, cost %+6.1f %% (quartiles %+.1f, %+.1f), "
                 "logits %.1e apart\n",
                 c->name, 1e3 * median(times[0], n_repeat), 1e3 * median(times[1], n_repeat),
                 100 * cost, 100 * (ratios[n_repeat / 4] - 1), 100 * (ratios[3 * n_repeat / 4] - 1),
                 relative_rms(logits[1], logits[0], b->vocab));
    krs_alloc_free(NULL, logits[0]);
    krs_alloc_free(NULL, logits[1]);
}

static void open_bench(bench *b, const krs_program *program)
{
    krs_error err = KRS_ERROR_INIT;
    krs_backend_options options = KRS_BACKEND_OPTIONS_INIT;
    options.n_threads = b->n_threads > 0 ? (int32_t)b->n_threads : 1;
    must(krs_backend_open("cpu", &options, NULL, &b->backend, &err), &err);
    const krs_exec_limits limits = {
        .max_rows = PREFILL,
        .max_seqs = MAX_BATCH,
        .max_logit_rows = MAX_BATCH,
        .n_kv_blocks = MAX_BATCH * BLOCKS_EACH,
        .kv_dtype = KRS_DTYPE_F16,
    };
    must(krs_exec_new(b->backend, program, &limits, &b->exec, &err), &err);
    b->vocab = program->slots[program->logits].width;
    for (uint32_t i = 0; i < MAX_BATCH * BLOCKS_EACH; i++) {
        b->blocks[i] = i;
    }
    for (uint32_t i = 0; i < PREFILL; i++) {
        b->tokens[i] = (i * 7919 + 13) % (uint32_t)b->vocab;
    }
    const krs_cpu_backend *cpu = (const krs_cpu_backend *)b->backend;
    for (int l = 0; l < KRS_CPU_LAYOUT_COUNT; l++) {
        shipped[l] = cpu->kernels.linear[l].run;
    }
    if (!HAS_VARIANTS || strcmp(cpu->kernels.isa, "avx512bf16") != 0) {
        (void)fprintf(stderr, "bench_guarantee: the free kernels need avx512bf16\n");
        exit(EXIT_FAILURE);
    }
}

/* Fill the context that decode steps look back at. */
static void fill_context(bench *b)
{
    for (uint32_t s = 0; s < MAX_BATCH; s++) {
        const krs_step_seq seq = {0, CONTEXT, 0, BLOCKS_EACH, b->blocks + s * BLOCKS_EACH, 0};
        const krs_step step = {.n_rows = CONTEXT, .n_seqs = 1, .tokens = b->tokens, .seqs = &seq};
        krs_error err = KRS_ERROR_INIT;
        krs_step_result result;
        must(krs_exec_submit(b->exec, &step, &err), &err);
        must(krs_exec_collect(b->exec, &result, &err), &err);
    }
}

int main(int argc, char **argv)
{
    static bench b;
    uint32_t n_repeat = 11;
    for (int i = 2; i + 1 < argc; i += 2) {
        const uint32_t value = (uint32_t)strtoul(argv[i + 1], NULL, 10);
        b.n_threads = strcmp(argv[i], "--wall") == 0 ? value : b.n_threads;
        n_repeat = strcmp(argv[i], "--repeat") == 0 ? value : n_repeat;
    }
    if (argc < 2 || n_repeat < 1 || n_repeat > MAX_REPEAT) {
        (void)fprintf(stderr, "usage: bench_guarantee MODEL [--wall N] [--repeat 1..%d]\n",
                      MAX_REPEAT);
        return EXIT_FAILURE;
    }
    krs_error err = KRS_ERROR_INIT;
    krs_model *model = NULL;
    must(krs_model_open(argv[1], NULL, NULL, &model, &err), &err);
    open_bench(&b, krs_model_program(model));
    fill_context(&b);
    (void)printf("%s, %s, %s\n", argv[1], krs_backend_describe(b.backend),
                 b.n_threads > 0 ? "wall clock" : "CPU clock of one thread");
    for (size_t i = 0; i < N_CASES; i++) {
        run_case(&b, &cases[i], n_repeat);
    }
    krs_exec_free(b.exec);
    krs_backend_close(b.backend);
    krs_model_close(model);
    return EXIT_SUCCESS;
}
