/* format/config_layer.c - what each layer is: windowed or not, rotated or not, recurrent or not.
 *
 * Families say it in different ways: Mistral by a size alone, Qwen by a switch, a first layer or a list,
 * Gemma by a pattern or a list, SmolLM3 by the layers it leaves out. The result is one set of layers for
 * each question, so that nobody above has to know.
 *
 * Source: transformers 5.17, configuration_{mistral,qwen2,qwen3,gemma2,gemma3,cohere2,smollm3,
 * qwen3_next}.py. */
#include "format/config_priv.h"

#define DEFAULT_WINDOWED_FROM 28 /* max_window_layers of qwen2 and qwen3 */
#define DEFAULT_NO_ROPE_EVERY 4  /* no_rope_layer_interval of smollm3 */

/* Is the list there, and as long as there are layers? */
static krs_status get_list(const json_t *text, const char *field, const krs_model_config *config,
                           json_t **list, krs_error *err)
{
    *list = NULL;
    const krs_status status = krs_json_get_tree(text, field, JSON_ARRAY, list, err);
    if (status == KRS_OK && *list && json_array_size(*list) != (size_t)config->n_layers) {
        return krs_fail_field(err, KRS_EFORMAT, field, "%s: %zu entries, num_hidden_layers is %d",
                              field, json_array_size(*list), config->n_layers);
    }
    return status;
}

static krs_status read_layer_type(const char *type, int32_t layer, krs_model_config *config,
                                  krs_error *err)
{
    const bool has_linear = config->linear.kernel > 0;
    if (type && strcmp(type, "full_attention") == 0) {
        return KRS_OK;
    }
    if (type && strcmp(type, "sliding_attention") == 0) {
        krs_layer_set_add(&config->window_layers, layer);
        return KRS_OK;
    }
    if (type && has_linear && strcmp(type, "linear_attention") == 0) {
        krs_layer_set_add(&config->linear.layers, layer);
        return KRS_OK;
    }
    return krs_fail_field(err, KRS_EUNSUPPORTED, "layer_types", "layer_types[%d]: %.40s, want %s",
                          layer, type ? type : "no string",
                          has_linear ? "full_attention or linear_attention"
                                     : "full_attention or sliding_attention");
}

/* layer_types as sets of layers; absent: *has_types is false. */
static krs_status read_layer_types(const json_t *text, krs_model_config *config, bool *has_types,
                                   krs_error *err)
{
    json_t *list;
    krs_status status = get_list(text, "layer_types", config, &list, err);
    *has_types = list != NULL;
    for (int32_t i = 0; status == KRS_OK && list && i < config->n_layers; i++) {
        const char *type = json_string_value(json_array_get(list, (size_t)i));
        status = read_layer_type(type, i, config, err);
    }
    return status;
}

static bool is_empty(const krs_layer_set *set)
{
    uint64_t any = 0;
    for (size_t i = 0; i < sizeof(set->bits) / sizeof(set->bits[0]); i++) {
        any |= set->bits[i];
    }
    return any == 0;
}

static bool is_switched(config_window_rule rule)
{
    return rule == CONFIG_WINDOW_SWITCH || rule == CONFIG_WINDOW_NO_ROPE;
}

/* The window's size: 0 for null, for a switch that is off, and for a family without. */
static krs_status read_window_size(const json_t *text, const config_defaults *family,
                                   krs_model_config *config, krs_error *err)
{
    if (family->window_rule == CONFIG_WINDOW_AROUND) {
        int64_t around = family->window;
        const krs_status got =
            krs_json_get_int(text, "local_attention", 2, KRS_CONFIG_MAX_CONTEXT, &around, err);
        config->window = around / 2;
        return got;
    }
    bool is_on = !is_switched(family->window_rule);
    const bool is_null = json_is_null(json_object_get(text, "sliding_window"));
    config->window = is_null ? 0 : family->window;
    krs_status status =
        krs_json_get_int(text, "sliding_window", 0, KRS_CONFIG_MAX_CONTEXT, &config->window, err);
    if (status == KRS_OK) {
        status = krs_json_get_bool(text, "use_sliding_window", &is_on, err);
    }
    if (!is_on || family->window_rule == CONFIG_WINDOW_NEVER) {
        config->window = 0;
    }
    return status;
}

/* Every nth layer that is not windowed, or not recurrent. 0: none is. */
static krs_status read_pattern(const json_t *text, const config_defaults *family, int64_t *out,
                               krs_error *err)
{
    static const char *const names[] = {"sliding_window_pattern", "_sliding_window_pattern",
                                        "full_attention_interval", "global_attn_every_n_layers"};
    krs_status status = KRS_OK;
    *out = family->window_pattern;
    for (size_t i = 0; status == KRS_OK && i < sizeof(names) / sizeof(names[0]); i++) {
        /* Elsewhere the field is a word of letters; then layer_types says the same. */
        if (!json_is_string(json_object_get(text, names[i]))) {
            status = krs_json_get_int(text, names[i], 1, KRS_CONFIG_MAX_LAYERS, out, err);
        }
    }
    return status;
}

