/* tests/parity/test_tiles.c - matrices of codes times rows of bytes, on every instruction set of this machine: all
 * kinds, odd shapes, 1 to 13 rows and 37, one term and two.
 *
 * Three claims. Rows of bytes are the same wherever they are made. What comes out is, bit for bit, what a plain
 * loop makes of the same codes, whose integer sums are exact and whose f32 sums go group after group by fused
 * multiply-adds, wherever the instruction set has such; portable, which has none, is a few roundings off. And it
 * is the product of the matrix with x but for what rounding x to codes can do, which is half a step each. */
#include "compute/cpu/isa.h"
#include "compute/cpu/tile.h"
#include "tensor/gguf_block.h"

#include "support/cmocka.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_IN    768
#define MAX_OUT   75
#define FEW_ROWS  13 /* of every number up to here */
#define MAX_ROWS  37 /* more than any kernel takes at once */
#define MAX_TERMS 2
#define ROUNDING  0x1p-20 /* of the sum of magnitudes: some f32 roundings */

static uint64_t random_state;

static uint32_t next(void)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(random_state >> 33);
}

static float between(float low, float high)
{
    return low + (high - low) * (float)next() * 0x1p-31f;
}

/* A random matrix under test, its tiles, and rows of x. */
typedef struct subject {
    krs_matrix m;
    unsigned char data[MAX_OUT * MAX_IN * 2];
    unsigned char scales[MAX_OUT * MAX_IN / 16 * 4];
    unsigned char biases[MAX_OUT * MAX_IN / 16 * 4];
    krs_codes codes;
    krs_tiles tiles;
    unsigned char *tile_bytes;
    float x[MAX_ROWS * MAX_IN];
    float bias[MAX_OUT];
    krs_tile_rows form;
    unsigned char *rows; /* [MAX_ROWS][form.n_terms * form.term_bytes] */
} subject;

static void random_bytes(unsigned char *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = (unsigned char)next();
    }
}

/* n scales of either sign; U8: exponents or small floats, none of them NaN. */
static void put_scales(krs_dtype dtype, unsigned char *out, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const float x = between(-0.02f, 0.02f);
        const uint16_t half = dtype == KRS_DTYPE_F16 ? krs_f16_of_f32(x) : krs_bf16_of_f32(x);
        if (dtype == KRS_DTYPE_F32) {
            memcpy(out + 4 * i, &x, sizeof(x));
        } else if (dtype == KRS_DTYPE_U8) {
            out[i] = (unsigned char)(112 + next() % 8);
        } else {
            memcpy(out + 2 * i, &half, sizeof(half));
        }
    }
}

static void make_tables(subject *s, krs_quant quant, krs_dtype scale_dtype)
{
    s->m.quant = quant;
    s->m.scale_dtype = scale_dtype;
    s->m.dtype = KRS_DTYPE_U32;
    const int64_t n_scales = s->m.n_out * krs_matrix_n_groups(&s->m);
    assert_true(krs_matrix_data_bytes(&s->m) <= sizeof(s->data));
    assert_true((size_t)n_scales * krs_dtype_bytes(scale_dtype) <= sizeof(s->scales));
    random_bytes(s->data, krs_matrix_data_bytes(&s->m));
    put_scales(scale_dtype, s->scales, n_scales);
    put_scales(scale_dtype, s->biases, n_scales);
    s->m.data = s->data;
    s->m.scales = s->scales;
    s->m.biases = krs_quant_has_biases(quant.kind) ? s->biases : NULL;
}

/* Where the f16 fields of a block lie, as published; of MXFP4 byte 0 is an exponent. */
static const struct block_type {
    krs_quant_kind kind;
    int n_halves;
    size_t halves[2];
} blocks[] = {
    {KRS_QUANT_GGUF_Q4_0, 1, {0, 0}},   {KRS_QUANT_GGUF_Q4_1, 2, {0, 2}},
    {KRS_QUANT_GGUF_Q5_0, 1, {0, 0}},   {KRS_QUANT_GGUF_Q5_1, 2, {0, 2}},
    {KRS_QUANT_GGUF_Q8_0, 1, {0, 0}},   {KRS_QUANT_GGUF_IQ4_NL, 1, {0, 0}},
    {KRS_QUANT_GGUF_MXFP4, 0, {0, 0}},  {KRS_QUANT_GGUF_Q2_K, 2, {80, 82}},
    {KRS_QUANT_GGUF_Q3_K, 1, {108, 0}}, {KRS_QUANT_GGUF_Q4_K, 2, {0, 2}},
    {KRS_QUANT_GGUF_Q5_K, 2, {0, 2}},   {KRS_QUANT_GGUF_Q6_K, 1, {208, 0}},
    {KRS_QUANT_GGUF_IQ4_XS, 1, {0, 0}},
};

