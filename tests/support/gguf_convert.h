/* support/gguf_convert.h - a folder of the hub as the GGUF file the public converter would make of it.
 *
 *     krs_gguf_file f;
 *     krs_gguf_file_init(&f);
 *     krs_gguf_convert(dir, 12, &f);            matrices that divide into blocks as Q4_K
 *     krs_gguf_convert_tokenizer(dir, "gpt-2", &f);
 *     ... krs_gguf_file_finish(&f, 3) ...
 *
 * Thread: the test's own.  Memory: none is kept. */
#pragma once

#include "support/gguf_weights.h"

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

/* A byte-level tokenizer.json as lists; pre: the name of its pre-tokeniser. */
static inline void krs_gguf_convert_tokenizer(const char *dir, const char *pre, krs_gguf_file *f)
{
    json_t *doc = krs_gguf_read_json(dir, "tokenizer.json");
    const json_t *model = json_object_get(doc, "model");
    json_t *vocab = json_object_get(model, "vocab");
    const json_t *merges = json_object_get(model, "merges");
    const json_t *added = json_object_get(doc, "added_tokens");
    const size_t n = json_object_size(vocab) + json_array_size(added); /* some stand in both */
    const char **texts = calloc(n, sizeof(*texts));
    uint32_t *types = calloc(n, sizeof(*types));
    assert_true(texts && types);
    size_t n_ids = 0;
    const char *key;
    json_t *value;
    json_object_foreach(vocab, key, value)
    {
        const size_t id = (size_t)json_integer_value(value);
        assert_true(id < n);
        texts[id] = key;
        types[id] = 1;
        n_ids = id >= n_ids ? id + 1 : n_ids;
    }
    for (size_t i = 0; i < json_array_size(added); i++) {
        const json_t *token = json_array_get(added, i);
        const size_t id = (size_t)json_integer_value(json_object_get(token, "id"));
        assert_true(id < n);
        texts[id] = json_string_value(json_object_get(token, "content"));
        types[id] = json_is_true(json_object_get(token, "special")) ? 3 : 4;
        n_ids = id >= n_ids ? id + 1 : n_ids;
    }
    krs_gguf_put_str(f, "tokenizer.ggml.model", "gpt2");
    krs_gguf_put_str(f, "tokenizer.ggml.pre", pre);
    krs_gguf_put_list(f, "tokenizer.ggml.tokens", 8, n_ids);
    for (size_t i = 0; i < n_ids; i++) {
        krs_gguf_put_text(&f->values, texts[i], strlen(texts[i]));
    }
    krs_gguf_put_list(f, "tokenizer.ggml.token_type", 5, n_ids);
    for (size_t i = 0; i < n_ids; i++) {
        krs_gguf_put_u32(&f->values, types[i]);
    }
    krs_gguf_put_list(f, "tokenizer.ggml.merges", 8, json_array_size(merges));
    for (size_t i = 0; i < json_array_size(merges); i++) {
        const char *merge = json_string_value(json_array_get(merges, i));
        char joined[256];
        if (!merge) { /* ["a", "b"] */
            const json_t *pair = json_array_get(merges, i);
            (void)snprintf(joined, sizeof(joined), "%s %s",
                           json_string_value(json_array_get(pair, 0)),
                           json_string_value(json_array_get(pair, 1)));
            merge = joined;
        }
        krs_gguf_put_text(&f->values, merge, strlen(merge));
    }
    free(types);
    free(texts);
    json_decref(doc);
}
