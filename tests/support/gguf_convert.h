/* support/gguf_convert.h - a folder of the hub as the GGUF file a converter would make of it.
 *
 * Written from what the public converter does, not from our tables: names, the order of q and k rows of
 * the llama family, the divisors of llama 3.1's rotation as a tensor, gemma's norms with their 1.
 *
 *     krs_gguf_convert(dir, 12, "/tmp/x/m.gguf");     matrices that divide into blocks as Q4_K
 *
 * Types: 0 F32, 1 F16, 30 BF16, and those of gguf_quantise.h. KRS_GGUF_WIDENED | type: the numbers that the
 * blocks stand for, as F32.
 *
 * Thread: the test's own.  Memory: none is kept. */
#pragma once

#include "format/safetensors.h"
#include "support/gguf_file.h"
#include "support/gguf_quantise.h"
#include "wire/json.h"

#include <stdio.h>
#include <stdlib.h>

#define KRS_GGUF_WIDENED     0x10000u
#define KRS_GGUF_MAX_ELEMENT (4u << 20) /* of one tensor of a test's model */

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
        layer = digits ? atoi(digits) : -1;
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

/* Rows [head][half][i] of q and k become [head][i][half]. */
static inline void krs_gguf_permute(float *w, int64_t rows, int64_t columns, int64_t n_heads)
{
    float *was = malloc((size_t)(rows * columns) * sizeof(*was));
    assert_non_null(was);
    memcpy(was, w, (size_t)(rows * columns) * sizeof(*was));
    const int64_t d = rows / n_heads;
    for (int64_t row = 0; row < rows; row++) {
        const int64_t from = row / d * d + row % 2 * (d / 2) + row % d / 2;
        memcpy(w + row * columns, was + from * columns, (size_t)columns * sizeof(*w));
    }
    free(was);
}

/* gpt2's Conv1D is [in, out]; like gets the other shape. */
static inline void krs_gguf_turn(float *w, krs_tensor *like)
{
    const int64_t rows = like->dims[0];
    const int64_t columns = like->dims[1];
    float *was = malloc((size_t)(rows * columns) * sizeof(*was));
    assert_non_null(was);
    memcpy(was, w, (size_t)(rows * columns) * sizeof(*was));
    for (int64_t i = 0; i < rows * columns; i++) {
        w[i % columns * rows + i / columns] = was[i];
    }
    like->dims[0] = columns;
    like->dims[1] = rows;
    free(was);
}

static inline void krs_gguf_put_numbers(krs_gguf_file *f, const char *name, const krs_tensor *like,
                                        const float *w, size_t n, uint32_t type)
{
    unsigned char *bytes = malloc(n * sizeof(*w));
    assert_non_null(bytes);
    const size_t size = type == 0 ? 4 : 2;
    for (size_t i = 0; i < n; i++) {
        const uint16_t half = type == 1 ? krs_f16_of_f32(w[i]) : krs_bf16_of_f32(w[i]);
        memcpy(bytes + i * size, type == 0 ? (const void *)&w[i] : (const void *)&half, size);
    }
    krs_gguf_put_tensor(f, name, type, like->rank, like->dims, bytes, n * size);
    free(bytes);
}

static inline void krs_gguf_put_blocks(krs_gguf_file *f, const char *name, const krs_tensor *like,
                                       float *w, size_t n, uint32_t type)
{
    const krs_gguf_type_info *info = krs_gguf_type_find(type & 0xFFFF);
    const size_t n_blocks = n / info->n_elements;
    unsigned char *bytes = malloc(n_blocks * info->n_bytes);
    assert_non_null(bytes);
    for (size_t i = 0; i < n_blocks; i++) {
        assert_true(
            krs_gguf_make_block(info->id, w + i * info->n_elements, bytes + i * info->n_bytes));
    }
    if (type & KRS_GGUF_WIDENED) {
        const krs_matrix m = {.n_out = 1,
                              .n_in = (int64_t)n,
                              .quant = info->quant,
                              .dtype = KRS_DTYPE_U8,
                              .data = bytes};
        krs_matrix_row(&m, 0, w);
        krs_gguf_put_numbers(f, name, like, w, n, 0);
    } else {
        krs_gguf_put_tensor(f, name, type, like->rank, like->dims, bytes, n_blocks * info->n_bytes);
    }
    free(bytes);
}

