/* tests/unit/format/test_config_corpus.c - every published config.json we could collect: it reads, or it
 * is refused with a status and a sentence that say why. Needs KRS_TESTDATA. */
#define _XOPEN_SOURCE 700
#include "format/config.h"
#include "os/file.h"
#include "support/cmocka.h"

#include <dirent.h>
#include <stdlib.h>

#define MIN_FILES 100 /* the collection has about 130 */

/* The families that this program is for. */
static bool is_ours(const char *model_type)
{
    static const char *const names[] = {"llama", "mistral", "qwen2", "qwen3"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(model_type, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* 1 when the file reads, 0 when it is refused as it should be. */
static int check_file(const char *path)
{
    krs_buf text;
    krs_buf_init(&text, NULL, KRS_CONFIG_MAX_BYTES);
    assert_int_equal(krs_os_file_read(path, &text, NULL), KRS_OK);
    const krs_json_limits limits = {.max_bytes = KRS_CONFIG_MAX_BYTES};
    json_t *root;
    krs_error err = KRS_ERROR_INIT;
    krs_model_config config = {.n_layers = 0};
    krs_status status = krs_json_parse(krs_buf_view(&text), &limits, &root, &err);
    krs_buf_deinit(&text);
    if (status == KRS_OK) {
        status = krs_model_config_read(root, NULL, &config, &err);
        json_decref(root);
    }
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
        cmocka_unit_test(every_published_config_reads_or_is_refused_with_a_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
