/* Matrices as codes under scales: random matrices of every kind and of odd shapes, put together again
 * from their codes, against krs_matrix_row. */
#include "tensor/codes.h"

#include "tensor/gguf_block.h"

#include "support/cmocka.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define N_ROWS      3
#define MAX_COLUMNS 1024
#define MAX_GROUPS  (MAX_COLUMNS / 16)
#define MAX_BYTES   (N_ROWS * MAX_COLUMNS * 2)
#define F16_ONES    0x7C00u /* exponent of infinities and NaN */

static uint64_t random_state = 20261122;

static int64_t next(void)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (int64_t)(random_state >> 33); /* 31 bits */
}

static uint16_t finite_f16(void)
{
    const uint16_t x = (uint16_t)next();
    return (x & F16_ONES) == F16_ONES ? (uint16_t)(x ^ 0x4000u) : x;
}

/* What the room says of a matrix, in numbers. */
typedef struct parts {
    double scales[MAX_GROUPS];
    double biases[MAX_GROUPS];
} parts;

static double scale_at(const krs_codes *codes, const void *values, int64_t i)
{
    switch (codes->scale) {
    case KRS_CODE_SCALE_F32:
        return (double)((const float *)values)[i];
    case KRS_CODE_SCALE_F16:
        return (double)krs_f32_of_f16(((const uint16_t *)values)[i]);
    case KRS_CODE_SCALE_BF16:
        return (double)krs_f32_of_bf16(((const uint16_t *)values)[i]);
    default:
        return (double)((const int8_t *)values)[i];
    }
}

/* Scales of a row, asked for in pieces of random length. */
static void read_parts(const krs_matrix *m, const krs_codes *codes, int64_t row, parts *out)
{
    const int64_t n_groups = krs_codes_n_groups(codes, m->n_in);
    assert_true(n_groups <= MAX_GROUPS);
    for (int64_t g = 0; g < n_groups;) {
        float scales[MAX_GROUPS];
        float biases[MAX_GROUPS];
        const int64_t n = 1 + next() % (n_groups - g);
        krs_codes_scales(m, row, g, n, scales, codes->has_bias ? biases : NULL);
        for (int64_t i = 0; i < n; i++) {
            out->scales[g + i] = scale_at(codes, scales, i);
            out->biases[g + i] = codes->has_bias ? scale_at(codes, biases, i) : 0;
        }
        g += n;
    }
    for (int64_t g = 0; codes->scale == KRS_CODE_SCALE_SUPER && g < n_groups; g++) {
        uint16_t d;
        uint16_t dmin;
        krs_codes_super(m, row, g * codes->group / KRS_CODES_SUPER, &d, &dmin);
        assert_true(codes->has_bias || dmin == 0);
        out->scales[g] *= (double)krs_f32_of_f16(d);
        out->biases[g] *= -(double)krs_f32_of_f16(dmin);
    }
}

/* One rounding, or two: when the product is exact in f32, or there is no sum, the value is the exact one
 * rounded once. f16 scales have eleven bits, SUPER's products seventeen, codes eight at the most. */
static bool is_value(const krs_codes *codes, double product, double bias, float want)
{
    const double exact = product + bias;
    if (isnan(exact)) {
        return isnan(want);
    }
    if (!codes->has_bias || codes->scale == KRS_CODE_SCALE_F16 ||
        codes->scale == KRS_CODE_SCALE_SUPER) {
        return (float)exact == want;
    }
    return fabs((double)want - exact) <= 0x1p-24 * (fabs(product) + fabs((double)want)) + 0x1p-149;
}

static void row_is_its_codes(const krs_matrix *m, const krs_codes *codes, int64_t row)
{
    static parts of;
    static float want[MAX_COLUMNS];
    read_parts(m, codes, row, &of);
    krs_matrix_row(m, row, want);
    for (int64_t b = 0; b * KRS_CODES_BLOCK < m->n_in; b++) {
        uint8_t read[KRS_CODES_BLOCK];
        memset(read, 0xEE, sizeof(read));
        krs_codes_read(m, row, b, read);
        for (int64_t k = 0; k < KRS_CODES_BLOCK; k++) {
            const int64_t i = b * KRS_CODES_BLOCK + k;
            assert_true(read[k] < 1u << codes->bits);
            if (i >= m->n_in) {
                assert_int_equal(read[k], 0);
                continue;
            }
            const int32_t value = codes->table ? codes->table[read[k]] : read[k];
            const double product = of.scales[i / codes->group] * (double)(value - codes->zero);
            if (!is_value(codes, product, of.biases[i / codes->group], want[i])) {
                fail_msg("%s of %d bits, group %d, [%lld, %lld]: %a * + %a, want %a",
                         krs_quant_name(m->quant.kind), m->quant.bits, m->quant.group,
                         (long long)row, (long long)i, product, of.biases[i / codes->group],
                         (double)want[i]);
            }
        }
    }
}

