/* Weights as tiles: every code, scale and pair of a filled tile lies where compute/cpu/tile.h says, read
 * here the slow way, bit by bit. */
#include "compute/cpu/tile.h"

#include "tensor/gguf_block.h"

#include "support/cmocka.h"

#include <stdio.h>
#include <stdlib.h>

#define MAX_ITEM_BYTES 4

static uint64_t random_state = 20261122;

static int64_t next(void)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (int64_t)(random_state >> 33); /* 31 bits */
}

/* Bit `bit` of the code in column 0 .. 31 of a block, of output o, from the block's lines. */
static unsigned bit_at(const unsigned char *lines, int bits, int bit, int column, int o)
{
    const int operand = column / 4;
    int line = 0;
    for (int width = 8; width > 0; width /= 2) {
        if (!(bits & width)) {
            continue;
        }
        if (bit < width) {
            const int per_line = 8 / width;
            const unsigned char *word =
                lines + (line + operand / per_line) * KRS_TILE_LINE_BYTES + o * 4;
            return (unsigned)word[column % 4] >> (operand % per_line * width + bit) & 1u;
        }
        bit -= width;
        line += width;
    }
    return 0;
}

static void block_is(const krs_tiles *tiles, const krs_matrix *m, int64_t row, int64_t block,
                     const unsigned char *lines)
{
    uint8_t want[KRS_CODES_BLOCK] = {0};
    if (row < m->n_out) {
        krs_codes_read(m, row, block, want);
    }
    for (int column = 0; column < KRS_CODES_BLOCK; column++) {
        unsigned code = 0;
        for (int bit = 0; bit < tiles->codes.bits; bit++) {
            code |= bit_at(lines, tiles->codes.bits, bit, column, (int)(row % KRS_TILE_OUTS))
                    << bit;
        }
        assert_int_equal(code, want[column]);
    }
}

static size_t item_bytes(const krs_codes *codes)
{
    return codes->scale == KRS_CODE_SCALE_F32 ? 4 : codes->scale == KRS_CODE_SCALE_SUPER ? 1 : 2;
}

/* Scale and bias of group g; returns the bytes of all outputs' together. */
static size_t scales_are(const krs_tiles *tiles, const krs_matrix *m, int64_t row, int64_t g,
                         const unsigned char *at)
{
    const size_t item = item_bytes(&tiles->codes);
    const size_t line = item * KRS_TILE_OUTS;
    const unsigned char *mine = at + (size_t)(row % KRS_TILE_OUTS) * item;
    unsigned char scale[MAX_ITEM_BYTES] = {0};
    unsigned char bias[MAX_ITEM_BYTES] = {0};
    if (row < m->n_out) {
        krs_codes_scales(m, row, g, 1, scale, bias);
    }
    assert_memory_equal(mine, scale, item);
    if (tiles->codes.has_bias) {
        assert_memory_equal(mine + line, bias, item);
    }
    return tiles->codes.has_bias ? 2 * line : line;
}

static size_t super_is(const krs_tiles *tiles, const krs_matrix *m, int64_t row, int64_t block,
                       const unsigned char *at)
{
    const size_t line = sizeof(uint16_t) * KRS_TILE_OUTS;
    const unsigned char *mine = at + (size_t)(row % KRS_TILE_OUTS) * sizeof(uint16_t);
    uint16_t want[2] = {0};
    if (row < m->n_out) {
        krs_codes_super(m, row, block, &want[0], &want[1]);
    }
    assert_memory_equal(mine, &want[0], sizeof(want[0]));
    if (tiles->codes.has_bias) {
        assert_memory_equal(mine + line, &want[1], sizeof(want[1]));
    }
    return tiles->codes.has_bias ? 2 * line : line;
}

/* One output's part of a tile of codes, from the first column to the last byte. */
static void codes_output_is(const krs_tiles *tiles, const krs_matrix *m, int64_t row)
{
    const krs_codes *codes = &tiles->codes;
    const int64_t blocks = codes->group < KRS_CODES_BLOCK ? 1 : codes->group / KRS_CODES_BLOCK;
    const int64_t groups = codes->group < KRS_CODES_BLOCK ? 2 : 1;
    const unsigned char *tile = tiles->data + (size_t)(row / KRS_TILE_OUTS) * tiles->tile_bytes;
    const unsigned char *at = tile;
    int64_t block = 0;
    for (int64_t g = 0; g < tiles->n_steps; g += groups) {
        const int64_t column = g * codes->group;
        if (codes->scale == KRS_CODE_SCALE_SUPER && column % KRS_CODES_SUPER == 0) {
            at += super_is(tiles, m, row, column / KRS_CODES_SUPER, at);
        }
        for (int64_t b = 0; b < blocks; b++) {
            block_is(tiles, m, row, block++, at);
            at += codes->bits * KRS_TILE_LINE_BYTES;
        }
        for (int64_t k = 0; k < groups; k++) {
            at += scales_are(tiles, m, row, g + k, at);
        }
    }
    assert_int_equal(at - tile, tiles->tile_bytes);
}

