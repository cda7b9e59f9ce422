/* model/families/glm4.c - glm4 (GLM-4-0414, GLM-Z1): four norms a layer, half of each head rotated.
 *
 * docs/models/adding-a-family.md goes through this file line by line.
 *
 * Source: transformers 5.17, modeling_glm4.py. */
#include "model/families/families.h"

static const krs_weight_name names[] = {
    {KRS_ROLE_POST_ATTENTION_NORM, .name = "layers.#.post_self_attn_layernorm"},
    {KRS_ROLE_FFN_NORM, .name = "layers.#.post_attention_layernorm"},
    {KRS_ROLE_POST_FFN_NORM, .name = "layers.#.post_mlp_layernorm"},
    {KRS_ROLE_GATE, .name = "layers.#.mlp.gate_up_proj", .form = {.of = KRS_DIM_GATE_UP}},
    {KRS_ROLE_UP, .name = "layers.#.mlp.gate_up_proj",
     .form = {.of = KRS_DIM_GATE_UP, .at = KRS_DIM_FFN}},
    {KRS_ROLE_NONE, .name = NULL},
};

const krs_family krs_family_glm4 = {
    .names = names,
    .common = krs_llama_names,
    .bias = {[KRS_ROLE_QUERY] = KRS_TRAIT_ATTENTION_BIAS,
             [KRS_ROLE_KEY] = KRS_TRAIT_ATTENTION_BIAS,
             [KRS_ROLE_VALUE] = KRS_TRAIT_ATTENTION_BIAS},
    .rope_is_interleaved = true,
    .before = {{.block = &krs_block_embed}},
    .layer = {{.block = &krs_block_attention_norm},
              {.block = &krs_block_project},
              {.block = &krs_block_attention},
              {.block = &krs_block_attention_add},
              {.block = &krs_block_ffn_norm},
              {.block = &krs_block_gated_ffn},
              {.block = &krs_block_add}},
    .after = {{.block = &krs_block_final_norm}, {.block = &krs_block_head}},
};
