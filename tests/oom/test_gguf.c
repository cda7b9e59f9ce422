/* Every failed allocation on the way from a GGUF file to a model and a tokenizer. */
#include "format/gguf_folder.h"
#include "model/model.h"
#include "model/source.h"
#include "os/dir.h"
#include "support/gguf_convert.h"
#include "support/oom.h"

#define CASE KRS_SOURCE_DIR "/tests/data/golden/qwen2"

static krs_status open_model(const krs_alloc *alloc, void *ctx)
{
    krs_model *model = NULL;
    krs_error err = KRS_ERROR_INIT;
    const krs_status status = krs_model_open(ctx, NULL, alloc, &model, &err);
    assert_int_equal(model != NULL, status == KRS_OK);
    krs_model_close(model);
    return status;
}

static krs_status open_tokenizer(const krs_alloc *alloc, void *ctx)
{
    krs_tokenizer *t = NULL;
    krs_error err = KRS_ERROR_INIT;
    const krs_status status = krs_model_source_tokenizer(ctx, alloc, &t, &err);
    assert_int_equal(t != NULL, status == KRS_OK);
    krs_tokenizer_free(t);
    return status;
}

static void put_tokens(krs_gguf_file *f)
{
    static const char *const texts[] = {"<unk>",
                                        "<s>",
                                        "\xE2\x96\x81",
                                        "a",
                                        "b",
                                        "\xE2\x96\x81"
                                        "a",
                                        "ab"};
    static const uint32_t types[] = {2, 3, 1, 1, 1, 1, 1};
    krs_gguf_put_str(f, "tokenizer.ggml.model", "llama");
    krs_gguf_put_list(f, "tokenizer.ggml.tokens", 8, 7);
    for (size_t i = 0; i < 7; i++) {
        krs_gguf_put_text(&f->values, texts[i], strlen(texts[i]));
    }
    krs_gguf_put_list(f, "tokenizer.ggml.token_type", 4, 7);
    for (size_t i = 0; i < 7; i++) {
        krs_gguf_put_u32(&f->values, types[i]);
    }
    krs_gguf_put_list(f, "tokenizer.ggml.scores", 6, 7);
    for (size_t i = 0; i < 7; i++) {
        const float score = -(float)i;
        krs_gguf_put_bytes(&f->values, &score, sizeof(score));
    }
    krs_gguf_put_int(f, "tokenizer.ggml.bos_token_id", 1);
}

static void a_gguf_file_survives_every_failed_allocation(void **state)
{
    (void)state;
    char dir[KRS_OS_PATH_BYTES];
    char path[KRS_OS_PATH_BYTES];
    krs_gguf_file f;
    krs_gguf_file_init(&f);
    krs_gguf_convert(CASE, 8, &f);
    put_tokens(&f);
    const krs_buf *file = krs_gguf_file_finish(&f, 3);
    assert_int_equal(krs_os_dir_temporary(dir, NULL), KRS_OK);
    assert_int_equal(krs_os_path_join(dir, "m.gguf", path, sizeof(path)), KRS_OK);
    assert_int_equal(krs_os_file_write(path, file->data, file->len, NULL), KRS_OK);
    krs_gguf_file_deinit(&f);
    assert_true(krs_oom_sweep(open_model, path) > 12);
    assert_true(krs_oom_sweep(open_tokenizer, path) > 12);
    assert_int_equal(krs_os_dir_remove(dir, NULL), KRS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gguf_file_survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
