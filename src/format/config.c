/* format/config.c - see config.h.
 * Order matters: what the family is, then sizes, then whatever is checked against sizes. Defaults for
 * absent fields are those of the family's class in transformers, because that is what the authors of
 * the file relied on when they left them out.
 *
 * Source: transformers 4.40 - 5.17, configuration_utils.py. */
#include "format/config_priv.h"

#include <stdio.h>

#define CONFIG_NAME "config.json"

krs_status krs_config_copy_str(const json_t *object, const char *field, char *out, size_t max_bytes,
                               krs_error *err)
{
    krs_str text = {NULL, 0};
    const krs_status status = krs_json_get_str(object, field, max_bytes - 1, &text, err);
    if (status != KRS_OK || !text.ptr) {
        return status;
    }
    for (size_t i = 0; i < text.len; i++) {
        const unsigned char c = (unsigned char)text.ptr[i];
        if (c < 0x20 || c == 0x7F) {
            return krs_fail_field(err, KRS_EINVAL, field, "%s: has a control character", field);
        }
    }
    memcpy(out, text.ptr, text.len);
    out[text.len] = '\0';
    return KRS_OK;
}

static krs_status read_architecture(const json_t *root, krs_model_config *config, krs_error *err)
{
    json_t *list = NULL;
    const krs_status status = krs_json_get_tree(root, "architectures", JSON_ARRAY, &list, err);
    const json_t *first = list ? json_array_get(list, 0) : NULL;
    if (status != KRS_OK || !first) {
        return status;
    }
    if (!json_is_string(first) || json_string_length(first) >= sizeof(config->architecture)) {
        return krs_fail_field(err, KRS_EINVAL, "architectures",
                              "architectures[0]: want a string under %zu bytes",
                              sizeof(config->architecture));
    }
    (void)snprintf(config->architecture, sizeof(config->architecture), "%s",
                   json_string_value(first));
    return KRS_OK;
}

/* torch_dtype or dtype: "bfloat16", or "torch.bfloat16". Any other type is read as absent, since the
 * tensors themselves say what they are. */
static krs_status read_dtype(const json_t *object, const char *field, krs_model_config *config,
                             krs_error *err)
{
    static const struct {
        const char *name;
        krs_dtype dtype;
    } names[] = {
        {"bfloat16", KRS_DTYPE_BF16},
        {"float16", KRS_DTYPE_F16},
        {"float32", KRS_DTYPE_F32},
        {"float64", KRS_DTYPE_F64},
    };
    char text[64] = "";
    const krs_status status = krs_config_copy_str(object, field, text, sizeof(text), err);
    const char *name = strncmp(text, "torch.", 6) == 0 ? text + 6 : text;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i].name) == 0) {
            config->dtype = names[i].dtype;
        }
    }
    return status;
}

krs_status krs_config_read_eos(const json_t *object, uint32_t *ids, uint32_t *n, krs_error *err)
{
    const json_t *value = json_object_get(object, "eos_token_id");
    if (!value || json_is_null(value)) {
        return KRS_OK;
    }
    const bool is_list = json_is_array(value);
    const size_t n_ids = is_list ? json_array_size(value) : 1;
    if (n_ids > KRS_CONFIG_MAX_EOS) {
        return krs_fail_field(err, KRS_EINVAL, "eos_token_id", "eos_token_id: %zu ids, limit %d",
                              n_ids, KRS_CONFIG_MAX_EOS);
    }
    uint32_t found[KRS_CONFIG_MAX_EOS];
    for (size_t i = 0; i < n_ids; i++) {
        const json_t *id = is_list ? json_array_get(value, i) : value;
        if (!json_is_integer(id) || json_integer_value(id) < 0 ||
            json_integer_value(id) >= KRS_CONFIG_MAX_VOCAB) {
            return krs_fail_field(err, KRS_EINVAL, "eos_token_id",
                                  "eos_token_id: want whole numbers from 0 to %d",
                                  KRS_CONFIG_MAX_VOCAB - 1);
        }
        found[i] = (uint32_t)json_integer_value(id);
    }
    memcpy(ids, found, n_ids * sizeof(found[0]));
    *n = (uint32_t)n_ids;
    return KRS_OK;
}

/* Fields that stand inside or outside of text_config; called for the outside first. */
static krs_status read_shared(const json_t *object, krs_model_config *config, krs_error *err)
{
    krs_status status = read_dtype(object, "torch_dtype", config, err);
    if (status == KRS_OK) {
        status = read_dtype(object, "dtype", config, err);
    }
    if (status == KRS_OK) {
        status = krs_json_get_bool(object, "tie_word_embeddings", &config->is_tied, err);
    }
    if (status == KRS_OK) {
        status = krs_config_read_eos(object, config->eos_ids, &config->n_eos, err);
    }
    if (status == KRS_OK) {
        status = krs_json_get_int(object, "bos_token_id", -1, KRS_CONFIG_MAX_VOCAB - 1,
                                  &config->bos_id, err);
    }
    return status;
}

static krs_status read_text(const json_t *text, const config_defaults *family,
                            krs_model_config *config, krs_error *err)
{
    typedef krs_status reader(const json_t *text, const config_defaults *family,
                              krs_model_config *config, krs_error *err);
    static reader *const readers[] = {
        krs_config_read_sizes,    krs_config_read_heads,    krs_config_read_latent,
        krs_config_read_linear,   krs_config_read_layers,   krs_config_read_experts,
        krs_config_read_norm_eps, krs_config_read_switches, krs_config_read_rope,
        krs_config_read_scales,   krs_config_read_encoder,
    };
    krs_status status = KRS_OK;
    for (size_t i = 0; status == KRS_OK && i < sizeof(readers) / sizeof(readers[0]); i++) {
        status = readers[i](text, family, config, err);
    }
    return status;
}

