/* apps/krs/bench.h - prefill and decode of one model, timed at the backend port: what the kernels and
 * the step machinery give, without sampling and HTTP around them.
 *
 * Thread: main.  Memory: one exec for the run. */
#pragma once

#include "api/config.h"
#include "compute/backend.h"
#include "model/model.h"

#define KRS_BENCH_MAX_RUNS     1000u /* --repeat ends there */
#define KRS_BENCH_CHUNK_TOKENS 512   /* prompt tokens of one step, as a server would cut them */

typedef struct krs_bench_options {
    uint32_t n_prompt_tokens;
    uint32_t n_gen_tokens;
    uint32_t n_streams; /* decoded together; they share the prompt's full KV blocks */
} krs_bench_options;

typedef struct krs_bench krs_bench;

/* Compile the model's program for these options. backend, model: borrowed, outlive the bench.
 * Errors: those of krs_exec_new; KRS_EINVAL when the tokens do not fit the model's context. */
KRS_MUST_USE krs_status krs_bench_new(krs_backend *backend, const krs_model *model,
                                      const krs_bench_options *options, krs_dtype kv_dtype,
                                      krs_bench **out, krs_error *err);
void krs_bench_free(krs_bench *bench);

typedef struct krs_bench_times {
    double prefill_s; /* all prompt tokens of one sequence */
    double decode_s;  /* n_gen_tokens steps of n_streams rows */
} krs_bench_times;

/* One run from an empty KV cache. */
KRS_MUST_USE krs_status krs_bench_run(krs_bench *bench, krs_bench_times *out, krs_error *err);

/* Of values[n], in any order; n: 1 .. KRS_BENCH_MAX_RUNS. */
double krs_bench_median(const double *values, uint32_t n);
