/* model/families/phi3.c - phi3 (Phi-3, Phi-3.5, Phi-4): llama with its projections in two tensors a layer.
 *
 * q, k and v are the rows of one matrix, one after the other, and so are gate and up; each role is a view of
 * its rows. Long contexts use longrope, whose table is chosen when the model is opened.
 *
 * Source: transformers 5.17, modeling_phi3.py. */
#include "model/families/families.h"

static const krs_weight_name names[] = {
    {KRS_ROLE_QUERY, .name = "layers.#.self_attn.qkv_proj",
     .form = {.of = KRS_DIM_QUERY_KEY_VALUE}},
    {KRS_ROLE_KEY, .name = "layers.#.self_attn.qkv_proj",
     .form = {.of = KRS_DIM_QUERY_KEY_VALUE, .at = KRS_DIM_QUERY}},
    {KRS_ROLE_VALUE, .name = "layers.#.self_attn.qkv_proj",
     .form = {.of = KRS_DIM_QUERY_KEY_VALUE, .at = KRS_DIM_QUERY_KEY}},
    {KRS_ROLE_GATE, .name = "layers.#.mlp.gate_up_proj", .form = {.of = KRS_DIM_GATE_UP}},
    {KRS_ROLE_UP, .name = "layers.#.mlp.gate_up_proj",
     .form = {.of = KRS_DIM_GATE_UP, .at = KRS_DIM_FFN}},
    {KRS_ROLE_NONE, .name = NULL},
};

const krs_family krs_family_phi3 = {
    .names = names,
    .common = krs_llama_names,
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
