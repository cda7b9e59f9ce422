/* format/config.h - config.json, as transformers 4 and 5 write it, read into one plain struct.
 *
 * Version 5 moved the RoPE settings into `rope_parameters` and `torch_dtype` to `dtype`; both are read.
 * Everything is range-checked here, and cross-checked (heads divide, head_dim * heads fits), so the
 * code that builds the model can trust it. Fields a family does not use keep their defaults.
 *
 * Thread: immutable after load.  Memory: the struct owns nothing but itself.
 * Source: transformers 4.40 - 5.17 configuration files; MLX `quantization` block. */
#pragma once

#include "base/alloc.h"
#include "base/status.h"
#include "base/str.h"
#include "tensor/quant.h"
#include "wire/json.h"

#define KRS_CONFIG_MAX_LAYERS    1024 /* the deepest public model has 126 */
#define KRS_CONFIG_MAX_HEADS     1024
#define KRS_CONFIG_MAX_WIDTH     (1 << 20) /* hidden and feed-forward sizes */
#define KRS_CONFIG_MAX_VOCAB     (1 << 22)
#define KRS_CONFIG_MAX_CONTEXT   (1 << 26)
#define KRS_CONFIG_MAX_BYTES     (16u << 20) /* config.json; real ones stay under 100 KiB */
#define KRS_CONFIG_MAX_EOS       16
#define KRS_CONFIG_MAX_HEAD_DIM  4096
#define KRS_CONFIG_MAX_EXPERTS   4096  /* the widest public model has 512 */
#define KRS_CONFIG_MAX_OVERRIDES 65536 /* modules of the deepest models, experts apart */
#define KRS_CONFIG_MODULE_BYTES  128 /* longest module name with its NUL; real ones stay under 80 */

typedef enum krs_rope_kind {
    KRS_ROPE_DEFAULT,
    KRS_ROPE_LINEAR,
    KRS_ROPE_LLAMA3,
    KRS_ROPE_YARN,
    KRS_ROPE_LONGROPE,
    KRS_ROPE_DYNAMIC,
} krs_rope_kind;

typedef struct krs_rope_config {
    krs_rope_kind kind;
    double theta;
    double factor;           /* linear, llama3, yarn, dynamic, longrope; 1 otherwise */
    double low_freq_factor;  /* llama3 */
    double high_freq_factor; /* llama3; >= low_freq_factor, and may equal it */
    double beta_fast;        /* yarn, default 32 */
    double beta_slow;        /* yarn, default 1 */
    double attention_factor; /* yarn, longrope; 0 = derive from factor (and mscale) */
    double mscale;           /* yarn; 0 = absent */
    double mscale_all_dim;   /* yarn; 0 = absent */
    bool is_truncated;       /* yarn `truncate`, default true */
    int64_t original_max_positions;
    /* longrope: [rotary_dim / 2] each, owned by the config; divisors of the frequencies for contexts of
     * up to original_max_positions, and for longer ones */
    const double *short_factors;
    const double *long_factors;
} krs_rope_config;

/* Ways of quantising that transformers knows and MLX does not. Which modules are quantised, their widths
 * and groups show in the file; here is what does not. */
typedef enum krs_hub_method {
    KRS_HUB_NONE, /* dense, or MLX's own block */
    KRS_HUB_GPTQ,
    KRS_HUB_AWQ,
    KRS_HUB_FP8,
    KRS_HUB_COMPRESSED, /* compressed-tensors */
    KRS_HUB_MXFP4,      /* gpt-oss's own packing */
    KRS_HUB_METHOD_COUNT
} krs_hub_method;

typedef struct krs_hub_quant {
    krs_hub_method method;
    int32_t bits;          /* gptq, awq */
    int32_t group;         /* gptq, awq: columns per scale; 0: the whole row */
    bool is_zero_less_one; /* gptq of the first format: zero points are stored less one */
    int32_t block_rows;    /* fp8: elements per scale; 0: one scale per row or matrix */
    int32_t block_columns;
} krs_hub_quant;

/* As `quant_method` spells it; "none". */
const char *krs_hub_method_name(krs_hub_method method);

