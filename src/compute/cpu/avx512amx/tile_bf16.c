/* compute/cpu/avx512amx/tile_bf16.c - tiles of bf16 on AMX: 16 rows x 16 outputs x 16 pairs of columns an instruction.
 *
 * An output's sum stays in a register of the unit from the first pair to the last, pair after pair, whatever the
 * number of rows beside it; TDPBF16PS rounds to nearest even and takes subnormals for zero. Pairs left over when
 * 16 at a time are done need another configuration, which clears the registers: the sums go through memory then.
 *
 * Rows of x are bf16, or two terms of it, whose sums are added at the end. See unit.h for the registers.
 *
 * Thread: pure, but for the unit's state, which no caller sees.
 * Source: Intel Architecture Instruction Set Extensions reference, AMX-BF16. */
#include "compute/cpu/avx512amx/unit.h"

#include <stdalign.h>
#include <string.h>

enum { N_VECTORS = 2, UNIT_PAIRS = UNIT_BYTES / 4 };

#include "compute/cpu/template/tile_store.h"

/* Rows of a block, from the first pair of a run on. */
typedef struct bf16_run {
    const unsigned char *x;
    size_t x_row_bytes;
    const unsigned char *w;
    int64_t n_products; /* of the configured pairs each */
    size_t x_step;      /* bytes from product to product */
    size_t w_step;
} bf16_run;

/* The registers of sums += the products of a run; two: more than UNIT_ROWS rows. */
KRS_CPU_INLINE void multiply(const bf16_run *run, bool is_two)
{
    const unsigned char *x = run->x;
    const unsigned char *w = run->w;
    for (int64_t i = 0; i < run->n_products; i++, x += run->x_step, w += run->w_step) {
        _tile_loadd(6, w, KRS_TILE_LINE_BYTES);
        _tile_loadd(7, w + UNIT_BYTES, KRS_TILE_LINE_BYTES);
        _tile_loadd(4, x, run->x_row_bytes);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        if (is_two) {
            _tile_loadd(5, x + UNIT_ROWS * run->x_row_bytes, run->x_row_bytes);
            _tile_dpbf16ps(2, 5, 6);
            _tile_dpbf16ps(3, 5, 7);
        }
    }
}

/* sums [32][32], of which the configured rows are read and written. */
KRS_CPU_INLINE void load_sums(const float *sums, bool is_two)
{
    _tile_loadd(0, sums, KRS_TILE_LINE_BYTES);
    _tile_loadd(1, sums + UNIT_ROWS, KRS_TILE_LINE_BYTES);
    if (is_two) {
        _tile_loadd(2, sums + UNIT_ROWS * KRS_TILE_OUTS, KRS_TILE_LINE_BYTES);
        _tile_loadd(3, sums + UNIT_ROWS * KRS_TILE_OUTS + UNIT_ROWS, KRS_TILE_LINE_BYTES);
    }
}

KRS_CPU_INLINE void store_sums(float *sums, bool is_two)
{
    _tile_stored(0, sums, KRS_TILE_LINE_BYTES);
    _tile_stored(1, sums + UNIT_ROWS, KRS_TILE_LINE_BYTES);
    if (is_two) {
        _tile_stored(2, sums + UNIT_ROWS * KRS_TILE_OUTS, KRS_TILE_LINE_BYTES);
        _tile_stored(3, sums + UNIT_ROWS * KRS_TILE_OUTS + UNIT_ROWS, KRS_TILE_LINE_BYTES);
    }
}

/* n_rows <= BLOCK_ROWS of x from row on, x_row_bytes apart, all outputs of one tile. */
static void block_of_rows(const krs_cpu_tile_op *op, int n_rows, size_t x_row_bytes, int64_t row,
                          int64_t tile)
{
    alignas(KRS_CPU_VECTOR_BYTES) float sums[BLOCK_ROWS * KRS_TILE_OUTS];
    vf totals[BLOCK_ROWS][N_VECTORS];
    const bool is_two = n_rows > UNIT_ROWS;
    const int64_t n_left = op->n_steps % UNIT_PAIRS;
    bf16_run run = {.x = x_row(op, row),
                    .x_row_bytes = x_row_bytes,
                    .w = op->w + (size_t)tile * op->tile_bytes,
                    .n_products = op->n_steps / UNIT_PAIRS,
                    .x_step = UNIT_BYTES,
                    .w_step = UNIT_PAIRS * KRS_TILE_LINE_BYTES};
    memset(sums, 0, sizeof(sums));
    configure(UNIT_BYTES, n_rows);
    load_sums(sums, is_two);
    multiply(&run, is_two);
    store_sums(sums, is_two);
    if (n_left > 0) {
        run.x += (size_t)run.n_products * run.x_step;
        run.w += (size_t)run.n_products * run.w_step;
        run.n_products = 1;
        configure((int32_t)n_left * 4, n_rows);
        load_sums(sums, is_two);
        multiply(&run, is_two);
        store_sums(sums, is_two);
    }
    for (int r = 0; r < n_rows; r++) {
        totals[r][0] = vf_load(sums + r * KRS_TILE_OUTS);
        totals[r][1] = vf_load(sums + r * KRS_TILE_OUTS + LANES);
    }
    store_rows(op, n_rows, N_VECTORS, row, tile * KRS_TILE_OUTS, totals);
}

void krs_cpu_avx512amx_tiles(const krs_cpu_tile_op *op, int64_t row, int64_t n_rows, int64_t tile,
                             int64_t n_tiles)
{
    const int64_t end = (row + n_rows) * op->n_terms;
    /* Terms of a row lie side by side; other rows may lie between this matrix's (experts). */
    const bool is_even =
        op->n_terms == 1 || op->x_row_bytes == (size_t)op->n_terms * op->x_term_bytes;
    const size_t x_row_bytes = op->n_terms == 1 ? op->x_row_bytes : op->x_term_bytes;
    const int64_t most = is_even ? BLOCK_ROWS : op->n_terms;
    for (int64_t t = tile; t < tile + n_tiles; t++) {
        for (int64_t r = row * op->n_terms; r < end; r += most) {
            block_of_rows(op, (int)(end - r < most ? end - r : most), x_row_bytes, r, t);
        }
    }
    _tile_release();
}