/* Number of the expert in a name; -1: none. */
static inline int krs_gguf_expert_of(krs_str name)
{
    const size_t at = krs_str_find(name, KRS_STR(".experts."), 0);
    return at == SIZE_MAX ? -1 : atoi(name.ptr + at + strlen(".experts."));
}

/* The numbers of a tensor; of expert 0, those of all experts one after the other, and their shape in
 * like. */
static inline float *krs_gguf_gather(const krs_safetensors *st, krs_tensor *like, size_t *n)
{
    const size_t one = like->n_bytes / krs_dtype_bytes(like->dtype);
    const size_t at = krs_str_find(like->name, KRS_STR(".experts."), 0);
    float *w = malloc(KRS_GGUF_MAX_ELEMENT * sizeof(*w));
    assert_non_null(w);
    *n = 0;
    for (int expert = 0; expert == 0 || at != SIZE_MAX; expert++) {
        char name[192];
        const krs_str head = {like->name.ptr, at == SIZE_MAX ? like->name.len : at};
        (void)snprintf(name, sizeof(name), "%.*s", KRS_STR_ARGS(head));
        if (at != SIZE_MAX) {
            const size_t tail = krs_str_find(like->name, KRS_STR("."), at + strlen(".experts."));
            (void)snprintf(name, sizeof(name), "%.*s.experts.%d%.*s", KRS_STR_ARGS(head), expert,
                           (int)(like->name.len - tail), like->name.ptr + tail);
        }
        const krs_tensor *part = krs_safetensors_find(st, krs_str_of(name));
        if (!part) {
            like->dims[2] = like->dims[1];
            like->dims[1] = like->dims[0];
            like->dims[0] = expert;
            like->rank = 3;
            break;
        }
        assert_true(*n + one <= KRS_GGUF_MAX_ELEMENT);
        assert_true(krs_f32_of_any(part->dtype, part->data, one, w + *n));
        *n += one;
    }
    return w;
}

static inline void krs_gguf_put_any(krs_gguf_file *f, const char *name, const krs_tensor *like,
                                    float *w, size_t n, uint32_t type)
{
    const krs_gguf_type_info *info = krs_gguf_type_find(type & 0xFFFF);
    if (like->rank < 2 || like->dims[like->rank - 1] % info->n_elements != 0) {
        krs_gguf_put_numbers(f, name, like, w, n, 0);
    } else if (info->quant.kind == KRS_QUANT_NONE) {
        krs_gguf_put_numbers(f, name, like, w, n, type);
    } else {
        krs_gguf_put_blocks(f, name, like, w, n, type);
    }
}

/* One of `every` interleaved parts of gpt-oss's expert tensors, [experts, in, every * out] or the biases
 * [experts, every * out]; weights are turned to [experts, out, in]. */
static inline void krs_gguf_put_experts(krs_gguf_file *f, const char *name, const krs_tensor *from,
                                        int64_t part, int64_t every, uint32_t type)
{
    const bool is_bias = from->rank == 2;
    const int64_t n_experts = from->dims[0];
    const int64_t n_in = is_bias ? 1 : from->dims[1];
    const int64_t n_out = from->dims[from->rank - 1] / every;
    const size_t n = (size_t)(n_experts * n_in * n_out);
    float *w = malloc(n * (size_t)every * sizeof(*w));
    float *out = malloc(n * sizeof(*out));
    assert_true(w && out);
    assert_true(krs_f32_of_any(from->dtype, from->data, n * (size_t)every, w));
    for (int64_t e = 0; e < n_experts; e++) {
        for (int64_t i = 0; i < n_in; i++) {
            for (int64_t o = 0; o < n_out; o++) {
                out[(e * n_out + o) * n_in + i] = w[((e * n_in + i) * n_out + o) * every + part];
            }
        }
    }
    krs_tensor like = {.rank = is_bias ? 2 : 3, .dims = {n_experts, n_out, n_in}};
    krs_gguf_put_any(f, name, &like, out, n, is_bias ? 0 : type);
    free(out);
    free(w);
}

