/* support/golden_case.h - whole models against logits computed elsewhere (tests/data/golden/README.md).
 *
 * For every case and backend: the prompt's logits within the backend's tolerance; greedy decoding
 * follows the reference wherever its margin is wider than that tolerance; and the same prompt in one
 * step, token by token, and in seeded chunks gives the same bits.
 *
 * The reference's ids are fed back, not ours, so that one near tie does not hide what follows.
 *
 * Several test programs share it, so that they run side by side.
 *
 * Thread: the test's own.  Memory: one case at a time. */
#pragma once

#include "compute/cpu/isa.h"
#include "model/model.h"
#include "support/golden_folder.h"
#include "support/isa.h"
#include "support/one_seq.h"
#include "support/sanitized.h"
#include "wire/json.h"

#include <math.h>

#define MAX_JSON_BYTES (1u << 20)
#define MAX_PATH_BYTES 1024
#define MAX_GREEDY     64
#define CHUNK_SEED     20240917u
#define CHUNK_ROUNDS   (KRS_IS_SANITIZED ? 1 : 4)
#define CHUNK_MAX      20
/* Two logits are each off by about tolerance * rms; four times that is far out in the tail. */
#define MARGIN_FACTOR 4.0

#define CASES_DIR KRS_SOURCE_DIR "/tests/data/golden/"

typedef struct golden_case {
    const char *name;
    const char *device;
    const char *isa; /* of the cpu device, or NULL */
    krs_dtype kv_dtype;
    double tolerance; /* relative RMS, docs/numerics.md */
    bool is_exact;    /* rows in two terms; tried on the quantised models */
} golden_case;

#define TOLERANCE_FAST                                                                             \
    1.5e-2 /* where rows are rounded to bf16, or bytes, before they are multiplied */
#define TOLERANCE_HALF 1e-3 /* where they stay whole or nearly so, and the KV cache is f16 */
#define TOLERANCE_F32  1e-4 /* where all is f32 or better */
#define TOLERANCE_INT8 2e-2 /* where the KV cache is int8 */
#define KV_AUTO        KRS_DTYPE_COUNT

static const golden_case devices[] = {
    {"", "ref", NULL, KV_AUTO, TOLERANCE_F32, false},
    {"", "cpu", "avx512amx", KV_AUTO, TOLERANCE_FAST, false},
    {"", "cpu", "avx512bf16", KV_AUTO, TOLERANCE_FAST, false},
    {"", "cpu", "avx512vnni", KV_AUTO, TOLERANCE_HALF, false},
    {"", "cpu", "avx512", KV_AUTO, TOLERANCE_HALF, false},
    {"", "cpu", "avx2", KV_AUTO, TOLERANCE_HALF, false},
    {"", "cpu", "neonbf16", KV_AUTO, TOLERANCE_FAST, false},
    {"", "cpu", "neoni8mm", KV_AUTO, TOLERANCE_HALF, false},
    {"", "cpu", "neondot", KV_AUTO, TOLERANCE_HALF, false},
    {"", "cpu", "neon", KV_AUTO, TOLERANCE_HALF, false},
    {"", "cpu", "portable", KV_AUTO, TOLERANCE_HALF, false},
    {"", "cpu", "avx512bf16", KV_AUTO, TOLERANCE_HALF, true},
    {"", "cpu", "avx2", KV_AUTO, TOLERANCE_HALF, true},
    {"", "cpu", "neonbf16", KV_AUTO, TOLERANCE_HALF, true},
    {"", "cpu", "neon", KV_AUTO, TOLERANCE_HALF, true},
    {"", "cpu", "portable", KV_AUTO, TOLERANCE_HALF, true},
    {"", "cuda:0", NULL, KV_AUTO, TOLERANCE_FAST, false},
    {"", "ref", NULL, KRS_DTYPE_I8, TOLERANCE_INT8, false},
    {"", "cpu", "avx512bf16", KRS_DTYPE_I8, TOLERANCE_INT8, false},
    {"", "cpu", "avx2", KRS_DTYPE_I8, TOLERANCE_INT8, false},
    {"", "cpu", "neonbf16", KRS_DTYPE_I8, TOLERANCE_INT8, false},
    {"", "cpu", "neon", KRS_DTYPE_I8, TOLERANCE_INT8, false},
    {"", "cpu", "portable", KRS_DTYPE_I8, TOLERANCE_INT8, false},
    {"", "cuda:0", NULL, KRS_DTYPE_I8, TOLERANCE_INT8, false},
};

