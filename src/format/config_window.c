/* format/config_window.c - which layers look at a window of the past only, and how long it is.
 *
 * Families say it in different ways: Mistral by a size alone, Qwen by a switch, a first layer or a list,
 * others by a list. The result is one size and one bit per layer, so that nobody above has to know.
 *
 * Source: transformers 5.17, configuration_{mistral,qwen2,qwen3}.py. */
#include "format/config_priv.h"

#define DEFAULT_WINDOWED_FROM 28 /* max_window_layers of qwen2 and qwen3 */

/* layer_types as bits of windowed layers; absent: *has_types is false. */
static krs_status read_layer_types(const json_t *text, krs_model_config *config, bool *has_types,
                                   krs_error *err)
{
    json_t *list = NULL;
    const krs_status status = krs_json_get_tree(text, "layer_types", JSON_ARRAY, &list, err);
    *has_types = list != NULL;
    if (status != KRS_OK || !list) {
        return status;
    }
    if (json_array_size(list) != (size_t)config->n_layers) {
        return krs_fail_field(err, KRS_EFORMAT, "layer_types",
                              "layer_types: %zu entries, num_hidden_layers is %d",
                              json_array_size(list), config->n_layers);
    }
    for (int32_t i = 0; i < config->n_layers; i++) {
        const char *type = json_string_value(json_array_get(list, (size_t)i));
        if (type && strcmp(type, "sliding_attention") == 0) {
            config->window_layers[i / 64] |= UINT64_C(1) << (i % 64);
        } else if (!type || strcmp(type, "full_attention") != 0) {
            return krs_fail_field(
                err, KRS_EUNSUPPORTED, "layer_types",
                "layer_types[%d]: %.40s, want full_attention or sliding_attention", i,
                type ? type : "no string");
        }
    }
    return KRS_OK;
}

static bool has_window_layer(const krs_model_config *config)
{
    uint64_t any = 0;
    for (size_t i = 0; i < sizeof(config->window_layers) / sizeof(config->window_layers[0]); i++) {
        any |= config->window_layers[i];
    }
    return any != 0;
}

/* The window's size: 0 for null, for a switch that is off, and for a family without. */
static krs_status read_window_size(const json_t *text, const config_defaults *family,
                                   krs_model_config *config, krs_error *err)
{
    bool is_on = family->rule != CONFIG_WINDOW_SWITCH;
    const bool is_null = json_is_null(json_object_get(text, "sliding_window"));
    config->window = is_null ? 0 : family->window;
    krs_status status =
        krs_json_get_int(text, "sliding_window", 0, KRS_CONFIG_MAX_CONTEXT, &config->window, err);
    if (status == KRS_OK) {
        status = krs_json_get_bool(text, "use_sliding_window", &is_on, err);
    }
    if (!is_on || family->rule == CONFIG_WINDOW_NEVER) {
        config->window = 0;
    }
    return status;
}

/* Which layers are windowed when layer_types does not say. */
static krs_status read_window_start(const json_t *text, const config_defaults *family,
                                    krs_model_config *config, krs_error *err)
{
    int64_t first = family->rule == CONFIG_WINDOW_SWITCH ? DEFAULT_WINDOWED_FROM : 0;
    krs_status status = KRS_OK;
    if (family->rule == CONFIG_WINDOW_SWITCH) {
        status = krs_json_get_int(text, "max_window_layers", 0, INT32_MAX, &first, err);
    }
    memset(config->window_layers, 0, sizeof(config->window_layers));
    for (int64_t i = first; i < config->n_layers && config->window > 0; i++) {
        config->window_layers[i / 64] |= UINT64_C(1) << (i % 64);
    }
    return status;
}

krs_status krs_config_read_windows(const json_t *text, const config_defaults *family,
                                   krs_model_config *config, krs_error *err)
{
    bool has_types = false;
    krs_status status = read_window_size(text, family, config, err);
    if (status == KRS_OK) {
        status = read_layer_types(text, config, &has_types, err);
    }
    if (status != KRS_OK) {
        return status;
    }
    if (!has_types || family->rule == CONFIG_WINDOW_ALL || family->rule == CONFIG_WINDOW_NEVER) {
        return read_window_start(text, family, config, err);
    }
    if (config->window == 0 && has_window_layer(config)) {
        return krs_fail_field(err, KRS_EFORMAT, "layer_types",
                              "layer_types: sliding_attention, but sliding_window is off");
    }
    return KRS_OK;
}