static void make_blocks(subject *s, const struct block_type *type)
{
    const krs_gguf_type_info *info = krs_gguf_type_of_kind(type->kind);
    s->m.quant = info->quant;
    s->m.dtype = KRS_DTYPE_U8;
    const size_t n_bytes = krs_matrix_data_bytes(&s->m);
    assert_true(n_bytes <= sizeof(s->data));
    random_bytes(s->data, n_bytes);
    for (size_t at = 0; at < n_bytes; at += info->n_bytes) {
        if (type->n_halves == 0) {
            s->data[at] = (unsigned char)(112 + next() % 8);
        }
        for (int h = 0; h < type->n_halves; h++) {
            put_scales(KRS_DTYPE_F16, s->data + at + type->halves[h], 1);
        }
    }
    s->m.data = s->data;
}

static krs_cpu_tile_op op_of(const subject *s, float *out)
{
    return (krs_cpu_tile_op){
        .codes = s->codes,
        .w = s->tile_bytes,
        .tile_bytes = s->tiles.tile_bytes,
        .n_steps = s->tiles.n_steps,
        .x = s->rows,
        .x_row_bytes = (size_t)s->form.n_terms * s->form.term_bytes,
        .x_term_bytes = s->form.term_bytes,
        .x_scales_at = s->form.scales_at,
        .x_sums_at = s->form.sums_at,
        .n_terms = s->form.n_terms,
        .out = out,
        .out_stride = s->m.n_out,
        .n_outs = s->m.n_out,
        .bias = s->bias,
    };
}

/* What a group of a row of the matrix is, in numbers. */
typedef struct group_of {
    int32_t values[128];
    float scale;
    float bias;
} group_of;

static float number_at(const krs_codes *codes, const void *p)
{
    return codes->scale == KRS_CODE_SCALE_F32    ? *(const float *)p
           : codes->scale == KRS_CODE_SCALE_F16  ? krs_f32_of_f16(*(const uint16_t *)p)
           : codes->scale == KRS_CODE_SCALE_BF16 ? krs_f32_of_bf16(*(const uint16_t *)p)
                                                 : (float)*(const int8_t *)p;
}

static void read_group(const subject *s, int64_t out, int64_t g, group_of *to)
{
    const krs_codes *codes = &s->codes;
    float scale = 0;
    float bias = 0;
    for (int32_t i = 0; i < codes->group; i++) {
        uint8_t block[KRS_CODES_BLOCK];
        const int64_t column = g * codes->group + i;
        krs_codes_read(&s->m, out, column / KRS_CODES_BLOCK, block);
        const uint8_t code = block[column % KRS_CODES_BLOCK];
        to->values[i] = codes->table ? codes->table[code] : code;
    }
    krs_codes_scales(&s->m, out, g, 1, &scale, codes->has_bias ? &bias : NULL);
    to->scale = number_at(codes, &scale);
    to->bias = codes->has_bias ? number_at(codes, &bias) : 0;
    if (codes->scale == KRS_CODE_SCALE_SUPER) {
        uint16_t d;
        uint16_t dmin;
        krs_codes_super(&s->m, out, g * codes->group / KRS_CODES_SUPER, &d, &dmin);
        to->scale *= krs_f32_of_f16(d);
        to->bias = 0 - to->bias * krs_f32_of_f16(dmin);
    }
}

/* One group of one term of a row, into the term's total. */
static float add_group(const subject *s, const group_of *w, const unsigned char *x, int64_t g,
                       float total)
{
    const krs_codes *codes = &s->codes;
    int32_t sum = 0;
    float scale;
    float x_sum;
    for (int32_t i = 0; i < codes->group; i++) {
        sum += (w->values[i] - codes->zero) * (int8_t)x[g * codes->group + i];
    }
    memcpy(&scale, x + s->form.scales_at + (size_t)g * sizeof(scale), sizeof(scale));
    memcpy(&x_sum, x + s->form.sums_at + (size_t)g * sizeof(x_sum), sizeof(x_sum));
    total = fmaf((float)sum, w->scale * scale, total);
    return codes->has_bias ? fmaf(w->bias, x_sum, total) : total;
}

/* The whole product, an output at a time. */
static void multiply_plainly(const subject *s, float *out)
{
    for (int64_t o = 0; o < s->m.n_out; o++) {
        float totals[MAX_ROWS][MAX_TERMS] = {{0}};
        for (int64_t g = 0; g < s->tiles.n_steps; g++) {
            group_of w;
            read_group(s, o, g, &w);
            for (int r = 0; r < MAX_ROWS * s->form.n_terms; r++) {
                const unsigned char *x = s->rows + (size_t)r * s->form.term_bytes;
                float *total = &totals[r / s->form.n_terms][r % s->form.n_terms];
                *total = add_group(s, &w, x, g, *total);
            }
        }
        for (int r = 0; r < MAX_ROWS; r++) {
            const float y = s->form.n_terms == 2 ? totals[r][0] + totals[r][1] : totals[r][0];
            out[r * s->m.n_out + o] = y + s->bias[o];
        }
    }
}

