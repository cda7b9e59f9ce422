/* compute/cpu/avx512bf16/tile.c - tiles of bf16 on VDPBF16PS: 32 products an instruction, f32 sums.
 *
 * An output's sum goes over the pairs of its columns in their order; the instruction adds the second
 * product of a pair first, rounds to nearest even and takes subnormals for zero, whatever MXCSR says.
 * Rows of x are bf16, or two terms of it, whose sums are added at the end.
 *
 * Up to 12 rows share a load of the weights: 24 sums and 2 vectors of weights in 32 registers.
 *
 * Thread: pure.  Source: Intel Architecture Instruction Set Extensions reference, VDPBF16PS. */
#include "compute/cpu/tile.h"
#include "compute/cpu/avx512/vec.h"

#include <string.h>

enum { N_VECTORS = 2, MAX_ROWS = 12 };

#include "compute/cpu/template/tile_store.h"

KRS_CPU_INLINE __m512bh pair_of(const unsigned char *x)
{
    int32_t pair;
    memcpy(&pair, x, sizeof(pair));
    return (__m512bh)_mm512_set1_epi32(pair);
}

/* n_rows rows of x from row on, all outputs of one tile. */
KRS_CPU_INLINE void rows_of_tile(const krs_cpu_tile_op *op, int n_rows, int64_t row, int64_t tile)
{
    const unsigned char *w = op->w + (size_t)tile * op->tile_bytes;
    const unsigned char *x[MAX_ROWS];
    vf totals[MAX_ROWS][N_VECTORS];
#pragma GCC unroll 12
    for (int r = 0; r < n_rows; r++) {
        x[r] = x_row(op, row + r);
        totals[r][0] = totals[r][1] = vf_set(0);
    }
    for (int64_t pair = 0; pair < op->n_steps; pair++) {
        const __m512bh w0 = (__m512bh)_mm512_loadu_si512(w);
        const __m512bh w1 = (__m512bh)_mm512_loadu_si512(w + KRS_CPU_VECTOR_BYTES);
#pragma GCC unroll 12
        for (int r = 0; r < n_rows; r++) {
            const __m512bh x_pair = pair_of(x[r] + 4 * pair);
            totals[r][0] = _mm512_dpbf16_ps(totals[r][0], x_pair, w0);
            totals[r][1] = _mm512_dpbf16_ps(totals[r][1], x_pair, w1);
        }
        w += KRS_TILE_LINE_BYTES;
    }
    store_rows(op, n_rows, N_VECTORS, row, tile * KRS_TILE_OUTS, totals);
}

/* As many of the left rows as there is a loop for, at once. */
KRS_CPU_INLINE int64_t next_rows(const krs_cpu_tile_op *op, int64_t row, int64_t n_left,
                                 int64_t tile)
{
    if (n_left >= 12) {
        rows_of_tile(op, 12, row, tile);
        return 12;
    }
    if (n_left >= 8) {
        rows_of_tile(op, 8, row, tile);
        return 8;
    }
    if (n_left >= 6) {
        rows_of_tile(op, 6, row, tile);
        return 6;
    }
    if (n_left >= 4) {
        rows_of_tile(op, 4, row, tile);
        return 4;
    }
    if (n_left >= 2) {
        rows_of_tile(op, 2, row, tile);
        return 2;
    }
    rows_of_tile(op, 1, row, tile);
    return 1;
}

void krs_cpu_avx512bf16_tiles(const krs_cpu_tile_op *op, int64_t row, int64_t n_rows, int64_t tile,
                              int64_t n_tiles)
{
    const int64_t end = (row + n_rows) * op->n_terms;
    for (int64_t t = tile; t < tile + n_tiles; t++) {
        int64_t at = row * op->n_terms;
        while (at < end) {
            at += next_rows(op, at, end - at, t);
        }
    }
}
