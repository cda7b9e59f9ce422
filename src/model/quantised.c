/* model/quantised.c - the matrix of a module that is stored quantised. See bind_priv.h.
 *
 *   maker                what lies in the file                                        becomes
 *   MLX                  .weight U32, .scales, .biases                                a view
 *   GPTQ, AWQ            .qweight I32, .qzeros, .scales, .g_idx                       rewritten (tensor/repack.h)
 *   compressed-tensors   .weight_packed I32, .weight_scale                            codes a view, scales copied
 *                        .weight I8, .weight_scale                                    a view
 *   fp8                  .weight F8_E4M3, .weight_scale_inv or .weight_scale          codes a view, scales by row
 *   gpt-oss              _blocks U8, _scales U8: mxfp4                                a view
 *
 * The first that the file has decides. What is rewritten is the model's own memory and counted; the
 * file's bytes of it are not touched again. A fused weight is rewritten once for all its parts.
 *
 * Thread: one owner.  Memory: the model's copies. */
#include "base/check.h"
#include "base/checked.h"
#include "model/quantised_priv.h"

#define MXFP4_GROUP       32
#define MXFP4_BLOCK_BYTES 16 /* of one group's codes */

krs_status krs_quantised_check_shape(const krs_quantised_job *j, const krs_tensor *tensor,
                                     int64_t rows, int64_t columns)
{
    const krs_tensor_shape want = krs_tensor_shape_of(j->binder, j->wanted->form, rows, columns);
    return krs_tensor_check_shape(tensor, &want, j->err);
}

krs_status krs_quantised_find_words(const krs_quantised_job *j, const char *suffix, krs_dtype dtype,
                                    int64_t rows, int64_t columns, const krs_tensor **out)
{
    *out = krs_binder_find(j->binder, j->name, suffix);
    if (*out == NULL) {
        return krs_tensor_missing(j->name, KRS_ROLE_NONE, j->err);
    }
    if ((*out)->dtype != dtype) {
        return krs_fail(j->err, KRS_EUNSUPPORTED, "tensor %s: dtype %s, want %s", j->name->text,
                        krs_dtype_name((*out)->dtype), krs_dtype_name(dtype));
    }
    return krs_quantised_check_shape(j, *out, rows, columns);
}

krs_status krs_quantised_find_floats(const krs_quantised_job *j, const char *suffix, int64_t rows,
                                     int64_t columns, const krs_tensor **out)
{
    *out = krs_binder_find(j->binder, j->name, suffix);
    if (*out == NULL) {
        return krs_tensor_missing(j->name, KRS_ROLE_NONE, j->err);
    }
    const krs_status status = krs_tensor_check_float(*out, j->err);
    return status == KRS_OK ? krs_quantised_check_shape(j, *out, rows, columns) : status;
}

krs_status krs_quantised_check_method(const krs_quantised_job *j, krs_hub_method method)
{
    const krs_hub_method has = j->binder->config->hub_quant.method;
    if (has == method) {
        return KRS_OK;
    }
    return krs_fail(j->err, KRS_EFORMAT,
                    "tensor %s is of a %s model, but config.json names the method %s",
                    j->name->text, krs_hub_method_name(method), krs_hub_method_name(has));
}

krs_status krs_quantised_check_single(const krs_quantised_job *j)
{
    return j->wanted->form->is_stacked
               ? krs_fail(j->err, KRS_EUNSUPPORTED,
                          "tensor %s: experts in one tensor, quantised by %s", j->name->text,
                          krs_hub_method_name(j->binder->config->hub_quant.method))
               : KRS_OK;
}

krs_status krs_quantised_check_absent(const krs_quantised_job *j, const char *suffix,
                                      const char *why)
{
    return krs_binder_find(j->binder, j->name, suffix) == NULL
               ? KRS_OK
               : krs_fail(j->err, KRS_EUNSUPPORTED, "tensor %s is in the file: %s", j->name->text,
                          why);
}

