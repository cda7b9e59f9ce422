/* compute/cpu/tile.h - weights repacked once for the kernels: 32 outputs side by side, one stream of bytes.
 *
 *   tile      outputs [32 t, 32 t + 32), all columns; the last one padded with zeros
 *     codes   group by group: its codes, then its scales f.e. bf16 [32], then its biases [32]
 *     bf16    pairs of columns: 32 outputs x 2 bf16
 *
 * A row of a file's matrix lies along the sum; in a tile, outputs lie along the lanes of a vector. So a
 * sum stays in its lane from the first column to the last (no folding at the end, and an order that
 * nothing can change: column after column), a scale is one vector, x is broadcast, and a thread reads its
 * tiles front to back as one stream, which is what hardware prefetchers do best.
 *
 * The codes of 32 columns (krs_codes) are cut into planes of 4, 2 and 1 bits, the highest width first;
 * 8-bit codes are one plane. Operand j = 0 .. 7 of such a block is columns 4 j .. 4 j + 3, a byte each in
 * the 32-bit word of every output: what an instruction for dot products of bytes takes at once. A line
 * below is [32] words, 128 bytes.
 *
 *   8 bits   line j                           operand j
 *   4 bits   line j / 2, shifted by 4 (j % 2)     & 15
 *   2 bits   line j / 4, shifted by 2 (j % 4)     & 3
 *   1 bit    line 0,     shifted by j             & 1
 *
 * Scales lie behind the codes of their group; those of groups of 16, which are half a block, behind the
 * block, one after the other. SUPER scales: d [32] and, with a bias, dmin [32] before the first group of
 * every 256 columns; behind a group the bytes s [32] and m [32].
 *
 * Every instruction set reads the same tiles.
 *
 * Thread: pure; krs_tiles_fill writes disjoint bytes for disjoint tiles.  Memory: the caller's. */
#pragma once

#include "compute/cpu/kernels.h"

#define KRS_TILE_OUTS       32
#define KRS_TILE_LINE_BYTES (4 * KRS_TILE_OUTS) /* a word for each output */
#define KRS_TILE_MAX_GROUP  128                 /* columns under one scale: krs_codes.group */
#define KRS_TILE_ROW_ALIGN  64                  /* rows of x start on cache lines */

typedef enum krs_tile_kind { KRS_TILE_NONE, KRS_TILE_BF16, KRS_TILE_CODES } krs_tile_kind;

/* A matrix as tiles. */
typedef struct krs_tiles {
    krs_tile_kind kind;
    krs_codes codes; /* CODES only */
    int64_t n_out;
    int64_t n_in;
    int64_t n_steps; /* groups of a row; pairs of columns */
    size_t tile_bytes;
    const unsigned char *data; /* [n_tiles][tile_bytes]; NULL until filled */
} krs_tiles;

/* How these kernels want the matrix; kind NONE: as it lies in the file. */
krs_tiles krs_tiles_of(const krs_cpu_kernels *kernels, const krs_matrix *matrix);

static inline int64_t krs_tiles_n(const krs_tiles *tiles)
{
    return (tiles->n_out + KRS_TILE_OUTS - 1) / KRS_TILE_OUTS;
}

static inline size_t krs_tiles_bytes(const krs_tiles *tiles)
{
    return (size_t)krs_tiles_n(tiles) * tiles->tile_bytes;
}

/* Write tiles [begin, end) of matrix into data, which is tile 0's place. */
void krs_tiles_fill(const krs_tiles *tiles, const krs_matrix *matrix, int64_t begin, int64_t end,
                    unsigned char *data);

/* What is added to a group's sum besides its products. */
typedef enum krs_tile_sums {
    KRS_TILE_SUMS_NONE,
    KRS_TILE_SUMS_BIAS, /* f32: the sum of the group's x, which meets its bias */
    KRS_TILE_SUMS_ZERO, /* i32: minus zero times the sum of the group's codes of x */
} krs_tile_sums;

static inline krs_tile_sums krs_tile_sums_of(const krs_codes *codes)
{
    return codes->has_bias ? KRS_TILE_SUMS_BIAS
           : codes->zero   ? KRS_TILE_SUMS_ZERO
                           : KRS_TILE_SUMS_NONE;
}

/* Rows of x for tiles. codes: x as i8 codes in groups of the matrix's own, each with its scale
 *   [i8 x n_groups * group | f32 scales x n_groups | sums x n_groups]; bf16: [bf16 x n_in, even].
 * Two terms: the second holds what the first left, in a scale of its own, so that x is kept to 15 bits
 * (codes) or 16 (bf16) instead of 7 or 8. */
struct krs_tile_rows {
    krs_tile_kind kind;
    krs_codes codes;
    int64_t n_in;
    int64_t n_steps;
    int32_t n_terms;
    size_t scales_at;
    size_t sums_at;
    size_t term_bytes;
};

krs_tile_rows krs_tile_rows_of(const krs_tiles *tiles, int32_t n_terms);
/* May rows made for one be read as the other? */
bool krs_tile_rows_are(const krs_tile_rows *a, const krs_tile_rows *b);
/* x[n_in] into out[n_terms * term_bytes]. */
void krs_tile_row_fill(const krs_cpu_kernels *kernels, const krs_tile_rows *rows, const float *x,
                       unsigned char *out);
