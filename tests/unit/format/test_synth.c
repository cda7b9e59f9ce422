/* tests/unit/format/test_synth.c - random weights: normal, repeatable, independent of how they are cut,
 * and quantised as the quantiser says. */
#include "format/safetensors.h"
#include "format/synth.h"
#include "format/synth_values.h"
#include "os/dir.h"
#include "support/cmocka.h"

#include <math.h>
#include <stdlib.h>

#define N_DRAWS (1u << 20)

static const krs_synth_module modules[] = {
    {.name = {"embed", 5}, .n_out = 700, .n_in = 128},
    {.name = {"up", 2}, .n_out = 33, .n_in = 64, .has_bias = true},
    {.name = {"norm", 4}, .n_out = 0, .n_in = 70000},
};

#define N_MODULES (sizeof(modules) / sizeof(modules[0]))

static void values_are_normal(void **state)
{
    (void)state;
    krs_synth_values *values = krs_synth_values_new(KRS_SYNTH_STD, NULL);
    float *x = malloc(N_DRAWS * sizeof(float));
    assert_true(values && x);
    krs_synth_values_fill(values, krs_synth_key(7, KRS_STR("w")), 0, N_DRAWS, x);
    double moments[5] = {0};
    uint32_t n_inside = 0;
    double neighbours = 0;
    for (uint32_t i = 0; i < N_DRAWS; i++) {
        const double z = x[i] / KRS_SYNTH_STD;
        for (int m = 1; m <= 4; m++) {
            moments[m] += pow(z, m) / N_DRAWS;
        }
        n_inside += fabs(z) < 1.0;
        neighbours += i > 0 ? z * (x[i - 1] / KRS_SYNTH_STD) / N_DRAWS : 0.0;
    }
    /* Five standard errors each; the draws are fixed, so this never flickers. */
    assert_true(fabs(moments[1]) < 0.005);
    assert_true(fabs(moments[2] - 1.0) < 0.008);
    assert_true(fabs(moments[3]) < 0.02);
    assert_true(fabs(moments[4] - 3.0) < 0.06);
    assert_true(fabs((double)n_inside / N_DRAWS - 0.682689) < 0.0025);
    assert_true(fabs(neighbours) < 0.005);
    free(x);
    krs_synth_values_free(values);
}

static void values_do_not_depend_on_the_cut(void **state)
{
    (void)state;
    krs_synth_values *values = krs_synth_values_new(1.0, NULL);
    assert_non_null(values);
    const uint64_t key = krs_synth_key(1, KRS_STR("w"));
    float whole[64];
    float piece[64];
    krs_synth_values_fill(values, key, 0, 64, whole);
    for (uint64_t first = 0; first < 64; first += KRS_SYNTH_BLOCK) {
        for (size_t n = 0; n <= 64 - first; n++) {
            krs_synth_values_fill(values, key, first, n, piece);
            assert_memory_equal(piece, whole + first, n * sizeof(float));
        }
    }
    krs_synth_values_fill(values, krs_synth_key(1, KRS_STR("v")), 0, 64, piece);
    assert_memory_not_equal(piece, whole, sizeof(whole));
    krs_synth_values_fill(values, krs_synth_key(2, KRS_STR("w")), 0, 64, piece);
    assert_memory_not_equal(piece, whole, sizeof(whole));
    krs_synth_values_free(values);
}

static krs_safetensors *make_model(const char *dir, const krs_synth_options *options,
                                   krs_synth_result *result)
{
    krs_safetensors *st = NULL;
    krs_error err = KRS_ERROR_INIT;
    if (krs_synth_write(dir, modules, N_MODULES, options, NULL, result, &err) != KRS_OK ||
        krs_safetensors_open(dir, KRS_OS_MAP_COPY, NULL, &st, &err) != KRS_OK) {
        fail_msg("%s", err.message);
    }
    return st;
}

static int make_folder(void **state)
{
    static char dir[KRS_OS_PATH_BYTES];
    *state = dir;
    return krs_os_dir_temporary(dir, NULL) == KRS_OK ? 0 : -1;
}

