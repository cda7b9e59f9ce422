/* format/config_rope.c - rotary embedding settings, in the forms that files have.
 *
 *   transformers 4:  "rope_theta": t, "rope_scaling": null | {"rope_type" or "type": k, ...}
 *   transformers 5:  "rope_parameters": {"rope_theta": t, "rope_type": k, ...}
 *   per layer type:  "rope_parameters": {"full_attention": {...}, "sliding_attention": {...}}
 *   by other names:  "rotary_emb_base", "rotary_pct" (gpt_neox); "rope_local_base_freq" (gemma3);
 *                    "global_rope_theta", "local_rope_theta" (modernbert)
 *
 * Windowed layers have settings of their own in some families (gemma3, olmo3); elsewhere the two entries of
 * the third form must agree. Anything that would change the rotation and is not known is refused: a model
 * with the wrong rotation still talks, only wrongly.
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
        {"longrope", KRS_ROPE_LONGROPE},
        {"su", KRS_ROPE_LONGROPE}, /* what Phi-3 called it at first */
        {"dynamic", KRS_ROPE_DYNAMIC},
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
                          "rope_type: %s, want default, linear, llama3, yarn, longrope or dynamic",
                          name);
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

/* One list of longrope: a divisor for each pair. */
static krs_status read_divisors(const json_t *rope, const char *field, int32_t n, double *out,
                                krs_error *err)
{
    json_t *list = NULL;
    const krs_status status = krs_json_get_tree(rope, field, JSON_ARRAY, &list, err);
    if (status != KRS_OK) {
        return status;
    }
    if (!list || json_array_size(list) != (size_t)n) {
        return krs_fail_field(err, list ? KRS_EFORMAT : KRS_EINVAL, field,
                              "%s: %zu entries, want %d, one for each rotated pair", field,
                              json_array_size(list), n);
    }
    for (int32_t i = 0; i < n; i++) {
        out[i] = json_number_value(json_array_get(list, (size_t)i));
        if (!(out[i] > 0 && out[i] <= CONFIG_MAX_FACTOR)) {
            return krs_fail_field(err, KRS_EINVAL, field, "%s[%d]: want a number in (0, %g]", field,
                                  i, CONFIG_MAX_FACTOR);
        }
    }
    return KRS_OK;
}

/* n: rotated pairs. */
static krs_status read_longrope(const json_t *rope, int32_t n, const krs_alloc *alloc,
                                krs_rope_config *out, krs_error *err)
{
    krs_status status = krs_json_get_double(rope, "attention_factor", 0.0, CONFIG_MAX_FACTOR,
                                            &out->attention_factor, err);
    if (status != KRS_OK) {
        return status;
    }
    double *factors = krs_alloc_array(alloc, (size_t)n, 2 * sizeof(*factors));
    if (!factors) {
        return krs_fail(err, KRS_ENOMEM, "longrope: 2 lists of %d factors", n);
    }
    out->short_factors = factors; /* the config's from here on */
    out->long_factors = factors + n;
    status = read_divisors(rope, "short_factor", n, factors, err);
    return status == KRS_OK ? read_divisors(rope, "long_factor", n, factors + n, err) : status;
}

/* How far, and from which length. longrope may leave the factor out: then it is what the context is
 * longer than the original by. */
static krs_status read_stretch(const json_t *text, const json_t *rope, krs_model_config *config,
                               krs_rope_config *out, krs_error *err)
{
    const bool is_longrope = out->kind == KRS_ROPE_LONGROPE;
    const char *field = "original_max_position_embeddings";
    krs_status status =
        krs_json_get_int(text, field, 1, KRS_CONFIG_MAX_CONTEXT, &out->original_max_positions, err);
    if (status == KRS_OK) {
        status = krs_json_get_int(rope, field, 1, KRS_CONFIG_MAX_CONTEXT,
                                  &out->original_max_positions, err);
    }
    out->factor = (double)config->max_positions / (double)out->original_max_positions;
    if (status == KRS_OK && (!is_longrope || json_object_get(rope, "factor"))) {
        status = need_double(rope, "factor", 1.0, &out->factor, err);
    }
    if (status != KRS_OK) {
        return status;
    }
    switch (out->kind) {
    case KRS_ROPE_LLAMA3:
        return read_llama3(rope, out, err);
    case KRS_ROPE_YARN:
        return read_yarn(rope, out, err);
    case KRS_ROPE_LONGROPE:
        return read_longrope(rope, config->rotary_dim / 2, config->alloc, out, err);
    case KRS_ROPE_DEFAULT:
    case KRS_ROPE_LINEAR:
    case KRS_ROPE_DYNAMIC:
        break;
    }
    return KRS_OK;
}

/* The rotated part of a head, from whichever of its names the file has. */
static krs_status read_part(const json_t *object, double *part, krs_error *err)
{
    static const char *const names[] = {"rotary_pct", "partial_rotary_factor"};
    krs_status status = KRS_OK;
    for (size_t i = 0; object && status == KRS_OK && i < 2; i++) {
        status = krs_json_get_double(object, names[i], 1e-6, 1.0, part, err);
    }
    return status;
}

