/* support/model_folder.h - a small model folder to be lied in.
 *
 *     krs_folder f;
 *     krs_folder_init(&f, "qwen2");              what an honest file of the family holds
 *     krs_folder_find(&f, "model.norm.weight")->dims[0] = 63;
 *     krs_folder_refuse(&f, KRS_EFORMAT, "model.norm.weight", "[63]");
 *
 * Bytes are zero: binding looks at names, types and shapes only.
 *
 * Thread: one owner.  Memory: plain values; the folder exists within one call. */
#pragma once

#include "model/model.h"
#include "os/dir.h"
#include "support/cmocka.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KRS_FOLDER_MAX_TENSORS 96
#define KRS_FOLDER_NAME_BYTES  96
#define KRS_FOLDER_MAX_FIELDS  16
#define KRS_FOLDER_FILE_BYTES  (1u << 20)
#define KRS_FOLDER_LAYERS      2

/* Sizes of the honest model. */
#define KRS_FOLDER_VOCAB  48
#define KRS_FOLDER_HIDDEN 64
#define KRS_FOLDER_FFN    128
#define KRS_FOLDER_HEADS  4
#define KRS_FOLDER_KV     2
#define KRS_FOLDER_DIM    32 /* of a head: not hidden / heads, on purpose */

typedef struct krs_folder_tensor {
    char name[KRS_FOLDER_NAME_BYTES]; /* "": left out of the file */
    krs_dtype dtype;
    int32_t rank;
    int64_t dims[4];
} krs_folder_tensor;

typedef struct krs_folder {
    char fields[KRS_FOLDER_MAX_FIELDS][2]
               [128]; /* of config.json: key, JSON value; later ones win */
    uint32_t n_fields;
    krs_folder_tensor tensors[KRS_FOLDER_MAX_TENSORS];
    uint32_t n_tensors;
} krs_folder;

/* Set, or replace, a field of config.json. value: JSON text. */
static inline void krs_folder_set(krs_folder *f, const char *key, const char *value)
{
    uint32_t i = 0;
    while (i < f->n_fields && strcmp(f->fields[i][0], key) != 0) {
        i++;
    }
    assert_true(i < KRS_FOLDER_MAX_FIELDS);
    (void)snprintf(f->fields[i][0], sizeof(f->fields[i][0]), "%s", key);
    (void)snprintf(f->fields[i][1], sizeof(f->fields[i][1]), "%s", value);
    f->n_fields = i == f->n_fields ? i + 1 : f->n_fields;
}

/* columns 0: a vector. */
static inline void krs_folder_add(krs_folder *f, const char *name, krs_dtype dtype, int64_t rows,
                                  int64_t columns)
{
    assert_true(f->n_tensors < KRS_FOLDER_MAX_TENSORS);
    krs_folder_tensor *tensor = &f->tensors[f->n_tensors++];
    *tensor = (krs_folder_tensor){"", dtype, columns > 0 ? 2 : 1, {rows, columns, 0, 0}};
    (void)snprintf(tensor->name, sizeof(tensor->name), "%s", name);
}

static inline krs_folder_tensor *krs_folder_find(krs_folder *f, const char *name)
{
    for (uint32_t i = 0; i < f->n_tensors; i++) {
        if (strcmp(f->tensors[i].name, name) == 0) {
            return &f->tensors[i];
        }
    }
    fail_msg("the test's folder has no tensor %s", name);
    return NULL;
}

static inline void krs_folder_drop(krs_folder *f, const char *name)
{
    krs_folder_find(f, name)->name[0] = '\0';
}

