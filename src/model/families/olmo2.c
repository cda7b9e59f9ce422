/* model/families/olmo2.c - olmo2, olmo3: blocks read the stream as it is, and what they add is normed.
 *
 * Norms of q and k go over all heads together. Olmo3 has windows besides, in layers whose rotation is not
 * stretched with the context: both are numbers of its configuration.
 *
 * Source: transformers 5.17, modeling_olmo2.py, modeling_olmo3.py. */
#include "model/families/families.h"

static const krs_weight_name names[] = {
    {KRS_ROLE_QUERY_ROW_NORM, .name = "layers.#.self_attn.q_norm"},
    {KRS_ROLE_KEY_ROW_NORM, .name = "layers.#.self_attn.k_norm"},
    {KRS_ROLE_POST_ATTENTION_NORM, .name = "layers.#.post_attention_layernorm"},
    {KRS_ROLE_POST_FFN_NORM, .name = "layers.#.post_feedforward_layernorm"},
    {KRS_ROLE_NONE, .name = NULL},
};

static const krs_decoder_step row_norms[] = {
    {KRS_OP_RMS_NORM, KRS_ROLE_QUERY_ROW_NORM, .in = KRS_SLOT_QUERY},
    {KRS_OP_RMS_NORM, KRS_ROLE_KEY_ROW_NORM, .in = KRS_SLOT_KEY},
};
static const krs_block block_row_norms = {row_norms, sizeof(row_norms) / sizeof(row_norms[0])};

const krs_family krs_family_olmo2 = {
    .names = names,
    .common = krs_llama_names,
    .bias = {[KRS_ROLE_QUERY] = KRS_TRAIT_ATTENTION_BIAS,
             [KRS_ROLE_KEY] = KRS_TRAIT_ATTENTION_BIAS,
             [KRS_ROLE_VALUE] = KRS_TRAIT_ATTENTION_BIAS,
             [KRS_ROLE_ATTENTION_OUT] = KRS_TRAIT_ATTENTION_BIAS},
    .before = {{.block = &krs_block_embed}},
    .layer = {{.block = &krs_block_take_stream},
              {.block = &krs_block_project},
              {.block = &block_row_norms},
              {.block = &krs_block_attention},
              {.block = &krs_block_attention_add},
              {.block = &krs_block_take_stream},
              {.block = &krs_block_gated_ffn},
              {.block = &krs_block_add}},
    .after = {{.block = &krs_block_final_norm}, {.block = &krs_block_head}},
};
