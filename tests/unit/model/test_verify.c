/* tests/unit/model/test_verify.c - values that are no numbers are found, in dense weights by their place, in
 * quantised ones through their scales. */
#include "format/safetensors.h"
#include "model/verify.h"
#include "support/synth_folder.h"

#include <math.h>
#include <stdio.h>

#define SHAPE                                                                                      \
    "{\"model_type\": \"llama\", \"vocab_size\": 2048, \"hidden_size\": 64,"                       \
    "\"intermediate_size\": 128, \"num_hidden_layers\": 1, \"num_attention_heads\": 2,"            \
    "\"num_key_value_heads\": 1, \"max_position_embeddings\": 64, \"rms_norm_eps\": 1e-06,"        \
    "\"hidden_act\": \"silu\", \"eos_token_id\": 2029, \"tie_word_embeddings\": true"

typedef struct faults {
    krs_verify_fault last;
    char name[128];
    uint32_t n;
} faults;

static void keep(void *ctx, const krs_verify_fault *fault)
{
    faults *f = ctx;
    f->last = *fault;
    (void)snprintf(f->name, sizeof(f->name), "%.*s", KRS_STR_ARGS(fault->tensor));
    f->n++;
}

/* Make a model, write value over element `index` of a tensor of bf16 in its file, and verify it. */
static faults verify_with(const char *shape, const char *tensor, size_t index, uint16_t value,
                          krs_verify_sum *sum)
{
    char dir[KRS_OS_PATH_BYTES];
    char path[KRS_OS_PATH_BYTES];
    krs_synth_folder_make(shape, dir);
    assert_int_equal(krs_os_path_join(dir, "model.safetensors", path, sizeof(path)), KRS_OK);
    if (tensor) {
        krs_safetensors *st = NULL;
        krs_buf bytes;
        krs_buf_init(&bytes, NULL, 64u << 20);
        assert_int_equal(krs_safetensors_open(dir, KRS_OS_MAP_COPY, NULL, &st, NULL), KRS_OK);
        const krs_tensor *t = krs_safetensors_find(st, krs_str_of(tensor));
        assert_non_null(t);
        assert_int_equal(t->dtype, KRS_DTYPE_BF16);
        assert_int_equal(krs_os_file_read(path, &bytes, NULL), KRS_OK);
        /* The same bytes stand in the file once: random weights do not repeat. */
        const krs_str whole = {(const char *)bytes.data, bytes.len};
        const size_t at = krs_str_find(whole, (krs_str){t->data, t->n_bytes}, 0);
        assert_int_not_equal(at, SIZE_MAX);
        memcpy(bytes.data + at + 2 * index, &value, sizeof(value));
        assert_int_equal(krs_os_file_write(path, bytes.data, bytes.len, NULL), KRS_OK);
        krs_buf_deinit(&bytes);
        krs_safetensors_close(st);
    }
    faults f = {.n = 0};
    krs_model *model = NULL;
    assert_int_equal(krs_model_open(dir, NULL, NULL, &model, NULL), KRS_OK);
    assert_int_equal(krs_model_verify(model, NULL, keep, &f, sum, NULL), KRS_OK);
    krs_model_close(model);
    assert_int_equal(krs_os_dir_remove(dir, NULL), KRS_OK);
    return f;
}

static void a_sound_model_has_no_faults(void **state)
{
    (void)state;
    krs_verify_sum sum;
    assert_int_equal(verify_with(SHAPE "}", NULL, 0, 0, &sum).n, 0);
    assert_int_equal(sum.n_faulty, 0);
    assert_int_equal(sum.n_opaque, 0);
    assert_true(sum.n_values > 2048 * 64);
}

static void a_nan_is_found_at_its_place(void **state)
{
    (void)state;
    krs_verify_sum sum;
    const faults f =
        verify_with(SHAPE "}", "model.layers.0.mlp.up_proj.weight", 5000, 0x7FC0, &sum);
    assert_int_equal(f.n, 1);
    assert_string_equal(f.name, "model.layers.0.mlp.up_proj.weight");
    assert_int_equal(f.last.n_nan, 1);
    assert_int_equal(f.last.n_infinite, 0);
    assert_int_equal(f.last.first, 5000);
    assert_int_equal(sum.n_faulty, 1);
}

static void an_infinite_scale_is_found_in_table_and_weights(void **state)
{
    (void)state;
    krs_verify_sum sum;
    const faults f = verify_with(SHAPE ", \"quantization\": {\"group_size\": 32, \"bits\": 4}}",
                                 "model.layers.0.mlp.up_proj.scales", 3, 0x7F80, &sum);
    assert_int_equal(f.n, 2); /* the scales, and the weights they make */
    assert_string_equal(f.name, "model.layers.0.mlp.up_proj.weight");
    assert_int_equal(f.last.n_nan + f.last.n_infinite, 32);
    assert_int_equal(f.last.first, 96); /* scale 3: of row 1, the second group of two */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_model_has_no_faults),
        cmocka_unit_test(a_nan_is_found_at_its_place),
        cmocka_unit_test(an_infinite_scale_is_found_in_table_and_weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
