/* format/config_expert.c - mixtures of experts, latent attention, recurrent layers: the sizes that only
 * some families have.
 *
 * Source: transformers 5.17, configuration_{mixtral,qwen2_moe,qwen3_moe,gpt_oss,deepseek_v3,qwen3_next,
 * qwen3_5}.py. */
#include "format/config_priv.h"

#define DEFAULT_FIRST_DENSE 3 /* first_k_dense_replace of deepseek_v3 */
#define DEFAULT_GROUPS      8 /* its n_group, and */
#define DEFAULT_TOP_GROUPS  4 /* topk_group */
#define DEFAULT_SCALE       2.5
#define GLU_ALPHA           1.702 /* of gpt_oss, built into its class */

/* One field of a struct, from 1 to max. */
typedef struct config_field {
    const char *name;
    int32_t max;
    int32_t *out;
} config_field;

static krs_status get_fields(const json_t *text, const config_field *fields, size_t n,
                             krs_error *err)
{
    krs_status status = KRS_OK;
    for (size_t i = 0; status == KRS_OK && i < n; i++) {
        status = krs_config_get_int32(text, fields[i].name, 1, fields[i].max, fields[i].out, err);
    }
    return status;
}

static krs_status read_sparse_layers(const json_t *text, krs_model_config *config, krs_error *err)
{
    int64_t every = 1;
    json_t *dense = NULL;
    krs_status status =
        krs_json_get_int(text, "decoder_sparse_step", 1, KRS_CONFIG_MAX_LAYERS, &every, err);
    if (status == KRS_OK) {
        status = krs_json_get_tree(text, "mlp_only_layers", JSON_ARRAY, &dense, err);
    }
    for (int32_t i = 0; status == KRS_OK && i < config->n_layers; i++) {
        bool is_dense = (i + 1) % every != 0;
        for (size_t k = 0; k < json_array_size(dense); k++) {
            is_dense = is_dense || json_integer_value(json_array_get(dense, k)) == i;
        }
        if (!is_dense) {
            krs_layer_set_add(&config->experts.layers, i);
        }
    }
    return status;
}

static krs_status read_layers(const json_t *text, const config_defaults *family,
                              krs_model_config *config, krs_error *err)
{
    int64_t first = family->expert_rule == CONFIG_EXPERTS_LATE ? DEFAULT_FIRST_DENSE : 0;
    if (family->expert_rule == CONFIG_EXPERTS_SPARSE) {
        return read_sparse_layers(text, config, err);
    }
    krs_status status = KRS_OK;
    if (family->expert_rule == CONFIG_EXPERTS_LATE) {
        status =
            krs_json_get_int(text, "first_k_dense_replace", 0, KRS_CONFIG_MAX_LAYERS, &first, err);
    }
    for (int64_t i = first; i < config->n_layers; i++) {
        krs_layer_set_add(&config->experts.layers, (int32_t)i);
    }
    return status;
}

/* deepseek_v3's choice among groups of experts, and its shared experts. */
static krs_status read_groups(const json_t *text, krs_expert_config *out, krs_error *err)
{
    int32_t n_shared = 1;
    out->n_groups = DEFAULT_GROUPS;
    out->top_groups = DEFAULT_TOP_GROUPS;
    out->scale = DEFAULT_SCALE;
    const config_field fields[] = {{"n_group", KRS_CONFIG_MAX_EXPERTS, &out->n_groups},
                                   {"topk_group", KRS_CONFIG_MAX_EXPERTS, &out->top_groups}};
    krs_status status = get_fields(text, fields, 2, err);
    if (status == KRS_OK) {
        status = krs_config_get_int32(text, "n_shared_experts", 0, KRS_CONFIG_MAX_EXPERTS,
                                      &n_shared, err);
    }
    if (status == KRS_OK) {
        status = krs_json_get_double(text, "routed_scaling_factor", 1e-6, CONFIG_MAX_FACTOR,
                                     &out->scale, err);
    }
    out->shared_ffn = n_shared * out->ffn;
    if (status == KRS_OK && out->n % out->n_groups != 0) {
        return krs_fail_field(err, KRS_EFORMAT, "n_group",
                              "n_group: %d does not divide the %d experts", out->n_groups, out->n);
    }
    if (status == KRS_OK && out->top_groups > out->n_groups) {
        return krs_fail_field(err, KRS_EFORMAT, "topk_group", "topk_group: %d of %d groups",
                              out->top_groups, out->n_groups);
    }
    return status;
}

static krs_status check_experts(const krs_expert_config *experts, krs_error *err)
{
    if (experts->top_k > experts->n) {
        return krs_fail_field(err, KRS_EFORMAT, "num_experts_per_tok",
                              "num_experts_per_tok: %d of %d experts", experts->top_k, experts->n);
    }
    const int32_t reachable = experts->n / experts->n_groups * experts->top_groups;
    if (experts->top_k > reachable) {
        return krs_fail_field(err, KRS_EFORMAT, "num_experts_per_tok",
                              "num_experts_per_tok: %d, but topk_group leaves %d experts",
                              experts->top_k, reachable);
    }
    return KRS_OK;
}

