/* golden/test_embed.c - hidden states of whole models against those computed elsewhere
 * (tests/data/golden-embed/README.md): six encoders and a decoder without its head.
 *
 * For every case and backend: the three texts in one step within the backend's tolerance, and each of them
 * alone with the same bytes. */
#include "compute/cpu/isa.h"
#include "model/model.h"
#include "support/cmocka.h"
#include "wire/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define CASES_DIR      KRS_SOURCE_DIR "/tests/data/golden-embed/"
#define MAX_JSON_BYTES (1u << 20)
#define MAX_PATH_BYTES 1024

enum { N_TEXTS = 3, MAX_TOKENS = 256, BLOCKS_EACH = 8, N_BLOCKS = N_TEXTS * BLOCKS_EACH };

typedef struct embed_case {
    const char *name;
    const char *device;
    const char *isa;  /* of the cpu device, or NULL */
    double tolerance; /* relative RMS, docs/numerics.md */
} embed_case;

static const char *const names[] = {
    "bert", "roberta", "xlm-roberta", "mpnet", "distilbert", "modernbert", "qwen3-embed",
};

static const embed_case devices[] = {
    {"", "ref", NULL, 1e-4},           {"", "cpu", "avx512amx", 1.5e-2},
    {"", "cpu", "avx512bf16", 1.5e-2}, /* rows are rounded to bf16 before they are multiplied */
    {"", "cpu", "avx512", 1e-3},       {"", "cpu", "avx2", 1e-3},
    {"", "cpu", "neonbf16", 1.5e-2},   {"", "cpu", "neon", 1e-3},
    {"", "cpu", "portable", 1e-3},
};

#define N_NAMES   (sizeof(names) / sizeof(names[0]))
#define N_DEVICES (sizeof(devices) / sizeof(devices[0]))
#define N_CASES   (N_NAMES * N_DEVICES)

typedef struct golden {
    krs_model *model;
    krs_backend *backend;
    krs_exec *exec;
    uint32_t ids[MAX_TOKENS];
    uint32_t lens[N_TEXTS];
    uint32_t begins[N_TEXTS];
    uint32_t n_tokens;
    size_t width;
    krs_buf expected; /* f32 [n_tokens, width] */
} golden;

static void must(krs_status status, const krs_error *err)
{
    if (status != KRS_OK) {
        fail_msg("%s: %s", krs_status_name(status), err->message);
    }
}

static void read_file(const char *name, const char *file, krs_buf *out)
{
    char path[MAX_PATH_BYTES];
    krs_error err = KRS_ERROR_INIT;
    (void)snprintf(path, sizeof(path), CASES_DIR "%s/%s", name, file);
    krs_buf_init(out, NULL, MAX_JSON_BYTES);
    must(krs_os_file_read(path, out, &err), &err);
}

static void read_ids(const char *name, golden *g)
{
    krs_buf text;
    json_t *root = NULL;
    krs_error err = KRS_ERROR_INIT;
    const krs_json_limits limits = {.max_bytes = MAX_JSON_BYTES};
    read_file(name, "golden.json", &text);
    must(krs_json_parse(krs_buf_view(&text), &limits, &root, &err), &err);
    const json_t *texts = json_object_get(root, "ids");
    assert_int_equal(json_array_size(texts), N_TEXTS);
    for (size_t i = 0; i < N_TEXTS; i++) {
        const json_t *ids = json_array_get(texts, i);
        g->begins[i] = g->n_tokens;
        g->lens[i] = (uint32_t)json_array_size(ids);
        assert_in_range(g->lens[i], 1, MAX_TOKENS - g->n_tokens);
        for (size_t k = 0; k < g->lens[i]; k++) {
            g->ids[g->n_tokens++] = (uint32_t)json_integer_value(json_array_get(ids, k));
        }
    }
    json_decref(root);
    krs_buf_deinit(&text);
}

