/* compute/cpu/template/tile_codes.h - rows of bytes times tiles of codes; included once per instruction set.
 *
 *   for each tile, for each few rows of x:        two vectors of outputs a row, in registers
 *     for each group of columns:
 *       operands j of its blocks:                 sums (i32) += dot of 4 codes and 4 bytes of x, all exact
 *       total (f32) += sums * (scale of w * scale of x); total += bias * sum of x
 *
 * Integer sums are exact, so they have no order; the f32 sum goes group after group, two FMAs each. So
 * the result of an output depends on its row and its matrix only, and is the same on every instruction
 * set that has a fused multiply-add.
 *
 * Before it come <isa>/vec.h and <isa>/dot.h, which defines vc, a vector of LANES words of 4 codes, with
 * vc_load, vc_store, vc_set, vc_and, vc_or, vc_shift (right; negative: left), vc_table, vc_lookup and
 * vc_bytes; vp, products of a block on their way into a vi; and vi_start, vi_begin, vi_dot, vi_end, vi_set,
 * vf_of_vi, TILE_MAX_ROWS: see avx2/dot.h.
 *
 * Thread: pure.  Source: the layout is tile.h's. */

#include "compute/cpu/tile.h"

#include <stdalign.h>

/* Where the vectors of an operand come from. */
typedef enum code_source {
    NIBBLES, /* 4 bits: cut out of the stream on the way */
    BYTES,   /* 8 bits: the stream itself */
    DECODED, /* anything else: a block at a time, by a decoder, through the L1 cache */
} code_source;

/* What a kernel is; every field is a constant at every call. */
typedef struct tile_code {
    code_source source;
    bool is_half; /* groups of 16 columns; DECODED only */
} tile_code;

enum { N_VECTORS = 2, N_PASSES = KRS_TILE_OUTS / (N_VECTORS * LANES), OPERANDS = 8 };
enum { PASS_BYTES = N_VECTORS * LANES * 4 }; /* of a line of words, and of a decoded operand */

/* Field `field` of `bits` bits of the words at p, moved to bit `to`. */
KRS_CPU_INLINE vc plane(const unsigned char *p, int bits, int field, int to)
{
    const int shift = field * bits - to;
    const vc shifted = vc_shift(vc_load(p), shift);
    const bool is_alone = SHIFTS_BYTES && to == 0 && shift + bits == 8; /* nothing above it */
    return is_alone ? shifted : vc_and(shifted, vc_set(((1 << bits) - 1) << to));
}

/* Operand j of a block for the vector of outputs whose words begin at p. */
KRS_CPU_INLINE vc codes_of(int bits, const unsigned char *p, int j)
{
    switch (bits) {
    case 2:
        return plane(p + j / 4 * KRS_TILE_LINE_BYTES, 2, j % 4, 0);
    case 3:
        return vc_or(plane(p + j / 4 * KRS_TILE_LINE_BYTES, 2, j % 4, 0),
                     plane(p + 2 * KRS_TILE_LINE_BYTES, 1, j, 2));
    case 4:
        return plane(p + j / 2 * KRS_TILE_LINE_BYTES, 4, j % 2, 0);
    case 5:
        return vc_or(plane(p + j / 2 * KRS_TILE_LINE_BYTES, 4, j % 2, 0),
                     plane(p + 4 * KRS_TILE_LINE_BYTES, 1, j, 4));
    default:
        return vc_or(plane(p + j / 2 * KRS_TILE_LINE_BYTES, 4, j % 2, 0),
                     plane(p + (4 + j / 4) * KRS_TILE_LINE_BYTES, 2, j % 4, 4));
    }
}

/* All operands of the block at p (of this pass) as bytes, [OPERANDS][PASS_BYTES]. table: codes that have one,
 * or NULL. */
