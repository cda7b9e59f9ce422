/* bench/bench_ops.c - the ops of families beyond llama's shape on the cpu backend, against memory.
 *
 *   bench_ops [--threads N] [--isa NAME] [--seconds S] [--only WORD]... [--cpu-clock]   (kernels.h)
 *
 * Ops on rows: bytes are the activations read and written once, so at few rows, which lie in a cache,
 * the share of the read bandwidth may pass 100 %. Attention: bytes are K and V of all positions, as in
 * bench_kernels, whose llama-1b lines it continues with soft-caps, sinks and latent attention. */
#include "kernels.h"

typedef struct row_case {
    const char *name;
    int64_t width;
    int32_t n_slots; /* of that width, read or written */
    krs_op op;       /* in 0, out another slot; matrix and bias vectors, or nothing */
    bool has_matrix;
    bool is_in_place;
} row_case;

static const row_case row_cases[] = {
    {"rms norm 4096", 4096, 2, {.kind = KRS_OP_RMS_NORM, .norm = {1e-5f, 1, 0}}, true, false},
    {"rms norm 4096, offset 1",
     4096,
     2,
     {.kind = KRS_OP_RMS_NORM, .norm = {1e-5f, 1, 1}},
     true,
     false},
    {"layer norm 4096", 4096, 2, {.kind = KRS_OP_LAYER_NORM, .norm = {1e-5f, 1, 0}}, true, false},
    {"rms norm 32 x 128", 4096, 2, {.kind = KRS_OP_RMS_NORM, .norm = {1e-5f, 32, 0}}, false, false},
    {"add 0.22 4096", 4096, 3, {.kind = KRS_OP_ADD, .add = {0.22f}}, false, false},
    {"add vector 4096", 4096, 2, {.kind = KRS_OP_ADD_VECTOR}, true, false},
    {"scale 4096", 4096, 2, {.kind = KRS_OP_SCALE, .scale = {0.1f, 0}}, false, false},
    {"soft-cap of logits 256000", 256000, 2, {.kind = KRS_OP_SCALE, .scale = {1, 30}}, false, true},
    {"copy 32 x 64 of 128", 4096, 1, {.kind = KRS_OP_COPY, .copy = {32, 64, 0, 64}}, false, false},
    {"activate gelu 16384",
     16384,
     2,
     {.kind = KRS_OP_ACTIVATE, .activate = {KRS_ACT_GELU}},
     false,
     true},
    {"activate gelu tanh 16384",
     16384,
     2,
     {.kind = KRS_OP_ACTIVATE, .activate = {KRS_ACT_GELU_TANH}},
     false,
     true},
    {"activate relu2 16384",
     16384,
     2,
     {.kind = KRS_OP_ACTIVATE, .activate = {KRS_ACT_RELU2}},
     false,
     true},
    {"glu silu 16384", 16384, 3, {.kind = KRS_OP_GLU, .glu = {KRS_ACT_SILU, 0, 0}}, false, false},
    {"glu sigmoid 16384",
     16384,
     3,
     {.kind = KRS_OP_GLU, .glu = {KRS_ACT_SIGMOID, 0, 0}},
     false,
     false},
    {"glu clamped 16384",
     16384,
     3,
     {.kind = KRS_OP_GLU, .glu = {KRS_ACT_SILU, 7, 1.702f}},
     false,
     false},
    {"rope halves 32 x 128",
     4096,
     2,
     {.kind = KRS_OP_ROPE, .rope = {32, 128, 64, 0, 1, false, 0}},
     false,
     true},
    {"rope pairs 32 x 128",
     4096,
     2,
     {.kind = KRS_OP_ROPE, .rope = {32, 128, 64, 0, 1, true, 0}},
     false,
     true},
};

