/* model/families/qwen3_next.c - qwen3_next and qwen3_5: three recurrent layers to one of attention.
 *
 * A recurrent layer is the gated delta rule behind a short convolution; its output is normed head by head
 * and gated. Attention is gated too: q_proj gives each head's query and then its gate. Norm weights are
 * stored less one, except the gated one's. qwen3_next has a mixture in every layer and its recurrent
 * projections in two tensors, grouped by key head; qwen3_5 has four tensors, each in order.
 *
 * Source: transformers 5.17, modeling_qwen3_next.py, modeling_qwen3_5.py, modeling_qwen3_5_moe.py; mlx-lm,
 * qwen3_next.py, for MLX's files. */
#include "model/families/mixture.h"

#define N(list) (sizeof(list) / sizeof((list)[0]))

#define ATTENTION_NAMES                                                                            \
    {KRS_ROLE_QUERY_GATE, .name = "layers.#.self_attn.q_proj"},                                    \
        {KRS_ROLE_QUERY_NORM, .name = "layers.#.self_attn.q_norm"},                                \
    {                                                                                              \
        KRS_ROLE_KEY_NORM, .name = "layers.#.self_attn.k_norm"                                     \
    }

#define DELTA_NAMES                                                                                \
    {KRS_ROLE_DELTA_CONV, .name = "layers.#.linear_attn.conv1d", .form = {.is_depthwise = true}},  \
        {KRS_ROLE_DELTA_RATE, .name = "layers.#.linear_attn.A_log", .form = {.is_bare = true}},    \
        {KRS_ROLE_DELTA_STEP, .name = "layers.#.linear_attn.dt_bias", .form = {.is_bare = true}},  \
        {KRS_ROLE_DELTA_NORM, .name = "layers.#.linear_attn.norm"},                                \
    {                                                                                              \
        KRS_ROLE_DELTA_OUT, .name = "layers.#.linear_attn.out_proj"                                \
    }

static const krs_weight_name qwen3_next_names[] = {
    ATTENTION_NAMES,
    DELTA_NAMES,
    {KRS_ROLE_DELTA_QKVZ, .name = "layers.#.linear_attn.in_proj_qkvz"},
    {KRS_ROLE_DELTA_BA, .name = "layers.#.linear_attn.in_proj_ba"},
    KRS_MLP_EXPERT_NAMES,
    KRS_MLP_SHARED_NAMES,
    {KRS_ROLE_NONE, .name = NULL},
};

static const krs_weight_name qwen3_5_names[] = {
    ATTENTION_NAMES,
    DELTA_NAMES,
    {KRS_ROLE_DELTA_QKV, .name = "layers.#.linear_attn.in_proj_qkv"},
    {KRS_ROLE_DELTA_Z, .name = "layers.#.linear_attn.in_proj_z"},
    {KRS_ROLE_DELTA_B, .name = "layers.#.linear_attn.in_proj_b"},
    {KRS_ROLE_DELTA_A, .name = "layers.#.linear_attn.in_proj_a"},
    KRS_MLP_EXPERT_NAMES,
    KRS_MLP_SHARED_NAMES,
    {KRS_ROLE_NONE, .name = NULL},
};

static const krs_decoder_step attention_steps[] = {
    {KRS_OP_LINEAR, KRS_ROLE_QUERY_GATE, .in = KRS_SLOT_HIDDEN, .out = KRS_SLOT_QUERY_GATE},
    {KRS_OP_COPY, .in = KRS_SLOT_QUERY_GATE, .out = KRS_SLOT_QUERY, .groups = KRS_DIM_HEADS,
     .n = KRS_DIM_HEAD},
    {KRS_OP_COPY, .in = KRS_SLOT_QUERY_GATE, .out = KRS_SLOT_ATTENTION_GATE,
     .groups = KRS_DIM_HEADS, .in_at = KRS_DIM_HEAD, .n = KRS_DIM_HEAD},
    {KRS_OP_LINEAR, KRS_ROLE_KEY, .in = KRS_SLOT_HIDDEN, .out = KRS_SLOT_KEY},
    {KRS_OP_LINEAR, KRS_ROLE_VALUE, .in = KRS_SLOT_HIDDEN, .out = KRS_SLOT_VALUE},
    {KRS_OP_RMS_NORM, KRS_ROLE_QUERY_NORM, .in = KRS_SLOT_QUERY},
    {KRS_OP_RMS_NORM, KRS_ROLE_KEY_NORM, .in = KRS_SLOT_KEY},
    {KRS_OP_ROPE, .in = KRS_SLOT_QUERY},
    {KRS_OP_ROPE, .in = KRS_SLOT_KEY},
    {KRS_OP_KV_WRITE, .in = KRS_SLOT_KEY, .in2 = KRS_SLOT_VALUE},
    {KRS_OP_ATTENTION, .in = KRS_SLOT_QUERY, .out = KRS_SLOT_MIXED},
    {KRS_OP_GLU, .in = KRS_SLOT_ATTENTION_GATE, .in2 = KRS_SLOT_MIXED, .out = KRS_SLOT_MIXED,
     .act = KRS_ACT_OF_SIGMOID},
};
static const krs_block gated_attention = {attention_steps, N(attention_steps)};

