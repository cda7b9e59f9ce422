/* tests/unit/model/test_bind.c - honest folders open; each kind of lie is refused with its name. */
#include "support/model_folder.h"

#define Q "model.layers.1.self_attn.q_proj"

static void an_honest_folder_of_every_family_opens(void **state)
{
    (void)state;
    static const char *const families[] = {"llama", "mistral", "qwen2", "qwen3"};
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        krs_folder f;
        krs_folder_init(&f, families[i]);
        krs_model_close(krs_folder_accept(&f));
    }
}

static void every_single_missing_tensor_is_named(void **state)
{
    (void)state;
    static const char *const families[] = {"llama", "qwen2", "qwen3"};
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        krs_folder f;
        krs_folder_init(&f, families[i]);
        for (uint32_t t = 0; t < f.n_tensors; t++) {
            krs_folder without = f;
            without.tensors[t].name[0] = '\0';
            krs_folder_refuse(&without, KRS_ENOENT, "missing tensor", f.tensors[t].name);
        }
    }
}

static void every_single_wrong_shape_shows_the_tensor(void **state)
{
    (void)state;
    krs_folder f;
    krs_folder_init(&f, "qwen3");
    for (uint32_t t = 0; t < f.n_tensors; t++) {
        krs_folder wrong = f;
        wrong.tensors[t].dims[wrong.tensors[t].rank - 1] += 1;
        krs_folder_refuse(&wrong, KRS_EFORMAT, f.tensors[t].name, "shape [");
    }
}

static void a_wrong_shape_shows_both_shapes(void **state)
{
    (void)state;
    krs_folder f;
    krs_folder_init(&f, "llama");
    krs_folder_find(&f, Q ".weight")->dims[0] = 64;
    krs_folder_refuse(&f, KRS_EFORMAT, "shape [64, 64]", "asks for [128, 64]");
    krs_folder_init(&f, "llama");
    *krs_folder_find(&f, "model.norm.weight") =
        (krs_folder_tensor){"model.norm.weight", KRS_DTYPE_BF16, 2, {1, 64}};
    krs_folder_refuse(&f, KRS_EFORMAT, "shape [1, 64]", "asks for [64]");
    *krs_folder_find(&f, "model.norm.weight") =
        (krs_folder_tensor){"model.norm.weight", KRS_DTYPE_BF16, 0, {0}};
    krs_folder_refuse(&f, KRS_EFORMAT, "shape []", "asks for [64]");
}

static void another_vocabulary_is_called_that(void **state)
{
    (void)state;
    krs_folder f;
    krs_folder_init(&f, "llama");
    krs_folder_set(&f, "vocab_size", "50");
    krs_folder_refuse(&f, KRS_EFORMAT,
                      "vocabulary mismatch: tensor model.embed_tokens.weight has 48",
                      "vocab_size is 50");
    krs_folder_init(&f, "llama");
    krs_folder_find(&f, "lm_head.weight")->dims[0] = 47;
    krs_folder_refuse(&f, KRS_EFORMAT, "vocabulary mismatch: tensor lm_head.weight has 47",
                      "vocab_size is 48");
}

static void a_dtype_without_a_kernel_is_named(void **state)
{
    (void)state;
    krs_folder f;
    krs_folder_init(&f, "llama");
    krs_folder_find(&f, Q ".weight")->dtype = KRS_DTYPE_I32;
    krs_folder_refuse(&f, KRS_EUNSUPPORTED, Q ".weight", "dtype I32");
    krs_folder_init(&f, "llama");
    krs_folder_find(&f, "model.norm.weight")->dtype = KRS_DTYPE_F64;
    krs_folder_refuse(&f, KRS_EUNSUPPORTED, "model.norm.weight", "dtype F64");
}

static void any_float_dtype_binds(void **state)
{
    (void)state;
    krs_folder f;
    krs_folder_init(&f, "llama");
    krs_folder_find(&f, Q ".weight")->dtype = KRS_DTYPE_F32;
    krs_folder_find(&f, "model.norm.weight")->dtype = KRS_DTYPE_F16;
    krs_model_close(krs_folder_accept(&f));
}