krs_status krs_quantised_take(const krs_quantised_job *j, size_t n, size_t item, void **out)
{
    size_t n_bytes;
    *out = krs_size_mul(n, item, &n_bytes) && n_bytes > 0
               ? krs_copies_take(j->binder->copies, n_bytes)
               : NULL;
    return *out ? KRS_OK
                : krs_fail(j->err, KRS_ENOMEM, "tensor %s: %zu values of %zu bytes", j->name->text,
                           n, item);
}

krs_status krs_quantised_find_index(const krs_quantised_job *j, const char *suffix,
                                    const void **out)
{
    const krs_tensor_shape want = {1, {j->out->n_in}};
    const krs_tensor *index = krs_binder_find(j->binder, j->name, suffix);
    *out = NULL;
    if (index == NULL) {
        return KRS_OK;
    }
    if (index->dtype != KRS_DTYPE_I32) {
        return krs_fail(j->err, KRS_EUNSUPPORTED, "tensor %s: dtype %s, want I32", j->name->text,
                        krs_dtype_name(index->dtype));
    }
    *out = index->data;
    return krs_tensor_check_shape(index, &want, j->err);
}

/* What config.json says of the module. */
static krs_status read_mlx_quant(const krs_quantised_job *j)
{
    krs_matrix *m = j->out;
    const krs_str module = {j->name->text, j->name->len};
    m->quant = krs_model_config_quant(j->binder->config, module);
    if (m->quant.kind == KRS_QUANT_NONE) {
        return krs_fail(j->err, KRS_EFORMAT,
                        "tensor %s: U32, but config.json says it is not quantised", j->name->text);
    }
    const krs_status status = krs_quant_check(&m->quant, m->n_in, j->err);
    return status == KRS_OK ? status : krs_error_wrap(j->err, status, "tensor %s", j->name->text);
}

/* Scales and biases: floats of one dtype, or bytes and nothing. */
static krs_status find_mlx_tables(const krs_quantised_job *j, const krs_tensor **scales,
                                  const krs_tensor **biases)
{
    const krs_matrix *m = j->out;
    const int64_t n = krs_matrix_n_groups(m);
    *biases = NULL;
    if (!krs_quant_has_biases(m->quant.kind)) {
        const krs_status status = krs_quantised_check_absent(j, ".biases", "its mode has none");
        return status == KRS_OK
                   ? krs_quantised_find_words(j, ".scales", KRS_DTYPE_U8, m->n_out, n, scales)
                   : status;
    }
    krs_status status = krs_quantised_find_floats(j, ".scales", m->n_out, n, scales);
    if (status == KRS_OK) {
        status = krs_quantised_find_floats(j, ".biases", m->n_out, n, biases);
    }
    if (status != KRS_OK) {
        return status;
    }
    KRS_CHECK(*scales && *biases);
    if ((*scales)->dtype != (*biases)->dtype) {
        return krs_fail(j->err, KRS_EUNSUPPORTED, "tensor %s: dtype %s, but the scales are %s",
                        j->name->text, krs_dtype_name((*biases)->dtype),
                        krs_dtype_name((*scales)->dtype));
    }
    return KRS_OK;
}

static krs_status describe_mlx(const krs_quantised_job *j)
{
    krs_matrix *m = j->out;
    const krs_tensor *scales;
    const krs_tensor *biases;
    krs_status status = read_mlx_quant(j);
    if (status == KRS_OK) {
        status = krs_quantised_check_shape(j, j->codes, m->n_out, m->n_in * m->quant.bits / 32);
    }
    if (status == KRS_OK) {
        status = find_mlx_tables(j, &scales, &biases);
    }
    if (status != KRS_OK) {
        return status;
    }
    m->dtype = KRS_DTYPE_U32;
    m->scale_dtype = scales->dtype;
    m->data = krs_tensor_expert(j->codes, j->wanted);
    m->scales = krs_tensor_expert(scales, j->wanted);
    m->biases = biases ? krs_tensor_expert(biases, j->wanted) : NULL;
    return KRS_OK;
}