KRS_CPU_INLINE void decode(int bits, const unsigned char *p, const krs_codes *table,
                           unsigned char *out)
{
#pragma GCC unroll 8
    for (int j = 0; j < OPERANDS; j++) {
#pragma GCC unroll 2
        for (int v = 0; v < N_VECTORS; v++) {
            const vc codes = codes_of(bits, p + v * LANES * 4, j);
            vc_store(out + j * PASS_BYTES + v * LANES * 4,
                     table ? vc_lookup(vc_table(table), codes) : codes);
        }
    }
}

__attribute__((noinline)) static void decode_2(const unsigned char *p, unsigned char *out)
{
    decode(2, p, NULL, out);
}

__attribute__((noinline)) static void decode_3(const unsigned char *p, unsigned char *out)
{
    decode(3, p, NULL, out);
}

__attribute__((noinline)) static void decode_table(const unsigned char *p, const krs_codes *codes,
                                                   unsigned char *out)
{
    decode(4, p, codes, out);
}

__attribute__((noinline)) static void decode_5(const unsigned char *p, unsigned char *out)
{
    decode(5, p, NULL, out);
}

__attribute__((noinline)) static void decode_6(const unsigned char *p, unsigned char *out)
{
    decode(6, p, NULL, out);
}

/* A switch over functions of this file and no pointer to them: so the compiler knows which registers they
 * leave alone, and keeps the sums of the loop where they are. The same below. */
KRS_CPU_INLINE void decode_block(const krs_codes *codes, const unsigned char *p, unsigned char *out)
{
    switch (codes->bits) {
    case 2:
        decode_2(p, out);
        break;
    case 3:
        decode_3(p, out);
        break;
    case 4:
        decode_table(p, codes, out);
        break;
    case 5:
        decode_5(p, out);
        break;
    default:
        decode_6(p, out);
        break;
    }
}

/* Where operands are. */
typedef struct operands_at {
    code_source source;
    const krs_codes *codes;
    const unsigned char *p; /* of NIBBLES and BYTES the stream, else what a decoder wrote */
} operands_at;

/* Vector v of operand j. */
KRS_CPU_INLINE vc operand_at(const operands_at *from, int j, int v)
{
    const unsigned char *at = from->p + v * LANES * 4;
    return from->source == NIBBLES ? codes_of(4, at, j)
           : from->source == BYTES ? vc_bytes(from->codes, vc_load(at + j * KRS_TILE_LINE_BYTES))
                                   : vc_load(at + j * PASS_BYTES);
}

