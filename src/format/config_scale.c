/* format/config_scale.c - multipliers, soft-caps, biases, activation: the numbers and switches by which
 * families differ without being another network.
 *
 * A multiplier is only read where the family has one: a field that a class ignores must not change the
 * answer.
 *
 * Source: transformers 5.17, configuration_{gemma,gemma2,gemma3,granite,cohere2,gpt2,starcoder2,stablelm,
 * gpt_neox}.py. */
#include "format/config_priv.h"

#include <math.h>
#include <stdio.h>

#define MAX_MULTIPLIER 1e6  /* larger than any that a model survives */
#define MIN_MULTIPLIER 1e-9 /* smaller */

/* A multiplier: a finite number above 0. */
static krs_status get_scale(const json_t *text, const char *field, double *out, krs_error *err)
{
    return krs_json_get_double(text, field, MIN_MULTIPLIER, MAX_MULTIPLIER, out, err);
}

/* A soft-cap: null is none, absent is the family's. */
static krs_status get_softcap(const json_t *text, const char *field, double family, double *out,
                              krs_error *err)
{
    *out = json_is_null(json_object_get(text, field)) ? 0 : family;
    return get_scale(text, field, out, err);
}

static krs_status read_gemma2(const json_t *text, const config_defaults *family,
                              krs_model_config *config, krs_error *err)
{
    double scalar = family->query_scalar;
    bool is_encoder = false;
    krs_status status = get_scale(text, "query_pre_attn_scalar", &scalar, err);
    config->attention_scale = 1.0 / sqrt(scalar);
    if (status == KRS_OK) {
        status = get_softcap(text, "attn_logit_softcapping", family->attention_softcap,
                             &config->attention_softcap, err);
    }
    if (status == KRS_OK) {
        status = get_softcap(text, "final_logit_softcapping", family->logit_softcap,
                             &config->logit_softcap, err);
    }
    if (status == KRS_OK) {
        status = krs_json_get_bool(text, "use_bidirectional_attention", &is_encoder, err);
    }
    if (status == KRS_OK && is_encoder) {
        return krs_fail_field(err, KRS_EUNSUPPORTED, "use_bidirectional_attention",
                              "use_bidirectional_attention: true, an encoder; only decoders of "
                              "this family are known");
    }
    return status;
}

static krs_status read_granite(const json_t *text, krs_model_config *config, krs_error *err)
{
    double logits = 1.0;
    config->attention_scale = 1.0;
    krs_status status = get_scale(text, "embedding_multiplier", &config->embedding_scale, err);
    if (status == KRS_OK) {
        status = get_scale(text, "residual_multiplier", &config->residual_scale, err);
    }
    if (status == KRS_OK) {
        status = get_scale(text, "attention_multiplier", &config->attention_scale, err);
    }
    if (status == KRS_OK) {
        status = get_scale(text, "logits_scaling", &logits, err);
    }
    config->logit_scale = 1.0 / logits;
    return status;
}

static krs_status read_gpt2(const json_t *text, krs_model_config *config, krs_error *err)
{
    bool is_scaled = true;
    krs_status status = krs_json_get_bool(text, "scale_attn_weights", &is_scaled, err);
    if (status == KRS_OK) {
        status = krs_json_get_bool(text, "scale_attn_by_inverse_layer_idx",
                                   &config->is_scale_by_layer, err);
    }
    config->attention_scale = is_scaled ? config->attention_scale : 1.0;
    return status;
}

/* 1 / sqrt(elements of a query); deepseek_v3 takes yarn's stretch into it, squared, rather than into cos and
 * sin. */
static double attention_scale_of(const krs_model_config *config)
{
    const krs_latent_config *latent = &config->latent;
    const krs_rope_config *rope = &config->rope;
    if (latent->kv_rank == 0) {
        return 1.0 / sqrt((double)config->head_dim);
    }
    const double scale = 1.0 / sqrt((double)latent->nope_dim + (double)latent->rope_dim);
    const bool is_stretched = rope->kind != KRS_ROPE_DEFAULT && rope->factor > 1;
    const double stretch = is_stretched ? 0.1 * rope->mscale_all_dim * log(rope->factor) + 1 : 1;
    return scale * stretch * stretch;
}

