/* model/families/blocks.c - the blocks that families are put together from.
 *
 * A block is cut where families differ: most have the same attention, between other norms, and add its
 * result to the stream before the feed-forward or together with it. The last projection of attention is
 * with the addition for that reason: a parallel family runs the feed-forward between the two.
 *
 * Source: transformers 5.17, modeling_llama.py and those of the families. */
#include "model/families/families.h"

#define N(list) (sizeof(list) / sizeof((list)[0]))

static const krs_decoder_step embed[] = {
    {KRS_OP_EMBED, KRS_ROLE_EMBED, .in = KRS_SLOT_STREAM},
};
const krs_block krs_block_embed = {embed, N(embed)};

static const krs_decoder_step positions[] = {
    {KRS_OP_ADD_POSITION, KRS_ROLE_POSITION, .in = KRS_SLOT_STREAM},
};
const krs_block krs_block_positions = {positions, N(positions)};

static const krs_decoder_step take_stream[] = {
    {KRS_OP_COPY, .in = KRS_SLOT_STREAM, .out = KRS_SLOT_HIDDEN, .n = KRS_DIM_HIDDEN},
};
const krs_block krs_block_take_stream = {take_stream, N(take_stream)};

static const krs_decoder_step attention_norm[] = {
    {KRS_OP_RMS_NORM, KRS_ROLE_ATTENTION_NORM, .in = KRS_SLOT_STREAM, .out = KRS_SLOT_HIDDEN},
};
const krs_block krs_block_attention_norm = {attention_norm, N(attention_norm)};

static const krs_decoder_step attention_layer_norm[] = {
    {KRS_OP_LAYER_NORM, KRS_ROLE_ATTENTION_NORM, .in = KRS_SLOT_STREAM, .out = KRS_SLOT_HIDDEN},
};
const krs_block krs_block_attention_layer_norm = {attention_layer_norm, N(attention_layer_norm)};

static const krs_decoder_step project[] = {
    {KRS_OP_LINEAR, KRS_ROLE_QUERY, .in = KRS_SLOT_HIDDEN, .out = KRS_SLOT_QUERY},
    {KRS_OP_LINEAR, KRS_ROLE_KEY, .in = KRS_SLOT_HIDDEN, .out = KRS_SLOT_KEY},
    {KRS_OP_LINEAR, KRS_ROLE_VALUE, .in = KRS_SLOT_HIDDEN, .out = KRS_SLOT_VALUE},
    {KRS_OP_RMS_NORM, KRS_ROLE_QUERY_NORM, .in = KRS_SLOT_QUERY},
    {KRS_OP_RMS_NORM, KRS_ROLE_KEY_NORM, .in = KRS_SLOT_KEY},
};
const krs_block krs_block_project = {project, N(project)};

static const krs_decoder_step attention[] = {
    {KRS_OP_ROPE, .in = KRS_SLOT_QUERY, .need = KRS_TRAIT_ROPE},
    {KRS_OP_ROPE, .in = KRS_SLOT_KEY, .need = KRS_TRAIT_ROPE},
    {KRS_OP_KV_WRITE, .in = KRS_SLOT_KEY, .in2 = KRS_SLOT_VALUE},
    {KRS_OP_ATTENTION, .in = KRS_SLOT_QUERY, .out = KRS_SLOT_MIXED},
};
const krs_block krs_block_attention = {attention, N(attention)};

static const krs_decoder_step attention_add[] = {
    {KRS_OP_LINEAR, KRS_ROLE_ATTENTION_OUT, .in = KRS_SLOT_MIXED, .out = KRS_SLOT_HIDDEN},
    {KRS_OP_RMS_NORM, KRS_ROLE_POST_ATTENTION_NORM, .in = KRS_SLOT_HIDDEN},
    {KRS_OP_ADD, .in = KRS_SLOT_STREAM, .in2 = KRS_SLOT_HIDDEN},
};
const krs_block krs_block_attention_add = {attention_add, N(attention_add)};