static void bf16_output_is(const krs_tiles *tiles, const krs_matrix *m, int64_t row)
{
    const unsigned char *tile = tiles->data + (size_t)(row / KRS_TILE_OUTS) * tiles->tile_bytes;
    for (int64_t i = 0; i < 2 * tiles->n_steps; i++) {
        uint16_t got;
        uint16_t want = 0;
        if (row < m->n_out && i < m->n_in) {
            want = ((const uint16_t *)m->data)[row * m->n_in + i];
        }
        memcpy(&got, tile + i / 2 * KRS_TILE_LINE_BYTES + row % KRS_TILE_OUTS * 4 + i % 2 * 2, 2);
        assert_int_equal(got, want);
    }
}

static unsigned char *random_bytes(size_t n)
{
    unsigned char *out = malloc(n ? n : 1);
    assert_non_null(out);
    for (size_t i = 0; i < n; i++) {
        out[i] = (unsigned char)next();
    }
    return out;
}

/* What tiles look like depends on there being a product, not on which. */
static void no_product(const krs_cpu_tile_op *op, int64_t row, int64_t n_rows, int64_t tile,
                       int64_t n_tiles)
{
    (void)op;
    (void)row;
    (void)n_rows;
    (void)tile;
    (void)n_tiles;
    fail_msg("nothing is multiplied here");
}

/* A random matrix, filled in two parts into memory that was not zero. */
static void matrix_is_its_tiles(krs_matrix m)
{
    const size_t scale_bytes = krs_matrix_scale_bytes(&m);
    unsigned char *data = random_bytes(krs_matrix_data_bytes(&m));
    unsigned char *scales = random_bytes(scale_bytes);
    unsigned char *biases = random_bytes(scale_bytes);
    const krs_cpu_kernels kernels = {.tile_codes = no_product, .tile_bf16 = no_product};
    m.data = data;
    m.scales = scales;
    m.biases = biases;
    krs_tiles tiles = krs_tiles_of(&kernels, &m);
    assert_int_not_equal(tiles.kind, KRS_TILE_NONE);
    unsigned char *filled = random_bytes(krs_tiles_bytes(&tiles));
    const int64_t n = krs_tiles_n(&tiles);
    krs_tiles_fill(&tiles, &m, n / 2, n, filled);
    krs_tiles_fill(&tiles, &m, 0, n / 2, filled);
    tiles.data = filled;
    for (int64_t row = 0; row < n * KRS_TILE_OUTS; row++) {
        if (tiles.kind == KRS_TILE_CODES) {
            codes_output_is(&tiles, &m, row);
        } else {
            bf16_output_is(&tiles, &m, row);
        }
    }
    free(data);
    free(scales);
    free(biases);
    free(filled);
}

static void affine_matrices_become_tiles(void **state)
{
    static const krs_dtype dtypes[] = {KRS_DTYPE_F32, KRS_DTYPE_F16, KRS_DTYPE_BF16};
    static const int32_t bits[] = {2, 3, 4, 5, 6, 8};
    (void)state;
    for (size_t b = 0; b < sizeof(bits) / sizeof(bits[0]); b++) {
        for (int32_t group = 32; group <= 128; group *= 2) {
            matrix_is_its_tiles((krs_matrix){
                .n_out = 1 + next() % 70,
                .n_in = group * (1 + next() % 12),
                .quant = {KRS_QUANT_AFFINE, bits[b], group},
                .scale_dtype = dtypes[next() % 3],
            });
        }
    }
}

/* Rows that end in half a block, or anywhere. */
static void odd_rows_become_tiles(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++) {
        matrix_is_its_tiles((krs_matrix){
            .n_out = 1 + next() % 70,
            .n_in = 16 * (1 + next() % 70),
            .quant = {KRS_QUANT_NVFP4, 4, 16},
            .scale_dtype = KRS_DTYPE_U8,
        });
        matrix_is_its_tiles((krs_matrix){
            .n_out = 1 + next() % 70,
            .n_in = 1 + next() % 1200,
            .quant = {KRS_QUANT_INT8, 8, i % 2 ? 32 : 128},
            .scale_dtype = KRS_DTYPE_F32,
        });
        matrix_is_its_tiles((krs_matrix){
            .n_out = 1 + next() % 70,
            .n_in = 1 + next() % 300,
            .dtype = KRS_DTYPE_BF16,
        });
    }
}

static void blocks_become_tiles(void **state)
{
    (void)state;
    for (krs_quant_kind kind = KRS_QUANT_GGUF_Q4_0; kind <= KRS_QUANT_GGUF_MXFP4; kind++) {
        const krs_gguf_type_info *info = krs_gguf_type_of_kind(kind);
        for (int i = 0; i < 2; i++) {
            matrix_is_its_tiles((krs_matrix){
                .n_out = 1 + next() % 70,
                .n_in = info->n_elements * (1 + next() % (1400 / info->n_elements)),
                .quant = info->quant,
                .dtype = KRS_DTYPE_U8,
            });
        }
    }
}

int main(void)
{
    (void)printf("seed %llu\n", (unsigned long long)random_state);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(affine_matrices_become_tiles),
        cmocka_unit_test(odd_rows_become_tiles),
        cmocka_unit_test(blocks_become_tiles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
