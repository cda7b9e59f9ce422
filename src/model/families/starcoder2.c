/* model/families/starcoder2.c - starcoder2: layer norms, and a feed-forward without a gate.
 *
 * use_bias covers every linear but the head; norms always have one.
 *
 * Source: transformers 5.17, modeling_starcoder2.py. */
#include "model/families/families.h"

static const krs_weight_name names[] = {
    {KRS_ROLE_UP, .name = "layers.#.mlp.c_fc"},
    {KRS_ROLE_DOWN, .name = "layers.#.mlp.c_proj"},
    {KRS_ROLE_NONE, .name = NULL},
};

const krs_family krs_family_starcoder2 = {
    .names = names,
    .common = krs_llama_names,
    .bias = {[KRS_ROLE_ATTENTION_NORM] = KRS_TRAIT_ALWAYS,
             [KRS_ROLE_QUERY] = KRS_TRAIT_ATTENTION_BIAS,
             [KRS_ROLE_KEY] = KRS_TRAIT_ATTENTION_BIAS,
             [KRS_ROLE_VALUE] = KRS_TRAIT_ATTENTION_BIAS,
             [KRS_ROLE_ATTENTION_OUT] = KRS_TRAIT_ATTENTION_BIAS,
             [KRS_ROLE_FFN_NORM] = KRS_TRAIT_ALWAYS,
             [KRS_ROLE_UP] = KRS_TRAIT_MLP_BIAS,
             [KRS_ROLE_DOWN] = KRS_TRAIT_MLP_BIAS,
             [KRS_ROLE_FINAL_NORM] = KRS_TRAIT_ALWAYS},
    .before = {{.block = &krs_block_embed}},
    .layer = {{.block = &krs_block_attention_layer_norm},
              {.block = &krs_block_project},
              {.block = &krs_block_attention},
              {.block = &krs_block_attention_add},
              {.block = &krs_block_ffn_layer_norm},
              {.block = &krs_block_plain_ffn},
              {.block = &krs_block_add}},
    .after = {{.block = &krs_block_final_layer_norm}, {.block = &krs_block_head}},
};