/* Is the plain product that of the matrix with x? limits[r][o]: the sum of magnitudes. */
static void check_plain(const subject *s, const float *out, double *limits, const char *name)
{
    static float w[MAX_IN];
    for (int64_t o = 0; o < s->m.n_out; o++) {
        krs_matrix_row(&s->m, o, w);
        for (int r = 0; r < MAX_ROWS; r++) {
            const float *x = s->x + r * s->m.n_in;
            double sum = (double)s->bias[o];
            double magnitude = fabs(sum);
            double all = 0;
            float top = 0;
            for (int64_t i = 0; i < s->m.n_in; i++) {
                sum += (double)w[i] * (double)x[i];
                magnitude += fabs((double)w[i] * (double)x[i]);
                all += fabs((double)w[i]);
                top = fmaxf(top, fabsf(x[i]));
            }
            /* Half a step of a term's codes; a second term's step is the first's through 254. */
            const double step = (double)top / 254 / (s->form.n_terms == 2 ? 254 : 1);
            const double off = fabs((double)out[r * s->m.n_out + o] - sum);
            limits[r * s->m.n_out + o] = ROUNDING * (magnitude + 40 * all * (double)top);
            if (!(off <= 1.01 * step * all + limits[r * s->m.n_out + o])) {
                fail_msg("%s: [%d][%d] %g, want %g", name, r, (int)o,
                         (double)out[r * s->m.n_out + o], sum);
            }
        }
    }
}

static bool is_fused(const char *isa)
{
    return strcmp(isa, "portable") != 0;
}

static void check_rows(const subject *s, const krs_cpu_kernels *kernels, const char *name)
{
    const size_t row_bytes = (size_t)s->form.n_terms * s->form.term_bytes;
    unsigned char *row = calloc(1, row_bytes);
    assert_non_null(row);
    for (int r = 0; r < MAX_ROWS; r++) {
        krs_tile_row_fill(kernels, &s->form, s->x + r * s->m.n_in, row);
        if (memcmp(row, s->rows + (size_t)r * row_bytes, row_bytes) != 0) {
            fail_msg("%s: %s makes other bytes of row %d", name, kernels->isa, r);
        }
    }
    free(row);
}

/* Rows [MAX_ROWS - n, MAX_ROWS), for every n. */
static void check_isa(const subject *s, const krs_cpu_kernels *kernels, const float *want,
                      const double *limits, const char *name)
{
    static float out[MAX_ROWS * MAX_OUT];
    check_rows(s, kernels, name);
    for (int64_t n = 1; n <= MAX_ROWS; n += n < FEW_ROWS ? 1 : MAX_ROWS - FEW_ROWS) {
        const int64_t first = (MAX_ROWS - n) * s->m.n_out;
        const krs_cpu_tile_op op = op_of(s, out);
        memset(out, 0xFF, sizeof(out));
        kernels->tile_codes(&op, MAX_ROWS - n, n, 0, krs_tiles_n(&s->tiles));
        for (int64_t i = 0; i < MAX_ROWS * s->m.n_out; i++) {
            const double off = fabs((double)out[i] - (double)want[i]);
            if (i < first ? !isnan(out[i])
                          : !(is_fused(kernels->isa) ? off == 0 : off <= limits[i])) {
                fail_msg("%s on %s, %d rows: [%d][%d] %a, want %a", name, kernels->isa, (int)n,
                         (int)(i / s->m.n_out), (int)(i % s->m.n_out), (double)out[i],
                         (double)want[i]);
            }
        }
    }
}

static void check_terms(subject *s, int32_t n_terms, const krs_cpu_kernels *first, const char *name)
{
    static float want[MAX_ROWS * MAX_OUT];
    static double limits[MAX_ROWS * MAX_OUT];
    s->form = krs_tile_rows_of(&s->tiles, n_terms);
    s->rows = calloc(MAX_ROWS, (size_t)n_terms * s->form.term_bytes);
    assert_non_null(s->rows);
    for (size_t r = 0; r < MAX_ROWS; r++) {
        krs_tile_row_fill(first, &s->form, s->x + (int64_t)r * s->m.n_in,
                          s->rows + r * (size_t)n_terms * s->form.term_bytes);
    }
    multiply_plainly(s, want);
    check_plain(s, want, limits, name);
    for (uint32_t i = 0; krs_cpu_isa_name(i); i++) {
        krs_cpu_kernels kernels;
        if (krs_cpu_isa_is_here(krs_cpu_isa_name(i))) {
            assert_int_equal(krs_cpu_isa_kernels(krs_cpu_isa_name(i), &kernels, NULL, NULL),
                             KRS_OK);
            check_isa(s, &kernels, want, limits, name);
        }
    }
    free(s->rows);
}

