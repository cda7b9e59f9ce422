/* bench/bench_attention.c - attention over the paged cache at the shapes of decode and prefill, for runs of
 * two builds in turn: one case to a line, by name.
 *
 *   bench_attention [--threads N] [--isa NAME] [--seconds S] [--only WORD] [--cpu-clock]      (kernels.h)
 *
 * The same layer many times over, each with a cache of its own, so that decode reads memory and not the
 * L3. Blocks are filled 16 rows of a fresh sequence at a time: attention would make filling a long cache
 * position by position cost its square. */
#include "kernels.h"

#define MAX_LAYERS 64                   /* of a case: tiny caches stay tiny */
#define FILL_SEQS  16u                  /* filled in one step */
#define FULL_CACHE (UINT64_C(96) << 20) /* of K and V: three times a shared L3 */

typedef struct attention_case {
    const char *name;
    int32_t n_heads;
    int32_t n_kv_heads;
    int32_t head_dim;
    uint32_t n_seqs;
    uint32_t n_rows; /* of each sequence */
    uint32_t n_past;
    krs_dtype kv_dtype; /* KRS_DTYPE_COUNT: the device's choice */
} attention_case;

#define AUTO KRS_DTYPE_COUNT
#define F16  KRS_DTYPE_F16
#define BF16 KRS_DTYPE_BF16
#define I8   KRS_DTYPE_I8

static const attention_case cases[] = {
    {"prefill 512 after 0, 32/8 of 64", 32, 8, 64, 1, 512, 0, AUTO},
    {"prefill 512 after 0, 32/8 of 64", 32, 8, 64, 1, 512, 0, F16},
    {"prefill 512 after 0, 32/8 of 64", 32, 8, 64, 1, 512, 0, I8},
    {"prefill 512 after 4096, 32/8 of 64", 32, 8, 64, 1, 512, 4096, AUTO},
    {"prefill 512 after 4096, 32/8 of 64", 32, 8, 64, 1, 512, 4096, F16},
    {"prefill 512 after 4096, 32/8 of 64", 32, 8, 64, 1, 512, 4096, I8},
    {"prefill 512 after 0, 32/8 of 128", 32, 8, 128, 1, 512, 0, AUTO},
    {"prefill 512 after 0, 32/8 of 128", 32, 8, 128, 1, 512, 0, F16},
    {"prefill 512 after 0, 16/16 of 64", 16, 16, 64, 1, 512, 0, AUTO},
    {"prefill 512 after 0, 16/16 of 64", 16, 16, 64, 1, 512, 0, F16},
    {"decode after 512, 32/8 of 64", 32, 8, 64, 1, 1, 512, AUTO},
    {"decode after 512, 32/8 of 64", 32, 8, 64, 1, 1, 512, F16},
    {"decode after 512, 32/8 of 64", 32, 8, 64, 1, 1, 512, I8},
    {"decode after 4096, 32/8 of 64", 32, 8, 64, 1, 1, 4096, AUTO},
    {"decode after 4096, 32/8 of 64", 32, 8, 64, 1, 1, 4096, F16},
    {"decode after 4096, 32/8 of 64", 32, 8, 64, 1, 1, 4096, I8},
    {"decode after 16384, 32/8 of 64", 32, 8, 64, 1, 1, 16384, AUTO},
    {"decode after 16384, 32/8 of 64", 32, 8, 64, 1, 1, 16384, F16},
    {"decode after 16384, 32/8 of 64", 32, 8, 64, 1, 1, 16384, I8},
    {"decode after 4096, 32/8 of 128", 32, 8, 128, 1, 1, 4096, AUTO},
    {"decode after 4096, 32/8 of 128", 32, 8, 128, 1, 1, 4096, F16},
    {"decode after 4096, 32/8 of 128", 32, 8, 128, 1, 1, 4096, I8},
    {"decode after 4096, 16/16 of 64", 16, 16, 64, 1, 1, 4096, AUTO},
    {"decode after 4096, 16/16 of 64", 16, 16, 64, 1, 1, 4096, F16},
    {"decode after 4096, 16/16 of 64", 16, 16, 64, 1, 1, 4096, I8},
    {"decode of 32 after 512, 32/8 of 64", 32, 8, 64, 32, 1, 512, AUTO},
    {"decode of 32 after 512, 32/8 of 64", 32, 8, 64, 32, 1, 512, F16},
    {"decode of 32 after 512, 32/8 of 64", 32, 8, 64, 32, 1, 512, I8},
    {"decode after 16384, 8/1 of 64", 8, 1, 64, 1, 1, 16384, AUTO},
};

