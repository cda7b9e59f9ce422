/* support/parity.h - a small program on `ref` and on `cpu` with every instruction set, compared.
 *
 * A program is fed by an embedding whose rows are random: token i of its one sequence is i % n_vocab.
 * The relative RMS error against the reference must stay below a tolerance, and each row must have the
 * same bytes alone, in the batch, in smaller steps and with 1, 2 or 3 threads.
 *
 * Tolerances: f32 sums differ from the reference's double ones by rounding only (1e-6 and a margin);
 * avx512bf16 and neonbf16 round x to bf16 for bf16 weights: 2^-9 / sqrt(3) = 1.1e-3 relative RMS per element, and so
 * of the sum, with a margin of three. f16 and bf16 KV likewise: 2^-12, 2^-9. Every instruction set takes
 * x in bytes where weights are codes. An int8 code is off by half a step of 1/127 of the largest element
 * of its group or head: 1 / (127 sqrt 12) of that, which is two to three times the rms. Against ref with int8 KV nothing is left but rounding, and the rare
 * code that it tips over to its neighbour. */
#pragma once

#include "compute/cpu/isa.h"

#include "support/cmocka.h"
#include "support/isa.h"
#include "support/sanitized.h"
#include "support/tiny_decoder.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define PARITY_ROWS   17
#define PARITY_BLOCKS 64
#define TOL_F32       3e-6
#define TOL_BF16      3.3e-3
#define TOL_BYTES     7e-3 /* rows in bytes: off by up to 1/254 of a group's largest element each */
#define TOL_ACT       2e-6 /* approximated exp, tanh, erf */
#define TOL_KV_F16    1e-3
#define TOL_KV_BF16   6e-3
#define TOL_KV_I8     1.2e-2
#define TOL_SAME_I8   3e-4
#define TOL_ATTEND                                                                                 \
    6e-3 /* avx512bf16, any cache but f32: q, K, V, weights in bf16; errors add as squares */
#define PARITY_THREADS 3

/* What to run a program on. isa NULL: ref. */
typedef struct parity_machine {
    const char *isa;
    int32_t n_threads;
    krs_dtype kv_dtype;
} parity_machine;

typedef struct parity_runner {
    krs_backend *backend;
    krs_exec *exec;
    int64_t vocab;
} parity_runner;

static inline void parity_open(parity_runner *run, const krs_program *program, parity_machine on)
{
    krs_backend_options options = KRS_BACKEND_OPTIONS_INIT;
    options.isa = on.isa;
    options.n_threads = on.n_threads;
    const krs_exec_limits limits = {1024, 1, 1024, 0, PARITY_BLOCKS, on.kv_dtype, 1};
    krs_error err = KRS_ERROR_INIT;
    krs_status status =
        krs_backend_open(on.isa ? "cpu" : "ref", &options, NULL, &run->backend, &err);
    assert_int_equal(status, KRS_OK);
    status = krs_exec_new(run->backend, program, &limits, &run->exec, &err);
    if (status != KRS_OK) {
        fail_msg("%s", err.message);
    }
    run->vocab = program->slots[program->logits].width;
}

static inline void parity_close(parity_runner *run)
{
    krs_exec_free(run->exec);
    krs_backend_close(run->backend);
}

/* Tokens [n_past, n_past + n) of one sequence whose token i is i % n_vocab; logits of all into out. */
static inline void parity_step(parity_runner *run, uint32_t n_vocab, uint32_t n_past, uint32_t n,
                               float *out)
{
    uint32_t blocks[PARITY_BLOCKS];
    uint32_t tokens[1024];
    uint32_t rows[1024];
    for (uint32_t i = 0; i < PARITY_BLOCKS; i++) {
        blocks[i] = (i * 37 + 5) % PARITY_BLOCKS; /* 37 and 64 are coprime: each block once */
    }
    for (uint32_t i = 0; i < n; i++) {
        tokens[i] = (n_past + i) % n_vocab;
        rows[i] = i;
    }
    const krs_step_seq seq = {0, n, n_past, PARITY_BLOCKS, blocks, 0};
    const krs_step one = {n, 1, n, 0, tokens, &seq, rows, NULL, 0, NULL};
    krs_step_result result;
    krs_error err = KRS_ERROR_INIT;
    if (krs_exec_submit(run->exec, &one, &err) != KRS_OK) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(krs_exec_collect(run->exec, &result, NULL), KRS_OK);
    memcpy(out, result.logits, n * (size_t)run->vocab * sizeof(*out));
}

static inline double parity_rms(const float *got, const float *want, size_t n)
{
    double error = 0;
    double power = 0;
    for (size_t i = 0; i < n; i++) {
        const double d = (double)got[i] - (double)want[i];
        error += d * d;
        power += (double)want[i] * (double)want[i];
    }
    return sqrt(error / power);
}

static inline float *parity_rows(int64_t n_rows, int64_t width)
{
    float *rows = krs_alloc_array(NULL, (size_t)(n_rows * width), sizeof(*rows));
    assert_non_null(rows);
    return rows;
}