/* The first layer that may be windowed, and every how manyth is not. */
static krs_status read_window_rule(const json_t *text, const config_defaults *family,
                                   int64_t *first, int64_t *pattern, krs_error *err)
{
    *first = 0;
    *pattern = 0;
    if (family->window_rule == CONFIG_WINDOW_SWITCH) {
        *first = DEFAULT_WINDOWED_FROM;
        return krs_json_get_int(text, "max_window_layers", 0, INT32_MAX, first, err);
    }
    const bool has_pattern =
        family->window_rule == CONFIG_WINDOW_PATTERN || family->window_rule == CONFIG_WINDOW_AROUND;
    return has_pattern ? read_pattern(text, family, pattern, err) : KRS_OK;
}

/* Which layers are windowed when layer_types does not say. */
static krs_status derive_windows(const json_t *text, const config_defaults *family,
                                 krs_model_config *config, krs_error *err)
{
    int64_t first;
    int64_t pattern;
    const krs_status status = read_window_rule(text, family, &first, &pattern, err);
    const bool is_no_rope = family->window_rule == CONFIG_WINDOW_NO_ROPE;
    config->window_layers = (krs_layer_set){{0}};
    for (int32_t i = 0; i < config->n_layers && config->window > 0; i++) {
        const int32_t nth = family->window_rule == CONFIG_WINDOW_AROUND ? i : i + 1;
        const bool is_full = (pattern > 0 && nth % pattern == 0) ||
                             (is_no_rope && krs_layer_set_has(&config->rope_layers, i));
        if (i >= first && !is_full) {
            krs_layer_set_add(&config->window_layers, i);
        }
    }
    return status;
}

static krs_status derive_linear(const json_t *text, const config_defaults *family,
                                krs_model_config *config, krs_error *err)
{
    int64_t pattern;
    const krs_status status = read_pattern(text, family, &pattern, err);
    for (int32_t i = 0; status == KRS_OK && i < config->n_layers; i++) {
        if (pattern == 0 || (i + 1) % pattern != 0) {
            krs_layer_set_add(&config->linear.layers, i);
        }
    }
    return status;
}

static bool reads_types(config_window_rule rule)
{
    return rule != CONFIG_WINDOW_ALL && rule != CONFIG_WINDOW_NEVER;
}

static krs_status check_windows(const krs_model_config *config, krs_error *err)
{
    if (config->window > 0 || is_empty(&config->window_layers)) {
        return KRS_OK;
    }
    return krs_fail_field(err, KRS_EFORMAT, "layer_types",
                          "layer_types: sliding_attention, but sliding_window is off");
}

static krs_status read_windows(const json_t *text, const config_defaults *family,
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
    if (config->linear.kernel > 0) {
        return has_types ? KRS_OK : derive_linear(text, family, config, err);
    }
    return has_types && reads_types(family->window_rule)
               ? check_windows(config, err)
               : derive_windows(text, family, config, err);
}

/* no_rope_layers: 1 for a layer with rotation, whatever the name says. */
static krs_status read_no_rope(const json_t *text, krs_model_config *config, krs_error *err)
{
    int64_t every = DEFAULT_NO_ROPE_EVERY;
    json_t *list;
    krs_status status = get_list(text, "no_rope_layers", config, &list, err);
    if (status == KRS_OK) {
        status =
            krs_json_get_int(text, "no_rope_layer_interval", 1, KRS_CONFIG_MAX_LAYERS, &every, err);
    }
    for (int32_t i = 0; status == KRS_OK && i < config->n_layers; i++) {
        const bool is_listed = json_integer_value(json_array_get(list, (size_t)i)) != 0;
        if (list ? is_listed : (i + 1) % every != 0) {
            krs_layer_set_add(&config->rope_layers, i);
        }
    }
    return status;
}

krs_status krs_config_read_layers(const json_t *text, const config_defaults *family,
                                  krs_model_config *config, krs_error *err)
{
    krs_status status = KRS_OK;
    if (family->rope_rule == CONFIG_ROPE_LISTED) {
        status = read_no_rope(text, config, err);
    }
    if (status == KRS_OK) {
        status = read_windows(text, family, config, err);
    }
    for (int32_t i = 0; i < config->n_layers; i++) {
        if (family->rope_rule == CONFIG_ROPE_ALL || (family->rope_rule == CONFIG_ROPE_WINDOWED &&
                                                     krs_model_config_is_windowed(config, i))) {
            krs_layer_set_add(&config->rope_layers, i);
        }
    }
    return status;
}