static krs_status read_rotary_dim(const json_t *text, const json_t *rope,
                                  const config_defaults *family, krs_model_config *config,
                                  krs_error *err)
{
    double part = family->rotary_part > 0 ? family->rotary_part : 1.0;
    krs_status status = read_part(text, &part, err);
    if (status == KRS_OK) {
        status = read_part(rope, &part, err);
    }
    if (status == KRS_OK && family->rotary_part == 0 && part != 1.0) {
        return krs_fail_field(err, KRS_EUNSUPPORTED, "partial_rotary_factor",
                              "partial_rotary_factor: %g, but this family rotates whole heads",
                              part);
    }
    /* Latent attention says how many in words of its own. */
    config->rotary_dim =
        config->latent.kv_rank > 0 ? config->latent.rope_dim : (int32_t)(config->head_dim * part);
    if (status == KRS_OK && (config->rotary_dim < 2 || config->rotary_dim % 2 != 0)) {
        return krs_fail_field(err, KRS_EFORMAT, "partial_rotary_factor",
                              "partial_rotary_factor: %g of head_dim %d is %d, want an even number "
                              "from 2",
                              part, config->head_dim, config->rotary_dim);
    }
    return status;
}

/* One set of settings: rope in one of its forms, or NULL for none. */
static krs_status read_one(const json_t *text, const json_t *rope, krs_model_config *config,
                           krs_rope_config *out, krs_error *err)
{
    if (!rope) {
        return KRS_OK;
    }
    krs_status status =
        krs_json_get_double(rope, "rope_theta", 1.0, CONFIG_MAX_THETA, &out->theta, err);
    if (status == KRS_OK) {
        status = read_kind(rope, &out->kind, err);
    }
    return status == KRS_OK && out->kind != KRS_ROPE_DEFAULT
               ? read_stretch(text, rope, config, out, err)
               : status;
}

/* The settings of full and of windowed layers, where the file tells them apart. */
typedef struct rope_forms {
    json_t *full;
    json_t *local;
    bool are_apart;
} rope_forms;

static krs_status find_forms(const json_t *text, rope_forms *out, krs_error *err)
{
    json_t *rope = NULL;
    *out = (rope_forms){NULL, NULL, false};
    krs_status status = krs_json_get_tree(text, "rope_scaling", JSON_OBJECT, &rope, err);
    if (status == KRS_OK) {
        status = krs_json_get_tree(text, "rope_parameters", JSON_OBJECT, &rope, err);
    }
    out->full = rope;
    json_t *full = rope ? json_object_get(rope, "full_attention") : NULL;
    json_t *local = rope ? json_object_get(rope, "sliding_attention") : NULL;
    if (json_is_object(full) || json_is_object(local)) {
        *out = (rope_forms){json_is_object(full) ? full : local,
                            json_is_object(local) ? local : full, true};
    }
    return status;
}

/* Windowed layers with a table of their own: gemma3's local base, or the unstretched one. */
static krs_status read_local(const json_t *text, const rope_forms *forms,
                             const config_defaults *family, krs_model_config *config,
                             krs_error *err)
{
    krs_rope_config *out = &config->local_rope;
    config->has_local_rope = true;
    out->kind = KRS_ROPE_DEFAULT;
    out->theta = family->local_theta > 0 ? family->local_theta : config->rope.theta;
    if (forms->are_apart) {
        return read_one(text, forms->local, config, out, err);
    }
    const krs_status status =
        krs_json_get_double(text, "rope_local_base_freq", 1.0, CONFIG_MAX_THETA, &out->theta, err);
    return status == KRS_OK ? krs_json_get_double(text, "local_rope_theta", 1.0, CONFIG_MAX_THETA,
                                                  &out->theta, err)
                            : status;
}

/* The base, where it stands beside the settings. */
static krs_status read_theta(const json_t *text, const config_defaults *family, double *theta,
                             krs_error *err)
{
    static const char *const names[] = {"rotary_emb_base", "global_rope_theta", "rope_theta"};
    krs_status status = KRS_OK;
    *theta = family->theta > 0 ? family->theta : DEFAULT_THETA;
    for (size_t i = 0; status == KRS_OK && i < sizeof(names) / sizeof(names[0]); i++) {
        status = krs_json_get_double(text, names[i], 1.0, CONFIG_MAX_THETA, theta, err);
    }
    return status;
}

static krs_status read_windowed(const json_t *text, const rope_forms *forms,
                                const config_defaults *family, krs_model_config *config,
                                krs_error *err)
{
    if (family->has_local_rope) {
        return read_local(text, forms, family, config, err);
    }
    if (forms->are_apart && !json_equal(forms->full, forms->local)) {
        return krs_fail_field(err, KRS_EUNSUPPORTED, "rope_parameters",
                              "rope_parameters: differs between layer types");
    }
    return KRS_OK;
}

krs_status krs_config_read_rope(const json_t *text, const config_defaults *family,
                                krs_model_config *config, krs_error *err)
{
    rope_forms forms;
    config->rope = (krs_rope_config){
        .kind = KRS_ROPE_DEFAULT, .factor = 1.0, .original_max_positions = config->max_positions};
    krs_status status = read_theta(text, family, &config->rope.theta, err);
    config->local_rope = config->rope;
    if (status == KRS_OK) {
        status = find_forms(text, &forms, err);
    }
    if (status == KRS_OK) {
        status = read_rotary_dim(text, forms.full, family, config, err);
    }
    if (status == KRS_OK) {
        status = read_one(text, forms.full, config, &config->rope, err);
    }
    return status == KRS_OK ? read_windowed(text, &forms, family, config, err) : status;
}

void krs_config_free_rope(krs_model_config *config)
{
    union {
        const double *borrowed;
        void *owned;
    } lists[] = {{config->rope.short_factors}, {config->local_rope.short_factors}};
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        krs_alloc_free(config->alloc, lists[i].owned);
    }
}
