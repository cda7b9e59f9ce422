/* model/quantised_hub.c - the layouts of GPTQ, AWQ, fp8 and compressed-tensors. See quantised.c.
 *
 * GPTQ and AWQ are rewritten whole. The others' codes stay where they are; what is made is tables of scales
 * with a row for each row of the matrix, so that any range of rows is a matrix again.
 *
 * Thread: one owner.  Memory: the model's copies.
 * Source: as tensor/repack.h; neuralmagic/compressed-tensors, compressors/; DeepSeek-V3 inference. */
#include "base/check.h"
#include "model/quantised_priv.h"
#include "tensor/repack.h"

#define FP8_BLOCK 128 /* what every maker uses who does not say */

/* The tensors of a GPTQ or AWQ module, held against each other. */
static krs_status find_columns(const krs_quantised_job *j, krs_packed_columns *out)
{
    const krs_hub_quant *hub = &j->binder->config->hub_quant;
    const int64_t group = hub->group > 0 && hub->group < j->out->n_in ? hub->group : j->out->n_in;
    *out = (krs_packed_columns){.n_out = j->out->n_out,
                                .n_in = j->out->n_in,
                                .n_groups = (j->out->n_in + group - 1) / group,
                                .bits = hub->bits,
                                .is_awq = hub->method == KRS_HUB_AWQ,
                                .is_zero_less_one = hub->is_zero_less_one,
                                .qweight = j->codes->data,
                                .group = group};
    const int64_t words = out->n_out * out->bits / 32;
    const krs_tensor *zeros = NULL;
    const krs_tensor *scales = NULL;
    krs_status status =
        out->is_awq
            ? krs_quantised_check_shape(j, j->codes, out->n_in, words)
            : krs_quantised_check_shape(j, j->codes, out->n_in * out->bits / 32, out->n_out);
    if (status == KRS_OK) {
        status =
            krs_quantised_find_words(j, ".qzeros", KRS_DTYPE_I32, out->n_groups, words, &zeros);
    }
    if (status == KRS_OK) {
        status = krs_quantised_find_floats(j, ".scales", out->n_groups, out->n_out, &scales);
    }
    if (status != KRS_OK) {
        return status;
    }
    out->qzeros = zeros->data;
    out->scales = scales->data;
    out->scale_dtype = scales->dtype;
    return KRS_OK;
}

/* The rewritten matrix in the model's own memory. */
static krs_status rewrite(const krs_quantised_job *j, const krs_packed_columns *from)
{
    krs_matrix *m = j->out;
    void *data = NULL;
    void *scales = NULL;
    void *group_of = NULL;
    krs_status status = krs_repack_plan(from, m, j->err);
    if (status != KRS_OK) {
        return krs_error_wrap(j->err, status, "tensor %.*s", KRS_STR_ARGS(j->codes->name));
    }
    const bool is_indexed = m->quant.kind == KRS_QUANT_AFFINE_INDEXED;
    status = krs_quantised_take(j, krs_matrix_data_bytes(m), 1, &data);
    if (status == KRS_OK) {
        status = krs_quantised_take(j, krs_matrix_scale_bytes(m), 1, &scales);
    }
    if (status == KRS_OK && is_indexed) {
        status = krs_quantised_take(j, (size_t)m->n_in, sizeof(int32_t), &group_of);
    }
    if (status != KRS_OK) {
        return status;
    }
    float *biases = (float *)scales + m->n_out * krs_matrix_n_groups(m);
    krs_repack(from, m, data, scales, biases, group_of);
    m->data = data;
    m->scales = scales;
    m->biases = biases;
    m->group_of = group_of;
    return KRS_OK;
}

krs_status krs_quantised_columns(const krs_quantised_job *j)
{
    const bool is_awq = j->binder->config->hub_quant.method == KRS_HUB_AWQ;
    krs_packed_columns from;
    krs_status status = krs_quantised_check_method(j, is_awq ? KRS_HUB_AWQ : KRS_HUB_GPTQ);
    if (status == KRS_OK) {
        status = krs_quantised_check_single(j);
    }
    if (status == KRS_OK) {
        status = find_columns(j, &from);
    }
    if (status == KRS_OK && !is_awq) {
        status = krs_quantised_find_index(j, ".g_idx", &from.g_idx);
    }
    return status == KRS_OK ? rewrite(j, &from) : status;
}

