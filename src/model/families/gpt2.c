/* model/families/gpt2.c - gpt2: learned positions, biases everywhere, and weights that lie the other way round
 * (the class calls them Conv1D), so that they are turned once at load.
 *
 * q, k and v are columns of one tensor. The head is the embedding.
 *
 * Source: transformers 5.17, modeling_gpt2.py. */
#include "model/families/families.h"

static const krs_weight_name names[] = {
    {KRS_ROLE_EMBED, .name = "wte"},
    {KRS_ROLE_POSITION, .name = "wpe"},
    {KRS_ROLE_ATTENTION_NORM, .name = "h.#.ln_1"},
    {KRS_ROLE_QUERY, .name = "h.#.attn.c_attn",
     .form = {.of = KRS_DIM_QUERY_KEY_VALUE, .is_transposed = true}},
    {KRS_ROLE_KEY, .name = "h.#.attn.c_attn",
     .form = {.of = KRS_DIM_QUERY_KEY_VALUE, .at = KRS_DIM_QUERY, .is_transposed = true}},
    {KRS_ROLE_VALUE, .name = "h.#.attn.c_attn",
     .form = {.of = KRS_DIM_QUERY_KEY_VALUE, .at = KRS_DIM_QUERY_KEY, .is_transposed = true}},
    {KRS_ROLE_ATTENTION_OUT, .name = "h.#.attn.c_proj", .form = {.is_transposed = true}},
    {KRS_ROLE_FFN_NORM, .name = "h.#.ln_2"},
    {KRS_ROLE_UP, .name = "h.#.mlp.c_fc", .form = {.is_transposed = true}},
    {KRS_ROLE_DOWN, .name = "h.#.mlp.c_proj", .form = {.is_transposed = true}},
    {KRS_ROLE_FINAL_NORM, .name = "ln_f"},
    {KRS_ROLE_HEAD, .name = "/lm_head"},
    {KRS_ROLE_NONE, .name = NULL},
};

const krs_family krs_family_gpt2 = {
    .prefix = "transformer.",
    .names = names,
    .bias = {[KRS_ROLE_ATTENTION_NORM] = KRS_TRAIT_ALWAYS,
             [KRS_ROLE_QUERY] = KRS_TRAIT_ALWAYS,
             [KRS_ROLE_KEY] = KRS_TRAIT_ALWAYS,
             [KRS_ROLE_VALUE] = KRS_TRAIT_ALWAYS,
             [KRS_ROLE_ATTENTION_OUT] = KRS_TRAIT_ALWAYS,
             [KRS_ROLE_FFN_NORM] = KRS_TRAIT_ALWAYS,
             [KRS_ROLE_UP] = KRS_TRAIT_ALWAYS,
             [KRS_ROLE_DOWN] = KRS_TRAIT_ALWAYS,
             [KRS_ROLE_FINAL_NORM] = KRS_TRAIT_ALWAYS},
    .before = {{.block = &krs_block_embed}, {.block = &krs_block_positions}},
    .layer = {{.block = &krs_block_attention_layer_norm},
              {.block = &krs_block_project},
              {.block = &krs_block_attention},
              {.block = &krs_block_attention_add},
              {.block = &krs_block_ffn_layer_norm},
              {.block = &krs_block_plain_ffn},
              {.block = &krs_block_add}},
    .after = {{.block = &krs_block_final_layer_norm}, {.block = &krs_block_head}},
};
