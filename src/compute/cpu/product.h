/* compute/cpu/product.h - packed rows times a matrix: what every op with a matrix is made of.
 *
 *   rows of f32 --krs_cpu_pack_row--> packed rows --krs_cpu_product_share, on each thread--> rows of f32
 *
 * LINEAR packs the rows of a slot; experts pack the rows that chose them. Both come here, so a
 * layout that one can read the other can read too.
 *
 * Thread: each thread of the team takes its share; shares write different outputs. */
#pragma once

#include "compute/cpu/cpu.h"
#include "compute/cpu/tile.h"

#define KRS_CPU_OUTS_GRAIN                                                                         \
    KRS_TILE_OUTS /* outputs per share: shares start on whole tiles and whole cache lines of out */

/* Packed rows and where their products go. */
typedef struct krs_cpu_product_rows {
    const unsigned char *x;
    int64_t n;
    int64_t n_between; /* packed rows between one and the next: 0, but for HEAD_LINEAR */
    float *out;
    int64_t out_stride;
} krs_cpu_product_rows;

typedef struct krs_cpu_product {
    krs_cpu_tile_op tile;
    krs_cpu_tile_fn run_tile; /* NULL: not tiles, but `op` and `run` */
    krs_cpu_linear op;
    const krs_matrix *widened; /* whose rows become f32 first; NULL: op.w is the file's */
    krs_cpu_linear_fn run;
    int64_t n_rows;
    int64_t n_outs;
    int64_t rows_block;
    int64_t outs_block;
} krs_cpu_product;

/* A matrix and what has been made of it. */
typedef struct krs_cpu_weights {
    const krs_matrix *matrix;
    const krs_tiles *tiles; /* kind NONE: none */
    const float *bias;      /* [n_out], or NULL */
} krs_cpu_weights;

krs_cpu_product krs_cpu_product_of(const krs_cpu_kernels *kernels, const krs_cpu_weights *weights,
                                   const krs_cpu_product_rows *rows);

/* Outputs [begin, end), in the scratch of thread `index`. */
void krs_cpu_product_outs(const krs_cpu_exec *exec, const krs_cpu_product *product, int64_t begin,
                          int64_t end, uint32_t index);

/* This thread's share of the outputs. */
void krs_cpu_product_share(const krs_cpu_exec *exec, const krs_cpu_product *product, uint32_t index,
                           uint32_t n_threads);