/* gpt-oss's experts; false: it is another tensor. */
static inline bool krs_gguf_convert_stack(krs_gguf_file *f, const krs_tensor *from, uint32_t type)
{
    static const struct {
        const char *hub;
        const char *gguf;
        int64_t part;
        int64_t every;
    } parts[] = {
        {".mlp.experts.gate_up_proj", "ffn_gate_exps.weight", 0, 2},
        {".mlp.experts.gate_up_proj", "ffn_up_exps.weight", 1, 2},
        {".mlp.experts.gate_up_proj_bias", "ffn_gate_exps.bias", 0, 2},
        {".mlp.experts.gate_up_proj_bias", "ffn_up_exps.bias", 1, 2},
        {".mlp.experts.down_proj", "ffn_down_exps.weight", 0, 1},
        {".mlp.experts.down_proj_bias", "ffn_down_exps.bias", 0, 1},
    };
    bool is_stack = false;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (krs_str_ends_with(from->name, krs_str_of(parts[i].hub))) {
            char name[128];
            const int layer = atoi(from->name.ptr + strlen("model.layers."));
            (void)snprintf(name, sizeof(name), "blk.%d.%s", layer, parts[i].gguf);
            krs_gguf_put_experts(f, name, from, parts[i].part, parts[i].every, type);
            is_stack = true;
        }
    }
    return is_stack;
}

static inline void krs_gguf_convert_tensor(krs_gguf_file *f, const krs_gguf_style *style,
                                           const json_t *config, const krs_safetensors *st,
                                           const krs_tensor *from, uint32_t type)
{
    char name[128];
    krs_tensor like = *from;
    krs_tensor *tensor = &like;
    if (krs_gguf_convert_stack(f, from, type) || krs_gguf_expert_of(from->name) > 0) {
        return; /* done, or done with the first one */
    }
    krs_gguf_rename(style, tensor->name, name);
    size_t n;
    float *w = krs_gguf_gather(st, tensor, &n);
    if (tensor->rank == 2 && tensor->dims[0] == 1) { /* converters drop dimensions of 1 */
        tensor->rank = 1;
        tensor->dims[0] = tensor->dims[1];
    }
    const bool is_q = strstr(name, "attn_q.") != NULL;
    const bool is_k = strstr(name, "attn_k.") != NULL;
    if (style->is_permuted && (is_q || is_k)) {
        const char *heads = is_q ? "num_attention_heads" : "num_key_value_heads";
        krs_gguf_permute(w, tensor->dims[0], (int64_t)n / tensor->dims[0],
                         json_integer_value(json_object_get(config, heads)));
    }
    if (strcmp(style->arch, "gpt2") == 0 && tensor->rank == 2 && strncmp(name, "blk", 3) == 0) {
        krs_gguf_turn(w, tensor);
    }
    for (size_t i = 0; strstr(name, "norm.weight") && i < n; i++) {
        w[i] += style->norm_added;
    }
    krs_gguf_put_any(f, name, tensor, w, n, type);
    free(w);
}

/* Settings: "arch.key". */
static inline const char *krs_gguf_key_of(const krs_gguf_style *style, const char *key)
{
    static char full[128];
    (void)snprintf(full, sizeof(full), "%s.%s", style->arch, key);
    return full;
}

static inline void krs_gguf_convert_int(krs_gguf_file *f, const krs_gguf_style *style,
                                        const json_t *config, const char *field, const char *key)
{
    const json_t *value = json_object_get(config, field);
    if (json_is_integer(value)) {
        krs_gguf_put_int(f, krs_gguf_key_of(style, key), (uint32_t)json_integer_value(value));
    }
}

static inline void krs_gguf_convert_real(krs_gguf_file *f, const krs_gguf_style *style,
                                         const json_t *config, const char *field, const char *key)
{
    const json_t *value = json_object_get(config, field);
    if (json_is_number(value)) {
        krs_gguf_put_real(f, krs_gguf_key_of(style, key), (float)json_number_value(value));
    }
}

