/* tests/parity/test_family_ops.c - the ops and numbers that families beyond llama's shape add, on every
 * instruction set of this machine, held to the reference: see support/parity.h.
 *
 * Widths are not multiples of any vector; every number is tried at a value that is not its neutral one. */
#include "support/parity.h"

static const krs_dtype dense[] = {KRS_DTYPE_F32, KRS_DTYPE_F16, KRS_DTYPE_BF16};
static const tiny_shape f32 = {.dtype = KRS_DTYPE_F32};

/* Slot 0 through one op of the same width, in place or into another slot. */
static void check_unary(krs_op op, tiny_decoder *tiny, bool is_in_place, double tol,
                        const char *name)
{
    const int64_t width = tiny->program.slots[0].width;
    op.in = op.in2 = 0;
    op.out = is_in_place ? 0 : tiny_slot(tiny, width, KRS_ROWS_ALL);
    tiny_op(tiny, op);
    parity_take_out(tiny, op.out);
    parity_check(&tiny->program, KRS_DTYPE_F32, tol, tol, name);
    tiny_decoder_deinit(tiny);
}

typedef struct norm_case {
    krs_op_kind kind;
    int64_t width; /* of a group */
    int32_t n_groups;
    bool has_weight;
    bool is_per_group; /* weight and bias as wide as the row */
    bool has_bias;
    float offset;
} norm_case;

static void check_norm(const norm_case *c, size_t seed)
{
    tiny_decoder tiny;
    char name[128];
    const tiny_shape shape = {.dtype = dense[seed % 3]};
    const int64_t n = c->is_per_group ? c->width * c->n_groups : c->width;
    parity_start(&tiny, c->width * c->n_groups, seed);
    (void)snprintf(name, sizeof(name), "%s of %d x %lld", krs_op_name(c->kind), c->n_groups,
                   (long long)c->width);
    const krs_op op = {
        .kind = c->kind,
        .matrix = c->has_weight ? tiny_matrix(&tiny, &shape, 1, n, 0.5f, 0.4f) : KRS_NO_MATRIX,
        .bias = c->has_bias ? tiny_matrix(&tiny, &shape, 1, n, 0.1f, 0.4f) : KRS_NO_MATRIX,
        .norm = {1e-5f, c->n_groups, c->offset},
    };
    check_unary(op, &tiny, seed % 2 == 0, TOL_F32, name);
}

static void norms_agree_with_offsets_means_and_missing_weights(void **state)
{
    (void)state;
    static const norm_case cases[] = {
        {KRS_OP_RMS_NORM, 129, 1, true, false, false, 1.0f},
        {KRS_OP_RMS_NORM, 20, 3, true, false, false, 1.0f},
        {KRS_OP_RMS_NORM, 31, 1, false, false, false, 0},
        {KRS_OP_RMS_NORM, 24, 5, true, true, false, 0},
        {KRS_OP_RMS_NORM, 17, 3, true, true, false, 1.0f},
        {KRS_OP_LAYER_NORM, 3, 1, true, false, true, 0},
        {KRS_OP_LAYER_NORM, 64, 1, true, false, false, 0},
        {KRS_OP_LAYER_NORM, 250, 1, false, false, true, 0},
        {KRS_OP_LAYER_NORM, 7, 4, false, false, false, 0},
        {KRS_OP_LAYER_NORM, 33, 3, true, true, true, 0},
        {KRS_OP_LAYER_NORM, 80, 2, true, false, true, 1.0f},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check_norm(&cases[i], i);
        check_norm(&cases[i], i + 1);
    }
}

static void activations_agree(void **state)
{
    (void)state;
    static const float scales[] = {1e-3f, 1.0f, 8.0f, 120.0f};
    for (size_t i = 0; i < 4 * KRS_ACT_COUNT; i++) {
        tiny_decoder tiny;
        char name[64];
        const krs_activation act = (krs_activation)(i % KRS_ACT_COUNT);
        (void)snprintf(name, sizeof(name), "activation %d of +-%g", (int)act,
                       (double)scales[i / KRS_ACT_COUNT]);
        parity_start(&tiny, 50, i);
        tiny.program.ops[0].embed.scale = scales[i / KRS_ACT_COUNT];
        const krs_op op = {.kind = KRS_OP_ACTIVATE, .activate = {act}};
        check_unary(op, &tiny, i % 2 == 0, TOL_ACT, name);
    }
}