static void an_unknown_family_names_the_nearest_ones(void **state)
{
    (void)state;
    krs_folder f;
    krs_folder_init(&f, "qwen9");
    krs_folder_refuse(&f, KRS_EUNSUPPORTED, "\"qwen9\"", "nearest: qwen2, qwen3");
    /* Also when the rest of the file makes no sense to us. */
    krs_folder_set(&f, "hidden_size", "-1");
    krs_folder_refuse(&f, KRS_EUNSUPPORTED, "\"qwen9\"", "nearest: qwen2, qwen3");
}

static void an_unknown_activation_is_named(void **state)
{
    (void)state;
    krs_folder f;
    krs_folder_init(&f, "llama");
    krs_folder_set(&f, "hidden_act", "\"mish\"");
    krs_folder_refuse(&f, KRS_EUNSUPPORTED, "hidden_act \"mish\"", "silu");
}

static void a_head_wider_than_the_kernels_is_refused(void **state)
{
    (void)state;
    krs_folder f;
    krs_folder_init(&f, "llama");
    krs_folder_set(&f, "head_dim", "2048");
    krs_folder_refuse(&f, KRS_EUNSUPPORTED, "head_dim 2048", "1024");
}

static void a_bias_the_family_does_not_have_is_refused(void **state)
{
    (void)state;
    krs_folder f;
    krs_folder_init(&f, "llama");
    krs_folder_add(&f, Q ".bias", KRS_DTYPE_BF16, 128, 0);
    krs_folder_refuse(&f, KRS_EFORMAT, Q ".bias", "no such bias");
}

static void announced_biases_are_demanded(void **state)
{
    (void)state;
    krs_folder f;
    krs_folder_init(&f, "llama");
    krs_folder_set(&f, "attention_bias", "true");
    krs_folder_refuse(&f, KRS_ENOENT, "missing tensor", "model.layers.0.self_attn.q_proj.bias");
    krs_folder_init(&f, "llama");
    krs_folder_set(&f, "mlp_bias", "true");
    krs_folder_refuse(&f, KRS_ENOENT, "missing tensor", "model.layers.0.mlp.gate_proj.bias");
    krs_folder_init(&f, "qwen3");
    krs_folder_set(&f, "attention_bias", "true");
    krs_folder_refuse(&f, KRS_ENOENT, "missing tensor", "model.layers.0.self_attn.q_proj.bias");
}

static void names_without_the_model_prefix_bind(void **state)
{
    (void)state;
    krs_folder f;
    krs_folder_init(&f, "qwen3");
    for (uint32_t t = 0; t < f.n_tensors; t++) {
        char *name = f.tensors[t].name;
        if (strncmp(name, "model.", 6) == 0) {
            memmove(name, name + 6, strlen(name + 6) + 1);
        }
    }
    krs_model_close(krs_folder_accept(&f));
    krs_folder_drop(&f, "layers.1.mlp.up_proj.weight");
    krs_folder_refuse(&f, KRS_ENOENT, "missing tensor layers.1.mlp.up_proj.weight", "");
}

/* Matrix index of the head and of the embedding: first and last op of any program here. */
static void find_ends(const krs_model *model, uint32_t *embed, uint32_t *head)
{
    const krs_program *program = krs_model_program(model);
    *embed = program->ops[0].matrix;
    *head = program->ops[program->n_ops - 1].matrix;
}

static void a_tied_head_is_the_embedding_even_beside_a_copy(void **state)
{
    (void)state;
    krs_folder f;
    krs_folder_init(&f, "qwen3");
    krs_folder_set(&f, "tie_word_embeddings", "true");
    for (int round = 0; round < 2; round++) {
        krs_model *model = krs_folder_accept(&f);
        uint32_t embed;
        uint32_t head;
        find_ends(model, &embed, &head);
        assert_int_equal(embed, head);
        assert_int_equal(krs_model_stats_of(model).head_bytes, 0);
        krs_model_close(model);
        if (round == 0) {
            krs_folder_drop(&f, "lm_head.weight");
        }
    }
}

static void an_untied_head_is_its_own_matrix(void **state)
{
    (void)state;
    krs_folder f;
    krs_folder_init(&f, "qwen3");
    krs_model *model = krs_folder_accept(&f);
    uint32_t embed;
    uint32_t head;
    find_ends(model, &embed, &head);
    assert_int_not_equal(embed, head);
    assert_int_equal(krs_model_stats_of(model).head_bytes, 2 * 48 * 64);
    krs_model_close(model);
    krs_folder_drop(&f, "lm_head.weight");
    krs_folder_refuse(&f, KRS_ENOENT, "missing tensor lm_head.weight", "tie");
}

