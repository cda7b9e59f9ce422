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
    expect_mode("{\"pooling_mode_cls_token\": true}", KRS_POOLING_MODE_CLS);
    expect_mode("{\"pooling_mode_max_tokens\": true}", KRS_POOLING_MODE_OTHER);
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

static void newer_files_say_it_in_a_word(void **state)
{
    (void)state;
    expect_mode("{\"embedding_dimension\": 64, \"pooling_mode\": \"cls\"}", KRS_POOLING_MODE_CLS);
    expect_mode("{\"pooling_mode\": \"mean\"}", KRS_POOLING_MODE_MEAN);
    expect_mode("{\"pooling_mode\": \"lasttoken\"}", KRS_POOLING_MODE_LAST);
    expect_mode("{\"pooling_mode\": \"weightedmean\"}", KRS_POOLING_MODE_OTHER);
    expect_mode("{\"pooling_mode\": \"of a new kind\"}", KRS_POOLING_MODE_OTHER);
}

/* A folder being filled, and what it says. */
typedef struct folder {
    char dir[KRS_OS_PATH_BYTES];
    krs_pooling_files files;
    krs_error err;
} folder;

static void open_folder(folder *f)
{
    *f = (folder){.err = KRS_ERROR_INIT};
    assert_int_equal(krs_os_dir_temporary(f->dir, NULL), KRS_OK);
}

static void put(const folder *f, const char *sub, const char *name, const char *text)
{
    char path[KRS_OS_PATH_BYTES + 64];
    (void)snprintf(path, sizeof(path), "%s/%s", f->dir, sub);
    if (sub[0] != '\0') {
        const krs_status status = krs_os_dir_make(path, NULL);
        assert_true(status == KRS_OK || status == KRS_EEXIST);
    }
    (void)snprintf(path, sizeof(path), "%s/%s/%s", f->dir, sub, name);
    assert_int_equal(krs_os_file_write(path, text, strlen(text), NULL), KRS_OK);
}

static krs_status load(folder *f)
{
    return krs_pooling_load(f->dir, &f->files, &f->err);
}

static void a_folder_may_have_the_files_or_not(void **state)
{
    (void)state;
    folder f;
    open_folder(&f);
    assert_int_equal(load(&f), KRS_OK);
    assert_int_equal(f.files.mode, KRS_POOLING_MODE_UNSET);
    assert_true(f.files.is_normalised);
    assert_string_equal(f.files.other, "");
    assert_int_equal(f.err.status, KRS_OK);
    put(&f, "1_Pooling", "config.json", "{\"pooling_mode_mean_tokens\": true}");
    assert_int_equal(load(&f), KRS_OK);
    assert_int_equal(f.files.mode, KRS_POOLING_MODE_MEAN);
    assert_true(f.files.is_normalised); /* nobody says otherwise */
    put(&f, "1_Pooling", "config.json", "{");
    assert_int_equal(load(&f), KRS_EFORMAT);
    assert_non_null(strstr(f.err.message, "1_Pooling/config.json"));
    assert_int_equal(krs_os_dir_remove(f.dir, NULL), KRS_OK);
}

#define TYPE "\"type\": \"sentence_transformers.models."

static void modules_say_where_and_whether_normalised(void **state)
{
    (void)state;
    folder f;
    open_folder(&f);
    put(&f, "pool", "config.json", "{\"pooling_mode_cls_token\": true}");
    put(&f, "", "modules.json",
        "[{\"idx\": 0, \"path\": \"\", " TYPE "Transformer\"},"
        " {\"idx\": 1, \"path\": \"pool\", " TYPE "Pooling\"}]");
    assert_int_equal(load(&f), KRS_OK);
    assert_int_equal(f.files.mode, KRS_POOLING_MODE_CLS);
    assert_false(f.files.is_normalised);
    put(&f, "", "modules.json",
        "[{\"path\": \"pool\", " TYPE "Pooling\"}, {\"path\": \"2\", " TYPE "Normalize\"}]");
    assert_int_equal(load(&f), KRS_OK);
    assert_true(f.files.is_normalised);
    assert_string_equal(f.files.other, "");
    assert_int_equal(krs_os_dir_remove(f.dir, NULL), KRS_OK);
}

static void a_module_of_another_kind_is_named(void **state)
{
    (void)state;
    folder f;
    open_folder(&f);
    put(&f, "", "modules.json",
        "[{\"path\": \"1\", " TYPE "Pooling\"}, {\"path\": \"2\", " TYPE "Dense\"},"
        " {\"path\": \"3\", " TYPE "CNN\"}]");
    assert_int_equal(load(&f), KRS_OK);
    assert_string_equal(f.files.other, "Dense");
    assert_int_equal(krs_os_dir_remove(f.dir, NULL), KRS_OK);
}

static void modules_that_lie_are_refused(void **state)
{
    (void)state;
    static const char *const lies[] = {
        "{}",
        "[1]",
        "[{\"path\": 1, " TYPE "Pooling\"}]",
        "[{\"path\": \"../elsewhere\", " TYPE "Pooling\"}]",
        "[{\"path\": \"1_Pooling\\u0000\", " TYPE "Pooling\"}]",
        "[{\"path\": \"/etc\", " TYPE "Pooling\"}]",
        "[{\"path\": \"a/b\", " TYPE "Pooling\"}]",
        "[{\"path\": \"\", " TYPE "Pooling\"}]",
    };
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        folder f;
        open_folder(&f);
        put(&f, "", "modules.json", lies[i]);
        assert_int_equal(load(&f), KRS_EFORMAT);
        assert_non_null(strstr(f.err.message, "modules.json"));
        assert_int_equal(f.files.mode, KRS_POOLING_MODE_UNSET);
        assert_int_equal(krs_os_dir_remove(f.dir, NULL), KRS_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_switch_decides),
        cmocka_unit_test(what_is_no_switch_is_refused),
        cmocka_unit_test(newer_files_say_it_in_a_word),
        cmocka_unit_test(a_folder_may_have_the_files_or_not),
        cmocka_unit_test(modules_say_where_and_whether_normalised),
        cmocka_unit_test(a_module_of_another_kind_is_named),
        cmocka_unit_test(modules_that_lie_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
