/* compute/cpu/neonbf16/tile.c - tiles of bf16 on BFMMLA and BFDOT: 16 and 8 products an instruction, f32 sums.
 *
 * An output's sum goes over the pairs of its columns in their order; BFDOT adds the two products of a pair to each
 * other and then to the sum, each time rounding to odd and taking subnormals for zero, whatever FPCR says.
 * Rows of x are bf16, or two terms of it, whose sums are added at the end.
 *
 *   BFMMLA   rows (r, r + 1) x columns 0 .. 3    outputs (o, o + 1) x columns 0 .. 3
 *            -> [r o | r o + 1 | r + 1 o | r + 1 o + 1], which is two BFDOTs, one pair after the other
 *
 * So two rows at a time take half the instructions, and each has the bytes it has alone: what is left of a row
 * (the last pairs, the last row) goes through BFDOT. BFMMLA's operands are lines of a tile, or rows, zipped.
 *
 * One row and two see all 32 outputs at once, so that a tile is read front to back; more rows half of them.
 *
 * Thread: pure.  Source: Arm Architecture Reference Manual for A-profile, BFDOT (by element), BFMMLA, and the
 * shared pseudocode BFDotAdd, BFMatMulAdd (FPCR.EBF is 0: no program here sets it). */
#include "compute/cpu/tile.h"
#include "compute/cpu/neon/vec.h"

enum { N_VECTORS = 8, MAX_ROWS = 6 };
enum { PAIRS_AT_ONCE = 4 }; /* of columns: a vector of x */

#include "compute/cpu/template/tile_store.h"

/* What a loop is; constants at every call. */
typedef struct tile_shape {
    int n_rows; /* 1, or even */
    int n_vectors;
} tile_shape;

/* n_rows x n_vectors x 4 outputs under way. While rows go in pairs, sums[r] and sums[r + 1], r even, are what
 * BFMMLA makes of outputs 0 and 1, and 2 and 3. */
typedef struct tile_sums {
    vf of[MAX_ROWS][N_VECTORS];
} tile_sums;

KRS_CPU_INLINE vf zip_low(vf a, vf b)
{
    return vreinterpretq_f32_f64(vzip1q_f64(vreinterpretq_f64_f32(a), vreinterpretq_f64_f32(b)));
}

KRS_CPU_INLINE vf zip_high(vf a, vf b)
{
    return vreinterpretq_f32_f64(vzip2q_f64(vreinterpretq_f64_f32(a), vreinterpretq_f64_f32(b)));
}

KRS_CPU_INLINE vf add_four(vf sum, vf x, vf w)
{
    return vbfmmlaq_f32(sum, vreinterpretq_bf16_f32(x), vreinterpretq_bf16_f32(w));
}

/* Pair i of x[4], with literal lanes. */
KRS_CPU_INLINE vf add_pair(vf sum, vf w, vf x, int i)
{
    const bfloat16x8_t codes = vreinterpretq_bf16_f32(w);
    const bfloat16x8_t pairs = vreinterpretq_bf16_f32(x);
    switch (i) {
    case 0:
        return vbfdotq_laneq_f32(sum, codes, pairs, 0);
    case 1:
        return vbfdotq_laneq_f32(sum, codes, pairs, 1);
    case 2:
        return vbfdotq_laneq_f32(sum, codes, pairs, 2);
    default:
        return vbfdotq_laneq_f32(sum, codes, pairs, 3);
    }
}

/* Pair i of columns, and of a vector of each row of x. */
KRS_CPU_INLINE void add_line(tile_shape s, const unsigned char *w, const vf *x, int i,
                             tile_sums *sums)
{
#pragma GCC unroll 8
    for (int v = 0; v < s.n_vectors; v++) {
        const vf codes = vf_load(w + v * LANES * 4);
#pragma GCC unroll 6
        for (int r = 0; r < s.n_rows; r++) {
            sums->of[r][v] = add_pair(sums->of[r][v], codes, x[r], i);
        }
    }
}