static uint32_t blocks_of(const attention_case *c)
{
    return (c->n_past + c->n_rows) / KRS_KV_BLOCK_TOKENS + 1;
}

/* Bytes of one layer's K and V, scales included. */
static double cache_bytes(const attention_case *c, krs_dtype kv_dtype, double n_positions)
{
    const double scale_bytes = kv_dtype == KRS_DTYPE_I8 ? sizeof(float) : 0;
    return 2.0 * c->n_kv_heads * (c->head_dim * (double)krs_dtype_bytes(kv_dtype) + scale_bytes) *
           n_positions * c->n_seqs;
}

static int32_t layers_of(const attention_case *c, krs_dtype kv_dtype)
{
    const double n = (double)FULL_CACHE / cache_bytes(c, kv_dtype, c->n_past + c->n_rows) + 1;
    return c->n_rows > 1 ? 2 : n < MAX_LAYERS ? (int32_t)n : MAX_LAYERS;
}

static void build(krs_program *program, const attention_case *c, int32_t n_layers,
                  unsigned char *bytes)
{
    start_program(program, (int64_t)c->n_heads * c->head_dim, bytes);
    program->max_positions = 65536;
    program->n_kv_layers = n_layers;
    program->n_kv_heads = c->n_kv_heads;
    program->head_dim = c->head_dim;
    const int64_t kv_width = (int64_t)c->n_kv_heads * c->head_dim;
    const krs_slot kv = add_slot(program, kv_width, KRS_ROWS_ALL);
    const uint32_t row = add_matrix(program, &layouts[0], 1, kv_width, bytes);
    add_op(program, (krs_op){.kind = KRS_OP_EMBED, .out = kv, .matrix = row, .embed = {1, 0}});
    const krs_slot out = add_slot(program, program->slots[0].width, KRS_ROWS_ALL);
    for (int32_t layer = 0; layer < n_layers; layer++) {
        krs_op op = {.kind = KRS_OP_KV_WRITE,
                     .in = kv,
                     .in2 = kv,
                     .matrix = KRS_NO_MATRIX,
                     .attention = {layer, c->n_heads, c->n_kv_heads, c->head_dim, 0, 0.125f}};
        add_op(program, op);
        op.kind = KRS_OP_ATTENTION;
        op.in = 0;
        op.out = out;
        add_op(program, op);
    }
    finish_program(program, out);
}

static void run_step(krs_exec *exec, const krs_step *step)
{
    krs_error err = KRS_ERROR_INIT;
    krs_step_result result;
    must(krs_exec_submit(exec, step, &err), "submit", &err);
    must(krs_exec_collect(exec, &result, &err), "collect", &err);
}

/* Every block as the first of some sequence. */
static void fill_blocks(krs_exec *exec, const uint32_t *blocks, uint32_t n_blocks,
                        const uint32_t *tokens)
{
    krs_step_seq seqs[FILL_SEQS];
    for (uint32_t b = 0; b < n_blocks; b += FILL_SEQS) {
        krs_step step = {.seqs = seqs, .tokens = tokens};
        for (; step.n_seqs < FILL_SEQS && b + step.n_seqs < n_blocks; step.n_seqs++) {
            seqs[step.n_seqs] =
                (krs_step_seq){step.n_rows, KRS_KV_BLOCK_TOKENS, 0, 1, &blocks[b + step.n_seqs], 0};
            step.n_rows += KRS_KV_BLOCK_TOKENS;
        }
        run_step(exec, &step);
    }
}

