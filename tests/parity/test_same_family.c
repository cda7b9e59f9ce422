/* tests/parity/test_same_family.c - the ops and numbers of families beyond llama's shape, in the storms of
 * support/row_storm.h. Widths are odd, and such that steps are forked or not as rows come. */
#include "support/row_storm.h"

static const tiny_shape f32 = {.dtype = KRS_DTYPE_F32};

static void build_norms(tiny_decoder *tiny, const same_case *c)
{
    const tiny_shape shape = {.dtype = c->dtype};
    const krs_slot x = start(tiny, 1161);
    krs_op op = {.kind = KRS_OP_LAYER_NORM, .in = x, .out = x, .norm = {1e-5f, 1, 0}};
    op.matrix = tiny_matrix(tiny, &shape, 1, 1161, 1.0f, 0.2f);
    op.bias = tiny_matrix(tiny, &shape, 1, 1161, 0, 0.2f);
    tiny_op(tiny, op);
    op = (krs_op){.kind = KRS_OP_RMS_NORM, .in = x, .out = x, .norm = {1e-5f, 27, 1.0f}};
    op.matrix = tiny_matrix(tiny, &shape, 1, 1161, 0, 0.2f); /* a weight for each part */
    tiny_op(tiny, op);
    op.norm.n_groups = 3;
    op.norm.weight_offset = 0;
    op.matrix = KRS_NO_MATRIX;
    tiny_op(tiny, op);
    finish(tiny, x);
}

static void build_elementwise(tiny_decoder *tiny, const same_case *c)
{
    const krs_slot x = start(tiny, 1131);
    const krs_slot y = tiny_slot(tiny, 1131, KRS_ROWS_ALL);
    tiny_op(tiny, (krs_op){.kind = KRS_OP_ACTIVATE, .in = x, .out = y, .activate = {c->act}});
    tiny_op(tiny, (krs_op){.kind = KRS_OP_GLU, .in = x, .in2 = y, .out = y, .glu = {c->act}});
    tiny_op(
        tiny,
        (krs_op){
            .kind = KRS_OP_GLU, .in = y, .in2 = x, .out = y, .glu = {KRS_ACT_SILU, 0.5f, 1.702f}});
    tiny_op(tiny, (krs_op){.kind = KRS_OP_ADD, .in = x, .in2 = y, .out = y, .add = {0.22f}});
    tiny_op(tiny, (krs_op){.kind = KRS_OP_SCALE, .in = y, .out = y, .scale = {3.0f, 2.0f}});
    finish(tiny, y);
}

static void build_positions(tiny_decoder *tiny, const same_case *c)
{
    const tiny_shape shape = {.dtype = c->dtype, .quant = c->quant};
    const krs_slot x = start(tiny, 1152);
    krs_op op = {.kind = KRS_OP_ADD_POSITION, .in = x, .out = x, .embed = {0, 2}};
    op.matrix = tiny_matrix(tiny, &shape, tiny->program.max_positions + 2, 1152, 0, 1.0f);
    tiny_op(tiny, op);
    op = (krs_op){.kind = KRS_OP_ADD_VECTOR, .in = x, .out = x};
    op.matrix = tiny_matrix(tiny, &f32, 1, 1152, 0, 1.0f);
    tiny_op(tiny, op);
    finish(tiny, x);
}

static void build_heads(tiny_decoder *tiny, const same_case *c)
{
    enum { HEADS = 7 };
    const tiny_shape shape = {.dtype = c->dtype, .quant = c->quant};
    const int64_t n_in = c->quant.kind == KRS_QUANT_NONE ? 45 : 3 * (int64_t)c->quant.group;
    const krs_slot x = start(tiny, HEADS * n_in);
    const krs_slot y = tiny_slot(tiny, HEADS * 26, KRS_ROWS_ALL);
    krs_op op = {.kind = KRS_OP_HEAD_LINEAR, .in = x, .out = y, .head_linear = {HEADS}};
    op.matrix = tiny_matrix(tiny, &shape, HEADS * 26, n_in, 0, 0.2f);
    tiny_op(tiny, op);
    finish(tiny, y);
}

/* Interleaved rotation of a part of each head, then heads taken apart and put together again. */
static void build_rope_and_copies(tiny_decoder *tiny, const same_case *c)
{
    (void)c;
    const krs_slot x = start(tiny, 36 * 38);
    const krs_slot y = tiny_slot(tiny, 36 * 38, KRS_ROWS_ALL);
    const uint32_t freqs = tiny_freqs(tiny, 13);
    tiny_op(tiny, (krs_op){.kind = KRS_OP_ROPE,
                           .in = x,
                           .out = x,
                           .rope = {36, 38, 13, freqs, 1.1f, true, 11}});
    tiny_op(tiny, (krs_op){.kind = KRS_OP_COPY, .in = x, .out = y, .copy = {36, 11, 0, 27}});
    tiny_op(tiny, (krs_op){.kind = KRS_OP_COPY, .in = x, .out = y, .copy = {36, 0, 27, 11}});
    finish(tiny, y);
}

