/* format/gguf_arch.c - see gguf_arch.h: one row per architecture, and the lists rows share.
 *
 * A row holds only what a converter did; what the network computes is model/families/. A new one is a
 * row here, and a list of names if its modules are called differently. */
#include "format/gguf_arch.h"

#include "base/check.h"

#include <stdio.h>
#include <string.h>

static const gguf_field common_fields[] = {
    {"block_count", "num_hidden_layers", GGUF_FIELD_INT},
    {"embedding_length", "hidden_size", GGUF_FIELD_INT},
    {"feed_forward_length", "intermediate_size", GGUF_FIELD_INT},
    {"attention.head_count", "num_attention_heads", GGUF_FIELD_INT},
    {"attention.head_count_kv", "num_key_value_heads", GGUF_FIELD_INT},
    {"attention.key_length", "head_dim", GGUF_FIELD_INT},
    {"context_length", "max_position_embeddings", GGUF_FIELD_INT},
    {"attention.layer_norm_rms_epsilon", "rms_norm_eps", GGUF_FIELD_REAL},
    {NULL, NULL, GGUF_FIELD_INT},
};

static const gguf_name llama_names[] = {
    {"token_embd", "model.embed_tokens", false},
    {"output_norm", "model.norm", false},
    {"output", "lm_head", false},
    {"blk.#.attn_norm", "model.layers.#.input_layernorm", false},
    {"blk.#.attn_q", "model.layers.#.self_attn.q_proj", false},
    {"blk.#.attn_k", "model.layers.#.self_attn.k_proj", false},
    {"blk.#.attn_v", "model.layers.#.self_attn.v_proj", false},
    {"blk.#.attn_qkv", "model.layers.#.self_attn.qkv_proj", false},
    {"blk.#.attn_output", "model.layers.#.self_attn.o_proj", false},
    {"blk.#.attn_q_norm", "model.layers.#.self_attn.q_norm", false},
    {"blk.#.attn_k_norm", "model.layers.#.self_attn.k_norm", false},
    {"blk.#.ffn_norm", "model.layers.#.post_attention_layernorm", false},
    {"blk.#.ffn_gate", "model.layers.#.mlp.gate_proj", false},
    {"blk.#.ffn_up", "model.layers.#.mlp.up_proj", false},
    {"blk.#.ffn_down", "model.layers.#.mlp.down_proj", false},
    {"blk.#.ffn_gate_inp", "model.layers.#.mlp.gate", false},
    {"blk.#.ffn_gate_exps", "model.layers.#.mlp.experts.@.gate_proj", false},
    {"blk.#.ffn_up_exps", "model.layers.#.mlp.experts.@.up_proj", false},
    {"blk.#.ffn_down_exps", "model.layers.#.mlp.experts.@.down_proj", false},
    {"blk.#.ffn_gate_inp_shexp", "model.layers.#.mlp.shared_expert_gate", true},
    {"blk.#.ffn_gate_shexp", "model.layers.#.mlp.shared_expert.gate_proj", false},
    {"blk.#.ffn_up_shexp", "model.layers.#.mlp.shared_expert.up_proj", false},
    {"blk.#.ffn_down_shexp", "model.layers.#.mlp.shared_expert.down_proj", false},
    {NULL, NULL, false},
};

static const gguf_name mixtral_names[] = {
    {"blk.#.ffn_gate_inp", "model.layers.#.block_sparse_moe.gate", false},
    {"blk.#.ffn_gate_exps", "model.layers.#.block_sparse_moe.experts.@.w1", false},
    {"blk.#.ffn_up_exps", "model.layers.#.block_sparse_moe.experts.@.w3", false},
    {"blk.#.ffn_down_exps", "model.layers.#.block_sparse_moe.experts.@.w2", false},
    {NULL, NULL, false},
};