/* What lies past a row's end is zeros, and nothing is written past what was asked for. */
static void past_the_end_is_zeros(const krs_matrix *m, const krs_codes *codes)
{
    const int64_t n_groups = krs_codes_n_groups(codes, m->n_in);
    uint8_t read[KRS_CODES_BLOCK];
    float scales[4] = {1, 1, 1, 1};
    float biases[4] = {1, 1, 1, 1};
    uint16_t d = 1;
    uint16_t dmin = 1;
    memset(read, 0xEE, sizeof(read));
    krs_codes_read(m, N_ROWS - 1, (m->n_in + 31) / KRS_CODES_BLOCK, read);
    for (int k = 0; k < KRS_CODES_BLOCK; k++) {
        assert_int_equal(read[k], 0);
    }
    krs_codes_scales(m, N_ROWS - 1, n_groups - 1, 3, scales, biases);
    for (int i = 1; i < 3; i++) {
        assert_true(scale_at(codes, scales, i) == 0);
        assert_true(!codes->has_bias || scale_at(codes, biases, i) == 0);
    }
    assert_true(scales[3] == 1 && biases[3] == 1);
    krs_codes_scales(m, 0, n_groups + 5, 1, scales, biases);
    assert_true(scale_at(codes, scales, 0) == 0);
    if (codes->scale == KRS_CODE_SCALE_SUPER) {
        krs_codes_super(m, N_ROWS - 1, m->n_in / KRS_CODES_SUPER, &d, &dmin);
        assert_true(d == 0 && dmin == 0);
    }
}

/* doc: a run is its blocks, whatever its length, also past the row's end. */
static void runs_are_their_blocks(const krs_matrix *m)
{
    static uint8_t run[2 * MAX_COLUMNS];
    const int64_t n_blocks = (m->n_in + KRS_CODES_BLOCK - 1) / KRS_CODES_BLOCK;
    const int64_t first = next() % n_blocks;
    const int64_t n = 1 + next() % (n_blocks + 2);
    memset(run, 0xEE, sizeof(run));
    krs_codes_read_run(m, N_ROWS - 1, first, n, run);
    for (int64_t b = 0; b < n; b++) {
        uint8_t one[KRS_CODES_BLOCK];
        krs_codes_read(m, N_ROWS - 1, first + b, one);
        assert_memory_equal(one, run + b * KRS_CODES_BLOCK, sizeof(one));
    }
    assert_int_equal(run[n * KRS_CODES_BLOCK], 0xEE);
}

static void matrix_is_its_codes(const krs_matrix *m, const krs_codes *codes)
{
    for (int64_t row = 0; row < N_ROWS; row++) {
        row_is_its_codes(m, codes, row);
    }
    past_the_end_is_zeros(m, codes);
    runs_are_their_blocks(m);
}

static void random_bytes(unsigned char *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = (unsigned char)next();
    }
}

static void put_scales(krs_dtype dtype, unsigned char *out, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const float x = ldexpf((float)next() - 0x1p30f, (int)(next() % 60) - 60);
        const uint16_t half = dtype == KRS_DTYPE_F16 ? finite_f16() : krs_bf16_of_f32(x);
        if (dtype == KRS_DTYPE_F32) {
            memcpy(out + 4 * i, &x, sizeof(x));
        } else if (dtype == KRS_DTYPE_U8) {
            out[i] = (unsigned char)(i < 2 ? i * 255 : next());
        } else {
            memcpy(out + 2 * i, &half, sizeof(half));
        }
    }
}

/* A random matrix of a kind with tables, in buffers that end where its last byte does. */
static void tables_case(krs_quant quant, krs_dtype scale_dtype, int64_t n_in, krs_codes *codes)
{
    krs_matrix m = {.n_out = N_ROWS, .n_in = n_in, .quant = quant, .scale_dtype = scale_dtype};
    const int64_t n_scales = N_ROWS * krs_matrix_n_groups(&m);
    const size_t n_bytes = krs_matrix_data_bytes(&m);
    const size_t scale_bytes = (size_t)n_scales * krs_dtype_bytes(scale_dtype);
    unsigned char *data = malloc(n_bytes);
    unsigned char *scales = malloc(scale_bytes);
    unsigned char *biases = malloc(scale_bytes);
    assert_true(data && scales && biases);
    random_bytes(data, n_bytes);
    put_scales(scale_dtype, scales, n_scales);
    put_scales(scale_dtype, biases, n_scales);
    m.data = data;
    m.scales = scales;
    m.biases = krs_quant_has_biases(quant.kind) ? biases : NULL;
    assert_int_equal(krs_matrix_check(&m, NULL), KRS_OK);
    assert_true(krs_codes_of(&m, codes));
    matrix_is_its_codes(&m, codes);
    free(data);
    free(scales);
    free(biases);
}

