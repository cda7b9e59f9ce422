/* model/bind.c - see bind.h.
 * Refused although transformers would load it: a bias tensor the configuration does not announce, and
 * scales beside a dense weight. Ignoring either gives fluent nonsense, which costs more than a refusal. */
#include "model/bind.h"

#include "base/check.h"

#include <inttypes.h>
#include <stdio.h>

#define SHAPE_BYTES 96 /* eight dimensions of up to ten digits, cut beyond */

typedef struct tensor_name {
    char text[KRS_BIND_NAME_BYTES];
    size_t len; /* of the module; a suffix follows it */
} tensor_name;

void krs_binder_init(krs_binder *binder, const krs_family *family, const krs_model_config *config,
                     const krs_tensor_dir *tensors, krs_program *program, krs_model_stats *stats)
{
    *binder = (krs_binder){
        .family = family,
        .config = config,
        .tensors = tensors,
        .prefix = "model.",
        .program = program,
        .stats = stats,
        .embed_matrix = KRS_NO_MATRIX,
    };
    if (krs_tensor_dir_find(tensors, KRS_STR("model.embed_tokens.weight")) == NULL &&
        krs_tensor_dir_find(tensors, KRS_STR("embed_tokens.weight")) != NULL) {
        binder->prefix = "";
    }
}

bool krs_binder_has(const krs_binder *binder, krs_role role)
{
    return role < KRS_ROLE_COUNT && binder->family->names[role] != NULL;
}

static tensor_name module_name(const krs_binder *binder, krs_role role, int32_t layer)
{
    tensor_name name;
    name.len = krs_family_module_name(binder->family, role, layer, binder->prefix, name.text);
    return name;
}

static const krs_tensor *find(const krs_binder *binder, tensor_name *name, const char *suffix)
{
    const size_t room = sizeof(name->text) - name->len;
    const int n = snprintf(name->text + name->len, room, "%s", suffix);
    KRS_CHECK(n >= 0 && (size_t)n < room);
    return krs_tensor_dir_find(binder->tensors, krs_str_of(name->text));
}

/* "[64, 160]" */
static void write_shape(int32_t rank, const int64_t *dims, char out[SHAPE_BYTES])
{
    size_t at = (size_t)snprintf(out, SHAPE_BYTES, "[");
    for (int32_t i = 0; i < rank && at < SHAPE_BYTES; i++) {
        at +=
            (size_t)snprintf(out + at, SHAPE_BYTES - at, "%s%" PRId64, i > 0 ? ", " : "", dims[i]);
    }
    if (at < SHAPE_BYTES) {
        (void)snprintf(out + at, SHAPE_BYTES - at, "]");
    }
}

static krs_status check_shape(const krs_tensor *tensor, int32_t rank, const int64_t *dims,
                              krs_error *err)
{
    if (tensor->rank == rank && memcmp(tensor->dims, dims, (size_t)rank * sizeof(dims[0])) == 0) {
        return KRS_OK;
    }
    char has[SHAPE_BYTES];
    char want[SHAPE_BYTES];
    write_shape(tensor->rank, tensor->dims, has);
    write_shape(rank, dims, want);
    return krs_fail(err, KRS_EFORMAT, "tensor %.*s: shape %s, config.json asks for %s",
                    KRS_STR_ARGS(tensor->name), has, want);
}

static bool is_float(krs_dtype dtype)
{
    return dtype == KRS_DTYPE_F32 || dtype == KRS_DTYPE_F16 || dtype == KRS_DTYPE_BF16;
}

static krs_status check_float(const krs_tensor *tensor, krs_error *err)
{
    if (is_float(tensor->dtype)) {
        return KRS_OK;
    }
    return krs_fail(err, KRS_EUNSUPPORTED, "tensor %.*s: dtype %s, want F32, F16 or BF16",
                    KRS_STR_ARGS(tensor->name), krs_dtype_name(tensor->dtype));
}

static krs_status fail_missing(const tensor_name *name, krs_role role, krs_error *err)
{
    return krs_fail(err, KRS_ENOENT, "missing tensor %s%s", name->text,
                    role == KRS_ROLE_HEAD ? " (config.json does not tie the head to the embedding)"
                                          : "");
}