/* A set of layers. */
typedef struct krs_layer_set {
    uint64_t bits[KRS_CONFIG_MAX_LAYERS / 64];
} krs_layer_set;

static inline bool krs_layer_set_has(const krs_layer_set *set, int32_t layer)
{
    return (set->bits[layer / 64] >> (layer % 64) & 1u) != 0;
}

static inline void krs_layer_set_add(krs_layer_set *set, int32_t layer)
{
    set->bits[layer / 64] |= UINT64_C(1) << (layer % 64);
}

/* Mixture of experts; n 0: a dense model, and the rest unset. */
typedef struct krs_expert_config {
    int32_t n;            /* routed experts */
    int32_t top_k;        /* of them for a token, 1 .. n */
    int64_t ffn;          /* feed-forward size of one */
    int64_t shared_ffn;   /* of what every token goes through beside them; 0: nothing */
    bool is_normalised;   /* the chosen weights are made to sum to 1 */
    double scale;         /* of the routed sum; 1 unless the file says otherwise */
    int32_t n_groups;     /* 1: experts are not in groups */
    int32_t top_groups;   /* groups a token chooses from */
    krs_layer_set layers; /* with experts; the others are dense */
} krs_expert_config;

/* Latent attention (deepseek); kv_rank 0: none. */
typedef struct krs_latent_config {
    int32_t q_rank; /* 0: queries are not compressed */
    int32_t kv_rank;
    int32_t nope_dim; /* of a head of q and k: not rotated */
    int32_t rope_dim; /* rotated, one key for all heads */
    int32_t value_dim;
} krs_latent_config;

/* Recurrent layers (gated delta rule); kernel 0: none. */
typedef struct krs_linear_config {
    int32_t kernel; /* of the short convolution, in tokens */
    int32_t n_k_heads;
    int32_t n_v_heads; /* a multiple of n_k_heads */
    int32_t k_dim;
    int32_t v_dim;
    krs_layer_set layers; /* that are recurrent */
} krs_linear_config;

/* What one layer that keeps KV keeps for a token. */
typedef struct krs_cache_shape {
    int32_t n_layers; /* that keep any */
    int32_t n_heads;
    int32_t key_dim;
    int32_t value_dim;
} krs_cache_shape;

typedef struct krs_quant_override {
    char module[KRS_CONFIG_MODULE_BYTES]; /* "model.layers.0.mlp.down_proj" */
    krs_quant quant;                      /* kind NONE: this module is dense */
} krs_quant_override;

/* What a converter did to the weights beside renaming them (format/gguf_folder.h); all false for a folder
 * of the hub. */
typedef struct krs_weight_changes {
    bool is_rope_interleaved;  /* rows of q and k are reordered: RoPE turns pairs (2 i, 2 i + 1) */
    bool is_norm_offset_added; /* norm weights contain what the family adds to them (gemma's 1) */
    bool is_conv1d_turned;     /* weights that the hub has as [in, out] are [out, in] (gpt2) */
} krs_weight_changes;

