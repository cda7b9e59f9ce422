/* support/tiny_decoder.h - a small decoder with random weights, for tests of compute/.
 *
 * Every op kind of program.h occurs, with a bias, qk-norm, partial rotation and grouped queries. The
 * matrices are of the asked layout, generated from a seed, so that two backends can be given the very
 * same program. Sizes are odd where the layout lets them be.
 *
 * Memory: the decoder owns its weights; from the heap, aborting the test when there is none. */
#pragma once

#include "base/check.h"
#include "compute/backend.h"

#include <math.h>

#define TINY_MAX_BUFFERS 128

typedef struct tiny_shape {
    int64_t vocab;
    int64_t hidden;
    int64_t ffn;
    int32_t n_layers;
    int32_t n_heads;
    int32_t n_kv_heads;
    int32_t head_dim;
    int32_t window;
    krs_activation act;
    krs_dtype dtype; /* of dense weights; of scales and biases when quantised */
    krs_quant quant; /* of the linears and the embedding */
    int64_t max_positions;
    uint64_t seed;
} tiny_shape;

typedef struct tiny_decoder {
    krs_program program;
    void *buffers[TINY_MAX_BUFFERS];
    uint32_t n_buffers;
    uint64_t random;
} tiny_decoder;

/* xorshift64*: uniform in [-1, 1). */
static inline float tiny_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    const uint64_t mixed = *state * UINT64_C(2685821657736338717);
    return (float)(mixed >> 40) * 0x1p-23f - 1.0f;
}

static inline void *tiny_take(tiny_decoder *tiny, size_t n_bytes)
{
    KRS_CHECK(tiny->n_buffers < TINY_MAX_BUFFERS);
    void *bytes = krs_alloc_zero(NULL, n_bytes);
    KRS_CHECK(bytes);
    tiny->buffers[tiny->n_buffers++] = bytes;
    return bytes;
}

/* w[n] as dtype, in a buffer one byte off alignment: files promise no alignment. */
static inline const void *tiny_store(tiny_decoder *tiny, krs_dtype dtype, const float *w, size_t n)
{
    const size_t item_bytes = krs_dtype_bytes(dtype);
    unsigned char *out = (unsigned char *)tiny_take(tiny, n * item_bytes + 1) + 1;
    for (size_t i = 0; i < n; i++) {
        if (dtype == KRS_DTYPE_F32) {
            memcpy(out + i * item_bytes, &w[i], item_bytes);
        } else {
            const uint16_t half =
                dtype == KRS_DTYPE_F16 ? krs_f16_of_f32(w[i]) : krs_bf16_of_f32(w[i]);
            memcpy(out + i * item_bytes, &half, item_bytes);
        }
    }
    return out;
}

static inline krs_matrix tiny_quantised(tiny_decoder *tiny, const tiny_shape *shape, int64_t n_out,
                                        int64_t n_in, const float *w)
{
    krs_matrix m = {.n_out = n_out,
                    .n_in = n_in,
                    .quant = shape->quant,
                    .dtype = KRS_DTYPE_U32,
                    .scale_dtype = krs_quant_takes_scales(shape->quant.kind, shape->dtype)
                                       ? shape->dtype
                                       : KRS_DTYPE_U8};
    unsigned char *data = tiny_take(tiny, krs_matrix_data_bytes(&m));
    unsigned char *scales = tiny_take(tiny, krs_matrix_scale_bytes(&m));
    unsigned char *biases = scales + krs_matrix_scale_bytes(&m) / 2;
    KRS_CHECK(krs_quantise(w, shape->dtype, &m, data, scales, biases, NULL) == KRS_OK);
    m.data = data;
    m.scales = scales;
    m.biases = krs_quant_has_biases(shape->quant.kind) ? biases : NULL;
    return m;
}

/* A random matrix added to the program: entries about centre +- spread. */
static inline uint32_t tiny_matrix(tiny_decoder *tiny, const tiny_shape *shape, int64_t n_out,
                                   int64_t n_in, float centre, float spread)
{
    const size_t n = (size_t)(n_out * n_in);
    float *w = krs_alloc_array(NULL, n, sizeof(*w));
    KRS_CHECK(w);
    for (size_t i = 0; i < n; i++) {
        w[i] = centre + spread * tiny_random(&tiny->random);
    }
    const bool is_quantised = n_out > 1 && shape->quant.kind != KRS_QUANT_NONE;
    const krs_matrix m = is_quantised ? tiny_quantised(tiny, shape, n_out, n_in, w)
                                      : (krs_matrix){.n_out = n_out,
                                                     .n_in = n_in,
                                                     .dtype = shape->dtype,
                                                     .data = tiny_store(tiny, shape->dtype, w, n)};
    krs_alloc_free(NULL, w);
    uint32_t index;
    KRS_CHECK(krs_program_add_matrix(&tiny->program, &m, &index) == KRS_OK);
    return index;
}

