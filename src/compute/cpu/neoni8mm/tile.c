/* compute/cpu/neoni8mm/tile.c - tiles of codes on USDOT, 16 products an instruction, and for many rows on USMMLA, 32;
 * sums exact. See template/tile_codes.h for the loops of few rows, dot.h for their products.
 *
 *   USMMLA   outputs (o, o + 1) x 8 columns, unsigned    rows (r, r + 1) x 8 columns, signed
 *            -> [o r | o r + 1 | o + 1 r | o + 1 r + 1] in i32
 *
 * Twice the products of USDOT, but its operands must be made: two operands of a tile zipped, and two rows of x. So
 * the codes of a group of all 32 outputs are taken apart and zipped once, into the L1 cache, for up to
 * ROWS_AT_ONCE rows; and 8 rows once for those outputs. Totals wait in the L1 cache, too.
 *
 *   for each tile, for each ROWS_AT_ONCE rows:
 *     for each group of columns:          squares of its codes; its scales
 *       for each few rows:                squares of x
 *         for each 8 outputs:             sums in registers; total += sums * (scale of w * scale of x); ...
 *
 * Integer sums are exact and totals are made as in tile_codes.h, so a row has the bytes it has there.
 *
 * Thread: pure.  Memory: 10 KB of stack.
 * Source: Arm Architecture Reference Manual for A-profile, USMMLA. */
#include "compute/cpu/neoni8mm/dot.h"

#include "compute/cpu/template/tile_codes.h"

enum {
    ROWS_AT_ONCE = 32
};                       /* totals of so many, 4 KB, stay in the L1 cache beside a group's codes */
enum { MANY_ROWS = 12 }; /* with fewer, making operands costs more than it saves, by count */
enum { MAX_PAIRS = 4 };  /* 4 x 4 sums, 4 + 4 operands: 24 of 32 registers */
enum { SQUARE = 8, VECTOR_BYTES = 16 }; /* columns; two rows or outputs of them */
enum { MAX_SQUARES = KRS_TILE_MAX_GROUP / SQUARE, OUT_PAIRS = KRS_TILE_OUTS / 2 };

typedef struct squares {
    unsigned char codes[MAX_SQUARES][OUT_PAIRS][VECTOR_BYTES];
    unsigned char x[MAX_SQUARES][MAX_PAIRS][VECTOR_BYTES];
    tile_scales scales[N_PASSES]; /* of the group */
    float totals[ROWS_AT_ONCE][KRS_TILE_OUTS];
} squares;

/* Groups whose codes are made at once: one, or the two of a block. */
typedef struct square_groups {
    int64_t first;
    int n;
    int n_squares; /* of each */
} square_groups;

enum { LINE_BYTES = OUT_PAIRS * VECTOR_BYTES }; /* of 8 columns of all outputs */

/* The operands of one block, of 8 outputs, to their place in four lines. */
KRS_CPU_INLINE void zip_block(const operands_at *from, unsigned char *to)
{
#pragma GCC unroll 4
    for (int j = 0; j < OPERANDS; j += 2) {
#pragma GCC unroll 2
        for (int v = 0; v < N_VECTORS; v++) {
            const uint32x4_t a = vreinterpretq_u32_u8(operand_at(from, j, v));
            const uint32x4_t b = vreinterpretq_u32_u8(operand_at(from, j + 1, v));
            unsigned char *at = to + j / 2 * LINE_BYTES + 2 * v * VECTOR_BYTES;
            vc_store(at, vreinterpretq_u8_u32(vzip1q_u32(a, b)));
            vc_store(at + VECTOR_BYTES, vreinterpretq_u8_u32(vzip2q_u32(a, b)));
        }
    }
}

/* The same of a source that is not known before. */
static void zip_any(const krs_codes *codes, const unsigned char *w, unsigned char *to)
{
    alignas(KRS_CPU_VECTOR_BYTES) unsigned char decoded[OPERANDS * PASS_BYTES];
    if (codes->bits == 8) {
        zip_block(&(operands_at){BYTES, codes, w}, to);
    } else if (codes->bits == 4 && !codes->table) {
        zip_block(&(operands_at){NIBBLES, codes, w}, to);
    } else {
        decode_block(codes, w, decoded);
        zip_block(&(operands_at){DECODED, codes, decoded}, to);
    }
}

/* The codes of the groups at *at, which goes past them. */
static void make_codes(const krs_codes *codes, const square_groups *groups, tile_at *at, squares *s)
{
    const int n_blocks = groups->n * groups->n_squares * SQUARE / KRS_CODES_BLOCK;
    for (int b = 0; b < n_blocks; b++) {
        for (int i = 0; i < N_PASSES; i++) {
            zip_any(codes, at->w + i * PASS_BYTES,
                    s->codes[0][0] + b * 4 * LINE_BYTES + i * 4 * VECTOR_BYTES);
        }
        at->w += (size_t)codes->bits * KRS_TILE_LINE_BYTES;
    }
}