static inline void krs_folder_add_layer(krs_folder *f, int layer, bool has_qk_norm, bool has_bias)
{
    const int64_t query = KRS_FOLDER_HEADS * KRS_FOLDER_DIM;
    const int64_t key = KRS_FOLDER_KV * KRS_FOLDER_DIM;
    const struct {
        const char *name;
        int64_t rows;
        int64_t columns;
        bool is_there;
    } all[] = {
        {"input_layernorm.weight", KRS_FOLDER_HIDDEN, 0, true},
        {"self_attn.q_proj.weight", query, KRS_FOLDER_HIDDEN, true},
        {"self_attn.k_proj.weight", key, KRS_FOLDER_HIDDEN, true},
        {"self_attn.v_proj.weight", key, KRS_FOLDER_HIDDEN, true},
        {"self_attn.o_proj.weight", KRS_FOLDER_HIDDEN, query, true},
        {"self_attn.q_proj.bias", query, 0, has_bias},
        {"self_attn.k_proj.bias", key, 0, has_bias},
        {"self_attn.v_proj.bias", key, 0, has_bias},
        {"self_attn.q_norm.weight", KRS_FOLDER_DIM, 0, has_qk_norm},
        {"self_attn.k_norm.weight", KRS_FOLDER_DIM, 0, has_qk_norm},
        {"post_attention_layernorm.weight", KRS_FOLDER_HIDDEN, 0, true},
        {"mlp.gate_proj.weight", KRS_FOLDER_FFN, KRS_FOLDER_HIDDEN, true},
        {"mlp.up_proj.weight", KRS_FOLDER_FFN, KRS_FOLDER_HIDDEN, true},
        {"mlp.down_proj.weight", KRS_FOLDER_HIDDEN, KRS_FOLDER_FFN, true},
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        char name[KRS_FOLDER_NAME_BYTES];
        (void)snprintf(name, sizeof(name), "model.layers.%d.%s", layer, all[i].name);
        if (all[i].is_there) {
            krs_folder_add(f, name, KRS_DTYPE_BF16, all[i].rows, all[i].columns);
        }
    }
}

/* An honest, untied bf16 model of a family. */
static inline void krs_folder_init(krs_folder *f, const char *family)
{
    *f = (krs_folder){0};
    char quoted[64];
    (void)snprintf(quoted, sizeof(quoted), "\"%s\"", family);
    krs_folder_set(f, "model_type", quoted);
    krs_folder_set(f, "vocab_size", "48");
    krs_folder_set(f, "hidden_size", "64");
    krs_folder_set(f, "intermediate_size", "128");
    krs_folder_set(f, "num_hidden_layers", "2");
    krs_folder_set(f, "num_attention_heads", "4");
    krs_folder_set(f, "num_key_value_heads", "2");
    krs_folder_set(f, "head_dim", "32");
    krs_folder_set(f, "max_position_embeddings", "64");
    krs_folder_set(f, "tie_word_embeddings", "false");
    krs_folder_set(f, "rms_norm_eps", "1e-05");
    krs_folder_set(f, "hidden_act", "\"silu\"");
    krs_folder_add(f, "model.embed_tokens.weight", KRS_DTYPE_BF16, KRS_FOLDER_VOCAB,
                   KRS_FOLDER_HIDDEN);
    krs_folder_add(f, "model.norm.weight", KRS_DTYPE_BF16, KRS_FOLDER_HIDDEN, 0);
    krs_folder_add(f, "lm_head.weight", KRS_DTYPE_BF16, KRS_FOLDER_VOCAB, KRS_FOLDER_HIDDEN);
    for (int layer = 0; layer < KRS_FOLDER_LAYERS; layer++) {
        krs_folder_add_layer(f, layer, strcmp(family, "qwen3") == 0, strcmp(family, "qwen2") == 0);
    }
}

/* Turn module.weight into MLX's triple, scales in bf16. */
static inline void krs_folder_quantise(krs_folder *f, const char *module, int bits, int group)
{
    char name[KRS_FOLDER_NAME_BYTES];
    (void)snprintf(name, sizeof(name), "%s.weight", module);
    krs_folder_tensor *weight = krs_folder_find(f, name);
    const int64_t rows = weight->dims[0];
    const int64_t columns = weight->dims[1];
    weight->dtype = KRS_DTYPE_U32;
    weight->dims[1] = columns * bits / 32;
    (void)snprintf(name, sizeof(name), "%s.scales", module);
    krs_folder_add(f, name, KRS_DTYPE_BF16, rows, columns / group);
    (void)snprintf(name, sizeof(name), "%s.biases", module);
    krs_folder_add(f, name, KRS_DTYPE_BF16, rows, columns / group);
}

static inline void krs_folder_write_config(const krs_folder *f, const char *dir)
{
    char path[KRS_OS_PATH_BYTES + 32];
    char text[8192] = "{";
    size_t at = 1;
    for (uint32_t i = 0; i < f->n_fields; i++) {
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s\"%s\": %s", i > 0 ? ", " : "",
                               f->fields[i][0], f->fields[i][1]);
        assert_true(at < sizeof(text) - 1);
    }
    text[at++] = '}';
    (void)snprintf(path, sizeof(path), "%s/config.json", dir);
    assert_int_equal(krs_os_file_write(path, text, at, NULL), KRS_OK);
}