/* PAIRS_AT_ONCE pairs of columns, one after the other. */
KRS_CPU_INLINE void add_lines(tile_shape s, const unsigned char *w, const unsigned char *const *x,
                              tile_sums *sums)
{
    vf pairs[MAX_ROWS];
#pragma GCC unroll 6
    for (int r = 0; r < s.n_rows; r++) {
        pairs[r] = vf_load(x[r]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < PAIRS_AT_ONCE; i++) {
        add_line(s, w + i * KRS_TILE_LINE_BYTES, pairs, i, sums);
    }
}

/* The n pairs of columns that are left: less than a vector of x, and all that may be read. */
KRS_CPU_INLINE void add_last_lines(tile_shape s, const unsigned char *w,
                                   const unsigned char *const *x, int64_t n, tile_sums *sums)
{
    for (int64_t i = 0; i < n; i++) {
        vf pairs[MAX_ROWS];
#pragma GCC unroll 6
        for (int r = 0; r < s.n_rows; r++) {
            pairs[r] = vld1q_dup_f32((const float *)(const void *)(x[r] + 4 * i));
        }
        add_line(s, w + i * KRS_TILE_LINE_BYTES, pairs, 0, sums);
    }
}

/* PAIRS_AT_ONCE pairs of columns for pairs of rows. */
KRS_CPU_INLINE void add_squares(tile_shape s, const unsigned char *w, const unsigned char *const *x,
                                tile_sums *sums)
{
#pragma GCC unroll 2
    for (int i = 0; i < PAIRS_AT_ONCE; i += 2, w += 2 * KRS_TILE_LINE_BYTES) {
        vf rows[MAX_ROWS / 2];
#pragma GCC unroll 6
        for (int r = 0; r < s.n_rows; r += 2) {
            const vf a = vf_load(x[r]);
            const vf b = vf_load(x[r + 1]);
            rows[r / 2] = i == 0 ? zip_low(a, b) : zip_high(a, b);
        }
#pragma GCC unroll 8
        for (int v = 0; v < s.n_vectors; v++) {
            const vf a = vf_load(w + v * LANES * 4);
            const vf b = vf_load(w + KRS_TILE_LINE_BYTES + v * LANES * 4);
            const vf first = vzip1q_f32(a, b);
            const vf second = vzip2q_f32(a, b);
#pragma GCC unroll 6
            for (int r = 0; r < s.n_rows; r += 2) {
                sums->of[r][v] = add_four(sums->of[r][v], rows[r / 2], first);
                sums->of[r + 1][v] = add_four(sums->of[r + 1][v], rows[r / 2], second);
            }
        }
    }
}

/* From what BFMMLA made to a row each. */
KRS_CPU_INLINE void part_rows(tile_shape s, tile_sums *sums)
{
#pragma GCC unroll 6
    for (int r = 0; r < s.n_rows; r += 2) {
#pragma GCC unroll 8
        for (int v = 0; v < s.n_vectors; v++) {
            const vf a = sums->of[r][v];
            const vf b = sums->of[r + 1][v];
            sums->of[r][v] = zip_low(a, b);
            sums->of[r + 1][v] = zip_high(a, b);
        }
    }
}

/* Rows of x from row on, outputs [first, first + n_vectors * LANES) of one tile. */
KRS_CPU_INLINE void some_outputs(tile_shape s, const krs_cpu_tile_op *op, int64_t row, int64_t tile,
                                 int first)
{
    const unsigned char *w = op->w + (size_t)tile * op->tile_bytes + first * 4;
    const unsigned char *x[MAX_ROWS];
    tile_sums sums;
#pragma GCC unroll 6
    for (int r = 0; r < s.n_rows; r++) {
        x[r] = x_row(op, row + r);
#pragma GCC unroll 8
        for (int v = 0; v < s.n_vectors; v++) {
            sums.of[r][v] = vf_set(0);
        }
    }
    int64_t pair = 0;
    for (; pair + PAIRS_AT_ONCE <= op->n_steps; pair += PAIRS_AT_ONCE) {
        if (s.n_rows == 1) {
            add_lines(s, w, x, &sums);
        } else {
            add_squares(s, w, x, &sums);
        }
        w += PAIRS_AT_ONCE * KRS_TILE_LINE_BYTES;
#pragma GCC unroll 6
        for (int r = 0; r < s.n_rows; r++) {
            x[r] += PAIRS_AT_ONCE * 4;
        }
    }
    if (s.n_rows > 1) {
        part_rows(s, &sums);
    }
    add_last_lines(s, w, x, op->n_steps - pair, &sums);
    store_rows(op, s.n_rows, s.n_vectors, row, tile * KRS_TILE_OUTS + first, sums.of);
}

/* All outputs of one tile. */
KRS_CPU_INLINE void rows_of_tile(tile_shape s, const krs_cpu_tile_op *op, int64_t row, int64_t tile)
{
    for (int first = 0; first < KRS_TILE_OUTS; first += s.n_vectors * LANES) {
        some_outputs(s, op, row, tile, first);
    }
}

/* As many of the left rows as there is a loop for, at once. */
KRS_CPU_INLINE int64_t next_rows(const krs_cpu_tile_op *op, int64_t row, int64_t n_left,
                                 int64_t tile)
{
    if (n_left >= 6) {
        rows_of_tile((tile_shape){6, 4}, op, row, tile);
        return 6;
    }
    if (n_left >= 4) {
        rows_of_tile((tile_shape){4, 4}, op, row, tile);
        return 4;
    }
    if (n_left >= 2) {
        rows_of_tile((tile_shape){2, 8}, op, row, tile);
        return 2;
    }
    rows_of_tile((tile_shape){1, 8}, op, row, tile);
    return 1;
}

void krs_cpu_neonbf16_tiles(const krs_cpu_tile_op *op, int64_t row, int64_t n_rows, int64_t tile,
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
