/* support/gguf_rules.h - what the public converter calls the tensors of each family in GGUF files. Written
 * from what it does, not from our tables.
 *
 * Thread: constant tables; pure. */
#pragma once

#include "base/str.h"
#include "support/cmocka.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct krs_gguf_rule {
    const char *hub; /* after "model.", '#' for the layer */
    const char *gguf;
} krs_gguf_rule;

typedef struct krs_gguf_style {
    const char *model_type;
    const char *arch;
    bool is_permuted;           /* q and k rows */
    float norm_added;           /* to every norm's weight */
    const krs_gguf_rule *rules; /* beside the common ones; ends with NULL */
} krs_gguf_style;

static const krs_gguf_rule krs_gguf_no_rules[] = {{NULL, NULL}};

static const krs_gguf_rule krs_gguf_rules[] = {
    {"embed_tokens", "token_embd"},
    {"norm", "output_norm"},
    {"layers.#.self_attn.qkv_proj", "blk.#.attn_qkv"},
    {"layers.#.input_layernorm", "blk.#.attn_norm"},
    {"layers.#.self_attn.q_proj", "blk.#.attn_q"},
    {"layers.#.self_attn.k_proj", "blk.#.attn_k"},
    {"layers.#.self_attn.v_proj", "blk.#.attn_v"},
    {"layers.#.self_attn.o_proj", "blk.#.attn_output"},
    {"layers.#.self_attn.q_norm", "blk.#.attn_q_norm"},
    {"layers.#.self_attn.k_norm", "blk.#.attn_k_norm"},
    {"layers.#.post_attention_layernorm", "blk.#.ffn_norm"},
    {"layers.#.mlp.gate_proj", "blk.#.ffn_gate"},
    {"layers.#.mlp.up_proj", "blk.#.ffn_up"},
    {"layers.#.mlp.down_proj", "blk.#.ffn_down"},
    {NULL, NULL},
};

static const krs_gguf_rule krs_gguf_gemma2_rules[] = {
    {"layers.#.post_attention_layernorm", "blk.#.post_attention_norm"},
    {"layers.#.pre_feedforward_layernorm", "blk.#.ffn_norm"},
    {"layers.#.post_feedforward_layernorm", "blk.#.post_ffw_norm"},
    {NULL, NULL},
};

static const krs_gguf_rule krs_gguf_phi3_rules[] = {
    {"layers.#.mlp.gate_up_proj", "blk.#.ffn_up"},
    {NULL, NULL},
};

static const krs_gguf_rule krs_gguf_starcoder2_rules[] = {
    {"layers.#.mlp.c_fc", "blk.#.ffn_up"},
    {"layers.#.mlp.c_proj", "blk.#.ffn_down"},
    {NULL, NULL},
};

static const krs_gguf_rule krs_gguf_gpt2_rules[] = {
    {"transformer.wte", "token_embd"},
    {"transformer.wpe", "position_embd"},
    {"transformer.ln_f", "output_norm"},
    {"transformer.h.#.ln_1", "blk.#.attn_norm"},
    {"transformer.h.#.attn.c_attn", "blk.#.attn_qkv"},
    {"transformer.h.#.attn.c_proj", "blk.#.attn_output"},
    {"transformer.h.#.ln_2", "blk.#.ffn_norm"},
    {"transformer.h.#.mlp.c_fc", "blk.#.ffn_up"},
    {"transformer.h.#.mlp.c_proj", "blk.#.ffn_down"},
    {NULL, NULL},
};

static const krs_gguf_rule krs_gguf_mixtral_rules[] = {
    {"layers.#.block_sparse_moe.gate", "blk.#.ffn_gate_inp"},
    {"layers.#.block_sparse_moe.experts.0.w1", "blk.#.ffn_gate_exps"},
    {"layers.#.block_sparse_moe.experts.0.w2", "blk.#.ffn_down_exps"},
    {"layers.#.block_sparse_moe.experts.0.w3", "blk.#.ffn_up_exps"},
    {NULL, NULL},
};

static const krs_gguf_rule krs_gguf_moe_rules[] = {
    {"layers.#.mlp.gate", "blk.#.ffn_gate_inp"},
    {"layers.#.mlp.experts.0.gate_proj", "blk.#.ffn_gate_exps"},
    {"layers.#.mlp.experts.0.down_proj", "blk.#.ffn_down_exps"},
    {"layers.#.mlp.experts.0.up_proj", "blk.#.ffn_up_exps"},
    {"layers.#.mlp.shared_expert_gate", "blk.#.ffn_gate_inp_shexp"},
    {"layers.#.mlp.shared_expert.gate_proj", "blk.#.ffn_gate_shexp"},
    {"layers.#.mlp.shared_expert.down_proj", "blk.#.ffn_down_shexp"},
    {"layers.#.mlp.shared_expert.up_proj", "blk.#.ffn_up_shexp"},
    {NULL, NULL},
};

