/* model/family.c - see family.h.
 * The four families here are one network with switches: Llama's. Mistral adds a window, Qwen2 fixed
 * biases on q, k and v, Qwen3 a norm on every query and key head. Where transformers reads a switch
 * from config.json (attention_bias, mlp_bias) so do we; where it is built into the class, it is a
 * constant of the table. Qwen3's attention_bias covers o_proj too; Qwen2's o_proj never has one.
 *
 * Source: transformers 5.17, modeling_llama.py, modeling_mistral.py, modeling_qwen2.py,
 * modeling_qwen3.py. */
#include "model/family.h"

#include "base/check.h"

#include <stdio.h>

static const krs_role_shape role_shapes[KRS_ROLE_COUNT] = {
#define KRS_ROLE(name, part, rows, columns)                                                        \
    [KRS_ROLE_##name] = {KRS_PART_##part, KRS_DIM_##rows, KRS_DIM_##columns},
#include "model/role.def"
#undef KRS_ROLE
};

static const krs_decoder_slot_shape slot_shapes[KRS_SLOT_COUNT] = {
    [KRS_SLOT_STREAM] = {KRS_DIM_HIDDEN, KRS_ROWS_ALL},
    [KRS_SLOT_HIDDEN] = {KRS_DIM_HIDDEN, KRS_ROWS_ALL},
    [KRS_SLOT_QUERY] = {KRS_DIM_QUERY, KRS_ROWS_ALL},
    [KRS_SLOT_KEY] = {KRS_DIM_KEY, KRS_ROWS_ALL},
    [KRS_SLOT_VALUE] = {KRS_DIM_KEY, KRS_ROWS_ALL},
    [KRS_SLOT_MIXED] = {KRS_DIM_QUERY, KRS_ROWS_ALL},
    [KRS_SLOT_GATE] = {KRS_DIM_FFN, KRS_ROWS_ALL},
    [KRS_SLOT_UP] = {KRS_DIM_FFN, KRS_ROWS_ALL},
    [KRS_SLOT_STATES] = {KRS_DIM_HIDDEN, KRS_ROWS_HIDDEN},
    [KRS_SLOT_LAST] = {KRS_DIM_HIDDEN, KRS_ROWS_LOGITS},
    [KRS_SLOT_LOGITS] = {KRS_DIM_VOCAB, KRS_ROWS_LOGITS},
};

static const char *const llama_names[KRS_ROLE_COUNT] = {
    [KRS_ROLE_EMBED] = "embed_tokens",
    [KRS_ROLE_ATTENTION_NORM] = "layers.#.input_layernorm",
    [KRS_ROLE_QUERY] = "layers.#.self_attn.q_proj",
    [KRS_ROLE_KEY] = "layers.#.self_attn.k_proj",
    [KRS_ROLE_VALUE] = "layers.#.self_attn.v_proj",
    [KRS_ROLE_ATTENTION_OUT] = "layers.#.self_attn.o_proj",
    [KRS_ROLE_FFN_NORM] = "layers.#.post_attention_layernorm",
    [KRS_ROLE_GATE] = "layers.#.mlp.gate_proj",
    [KRS_ROLE_UP] = "layers.#.mlp.up_proj",
    [KRS_ROLE_DOWN] = "layers.#.mlp.down_proj",
    [KRS_ROLE_FINAL_NORM] = "norm",
    [KRS_ROLE_HEAD] = "lm_head",
};

static const char *const qwen3_names[KRS_ROLE_COUNT] = {
    [KRS_ROLE_EMBED] = "embed_tokens",
    [KRS_ROLE_ATTENTION_NORM] = "layers.#.input_layernorm",
    [KRS_ROLE_QUERY] = "layers.#.self_attn.q_proj",
    [KRS_ROLE_KEY] = "layers.#.self_attn.k_proj",
    [KRS_ROLE_VALUE] = "layers.#.self_attn.v_proj",
    [KRS_ROLE_QUERY_NORM] = "layers.#.self_attn.q_norm",
    [KRS_ROLE_KEY_NORM] = "layers.#.self_attn.k_norm",
    [KRS_ROLE_ATTENTION_OUT] = "layers.#.self_attn.o_proj",
    [KRS_ROLE_FFN_NORM] = "layers.#.post_attention_layernorm",
    [KRS_ROLE_GATE] = "layers.#.mlp.gate_proj",
    [KRS_ROLE_UP] = "layers.#.mlp.up_proj",
    [KRS_ROLE_DOWN] = "layers.#.mlp.down_proj",
    [KRS_ROLE_FINAL_NORM] = "norm",
    [KRS_ROLE_HEAD] = "lm_head",
};

static const krs_decoder_step before_steps[] = {
    {KRS_OP_EMBED, KRS_ROLE_EMBED, KRS_SLOT_STREAM, KRS_SLOT_STREAM, KRS_SLOT_STREAM},
};

/* Pre-norm blocks: the stream is only ever read through a norm and added to. */
static const krs_decoder_step prenorm_steps[] = {
    {KRS_OP_RMS_NORM, KRS_ROLE_ATTENTION_NORM, KRS_SLOT_STREAM, KRS_SLOT_STREAM, KRS_SLOT_HIDDEN},
    {KRS_OP_LINEAR, KRS_ROLE_QUERY, KRS_SLOT_HIDDEN, KRS_SLOT_HIDDEN, KRS_SLOT_QUERY},
    {KRS_OP_LINEAR, KRS_ROLE_KEY, KRS_SLOT_HIDDEN, KRS_SLOT_HIDDEN, KRS_SLOT_KEY},
    {KRS_OP_LINEAR, KRS_ROLE_VALUE, KRS_SLOT_HIDDEN, KRS_SLOT_HIDDEN, KRS_SLOT_VALUE},
    {KRS_OP_RMS_NORM, KRS_ROLE_QUERY_NORM, KRS_SLOT_QUERY, KRS_SLOT_QUERY, KRS_SLOT_QUERY},
    {KRS_OP_RMS_NORM, KRS_ROLE_KEY_NORM, KRS_SLOT_KEY, KRS_SLOT_KEY, KRS_SLOT_KEY},
    {KRS_OP_ROPE, KRS_ROLE_NONE, KRS_SLOT_QUERY, KRS_SLOT_QUERY, KRS_SLOT_QUERY},
    {KRS_OP_ROPE, KRS_ROLE_NONE, KRS_SLOT_KEY, KRS_SLOT_KEY, KRS_SLOT_KEY},
    {KRS_OP_KV_WRITE, KRS_ROLE_NONE, KRS_SLOT_KEY, KRS_SLOT_VALUE, KRS_SLOT_KEY},
    {KRS_OP_ATTENTION, KRS_ROLE_NONE, KRS_SLOT_QUERY, KRS_SLOT_QUERY, KRS_SLOT_MIXED},
    {KRS_OP_LINEAR, KRS_ROLE_ATTENTION_OUT, KRS_SLOT_MIXED, KRS_SLOT_MIXED, KRS_SLOT_HIDDEN},
    {KRS_OP_ADD, KRS_ROLE_NONE, KRS_SLOT_STREAM, KRS_SLOT_HIDDEN, KRS_SLOT_STREAM},
    {KRS_OP_RMS_NORM, KRS_ROLE_FFN_NORM, KRS_SLOT_STREAM, KRS_SLOT_STREAM, KRS_SLOT_HIDDEN},
    {KRS_OP_LINEAR, KRS_ROLE_GATE, KRS_SLOT_HIDDEN, KRS_SLOT_HIDDEN, KRS_SLOT_GATE},
    {KRS_OP_LINEAR, KRS_ROLE_UP, KRS_SLOT_HIDDEN, KRS_SLOT_HIDDEN, KRS_SLOT_UP},
    {KRS_OP_GLU, KRS_ROLE_NONE, KRS_SLOT_GATE, KRS_SLOT_UP, KRS_SLOT_GATE},
    {KRS_OP_LINEAR, KRS_ROLE_DOWN, KRS_SLOT_GATE, KRS_SLOT_GATE, KRS_SLOT_HIDDEN},
    {KRS_OP_ADD, KRS_ROLE_NONE, KRS_SLOT_STREAM, KRS_SLOT_HIDDEN, KRS_SLOT_STREAM},
};

static const krs_decoder_step after_steps[] = {
    {KRS_OP_RMS_NORM, KRS_ROLE_FINAL_NORM, KRS_SLOT_STREAM, KRS_SLOT_STREAM, KRS_SLOT_HIDDEN},
    {KRS_OP_TAKE_ROWS, KRS_ROLE_NONE, KRS_SLOT_HIDDEN, KRS_SLOT_HIDDEN, KRS_SLOT_STATES},
    {KRS_OP_TAKE_ROWS, KRS_ROLE_NONE, KRS_SLOT_HIDDEN, KRS_SLOT_HIDDEN, KRS_SLOT_LAST},
    {KRS_OP_LINEAR, KRS_ROLE_HEAD, KRS_SLOT_LAST, KRS_SLOT_LAST, KRS_SLOT_LOGITS},
};

#define STEPS(list)                                                                                \
    {                                                                                              \
        list, sizeof(list) / sizeof((list)[0])                                                     \
    }
#define PRENORM_STEPS                                                                              \
    .before = STEPS(before_steps), .layer = STEPS(prenorm_steps), .after = STEPS(after_steps)

static const krs_family families[] = {
    {
        .model_type = "llama",
        .names = llama_names,
        .bias = {[KRS_ROLE_QUERY] = KRS_BIAS_ATTENTION,
                 [KRS_ROLE_KEY] = KRS_BIAS_ATTENTION,
                 [KRS_ROLE_VALUE] = KRS_BIAS_ATTENTION,
                 [KRS_ROLE_ATTENTION_OUT] = KRS_BIAS_ATTENTION,
                 [KRS_ROLE_GATE] = KRS_BIAS_MLP,
                 [KRS_ROLE_UP] = KRS_BIAS_MLP,
                 [KRS_ROLE_DOWN] = KRS_BIAS_MLP},
        PRENORM_STEPS,
    },
    {
        .model_type = "mistral",
        .names = llama_names,
        PRENORM_STEPS,
    },
    {
        .model_type = "qwen2",
        .names = llama_names,
        .bias = {[KRS_ROLE_QUERY] = KRS_BIAS_ALWAYS,
                 [KRS_ROLE_KEY] = KRS_BIAS_ALWAYS,
                 [KRS_ROLE_VALUE] = KRS_BIAS_ALWAYS},
        PRENORM_STEPS,
    },
    {
        .model_type = "qwen3",
        .names = qwen3_names,
        .bias = {[KRS_ROLE_QUERY] = KRS_BIAS_ATTENTION,
                 [KRS_ROLE_KEY] = KRS_BIAS_ATTENTION,
                 [KRS_ROLE_VALUE] = KRS_BIAS_ATTENTION,
                 [KRS_ROLE_ATTENTION_OUT] = KRS_BIAS_ATTENTION},
        PRENORM_STEPS,
    },
};

#define N_FAMILIES (sizeof(families) / sizeof(families[0]))

const krs_role_shape *krs_role_shape_of(krs_role role)
{
    KRS_CHECK(role < KRS_ROLE_COUNT);
    return &role_shapes[role];
}

const krs_decoder_slot_shape *krs_decoder_slot_shape_of(krs_decoder_slot slot)
{
    KRS_CHECK(slot < KRS_SLOT_COUNT);
    return &slot_shapes[slot];
}

int64_t krs_dim_of(const krs_model_config *config, krs_dim dim)
{
    switch (dim) {
    case KRS_DIM_ONE:
        return 1;
    case KRS_DIM_VOCAB:
        return config->vocab;
    case KRS_DIM_HIDDEN:
        return config->hidden;
    case KRS_DIM_FFN:
        return config->ffn;
    case KRS_DIM_QUERY:
        return (int64_t)config->n_heads * config->head_dim;
    case KRS_DIM_KEY:
        return (int64_t)config->n_kv_heads * config->head_dim;
    case KRS_DIM_HEAD:
        break;
    }
    return config->head_dim;
}

bool krs_bias_rule_holds(const krs_model_config *config, krs_bias_rule rule)
{
    switch (rule) {
    case KRS_BIAS_NEVER:
        return false;
    case KRS_BIAS_ALWAYS:
        return true;
    case KRS_BIAS_ATTENTION:
        return config->has_attention_bias;
    case KRS_BIAS_MLP:
        break;
    }
    return config->has_mlp_bias;
}

const krs_family *krs_family_find(const char *model_type)
{
    for (size_t i = 0; i < N_FAMILIES; i++) {
        if (strcmp(families[i].model_type, model_type) == 0) {
            return &families[i];
        }
    }
    return NULL;
}

size_t krs_family_module_name(const krs_family *family, krs_role role, int32_t layer,
                              const char *prefix, char out[KRS_FAMILY_NAME_BYTES])
{
    const char *pattern = family->names[role];
    const char *mark = strchr(pattern, '#');
    const char *before = role == KRS_ROLE_HEAD ? "" : prefix;
    const int n = mark == NULL ? snprintf(out, KRS_FAMILY_NAME_BYTES, "%s%s", before, pattern)
                               : snprintf(out, KRS_FAMILY_NAME_BYTES, "%s%.*s%d%s", before,
                                          (int)(mark - pattern), pattern, layer, mark + 1);
    KRS_CHECK(n > 0 && n < KRS_FAMILY_NAME_BYTES);
    return (size_t)n;
}

void krs_family_list(char *out, size_t max_bytes)
{
    size_t at = 0;
    out[0] = '\0';
    for (size_t i = 0; i < N_FAMILIES && at < max_bytes; i++) {
        const int n =
            snprintf(out + at, max_bytes - at, "%s%s", i > 0 ? ", " : "", families[i].model_type);
        at += n > 0 ? (size_t)n : 0;
    }
}
