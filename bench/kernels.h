/* bench/kernels.h - what the benchmarks of the cpu backend's ops share: programs, their times, ceilings.
 *
 * Options: [--threads N] [--isa NAME] [--seconds S] [--only WORD]... [--rows N] [--cpu-clock]
 *
 * The ceilings (read bandwidth, rates of products) are measured in the same run, with the same threads. Ops run
 * through the backend port, so forks, packing and checks are in the time, as they are when a model runs.
 * The best of the steps that fit into the time counts: other load on the machine only ever slows.
 * Weights are arbitrary bytes that make ordinary numbers; time does not depend on them. --cpu-clock
 * takes one thread's CPU time instead of the wall's: the only honest figure on a machine that other work
 * keeps busy.
 *
 * Included once per benchmark, first of all, for _POSIX_C_SOURCE. */
#pragma once

#define _POSIX_C_SOURCE 200809L /* clock_gettime */
#include "base/alloc.h"
#include "base/str.h"
#include "compute/backend.h"
#include "compute/cpu/ceiling.h"
#include "os/clock.h"

#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COLD_BYTES   (UINT64_C(192) << 20) /* of weights per turn: several times a shared L3 */
#define MAX_COPIES   256
#define MAX_WORDS    4
#define KV_POSITIONS 4096
#define BF16_CODE    0x3C003C00u /* two bf16 values of 0.0078: what every weight word holds */

typedef struct settings {
    krs_backend_options backend;
    double seconds;
    const char *only[MAX_WORDS]; /* names must have every one of these */
    int n_only;
    uint32_t n_rows; /* only so many; 0: all of row_counts */
    bool is_cpu_clock;
    double bytes_per_s;
    double ops_per_s[KRS_CPU_DOT_COUNT]; /* 0: the instruction set has no such product */
} settings;

typedef struct layout {
    const char *name;
    krs_dtype dtype;
    krs_quant quant;
    krs_dtype scale_dtype;
    unsigned char scale_byte; /* every byte of scales of one byte: about 1 in the kind's format */
} layout;

/* Every way a matrix is served; the first is the plain one. */
static const layout layouts[] = {
    {"bf16", KRS_DTYPE_BF16, {KRS_QUANT_NONE, 0, 0}, KRS_DTYPE_BF16, 0},
    {"affine2", KRS_DTYPE_U32, {KRS_QUANT_AFFINE, 2, 64}, KRS_DTYPE_BF16, 0},
    {"affine3", KRS_DTYPE_U32, {KRS_QUANT_AFFINE, 3, 64}, KRS_DTYPE_BF16, 0},
    {"affine4", KRS_DTYPE_U32, {KRS_QUANT_AFFINE, 4, 64}, KRS_DTYPE_BF16, 0},
    {"affine5", KRS_DTYPE_U32, {KRS_QUANT_AFFINE, 5, 64}, KRS_DTYPE_BF16, 0},
    {"affine6", KRS_DTYPE_U32, {KRS_QUANT_AFFINE, 6, 64}, KRS_DTYPE_BF16, 0},
    {"affine8", KRS_DTYPE_U32, {KRS_QUANT_AFFINE, 8, 64}, KRS_DTYPE_BF16, 0},
    {"mxfp4", KRS_DTYPE_U32, {KRS_QUANT_MXFP4, 4, 32}, KRS_DTYPE_U8, 0x7F},
    {"nvfp4", KRS_DTYPE_U32, {KRS_QUANT_NVFP4, 4, 16}, KRS_DTYPE_U8, 0x38},
    {"q4_k", KRS_DTYPE_U8, {KRS_QUANT_GGUF_Q4_K, 4, 256}, KRS_DTYPE_F16, 0},
    {"q6_k", KRS_DTYPE_U8, {KRS_QUANT_GGUF_Q6_K, 6, 256}, KRS_DTYPE_F16, 0},
    {"q8_0", KRS_DTYPE_U8, {KRS_QUANT_GGUF_Q8_0, 8, 32}, KRS_DTYPE_F16, 0},
};
enum { N_LAYOUTS = sizeof(layouts) / sizeof(layouts[0]) };

static const uint32_t row_counts[] = {1, 8, 32, 512};
enum { N_ROW_COUNTS = sizeof(row_counts) / sizeof(row_counts[0]) };

