/* model/families/encoder.c - BERT and what came of it: bert, roberta, xlm-roberta, mpnet, distilbert.
 *
 * Post-norm: the stream itself is normed after each addition, so blocks read it as it is. Learned positions
 * are added once, before the first norm; MPNet adds a bias by distance to every score besides. All have
 * biases everywhere. RoBERTa differs from BERT in its positions alone (format/config_encoder.c), and
 * XLM-RoBERTa from RoBERTa in nothing but its vocabulary.
 *
 * Every token is of type 0: texts are single, not pairs. The pooler (a layer on the first token, trained
 * for next-sentence prediction) is no part of an embedding and is not bound. Files of 2018 call a norm's
 * weight and bias gamma and beta.
 *
 * Source: transformers 5.17, modeling_bert.py, modeling_roberta.py, modeling_mpnet.py,
 * modeling_distilbert.py; Devlin et al. 2019; Liu et al. 2019; Conneau et al. 2020; Song et al. 2020; Sanh et
 * al. 2019. */
#include "model/families/families.h"

#define N(list) (sizeof(list) / sizeof((list)[0]))

static const krs_decoder_step start[] = {
    {KRS_OP_EMBED, KRS_ROLE_EMBED, .in = KRS_SLOT_STREAM},
    {KRS_OP_ADD_POSITION, KRS_ROLE_POSITION, .in = KRS_SLOT_STREAM},
    {KRS_OP_ADD_VECTOR, KRS_ROLE_TOKEN_TYPE, .in = KRS_SLOT_STREAM},
    {KRS_OP_LAYER_NORM, KRS_ROLE_EMBED_NORM, .in = KRS_SLOT_STREAM},
};
static const krs_block block_start = {start, N(start)};

#define PROJECT                                                                                    \
    {KRS_OP_LINEAR, KRS_ROLE_QUERY, .in = KRS_SLOT_STREAM, .out = KRS_SLOT_QUERY},                 \
        {KRS_OP_LINEAR, KRS_ROLE_KEY, .in = KRS_SLOT_STREAM, .out = KRS_SLOT_KEY},                 \
    {                                                                                              \
        KRS_OP_LINEAR, KRS_ROLE_VALUE, .in = KRS_SLOT_STREAM, .out = KRS_SLOT_VALUE                \
    }

static const krs_decoder_step attention[] = {
    PROJECT,
    {KRS_OP_ATTEND_ROWS, .in = KRS_SLOT_QUERY, .in2 = KRS_SLOT_KEY, .in3 = KRS_SLOT_VALUE,
     .out = KRS_SLOT_MIXED},
};
static const krs_block block_attention = {attention, N(attention)};

static const krs_decoder_step biased_attention[] = {
    PROJECT,
    {KRS_OP_ATTEND_ROWS, KRS_ROLE_POSITION_BIAS, .in = KRS_SLOT_QUERY, .in2 = KRS_SLOT_KEY,
     .in3 = KRS_SLOT_VALUE, .out = KRS_SLOT_MIXED},
};
static const krs_block block_biased_attention = {biased_attention, N(biased_attention)};

static const krs_decoder_step rest[] = {
    {KRS_OP_LINEAR, KRS_ROLE_ATTENTION_OUT, .in = KRS_SLOT_MIXED, .out = KRS_SLOT_HIDDEN},
    {KRS_OP_ADD, .in = KRS_SLOT_STREAM, .in2 = KRS_SLOT_HIDDEN},
    {KRS_OP_LAYER_NORM, KRS_ROLE_ATTENTION_NORM, .in = KRS_SLOT_STREAM},
    {KRS_OP_LINEAR, KRS_ROLE_UP, .in = KRS_SLOT_STREAM, .out = KRS_SLOT_UP},
    {KRS_OP_ACTIVATE, .in = KRS_SLOT_UP},
    {KRS_OP_LINEAR, KRS_ROLE_DOWN, .in = KRS_SLOT_UP, .out = KRS_SLOT_HIDDEN},
    {KRS_OP_ADD, .in = KRS_SLOT_STREAM, .in2 = KRS_SLOT_HIDDEN},
    {KRS_OP_LAYER_NORM, KRS_ROLE_FFN_NORM, .in = KRS_SLOT_STREAM},
};
static const krs_block block_rest = {rest, N(rest)};

static const krs_decoder_step states[] = {
    {KRS_OP_TAKE_ROWS, .in = KRS_SLOT_STREAM, .out = KRS_SLOT_STATES},
};
static const krs_block block_states = {states, N(states)};

/* A norm by its newer and its older name. */
#define NORM(role, module)                                                                         \
    {role, .name = (module)},                                                                      \
    {                                                                                              \
        role, .name = (module), .form = {.is_gamma = true }                                        \
    }
#define TYPES                                                                                      \
    {                                                                                              \
        KRS_ROLE_TOKEN_TYPE, .name = "embeddings.token_type_embeddings", .form = {                 \
            .of = KRS_DIM_TYPES                                                                    \
        }                                                                                          \
    }