/* Norms behind the blocks too. */
static const gguf_name gemma2_names[] = {
    {"blk.#.post_attention_norm", "model.layers.#.post_attention_layernorm", false},
    {"blk.#.ffn_norm", "model.layers.#.pre_feedforward_layernorm", false},
    {"blk.#.post_ffw_norm", "model.layers.#.post_feedforward_layernorm", false},
    {NULL, NULL, false},
};

/* Norms behind the blocks only. */
static const gguf_name olmo2_names[] = {
    {"blk.#.post_attention_norm", "model.layers.#.post_attention_layernorm", false},
    {"blk.#.post_ffw_norm", "model.layers.#.post_feedforward_layernorm", false},
    {NULL, NULL, false},
};

static const gguf_name phi3_names[] = {
    {"blk.#.ffn_up", "model.layers.#.mlp.gate_up_proj", false},
    {NULL, NULL, false},
};

static const gguf_name starcoder2_names[] = {
    {"blk.#.ffn_up", "model.layers.#.mlp.c_fc", false},
    {"blk.#.ffn_down", "model.layers.#.mlp.c_proj", false},
    {NULL, NULL, false},
};

/* A norm for each head, stacked. */
static const gguf_name stablelm_names[] = {
    {"blk.#.attn_q_norm", "model.layers.#.self_attn.q_layernorm.norms.@", false},
    {"blk.#.attn_k_norm", "model.layers.#.self_attn.k_layernorm.norms.@", false},
    {NULL, NULL, false},
};

static const gguf_name gpt2_names[] = {
    {"token_embd", "transformer.wte", false},
    {"position_embd", "transformer.wpe", false},
    {"output_norm", "transformer.ln_f", false},
    {"blk.#.attn_norm", "transformer.h.#.ln_1", false},
    {"blk.#.attn_qkv", "transformer.h.#.attn.c_attn", false},
    {"blk.#.attn_output", "transformer.h.#.attn.c_proj", false},
    {"blk.#.ffn_norm", "transformer.h.#.ln_2", false},
    {"blk.#.ffn_up", "transformer.h.#.mlp.c_fc", false},
    {"blk.#.ffn_down", "transformer.h.#.mlp.c_proj", false},
    {NULL, NULL, false},
};

static const gguf_name gpt_oss_names[] = {
    {"blk.#.attn_sinks", "model.layers.#.self_attn.sinks!", false},
    {"blk.#.post_attention_norm", "model.layers.#.post_attention_layernorm", false},
    {"blk.#.ffn_gate_inp", "model.layers.#.mlp.router", false},
    {"blk.#.ffn_gate_exps", "model.layers.#.mlp.experts.gate_proj", false}, /* stays a stack */
    {"blk.#.ffn_up_exps", "model.layers.#.mlp.experts.up_proj", false},
    {"blk.#.ffn_down_exps", "model.layers.#.mlp.experts.down_proj", false},
    {NULL, NULL, false},
};

static const gguf_field gpt_oss_fields[] = {
    {"attention.sliding_window", "sliding_window", GGUF_FIELD_INT},
    {"expert_count", "num_local_experts", GGUF_FIELD_INT},
    {"expert_used_count", "num_experts_per_tok", GGUF_FIELD_INT},
    {"expert_feed_forward_length", "intermediate_size", GGUF_FIELD_INT},
    {NULL, NULL, GGUF_FIELD_INT},
};

static const gguf_field qwen_moe_fields[] = {
    {"expert_count", "num_experts", GGUF_FIELD_INT},
    {"expert_used_count", "num_experts_per_tok", GGUF_FIELD_INT},
    {"expert_feed_forward_length", "moe_intermediate_size", GGUF_FIELD_INT},
    {"expert_shared_feed_forward_length", "shared_expert_intermediate_size", GGUF_FIELD_INT},
    {NULL, NULL, GGUF_FIELD_INT},
};

static const gguf_field gemma_fields[] = {
    {"attention.sliding_window", "sliding_window", GGUF_FIELD_INT},
    {"attn_logit_softcapping", "attn_logit_softcapping", GGUF_FIELD_REAL},
    {"final_logit_softcapping", "final_logit_softcapping", GGUF_FIELD_REAL},
    {NULL, NULL, GGUF_FIELD_INT},
};

