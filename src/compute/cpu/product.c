/* compute/cpu/product.c - see product.h: how packed rows meet a matrix, cut for caches and threads.
 *
 * Threads take contiguous ranges of outputs, so each streams its own part of the weights; inside,
 * outputs are cut into blocks whose weights stay in the L2 cache while the rows pass by, and rows into
 * blocks whose packed form does the same while the weights of such a block pass by. Quantised matrices
 * without tiles (fp8, act order, heads that are no whole tiles) have a few rows at a time widened to f32
 * in the thread's scratch, and go on as f32; all rows of x share the widening. Cuts
 * choose which sums are made when, never the order inside one. */
#include "compute/cpu/product.h"

#define ROWS_GRAIN 12 /* rows per block: a multiple of every kernel's tile of rows */

#define OUTS_BLOCK_BYTES                                                                           \
    (512 *                                                                                         \
     1024) /* weights kept in the L2 cache: half of 1 MiB, beside the rows; 1 to 2 are common */

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

static krs_cpu_linear describe(const krs_matrix *matrix, const krs_cpu_row_form *form,
                               const float *bias, const krs_cpu_product_rows *rows)
{
    const int64_t n_whole = matrix->n_in / form->packing->block * form->packing->block;
    const size_t row_bytes = kernel_row_bytes(matrix);
    const size_t whole = (size_t)n_whole * (row_bytes / (size_t)matrix->n_in);
    return (krs_cpu_linear){
        .w = matrix->data,
        .w_row_bytes = row_bytes,
        .n_blocks = matrix->n_in / form->packing->block,
        .tail_bytes = row_bytes - whole,
        .x = rows->x,
        .x_row_bytes = (size_t)(rows->n_between + 1) * form->row_bytes,
        .out = rows->out,
        .out_stride = rows->out_stride,
        .bias = bias,
    };
}

static krs_cpu_product tile_product_of(const krs_cpu_kernels *kernels,
                                       const krs_cpu_weights *weights, const krs_cpu_row_form *form,
                                       const krs_cpu_product_rows *rows)
{
    const krs_tiles *tiles = weights->tiles;
    return (krs_cpu_product){
        .tile =
            {
                .codes = tiles->codes,
                .w = tiles->data,
                .tile_bytes = tiles->tile_bytes,
                .n_steps = tiles->n_steps,
                .x = rows->x,
                .x_row_bytes = (size_t)(rows->n_between + 1) * form->row_bytes,
                .x_term_bytes = form->tile.term_bytes,
                .x_scales_at = form->tile.scales_at,
                .x_sums_at = form->tile.sums_at,
                .n_terms = form->tile.n_terms,
                .out = rows->out,
                .out_stride = rows->out_stride,
                .n_outs = tiles->n_out,
                .bias = weights->bias,
            },
        .run_tile = tiles->kind == KRS_TILE_BF16 ? kernels->tile_bf16 : kernels->tile_codes,
        .n_rows = rows->n,
        .n_outs = tiles->n_out,
        .rows_block = block_of(KRS_CPU_ROWS_BLOCK_BYTES, form->row_bytes, ROWS_GRAIN),
        .outs_block = block_of(OUTS_BLOCK_BYTES, tiles->tile_bytes, 1) * KRS_TILE_OUTS,
    };
}

krs_cpu_product krs_cpu_product_of(const krs_cpu_kernels *kernels, const krs_cpu_weights *weights,
                                   const krs_cpu_product_rows *rows)
{
    const krs_matrix *matrix = weights->matrix;
    const krs_cpu_row_form form = krs_cpu_row_form_of(kernels, matrix, weights->tiles);
    if (form.tile.kind != KRS_TILE_NONE) {
        return tile_product_of(kernels, weights, &form, rows);
    }
    const bool is_widened = krs_cpu_is_widened(matrix);
    return (krs_cpu_product){
        .op = describe(matrix, &form, weights->bias, rows),
        .widened = is_widened ? matrix : NULL,
        .run = kernels->linear[krs_cpu_layout_of(matrix)].run,
        .n_rows = rows->n,
        .n_outs = matrix->n_out,
        .rows_block = block_of(KRS_CPU_ROWS_BLOCK_BYTES, form.row_bytes, ROWS_GRAIN),
        .outs_block =
            is_widened ? KRS_CPU_WIDENED_OUTS
                       : block_of(OUTS_BLOCK_BYTES, kernel_row_bytes(matrix), KRS_CPU_OUTS_GRAIN),
    };
}

/* Outputs [out, out + n_outs) of op, all rows, a block of rows at a time. */
static void all_rows(const krs_cpu_product *p, const krs_cpu_linear *op, int64_t out,
                     int64_t n_outs)
{
    for (int64_t r = 0; r < p->n_rows; r += p->rows_block) {
        const int64_t n = p->n_rows - r < p->rows_block ? p->n_rows - r : p->rows_block;
        p->run(op, r, n, out, n_outs);
    }
}

/* The same for a kind without a kernel: its rows are widened into scratch, once for all rows of x. */
static void all_rows_widened(const krs_cpu_product *p, int64_t out, int64_t n_outs, float *scratch)
{
    const krs_matrix *matrix = p->widened;
    for (int64_t i = 0; i < n_outs; i++) {
        krs_matrix_row(matrix, out + i, scratch + i * matrix->n_in);
    }
    krs_cpu_linear op = p->op;
    op.w = (const unsigned char *)scratch;
    op.out += out;
    op.bias = op.bias ? op.bias + out : NULL;
    all_rows(p, &op, 0, n_outs);
}

/* Tiles of outputs [out, out + n_outs), all rows, a block of rows at a time. */
static void all_rows_of_tiles(const krs_cpu_product *p, int64_t out, int64_t n_outs)
{
    const int64_t n_tiles = (n_outs + KRS_TILE_OUTS - 1) / KRS_TILE_OUTS;
    for (int64_t r = 0; r < p->n_rows; r += p->rows_block) {
        const int64_t n = p->n_rows - r < p->rows_block ? p->n_rows - r : p->rows_block;
        p->run_tile(&p->tile, r, n, out / KRS_TILE_OUTS, n_tiles);
    }
}

void krs_cpu_product_outs(const krs_cpu_exec *exec, const krs_cpu_product *p, int64_t begin,
                          int64_t end, uint32_t index)
{
    float *scratch = exec->thread_scratch + index * exec->thread_floats;
    for (int64_t o = begin; o < end; o += p->outs_block) {
        const int64_t n = end - o < p->outs_block ? end - o : p->outs_block;
        if (p->run_tile) {
            all_rows_of_tiles(p, o, n);
        } else if (p->widened) {
            all_rows_widened(p, o, n, scratch);
        } else {
            all_rows(p, &p->op, o, n);
        }
    }
}

void krs_cpu_product_share(const krs_cpu_exec *exec, const krs_cpu_product *p, uint32_t index,
                           uint32_t n_threads)
{
    int64_t begin;
    int64_t end;
    krs_cpu_team_share(p->n_outs, KRS_CPU_OUTS_GRAIN, index, n_threads, &begin, &end);
    krs_cpu_product_outs(exec, p, begin, end, index);
}