/* A table of scales that rows of the matrix share. */
typedef struct scale_grid {
    const krs_tensor *tensor;
    int64_t rows_each; /* rows of the matrix per row of the table */
    int64_t columns;
} scale_grid;

/* rows, columns of a tensor seen as a table: a scalar is [1, 1], a vector a column. */
static bool is_table(const krs_tensor *tensor, int64_t *rows, int64_t *columns)
{
    *rows = tensor->rank > 0 ? tensor->dims[0] : 1;
    *columns = tensor->rank > 1 ? tensor->dims[1] : 1;
    return tensor->rank <= 2 && *rows > 0 && *columns > 0;
}

static const krs_tensor *find_scale(const krs_quantised_job *j)
{
    const krs_tensor *tensor = krs_binder_find(j->binder, j->name, ".weight_scale_inv");
    return tensor ? tensor : krs_binder_find(j->binder, j->name, ".weight_scale");
}

static int64_t at_least_one(int64_t n)
{
    return n > 0 ? n : 1;
}

/* .weight_scale_inv or .weight_scale: one for all, one a row, or one for each block of rows (block_rows 0:
 * none are). Despite its name the former multiplies as well. */
static krs_status find_grid(const krs_quantised_job *j, int64_t block_rows, scale_grid *out)
{
    int64_t rows;
    const int64_t n_out = j->out->n_out;
    const krs_tensor *tensor = find_scale(j);
    if (tensor == NULL) {
        return krs_tensor_missing(j->name, KRS_ROLE_NONE, j->err);
    }
    const krs_status status = krs_tensor_check_float(tensor, j->err);
    if (status != KRS_OK) {
        return status;
    }
    *out = (scale_grid){.tensor = tensor, .rows_each = 1};
    const bool has_table = is_table(tensor, &rows, &out->columns);
    if (has_table && rows * out->columns == 1) {
        out->rows_each = n_out;
        return KRS_OK;
    }
    if (has_table && block_rows > 0 && rows == (n_out + block_rows - 1) / block_rows) {
        out->rows_each = block_rows;
        return KRS_OK;
    }
    /* One a row is left, as a table or a vector; else this says what is wrong. A table of no columns has none. */
    return has_table && rows == n_out
               ? KRS_OK
               : krs_quantised_check_shape(j, tensor, n_out, at_least_one(out->columns));
}

/* out[n_out, columns * repeats] = the table, a row for each of the matrix, each scale `repeats` times.
 * room: floats to take, at least that many. */
static krs_status spread(const krs_quantised_job *j, const scale_grid *grid, int64_t repeats,
                         size_t room, float **out)
{
    void *bytes;
    const krs_status status = krs_quantised_take(j, room, sizeof(float), &bytes);
    if (status != KRS_OK) {
        return status;
    }
    const size_t item = krs_dtype_bytes(grid->tensor->dtype);
    float *to = *out = bytes;
    for (int64_t o = 0; o < j->out->n_out; o++) {
        const int64_t row = o / grid->rows_each * grid->columns;
        for (int64_t c = 0; c < grid->columns; c++, to += repeats) {
            const unsigned char *at =
                (const unsigned char *)grid->tensor->data + (size_t)(row + c) * item;
            KRS_CHECK(krs_f32_of_any(grid->tensor->dtype, at, 1, to)); /* checked to be a float */
            for (int64_t k = 1; k < repeats; k++) {
                to[k] = to[0];
            }
        }
    }
    return KRS_OK;
}

