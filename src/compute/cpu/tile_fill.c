/* compute/cpu/tile_fill.c - see tile.h: a matrix of a file rewritten as tiles.
 *
 * Once for each model, on all threads, a tile at a time: a tile's bytes depend on its 32 rows of the matrix
 * alone. Codes come from tensor/codes.h a byte each and are folded into planes eight at a time: with the
 * bytes of columns 4 j .. 4 j + 3 in one word, planes are shifts and ORs of the operands' words.
 *
 * Thread: disjoint tiles at once.  Memory: a few blocks on the stack. */
#include "compute/cpu/tile.h"

enum { OPERANDS = KRS_CODES_BLOCK / 4, MAX_HALVES = 2 };

/* The rows of one tile under way. */
typedef struct tile_source {
    const krs_tiles *tiles;
    const krs_matrix *matrix;
    int64_t row; /* the tile's first */
    int64_t
        n_rows; /* 1 .. KRS_TILE_OUTS: fewer in the last tile, whose bytes are zeros beforehand */
} tile_source;

/* Operands whose fields make one line of a plane of `bits`: line l = field f of operand l * per_line + f. */
static uint32_t plane_word(const uint32_t operands[OPERANDS], int bits, int from_bit, int line)
{
    const int per_line = 8 / bits;
    const uint32_t mask = ((1u << bits) - 1u) * 0x01010101u;
    uint32_t word = 0;
    for (int f = 0; f < per_line; f++) {
        word |= (operands[line * per_line + f] >> from_bit & mask) << (f * bits);
    }
    return word;
}

static void put_word(unsigned char *lines, int line, int64_t out, uint32_t word)
{
    memcpy(lines + line * KRS_TILE_LINE_BYTES + (size_t)out * sizeof(word), &word, sizeof(word));
}

/* The widths of a code's planes, the widest first; they add up to its bits. */
static int planes_of(int bits, int widths[3])
{
    int n = 0;
    for (int width = 8; width > 0; width /= 2) {
        if (bits & width) {
            widths[n++] = width;
        }
    }
    return n;
}

/* The codes of one block of one row, into its words of the block's lines. */
static void put_codes(const uint8_t codes[KRS_CODES_BLOCK], int bits, int64_t out,
                      unsigned char *lines)
{
    uint32_t operands[OPERANDS];
    int widths[3];
    const int n_planes = planes_of(bits, widths);
    int line = 0;
    int from_bit = 0;
    memcpy(operands, codes, sizeof(operands));
    for (int p = 0; p < n_planes; p++) {
        for (int l = 0; l < widths[p]; l++) { /* as many lines as bits: 32 codes in 32-bit words */
            put_word(lines, line++, out, plane_word(operands, widths[p], from_bit, l));
        }
        from_bit += widths[p];
    }
}

/* Scales, then biases, of group g of all rows, to at; returns the bytes they take. */
static size_t put_scales(const tile_source *s, int64_t g, unsigned char *at)
{
    const krs_codes *codes = &s->tiles->codes;
    const size_t item = codes->scale == KRS_CODE_SCALE_F32     ? 4
                        : codes->scale == KRS_CODE_SCALE_SUPER ? 1
                                                               : 2;
    const size_t line = item * KRS_TILE_OUTS;
    for (int64_t o = 0; o < s->n_rows; o++) {
        unsigned char *scale = at + (size_t)o * item;
        krs_codes_scales(s->matrix, s->row + o, g, 1, scale, codes->has_bias ? scale + line : NULL);
    }
    return codes->has_bias ? 2 * line : line;
}

/* d, then dmin, of super block b of all rows. */
static size_t put_super(const tile_source *s, int64_t b, unsigned char *at)
{
    const size_t line = sizeof(uint16_t) * KRS_TILE_OUTS;
    for (int64_t o = 0; o < s->n_rows; o++) {
        uint16_t d;
        uint16_t dmin;
        krs_codes_super(s->matrix, s->row + o, b, &d, &dmin);
        memcpy(at + (size_t)o * sizeof(d), &d, sizeof(d));
        if (s->tiles->codes.has_bias) {
            memcpy(at + line + (size_t)o * sizeof(dmin), &dmin, sizeof(dmin));
        }
    }
    return s->tiles->codes.has_bias ? 2 * line : line;
}