static krs_status read_all(const json_t *root, krs_model_config *config, krs_error *err)
{
    json_t *text = NULL;
    const config_defaults *family = krs_config_defaults_of(config->model_type);
    config->is_tied = family->is_tied;
    krs_status status = read_architecture(root, config, err);
    if (status == KRS_OK) {
        status = krs_json_get_tree(root, "text_config", JSON_OBJECT, &text, err);
    }
    if (status == KRS_OK) {
        status = read_shared(root, config, err);
    }
    const json_t *inner = text ? text : root;
    if (status == KRS_OK && text) {
        status = read_shared(text, config, err);
    }
    if (status == KRS_OK) {
        status = read_text(inner, family, config, err);
    }
    return status == KRS_OK ? krs_config_read_quant(root, inner, config, err) : status;
}

krs_status krs_model_config_read(const json_t *root, const krs_alloc *alloc, krs_model_config *out,
                                 krs_error *err)
{
    krs_model_config config = {.dtype = KRS_DTYPE_COUNT, .bos_id = -1, .alloc = alloc};
    *out = (krs_model_config){.alloc = alloc};
    if (!json_is_object(root)) {
        return krs_fail(err, KRS_EFORMAT, "want a JSON object");
    }
    krs_status status =
        krs_config_copy_str(root, "model_type", config.model_type, sizeof(config.model_type), err);
    if (status == KRS_OK && config.model_type[0] == '\0') {
        status = krs_fail_field(err, KRS_EINVAL, "model_type", "model_type: missing");
    }
    if (status != KRS_OK) {
        return status;
    }
    memcpy(out->model_type, config.model_type, sizeof(out->model_type));
    status = read_all(root, &config, err);
    if (status != KRS_OK) {
        krs_model_config_deinit(&config);
        return krs_error_wrap(err, status, "model_type %s", config.model_type);
    }
    *out = config;
    return KRS_OK;
}

krs_status krs_config_blame_file(krs_error *err, krs_status status, const char *name)
{
    return krs_error_wrap(err, status == KRS_EINVAL ? KRS_EFORMAT : status, "%s", name);
}

krs_status krs_config_parse_any(const char *dir, const char *name, const krs_alloc *alloc,
                                json_t **out, krs_error *err)
{
    char path[KRS_OS_PATH_BYTES];
    *out = NULL;
    if (krs_os_path_join(dir, name, path, sizeof(path)) != KRS_OK) {
        return krs_fail(err, KRS_ETOOLARGE, "path of %s longer than %d bytes", name,
                        KRS_OS_PATH_BYTES);
    }
    krs_buf text;
    krs_buf_init(&text, alloc, KRS_CONFIG_MAX_BYTES);
    krs_status status = krs_os_file_read(path, &text, err);
    if (status == KRS_OK) {
        const krs_json_limits limits = {.max_bytes = KRS_CONFIG_MAX_BYTES};
        status = krs_json_parse(krs_buf_view(&text), &limits, out, err);
        if (status != KRS_OK) {
            status = krs_config_blame_file(err, status, name);
        }
    }
    krs_buf_deinit(&text);
    return status;
}

krs_status krs_config_parse_file(const char *dir, const char *name, const krs_alloc *alloc,
                                 json_t **out, krs_error *err)
{
    const krs_status status = krs_config_parse_any(dir, name, alloc, out, err);
    if (status == KRS_OK && !json_is_object(*out)) {
        json_decref(*out);
        *out = NULL;
        return krs_fail(err, KRS_EFORMAT, "%s: want a JSON object", name);
    }
    return status;
}

krs_status krs_model_config_load(const char *dir, const krs_alloc *alloc, krs_model_config *out,
                                 krs_error *err)
{
    json_t *root;
    *out = (krs_model_config){.alloc = alloc};
    krs_status status = krs_config_parse_file(dir, CONFIG_NAME, alloc, &root, err);
    if (status != KRS_OK) {
        return status;
    }
    status = krs_model_config_read(root, alloc, out, err);
    json_decref(root);
    return status == KRS_OK ? KRS_OK : krs_config_blame_file(err, status, CONFIG_NAME);
}

void krs_model_config_deinit(krs_model_config *config)
{
    krs_config_free_rope(config);
    krs_alloc_free(config->alloc, config->overrides);
    config->overrides = NULL;
    config->n_overrides = 0;
    config->rope = (krs_rope_config){.kind = KRS_ROPE_DEFAULT};
    config->local_rope = config->rope;
}

krs_cache_shape krs_model_config_cache(const krs_model_config *config)
{
    const krs_latent_config *latent = &config->latent;
    krs_cache_shape cache = {0, config->n_kv_heads, config->head_dim, config->head_dim};
    if (latent->kv_rank > 0) {
        cache = (krs_cache_shape){0, 1, latent->kv_rank + latent->rope_dim, latent->kv_rank};
    }
    for (int32_t i = 0; i < config->n_layers; i++) {
        cache.n_layers += !config->is_encoder && !krs_layer_set_has(&config->linear.layers, i);
    }
    return cache;
}

int64_t krs_model_config_longest(const krs_model_config *config)
{
    const krs_rope_config *rope = &config->rope;
    const bool is_stretched = rope->kind == KRS_ROPE_YARN || rope->kind == KRS_ROPE_DYNAMIC;
    const double stretched = (double)rope->original_max_positions * rope->factor;
    if (!is_stretched || stretched <= (double)config->max_positions) {
        return config->max_positions;
    }
    return stretched < KRS_CONFIG_MAX_CONTEXT ? (int64_t)stretched : KRS_CONFIG_MAX_CONTEXT;
}
