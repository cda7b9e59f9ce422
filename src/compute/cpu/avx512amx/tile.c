/* compute/cpu/avx512amx/tile.c - tiles of codes on AMX: 16 rows x 16 outputs x 64 columns an instruction.
 *
 *   for each tile, for each up to 32 rows of x:            totals [row][2 vectors of outputs], in the L1 cache
 *     for each group of columns:
 *       codes as bytes                                     cut out of the stream, unless they are bytes
 *       sums [row][output] = TDPBSUD of x and codes        exact, a tile register for 16 x 16 of them
 *       total += sums * (scale of w * scale of x); total += bias * sum of x
 *
 * A line of a tile (cpu/tile.h) is a row of what TDPBSUD wants: 4 columns of 32 outputs, two tile registers
 * side by side. Sums of codes are exact, whoever makes them, and the f32 sum of an output is made by the same two FMAs
 * a group, so every output has the bytes that template/tile_codes.h gives it: few rows, rows in two terms
 * and groups of half a block go there.
 *
 * See unit.h for the registers.
 *
 * Thread: pure, but for the unit's state, which no caller sees.
 * Source: Intel Architecture Instruction Set Extensions reference, AMX-INT8. */
#include "compute/cpu/avx512amx/unit.h"
#include "compute/cpu/avx512vnni/dot.h"

#include "compute/cpu/template/tile_codes.h"

enum { MIN_ROWS = 7 };                         /* fewer go through vectors in one pass anyway */
enum { GROUP_LINES = KRS_TILE_MAX_GROUP / 4 }; /* of 4 columns */

/* Columns of one product: a group's, or half of 128. */
KRS_CPU_INLINE int32_t unit_columns(const krs_cpu_tile_op *op)
{
    return op->codes.group < UNIT_BYTES ? op->codes.group : UNIT_BYTES;
}

/* Rows of x of a block, from the group's first column on. */
typedef struct x_block {
    const unsigned char *codes;
    size_t row_bytes;
} x_block;

/* sums[17 .. 32][32] of as many rows and the lines of one group. */
static void multiply_two(x_block x, const unsigned char *lines, int32_t group, int32_t n_columns,
                         int32_t *sums)
{
    const size_t half = UNIT_ROWS * x.row_bytes;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int32_t c = 0; c < group; c += n_columns) {
        const unsigned char *w = lines + c / 4 * KRS_TILE_LINE_BYTES;
        _tile_loadd(6, w, KRS_TILE_LINE_BYTES);
        _tile_loadd(7, w + UNIT_BYTES, KRS_TILE_LINE_BYTES);
        _tile_loadd(4, x.codes + c, x.row_bytes);
        _tile_dpbsud(0, 4, 6);
        _tile_dpbsud(1, 4, 7);
        _tile_loadd(5, x.codes + half + c, x.row_bytes);
        _tile_dpbsud(2, 5, 6);
        _tile_dpbsud(3, 5, 7);
    }
    _tile_stored(0, sums, KRS_TILE_LINE_BYTES);
    _tile_stored(1, sums + UNIT_ROWS, KRS_TILE_LINE_BYTES);
    _tile_stored(2, sums + UNIT_ROWS * KRS_TILE_OUTS, KRS_TILE_LINE_BYTES);
    _tile_stored(3, sums + UNIT_ROWS * KRS_TILE_OUTS + UNIT_ROWS, KRS_TILE_LINE_BYTES);
}

/* sums[1 .. 16][32]. */
static void multiply_one(x_block x, const unsigned char *lines, int32_t group, int32_t n_columns,
                         int32_t *sums)
{
    _tile_zero(0);
    _tile_zero(1);
    for (int32_t c = 0; c < group; c += n_columns) {
        const unsigned char *w = lines + c / 4 * KRS_TILE_LINE_BYTES;
        _tile_loadd(6, w, KRS_TILE_LINE_BYTES);
        _tile_loadd(7, w + UNIT_BYTES, KRS_TILE_LINE_BYTES);
        _tile_loadd(4, x.codes + c, x.row_bytes);
        _tile_dpbsud(0, 4, 6);
        _tile_dpbsud(1, 4, 7);
    }
    _tile_stored(0, sums, KRS_TILE_LINE_BYTES);
    _tile_stored(1, sums + UNIT_ROWS, KRS_TILE_LINE_BYTES);
}

/* The codes of a group as lines of bytes: the stream itself, or cut out of it into decoded. */
static const unsigned char *lines_of(const krs_cpu_tile_op *op, const unsigned char *w,
                                     size_t block_bytes, unsigned char *decoded)
{
    if (op->codes.bits == 8) {
        return w;
    }
    unsigned char *out = decoded;
    for (int32_t c = 0; c < op->codes.group; c += KRS_CODES_BLOCK) {
        if (op->codes.bits == 4 && !op->codes.table) {
            decode(4, w, NULL, out);
        } else {
            decode_block(&op->codes, w, out);
        }
        w += block_bytes;
        out += OPERANDS * PASS_BYTES;
    }
    return decoded;
}

