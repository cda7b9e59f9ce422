/* model/part.c - the part of a tensor that a role is. See bind_priv.h.
 *
 * One group of rows, the right way round: a view. Otherwise a copy:
 *
 *   groups   rows [at, at + n) of each group, gathered whole, so their quantisation does not matter
 *   turned   element by element; dense only, since a quantised weight is stored the right way round
 *
 * Thread: one owner.  Memory: the model's copies. */
#include "base/check.h"
#include "base/checked.h"
#include "model/bind_priv.h"

/* Bytes of one row of values, of scales, and of biases; 0 where the layout has none. */
typedef struct row_bytes {
    size_t data;
    size_t scales;
    size_t biases;
} row_bytes;

static row_bytes row_bytes_of(const krs_matrix *whole)
{
    krs_matrix row = *whole;
    row.n_out = 1;
    const size_t scale_bytes = krs_matrix_scale_bytes(&row);
    const size_t bias_bytes = whole->biases ? scale_bytes / 2 : 0; /* as many as scales */
    return (row_bytes){krs_matrix_row_bytes(whole), scale_bytes - bias_bytes, bias_bytes};
}

static const void *skip(const void *bytes, size_t row, int64_t n)
{
    return bytes ? (const unsigned char *)bytes + row * (size_t)n : NULL;
}

static void view(const krs_matrix *whole, const krs_part_of *part, krs_matrix *out)
{
    const row_bytes row = row_bytes_of(whole);
    *out = *whole;
    out->n_out = part->rows;
    out->data = skip(whole->data, row.data, part->at);
    out->scales = skip(whole->scales, row.scales, part->at);
    out->biases = skip(whole->biases, row.biases, part->at);
}

static krs_status take(krs_copies *copies, int64_t rows, size_t row, unsigned char **out,
                       krs_error *err)
{
    size_t n_bytes;
    *out = krs_size_mul((size_t)rows, row, &n_bytes) && n_bytes > 0
               ? krs_copies_take(copies, n_bytes)
               : NULL;
    return *out ? KRS_OK
                : krs_fail(err, KRS_ENOMEM, "copy of a weight: %lld rows of %zu bytes",
                           (long long)rows, row);
}

/* Rows of each group, one after the other, into new memory. from NULL: nothing to do. */
static krs_status gather(krs_copies *copies, const void *from, size_t row, int64_t whole_rows,
                         const krs_part_of *part, const void **out, krs_error *err)
{
    unsigned char *to = NULL;
    *out = NULL;
    const krs_status status = from && row > 0 ? take(copies, part->rows, row, &to, err) : KRS_OK;
    if (status != KRS_OK || !to) {
        return status;
    }
    const int64_t of_group = whole_rows / part->groups;
    const size_t n_bytes = (size_t)(part->rows / part->groups) * row;
    for (int64_t g = 0; g < part->groups; g++) {
        memcpy(to + (size_t)g * n_bytes, skip(from, row, g * of_group + part->at), n_bytes);
    }
    *out = to;
    return KRS_OK;
}

static krs_status gather_all(krs_copies *copies, const krs_matrix *whole, const krs_part_of *part,
                             krs_matrix *out, krs_error *err)
{
    const row_bytes row = row_bytes_of(whole);
    const int64_t n = whole->n_out;
    *out = *whole;
    out->n_out = part->rows;
    krs_status status = gather(copies, whole->data, row.data, n, part, &out->data, err);
    if (status == KRS_OK) {
        status = gather(copies, whole->scales, row.scales, n, part, &out->scales, err);
    }
    if (status == KRS_OK) {
        status = gather(copies, whole->biases, row.biases, n, part, &out->biases, err);
    }
    return status;
}

/* Columns of the stored matrix become rows. Read along the stored rows: they are what lies together, and
 * a page fault of the file costs more than a scattered write. */
static krs_status turn(krs_copies *copies, const krs_matrix *stored, const krs_part_of *part,
                       krs_matrix *out, krs_error *err)
{
    KRS_CHECK(stored->quant.kind == KRS_QUANT_NONE);
    const size_t item = krs_dtype_bytes(stored->dtype);
    const int64_t n_in = stored->n_out;
    const int64_t of_group = stored->n_in / part->groups;
    const int64_t n_of_group = part->rows / part->groups;
    unsigned char *to;
    const krs_status status = take(copies, part->rows, (size_t)n_in * item, &to, err);
    if (status != KRS_OK) {
        return status;
    }
    KRS_CHECK(to);
    for (int64_t column = 0; column < n_in; column++) {
        const unsigned char *from = skip(stored->data, item * (size_t)stored->n_in, column);
        for (int64_t row = 0; row < part->rows; row++) {
            const int64_t at = row / n_of_group * of_group + part->at + row % n_of_group;
            memcpy(to + (size_t)(row * n_in + column) * item, from + (size_t)at * item, item);
        }
    }
    *out = (krs_matrix){.n_out = part->rows, .n_in = n_in, .dtype = stored->dtype, .data = to};
    return KRS_OK;
}