static void gates_agree(void **state)
{
    (void)state;
    static const float scales[] = {1e-2f, 1.0f, 8.0f, 120.0f};
    static const krs_gate gates[] = {
        {KRS_ACT_SIGMOID, 0, 0},    {KRS_ACT_RELU, 0, 0},       {KRS_ACT_RELU2, 0, 0},
        {KRS_ACT_TANH, 0, 0},       {KRS_ACT_QUICK_GELU, 0, 0}, {KRS_ACT_SILU, 7.0f, 1.702f},
        {KRS_ACT_SILU, 0.5f, 1.0f},
    };
    for (size_t i = 0; i < 4 * (sizeof(gates) / sizeof(gates[0])); i++) {
        tiny_decoder tiny;
        char name[64];
        const krs_gate *gate = &gates[i / 4];
        (void)snprintf(name, sizeof(name), "gate %d, limit %g, of +-%g", (int)gate->act,
                       (double)gate->limit, (double)scales[i % 4]);
        parity_start(&tiny, 45, i);
        tiny.program.ops[0].embed.scale = scales[i % 4];
        const krs_slot up = tiny_slot(&tiny, 45, KRS_ROWS_ALL);
        tiny_linear(&tiny, &f32, 0, up, false);
        tiny_op(&tiny, (krs_op){.kind = KRS_OP_GLU, .in = 0, .in2 = up, .out = up, .glu = *gate});
        parity_take_out(&tiny, up);
        parity_check(&tiny.program, KRS_DTYPE_F32, TOL_F32, TOL_F32, name);
        tiny_decoder_deinit(&tiny);
    }
}

static void scales_and_soft_caps_agree(void **state)
{
    (void)state;
    static const struct {
        float factor;
        float softcap;
        float spread;
    } cases[] = {{0.0625f, 0, 3.0f}, {1.0f, 30.0f, 100.0f}, {2.5f, 50.0f, 0.01f}, {-1.5f, 1.0f, 1}};
    for (size_t i = 0; i < 8; i++) {
        tiny_decoder tiny;
        parity_start(&tiny, 61, i);
        tiny.program.ops[0].embed.scale = cases[i / 2].spread;
        const krs_op op = {.kind = KRS_OP_SCALE,
                           .scale = {cases[i / 2].factor, cases[i / 2].softcap}};
        check_unary(op, &tiny, i % 2 == 0, TOL_ACT, "scale");
    }
}

static void additions_agree(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        tiny_decoder tiny;
        parity_start(&tiny, 77, i);
        check_unary((krs_op){.kind = KRS_OP_ADD, .add = {i < 2 ? 0.22f : -1.5f}}, &tiny, i % 2 == 0,
                    TOL_F32, "add");
        const tiny_shape shape = {.dtype = dense[i % 3]};
        parity_start(&tiny, 77, i);
        const uint32_t vector = tiny_matrix(&tiny, &shape, 1, 77, 0.1f, 1.0f);
        check_unary((krs_op){.kind = KRS_OP_ADD_VECTOR, .matrix = vector}, &tiny, i % 2 == 0, 0,
                    "add vector"); /* one rounded sum: equal */
    }
}

static void learned_positions_agree(void **state)
{
    (void)state;
    for (size_t i = 0; i < 8; i++) {
        tiny_decoder tiny;
        const krs_quant affine = {KRS_QUANT_AFFINE, i < 6 ? 4 : 8, 32};
        const tiny_shape shape = {.dtype = dense[i % 3],
                                  .quant = i % 4 == 3 ? affine : (krs_quant){KRS_QUANT_NONE, 0, 0}};
        const int32_t offset = i % 2 == 0 ? 0 : 2;
        parity_start(&tiny, 96, i);
        tiny.program.max_positions = 64;
        const uint32_t rows = tiny_matrix(&tiny, &shape, 64 + offset, 96, 0, 1.0f);
        check_unary((krs_op){.kind = KRS_OP_ADD_POSITION, .matrix = rows, .embed = {0, offset}},
                    &tiny, i % 2 == 0, 0, "add position");
    }
}

