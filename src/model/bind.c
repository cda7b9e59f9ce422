/* model/bind.c - see bind.h.
 * Refused although transformers would load it: a bias tensor the configuration does not announce. Ignoring
 * it gives fluent nonsense, which costs more than a refusal. */
#include "model/bind.h"

#include "base/check.h"
#include "model/bind_priv.h"

/* What the hub puts before the names of a network, and of what stands beside it. */
static const struct {
    const char *network;
    const char *head;
} prefixes[] = {
    {"model.", ""},
    {"", ""},
    {"transformer.", ""},
    {"gpt_neox.", ""},
    {"bert.", ""},
    {"roberta.", ""},
    {"mpnet.", ""},
    {"distilbert.", ""},
    {"language_model.model.", "language_model."},
    {"model.language_model.", ""},
};

#define N_PREFIXES (sizeof(prefixes) / sizeof(prefixes[0]))

static krs_tensor_name module_name(const krs_binder *binder, const krs_weight_name *pattern,
                                   const krs_weight_key *key)
{
    krs_tensor_name name;
    const char *prefix = pattern->name[0] == '/' ? binder->head_prefix : binder->prefix;
    name.len = krs_family_module_name(pattern, key->layer, key->expert, prefix, name.text);
    return name;
}

static bool is_in_file(const krs_binder *binder, const krs_weight_name *pattern,
                       const krs_weight_key *key)
{
    krs_tensor_name name = module_name(binder, pattern, key);
    return krs_tensor_is_stored(binder, &name, &pattern->form);
}

/* The spelling the file has; the first when it has none, for the message. */
static const krs_weight_name *choose_name(const krs_binder *binder, const krs_weight_key *key)
{
    const krs_weight_name *first = krs_family_next_name(binder->family, key->role, NULL);
    const krs_weight_name *name = first;
    while (name && !is_in_file(binder, name, key)) {
        name = krs_family_next_name(binder->family, key->role, name);
    }
    return name ? name : first;
}

void krs_binder_init(krs_binder *binder, const krs_family *family, const krs_model_config *config,
                     const krs_tensor_dir *tensors, krs_program *program, krs_model_stats *stats,
                     krs_copies *copies)
{
    static const krs_weight_key embed = {.role = KRS_ROLE_EMBED};
    *binder = (krs_binder){
        .family = family,
        .config = config,
        .tensors = tensors,
        .prefix = family->prefix ? family->prefix : "model.",
        .head_prefix = "",
        .program = program,
        .stats = stats,
        .copies = copies,
        .embed_matrix = KRS_NO_MATRIX,
    };
    const krs_binder plain = *binder;
    for (size_t i = 0; i < N_PREFIXES; i++) {
        binder->prefix = prefixes[i].network;
        binder->head_prefix = prefixes[i].head;
        if (is_in_file(binder, krs_family_next_name(family, KRS_ROLE_EMBED, NULL), &embed)) {
            return;
        }
    }
    *binder = plain;
}

static int64_t or_one(const krs_binder *binder, krs_dim dim)
{
    return dim == KRS_DIM_NONE ? 1 : krs_dim_of(binder->config, dim);
}

static krs_part_of part_of(const krs_binder *binder, const krs_weight_form *form, int64_t rows)
{
    return (krs_part_of){
        .rows = rows,
        .at = krs_dim_of(binder->config, form->at),
        .groups = or_one(binder, form->groups),
    };
}