static void bench_row_case(const settings *set, const row_case *c, uint32_t n_rows)
{
    enum { N = 16 };
    unsigned char *bytes = new_words((size_t)c->width * 2);
    const float freqs[64] = {1.0f, 0.5f};
    const krs_error err = {.message = "floats"};
    krs_program program;
    uint32_t first;
    start_program(&program, c->width, bytes);
    must(krs_program_add_floats(&program, freqs, 64, &first), "program", &err);
    krs_op op = c->op;
    op.out = c->is_in_place ? 0 : add_slot(&program, c->width, KRS_ROWS_ALL);
    op.matrix =
        c->has_matrix ? add_matrix(&program, &layouts[0], 1, c->width, bytes) : KRS_NO_MATRIX;
    op.bias = c->has_matrix ? op.matrix : KRS_NO_MATRIX;
    for (int i = 0; i < N; i++) {
        add_op(&program, op);
    }
    finish_program(&program, 0);
    rotation rot = {&program, NULL, 1};
    const double s = time_programs(set, &rot, n_rows, 0, KRS_DTYPE_F16) / N;
    report(set, c->name, n_rows, s, 4.0 * c->n_slots * n_rows * (double)c->width, 0);
    krs_program_deinit(&program);
    krs_alloc_free(NULL, bytes);
}

typedef struct attention_case {
    const char *name;
    int32_t n_heads;
    int32_t n_kv_heads;
    int32_t head_dim;
    int32_t value_dim;
    float softcap;
    bool has_sinks;
    uint32_t n_past; /* filling the cache takes the square of it */
} attention_case;

static const attention_case attention_cases[] = {
    {"attention 32/8 of 64", 32, 8, 64, 64, 0, false, KV_POSITIONS},
    {"attention 32/8 of 64, soft-cap", 32, 8, 64, 64, 50, false, KV_POSITIONS},
    {"attention 32/8 of 64, sinks", 32, 8, 64, 64, 0, true, KV_POSITIONS},
    {"attention 32/8 of 80", 32, 8, 80, 80, 0, false, KV_POSITIONS},
    {"attention 32/8 of 128", 32, 8, 128, 128, 0, false, KV_POSITIONS},
    {"latent attention 16/1 of 576/512", 16, 1, 576, 512, 0, false, 1024},
    {"latent attention 128/1 of 576/512", 128, 1, 576, 512, 0, false, 1024},
};

static void bench_attention_case(const settings *set, const attention_case *c, uint32_t n_rows,
                                 krs_dtype kv_dtype)
{
    enum { LAYERS = 2 };
    const int64_t q_width = (int64_t)c->n_heads * c->head_dim;
    unsigned char *bytes = new_words((size_t)q_width * 2);
    krs_program program;
    start_program(&program, q_width, bytes);
    program.n_kv_layers = LAYERS;
    program.n_kv_heads = c->n_kv_heads;
    program.head_dim = c->head_dim;
    program.value_dim = c->value_dim;
    const krs_slot kv[] = {
        add_slot(&program, (int64_t)c->n_kv_heads * c->head_dim, KRS_ROWS_ALL),
        add_slot(&program, (int64_t)c->n_kv_heads * c->value_dim, KRS_ROWS_ALL),
    };
    for (int i = 0; i < 2; i++) {
        const uint32_t row =
            add_matrix(&program, &layouts[0], 1, program.slots[kv[i]].width, bytes);
        add_op(&program,
               (krs_op){.kind = KRS_OP_EMBED, .out = kv[i], .matrix = row, .embed = {1, 0}});
    }
    const krs_slot out = add_slot(&program, (int64_t)c->n_heads * c->value_dim, KRS_ROWS_ALL);
    const uint32_t sinks = add_matrix(&program, &layouts[0], 1, c->n_heads, bytes);
    for (int32_t layer = 0; layer < LAYERS; layer++) {
        krs_op op = {
            .kind = KRS_OP_KV_WRITE,
            .in = kv[0],
            .in2 = kv[1],
            .matrix = KRS_NO_MATRIX,
            .attention = {layer, c->n_heads, c->n_kv_heads, c->head_dim, 0, 0.125f, c->softcap, 0}};
        add_op(&program, op);
        op.kind = KRS_OP_ATTENTION;
        op.in = 0;
        op.out = out;
        op.matrix = c->has_sinks ? sinks : KRS_NO_MATRIX;
        add_op(&program, op);
    }
    finish_program(&program, out);
    rotation rot = {&program, NULL, 1};
    const double s = time_programs(set, &rot, n_rows, c->n_past, kv_dtype) / LAYERS;
    const double elements = c->n_kv_heads * ((double)c->head_dim + c->value_dim);
    const double seen = n_rows * (c->n_past + (n_rows + 1) / 2.0);
    char name[64];
    (void)snprintf(name, sizeof(name), "%s %s", c->name, krs_dtype_name(kv_dtype));
    report(set, name, n_rows, s,
           elements * (double)krs_dtype_bytes(kv_dtype) * (c->n_past + n_rows),
           2.0 * c->n_heads * ((double)c->head_dim + c->value_dim) * seen);
    krs_program_deinit(&program);
    krs_alloc_free(NULL, bytes);
}

