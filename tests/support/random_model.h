/* support/random_model.h - a small model of any family whose every weight matters: random in F32, norms
 * around one and biases included, where krs synth writes ones.
 *
 * Thread: one owner.  Memory: none is kept. */
#pragma once

#include "format/safetensors.h"
#include "model/model.h"
#include "model/modules.h"
#include "os/file.h"
#include "support/cmocka.h"

#include <string.h>

#define KRS_RANDOM_SEED      20260131u
#define KRS_RANDOM_MATRIX    0.3 /* wide, so that attention has something to choose between */
#define KRS_RANDOM_VECTOR    0.2
#define KRS_RANDOM_MAX_BYTES (4u << 20)

static inline void krs_random_must(krs_status status, const krs_error *err)
{
    if (status != KRS_OK) {
        fail_msg("%s", err->message);
    }
}

static inline double krs_random_next(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 8) / 8388608.0 - 1.0; /* -1 .. 1 */
}

/* Every value of the file anew: what synth writes into norms says nothing. */
static inline void krs_random_weights(const char *path)
{
    krs_buf bytes;
    krs_safetensors *st;
    uint32_t seed = KRS_RANDOM_SEED;
    krs_buf_init(&bytes, NULL, KRS_RANDOM_MAX_BYTES);
    assert_int_equal(krs_os_file_read(path, &bytes, NULL), KRS_OK);
    assert_int_equal(krs_safetensors_open(path, KRS_OS_MAP_SHARED_PAGES, NULL, &st, NULL), KRS_OK);
    uint64_t header;
    memcpy(&header, bytes.data, sizeof(header));
    const unsigned char *begin = krs_safetensors_at(st, 0)->data;
    for (uint32_t i = 1; i < krs_safetensors_count(st); i++) {
        const unsigned char *data = krs_safetensors_at(st, i)->data;
        begin = data < begin ? data : begin;
    }
    for (uint32_t i = 0; i < krs_safetensors_count(st); i++) {
        const krs_tensor *tensor = krs_safetensors_at(st, i);
        char *to = bytes.data + sizeof(header) + header +
                   (size_t)((const unsigned char *)tensor->data - begin);
        const bool is_norm =
            tensor->rank == 1 && !krs_str_ends_with(tensor->name, KRS_STR(".bias"));
        const double spread = tensor->rank == 1 ? KRS_RANDOM_VECTOR : KRS_RANDOM_MATRIX;
        for (size_t k = 0; k < tensor->n_bytes / sizeof(float); k++) {
            const float value = (float)(spread * krs_random_next(&seed) + (is_norm ? 1.0 : 0.0));
            memcpy(to + k * sizeof(value), &value, sizeof(value));
        }
    }
    krs_safetensors_close(st);
    assert_int_equal(krs_os_file_write(path, bytes.data, bytes.len, NULL), KRS_OK);
    krs_buf_deinit(&bytes);
}

/* config.json and model.safetensors into dir, which exists. */
static inline void krs_random_model(const char *json, const char *dir)
{
    char path[KRS_OS_PATH_BYTES];
    krs_model_config config;
    krs_arena arena;
    krs_synth_module *modules = NULL;
    uint32_t n = 0;
    krs_error err = KRS_ERROR_INIT;
    krs_synth_options how = KRS_SYNTH_OPTIONS_INIT;
    how.dtype = KRS_DTYPE_F32;
    krs_arena_init(&arena, NULL, 4096, 1u << 20);
    assert_int_equal(krs_os_path_join(dir, "config.json", path, sizeof(path)), KRS_OK);
    assert_int_equal(krs_os_file_write(path, json, strlen(json), NULL), KRS_OK);
    krs_random_must(krs_model_config_load(dir, NULL, &config, &err), &err);
    krs_random_must(krs_model_modules(&config, &arena, &modules, &n, &err), &err);
    krs_random_must(krs_synth_write(dir, modules, n, &how, NULL, NULL, &err), &err);
    assert_int_equal(krs_os_path_join(dir, "model.safetensors", path, sizeof(path)), KRS_OK);
    krs_random_weights(path);
    krs_arena_deinit(&arena);
    krs_model_config_deinit(&config);
}