static int drop_folder(void **state)
{
    return krs_os_dir_remove(*state, NULL) == KRS_OK ? 0 : -1;
}

static void empty_folder(const char *dir)
{
    assert_int_equal(krs_os_dir_remove(dir, NULL), KRS_OK);
    assert_int_equal(krs_os_dir_make(dir, NULL), KRS_OK);
}

static void assert_same_tensors(const krs_safetensors *a, const krs_safetensors *b)
{
    assert_int_equal(krs_safetensors_count(a), krs_safetensors_count(b));
    for (uint32_t i = 0; i < krs_safetensors_count(a); i++) {
        const krs_tensor *x = krs_safetensors_at(a, i);
        const krs_tensor *y = krs_safetensors_at(b, i);
        assert_true(krs_str_equal(x->name, y->name));
        assert_int_equal(x->n_bytes, y->n_bytes);
        assert_memory_equal(x->data, y->data, x->n_bytes);
    }
}

static void the_same_seed_gives_the_same_bytes_however_sharded(void **state)
{
    const char *dir = *state;
    krs_synth_options options = KRS_SYNTH_OPTIONS_INIT;
    krs_synth_result result;
    options.seed = 42;
    krs_safetensors *one = make_model(dir, &options, &result);
    assert_int_equal(result.n_shards, 1);
    assert_int_equal(result.n_tensors, 4);
    assert_int_equal(result.n_parameters, 700 * 128 + 33 * 64 + 33 + 70000);
    assert_int_equal(result.n_bytes, 2 * result.n_parameters);
    empty_folder(dir);
    options.max_shard_bytes = 141000;
    krs_safetensors *many = make_model(dir, &options, &result);
    assert_int_equal(result.n_shards, 3);
    assert_same_tensors(one, many);
    empty_folder(dir);
    options.seed = 43;
    krs_safetensors *other = make_model(dir, &options, &result);
    const krs_tensor *a = krs_safetensors_find(one, KRS_STR("embed.weight"));
    const krs_tensor *b = krs_safetensors_find(other, KRS_STR("embed.weight"));
    assert_memory_not_equal(a->data, b->data, a->n_bytes);
    krs_safetensors_close(one);
    krs_safetensors_close(many);
    krs_safetensors_close(other);
}

static void norms_are_one_and_dtypes_are_roundings_of_each_other(void **state)
{
    const char *dir = *state;
    krs_synth_options options = KRS_SYNTH_OPTIONS_INIT;
    options.dtype = KRS_DTYPE_F32;
    krs_safetensors *exact = make_model(dir, &options, NULL);
    const krs_tensor *norm = krs_safetensors_find(exact, KRS_STR("norm.weight"));
    assert_int_equal(norm->rank, 1);
    const krs_tensor *wide = krs_safetensors_find(exact, KRS_STR("up.weight"));
    float ones[2];
    assert_true(krs_f32_of_any(KRS_DTYPE_F32, norm->data, 2, ones));
    assert_true(ones[0] == 1.0f && ones[1] == 1.0f);
    for (int half = 0; half < 2; half++) {
        empty_folder(dir);
        options.dtype = half ? KRS_DTYPE_F16 : KRS_DTYPE_BF16;
        krs_safetensors *st = make_model(dir, &options, NULL);
        const krs_tensor *up = krs_safetensors_find(st, KRS_STR("up.weight"));
        norm = krs_safetensors_find(st, KRS_STR("norm.weight"));
        assert_true(krs_f32_of_any(options.dtype, norm->data, 2, ones));
        assert_true(ones[0] == 1.0f && ones[1] == 1.0f);
        for (size_t i = 0; i < 33 * 64; i++) {
            float x;
            uint16_t y;
            memcpy(&x, (const unsigned char *)wide->data + 4 * i, sizeof(x));
            memcpy(&y, (const unsigned char *)up->data + 2 * i, sizeof(y));
            assert_int_equal(y, half ? krs_f16_of_f32(x) : krs_bf16_of_f32(x));
        }
        krs_safetensors_close(st);
    }
    krs_safetensors_close(exact);
}

