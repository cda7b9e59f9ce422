/* compute/cpu/linear.c - a linear op: pack its rows once, cut its outputs over the team.
 *
 * Packing rounds and reorders x the way the kernel wants it. Ops in a row that read the same slot with
 * the same packing (q, k and v; gate and up) share one packing. */
#include "compute/cpu/product.h"

typedef struct pack_task {
    const krs_cpu_exec *exec;
    const krs_cpu_row_form *form;
    krs_slot slot;
    int64_t n_rows;
} pack_task;

static void pack_share(void *arg, uint32_t index, uint32_t n_threads)
{
    const pack_task *t = arg;
    const krs_cpu_exec *exec = t->exec;
    int64_t begin;
    int64_t end;
    krs_cpu_team_share(t->n_rows, 1, index, n_threads, &begin, &end);
    for (int64_t r = begin; r < end; r++) {
        krs_cpu_pack_row(exec->kernels, t->form, krs_host_row(&exec->host, t->slot, r),
                         exec->packed + (size_t)r * t->form->row_bytes,
                         exec->packed_sums + (size_t)r * t->form->row_sums);
    }
}

static bool is_packed(const krs_cpu_exec *exec, krs_slot slot, const krs_cpu_row_form *form)
{
    return exec->has_packed && exec->packed_slot == slot && exec->packed_group == form->group &&
           exec->packed_as.block == form->packing->block &&
           exec->packed_as.n_vectors == form->packing->n_vectors &&
           exec->packed_as.is_bf16 == form->packing->is_bf16;
}

static void pack_rows(krs_cpu_exec *exec, const pack_task *t)
{
    if (is_packed(exec, t->slot, t->form)) {
        return;
    }
    krs_cpu_fork(exec, t->n_rows > 1 ? t->n_rows * t->form->n_in : 0, pack_share,
                 (void *)(uintptr_t)t);
    exec->has_packed = true;
    exec->packed_slot = t->slot;
    exec->packed_group = t->form->group;
    exec->packed_as = *t->form->packing;
}

typedef struct linear_task {
    const krs_cpu_exec *exec;
    krs_cpu_product product;
} linear_task;

static void linear_share(void *arg, uint32_t index, uint32_t n_threads)
{
    const linear_task *t = arg;
    krs_cpu_product_share(t->exec, &t->product, index, n_threads);
}

void krs_cpu_linear_op(krs_cpu_exec *exec, const krs_op *op)
{
    const krs_matrix *matrix = &exec->host.program->matrices[op->matrix];
    const int64_t n_rows = krs_host_n_rows(&exec->host, op->in);
    if (n_rows == 0) {
        return;
    }
    const krs_cpu_row_form form = krs_cpu_row_form_of(exec->kernels, matrix);
    pack_rows(exec, &(pack_task){exec, &form, op->in, n_rows});
    const krs_cpu_product_rows rows = {
        .x = exec->packed,
        .sums = exec->packed_sums,
        .n = n_rows,
        .out = exec->host.slots[op->out],
        .out_stride = matrix->n_out,
    };
    const float *bias = op->bias == KRS_NO_MATRIX ? NULL : exec->vectors[op->bias];
    linear_task task = {exec, krs_cpu_product_of(exec->kernels, matrix, bias, &rows)};
    const int64_t n_products = n_rows * matrix->n_out * matrix->n_in;
    krs_cpu_fork(exec, n_products / KRS_CPU_PRODUCTS_PER_ELEMENT, linear_share, &task);
}
