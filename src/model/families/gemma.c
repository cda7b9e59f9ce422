/* model/families/gemma.c - gemma, gemma2, gemma3 (its text part).
 *
 * All three multiply the embedding by sqrt(hidden) and norms by 1 + weight. Gemma2 norms what a block adds
 * as well, caps attention's scores and the logits, and alternates windows. Gemma3 has no caps, norms every
 * query and key head instead, and rotates windowed layers by a base of their own.
 *
 * Source: transformers 5.17, modeling_gemma.py, modeling_gemma2.py, modeling_gemma3.py. */
#include "model/families/families.h"

/* Four norms a layer; the file's post_attention_layernorm is not llama's. */
#define POST_NORM_NAMES                                                                            \
    {KRS_ROLE_POST_ATTENTION_NORM, .name = "layers.#.post_attention_layernorm"},                   \
        {KRS_ROLE_FFN_NORM, .name = "layers.#.pre_feedforward_layernorm"},                         \
    {                                                                                              \
        KRS_ROLE_POST_FFN_NORM, .name = "layers.#.post_feedforward_layernorm"                      \
    }

static const krs_weight_name gemma2_names[] = {
    POST_NORM_NAMES,
    {KRS_ROLE_NONE, .name = NULL},
};

static const krs_weight_name gemma3_names[] = {
    POST_NORM_NAMES,
    {KRS_ROLE_QUERY_NORM, .name = "layers.#.self_attn.q_norm"},
    {KRS_ROLE_KEY_NORM, .name = "layers.#.self_attn.k_norm"},
    {KRS_ROLE_NONE, .name = NULL},
};

#define GEMMA                                                                                      \
    .common = krs_llama_names, .norm_offset = 1.0f,                                                \
    .bias = {[KRS_ROLE_QUERY] = KRS_TRAIT_ATTENTION_BIAS,                                          \
             [KRS_ROLE_KEY] = KRS_TRAIT_ATTENTION_BIAS,                                            \
             [KRS_ROLE_VALUE] = KRS_TRAIT_ATTENTION_BIAS,                                          \
             [KRS_ROLE_ATTENTION_OUT] = KRS_TRAIT_ATTENTION_BIAS},                                 \
    .before = {{.block = &krs_block_embed}},                                                       \
    .layer = {{.block = &krs_block_attention_norm},                                                \
              {.block = &krs_block_project},                                                       \
              {.block = &krs_block_attention},                                                     \
              {.block = &krs_block_attention_add},                                                 \
              {.block = &krs_block_ffn_norm},                                                      \
              {.block = &krs_block_gated_ffn},                                                     \
              {.block = &krs_block_add}},                                                          \
    .after = {{.block = &krs_block_final_norm}, {.block = &krs_block_head}}

const krs_family krs_family_gemma = {GEMMA};
const krs_family krs_family_gemma2 = {.names = gemma2_names, GEMMA};
const krs_family krs_family_gemma3 = {.names = gemma3_names, GEMMA};