/* The scales of one group, of all outputs. */
static void read_scales(const krs_codes *codes, tile_at *at, squares *s)
{
    tile_at next = *at;
    for (int i = 0; i < N_PASSES; i++) {
        next = *at;
        next.pass_bytes = (size_t)i * PASS_BYTES;
        scales_of_group(codes, &next, &s->scales[i]);
    }
    at->w = next.w;
}

/* Columns of a group of pairs of rows. */
KRS_CPU_INLINE void make_x(int n_pairs, int n_squares, const unsigned char *const *x, size_t column,
                           squares *s)
{
#pragma GCC unroll 4
    for (int p = 0; p < n_pairs; p++) {
        const unsigned char *a = x[2 * p] + column;
        const unsigned char *b = x[2 * p + 1] + column;
        for (int k = 0; k < n_squares; k += 2) {
            const uint64x2_t first = vreinterpretq_u64_u8(vc_load(a + k * SQUARE));
            const uint64x2_t second = vreinterpretq_u64_u8(vc_load(b + k * SQUARE));
            vc_store(s->x[k][p], vreinterpretq_u8_u64(vzip1q_u64(first, second)));
            vc_store(s->x[k + 1][p], vreinterpretq_u8_u64(vzip2q_u64(first, second)));
        }
    }
}

/* Some rows under way. */
typedef struct square_rows {
    const krs_cpu_tile_op *op;
    const unsigned char *const *x; /* [2 * n_pairs] */
    int64_t group;
    float (*totals)[KRS_TILE_OUTS]; /* of the first */
} square_rows;

/* totals of one row and vector v of a pass: += sums * scale + bias * sum of x, as add_group. */
KRS_CPU_INLINE void add_total(const square_rows *rows, int r, vi sums, const tile_scales *scales,
                              int v, float *total)
{
    const krs_cpu_tile_op *op = rows->op;
    const unsigned char *at = rows->x[r] + (size_t)rows->group * 4;
    float x_scale;
    memcpy(&x_scale, at + op->x_scales_at, sizeof(x_scale));
    if (krs_tile_sums_of(&op->codes) == KRS_TILE_SUMS_ZERO) {
        int32_t start;
        memcpy(&start, at + op->x_sums_at, sizeof(start));
        sums = vaddq_s32(sums, vi_set(start));
    }
    vf y = vf_fma(vf_of_vi(sums), scales->scale[v] * vf_set(x_scale), vf_load(total));
    if (op->codes.has_bias) {
        float x_sum;
        memcpy(&x_sum, at + op->x_sums_at, sizeof(x_sum));
        y = vf_fma(scales->bias[v], vf_set(x_sum), y);
    }
    vf_store(total, y);
}

/* One group of n_pairs pairs of rows and 8 outputs. first: the group's first square of codes. */
KRS_CPU_INLINE void add_pass(int n_pairs, const square_rows *rows, int n_squares, int first,
                             int pass, const squares *s)
{
    vi sums[MAX_PAIRS][4];
#pragma GCC unroll 4
    for (int p = 0; p < n_pairs; p++) {
#pragma GCC unroll 4
        for (int o = 0; o < 4; o++) {
            sums[p][o] = vi_set(0);
        }
    }
    for (int k = 0; k < n_squares; k++) {
        const unsigned char *w = s->codes[first + k][pass * 4];
        const unsigned char *x = s->x[k][0];
#pragma GCC unroll 4
        for (int p = 0; p < n_pairs; p++) {
            const int8x16_t y = vreinterpretq_s8_u8(vc_load(x + p * VECTOR_BYTES));
#pragma GCC unroll 4
            for (int o = 0; o < 4; o++) {
                sums[p][o] = vusmmlaq_s32(sums[p][o], vc_load(w + o * VECTOR_BYTES), y);
            }
        }
    }
#pragma GCC unroll 4
    for (int p = 0; p < n_pairs; p++) {
#pragma GCC unroll 2
        for (int v = 0; v < N_VECTORS; v++) {
            const vi a = sums[p][2 * v];
            const vi b = sums[p][2 * v + 1];
            const int out = (pass * N_VECTORS + v) * LANES;
            add_total(rows, 2 * p, vuzp1q_s32(a, b), &s->scales[pass], v,
                      rows->totals[2 * p] + out);
            add_total(rows, 2 * p + 1, vuzp2q_s32(a, b), &s->scales[pass], v,
                      rows->totals[2 * p + 1] + out);
        }
    }
}

