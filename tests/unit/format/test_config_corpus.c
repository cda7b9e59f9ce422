/* tests/unit/format/test_config_corpus.c - published config.json files: real values of a few models in
 * tests/data/configs; and, with KRS_TESTDATA, every one we could collect: it reads, or it is refused with
 * a status and a sentence that say why. */
#define _XOPEN_SOURCE 700
#include "format/config.h"
#include "os/file.h"
#include "support/cmocka.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#define MIN_FILES 100 /* the collection has about 130 */

/* The families that this program is for. */
static bool is_ours(const char *model_type)
{
    static const char *const names[] = {
        "llama",       "mistral",          "qwen2",      "qwen3",       "phi3",
        "gemma",       "gemma2",           "gemma3",     "gemma3_text", "olmo2",
        "smollm3",     "granite",          "cohere2",    "starcoder2",  "stablelm",
        "gpt2",        "gpt_neox",         "mixtral",    "qwen2_moe",   "qwen3_moe",
        "gpt_oss",     "deepseek_v3",      "qwen3_next", "qwen3_5",     "qwen3_5_text",
        "qwen3_5_moe", "qwen3_5_moe_text",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(model_type, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static krs_status load_file(const char *path, krs_model_config *out, krs_error *err)
{
    krs_buf text;
    krs_buf_init(&text, NULL, KRS_CONFIG_MAX_BYTES);
    assert_int_equal(krs_os_file_read(path, &text, err), KRS_OK);
    const krs_json_limits limits = {.max_bytes = KRS_CONFIG_MAX_BYTES};
    json_t *root;
    *out = (krs_model_config){.n_layers = 0};
    krs_status status = krs_json_parse(krs_buf_view(&text), &limits, &root, err);
    krs_buf_deinit(&text);
    if (status == KRS_OK) {
        status = krs_model_config_read(root, NULL, out, err);
        json_decref(root);
    }
    return status;
}

static void real_models_read_as_published(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *type;
        int layers, heads, kv_heads, head_dim;
        int64_t hidden, ffn, vocab, context;
        double theta;
        krs_rope_kind rope;
        bool is_tied;
        uint32_t n_eos;
        int32_t bits;
    } want[] = {
        {"llama-3.1-8b", "llama", 32, 32, 8, 128, 4096, 14336, 128256, 131072, 5e5, KRS_ROPE_LLAMA3,
         false, 1, 0},
        {"llama-3.2-1b", "llama", 16, 32, 8, 64, 2048, 8192, 128256, 131072, 5e5, KRS_ROPE_LLAMA3,
         true, 3, 0},
        {"smollm2-135m", "llama", 30, 9, 3, 64, 576, 1536, 49153, 2048, 1e4, KRS_ROPE_DEFAULT, true,
         1, 0},
        {"mistral-7b-v0.3", "mistral", 32, 32, 8, 128, 4096, 14336, 32768, 32768, 1e6,
         KRS_ROPE_DEFAULT, false, 1, 0},
        {"qwen2.5-7b", "qwen2", 28, 28, 4, 128, 3584, 18944, 152064, 32768, 1e6, KRS_ROPE_DEFAULT,
         false, 1, 0},
        {"qwen3-0.6b", "qwen3", 28, 16, 8, 128, 1024, 3072, 151936, 40960, 1e6, KRS_ROPE_DEFAULT,
         true, 1, 0},
        {"qwen3-8b-mlx4", "qwen3", 36, 32, 8, 128, 4096, 12288, 151936, 40960, 1e6,
         KRS_ROPE_DEFAULT, false, 1, 4},
        {"qwen3-vl-2b", "qwen3_vl", 28, 16, 8, 128, 2048, 6144, 151936, 262144, 5e6,
         KRS_ROPE_DEFAULT, true, 1, 0},
    };
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        char path[KRS_OS_PATH_BYTES];
        (void)snprintf(path, sizeof(path), "%s/tests/data/configs/%s.json", KRS_SOURCE_DIR,
                       want[i].name);
        krs_model_config c;
        krs_error err = KRS_ERROR_INIT;
        if (load_file(path, &c, &err) != KRS_OK) {
            fail_msg("%s: %s", want[i].name, err.message);
        }
        assert_string_equal(c.model_type, want[i].type);
        assert_int_equal(c.n_layers, want[i].layers);
        assert_int_equal(c.n_heads, want[i].heads);
        assert_int_equal(c.n_kv_heads, want[i].kv_heads);
        assert_int_equal(c.head_dim, want[i].head_dim);
        assert_int_equal(c.hidden, want[i].hidden);
        assert_int_equal(c.ffn, want[i].ffn);
        assert_int_equal(c.vocab, want[i].vocab);
        assert_int_equal(c.max_positions, want[i].context);
        assert_true(c.rope.theta == want[i].theta);
        assert_int_equal(c.rope.kind, want[i].rope);
        assert_int_equal(c.is_tied, want[i].is_tied);
        assert_int_equal(c.n_eos, want[i].n_eos);
        assert_int_equal(c.quant.bits, want[i].bits);
        assert_int_equal(c.window, 0);
    }
}

static void real_models_of_other_kinds_are_refused_by_name(void **state)
{
    (void)state;
    krs_model_config c;
    krs_error err = KRS_ERROR_INIT;
    const char *folder = KRS_SOURCE_DIR "/tests/data/configs";
    char path[KRS_OS_PATH_BYTES];
    (void)snprintf(path, sizeof(path), "%s/qwen3-32b-fp8.json", folder);
    assert_int_equal(load_file(path, &c, &err), KRS_OK);
    assert_int_equal(c.hub_quant.method, KRS_HUB_FP8);
    assert_int_equal(c.hub_quant.block_rows, 128);
    krs_model_config_deinit(&c);
    (void)snprintf(path, sizeof(path), "%s/pythia-410m.json", folder);
    assert_int_equal(load_file(path, &c, &err), KRS_OK);
    assert_int_equal(c.rotary_dim, 16);
}

/* 1 when the file reads, 0 when it is refused as it should be. */
static int check_file(const char *path)
{
    krs_error err = KRS_ERROR_INIT;
    krs_model_config config;
    const krs_status status = load_file(path, &config, &err);
    if (status != KRS_OK) {
        assert_true(status == KRS_EINVAL || status == KRS_EFORMAT || status == KRS_EUNSUPPORTED);
        assert_true(strlen(err.message) > 10);
        if (is_ours(config.model_type) && !strstr(err.message, "quantization_config")) {
            fail_msg("%s: %s", path, err.message);
        }
        return 0;
    }
    assert_int_equal(config.n_heads % config.n_kv_heads, 0);
    assert_true(config.head_dim > 0 && config.vocab > 0 && config.rope.theta > 0);
    krs_model_config_deinit(&config);
    return 1;
}

static void every_published_config_reads_or_is_refused_with_a_reason(void **state)
{
    (void)state;
    const char *data = getenv("KRS_TESTDATA");
    if (!data) {
        print_message("skipped: KRS_TESTDATA is not set\n");
        skip();
    }
    char folder[KRS_OS_PATH_BYTES];
    assert_int_equal(krs_os_path_join(data, "configs", folder, sizeof(folder)), KRS_OK);
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    int n_files = 0;
    int n_read = 0;
    for (const struct dirent *entry; (entry = readdir(dir));) {
        char path[KRS_OS_PATH_BYTES];
        if (krs_str_ends_with(krs_str_of(entry->d_name), KRS_STR("config.json"))) {
            assert_int_equal(krs_os_path_join(folder, entry->d_name, path, sizeof(path)), KRS_OK);
            n_read += check_file(path);
            n_files++;
        }
    }
    (void)closedir(dir);
    print_message("%d files, %d read\n", n_files, n_read);
    assert_true(n_files >= MIN_FILES);
    assert_true(n_read >= n_files / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(real_models_read_as_published),
        cmocka_unit_test(real_models_of_other_kinds_are_refused_by_name),
        cmocka_unit_test(every_published_config_reads_or_is_refused_with_a_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
