/* support/gguf_file.h - GGUF files for tests, written from the format's description.
 *
 *     krs_gguf_file f;
 *     krs_gguf_file_init(&f);
 *     krs_gguf_put_str(&f, "general.architecture", "llama");
 *     krs_gguf_put_tensor(&f, "output_norm.weight", 0, 1, (int64_t[]){64}, bytes, n);
 *     const krs_buf *file = krs_gguf_file_finish(&f, 3);
 *
 * Dimensions are given the way the program has them, last index fastest, and written the other way round.
 *
 * Thread: one owner.  Memory: krs_bufs, given back by _deinit. */
#pragma once

#include "base/buf.h"
#include "support/cmocka.h"

#include <string.h>

#define KRS_GGUF_FILE_MAX_BYTES (64u << 20)
#define KRS_GGUF_FILE_ALIGNMENT 32u

typedef struct krs_gguf_file {
    krs_buf values;
    krs_buf infos;
    krs_buf data;
    krs_buf file;
    uint64_t n_values;
    uint64_t n_tensors;
} krs_gguf_file;

static inline void krs_gguf_file_init(krs_gguf_file *f)
{
    memset(f, 0, sizeof(*f));
    krs_buf *const parts[] = {&f->values, &f->infos, &f->data, &f->file};
    for (size_t i = 0; i < 4; i++) {
        krs_buf_init(parts[i], NULL, KRS_GGUF_FILE_MAX_BYTES);
    }
}

static inline void krs_gguf_file_deinit(krs_gguf_file *f)
{
    krs_buf_deinit(&f->values);
    krs_buf_deinit(&f->infos);
    krs_buf_deinit(&f->data);
    krs_buf_deinit(&f->file);
}

static inline void krs_gguf_put_bytes(krs_buf *to, const void *bytes, size_t n)
{
    assert_int_equal(krs_buf_append(to, bytes, n), KRS_OK);
}

static inline void krs_gguf_put_u32(krs_buf *to, uint32_t n)
{
    krs_gguf_put_bytes(to, &n, sizeof(n)); /* tests run on little-endian machines */
}

static inline void krs_gguf_put_u64(krs_buf *to, uint64_t n)
{
    krs_gguf_put_bytes(to, &n, sizeof(n));
}

static inline void krs_gguf_put_text(krs_buf *to, const char *text, size_t n)
{
    krs_gguf_put_u64(to, n);
    krs_gguf_put_bytes(to, text, n);
}

/* The head of a setting: its value follows in f->values. type: as numbered in files. */
static inline void krs_gguf_put_key(krs_gguf_file *f, const char *key, uint32_t type)
{
    krs_gguf_put_text(&f->values, key, strlen(key));
    krs_gguf_put_u32(&f->values, type);
    f->n_values++;
}

static inline void krs_gguf_put_str(krs_gguf_file *f, const char *key, const char *value)
{
    krs_gguf_put_key(f, key, 8);
    krs_gguf_put_text(&f->values, value, strlen(value));
}

static inline void krs_gguf_put_int(krs_gguf_file *f, const char *key, uint32_t value)
{
    krs_gguf_put_key(f, key, 4);
    krs_gguf_put_u32(&f->values, value);
}

static inline void krs_gguf_put_real(krs_gguf_file *f, const char *key, float value)
{
    krs_gguf_put_key(f, key, 6);
    krs_gguf_put_bytes(&f->values, &value, sizeof(value));
}

static inline void krs_gguf_put_flag(krs_gguf_file *f, const char *key, bool value)
{
    const unsigned char byte = value;
    krs_gguf_put_key(f, key, 7);
    krs_gguf_put_bytes(&f->values, &byte, 1);
}

/* A list: n items of item_type follow in f->values. */
static inline void krs_gguf_put_list(krs_gguf_file *f, const char *key, uint32_t item_type,
                                     uint64_t n)
{
    krs_gguf_put_key(f, key, 9);
    krs_gguf_put_u32(&f->values, item_type);
    krs_gguf_put_u64(&f->values, n);
}

static inline void krs_gguf_pad(krs_buf *to)
{
    static const unsigned char zeros[KRS_GGUF_FILE_ALIGNMENT];
    const size_t over = to->len % KRS_GGUF_FILE_ALIGNMENT;
    krs_gguf_put_bytes(to, zeros, over ? KRS_GGUF_FILE_ALIGNMENT - over : 0);
}

static inline void krs_gguf_put_tensor(krs_gguf_file *f, const char *name, uint32_t type,
                                       int32_t rank, const int64_t *dims, const void *bytes,
                                       size_t n_bytes)
{
    krs_gguf_pad(&f->data);
    krs_gguf_put_text(&f->infos, name, strlen(name));
    krs_gguf_put_u32(&f->infos, (uint32_t)rank);
    for (int32_t i = rank - 1; i >= 0; i--) {
        krs_gguf_put_u64(&f->infos, (uint64_t)dims[i]);
    }
    krs_gguf_put_u32(&f->infos, type);
    krs_gguf_put_u64(&f->infos, f->data.len);
    krs_gguf_put_bytes(&f->data, bytes, n_bytes);
    f->n_tensors++;
}

/* The whole file; valid until the next call or _deinit. */
static inline const krs_buf *krs_gguf_file_finish(krs_gguf_file *f, uint32_t version)
{
    krs_buf_reset(&f->file);
    krs_gguf_put_bytes(&f->file, "GGUF", 4);
    krs_gguf_put_u32(&f->file, version);
    krs_gguf_put_u64(&f->file, f->n_tensors);
    krs_gguf_put_u64(&f->file, f->n_values);
    krs_gguf_put_bytes(&f->file, f->values.data, f->values.len);
    krs_gguf_put_bytes(&f->file, f->infos.data, f->infos.len);
    krs_gguf_pad(&f->file);
    krs_gguf_put_bytes(&f->file, f->data.data, f->data.len);
    return &f->file;
}
