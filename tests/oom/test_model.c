/* oom/test_model.c - opening a model with every allocation failing once: KRS_ENOMEM and nothing held.
 * Both ways of holding weights, a dense and a quantised model, and those whose weights are rewritten. */
#include "model/model.h"
#include "support/golden_folder.h"
#include "support/model_folder.h"
#include "support/oom.h"

typedef struct folder {
    const char *dir;
    krs_os_map_mode mode;
} folder;

static krs_status open_and_close(const krs_alloc *alloc, void *ctx)
{
    const folder *f = ctx;
    krs_model_options options = KRS_MODEL_OPTIONS_INIT;
    options.map_mode = f->mode;
    krs_model *model = NULL;
    krs_error err = KRS_ERROR_INIT;
    const krs_status status = krs_model_open(f->dir, &options, alloc, &model, &err);
    assert_true((status == KRS_OK) == (model != NULL));
    assert_int_equal(err.status, status);
    krs_model_close(model);
    return status;
}

static void opening_a_model_survives_any_failed_allocation(void **state)
{
    (void)state;
    static const folder folders[] = {
        {KRS_SOURCE_DIR "/models/demo-draft", KRS_OS_MAP_SHARED_PAGES},
        {KRS_SOURCE_DIR "/models/demo-draft", KRS_OS_MAP_COPY},
        {KRS_SOURCE_DIR "/tests/data/golden/qwen2", KRS_OS_MAP_SHARED_PAGES},
        {KRS_SOURCE_DIR "/tests/data/golden/qwen3-yarn", KRS_OS_MAP_SHARED_PAGES},
    };
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        folder f = folders[i];
        (void)krs_oom_sweep(open_and_close, &f);
    }
}

/* Copies of weights, lists of a rotation, a second table. */
static void opening_any_kind_of_family_survives_any_failed_allocation(void **state)
{
    (void)state;
    static const char *const cases[] = {"deepseek_v3", "gpt_oss",       "qwen3_next",
                                        "gpt2",        "phi3-longrope", "gemma3"};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        krs_golden_folder golden;
        krs_golden_folder_open(&golden, cases[i]);
        folder f = {golden.dir, KRS_OS_MAP_SHARED_PAGES};
        assert_true(krs_oom_sweep(open_and_close, &f) > 5);
        krs_golden_folder_close(&golden);
    }
}

/* Position tables, norms behind, a relative bias, two rotations. */
static void opening_an_encoder_survives_any_failed_allocation(void **state)
{
    (void)state;
    static const char *const cases[] = {"bert", "xlm-roberta", "mpnet", "distilbert", "modernbert"};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char dir[KRS_OS_PATH_BYTES];
        (void)snprintf(dir, sizeof(dir), KRS_SOURCE_DIR "/tests/data/golden-embed/%s", cases[i]);
        folder f = {dir, KRS_OS_MAP_SHARED_PAGES};
        assert_true(krs_oom_sweep(open_and_close, &f) > 5);
    }
}

/* Exchange one module's weight for the tensors of another layout: four of them at most. */
typedef struct layout {
    const char *config; /* quantization_config */
    struct {
        const char *suffix;
        krs_dtype dtype;
        int64_t rows;
        int64_t columns; /* 0: a vector */
    } tensors[4];
} layout;

static void exchange(krs_folder *f, const layout *how)
{
    const char *module = "model.layers.0.mlp.up_proj"; /* [128, 64] */
    krs_folder_set(f, "quantization_config", how->config);
    krs_folder_drop(f, "model.layers.0.mlp.up_proj.weight");
    for (size_t i = 0; i < 4 && how->tensors[i].suffix; i++) {
        char name[KRS_FOLDER_NAME_BYTES];
        (void)snprintf(name, sizeof(name), "%s%s", module, how->tensors[i].suffix);
        krs_folder_add(f, name, how->tensors[i].dtype, how->tensors[i].rows,
                       how->tensors[i].columns);
    }
}

static void rewriting_weights_survives_any_failed_allocation(void **state)
{
    (void)state;
    /* Indices are all zero: act order, which takes one allocation more. */
    static const layout layouts[] = {
        {"{\"quant_method\": \"gptq\", \"bits\": 4, \"group_size\": 32}",
         {{".qweight", KRS_DTYPE_I32, 8, 128},
          {".qzeros", KRS_DTYPE_I32, 2, 16},
          {".scales", KRS_DTYPE_F16, 2, 128},
          {".g_idx", KRS_DTYPE_I32, 64, 0}}},
        {"{\"quant_method\": \"awq\", \"bits\": 4, \"group_size\": 32}",
         {{".qweight", KRS_DTYPE_I32, 64, 16},
          {".qzeros", KRS_DTYPE_I32, 2, 16},
          {".scales", KRS_DTYPE_F16, 2, 128}}},
        {"{\"quant_method\": \"fp8\", \"weight_block_size\": [64, 32]}",
         {{".weight", KRS_DTYPE_F8_E4M3, 128, 64}, {".weight_scale_inv", KRS_DTYPE_F32, 2, 2}}},
        {"{\"quant_method\": \"compressed-tensors\", \"format\": \"pack-quantized\"}",
         {{".weight_packed", KRS_DTYPE_I32, 128, 8},
          {".weight_scale", KRS_DTYPE_BF16, 128, 2},
          {".weight_g_idx", KRS_DTYPE_I32, 64, 0}}},
    };
    for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++) {
        char dir[KRS_OS_PATH_BYTES];
        krs_folder f;
        krs_folder_init(&f, "llama");
        exchange(&f, &layouts[i]);
        krs_folder_make(dir);
        krs_folder_write_config(&f, dir);
        krs_folder_write_tensors(&f, dir);
        folder where = {dir, KRS_OS_MAP_SHARED_PAGES};
        (void)krs_oom_sweep(open_and_close, &where);
        krs_folder_remove(dir);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rewriting_weights_survives_any_failed_allocation),
        cmocka_unit_test(opening_a_model_survives_any_failed_allocation),
        cmocka_unit_test(opening_any_kind_of_family_survives_any_failed_allocation),
        cmocka_unit_test(opening_an_encoder_survives_any_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
