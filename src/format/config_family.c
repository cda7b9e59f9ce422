/* format/config_family.c - see config_family.h.
 *
 * Sizes are given only where published files leave them out (gemma3's text_config, qwen3_next's
 * relatives): guessing the width of a model from a truncated file helps nobody.
 *
 * Source: transformers 5.17, configuration_*.py. */
#include "format/config_family.h"

/* The recurrent layers of qwen3_next and qwen3_5. */
#define GATED_DELTA                                                                                \
    {                                                                                              \
        .kernel = 4, .n_k_heads = 16, .n_v_heads = 32, .k_dim = 128, .v_dim = 128                  \
    }

static const config_defaults families[] = {
    {.model_type = "llama", .max_positions = 2048},
    {.model_type = "mistral",
     .max_positions = 131072,
     .n_kv_heads = 8,
     .window = 4096,
     .window_rule = CONFIG_WINDOW_ALL},
    {.model_type = "qwen2",
     .max_positions = 32768,
     .n_kv_heads = 32,
     .window = 4096,
     .window_rule = CONFIG_WINDOW_SWITCH},
    {.model_type = "qwen3",
     .max_positions = 32768,
     .n_kv_heads = 32,
     .head_dim = 128,
     .window = 4096,
     .window_rule = CONFIG_WINDOW_SWITCH},
    {.model_type = "phi3",
     .max_positions = 4096,
     .norm_eps = 1e-5,
     .window_rule = CONFIG_WINDOW_ALL,
     .rotary_part = 1},
    {.model_type = "gemma",
     .max_positions = 8192,
     .n_kv_heads = 16,
     .head_dim = 256,
     .activation = "gelu_pytorch_tanh",
     .activation_field = "hidden_activation",
     .is_tied = true,
     .scale_rule = CONFIG_SCALE_GEMMA},
    {.model_type = "gemma2",
     .max_positions = 8192,
     .n_kv_heads = 4,
     .head_dim = 256,
     .activation = "gelu_pytorch_tanh",
     .activation_field = "hidden_activation",
     .is_tied = true,
     .window = 4096,
     .window_rule = CONFIG_WINDOW_PATTERN,
     .window_pattern = 2,
     .scale_rule = CONFIG_SCALE_GEMMA2,
     .query_scalar = 256,
     .attention_softcap = 50,
     .logit_softcap = 30},
#define GEMMA3                                                                                     \
    .n_layers = 26, .n_heads = 8, .hidden = 2304, .ffn = 9216, .vocab = 262208,                    \
    .max_positions = 131072, .n_kv_heads = 4, .head_dim = 256, .activation = "gelu_pytorch_tanh",  \
    .activation_field = "hidden_activation", .is_tied = true, .window = 4096,                      \
    .window_rule = CONFIG_WINDOW_PATTERN, .window_pattern = 6, .theta = 1e6, .local_theta = 1e4,   \
    .scale_rule = CONFIG_SCALE_GEMMA2, .query_scalar = 256
    {.model_type = "gemma3", GEMMA3},
    {.model_type = "gemma3_text", GEMMA3},
#undef GEMMA3
    {.model_type = "olmo2", .max_positions = 2048, .norm_eps = 1e-5},
    {.model_type = "smollm3",
     .max_positions = 32768,
     .n_kv_heads = 4,
     .is_tied = true,
     .window_rule = CONFIG_WINDOW_NO_ROPE,
     .rope_rule = CONFIG_ROPE_LISTED,
     .theta = 2e6},
    {.model_type = "granite", .max_positions = 2048, .scale_rule = CONFIG_SCALE_GRANITE},
    {.model_type = "cohere2",
     .max_positions = 8192,
     .norm_eps = 1e-5,
     .norm_field = "layer_norm_eps",
     .is_tied = true,
     .is_parallel = true,
     .window = 4096,
     .window_rule = CONFIG_WINDOW_PATTERN,
     .window_pattern = 4,
     .rope_rule = CONFIG_ROPE_WINDOWED,
     .scale_rule = CONFIG_SCALE_COHERE,
     .logit_scale = 0.0625},
    {.model_type = "starcoder2",
     .max_positions = 4096,
     .n_kv_heads = 2,
     .norm_eps = 1e-5,
     .norm_field = "norm_epsilon",
     .activation = "gelu_pytorch_tanh",
     .is_tied = true,
     .has_bias = true,
     .window_rule = CONFIG_WINDOW_ALL},
    {.model_type = "stablelm",
     .max_positions = 4096,
     .norm_eps = 1e-5,
     .norm_field = "layer_norm_eps",
     .rotary_part = 0.25},
    {.model_type = "gpt2",
     .max_positions = 1024,
     .norm_eps = 1e-5,
     .norm_field = "layer_norm_epsilon",
     .activation = "gelu_new",
     .is_tied = true,
     .rope_rule = CONFIG_ROPE_NEVER,
     .scale_rule = CONFIG_SCALE_GPT2},
    {.model_type = "gpt_neox",
     .max_positions = 2048,
     .norm_eps = 1e-5,
     .norm_field = "layer_norm_eps",
     .activation = "gelu",
     .has_attention_bias = true,
     .is_parallel = true,
     .rotary_part = 0.25},
    {.model_type = "mixtral",
     .max_positions = 131072,
     .n_kv_heads = 8,
     .norm_eps = 1e-5,
     .window_rule = CONFIG_WINDOW_ALL,
     .theta = 1e6,
     .expert_rule = CONFIG_EXPERTS_ALL,
     .n_experts = 8,
     .top_k = 2,
     .is_normalised = true},
    {.model_type = "qwen2_moe",
     .max_positions = 32768,
     .n_kv_heads = 16,
     .has_qkv_bias = true,
     .window = 4096,
     .window_rule = CONFIG_WINDOW_SWITCH,
     .expert_rule = CONFIG_EXPERTS_SPARSE,
     .n_experts = 60,
     .top_k = 4,
     .expert_ffn = 1408,
     .shared_ffn = 5632},
    {.model_type = "qwen3_moe",
     .max_positions = 32768,
     .n_kv_heads = 4,
     .window = 4096,
     .window_rule = CONFIG_WINDOW_SWITCH,
     .expert_rule = CONFIG_EXPERTS_SPARSE,
     .n_experts = 128,
     .top_k = 8,
     .expert_ffn = 768},
    {.model_type = "gpt_oss",
     .max_positions = 131072,
     .n_kv_heads = 8,
     .head_dim = 64,
     .norm_eps = 1e-5,
     .has_attention_bias = true,
     .window = 128,
     .window_rule = CONFIG_WINDOW_PATTERN,
     .window_pattern = 2,
     .theta = 150000,
     .glu_limit = 7,
     .expert_rule = CONFIG_EXPERTS_ALL,
     .n_experts = 128,
     .top_k = 4,
     .is_normalised = true},
    {.model_type = "deepseek_v3",
     .max_positions = 4096,
     .expert_rule = CONFIG_EXPERTS_LATE,
     .n_experts = 256,
     .top_k = 8,
     .expert_ffn = 2048,
     .is_normalised = true,
     .latent = {.q_rank = 1536, .kv_rank = 512, .nope_dim = 128, .rope_dim = 64, .value_dim = 128}},
    {.model_type = "qwen3_next",
     .max_positions = 32768,
     .n_kv_heads = 2,
     .head_dim = 256,
     .window_pattern = 4,
     .rotary_part = 0.25,
     .expert_rule = CONFIG_EXPERTS_SPARSE,
     .n_experts = 512,
     .top_k = 10,
     .expert_ffn = 512,
     .shared_ffn = 512,
     .is_normalised = true,
     .linear = GATED_DELTA},
#define QWEN3_5                                                                                    \
    .max_positions = 32768, .head_dim = 256, .window_pattern = 4, .rotary_part = 0.25,             \
    .linear = GATED_DELTA
    {.model_type = "qwen3_5", .n_kv_heads = 4, QWEN3_5},
    {.model_type = "qwen3_5_text", .n_kv_heads = 4, QWEN3_5},
/* Without a dense layer nothing has intermediate_size, and files leave it out. */
#define QWEN3_5_MOE                                                                                \
    .ffn = 512, .n_kv_heads = 2, QWEN3_5, .expert_rule = CONFIG_EXPERTS_ALL, .n_experts = 256,     \
    .top_k = 8, .expert_ffn = 512, .shared_ffn = 512, .is_normalised = true
    {.model_type = "qwen3_5_moe", QWEN3_5_MOE},
    {.model_type = "qwen3_5_moe_text", QWEN3_5_MOE},
#undef QWEN3_5_MOE
#undef QWEN3_5
#define ENCODER                                                                                    \
    .is_encoder = true, .max_positions = 512, .norm_eps = 1e-12, .norm_field = "layer_norm_eps",   \
    .activation = "gelu", .rope_rule = CONFIG_ROPE_NEVER
    {.model_type = "bert", ENCODER, .n_types = 2},
    {.model_type = "roberta", ENCODER, .n_types = 2, .position_rule = CONFIG_POSITIONS_AFTER_PAD},
    {.model_type = "xlm-roberta",
     ENCODER,
     .n_types = 2,
     .position_rule = CONFIG_POSITIONS_AFTER_PAD},
    {.model_type = "mpnet", ENCODER, .position_rule = CONFIG_POSITIONS_FROM_TWO, .n_buckets = 32},
    {.model_type = "distilbert", ENCODER, .activation_field = "activation"},
#undef ENCODER
    {.model_type = "modernbert",
     .is_encoder = true,
     .max_positions = 8192,
     .norm_eps = 1e-5,
     .norm_field = "norm_eps",
     .activation = "gelu",
     .activation_field = "hidden_activation",
     .window = 128,
     .window_rule = CONFIG_WINDOW_AROUND,
     .window_pattern = 3,
     .theta = 160000,
     .local_theta = 10000},
};

static const config_defaults unknown = {
    .model_type = "",
    .max_positions = 2048,
    .window_rule = CONFIG_WINDOW_PATTERN,
    .rotary_part = 1,
};

const config_defaults *krs_config_defaults_of(const char *model_type)
{
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        if (strcmp(families[i].model_type, model_type) == 0) {
            return &families[i];
        }
    }
    return &unknown;
}