static void affine_matrices_are_their_codes(void **state)
{
    (void)state;
    static const krs_dtype dtypes[] = {KRS_DTYPE_F32, KRS_DTYPE_F16, KRS_DTYPE_BF16};
    static const krs_code_scale scales[] = {KRS_CODE_SCALE_F32, KRS_CODE_SCALE_F16,
                                            KRS_CODE_SCALE_BF16};
    for (int32_t bits = 2; bits <= 8; bits += bits == 6 ? 2 : 1) {
        for (int32_t group = 32; group <= 128; group *= 2) {
            for (size_t t = 0; t < 3; t++) {
                krs_codes codes;
                const int64_t n_in = group * (1 + next() % 7);
                tables_case((krs_quant){KRS_QUANT_AFFINE, bits, group}, dtypes[t], n_in, &codes);
                assert_true(codes.bits == bits && codes.group == group && codes.has_bias);
                assert_true(codes.scale == scales[t] && codes.zero == 0 && !codes.table);
            }
        }
    }
}

static void small_floats_are_their_codes(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        krs_codes codes;
        tables_case((krs_quant){KRS_QUANT_MXFP4, 4, 32}, KRS_DTYPE_U8, 32 * (1 + next() % 20),
                    &codes);
        assert_true(codes.group == 32 && codes.scale == KRS_CODE_SCALE_BF16 && codes.zero == 12);
        tables_case((krs_quant){KRS_QUANT_NVFP4, 4, 16}, KRS_DTYPE_U8, 16 * (1 + next() % 40),
                    &codes);
        assert_true(codes.group == 16 && codes.scale == KRS_CODE_SCALE_BF16 && codes.zero == 12);
        assert_true(codes.table[1] == 13 && codes.table[7] == 24 && codes.table[15] == 0);
    }
}

/* doc: an exponent's half, from the smallest to the largest, is exact in bf16. */
static void every_e8m0_scale_is_exact(void **state)
{
    static uint8_t scales[N_ROWS][256];
    static uint8_t data[N_ROWS * 256 * 16];
    const krs_matrix m = {N_ROWS,       256 * 32,     {KRS_QUANT_MXFP4, 4, 32},
                          KRS_DTYPE_U8, KRS_DTYPE_U8, data,
                          scales,       NULL,         NULL};
    uint16_t halves[256];
    (void)state;
    for (int i = 0; i < 256; i++) {
        scales[1][i] = (uint8_t)i;
    }
    krs_codes_scales(&m, 1, 0, 256, halves, NULL);
    for (int i = 0; i < 255; i++) {
        assert_true((double)krs_f32_of_bf16(halves[i]) == ldexp(1.0, i - 128));
    }
    assert_true(isnan(krs_f32_of_bf16(halves[255])));
}

static void signed_bytes_are_their_codes(void **state)
{
    (void)state;
    static const struct {
        int32_t group;
        int64_t n_in;
        int32_t cut;
    } shapes[] = {{128, 512, 128},  {64, 192, 64},   {32, 96, 32},    {256, 512, 128},
                  {96, 288, 32},    {320, 960, 64},  {128, 200, 128}, {64, 77, 64},
                  {96, 100, 32},    {100, 100, 128}, {131, 131, 128}, {500, 300, 128},
                  {640, 1000, 128}, {7, 7, 128}};
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        for (krs_dtype dtype = KRS_DTYPE_F32; dtype <= KRS_DTYPE_BF16; dtype++) {
            krs_codes codes;
            tables_case((krs_quant){KRS_QUANT_INT8, 8, shapes[i].group}, dtype, shapes[i].n_in,
                        &codes);
            assert_true(codes.group == shapes[i].cut && codes.zero == 128 && !codes.has_bias);
        }
    }
}