static inline bool is_built(const char *isa)
{
    uint32_t i = 0;
    while (krs_cpu_isa_name(i) && strcmp(krs_cpu_isa_name(i), isa) != 0) {
        i++;
    }
    return krs_cpu_isa_name(i) != NULL;
}

/* The cases whose weights are codes: rows meet them in bytes on every instruction set. */
static inline bool is_quantised(const char *name)
{
    return strstr(name, "-4bit") != NULL;
}

/* Does it differ from another only where there are codes? */
static inline bool is_of_codes(const char *isa)
{
    return strcmp(isa, "avx512vnni") == 0 || strcmp(isa, "neondot") == 0 ||
           strcmp(isa, "neoni8mm") == 0;
}

/* Is this device tried on the case? Instruction sets of another architecture are not even skipped. */
static inline bool is_tried(const golden_case *on, const char *name, bool has_int8)
{
    if (on->isa && !is_built(on->isa)) {
        return false;
    }
    return (on->kv_dtype != KRS_DTYPE_I8 || has_int8) &&
           (!(on->is_exact || (on->isa && is_of_codes(on->isa))) || is_quantised(name));
}

static inline double tolerance_of(const golden_case *on, const char *name)
{
    const bool is_cpu = strcmp(on->device, "cpu") == 0;
    return is_cpu && !on->is_exact && is_quantised(name) && on->tolerance < TOLERANCE_FAST
               ? TOLERANCE_FAST
               : on->tolerance;
}

#define N_DEVICES (sizeof(devices) / sizeof(devices[0]))
#define MAX_NAMES 16 /* of one test program */
#define MAX_CASES (MAX_NAMES * N_DEVICES)

typedef struct golden {
    krs_model *model;
    krs_one_seq seq;
    uint32_t prompt[KRS_ONE_SEQ_MAX_TOKENS];
    uint32_t n_prompt;
    uint32_t greedy[MAX_GREEDY];
    double margins[MAX_GREEDY];
    uint32_t n_greedy;
    float *expected;  /* [n_prompt, n_columns] */
    size_t n_columns; /* logits of each row that the file has: the first ones */
    float *logits;    /* the same, by us in one step */
    float *again;     /* scratch of the same size */
    size_t n_logits;
} golden;

static inline void must(krs_status status, const krs_error *err)
{
    krs_one_seq_must(status, err);
}

static inline void read_file(const char *path, krs_buf *out)
{
    krs_error err = KRS_ERROR_INIT;
    must(krs_os_file_read(path, out, &err), &err);
}

static inline uint32_t read_ids(const json_t *root, const char *field, uint32_t *out, uint32_t max)
{
    const json_t *list = json_object_get(root, field);
    const size_t n = json_array_size(list);
    assert_in_range(n, 1, max);
    for (size_t i = 0; i < n; i++) {
        out[i] = (uint32_t)json_integer_value(json_array_get(list, i));
    }
    return (uint32_t)n;
}

