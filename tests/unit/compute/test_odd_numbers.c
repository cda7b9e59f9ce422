/* Numbers that should not come, and widths that do not fit: what is broken stays visible and stays where it
 * is, on ref and on every instruction set; a tail is computed as the rest of its row is. */
#include "support/op_values.h"

enum { WIDTH = 37, ROWS = 3 }; /* two whole vectors of 16 and a tail; of 8: four and one */

/* Rows of ordinary numbers, but for row 1, which holds `odd` at element `at`. */
static void fill(float *rows, int64_t width, int64_t at, float odd)
{
    for (int64_t i = 0; i < ROWS * width; i++) {
        rows[i] = 0.25f * (float)(i % 7) - 0.5f;
    }
    rows[width + at] = odd;
}

/* Rows of `out` of the program on a machine; freed by the caller. */
static float *run_rows(const krs_program *program, const char *isa, krs_dtype kv_dtype)
{
    parity_runner run;
    float *out = parity_rows(ROWS, program->slots[program->logits].width);
    parity_open(&run, program, (parity_machine){isa, 1, kv_dtype});
    parity_step(&run, ROWS, 0, ROWS, out);
    parity_close(&run);
    return out;
}

/* Whether each machine's rows are NaN exactly where the function says. Ends the program. */
static void expect_nan(tiny_decoder *tiny, krs_slot from, krs_dtype kv_dtype,
                       bool (*is_nan_at)(int64_t row, int64_t i, int64_t at), int64_t at,
                       const char *name)
{
    parity_take_out(tiny, from);
    const int64_t width = tiny->program.slots[from].width;
    for (int k = -1; k < 0 || krs_cpu_isa_name((uint32_t)k); k++) {
        const char *isa = k < 0 ? NULL : krs_cpu_isa_name((uint32_t)k);
        if (isa && !krs_cpu_isa_is_here(isa)) {
            continue;
        }
        float *out = run_rows(&tiny->program, isa, kv_dtype);
        for (int64_t i = 0; i < ROWS * width; i++) {
            if (!!isnan(out[i]) != is_nan_at(i / width, i % width, at)) {
                fail_msg("%s on %s: row %lld element %lld is %g", name, isa ? isa : "ref",
                         (long long)(i / width), (long long)(i % width), (double)out[i]);
            }
        }
        krs_alloc_free(NULL, out);
    }
    tiny_decoder_deinit(tiny);
}

static bool at_the_element(int64_t row, int64_t i, int64_t at)
{
    return row == 1 && i == at;
}

static bool in_the_row(int64_t row, int64_t i, int64_t at)
{
    (void)i;
    (void)at;
    return row == 1;
}

static bool in_the_rows_that_see_it(int64_t row, int64_t i, int64_t at)
{
    (void)i;
    (void)at;
    return row >= 1;
}

static bool in_the_columns_that_see_it(int64_t row, int64_t i, int64_t at)
{
    return row >= 1 && i == at;
}

static const int64_t places[] = {0, 5, 15, 31, 32, 36}; /* in vectors, at their ends, in the tail */

#define N_PLACES (sizeof(places) / sizeof(places[0]))

static krs_slot start_odd(tiny_decoder *tiny, int64_t at)
{
    float rows[ROWS * WIDTH];
    fill(rows, WIDTH, at, NAN);
    start(tiny);
    return given_rows(tiny, ROWS, WIDTH, rows);
}

static void nan_stays_in_its_element(void **state)
{
    (void)state;
    for (size_t p = 0; p < N_PLACES; p++) {
        for (int act = 0; act < KRS_ACT_COUNT; act++) {
            tiny_decoder tiny;
            krs_slot x = start_odd(&tiny, places[p]);
            tiny_op(&tiny, (krs_op){.kind = KRS_OP_ACTIVATE,
                                    .in = x,
                                    .out = x,
                                    .activate = {(krs_activation)act}});
            expect_nan(&tiny, x, KRS_DTYPE_F32, at_the_element, places[p], "activate");
            x = start_odd(&tiny, places[p]);
            const krs_gate gate = {(krs_activation)act, act == KRS_ACT_SILU ? 7.0f : 0, 1.702f};
            tiny_op(&tiny, (krs_op){.kind = KRS_OP_GLU, .in = x, .in2 = x, .out = x, .glu = gate});
            expect_nan(&tiny, x, KRS_DTYPE_F32, at_the_element, places[p], "glu");
        }
        tiny_decoder tiny;
        const krs_slot x = start_odd(&tiny, places[p]);
        tiny_op(&tiny, (krs_op){.kind = KRS_OP_SCALE, .in = x, .out = x, .scale = {0.5f, 30.0f}});
        tiny_op(&tiny, (krs_op){.kind = KRS_OP_ADD, .in = x, .in2 = x, .out = x, .add = {0.5f}});
        expect_nan(&tiny, x, KRS_DTYPE_F32, at_the_element, places[p], "scale and add");
    }
}

