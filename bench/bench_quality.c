/* bench/bench_quality.c - what rounding costs in quality: rows of activations, and the KV cache.
 *
 * The same tokens run on device ref with K and V in f32, where nothing is rounded but the weights
 * themselves; then on device cpu, with rows in fewer or more bits (`--activations`) and each type of KV
 * cache. Every position's logits are compared:
 *
 *   relative RMS   of all logits
 *   KL             in nats, sum p ln (p / q), p by ref: its mean, and what 99 % of positions stay below
 *   top            positions whose likeliest token is the same
 *   perplexity     of the given tokens themselves, exp of the mean of -ln p(next)
 *
 * fast and exact with f32 KV tell what rows cost; exact with the other types, what the cache costs.
 * Tokens are run in steps of CHUNK as a server would; that changes no bit (docs/numerics.md).
 *
 * usage: bench_quality MODEL TEXT [ISA]
 *   TEXT: a file of token ids in decimal, each line a text of its own; or random:N, that many tokens drawn
 *   from the whole vocabulary, in texts of RANDOM_TEXT.  ISA: of the cpu */
#include "compute/backend.h"
#include "model/model.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_TOKENS = 16384, MAX_TEXTS = 1024, CHUNK = 256, RANDOM_TEXT = 256 };

typedef struct way {
    const char *name;
    const char *device;
    bool is_exact;
    krs_dtype kv_dtype;
} way;

static const way truth = {"ref", "ref", false, KRS_DTYPE_F32};
static const way ways[] = {
    {"fast", "cpu", false, KRS_DTYPE_F32},  {"exact", "cpu", true, KRS_DTYPE_F32},
    {"exact", "cpu", true, KRS_DTYPE_F16},  {"exact", "cpu", true, KRS_DTYPE_BF16},
    {"exact", "cpu", true, KRS_DTYPE_I8},   {"fast", "cpu", false, KRS_DTYPE_F16},
    {"fast", "cpu", false, KRS_DTYPE_BF16}, {"fast", "cpu", false, KRS_DTYPE_I8},
};

/* Texts one after the other: text i is ids[begins[i] .. begins[i + 1]). */
typedef struct corpus {
    uint32_t ids[MAX_TOKENS];
    uint32_t begins[MAX_TEXTS + 1];
    uint32_t n_texts;
    uint32_t longest;
} corpus;

static uint32_t n_tokens(const corpus *c)
{
    return c->begins[c->n_texts];
}

typedef struct score {
    double error; /* sum of squared differences */
    double power; /* of squared logits of ref */
    double *kl;   /* [n] of each position */
    double nats;  /* -ln p of the tokens that came */
    uint32_t n_nats;
    uint32_t n_same_top;
} score;

