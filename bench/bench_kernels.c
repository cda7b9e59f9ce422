/* bench/bench_kernels.c - the cpu backend's ops at the shapes of real models, against the machine's ceilings.
 *
 *   bench_kernels [--threads N] [--isa NAME] [--seconds S] [--only WORD]... [--rows N] [--cpu-clock]
 *                                                                                            (kernels.h)
 *
 * One line per (op, layout, rows): time of one step, bytes and operations per second, and what share of each
 * ceiling that is. The floor of a step is the larger of bytes / read bandwidth and operations / rate of
 * products (bf16 pairs, or int8 where weights are codes). A linear takes turns over enough copies of its
 * matrix that no cache keeps them between uses. All of it takes most of an hour; --only llama-1b --only
 * affine4 takes a minute. */
#include "kernels.h"

typedef struct shape {
    const char *name;
    int64_t n_in;
    int64_t n_out;
} shape;

/* Every linear of Llama-3.2-1B, Qwen3-0.6B, Llama-3.1-8B and Qwen3-30B-A3B. */
static const shape shapes[] = {
    {"llama-1b q/o", 2048, 2048},       {"llama-1b k/v", 2048, 512},
    {"llama-1b gate/up", 2048, 8192},   {"llama-1b down", 8192, 2048},
    {"llama-1b head", 2048, 128256},    {"qwen3-0.6b q", 1024, 2048},
    {"qwen3-0.6b k/v", 1024, 1024},     {"qwen3-0.6b o", 2048, 1024},
    {"qwen3-0.6b gate/up", 1024, 3072}, {"qwen3-0.6b down", 3072, 1024},
    {"qwen3-0.6b head", 1024, 151936},  {"llama-8b q/o", 4096, 4096},
    {"llama-8b k/v", 4096, 1024},       {"llama-8b gate/up", 4096, 14336},
    {"llama-8b down", 14336, 4096},     {"llama-8b head", 4096, 128256},
    {"qwen3-30b q", 2048, 4096},        {"qwen3-30b k/v", 2048, 512},
    {"qwen3-30b o", 4096, 2048},        {"qwen3-30b head", 2048, 151936},
};

/* One linear of the shape. bytes: its weights. */
static void add_linear_program(krs_program *program, const shape *sh, const layout *as,
                               unsigned char *bytes)
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
    const uint64_t one_bytes = matrix_bytes(as, sh->n_out, sh->n_in);
    uint64_t n_copies = COLD_BYTES / one_bytes + 1;
    /* With many rows a step computes for seconds; caches matter less, so fewer copies do. */
    n_copies = n_rows > 32 ? 1 : n_copies < MAX_COPIES ? n_copies : MAX_COPIES;
    unsigned char *bytes = new_words(n_copies * one_bytes);
    rotation rot = {new_array(n_copies, sizeof(krs_program)), NULL, (uint32_t)n_copies};
    for (uint64_t i = 0; i < n_copies; i++) {
        add_linear_program(&rot.programs[i], sh, as, bytes + i * one_bytes);
    }
    const double s = time_programs(set, &rot, n_rows, 0, KRS_DTYPE_F16);
    char name[64];
    (void)snprintf(name, sizeof(name), "%s %s", sh->name, as->name);
    const double n_ops = 2.0 * n_rows * (double)sh->n_in * (double)sh->n_out;
    report(set, name, n_rows, s, (double)one_bytes, n_ops);
    for (uint64_t i = 0; i < n_copies; i++) {
        krs_program_deinit(&rot.programs[i]);
    }
    krs_alloc_free(NULL, rot.programs);
    krs_alloc_free(NULL, bytes);
}

/* Qwen3-30B-A3B: 128 experts of 768 over a width of 2048, 8 to a token. */
enum { EXPERTS = 128, EXPERT_FFN = 768, EXPERT_WIDTH = 2048, TOP_K = 8 };

/* Arbitrary bf16 values of either sign below 2^-6, so that a router sends each row its own way. */
static void fill_spread(unsigned char *bytes, size_t n_values)
{
    uint32_t state = 1;
    for (size_t i = 0; i < n_values; i++) {
        state = state * 1664525 + 1013904223; /* Numerical Recipes' LCG */
        const uint16_t value = (uint16_t)(0x3C00u | (state >> 16 & 0x807Fu));
        memcpy(bytes + 2 * i, &value, sizeof(value));
    }
}

/* Consecutive matrices of one layout; the first's index. */
static uint32_t add_experts(krs_program *program, const layout *as, int64_t n_out, int64_t n_in,
                            unsigned char *bytes)
{
    const size_t one_bytes = matrix_bytes(as, n_out, n_in);
    uint32_t first = 0;
    for (size_t i = 0; i < EXPERTS; i++) {
        const uint32_t index = add_matrix(program, as, n_out, n_in, bytes + i * one_bytes);
        first = i == 0 ? index : first;
    }
    return first;
}

