/* compute/cpu/linear.c - a linear op: pack its rows once, cut its outputs over the team.
 *
 * Packing rounds and reorders x the way the kernel wants it. Ops in a row that read the same slot with
 * the same packing (q, k and v; gate and up) share one packing. Threads take contiguous ranges of
 * outputs, so each streams its own part of the weights; inside, outputs are cut into blocks whose
 * weights stay in the L2 cache while the rows pass by, and rows into blocks whose packed form does the
 * same while the weights of such a block pass by. Matrices that no kernel reads as they lie (every
 * quantised kind but affine of 4 and 8 bits) have a few rows at a time widened to f32 in the thread's
 * scratch, and go on as f32; all rows of x share the widening. Cuts choose which sums are made when, never the
 * order inside one. */
#include "compute/cpu/cpu.h"

#define OUTS_GRAIN                                                                                 \
    16 /* outputs per share: shares start on whole tiles and whole cache lines of out */

#define ROWS_GRAIN 12 /* rows per block: a multiple of every kernel's tile of rows */

#define OUTS_BLOCK_BYTES                                                                           \
    (512 *                                                                                         \
     1024) /* weights kept in the L2 cache: half of 1 MiB, beside the rows; 1 to 2 are common */

typedef struct pack_task {
    const krs_cpu_exec *exec;
    krs_slot slot;
    const krs_cpu_packing *packing;
    int32_t group; /* 0: no sums wanted */
    size_t row_bytes;
    size_t row_sums;
    int64_t n_rows;
    int64_t n_in;
} pack_task;

static void pack_share(void *arg, uint32_t index, uint32_t n_threads)
{
    const pack_task *t = arg;
    const krs_cpu_exec *exec = t->exec;
    int64_t begin;
    int64_t end;
    krs_cpu_team_share(t->n_rows, 1, index, n_threads, &begin, &end);
    for (int64_t r = begin; r < end; r++) {
        float *sums = t->group ? exec->packed_sums + (size_t)r * t->row_sums : NULL;
        exec->kernels->pack(t->packing, krs_host_row(&exec->host, t->slot, r), t->n_in, t->group,
                            exec->packed + (size_t)r * t->row_bytes, sums);
        if (sums) { /* the kernel reads whole vectors of sums */
            const size_t n_groups = (size_t)(t->n_in / t->group);
            memset(sums + n_groups, 0, (t->row_sums - n_groups) * sizeof(*sums));
        }
    }
}

static bool is_packed(const krs_cpu_exec *exec, const pack_task *t)
{
    return exec->has_packed && exec->packed_slot == t->slot && exec->packed_group == t->group &&
           exec->packed_as.block == t->packing->block &&
           exec->packed_as.n_vectors == t->packing->n_vectors &&
           exec->packed_as.is_bf16 == t->packing->is_bf16;
}

static void pack_rows(krs_cpu_exec *exec, pack_task *t)
{
    if (is_packed(exec, t)) {
        return;
    }
    krs_cpu_fork(exec, t->n_rows > 1 ? t->n_rows * t->n_in : 0, pack_share, t);
    exec->has_packed = true;
    exec->packed_slot = t->slot;
    exec->packed_group = t->group;
    exec->packed_as = *t->packing;
}

typedef struct linear_task {
    krs_cpu_linear op;
    const krs_matrix *widened; /* whose rows become f32 first; NULL: op.w is the file's */
    krs_cpu_linear_fn run;
    const krs_cpu_exec *exec;
    int64_t n_rows;
    int64_t n_outs;
    int64_t rows_block;
    int64_t outs_block;
} linear_task;

/* Outputs [out, out + n_outs) of op, all rows, a block of rows at a time. */
static void all_rows(const linear_task *t, const krs_cpu_linear *op, int64_t out, int64_t n_outs,
                     float *scratch)
{
    for (int64_t r = 0; r < t->n_rows; r += t->rows_block) {
        const int64_t n = t->n_rows - r < t->rows_block ? t->n_rows - r : t->rows_block;
        t->run(op, r, n, out, n_outs, scratch);
    }
}

/* The same for a kind without a kernel: its rows are widened into scratch, once for all rows of x. */
static void all_rows_widened(const linear_task *t, int64_t out, int64_t n_outs, float *scratch)
{
    const krs_matrix *matrix = t->widened;
    for (int64_t i = 0; i < n_outs; i++) {
        krs_matrix_row(matrix, out + i, scratch + i * matrix->n_in);
    }
    krs_cpu_linear op = t->op;
    op.w = (const unsigned char *)scratch;
    op.out += out;
    op.bias = op.bias ? op.bias + out : NULL;
    all_rows(t, &op, 0, n_outs, NULL);
}