static void put_block(const tile_source *s, int64_t block, unsigned char *lines)
{
    uint8_t codes[KRS_CODES_BLOCK];
    for (int64_t o = 0; o < s->n_rows; o++) {
        krs_codes_read(s->matrix, s->row + o, block, codes);
        put_codes(codes, s->tiles->codes.bits, o, lines);
    }
}

static void fill_codes_tile(const tile_source *s, unsigned char *at)
{
    const krs_codes *codes = &s->tiles->codes;
    const int64_t blocks = codes->group < KRS_CODES_BLOCK ? 1 : codes->group / KRS_CODES_BLOCK;
    const int64_t groups = codes->group < KRS_CODES_BLOCK ? KRS_CODES_BLOCK / codes->group : 1;
    const size_t block_bytes = (size_t)codes->bits * KRS_TILE_LINE_BYTES;
    int64_t block = 0;
    for (int64_t g = 0; g < s->tiles->n_steps; g += groups) {
        const int64_t column = g * codes->group;
        if (codes->scale == KRS_CODE_SCALE_SUPER && column % KRS_CODES_SUPER == 0) {
            at += put_super(s, column / KRS_CODES_SUPER, at);
        }
        for (int64_t b = 0; b < blocks; b++) {
            put_block(s, block++, at);
            at += block_bytes;
        }
        for (int64_t k = 0; k < groups; k++) {
            at += put_scales(s, g + k, at);
        }
    }
}

/* Words [begin, end) of all rows, a line each. */
static void turn_words(const tile_source *s, int64_t begin, int64_t end, unsigned char *at)
{
    const size_t row_bytes = (size_t)s->tiles->n_in * sizeof(uint16_t);
    const unsigned char *row = (const unsigned char *)s->matrix->data + (size_t)s->row * row_bytes;
    for (int64_t o = 0; o < s->n_rows; o++) {
        for (int64_t i = begin; i < end; i++) {
            memcpy(at + (size_t)i * KRS_TILE_LINE_BYTES + (size_t)o * sizeof(uint32_t),
                   row + (size_t)i * sizeof(uint32_t), sizeof(uint32_t));
        }
        row += row_bytes;
    }
}

/* Columns 2 i and 2 i + 1 of all rows, side by side; a cache line of every row at a time, so that what is
 * written stays in the L1 cache until it is whole. */
static void fill_bf16_tile(const tile_source *s, unsigned char *at)
{
    enum { AT_ONCE = KRS_CPU_VECTOR_BYTES / sizeof(uint32_t) };
    const int64_t n_in = s->tiles->n_in;
    const int64_t n_whole = n_in / 2;
    for (int64_t i = 0; i < n_whole; i += AT_ONCE) {
        turn_words(s, i, n_whole - i < AT_ONCE ? n_whole : i + AT_ONCE, at);
    }
    if (n_in % 2 != 0) { /* the second half of the last words is zero */
        unsigned char *line = at + (size_t)n_whole * KRS_TILE_LINE_BYTES;
        memset(line, 0, KRS_TILE_LINE_BYTES);
        for (int64_t o = 0; o < s->n_rows; o++) {
            memcpy(line + (size_t)o * sizeof(uint32_t),
                   (const uint16_t *)s->matrix->data + (s->row + o + 1) * n_in - 1,
                   sizeof(uint16_t));
        }
    }
}

void krs_tiles_fill(const krs_tiles *tiles, const krs_matrix *matrix, int64_t begin, int64_t end,
                    unsigned char *data)
{
    for (int64_t t = begin; t < end; t++) {
        const int64_t row = t * KRS_TILE_OUTS;
        const int64_t left = tiles->n_out - row;
        const tile_source source = {tiles, matrix, row,
                                    left < KRS_TILE_OUTS ? left : KRS_TILE_OUTS};
        unsigned char *at = data + (size_t)t * tiles->tile_bytes;
        if (source.n_rows < KRS_TILE_OUTS) {
            memset(at, 0, tiles->tile_bytes);
        }
        if (tiles->kind == KRS_TILE_BF16) {
            fill_bf16_tile(&source, at);
        } else {
            fill_codes_tile(&source, at);
        }
    }
}