static void init_quantised(krs_folder *f)
{
    krs_folder_init(f, "qwen3");
    krs_folder_set(f, "quantization", "{\"group_size\": 32, \"bits\": 4, \"mode\": \"affine\"}");
    krs_folder_quantise(f, Q, 4, 32);
}

static const krs_matrix *first_affine(const krs_model *model)
{
    const krs_program *program = krs_model_program(model);
    for (uint32_t i = 0; i < program->n_matrices; i++) {
        if (program->matrices[i].quant.kind == KRS_QUANT_AFFINE) {
            return &program->matrices[i];
        }
    }
    fail_msg("no affine matrix in the program");
    return NULL;
}

static void the_file_decides_which_modules_are_quantised(void **state)
{
    (void)state;
    krs_folder f;
    init_quantised(&f);
    krs_model *model = krs_folder_accept(&f);
    const krs_matrix *q = first_affine(model);
    assert_int_equal(q->n_out, 128);
    assert_int_equal(q->n_in, 64);
    assert_int_equal(q->quant.bits, 4);
    assert_int_equal(q->quant.group, 32);
    assert_int_equal(q->scale_dtype, KRS_DTYPE_BF16);
    const krs_tensor *scales = krs_tensor_dir_find(krs_model_tensors(model), KRS_STR(Q ".scales"));
    assert_ptr_equal(q->scales, scales->data);
    krs_model_close(model);
}

static void a_module_may_have_its_own_bits(void **state)
{
    (void)state;
    krs_folder f;
    krs_folder_init(&f, "qwen3");
    krs_folder_set(&f, "quantization",
                   "{\"group_size\": 32, \"bits\": 4, \"" Q
                   "\": {\"group_size\": 64, \"bits\": 8}}");
    krs_folder_quantise(&f, Q, 8, 64);
    krs_model *model = krs_folder_accept(&f);
    assert_int_equal(first_affine(model)->quant.bits, 8);
    assert_int_equal(first_affine(model)->quant.group, 64);
    krs_model_close(model);
}

static void a_quantised_module_lacks_no_part(void **state)
{
    (void)state;
    krs_folder f;
    init_quantised(&f);
    krs_folder_drop(&f, Q ".scales");
    krs_folder_refuse(&f, KRS_ENOENT, "missing tensor", Q ".scales");
    init_quantised(&f);
    krs_folder_drop(&f, Q ".biases");
    krs_folder_refuse(&f, KRS_ENOENT, "missing tensor", Q ".biases");
}

static void quantised_shapes_follow_bits_and_group(void **state)
{
    (void)state;
    krs_folder f;
    init_quantised(&f);
    krs_folder_find(&f, Q ".scales")->dims[1] = 1;
    krs_folder_refuse(&f, KRS_EFORMAT, Q ".scales: shape [128, 1]", "[128, 2]");
    init_quantised(&f);
    krs_folder_find(&f, Q ".biases")->dims[0] = 127;
    krs_folder_refuse(&f, KRS_EFORMAT, Q ".biases: shape [127, 2]", "[128, 2]");
    init_quantised(&f);
    krs_folder_find(&f, Q ".weight")->dims[1] = 16; /* as 8 bits would have it */
    krs_folder_refuse(&f, KRS_EFORMAT, Q ".weight: shape [128, 16]", "[128, 8]");
}

static void groups_must_divide_the_columns(void **state)
{
    (void)state;
    krs_folder f;
    krs_folder_init(&f, "qwen3");
    krs_folder_set(&f, "quantization", "{\"group_size\": 128, \"bits\": 4}");
    krs_folder_quantise(&f, Q, 4, 64);
    krs_folder_refuse(&f, KRS_EFORMAT, Q ".weight", "64 columns do not divide into groups of 128");
}

static void scales_must_be_floats_of_one_kind(void **state)
{
    (void)state;
    krs_folder f;
    init_quantised(&f);
    krs_folder_find(&f, Q ".biases")->dtype = KRS_DTYPE_F16;
    krs_folder_refuse(&f, KRS_EUNSUPPORTED, Q ".biases: dtype F16", "scales are BF16");
    init_quantised(&f);
    krs_folder_find(&f, Q ".scales")->dtype = KRS_DTYPE_U8;
    krs_folder_refuse(&f, KRS_EUNSUPPORTED, Q ".scales", "dtype U8");
}