static const krs_gguf_rule krs_gguf_gpt_oss_rules[] = {
    {"layers.#.self_attn.sinks", "blk.#.attn_sinks.weight"},
    {"layers.#.post_attention_layernorm", "blk.#.post_attention_norm"},
    {"layers.#.mlp.router", "blk.#.ffn_gate_inp"},
    {NULL, NULL},
};

static const krs_gguf_style krs_gguf_styles[] = {
    {"llama", "llama", true, 0, krs_gguf_no_rules},
    {"mistral", "llama", true, 0, krs_gguf_no_rules},
    {"qwen2", "qwen2", false, 0, krs_gguf_no_rules},
    {"qwen3", "qwen3", false, 0, krs_gguf_no_rules},
    {"gemma", "gemma", false, 1, krs_gguf_no_rules},
    {"gemma2", "gemma2", false, 1, krs_gguf_gemma2_rules},
    {"gemma3_text", "gemma3", false, 1, krs_gguf_gemma2_rules},
    {"phi3", "phi3", false, 0, krs_gguf_phi3_rules},
    {"olmo2", "olmo2", false, 0, krs_gguf_gemma2_rules},
    {"granite", "granite", true, 0, krs_gguf_no_rules},
    {"smollm3", "smollm3", true, 0, krs_gguf_no_rules},
    {"cohere2", "cohere2", false, 0, krs_gguf_no_rules},
    {"starcoder2", "starcoder2", false, 0, krs_gguf_starcoder2_rules},
    {"stablelm", "stablelm", false, 0, krs_gguf_no_rules},
    {"gpt2", "gpt2", false, 0, krs_gguf_gpt2_rules},
    {"gpt_oss", "gpt-oss", false, 0, krs_gguf_gpt_oss_rules},
    {"mixtral", "llama", true, 0, krs_gguf_mixtral_rules},
    {"qwen2_moe", "qwen2moe", false, 0, krs_gguf_moe_rules},
    {"qwen3_moe", "qwen3moe", false, 0, krs_gguf_moe_rules},
};

static inline const krs_gguf_style *krs_gguf_style_of(const char *model_type)
{
    for (size_t i = 0; i < sizeof(krs_gguf_styles) / sizeof(krs_gguf_styles[0]); i++) {
        if (strcmp(krs_gguf_styles[i].model_type, model_type) == 0) {
            return &krs_gguf_styles[i];
        }
    }
    fail_msg("the test's converter does not know %s", model_type);
    return NULL;
}

/* "layers.3.mlp.up_proj.weight" by the rule {"layers.#.mlp.up_proj", "blk.#.ffn_up"}. */
static inline bool krs_gguf_apply(const krs_gguf_rule *rule, const char *name, char out[128])
{
    int layer = -1;
    char hub[128];
    const char *digits = strpbrk(name, "0123456789");
    if (strchr(rule->hub, '#')) {
        layer = digits ? (int)strtol(digits, NULL, 10) : -1;
        const char *mark = strchr(rule->hub, '#');
        (void)snprintf(hub, sizeof(hub), "%.*s%d%s", (int)(mark - rule->hub), rule->hub, layer,
                       mark + 1);
    } else {
        (void)snprintf(hub, sizeof(hub), "%s", rule->hub);
    }
    const size_t n = strlen(hub);
    if (strncmp(name, hub, n) != 0 || (name[n] != '.' && name[n] != '\0')) {
        return false;
    }
    const char *mark = strchr(rule->gguf, '#');
    if (mark) {
        (void)snprintf(out, 128, "%.*s%d%s%s", (int)(mark - rule->gguf), rule->gguf, layer,
                       mark + 1, name + n);
    } else {
        (void)snprintf(out, 128, "%s%s", rule->gguf, name + n);
    }
    return true;
}

static inline void krs_gguf_rename(const krs_gguf_style *style, krs_str hub, char out[128])
{
    char name[128];
    (void)snprintf(name, sizeof(name), "%.*s", KRS_STR_ARGS(hub));
    if (krs_gguf_apply(&(krs_gguf_rule){"lm_head", "output"}, name, out)) {
        return;
    }
    const char *inner = strncmp(name, "model.", 6) == 0 ? name + 6 : name;
    const krs_gguf_rule *const lists[] = {style->rules, krs_gguf_rules};
    for (int l = 0; l < 2; l++) {
        for (const krs_gguf_rule *rule = lists[l]; rule->hub; rule++) {
            if (krs_gguf_apply(rule, inner, out)) {
                return;
            }
        }
    }
    fail_msg("the test's converter has no name for %s", name);
}