static void quantised_modules_are_the_quantised_dense_ones(void **state)
{
    const char *dir = *state;
    krs_synth_options options = KRS_SYNTH_OPTIONS_INIT;
    options.dtype = KRS_DTYPE_F32;
    krs_safetensors *dense = make_model(dir, &options, NULL);
    float w[700 * 128];
    memcpy(w, krs_safetensors_find(dense, KRS_STR("embed.weight"))->data, sizeof(w));
    krs_safetensors_close(dense);
    for (int32_t bits = 4; bits <= 8; bits += 4) {
        empty_folder(dir);
        options.dtype = KRS_DTYPE_BF16;
        options.quant = (krs_quant){KRS_QUANT_AFFINE, bits, 64};
        krs_safetensors *st = make_model(dir, &options, NULL);
        const krs_matrix shape = {.n_out = 700,
                                  .n_in = 128,
                                  .quant = options.quant,
                                  .dtype = KRS_DTYPE_U32,
                                  .scale_dtype = KRS_DTYPE_BF16};
        static unsigned char packed[700 * 128];
        unsigned char scales[700 * 2 * 2];
        unsigned char biases[sizeof(scales)];
        assert_int_equal(krs_quant_affine(w, &shape, packed, scales, biases, NULL), KRS_OK);
        const krs_tensor *q = krs_safetensors_find(st, KRS_STR("embed.weight"));
        assert_int_equal(q->dtype, KRS_DTYPE_U32);
        assert_int_equal(q->dims[1], 128 * bits / 32);
        assert_int_equal(q->n_bytes, krs_matrix_data_bytes(&shape));
        assert_memory_equal(q->data, packed, q->n_bytes);
        const krs_tensor *s = krs_safetensors_find(st, KRS_STR("embed.scales"));
        const krs_tensor *b = krs_safetensors_find(st, KRS_STR("embed.biases"));
        assert_memory_equal(s->data, scales, sizeof(scales));
        assert_memory_equal(b->data, biases, sizeof(biases));
        assert_int_equal(krs_safetensors_find(st, KRS_STR("up.bias"))->dtype, KRS_DTYPE_BF16);
        assert_null(krs_safetensors_find(st, KRS_STR("norm.scales")));
        krs_safetensors_close(st);
    }
}

static void what_cannot_be_made_is_refused(void **state)
{
    const char *dir = *state;
    krs_synth_options options = KRS_SYNTH_OPTIONS_INIT;
    krs_error err = KRS_ERROR_INIT;
    options.quant = (krs_quant){KRS_QUANT_AFFINE, 4, 128};
    assert_int_equal(krs_synth_write(dir, modules, N_MODULES, &options, NULL, NULL, &err),
                     KRS_EFORMAT);
    assert_non_null(strstr(err.message, "up: 64 columns"));
    options = (krs_synth_options)KRS_SYNTH_OPTIONS_INIT;
    options.dtype = KRS_DTYPE_I8;
    assert_int_equal(krs_synth_write(dir, modules, N_MODULES, &options, NULL, NULL, &err),
                     KRS_EINVAL);
    options.dtype = KRS_DTYPE_BF16;
    assert_int_equal(krs_synth_write(dir, modules, 0, &options, NULL, NULL, &err), KRS_EINVAL);
    const krs_synth_module bad = {.name = {"x", 1}, .n_out = INT64_MAX, .n_in = INT64_MAX};
    assert_int_equal(krs_synth_write(dir, &bad, 1, &options, NULL, NULL, &err), KRS_EINVAL);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, drop_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_normal),
        cmocka_unit_test(values_do_not_depend_on_the_cut),
        IN_FOLDER(the_same_seed_gives_the_same_bytes_however_sharded),
        IN_FOLDER(norms_are_one_and_dtypes_are_roundings_of_each_other),
        IN_FOLDER(quantised_modules_are_the_quantised_dense_ones),
        IN_FOLDER(what_cannot_be_made_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