/* A vector of n_in floats, one dimension in the file. */
static krs_status bind_vector(const krs_tensor *tensor, int64_t n_in, krs_matrix *out,
                              krs_error *err)
{
    krs_status status = check_float(tensor, err);
    if (status == KRS_OK) {
        status = check_shape(tensor, 1, &n_in, err);
    }
    if (status == KRS_OK) {
        *out = (krs_matrix){.n_out = 1, .n_in = n_in, .dtype = tensor->dtype, .data = tensor->data};
    }
    return status;
}

static krs_status bind_dense(krs_binder *binder, const krs_tensor *weight, tensor_name *name,
                             krs_matrix *out, krs_error *err)
{
    krs_status status = check_float(weight, err);
    if (status != KRS_OK) {
        return status;
    }
    if (find(binder, name, ".scales") != NULL) {
        return krs_fail(err, KRS_EFORMAT,
                        "tensor %s is in the file, but the weight is %s: not quantised", name->text,
                        krs_dtype_name(weight->dtype));
    }
    status = check_shape(weight, 2, (int64_t[]){out->n_out, out->n_in}, err);
    if (status == KRS_OK) {
        out->dtype = weight->dtype;
        out->data = weight->data;
    }
    return status;
}

/* Scales or biases: [n_out, n_in / group]. */
static krs_status find_group_values(const krs_binder *binder, tensor_name *name, const char *suffix,
                                    const krs_matrix *matrix, const krs_tensor **out,
                                    krs_error *err)
{
    const krs_tensor *tensor = find(binder, name, suffix);
    if (tensor == NULL) {
        return fail_missing(name, KRS_ROLE_NONE, err);
    }
    const krs_status status = check_float(tensor, err);
    if (status != KRS_OK) {
        return status;
    }
    *out = tensor;
    const int64_t n_groups = matrix->n_in / matrix->quant.group;
    return check_shape(tensor, 2, (int64_t[]){matrix->n_out, n_groups}, err);
}

/* MLX's triple: packed weight, scales, biases. */
static krs_status bind_affine(krs_binder *binder, const krs_tensor *weight, tensor_name *name,
                              krs_matrix *out, krs_error *err)
{
    const krs_str module = {name->text, name->len};
    out->quant = krs_model_config_quant(binder->config, module);
    if (out->quant.kind != KRS_QUANT_AFFINE) {
        return krs_fail(err, KRS_EFORMAT,
                        "tensor %s: U32, but config.json says it is not quantised", name->text);
    }
    krs_status status = krs_quant_check(&out->quant, out->n_in, err);
    if (status != KRS_OK) {
        return krs_error_wrap(err, status, "tensor %s", name->text);
    }
    const int64_t n_words = out->n_in * out->quant.bits / 32;
    const krs_tensor *scales = NULL;
    const krs_tensor *biases = NULL;
    status = check_shape(weight, 2, (int64_t[]){out->n_out, n_words}, err);
    if (status == KRS_OK) {
        status = find_group_values(binder, name, ".scales", out, &scales, err);
    }
    if (status == KRS_OK) {
        status = find_group_values(binder, name, ".biases", out, &biases, err);
    }
    if (status != KRS_OK) {
        return status;
    }
    if (scales->dtype != biases->dtype) {
        return krs_fail(err, KRS_EUNSUPPORTED, "tensor %s: dtype %s, but the scales are %s",
                        name->text, krs_dtype_name(biases->dtype), krs_dtype_name(scales->dtype));
    }
    out->dtype = KRS_DTYPE_U32;
    out->scale_dtype = scales->dtype;
    out->data = weight->data;
    out->scales = scales->data;
    out->biases = biases->data;
    return KRS_OK;
}

/* A vocabulary that is not config.json's deserves its own words: it is the commonest lie. */
static krs_status check_vocab(const krs_tensor *weight, krs_role role, int64_t vocab,
                              krs_error *err)
{
    if (krs_role_shape_of(role)->rows != KRS_DIM_VOCAB || weight->rank != 2 ||
        weight->dims[0] == vocab) {
        return KRS_OK;
    }
    return krs_fail(err, KRS_EFORMAT,
                    "vocabulary mismatch: tensor %.*s has %" PRId64
                    " rows, config.json's vocab_size is %" PRId64,
                    KRS_STR_ARGS(weight->name), weight->dims[0], vocab);
}

