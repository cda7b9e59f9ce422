/* support/tiny_moe.h - experts and recurrent layers with random weights, for tests of compute/.
 *
 * As tiny_decoder.h, whose functions these are made of.
 *
 * Memory: the tiny_decoder's. */
#pragma once

#include "support/tiny_decoder.h"

typedef struct tiny_mixture {
    int32_t n_experts;
    int32_t top_k;
    int64_t ffn;
    krs_route_score score;
    bool is_normalised;
    int32_t n_groups;
    int32_t top_groups;
    bool has_bias;       /* of selection, and of every expert's matrices */
    bool is_interleaved; /* gate and up in one matrix */
    float limit;         /* of the gate; 0: plain SILU */
} tiny_mixture;

/* The router's logits are in `logits`; the routing's slot. */
static inline krs_slot tiny_route(tiny_decoder *tiny, const tiny_mixture *m, krs_slot logits)
{
    const tiny_shape f32 = {.dtype = KRS_DTYPE_F32};
    const krs_slot routing = tiny_slot(tiny, 2 * (int64_t)m->top_k, KRS_ROWS_ALL);
    tiny_op(tiny, (krs_op){.kind = KRS_OP_ROUTE,
                           .in = logits,
                           .out = routing,
                           .matrix = KRS_NO_MATRIX,
                           .bias = m->has_bias ? tiny_matrix(tiny, &f32, 1, m->n_experts, 0, 0.1f)
                                               : KRS_NO_MATRIX,
                           .route = {m->score, m->top_k, m->n_groups, m->top_groups,
                                     m->is_normalised, 1.5f}});
    return routing;
}

/* n matrices in a row; the first. */
static inline uint32_t tiny_matrices(tiny_decoder *tiny, const tiny_shape *shape, int32_t n,
                                     int64_t n_out, int64_t n_in)
{
    const uint32_t first = tiny->program.n_matrices;
    for (int32_t e = 0; e < n; e++) {
        (void)tiny_matrix(tiny, shape, n_out, n_in, 0,
                          n_out > 1 ? sqrtf(3.0f / (float)n_in) : 0.2f);
    }
    return first;
}

/* Router, routing and experts over x; where their sum is. */
static inline krs_slot tiny_experts(tiny_decoder *tiny, const tiny_shape *shape,
                                    const tiny_mixture *m, krs_slot x)
{
    const tiny_shape f32 = {.dtype = KRS_DTYPE_F32};
    const int64_t width = tiny->program.slots[x].width;
    const krs_slot logits = tiny_slot(tiny, m->n_experts, KRS_ROWS_ALL);
    const krs_slot out = tiny_slot(tiny, width, KRS_ROWS_ALL);
    tiny_linear(tiny, &f32, x, logits, false);
    const krs_slot routing = tiny_route(tiny, m, logits);
    const int64_t gate_rows = m->is_interleaved ? 2 * m->ffn : m->ffn;
    const bool has_up = !m->is_interleaved;
    const int32_t n = m->n_experts;
    krs_op op = {.kind = KRS_OP_EXPERTS,
                 .in = x,
                 .in2 = routing,
                 .out = out,
                 .matrix = KRS_NO_MATRIX,
                 .bias = KRS_NO_MATRIX};
    op.experts.n_experts = n;
    op.experts.gated = (krs_gate){KRS_ACT_SILU, m->limit, m->limit > 0 ? 1.702f : 0};
    op.experts.gate = tiny_matrices(tiny, shape, n, gate_rows, width);
    op.experts.up = has_up ? tiny_matrices(tiny, shape, n, m->ffn, width) : KRS_NO_MATRIX;
    op.experts.down = tiny_matrices(tiny, shape, n, width, m->ffn);
    op.experts.gate_bias = op.experts.up_bias = op.experts.down_bias = KRS_NO_MATRIX;
    if (m->has_bias) {
        op.experts.gate_bias = tiny_matrices(tiny, shape, n, 1, gate_rows);
        op.experts.up_bias = has_up ? tiny_matrices(tiny, shape, n, 1, m->ffn) : KRS_NO_MATRIX;
        op.experts.down_bias = tiny_matrices(tiny, shape, n, 1, width);
    }
    tiny_op(tiny, op);
    return out;
}

/* A convolution over x, with a state of its own; where it is. */
static inline krs_slot tiny_conv(tiny_decoder *tiny, const tiny_shape *shape, krs_slot x,
                                 int32_t kernel, bool has_bias)
{
    const int64_t width = tiny->program.slots[x].width;
    const krs_slot out = tiny_slot(tiny, width, KRS_ROWS_ALL);
    krs_op op = {.kind = KRS_OP_CONV,
                 .in = x,
                 .out = out,
                 .matrix = tiny_matrix(tiny, shape, width, kernel, 0, 0.8f),
                 .bias = has_bias ? tiny_matrix(tiny, shape, 1, width, 0, 0.3f) : KRS_NO_MATRIX,
                 .conv = {kernel, KRS_ACT_SILU, 0}};
    const int64_t n_state = krs_conv_state_floats(&tiny->program, &op);
    KRS_CHECK(krs_program_add_state(&tiny->program, n_state, &op.conv.state) == KRS_OK);
    tiny_op(tiny, op);
    return out;
}

typedef struct tiny_heads {
    int32_t n_k;
    int32_t n_v;
    int32_t k_dim;
    int32_t v_dim;
} tiny_heads;

/* The delta rule over linear views of x; where its output is. */
static inline krs_slot tiny_delta(tiny_decoder *tiny, const tiny_shape *shape,
                                  const tiny_heads *heads, krs_slot x)
{
    const int64_t n_out = (int64_t)heads->n_v * heads->v_dim;
    const int64_t n_keys = (int64_t)heads->n_k * heads->k_dim;
    const krs_slot qkv = tiny_slot(tiny, 2 * n_keys + n_out, KRS_ROWS_ALL);
    const krs_slot b = tiny_slot(tiny, heads->n_v, KRS_ROWS_ALL);
    const krs_slot a = tiny_slot(tiny, heads->n_v, KRS_ROWS_ALL);
    const krs_slot out = tiny_slot(tiny, n_out, KRS_ROWS_ALL);
    tiny_linear(tiny, shape, x, qkv, false);
    tiny_linear(tiny, shape, x, b, false);
    tiny_linear(tiny, shape, x, a, false);
    krs_op op = {.kind = KRS_OP_DELTA,
                 .in = qkv,
                 .in2 = b,
                 .in3 = a,
                 .out = out,
                 .matrix = tiny_matrix(tiny, shape, 1, heads->n_v, 0, 1.5f),
                 .bias = tiny_matrix(tiny, shape, 1, heads->n_v, 0, 1.0f),
                 .delta = {heads->n_k, heads->n_v, heads->k_dim, heads->v_dim,
                           1.0f / sqrtf((float)heads->k_dim), 1e-6f, 0}};
    KRS_CHECK(krs_program_add_state(&tiny->program, krs_delta_state_floats(&op), &op.delta.state) ==
              KRS_OK);
    tiny_op(tiny, op);
    return out;
}
