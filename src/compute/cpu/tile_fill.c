/* compute/cpu/tile_fill.c - see tile.h: a matrix of a file rewritten as tiles.
 *
 * Once for each start, on all threads, a tile at a time: a tile's bytes depend on its 32 rows of the matrix
 * alone. It stands between a start and its first token, so it is made to keep up with memory. 512 columns
 * of all 32 rows at a time go through three steps, all in the first cache:
 *
 *   read   codes of a row, a byte each (tensor/codes.h), and its scales
 *   fold   a row's bytes into the planes' words: with the bytes of columns 4 j .. 4 j + 3 in one word, planes
 *          are shifts and ORs of the operands' words
 *   turn   words of 32 rows into lines of 32 outputs, four by four in vectors
 *
 * so that files are read and tiles written by whole cache lines, although one runs across the other. bf16
 * needs only the last.
 *
 * Thread: disjoint tiles at once.  Memory: a chunk of some 24 KB on the stack. */
#include "compute/cpu/tile.h"

enum {
    OPERANDS = KRS_CODES_BLOCK / 4,
    CHUNK = 2 * KRS_CODES_SUPER, /* columns; every group divides it */
    CHUNK_BLOCKS = CHUNK / KRS_CODES_BLOCK,
    MAX_WORDS = CHUNK_BLOCKS * KRS_CODES_MAX_BITS, /* of 32 codes: as many as they have bits */
    MAX_ITEM = 4,                                  /* bytes of a scale */
    MAX_ITEMS = CHUNK / 16 * MAX_ITEM,
    QUAD = 4,
};

/* The rows of one tile under way. */
typedef struct tile_source {
    const krs_tiles *tiles;
    const krs_matrix *matrix;
    int64_t row; /* the tile's first */
    int64_t
        n_rows; /* 1 .. KRS_TILE_OUTS: fewer in the last tile, whose bytes are zeros beforehand */
} tile_source;

/* CHUNK columns of a tile, row by row; rows that are not there are zeros. */
typedef struct chunk {
    uint32_t words[KRS_TILE_OUTS][MAX_WORDS]; /* [CHUNK_BLOCKS][bits] */
    unsigned char scales[KRS_TILE_OUTS][MAX_ITEMS];
    unsigned char biases[KRS_TILE_OUTS][MAX_ITEMS];
} chunk;

static size_t item_bytes(const krs_codes *codes)
{
    switch (codes->scale) {
    case KRS_CODE_SCALE_F32:
        return 4;
    case KRS_CODE_SCALE_SUPER:
        return 1;
    default:
        return 2;
    }
}

/* A plane of `width` bits, from `from_bit` on: word l holds operand l * per_line + f in field f. Widths and
 * bits are constants at the call. */
static inline __attribute__((always_inline)) void
put_plane(const uint32_t operands[OPERANDS], int width, int from_bit, uint32_t *words)
{
    const int per_line = 8 / width;
    const uint32_t mask = ((1u << width) - 1u) * 0x01010101u;
    for (int l = 0; l < width; l++) {
        uint32_t word = 0;
        for (int f = 0; f < per_line; f++) {
            word |= (operands[l * per_line + f] >> from_bit & mask) << (f * width);
        }
        words[l] = word;
    }
}

/* Blocks of codes into `bits` words each, the widest plane first; bits is a constant at the call. */
static inline __attribute__((always_inline)) void fold(const uint8_t *codes, int64_t n_blocks,
                                                       int bits, uint32_t *words)
{
    for (int64_t b = 0; b < n_blocks; b++) {
        uint32_t operands[OPERANDS];
        uint32_t out[KRS_CODES_MAX_BITS];
        memcpy(operands, codes + b * KRS_CODES_BLOCK, sizeof(operands));
        if (bits & 8) {
            put_plane(operands, 8, 0, out);
        }
        if (bits & 4) {
            put_plane(operands, 4, 0, out);
        }
        if (bits & 2) {
            put_plane(operands, 2, bits & 4, out + (bits & 4));
        }
        if (bits & 1) {
            put_plane(operands, 1, bits & 6, out + (bits & 6));
        }
        memcpy(words + b * bits, out, (size_t)bits * sizeof(*out));
    }
}

static void fold_row(const uint8_t *codes, int64_t n_blocks, int bits, uint32_t *words)
{
    switch (bits) {
    case 2:
        fold(codes, n_blocks, 2, words);
        return;
    case 3:
        fold(codes, n_blocks, 3, words);
        return;
    case 4:
        fold(codes, n_blocks, 4, words);
        return;
    case 5:
        fold(codes, n_blocks, 5, words);
        return;
    case 6:
        fold(codes, n_blocks, 6, words);
        return;
    default:
        fold(codes, n_blocks, 8, words);
    }
}