typedef struct krs_model_config {
    char model_type[64];
    char architecture[128]; /* first of `architectures`, "" when absent */
    int32_t n_layers;
    int32_t n_heads;
    int32_t n_kv_heads;
    int32_t head_dim;
    int64_t hidden;
    int64_t ffn;
    int64_t vocab;
    int64_t
        max_positions; /* tokens; what the model was made for; longer by krs_model_config_longest */
    double norm_eps;
    char activation[32];     /* hidden_act */
    bool is_tied;            /* tie_word_embeddings */
    bool has_attention_bias; /* attention_bias (llama: q, k, v and o) */
    bool has_mlp_bias;
    bool has_norm_bias; /* norm_bias (modernbert) */
    bool is_encoder;    /* rows see rows after them: no cache, and no answers */
    int32_t
        position_offset; /* of learned positions: row of the first token's (roberta: pad_token_id + 1) */
    int32_t n_types;   /* type_vocab_size; 0: tokens have no types */
    int32_t n_buckets; /* of relative distances (mpnet); 0: none */
    bool has_qkv_bias; /* qkv_bias, use_qkv_bias: q, k and v only */
    bool has_qk_norm;  /* qk_layernorm, where it is a switch */
    bool is_parallel;  /* attention and feed-forward read one norm and are added together */
    int64_t window;    /* sliding window in tokens (an encoder's: each side), 0 = none */
    krs_layer_set window_layers;
    krs_layer_set rope_layers; /* whose queries and keys are rotated */
    krs_rope_config rope;
    krs_rope_config local_rope; /* of windowed layers, when has_local_rope */
    bool has_local_rope;
    bool is_rope_interleaved; /* pairs (2 i, 2 i + 1), where it is a switch (deepseek) */
    int32_t rotary_dim;       /* rotated elements of a head, even */
    double embedding_scale;   /* of the embedding of a token, 1 */
    double residual_scale;    /* of what a block adds to the stream, 1 */
    double attention_scale;   /* of q k, 1 / sqrt(head_dim) */
    bool is_scale_by_layer;   /* ... divided by the layer's number from 1 (gpt2, when asked) */
    double logit_scale;       /* 1 */
    double attention_softcap; /* 0: none */
    double logit_softcap;
    double glu_limit; /* gpt-oss's clamp; 0: none */
    double glu_alpha;
    krs_expert_config experts;
    krs_latent_config latent;
    krs_linear_config linear;
    krs_quant quant;               /* MLX: default of every linear and the embedding */
    krs_hub_quant hub_quant;       /* the same of other makers; at most one of the two is set */
    krs_quant_override *overrides; /* [n_overrides], owned */
    uint32_t n_overrides;
    krs_dtype dtype; /* as declared; KRS_DTYPE_COUNT when absent */
    uint32_t eos_ids[KRS_CONFIG_MAX_EOS];
    uint32_t n_eos;
    int64_t bos_id; /* -1 when absent */
    krs_weight_changes changes;
    const krs_alloc *alloc;
} krs_model_config;

/* Read dir/config.json. Errors: KRS_ENOENT, KRS_EFORMAT (no JSON object, a field of the wrong type or out
 * of its range, numbers that contradict each other), KRS_EUNSUPPORTED (rope type, layer type,
 * quantisation method), KRS_ENOMEM. On failure *out owns nothing and is zero except for model_type, where that could
 * be read, so that a caller who does not know the family can say that first. */
KRS_MUST_USE krs_status krs_model_config_load(const char *dir, const krs_alloc *alloc,
                                              krs_model_config *out, krs_error *err);
/* The same from parsed JSON (borrowed), where a field of the wrong type or range is KRS_EINVAL. Multimodal configs: sizes come from `text_config`, model_type
 * from the outside. */
KRS_MUST_USE krs_status krs_model_config_read(const json_t *root, const krs_alloc *alloc,
                                              krs_model_config *out, krs_error *err);
void krs_model_config_deinit(krs_model_config *config);

/* The quantisation of one module ("model.layers.3.mlp.up_proj"). */
krs_quant krs_model_config_quant(const krs_model_config *config, krs_str module);

static inline bool krs_model_config_is_windowed(const krs_model_config *config, int32_t layer)
{
    return config->window > 0 && krs_layer_set_has(&config->window_layers, layer);
}

krs_cache_shape krs_model_config_cache(const krs_model_config *config);

/* Tokens a context may have at most: max_positions, or as far as its rotation is stretched (yarn, dynamic)
 * when that is longer. */
int64_t krs_model_config_longest(const krs_model_config *config);

/* generation_config.json: the model's own sampling defaults. Absent fields are -1 (or NAN for reals);
 * eos ids here win over config.json's. A missing file is KRS_OK with nothing set. */
typedef struct krs_generation_config {
    double temperature;
    double top_p;
    double min_p;
    double repetition_penalty;
    int64_t top_k;
    int32_t do_sample; /* 0, 1, or -1 */
    uint32_t eos_ids[KRS_CONFIG_MAX_EOS];
    uint32_t n_eos;
    int64_t bos_id;
} krs_generation_config;

/* From parsed JSON (borrowed). On failure nothing is set. */
KRS_MUST_USE krs_status krs_generation_config_read(const json_t *root, krs_generation_config *out,
                                                   krs_error *err);
KRS_MUST_USE krs_status krs_generation_config_load(const char *dir, krs_generation_config *out,
                                                   krs_error *err);
