/* tests/unit/tensor/test_repack.c - GPTQ and AWQ matrices rewritten: packed here from the published
 * formulas, read back through krs_matrix_row, equal to (q - zero) * scale to the last bit. */
#include "support/cmocka.h"
#include "tensor/repack.h"

#include <stdlib.h>

#define MAX_IN   512
#define MAX_OUT  48
#define MAX_GRPS 64

/* One random matrix, unpacked. */
typedef struct source {
    int64_t n_in, n_out, group, n_groups;
    int32_t bits;
    uint32_t q[MAX_IN][MAX_OUT];
    uint32_t zero[MAX_GRPS][MAX_OUT]; /* as the formula means it */
    uint16_t scale[MAX_GRPS][MAX_OUT];
    int32_t group_of[MAX_IN];
    uint32_t qweight[MAX_IN * MAX_OUT]; /* words; AWQ and GPTQ need no more than this */
    uint32_t qzeros[MAX_GRPS * MAX_OUT];
} source;

static uint32_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*state >> 33);
}

static void fill(source *s, uint64_t seed, uint32_t zero_min)
{
    const uint32_t top = (1u << s->bits) - 1;
    s->n_groups = (s->n_in + s->group - 1) / s->group;
    assert_true(s->n_in <= MAX_IN && s->n_out <= MAX_OUT && s->n_groups <= MAX_GRPS);
    for (int64_t i = 0; i < s->n_in; i++) {
        s->group_of[i] = (int32_t)(i / s->group);
        for (int64_t o = 0; o < s->n_out; o++) {
            s->q[i][o] = next_random(&seed) & top;
        }
    }
    for (int64_t g = 0; g < s->n_groups; g++) {
        for (int64_t o = 0; o < s->n_out; o++) {
            s->zero[g][o] = zero_min + (next_random(&seed) & top);
            s->scale[g][o] = krs_f16_of_f32((float)(next_random(&seed) % 4000 + 1) * 1e-4f);
        }
    }
}

/* AutoGPTQ: codes low bits first along n_in, zero points along n_out and, at first, less one. */
static void pack_gptq(source *s, uint32_t less)
{
    const int64_t p = 32 / s->bits;
    memset(s->qweight, 0, sizeof(s->qweight));
    memset(s->qzeros, 0, sizeof(s->qzeros));
    for (int64_t i = 0; i < s->n_in; i++) {
        for (int64_t o = 0; o < s->n_out; o++) {
            s->qweight[i / p * s->n_out + o] |= s->q[i][o] << (i % p * s->bits);
        }
    }
    for (int64_t g = 0; g < s->n_groups; g++) {
        for (int64_t o = 0; o < s->n_out; o++) {
            s->qzeros[g * (s->n_out / p) + o / p] |= (s->zero[g][o] - less) << (o % p * s->bits);
        }
    }
}

/* AutoAWQ: nibble k of a word is column 8c + order[k]. */
static void pack_awq(source *s)
{
    static const int order[8] = {0, 2, 4, 6, 1, 3, 5, 7};
    memset(s->qweight, 0, sizeof(s->qweight));
    memset(s->qzeros, 0, sizeof(s->qzeros));
    for (int64_t c = 0; c < s->n_out / 8; c++) {
        for (int k = 0; k < 8; k++) {
            for (int64_t i = 0; i < s->n_in; i++) {
                s->qweight[i * (s->n_out / 8) + c] |= s->q[i][8 * c + order[k]] << (4 * k);
            }
            for (int64_t g = 0; g < s->n_groups; g++) {
                s->qzeros[g * (s->n_out / 8) + c] |= s->zero[g][8 * c + order[k]] << (4 * k);
            }
        }
    }
}

static krs_packed_columns describe(const source *s, const uint16_t *scales)
{
    return (krs_packed_columns){.n_out = s->n_out,
                                .n_in = s->n_in,
                                .n_groups = s->n_groups,
                                .bits = s->bits,
                                .scale_dtype = KRS_DTYPE_F16,
                                .qweight = s->qweight,
                                .qzeros = s->qzeros,
                                .scales = scales,
                                .g_idx = s->group_of,
                                .group = s->group};
}

static const uint16_t *flat_scales(const source *s)
{
    static uint16_t scales[MAX_GRPS * MAX_OUT];
    for (int64_t g = 0; g < s->n_groups; g++) {
        memcpy(scales + g * s->n_out, s->scale[g], (size_t)s->n_out * sizeof(scales[0]));
    }
    return scales;
}