/* Bytes of every block type, f16 fields finite: where they are, as published. */
static const struct block_type {
    krs_quant_kind kind;
    int32_t code_bits;
    int32_t group;
    int32_t zero;
    krs_code_scale scale;
    int n_halves;
    size_t halves[2];
} blocks[] = {
    {KRS_QUANT_GGUF_Q4_0, 4, 32, 8, KRS_CODE_SCALE_F16, 1, {0, 0}},
    {KRS_QUANT_GGUF_Q4_1, 4, 32, 0, KRS_CODE_SCALE_F16, 2, {0, 2}},
    {KRS_QUANT_GGUF_Q5_0, 5, 32, 16, KRS_CODE_SCALE_F16, 1, {0, 0}},
    {KRS_QUANT_GGUF_Q5_1, 5, 32, 0, KRS_CODE_SCALE_F16, 2, {0, 2}},
    {KRS_QUANT_GGUF_Q8_0, 8, 32, 128, KRS_CODE_SCALE_F16, 1, {0, 0}},
    {KRS_QUANT_GGUF_IQ4_NL, 4, 32, 127, KRS_CODE_SCALE_F16, 1, {0, 0}},
    {KRS_QUANT_GGUF_MXFP4, 4, 32, 12, KRS_CODE_SCALE_BF16, 0, {0, 0}},
    {KRS_QUANT_GGUF_Q2_K, 2, 16, 0, KRS_CODE_SCALE_SUPER, 2, {80, 82}},
    {KRS_QUANT_GGUF_Q3_K, 3, 16, 4, KRS_CODE_SCALE_SUPER, 1, {108, 0}},
    {KRS_QUANT_GGUF_Q4_K, 4, 32, 0, KRS_CODE_SCALE_SUPER, 2, {0, 2}},
    {KRS_QUANT_GGUF_Q5_K, 5, 32, 0, KRS_CODE_SCALE_SUPER, 2, {0, 2}},
    {KRS_QUANT_GGUF_Q6_K, 6, 16, 32, KRS_CODE_SCALE_SUPER, 1, {208, 0}},
    {KRS_QUANT_GGUF_IQ4_XS, 4, 32, 127, KRS_CODE_SCALE_SUPER, 1, {0, 0}},
};

static void block_case(const struct block_type *type)
{
    const krs_gguf_type_info *info = krs_gguf_type_of_kind(type->kind);
    krs_matrix m = {.n_out = N_ROWS, .quant = info->quant, .dtype = KRS_DTYPE_U8};
    krs_codes codes;
    m.n_in = info->n_elements * (1 + next() % (MAX_COLUMNS / info->n_elements));
    const size_t n_bytes = krs_matrix_data_bytes(&m);
    unsigned char *data = malloc(n_bytes);
    assert_non_null(data);
    random_bytes(data, n_bytes);
    for (size_t at = 0; at < n_bytes; at += info->n_bytes) {
        for (int h = 0; h < type->n_halves; h++) {
            const uint16_t half = finite_f16();
            memcpy(data + at + type->halves[h], &half, sizeof(half));
        }
    }
    m.data = data;
    assert_true(krs_codes_of(&m, &codes));
    assert_int_equal(codes.bits, type->code_bits);
    assert_int_equal(codes.group, type->group);
    assert_int_equal(codes.zero, type->zero);
    assert_int_equal(codes.scale, type->scale);
    assert_true(codes.has_bias == (type->n_halves == 2));
    matrix_is_its_codes(&m, &codes);
    free(data);
}

static void blocks_of_gguf_are_their_codes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
        for (int k = 0; k < 20; k++) {
            block_case(&blocks[i]);
        }
    }
}

/* Every kind of the table is either read above or refused here. */
static void kinds_without_a_form_are_refused(void **state)
{
    static const krs_quant none[] = {{KRS_QUANT_NONE, 0, 0},   {KRS_QUANT_FP8, 8, 128},
                                     {KRS_QUANT_MXFP8, 8, 32}, {KRS_QUANT_AFFINE_INDEXED, 4, 128},
                                     {KRS_QUANT_INT8, 8, 48},  {KRS_QUANT_INT8, 8, 100}};
    const size_t n_with = 4 + sizeof(blocks) / sizeof(blocks[0]);
    (void)state;
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        const krs_matrix m = {.n_out = 1, .n_in = 512, .quant = none[i], .dtype = KRS_DTYPE_F32};
        krs_codes codes = {.bits = 77};
        assert_false(krs_codes_of(&m, &codes));
        assert_int_equal(codes.bits, 77);
    }
    assert_int_equal(n_with + 4, KRS_QUANT_COUNT); /* four kinds of `none` have no form at all */
}

int main(void)
{
    (void)printf("seed %llu\n", (unsigned long long)random_state);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(affine_matrices_are_their_codes),
        cmocka_unit_test(small_floats_are_their_codes),
        cmocka_unit_test(every_e8m0_scale_is_exact),
        cmocka_unit_test(signed_bytes_are_their_codes),
        cmocka_unit_test(blocks_of_gguf_are_their_codes),
        cmocka_unit_test(kinds_without_a_form_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