static inline void die(const char *what, const krs_error *err)
{
    (void)fprintf(stderr, "bench_kernels: %s: %s\n", what, err->message);
    exit(EXIT_FAILURE);
}

static inline void must(krs_status status, const char *what, const krs_error *err)
{
    if (status != KRS_OK) {
        die(what, err);
    }
}

/* Programs that do the same to different weights, run in turn so that no cache keeps the weights. */
typedef struct rotation {
    krs_program *programs; /* [n] */
    krs_exec **execs;      /* [n] */
    uint32_t n;
} rotation;

static inline uint64_t clock_ns(const settings *set)
{
    struct timespec t;
    if (!set->is_cpu_clock || clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) != 0) {
        return krs_os_now_ns();
    }
    return (uint64_t)t.tv_sec * KRS_NS_PER_S + (uint64_t)t.tv_nsec;
}

/* Seconds of the fastest step that fits into the time, and through at least two turns. */
static inline double time_steps(const settings *set, const rotation *rot, const krs_step *step)
{
    krs_error err = KRS_ERROR_INIT;
    krs_step_result result;
    uint64_t best_ns = UINT64_MAX;
    const uint64_t end_ns = krs_os_now_ns() + (uint64_t)(set->seconds * 1e9);
    for (uint32_t i = 0; i < 2 * rot->n || krs_os_now_ns() < end_ns; i++) {
        krs_exec *exec = rot->execs[i % rot->n];
        const uint64_t start_ns = clock_ns(set);
        must(krs_exec_submit(exec, step, &err), "submit", &err);
        must(krs_exec_collect(exec, &result, &err), "collect", &err);
        const uint64_t took_ns = clock_ns(set) - start_ns;
        best_ns =
            took_ns < best_ns && i >= rot->n ? took_ns : best_ns; /* the first turn warms up */
    }
    return (double)best_ns * 1e-9;
}

static inline void *new_array(size_t n, size_t item_bytes)
{
    void *items = krs_alloc_array(NULL, n, item_bytes);
    if (!items) {
        (void)fprintf(stderr, "bench_kernels: %zu items: out of memory\n", n);
        exit(EXIT_FAILURE);
    }
    return items;
}

/* Write K and V of the positions before n_past, n_rows at a time: a cache never written is one page of
 * zeros to the processor, and would be read from the L1. */
static inline void fill_cache(const rotation *rot, krs_step step, krs_step_seq seq)
{
    const uint32_t n_past = seq.n_past;
    const uint32_t n_rows = step.n_rows;
    krs_error err = KRS_ERROR_INIT;
    krs_step_result result;
    step.seqs = &seq;
    step.n_logit_rows = 0;
    for (uint32_t at = 0; at < n_past; at += n_rows) {
        seq.n_past = at;
        seq.n_rows = step.n_rows = n_past - at < n_rows ? n_past - at : n_rows;
        for (uint32_t i = 0; i < rot->n; i++) {
            must(krs_exec_submit(rot->execs[i], &step, &err), "fill", &err);
            must(krs_exec_collect(rot->execs[i], &result, &err), "fill", &err);
        }
    }
}

/* Run the programs with n_rows new rows after n_past and give the best time. */
static inline double time_programs(const settings *set, rotation *rot, uint32_t n_rows,
                                   uint32_t n_past, krs_dtype kv_dtype)
{
    krs_error err = KRS_ERROR_INIT;
    krs_backend *backend;
    const uint32_t n_blocks = (n_past + n_rows) / KRS_KV_BLOCK_TOKENS + 1;
    const krs_exec_limits limits = {n_rows, 1, 1, 0, n_blocks, kv_dtype, 0};
    rot->execs = new_array(rot->n, sizeof(*rot->execs));
    must(krs_backend_open("cpu", &set->backend, NULL, &backend, &err), "open", &err);
    for (uint32_t i = 0; i < rot->n; i++) {
        must(krs_exec_new(backend, &rot->programs[i], &limits, &rot->execs[i], &err), "exec", &err);
    }
    uint32_t *tokens = new_array(n_rows, sizeof(*tokens));
    for (uint32_t i = 0; i < n_rows; i++) {
        tokens[i] = i % (uint32_t)rot->programs[0].matrices[0].n_out; /* the embedding */
    }
    uint32_t *blocks = new_array(n_blocks, sizeof(*blocks));
    for (uint32_t i = 0; i < n_blocks; i++) {
        blocks[i] = i;
    }
    const krs_step_seq seq = {0, n_rows, n_past, n_blocks, blocks, 0};
    const uint32_t last = n_rows - 1;
    const krs_step step = {n_rows, 1, 1, 0, tokens, &seq, &last, NULL, 0, NULL};
    fill_cache(rot, step, seq);
    const double best_s = time_steps(set, rot, &step);
    krs_alloc_free(NULL, tokens);
    krs_alloc_free(NULL, blocks);
    for (uint32_t i = 0; i < rot->n; i++) {
        krs_exec_free(rot->execs[i]);
    }
    krs_alloc_free(NULL, rot->execs);
    krs_backend_close(backend);
    return best_s;
}