/* rows: of the embedding, one for each token; router [EXPERTS, EXPERT_WIDTH] after them. */
static void add_experts_program(krs_program *program, const layout *as, unsigned char *rows,
                                uint32_t n_rows, unsigned char *bytes)
{
    krs_program_init(program, NULL);
    program->max_positions = KV_POSITIONS;
    const size_t gate_bytes = matrix_bytes(as, EXPERT_FFN, EXPERT_WIDTH) * EXPERTS;
    const krs_slot x = add_slot(program, EXPERT_WIDTH, KRS_ROWS_ALL);
    const krs_slot logits = add_slot(program, EXPERTS, KRS_ROWS_ALL);
    const krs_slot routing = add_slot(program, 2 * (int64_t)TOP_K, KRS_ROWS_ALL);
    const krs_slot out = add_slot(program, EXPERT_WIDTH, KRS_ROWS_ALL);
    krs_op op = {.kind = KRS_OP_EMBED, .out = x, .embed = {1.0f}};
    op.matrix = add_matrix(program, &layouts[0], n_rows, EXPERT_WIDTH, rows);
    add_op(program, op);
    op = (krs_op){.kind = KRS_OP_LINEAR, .in = x, .out = logits, .bias = KRS_NO_MATRIX};
    op.matrix = add_matrix(program, &layouts[0], EXPERTS, EXPERT_WIDTH,
                           rows + (size_t)n_rows * EXPERT_WIDTH * 2);
    add_op(program, op);
    op = (krs_op){.kind = KRS_OP_ROUTE, .in = logits, .out = routing, .matrix = KRS_NO_MATRIX};
    op.bias = KRS_NO_MATRIX;
    op.route.top_k = TOP_K;
    op.route.n_groups = 1;
    op.route.is_normalised = true;
    op.route.scale = 1;
    add_op(program, op);
    op = (krs_op){.kind = KRS_OP_EXPERTS, .in = x, .in2 = routing, .out = out};
    op.matrix = op.bias = KRS_NO_MATRIX;
    op.experts.gate = add_experts(program, as, EXPERT_FFN, EXPERT_WIDTH, bytes);
    op.experts.up = add_experts(program, as, EXPERT_FFN, EXPERT_WIDTH, bytes + gate_bytes);
    op.experts.down = add_experts(program, as, EXPERT_WIDTH, EXPERT_FFN, bytes + 2 * gate_bytes);
    op.experts.gate_bias = op.experts.up_bias = op.experts.down_bias = KRS_NO_MATRIX;
    op.experts.n_experts = EXPERTS;
    op.experts.gated.act = KRS_ACT_SILU;
    add_op(program, op);
    finish_program(program, out);
}

/* A layer's experts with their router. Bytes are of the experts that n_rows rows choose when each chooses by
 * itself, in the mean. */
static void bench_experts(const settings *set, const layout *as, uint32_t n_rows)
{
    const size_t gate_bytes = matrix_bytes(as, EXPERT_FFN, EXPERT_WIDTH) * EXPERTS;
    const size_t down_bytes = matrix_bytes(as, EXPERT_WIDTH, EXPERT_FFN) * EXPERTS;
    const size_t n_values = ((size_t)n_rows + EXPERTS) * EXPERT_WIDTH;
    unsigned char *rows = new_words(n_values * 2);
    unsigned char *bytes = new_words(2 * gate_bytes + down_bytes);
    fill_spread(rows, n_values);
    krs_program program;
    add_experts_program(&program, as, rows, n_rows, bytes);
    rotation rot = {&program, NULL, 1};
    const double s = time_programs(set, &rot, n_rows, 0, KRS_DTYPE_F16);
    const double chosen = 1.0 - pow(1.0 - (double)TOP_K / EXPERTS, n_rows);
    char name[64];
    (void)snprintf(name, sizeof(name), "qwen3-30b experts %s", as->name);
    report(set, name, n_rows, s, chosen * (double)(2 * gate_bytes + down_bytes),
           2.0 * n_rows * TOP_K * 3 * EXPERT_FFN * EXPERT_WIDTH);
    krs_program_deinit(&program);
    krs_alloc_free(NULL, rows);
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
           4.0 * HEADS * DIM * seen);
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
    report(set, name, n_rows, s, 0, 4.0 * n_rows * (double)width);
    krs_program_deinit(&program);
    krs_alloc_free(NULL, bytes);
}

/* One shape in one layout, or the experts in it (sh NULL), with every number of rows that is wanted. */
static void bench_rows_of(const settings *set, const shape *sh, const layout *as)
{
    char name[64];
    (void)snprintf(name, sizeof(name), "%s %s", sh ? sh->name : "qwen3-30b experts", as->name);
    for (size_t r = 0; is_wanted(set, name) && r < N_ROW_COUNTS; r++) {
        const bool is_head = sh && sh->n_out > 100000; /* runs on few rows only */
        if (!is_wanted_rows(set, row_counts[r]) || (is_head && row_counts[r] > 32)) {
            continue;
        }
        if (sh) {
            bench_linear(set, sh, as, row_counts[r]);
        } else {
            bench_experts(set, as, row_counts[r]);
        }
    }
}

static void bench_linears(const settings *set)
{
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        for (size_t k = 0; k < N_LAYOUTS; k++) {
            bench_rows_of(set, &shapes[i], &layouts[k]);
        }
    }
    for (size_t k = 0; k < N_LAYOUTS; k++) {
        bench_rows_of(set, NULL, &layouts[k]);
    }
}

static void bench_rest(const settings *set)
{
    static const krs_op_kind kinds[] = {KRS_OP_RMS_NORM, KRS_OP_ROPE, KRS_OP_GLU, KRS_OP_ADD};
    for (size_t r = 0; is_wanted(set, "attention") && r < N_ROW_COUNTS; r++) {
        if (is_wanted_rows(set, row_counts[r])) {
            bench_attention(set, row_counts[r], 0, KRS_DTYPE_F16);
            bench_attention(set, row_counts[r], KV_POSITIONS, KRS_DTYPE_F16);
            bench_attention(set, row_counts[r], KV_POSITIONS, KRS_DTYPE_I8);
        }
    }
    for (size_t k = 0; k < 4; k++) {
        for (size_t r = 0; is_wanted(set, krs_op_name(kinds[k])) && r < N_ROW_COUNTS; r++) {
            if (is_wanted_rows(set, row_counts[r])) {
                bench_rows(set, kinds[k], row_counts[r]);
            }
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