static void file_and_config_must_agree_on_quantisation(void **state)
{
    (void)state;
    krs_folder f;
    krs_folder_init(&f, "qwen3");
    krs_folder_quantise(&f, Q, 4, 32);
    krs_folder_refuse(&f, KRS_EFORMAT, Q ".weight: U32", "not quantised");
    init_quantised(&f);
    krs_folder_tensor *weight = krs_folder_find(&f, Q ".weight");
    weight->dtype = KRS_DTYPE_BF16;
    weight->dims[1] = 64;
    krs_folder_refuse(&f, KRS_EFORMAT, Q ".scales", "not quantised");
}

static void what_is_no_model_folder_is_said_so(void **state)
{
    (void)state;
    krs_error err = KRS_ERROR_INIT;
    krs_model *model = NULL;
    assert_int_equal(krs_model_open("/tmp/krs-no-such-folder", NULL, NULL, &model, &err),
                     KRS_ENOENT);
    assert_non_null(strstr(err.message, "config.json"));
    char dir[KRS_OS_PATH_BYTES];
    krs_folder_make(dir);
    krs_folder f;
    krs_folder_init(&f, "llama");
    krs_folder_write_config(&f, dir);
    assert_int_equal(krs_model_open(dir, NULL, NULL, &model, &err), KRS_ENOENT);
    assert_non_null(strstr(err.message, "model.safetensors"));
    assert_null(model);
    krs_folder_remove(dir);
}

static void options_of_another_size_are_refused(void **state)
{
    (void)state;
    krs_model_options options = KRS_MODEL_OPTIONS_INIT;
    options.size -= 1;
    krs_model *model = NULL;
    assert_int_equal(krs_model_open("/tmp", &options, NULL, &model, NULL), KRS_EINVAL);
}

static void a_copied_file_binds_like_a_mapped_one(void **state)
{
    (void)state;
    krs_model_options options = KRS_MODEL_OPTIONS_INIT;
    options.map_mode = KRS_OS_MAP_COPY;
    krs_error err = KRS_ERROR_INIT;
    krs_model *model = NULL;
    assert_int_equal(krs_model_open(KRS_SOURCE_DIR "/models/demo", &options, NULL, &model, &err),
                     KRS_OK);
    krs_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_honest_folder_of_every_family_opens),
        cmocka_unit_test(every_single_missing_tensor_is_named),
        cmocka_unit_test(every_single_wrong_shape_shows_the_tensor),
        cmocka_unit_test(a_wrong_shape_shows_both_shapes),
        cmocka_unit_test(another_vocabulary_is_called_that),
        cmocka_unit_test(a_dtype_without_a_kernel_is_named),
        cmocka_unit_test(any_float_dtype_binds),
        cmocka_unit_test(an_unknown_family_names_the_nearest_ones),
        cmocka_unit_test(an_unknown_activation_is_named),
        cmocka_unit_test(a_head_wider_than_the_kernels_is_refused),
        cmocka_unit_test(a_bias_the_family_does_not_have_is_refused),
        cmocka_unit_test(announced_biases_are_demanded),
        cmocka_unit_test(names_without_the_model_prefix_bind),
        cmocka_unit_test(a_tied_head_is_the_embedding_even_beside_a_copy),
        cmocka_unit_test(an_untied_head_is_its_own_matrix),
        cmocka_unit_test(the_file_decides_which_modules_are_quantised),
        cmocka_unit_test(a_module_may_have_its_own_bits),
        cmocka_unit_test(a_quantised_module_lacks_no_part),
        cmocka_unit_test(quantised_shapes_follow_bits_and_group),
        cmocka_unit_test(groups_must_divide_the_columns),
        cmocka_unit_test(scales_must_be_floats_of_one_kind),
        cmocka_unit_test(file_and_config_must_agree_on_quantisation),
        cmocka_unit_test(what_is_no_model_folder_is_said_so),
        cmocka_unit_test(options_of_another_size_are_refused),
        cmocka_unit_test(a_copied_file_binds_like_a_mapped_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