static void fail(const krs_error *err)
{
    (void)fprintf(stderr, "bench_quality: %s\n", err->message);
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

/* The text that began where the last one ended is over. */
static void end_text(corpus *c, uint32_t n)
{
    const uint32_t length = n - c->begins[c->n_texts];
    if (length > 0 && c->n_texts < MAX_TEXTS) {
        c->longest = length > c->longest ? length : c->longest;
        c->begins[++c->n_texts] = n;
    }
}

static void read_corpus(const char *path, corpus *c)
{
    const krs_error err = {.message = "the file of token ids cannot be read, or holds none"};
    FILE *file = fopen(path, "r");
    uint32_t n = 0;
    bool is_in_number = false;
    for (int ch = file ? fgetc(file) : EOF; ch != EOF && n < MAX_TOKENS; ch = fgetc(file)) {
        if (isdigit(ch)) {
            c->ids[n] = (is_in_number ? c->ids[n] * 10 : 0) + (uint32_t)(ch - '0');
        } else {
            n += is_in_number;
        }
        is_in_number = isdigit(ch) != 0;
        if (ch == '\n') {
            end_text(c, n);
        }
    }
    end_text(c, n + is_in_number);
    if (!file || fclose(file) != 0 || n_tokens(c) == 0) {
        fail(&err);
    }
}

static void draw_corpus(const char *count, size_t vocab, corpus *c)
{
    const unsigned long asked = strtoul(count, NULL, 10);
    const uint32_t n = asked > 0 && asked < MAX_TOKENS ? (uint32_t)asked : MAX_TOKENS;
    uint64_t seed = 1;
    for (uint32_t i = 0; i < n; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u; /* Knuth's MMIX */
        c->ids[i] = (uint32_t)((seed >> 33) % vocab);
        if ((i + 1) % RANDOM_TEXT == 0) {
            end_text(c, i + 1);
        }
    }
    end_text(c, n);
}

/* One text, its logits into out[n, vocab]. */
static void run_text(krs_exec *exec, const uint32_t *ids, uint32_t n, size_t vocab, float *out)
{
    static uint32_t blocks[MAX_TOKENS / KRS_KV_BLOCK_TOKENS];
    static uint32_t rows[CHUNK];
    krs_error err = KRS_ERROR_INIT;
    const uint32_t n_blocks = (n + KRS_KV_BLOCK_TOKENS - 1) / KRS_KV_BLOCK_TOKENS;
    for (uint32_t i = 0; i < n_blocks; i++) {
        blocks[i] = i;
    }
    for (uint32_t i = 0; i < CHUNK; i++) {
        rows[i] = i;
    }
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
}

/* Logits of all tokens one way, into out[n, vocab]. */
static void run(const way *w, const char *isa, const krs_program *program, const corpus *c,
                float *out)
{
    krs_error err = KRS_ERROR_INIT;
    krs_backend *backend = NULL;
    krs_exec *exec = NULL;
    krs_backend_options options = KRS_BACKEND_OPTIONS_INIT;
    options.isa = isa;
    options.is_exact = w->is_exact;
    must(krs_backend_open(w->device, &options, NULL, &backend, &err), &err);
    const krs_exec_limits limits = {
        .max_rows = CHUNK,
        .max_seqs = 1,
        .max_logit_rows = CHUNK,
        .n_kv_blocks = (c->longest + KRS_KV_BLOCK_TOKENS - 1) / KRS_KV_BLOCK_TOKENS,
        .kv_dtype = w->kv_dtype,
        .n_state_slots = 1,
    };
    must(krs_exec_new(backend, program, &limits, &exec, &err), &err);
    const size_t vocab = (size_t)program->slots[program->logits].width;
    for (uint32_t i = 0; i < c->n_texts; i++) {
        const uint32_t begin = c->begins[i];
        run_text(exec, c->ids + begin, c->begins[i + 1] - begin, vocab, out + begin * vocab);
    }
    krs_exec_free(exec);
    krs_backend_close(backend);
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

/* next: the token that came, or NULL at a text's end. */
static void add_position(score *s, const float *got, const float *want, size_t vocab, double *kl,
                         const uint32_t *next)
{
    const double got_log = log_sum(got, vocab);
    const double want_log = log_sum(want, vocab);
    *kl = 0;
    for (size_t i = 0; i < vocab; i++) {
        const double g = (double)got[i];
        const double w = (double)want[i];
        s->error += (g - w) * (g - w);
        s->power += w * w;
        *kl += exp(w - want_log) * ((w - want_log) - (g - got_log));
    }
    s->n_same_top += best_of(got, vocab) == best_of(want, vocab);
    if (next) {
        s->nats += got_log - (double)got[*next];
        s->n_nats++;
    }
}

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

static void compare(const way *w, const float *got, const float *want, size_t vocab,
                    const corpus *c)
{
    const uint32_t n = n_tokens(c);
    score s = {.kl = take(n, sizeof(double))};
    for (uint32_t i = 0; i < c->n_texts; i++) {
        for (uint32_t p = c->begins[i]; p < c->begins[i + 1]; p++) {
            add_position(&s, got + p * vocab, want + p * vocab, vocab, &s.kl[p],
                         p + 1 < c->begins[i + 1] ? &c->ids[p + 1] : NULL);
        }
    }
    double sum = 0;
    for (uint32_t p = 0; p < n; p++) {
        sum += s.kl[p];
    }
    qsort(s.kl, n, sizeof(double), compare_doubles);
    (void)printf("%-5s KV %-4s  relative RMS %.2e  KL %.2e (99 %%: %.2e)  top %u of %u (%.2f %%)  "
                 "perplexity %.4f\n",
                 w->name, krs_dtype_name(w->kv_dtype), sqrt(s.error / s.power), sum / n,
                 s.kl[(uint64_t)n * 99 / 100], s.n_same_top, n, 100.0 * s.n_same_top / n,
                 exp(s.nats / s.n_nats));
    krs_alloc_free(NULL, s.kl);
}

int main(int argc, char **argv)
{
    static corpus c;
    if (argc < 3) {
        (void)fprintf(stderr, "usage: bench_quality MODEL TEXT [ISA]\n");
        return EXIT_FAILURE;
    }
    krs_error err = KRS_ERROR_INIT;
    krs_model *model = NULL;
    must(krs_model_open(argv[1], NULL, NULL, &model, &err), &err);
    const krs_program *program = krs_model_program(model);
    const size_t vocab = (size_t)program->slots[program->logits].width;
    if (strncmp(argv[2], "random:", 7) == 0) {
        draw_corpus(argv[2] + 7, vocab, &c);
    } else {
        read_corpus(argv[2], &c);
    }
    const size_t n_logits = n_tokens(&c) * vocab;
    float *want = take(n_logits, sizeof(*want));
    float *got = take(n_logits, sizeof(*got));
    run(&truth, NULL, program, &c, want);
    compare(&truth, want, want, vocab, &c);
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        run(&ways[i], argc > 3 ? argv[3] : NULL, program, &c, got);
        compare(&ways[i], got, want, vocab, &c);
    }
    krs_alloc_free(NULL, want);
    krs_alloc_free(NULL, got);
    krs_model_close(model);
    return EXIT_SUCCESS;
}