/* Ask for the chunk of codes after `column`'s of row o of the tile, be it the next tile's first: 32 rows are
 * more streams than the hardware follows (a quarter of the whole time). */
static void ask_ahead(const tile_source *s, int64_t column, int64_t o)
{
    const krs_matrix *m = s->matrix;
    const size_t row_bytes = krs_matrix_row_bytes(m);
    const size_t chunk_bytes = row_bytes * CHUNK / (size_t)m->n_in;
    const bool is_last = column + CHUNK >= m->n_in;
    const int64_t row = s->row + o + (is_last ? KRS_TILE_OUTS : 0);
    const size_t from = is_last ? 0 : (size_t)(column / CHUNK + 1) * chunk_bytes;
    const size_t end = from + chunk_bytes < row_bytes ? from + chunk_bytes : row_bytes;
    if (row >= m->n_out) {
        return;
    }
    const unsigned char *at = (const unsigned char *)m->data + (size_t)row * row_bytes;
    for (size_t i = from; i < end; i += KRS_CPU_VECTOR_BYTES) {
        __builtin_prefetch(at + i);
    }
}

static void read_chunk(const tile_source *s, int64_t column, int64_t n_columns, chunk *out)
{
    const krs_codes *codes = &s->tiles->codes;
    const int64_t n_blocks = n_columns / KRS_CODES_BLOCK;
    uint8_t bytes[CHUNK];
    for (int64_t o = 0; o < s->n_rows; o++) {
        ask_ahead(s, column, o);
        krs_codes_read_run(s->matrix, s->row + o, column / KRS_CODES_BLOCK, n_blocks, bytes);
        fold_row(bytes, n_blocks, codes->bits, out->words[o]);
        krs_codes_scales(s->matrix, s->row + o, column / codes->group, n_columns / codes->group,
                         out->scales[o], out->biases[o]);
    }
}

typedef uint32_t quad __attribute__((vector_size(QUAD * sizeof(uint32_t))));

/* Words of rows, `stride` bytes apart, to be lines of outputs. */
typedef struct turn_source {
    const unsigned char *words;
    size_t stride;
    int64_t n_rows; /* 1 .. KRS_TILE_OUTS */
} turn_source;

static inline quad quad_at(const unsigned char *words)
{
    quad q;
    memcpy(&q, words, sizeof(q));
    return q;
}

/* Four words of four rows to as many places in four lines. */
static inline void turn_quad(const unsigned char *words, size_t stride, unsigned char *lines)
{
    const quad a = quad_at(words);
    const quad b = quad_at(words + stride);
    const quad c = quad_at(words + 2 * stride);
    const quad d = quad_at(words + 3 * stride);
    const quad ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5);
    const quad ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    const quad cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5);
    const quad cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    const quad turned[QUAD] = {
        __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5),
        __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7),
        __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5),
        __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7),
    };
    for (int i = 0; i < QUAD; i++) {
        memcpy(lines + i * KRS_TILE_LINE_BYTES, &turned[i], sizeof(turned[i]));
    }
}

/* Words [begin, end) of rows [row, row_end) one at a time. */
static void turn_words(const turn_source *s, int64_t row, int64_t row_end, int64_t begin,
                       int64_t end, unsigned char *lines)
{
    for (int64_t o = row; o < row_end; o++) {
        for (int64_t w = begin; w < end; w++) {
            memcpy(lines + w * KRS_TILE_LINE_BYTES + (size_t)o * sizeof(uint32_t),
                   s->words + (size_t)o * s->stride + (size_t)w * sizeof(uint32_t),
                   sizeof(uint32_t));
        }
    }
}

/* n_words of all rows as lines: all words of four rows, then the next four. */
static void turn(const turn_source *s, int64_t n_words, unsigned char *lines)
{
    const int64_t n_quads = n_words / QUAD * QUAD;
    const int64_t n_rows = s->n_rows / QUAD * QUAD;
    for (int64_t o = 0; o < n_rows; o += QUAD) {
        for (int64_t w = 0; w < n_quads; w += QUAD) {
            const size_t place = (size_t)o * sizeof(uint32_t);
            turn_quad(s->words + (size_t)o * s->stride + (size_t)w * sizeof(uint32_t), s->stride,
                      lines + w * KRS_TILE_LINE_BYTES + place);
        }
    }
    turn_words(s, 0, n_rows, n_quads, n_words, lines);
    turn_words(s, n_rows, s->n_rows, 0, n_words, lines);
}