/* Operands [first, first + n) of a block for all rows. */
KRS_CPU_INLINE void add_operands(const operands_at *from, int n_rows, const unsigned char *const *x,
                                 int first, int n, vi sums[][N_VECTORS])
{
    const bool is_wide = from->source != NIBBLES;
    vp parts[TILE_MAX_ROWS][N_VECTORS];
#pragma GCC unroll 8
    for (int r = 0; r < n_rows; r++) {
        parts[r][0] = vi_begin(is_wide, sums[r][0]);
        parts[r][1] = vi_begin(is_wide, sums[r][1]);
    }
#pragma GCC unroll 8
    for (int j = first; j < first + n; j++) {
        const vc w0 = operand_at(from, j, 0);
        const vc w1 = operand_at(from, j, 1);
#pragma GCC unroll 8
        for (int r = 0; r < n_rows; r++) {
            parts[r][0] = vi_dot(is_wide, parts[r][0], w0, x[r], j);
            parts[r][1] = vi_dot(is_wide, parts[r][1], w1, x[r], j);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < n_rows; r++) {
        sums[r][0] = vi_end(is_wide, sums[r][0], parts[r][0]);
        sums[r][1] = vi_end(is_wide, sums[r][1], parts[r][1]);
    }
}

/* Scales and biases of a group, of one vector of outputs each. */
typedef struct tile_scales {
    vf scale[N_VECTORS];
    vf bias[N_VECTORS]; /* zeros without */
} tile_scales;

/* LANES scales or biases from `at`, bytes of words, on; of halves: half as far. type is a constant. */
KRS_CPU_INLINE vf scales_at(krs_code_scale type, const unsigned char *line, size_t at)
{
    switch (type) {
    case KRS_CODE_SCALE_F32:
        return vf_load(line + at);
    case KRS_CODE_SCALE_BF16:
        return vf_load_bf16(line + at / 2);
    case KRS_CODE_SCALE_F16:
        return vf_load_f16(line + at / 2);
    default:
        return vf_load_i8(line + at / 4);
    }
}

/* Where the parts of one tile are while its columns pass by. */
typedef struct tile_at {
    const unsigned char *w;     /* the next codes */
    const unsigned char *super; /* the super scales over them, or NULL */
    int64_t group;
    size_t column;
    size_t pass_bytes; /* of words before this pass */
} tile_at;

/* The scales at at->w, which goes past them; line: bytes of one of scale for each output. */
KRS_CPU_INLINE void next_scales(krs_code_scale type, size_t line, const krs_codes *codes,
                                tile_at *at, tile_scales *out)
{
    const size_t begin = at->pass_bytes;
    out->scale[0] = scales_at(type, at->w, begin);
    out->scale[1] = scales_at(type, at->w, begin + LANES * 4);
    out->bias[0] = out->bias[1] = vf_set(0);
    if (codes->has_bias) {
        out->bias[0] = scales_at(type, at->w + line, begin);
        out->bias[1] = scales_at(type, at->w + line, begin + LANES * 4);
    }
    at->w += codes->has_bias ? 2 * line : line;
}

__attribute__((noinline)) static void scales_f32(const krs_codes *codes, tile_at *at,
                                                 tile_scales *out)
{
    next_scales(KRS_CODE_SCALE_F32, 4 * KRS_TILE_OUTS, codes, at, out);
}

__attribute__((noinline)) static void scales_f16(const krs_codes *codes, tile_at *at,
                                                 tile_scales *out)
{
    next_scales(KRS_CODE_SCALE_F16, 2 * KRS_TILE_OUTS, codes, at, out);
}

/* d * s, and -dmin * m. */
__attribute__((noinline)) static void scales_super(const krs_codes *codes, tile_at *at,
                                                   tile_scales *out)
{
    const unsigned char *dmin = at->super + 2 * KRS_TILE_OUTS;
    next_scales(KRS_CODE_SCALE_SUPER, KRS_TILE_OUTS, codes, at, out);
    for (int v = 0; v < N_VECTORS; v++) {
        const size_t begin = at->pass_bytes + (size_t)v * LANES * 4;
        out->scale[v] = out->scale[v] * vf_load_f16(at->super + begin / 2);
        if (codes->has_bias) {
            out->bias[v] = vf_set(0) - out->bias[v] * vf_load_f16(dmin + begin / 2);
        }
    }
}

KRS_CPU_INLINE void scales_of_group(const krs_codes *codes, tile_at *at, tile_scales *out)
{
    switch (codes->scale) {
    case KRS_CODE_SCALE_BF16:
        next_scales(KRS_CODE_SCALE_BF16, 2 * KRS_TILE_OUTS, codes, at, out);
        break;
    case KRS_CODE_SCALE_F16:
        scales_f16(codes, at, out);
        break;
    case KRS_CODE_SCALE_F32:
        scales_f32(codes, at, out);
        break;
    default:
        scales_super(codes, at, out);
        break;
    }
}

KRS_CPU_INLINE void clear_group(const krs_cpu_tile_op *op, int n_rows,
                                const unsigned char *const *x, int64_t group, vi sums[][N_VECTORS])
{
    const bool is_zeroed = krs_tile_sums_of(&op->codes) == KRS_TILE_SUMS_ZERO;
#pragma GCC unroll 8
    for (int r = 0; r < n_rows; r++) {
        int32_t start = 0;
        if (is_zeroed) {
            memcpy(&start, x[r] + op->x_sums_at + (size_t)group * 4, sizeof(start));
        }
        start = vi_start(&op->codes, start, x[r] + group * op->codes.group);
        sums[r][0] = sums[r][1] = vi_set(start);
    }
}

/* A group is whole: totals += sums * scale + bias * sum of x. x: the row's first byte. */
KRS_CPU_INLINE void add_group(const krs_cpu_tile_op *op, int n_rows, const unsigned char *const *x,
                              int64_t group, const tile_scales *scales, vi sums[][N_VECTORS],
                              vf totals[][N_VECTORS])
{
#pragma GCC unroll 8
    for (int r = 0; r < n_rows; r++) {
        float x_scale;
        memcpy(&x_scale, x[r] + op->x_scales_at + (size_t)group * 4, sizeof(x_scale));
#pragma GCC unroll 2
        for (int v = 0; v < N_VECTORS; v++) {
            totals[r][v] =
                vf_fma(vf_of_vi(sums[r][v]), scales->scale[v] * vf_set(x_scale), totals[r][v]);
        }
        if (op->codes.has_bias) {
            float x_sum;
            memcpy(&x_sum, x[r] + op->x_sums_at + (size_t)group * 4, sizeof(x_sum));
#pragma GCC unroll 2
            for (int v = 0; v < N_VECTORS; v++) {
                totals[r][v] = vf_fma(scales->bias[v], vf_set(x_sum), totals[r][v]);
            }
        }
    }
}

/* What one pass over a tile's columns needs besides its rows. */
typedef struct tile_pass {
    const krs_cpu_tile_op *op;
    size_t block_bytes;
} tile_pass;

/* The blocks of one group, or, of groups of 16, of two. */
KRS_CPU_INLINE void add_blocks(const tile_pass *pass, tile_code c, int n_rows,
                               const unsigned char *const *x, tile_at *at, vf totals[][N_VECTORS])
{
    const krs_cpu_tile_op *op = pass->op;
    alignas(KRS_CPU_VECTOR_BYTES) unsigned char decoded[OPERANDS * PASS_BYTES];
    const unsigned char *row_x[TILE_MAX_ROWS];
    vi sums[TILE_MAX_ROWS][N_VECTORS];
    vi more[TILE_MAX_ROWS][N_VECTORS];
    tile_scales scales;
    clear_group(op, n_rows, x, at->group, sums);
    if (c.is_half) {
        clear_group(op, n_rows, x, at->group + 1, more);
    }
    for (int32_t column = 0; column < op->codes.group; column += KRS_CODES_BLOCK) {
        const unsigned char *w = at->w + at->pass_bytes;
        if (c.source == DECODED) {
            decode_block(&op->codes, w, decoded);
            w = decoded;
        }
#pragma GCC unroll 8
        for (int r = 0; r < n_rows; r++) {
            row_x[r] = x[r] + at->column;
        }
        const operands_at from = {c.source, &op->codes, w};
        add_operands(&from, n_rows, row_x, 0, c.is_half ? OPERANDS / 2 : OPERANDS, sums);
        if (c.is_half) {
            add_operands(&from, n_rows, row_x, OPERANDS / 2, OPERANDS / 2, more);
        }
        at->w += pass->block_bytes;
        at->column += KRS_CODES_BLOCK;
    }
    scales_of_group(&op->codes, at, &scales);
    add_group(op, n_rows, x, at->group++, &scales, sums, totals);
    if (c.is_half) {
        scales_of_group(&op->codes, at, &scales);
        add_group(op, n_rows, x, at->group++, &scales, more, totals);
    }
}

/* Two vectors of outputs of n_rows rows of x. */
KRS_CPU_INLINE void add_columns(const tile_pass *pass, tile_code c, int n_rows,
                                const unsigned char *const *x, tile_at at, vf totals[][N_VECTORS])
{
    const krs_cpu_tile_op *op = pass->op;
    const size_t super_bytes = (size_t)(op->codes.has_bias ? 4 : 2) * KRS_TILE_OUTS;
#pragma GCC unroll 8
    for (int r = 0; r < n_rows; r++) {
        totals[r][0] = totals[r][1] = vf_set(0);
    }
    while (at.group < op->n_steps) {
        if (op->codes.scale == KRS_CODE_SCALE_SUPER && at.column % KRS_CODES_SUPER == 0) {
            at.super = at.w;
            at.w += super_bytes;
        }
        add_blocks(pass, c, n_rows, x, &at, totals);
    }
}

#include "compute/cpu/template/tile_store.h"

/* n_rows rows of x from row on, all outputs of one tile. */
KRS_CPU_INLINE void tile_rows_of(const krs_cpu_tile_op *op, tile_code c, int n_rows, int64_t row,
                                 int64_t tile)
{
    const tile_pass pass = {op, (size_t)op->codes.bits * KRS_TILE_LINE_BYTES};
    const unsigned char *x[TILE_MAX_ROWS];
    vf totals[TILE_MAX_ROWS][N_VECTORS];
#pragma GCC unroll 8
    for (int r = 0; r < n_rows; r++) {
        x[r] = x_row(op, row + r);
    }
    for (int i = 0; i < N_PASSES; i++) {
        const tile_at at = {.w = op->w + (size_t)tile * op->tile_bytes,
                            .pass_bytes = (size_t)i * PASS_BYTES};
        add_columns(&pass, c, n_rows, x, at, totals);
        store_rows(op, n_rows, N_VECTORS, row, tile * KRS_TILE_OUTS + i * N_VECTORS * LANES,
                   totals);
    }
}

/* n_rows at once, as a constant: 1 .. TILE_MAX_ROWS, which is 2, 4 or 6. */
KRS_CPU_INLINE void few_rows(const krs_cpu_tile_op *op, tile_code c, int n_rows, int64_t row,
                             int64_t tile)
{
    if (n_rows == 1) {
        tile_rows_of(op, c, 1, row, tile);
    } else if (n_rows == 2) {
        tile_rows_of(op, c, 2, row, tile);
    } else if (TILE_MAX_ROWS >= 4 && n_rows == 3) {
        tile_rows_of(op, c, 3, row, tile);
    } else if (TILE_MAX_ROWS >= 4 && n_rows == 4) {
        tile_rows_of(op, c, 4, row, tile);
    } else if (TILE_MAX_ROWS >= 6 && n_rows == 5) {
        tile_rows_of(op, c, 5, row, tile);
    } else if (TILE_MAX_ROWS >= 6) {
        tile_rows_of(op, c, 6, row, tile);
    }
}

/* Rows in equal portions: 8 are two times 4, not 6 and 2. */
KRS_CPU_INLINE void tiles(const krs_cpu_tile_op *op, tile_code c, int64_t row, int64_t n_rows,
                          int64_t tile, int64_t n_tiles)
{
    const int64_t terms = op->n_terms;
    const int64_t end = (row + n_rows) * terms;
    const int64_t most = TILE_MAX_ROWS / terms;
    const int64_t n_portions = (n_rows + most - 1) / most;
    for (int64_t t = tile; t < tile + n_tiles; t++) {
        int64_t at = row * terms;
        for (int64_t left = n_portions; at < end; left--) {
            const int64_t n = ((end - at) / terms + left - 1) / left * terms;
            few_rows(op, c, (int)n, at, t);
            at += n;
        }
    }
}

static void tile_codes(const krs_cpu_tile_op *op, int64_t row, int64_t n_rows, int64_t tile,
                       int64_t n_tiles)
{
    if (op->codes.group < KRS_CODES_BLOCK) {
        tiles(op, (tile_code){DECODED, true}, row, n_rows, tile, n_tiles);
    } else if (op->codes.bits == 8) {
        tiles(op, (tile_code){BYTES, false}, row, n_rows, tile, n_tiles);
    } else if (op->codes.bits == 4 && !op->codes.table) {
        tiles(op, (tile_code){NIBBLES, false}, row, n_rows, tile, n_tiles);
    } else {
        tiles(op, (tile_code){DECODED, false}, row, n_rows, tile, n_tiles);
    }
}