/* A fused projection as gpt_neox has it, three parts a head, split and joined again in another order. */
static void copies_agree(void **state)
{
    (void)state;
    enum { HEADS = 3, DIM = 7 };
    tiny_decoder tiny;
    parity_start(&tiny, HEADS * 3 * DIM, 3);
    const krs_slot all = tiny_slot(&tiny, HEADS * 3 * DIM, KRS_ROWS_ALL);
    for (int part = 0; part < 3; part++) {
        const krs_slot one = tiny_slot(&tiny, HEADS * DIM, KRS_ROWS_ALL);
        tiny_op(&tiny,
                (krs_op){
                    .kind = KRS_OP_COPY, .in = 0, .out = one, .copy = {HEADS, part * DIM, 0, DIM}});
        tiny_op(&tiny, (krs_op){.kind = KRS_OP_COPY,
                                .in = one,
                                .out = all,
                                .copy = {1, 0, (2 - part) * HEADS * DIM, HEADS * DIM}});
    }
    parity_take_out(&tiny, all);
    parity_check(&tiny.program, KRS_DTYPE_F32, 0, 0, "copy");
    tiny_decoder_deinit(&tiny);
}

static void matrices_of_heads_agree(void **state)
{
    (void)state;
    static const krs_quant quants[] = {{KRS_QUANT_NONE, 0, 0},
                                       {KRS_QUANT_AFFINE, 4, 32},
                                       {KRS_QUANT_AFFINE, 8, 64},
                                       {KRS_QUANT_AFFINE, 3, 32}};
    static const int32_t heads[] = {1, 3, 5};
    for (size_t i = 0; i < 36; i++) {
        tiny_decoder tiny;
        char name[96];
        const tiny_shape shape = {.dtype = dense[i % 3], .quant = quants[i / 9]};
        const int32_t n_heads = heads[i / 3 % 3];
        const int64_t n_in = i / 9 == 0 ? 37 : 192;
        (void)snprintf(name, sizeof(name), "%d heads of %lld, %s, %d bits", n_heads,
                       (long long)n_in, krs_dtype_name(shape.dtype), shape.quant.bits);
        parity_start(&tiny, n_heads * n_in, i);
        const krs_slot out = tiny_slot(&tiny, n_heads * INT64_C(19), KRS_ROWS_ALL);
        const uint32_t matrix = tiny_matrix(&tiny, &shape, n_heads * INT64_C(19), n_in, 0, 0.2f);
        tiny_op(&tiny, (krs_op){.kind = KRS_OP_HEAD_LINEAR,
                                .in = 0,
                                .out = out,
                                .matrix = matrix,
                                .head_linear = {n_heads}});
        parity_take_out(&tiny, out);
        parity_check(&tiny.program, KRS_DTYPE_F32, TOL_F32, TOL_BF16, name);
        tiny_decoder_deinit(&tiny);
    }
}

/* The same slot as whole rows and as heads: packings of different widths must not be confused. */
static void whole_rows_and_heads_of_one_slot_agree(void **state)
{
    (void)state;
    tiny_decoder tiny;
    parity_start(&tiny, 96, 5);
    const krs_slot whole = tiny_slot(&tiny, 24, KRS_ROWS_ALL);
    const krs_slot heads = tiny_slot(&tiny, 24, KRS_ROWS_ALL);
    tiny_linear(&tiny, &f32, 0, whole, false);
    const uint32_t matrix = tiny_matrix(&tiny, &f32, 24, 32, 0, 0.3f);
    tiny_op(&tiny, (krs_op){.kind = KRS_OP_HEAD_LINEAR,
                            .in = 0,
                            .out = heads,
                            .matrix = matrix,
                            .head_linear = {3}});
    tiny_op(&tiny,
            (krs_op){.kind = KRS_OP_ADD, .in = whole, .in2 = heads, .out = heads, .add = {1}});
    tiny_linear(&tiny, &f32, 0, whole, false);
    tiny_op(&tiny,
            (krs_op){.kind = KRS_OP_ADD, .in = whole, .in2 = heads, .out = heads, .add = {1}});
    parity_take_out(&tiny, heads);
    parity_check(&tiny.program, KRS_DTYPE_F32, TOL_F32, TOL_F32, "linear and head linear");
    tiny_decoder_deinit(&tiny);
}

