/* model/families/mixture.c - blocks of mixtures of experts; mixtral, qwen2_moe and qwen3_moe.
 *
 * A shared expert that is weighed is a mixture of one: the sigmoid of its own router is its weight. So it
 * takes the same two ops.
 *
 * Source: transformers 5.17, modeling_mixtral.py, modeling_qwen2_moe.py, modeling_qwen3_moe.py,
 * modeling_deepseek_v3.py; names of MLX's files: mlx-lm's models of the same names. */
#include "model/families/mixture.h"

#define N(list) (sizeof(list) / sizeof((list)[0]))

#define ROUTER                                                                                     \
    {                                                                                              \
        KRS_OP_LINEAR, KRS_ROLE_ROUTER, .in = KRS_SLOT_HIDDEN, .out = KRS_SLOT_ROUTER              \
    }
#define EXPERTS                                                                                    \
    {                                                                                              \
        KRS_OP_EXPERTS, KRS_ROLE_EXPERT_GATE,                                                      \
            .in = KRS_SLOT_HIDDEN, .in2 = KRS_SLOT_ROUTING, .out = KRS_SLOT_MIXTURE,               \
            .up_role = KRS_ROLE_EXPERT_UP, .down_role = KRS_ROLE_EXPERT_DOWN,                      \
            .fused_role = KRS_ROLE_EXPERT_GATE_UP                                                  \
    }

static const krs_decoder_step softmax_experts[] = {
    ROUTER,
    {KRS_OP_ROUTE, .in = KRS_SLOT_ROUTER, .out = KRS_SLOT_ROUTING, .score = KRS_ROUTE_SOFTMAX},
    EXPERTS,
};
const krs_block krs_block_softmax_experts = {softmax_experts, N(softmax_experts)};

static const krs_decoder_step top_experts[] = {
    ROUTER,
    {KRS_OP_ROUTE, .in = KRS_SLOT_ROUTER, .out = KRS_SLOT_ROUTING, .score = KRS_ROUTE_TOP},
    EXPERTS,
};
const krs_block krs_block_top_experts = {top_experts, N(top_experts)};

static const krs_decoder_step sigmoid_experts[] = {
    ROUTER,
    {KRS_OP_ROUTE, .in = KRS_SLOT_ROUTER, .out = KRS_SLOT_ROUTING,
     .bias_role = KRS_ROLE_ROUTER_BIAS, .score = KRS_ROUTE_SIGMOID},
    EXPERTS,
};
const krs_block krs_block_sigmoid_experts = {sigmoid_experts, N(sigmoid_experts)};

static const krs_decoder_step weighed_expert[] = {
    {KRS_OP_LINEAR, KRS_ROLE_SHARED_ROUTER, .in = KRS_SLOT_HIDDEN, .out = KRS_SLOT_SHARED_ROUTER},
    {KRS_OP_ROUTE, .in = KRS_SLOT_SHARED_ROUTER, .out = KRS_SLOT_SHARED_ROUTING,
     .score = KRS_ROUTE_SIGMOID},
    {KRS_OP_EXPERTS, KRS_ROLE_SHARED_GATE, .in = KRS_SLOT_HIDDEN, .in2 = KRS_SLOT_SHARED_ROUTING,
     .out = KRS_SLOT_SHARED, .up_role = KRS_ROLE_SHARED_UP, .down_role = KRS_ROLE_SHARED_DOWN},
    {KRS_OP_ADD, .in = KRS_SLOT_MIXTURE, .in2 = KRS_SLOT_SHARED},
};
const krs_block krs_block_weighed_expert = {weighed_expert, N(weighed_expert)};

static const krs_decoder_step plain_expert[] = {
    {KRS_OP_LINEAR, KRS_ROLE_SHARED_GATE, .in = KRS_SLOT_HIDDEN, .out = KRS_SLOT_SHARED_GATE},
    {KRS_OP_LINEAR, KRS_ROLE_SHARED_UP, .in = KRS_SLOT_HIDDEN, .out = KRS_SLOT_SHARED_UP},
    {KRS_OP_GLU, .in = KRS_SLOT_SHARED_GATE, .in2 = KRS_SLOT_SHARED_UP},
    {KRS_OP_LINEAR, KRS_ROLE_SHARED_DOWN, .in = KRS_SLOT_SHARED_GATE, .out = KRS_SLOT_SHARED},
    {KRS_OP_ADD, .in = KRS_SLOT_MIXTURE, .in2 = KRS_SLOT_SHARED},
};
const krs_block krs_block_plain_expert = {plain_expert, N(plain_expert)};

static const krs_decoder_step add_mixture[] = {
    {KRS_OP_ADD, .in = KRS_SLOT_STREAM, .in2 = KRS_SLOT_MIXTURE},
};
const krs_block krs_block_add_mixture = {add_mixture, N(add_mixture)};