/* llama 3.1's rotation as the converter writes it: a divisor for each pair. */
static inline void krs_gguf_convert_llama3(krs_gguf_file *f, const json_t *rope, int64_t head_dim)
{
    const double base = json_number_value(json_object_get(rope, "rope_theta"));
    const double factor = json_number_value(json_object_get(rope, "factor"));
    const double low = json_number_value(json_object_get(rope, "low_freq_factor"));
    const double high = json_number_value(json_object_get(rope, "high_freq_factor"));
    const double old = json_number_value(json_object_get(rope, "original_max_position_embeddings"));
    float factors[512];
    for (int64_t i = 0; i < head_dim / 2; i++) {
        const double wavelen =
            2 * 3.14159265358979323846 * pow(base, 2.0 * (double)i / (double)head_dim);
        const double smooth = (old / wavelen - low) / (high - low);
        factors[i] = wavelen < old / high  ? 1.0f
                     : wavelen > old / low ? (float)factor
                                           : (float)(1 / ((1 - smooth) / factor + smooth));
    }
    krs_gguf_put_tensor(f, "rope_freqs.weight", 0, 1, (int64_t[]){head_dim / 2}, factors,
                        (size_t)head_dim / 2 * sizeof(float));
}

static inline void krs_gguf_convert_factors(krs_gguf_file *f, const json_t *rope, const char *field,
                                            const char *name)
{
    const json_t *list = json_object_get(rope, field);
    float factors[512];
    const size_t n = json_array_size(list);
    for (size_t i = 0; i < n; i++) {
        factors[i] = (float)json_number_value(json_array_get(list, i));
    }
    krs_gguf_put_tensor(f, name, 0, 1, (int64_t[]){(int64_t)n}, factors, n * sizeof(float));
}

/* phi 3's two lists of divisors, and the factor on cos and sin worked out. */
static inline void krs_gguf_convert_longrope(krs_gguf_file *f, const krs_gguf_style *style,
                                             const json_t *config, const json_t *rope)
{
    const double old = json_number_value(json_object_get(rope, "original_max_position_embeddings"));
    const double now = json_number_value(json_object_get(config, "max_position_embeddings"));
    krs_gguf_convert_factors(f, rope, "long_factor", "rope_factors_long.weight");
    krs_gguf_convert_factors(f, rope, "short_factor", "rope_factors_short.weight");
    krs_gguf_put_real(f, krs_gguf_key_of(style, "rope.scaling.attn_factor"),
                      (float)sqrt(1 + log(now / old) / log(old)));
    krs_gguf_convert_int(f, style, rope, "original_max_position_embeddings",
                         "rope.scaling.original_context_length");
}

static inline void krs_gguf_convert_rope(krs_gguf_file *f, const krs_gguf_style *style,
                                         const json_t *config)
{
    const json_t *rope = json_object_get(config, "rope_parameters");
    const json_t *full = json_object_get(rope, "full_attention");
    rope = full ? full : rope;
    const json_t *part = json_object_get(rope, "partial_rotary_factor");
    const char *kind = json_string_value(json_object_get(rope, "rope_type"));
    const json_int_t heads = json_integer_value(json_object_get(config, "num_attention_heads"));
    json_int_t head_dim = json_integer_value(json_object_get(config, "hidden_size")) / heads;
    if (json_is_integer(json_object_get(config, "head_dim"))) {
        head_dim = json_integer_value(json_object_get(config, "head_dim"));
    }
    const double rotated = (double)head_dim * (part ? json_number_value(part) : 1.0);
    krs_gguf_put_int(f, krs_gguf_key_of(style, "rope.dimension_count"), (uint32_t)rotated);
    krs_gguf_convert_real(f, style, rope, "rope_theta", "rope.freq_base");
    if (kind && strcmp(kind, "llama3") == 0) {
        krs_gguf_convert_llama3(f, rope, head_dim);
    } else if (kind && strcmp(kind, "longrope") == 0) {
        krs_gguf_convert_longrope(f, style, config, rope);
    } else if (kind && strcmp(kind, "yarn") == 0) {
        krs_gguf_put_str(f, krs_gguf_key_of(style, "rope.scaling.type"), "yarn");
        krs_gguf_convert_real(f, style, rope, "factor", "rope.scaling.factor");
        krs_gguf_convert_int(f, style, rope, "original_max_position_embeddings",
                             "rope.scaling.original_context_length");
    }
}

