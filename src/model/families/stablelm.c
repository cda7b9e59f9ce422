/* model/families/stablelm.c - stablelm: llama with layer norms, a quarter of each head rotated, and two
 * switches.
 *
 * use_parallel_residual: attention and feed-forward read the same norm and are added together; there is no
 * second norm then. qk_layernorm: every query and key head has a layer norm of its own, without bias, each in
 * a tensor of its own.
 *
 * Source: transformers 5.17, modeling_stablelm.py. */
#include "model/families/families.h"

static const krs_weight_name names[] = {
    {KRS_ROLE_QUERY_ROW_NORM, .name = "layers.#.self_attn.q_layernorm.norms.#",
     .form = {.pieces = KRS_DIM_HEADS}},
    {KRS_ROLE_KEY_ROW_NORM, .name = "layers.#.self_attn.k_layernorm.norms.#",
     .form = {.pieces = KRS_DIM_KV_HEADS}},
    {KRS_ROLE_NONE, .name = NULL},
};

static const krs_decoder_step head_norms[] = {
    {KRS_OP_LAYER_NORM, KRS_ROLE_QUERY_ROW_NORM, .in = KRS_SLOT_QUERY, .groups = KRS_DIM_HEADS},
    {KRS_OP_LAYER_NORM, KRS_ROLE_KEY_ROW_NORM, .in = KRS_SLOT_KEY, .groups = KRS_DIM_KV_HEADS},
};
static const krs_block block_head_norms = {head_norms, sizeof(head_norms) / sizeof(head_norms[0])};

const krs_family krs_family_stablelm = {
    .names = names,
    .common = krs_llama_names,
    .bias = {[KRS_ROLE_ATTENTION_NORM] = KRS_TRAIT_ALWAYS,
             [KRS_ROLE_QUERY] = KRS_TRAIT_QKV_BIAS,
             [KRS_ROLE_KEY] = KRS_TRAIT_QKV_BIAS,
             [KRS_ROLE_VALUE] = KRS_TRAIT_QKV_BIAS,
             [KRS_ROLE_FFN_NORM] = KRS_TRAIT_ALWAYS,
             [KRS_ROLE_FINAL_NORM] = KRS_TRAIT_ALWAYS},
    .before = {{.block = &krs_block_embed}},
    .layer = {{.block = &krs_block_attention_layer_norm},
              {.block = &krs_block_project},
              {.block = &block_head_norms, .need = KRS_TRAIT_QK_NORM},
              {.block = &krs_block_attention},
              {.block = &krs_block_attention_add, .deny = KRS_TRAIT_PARALLEL},
              {.block = &krs_block_ffn_layer_norm, .deny = KRS_TRAIT_PARALLEL},
              {.block = &krs_block_gated_ffn},
              {.block = &krs_block_add},
              {.block = &krs_block_attention_add, .need = KRS_TRAIT_PARALLEL}},
    .after = {{.block = &krs_block_final_layer_norm}, {.block = &krs_block_head}},
};