/* golden.json; *model_dir: the folder it names, "" when the model is beside it. */
static inline void read_case(const golden_case *c, golden *g, char *model_dir)
{
    char path[MAX_PATH_BYTES];
    (void)snprintf(path, sizeof(path), CASES_DIR "%s/golden.json", c->name);
    krs_buf text;
    krs_buf_init(&text, NULL, MAX_JSON_BYTES);
    read_file(path, &text);
    const krs_json_limits limits = {.max_bytes = MAX_JSON_BYTES};
    krs_error err = KRS_ERROR_INIT;
    json_t *root = NULL;
    must(krs_json_parse(krs_buf_view(&text), &limits, &root, &err), &err);
    g->n_prompt = read_ids(root, "prompt_ids", g->prompt, KRS_ONE_SEQ_MAX_TOKENS - MAX_GREEDY);
    g->n_greedy = read_ids(root, "greedy_ids", g->greedy, MAX_GREEDY);
    const json_t *margins = json_object_get(root, "greedy_margins");
    assert_int_equal(json_array_size(margins), g->n_greedy);
    for (uint32_t i = 0; i < g->n_greedy; i++) {
        g->margins[i] = json_number_value(json_array_get(margins, i));
    }
    const char *model = json_string_value(json_object_get(root, "model"));
    (void)snprintf(model_dir, MAX_PATH_BYTES, "%s%s%s", model ? CASES_DIR : "",
                   model ? c->name : "", model ? "/" : "");
    (void)snprintf(model_dir + strlen(model_dir), MAX_PATH_BYTES - strlen(model_dir), "%s",
                   model ? model : "");
    json_decref(root);
    krs_buf_deinit(&text);
}

static inline void read_expected(const golden_case *c, golden *g)
{
    char path[MAX_PATH_BYTES];
    (void)snprintf(path, sizeof(path), CASES_DIR "%s/logits.f32", c->name);
    g->n_logits = (size_t)g->n_prompt * (size_t)g->seq.vocab;
    krs_buf bytes;
    krs_buf_init(&bytes, NULL, g->n_logits * sizeof(float));
    read_file(path, &bytes);
    g->n_columns = bytes.len / sizeof(float) / g->n_prompt;
    assert_in_range(g->n_columns, 1, g->seq.vocab);
    assert_int_equal(bytes.len, g->n_prompt * g->n_columns * sizeof(float));
    g->expected = (float *)(void *)krs_buf_take(&bytes);
}

/* A build without CUDA, or a machine without a device or an instruction set, has nothing to test there;
 * ref and the portable kernels are everywhere. */
static inline void skip_if_absent(const golden_case *c)
{
    if (c->isa && strcmp(c->isa, "portable") != 0 && !krs_cpu_isa_is_here(c->isa)) {
        skip();
    }
    if (strncmp(c->device, "cuda:", 5) != 0) {
        return;
    }
    krs_backend *backend = NULL;
    const krs_status status = krs_backend_open(c->device, NULL, NULL, &backend, NULL);
    krs_backend_close(backend);
    if (status == KRS_EUNSUPPORTED) {
        skip();
    }
}

static inline void open_model(const golden_case *c, const char *dir, golden *g)
{
    krs_error err = KRS_ERROR_INIT;
    krs_golden_folder folder;
    if (dir[0]) {
        must(krs_model_open(dir, NULL, NULL, &g->model, &err), &err);
        return;
    }
    krs_golden_folder_open(&folder, c->name);
    const krs_status status = krs_model_open(folder.dir, NULL, NULL, &g->model, &err);
    krs_golden_folder_close(&folder);
    must(status, &err);
}

/* A device that has no kernel for one of the model's ops says so, and has nothing to test. */
static inline bool is_refused(const golden_case *c, const golden *g)
{
    krs_backend *backend = NULL;
    krs_exec_plan plan;
    krs_error err = KRS_ERROR_INIT;
    must(krs_backend_open(c->device, NULL, NULL, &backend, &err), &err);
    const krs_exec_limits limits = {.max_rows = 1,
                                    .max_seqs = 1,
                                    .max_logit_rows = 1,
                                    .n_kv_blocks = 1,
                                    .kv_dtype = krs_backend_kv_dtype(backend),
                                    .n_state_slots = 1};
    const krs_status status =
        krs_exec_plan_of(backend, krs_model_program(g->model), &limits, &plan, &err);
    krs_backend_close(backend);
    if (status == KRS_EUNSUPPORTED) {
        (void)printf("%s: %s\n", c->device, err.message);
    }
    return status == KRS_EUNSUPPORTED;
}

