/* format/quantize.c - see quantize.h: the tensors of the output, laid out before the first byte, then filled
 * in one pass over the input.
 *
 * Groups do not know rows, so a matrix goes through as one long row in pieces of whole groups; only its
 * scales and biases are kept until its codes are written, because they follow them in the file. */
#include "format/quantize.h"

#include "base/check.h"
#include "base/checked.h"
#include "format/quantize_priv.h"

#include <math.h>
#include <stdlib.h>

#define PIECE_VALUES 65536u /* made at once: a multiple of every group, and cache-sized */
#define PER_ITEM     3u     /* weight, scales, biases */

/* Everything one call holds. */
typedef struct quantizer {
    const krs_quantize_options *options;
    const krs_alloc *alloc;
    krs_quantize_plan plan;
    krs_tensor *tensors; /* [n_tensors] of the output */
    uint32_t n_tensors;
    uint32_t next; /* being written */
    krs_safetensors_writer *writer;
    float *floats;         /* [PIECE_VALUES] */
    unsigned char *packed; /* [PIECE_VALUES] at most a byte a value */
    unsigned char *tables; /* scales, then biases, of the current item */
    krs_quantize_result result;
    uint64_t n_done;
} quantizer;

static krs_status add_tensor(quantizer *q, const krs_quantize_item *item, const char *suffix,
                             krs_dtype dtype, int64_t columns, krs_error *err)
{
    krs_tensor *t = &q->tensors[q->n_tensors];
    const krs_str end = krs_str_of(suffix);
    char *name = krs_arena_bytes(&q->plan.arena, item->stem.len + end.len + 1);
    if (!name) {
        return krs_fail(err, KRS_ENOMEM, "plan of %u tensors", q->n_tensors);
    }
    memcpy(name, item->stem.ptr, item->stem.len);
    memcpy(name + item->stem.len, end.ptr, end.len);
    *t = (krs_tensor){.name = {name, item->stem.len + end.len}, .dtype = dtype};
    if (item->is_stack) {
        t->dims[t->rank++] = item->n_from;
    }
    t->dims[t->rank++] = item->n_out / item->n_from;
    t->dims[t->rank++] = columns;
    t->n_bytes = (size_t)item->n_out * (size_t)columns * krs_dtype_bytes(dtype);
    q->n_tensors++;
    q->result.n_bytes += t->n_bytes;
    q->result.quantised_bytes += t->n_bytes;
    return KRS_OK;
}

/* The dtype of scales: the weight's, or bytes. */
static krs_dtype scale_dtype(const quantizer *q, const krs_quantize_item *item)
{
    const krs_dtype dtype = item->from[0]->dtype;
    return krs_quant_takes_scales(q->options->quant.kind, dtype) ? dtype : KRS_DTYPE_U8;
}

/* A tensor, or a stack of them, as it is. */
static void add_kept(quantizer *q, const krs_quantize_item *item)
{
    const krs_tensor *from = item->from[0];
    krs_tensor *t = &q->tensors[q->n_tensors++];
    *t = *from;
    t->name = item->name;
    if (item->is_stack) {
        t->dims[0] = item->n_from;
        memcpy(t->dims + 1, from->dims, (size_t)from->rank * sizeof(t->dims[0]));
        t->rank = from->rank + 1;
    }
    t->n_bytes = from->n_bytes * item->n_from;
    q->result.n_kept++;
    q->result.n_bytes += t->n_bytes;
}

static krs_status lay_out(quantizer *q, const krs_quantize_item *item, krs_error *err)
{
    const krs_quant *quant = &q->options->quant;
    if (!item->is_quantised) {
        add_kept(q, item);
        return KRS_OK;
    }
    const bool is_weight = q->options->is_model;
    const krs_dtype dtype = scale_dtype(q, item);
    krs_status status = add_tensor(q, item, is_weight ? ".weight" : "", KRS_DTYPE_U32,
                                   item->n_in * quant->bits / 32, err);
    if (status == KRS_OK) {
        status = add_tensor(q, item, ".scales", dtype, item->n_in / quant->group, err);
    }
    if (status == KRS_OK && krs_quant_has_biases(quant->kind)) {
        status = add_tensor(q, item, ".biases", dtype, item->n_in / quant->group, err);
    }
    q->result.n_quantised++;
    q->result.n_weights += (uint64_t)item->n_out * (uint64_t)item->n_in;
    return status;
}

static int by_name(const void *a, const void *b)
{
    return krs_tensor_name_order((*(const krs_tensor *const *)a)->name,
                                 (*(const krs_tensor *const *)b)->name);
}

