/* oom/test_model.c - opening a model with every allocation failing once: KRS_ENOMEM and nothing held.
 * Both ways of holding weights, a dense and a quantised model. */
#include "model/model.h"
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opening_a_model_survives_any_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
