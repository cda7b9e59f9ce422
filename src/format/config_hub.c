/* format/config_hub.c - quantization_config as transformers reads it: the methods we can load, and a
 * refusal by name of the others and of settings that change what the tensors mean.
 *
 * Which modules are quantised is not taken from here: the lists of exceptions (`ignore`,
 * `modules_to_not_convert`) are names, globs or regular expressions depending on the writer, while the
 * file shows it beyond doubt. Widths and groups show there too; where the block gives them they are
 * kept, so that a block that contradicts its file is found. How activations were to be quantised
 * (`input_activations`, `activation_scheme`) does not matter: they are not, here.
 *
 * Source: transformers 5.17 utils/quantization_config.py; AutoGPTQ and GPTQModel quantize_config.json;
 * AutoAWQ quant_config; neuralmagic/compressed-tensors quant_args.py. */
#include "format/config_priv.h"

#include <string.h>
#include <strings.h>

#define FIELD         "quantization_config"
#define MAX_GROUP     (1 << 20)
#define MAX_NAME      64
#define MAX_CT_GROUPS 64 /* config_groups of one model; real ones have one to three */

static const char *const method_names[] = {
    [KRS_HUB_NONE] = "none", [KRS_HUB_GPTQ] = "gptq",   [KRS_HUB_AWQ] = "awq",
    [KRS_HUB_FP8] = "fp8",   [KRS_HUB_MXFP4] = "mxfp4", [KRS_HUB_COMPRESSED] = "compressed-tensors",
};

const char *krs_hub_method_name(krs_hub_method method)
{
    return (unsigned)method < KRS_HUB_METHOD_COUNT ? method_names[method] : "unknown";
}

static krs_status unsupported(krs_error *err, const char *field, const char *has, const char *want)
{
    return krs_fail_field(err, KRS_EUNSUPPORTED, FIELD, "%s: %s, want %s", field, has, want);
}

/* A string that must be one of allowed[] (NULL ends it), in any case of letters; absent: fine. */
static krs_status check_word(const json_t *block, const char *field, const char *const *allowed,
                             krs_error *err)
{
    char word[MAX_NAME] = "";
    const krs_status status = krs_config_copy_str(block, field, word, sizeof(word), err);
    if (status != KRS_OK || word[0] == '\0') {
        return status;
    }
    for (size_t i = 0; allowed[i]; i++) {
        if (strcasecmp(word, allowed[i]) == 0) {
            return KRS_OK;
        }
    }
    return unsupported(err, field, word, allowed[0]);
}

/* A switch that must not be set. */
static krs_status check_off(const json_t *block, const char *field, krs_error *err)
{
    bool is_on = false;
    const krs_status status = krs_json_get_bool(block, field, &is_on, err);
    return status == KRS_OK && is_on ? unsupported(err, field, "true", "false") : status;
}

static krs_status read_width(const json_t *block, const char *bits_field, const char *group_field,
                             krs_hub_quant *out, krs_error *err)
{
    int64_t bits = out->bits;
    int64_t group = out->group;
    krs_status status = krs_json_get_int(block, bits_field, 1, 64, &bits, err);
    if (status == KRS_OK) {
        status = krs_json_get_int(block, group_field, -1, MAX_GROUP, &group, err);
    }
    out->bits = (int32_t)bits;
    out->group = group > 0 ? (int32_t)group : 0;
    return status;
}

static krs_status read_gptq(const json_t *block, krs_hub_quant *out, krs_error *err)
{
    static const char *const formats[] = {"gptq", "gptq_v2", NULL};
    char format[MAX_NAME] = "gptq";
    json_t *dynamic = NULL;
    out->bits = 4;
    out->group = 128;
    krs_status status = read_width(block, "bits", "group_size", out, err);
    if (status == KRS_OK) {
        status = check_word(block, "checkpoint_format", formats, err);
    }
    if (status == KRS_OK) {
        status = check_off(block, "is_marlin_format", err);
    }
    if (status == KRS_OK) {
        status = krs_config_copy_str(block, "checkpoint_format", format, sizeof(format), err);
    }
    if (status == KRS_OK) {
        status = krs_json_get_tree(block, "dynamic", JSON_OBJECT, &dynamic, err);
    }
    if (status != KRS_OK) {
        return status;
    }
    if (json_object_size(dynamic) > 0) {
        return unsupported(err, "dynamic", "rules by module", "none");
    }
    if (out->bits != 4 && out->bits != 8) {
        return krs_fail_field(err, KRS_EUNSUPPORTED, FIELD, "gptq of %d bits, want 4 or 8",
                              out->bits);
    }
    out->is_zero_less_one = strcasecmp(format, "gptq_v2") != 0;
    return KRS_OK;
}

static krs_status read_awq(const json_t *block, krs_hub_quant *out, krs_error *err)
{
    static const char *const versions[] = {"gemm", NULL};
    bool has_zeros = true;
    out->bits = 4;
    out->group = 128;
    krs_status status = read_width(block, "w_bit", "q_group_size", out, err); /* the older names */
    if (status == KRS_OK) {
        status = read_width(block, "bits", "group_size", out, err);
    }
    if (status == KRS_OK) {
        status = check_word(block, "version", versions, err);
    }
    if (status == KRS_OK) {
        status = krs_json_get_bool(block, "zero_point", &has_zeros, err);
    }
    if (status != KRS_OK) {
        return status;
    }
    if (!has_zeros) {
        return unsupported(err, "zero_point", "false", "true");
    }
    if (out->bits != 4) {
        return krs_fail_field(err, KRS_EUNSUPPORTED, FIELD, "awq of %d bits, want 4", out->bits);
    }
    return KRS_OK;
}