static const krs_decoder_step ffn_norm[] = {
    {KRS_OP_RMS_NORM, KRS_ROLE_FFN_NORM, .in = KRS_SLOT_STREAM, .out = KRS_SLOT_HIDDEN},
};
const krs_block krs_block_ffn_norm = {ffn_norm, N(ffn_norm)};

static const krs_decoder_step ffn_layer_norm[] = {
    {KRS_OP_LAYER_NORM, KRS_ROLE_FFN_NORM, .in = KRS_SLOT_STREAM, .out = KRS_SLOT_HIDDEN},
};
const krs_block krs_block_ffn_layer_norm = {ffn_layer_norm, N(ffn_layer_norm)};

static const krs_decoder_step gated_ffn[] = {
    {KRS_OP_LINEAR, KRS_ROLE_GATE, .in = KRS_SLOT_HIDDEN, .out = KRS_SLOT_GATE},
    {KRS_OP_LINEAR, KRS_ROLE_UP, .in = KRS_SLOT_HIDDEN, .out = KRS_SLOT_UP},
    {KRS_OP_GLU, .in = KRS_SLOT_GATE, .in2 = KRS_SLOT_UP},
    {KRS_OP_LINEAR, KRS_ROLE_DOWN, .in = KRS_SLOT_GATE, .out = KRS_SLOT_HIDDEN},
};
const krs_block krs_block_gated_ffn = {gated_ffn, N(gated_ffn)};

static const krs_decoder_step plain_ffn[] = {
    {KRS_OP_LINEAR, KRS_ROLE_UP, .in = KRS_SLOT_HIDDEN, .out = KRS_SLOT_UP},
    {KRS_OP_ACTIVATE, .in = KRS_SLOT_UP},
    {KRS_OP_LINEAR, KRS_ROLE_DOWN, .in = KRS_SLOT_UP, .out = KRS_SLOT_HIDDEN},
};
const krs_block krs_block_plain_ffn = {plain_ffn, N(plain_ffn)};

static const krs_decoder_step add[] = {
    {KRS_OP_RMS_NORM, KRS_ROLE_POST_FFN_NORM, .in = KRS_SLOT_HIDDEN},
    {KRS_OP_ADD, .in = KRS_SLOT_STREAM, .in2 = KRS_SLOT_HIDDEN},
};
const krs_block krs_block_add = {add, N(add)};

static const krs_decoder_step final_norm[] = {
    {KRS_OP_RMS_NORM, KRS_ROLE_FINAL_NORM, .in = KRS_SLOT_STREAM, .out = KRS_SLOT_HIDDEN},
};
const krs_block krs_block_final_norm = {final_norm, N(final_norm)};

static const krs_decoder_step final_layer_norm[] = {
    {KRS_OP_LAYER_NORM, KRS_ROLE_FINAL_NORM, .in = KRS_SLOT_STREAM, .out = KRS_SLOT_HIDDEN},
};
const krs_block krs_block_final_layer_norm = {final_layer_norm, N(final_layer_norm)};

static const krs_decoder_step head[] = {
    {KRS_OP_TAKE_ROWS, .in = KRS_SLOT_HIDDEN, .out = KRS_SLOT_STATES},
    {KRS_OP_TAKE_ROWS, .in = KRS_SLOT_HIDDEN, .out = KRS_SLOT_LAST, .deny = KRS_TRAIT_HEADLESS},
    {KRS_OP_LINEAR, KRS_ROLE_HEAD, .in = KRS_SLOT_LAST, .out = KRS_SLOT_LOGITS,
     .deny = KRS_TRAIT_HEADLESS},
    {KRS_OP_SCALE, .in = KRS_SLOT_LOGITS, .need = KRS_TRAIT_LOGIT_SCALE,
     .deny = KRS_TRAIT_HEADLESS},
};
const krs_block krs_block_head = {head, N(head)};