static const gguf_field phi3_fields[] = {
    {"attention.sliding_window", "sliding_window", GGUF_FIELD_INT},
    {NULL, NULL, GGUF_FIELD_INT},
};

static const gguf_field granite_fields[] = {
    {"attention.scale", "attention_multiplier", GGUF_FIELD_REAL},
    {"embedding_scale", "embedding_multiplier", GGUF_FIELD_REAL},
    {"residual_scale", "residual_multiplier", GGUF_FIELD_REAL},
    {"logit_scale", "logits_scaling", GGUF_FIELD_REAL},
    {NULL, NULL, GGUF_FIELD_INT},
};

static const gguf_field cohere2_fields[] = {
    {"attention.layer_norm_epsilon", "layer_norm_eps", GGUF_FIELD_REAL},
    {"attention.sliding_window", "sliding_window", GGUF_FIELD_INT},
    {"logit_scale", "logit_scale", GGUF_FIELD_REAL},
    {NULL, NULL, GGUF_FIELD_INT},
};

static const gguf_field starcoder2_fields[] = {
    {"attention.layer_norm_epsilon", "norm_epsilon", GGUF_FIELD_REAL},
    {NULL, NULL, GGUF_FIELD_INT},
};

static const gguf_field stablelm_fields[] = {
    {"attention.layer_norm_epsilon", "layer_norm_eps", GGUF_FIELD_REAL},
    {"use_parallel_residual", "use_parallel_residual", GGUF_FIELD_BOOL},
    {NULL, NULL, GGUF_FIELD_INT},
};

static const gguf_field gpt2_fields[] = {
    {"attention.layer_norm_epsilon", "layer_norm_epsilon", GGUF_FIELD_REAL},
    {NULL, NULL, GGUF_FIELD_INT},
};

static const gguf_field mixtral_fields[] = {
    {"expert_count", "num_local_experts", GGUF_FIELD_INT},
    {"expert_used_count", "num_experts_per_tok", GGUF_FIELD_INT},
    {NULL, NULL, GGUF_FIELD_INT},
};

static const gguf_arch archs[] = {
    {.name = "llama", .model_type = "llama", .changes = {.is_rope_interleaved = true}},
    {.name = "llama",
     .model_type = "mixtral",
     .names = mixtral_names,
     .fields = mixtral_fields,
     .changes = {.is_rope_interleaved = true},
     .has_experts = true},
    {.name = "qwen2", .model_type = "qwen2"},
    {.name = "qwen3", .model_type = "qwen3"},
    {.name = "qwen2moe", .model_type = "qwen2_moe", .fields = qwen_moe_fields},
    {.name = "qwen3moe",
     .model_type = "qwen3_moe",
     .fields = qwen_moe_fields,
     .constants = "{\"norm_topk_prob\": true}"},
    {.name = "gpt-oss",
     .model_type = "gpt_oss",
     .names = gpt_oss_names,
     .fields = gpt_oss_fields,
     .is_yarn_untruncated = true},
    {.name = "gemma", .model_type = "gemma", .changes = {.is_norm_offset_added = true}},
    {.name = "gemma2",
     .model_type = "gemma2",
     .names = gemma2_names,
     .fields = gemma_fields,
     .query_scalar_layers = 46,
     .changes = {.is_norm_offset_added = true}},
    {.name = "gemma3",
     .model_type = "gemma3_text",
     .names = gemma2_names,
     .fields = gemma_fields,
     .query_scalar_layers = 62,
     .changes = {.is_norm_offset_added = true}},
    {.name = "phi3", .model_type = "phi3", .names = phi3_names, .fields = phi3_fields},
    {.name = "olmo2", .model_type = "olmo2", .names = olmo2_names},
    {.name = "granite",
     .model_type = "granite",
     .fields = granite_fields,
     .changes = {.is_rope_interleaved = true}},
    {.name = "smollm3", .model_type = "smollm3", .changes = {.is_rope_interleaved = true}},
    {.name = "cohere2", .model_type = "cohere2", .fields = cohere2_fields},
    {.name = "starcoder2",
     .model_type = "starcoder2",
     .names = starcoder2_names,
     .fields = starcoder2_fields},
    {.name = "stablelm",
     .model_type = "stablelm",
     .names = stablelm_names,
     .fields = stablelm_fields},
    {.name = "gpt2",
     .model_type = "gpt2",
     .names = gpt2_names,
     .fields = gpt2_fields,
     .changes = {.is_conv1d_turned = true}},
};