krs_status krs_part_take(krs_copies *copies, const krs_whole *whole, const krs_part_of *part,
                         krs_matrix *out, krs_error *err)
{
    const int64_t n = whole->is_transposed ? whole->matrix.n_in : whole->matrix.n_out;
    KRS_CHECK(part->groups >= 1 && part->rows % part->groups == 0 && n % part->groups == 0);
    KRS_CHECK(part->at >= 0 && part->at + part->rows / part->groups <= n / part->groups);
    if (whole->is_transposed) {
        return turn(copies, &whole->matrix, part, out, err);
    }
    if (part->groups > 1) {
        return gather_all(copies, &whole->matrix, part, out, err);
    }
    view(&whole->matrix, part, out);
    return KRS_OK;
}

/* One group's part as it is turned: stored row i of it is column i of the result. */
typedef struct turner {
    const krs_matrix *whole;
    int64_t n_in;
    size_t item;
    unsigned char *to; /* [groups * columns of the tensor, n_in] */
    float *row;        /* of a quantised tensor */
} turner;

/* Stored row `from` becomes column `i` of group g. Elements are f32 on the way, which holds what any layout
 * has; a dense matrix keeps its type. */
static void turn_row(const turner *t, int64_t g, int64_t i, int64_t from)
{
    const int64_t n_columns = t->whole->n_in;
    const unsigned char *stored = (const unsigned char *)t->row;
    if (t->whole->quant.kind == KRS_QUANT_NONE) {
        stored = skip(t->whole->data, t->item * (size_t)n_columns, from);
    } else {
        krs_matrix_row(t->whole, from, t->row);
    }
    for (int64_t c = 0; c < n_columns; c++) {
        const int64_t at = (g * n_columns + c) * t->n_in + i;
        memcpy(t->to + (size_t)at * t->item, stored + (size_t)c * t->item, t->item);
    }
}

krs_status krs_part_turn(krs_copies *copies, const krs_matrix *whole, const krs_part_of *part,
                         int64_t n_in, krs_matrix *out, krs_error *err)
{
    const int64_t n_each = whole->n_out / part->groups;
    KRS_CHECK(part->rows == part->groups * whole->n_in && part->at >= 0 &&
              part->at + n_in <= n_each);
    const krs_dtype dtype = whole->quant.kind == KRS_QUANT_NONE ? whole->dtype : KRS_DTYPE_F32;
    turner t = {.whole = whole, .n_in = n_in, .item = krs_dtype_bytes(dtype)};
    const krs_status status = take(copies, part->rows, (size_t)n_in * t.item, &t.to, err);
    if (status != KRS_OK) {
        return status;
    }
    KRS_CHECK(t.to);
    t.row = krs_alloc_array(copies->alloc, (size_t)whole->n_in, sizeof(*t.row));
    if (!t.row) {
        return krs_fail(err, KRS_ENOMEM, "a row of %lld weights", (long long)whole->n_in);
    }
    for (int64_t g = 0; g < part->groups; g++) {
        for (int64_t i = 0; i < n_in; i++) {
            turn_row(&t, g, i, g * n_each + part->at + i);
        }
    }
    krs_alloc_free(copies->alloc, t.row);
    *out = (krs_matrix){.n_out = part->rows, .n_in = n_in, .dtype = dtype, .data = t.to};
    return KRS_OK;
}

krs_status krs_part_take_vector(krs_copies *copies, const krs_matrix *whole,
                                const krs_part_of *part, krs_matrix *out, krs_error *err)
{
    /* A column of one element a row; then back to a row. */
    krs_whole column = {.matrix = *whole, .is_transposed = false};
    column.matrix.n_out = whole->n_in;
    column.matrix.n_in = 1;
    const krs_status status = krs_part_take(copies, &column, part, out, err);
    out->n_in = part->rows;
    out->n_out = 1;
    return status;
}