/* Scales of a kind that has nothing else: as they lie where each row has its own, else spread. */
static krs_status set_scales(const krs_quantised_job *j, const scale_grid *grid)
{
    krs_matrix *m = j->out;
    float *scales = NULL;
    if (grid->rows_each == 1) {
        m->scale_dtype = grid->tensor->dtype;
        m->scales = grid->tensor->data;
        return KRS_OK;
    }
    const size_t room = (size_t)(m->n_out * grid->columns);
    const krs_status status = spread(j, grid, 1, room, &scales);
    m->scale_dtype = KRS_DTYPE_F32;
    m->scales = scales;
    return status;
}

/* Elements per scale: what config.json says, or what everyone uses. */
static int32_t block_of(int32_t said)
{
    return said > 0 ? said : FP8_BLOCK;
}

krs_status krs_quantised_fp8(const krs_quantised_job *j)
{
    krs_matrix *m = j->out;
    const krs_hub_quant *hub = &j->binder->config->hub_quant;
    const int32_t block = block_of(hub->block_columns);
    const bool is_compressed = hub->method == KRS_HUB_COMPRESSED;
    scale_grid grid = {.columns = 0};
    krs_status status =
        krs_quantised_check_method(j, is_compressed ? KRS_HUB_COMPRESSED : KRS_HUB_FP8);
    if (status == KRS_OK) {
        status = krs_quantised_check_single(j);
    }
    if (status == KRS_OK) {
        status = krs_quantised_check_shape(j, j->codes, m->n_out, m->n_in);
    }
    if (status == KRS_OK) {
        status = find_grid(j, block_of(hub->block_rows), &grid);
    }
    if (status != KRS_OK) {
        return status;
    }
    KRS_CHECK(grid.columns > 0);
    if (grid.columns != 1 && grid.columns != (m->n_in + block - 1) / block) {
        return krs_fail(j->err, KRS_EFORMAT,
                        "tensor %s: %lld scales a row, want 1 or one for each %d columns",
                        j->name->text, (long long)grid.columns, block);
    }
    m->quant = (krs_quant){KRS_QUANT_FP8, 8, grid.columns == 1 ? (int32_t)m->n_in : block};
    m->data = j->codes->data;
    return set_scales(j, &grid);
}

/* Scales of compressed-tensors' integers; *group: columns of each. */
static krs_status find_integer_grid(const krs_quantised_job *j, scale_grid *grid, int64_t *group)
{
    krs_status status = krs_quantised_check_method(j, KRS_HUB_COMPRESSED);
    if (status == KRS_OK) {
        status = krs_quantised_check_single(j);
    }
    if (status == KRS_OK) {
        status =
            krs_quantised_check_absent(j, ".weight_zero_point", "asymmetric integers are not read");
    }
    if (status == KRS_OK) {
        status = find_grid(j, 0, grid);
    }
    if (status != KRS_OK) {
        return status;
    }
    KRS_CHECK(grid->columns > 0);
    *group = j->out->n_in / grid->columns;
    return j->out->n_in % grid->columns == 0
               ? KRS_OK
               : krs_fail(j->err, KRS_EFORMAT, "tensor %s: %lld scales a row for %lld columns",
                          j->name->text, (long long)grid->columns, (long long)j->out->n_in);
}

krs_status krs_quantised_int8(const krs_quantised_job *j)
{
    krs_matrix *m = j->out;
    scale_grid grid = {.columns = 0};
    int64_t group = 0;
    krs_status status = krs_quantised_check_shape(j, j->codes, m->n_out, m->n_in);
    if (status == KRS_OK) {
        status = find_integer_grid(j, &grid, &group);
    }
    if (status == KRS_OK) {
        status = krs_quantised_check_absent(j, ".weight_g_idx",
                                            "act order of unpacked integers is not read");
    }
    if (status != KRS_OK) {
        return status;
    }
    m->quant = (krs_quant){KRS_QUANT_INT8, 8, (int32_t)group};
    m->data = j->codes->data;
    return set_scales(j, &grid);
}