static inline size_t krs_folder_tensor_bytes(const krs_folder_tensor *tensor)
{
    size_t n = krs_dtype_bytes(tensor->dtype);
    for (int32_t i = 0; i < tensor->rank; i++) {
        n *= (size_t)tensor->dims[i];
    }
    return n;
}

/* The header's text into out; returns the bytes of data it speaks of. */
static inline size_t krs_folder_header(const krs_folder *f, krs_buf *out)
{
    size_t begin = 0;
    assert_int_equal(krs_buf_append_char(out, '{'), KRS_OK);
    for (uint32_t i = 0; i < f->n_tensors; i++) {
        const krs_folder_tensor *t = &f->tensors[i];
        if (!t->name[0]) {
            continue;
        }
        assert_int_equal(krs_buf_printf(out, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[",
                                        out->len > 1 ? "," : "", t->name, krs_dtype_name(t->dtype)),
                         KRS_OK);
        for (int32_t d = 0; d < t->rank; d++) {
            assert_int_equal(krs_buf_printf(out, "%s%lld", d > 0 ? "," : "", (long long)t->dims[d]),
                             KRS_OK);
        }
        const size_t end = begin + krs_folder_tensor_bytes(t);
        assert_int_equal(krs_buf_printf(out, "],\"data_offsets\":[%zu,%zu]}", begin, end), KRS_OK);
        begin = end;
    }
    assert_int_equal(krs_buf_append_char(out, '}'), KRS_OK);
    return begin;
}

static inline void krs_folder_write_tensors(const krs_folder *f, const char *dir)
{
    krs_buf header;
    krs_buf_init(&header, NULL, KRS_FOLDER_FILE_BYTES);
    const size_t n_data = krs_folder_header(f, &header);
    const size_t n_bytes = sizeof(uint64_t) + header.len + n_data;
    unsigned char *file = calloc(1, n_bytes);
    assert_non_null(file);
    for (size_t i = 0; i < sizeof(uint64_t); i++) {
        file[i] = (unsigned char)((uint64_t)header.len >> (8 * i));
    }
    memcpy(file + sizeof(uint64_t), header.data, header.len);
    char path[KRS_OS_PATH_BYTES + 32];
    (void)snprintf(path, sizeof(path), "%s/model.safetensors", dir);
    assert_int_equal(krs_os_file_write(path, file, n_bytes, NULL), KRS_OK);
    free(file);
    krs_buf_deinit(&header);
}

/* A new folder for what follows. */
static inline void krs_folder_make(char dir[KRS_OS_PATH_BYTES])
{
    assert_int_equal(krs_os_dir_temporary(dir, NULL), KRS_OK);
}

static inline void krs_folder_remove(const char *dir)
{
    assert_int_equal(krs_os_dir_remove(dir, NULL), KRS_OK);
}

/* Write, open, remove: an open model keeps its mapping. */
static inline krs_status krs_folder_open(const krs_folder *f, krs_model **out, krs_error *err)
{
    char dir[KRS_OS_PATH_BYTES];
    krs_folder_make(dir);
    krs_folder_write_config(f, dir);
    krs_folder_write_tensors(f, dir);
    const krs_status status = krs_model_open(dir, NULL, NULL, out, err);
    krs_folder_remove(dir);
    return status;
}

/* Must open. */
static inline krs_model *krs_folder_accept(const krs_folder *f)
{
    krs_error err = KRS_ERROR_INIT;
    krs_model *model = NULL;
    const krs_status status = krs_folder_open(f, &model, &err);
    if (status != KRS_OK) {
        fail_msg("%s: %s", krs_status_name(status), err.message);
    }
    return model;
}

/* Must not open, with this status and a message that says both. */
static inline void krs_folder_refuse(const krs_folder *f, krs_status want, const char *what,
                                     const char *why)
{
    krs_error err = KRS_ERROR_INIT;
    krs_model *model = NULL;
    const krs_status status = krs_folder_open(f, &model, &err);
    if (status != want || err.status != want || !strstr(err.message, what) ||
        !strstr(err.message, why)) {
        fail_msg("%s: %s; want %s, \"%s\" and \"%s\"", krs_status_name(status), err.message,
                 krs_status_name(want), what, why);
    }
    assert_null(model);
}