/* A source that has t and t.scales would have two tensors of one name. */
static krs_status check_names(quantizer *q, krs_error *err)
{
    const krs_tensor **sorted = krs_arena_array(&q->plan.arena, q->n_tensors, sizeof(void *));
    if (!sorted) {
        return krs_fail(err, KRS_ENOMEM, "plan of %u tensors", q->n_tensors);
    }
    for (uint32_t i = 0; i < q->n_tensors; i++) {
        sorted[i] = &q->tensors[i];
    }
    qsort(sorted, q->n_tensors, sizeof(void *), by_name);
    for (uint32_t i = 1; i < q->n_tensors; i++) {
        if (krs_str_equal(sorted[i - 1]->name, sorted[i]->name)) {
            return krs_fail(err, KRS_EFORMAT, "tensor %.*s would be there twice",
                            KRS_STR_ARGS(sorted[i]->name));
        }
    }
    return KRS_OK;
}

static krs_status put(quantizer *q, const void *bytes, size_t n_bytes, krs_error *err)
{
    const krs_status status =
        n_bytes > 0 ? krs_safetensors_writer_put(q->writer, bytes, n_bytes, err) : KRS_OK;
    q->n_done += n_bytes;
    if (status == KRS_OK && q->options->progress) {
        q->options->progress(q->options->ctx, q->n_done, q->result.n_bytes);
    }
    return status;
}

static krs_status keep(quantizer *q, const krs_quantize_item *item, krs_error *err)
{
    const size_t piece = PIECE_VALUES * sizeof(float);
    krs_status status = KRS_OK;
    for (uint32_t i = 0; status == KRS_OK && i < item->n_from; i++) {
        const krs_tensor *t = item->from[i];
        for (size_t at = 0; status == KRS_OK && at < t->n_bytes; at += piece) {
            const size_t n = t->n_bytes - at < piece ? t->n_bytes - at : piece;
            status = put(q, (const unsigned char *)t->data + at, n, err);
        }
    }
    return status;
}

/* Values [at, at + n) of one source tensor, seen as rows of n_in. */
static void read_values(const krs_quantize_item *item, const krs_tensor *t, size_t at, size_t n,
                        float *out)
{
    const size_t bytes = krs_dtype_bytes(t->dtype);
    const unsigned char *data = t->data;
    if (!item->is_turned) {
        KRS_CHECK(krs_f32_of_any(t->dtype, data + at * bytes, n, out));
        return;
    }
    const size_t n_in = (size_t)item->n_in;
    const size_t n_out = (size_t)item->n_out;
    for (size_t i = 0; i < n; i++) {
        const size_t from = (at + i) % n_in * n_out + (at + i) / n_in;
        KRS_CHECK(krs_f32_of_any(t->dtype, data + from * bytes, 1, &out[i]));
    }
}

static krs_status check_finite(const krs_tensor *t, size_t at, size_t n, const float *values,
                               krs_error *err)
{
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(values[i])) {
            return krs_fail(err, KRS_EFORMAT, "tensor %.*s: element %zu is %s",
                            KRS_STR_ARGS(t->name), at + i,
                            isnan(values[i]) ? "no number" : "infinite");
        }
    }
    return KRS_OK;
}

/* The codes of one source tensor to the file, scales and biases to the tables from group `group` on. */
static krs_status write_codes(quantizer *q, const krs_quantize_item *item, const krs_tensor *t,
                              size_t group, unsigned char *biases, krs_error *err)
{
    const krs_quant *quant = &q->options->quant;
    const size_t n = (size_t)item->n_out / item->n_from * (size_t)item->n_in;
    const size_t scale_bytes = krs_dtype_bytes(scale_dtype(q, item));
    krs_status status = KRS_OK;
    for (size_t at = 0; status == KRS_OK && at < n; at += PIECE_VALUES) {
        const size_t n_piece = n - at < PIECE_VALUES ? n - at : PIECE_VALUES;
        const krs_matrix piece = {.n_out = 1,
                                  .n_in = (int64_t)n_piece,
                                  .quant = *quant,
                                  .dtype = KRS_DTYPE_U32,
                                  .scale_dtype = scale_dtype(q, item)};
        const size_t to = (group + at / (size_t)quant->group) * scale_bytes;
        read_values(item, t, at, n_piece, q->floats);
        status = check_finite(t, at, n_piece, q->floats, err);
        if (status == KRS_OK) {
            status = krs_quantise(q->floats, t->dtype, &piece, q->packed, q->tables + to,
                                  biases ? biases + to : NULL, err);
        }
        if (status == KRS_OK) {
            status = put(q, q->packed, krs_matrix_data_bytes(&piece), err);
        }
    }
    return status;
}