static void check(const source *s, const krs_packed_columns *from, krs_quant_kind want)
{
    krs_matrix m;
    static float row[MAX_IN];
    assert_int_equal(krs_repack_plan(from, &m, NULL), KRS_OK);
    assert_int_equal(m.quant.kind, want);
    void *data = malloc(krs_matrix_data_bytes(&m));
    float *scales = malloc(krs_matrix_scale_bytes(&m));
    int32_t *group_of = malloc((size_t)s->n_in * sizeof(*group_of));
    assert_true(data && scales && group_of);
    float *biases = scales + m.n_out * krs_matrix_n_groups(&m);
    krs_repack(from, &m, data, scales, biases, group_of);
    m.data = data;
    m.scales = scales;
    m.biases = biases;
    m.group_of = want == KRS_QUANT_AFFINE_INDEXED ? group_of : NULL;
    assert_int_equal(krs_matrix_check(&m, NULL), KRS_OK);
    for (int64_t o = 0; o < s->n_out; o++) {
        krs_matrix_row(&m, o, row);
        for (int64_t i = 0; i < s->n_in; i++) {
            const int32_t g = s->group_of[i];
            const float q = (float)s->q[i][o] - (float)s->zero[g][o];
            assert_true(row[i] == q * krs_f32_of_f16(s->scale[g][o]));
        }
    }
    free(data);
    free(scales);
    free(group_of);
}

static source s; /* too large for a stack */

static void gptq_is_the_formula(void **state)
{
    (void)state;
    static const int64_t groups[] = {32, 64, 128, 256, 96};
    for (uint64_t k = 0; k < 20; k++) {
        const int64_t group = groups[k % 5];
        s = (source){.n_in = group * (group > 128 ? 2 : 3),
                     .n_out = k % 2 ? 48 : 8,
                     .group = group,
                     .bits = k < 10 ? 4 : 8};
        const uint32_t less = k % 3 ? 1 : 0;
        fill(&s, k, less);
        pack_gptq(&s, less);
        krs_packed_columns from = describe(&s, flat_scales(&s));
        from.is_zero_less_one = less == 1;
        check(&s, &from, KRS_QUANT_AFFINE);
        from.g_idx = NULL;
        check(&s, &from, KRS_QUANT_AFFINE);
    }
}

static void act_order_and_odd_groups_keep_an_index(void **state)
{
    (void)state;
    for (uint64_t k = 0; k < 6; k++) {
        uint64_t random = k;
        s = (source){.n_in = 200, .n_out = 16, .group = k % 2 ? 16 : 64, .bits = k % 3 ? 4 : 8};
        fill(&s, k, 1);
        for (int64_t i = s.n_in - 1; i > 0; i--) { /* the groups of the columns, shuffled */
            const int64_t other = next_random(&random) % (i + 1);
            const int32_t kept = s.group_of[i];
            s.group_of[i] = s.group_of[other];
            s.group_of[other] = kept;
        }
        pack_gptq(&s, 1);
        krs_packed_columns from = describe(&s, flat_scales(&s));
        from.is_zero_less_one = true;
        check(&s, &from, KRS_QUANT_AFFINE_INDEXED);
    }
}

static void awq_is_the_formula(void **state)
{
    (void)state;
    for (uint64_t k = 0; k < 6; k++) {
        s = (source){.n_in = 384, .n_out = k % 2 ? 40 : 8, .group = 32 << k % 3, .bits = 4};
        fill(&s, k, 0);
        pack_awq(&s);
        krs_packed_columns from = describe(&s, flat_scales(&s));
        from.is_awq = true;
        from.g_idx = NULL;
        check(&s, &from, KRS_QUANT_AFFINE);
    }
}

static void sizes_and_indices_that_lie_are_refused(void **state)
{
    (void)state;
    krs_matrix m;
    krs_error err = KRS_ERROR_INIT;
    s = (source){.n_in = 128, .n_out = 16, .group = 64, .bits = 4};
    fill(&s, 1, 1);
    krs_packed_columns from = describe(&s, flat_scales(&s));
    from.n_groups = 3;
    assert_int_equal(krs_repack_plan(&from, &m, &err), KRS_EFORMAT);
    assert_non_null(strstr(err.message, "3 groups of 64"));
    from.n_groups = 2;
    from.n_out = 12;
    assert_int_equal(krs_repack_plan(&from, &m, &err), KRS_EFORMAT);
    assert_non_null(strstr(err.message, "whole words"));
    from.n_out = 16;
    s.group_of[100] = 2;
    assert_int_equal(krs_repack_plan(&from, &m, &err), KRS_EFORMAT);
    assert_non_null(strstr(err.message, "g_idx[100]: 2"));
    s.group_of[100] = -1;
    assert_int_equal(krs_repack_plan(&from, &m, &err), KRS_EFORMAT);
    from.group = 0;
    assert_int_equal(krs_repack_plan(&from, &m, &err), KRS_EFORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gptq_is_the_formula),
        cmocka_unit_test(act_order_and_odd_groups_keep_an_index),
        cmocka_unit_test(awq_is_the_formula),
        cmocka_unit_test(sizes_and_indices_that_lie_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
