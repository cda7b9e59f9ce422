/* format/config_rope.c - rotary embedding settings, in the three forms that files have.
 *
 *   transformers 4:  "rope_theta": t, "rope_scaling": null | {"rope_type" or "type": k, ...}
 *   transformers 5:  "rope_parameters": {"rope_theta": t, "rope_type": k, ...}
 *   per layer type:  "rope_parameters": {"full_attention": {...}, "sliding_attention": {...}}
 *
 * The last form is accepted where all its layer types say the same, since one set of tables is all
 * that the families here have. Anything that would change the rotation and is not known is refused:
 * a model with the wrong rotation still talks, only wrongly.
 *
 * Source: transformers 5.17, modeling_rope_utils.py and configuration_utils.py. */
#include "format/config_priv.h"

#define DEFAULT_THETA 10000.0

static krs_status read_kind(const json_t *rope, krs_rope_kind *out, krs_error *err)
{
    static const struct {
        const char *name;
        krs_rope_kind kind;
    } kinds[] = {
        {"default", KRS_ROPE_DEFAULT},
        {"linear", KRS_ROPE_LINEAR},
        {"llama3", KRS_ROPE_LLAMA3},
        {"yarn", KRS_ROPE_YARN},
    };
    char name[64] = "default";
    krs_status status = krs_config_copy_str(rope, "type", name, sizeof(name), err);
    if (status == KRS_OK) {
        status = krs_config_copy_str(rope, "rope_type", name, sizeof(name), err);
    }
    if (status != KRS_OK) {
        return status;
    }
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(name, kinds[i].name) == 0) {
            *out = kinds[i].kind;
            return KRS_OK;
        }
    }
    return krs_fail_field(err, KRS_EUNSUPPORTED, "rope_type",
                          "rope_type: %s, want default, linear, llama3 or yarn", name);
}

/* A number > 0 that this kind cannot do without. */
static krs_status need_double(const json_t *rope, const char *field, double min, double *out,
                              krs_error *err)
{
    if (!json_is_number(json_object_get(rope, field))) {
        return krs_fail_field(err, KRS_EINVAL, field, "%s: missing in the rope settings", field);
    }
    return krs_json_get_double(rope, field, min, CONFIG_MAX_FACTOR, out, err);
}

static krs_status read_llama3(const json_t *rope, krs_rope_config *out, krs_error *err)
{
    krs_status status = need_double(rope, "low_freq_factor", 1e-3, &out->low_freq_factor, err);
    if (status == KRS_OK) {
        status = need_double(rope, "high_freq_factor", 1e-3, &out->high_freq_factor, err);
    }
    if (status == KRS_OK && out->high_freq_factor < out->low_freq_factor) {
        return krs_fail_field(err, KRS_EFORMAT, "high_freq_factor",
                              "high_freq_factor: %g is below low_freq_factor %g",
                              out->high_freq_factor, out->low_freq_factor);
    }
    return status;
}

static krs_status read_yarn(const json_t *rope, krs_rope_config *out, krs_error *err)
{
    out->beta_fast = 32.0;
    out->beta_slow = 1.0;
    out->is_truncated = true;
    krs_status status =
        krs_json_get_double(rope, "beta_fast", 1e-3, CONFIG_MAX_FACTOR, &out->beta_fast, err);
    if (status == KRS_OK) {
        status =
            krs_json_get_double(rope, "beta_slow", 1e-3, CONFIG_MAX_FACTOR, &out->beta_slow, err);
    }
    if (status == KRS_OK) {
        status = krs_json_get_double(rope, "attention_factor", 0.0, CONFIG_MAX_FACTOR,
                                     &out->attention_factor, err);
    }
    if (status == KRS_OK) {
        status = krs_json_get_double(rope, "mscale", 0.0, CONFIG_MAX_FACTOR, &out->mscale, err);
    }
    if (status == KRS_OK) {
        status = krs_json_get_double(rope, "mscale_all_dim", 0.0, CONFIG_MAX_FACTOR,
                                     &out->mscale_all_dim, err);
    }
    if (status == KRS_OK) {
        status = krs_json_get_bool(rope, "truncate", &out->is_truncated, err);
    }
    if (status == KRS_OK && out->beta_fast < out->beta_slow) {
        return krs_fail_field(err, KRS_EFORMAT, "beta_fast", "beta_fast: %g is below beta_slow %g",
                              out->beta_fast, out->beta_slow);
    }
    return status;
}