static krs_status read_fp8(const json_t *block, krs_hub_quant *out, krs_error *err)
{
    static const char *const formats[] = {"e4m3", "float8_e4m3fn", "float8_e4m3", NULL};
    json_t *sizes = NULL;
    krs_status status = check_word(block, "fmt", formats, err);
    if (status == KRS_OK) {
        status = krs_json_get_tree(block, "weight_block_size", JSON_ARRAY, &sizes, err);
    }
    if (status != KRS_OK || !sizes) {
        return status;
    }
    const json_t *rows = json_array_get(sizes, 0);
    const json_t *columns = json_array_get(sizes, 1);
    const json_int_t n_rows = json_integer_value(rows); /* 0 when it is no integer */
    const json_int_t n_columns = json_integer_value(columns);
    if (json_array_size(sizes) != 2 || n_rows < 1 || n_rows > MAX_GROUP || n_columns < 1 ||
        n_columns > MAX_GROUP) {
        return krs_fail_field(err, KRS_EINVAL, FIELD,
                              "weight_block_size: want two numbers from 1 to %d", MAX_GROUP);
    }
    out->block_rows = (int32_t)n_rows;
    out->block_columns = (int32_t)n_columns;
    return KRS_OK;
}

/* One group's `weights`: symmetric integers or e4m3; the file's shapes tell the rest. */
static krs_status check_weights(const json_t *weights, krs_error *err)
{
    static const char *const types[] = {"int", "float", NULL};
    static const char *const strategies[] = {"channel", "group", "tensor", "block", NULL};
    int64_t bits = 8;
    bool is_symmetric = true;
    krs_status status = krs_json_get_int(weights, "num_bits", 1, 64, &bits, err);
    if (status == KRS_OK) {
        status = krs_json_get_bool(weights, "symmetric", &is_symmetric, err);
    }
    if (status == KRS_OK) {
        status = check_word(weights, "type", types, err);
    }
    if (status == KRS_OK) {
        status = check_word(weights, "strategy", strategies, err);
    }
    if (status == KRS_OK && !is_symmetric) {
        return unsupported(err, "symmetric", "false", "true");
    }
    if (status == KRS_OK && bits != 4 && bits != 8) {
        return krs_fail_field(err, KRS_EUNSUPPORTED, FIELD, "num_bits: %d, want 4 or 8", (int)bits);
    }
    return status;
}

static krs_status check_group(const json_t *group, krs_error *err)
{
    static const char *const formats[] = {"pack-quantized", "int-quantized", "naive-quantized",
                                          "float-quantized", NULL};
    json_t *weights = NULL;
    krs_status status = check_word(group, "format", formats, err);
    if (status == KRS_OK) {
        status = krs_json_get_tree(group, "weights", JSON_OBJECT, &weights, err);
    }
    return status == KRS_OK && weights ? check_weights(weights, err) : status;
}

static krs_status read_compressed(const json_t *block, krs_error *err)
{
    json_t *groups = NULL;
    json_t *sparsity = NULL;
    const char *name;
    json_t *group;
    static const char *const dense[] = {"dense", NULL};
    krs_status status = check_group(block, err); /* its own `format` */
    if (status == KRS_OK) {
        status = krs_json_get_tree(block, "config_groups", JSON_OBJECT, &groups, err);
    }
    if (status == KRS_OK) {
        status = krs_json_get_tree(block, "sparsity_config", JSON_OBJECT, &sparsity, err);
    }
    if (status == KRS_OK && sparsity) {
        status = check_word(sparsity, "format", dense, err);
    }
    if (status == KRS_OK && json_object_size(groups) > MAX_CT_GROUPS) {
        return krs_fail_field(err, KRS_ETOOLARGE, FIELD, "config_groups: %zu, limit %d",
                              json_object_size(groups), MAX_CT_GROUPS);
    }
    json_object_foreach(groups, name, group)
    {
        if (status == KRS_OK) {
            status = json_is_object(group)
                         ? check_group(group, err)
                         : krs_fail_field(err, KRS_EINVAL, FIELD, "%.40s: want an object", name);
        }
    }
    return status;
}

static krs_hub_method method_of(const char *name)
{
    unsigned i = KRS_HUB_NONE + 1;
    while (i < KRS_HUB_METHOD_COUNT && strcmp(name, method_names[i]) != 0) {
        i++;
    }
    return (krs_hub_method)i;
}

krs_status krs_config_read_hub_quant(const json_t *block, krs_hub_quant *out, krs_error *err)
{
    char name[MAX_NAME] = "";
    krs_status status = krs_config_copy_str(block, "quant_method", name, sizeof(name), err);
    if (status != KRS_OK) {
        return status;
    }
    *out = (krs_hub_quant){.method = method_of(name)};
    switch (out->method) {
    case KRS_HUB_GPTQ:
        status = read_gptq(block, out, err);
        break;
    case KRS_HUB_AWQ:
        status = read_awq(block, out, err);
        break;
    case KRS_HUB_FP8:
        status = read_fp8(block, out, err);
        break;
    case KRS_HUB_COMPRESSED:
        status = read_compressed(block, err);
        break;
    case KRS_HUB_MXFP4:
        break;
    default:
        return krs_fail_field(err, KRS_EUNSUPPORTED, FIELD,
                              FIELD ": method %s, want gptq, awq, fp8, compressed-tensors, mxfp4 "
                                    "or MLX's",
                              name[0] ? name : "unknown");
    }
    return status == KRS_OK ? KRS_OK : krs_error_wrap(err, status, FIELD " of %s", name);
}