/* A vector in pieces, put together. All have the first one's dtype. */
static krs_status bind_pieces(krs_binder *binder, const krs_weight_key *key,
                              const krs_weight_name *pattern, krs_matrix *out, krs_error *err)
{
    const int64_t n = krs_dim_of(binder->config, krs_role_shape_of(key->role)->columns);
    const int64_t n_pieces = krs_dim_of(binder->config, pattern->form.pieces);
    const krs_wanted wanted = {.role = key->role, .form = &pattern->form, .columns = n / n_pieces};
    unsigned char *to = NULL;
    *out = (krs_matrix){.n_out = 1, .n_in = n};
    for (int32_t i = 0; i < n_pieces; i++) {
        const krs_weight_key piece = {key->role, key->layer, i, KRS_HALF_MATRIX};
        krs_tensor_name name = module_name(binder, pattern, &piece);
        krs_whole whole;
        const krs_status status = krs_tensor_weight(binder, &name, &wanted, &whole, err);
        if (status != KRS_OK) {
            return status;
        }
        const size_t n_bytes = krs_matrix_row_bytes(&whole.matrix);
        if (!to) {
            out->dtype = whole.matrix.dtype;
            out->data = to = krs_copies_take(binder->copies, (size_t)n_pieces * n_bytes);
        }
        if (!to) {
            return krs_fail(err, KRS_ENOMEM, "copy of %s: %zu bytes", name.text, n_bytes);
        }
        if (whole.matrix.dtype != out->dtype) {
            return krs_fail(err, KRS_EUNSUPPORTED, "tensor %s: dtype %s, but the first is %s",
                            name.text, krs_dtype_name(whole.matrix.dtype),
                            krs_dtype_name(out->dtype));
        }
        memcpy(to + (size_t)i * n_bytes, whole.matrix.data, n_bytes);
    }
    return KRS_OK;
}

static krs_status bind_weight(krs_binder *binder, const krs_wanted *wanted, krs_tensor_name *name,
                              krs_matrix *out, krs_error *err)
{
    const krs_role_shape *shape = krs_role_shape_of(wanted->role);
    krs_whole whole;
    const krs_status status = krs_tensor_weight(binder, name, wanted, &whole, err);
    if (status != KRS_OK) {
        return status;
    }
    if (shape->rows == KRS_DIM_ONE) {
        *out = whole.matrix;
        return KRS_OK;
    }
    const krs_part_of part = part_of(binder, wanted->form, krs_dim_of(binder->config, shape->rows));
    if (wanted->form->is_turned) {
        const int64_t n_in = krs_dim_of(binder->config, shape->columns);
        return krs_part_turn(binder->copies, &whole.matrix, &part, n_in, out, err);
    }
    return krs_part_take(binder->copies, &whole, &part, out, err);
}

static krs_status bind_bias(const krs_binder *binder, const krs_weight_key *key,
                            const krs_wanted *wanted, krs_tensor_name *name, krs_matrix *out,
                            krs_error *err)
{
    const krs_role_shape *shape = krs_role_shape_of(key->role);
    const krs_tensor *bias = krs_binder_find(binder, name, krs_bias_suffix(wanted->form));
    const bool has_bias = krs_binder_has_bias(binder, key);
    *out = (krs_matrix){.n_out = 0};
    if (has_bias && bias == NULL) {
        return krs_tensor_missing(name, KRS_ROLE_NONE, err);
    }
    if (!has_bias && bias != NULL) {
        return krs_fail(err, KRS_EFORMAT,
                        "tensor %s is in the file, but this %s model has no such bias", name->text,
                        binder->config->model_type);
    }
    if (!has_bias) {
        return KRS_OK;
    }
    /* A norm's bias is as long as its weight, a matrix's has an element a row. */
    const bool is_vector = shape->rows == KRS_DIM_ONE;
    const int64_t n = is_vector ? wanted->columns : wanted->rows;
    krs_matrix whole;
    const krs_status status = krs_tensor_vector(binder, bias, wanted, n, &whole, err);
    if (status != KRS_OK || is_vector) {
        *out = whole;
        return status;
    }
    const krs_part_of part = part_of(binder, wanted->form, krs_dim_of(binder->config, shape->rows));
    return krs_part_take_vector(binder->copies, &whole, &part, out, err);
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
    stats->converted_bytes = binder->copies->n_bytes;
    return KRS_OK;
}

