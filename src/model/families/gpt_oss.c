/* model/families/gpt_oss.c - gpt_oss: experts with biases and a clamped gate, attention with sinks.
 *
 * The hub keeps gate and up of all experts in one tensor, rows of the two in turn: mxfp4 codes as
 * gate_up_proj_blocks and _scales, or bf16 the other way round ([experts, in, out]). MLX takes the two
 * apart. Every projection has a bias; every second layer sees a window.
 *
 * Source: transformers 5.17, modeling_gpt_oss.py; mlx-lm, gpt_oss.py, for names of MLX's files. */
#include "model/families/mixture.h"

#define N(list) (sizeof(list) / sizeof((list)[0]))

static const krs_weight_name names[] = {
    {KRS_ROLE_SINKS, .name = "layers.#.self_attn.sinks", .form = {.is_bare = true}},
    {KRS_ROLE_ROUTER, .name = "layers.#.mlp.router"},
    {KRS_ROLE_EXPERT_GATE_UP, .name = "layers.#.mlp.experts.gate_up_proj",
     .form = {.is_transposed = true, .is_stacked = true, .is_bare = true}},
    {KRS_ROLE_EXPERT_GATE, .name = "layers.#.mlp.experts.gate_proj", .form = {.is_stacked = true}},
    {KRS_ROLE_EXPERT_UP, .name = "layers.#.mlp.experts.up_proj", .form = {.is_stacked = true}},
    {KRS_ROLE_EXPERT_DOWN, .name = "layers.#.mlp.experts.down_proj",
     .form = {.is_transposed = true, .is_stacked = true, .is_bare = true}},
    {KRS_ROLE_EXPERT_DOWN, .name = "layers.#.mlp.experts.down_proj", .form = {.is_stacked = true}},
    {KRS_ROLE_NONE, .name = NULL},
};

static const krs_decoder_step attention[] = {
    {KRS_OP_ROPE, .in = KRS_SLOT_QUERY},
    {KRS_OP_ROPE, .in = KRS_SLOT_KEY},
    {KRS_OP_KV_WRITE, .in = KRS_SLOT_KEY, .in2 = KRS_SLOT_VALUE},
    {KRS_OP_ATTENTION, KRS_ROLE_SINKS, .in = KRS_SLOT_QUERY, .out = KRS_SLOT_MIXED},
};
static const krs_block attention_with_sinks = {attention, N(attention)};

const krs_family krs_family_gpt_oss = {
    .is_exact = true,
    .names = names,
    .common = krs_llama_names,
    .bias = {[KRS_ROLE_QUERY] = KRS_TRAIT_ATTENTION_BIAS,
             [KRS_ROLE_KEY] = KRS_TRAIT_ATTENTION_BIAS,
             [KRS_ROLE_VALUE] = KRS_TRAIT_ATTENTION_BIAS,
             [KRS_ROLE_ATTENTION_OUT] = KRS_TRAIT_ATTENTION_BIAS,
             [KRS_ROLE_ROUTER] = KRS_TRAIT_ALWAYS,
             [KRS_ROLE_EXPERT_GATE_UP] = KRS_TRAIT_ALWAYS,
             [KRS_ROLE_EXPERT_GATE] = KRS_TRAIT_ALWAYS,
             [KRS_ROLE_EXPERT_UP] = KRS_TRAIT_ALWAYS,
             [KRS_ROLE_EXPERT_DOWN] = KRS_TRAIT_ALWAYS},
    .before = {{.block = &krs_block_embed}},
    .layer = {{.block = &krs_block_attention_norm},
              {.block = &krs_block_project},
              {.block = &attention_with_sinks},
              {.block = &krs_block_attention_add},
              {.block = &krs_block_ffn_norm},
              {.block = &krs_block_top_experts},
              {.block = &krs_block_add_mixture}},
    .after = {{.block = &krs_block_final_norm}, {.block = &krs_block_head}},
};
