/* compute/cpu/tile.c - see tile.h: which matrices become tiles, how large they are, and rows of x for them.
 * Filling tiles is in tile_fill.c. */
#include "compute/cpu/tile.h"

/* Bytes of a group's, or a super block's, line of `item_bytes` for each output. */
static size_t scales_bytes(const krs_codes *codes)
{
    const size_t item_bytes = codes->scale == KRS_CODE_SCALE_F32     ? 4
                              : codes->scale == KRS_CODE_SCALE_SUPER ? 1
                                                                     : 2;
    return (codes->has_bias ? 2 : 1) * item_bytes * KRS_TILE_OUTS;
}

/* Columns that the last block of a row may add: groups of 16 come in twos. */
static int64_t n_groups_of(const krs_codes *codes, int64_t n_in)
{
    const int64_t n = krs_codes_n_groups(codes, n_in);
    const int64_t at_once = codes->group < KRS_CODES_BLOCK ? KRS_CODES_BLOCK / codes->group : 1;
    return (n + at_once - 1) / at_once * at_once;
}

static size_t codes_tile_bytes(const krs_codes *codes, int64_t n_groups)
{
    const size_t columns = (size_t)(n_groups * codes->group);
    const size_t words = columns / KRS_CODES_BLOCK * (size_t)codes->bits * KRS_TILE_LINE_BYTES;
    const size_t supers = codes->scale == KRS_CODE_SCALE_SUPER
                              ? (columns + KRS_CODES_SUPER - 1) / KRS_CODES_SUPER *
                                    (codes->has_bias ? 4 : 2) * KRS_TILE_OUTS
                              : 0;
    return words + (size_t)n_groups * scales_bytes(codes) + supers;
}

krs_tiles krs_tiles_of(const krs_cpu_kernels *kernels, const krs_matrix *matrix)
{
    krs_tiles out = {.n_out = matrix->n_out, .n_in = matrix->n_in};
    const bool is_dense = matrix->quant.kind == KRS_QUANT_NONE;
    if (is_dense && matrix->dtype == KRS_DTYPE_BF16 && kernels->tile_bf16) {
        out.kind = KRS_TILE_BF16;
        out.n_steps = (matrix->n_in + 1) / 2;
        out.tile_bytes = (size_t)out.n_steps * KRS_TILE_LINE_BYTES;
    } else if (!is_dense && kernels->tile_codes && krs_codes_of(matrix, &out.codes)) {
        out.kind = KRS_TILE_CODES;
        out.n_steps = n_groups_of(&out.codes, matrix->n_in);
        out.tile_bytes = codes_tile_bytes(&out.codes, out.n_steps);
    }
    return out;
}

static size_t aligned(size_t n_bytes)
{
    return (n_bytes + KRS_TILE_ROW_ALIGN - 1) / KRS_TILE_ROW_ALIGN * KRS_TILE_ROW_ALIGN;
}

krs_tile_rows krs_tile_rows_of(const krs_tiles *tiles, int32_t n_terms)
{
    krs_tile_rows out = {
        .kind = tiles->kind,
        .codes = tiles->codes,
        .n_in = tiles->n_in,
        .n_steps = tiles->n_steps,
        .n_terms = n_terms,
    };
    if (tiles->kind == KRS_TILE_BF16) {
        out.term_bytes = aligned((size_t)tiles->n_steps * 2 * sizeof(uint16_t));
        return out;
    }
    const size_t scales_bytes_of = (size_t)tiles->n_steps * sizeof(float);
    out.scales_at = (size_t)(tiles->n_steps * tiles->codes.group);
    out.sums_at = out.scales_at + scales_bytes_of;
    out.term_bytes = aligned(out.sums_at + scales_bytes_of);
    return out;
}

bool krs_tile_rows_are(const krs_tile_rows *a, const krs_tile_rows *b)
{
    const bool is_alike = a->kind == b->kind && a->n_in == b->n_in && a->n_terms == b->n_terms;
    return is_alike && (a->kind != KRS_TILE_CODES ||
                        (a->codes.group == b->codes.group && a->n_steps == b->n_steps &&
                         a->codes.has_bias == b->codes.has_bias && a->codes.zero == b->codes.zero));
}

/* What lies past the row's end counts as zero. */
static void fill_codes(const krs_cpu_kernels *kernels, const krs_tile_rows *rows, const float *x,
                       unsigned char *out)
{
    const int32_t group = rows->codes.group;
    const int64_t n_whole = rows->n_in / group;
    kernels->code_row(rows, x, 0, n_whole, out);
    for (int64_t g = n_whole; g < rows->n_steps; g++) {
        float padded[KRS_TILE_MAX_GROUP] = {0};
        const int64_t n_left = rows->n_in - g * group;
        memcpy(padded, x + g * group, (size_t)(n_left > 0 ? n_left : 0) * sizeof(*x));
        kernels->code_row(rows, padded, g, g + 1, out);
    }
}

static void fill_bf16(const krs_cpu_kernels *kernels, const krs_tile_rows *rows, const float *x,
                      unsigned char *out)
{
    enum { AT_ONCE = 256 };
    float left[AT_ONCE];
    for (int64_t i = 0; i < 2 * rows->n_steps; i += AT_ONCE) {
        const int64_t n_padded = 2 * rows->n_steps - i < AT_ONCE ? 2 * rows->n_steps - i : AT_ONCE;
        const int64_t n = rows->n_in - i < n_padded ? rows->n_in - i : n_padded;
        left[n_padded - 1] = 0; /* an odd row's last half */
        memcpy(left, x + i, (size_t)n * sizeof(*left));
        for (int32_t term = 0; term < rows->n_terms; term++) {
            uint16_t *halves = (uint16_t *)(void *)(out + (size_t)term * rows->term_bytes) + i;
            kernels->narrow(KRS_DTYPE_BF16, left, n_padded, halves);
            for (int64_t k = 0; term + 1 < rows->n_terms && k < n_padded; k++) {
                left[k] -= krs_f32_of_bf16(halves[k]);
            }
        }
    }
}

void krs_tile_row_fill(const krs_cpu_kernels *kernels, const krs_tile_rows *rows, const float *x,
                       unsigned char *out)
{
    if (rows->kind == KRS_TILE_BF16) {
        fill_bf16(kernels, rows, x, out);
    } else {
        fill_codes(kernels, rows, x, out);
    }
}
