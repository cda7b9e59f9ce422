/* format/config_size.c - the sizes of a network, and what they must have to do with each other.
 *
 * gpt2, distilbert and their relatives spell the common fields their own way; both spellings are read for every family,
 * as transformers' attribute maps do.
 *
 * Source: transformers 5.17, configuration_*.py. */
#include "format/config_priv.h"

static const struct {
    const char *field;
    const char *other;
} spellings[] = {
    {"num_hidden_layers", "n_layer"},
    {"num_hidden_layers", "n_layers"},
    {"num_attention_heads", "n_head"},
    {"num_attention_heads", "n_heads"},
    {"hidden_size", "n_embd"},
    {"hidden_size", "dim"},
    {"intermediate_size", "n_inner"},
    {"intermediate_size", "hidden_dim"},
    {"max_position_embeddings", "n_positions"},
    {"num_experts", "num_local_experts"},
    {"num_experts", "n_routed_experts"},
};

const char *krs_config_spelling(const json_t *text, const char *field)
{
    const json_t *value = json_object_get(text, field);
    for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++) {
        if ((!value || json_is_null(value)) && strcmp(spellings[i].field, field) == 0 &&
            json_object_get(text, spellings[i].other)) {
            return spellings[i].other;
        }
    }
    return field;
}

/* An integer from 1 to max; without a default (*out 0) it must be there. */
static krs_status get_size(const json_t *text, const char *field, int64_t max, int64_t *out,
                           krs_error *err)
{
    const char *name = krs_config_spelling(text, field);
    const krs_status status = krs_json_get_int(text, name, 1, max, out, err);
    if (status == KRS_OK && *out == 0) {
        return krs_fail_field(err, KRS_EINVAL, field, "%s: missing", field);
    }
    return status;
}

krs_status krs_config_get_int32(const json_t *object, const char *field, int32_t min, int32_t max,
                                int32_t *out, krs_error *err)
{
    int64_t n = *out;
    const krs_status status = krs_json_get_int(object, field, min, max, &n, err);
    *out = (int32_t)n;
    return status;
}

/* Where the width is called n_embd, n_inner may be null or not there, as in gpt2's own files: it is four times
 * the width then. */
static krs_status get_ffn(const json_t *text, krs_model_config *config, krs_error *err)
{
    if (strcmp(krs_config_spelling(text, "hidden_size"), "n_embd") == 0) {
        config->ffn = 4 * config->hidden;
    }
    return get_size(text, "intermediate_size", KRS_CONFIG_MAX_WIDTH, &config->ffn, err);
}

krs_status krs_config_read_sizes(const json_t *text, const config_defaults *family,
                                 krs_model_config *config, krs_error *err)
{
    int64_t n_layers = family->n_layers;
    int64_t n_heads = family->n_heads;
    config->hidden = family->hidden;
    config->ffn = family->ffn;
    config->vocab = family->vocab;
    config->max_positions = family->max_positions;
    krs_status status = get_size(text, "num_hidden_layers", KRS_CONFIG_MAX_LAYERS, &n_layers, err);
    if (status == KRS_OK) {
        status = get_size(text, "num_attention_heads", KRS_CONFIG_MAX_HEADS, &n_heads, err);
    }
    if (status == KRS_OK) {
        status = get_size(text, "hidden_size", KRS_CONFIG_MAX_WIDTH, &config->hidden, err);
    }
    if (status == KRS_OK) {
        status = get_ffn(text, config, err);
    }
    if (status == KRS_OK) {
        status = get_size(text, "vocab_size", KRS_CONFIG_MAX_VOCAB, &config->vocab, err);
    }
    if (status == KRS_OK) {
        status = get_size(text, "max_position_embeddings", KRS_CONFIG_MAX_CONTEXT,
                          &config->max_positions, err);
    }
    config->n_layers = (int32_t)n_layers;
    config->n_heads = (int32_t)n_heads;
    return status;
}

static krs_status check_heads(const krs_model_config *config, krs_error *err)
{
    if (config->n_heads % config->n_kv_heads != 0) {
        return krs_fail_field(err, KRS_EFORMAT, "num_key_value_heads",
                              "num_key_value_heads: %d does not divide num_attention_heads %d",
                              config->n_kv_heads, config->n_heads);
    }
    if (config->head_dim % 2 != 0) {
        return krs_fail_field(err, KRS_EFORMAT, "head_dim",
                              "head_dim: %d is odd; rotary embedding turns pairs",
                              config->head_dim);
    }
    return KRS_OK;
}

krs_status krs_config_read_heads(const json_t *text, const config_defaults *family,
                                 krs_model_config *config, krs_error *err)
{
    config->n_kv_heads = family->n_kv_heads ? family->n_kv_heads : config->n_heads;
    config->head_dim = family->head_dim;
    krs_status status = krs_config_get_int32(text, "num_key_value_heads", 1, KRS_CONFIG_MAX_HEADS,
                                             &config->n_kv_heads, err);
    if (status == KRS_OK) {
        status = krs_config_get_int32(text, "head_dim", 1, KRS_CONFIG_MAX_HEAD_DIM,
                                      &config->head_dim, err);
    }
    if (status != KRS_OK) {
        return status;
    }
    if (config->head_dim == 0 && config->hidden % config->n_heads != 0) {
        return krs_fail_field(err, KRS_EFORMAT, "num_attention_heads",
                              "num_attention_heads: %d does not divide hidden_size %lld, and there "
                              "is no head_dim",
                              config->n_heads, (long long)config->hidden);
    }
    if (config->head_dim == 0) {
        config->head_dim = (int32_t)(config->hidden / config->n_heads);
    }
    return check_heads(config, err);
}