/* As add_group of template/tile_codes.h, the sums in memory. */
static void add_sums(const krs_cpu_tile_op *op, int n_rows, const unsigned char *x, int64_t group,
                     const tile_scales *scales, const int32_t *sums, vf totals[][N_VECTORS])
{
    const krs_tile_sums kind = krs_tile_sums_of(&op->codes);
    for (int r = 0; r < n_rows; r++, x += op->x_row_bytes, sums += KRS_TILE_OUTS) {
        float scale;
        memcpy(&scale, x + op->x_scales_at + (size_t)group * 4, sizeof(scale));
        vi sum[N_VECTORS] = {_mm512_loadu_si512(sums), _mm512_loadu_si512(sums + LANES)};
        if (kind == KRS_TILE_SUMS_ZERO) {
            int32_t start;
            memcpy(&start, x + op->x_sums_at + (size_t)group * 4, sizeof(start));
            sum[0] = _mm512_add_epi32(sum[0], vi_set(start));
            sum[1] = _mm512_add_epi32(sum[1], vi_set(start));
        }
        vf total[N_VECTORS] = {totals[r][0], totals[r][1]};
        total[0] = vf_fma(vf_of_vi(sum[0]), scales->scale[0] * vf_set(scale), total[0]);
        total[1] = vf_fma(vf_of_vi(sum[1]), scales->scale[1] * vf_set(scale), total[1]);
        if (kind == KRS_TILE_SUMS_BIAS) {
            float x_sum;
            memcpy(&x_sum, x + op->x_sums_at + (size_t)group * 4, sizeof(x_sum));
            total[0] = vf_fma(scales->bias[0], vf_set(x_sum), total[0]);
            total[1] = vf_fma(scales->bias[1], vf_set(x_sum), total[1]);
        }
        totals[r][0] = total[0];
        totals[r][1] = total[1];
    }
}

/* n_rows <= BLOCK_ROWS of x from row on, all outputs of one tile; configured for them. */
static void block_of_rows(const krs_cpu_tile_op *op, int n_rows, int64_t row, int64_t tile)
{
    alignas(KRS_CPU_VECTOR_BYTES) unsigned char decoded[GROUP_LINES * KRS_TILE_LINE_BYTES];
    alignas(KRS_CPU_VECTOR_BYTES) int32_t sums[BLOCK_ROWS * KRS_TILE_OUTS];
    vf totals[BLOCK_ROWS][N_VECTORS];
    const size_t block_bytes = (size_t)op->codes.bits * KRS_TILE_LINE_BYTES;
    const size_t super_bytes = (size_t)(op->codes.has_bias ? 4 : 2) * KRS_TILE_OUTS;
    const int32_t group = op->codes.group;
    const unsigned char *x = x_row(op, row);
    tile_at at = {.w = op->w + (size_t)tile * op->tile_bytes};
    for (int r = 0; r < n_rows; r++) {
        totals[r][0] = totals[r][1] = vf_set(0);
    }
    for (; at.group < op->n_steps; at.group++, at.column += (size_t)group) {
        if (op->codes.scale == KRS_CODE_SCALE_SUPER && at.column % KRS_CODES_SUPER == 0) {
            at.super = at.w;
            at.w += super_bytes;
        }
        tile_scales scales;
        const x_block from = {x + at.column, op->x_row_bytes};
        const unsigned char *lines = lines_of(op, at.w, block_bytes, decoded);
        (n_rows > UNIT_ROWS ? multiply_two : multiply_one)(from, lines, group, unit_columns(op),
                                                           sums);
        at.w += (size_t)(group / KRS_CODES_BLOCK) * block_bytes;
        scales_of_group(&op->codes, &at, &scales);
        add_sums(op, n_rows, x, at.group, &scales, sums, totals);
    }
    store_rows(op, n_rows, N_VECTORS, row, tile * KRS_TILE_OUTS, totals);
}

/* All tiles, n_rows in blocks of n_block. */
static void blocks_of_rows(const krs_cpu_tile_op *op, int n_block, int64_t row, int64_t n_rows,
                           int64_t tile, int64_t n_tiles)
{
    configure(unit_columns(op), n_block);
    for (int64_t t = tile; t < tile + n_tiles; t++) {
        for (int64_t r = 0; r < n_rows; r += n_block) {
            block_of_rows(op, n_block, row + r, t);
        }
    }
    _tile_release();
}

void krs_cpu_avx512amx_codes(const krs_cpu_tile_op *op, int64_t row, int64_t n_rows, int64_t tile,
                             int64_t n_tiles)
{
    const bool is_whole = op->n_terms == 1 && op->codes.group >= KRS_CODES_BLOCK;
    const int64_t n_last = n_rows % BLOCK_ROWS;
    const int64_t n_full = n_rows - n_last;
    if (!is_whole) {
        tile_codes(op, row, n_rows, tile, n_tiles);
        return;
    }
    if (n_full > 0) {
        blocks_of_rows(op, BLOCK_ROWS, row, n_full, tile, n_tiles);
    }
    if (n_last >= MIN_ROWS) {
        blocks_of_rows(op, (int)n_last, row + n_full, n_last, tile, n_tiles);
    } else if (n_last > 0) {
        tile_codes(op, row + n_full, n_last, tile, n_tiles);
    }
}
