/* Rows as bytes for tiles: codes, scales and sums are krs_kv_quantise's of each group, on every
 * instruction set here; a second term is the same of what the first left. */
#include "compute/cpu/isa.h"
#include "compute/cpu/tile.h"

#include "support/cmocka.h"

#include <math.h>
#include <stdio.h>

enum { MAX_IN = 512, MAX_BYTES = 2 * (MAX_IN + 8 * MAX_IN + KRS_TILE_ROW_ALIGN) };

static uint64_t random_state = 20261123;

static float next(void)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (float)(int32_t)(random_state >> 32) * 0x1p-31f;
}

/* Group g of the row at out against x[group], which becomes what is left. */
static void group_is(const krs_tile_rows *rows, int64_t g, float *x, const unsigned char *out)
{
    const int32_t group = rows->codes.group;
    int8_t codes[KRS_TILE_MAX_GROUP];
    int32_t sum = 0;
    const float scale = krs_kv_quantise(x, group, codes);
    assert_memory_equal(out + g * group, codes, (size_t)group);
    for (int32_t i = 0; i < group; i++) {
        sum += codes[i];
        x[i] -= scale * (float)codes[i];
    }
    float got;
    int32_t got_sum;
    memcpy(&got, out + rows->scales_at + (size_t)g * 4, sizeof(got));
    assert_true(got == scale || (isnan(got) && isnan(scale)));
    memcpy(&got, out + rows->sums_at + (size_t)g * 4, sizeof(got));
    memcpy(&got_sum, &got, sizeof(got));
    if (rows->codes.has_bias) {
        assert_true(got == scale * (float)sum || isnan(scale));
    } else {
        assert_int_equal(got_sum, -rows->codes.zero * sum);
    }
}

static void row_is_its_groups(const krs_cpu_kernels *kernels, const krs_tile_rows *rows,
                              const float *x)
{
    static unsigned char out[MAX_BYTES];
    memset(out, 0xA5, sizeof(out)); /* every byte that counts is written */
    krs_tile_row_fill(kernels, rows, x, out);
    for (int64_t g = 0; g < rows->n_steps; g++) {
        float left[KRS_TILE_MAX_GROUP] = {0};
        const int64_t begin = g * rows->codes.group;
        for (int64_t i = begin; i < rows->n_in && i < begin + rows->codes.group; i++) {
            left[i - begin] = x[i];
        }
        for (int32_t term = 0; term < rows->n_terms; term++) {
            group_is(rows, g, left, out + (size_t)term * rows->term_bytes);
        }
    }
}

static void fill_x(float *x)
{
    for (int i = 0; i < MAX_IN; i++) {
        x[i] = next();
    }
    for (int i = 128; i < 256; i++) {
        x[i] = 0;
    }
    x[256] = 1e30f;                   /* beside it all others are 0 */
    x[320] = NAN;                     /* a broken activation stays visible */
    x[384] = 3.0f * KRS_KV_INT8_TINY; /* its second term is too small to keep */
    memset(x + 385, 0, 63 * sizeof(*x));
}

static void rows_are_their_groups_on_every_isa(void **state)
{
    static const krs_codes kinds[] = {
        {.bits = 4, .group = 16, .zero = 8},
        {.bits = 8, .group = 32, .has_bias = true},
        {.bits = 4, .group = 64, .zero = 8},
        {.bits = 4, .group = 128, .has_bias = true},
        {.bits = 4, .group = 32},
    };
    (void)state;
    float x[MAX_IN];
    fill_x(x);
    krs_error err = KRS_ERROR_INIT;
    for (uint32_t i = 0; krs_cpu_isa_name(i); i++) {
        krs_cpu_kernels kernels;
        if (!krs_cpu_isa_is_here(krs_cpu_isa_name(i))) {
            continue;
        }
        assert_int_equal(krs_cpu_isa_kernels(krs_cpu_isa_name(i), &kernels, NULL, &err), KRS_OK);
        for (size_t k = 0; k < 2 * sizeof(kinds) / sizeof(kinds[0]); k++) {
            const krs_codes codes = kinds[k / 2];
            const int64_t n_in = k % 2 ? MAX_IN : MAX_IN - 40; /* a row may end inside a group */
            const krs_tiles tiles = {.kind = KRS_TILE_CODES,
                                     .codes = codes,
                                     .n_in = n_in,
                                     .n_steps = MAX_IN / codes.group};
            for (int32_t n_terms = 1; n_terms <= 2; n_terms++) {
                const krs_tile_rows rows = krs_tile_rows_of(&tiles, n_terms);
                assert_in_range(2 * rows.term_bytes, 1, MAX_BYTES);
                row_is_its_groups(&kernels, &rows, x);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_their_groups_on_every_isa),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
