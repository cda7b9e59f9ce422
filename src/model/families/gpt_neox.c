/* model/families/gpt_neox.c - gpt_neox (Pythia, GPT-NeoX-20B): one projection for q, k and v, head by head;
 * layer norms; a feed-forward without a gate.
 *
 * The projection's rows are q, k and v of the first head, then of the second, and so on: it is done whole, and
 * its output split, which costs nothing beside the product. use_parallel_residual: both blocks read the stream
 * as it came in, each through its own norm.
 *
 * Source: transformers 5.17, modeling_gpt_neox.py. */
#include "model/families/families.h"

static const krs_weight_name names[] = {
    {KRS_ROLE_EMBED, .name = "embed_in"},
    {KRS_ROLE_ATTENTION_NORM, .name = "layers.#.input_layernorm"},
    {KRS_ROLE_QUERY_KEY_VALUE, .name = "layers.#.attention.query_key_value"},
    {KRS_ROLE_ATTENTION_OUT, .name = "layers.#.attention.dense"},
    {KRS_ROLE_FFN_NORM, .name = "layers.#.post_attention_layernorm"},
    {KRS_ROLE_UP, .name = "layers.#.mlp.dense_h_to_4h"},
    {KRS_ROLE_DOWN, .name = "layers.#.mlp.dense_4h_to_h"},
    {KRS_ROLE_FINAL_NORM, .name = "final_layer_norm"},
    {KRS_ROLE_HEAD, .name = "/embed_out"},
    {KRS_ROLE_NONE, .name = NULL},
};

static const krs_decoder_step project[] = {
    {KRS_OP_LINEAR, KRS_ROLE_QUERY_KEY_VALUE, .in = KRS_SLOT_HIDDEN,
     .out = KRS_SLOT_QUERY_KEY_VALUE},
    {KRS_OP_COPY, .in = KRS_SLOT_QUERY_KEY_VALUE, .out = KRS_SLOT_QUERY, .groups = KRS_DIM_HEADS,
     .n = KRS_DIM_HEAD},
    {KRS_OP_COPY, .in = KRS_SLOT_QUERY_KEY_VALUE, .out = KRS_SLOT_KEY, .groups = KRS_DIM_HEADS,
     .in_at = KRS_DIM_HEAD, .n = KRS_DIM_HEAD},
    {KRS_OP_COPY, .in = KRS_SLOT_QUERY_KEY_VALUE, .out = KRS_SLOT_VALUE, .groups = KRS_DIM_HEADS,
     .in_at = KRS_DIM_TWO_HEADS, .n = KRS_DIM_HEAD},
};
static const krs_block block_project = {project, sizeof(project) / sizeof(project[0])};

const krs_family krs_family_gpt_neox = {
    .prefix = "gpt_neox.",
    .names = names,
    .bias = {[KRS_ROLE_ATTENTION_NORM] = KRS_TRAIT_ALWAYS,
             [KRS_ROLE_QUERY_KEY_VALUE] = KRS_TRAIT_ATTENTION_BIAS,
             [KRS_ROLE_ATTENTION_OUT] = KRS_TRAIT_ATTENTION_BIAS,
             [KRS_ROLE_FFN_NORM] = KRS_TRAIT_ALWAYS,
             [KRS_ROLE_UP] = KRS_TRAIT_ALWAYS,
             [KRS_ROLE_DOWN] = KRS_TRAIT_ALWAYS,
             [KRS_ROLE_FINAL_NORM] = KRS_TRAIT_ALWAYS},
    .before = {{.block = &krs_block_embed}},
    .layer = {{.block = &krs_block_attention_layer_norm},
              {.block = &block_project},
              {.block = &krs_block_attention},
              {.block = &krs_block_attention_add, .deny = KRS_TRAIT_PARALLEL},
              {.block = &krs_block_ffn_layer_norm},
              {.block = &krs_block_plain_ffn},
              {.block = &krs_block_add},
              {.block = &krs_block_attention_add, .need = KRS_TRAIT_PARALLEL}},
    .after = {{.block = &krs_block_final_layer_norm}, {.block = &krs_block_head}},
};
