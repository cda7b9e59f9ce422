/* bench/bench_kernels.c - the cpu backend's ops at the shapes of real models, against the machine's ceilings.
 *
 *   bench_kernels [--threads N] [--isa NAME] [--seconds S] [--only WORD] [--cpu-clock]      (kernels.h)
 *
 * One line per (op, layout, rows): time of one step, bytes and operations per second, and the share of
 * the ceiling that binds. The floor of a step is the larger of bytes / read bandwidth and operations /
 * dot rate. A linear takes turns over enough copies of its matrix that no cache keeps them between
 * uses. */
#include "kernels.h"

typedef struct shape {
    const char *name;
    int64_t n_in;
    int64_t n_out;
} shape;

static const shape shapes[] = {
    {"llama-1b q/o", 2048, 2048},     {"llama-1b k/v", 2048, 512},
    {"llama-1b gate/up", 2048, 8192}, {"llama-1b down", 8192, 2048},
    {"llama-1b head", 2048, 128256},  {"qwen3-0.6b q", 1024, 2048},
    {"qwen3-0.6b down", 3072, 1024},
};

/* One linear of the shape. bytes: its weights. */
static void add_linear_program(krs_program *program, const shape *sh, const layout *as,
                               const unsigned char *bytes)
{
    start_program(program, sh->n_in, bytes);
    const krs_slot y = add_slot(program, sh->n_out, KRS_ROWS_ALL);
    const uint32_t m = add_matrix(program, as, sh->n_out, sh->n_in, bytes);
    add_op(program,
           (krs_op){.kind = KRS_OP_LINEAR, .in = 0, .out = y, .matrix = m, .bias = KRS_NO_MATRIX});
    finish_program(program, y);
}

static void bench_linear(const settings *set, const shape *sh, const layout *as, uint32_t n_rows)
{
    const krs_matrix one = {.n_out = sh->n_out,
                            .n_in = sh->n_in,
                            .quant = as->quant,
                            .dtype = as->dtype,
                            .scale_dtype = KRS_DTYPE_BF16};
    const uint64_t matrix_bytes = krs_matrix_data_bytes(&one) + krs_matrix_scale_bytes(&one);
    uint64_t n_copies = COLD_BYTES / matrix_bytes + 1;
    /* With many rows a step computes for seconds; caches matter less, so fewer copies do. */
    n_copies = n_rows > 32 ? 1 : n_copies < MAX_COPIES ? n_copies : MAX_COPIES;
    unsigned char *bytes = new_words(n_copies * matrix_bytes);
    rotation rot = {new_array(n_copies, sizeof(krs_program)), NULL, (uint32_t)n_copies};
    for (uint64_t i = 0; i < n_copies; i++) {
        add_linear_program(&rot.programs[i], sh, as, bytes + i * matrix_bytes);
    }
    const double s = time_programs(set, &rot, n_rows, 0, KRS_DTYPE_F16);
    char name[64];
    (void)snprintf(name, sizeof(name), "%s %s", sh->name, as->name);
    const double n_ops = 2.0 * n_rows * (double)sh->n_in * (double)sh->n_out;
    report(set, name, n_rows, s, (double)matrix_bytes, n_ops, set->bf16_ops);
    for (uint64_t i = 0; i < n_copies; i++) {
        krs_program_deinit(&rot.programs[i]);
    }
    krs_alloc_free(NULL, rot.programs);
    krs_alloc_free(NULL, bytes);
}

/* Attention of a llama-1b layer (32 heads of 64 over 8) after n_past positions. */
static void bench_attention(const settings *set, uint32_t n_rows, uint32_t n_past,
                            krs_dtype kv_dtype)
{
    enum { HEADS = 32, KV_HEADS = 8, DIM = 64, LAYERS = 4 };
    unsigned char *bytes = new_words(HEADS * DIM * 2);
    krs_program program;
    start_program(&program, HEADS * DIM, bytes);
    program.n_kv_layers = LAYERS;
    program.n_kv_heads = KV_HEADS;
    program.head_dim = DIM;
    const krs_slot k = add_slot(&program, KV_HEADS * DIM, KRS_ROWS_ALL);
    const krs_slot out = add_slot(&program, HEADS * DIM, KRS_ROWS_ALL);
    const uint32_t row = add_matrix(&program, &layouts[0], 1, KV_HEADS * DIM, bytes);
    add_op(&program, (krs_op){.kind = KRS_OP_EMBED, .out = k, .matrix = row, .embed = {1.0f}});
    for (int32_t layer = 0; layer < LAYERS; layer++) {
        krs_op op = {.kind = KRS_OP_KV_WRITE,
                     .in = k,
                     .in2 = k,
                     .matrix = KRS_NO_MATRIX,
                     .attention = {layer, HEADS, KV_HEADS, DIM, 0, 0.125f}};
        add_op(&program, op);
        op.kind = KRS_OP_ATTENTION;
        op.in = 0;
        op.out = out;
        add_op(&program, op);
    }
    finish_program(&program, out);
    rotation rot = {&program, NULL, 1};
    const double s = time_programs(set, &rot, n_rows, n_past, kv_dtype) / LAYERS;
    char name[64];
    (void)snprintf(name, sizeof(name), "attention llama-1b %s after %u", krs_dtype_name(kv_dtype),
                   n_past);
    const double scale_bytes = kv_dtype == KRS_DTYPE_I8 ? sizeof(float) : 0;
    const double head_bytes = DIM * (double)krs_dtype_bytes(kv_dtype) + scale_bytes;
    const double seen = n_rows * ((double)n_past + (n_rows + 1) / 2.0);
    report(set, name, n_rows, s, 2.0 * KV_HEADS * head_bytes * ((double)n_past + n_rows),
           4.0 * HEADS * DIM * seen, set->f32_ops);
    krs_program_deinit(&program);
    krs_alloc_free(NULL, bytes);
}