/* gpt-oss: [experts, rows, groups, 16] and [experts, rows, groups], or without experts. */
static krs_status describe_mxfp4(const krs_quantised_job *j)
{
    krs_matrix *m = j->out;
    const int64_t n_groups = m->n_in / MXFP4_GROUP;
    const krs_tensor *scales = NULL;
    krs_tensor_shape want = krs_tensor_shape_of(j->binder, j->wanted->form, m->n_out, n_groups);
    want.dims[want.rank++] = MXFP4_BLOCK_BYTES;
    m->quant = (krs_quant){KRS_QUANT_MXFP4, 4, MXFP4_GROUP};
    krs_status status = krs_quantised_check_method(j, KRS_HUB_MXFP4);
    if (status == KRS_OK) {
        status = krs_quant_check(&m->quant, m->n_in, j->err);
    }
    if (status == KRS_OK) {
        status = krs_tensor_check_shape(j->codes, &want, j->err);
    }
    if (status == KRS_OK) {
        status = krs_quantised_find_words(j, "_scales", KRS_DTYPE_U8, m->n_out, n_groups, &scales);
    }
    if (status != KRS_OK) {
        return status;
    }
    m->dtype = KRS_DTYPE_U8;
    m->scale_dtype = KRS_DTYPE_U8;
    m->data = krs_tensor_expert(j->codes, j->wanted);
    m->scales = krs_tensor_expert(scales, j->wanted);
    return KRS_OK;
}

static const struct storage {
    const char *suffix;
    krs_dtype dtype;
    bool is_bare; /* of tensors called as their module: krs_weight_form */
    krs_status (*describe)(const krs_quantised_job *j);
} storages[] = {
    {".weight", KRS_DTYPE_U32, false, describe_mlx},
    {".qweight", KRS_DTYPE_I32, false, krs_quantised_columns},
    {".weight_packed", KRS_DTYPE_I32, false, krs_quantised_packed},
    {".weight", KRS_DTYPE_I8, false, krs_quantised_int8},
    {".weight", KRS_DTYPE_F8_E4M3, false, krs_quantised_fp8},
    {"_blocks", KRS_DTYPE_U8, true, describe_mxfp4},
};

#define N_STORAGES (sizeof(storages) / sizeof(storages[0]))

/* NULL: dense, or not there. */
static const struct storage *find_storage(const krs_binder *binder, krs_tensor_name *name,
                                          const krs_weight_form *form, const krs_tensor **codes)
{
    for (size_t i = 0; i < N_STORAGES; i++) {
        *codes = storages[i].is_bare == form->is_bare
                     ? krs_binder_find(binder, name, storages[i].suffix)
                     : NULL;
        if (*codes && (*codes)->dtype == storages[i].dtype) {
            return &storages[i];
        }
    }
    *codes = NULL;
    return NULL;
}

const krs_tensor *krs_tensor_find_codes(const krs_binder *binder, krs_tensor_name *name,
                                        const krs_weight_form *form)
{
    const krs_tensor *codes;
    (void)find_storage(binder, name, form, &codes);
    return codes;
}

bool krs_tensor_is_stored(const krs_binder *binder, krs_tensor_name *name,
                          const krs_weight_form *form)
{
    return krs_binder_find(binder, name, krs_weight_suffix(form)) != NULL ||
           krs_tensor_find_codes(binder, name, form) != NULL;
}

krs_status krs_tensor_quantised(krs_binder *binder, const krs_tensor *codes, krs_tensor_name *name,
                                const krs_wanted *wanted, krs_matrix *out, krs_error *err)
{
    const krs_tensor *found;
    const struct storage *storage = find_storage(binder, name, wanted->form, &found);
    KRS_CHECK(storage != NULL && found == codes);
    if (codes == binder->rewritten_from) {
        *out = binder->rewritten;
        return KRS_OK;
    }
    const uint64_t n_before = binder->copies->n_bytes;
    *out = (krs_matrix){.n_out = wanted->rows, .n_in = wanted->columns};
    const krs_quantised_job j = {binder, codes, name, wanted, out, err};
    const krs_status status = storage->describe(&j);
    if (status == KRS_OK && binder->copies->n_bytes > n_before) { /* never an expert of a stack */
        binder->rewritten_from = codes;
        binder->rewritten = *out;
    }
    return status;
}
