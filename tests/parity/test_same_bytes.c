/* tests/parity/test_same_bytes.c - a row has the same bytes whatever else the device is doing: every op,
 * weight layout and KV type, in the storms of support/row_storm.h. */
#include "support/row_storm.h"

static void build_embed(tiny_decoder *tiny, const same_case *c)
{
    const tiny_shape shape = {.dtype = c->dtype, .quant = c->quant};
    const krs_slot x = tiny_slot(tiny, 192, KRS_ROWS_ALL);
    const uint32_t rows = tiny_matrix(tiny, &shape, VOCAB, 192, 0, 1.0f);
    tiny_op(tiny, (krs_op){.kind = KRS_OP_EMBED, .out = x, .matrix = rows, .embed = {3.7f}});
    finish(tiny, x);
}

static void build_norm(tiny_decoder *tiny, const same_case *c)
{
    const tiny_shape shape = {.dtype = c->dtype};
    const krs_slot x = start(tiny, 1161); /* odd parts; 64 rows are worth a fork */
    const krs_slot y = tiny_slot(tiny, 1161, KRS_ROWS_ALL);
    tiny_norm(tiny, &shape, x, y, 1);
    tiny_norm(tiny, &shape, y, y, 9);
    finish(tiny, y);
}

static void build_linear(tiny_decoder *tiny, const same_case *c)
{
    const tiny_shape shape = {.dtype = c->dtype, .quant = c->quant};
    const int64_t n_in = c->quant.kind == KRS_QUANT_AFFINE ? 5 * (int64_t)c->quant.group : 333;
    const krs_slot x = start(tiny, n_in);
    const krs_slot y = tiny_slot(tiny, 131, KRS_ROWS_ALL);
    tiny_linear(tiny, &shape, x, y, true);
    finish(tiny, y);
}

static void build_rope(tiny_decoder *tiny, const same_case *c)
{
    (void)c;
    const krs_slot x = start(tiny, 36 * 38);
    const uint32_t freqs = tiny_freqs(tiny, 17);
    tiny_op(tiny,
            (krs_op){.kind = KRS_OP_ROPE, .in = x, .out = x, .rope = {36, 38, 17, freqs, 1.1f}});
    finish(tiny, x);
}

static void build_glu(tiny_decoder *tiny, const same_case *c)
{
    const krs_slot x = start(tiny, 1131);
    const krs_slot y = tiny_slot(tiny, 1131, KRS_ROWS_ALL);
    tiny_op(tiny, (krs_op){.kind = KRS_OP_GLU, .in = x, .in2 = x, .out = y, .glu = {c->act}});
    tiny_op(tiny, (krs_op){.kind = KRS_OP_ADD, .in = x, .in2 = y, .out = y, .add = {1.0f}});
    finish(tiny, y);
}

static void build_attention(tiny_decoder *tiny, const same_case *c)
{
    enum { HEADS = 5, KV_HEADS = 1, DIM = 11 };
    const krs_slot x = start(tiny, HEADS * DIM);
    const krs_slot k = tiny_slot(tiny, KV_HEADS * DIM, KRS_ROWS_ALL);
    const krs_slot v = tiny_slot(tiny, KV_HEADS * DIM, KRS_ROWS_ALL);
    const krs_slot y = tiny_slot(tiny, HEADS * DIM, KRS_ROWS_ALL);
    const tiny_shape f32 = {.dtype = KRS_DTYPE_F32};
    tiny->program.n_kv_layers = 2;
    tiny->program.n_kv_heads = KV_HEADS;
    tiny->program.head_dim = DIM;
    const uint32_t keys = tiny_matrix(tiny, &f32, VOCAB, KV_HEADS * DIM, 0, 1.0f);
    const uint32_t values = tiny_matrix(tiny, &f32, VOCAB, KV_HEADS * DIM, 0, 1.0f);
    tiny_op(tiny, (krs_op){.kind = KRS_OP_EMBED, .out = k, .matrix = keys, .embed = {1.0f}});
    tiny_op(tiny, (krs_op){.kind = KRS_OP_EMBED, .out = v, .matrix = values, .embed = {1.0f}});
    krs_op op = {.kind = KRS_OP_KV_WRITE,
                 .in = k,
                 .in2 = v,
                 .matrix = KRS_NO_MATRIX,
                 .attention = {1, HEADS, KV_HEADS, DIM, c->window, 0.7f}};
    tiny_op(tiny, op);
    op.kind = KRS_OP_ATTENTION;
    op.in = x;
    op.out = y;
    tiny_op(tiny, op);
    finish(tiny, y);
}