static void rotations_agree(void **state)
{
    (void)state;
    static const struct {
        int32_t n_freqs;
        bool is_interleaved;
        int32_t offset;
    } cases[] = {{9, true, 0}, {5, true, 0}, {5, true, 8}, {4, false, 10}, {3, false, 1}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enum { HEADS = 5, DIM = 18 };
        tiny_decoder tiny;
        parity_start(&tiny, HEADS * DIM, i);
        const uint32_t near = tiny_freqs(&tiny, cases[i].n_freqs);
        const float wide[] = {0.5f, 0.01f};
        uint32_t far;
        assert_int_equal(krs_program_add_floats(&tiny.program, wide, 2, &far), KRS_OK);
        const krs_op op = {.kind = KRS_OP_ROPE,
                           .rope = {HEADS, DIM, cases[i].n_freqs, near, 1.1f,
                                    cases[i].is_interleaved, cases[i].offset}};
        tiny_op(&tiny, op);
        const krs_op other = {.kind = KRS_OP_ROPE,
                              .rope = {HEADS, DIM, 2, far, 1.0f, !cases[i].is_interleaved, 3}};
        tiny_op(&tiny, other); /* gemma3: two tables in one program */
        parity_take_out(&tiny, 0);
        parity_check(&tiny.program, KRS_DTYPE_F32, TOL_F32, TOL_F32, "rope");
        tiny_decoder_deinit(&tiny);
    }
}

typedef struct attention_case {
    int32_t n_heads;
    int32_t n_kv_heads;
    int32_t head_dim;
    int32_t value_dim;
    int32_t window;
    float softcap;
    bool has_sinks;
    krs_dtype kv_dtype;
    double tol;
} attention_case;

/* q, k and v are linear views of the same rows. */
static void build_attention(tiny_decoder *tiny, const attention_case *c)
{
    krs_program *program = &tiny->program;
    parity_start(tiny, 40, (uint64_t)(c->n_heads * 100 + c->head_dim));
    program->n_kv_layers = 2;
    program->n_kv_heads = c->n_kv_heads;
    program->head_dim = c->head_dim;
    program->value_dim = c->value_dim;
    const int64_t value_dim = krs_program_value_dim(program);
    const krs_slot q = tiny_slot(tiny, (int64_t)c->n_heads * c->head_dim, KRS_ROWS_ALL);
    const krs_slot k = tiny_slot(tiny, (int64_t)c->n_kv_heads * c->head_dim, KRS_ROWS_ALL);
    const krs_slot v = tiny_slot(tiny, c->n_kv_heads * value_dim, KRS_ROWS_ALL);
    const krs_slot a = tiny_slot(tiny, c->n_heads * value_dim, KRS_ROWS_ALL);
    tiny_linear(tiny, &f32, 0, q, false);
    tiny_linear(tiny, &f32, 0, k, false);
    tiny_linear(tiny, &f32, 0, v, false);
    krs_op op = {.kind = KRS_OP_KV_WRITE,
                 .in = k,
                 .in2 = v,
                 .matrix = KRS_NO_MATRIX,
                 .attention = {1, c->n_heads, c->n_kv_heads, c->head_dim, c->window,
                               4.0f / sqrtf((float)c->head_dim), c->softcap}};
    tiny_op(tiny, op);
    op.kind = KRS_OP_ATTENTION;
    op.in = q;
    op.out = a;
    op.matrix = c->has_sinks ? tiny_matrix(tiny, &f32, 1, c->n_heads, 1.0f, 2.0f) : KRS_NO_MATRIX;
    tiny_op(tiny, op);
    parity_take_out(tiny, a);
}

