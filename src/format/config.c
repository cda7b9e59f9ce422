/* format/config.c - see config.h.
 * Order matters: what the family is, then sizes, then whatever is checked against sizes. Defaults for
 * absent fields are those of the family's class in transformers, because that is what the authors of
 * the file relied on when they left them out.
 *
 * Source: transformers 4.40 - 5.17, configuration_{llama,mistral,qwen2,qwen3}.py. */
#include "format/config_priv.h"

#include <stdio.h>

#define CONFIG_NAME "config.json"

static const config_defaults families[] = {
    {"llama", 0, 0, 2048, 0, CONFIG_WINDOW_NEVER},
    {"mistral", 8, 0, 131072, 4096, CONFIG_WINDOW_ALL},
    {"qwen2", 32, 0, 32768, 4096, CONFIG_WINDOW_SWITCH},
    {"qwen3", 32, 128, 32768, 4096, CONFIG_WINDOW_SWITCH},
    {NULL, 0, 0, 2048, 0, CONFIG_WINDOW_LAYERS}, /* any other */
};

static const config_defaults *defaults_of(const char *model_type)
{
    const config_defaults *family = families;
    while (family->model_type && strcmp(family->model_type, model_type) != 0) {
        family++;
    }
    return family;
}

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

/* An integer that must be there. */
static krs_status need_int(const json_t *object, const char *field, int64_t max, int64_t *out,
                           krs_error *err)
{
    *out = 0;
    const krs_status status = krs_json_get_int(object, field, 1, max, out, err);
    if (status == KRS_OK && *out == 0) {
        return krs_fail_field(err, KRS_EINVAL, field, "%s: missing", field);
    }
    return status;
}

/* An integer with a default; narrower than int64_t. */
static krs_status get_int32(const json_t *object, const char *field, int32_t max, int32_t *out,
                            krs_error *err)
{
    int64_t n = *out;
    const krs_status status = krs_json_get_int(object, field, 1, max, &n, err);
    *out = (int32_t)n;
    return status;
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

static krs_status read_sizes(const json_t *text, krs_model_config *config, krs_error *err)
{
    int64_t n_layers = 0;
    int64_t n_heads = 0;
    krs_status status = need_int(text, "num_hidden_layers", KRS_CONFIG_MAX_LAYERS, &n_layers, err);
    if (status == KRS_OK) {
        status = need_int(text, "num_attention_heads", KRS_CONFIG_MAX_HEADS, &n_heads, err);
    }
    if (status == KRS_OK) {
        status = need_int(text, "hidden_size", KRS_CONFIG_MAX_WIDTH, &config->hidden, err);
    }
    if (status == KRS_OK) {
        status = need_int(text, "intermediate_size", KRS_CONFIG_MAX_WIDTH, &config->ffn, err);
    }
    if (status == KRS_OK) {
        status = need_int(text, "vocab_size", KRS_CONFIG_MAX_VOCAB, &config->vocab, err);
    }
    if (status == KRS_OK) {
        status = krs_json_get_int(text, "max_position_embeddings", 1, KRS_CONFIG_MAX_CONTEXT,
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

static krs_status read_heads(const json_t *text, const config_defaults *family,
                             krs_model_config *config, krs_error *err)
{
    config->n_kv_heads = family->n_kv_heads ? family->n_kv_heads : config->n_heads;
    config->head_dim = family->head_dim;
    krs_status status =
        get_int32(text, "num_key_value_heads", KRS_CONFIG_MAX_HEADS, &config->n_kv_heads, err);
    if (status == KRS_OK) {
        status = get_int32(text, "head_dim", KRS_CONFIG_MAX_HEAD_DIM, &config->head_dim, err);
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

static krs_status read_norm_eps(const json_t *text, krs_model_config *config, krs_error *err)
{
    static const char *const names[] = {"rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon"};
    config->norm_eps = 1e-6;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (json_is_number(json_object_get(text, names[i])) || i == 0) {
            const krs_status status =
                krs_json_get_double(text, names[i], 1e-20, 1.0, &config->norm_eps, err);
            if (status != KRS_OK || json_object_get(text, names[i])) {
                return status;
            }
        }
    }
    return KRS_OK;
}

static krs_status read_switches(const json_t *text, krs_model_config *config, krs_error *err)
{
    (void)snprintf(config->activation, sizeof(config->activation), "silu");
    krs_status status = krs_config_copy_str(text, "hidden_activation", config->activation,
                                            sizeof(config->activation), err);
    if (status == KRS_OK) {
        status = krs_config_copy_str(text, "hidden_act", config->activation,
                                     sizeof(config->activation), err);
    }
    if (status == KRS_OK) {
        status = krs_json_get_bool(text, "attention_bias", &config->has_attention_bias, err);
    }
    if (status == KRS_OK) {
        status = krs_json_get_bool(text, "mlp_bias", &config->has_mlp_bias, err);
    }
    return status;
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

static krs_status read_text(const json_t *text, krs_model_config *config, krs_error *err)
{
    const config_defaults *family = defaults_of(config->model_type);
    config->max_positions = family->max_positions;
    krs_status status = read_sizes(text, config, err);
    if (status == KRS_OK) {
        status = read_heads(text, family, config, err);
    }
    if (status == KRS_OK) {
        status = krs_config_read_windows(text, family, config, err);
    }
    if (status == KRS_OK) {
        status = read_norm_eps(text, config, err);
    }
    if (status == KRS_OK) {
        status = read_switches(text, config, err);
    }
    if (status == KRS_OK) {
        status = krs_config_read_rope(text, config, err);
    }
    return status;
}

static krs_status read_all(const json_t *root, krs_model_config *config, krs_error *err)
{
    json_t *text = NULL;
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
        status = read_text(inner, config, err);
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
        return krs_error_wrap(err, status, "model_type %s", config.model_type);
    }
    *out = config;
    return KRS_OK;
}

krs_status krs_config_blame_file(krs_error *err, krs_status status, const char *name)
{
    return krs_error_wrap(err, status == KRS_EINVAL ? KRS_EFORMAT : status, "%s", name);
}

krs_status krs_config_parse_file(const char *dir, const char *name, const krs_alloc *alloc,
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
        if (status == KRS_OK && !json_is_object(*out)) {
            json_decref(*out);
            *out = NULL;
            status = krs_fail(err, KRS_EFORMAT, "want a JSON object");
        }
        if (status != KRS_OK) {
            status = krs_config_blame_file(err, status, name);
        }
    }
    krs_buf_deinit(&text);
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
    krs_alloc_free(config->alloc, config->overrides);
    config->overrides = NULL;
    config->n_overrides = 0;
}