/* A key head's group: its q, its k, then v and z of its value heads; and b and a likewise. */
static const krs_decoder_step grouped_steps[] = {
    {KRS_OP_LINEAR, KRS_ROLE_DELTA_QKVZ, .in = KRS_SLOT_HIDDEN, .out = KRS_SLOT_DELTA_QKVZ},
    {KRS_OP_LINEAR, KRS_ROLE_DELTA_BA, .in = KRS_SLOT_HIDDEN, .out = KRS_SLOT_DELTA_BA},
    {KRS_OP_COPY, .in = KRS_SLOT_DELTA_QKVZ, .out = KRS_SLOT_DELTA_Q,
     .groups = KRS_DIM_DELTA_K_HEADS, .n = KRS_DIM_DELTA_K_DIM},
    {KRS_OP_COPY, .in = KRS_SLOT_DELTA_QKVZ, .out = KRS_SLOT_DELTA_K,
     .groups = KRS_DIM_DELTA_K_HEADS, .in_at = KRS_DIM_DELTA_K_DIM, .n = KRS_DIM_DELTA_K_DIM},
    {KRS_OP_COPY, .in = KRS_SLOT_DELTA_QKVZ, .out = KRS_SLOT_DELTA_V,
     .groups = KRS_DIM_DELTA_K_HEADS, .in_at = KRS_DIM_DELTA_TWO_K_DIMS,
     .n = KRS_DIM_DELTA_GROUP_VALUE},
    {KRS_OP_COPY, .in = KRS_SLOT_DELTA_QKVZ, .out = KRS_SLOT_DELTA_Z,
     .groups = KRS_DIM_DELTA_K_HEADS, .in_at = KRS_DIM_DELTA_GROUP_Z,
     .n = KRS_DIM_DELTA_GROUP_VALUE},
    {KRS_OP_COPY, .in = KRS_SLOT_DELTA_Q, .out = KRS_SLOT_DELTA_QKV, .groups = KRS_DIM_ONE,
     .n = KRS_DIM_DELTA_KEY},
    {KRS_OP_COPY, .in = KRS_SLOT_DELTA_K, .out = KRS_SLOT_DELTA_QKV, .groups = KRS_DIM_ONE,
     .out_at = KRS_DIM_DELTA_KEY, .n = KRS_DIM_DELTA_KEY},
    {KRS_OP_COPY, .in = KRS_SLOT_DELTA_V, .out = KRS_SLOT_DELTA_QKV, .groups = KRS_DIM_ONE,
     .out_at = KRS_DIM_DELTA_TWO_KEYS, .n = KRS_DIM_DELTA_VALUE},
    {KRS_OP_COPY, .in = KRS_SLOT_DELTA_BA, .out = KRS_SLOT_DELTA_B, .groups = KRS_DIM_DELTA_K_HEADS,
     .n = KRS_DIM_DELTA_GROUP_HEADS},
    {KRS_OP_COPY, .in = KRS_SLOT_DELTA_BA, .out = KRS_SLOT_DELTA_A, .groups = KRS_DIM_DELTA_K_HEADS,
     .in_at = KRS_DIM_DELTA_GROUP_HEADS, .n = KRS_DIM_DELTA_GROUP_HEADS},
};
static const krs_block grouped_projections = {grouped_steps, N(grouped_steps)};