static krs_status quantise(quantizer *q, const krs_quantize_item *item, krs_error *err)
{
    const bool has_biases = krs_quant_has_biases(q->options->quant.kind);
    const size_t table_bytes = q->tensors[q->next + 1].n_bytes;
    const size_t n_groups = table_bytes / krs_dtype_bytes(scale_dtype(q, item)) / item->n_from;
    q->tables = krs_alloc_array(q->alloc, has_biases ? 2 : 1, table_bytes);
    if (!q->tables) {
        return krs_fail(err, KRS_ENOMEM, "scales of %.*s: %zu bytes", KRS_STR_ARGS(item->stem),
                        table_bytes);
    }
    unsigned char *biases = has_biases ? q->tables + table_bytes : NULL;
    krs_status status = KRS_OK;
    for (uint32_t i = 0; status == KRS_OK && i < item->n_from; i++) {
        status = write_codes(q, item, item->from[i], i * n_groups, biases, err);
    }
    if (status == KRS_OK) {
        status = put(q, q->tables, table_bytes, err);
    }
    if (status == KRS_OK && has_biases) {
        status = put(q, biases, table_bytes, err);
    }
    krs_alloc_free(q->alloc, q->tables);
    q->tables = NULL;
    return status;
}

static krs_status write_item(quantizer *q, const krs_quantize_item *item, krs_error *err)
{
    if (!item->is_quantised) {
        q->next++;
        return keep(q, item, err);
    }
    const krs_status status = quantise(q, item, err);
    q->next += krs_quant_has_biases(q->options->quant.kind) ? 3 : 2;
    return status;
}

static krs_status prepare(quantizer *q, krs_error *err)
{
    const size_t n = (size_t)q->plan.n_items * PER_ITEM;
    q->tensors = krs_arena_array(&q->plan.arena, n > 0 ? n : 1, sizeof(q->tensors[0]));
    q->floats = krs_alloc_array(q->alloc, PIECE_VALUES, sizeof(q->floats[0]));
    q->packed = krs_alloc_array(q->alloc, PIECE_VALUES, 1);
    if (!q->tensors || !q->floats || !q->packed) {
        return krs_fail(err, KRS_ENOMEM, "plan of %u tensors", q->plan.n_items);
    }
    krs_status status = KRS_OK;
    for (uint32_t i = 0; status == KRS_OK && i < q->plan.n_items; i++) {
        status = lay_out(q, &q->plan.items[i], err);
    }
    return status == KRS_OK ? check_names(q, err) : status;
}

static krs_status write_all(quantizer *q, const krs_safetensors_target *target, krs_error *err)
{
    krs_status status =
        krs_safetensors_writer_open_as(target, q->tensors, q->n_tensors, q->alloc, &q->writer, err);
    for (uint32_t i = 0; status == KRS_OK && i < q->plan.n_items; i++) {
        status = write_item(q, &q->plan.items[i], err);
    }
    return status == KRS_OK ? krs_safetensors_writer_finish(q->writer, err) : status;
}

/* Is it a kind that is made here? The smallest matrix of it tells. */
static krs_status check_options(const krs_quantize_options *options, krs_error *err)
{
    const krs_quant *quant = &options->quant;
    if (options->size != sizeof(*options) || quant->kind == KRS_QUANT_NONE) {
        return krs_fail(err, KRS_EINVAL, "no way to quantise is chosen");
    }
    return krs_quant_check(quant, quant->group, err);
}

krs_status krs_quantize(const krs_tensor_dir *dir, const krs_safetensors_target *target,
                        const krs_quantize_options *options, const krs_alloc *alloc,
                        krs_quantize_result *out, krs_error *err)
{
    quantizer q = {.options = options, .alloc = alloc};
    krs_status status = check_options(options, err);
    if (status == KRS_OK) {
        status = krs_quantize_plan_make(dir, options, alloc, &q.plan, err);
    }
    if (status != KRS_OK) {
        return status;
    }
    status = prepare(&q, err);
    if (status == KRS_OK) {
        status = write_all(&q, target, err);
    }
    if (status == KRS_OK) {
        q.result.n_files = krs_safetensors_writer_n_shards(q.writer);
        *out = q.result;
    }
    krs_safetensors_writer_free(q.writer);
    krs_alloc_free(alloc, q.floats);
    krs_alloc_free(alloc, q.packed);
    krs_quantize_plan_free(&q.plan);
    return status;
}
