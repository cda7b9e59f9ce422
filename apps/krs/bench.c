/* apps/krs/bench.c - see bench.h. Tokens are pseudo-random so that embedding rows are not all one
 * cached line; the next token of a stream is the best logit, so work cannot be skipped. */
#include "bench.h"

#include "base/check.h"
#include "os/clock.h"

#include <stdlib.h>

struct krs_bench {
    krs_bench_options options;
    krs_exec *exec;
    int64_t vocab;
    uint32_t n_blocks_each; /* table length of one stream */
    uint32_t *tokens;       /* [max(chunk, streams)] */
    uint32_t *rows;         /* [streams]: 0, 1, 2 ... */
    uint32_t *tables;       /* [streams, n_blocks_each] */
    krs_step_seq *seqs;     /* [streams] */
};

/* Stream 0 owns blocks 0 .. n - 1; the others share its full prompt blocks and own the rest. */
static uint32_t fill_tables(krs_bench *b)
{
    const uint32_t n_shared = b->options.n_prompt_tokens / KRS_KV_BLOCK_TOKENS;
    uint32_t next = 0;
    for (uint32_t s = 0; s < b->options.n_streams; s++) {
        uint32_t *table = b->tables + (size_t)s * b->n_blocks_each;
        for (uint32_t i = 0; i < b->n_blocks_each; i++) {
            table[i] = s > 0 && i < n_shared ? b->tables[i] : next++;
        }
    }
    return next;
}

static krs_status open_exec(krs_bench *b, krs_backend *backend, const krs_model *model,
                            krs_dtype kv_dtype, krs_error *err)
{
    const uint32_t n_streams = b->options.n_streams;
    krs_exec_limits limits = {
        .max_rows = n_streams > KRS_BENCH_CHUNK_TOKENS ? n_streams : KRS_BENCH_CHUNK_TOKENS,
        .max_seqs = n_streams,
        .max_logit_rows = n_streams,
        .n_kv_blocks = fill_tables(b),
        .kv_dtype = kv_dtype,
        .n_state_slots = n_streams,
    };
    return krs_exec_new(backend, krs_model_program(model), &limits, &b->exec, err);
}

krs_status krs_bench_new(krs_backend *backend, const krs_model *model,
                         const krs_bench_options *options, krs_dtype kv_dtype, krs_bench **out,
                         krs_error *err)
{
    *out = NULL;
    const krs_model_config *config = krs_model_config_of(model);
    const uint64_t n_tokens = (uint64_t)options->n_prompt_tokens + options->n_gen_tokens;
    if (n_tokens > (uint64_t)config->max_positions) {
        return krs_fail(err, KRS_EINVAL, "bench: %llu tokens, the model's context is %lld",
                        (unsigned long long)n_tokens, (long long)config->max_positions);
    }
    krs_bench *b = krs_alloc_zero(NULL, sizeof(*b));
    if (!b) {
        return krs_fail(err, KRS_ENOMEM, "bench: out of memory");
    }
    const uint32_t n_streams = options->n_streams;
    b->options = *options;
    b->vocab = config->vocab;
    b->n_blocks_each = (uint32_t)((n_tokens + KRS_KV_BLOCK_TOKENS - 1) / KRS_KV_BLOCK_TOKENS);
    b->tokens = krs_alloc_array(NULL, n_streams + KRS_BENCH_CHUNK_TOKENS, sizeof(uint32_t));
    b->rows = krs_alloc_array(NULL, n_streams, sizeof(uint32_t));
    b->tables = krs_alloc_array(NULL, (size_t)n_streams * b->n_blocks_each, sizeof(uint32_t));
    b->seqs = krs_alloc_array(NULL, n_streams, sizeof(krs_step_seq));
    krs_status status = b->tokens && b->rows && b->tables && b->seqs
                            ? open_exec(b, backend, model, kv_dtype, err)
                            : krs_fail(err, KRS_ENOMEM, "bench: out of memory");
    if (status != KRS_OK) {
        krs_bench_free(b);
        return status;
    }
    *out = b;
    return KRS_OK;
}