/* Item g of every row side by side; returns the bytes they take. item: a constant at the call. */
static inline __attribute__((always_inline)) size_t
put_items(const unsigned char (*items)[MAX_ITEMS], int64_t g, size_t item, unsigned char *at)
{
    for (size_t o = 0; o < KRS_TILE_OUTS; o++) {
        memcpy(at + o * item, items[o] + (size_t)g * item, item);
    }
    return item * KRS_TILE_OUTS;
}

static size_t put_line(const unsigned char (*items)[MAX_ITEMS], int64_t g, size_t item,
                       unsigned char *at)
{
    switch (item) {
    case 1:
        return put_items(items, g, 1, at);
    case 2:
        return put_items(items, g, 2, at);
    default:
        return put_items(items, g, 4, at);
    }
}

/* Scales, then biases, of group g of the chunk. */
static size_t put_scales(const krs_codes *codes, const chunk *c, int64_t g, unsigned char *at)
{
    const size_t item = item_bytes(codes);
    const size_t n_bytes = put_line(c->scales, g, item, at);
    return codes->has_bias ? n_bytes + put_line(c->biases, g, item, at + n_bytes) : n_bytes;
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

/* The chunk of columns from `first` on, in the order tile.h draws; returns the bytes it takes. */
static size_t put_chunk(const tile_source *s, const chunk *c, int64_t first, int64_t n_columns,
                        unsigned char *begin)
{
    const krs_codes *codes = &s->tiles->codes;
    const int64_t stride = codes->group < KRS_CODES_BLOCK ? KRS_CODES_BLOCK : codes->group;
    const int words = (int)(stride / KRS_CODES_BLOCK) * codes->bits;
    unsigned char *at = begin;
    int word = 0;
    for (int64_t column = 0; column < n_columns; column += stride) {
        if (codes->scale == KRS_CODE_SCALE_SUPER && column % KRS_CODES_SUPER == 0) {
            at += put_super(s, (first + column) / KRS_CODES_SUPER, at);
        }
        const turn_source rows = {(const unsigned char *)(c->words[0] + word), sizeof(c->words[0]),
                                  KRS_TILE_OUTS};
        turn(&rows, words, at);
        word += words;
        at += (size_t)words * KRS_TILE_LINE_BYTES;
        for (int64_t i = column; i < column + stride; i += codes->group) {
            at += put_scales(codes, c, i / codes->group, at);
        }
    }
    return (size_t)(at - begin);
}

static void fill_codes_tile(const tile_source *s, unsigned char *at)
{
    const int64_t end = s->tiles->n_steps * s->tiles->codes.group;
    chunk c;
    if (s->n_rows < KRS_TILE_OUTS) {
        memset(&c, 0, sizeof(c));
    }
    for (int64_t column = 0; column < end; column += CHUNK) {
        const int64_t n_columns = end - column < CHUNK ? end - column : CHUNK;
        read_chunk(s, column, n_columns, &c);
        at += put_chunk(s, &c, column, n_columns, at);
    }
}

/* Columns 2 i and 2 i + 1 of all rows, side by side; a cache line of every row at a time, so that what is
 * written stays in the first cache until it is whole. */
static void fill_bf16_tile(const tile_source *s, unsigned char *at)
{
    enum { AT_ONCE = KRS_CPU_VECTOR_BYTES / sizeof(uint32_t) };
    const int64_t n_in = s->tiles->n_in;
    const size_t row_bytes = (size_t)n_in * sizeof(uint16_t);
    const unsigned char *first =
        (const unsigned char *)s->matrix->data + (size_t)s->row * row_bytes;
    const int64_t n_whole = n_in / 2;
    for (int64_t i = 0; i < n_whole; i += AT_ONCE) {
        const turn_source rows = {first + (size_t)i * sizeof(uint32_t), row_bytes, s->n_rows};
        turn(&rows, n_whole - i < AT_ONCE ? n_whole - i : AT_ONCE, at + i * KRS_TILE_LINE_BYTES);
    }
    if (n_in % 2 != 0) { /* the second half of the last words is zero */
        unsigned char *line = at + (size_t)n_whole * KRS_TILE_LINE_BYTES;
        memset(line, 0, KRS_TILE_LINE_BYTES);
        for (int64_t o = 0; o < s->n_rows; o++) {
            memcpy(line + (size_t)o * sizeof(uint32_t),
                   first + (size_t)(o + 1) * row_bytes - sizeof(uint16_t), sizeof(uint16_t));
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