static void build_attend_rows(tiny_decoder *tiny, const same_case *c)
{
    enum { HEADS = 6, KV_HEADS = 3, DIM = 11, BUCKETS = 32 };
    const krs_slot x = start(tiny, HEADS * DIM);
    const krs_slot k = tiny_slot(tiny, KV_HEADS * DIM, KRS_ROWS_ALL);
    const krs_slot v = tiny_slot(tiny, KV_HEADS * DIM, KRS_ROWS_ALL);
    const krs_slot y = tiny_slot(tiny, HEADS * DIM, KRS_ROWS_ALL);
    const tiny_shape f32 = {.dtype = KRS_DTYPE_F32};
    tiny_linear(tiny, &f32, x, k, false);
    tiny_linear(tiny, &f32, x, v, false);
    tiny_op(tiny, (krs_op){.kind = KRS_OP_ATTEND_ROWS,
                           .in = x,
                           .in2 = k,
                           .in3 = v,
                           .out = y,
                           .matrix = c->has_bias ? tiny_matrix(tiny, &f32, BUCKETS, HEADS, 0, 1.0f)
                                                 : KRS_NO_MATRIX,
                           .attention = {.n_heads = HEADS,
                                         .n_kv_heads = KV_HEADS,
                                         .head_dim = DIM,
                                         .window = c->window,
                                         .scale = 0.7f,
                                         .max_distance = 128}});
    finish(tiny, y);
}

static void build_decoder(tiny_decoder *tiny, const same_case *c)
{
    tiny_shape shape = tiny_shape_default();
    shape.vocab = VOCAB;
    shape.hidden = 64;
    shape.ffn = 96;
    shape.n_heads = 4;
    shape.head_dim = 32; /* rows of whole groups */
    shape.dtype = c->dtype;
    shape.quant = c->quant;
    tiny_decoder_init(tiny, &shape);
}

#define DENSE(type)        .dtype = KRS_DTYPE_##type
#define AFFINE(bits, each) .dtype = KRS_DTYPE_BF16, .quant = {KRS_QUANT_AFFINE, bits, each}
#define KV(type, seen)     .kv_dtype = KRS_DTYPE_##type, .window = (seen), .is_long = true

static const same_case cases[] = {
    {"embed_f16", build_embed, DENSE(F16)},
    {"embed_4_bits", build_embed, AFFINE(4, 64)},
    {"rms_norm", build_norm, DENSE(F32)},
    {"linear_f32", build_linear, DENSE(F32)},
    {"linear_f16", build_linear, DENSE(F16)},
    {"linear_bf16", build_linear, DENSE(BF16)},
    {"linear_4_bits", build_linear, AFFINE(4, 64)},
    {"linear_8_bits", build_linear, AFFINE(8, 64)},
    {"linear_4_bits_by_32", build_linear, AFFINE(4, 32)},
    {"linear_8_bits_by_128", build_linear, AFFINE(8, 128)},
    {"rope", build_rope, .is_long = true},
    {"silu_and_add", build_glu, .act = KRS_ACT_SILU},
    {"gelu_and_add", build_glu, .act = KRS_ACT_GELU},
    {"gelu_tanh_and_add", build_glu, .act = KRS_ACT_GELU_TANH},
    {"attention_f32", build_attention, KV(F32, 0)},
    {"attention_f16", build_attention, KV(F16, 0)},
    {"attention_bf16", build_attention, KV(BF16, 0)},
    {"attention_int8", build_attention, KV(I8, 0)},
    {"attention_f16_in_a_window", build_attention, KV(F16, 37)},
    {"attention_int8_in_a_window", build_attention, KV(I8, 300)},
    {"attend_rows", build_attend_rows, .is_long = true},
    {"attend_rows_with_bias", build_attend_rows, .has_bias = true, .is_long = true},
    {"attend_rows_in_a_window", build_attend_rows, .window = 5, .is_long = true},
    {"decoder_bf16", build_decoder, DENSE(BF16), .kv_dtype = KRS_DTYPE_F16},
    {"decoder_4_bits", build_decoder, AFFINE(4, 32), .kv_dtype = KRS_DTYPE_I8},
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