/* Latent attention's absorbed projection: 16 heads of 128 -> 512. */
static void bench_heads(const settings *set, const layout *as, uint32_t n_rows)
{
    enum { HEADS = 16, IN = 128, OUT = 512 };
    const size_t n_bytes = matrix_bytes(as, HEADS * OUT, IN);
    unsigned char *bytes = new_words(n_bytes);
    krs_program program;
    start_program(&program, HEADS * IN, bytes);
    const krs_slot out = add_slot(&program, HEADS * OUT, KRS_ROWS_ALL);
    const uint32_t matrix = add_matrix(&program, as, HEADS * OUT, IN, bytes);
    add_op(&program, (krs_op){.kind = KRS_OP_HEAD_LINEAR,
                              .in = 0,
                              .out = out,
                              .matrix = matrix,
                              .head_linear = {HEADS}});
    finish_program(&program, out);
    rotation rot = {&program, NULL, 1};
    const double s = time_programs(set, &rot, n_rows, 0, KRS_DTYPE_F16);
    char name[64];
    (void)snprintf(name, sizeof(name), "head linear 16 of 128 x 512 %s", as->name);
    report(set, name, n_rows, s, (double)n_bytes, 2.0 * n_rows * HEADS * IN * OUT);
    krs_program_deinit(&program);
    krs_alloc_free(NULL, bytes);
}

static void bench_all_heads(const settings *set)
{
    for (int i = 0; is_wanted(set, "head linear") && i < N_LAYOUTS; i++) {
        /* A head of 128 elements holds no whole block of 256. */
        if (layouts[i].quant.group <= 128) {
            bench_heads(set, &layouts[i], 1);
            bench_heads(set, &layouts[i], 64);
        }
    }
}

int main(int argc, char **argv)
{
    const settings set = start_bench(argc, argv);
    for (size_t i = 0; i < sizeof(row_cases) / sizeof(row_cases[0]); i++) {
        const uint32_t many =
            row_cases[i].width > 100000 ? 8 : 64; /* logits are wanted of few rows */
        for (uint32_t n = 1; is_wanted(&set, row_cases[i].name) && n <= many; n *= many) {
            bench_row_case(&set, &row_cases[i], n);
        }
    }
    for (size_t i = 0; i < sizeof(attention_cases) / sizeof(attention_cases[0]); i++) {
        for (uint32_t n = 1; is_wanted(&set, attention_cases[i].name) && n <= 32; n *= 32) {
            bench_attention_case(&set, &attention_cases[i], n, KRS_DTYPE_F16);
            bench_attention_case(&set, &attention_cases[i], n, KRS_DTYPE_I8);
        }
    }
    bench_all_heads(&set);
    return EXIT_SUCCESS;
}
