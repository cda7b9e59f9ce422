/* format/config_family.h - what each family's class assumes where config.json is silent, and how it spells
 * what differs from layer to layer.
 *
 * One row per model_type in config_family.c. Files rely on these defaults: transformers leaves out what
 * equals them. A size without a default must be in the file.
 *
 * Thread: constant table.  Memory: static. */
#pragma once

#include "format/config.h"

/* Which layers are windowed, when layer_types does not say. */
typedef enum config_window_rule {
    CONFIG_WINDOW_NEVER,   /* the family has none, whatever the file says */
    CONFIG_WINDOW_ALL,     /* every layer; layer_types is not read */
    CONFIG_WINDOW_SWITCH,  /* use_sliding_window, then those from max_window_layers on */
    CONFIG_WINDOW_NO_ROPE, /* use_sliding_window, then those without rotation (smollm3) */
    CONFIG_WINDOW_PATTERN, /* all but every window_pattern-th */
    CONFIG_WINDOW_AROUND, /* local_attention tokens around each; all but every nth from the first */
} config_window_rule;

/* Which layers are rotated. */
typedef enum config_rope_rule {
    CONFIG_ROPE_ALL,
    CONFIG_ROPE_NEVER,    /* learned positions */
    CONFIG_ROPE_WINDOWED, /* windowed layers only (cohere2) */
    CONFIG_ROPE_LISTED,   /* no_rope_layers, or all but every no_rope_layer_interval-th (smollm3) */
} config_rope_rule;

/* Where learned positions begin in their table. */
typedef enum config_position_rule {
    CONFIG_POSITIONS_FROM_ZERO,
    CONFIG_POSITIONS_AFTER_PAD, /* pad_token_id + 1 */
    CONFIG_POSITIONS_FROM_TWO,  /* mpnet: its class has the padding id built in */
} config_position_rule;

/* Which layers have experts. */
typedef enum config_expert_rule {
    CONFIG_EXPERTS_NEVER,
    CONFIG_EXPERTS_ALL,
    CONFIG_EXPERTS_SPARSE, /* every decoder_sparse_step-th, but those in mlp_only_layers */
    CONFIG_EXPERTS_LATE,   /* those from first_k_dense_replace on */
} config_expert_rule;

/* Which multipliers a family has. */
typedef enum config_scale_rule {
    CONFIG_SCALE_NONE,
    CONFIG_SCALE_GEMMA,   /* embedding by sqrt(hidden) */
    CONFIG_SCALE_GEMMA2,  /* and query_pre_attn_scalar, soft-caps */
    CONFIG_SCALE_GRANITE, /* four multipliers */
    CONFIG_SCALE_COHERE,  /* logit_scale */
    CONFIG_SCALE_GPT2,    /* scale_attn_weights, scale_attn_by_inverse_layer_idx */
} config_scale_rule;

/* Without holes, as there are many. */
typedef struct config_defaults {
    const char *model_type;
    /* sizes; 0: the file must say */
    int64_t n_layers;
    int64_t n_heads;
    int64_t hidden;
    int64_t ffn;
    int64_t vocab;
    int64_t max_positions;
    int32_t n_kv_heads; /* 0: as many as heads */
    int32_t head_dim;   /* 0: hidden / heads */
    double norm_eps;
    const char *norm_field;       /* NULL: rms_norm_eps */
    const char *activation;       /* NULL: silu */
    const char *activation_field; /* NULL: hidden_act */
    bool is_tied;
    bool has_bias; /* use_bias: of every linear (starcoder2), true when absent */
    bool has_attention_bias;
    bool has_qkv_bias;
    bool is_parallel;
    bool has_local_rope; /* windowed layers have a table of their own, never stretched */
    bool is_normalised;  /* the experts' weights sum to 1 */
    bool is_encoder;
    config_window_rule window_rule;
    int32_t window_pattern; /* of PATTERN, and of recurrent layers: every nth is full */
    int64_t window;
    config_rope_rule rope_rule;
    config_scale_rule scale_rule;
    double theta;        /* 0: 10000 */
    double local_theta;  /* of windowed layers' own table; 0: the other's */
    double rotary_part;  /* of a head that is rotated; 0: all */
    double query_scalar; /* GEMMA2 */
    double attention_softcap;
    double logit_softcap;
    double logit_scale; /* COHERE */
    double glu_limit;
    int64_t expert_ffn; /* 0: intermediate_size */
    int64_t shared_ffn;
    krs_linear_config linear;
    config_expert_rule expert_rule;
    int32_t n_experts;
    int32_t top_k;
    krs_latent_config latent;
    config_position_rule position_rule;
    int32_t n_types;
    int32_t n_buckets;
} config_defaults;

/* Of an unknown model_type: what most have. Never NULL. */
const config_defaults *krs_config_defaults_of(const char *model_type);
