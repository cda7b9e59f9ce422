/* tensor/repack.c - see repack.h.
 * A word of GPTQ holds consecutive columns of one row, lowest first, which is a word of the affine stream:
 * there the codes only change places, word by word. AWQ's words hold eight rows of one column and are
 * taken apart. Both walk the source in its own order, a block of columns at a time, so that a page of the
 * file is read once and the scattered writes stay in the cache. */
#include "tensor/repack.h"

#include "base/check.h"

#define COLUMNS_BLOCK 64 /* of the source at a time: 32 bytes of each row at 4 bits */
#define AWQ_ROWS      8  /* in a word */

static const uint8_t awq_order[AWQ_ROWS] = {0, 2, 4, 6, 1, 3, 5, 7};

static uint32_t word_at(const void *words, int64_t i)
{
    uint32_t word;
    memcpy(&word, (const unsigned char *)words + (size_t)i * sizeof(word), sizeof(word));
    return word;
}

static bool is_natural(const krs_packed_columns *from)
{
    for (int64_t i = 0; from->g_idx && i < from->n_in; i++) {
        if (word_at(from->g_idx, i) != (uint32_t)(i / from->group)) {
            return false;
        }
    }
    return true;
}

/* The widest affine group that divides `group`; 0: none. */
static int32_t affine_group(int64_t group)
{
    return group % 128 == 0 ? 128 : group % 64 == 0 ? 64 : group % 32 == 0 ? 32 : 0;
}

static krs_status check(const krs_packed_columns *from, krs_error *err)
{
    const int64_t per_word = 32 / from->bits;
    if (from->n_in % per_word != 0 || from->n_out % per_word != 0) {
        return krs_fail(err, KRS_EFORMAT, "[%lld, %lld] of %d bits does not fill whole words",
                        (long long)from->n_out, (long long)from->n_in, from->bits);
    }
    if (from->group < 1 || (from->n_in + from->group - 1) / from->group != from->n_groups) {
        return krs_fail(err, KRS_EFORMAT, "%lld groups of %lld for %lld columns",
                        (long long)from->n_groups, (long long)from->group, (long long)from->n_in);
    }
    for (int64_t i = 0; from->g_idx && i < from->n_in; i++) {
        if (word_at(from->g_idx, i) >= (uint64_t)from->n_groups) {
            return krs_fail(err, KRS_EFORMAT, "g_idx[%lld]: %d, want 0..%lld", (long long)i,
                            (int)word_at(from->g_idx, i), (long long)from->n_groups - 1);
        }
    }
    return KRS_OK;
}

krs_status krs_repack_plan(const krs_packed_columns *from, krs_matrix *out, krs_error *err)
{
    const krs_status status = check(from, err);
    if (status != KRS_OK) {
        return status;
    }
    const int32_t group = affine_group(from->group);
    const bool is_affine = group > 0 && from->n_in % group == 0 && is_natural(from);
    *out = (krs_matrix){
        .n_out = from->n_out,
        .n_in = from->n_in,
        .quant = {is_affine ? KRS_QUANT_AFFINE : KRS_QUANT_AFFINE_INDEXED, from->bits,
                  is_affine ? group : (int32_t)from->group},
        .dtype = KRS_DTYPE_U32,
        .scale_dtype = KRS_DTYPE_F32,
    };
    return krs_quant_check(&out->quant, out->n_in, err);
}

/* Words [begin, end) of each row: a block of qweight, turned. */
static void turn_words(const krs_packed_columns *from, int64_t begin, int64_t end,
                       unsigned char *rows, size_t row_bytes)
{
    for (int64_t o = 0; o < from->n_out; o++) {
        for (int64_t k = begin; k < end; k++) {
            const uint32_t word = word_at(from->qweight, k * from->n_out + o);
            memcpy(rows + (size_t)o * row_bytes + (size_t)k * sizeof(word), &word, sizeof(word));
        }
    }
}