static inline krs_slot tiny_slot(tiny_decoder *tiny, int64_t width, krs_rows rows)
{
    krs_slot slot;
    KRS_CHECK(krs_program_add_slot(&tiny->program, width, rows, &slot) == KRS_OK);
    return slot;
}

static inline void tiny_op(tiny_decoder *tiny, krs_op op)
{
    KRS_CHECK(krs_program_add_op(&tiny->program, &op) == KRS_OK);
}

static inline void tiny_linear(tiny_decoder *tiny, const tiny_shape *shape, krs_slot in,
                               krs_slot out, bool has_bias)
{
    const int64_t n_in = tiny->program.slots[in].width;
    const int64_t n_out = tiny->program.slots[out].width;
    const float spread = sqrtf(3.0f / (float)n_in); /* keeps the variance of rows */
    const uint32_t matrix = tiny_matrix(tiny, shape, n_out, n_in, 0, spread);
    const uint32_t bias = has_bias ? tiny_matrix(tiny, shape, 1, n_out, 0, 0.1f) : KRS_NO_MATRIX;
    tiny_op(tiny,
            (krs_op){.kind = KRS_OP_LINEAR, .in = in, .out = out, .matrix = matrix, .bias = bias});
}

static inline void tiny_norm(tiny_decoder *tiny, const tiny_shape *shape, krs_slot in, krs_slot out,
                             int32_t n_groups)
{
    const int64_t width = tiny->program.slots[in].width / n_groups;
    const uint32_t weight = tiny_matrix(tiny, shape, 1, width, 1.0f, 0.2f);
    tiny_op(tiny, (krs_op){.kind = KRS_OP_RMS_NORM,
                           .in = in,
                           .out = out,
                           .matrix = weight,
                           .bias = KRS_NO_MATRIX,
                           .norm = {1e-5f, n_groups}});
}

typedef struct tiny_slots {
    krs_slot x, h, q, k, v, a, gate, up;
} tiny_slots;

static inline void tiny_attention(tiny_decoder *tiny, const tiny_shape *shape, const tiny_slots *s,
                                  int32_t layer, uint32_t freqs, int32_t n_freqs)
{
    tiny_norm(tiny, shape, s->x, s->h, 1);
    tiny_linear(tiny, shape, s->h, s->q, true);
    tiny_linear(tiny, shape, s->h, s->k, false);
    tiny_linear(tiny, shape, s->h, s->v, true);
    tiny_norm(tiny, shape, s->q, s->q, shape->n_heads);
    tiny_norm(tiny, shape, s->k, s->k, shape->n_kv_heads);
    krs_op rope = {.kind = KRS_OP_ROPE,
                   .in = s->q,
                   .out = s->q,
                   .rope = {shape->n_heads, shape->head_dim, n_freqs, freqs, 1.1f}};
    tiny_op(tiny, rope);
    rope.in = rope.out = s->k;
    rope.rope.n_heads = shape->n_kv_heads;
    tiny_op(tiny, rope);
    krs_op op = {.kind = KRS_OP_KV_WRITE,
                 .in = s->k,
                 .in2 = s->v,
                 .matrix = KRS_NO_MATRIX,
                 .attention = {layer, shape->n_heads, shape->n_kv_heads, shape->head_dim,
                               shape->window, 1.0f / sqrtf((float)shape->head_dim)}};
    tiny_op(tiny, op);
    op.kind = KRS_OP_ATTENTION;
    op.in = s->q;
    op.out = s->a;
    tiny_op(tiny, op);
    tiny_linear(tiny, shape, s->a, s->h, false);
    tiny_op(tiny,
            (krs_op){.kind = KRS_OP_ADD, .in = s->x, .in2 = s->h, .out = s->x, .add = {1.0f}});
}

static inline void tiny_ffn(tiny_decoder *tiny, const tiny_shape *shape, const tiny_slots *s)
{
    tiny_norm(tiny, shape, s->x, s->h, 1);
    tiny_linear(tiny, shape, s->h, s->gate, false);
    tiny_linear(tiny, shape, s->h, s->up, false);
    tiny_op(
        tiny,
        (krs_op){
            .kind = KRS_OP_GLU, .in = s->gate, .in2 = s->up, .out = s->gate, .glu = {shape->act}});
    tiny_linear(tiny, shape, s->gate, s->h, false);
    tiny_op(tiny,
            (krs_op){.kind = KRS_OP_ADD, .in = s->x, .in2 = s->h, .out = s->x, .add = {1.0f}});
}