static krs_status bind_weight(krs_binder *binder, krs_role role, tensor_name *name, krs_matrix *out,
                              krs_error *err)
{
    const krs_role_shape *shape = krs_role_shape_of(role);
    const int64_t n_in = krs_dim_of(binder->config, shape->columns);
    const krs_tensor *weight = find(binder, name, ".weight");
    if (weight == NULL) {
        return fail_missing(name, role, err);
    }
    if (shape->rows == KRS_DIM_ONE) {
        return bind_vector(weight, n_in, out, err);
    }
    const krs_status status = check_vocab(weight, role, binder->config->vocab, err);
    if (status != KRS_OK) {
        return status;
    }
    *out = (krs_matrix){.n_out = krs_dim_of(binder->config, shape->rows), .n_in = n_in};
    return weight->dtype == KRS_DTYPE_U32 ? bind_affine(binder, weight, name, out, err)
                                          : bind_dense(binder, weight, name, out, err);
}

static krs_status bind_bias(krs_binder *binder, krs_role role, tensor_name *name, bool *has_bias,
                            krs_matrix *out, krs_error *err)
{
    const krs_role_shape *shape = krs_role_shape_of(role);
    const krs_tensor *bias = find(binder, name, ".bias");
    *has_bias = krs_bias_rule_holds(binder->config, binder->family->bias[role]);
    if (*has_bias && bias == NULL) {
        return fail_missing(name, KRS_ROLE_NONE, err);
    }
    if (!*has_bias && bias != NULL) {
        return krs_fail(err, KRS_EFORMAT,
                        "tensor %s is in the file, but this %s model has no such bias", name->text,
                        binder->family->model_type);
    }
    return *has_bias ? bind_vector(bias, krs_dim_of(binder->config, shape->rows), out, err)
                     : KRS_OK;
}

/* Add to the program and to the books. */
static krs_status add(krs_binder *binder, krs_part part, const krs_matrix *matrix, uint32_t *out,
                      krs_error *err)
{
    const krs_status status = krs_program_add_matrix(binder->program, matrix, out);
    if (status != KRS_OK) {
        return krs_fail(err, status, "program: matrix %u", binder->program->n_matrices);
    }
    krs_model_stats *stats = binder->stats;
    uint64_t *const by_part[KRS_PART_COUNT] = {
        [KRS_PART_EMBEDDING] = &stats->embedding_bytes,
        [KRS_PART_ATTENTION] = &stats->attention_bytes,
        [KRS_PART_FFN] = &stats->ffn_bytes,
        [KRS_PART_NORM] = &stats->norm_bytes,
        [KRS_PART_HEAD] = &stats->head_bytes,
    };
    *by_part[part] += krs_matrix_data_bytes(matrix) + krs_matrix_scale_bytes(matrix);
    stats->n_parameters += (uint64_t)matrix->n_out * (uint64_t)matrix->n_in;
    return KRS_OK;
}

krs_status krs_binder_bind(krs_binder *binder, krs_role role, int32_t layer, krs_bound *out,
                           krs_error *err)
{
    KRS_CHECK(krs_binder_has(binder, role));
    krs_bound bound = {KRS_NO_MATRIX, KRS_NO_MATRIX};
    /* Tied: the embedding is the head, also when the file carries a copy of it. */
    if (role == KRS_ROLE_HEAD && binder->config->is_tied) {
        KRS_CHECK(binder->embed_matrix != KRS_NO_MATRIX);
        bound.matrix = binder->embed_matrix;
        *out = bound;
        return KRS_OK;
    }
    const krs_part part = krs_role_shape_of(role)->part;
    tensor_name name = module_name(binder, role, layer);
    krs_matrix weight = {0};
    krs_matrix bias = {0};
    bool has_bias = false;
    krs_status status = bind_weight(binder, role, &name, &weight, err);
    if (status == KRS_OK) {
        status = bind_bias(binder, role, &name, &has_bias, &bias, err);
    }
    if (status == KRS_OK) {
        status = add(binder, part, &weight, &bound.matrix, err);
    }
    if (status == KRS_OK && has_bias) {
        status = add(binder, part, &bias, &bound.bias, err);
    }
    if (status != KRS_OK) {
        return status;
    }
    if (role == KRS_ROLE_EMBED) {
        binder->embed_matrix = bound.matrix;
    }
    *out = bound;
    return KRS_OK;
}