/* Columns [i, i + 8) of rows [8c, 8c + 8): eight words of AWQ, eight of the affine stream. */
static void turn_awq_block(const krs_packed_columns *from, int64_t i, int64_t c,
                           unsigned char *rows, size_t row_bytes)
{
    const int64_t words = from->n_out / AWQ_ROWS;
    uint32_t out[AWQ_ROWS] = {0};
    for (int column = 0; column < 8; column++) {
        const uint32_t word = word_at(from->qweight, (i + column) * words + c);
        for (int k = 0; k < AWQ_ROWS; k++) {
            out[awq_order[k]] |= (word >> (4 * k) & 15u) << (4 * column);
        }
    }
    for (int r = 0; r < AWQ_ROWS; r++) {
        memcpy(rows + (size_t)(c * AWQ_ROWS + r) * row_bytes + (size_t)(i / 2), &out[r],
               sizeof(out[r]));
    }
}

static void turn_codes(const krs_packed_columns *from, unsigned char *rows, size_t row_bytes)
{
    for (int64_t begin = 0; begin < from->n_in; begin += COLUMNS_BLOCK) {
        const int64_t end = begin + COLUMNS_BLOCK < from->n_in ? begin + COLUMNS_BLOCK : from->n_in;
        if (!from->is_awq) {
            const int64_t per_word = 32 / from->bits;
            turn_words(from, begin / per_word, end / per_word, rows, row_bytes);
            continue;
        }
        for (int64_t c = 0; c < from->n_out / AWQ_ROWS; c++) {
            for (int64_t i = begin; i < end; i += 8) {
                turn_awq_block(from, i, c, rows, row_bytes);
            }
        }
    }
}

/* The zero point of row o in group g, as the formula means it. */
static float zero_at(const krs_packed_columns *from, int64_t g, int64_t o)
{
    const int64_t per_word = 32 / from->bits;
    int64_t place = o % per_word;
    if (from->is_awq) {
        place = 0;
        while (awq_order[place] != o % AWQ_ROWS) {
            place++;
        }
    }
    const uint32_t word = word_at(from->qzeros, g * (from->n_out / per_word) + o / per_word);
    const uint32_t mask = from->bits == 8 ? 255u : 15u;
    const uint32_t stored = word >> (place * from->bits) & mask;
    return (float)(stored + (from->is_zero_less_one ? 1u : 0u));
}

/* Scales and biases of row o, one per group of the plan. */
static void scale_row(const krs_packed_columns *from, const krs_matrix *plan, int64_t o,
                      float *scales, float *biases)
{
    const int64_t n = krs_matrix_n_groups(plan);
    const int64_t repeats =
        plan->quant.kind == KRS_QUANT_AFFINE ? from->group / plan->quant.group : 1;
    const size_t bytes = krs_dtype_bytes(from->scale_dtype);
    for (int64_t k = 0; k < n; k++) {
        const int64_t g = k / repeats;
        const size_t at = (size_t)(g * from->n_out + o) * bytes;
        float scale;
        KRS_CHECK(
            krs_f32_of_any(from->scale_dtype, (const unsigned char *)from->scales + at, 1, &scale));
        scales[k] = scale;
        biases[k] = -zero_at(from, g, o) * scale;
    }
}

void krs_repack(const krs_packed_columns *from, const krs_matrix *plan, void *data, float *scales,
                float *biases, int32_t *group_of)
{
    const int64_t n_groups = krs_matrix_n_groups(plan);
    turn_codes(from, data, krs_matrix_row_bytes(plan));
    for (int64_t o = 0; o < from->n_out; o++) {
        scale_row(from, plan, o, scales + o * n_groups, biases + o * n_groups);
    }
    for (int64_t i = 0; plan->quant.kind == KRS_QUANT_AFFINE_INDEXED && i < from->n_in; i++) {
        group_of[i] = from->g_idx ? (int32_t)word_at(from->g_idx, i) : (int32_t)(i / from->group);
    }
}