static inline uint32_t tiny_freqs(tiny_decoder *tiny, int32_t n_freqs)
{
    float freqs[KRS_PROGRAM_MAX_HEAD_DIM / 2];
    for (int32_t i = 0; i < n_freqs; i++) {
        freqs[i] = powf(10000.0f, -(float)i / (float)n_freqs);
    }
    uint32_t first;
    KRS_CHECK(krs_program_add_floats(&tiny->program, freqs, (uint32_t)n_freqs, &first) == KRS_OK);
    return first;
}

static inline void tiny_decoder_init(tiny_decoder *tiny, const tiny_shape *shape)
{
    *tiny = (tiny_decoder){.random = shape->seed * 2 + 1};
    krs_program *program = &tiny->program;
    krs_program_init(program, NULL);
    program->n_kv_layers = shape->n_layers;
    program->n_kv_heads = shape->n_kv_heads;
    program->head_dim = shape->head_dim;
    program->max_positions = shape->max_positions;
    const int64_t q_width = (int64_t)shape->n_heads * shape->head_dim;
    const int64_t kv_width = (int64_t)shape->n_kv_heads * shape->head_dim;
    const tiny_slots s = {
        .x = tiny_slot(tiny, shape->hidden, KRS_ROWS_ALL),
        .h = tiny_slot(tiny, shape->hidden, KRS_ROWS_ALL),
        .q = tiny_slot(tiny, q_width, KRS_ROWS_ALL),
        .k = tiny_slot(tiny, kv_width, KRS_ROWS_ALL),
        .v = tiny_slot(tiny, kv_width, KRS_ROWS_ALL),
        .a = tiny_slot(tiny, q_width, KRS_ROWS_ALL),
        .gate = tiny_slot(tiny, shape->ffn, KRS_ROWS_ALL),
        .up = tiny_slot(tiny, shape->ffn, KRS_ROWS_ALL),
    };
    const krs_slot last = tiny_slot(tiny, shape->hidden, KRS_ROWS_LOGITS);
    program->hidden = tiny_slot(tiny, shape->hidden, KRS_ROWS_HIDDEN);
    program->logits = tiny_slot(tiny, shape->vocab, KRS_ROWS_LOGITS);
    const int32_t n_freqs = shape->head_dim / 2 > 2 ? shape->head_dim / 2 - 1 : 1; /* partial */
    const uint32_t freqs = tiny_freqs(tiny, n_freqs);
    const uint32_t embedding = tiny_matrix(tiny, shape, shape->vocab, shape->hidden, 0, 1.0f);
    tiny_op(tiny, (krs_op){.kind = KRS_OP_EMBED,
                           .out = s.x,
                           .matrix = embedding,
                           .bias = KRS_NO_MATRIX,
                           .embed = {1.5f}});
    for (int32_t layer = 0; layer < shape->n_layers; layer++) {
        tiny_attention(tiny, shape, &s, layer, freqs, n_freqs);
        tiny_ffn(tiny, shape, &s);
    }
    tiny_norm(tiny, shape, s.x, s.h, 1);
    tiny_op(tiny, (krs_op){.kind = KRS_OP_TAKE_ROWS, .in = s.h, .out = program->hidden});
    tiny_op(tiny, (krs_op){.kind = KRS_OP_TAKE_ROWS, .in = s.h, .out = last});
    tiny_op(tiny, (krs_op){.kind = KRS_OP_LINEAR,
                           .in = last,
                           .out = program->logits,
                           .matrix = embedding,
                           .bias = KRS_NO_MATRIX});
}

static inline void tiny_decoder_deinit(tiny_decoder *tiny)
{
    krs_program_deinit(&tiny->program);
    for (uint32_t i = 0; i < tiny->n_buffers; i++) {
        krs_alloc_free(NULL, tiny->buffers[i]);
    }
}

/* A shape small enough for sweeps under sanitizers. */
static inline tiny_shape tiny_shape_default(void)
{
    return (tiny_shape){.vocab = 101,
                        .hidden = 52,
                        .ffn = 77,
                        .n_layers = 2,
                        .n_heads = 6,
                        .n_kv_heads = 2,
                        .head_dim = 10,
                        .window = 0,
                        .act = KRS_ACT_SILU,
                        .dtype = KRS_DTYPE_F32,
                        .max_positions = 1024,
                        .seed = 7};
}
