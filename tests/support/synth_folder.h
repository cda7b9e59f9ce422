/* support/synth_folder.h - a whole model folder of random weights, with the demo model's tokenizer.
 *
 *     char dir[KRS_OS_PATH_BYTES];
 *     krs_synth_folder_make("{\"model_type\": \"mistral\", ...}", dir);
 *     ... krs_engine_open ...
 *     krs_folder_remove(dir);              an open engine keeps its mapping
 *
 * What such a model says is noise, but it is the same noise every time, and every block of its family
 * computes it.
 *
 * Thread: the test's own.  Memory: none is kept. */
#pragma once

#include "format/config.h"
#include "format/synth.h"
#include "model/modules.h"
#include "os/dir.h"
#include "os/file.h"
#include "support/cmocka.h"

#include <stdio.h>
#include <string.h>

#define SYNTH_FOLDER_FILE_BYTES (16u << 20)

static inline void krs_synth_folder_copy(const char *dir, const char *name)
{
    char from[KRS_OS_PATH_BYTES];
    char to[KRS_OS_PATH_BYTES];
    krs_buf bytes;
    krs_buf_init(&bytes, NULL, SYNTH_FOLDER_FILE_BYTES);
    assert_int_equal(krs_os_path_join(KRS_SOURCE_DIR "/models/demo", name, from, sizeof(from)),
                     KRS_OK);
    assert_int_equal(krs_os_path_join(dir, name, to, sizeof(to)), KRS_OK);
    assert_int_equal(krs_os_file_read(from, &bytes, NULL), KRS_OK);
    assert_int_equal(krs_os_file_write(to, bytes.data, bytes.len, NULL), KRS_OK);
    krs_buf_deinit(&bytes);
}

static inline void krs_synth_folder_weights(const json_t *root, const char *dir)
{
    krs_model_config config;
    krs_synth_module *modules = NULL;
    uint32_t n = 0;
    krs_arena arena;
    krs_error err = KRS_ERROR_INIT;
    krs_arena_init(&arena, NULL, 64u << 10, 1u << 20);
    krs_synth_options options = KRS_SYNTH_OPTIONS_INIT;
    krs_status status = krs_model_config_read(root, NULL, &config, &err);
    if (status == KRS_OK) {
        options.quant = config.quant;
        status = krs_model_modules(&config, &arena, &modules, &n, &err);
    }
    if (status == KRS_OK) {
        status = krs_synth_write(dir, modules, n, &options, NULL, NULL, &err);
    }
    if (status != KRS_OK) {
        fail_msg("synth: %s", err.message);
    }
    krs_model_config_deinit(&config);
    krs_arena_deinit(&arena);
}

/* config: JSON of config.json; vocab_size must be 2048, the tokenizer's. */
static inline void krs_synth_folder_make(const char *config, char dir[KRS_OS_PATH_BYTES])
{
    char path[KRS_OS_PATH_BYTES];
    assert_int_equal(krs_os_dir_temporary(dir, NULL), KRS_OK);
    json_t *root = json_loads(config, 0, NULL);
    assert_non_null(root);
    krs_synth_folder_weights(root, dir);
    json_decref(root);
    krs_synth_folder_copy(dir, "tokenizer.json");
    krs_synth_folder_copy(dir, "tokenizer_config.json");
    assert_int_equal(krs_os_path_join(dir, "config.json", path, sizeof(path)), KRS_OK);
    assert_int_equal(krs_os_file_write(path, config, strlen(config), NULL), KRS_OK);
}
