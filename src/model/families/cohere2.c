/* model/families/cohere2.c - cohere2 (Command R7B, Command A): one layer norm without bias, then attention
 * and feed-forward side by side.
 *
 * Pairs of a rotation are neighbours, windowed layers alone are rotated, logits are multiplied. Attention's
 * last projection is done after the feed-forward, so that both can read and write HIDDEN.
 *
 * Source: transformers 5.17, modeling_cohere2.py. */
#include "model/families/families.h"

const krs_family krs_family_cohere2 = {
    .common = krs_llama_names,
    .bias = {[KRS_ROLE_QUERY] = KRS_TRAIT_ATTENTION_BIAS,
             [KRS_ROLE_KEY] = KRS_TRAIT_ATTENTION_BIAS,
             [KRS_ROLE_VALUE] = KRS_TRAIT_ATTENTION_BIAS,
             [KRS_ROLE_ATTENTION_OUT] = KRS_TRAIT_ATTENTION_BIAS},
    .rope_is_interleaved = true,
    .before = {{.block = &krs_block_embed}},
    .layer = {{.block = &krs_block_attention_layer_norm},
              {.block = &krs_block_project},
              {.block = &krs_block_attention},
              {.block = &krs_block_gated_ffn},
              {.block = &krs_block_add},
              {.block = &krs_block_attention_add}},
    .after = {{.block = &krs_block_final_layer_norm}, {.block = &krs_block_head}},
};