/* The tensor that a role is, or is a part of. A turned part has the tensor's columns for rows. */
static krs_wanted wanted_of(const krs_binder *binder, const krs_weight_key *key,
                            const krs_weight_name *pattern)
{
    const krs_role_shape *shape = krs_role_shape_of(key->role);
    const krs_weight_form *form = &pattern->form;
    const int64_t rows = krs_dim_of(binder->config, shape->rows);
    return (krs_wanted){
        .role = key->role,
        .form = form,
        .rows = form->of != KRS_DIM_NONE ? krs_dim_of(binder->config, form->of) : rows,
        .columns = form->is_turned ? rows / or_one(binder, form->groups)
                                   : krs_dim_of(binder->config, shape->columns),
        .expert = key->expert,
    };
}

static krs_status bind_named(krs_binder *binder, const krs_weight_key *key, krs_bound *out,
                             krs_error *err)
{
    const krs_role_shape *shape = krs_role_shape_of(key->role);
    const krs_weight_name *pattern = choose_name(binder, key);
    KRS_CHECK(pattern != NULL);
    const krs_wanted wanted = wanted_of(binder, key, pattern);
    krs_tensor_name name = module_name(binder, pattern, key);
    krs_matrix weight;
    krs_matrix bias;
    const bool has_matrix = key->half != KRS_HALF_BIAS;
    krs_status status = KRS_OK;
    if (has_matrix) {
        status = pattern->form.pieces == KRS_DIM_NONE
                     ? bind_weight(binder, &wanted, &name, &weight, err)
                     : bind_pieces(binder, key, pattern, &weight, err);
    }
    if (status == KRS_OK) {
        status = bind_bias(binder, key, &wanted, &name, &bias, err);
    }
    if (status == KRS_OK && has_matrix) {
        status = add(binder, shape->part, &weight, &out->matrix, err);
    }
    if (status == KRS_OK && bias.n_out > 0 && key->half != KRS_HALF_MATRIX) {
        status = add(binder, shape->part, &bias, &out->bias, err);
    }
    return status;
}

bool krs_binder_has(const krs_binder *binder, const krs_weight_key *key)
{
    const krs_weight_name *name = choose_name(binder, key);
    return name && is_in_file(binder, name, key);
}

int32_t krs_binder_count_experts(const krs_binder *binder, const krs_weight_key *key)
{
    const krs_weight_name *name = choose_name(binder, key);
    const char *first = name ? strchr(name->name, '#') : NULL;
    if (!first || !strchr(first + 1, '#')) {
        return -1;
    }
    krs_weight_key each = {.role = key->role, .layer = key->layer};
    while (each.expert <= binder->config->experts.n && is_in_file(binder, name, &each)) {
        each.expert++;
    }
    return each.expert;
}

bool krs_binder_has_bias(const krs_binder *binder, const krs_weight_key *key)
{
    const krs_traits rule = binder->family->bias[key->role];
    return (rule & krs_traits_of(binder->config, key->layer)) != 0;
}

bool krs_binder_is_turned_kernel(const krs_binder *binder, const krs_weight_key *key)
{
    krs_tensor_name name = module_name(binder, choose_name(binder, key), key);
    const krs_tensor *tensor = krs_binder_find(binder, &name, ".weight");
    return tensor && tensor->rank == 3 && tensor->dims[1] != 1 && tensor->dims[2] == 1;
}

krs_status krs_binder_bind(krs_binder *binder, const krs_weight_key *key, krs_bound *out,
                           krs_error *err)
{
    krs_bound bound = {KRS_NO_MATRIX, KRS_NO_MATRIX};
    /* Tied: the embedding is the head, also when the file carries a copy of it. */
    if (key->role == KRS_ROLE_HEAD && binder->config->is_tied) {
        KRS_CHECK(binder->embed_matrix != KRS_NO_MATRIX);
        bound.matrix = binder->embed_matrix;
        *out = bound;
        return KRS_OK;
    }
    const krs_status status = bind_named(binder, key, &bound, err);
    if (status != KRS_OK) {
        return status;
    }
    if (key->role == KRS_ROLE_EMBED) {
        binder->embed_matrix = bound.matrix;
    }
    *out = bound;
    return KRS_OK;
}