/* Soft-cap, sinks, and V of another width than K. */
static void build_attention(tiny_decoder *tiny, const same_case *c)
{
    enum { HEADS = 6, KV_HEADS = 2, DIM = 11, VALUE_DIM = 19 };
    const krs_slot x = start(tiny, HEADS * DIM);
    const krs_slot k = tiny_slot(tiny, KV_HEADS * DIM, KRS_ROWS_ALL);
    const krs_slot v = tiny_slot(tiny, KV_HEADS * VALUE_DIM, KRS_ROWS_ALL);
    const krs_slot y = tiny_slot(tiny, HEADS * VALUE_DIM, KRS_ROWS_ALL);
    tiny->program.n_kv_layers = 2;
    tiny->program.n_kv_heads = KV_HEADS;
    tiny->program.head_dim = DIM;
    tiny->program.value_dim = VALUE_DIM;
    const uint32_t keys = tiny_matrix(tiny, &f32, VOCAB, KV_HEADS * DIM, 0, 1.0f);
    const uint32_t values = tiny_matrix(tiny, &f32, VOCAB, KV_HEADS * VALUE_DIM, 0, 1.0f);
    tiny_op(tiny, (krs_op){.kind = KRS_OP_EMBED, .out = k, .matrix = keys, .embed = {1.0f}});
    tiny_op(tiny, (krs_op){.kind = KRS_OP_EMBED, .out = v, .matrix = values, .embed = {1.0f}});
    krs_op op = {.kind = KRS_OP_KV_WRITE,
                 .in = k,
                 .in2 = v,
                 .matrix = KRS_NO_MATRIX,
                 .attention = {1, HEADS, KV_HEADS, DIM, c->window, 0.7f, c->is_capped ? 1.5f : 0}};
    tiny_op(tiny, op);
    op.kind = KRS_OP_ATTENTION;
    op.in = x;
    op.out = y;
    op.matrix = tiny_matrix(tiny, &f32, 1, HEADS, 0.5f, 1.0f);
    tiny_op(tiny, op);
    finish(tiny, y);
}

#define AFFINE(bits, each) .dtype = KRS_DTYPE_BF16, .quant = {KRS_QUANT_AFFINE, bits, each}
#define KV(type, seen)     .kv_dtype = KRS_DTYPE_##type, .window = (seen), .is_long = true

static const same_case cases[] = {
    {"norms_f32", build_norms, .dtype = KRS_DTYPE_F32},
    {"norms_bf16", build_norms, .dtype = KRS_DTYPE_BF16},
    {"sigmoid", build_elementwise, .act = KRS_ACT_SIGMOID},
    {"tanh", build_elementwise, .act = KRS_ACT_TANH},
    {"relu_squared", build_elementwise, .act = KRS_ACT_RELU2},
    {"quick_gelu", build_elementwise, .act = KRS_ACT_QUICK_GELU},
    {"positions_f16", build_positions, .dtype = KRS_DTYPE_F16, .is_long = true},
    {"positions_4_bits", build_positions, AFFINE(4, 64), .is_long = true},
    {"heads_f32", build_heads, .dtype = KRS_DTYPE_F32},
    {"heads_bf16", build_heads, .dtype = KRS_DTYPE_BF16},
    {"heads_4_bits", build_heads, AFFINE(4, 32)},
    {"heads_3_bits", build_heads, AFFINE(3, 32)},
    {"rope_and_copies", build_rope_and_copies, .is_long = true},
    {"attention_f16_with_sinks", build_attention, KV(F16, 0)},
    {"attention_f32_capped_in_a_window", build_attention, KV(F32, 270), .is_capped = true},
    {"attention_int8_capped", build_attention, KV(I8, 0), .is_capped = true},
};

#define N_CASES (sizeof(cases) / sizeof(cases[0]))

int main(void)
{
    struct CMUnitTest tests[N_CASES];
    for (size_t i = 0; i < N_CASES; i++) {
        tests[i] = (struct CMUnitTest){cases[i].name, rows_have_the_same_bytes_alone_and_in_storms,
                                       NULL, NULL, (void *)(uintptr_t)&cases[i]};
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