#define N_ARCHS (sizeof(archs) / sizeof(archs[0]))

#define KNOWN_BYTES 192 /* of the list of names in a message */

const gguf_field *krs_gguf_arch_fields(const gguf_arch *arch, bool is_common)
{
    return is_common ? common_fields : arch->fields;
}

const gguf_name *krs_gguf_arch_names(const gguf_arch *arch, bool is_common)
{
    return is_common ? llama_names : arch->names;
}

static void list_archs(char out[KNOWN_BYTES])
{
    size_t at = 0;
    for (size_t i = 0; i < N_ARCHS && at < KNOWN_BYTES; i++) {
        if (i > 0 && strcmp(archs[i].name, archs[i - 1].name) == 0) {
            continue;
        }
        at += (size_t)snprintf(out + at, KNOWN_BYTES - at, "%s%s", i ? ", " : "", archs[i].name);
    }
}

void krs_gguf_arch_key(const gguf_arch *arch, const char *key, char out[GGUF_KEY_BYTES])
{
    const int n = snprintf(out, GGUF_KEY_BYTES, "%s.%s", arch->name, key);
    KRS_CHECK(n > 0 && n < GGUF_KEY_BYTES);
}

static krs_status count_experts(const krs_gguf *gguf, const gguf_arch *arch, int64_t *out,
                                krs_error *err)
{
    char key[GGUF_KEY_BYTES];
    krs_gguf_arch_key(arch, "expert_count", key);
    *out = 0;
    return krs_gguf_get_int(gguf, key, 0, INT32_MAX, out, err);
}

static const gguf_arch *row_of(krs_str name)
{
    for (size_t i = 0; i < N_ARCHS; i++) {
        if (krs_str_equal(name, krs_str_of(archs[i].name))) {
            return &archs[i];
        }
    }
    return NULL;
}

/* The row, or the next one when that is for files with experts and this is such a file. */
static krs_status choose(const krs_gguf *gguf, const gguf_arch *row, const gguf_arch **out,
                         krs_error *err)
{
    const gguf_arch *next = row + 1 < archs + N_ARCHS ? row + 1 : row;
    int64_t n_experts;
    const krs_status status = count_experts(gguf, row, &n_experts, err);
    *out = next->has_experts && strcmp(next->name, row->name) == 0 && n_experts > 0 ? next : row;
    return status;
}

krs_status krs_gguf_arch_find(const krs_gguf *gguf, const gguf_arch **out, krs_error *err)
{
    krs_str name = {NULL, 0};
    const krs_status status =
        krs_gguf_get_str(gguf, "general.architecture", KRS_GGUF_MAX_NAME_BYTES, &name, err);
    if (status != KRS_OK) {
        return status;
    }
    if (name.len == 0) {
        return krs_fail(err, KRS_EFORMAT, "no general.architecture: a file without a model");
    }
    const gguf_arch *row = row_of(name);
    if (row) {
        return choose(gguf, row, out, err);
    }
    char known[KNOWN_BYTES];
    list_archs(known);
    return krs_fail(err, KRS_EUNSUPPORTED, "general.architecture \"%.*s\" is not known here (%s)",
                    KRS_STR_ARGS(krs_str_is_plain(name) ? name : KRS_STR("?")), known);
}