/* Is the index the natural one: column i in group i / group? Each number is checked to be a group. */
static krs_status check_index(const krs_quantised_job *j, const void *index, int64_t group,
                              bool *is_natural)
{
    const int64_t n_groups = j->out->n_in / group;
    *is_natural = true;
    for (int64_t i = 0; index && i < j->out->n_in; i++) {
        int32_t at;
        memcpy(&at, (const unsigned char *)index + (size_t)i * sizeof(at), sizeof(at));
        if (at < 0 || at >= n_groups) {
            return krs_fail(j->err, KRS_EFORMAT, "tensor %s: element %lld is %d, want 0..%lld",
                            j->name->text, (long long)i, at, (long long)n_groups - 1);
        }
        *is_natural = *is_natural && at == i / group;
    }
    return KRS_OK;
}

/* The group of each column, in memory of our own. */
static krs_status copy_index(const krs_quantised_job *j, const void *index, int64_t group)
{
    void *bytes;
    const krs_status status = krs_quantised_take(j, (size_t)j->out->n_in, sizeof(int32_t), &bytes);
    if (status != KRS_OK) {
        return status;
    }
    int32_t *group_of = bytes;
    for (int64_t i = 0; i < j->out->n_in; i++) {
        group_of[i] = (int32_t)(i / group);
    }
    if (index) {
        memcpy(group_of, index, (size_t)j->out->n_in * sizeof(*group_of));
    }
    j->out->group_of = group_of;
    return KRS_OK;
}

/* Scales and biases in f32, and the index where the columns are not in order. The codes are affine rows
 * already: symmetric integers stored with half their range added. quant: KRS_QUANT_AFFINE, or _INDEXED
 * with groups as in the file. */
static krs_status set_packed(const krs_quantised_job *j, const scale_grid *grid, int64_t group,
                             const krs_quant *quant)
{
    krs_matrix *m = j->out;
    float *scales;
    m->quant = *quant;
    const size_t n = (size_t)(m->n_out * krs_matrix_n_groups(m));
    const krs_status status = spread(j, grid, group / quant->group, 2 * n, &scales);
    if (status != KRS_OK) {
        return status;
    }
    const float half = (float)(1 << (quant->bits - 1));
    for (size_t i = 0; i < n; i++) {
        scales[n + i] = -half * scales[i];
    }
    m->dtype = KRS_DTYPE_U32;
    m->scale_dtype = KRS_DTYPE_F32;
    m->data = j->codes->data;
    m->scales = scales;
    m->biases = scales + n;
    return KRS_OK;
}

/* [n_out, n_in] of 4 or 8 bits: which, the shape says. */
static krs_status check_packed(const krs_quantised_job *j, int32_t *bits)
{
    const int64_t n_in = j->out->n_in;
    const int64_t words = j->codes->rank == 2 ? j->codes->dims[1] : 0;
    *bits = words * 32 == n_in * 8 ? 8 : 4;
    if (n_in % 32 != 0) {
        return krs_fail(j->err, KRS_EUNSUPPORTED, "tensor %s: %lld columns, want a multiple of 32",
                        j->name->text, (long long)n_in);
    }
    return krs_quantised_check_shape(j, j->codes, j->out->n_out, n_in * *bits / 32);
}

krs_status krs_quantised_packed(const krs_quantised_job *j)
{
    const void *index = NULL;
    scale_grid grid = {.columns = 0};
    int32_t bits;
    int64_t group = 0;
    bool is_natural = true;
    krs_status status = check_packed(j, &bits);
    if (status == KRS_OK) {
        status = find_integer_grid(j, &grid, &group);
    }
    if (status == KRS_OK) {
        status = krs_quantised_find_index(j, ".weight_g_idx", &index);
    }
    if (status == KRS_OK) {
        status = check_index(j, index, group, &is_natural);
    }
    if (status != KRS_OK) {
        return status;
    }
    if (is_natural && group % 32 == 0) {
        const int32_t affine = group % 128 == 0 ? 128 : group % 64 == 0 ? 64 : 32;
        const krs_quant quant = {KRS_QUANT_AFFINE, bits, affine};
        return set_packed(j, &grid, group, &quant);
    }
    const krs_quant quant = {KRS_QUANT_AFFINE_INDEXED, bits, (int32_t)group};
    status = set_packed(j, &grid, group, &quant);
    return status == KRS_OK ? copy_index(j, index, group) : status;
}