static inline int open_case(void **state)
{
    const golden_case *c = *state;
    golden *g = calloc(1, sizeof(*g));
    assert_non_null(g);
    char dir[MAX_PATH_BYTES];
    read_case(c, g, dir);
    open_model(c, dir, g);
    if (strncmp(c->device, "cuda:", 5) == 0 && is_refused(c, g)) {
        krs_model_close(g->model);
        free(g);
        skip();
    }
    krs_backend_options options = KRS_BACKEND_OPTIONS_INIT;
    options.isa = c->isa;
    options.is_exact = c->is_exact;
    krs_one_seq_open_as(&g->seq, c->device, &options, c->kv_dtype, krs_model_program(g->model));
    read_expected(c, g);
    g->logits = calloc(g->n_logits, sizeof(float));
    g->again = calloc(g->n_logits, sizeof(float));
    assert_true(g->logits != NULL && g->again != NULL);
    krs_one_seq_feed(&g->seq, g->prompt, g->n_prompt, g->logits);
    *state = g;
    return 0;
}

static inline void close_case(golden *g)
{
    krs_one_seq_close(&g->seq);
    krs_model_close(g->model);
    krs_alloc_free(NULL, g->expected);
    free(g->logits);
    free(g->again);
    free(g);
}

static inline double rms(const float *values, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (double)values[i] * values[i];
    }
    return sqrt(sum / (double)n);
}

/* Of the logits that the file has. */
static inline double relative_rms(const golden *g)
{
    const size_t n = (size_t)g->n_prompt * g->n_columns;
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        const size_t at = i / g->n_columns * (size_t)g->seq.vocab + i % g->n_columns;
        const double d = (double)g->logits[at] - g->expected[i];
        sum += d * d;
    }
    return sqrt(sum / (double)n) / rms(g->expected, n);
}

static inline uint32_t argmax(const float *logits, int64_t n)
{
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++) {
        best = logits[i] > logits[best] ? i : best;
    }
    return (uint32_t)best;
}

/* The ids that differ although the reference's margin is wide; *n_ties: those it cannot decide. The
 * sequence stands at the end of the prompt. */
static inline uint32_t count_wrong_ids(const golden_case *c, golden *g, uint32_t *n_ties)
{
    const double undecided =
        MARGIN_FACTOR * c->tolerance * rms(g->expected, (size_t)g->n_prompt * g->n_columns);
    const size_t last = (size_t)(g->n_prompt - 1) * (size_t)g->seq.vocab;
    uint32_t n_wrong = 0;
    *n_ties = 0;
    memcpy(g->again, g->logits + last, (size_t)g->seq.vocab * sizeof(float));
    for (uint32_t i = 0; i < g->n_greedy; i++) {
        const uint32_t id = argmax(g->again, g->seq.vocab);
        if (id != g->greedy[i]) {
            (void)printf("%s: greedy token %u is %u, want %u; margin %.1e, counted above %.1e\n",
                         c->name, i, id, g->greedy[i], g->margins[i], undecided);
            n_wrong += g->margins[i] > undecided;
            *n_ties += g->margins[i] <= undecided;
        }
        krs_one_seq_feed(&g->seq, &g->greedy[i], 1, g->again);
    }
    return n_wrong;
}

/* The prompt again in chunks of next(ctx) tokens; same bits? */
static inline bool is_same_in_chunks(golden *g, uint32_t (*next)(uint32_t *seed), uint32_t *seed)
{
    krs_one_seq_restart(&g->seq);
    for (uint32_t at = 0; at < g->n_prompt;) {
        const uint32_t left = g->n_prompt - at;
        const uint32_t want = next(seed);
        const uint32_t n = want < left ? want : left;
        krs_one_seq_feed(&g->seq, g->prompt + at, n, g->again + (size_t)at * (size_t)g->seq.vocab);
        at += n;
    }
    return memcmp(g->again, g->logits, g->n_logits * sizeof(float)) == 0;
}