/* Norm, rope, glu and add on rows of a llama-1b layer, 16 of each. */
static void bench_rows(const settings *set, krs_op_kind kind, uint32_t n_rows)
{
    enum { HIDDEN = 2048, FFN = 8192, N = 16 };
    const int64_t width = kind == KRS_OP_GLU ? FFN : HIDDEN;
    unsigned char *bytes = new_words(FFN * 2);
    krs_program program;
    start_program(&program, width, bytes);
    const uint32_t weight = add_matrix(&program, &layouts[0], 1, width, bytes);
    const krs_slot out = add_slot(&program, width, KRS_ROWS_ALL);
    const float freqs[32] = {1.0f, 0.5f};
    const krs_error err = {.message = "floats"};
    uint32_t first;
    must(krs_program_add_floats(&program, freqs, 32, &first), "program", &err);
    for (int i = 0; i < N; i++) {
        krs_op op = {.kind = kind, .in = 0, .in2 = 0, .out = out, .matrix = weight};
        if (kind == KRS_OP_RMS_NORM) {
            op.norm.eps = 1e-5f;
            op.norm.n_groups = 1;
        } else if (kind == KRS_OP_ADD) {
            op.add.scale = 1.0f;
        } else if (kind == KRS_OP_ROPE) {
            op.rope.n_heads = 32;
            op.rope.head_dim = 64;
            op.rope.n_freqs = 32;
            op.rope.freqs = first;
            op.rope.scale = 1.0f;
        } else if (kind == KRS_OP_GLU) {
            op.glu.act = KRS_ACT_SILU;
        }
        add_op(&program, op);
    }
    finish_program(&program, kind == KRS_OP_ROPE ? 0 : out);
    rotation rot = {&program, NULL, 1};
    const double s = time_programs(set, &rot, n_rows, 0, KRS_DTYPE_F16) / N;
    char name[64];
    (void)snprintf(name, sizeof(name), "%s of %lld", krs_op_name(kind), (long long)width);
    report(set, name, n_rows, s, 0, 4.0 * n_rows * (double)width, set->f32_ops);
    krs_program_deinit(&program);
    krs_alloc_free(NULL, bytes);
}

static void bench_linears(const settings *set)
{
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        for (size_t k = 0; k < sizeof(layouts) / sizeof(layouts[0]); k++) {
            char name[64];
            (void)snprintf(name, sizeof(name), "%s %s", shapes[i].name, layouts[k].name);
            for (size_t r = 0; is_wanted(set, name) && r < 4; r++) {
                const bool is_head = shapes[i].n_out > 100000; /* runs on few rows only */
                if (!is_head || row_counts[r] <= 32) {
                    bench_linear(set, &shapes[i], &layouts[k], row_counts[r]);
                }
            }
        }
    }
}

static void bench_rest(const settings *set)
{
    static const krs_op_kind kinds[] = {KRS_OP_RMS_NORM, KRS_OP_ROPE, KRS_OP_GLU, KRS_OP_ADD};
    for (size_t r = 0; is_wanted(set, "attention") && r < 4; r++) {
        bench_attention(set, row_counts[r], 0, KRS_DTYPE_F16);
        bench_attention(set, row_counts[r], KV_POSITIONS, KRS_DTYPE_F16);
        bench_attention(set, row_counts[r], KV_POSITIONS, KRS_DTYPE_I8);
    }
    for (size_t k = 0; k < 4; k++) {
        for (size_t r = 0; is_wanted(set, krs_op_name(kinds[k])) && r < 4; r++) {
            bench_rows(set, kinds[k], row_counts[r]);
        }
    }
}

int main(int argc, char **argv)
{
    const settings set = start_bench(argc, argv);
    bench_linears(&set);
    bench_rest(&set);
    return EXIT_SUCCESS;
}