static const krs_weight_name mixtral_names[] = {
    {KRS_ROLE_ROUTER, .name = "layers.#.block_sparse_moe.gate"},
    {KRS_ROLE_EXPERT_GATE, .name = "layers.#.block_sparse_moe.experts.#.w1"},
    {KRS_ROLE_EXPERT_GATE, .name = "layers.#.block_sparse_moe.switch_mlp.gate_proj",
     .form = {.is_stacked = true}},
    {KRS_ROLE_EXPERT_UP, .name = "layers.#.block_sparse_moe.experts.#.w3"},
    {KRS_ROLE_EXPERT_UP, .name = "layers.#.block_sparse_moe.switch_mlp.up_proj",
     .form = {.is_stacked = true}},
    {KRS_ROLE_EXPERT_DOWN, .name = "layers.#.block_sparse_moe.experts.#.w2"},
    {KRS_ROLE_EXPERT_DOWN, .name = "layers.#.block_sparse_moe.switch_mlp.down_proj",
     .form = {.is_stacked = true}},
    {KRS_ROLE_NONE, .name = NULL},
};

const krs_family krs_family_mixtral = {
    .is_exact = true,
    .names = mixtral_names,
    .common = krs_llama_names,
    .before = {{.block = &krs_block_embed}},
    .layer = {{.block = &krs_block_attention_norm},
              {.block = &krs_block_project},
              {.block = &krs_block_attention},
              {.block = &krs_block_attention_add},
              {.block = &krs_block_ffn_norm},
              {.block = &krs_block_softmax_experts},
              {.block = &krs_block_add_mixture}},
    .after = {{.block = &krs_block_final_norm}, {.block = &krs_block_head}},
};

static const krs_weight_name qwen_moe_names[] = {
    {KRS_ROLE_QUERY_NORM, .name = "layers.#.self_attn.q_norm"},
    {KRS_ROLE_KEY_NORM, .name = "layers.#.self_attn.k_norm"},
    KRS_MLP_EXPERT_NAMES,
    {KRS_ROLE_NONE, .name = NULL},
};

/* Without norms of queries and keys, with a shared expert. */
static const krs_weight_name qwen2_moe_names[] = {
    KRS_MLP_EXPERT_NAMES,
    KRS_MLP_SHARED_NAMES,
    {KRS_ROLE_NONE, .name = NULL},
};

const krs_family krs_family_qwen2_moe = {
    .is_exact = true,
    .names = qwen2_moe_names,
    .common = krs_llama_names,
    .bias = {[KRS_ROLE_QUERY] = KRS_TRAIT_QKV_BIAS,
             [KRS_ROLE_KEY] = KRS_TRAIT_QKV_BIAS,
             [KRS_ROLE_VALUE] = KRS_TRAIT_QKV_BIAS},
    .before = {{.block = &krs_block_embed}},
    .layer = {{.block = &krs_block_attention_norm},
              {.block = &krs_block_project},
              {.block = &krs_block_attention},
              {.block = &krs_block_attention_add},
              {.block = &krs_block_ffn_norm},
              {.block = &krs_block_gated_ffn, .deny = KRS_TRAIT_EXPERTS},
              {.block = &krs_block_add, .deny = KRS_TRAIT_EXPERTS},
              {.block = &krs_block_softmax_experts, .need = KRS_TRAIT_EXPERTS},
              {.block = &krs_block_weighed_expert,
               .need = KRS_TRAIT_EXPERTS | KRS_TRAIT_SHARED_EXPERT},
              {.block = &krs_block_add_mixture, .need = KRS_TRAIT_EXPERTS}},
    .after = {{.block = &krs_block_final_norm}, {.block = &krs_block_head}},
};

const krs_family krs_family_qwen3_moe = {
    .is_exact = true,
    .names = qwen_moe_names,
    .common = krs_llama_names,
    .bias = {[KRS_ROLE_QUERY] = KRS_TRAIT_ATTENTION_BIAS,
             [KRS_ROLE_KEY] = KRS_TRAIT_ATTENTION_BIAS,
             [KRS_ROLE_VALUE] = KRS_TRAIT_ATTENTION_BIAS,
             [KRS_ROLE_ATTENTION_OUT] = KRS_TRAIT_ATTENTION_BIAS},
    .before = {{.block = &krs_block_embed}},
    .layer = {{.block = &krs_block_attention_norm},
              {.block = &krs_block_project},
              {.block = &krs_block_attention},
              {.block = &krs_block_attention_add},
              {.block = &krs_block_ffn_norm},
              {.block = &krs_block_gated_ffn, .deny = KRS_TRAIT_EXPERTS},
              {.block = &krs_block_add, .deny = KRS_TRAIT_EXPERTS},
              {.block = &krs_block_softmax_experts, .need = KRS_TRAIT_EXPERTS},
              {.block = &krs_block_add_mixture, .need = KRS_TRAIT_EXPERTS}},
    .after = {{.block = &krs_block_final_norm}, {.block = &krs_block_head}},
};
