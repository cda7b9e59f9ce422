/* format/config_quant.c - how the weights are quantised, or the refusal of a way we do not know.
 *
 * MLX writes one block, with exceptions by module beside the defaults:
 *
 *   "quantization": {"group_size": 64, "bits": 4, "mode": "affine",
 *                    "model.layers.0.mlp.down_proj": {"group_size": 64, "bits": 8},
 *                    "lm_head": false}
 *
 * and often repeats it as `quantization_config`. An exception stands for itself, as in MLX: what it does
 * not say is its own mode's default (affine, 64, 4), not the block's. In other people's files
 * `quantization_config` holds a block with a `quant_method`: those are config_hub.c's.
 *
 * Source: ml-explore/mlx, nn/layers/quantized.py; ml-explore/mlx-lm, utils.load_model. */
#include "format/config_priv.h"

#include <stdio.h>
#include <stdlib.h>

/* What MLX assumes of a mode in a block that does not say more. */
static const krs_quant defaults[] = {
    {KRS_QUANT_AFFINE, 4, 64},
    {KRS_QUANT_MXFP4, 4, 32},
    {KRS_QUANT_MXFP8, 8, 32},
    {KRS_QUANT_NVFP4, 4, 16},
};

#define N_MODES (sizeof(defaults) / sizeof(defaults[0]))

static krs_status read_mode(const json_t *block, krs_quant *out, krs_error *err)
{
    char mode[32] = "affine";
    const krs_status status = krs_config_copy_str(block, "mode", mode, sizeof(mode), err);
    if (status != KRS_OK) {
        return status;
    }
    const krs_quant_kind kind = krs_quant_kind_of_name(krs_str_of(mode));
    for (size_t i = 0; i < N_MODES; i++) {
        if (defaults[i].kind == kind) {
            *out = defaults[i];
            return KRS_OK;
        }
    }
    return krs_fail_field(err, KRS_EUNSUPPORTED, "quantization",
                          "mode: %s quantisation, want affine, mxfp4, mxfp8 or nvfp4", mode);
}

/* mode, bits and group_size of one block. */
static krs_status read_block(const json_t *block, krs_quant *out, krs_error *err)
{
    krs_status status = read_mode(block, out, err);
    if (status != KRS_OK) {
        return status;
    }
    int64_t bits = out->bits;
    int64_t group = out->group;
    status = krs_json_get_int(block, "bits", 1, 64, &bits, err);
    if (status == KRS_OK) {
        status = krs_json_get_int(block, "group_size", 1, 65536, &group, err);
    }
    if (status != KRS_OK) {
        return status;
    }
    out->bits = (int32_t)bits;
    out->group = (int32_t)group;
    return krs_quant_check(out, out->group, err); /* any whole group: columns are checked later */
}

static bool is_setting(const char *key)
{
    return strcmp(key, "bits") == 0 || strcmp(key, "group_size") == 0 || strcmp(key, "mode") == 0;
}

/* One exception: an object, or false for a dense module, or true for the defaults. */
static krs_status read_override(const char *module, const json_t *value, const krs_quant *base,
                                krs_quant_override *out, krs_error *err)
{
    const int n = snprintf(out->module, sizeof(out->module), "%s", module);
    if (n < 0 || (size_t)n >= sizeof(out->module)) {
        return krs_fail_field(err, KRS_EINVAL, "quantization",
                              "module name %.40s... of %d bytes, limit %d", module, n,
                              KRS_CONFIG_MODULE_BYTES - 1);
    }
    out->quant = *base;
    if (json_is_false(value)) {
        out->quant = (krs_quant){KRS_QUANT_NONE, 0, 0};
        return KRS_OK;
    }
    if (json_is_true(value)) {
        return KRS_OK;
    }
    const krs_status status = read_block(value, &out->quant, err);
    return status == KRS_OK ? KRS_OK : krs_error_wrap(err, status, "module %.60s", module);
}

static bool is_override(const char *key, const json_t *value)
{
    return !is_setting(key) && (json_is_object(value) || json_is_boolean(value));
}