static const krs_decoder_step plain_steps[] = {
    {KRS_OP_LINEAR, KRS_ROLE_DELTA_QKV, .in = KRS_SLOT_HIDDEN, .out = KRS_SLOT_DELTA_QKV},
    {KRS_OP_LINEAR, KRS_ROLE_DELTA_Z, .in = KRS_SLOT_HIDDEN, .out = KRS_SLOT_DELTA_Z},
    {KRS_OP_LINEAR, KRS_ROLE_DELTA_B, .in = KRS_SLOT_HIDDEN, .out = KRS_SLOT_DELTA_B},
    {KRS_OP_LINEAR, KRS_ROLE_DELTA_A, .in = KRS_SLOT_HIDDEN, .out = KRS_SLOT_DELTA_A},
};
static const krs_block plain_projections = {plain_steps, N(plain_steps)};

static const krs_decoder_step delta_steps[] = {
    {KRS_OP_CONV, KRS_ROLE_DELTA_CONV, .in = KRS_SLOT_DELTA_QKV, .out = KRS_SLOT_DELTA_CONVOLVED,
     .act = KRS_ACT_OF_CONFIG},
    {KRS_OP_DELTA, KRS_ROLE_DELTA_RATE, .in = KRS_SLOT_DELTA_CONVOLVED, .in2 = KRS_SLOT_DELTA_B,
     .in3 = KRS_SLOT_DELTA_A, .out = KRS_SLOT_DELTA_MIXED, .bias_role = KRS_ROLE_DELTA_STEP},
    {KRS_OP_RMS_NORM, KRS_ROLE_DELTA_NORM, .in = KRS_SLOT_DELTA_MIXED, .has_no_offset = true},
    {KRS_OP_GLU, .in = KRS_SLOT_DELTA_Z, .in2 = KRS_SLOT_DELTA_MIXED, .out = KRS_SLOT_DELTA_MIXED,
     .act = KRS_ACT_OF_CONFIG},
    {KRS_OP_LINEAR, KRS_ROLE_DELTA_OUT, .in = KRS_SLOT_DELTA_MIXED, .out = KRS_SLOT_HIDDEN},
    {KRS_OP_ADD, .in = KRS_SLOT_STREAM, .in2 = KRS_SLOT_HIDDEN},
};
static const krs_block delta = {delta_steps, N(delta_steps)};

#define ATTENTION_BIAS                                                                             \
    .bias = {[KRS_ROLE_QUERY_GATE] = KRS_TRAIT_ATTENTION_BIAS,                                     \
             [KRS_ROLE_KEY] = KRS_TRAIT_ATTENTION_BIAS,                                            \
             [KRS_ROLE_VALUE] = KRS_TRAIT_ATTENTION_BIAS,                                          \
             [KRS_ROLE_ATTENTION_OUT] = KRS_TRAIT_ATTENTION_BIAS}

#define BLOCKS(projections)                                                                        \
    .before = {{.block = &krs_block_embed}},                                                       \
    .layer = {{.block = &krs_block_attention_norm},                                                \
              {.block = &(projections), .need = KRS_TRAIT_LINEAR},                                 \
              {.block = &delta, .need = KRS_TRAIT_LINEAR},                                         \
              {.block = &gated_attention, .deny = KRS_TRAIT_LINEAR},                               \
              {.block = &krs_block_attention_add, .deny = KRS_TRAIT_LINEAR},                       \
              {.block = &krs_block_ffn_norm},                                                      \
              {.block = &krs_block_gated_ffn, .deny = KRS_TRAIT_EXPERTS},                          \
              {.block = &krs_block_add, .deny = KRS_TRAIT_EXPERTS},                                \
              {.block = &krs_block_softmax_experts, .need = KRS_TRAIT_EXPERTS},                    \
              {.block = &krs_block_weighed_expert,                                                 \
               .need = KRS_TRAIT_EXPERTS | KRS_TRAIT_SHARED_EXPERT},                               \
              {.block = &krs_block_add_mixture, .need = KRS_TRAIT_EXPERTS}},                       \
    .after = {{.block = &krs_block_final_norm}, {.block = &krs_block_head}}

const krs_family krs_family_qwen3_next = {
    .is_exact = true,
    .has_exact_experts = true,
    .names = qwen3_next_names,
    .common = krs_llama_names,
    ATTENTION_BIAS,
    .norm_offset = 1,
    .has_offset_in_mlx = true,
    BLOCKS(grouped_projections),
};

const krs_family krs_family_qwen3_5 = {
    .is_exact = true,
    .has_exact_experts = true,
    .names = qwen3_5_names,
    .common = krs_llama_names,
    ATTENTION_BIAS,
    .norm_offset = 1,
    .has_offset_in_mlx = true,
    BLOCKS(plain_projections),
};