static const krs_weight_name bert_names[] = {
    {KRS_ROLE_EMBED, .name = "embeddings.word_embeddings"},
    {KRS_ROLE_POSITION, .name = "embeddings.position_embeddings"},
    TYPES,
    NORM(KRS_ROLE_EMBED_NORM, "embeddings.LayerNorm"),
    {KRS_ROLE_QUERY, .name = "encoder.layer.#.attention.self.query"},
    {KRS_ROLE_KEY, .name = "encoder.layer.#.attention.self.key"},
    {KRS_ROLE_VALUE, .name = "encoder.layer.#.attention.self.value"},
    {KRS_ROLE_ATTENTION_OUT, .name = "encoder.layer.#.attention.output.dense"},
    NORM(KRS_ROLE_ATTENTION_NORM, "encoder.layer.#.attention.output.LayerNorm"),
    {KRS_ROLE_UP, .name = "encoder.layer.#.intermediate.dense"},
    {KRS_ROLE_DOWN, .name = "encoder.layer.#.output.dense"},
    NORM(KRS_ROLE_FFN_NORM, "encoder.layer.#.output.LayerNorm"),
    {KRS_ROLE_NONE, .name = NULL},
};

static const krs_weight_name mpnet_names[] = {
    {KRS_ROLE_EMBED, .name = "embeddings.word_embeddings"},
    {KRS_ROLE_POSITION, .name = "embeddings.position_embeddings"},
    NORM(KRS_ROLE_EMBED_NORM, "embeddings.LayerNorm"),
    {KRS_ROLE_POSITION_BIAS, .name = "encoder.relative_attention_bias"},
    {KRS_ROLE_QUERY, .name = "encoder.layer.#.attention.attn.q"},
    {KRS_ROLE_KEY, .name = "encoder.layer.#.attention.attn.k"},
    {KRS_ROLE_VALUE, .name = "encoder.layer.#.attention.attn.v"},
    {KRS_ROLE_ATTENTION_OUT, .name = "encoder.layer.#.attention.attn.o"},
    NORM(KRS_ROLE_ATTENTION_NORM, "encoder.layer.#.attention.LayerNorm"),
    {KRS_ROLE_UP, .name = "encoder.layer.#.intermediate.dense"},
    {KRS_ROLE_DOWN, .name = "encoder.layer.#.output.dense"},
    NORM(KRS_ROLE_FFN_NORM, "encoder.layer.#.output.LayerNorm"),
    {KRS_ROLE_NONE, .name = NULL},
};

static const krs_weight_name distilbert_names[] = {
    {KRS_ROLE_EMBED, .name = "embeddings.word_embeddings"},
    {KRS_ROLE_POSITION, .name = "embeddings.position_embeddings"},
    NORM(KRS_ROLE_EMBED_NORM, "embeddings.LayerNorm"),
    {KRS_ROLE_QUERY, .name = "transformer.layer.#.attention.q_lin"},
    {KRS_ROLE_KEY, .name = "transformer.layer.#.attention.k_lin"},
    {KRS_ROLE_VALUE, .name = "transformer.layer.#.attention.v_lin"},
    {KRS_ROLE_ATTENTION_OUT, .name = "transformer.layer.#.attention.out_lin"},
    NORM(KRS_ROLE_ATTENTION_NORM, "transformer.layer.#.sa_layer_norm"),
    {KRS_ROLE_UP, .name = "transformer.layer.#.ffn.lin1"},
    {KRS_ROLE_DOWN, .name = "transformer.layer.#.ffn.lin2"},
    NORM(KRS_ROLE_FFN_NORM, "transformer.layer.#.output_layer_norm"),
    {KRS_ROLE_NONE, .name = NULL},
};

#define BIASES                                                                                     \
    {                                                                                              \
        [KRS_ROLE_EMBED_NORM] = KRS_TRAIT_ALWAYS, [KRS_ROLE_QUERY] = KRS_TRAIT_ALWAYS,             \
        [KRS_ROLE_KEY] = KRS_TRAIT_ALWAYS, [KRS_ROLE_VALUE] = KRS_TRAIT_ALWAYS,                    \
        [KRS_ROLE_ATTENTION_OUT] = KRS_TRAIT_ALWAYS, [KRS_ROLE_ATTENTION_NORM] = KRS_TRAIT_ALWAYS, \
        [KRS_ROLE_UP] = KRS_TRAIT_ALWAYS, [KRS_ROLE_DOWN] = KRS_TRAIT_ALWAYS,                      \
        [KRS_ROLE_FFN_NORM] = KRS_TRAIT_ALWAYS,                                                    \
    }
#define BLOCKS(attention_block)                                                                    \
    .before = {{.block = &block_start}},                                                           \
    .layer = {{.block = &(attention_block)}, {.block = &block_rest}},                              \
    .after = {{.block = &block_states}}

const krs_family krs_family_bert = {
    .prefix = "bert.",
    .common = bert_names,
    .bias = BIASES,
    BLOCKS(block_attention),
};

const krs_family krs_family_roberta = {
    .prefix = "roberta.",
    .common = bert_names,
    .bias = BIASES,
    BLOCKS(block_attention),
};

const krs_family krs_family_mpnet = {
    .prefix = "mpnet.",
    .common = mpnet_names,
    .bias = BIASES,
    BLOCKS(block_biased_attention),
};

const krs_family krs_family_distilbert = {
    .prefix = "distilbert.",
    .common = distilbert_names,
    .bias = BIASES,
    BLOCKS(block_attention),
};