static double time_case(const settings *set, const attention_case *c, krs_backend *backend,
                        const krs_program *program, krs_dtype kv_dtype)
{
    krs_error err = KRS_ERROR_INIT;
    const uint32_t n_blocks = blocks_of(c) * c->n_seqs;
    const uint32_t n_rows = c->n_rows * c->n_seqs;
    const uint32_t fill_rows = FILL_SEQS * KRS_KV_BLOCK_TOKENS;
    const uint32_t max_rows = n_rows > fill_rows ? n_rows : fill_rows;
    const krs_exec_limits limits = {max_rows, 32, 1, 0, n_blocks, kv_dtype, 0};
    krs_exec *exec;
    must(krs_exec_new(backend, program, &limits, &exec, &err), "exec", &err);
    uint32_t *tokens = new_array(max_rows, sizeof(*tokens));
    uint32_t *blocks = new_array(n_blocks, sizeof(*blocks));
    krs_step_seq *seqs = new_array(c->n_seqs, sizeof(*seqs));
    memset(tokens, 0, max_rows * sizeof(*tokens));
    for (uint32_t i = 0; i < n_blocks; i++) {
        blocks[i] = i;
    }
    fill_blocks(exec, blocks, n_blocks, tokens);
    for (uint32_t s = 0; s < c->n_seqs; s++) {
        seqs[s] = (krs_step_seq){
            s * c->n_rows, c->n_rows, c->n_past, blocks_of(c), blocks + s * blocks_of(c), 0};
    }
    const uint32_t last = n_rows - 1;
    const krs_step step = {n_rows, c->n_seqs, 1, 0, tokens, seqs, &last, NULL, 0, NULL};
    const rotation rot = {NULL, &exec, 1};
    const double seconds = time_steps(set, &rot, &step);
    krs_alloc_free(NULL, seqs);
    krs_alloc_free(NULL, blocks);
    krs_alloc_free(NULL, tokens);
    krs_exec_free(exec);
    return seconds;
}

static void bench_case(const settings *set, const attention_case *c, krs_backend *backend)
{
    const krs_dtype kv_dtype = c->kv_dtype == AUTO ? krs_backend_kv_dtype(backend) : c->kv_dtype;
    const int32_t n_layers = layers_of(c, kv_dtype);
    unsigned char *bytes = new_words((size_t)c->n_heads * (size_t)c->head_dim * 2);
    krs_program program;
    build(&program, c, n_layers, bytes);
    const double s = time_case(set, c, backend, &program, kv_dtype) / n_layers;
    const double seen = c->n_seqs * c->n_rows * (c->n_past + (c->n_rows + 1) / 2.0);
    char name[64];
    (void)snprintf(name, sizeof(name), "%s %s%s", c->name, krs_dtype_name(kv_dtype),
                   c->kv_dtype == AUTO ? " (auto)" : "");
    report(set, name, c->n_rows * c->n_seqs, s, cache_bytes(c, kv_dtype, c->n_past + c->n_rows),
           4.0 * c->n_heads * c->head_dim * seen);
    krs_program_deinit(&program);
    krs_alloc_free(NULL, bytes);
}

int main(int argc, char **argv)
{
    const settings set = start_bench(argc, argv);
    krs_error err = KRS_ERROR_INIT;
    krs_backend *backend;
    must(krs_backend_open("cpu", &set.backend, NULL, &backend, &err), "open", &err);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (is_wanted(&set, cases[i].name)) {
            bench_case(&set, &cases[i], backend);
        }
    }
    krs_backend_close(backend);
    return EXIT_SUCCESS;
}