static int by_module(const void *a, const void *b)
{
    return strcmp(((const krs_quant_override *)a)->module, ((const krs_quant_override *)b)->module);
}

static krs_status read_overrides(json_t *block, krs_model_config *config, krs_error *err)
{
    const char *key;
    json_t *value;
    uint32_t n = 0;
    json_object_foreach(block, key, value)
    {
        n += is_override(key, value);
    }
    if (n == 0) {
        return KRS_OK;
    }
    if (n > KRS_CONFIG_MAX_OVERRIDES) {
        return krs_fail_field(err, KRS_ETOOLARGE, "quantization", "%u modules, limit %d", n,
                              KRS_CONFIG_MAX_OVERRIDES);
    }
    krs_quant_override *overrides = krs_alloc_array(config->alloc, n, sizeof(overrides[0]));
    if (!overrides) {
        return krs_fail(err, KRS_ENOMEM, "table of %u quantised modules", n);
    }
    krs_status status = KRS_OK;
    uint32_t i = 0;
    json_object_foreach(block, key, value)
    {
        if (status == KRS_OK && is_override(key, value)) {
            status = read_override(key, value, &config->quant, &overrides[i++], err);
        }
    }
    if (status != KRS_OK) {
        krs_alloc_free(config->alloc, overrides);
        return status;
    }
    qsort(overrides, n, sizeof(overrides[0]), by_module);
    config->overrides = overrides;
    config->n_overrides = n;
    return KRS_OK;
}

/* The block to read: MLX's own, or its copy, which has no method. *out NULL: neither. */
static krs_status find_block(const json_t *object, json_t **out, krs_error *err)
{
    json_t *copy = NULL;
    krs_status status = krs_json_get_tree(object, "quantization", JSON_OBJECT, out, err);
    if (status == KRS_OK && !*out) {
        status = krs_json_get_tree(object, "quantization_config", JSON_OBJECT, &copy, err);
    }
    if (status == KRS_OK && copy && !json_object_get(copy, "quant_method") &&
        json_object_get(copy, "bits")) {
        *out = copy;
    }
    return status;
}

static krs_status read_mlx(json_t *block, krs_model_config *config, krs_error *err)
{
    krs_status status = read_block(block, &config->quant, err);
    if (status == KRS_OK) {
        status = read_overrides(block, config, err);
    }
    return status == KRS_OK ? KRS_OK : krs_error_wrap(err, status, "quantization");
}

krs_status krs_config_read_quant(const json_t *root, const json_t *text, krs_model_config *config,
                                 krs_error *err)
{
    const json_t *const places[] = {root, text};
    config->quant = (krs_quant){KRS_QUANT_NONE, 0, 0};
    config->hub_quant = (krs_hub_quant){.method = KRS_HUB_NONE};
    for (size_t i = 0; i < 2; i++) {
        json_t *block = NULL;
        json_t *hub = NULL;
        krs_status status = find_block(places[i], &block, err);
        if (status == KRS_OK && block) {
            return read_mlx(block, config, err);
        }
        if (status == KRS_OK) {
            status = krs_json_get_tree(places[i], "quantization_config", JSON_OBJECT, &hub, err);
        }
        if (status == KRS_OK && hub) {
            return krs_config_read_hub_quant(hub, &config->hub_quant, err);
        }
        if (status != KRS_OK) {
            return status;
        }
    }
    return KRS_OK;
}

krs_quant krs_model_config_quant(const krs_model_config *config, krs_str module)
{
    uint32_t low = 0;
    uint32_t high = config->n_overrides;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const krs_str name = krs_str_of(config->overrides[middle].module);
        const size_t n = name.len < module.len ? name.len : module.len;
        const int order = n > 0 ? memcmp(module.ptr, name.ptr, n) : 0;
        if (order == 0 && name.len == module.len) {
            return config->overrides[middle].quant;
        }
        if (order < 0 || (order == 0 && module.len < name.len)) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return config->quant;
}