static void linear_share(void *arg, uint32_t index, uint32_t n_threads)
{
    const linear_task *t = arg;
    float *scratch = t->exec->thread_scratch + index * t->exec->thread_floats;
    int64_t begin;
    int64_t end;
    krs_cpu_team_share(t->n_outs, OUTS_GRAIN, index, n_threads, &begin, &end);
    for (int64_t o = begin; o < end; o += t->outs_block) {
        const int64_t n = end - o < t->outs_block ? end - o : t->outs_block;
        if (t->widened) {
            all_rows_widened(t, o, n, scratch);
        } else {
            all_rows(t, &t->op, o, n, scratch);
        }
    }
}

/* bytes / each, as a multiple of grain, at least one of it. */
static int64_t block_of(int64_t bytes, size_t each, int64_t grain)
{
    const int64_t n = bytes / (int64_t)each / grain * grain;
    return n < grain ? grain : n;
}

/* Bytes of a row as the kernel reads it. */
static size_t kernel_row_bytes(const krs_matrix *matrix)
{
    return krs_cpu_is_widened(matrix) ? (size_t)matrix->n_in * sizeof(float)
                                      : krs_matrix_row_bytes(matrix);
}

static krs_cpu_linear describe(const krs_cpu_exec *exec, const krs_op *op, const krs_matrix *matrix,
                               const pack_task *pack)
{
    const int64_t block = pack->packing->block;
    const size_t row_bytes = kernel_row_bytes(matrix);
    const int64_t n_blocks = matrix->n_in / block;
    const size_t block_bytes = row_bytes / (size_t)matrix->n_in; /* dense: bytes of an element */
    const bool is_affine = pack->group > 0;
    const size_t whole = is_affine ? (size_t)(n_blocks * block) * (size_t)matrix->quant.bits / 8
                                   : (size_t)(n_blocks * block) * block_bytes;
    krs_cpu_linear out = {
        .w = matrix->data,
        .w_row_bytes = row_bytes,
        .n_blocks = n_blocks,
        .tail_bytes = row_bytes - whole,
        .x = exec->packed,
        .x_row_bytes = pack->row_bytes,
        .out = exec->host.slots[op->out],
        .out_stride = matrix->n_out,
        .bias = op->bias == KRS_NO_MATRIX ? NULL : exec->vectors[op->bias],
        .blocks_per_group = 1,
        .groups_per_block = 1,
    };
    if (is_affine) {
        const int32_t group = matrix->quant.group;
        out.scales = matrix->scales;
        out.biases = matrix->biases;
        out.scale_dtype = matrix->scale_dtype;
        out.n_groups = matrix->n_in / group;
        out.blocks_per_group = group > block ? group / (int32_t)block : 1;
        out.groups_per_block = group < block ? (int32_t)block / group : 1;
        out.x_sums = exec->packed_sums;
        out.x_sums_stride = (int64_t)pack->row_sums;
    }
    return out;
}

void krs_cpu_linear_op(krs_cpu_exec *exec, const krs_op *op)
{
    const krs_matrix *matrix = &exec->host.program->matrices[op->matrix];
    const krs_cpu_linear_kernel *kernel = &exec->kernels->linear[krs_cpu_layout_of(matrix)];
    const bool is_widened = krs_cpu_is_widened(matrix);
    const bool is_affine = matrix->quant.kind == KRS_QUANT_AFFINE && !is_widened;
    pack_task pack = {
        .exec = exec,
        .slot = op->in,
        .packing = &kernel->packing,
        .group = is_affine ? matrix->quant.group : 0,
        .row_bytes = krs_cpu_packed_row_bytes(&kernel->packing, matrix->n_in),
        .row_sums = krs_cpu_packed_sums(matrix),
        .n_rows = krs_host_n_rows(&exec->host, op->in),
        .n_in = matrix->n_in,
    };
    if (pack.n_rows == 0) {
        return;
    }
    pack_rows(exec, &pack);
    linear_task task = {
        .op = describe(exec, op, matrix, &pack),
        .widened = is_widened ? matrix : NULL,
        .run = kernel->run,
        .exec = exec,
        .n_rows = pack.n_rows,
        .n_outs = matrix->n_out,
        .rows_block = block_of(KRS_CPU_ROWS_BLOCK_BYTES, pack.row_bytes, ROWS_GRAIN),
        .outs_block = is_widened ? KRS_CPU_WIDENED_OUTS
                                 : block_of(OUTS_BLOCK_BYTES, kernel_row_bytes(matrix), OUTS_GRAIN),
    };
    const int64_t n_products = pack.n_rows * matrix->n_out * matrix->n_in;
    krs_cpu_fork(exec, n_products / KRS_CPU_PRODUCTS_PER_ELEMENT, linear_share, &task);
}
