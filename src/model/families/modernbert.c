/* model/families/modernbert.c - an encoder with what decoders have learned since BERT.
 *
 * Pre-norm, rotation instead of learned positions, gated feed-forward, no biases unless the file says so.
 * Every few layers see all of the text; the others see local_attention / 2 tokens each side, with a rotation
 * of a smaller base. The embedding is normed, so the first layer's attention reads the stream as it is.
 * Query, key and value lie one after the other in one tensor, gate and up in another.
 *
 * Source: transformers 5.17, modeling_modernbert.py; Warner et al. 2024, arXiv:2412.13663. */
#include "model/families/families.h"

#define N(list) (sizeof(list) / sizeof((list)[0]))

static const krs_decoder_step start[] = {
    {KRS_OP_EMBED, KRS_ROLE_EMBED, .in = KRS_SLOT_STREAM},
    {KRS_OP_LAYER_NORM, KRS_ROLE_EMBED_NORM, .in = KRS_SLOT_STREAM},
};
static const krs_block block_start = {start, N(start)};

static const krs_decoder_step layer[] = {
    {KRS_OP_COPY, .in = KRS_SLOT_STREAM, .out = KRS_SLOT_HIDDEN, .groups = KRS_DIM_SINGLE,
     .n = KRS_DIM_HIDDEN, .need = KRS_TRAIT_FIRST},
    {KRS_OP_LAYER_NORM, KRS_ROLE_ATTENTION_NORM, .in = KRS_SLOT_STREAM, .out = KRS_SLOT_HIDDEN,
     .deny = KRS_TRAIT_FIRST},
    {KRS_OP_LINEAR, KRS_ROLE_QUERY, .in = KRS_SLOT_HIDDEN, .out = KRS_SLOT_QUERY},
    {KRS_OP_LINEAR, KRS_ROLE_KEY, .in = KRS_SLOT_HIDDEN, .out = KRS_SLOT_KEY},
    {KRS_OP_LINEAR, KRS_ROLE_VALUE, .in = KRS_SLOT_HIDDEN, .out = KRS_SLOT_VALUE},
    {KRS_OP_ROPE, .in = KRS_SLOT_QUERY},
    {KRS_OP_ROPE, .in = KRS_SLOT_KEY},
    {KRS_OP_ATTEND_ROWS, .in = KRS_SLOT_QUERY, .in2 = KRS_SLOT_KEY, .in3 = KRS_SLOT_VALUE,
     .out = KRS_SLOT_MIXED},
    {KRS_OP_LINEAR, KRS_ROLE_ATTENTION_OUT, .in = KRS_SLOT_MIXED, .out = KRS_SLOT_HIDDEN},
    {KRS_OP_ADD, .in = KRS_SLOT_STREAM, .in2 = KRS_SLOT_HIDDEN},
    {KRS_OP_LAYER_NORM, KRS_ROLE_FFN_NORM, .in = KRS_SLOT_STREAM, .out = KRS_SLOT_HIDDEN},
    {KRS_OP_LINEAR, KRS_ROLE_GATE, .in = KRS_SLOT_HIDDEN, .out = KRS_SLOT_GATE},
    {KRS_OP_LINEAR, KRS_ROLE_UP, .in = KRS_SLOT_HIDDEN, .out = KRS_SLOT_UP},
    {KRS_OP_GLU, .in = KRS_SLOT_GATE, .in2 = KRS_SLOT_UP},
    {KRS_OP_LINEAR, KRS_ROLE_DOWN, .in = KRS_SLOT_GATE, .out = KRS_SLOT_HIDDEN},
    {KRS_OP_ADD, .in = KRS_SLOT_STREAM, .in2 = KRS_SLOT_HIDDEN},
};
static const krs_block block_layer = {layer, N(layer)};

static const krs_decoder_step end[] = {
    {KRS_OP_LAYER_NORM, KRS_ROLE_FINAL_NORM, .in = KRS_SLOT_STREAM, .out = KRS_SLOT_HIDDEN},
    {KRS_OP_TAKE_ROWS, .in = KRS_SLOT_HIDDEN, .out = KRS_SLOT_STATES},
};
static const krs_block block_end = {end, N(end)};

#define PART_OF(whole, first) .form = {.of = KRS_DIM_##whole, .at = KRS_DIM_##first}

static const krs_weight_name names[] = {
    {KRS_ROLE_EMBED, .name = "embeddings.tok_embeddings"},
    {KRS_ROLE_EMBED_NORM, .name = "embeddings.norm"},
    {KRS_ROLE_ATTENTION_NORM, .name = "layers.#.attn_norm"},
    {KRS_ROLE_QUERY, .name = "layers.#.attn.Wqkv", PART_OF(QUERY_KEY_VALUE, NONE)},
    {KRS_ROLE_KEY, .name = "layers.#.attn.Wqkv", PART_OF(QUERY_KEY_VALUE, QUERY)},
    {KRS_ROLE_VALUE, .name = "layers.#.attn.Wqkv", PART_OF(QUERY_KEY_VALUE, QUERY_KEY)},
    {KRS_ROLE_ATTENTION_OUT, .name = "layers.#.attn.Wo"},
    {KRS_ROLE_FFN_NORM, .name = "layers.#.mlp_norm"},
    {KRS_ROLE_GATE, .name = "layers.#.mlp.Wi", PART_OF(GATE_UP, NONE)},
    {KRS_ROLE_UP, .name = "layers.#.mlp.Wi", PART_OF(GATE_UP, FFN)},
    {KRS_ROLE_DOWN, .name = "layers.#.mlp.Wo"},
    {KRS_ROLE_FINAL_NORM, .name = "final_norm"},
    {KRS_ROLE_NONE, .name = NULL},
};

const krs_family krs_family_modernbert = {
    .common = names,
    .bias = {[KRS_ROLE_EMBED_NORM] = KRS_TRAIT_NORM_BIAS,
             [KRS_ROLE_ATTENTION_NORM] = KRS_TRAIT_NORM_BIAS,
             [KRS_ROLE_FFN_NORM] = KRS_TRAIT_NORM_BIAS,
             [KRS_ROLE_FINAL_NORM] = KRS_TRAIT_NORM_BIAS,
             [KRS_ROLE_QUERY] = KRS_TRAIT_ATTENTION_BIAS,
             [KRS_ROLE_KEY] = KRS_TRAIT_ATTENTION_BIAS,
             [KRS_ROLE_VALUE] = KRS_TRAIT_ATTENTION_BIAS,
             [KRS_ROLE_ATTENTION_OUT] = KRS_TRAIT_ATTENTION_BIAS,
             [KRS_ROLE_GATE] = KRS_TRAIT_MLP_BIAS,
             [KRS_ROLE_UP] = KRS_TRAIT_MLP_BIAS,
             [KRS_ROLE_DOWN] = KRS_TRAIT_MLP_BIAS},
    .before = {{.block = &block_start}},
    .layer = {{.block = &block_layer}},
    .after = {{.block = &block_end}},
};