static void open_case(const embed_case *c, golden *g)
{
    char dir[MAX_PATH_BYTES];
    krs_error err = KRS_ERROR_INIT;
    krs_backend_options options = KRS_BACKEND_OPTIONS_INIT;
    *g = (golden){0};
    options.isa = c->isa;
    (void)snprintf(dir, sizeof(dir), CASES_DIR "%s", c->name);
    must(krs_model_open(dir, NULL, NULL, &g->model, &err), &err);
    must(krs_backend_open(c->device, &options, NULL, &g->backend, &err), &err);
    const krs_program *program = krs_model_program(g->model);
    assert_int_equal(program->logits, KRS_NO_SLOT);
    assert_int_equal(program->is_whole, strcmp(c->name, "qwen3-embed") != 0);
    const krs_exec_limits limits = {
        .max_rows = MAX_TOKENS,
        .max_seqs = N_TEXTS,
        .max_hidden_rows = MAX_TOKENS,
        .n_kv_blocks = N_BLOCKS,
        .kv_dtype = krs_backend_kv_dtype(g->backend),
    };
    must(krs_exec_new(g->backend, program, &limits, &g->exec, &err), &err);
    g->width = (size_t)program->slots[program->hidden].width;
    read_ids(c->name, g);
    read_file(c->name, "hidden.f32", &g->expected);
    assert_int_equal(g->expected.len, g->n_tokens * g->width * sizeof(float));
}

static void close_case(golden *g)
{
    krs_exec_free(g->exec);
    krs_backend_close(g->backend);
    krs_model_close(g->model);
    krs_buf_deinit(&g->expected);
}

/* Texts [first, first + n) in one step; their states into out. */
static void run(golden *g, uint32_t first, uint32_t n, float *out)
{
    uint32_t blocks[N_BLOCKS];
    uint32_t rows[MAX_TOKENS];
    krs_step_seq seqs[N_TEXTS];
    uint32_t n_rows = 0;
    for (uint32_t i = 0; i < N_BLOCKS; i++) {
        blocks[i] = N_BLOCKS - 1 - i;
    }
    for (uint32_t i = 0; i < MAX_TOKENS; i++) {
        rows[i] = i;
    }
    for (uint32_t i = 0; i < n; i++) {
        seqs[i] = (krs_step_seq){.row_begin = n_rows,
                                 .n_rows = g->lens[first + i],
                                 .n_blocks = BLOCKS_EACH,
                                 .blocks = blocks + (size_t)i * BLOCKS_EACH};
        n_rows += g->lens[first + i];
    }
    const krs_step step = {.n_rows = n_rows,
                           .n_seqs = n,
                           .n_hidden_rows = n_rows,
                           .tokens = g->ids + g->begins[first],
                           .seqs = seqs,
                           .hidden_rows = rows};
    krs_error err = KRS_ERROR_INIT;
    krs_step_result result;
    must(krs_exec_submit(g->exec, &step, &err), &err);
    must(krs_exec_collect(g->exec, &result, &err), &err);
    assert_int_equal(result.n_hidden_rows, n_rows);
    memcpy(out, result.hidden, n_rows * g->width * sizeof(*out));
}

static double relative_rms(const float *got, const float *want, size_t n)
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

static void states_are_the_references_together_and_alone(void **state)
{
    const embed_case *c = *state;
    if (c->isa && strcmp(c->isa, "portable") != 0 && !krs_cpu_isa_is_here(c->isa)) {
        skip();
    }
    golden g;
    open_case(c, &g);
    const size_t n = g.n_tokens * g.width;
    float *together = calloc(n, sizeof(*together));
    float *alone = calloc(n, sizeof(*alone));
    float *expected = calloc(n, sizeof(*expected));
    assert_true(together && alone && expected);
    memcpy(expected, g.expected.data, n * sizeof(*expected));
    run(&g, 0, N_TEXTS, together);
    for (uint32_t i = 0; i < N_TEXTS; i++) {
        run(&g, i, 1, alone + g.begins[i] * g.width);
    }
    const double distance = relative_rms(together, expected, n);
    (void)printf("%-12s %-4s %-10s relative RMS %.2e (at most %.1e)\n", c->name, c->device,
                 c->isa ? c->isa : "", distance, c->tolerance);
    assert_true(distance <= c->tolerance);
    assert_memory_equal(alone, together, n * sizeof(*alone));
    free(expected);
    free(alone);
    free(together);
    close_case(&g);
}

int main(void)
{
    static struct CMUnitTest tests[N_CASES];
    static char titles[N_CASES][96];
    static embed_case cases[N_CASES];
    for (size_t i = 0; i < N_CASES; i++) {
        embed_case *c = &cases[i];
        *c = devices[i % N_DEVICES];
        c->name = names[i / N_DEVICES];
        (void)snprintf(titles[i], sizeof(titles[0]), "%s_on_%s_%s", c->name, c->device,
                       c->isa ? c->isa : "");
        tests[i] = (struct CMUnitTest){titles[i], states_are_the_references_together_and_alone,
                                       NULL, NULL, c};
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