/* s->m is made. */
static void check(subject *s)
{
    char name[64];
    krs_cpu_kernels kernels;
    (void)snprintf(name, sizeof(name), "%s, %d bits, group %d, %d x %d",
                   krs_quant_name(s->m.quant.kind), s->m.quant.bits, s->m.quant.group,
                   (int)s->m.n_out, (int)s->m.n_in);
    assert_int_equal(krs_matrix_check(&s->m, NULL), KRS_OK);
    assert_true(krs_codes_of(&s->m, &s->codes));
    assert_int_equal(krs_cpu_isa_kernels("portable", &kernels, NULL, NULL), KRS_OK);
    s->tiles = krs_tiles_of(&kernels, &s->m);
    assert_int_equal(s->tiles.kind, KRS_TILE_CODES);
    s->tile_bytes = malloc(krs_tiles_bytes(&s->tiles));
    assert_non_null(s->tile_bytes);
    krs_tiles_fill(&s->tiles, &s->m, 0, krs_tiles_n(&s->tiles), s->tile_bytes);
    for (int64_t i = 0; i < MAX_ROWS * s->m.n_in; i++) {
        s->x[i] = i % 97 == 0 ? 0 : between(-2, 2);
    }
    memset(s->x, 0, 16 * sizeof(float)); /* a group of zeros, or half of one */
    for (int64_t o = 0; o < s->m.n_out; o++) {
        s->bias[o] = between(-1, 1);
    }
    check_terms(s, 1, &kernels, name);
    check_terms(s, 2, &kernels, name);
    free(s->tile_bytes);
}

static subject *start(int64_t n_out, int64_t n_in)
{
    static subject s;
    assert_true(n_out <= MAX_OUT && n_in <= MAX_IN);
    memset(&s.m, 0, sizeof(s.m));
    s.m.n_out = n_out;
    s.m.n_in = n_in;
    return &s;
}

/* Tiles whole and not, in turn. */
static int64_t some_outs(void)
{
    static const int64_t outs[] = {1, 31, 32, 33, 64, MAX_OUT};
    return outs[next() % (sizeof(outs) / sizeof(outs[0]))];
}

static void affine_codes_multiply_alike(void **state)
{
    static const krs_dtype dtypes[] = {KRS_DTYPE_F32, KRS_DTYPE_F16, KRS_DTYPE_BF16};
    (void)state;
    for (int32_t bits = 2; bits <= 8; bits += bits == 6 ? 2 : 1) {
        for (int32_t group = 32; group <= 128; group *= 2) {
            subject *s = start(some_outs(), group * (int64_t)(1 + next() % 3));
            make_tables(s, (krs_quant){KRS_QUANT_AFFINE, bits, group}, dtypes[next() % 3]);
            check(s);
        }
    }
}

static void small_floats_multiply_alike(void **state)
{
    (void)state;
    for (int64_t n = 1; n <= 5; n += 2) {
        subject *s = start(some_outs(), 32 * n);
        make_tables(s, (krs_quant){KRS_QUANT_MXFP4, 4, 32}, KRS_DTYPE_U8);
        check(s);
        s = start(some_outs(), 16 * n); /* half of the last block is padding */
        make_tables(s, (krs_quant){KRS_QUANT_NVFP4, 4, 16}, KRS_DTYPE_U8);
        check(s);
    }
}

static void signed_bytes_multiply_alike(void **state)
{
    static const int64_t shapes[][2] = {{128, 256}, {64, 77},   {96, 100},
                                        {128, 200}, {500, 300}, {7, 7}};
    (void)state;
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        subject *s = start(some_outs(), shapes[i][1]);
        make_tables(s, (krs_quant){KRS_QUANT_INT8, 8, (int32_t)shapes[i][0]}, KRS_DTYPE_BF16);
        check(s);
    }
}

static void blocks_of_gguf_multiply_alike(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
        const int64_t unit = krs_gguf_type_of_kind(blocks[i].kind)->n_elements;
        subject *s = start(some_outs(), unit == 256 ? unit * (int64_t)(1 + next() % 2) : unit * 5);
        make_blocks(s, &blocks[i]);
        check(s);
    }
}

int main(void)
{
    const char *seed = getenv("KRS_TEST_SEED");
    random_state = seed ? strtoull(seed, NULL, 10) : 20261122;
    (void)printf("KRS_TEST_SEED=%llu\n", (unsigned long long)random_state);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(affine_codes_multiply_alike),
        cmocka_unit_test(small_floats_multiply_alike),
        cmocka_unit_test(signed_bytes_multiply_alike),
        cmocka_unit_test(blocks_of_gguf_multiply_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
