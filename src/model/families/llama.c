/* model/families/llama.c - llama, and those that are llama with switches: mistral, qwen2, qwen3, and by
 * numbers of config.json alone, granite (multipliers) and smollm3 (layers without rotation).
 *
 * Mistral adds a window, Qwen2 fixed biases on q, k and v, Qwen3 a norm on every query and key head. Where
 * transformers reads a switch from config.json (attention_bias, mlp_bias) so do we; where it is built into
 * the class, it is a constant of the table. Qwen3's attention_bias covers o_proj too; Qwen2's o_proj never
 * has one.
 *
 * Source: transformers 5.17, modeling_llama.py, modeling_mistral.py, modeling_qwen2.py, modeling_qwen3.py,
 * modeling_granite.py, modeling_smollm3.py. */
#include "model/families/families.h"

const krs_weight_name krs_llama_names[] = {
    {KRS_ROLE_EMBED, .name = "embed_tokens"},
    {KRS_ROLE_ATTENTION_NORM, .name = "layers.#.input_layernorm"},
    {KRS_ROLE_QUERY, .name = "layers.#.self_attn.q_proj"},
    {KRS_ROLE_KEY, .name = "layers.#.self_attn.k_proj"},
    {KRS_ROLE_VALUE, .name = "layers.#.self_attn.v_proj"},
    {KRS_ROLE_ATTENTION_OUT, .name = "layers.#.self_attn.o_proj"},
    {KRS_ROLE_FFN_NORM, .name = "layers.#.post_attention_layernorm"},
    {KRS_ROLE_GATE, .name = "layers.#.mlp.gate_proj"},
    {KRS_ROLE_UP, .name = "layers.#.mlp.up_proj"},
    {KRS_ROLE_DOWN, .name = "layers.#.mlp.down_proj"},
    {KRS_ROLE_FINAL_NORM, .name = "norm"},
    {KRS_ROLE_HEAD, .name = "/lm_head"},
    {KRS_ROLE_NONE, .name = NULL},
};

static const krs_weight_name qwen3_names[] = {
    {KRS_ROLE_QUERY_NORM, .name = "layers.#.self_attn.q_norm"},
    {KRS_ROLE_KEY_NORM, .name = "layers.#.self_attn.k_norm"},
    {KRS_ROLE_NONE, .name = NULL},
};

/* Pre-norm blocks: the stream is only ever read through a norm and added to. */
#define PRENORM_BLOCKS                                                                             \
    .before = {{.block = &krs_block_embed}},                                                       \
    .layer = {{.block = &krs_block_attention_norm},                                                \
              {.block = &krs_block_project},                                                       \
              {.block = &krs_block_attention},                                                     \
              {.block = &krs_block_attention_add},                                                 \
              {.block = &krs_block_ffn_norm},                                                      \
              {.block = &krs_block_gated_ffn},                                                     \
              {.block = &krs_block_add}},                                                          \
    .after = {{.block = &krs_block_final_norm}, {.block = &krs_block_head}}

const krs_family krs_family_llama = {
    .common = krs_llama_names,
    .bias = {[KRS_ROLE_QUERY] = KRS_TRAIT_ATTENTION_BIAS,
             [KRS_ROLE_KEY] = KRS_TRAIT_ATTENTION_BIAS,
             [KRS_ROLE_VALUE] = KRS_TRAIT_ATTENTION_BIAS,
             [KRS_ROLE_ATTENTION_OUT] = KRS_TRAIT_ATTENTION_BIAS,
             [KRS_ROLE_GATE] = KRS_TRAIT_MLP_BIAS,
             [KRS_ROLE_UP] = KRS_TRAIT_MLP_BIAS,
             [KRS_ROLE_DOWN] = KRS_TRAIT_MLP_BIAS},
    PRENORM_BLOCKS,
};

const krs_family krs_family_mistral = {
    .common = krs_llama_names,
    PRENORM_BLOCKS,
};

const krs_family krs_family_qwen2 = {
    .common = krs_llama_names,
    .bias = {[KRS_ROLE_QUERY] = KRS_TRAIT_ALWAYS,
             [KRS_ROLE_KEY] = KRS_TRAIT_ALWAYS,
             [KRS_ROLE_VALUE] = KRS_TRAIT_ALWAYS},
    PRENORM_BLOCKS,
};

const krs_family krs_family_qwen3 = {
    .names = qwen3_names,
    .common = krs_llama_names,
    .bias = {[KRS_ROLE_QUERY] = KRS_TRAIT_ATTENTION_BIAS,
             [KRS_ROLE_KEY] = KRS_TRAIT_ATTENTION_BIAS,
             [KRS_ROLE_VALUE] = KRS_TRAIT_ATTENTION_BIAS,
             [KRS_ROLE_ATTENTION_OUT] = KRS_TRAIT_ATTENTION_BIAS},
    PRENORM_BLOCKS,
};