static inline krs_slot add_slot(krs_program *program, int64_t width, krs_rows rows)
{
    krs_slot slot = 0;
    const krs_error err = {.message = "slot"};
    must(krs_program_add_slot(program, width, rows, &slot), "program", &err);
    return slot;
}

static inline void add_op(krs_program *program, krs_op op)
{
    const krs_error err = {.message = "op"};
    must(krs_program_add_op(program, &op), "program", &err);
}

static inline krs_matrix matrix_of(const layout *as, int64_t n_out, int64_t n_in)
{
    return (krs_matrix){.n_out = n_out,
                        .n_in = n_in,
                        .quant = as->quant,
                        .dtype = as->dtype,
                        .scale_dtype = as->scale_dtype};
}

/* Codes, scales and biases. */
static inline size_t matrix_bytes(const layout *as, int64_t n_out, int64_t n_in)
{
    const krs_matrix m = matrix_of(as, n_out, n_in);
    return krs_matrix_data_bytes(&m) + krs_matrix_scale_bytes(&m);
}

/* bytes: as many as matrix_bytes; scales of one byte are written into them. */
static inline uint32_t add_matrix(krs_program *program, const layout *as, int64_t n_out,
                                  int64_t n_in, unsigned char *bytes)
{
    uint32_t index = 0;
    const krs_error err = {.message = "matrix"};
    krs_matrix m = matrix_of(as, n_out, n_in);
    m.data = bytes;
    if (krs_quant_has_scales(as->quant.kind)) {
        unsigned char *scales = bytes + krs_matrix_data_bytes(&m);
        m.scales = scales;
        if (as->scale_byte) {
            memset(scales, as->scale_byte, krs_matrix_scale_bytes(&m));
        }
        if (krs_quant_has_biases(as->quant.kind)) {
            m.biases = scales + krs_matrix_scale_bytes(&m) / 2;
        }
    }
    must(krs_program_add_matrix(program, &m, &index), "program", &err);
    return index;
}

/* A program that embeds its rows into slot 0 of `width`. bytes: width bf16 values. */
static inline void start_program(krs_program *program, int64_t width, unsigned char *bytes)
{
    krs_program_init(program, NULL);
    program->max_positions = 2 * KV_POSITIONS;
    const krs_slot x = add_slot(program, width, KRS_ROWS_ALL);
    const uint32_t row = add_matrix(program, &layouts[0], 1, width, bytes);
    add_op(program, (krs_op){.kind = KRS_OP_EMBED, .out = x, .matrix = row, .embed = {1.0f}});
}

static inline void finish_program(krs_program *program, krs_slot from)
{
    program->logits = add_slot(program, program->slots[from].width, KRS_ROWS_LOGITS);
    add_op(program, (krs_op){.kind = KRS_OP_TAKE_ROWS, .in = from, .out = program->logits});
}

static inline unsigned char *new_words(size_t n_bytes)
{
    uint32_t *words = krs_alloc_bytes(NULL, n_bytes);
    if (!words) {
        (void)fprintf(stderr, "bench_kernels: %zu bytes: out of memory\n", n_bytes);
        exit(EXIT_FAILURE);
    }
    for (size_t i = 0; i < n_bytes / sizeof(*words); i++) {
        words[i] = BF16_CODE;
    }
    return (unsigned char *)words;
}