/* How many experts, how wide, how many for a token. */
static krs_status read_counts(const json_t *text, const config_defaults *family,
                              krs_expert_config *out, krs_error *err)
{
    const config_field fields[] = {
        {krs_config_spelling(text, "num_experts"), KRS_CONFIG_MAX_EXPERTS, &out->n},
        {"num_experts_per_tok", KRS_CONFIG_MAX_EXPERTS, &out->top_k},
    };
    krs_status status = get_fields(text, fields, 2, err);
    if (status == KRS_OK && family->expert_ffn) {
        status = krs_json_get_int(text, "moe_intermediate_size", 1, KRS_CONFIG_MAX_WIDTH, &out->ffn,
                                  err);
    }
    if (status == KRS_OK && family->shared_ffn) {
        status = krs_json_get_int(text, "shared_expert_intermediate_size", 0, KRS_CONFIG_MAX_WIDTH,
                                  &out->shared_ffn, err);
    }
    return status == KRS_OK ? krs_json_get_bool(text, "norm_topk_prob", &out->is_normalised, err)
                            : status;
}

/* gpt_oss's clamp. */
static krs_status read_limit(const json_t *text, const config_defaults *family,
                             krs_model_config *config, krs_error *err)
{
    config->glu_limit = family->glu_limit;
    config->glu_alpha = GLU_ALPHA;
    return family->glu_limit > 0 ? krs_json_get_double(text, "swiglu_limit", 1e-3,
                                                       CONFIG_MAX_FACTOR, &config->glu_limit, err)
                                 : KRS_OK;
}

krs_status krs_config_read_experts(const json_t *text, const config_defaults *family,
                                   krs_model_config *config, krs_error *err)
{
    krs_expert_config *out = &config->experts;
    if (family->expert_rule == CONFIG_EXPERTS_NEVER) {
        return KRS_OK;
    }
    *out = (krs_expert_config){.n = family->n_experts,
                               .top_k = family->top_k,
                               .ffn = family->expert_ffn ? family->expert_ffn : config->ffn,
                               .shared_ffn = family->shared_ffn,
                               .is_normalised = family->is_normalised,
                               .scale = 1.0,
                               .n_groups = 1,
                               .top_groups = 1};
    krs_status status = read_counts(text, family, out, err);
    if (status == KRS_OK && family->expert_rule == CONFIG_EXPERTS_LATE) {
        status = read_groups(text, out, err);
    }
    if (status == KRS_OK) {
        status = read_layers(text, family, config, err);
    }
    if (status == KRS_OK) {
        status = read_limit(text, family, config, err);
    }
    return status == KRS_OK ? check_experts(out, err) : status;
}

krs_status krs_config_read_latent(const json_t *text, const config_defaults *family,
                                  krs_model_config *config, krs_error *err)
{
    krs_latent_config *out = &config->latent;
    *out = family->latent;
    if (out->kv_rank == 0) {
        return KRS_OK;
    }
    /* null: queries come from one projection (DeepSeek-V2-Lite's way). */
    const bool is_plain = json_is_null(json_object_get(text, "q_lora_rank"));
    const config_field fields[] = {
        {"q_lora_rank", KRS_CONFIG_MAX_WIDTH, &out->q_rank},
        {"kv_lora_rank", KRS_CONFIG_MAX_WIDTH, &out->kv_rank},
        {"qk_nope_head_dim", KRS_CONFIG_MAX_HEAD_DIM, &out->nope_dim},
        {"qk_rope_head_dim", KRS_CONFIG_MAX_HEAD_DIM, &out->rope_dim},
        {"v_head_dim", KRS_CONFIG_MAX_HEAD_DIM, &out->value_dim},
    };
    const krs_status status = get_fields(text, fields, sizeof(fields) / sizeof(fields[0]), err);
    out->q_rank = is_plain ? 0 : out->q_rank;
    if (status == KRS_OK && out->rope_dim % 2 != 0) {
        return krs_fail_field(err, KRS_EFORMAT, "qk_rope_head_dim",
                              "qk_rope_head_dim: %d is odd; rotary embedding turns pairs",
                              out->rope_dim);
    }
    config->is_rope_interleaved = true;
    return status == KRS_OK
               ? krs_json_get_bool(text, "rope_interleave", &config->is_rope_interleaved, err)
               : status;
}

krs_status krs_config_read_linear(const json_t *text, const config_defaults *family,
                                  krs_model_config *config, krs_error *err)
{
    krs_linear_config *out = &config->linear;
    *out = family->linear;
    if (out->kernel == 0) {
        return KRS_OK;
    }
    const config_field fields[] = {
        {"linear_conv_kernel_dim", KRS_CONFIG_MAX_HEAD_DIM, &out->kernel},
        {"linear_num_key_heads", KRS_CONFIG_MAX_HEADS, &out->n_k_heads},
        {"linear_num_value_heads", KRS_CONFIG_MAX_HEADS, &out->n_v_heads},
        {"linear_key_head_dim", KRS_CONFIG_MAX_HEAD_DIM, &out->k_dim},
        {"linear_value_head_dim", KRS_CONFIG_MAX_HEAD_DIM, &out->v_dim},
    };
    const krs_status status = get_fields(text, fields, sizeof(fields) / sizeof(fields[0]), err);
    if (status == KRS_OK && out->n_v_heads % out->n_k_heads != 0) {
        return krs_fail_field(
            err, KRS_EFORMAT, "linear_num_value_heads",
            "linear_num_value_heads: %d is no multiple of linear_num_key_heads %d", out->n_v_heads,
            out->n_k_heads);
    }
    return status;
}