static void nan_fills_its_row_where_sums_run_over_rows(void **state)
{
    (void)state;
    for (size_t p = 0; p < N_PLACES; p++) {
        for (int kind = 0; kind < 2; kind++) {
            tiny_decoder tiny;
            const krs_slot x = start_odd(&tiny, places[p]);
            tiny_op(&tiny, (krs_op){.kind = kind ? KRS_OP_LAYER_NORM : KRS_OP_RMS_NORM,
                                    .in = x,
                                    .out = x,
                                    .matrix = KRS_NO_MATRIX,
                                    .bias = KRS_NO_MATRIX,
                                    .norm = {1e-5f, 1, 0}});
            expect_nan(&tiny, x, KRS_DTYPE_F32, in_the_row, places[p], "norm");
        }
    }
}

/* x rounded to bf16 for some kernels: a NaN must survive that, wherever its bits are. */
static void nan_fills_its_row_through_every_matrix(void **state)
{
    (void)state;
    static const tiny_shape shapes[] = {
        {.dtype = KRS_DTYPE_F32},
        {.dtype = KRS_DTYPE_BF16},
        {.dtype = KRS_DTYPE_F16},
        {.dtype = KRS_DTYPE_BF16, .quant = {KRS_QUANT_AFFINE, 4, 32}},
        {.dtype = KRS_DTYPE_F32, .quant = {KRS_QUANT_AFFINE, 8, 64}},
        {.dtype = KRS_DTYPE_F16, .quant = {KRS_QUANT_AFFINE, 5, 32}},
    };
    enum { N_IN = 64 };
    static const uint32_t bits[] = {0x7F800001u, 0xFFC00000u, 0x7FFFFFFFu};
    for (size_t s = 0; s < sizeof(shapes) / sizeof(shapes[0]); s++) {
        for (size_t k = 0; k < 3; k++) {
            tiny_decoder tiny;
            float rows[ROWS * N_IN];
            float odd;
            memcpy(&odd, &bits[k], sizeof(odd));
            fill(rows, N_IN, 17 * (int64_t)k, 0);
            memcpy(&rows[N_IN + 17 * k], &odd, sizeof(odd));
            start(&tiny);
            const krs_slot x = given_rows(&tiny, ROWS, N_IN, rows);
            const krs_slot y = tiny_slot(&tiny, 11, KRS_ROWS_ALL);
            tiny_linear(&tiny, &shapes[s], x, y, false);
            expect_nan(&tiny, y, KRS_DTYPE_F32, in_the_row, 0, "linear");
        }
    }
}

/* One head, K and V as wide as a row; the NaN of row 1 is in K, or in V. */
static void expect_nan_attended(bool is_in_k, int64_t at, krs_dtype kv_dtype, bool has_extras)
{
    tiny_decoder tiny;
    float odd[ROWS * WIDTH];
    float plain[ROWS * WIDTH];
    fill(odd, WIDTH, at, NAN);
    fill(plain, WIDTH, at, 1.0f);
    start(&tiny);
    tiny.program.n_kv_layers = 1;
    tiny.program.n_kv_heads = 1;
    tiny.program.head_dim = WIDTH;
    const krs_slot q = given_rows(&tiny, ROWS, WIDTH, plain);
    const krs_slot k = given_rows(&tiny, ROWS, WIDTH, is_in_k ? odd : plain);
    const krs_slot v = given_rows(&tiny, ROWS, WIDTH, is_in_k ? plain : odd);
    const krs_slot out = tiny_slot(&tiny, WIDTH, KRS_ROWS_ALL);
    krs_op op = {.kind = KRS_OP_KV_WRITE,
                 .in = k,
                 .in2 = v,
                 .matrix = KRS_NO_MATRIX,
                 .attention = {0, 1, 1, WIDTH, 0, 1.0f, has_extras ? 5.0f : 0, 0}};
    tiny_op(&tiny, op);
    op.kind = KRS_OP_ATTENTION;
    op.in = q;
    op.out = out;
    op.matrix = has_extras ? given(&tiny, 1, 1, (const float[]){0.5f}) : KRS_NO_MATRIX;
    tiny_op(&tiny, op);
    const bool is_whole_head = is_in_k || kv_dtype == KRS_DTYPE_I8; /* one scale for a head */
    expect_nan(&tiny, out, kv_dtype,
               is_whole_head ? in_the_rows_that_see_it : in_the_columns_that_see_it, at,
               is_in_k ? "attention, K" : "attention, V");
}

static void nan_in_the_cache_reaches_those_that_see_it(void **state)
{
    (void)state;
    static const krs_dtype dtypes[] = {KRS_DTYPE_F32, KRS_DTYPE_F16, KRS_DTYPE_BF16, KRS_DTYPE_I8};
    for (size_t p = 0; p < N_PLACES; p++) {
        for (size_t d = 0; d < 4; d++) {
            expect_nan_attended(true, places[p], dtypes[d], p % 2 == 0);
            expect_nan_attended(false, places[p], dtypes[d], p % 2 == 0);
        }
    }
}