void krs_bench_free(krs_bench *bench)
{
    if (bench) {
        krs_exec_free(bench->exec);
        krs_alloc_free(NULL, bench->tokens);
        krs_alloc_free(NULL, bench->rows);
        krs_alloc_free(NULL, bench->tables);
        krs_alloc_free(NULL, bench->seqs);
        krs_alloc_free(NULL, bench);
    }
}

static krs_status run_step(krs_bench *b, const krs_step *step, krs_step_result *result,
                           krs_error *err)
{
    const krs_status status = krs_exec_submit(b->exec, step, err);
    return status == KRS_OK ? krs_exec_collect(b->exec, result, err) : status;
}

/* Knuth's multiplicative hash of the position: spread over the vocabulary, the same every run. */
static uint32_t some_token(const krs_bench *b, uint32_t position)
{
    return (uint32_t)((position * UINT64_C(2654435761)) % (uint64_t)b->vocab);
}

static krs_status prefill(krs_bench *b, krs_error *err)
{
    krs_status status = KRS_OK;
    uint32_t n_past = 0;
    while (status == KRS_OK && n_past < b->options.n_prompt_tokens) {
        const uint32_t left = b->options.n_prompt_tokens - n_past;
        const uint32_t n = left < KRS_BENCH_CHUNK_TOKENS ? left : KRS_BENCH_CHUNK_TOKENS;
        for (uint32_t i = 0; i < n; i++) {
            b->tokens[i] = some_token(b, n_past + i);
        }
        const uint32_t last = n - 1;
        const krs_step_seq seq = {0, n, n_past, b->n_blocks_each, b->tables, 0};
        const krs_step step = {
            .n_rows = n,
            .n_seqs = 1,
            .n_logit_rows = left == n ? 1 : 0,
            .tokens = b->tokens,
            .seqs = &seq,
            .logit_rows = &last,
        };
        krs_step_result result;
        status = run_step(b, &step, &result, err);
        n_past += n;
    }
    return status;
}

static uint32_t best_of(const float *logits, int64_t n)
{
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++) {
        best = logits[i] > logits[best] ? i : best;
    }
    return (uint32_t)best;
}

static krs_status decode(krs_bench *b, krs_error *err)
{
    const uint32_t n_streams = b->options.n_streams;
    krs_status status = KRS_OK;
    for (uint32_t s = 0; s < n_streams; s++) {
        b->tokens[s] = some_token(b, s);
        b->rows[s] = s;
    }
    for (uint32_t i = 0; status == KRS_OK && i < b->options.n_gen_tokens; i++) {
        for (uint32_t s = 0; s < n_streams; s++) {
            b->seqs[s] = (krs_step_seq){s,
                                        1,
                                        b->options.n_prompt_tokens + i,
                                        b->n_blocks_each,
                                        b->tables + (size_t)s * b->n_blocks_each,
                                        s};
        }
        const krs_step step = {
            .n_rows = n_streams,
            .n_seqs = n_streams,
            .n_logit_rows = n_streams,
            .tokens = b->tokens,
            .seqs = b->seqs,
            .logit_rows = b->rows,
        };
        krs_step_result result;
        status = run_step(b, &step, &result, err);
        for (uint32_t s = 0; status == KRS_OK && s < n_streams; s++) {
            b->tokens[s] = best_of(result.logits + (size_t)s * (size_t)b->vocab, b->vocab);
        }
    }
    return status;
}

krs_status krs_bench_run(krs_bench *bench, krs_bench_times *out, krs_error *err)
{
    const uint64_t t0 = krs_os_now_ns();
    krs_status status = prefill(bench, err);
    const uint64_t t1 = krs_os_now_ns();
    if (status == KRS_OK) {
        status = decode(bench, err);
    }
    *out = (krs_bench_times){(double)(t1 - t0) / 1e9, (double)(krs_os_now_ns() - t1) / 1e9};
    return status;
}

static int compare(const void *a, const void *b)
{
    double x;
    double y;
    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return (x > y) - (x < y);
}

double krs_bench_median(const double *values, uint32_t n)
{
    double sorted[KRS_BENCH_MAX_RUNS];
    KRS_CHECK(n > 0 && n <= KRS_BENCH_MAX_RUNS);
    memcpy(sorted, values, n * sizeof(*values));
    qsort(sorted, n, sizeof(*sorted), compare);
    return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}
