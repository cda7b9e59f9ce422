/* model/verify.c - see verify.h.
 * Dense tensors are read as they lie in the file. What a code means only its matrix knows, so quantised ones
 * are read through the rows of the program's matrices, and named by the tensor whose bytes they point
 * into. A matrix that was converted when the model was bound points into none: its name is that of no tensor. */
#include "model/verify.h"

#include <math.h>

#define CHUNK_VALUES 4096 /* widened together: 16 KiB stay in the first-level cache */

typedef struct verifier {
    const krs_model *model;
    krs_verify_tell tell;
    void *ctx;
    krs_verify_sum *sum;
    float *row; /* [widest matrix, at least CHUNK_VALUES] */
} verifier;

static void look_at(const float *values, int64_t n, int64_t begin, krs_verify_fault *fault)
{
    for (int64_t i = 0; i < n; i++) {
        if (isfinite(values[i])) {
            continue;
        }
        if (fault->n_nan + fault->n_infinite == 0) {
            fault->first = begin + i;
        }
        fault->n_nan += isnan(values[i]) != 0;
        fault->n_infinite += isinf(values[i]) != 0;
    }
}

static void end_tensor(verifier *v, const krs_verify_fault *fault, int64_t n_values)
{
    v->sum->n_tensors++;
    v->sum->n_values += (uint64_t)n_values;
    if (fault->n_nan + fault->n_infinite > 0) {
        v->sum->n_faulty++;
        v->tell(v->ctx, fault);
    }
}

/* False when its elements are no floating-point numbers. */
static bool read_dense(verifier *v, const krs_tensor *tensor)
{
    const size_t item_bytes = krs_dtype_bytes(tensor->dtype);
    if (!krs_f32_of_any(tensor->dtype, tensor->data, 0, v->row)) {
        return false;
    }
    krs_verify_fault fault = {.tensor = tensor->name};
    const int64_t n = (int64_t)(tensor->n_bytes / item_bytes);
    for (int64_t at = 0; at < n; at += CHUNK_VALUES) {
        const int64_t n_here = n - at < CHUNK_VALUES ? n - at : CHUNK_VALUES;
        const unsigned char *from = (const unsigned char *)tensor->data + (size_t)at * item_bytes;
        (void)krs_f32_of_any(tensor->dtype, from, (size_t)n_here, v->row);
        look_at(v->row, n_here, at, &fault);
    }
    end_tensor(v, &fault, n);
    return true;
}

/* The tensor whose bytes begin at or before p and reach beyond it. */
static const krs_tensor *owner_of(const krs_tensor_dir *dir, const void *p)
{
    for (uint32_t i = 0; i < dir->n_tensors; i++) {
        const krs_tensor *tensor = &dir->tensors[i];
        const uintptr_t begin = (uintptr_t)tensor->data;
        if ((uintptr_t)p >= begin && (uintptr_t)p - begin < tensor->n_bytes) {
            return tensor;
        }
    }
    return NULL;
}

static void read_matrix(verifier *v, const krs_matrix *matrix)
{
    const krs_tensor *owner = owner_of(krs_model_tensors(v->model), matrix->data);
    krs_verify_fault fault = {.tensor = owner ? owner->name : KRS_STR("a converted weight")};
    for (int64_t r = 0; r < matrix->n_out; r++) {
        krs_matrix_row(matrix, r, v->row);
        look_at(v->row, matrix->n_in, r * matrix->n_in, &fault);
    }
    end_tensor(v, &fault, matrix->n_out * matrix->n_in);
}

static bool is_quantised(const krs_matrix *matrix)
{
    return matrix->quant.kind != KRS_QUANT_NONE;
}

/* Do these bytes belong to a matrix that is read as a whole? */
static bool is_part_of_matrix(const krs_program *program, const krs_tensor *tensor)
{
    const uintptr_t begin = (uintptr_t)tensor->data;
    for (uint32_t i = 0; i < program->n_matrices; i++) {
        const krs_matrix *m = &program->matrices[i];
        if (is_quantised(m) && ((uintptr_t)m->data - begin < tensor->n_bytes ||
                                (uintptr_t)m->scales - begin < tensor->n_bytes)) {
            return true;
        }
    }
    return false;
}

static size_t widest_row(const krs_program *program)
{
    int64_t widest = CHUNK_VALUES;
    for (uint32_t i = 0; i < program->n_matrices; i++) {
        widest = program->matrices[i].n_in > widest ? program->matrices[i].n_in : widest;
    }
    return (size_t)widest;
}

krs_status krs_model_verify(const krs_model *model, const krs_alloc *alloc, krs_verify_tell tell,
                            void *ctx, krs_verify_sum *out, krs_error *err)
{
    const krs_program *program = krs_model_program(model);
    const krs_tensor_dir *dir = krs_model_tensors(model);
    *out = (krs_verify_sum){0};
    const size_t widest = widest_row(program);
    verifier v = {model, tell, ctx, out, krs_alloc_array(alloc, widest, sizeof(float))};
    if (!v.row) {
        return krs_fail(err, KRS_ENOMEM, "verify: a row of %zu", widest);
    }
    for (uint32_t i = 0; i < dir->n_tensors; i++) {
        if (!read_dense(&v, &dir->tensors[i])) {
            out->n_opaque += !is_part_of_matrix(program, &dir->tensors[i]);
        }
    }
    for (uint32_t i = 0; i < program->n_matrices; i++) {
        if (is_quantised(&program->matrices[i])) {
            read_matrix(&v, &program->matrices[i]);
        }
    }
    krs_alloc_free(alloc, v.row);
    return KRS_OK;
}