KRS_CPU_INLINE void add_rows(int n_pairs, const square_rows *rows, int n_squares, int first,
                             squares *s)
{
    make_x(n_pairs, n_squares, rows->x, (size_t)(rows->group * rows->op->codes.group), s);
    for (int i = 0; i < N_PASSES; i++) {
        add_pass(n_pairs, rows, n_squares, first, i, s);
    }
}

/* One group of all rows, 8 and then 2 at a time. n is even. */
static void add_square_group(square_rows rows, int64_t n, int n_squares, int first, squares *s)
{
    int64_t r = 0;
    const unsigned char *const *x = rows.x;
    for (; r + 2 * MAX_PAIRS <= n; r += 2 * MAX_PAIRS) {
        rows.x = x + r;
        rows.totals = s->totals + r;
        add_rows(MAX_PAIRS, &rows, n_squares, first, s);
    }
    for (; r < n; r += 2) {
        rows.x = x + r;
        rows.totals = s->totals + r;
        add_rows(1, &rows, n_squares, first, s);
    }
}

/* Totals of n rows of x, those of a row of out together. */
static void store_totals(const krs_cpu_tile_op *op, int64_t row, int64_t n, int64_t tile,
                         const squares *s)
{
    for (int64_t r = 0; r < n; r += op->n_terms) {
        for (int i = 0; i < N_PASSES; i++) {
            vf totals[2][N_VECTORS];
            for (int v = 0; v < N_VECTORS; v++) {
                const int64_t out = (i * N_VECTORS + v) * LANES;
                totals[0][v] = vf_load(s->totals[r] + out);
                totals[1][v] = vf_load(s->totals[r + op->n_terms - 1] + out);
            }
            store_rows(op, op->n_terms, N_VECTORS, row + r,
                       tile * KRS_TILE_OUTS + i * N_VECTORS * LANES, totals);
        }
    }
}

/* n rows of x, at most ROWS_AT_ONCE, terms counted as rows, times one tile. */
static void square_tile(const krs_cpu_tile_op *op, int64_t row, int64_t n, int64_t tile)
{
    const krs_codes *codes = &op->codes;
    const size_t super_bytes = (size_t)(codes->has_bias ? 4 : 2) * KRS_TILE_OUTS;
    const bool is_half = codes->group < KRS_CODES_BLOCK;
    const unsigned char *x[ROWS_AT_ONCE];
    squares s;
    tile_at at = {.w = op->w + (size_t)tile * op->tile_bytes};
    square_groups groups = {0, is_half ? 2 : 1, codes->group / SQUARE};
    const int64_t n_even = n + n % 2; /* an odd one goes with itself */
    for (int64_t r = 0; r < n_even; r++) {
        x[r] = x_row(op, row + (r < n ? r : n - 1));
    }
    memset(s.totals, 0, (size_t)n_even * sizeof(s.totals[0]));
    for (; groups.first < op->n_steps; groups.first += groups.n) {
        if (codes->scale == KRS_CODE_SCALE_SUPER &&
            groups.first * codes->group % KRS_CODES_SUPER == 0) {
            at.super = at.w;
            at.w += super_bytes;
        }
        make_codes(codes, &groups, &at, &s);
        for (int g = 0; g < groups.n; g++) {
            read_scales(codes, &at, &s);
            add_square_group((square_rows){op, x, groups.first + g, NULL}, n_even, groups.n_squares,
                             g * groups.n_squares, &s);
        }
    }
    store_totals(op, row, n, tile, &s);
}

/* Rows in equal portions, whole with their terms. */
static void square_tiles(const krs_cpu_tile_op *op, int64_t row, int64_t n_rows, int64_t tile,
                         int64_t n_tiles)
{
    const int64_t terms = op->n_terms;
    const int64_t most = ROWS_AT_ONCE / terms;
    const int64_t n_portions = (n_rows + most - 1) / most;
    for (int64_t t = tile; t < tile + n_tiles; t++) {
        int64_t at = row;
        for (int64_t left = n_portions; left > 0; left--) {
            const int64_t n = (row + n_rows - at + left - 1) / left;
            square_tile(op, at * terms, n * terms, t);
            at += n;
        }
    }
}

void krs_cpu_neoni8mm_codes(const krs_cpu_tile_op *op, int64_t row, int64_t n_rows, int64_t tile,
                            int64_t n_tiles)
{
    if (n_rows * op->n_terms >= MANY_ROWS) {
        square_tiles(op, row, n_rows, tile, n_tiles);
    } else {
        tile_codes(op, row, n_rows, tile, n_tiles);
    }
}