static inline uint32_t next_one(uint32_t *seed)
{
    (void)seed;
    return 1;
}

static inline uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u; /* Knuth's linear congruence: only variety is wanted */
    return 1 + (*seed >> 16) % CHUNK_MAX;
}

static const char *kv_name(const golden_case *c)
{
    return c->kv_dtype == KV_AUTO ? "auto" : krs_dtype_name(c->kv_dtype);
}

static inline void answers_as_the_reference(void **state)
{
    const golden_case *c = *state;
    skip_if_absent(c);
    void *opened = *state;
    assert_int_equal(open_case(&opened), 0);
    golden *g = opened;
    const double distance = relative_rms(g);
    uint32_t n_ties = 0;
    const uint32_t n_wrong = count_wrong_ids(c, g, &n_ties);
    (void)printf("%-16s %-4s %-10s%s KV %-4s relative RMS %.2e (at most %.1e), greedy %u of %u, %u "
                 "near ties\n",
                 c->name, c->device, c->isa ? c->isa : "", c->is_exact ? " exact" : "", kv_name(c),
                 distance, c->tolerance, g->n_greedy - n_wrong - n_ties, g->n_greedy, n_ties);
    assert_true(distance <= c->tolerance);
    assert_int_equal(n_wrong, 0);
    close_case(g);
}

static inline void answers_the_same_bits_however_cut(void **state)
{
    skip_if_absent(*state);
    void *opened = *state;
    assert_int_equal(open_case(&opened), 0);
    golden *g = opened;
    uint32_t seed = CHUNK_SEED;
    assert_true(is_same_in_chunks(g, next_one, &seed));
    for (int round = 0; round < CHUNK_ROUNDS; round++) {
        (void)printf("chunks from seed %u\n", seed);
        assert_true(is_same_in_chunks(g, next_random, &seed));
    }
    close_case(g);
}

/* Under a sanitizer the best instructions and the portable ones are enough: kernels between them are held by
 * parity/, with odd sizes, and bring whole models nothing but other arithmetic. */
static inline bool is_left_out(const golden_case *c)
{
    return KRS_IS_SANITIZED && c->isa && strncmp(c->isa, "avx", 3) == 0 &&
           !isa_rounds_to_bf16(c->isa);
}

/* The main of a test program: names[n] on every device, the first n_int8 of them with an int8 cache too. That
 * the cache is int8 is attention's business, so a few families of each kind of attention are enough. */
static inline int golden_run(const char *const *names, size_t n, size_t n_int8)
{
    static struct CMUnitTest tests[2 * MAX_CASES];
    static char titles[2 * MAX_CASES][112];
    static golden_case cases[MAX_CASES];
    size_t at = 0;
    for (size_t i = 0; i < n * N_DEVICES && at < MAX_CASES; i++) {
        golden_case *c = &cases[at];
        *c = devices[i % N_DEVICES];
        c->name = names[i / N_DEVICES];
        if (is_left_out(c) || !is_tried(c, c->name, i / N_DEVICES < n_int8)) {
            continue;
        }
        c->tolerance = tolerance_of(c, c->name);
        const char *isa = c->isa ? c->isa : "";
        const char *how = c->is_exact ? "_exact" : "";
        char *title = titles[2 * at];
        (void)snprintf(title, sizeof(titles[0]), "%s_on_%s_%s%s_kv_%s_answers_as_the_reference",
                       c->name, c->device, isa, how, kv_name(c));
        tests[2 * at] = (struct CMUnitTest){title, answers_as_the_reference, NULL, NULL, c};
        title = titles[2 * at + 1];
        (void)snprintf(title, sizeof(titles[0]),
                       "%s_on_%s_%s%s_kv_%s_answers_the_same_bits_however_cut", c->name, c->device,
                       isa, how, kv_name(c));
        tests[2 * at + 1] =
            (struct CMUnitTest){title, answers_the_same_bits_however_cut, NULL, NULL, c};
        at++;
    }
    return _cmocka_run_group_tests("golden", tests, 2 * at, NULL, NULL);
}
