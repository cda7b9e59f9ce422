/* model/tensor.c - one tensor of a module: found, held against what config.json implies, and described as
 * a matrix. See bind_priv.h.
 *
 * Refused although transformers would load it: scales beside a dense weight. Ignoring them gives fluent
 * nonsense, which costs more than a refusal.
 *
 * Thread: any; pure.  Memory: none. */
#include "base/check.h"
#include "model/bind_priv.h"

#include <inttypes.h>
#include <stdio.h>

#define SHAPE_BYTES 96 /* eight dimensions of up to ten digits, cut beyond */

const krs_tensor *krs_binder_find(const krs_binder *binder, krs_tensor_name *name,
                                  const char *suffix)
{
    const size_t room = sizeof(name->text) - name->len;
    const int n = snprintf(name->text + name->len, room, "%s", suffix);
    KRS_CHECK(n >= 0 && (size_t)n < room);
    return krs_tensor_dir_find(binder->tensors, krs_str_of(name->text));
}

krs_status krs_tensor_missing(const krs_tensor_name *name, krs_role role, krs_error *err)
{
    return krs_fail(err, KRS_ENOENT, "missing tensor %s%s", name->text,
                    role == KRS_ROLE_HEAD ? " (config.json does not tie the head to the embedding)"
                                          : "");
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

krs_status krs_tensor_check_shape(const krs_tensor *tensor, const krs_tensor_shape *want,
                                  krs_error *err)
{
    if (tensor->rank == want->rank &&
        memcmp(tensor->dims, want->dims, (size_t)want->rank * sizeof(want->dims[0])) == 0) {
        return KRS_OK;
    }
    char has[SHAPE_BYTES];
    char wants[SHAPE_BYTES];
    write_shape(tensor->rank, tensor->dims, has);
    write_shape(want->rank, want->dims, wants);
    return krs_fail(err, KRS_EFORMAT, "tensor %.*s: shape %s, config.json asks for %s",
                    KRS_STR_ARGS(tensor->name), has, wants);
}

krs_status krs_tensor_check_float(const krs_tensor *tensor, krs_error *err)
{
    if (tensor->dtype == KRS_DTYPE_F32 || tensor->dtype == KRS_DTYPE_F16 ||
        tensor->dtype == KRS_DTYPE_BF16) {
        return KRS_OK;
    }
    return krs_fail(err, KRS_EUNSUPPORTED, "tensor %.*s: dtype %s, want F32, F16 or BF16",
                    KRS_STR_ARGS(tensor->name), krs_dtype_name(tensor->dtype));
}

krs_tensor_shape krs_tensor_shape_of(const krs_binder *binder, const krs_weight_form *form,
                                     int64_t rows, int64_t columns)
{
    krs_tensor_shape s = {0};
    if (form->is_stacked) {
        s.dims[s.rank++] = krs_dim_of(binder->config, KRS_DIM_EXPERTS);
    }
    s.dims[s.rank++] = rows;
    if (form->is_depthwise) {
        s.dims[s.rank++] = 1;
    }
    s.dims[s.rank++] = columns;
    return s;
}

const void *krs_tensor_expert(const krs_tensor *tensor, const krs_wanted *wanted)
{
    const size_t one = wanted->form->is_stacked ? tensor->n_bytes / (size_t)tensor->dims[0] : 0;
    return (const unsigned char *)tensor->data + one * (size_t)wanted->expert;
}

krs_status krs_tensor_vector(const krs_binder *binder, const krs_tensor *tensor,
                             const krs_wanted *wanted, int64_t n, krs_matrix *out, krs_error *err)
{
    krs_tensor_shape want = {0};
    if (wanted->form->is_stacked) {
        want.dims[want.rank++] = krs_dim_of(binder->config, KRS_DIM_EXPERTS);
    }
    want.dims[want.rank++] = n;
    krs_status status = krs_tensor_check_float(tensor, err);
    if (status == KRS_OK) {
        status = krs_tensor_check_shape(tensor, &want, err);
    }
    if (status == KRS_OK) {
        *out = (krs_matrix){.n_out = 1,
                            .n_in = n,
                            .dtype = tensor->dtype,
                            .data = krs_tensor_expert(tensor, wanted)};
    }
    return status;
}

static krs_status describe_dense(const krs_binder *binder, const krs_tensor *weight,
                                 krs_tensor_name *name, const krs_wanted *wanted, krs_whole *out,
                                 krs_error *err)
{
    krs_status status = krs_tensor_check_float(weight, err);
    if (status != KRS_OK) {
        return status;
    }
    if (krs_binder_find(binder, name, ".scales") != NULL) {
        return krs_fail(err, KRS_EFORMAT,
                        "tensor %s is in the file, but the weight is %s: not quantised", name->text,
                        krs_dtype_name(weight->dtype));
    }
    const bool is_transposed =
        wanted->form->is_transposed && !binder->config->changes.is_conv1d_turned;
    const int64_t rows = is_transposed ? wanted->columns : wanted->rows;
    const int64_t columns = is_transposed ? wanted->rows : wanted->columns;
    krs_tensor_shape want = krs_tensor_shape_of(binder, wanted->form, rows, columns);
    if (wanted->form->is_depthwise && weight->rank == 3 && weight->dims[2] == 1) {
        want.dims[1] = columns; /* as MLX turns it: the same elements in the same order */
        want.dims[2] = 1;
    }
    status = krs_tensor_check_shape(weight, &want, err);
    if (status == KRS_OK) {
        out->is_transposed = is_transposed;
        out->matrix = (krs_matrix){.n_out = rows,
                                   .n_in = columns,
                                   .dtype = weight->dtype,
                                   .data = krs_tensor_expert(weight, wanted)};
    }
    return status;
}

/* Blocks of GGUF, which carry their scales: always the right way round. */
static krs_status describe_blocks(const krs_binder *binder, const krs_tensor *weight,
                                  const krs_wanted *wanted, krs_matrix *out, krs_error *err)
{
    const krs_tensor_shape want =
        krs_tensor_shape_of(binder, wanted->form, wanted->rows, wanted->columns);
    krs_status status = krs_tensor_check_shape(weight, &want, err);
    if (status == KRS_OK) {
        status = krs_quant_check(&weight->quant, wanted->columns, err);
    }
    if (status == KRS_OK) {
        *out = (krs_matrix){.n_out = wanted->rows,
                            .n_in = wanted->columns,
                            .quant = weight->quant,
                            .dtype = weight->dtype,
                            .data = krs_tensor_expert(weight, wanted)};
    }
    return status;
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

/* So does a number of experts. */
static krs_status check_experts(const krs_binder *binder, const krs_tensor *weight,
                                const krs_weight_form *form, krs_error *err)
{
    const int64_t n_experts = krs_dim_of(binder->config, KRS_DIM_EXPERTS);
    if (!form->is_stacked || weight->rank == 0 || weight->dims[0] == n_experts) {
        return KRS_OK;
    }
    return krs_fail(err, KRS_EFORMAT,
                    "expert mismatch: tensor %.*s has %" PRId64
                    " experts, config.json says there are %" PRId64,
                    KRS_STR_ARGS(weight->name), weight->dims[0], n_experts);
}

krs_status krs_tensor_weight(krs_binder *binder, krs_tensor_name *name, const krs_wanted *wanted,
                             krs_whole *out, krs_error *err)
{
    const krs_tensor *codes = krs_tensor_find_codes(binder, name, wanted->form);
    const krs_tensor *weight = codes;
    *out = (krs_whole){.is_transposed = false};
    if (weight == NULL) {
        weight = krs_binder_find(binder, name, krs_weight_suffix(wanted->form));
    }
    if (weight == NULL) {
        return krs_tensor_missing(name, wanted->role, err);
    }
    krs_status status = check_experts(binder, weight, wanted->form, err);
    if (status != KRS_OK) {
        return status;
    }
    if (krs_role_shape_of(wanted->role)->rows == KRS_DIM_ONE) { /* codes are no floats */
        return krs_tensor_vector(binder, weight, wanted, wanted->columns, &out->matrix, err);
    }
    status = check_vocab(weight, wanted->role, binder->config->vocab, err);
    if (status != KRS_OK) {
        return status;
    }
    if (weight->quant.kind != KRS_QUANT_NONE) {
        return describe_blocks(binder, weight, wanted, &out->matrix, err);
    }
    return codes ? krs_tensor_quantised(binder, codes, name, wanted, &out->matrix, err)
                 : describe_dense(binder, weight, name, wanted, out, err);
}
