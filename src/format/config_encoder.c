/* format/config_encoder.c - what only encoders' files say: learned positions, token types, buckets of
 * relative distance, biases of norms.
 *
 * RoBERTa and its relatives count positions from one past the padding id, so a table of 514 rows serves 512
 * tokens; max_positions is what is left. Settings that would make it another network (a decoder of BERT's
 * shape, relative keys) are refused: the weights would bind all the same.
 *
 * Source: transformers 5.17, configuration_{bert,roberta,xlm_roberta,mpnet,distilbert,modernbert}.py. */
#include "format/config_priv.h"

#include <string.h>

#define MAX_TYPES   4096
#define MAX_BUCKETS 4096
#define MPNET_PAD   1 /* built into its class, whatever pad_token_id says */

static krs_status check_absolute(const json_t *text, krs_error *err)
{
    char type[64] = "absolute";
    bool is_decoder = false;
    krs_status status =
        krs_config_copy_str(text, "position_embedding_type", type, sizeof(type), err);
    if (status == KRS_OK && strcmp(type, "absolute") != 0) {
        return krs_fail_field(err, KRS_EUNSUPPORTED, "position_embedding_type",
                              "position_embedding_type: %s, want absolute", type);
    }
    if (status == KRS_OK) {
        status = krs_json_get_bool(text, "is_decoder", &is_decoder, err);
    }
    if (status == KRS_OK && is_decoder) {
        return krs_fail_field(err, KRS_EUNSUPPORTED, "is_decoder",
                              "is_decoder: true; only encoders of this family are known");
    }
    return status;
}

static krs_status read_positions(const json_t *text, const config_defaults *family,
                                 krs_model_config *config, krs_error *err)
{
    int64_t pad = MPNET_PAD;
    krs_status status = KRS_OK;
    if (family->position_rule == CONFIG_POSITIONS_AFTER_PAD) {
        status = krs_json_get_int(text, "pad_token_id", 0, KRS_CONFIG_MAX_VOCAB - 1, &pad, err);
    }
    if (status != KRS_OK || family->position_rule == CONFIG_POSITIONS_FROM_ZERO) {
        return status;
    }
    if (pad + 1 >= config->max_positions) {
        return krs_fail_field(err, KRS_EFORMAT, "max_position_embeddings",
                              "max_position_embeddings: %lld, but positions begin at %lld",
                              (long long)config->max_positions, (long long)pad + 1);
    }
    config->position_offset = (int32_t)pad + 1;
    config->max_positions -= config->position_offset;
    return KRS_OK;
}

static krs_status read_buckets(const json_t *text, krs_model_config *config, krs_error *err)
{
    const char *field = "relative_attention_num_buckets";
    const krs_status status =
        krs_config_get_int32(text, field, 4, MAX_BUCKETS, &config->n_buckets, err);
    if (status == KRS_OK && config->n_buckets % 4 != 0) {
        return krs_fail_field(err, KRS_EFORMAT, field, "%s: %d, want a multiple of 4", field,
                              config->n_buckets);
    }
    return status;
}

krs_status krs_config_read_encoder(const json_t *text, const config_defaults *family,
                                   krs_model_config *config, krs_error *err)
{
    config->is_encoder = family->is_encoder;
    if (!family->is_encoder) {
        return KRS_OK;
    }
    config->n_types = family->n_types;
    config->n_buckets = family->n_buckets;
    krs_status status = check_absolute(text, err);
    if (status == KRS_OK) {
        status = read_positions(text, family, config, err);
    }
    if (status == KRS_OK && family->n_types > 0) {
        status = krs_config_get_int32(text, "type_vocab_size", 1, MAX_TYPES, &config->n_types, err);
    }
    if (status == KRS_OK && family->n_buckets > 0) {
        status = read_buckets(text, config, err);
    }
    return status == KRS_OK ? krs_json_get_bool(text, "norm_bias", &config->has_norm_bias, err)
                            : status;
}
