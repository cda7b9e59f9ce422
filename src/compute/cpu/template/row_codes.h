/* compute/cpu/template/row_codes.h - rows of x as bytes for tiles (tile.h): codes, scales and sums in one pass.
 * Included after <isa>/vec.h. A row meets every output of its matrix, but at one row, or at a matrix of
 * few outputs, making it would be seen; so a group is read once, its largest value, codes and sum come
 * from registers, and there is one call for a row.
 *
 * Loops in plain C: the compiler turns them into vectors by itself under the file's flags; maxima and
 * integer sums have no order, every other result belongs to one element. So all instruction sets, and
 * krs_kv_quantise, give the same bytes.
 *
 * Thread: pure. */

#include "compute/cpu/tile.h"

/* One group of x as codes, as krs_kv_quantise makes them; *sum: of the codes. group is a constant at every
 * call that matters, so that the whole group stays in registers. */
KRS_CPU_INLINE float code_group(const float *x, int32_t group, int8_t *codes, int32_t *sum)
{
    const float magic = KRS_KV_INT8_MAGIC;
    const uint32_t top_bits = krs_kv_top_bits(x, group);
    float top;
    int32_t magic_bits;
    int32_t total = 0;
    memcpy(&top, &top_bits, sizeof(top));
    memcpy(&magic_bits, &magic, sizeof(magic_bits));
    if (!(top >= KRS_KV_INT8_TINY && top_bits < 0x7F800000u)) {
        *sum = 0;
        return krs_kv_quantise(x, group, codes);
    }
    const float factor = KRS_KV_INT8_MAX / top;
    for (int32_t i = 0; i < group; i++) {
        const float shifted = x[i] * factor + magic;
        int32_t bits;
        memcpy(&bits, &shifted, sizeof(bits));
        codes[i] = (int8_t)(bits - magic_bits);
        total += bits - magic_bits;
    }
    *sum = total;
    return top / KRS_KV_INT8_MAX;
}

/* Group g of a row, all its terms. */
KRS_CPU_INLINE void code_terms(const krs_tile_rows *rows, int32_t group, int64_t g, const float *x,
                               unsigned char *out)
{
    float left[KRS_TILE_MAX_GROUP];
    for (int32_t term = 0; term < rows->n_terms; term++, out += rows->term_bytes) {
        int8_t *codes = (int8_t *)(out + g * group);
        int32_t sum;
        const float scale = code_group(x, group, codes, &sum);
        const float scaled = scale * (float)sum;
        const int32_t minus = -rows->codes.zero * sum;
        memcpy(out + rows->scales_at + (size_t)g * sizeof(scale), &scale, sizeof(scale));
        memcpy(out + rows->sums_at + (size_t)g * sizeof(minus),
               rows->codes.has_bias ? (const void *)&scaled : (const void *)&minus, sizeof(minus));
        for (int32_t i = 0; term + 1 < rows->n_terms && i < group; i++) {
            left[i] = x[i] - scale * (float)codes[i];
        }
        x = left;
    }
}

static void code_row(const krs_tile_rows *rows, const float *x, int64_t begin, int64_t end,
                     unsigned char *out)
{
    for (int64_t g = begin; g < end; g++, x += rows->codes.group) {
        switch (rows->codes.group) {
        case 16:
            code_terms(rows, 16, g, x, out);
            break;
        case 32:
            code_terms(rows, 32, g, x, out);
            break;
        case 64:
            code_terms(rows, 64, g, x, out);
            break;
        default:
            code_terms(rows, rows->codes.group, g, x, out);
            break;
        }
    }
}