static const attention_case attentions[] = {
    /* odd sizes of heads */
    {4, 2, 80, 0, 0, 0, false, KRS_DTYPE_F32, TOL_F32},
    {3, 1, 96, 0, 0, 0, false, KRS_DTYPE_I8, TOL_KV_I8},
    {5, 5, 33, 0, 4, 0, false, KRS_DTYPE_F16, TOL_KV_F16},
    /* soft-caps, sinks, both */
    {4, 2, 32, 0, 0, 5.0f, false, KRS_DTYPE_F32, TOL_F32},
    {6, 1, 20, 0, 7, 2.0f, false, KRS_DTYPE_F16, TOL_KV_F16},
    {4, 2, 64, 0, 0, 0, true, KRS_DTYPE_F32, TOL_F32},
    {7, 1, 48, 0, 5, 0, true, KRS_DTYPE_BF16, TOL_KV_BF16},
    {8, 2, 80, 0, 3, 3.0f, true, KRS_DTYPE_I8, TOL_KV_I8},
    /* V narrower and wider than K: latent attention, and what could come */
    {4, 1, 72, 64, 0, 0, false, KRS_DTYPE_F32, TOL_F32},
    {5, 1, 576, 512, 0, 0, false, KRS_DTYPE_F16, TOL_KV_F16},
    {3, 1, 576, 512, 0, 0, false, KRS_DTYPE_I8, TOL_KV_I8},
    {4, 2, 24, 50, 0, 0, true, KRS_DTYPE_F32, TOL_F32},
    {2, 2, 192, 128, 6, 0, false, KRS_DTYPE_BF16, TOL_KV_BF16},
    {4, 2, 17, 3, 0, 4.0f, true, KRS_DTYPE_I8, TOL_KV_I8},
};

#define N_ATTENTIONS (sizeof(attentions) / sizeof(attentions[0]))

static void attention_agrees_with_caps_sinks_and_other_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ATTENTIONS; i++) {
        const attention_case *c = &attentions[i];
        tiny_decoder tiny;
        char name[128];
        (void)snprintf(name, sizeof(name), "attention %zu: %d heads over %d of %d and %d", i,
                       c->n_heads, c->n_kv_heads, c->head_dim, c->value_dim);
        build_attention(&tiny, c);
        parity_check(&tiny.program, c->kv_dtype, c->tol, c->tol, name);
        if (c->kv_dtype == KRS_DTYPE_I8) {
            const parity_tolerances same = {TOL_SAME_I8, TOL_SAME_I8};
            parity_check_against(&tiny.program, KRS_DTYPE_I8, KRS_DTYPE_I8, same, name);
        }
        tiny_decoder_deinit(&tiny);
    }
}

/* More positions than two parts of the kernel, so that parts, sinks and caps meet. */
static void long_attention_agrees(void **state)
{
    (void)state;
    enum { LONG = 530 };
    static const attention_case cases[] = {
        {2, 1, 24, 20, 0, 4.0f, true, KRS_DTYPE_F32, 1e-5},
        {2, 1, 24, 0, 300, 0, true, KRS_DTYPE_I8, TOL_KV_I8},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        tiny_decoder tiny;
        parity_runner run;
        build_attention(&tiny, &cases[i]);
        const int64_t width = tiny.program.slots[tiny.program.logits].width;
        float *want = parity_rows(LONG, width);
        float *got = parity_rows(LONG, width);
        parity_open(&run, &tiny.program, (parity_machine){NULL, 1, KRS_DTYPE_F32});
        parity_step(&run, PARITY_ROWS, 0, LONG, want);
        parity_close(&run);
        for (uint32_t k = 0; krs_cpu_isa_name(k); k++) {
            if (krs_cpu_isa_is_here(krs_cpu_isa_name(k))) {
                const parity_machine on = {krs_cpu_isa_name(k), 2, cases[i].kv_dtype};
                parity_open(&run, &tiny.program, on);
                parity_step(&run, PARITY_ROWS, 0, LONG, got);
                parity_close(&run);
                const double rms = parity_rms(got, want, (size_t)(LONG * width));
                if (!(rms <= cases[i].tol)) {
                    fail_msg("long attention %zu on %s: %.3g", i, on.isa, rms);
                }
            }
        }
        krs_alloc_free(NULL, want);
        krs_alloc_free(NULL, got);
        tiny_decoder_deinit(&tiny);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(norms_agree_with_offsets_means_and_missing_weights),
        cmocka_unit_test(activations_agree),
        cmocka_unit_test(gates_agree),
        cmocka_unit_test(scales_and_soft_caps_agree),
        cmocka_unit_test(additions_agree),
        cmocka_unit_test(learned_positions_agree),
        cmocka_unit_test(copies_agree),
        cmocka_unit_test(matrices_of_heads_agree),
        cmocka_unit_test(whole_rows_and_heads_of_one_slot_agree),
        cmocka_unit_test(rotations_agree),
        cmocka_unit_test(attention_agrees_with_caps_sinks_and_other_values),
        cmocka_unit_test(long_attention_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