/* Is every row the same alone, in the batch, and on more threads? */
static inline void parity_check_rows(const krs_program *program, parity_machine on,
                                     const float *batch, const char *name)
{
    const size_t width = (size_t)program->slots[program->logits].width;
    float *other = parity_rows(PARITY_ROWS, (int64_t)width);
    const int32_t fewest = KRS_IS_SANITIZED ? PARITY_THREADS : 1;
    for (int32_t n_threads = fewest; n_threads <= PARITY_THREADS; n_threads++) {
        parity_runner run;
        parity_open(&run, program, (parity_machine){on.isa, n_threads, on.kv_dtype});
        parity_step(&run, PARITY_ROWS, 0, PARITY_ROWS, other);
        if (memcmp(batch, other, PARITY_ROWS * width * sizeof(*other)) != 0) {
            fail_msg("%s on %s: %d threads give other bytes", name, on.isa, n_threads);
        }
        uint32_t at = program->is_whole ? PARITY_ROWS : 0; /* whole is the only way there is */
        for (uint32_t n = 1; at < PARITY_ROWS; at += n, n = n % 6 + 1) { /* 1 2 3 4 5 2 */
            const uint32_t m = at + n < PARITY_ROWS ? n : PARITY_ROWS - at;
            parity_step(&run, PARITY_ROWS, at, m, other + at * width);
        }
        if (memcmp(batch, other, PARITY_ROWS * width * sizeof(*other)) != 0) {
            fail_msg("%s on %s: rows in smaller steps have other bytes", name, on.isa);
        }
        parity_close(&run);
    }
    krs_alloc_free(NULL, other);
}

static inline double parity_tolerance(const char *isa, double plain, double bf16)
{
    return isa_rounds_to_bf16(isa) ? bf16 : plain;
}

/* The parity_tolerance against ref with the KV of want_dtype. */
typedef struct parity_tolerances {
    double plain;
    double bf16; /* of those that round x for bf16 weights */
} parity_tolerances;

static inline void parity_check_against(const krs_program *program, krs_dtype want_dtype,
                                        krs_dtype kv_dtype, parity_tolerances tol, const char *name)
{
    const int64_t width = program->slots[program->logits].width;
    float *want = parity_rows(PARITY_ROWS, width);
    float *got = parity_rows(PARITY_ROWS, width);
    parity_runner run;
    parity_open(&run, program, (parity_machine){NULL, 1, want_dtype});
    parity_step(&run, PARITY_ROWS, 0, PARITY_ROWS, want);
    parity_close(&run);
    for (uint32_t i = 0; krs_cpu_isa_name(i); i++) {
        const parity_machine on = {krs_cpu_isa_name(i), 1, kv_dtype};
        if (!krs_cpu_isa_is_here(on.isa)) {
            continue;
        }
        parity_open(&run, program, on);
        parity_step(&run, PARITY_ROWS, 0, PARITY_ROWS, got);
        parity_close(&run);
        const double rms = parity_rms(got, want, (size_t)(PARITY_ROWS * width));
        const bool is_rounded = kv_dtype != KRS_DTYPE_F32 && isa_attends_in_bf16(on.isa);
        const double attend = is_rounded ? TOL_ATTEND : 0;
        const double limit = parity_tolerance(on.isa, tol.plain, hypot(tol.bf16, attend));
        if (!(rms <= limit)) { /* NaN fails too */
            fail_msg("%s on %s: relative RMS error %.3g, want %.3g", name, on.isa, rms, limit);
        }
        parity_check_rows(program, on, got, name);
    }
    krs_alloc_free(NULL, want);
    krs_alloc_free(NULL, got);
}

static inline void parity_check(const krs_program *program, krs_dtype kv_dtype, double plain,
                                double bf16, const char *name)
{
    parity_check_against(program, KRS_DTYPE_F32, kv_dtype, (parity_tolerances){plain, bf16}, name);
}

/* A program whose rows are PARITY_ROWS random vectors of `width` in slot 0. */
static inline void parity_start(tiny_decoder *tiny, int64_t width, uint64_t seed)
{
    *tiny = (tiny_decoder){.random = seed * 2 + 1};
    krs_program_init(&tiny->program, NULL);
    tiny->program.max_positions = 4096;
    const tiny_shape f32 = {.dtype = KRS_DTYPE_F32};
    const krs_slot x = tiny_slot(tiny, width, KRS_ROWS_ALL);
    const uint32_t rows = tiny_matrix(tiny, &f32, PARITY_ROWS, width, 0, 1.0f);
    tiny_op(tiny, (krs_op){.kind = KRS_OP_EMBED, .out = x, .matrix = rows, .embed = {1.0f}});
}

static inline void parity_take_out(tiny_decoder *tiny, krs_slot from)
{
    tiny->program.logits = tiny_slot(tiny, tiny->program.slots[from].width, KRS_ROWS_LOGITS);
    tiny_op(tiny, (krs_op){.kind = KRS_OP_TAKE_ROWS, .in = from, .out = tiny->program.logits});
}