/* The stretched kinds: how far, and from which length. */
static krs_status read_stretch(const json_t *rope, krs_rope_config *out, krs_error *err)
{
    krs_status status = need_double(rope, "factor", 1.0, &out->factor, err);
    if (status == KRS_OK) {
        status = krs_json_get_int(rope, "original_max_position_embeddings", 1,
                                  KRS_CONFIG_MAX_CONTEXT, &out->original_max_positions, err);
    }
    if (status == KRS_OK && out->kind == KRS_ROPE_LLAMA3) {
        status = read_llama3(rope, out, err);
    }
    if (status == KRS_OK && out->kind == KRS_ROPE_YARN) {
        status = read_yarn(rope, out, err);
    }
    return status;
}

/* Rotating only a part of each head is another family's business. */
static krs_status check_partial(const json_t *object, krs_error *err)
{
    double part = 1.0;
    const krs_status status =
        krs_json_get_double(object, "partial_rotary_factor", 0.0, 1.0, &part, err);
    if (status == KRS_OK && part != 1.0) {
        return krs_fail_field(err, KRS_EUNSUPPORTED, "partial_rotary_factor",
                              "partial_rotary_factor: %g, only 1 is known", part);
    }
    return status;
}

/* Narrow per-layer-type settings to one: *rope is an entry of it, or as it was. */
static krs_status narrow(json_t **rope, krs_error *err)
{
    const char *key;
    json_t *value;
    json_t *first = NULL;
    json_object_foreach(*rope, key, value)
    {
        if (!json_is_object(value)) {
            continue;
        }
        if (first && !json_equal(first, value)) {
            return krs_fail_field(err, KRS_EUNSUPPORTED, "rope_parameters",
                                  "rope_parameters: differs between layer types");
        }
        first = value;
    }
    *rope = first ? first : *rope;
    return KRS_OK;
}

static krs_status find_rope(const json_t *text, json_t **out, krs_error *err)
{
    *out = NULL;
    krs_status status = krs_json_get_tree(text, "rope_scaling", JSON_OBJECT, out, err);
    if (status == KRS_OK) {
        status = krs_json_get_tree(text, "rope_parameters", JSON_OBJECT, out, err);
    }
    return status == KRS_OK && *out ? narrow(out, err) : status;
}

krs_status krs_config_read_rope(const json_t *text, krs_model_config *config, krs_error *err)
{
    krs_rope_config *out = &config->rope;
    *out = (krs_rope_config){.kind = KRS_ROPE_DEFAULT,
                             .theta = DEFAULT_THETA,
                             .factor = 1.0,
                             .original_max_positions = config->max_positions};
    json_t *rope;
    krs_status status = find_rope(text, &rope, err);
    if (status == KRS_OK) {
        status = krs_json_get_double(text, "rope_theta", 1.0, CONFIG_MAX_THETA, &out->theta, err);
    }
    if (status == KRS_OK) {
        status = check_partial(text, err);
    }
    if (status != KRS_OK || !rope) {
        return status;
    }
    status = krs_json_get_double(rope, "rope_theta", 1.0, CONFIG_MAX_THETA, &out->theta, err);
    if (status == KRS_OK) {
        status = check_partial(rope, err);
    }
    if (status == KRS_OK) {
        status = read_kind(rope, &out->kind, err);
    }
    return status == KRS_OK && out->kind != KRS_ROPE_DEFAULT ? read_stretch(rope, out, err)
                                                             : status;
}