krs_status krs_config_read_scales(const json_t *text, const config_defaults *family,
                                  krs_model_config *config, krs_error *err)
{
    config->embedding_scale = 1.0;
    config->residual_scale = 1.0;
    config->logit_scale = 1.0;
    config->attention_scale = attention_scale_of(config);
    switch (family->scale_rule) {
    case CONFIG_SCALE_GEMMA:
    case CONFIG_SCALE_GEMMA2:
        config->embedding_scale = sqrt((double)config->hidden);
        return family->scale_rule == CONFIG_SCALE_GEMMA2 ? read_gemma2(text, family, config, err)
                                                         : KRS_OK;
    case CONFIG_SCALE_GRANITE:
        return read_granite(text, config, err);
    case CONFIG_SCALE_COHERE:
        config->logit_scale = family->logit_scale;
        return get_scale(text, "logit_scale", &config->logit_scale, err);
    case CONFIG_SCALE_GPT2:
        return read_gpt2(text, config, err);
    case CONFIG_SCALE_NONE:
        break;
    }
    return KRS_OK;
}

krs_status krs_config_read_norm_eps(const json_t *text, const config_defaults *family,
                                    krs_model_config *config, krs_error *err)
{
    const char *const names[] = {family->norm_field ? family->norm_field : "rms_norm_eps",
                                 "layer_norm_eps", "layer_norm_epsilon", "norm_epsilon"};
    config->norm_eps = family->norm_eps > 0 ? family->norm_eps : 1e-6;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const json_t *value = json_object_get(text, names[i]);
        if (value && (i == 0 || json_is_number(value))) {
            return krs_json_get_double(text, names[i], 1e-20, 1.0, &config->norm_eps, err);
        }
    }
    return KRS_OK;
}

/* "hidden_act", "activation_function" or the family's own field, which wins. */
static krs_status read_activation(const json_t *text, const config_defaults *family,
                                  krs_model_config *config, krs_error *err)
{
    const char *names[] = {"activation_function", "hidden_activation", "hidden_act",
                           family->activation_field};
    (void)snprintf(config->activation, sizeof(config->activation), "%s",
                   family->activation ? family->activation : "silu");
    krs_status status = KRS_OK;
    for (size_t i = 0; status == KRS_OK && i < sizeof(names) / sizeof(names[0]); i++) {
        if (names[i]) {
            status = krs_config_copy_str(text, names[i], config->activation,
                                         sizeof(config->activation), err);
        }
    }
    return status;
}

krs_status krs_config_read_switches(const json_t *text, const config_defaults *family,
                                    krs_model_config *config, krs_error *err)
{
    bool has_bias = family->has_bias;
    config->has_attention_bias = family->has_attention_bias;
    config->has_qkv_bias = family->has_qkv_bias;
    config->is_parallel = family->is_parallel;
    const struct {
        const char *field;
        bool *out;
    } switches[] = {
        {"use_bias", &has_bias},
        {"attention_bias", &config->has_attention_bias},
        {"mlp_bias", &config->has_mlp_bias},
        {"qkv_bias", &config->has_qkv_bias},
        {"use_qkv_bias", &config->has_qkv_bias},
        {"qk_layernorm", &config->has_qk_norm},
        {"use_parallel_residual", &config->is_parallel},
    };
    krs_status status = read_activation(text, family, config, err);
    for (size_t i = 0; status == KRS_OK && i < sizeof(switches) / sizeof(switches[0]); i++) {
        status = krs_json_get_bool(text, switches[i].field, switches[i].out, err);
    }
    if (family->has_bias) {
        config->has_attention_bias = has_bias;
        config->has_mlp_bias = has_bias;
    }
    return status;
}