static inline void krs_gguf_convert_settings(krs_gguf_file *f, const krs_gguf_style *style,
                                             const json_t *config)
{
    static const struct {
        const char *field;
        const char *key;
    } ints[] = {
        {"num_hidden_layers", "block_count"},
        {"hidden_size", "embedding_length"},
        {"intermediate_size", "feed_forward_length"},
        {"num_attention_heads", "attention.head_count"},
        {"num_key_value_heads", "attention.head_count_kv"},
        {"head_dim", "attention.key_length"},
        {"head_dim", "attention.value_length"},
        {"max_position_embeddings", "context_length"},
        {"vocab_size", "vocab_size"},
        {"n_layer", "block_count"},
        {"n_embd", "embedding_length"},
        {"n_head", "attention.head_count"},
        {"n_positions", "context_length"},
        {"sliding_window", "attention.sliding_window"},
        {"num_local_experts", "expert_count"},
        {"num_experts", "expert_count"},
        {"num_experts_per_tok", "expert_used_count"},
        {"moe_intermediate_size", "expert_feed_forward_length"},
        {"shared_expert_intermediate_size", "expert_shared_feed_forward_length"},
    };
    static const struct {
        const char *field;
        const char *key;
    } reals[] = {
        {"rms_norm_eps", "attention.layer_norm_rms_epsilon"},
        {"layer_norm_eps", "attention.layer_norm_epsilon"},
        {"norm_epsilon", "attention.layer_norm_epsilon"},
        {"layer_norm_epsilon", "attention.layer_norm_epsilon"},
        {"attn_logit_softcapping", "attn_logit_softcapping"},
        {"final_logit_softcapping", "final_logit_softcapping"},
        {"attention_multiplier", "attention.scale"},
        {"embedding_multiplier", "embedding_scale"},
        {"residual_multiplier", "residual_scale"},
        {"logits_scaling", "logit_scale"},
        {"logit_scale", "logit_scale"},
    };
    krs_gguf_put_str(f, "general.architecture", style->arch);
    for (size_t i = 0; i < sizeof(ints) / sizeof(ints[0]); i++) {
        krs_gguf_convert_int(f, style, config, ints[i].field, ints[i].key);
    }
    for (size_t i = 0; i < sizeof(reals) / sizeof(reals[0]); i++) {
        krs_gguf_convert_real(f, style, config, reals[i].field, reals[i].key);
    }
    if (json_is_integer(json_object_get(config, "n_embd"))) { /* gpt2: n_inner is four times that */
        krs_gguf_put_int(f, krs_gguf_key_of(style, "feed_forward_length"),
                         4 * (uint32_t)json_integer_value(json_object_get(config, "n_embd")));
        return;
    }
    krs_gguf_convert_rope(f, style, config);
}

static inline json_t *krs_gguf_read_json(const char *dir, const char *name)
{
    char path[KRS_OS_PATH_BYTES];
    krs_buf text;
    krs_buf_init(&text, NULL, 64u << 20);
    assert_int_equal(krs_os_path_join(dir, name, path, sizeof(path)), KRS_OK);
    assert_int_equal(krs_os_file_read(path, &text, NULL), KRS_OK);
    json_t *root = json_loadb(text.data, text.len, 0, NULL);
    assert_non_null(root);
    krs_buf_deinit(&text);
    return root;
}

/* The whole model into f, which is empty; more settings may follow. */
static inline void krs_gguf_convert(const char *dir, uint32_t type, krs_gguf_file *f)
{
    json_t *config = krs_gguf_read_json(dir, "config.json");
    const krs_gguf_style *style =
        krs_gguf_style_of(json_string_value(json_object_get(config, "model_type")));
    krs_gguf_convert_settings(f, style, config);
    krs_safetensors *st = NULL;
    assert_int_equal(krs_safetensors_open(dir, KRS_OS_MAP_SHARED_PAGES, NULL, &st, NULL), KRS_OK);
    for (uint32_t i = 0; i < krs_safetensors_count(st); i++) {
        krs_gguf_convert_tensor(f, style, config, st, krs_safetensors_at(st, i), type);
    }
    krs_safetensors_close(st);
    json_decref(config);
}