/* Each width from 1: the n-th element is the same whether it ends a row or stands in its middle. */
static void tails_are_computed_as_whole_vectors_are(void **state)
{
    (void)state;
    enum { MOST = 40 };
    for (uint32_t k = 0; krs_cpu_isa_name(k); k++) {
        float whole[KRS_ACT_COUNT][MOST];
        const char *isa = krs_cpu_isa_name(k);
        for (int64_t width = MOST; krs_cpu_isa_is_here(isa) && width > 0; width--) {
            for (int act = 0; act < KRS_ACT_COUNT; act++) {
                tiny_decoder tiny;
                float row[ROWS * MOST];
                for (int64_t i = 0; i < ROWS * MOST; i++) {
                    row[i] = 0.3f * (float)(i % MOST) - 5.0f; /* all rows begin alike */
                }
                start(&tiny);
                const krs_slot x = given_rows(&tiny, 1, width, row);
                const krs_gate gate = {(krs_activation)act, 0, 0};
                tiny_op(&tiny,
                        (krs_op){.kind = KRS_OP_GLU, .in = x, .in2 = x, .out = x, .glu = gate});
                tiny_op(&tiny,
                        (krs_op){.kind = KRS_OP_SCALE, .in = x, .out = x, .scale = {0.7f, 3.0f}});
                parity_take_out(&tiny, x);
                parity_runner run;
                float out[MOST];
                parity_open(&run, &tiny.program, (parity_machine){isa, 1, KRS_DTYPE_F32});
                parity_step(&run, 1, 0, 1, out);
                parity_close(&run);
                if (width == MOST) {
                    memcpy(whole[act], out, sizeof(out));
                }
                assert_memory_equal(out, whole[act], (size_t)width * sizeof(*out));
                tiny_decoder_deinit(&tiny);
            }
        }
    }
}

static void tiny_and_huge_rows_keep_their_direction(void **state)
{
    (void)state;
    tiny_decoder tiny;
    start(&tiny);
    /* below f32's normal range, f32's largest over the square root of the width, and nothing at all */
    const float rows[] = {3e-40f, 4e-40f, 3e18f, 4e18f, 0, 0};
    const krs_slot x = given_rows(&tiny, 3, 2, rows);
    tiny_op(&tiny, (krs_op){.kind = KRS_OP_RMS_NORM,
                            .in = x,
                            .out = x,
                            .matrix = KRS_NO_MATRIX,
                            .norm = {1e-6f, 1, 0}});
    expect(&tiny, x, 3, (const float[]){0, 0, 0.84852814f, 1.1313708f, 0, 0});
}

static void subnormal_halves_are_read_as_they_are(void **state)
{
    (void)state;
    tiny_decoder tiny;
    start(&tiny);
    const float values[] = {0x1p-24f, -0x1p-20f, 0x1.8p-15f, 0x1p-14f};
    const krs_matrix m = {.n_out = 1,
                          .n_in = 4,
                          .dtype = KRS_DTYPE_F16,
                          .data = tiny_store(&tiny, KRS_DTYPE_F16, values, 4)};
    uint32_t index;
    assert_int_equal(krs_program_add_matrix(&tiny.program, &m, &index), KRS_OK);
    const krs_slot x = tiny_slot(&tiny, 4, KRS_ROWS_ALL);
    tiny_op(&tiny,
            (krs_op){.kind = KRS_OP_EMBED, .out = x, .matrix = index, .embed = {0x1p24f, 0}});
    expect(&tiny, x, 1, (const float[]){1, -16, 768, 1024});
    /* and as weights: kernels of their own */
    start(&tiny);
    const krs_slot in = given_rows(&tiny, 1, 4, (const float[]){0x1p24f, 0, 0x1p24f, 0});
    const krs_slot out = tiny_slot(&tiny, 1, KRS_ROWS_ALL);
    const krs_matrix w = {.n_out = 1,
                          .n_in = 4,
                          .dtype = KRS_DTYPE_F16,
                          .data = tiny_store(&tiny, KRS_DTYPE_F16, values, 4)};
    assert_int_equal(krs_program_add_matrix(&tiny.program, &w, &index), KRS_OK);
    tiny_op(
        &tiny,
        (krs_op){
            .kind = KRS_OP_LINEAR, .in = in, .out = out, .matrix = index, .bias = KRS_NO_MATRIX});
    expect(&tiny, out, 1, (const float[]){769});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nan_stays_in_its_element),
        cmocka_unit_test(nan_fills_its_row_where_sums_run_over_rows),
        cmocka_unit_test(nan_fills_its_row_through_every_matrix),
        cmocka_unit_test(nan_in_the_cache_reaches_those_that_see_it),
        cmocka_unit_test(tails_are_computed_as_whole_vectors_are),
        cmocka_unit_test(tiny_and_huge_rows_keep_their_direction),
        cmocka_unit_test(subnormal_halves_are_read_as_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
