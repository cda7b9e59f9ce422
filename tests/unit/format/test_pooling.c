/* tests/unit/format/test_pooling.c - how a folder says its embeddings are made: by one switch, by none,
 * by one we do not compute. */
#include "format/pooling.h"
#include "os/dir.h"
#include "os/file.h"
#include "support/cmocka.h"

#include <stdio.h>
#include <string.h>

static krs_status read_text(const char *text, krs_pooling_mode *out, krs_error *err)
{
    json_t *root = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(root);
    const krs_status status = krs_pooling_mode_read(root, out, err);
    json_decref(root);
    return status;
}

static void expect_mode(const char *text, krs_pooling_mode want)
{
    krs_pooling_mode mode = KRS_POOLING_MODE_OTHER;
    assert_int_equal(read_text(text, &mode, NULL), KRS_OK);
    assert_int_equal(mode, want);
}

static void one_switch_decides(void **state)
{
    (void)state;
    expect_mode("{\"word_embedding_dimension\": 64, \"pooling_mode_lasttoken\": true,"
                "\"pooling_mode_mean_tokens\": false}",
                KRS_POOLING_MODE_LAST);
    expect_mode("{\"pooling_mode_mean_tokens\": true}", KRS_POOLING_MODE_MEAN);
    expect_mode("{\"pooling_mode_cls_token\": true}", KRS_POOLING_MODE_OTHER);
    expect_mode("{\"pooling_mode_mean_tokens\": true, \"pooling_mode_lasttoken\": true}",
                KRS_POOLING_MODE_OTHER);
    expect_mode("{}", KRS_POOLING_MODE_UNSET);
}

static void what_is_no_switch_is_refused(void **state)
{
    (void)state;
    krs_error err = KRS_ERROR_INIT;
    krs_pooling_mode mode;
    assert_int_equal(read_text("{\"pooling_mode_mean_tokens\": 1}", &mode, &err), KRS_EINVAL);
    assert_non_null(strstr(err.message, "pooling_mode_mean_tokens"));
    assert_int_equal(read_text("[]", &mode, &err), KRS_EFORMAT);
}

static void a_folder_may_have_the_file_or_not(void **state)
{
    (void)state;
    char dir[KRS_OS_PATH_BYTES];
    char path[KRS_OS_PATH_BYTES + 32];
    krs_pooling_mode mode = KRS_POOLING_MODE_OTHER;
    krs_error err = KRS_ERROR_INIT;
    assert_int_equal(krs_os_dir_temporary(dir, NULL), KRS_OK);
    assert_int_equal(krs_pooling_mode_load(dir, &mode, &err), KRS_OK);
    assert_int_equal(mode, KRS_POOLING_MODE_UNSET);
    assert_int_equal(err.status, KRS_OK);
    (void)snprintf(path, sizeof(path), "%s/1_Pooling", dir);
    assert_int_equal(krs_os_dir_make(path, NULL), KRS_OK);
    (void)snprintf(path, sizeof(path), "%s/1_Pooling/config.json", dir);
    const char *good = "{\"pooling_mode_mean_tokens\": true}";
    assert_int_equal(krs_os_file_write(path, good, strlen(good), NULL), KRS_OK);
    assert_int_equal(krs_pooling_mode_load(dir, &mode, &err), KRS_OK);
    assert_int_equal(mode, KRS_POOLING_MODE_MEAN);
    assert_int_equal(krs_os_file_write(path, "{", 1, NULL), KRS_OK);
    assert_int_equal(krs_pooling_mode_load(dir, &mode, &err), KRS_EFORMAT);
    assert_non_null(strstr(err.message, "1_Pooling/config.json"));
    assert_int_equal(krs_os_dir_remove(dir, NULL), KRS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_switch_decides),
        cmocka_unit_test(what_is_no_switch_is_refused),
        cmocka_unit_test(a_folder_may_have_the_file_or_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
