/* compute/cpu/linear.c - a linear op: pack its rows once, cut its outputs over the team.
 *
 * HEAD_LINEAR is the same with n_heads times as many, shorter rows of x: the outputs of one head meet
 * only the rows of that head. LINEAR has one head.
 *
 * Packing rounds and reorders x the way the kernel wants it. Ops in a row that read the same slot with
 * the same packing (q, k and v; gate and up) share one packing, and run as one. */
#include "compute/cpu/product.h"

typedef struct pack_task {
    const krs_cpu_exec *exec;
    const krs_cpu_row_form *form;
    krs_slot slot;
    int64_t n_rows; /* n_heads times those of the step */
} pack_task;

static void pack_share(void *arg, uint32_t index, uint32_t n_threads)
{
    const pack_task *t = arg;
    const krs_cpu_exec *exec = t->exec;
    int64_t begin;
    int64_t end;
    krs_cpu_team_share(t->n_rows, 1, index, n_threads, &begin, &end);
    for (int64_t r = begin; r < end; r++) {
        krs_cpu_pack_row(exec->kernels, t->form, exec->host.slots[t->slot] + r * t->form->n_in,
                         exec->packed + (size_t)r * t->form->row_bytes);
    }
}

static bool is_packed(const krs_cpu_exec *exec, const pack_task *t)
{
    return exec->has_packed && exec->packed_slot == t->slot && exec->packed_rows == t->n_rows &&
           krs_cpu_row_form_is(&exec->packed_form, t->form);
}

static void pack_rows(krs_cpu_exec *exec, const pack_task *t)
{
    if (is_packed(exec, t)) {
        return;
    }
    krs_cpu_fork(exec, t->n_rows > 1 ? t->n_rows * t->form->n_in : 0, pack_share,
                 (void *)(uintptr_t)t);
    exec->has_packed = true;
    exec->packed_slot = t->slot;
    exec->packed_rows = t->n_rows;
    exec->packed_form = *t->form;
}

typedef struct linear_task {
    const krs_cpu_exec *exec;
    krs_cpu_product product; /* with the rows of x of the first head */
    int64_t n_head_outs;
    size_t head_bytes; /* from one head of a packed row to the next */
} linear_task;

/* Outputs [begin, end) of the whole op, a head at a time. */
static void linear_outs(const linear_task *t, int64_t begin, int64_t end, uint32_t index)
{
    while (begin < end) {
        const int64_t head = begin / t->n_head_outs;
        const int64_t head_end = (head + 1) * t->n_head_outs;
        krs_cpu_product product = t->product;
        product.tile.x += product.run_tile ? (size_t)head * t->head_bytes : 0;
        product.op.x += product.run_tile ? 0 : (size_t)head * t->head_bytes;
        krs_cpu_product_outs(t->exec, &product, begin, head_end < end ? head_end : end, index);
        begin = head_end;
    }
}

/* Neighbours that read the same rows: one fork for all, and a thread goes from its share of one to its
 * share of the next without waiting. */
typedef struct linear_run {
    linear_task tasks[KRS_CPU_LINEARS_AT_ONCE];
    int32_t n;
} linear_run;

static void run_share(void *arg, uint32_t index, uint32_t n_threads)
{
    const linear_run *run = arg;
    for (int32_t i = 0; i < run->n; i++) {
        const linear_task *t = &run->tasks[i];
        int64_t begin;
        int64_t end;
        krs_cpu_team_share(t->product.n_outs, KRS_CPU_OUTS_GRAIN, index, n_threads, &begin, &end);
        linear_outs(t, begin, end, index);
    }
}

static int64_t n_heads_of(const krs_op *op)
{
    return op->kind == KRS_OP_HEAD_LINEAR ? op->head_linear.n_heads : 1;
}

static const krs_cpu_kernels *kernels_of(const krs_cpu_exec *exec, const krs_op *op)
{
    return op->is_exact ? exec->exact : exec->kernels;
}

static krs_cpu_row_form form_of(const krs_cpu_exec *exec, const krs_op *op)
{
    return krs_cpu_row_form_of(kernels_of(exec, op), &exec->host.program->matrices[op->matrix],
                               &exec->tiles[op->matrix]);
}

static linear_task task_of(const krs_cpu_exec *exec, const krs_op *op, const krs_cpu_row_form *form,
                           int64_t n_rows)
{
    const krs_matrix *matrix = &exec->host.program->matrices[op->matrix];
    const bool has_bias = op->kind == KRS_OP_LINEAR && op->bias != KRS_NO_MATRIX;
    const krs_cpu_weights weights = {matrix, &exec->tiles[op->matrix],
                                     has_bias ? exec->vectors[op->bias] : NULL};
    const krs_cpu_product_rows rows = {
        .x = exec->packed,
        .n = n_rows,
        .n_between = n_heads_of(op) - 1,
        .out = exec->host.slots[op->out],
        .out_stride = matrix->n_out,
    };
    return (linear_task){
        .exec = exec,
        .product = krs_cpu_product_of(kernels_of(exec, op), &weights, &rows),
        .n_head_outs = matrix->n_out / n_heads_of(op),
        .head_bytes = form->row_bytes,
    };
}

/* Does op read the rows that the n ops before it read, packed alike, and write none of their slots? */
static bool is_beside(const krs_cpu_exec *exec, const krs_op *ops, int32_t n,
                      const krs_cpu_row_form *packed)
{
    const krs_op *op = &ops[n];
    if (op->kind != ops[0].kind || op->in != ops[0].in || n_heads_of(op) != n_heads_of(ops)) {
        return false;
    }
    for (int32_t i = 0; i < n; i++) {
        if (ops[i].out == op->out || ops[i].out == op->in) {
            return false;
        }
    }
    const krs_cpu_row_form form = form_of(exec, op);
    return krs_cpu_row_form_is(&form, packed);
}

uint32_t krs_cpu_linear_ops(krs_cpu_exec *exec, const krs_op *ops, uint32_t n_ops)
{
    const int64_t n_rows = krs_host_n_rows(&exec->host, ops[0].in);
    const krs_cpu_row_form form = form_of(exec, &ops[0]);
    linear_run run = {.n = 0};
    int64_t n_products = 0;
    if (n_rows == 0) {
        return 1;
    }
    pack_rows(exec, &(pack_task){exec, &form, ops[0].in, n_rows * n_heads_of(&ops[0])});
    do {
        const linear_task *task = &run.tasks[run.n];
        run.tasks[run.n] = task_of(exec, &ops[run.n], &form, n_rows);
        n_products += n_rows * task->product.n_outs * form.n_in;
        run.n++;
    } while (run.n < KRS_CPU_LINEARS_AT_ONCE && (uint32_t)run.n < n_ops &&
             is_beside(exec, ops, run.n, &form));
    krs_cpu_fork(exec, n_products / KRS_CPU_PRODUCTS_PER_ELEMENT, run_share, &run);
    return (uint32_t)run.n;
}