/* Time, bytes and operations of a step, and what share of each ceiling they are: 100 % of one is all that
 * the machine can do. */
static inline void report(const settings *set, const char *name, uint32_t n_rows, double seconds,
                          double n_bytes, double n_ops)
{
    printf("%-34s %4u %10.1f %8.2f %9.1f  %5.1f", name, n_rows, seconds * 1e6,
           n_bytes / seconds * 1e-9, n_ops / seconds * 1e-9,
           100.0 * n_bytes / seconds / set->bytes_per_s);
    for (krs_cpu_dot dot = KRS_CPU_DOT_F32; dot < KRS_CPU_DOT_COUNT; dot++) {
        if (set->ops_per_s[dot] > 0) {
            printf("  %5.1f", 100.0 * n_ops / seconds / set->ops_per_s[dot]);
        } else {
            printf("      -");
        }
    }
    printf("\n");
    (void)fflush(stdout);
}

static inline bool is_wanted(const settings *set, const char *name)
{
    for (int i = 0; i < set->n_only; i++) {
        if (krs_str_find(krs_str_of(name), krs_str_of(set->only[i]), 0) == SIZE_MAX) {
            return false;
        }
    }
    return true;
}

static inline bool is_wanted_rows(const settings *set, uint32_t n_rows)
{
    return set->n_rows == 0 || set->n_rows == n_rows;
}

static inline void measure_ceilings(settings *set)
{
    krs_error err = KRS_ERROR_INIT;
    const uint32_t n = (uint32_t)set->backend.n_threads;
    krs_cpu_read_rates rates;
    must(krs_cpu_read_bandwidth(n, NULL, &rates, &err), "read bandwidth", &err);
    set->bytes_per_s = rates.best;
    printf("ceilings: read %.1f GB/s", rates.best * 1e-9);
    for (krs_cpu_dot dot = KRS_CPU_DOT_F32; dot < KRS_CPU_DOT_COUNT; dot++) {
        must(krs_cpu_dot_rate(n, set->backend.isa, dot, NULL, &set->ops_per_s[dot], &err),
             "dot rate", &err);
        printf(", %s %.0f Gop/s", krs_cpu_dot_name(dot), set->ops_per_s[dot] * 1e-9);
    }
    printf("\n");
}

static inline void print_machine(const settings *set)
{
    krs_error err = KRS_ERROR_INIT;
    krs_backend *backend;
    must(krs_backend_open("cpu", &set->backend, NULL, &backend, &err), "open", &err);
    printf("%s\n", krs_backend_describe(backend));
    krs_backend_close(backend);
}

/* Settings of the command line, the machine and its ceilings printed, and the head of the table. */
static inline settings start_bench(int argc, char **argv)
{
    static const struct option options[] = {{"threads", required_argument, NULL, 't'},
                                            {"isa", required_argument, NULL, 'i'},
                                            {"seconds", required_argument, NULL, 's'},
                                            {"only", required_argument, NULL, 'o'},
                                            {"rows", required_argument, NULL, 'r'},
                                            {"cpu-clock", no_argument, NULL, 'c'},
                                            {NULL, 0, NULL, 0}};
    settings set = {.backend = KRS_BACKEND_OPTIONS_INIT, .seconds = 0.3};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 't':
            set.backend.n_threads = (int32_t)strtol(optarg, NULL, 10);
            break;
        case 'i':
            set.backend.isa = optarg;
            break;
        case 's':
            set.seconds = strtod(optarg, NULL);
            break;
        case 'o':
            set.only[set.n_only < MAX_WORDS ? set.n_only++ : MAX_WORDS - 1] = optarg;
            break;
        case 'r':
            set.n_rows = (uint32_t)strtoul(optarg, NULL, 10);
            break;
        case 'c':
            set.is_cpu_clock = true;
            set.backend.n_threads = 1;
            break;
        default:
            exit(EXIT_FAILURE);
        }
    }
    print_machine(&set);
    measure_ceilings(&set);
    printf("%-34s %4s %10s %8s %9s  %% of %s\n", "op", "rows", "us", "GB/s", "Gop/s",
           "read   f32    bf16   int8");
    return set;
}
