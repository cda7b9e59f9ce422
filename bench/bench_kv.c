/* bench/bench_kv.c - what the type of the KV cache costs in quality.
 *
 * The same tokens run with K and V in f32, f16, bf16 and int8; every position's logits are compared with
 * those of f32. Everything else is the same, so the differences are the cache's alone:
 *
 *   relative RMS   of all logits
 *   KL             mean over positions, in nats: sum p ln (p / q), p with f32
 *   top            positions whose likeliest token is the same
 *   perplexity     of the given tokens themselves, exp of the mean of -ln p(next)
 *
 * Tokens are run in steps of CHUNK as a server would; that changes no bit (docs/numerics.md).
 *
 * usage: bench_kv MODEL FILE [ISA]     FILE: token ids in decimal, any separators; ISA: of the cpu */
#include "compute/backend.h"
#include "model/model.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_TOKENS = 8192, CHUNK = 256 };

typedef struct score {
    double error; /* sum of squared differences */
    double power; /* of squared logits in f32 */
    double kl;
    double nats; /* -ln p of the tokens that came */
    uint32_t n_same_top;
} score;

static void fail(const krs_error *err)
{
    (void)fprintf(stderr, "bench_kv: %s\n", err->message);
    exit(EXIT_FAILURE);
}

static void must(krs_status status, const krs_error *err)
{
    if (status != KRS_OK) {
        fail(err);
    }
}

static void *take(size_t n, size_t item_bytes)
{
    void *items = krs_alloc_array(NULL, n, item_bytes);
    const krs_error err = {.message = "out of memory"};
    if (!items) {
        fail(&err);
    }
    return items;
}

static uint32_t read_ids(const char *path, uint32_t *ids)
{
    const krs_error err = {.message =
                               "the file of token ids cannot be read, or holds fewer than 2"};
    FILE *file = fopen(path, "r");
    uint32_t n = 0;
    for (int c = file ? fgetc(file) : EOF; c != EOF && n < MAX_TOKENS;) {
        if (!isdigit(c)) {
            c = fgetc(file);
            continue;
        }
        ids[n] = 0;
        for (; isdigit(c); c = fgetc(file)) {
            ids[n] = ids[n] * 10 + (uint32_t)(c - '0');
        }
        n++;
    }
    if (!file || fclose(file) != 0 || n < 2) {
        fail(&err);
    }
    return n;
}

/* Logits of all tokens with one type of KV, into out[n, vocab]. */
static void run(krs_backend *backend, const krs_program *program, krs_dtype kv_dtype,
                const uint32_t *ids, uint32_t n, float *out)
{
    krs_error err = KRS_ERROR_INIT;
    krs_exec *exec = NULL;
    const uint32_t n_blocks = (n + KRS_KV_BLOCK_TOKENS - 1) / KRS_KV_BLOCK_TOKENS;
    const krs_exec_limits limits = {
        .max_rows = CHUNK,
        .max_seqs = 1,
        .max_logit_rows = CHUNK,
        .n_kv_blocks = n_blocks,
        .kv_dtype = kv_dtype,
    };
    must(krs_exec_new(backend, program, &limits, &exec, &err), &err);
    uint32_t *blocks = take(n_blocks, sizeof(*blocks));
    uint32_t rows[CHUNK];
    for (uint32_t i = 0; i < n_blocks; i++) {
        blocks[i] = i;
    }
    for (uint32_t i = 0; i < CHUNK; i++) {
        rows[i] = i;
    }
    const size_t vocab = (size_t)program->slots[program->logits].width;
    for (uint32_t at = 0; at < n; at += CHUNK) {
        const uint32_t n_rows = n - at < CHUNK ? n - at : CHUNK;
        const krs_step_seq seq = {0, n_rows, at, n_blocks, blocks, 0};
        const krs_step step = {
            .n_rows = n_rows,
            .n_seqs = 1,
            .n_logit_rows = n_rows,
            .tokens = ids + at,
            .seqs = &seq,
            .logit_rows = rows,
        };
        krs_step_result result;
        must(krs_exec_submit(exec, &step, &err), &err);
        must(krs_exec_collect(exec, &result, &err), &err);
        memcpy(out + at * vocab, result.logits, n_rows * vocab * sizeof(*out));
    }
    krs_alloc_free(NULL, blocks);
    krs_exec_free(exec);
}

static size_t best_of(const float *logits, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++) {
        best = logits[i] > logits[best] ? i : best;
    }
    return best;
}

/* ln sum exp. */
static double log_sum(const float *logits, size_t n)
{
    const double top = (double)logits[best_of(logits, n)];
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += exp((double)logits[i] - top);
    }
    return top + log(sum);
}

static void add_position(score *s, const float *got, const float *want, size_t vocab)
{
    const double got_log = log_sum(got, vocab);
    const double want_log = log_sum(want, vocab);
    for (size_t i = 0; i < vocab; i++) {
        const double g = (double)got[i];
        const double w = (double)want[i];
        s->error += (g - w) * (g - w);
        s->power += w * w;
        s->kl += exp(w - want_log) * ((w - want_log) - (g - got_log));
    }
    s->n_same_top += best_of(got, vocab) == best_of(want, vocab);
}

static void compare(krs_dtype kv_dtype, const float *got, const float *want, size_t vocab,
                    const uint32_t *ids, uint32_t n)
{
    score s = {0};
    for (uint32_t p = 0; p < n; p++) {
        add_position(&s, got + p * vocab, want + p * vocab, vocab);
        if (p + 1 < n) {
            s.nats += log_sum(got + p * vocab, vocab) - (double)got[p * vocab + ids[p + 1]];
        }
    }
    (void)printf("%-4s  relative RMS %.2e  KL %.2e  top %u of %u  perplexity %.4f\n",
                 krs_dtype_name(kv_dtype), sqrt(s.error / s.power), s.kl / n, s.n_same_top, n,
                 exp(s.nats / (n - 1)));
}

int main(int argc, char **argv)
{
    static const krs_dtype dtypes[] = {KRS_DTYPE_F32, KRS_DTYPE_F16, KRS_DTYPE_BF16, KRS_DTYPE_I8};
    static uint32_t ids[MAX_TOKENS];
    if (argc < 3) {
        (void)fprintf(stderr, "usage: bench_kv MODEL FILE [ISA]\n");
        return EXIT_FAILURE;
    }
    krs_error err = KRS_ERROR_INIT;
    krs_model *model = NULL;
    krs_backend *backend = NULL;
    must(krs_model_open(argv[1], NULL, NULL, &model, &err), &err);
    krs_backend_options options = KRS_BACKEND_OPTIONS_INIT;
    options.isa = argc > 3 ? argv[3] : NULL;
    must(krs_backend_open("cpu", &options, NULL, &backend, &err), &err);
    const krs_program *program = krs_model_program(model);
    const size_t vocab = (size_t)program->slots[program->logits].width;
    const uint32_t n = read_ids(argv[2], ids);
    float *want = take(n * vocab, sizeof(*want));
    float *got = take(n * vocab, sizeof(*got));
    run(backend, program, KRS_DTYPE_F32, ids, n, want);
    for (size_t i = 0; i < sizeof(dtypes) / sizeof(dtypes[0]); i++) {
        run(backend, program, dtypes[i], ids, n, got);
        compare(dtypes[i], got, want, vocab, ids, n);
    }
    krs_alloc_free(NULL, want);
    krs_alloc_free(NULL, got);
    krs_backend_close(backend);
    krs_model_close(model);
    return EXIT_SUCCESS;
}
