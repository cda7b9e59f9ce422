/* format/gguf_priv.h - what the parts of the GGUF reader share.
 *
 * One file at a time is appended (gguf_read.c), the whole is sorted (gguf.c). How many elements and
 * bytes a block of each tensor type has is tensor/gguf_block.h's business.
 *
 * Thread: one owner until open returns.  Memory: tables from the object's allocator. */
#pragma once

#include "format/gguf.h"

#define GGUF_SHOWN_BYTES 90 /* of a name in a message, so that the reason still fits */

/* For printf("%.*s"): a name, cut to what a message can show. */
#define GGUF_NAME_ARGS(s) (int)((s).len > GGUF_SHOWN_BYTES ? GGUF_SHOWN_BYTES : (s).len), (s).ptr

struct krs_gguf {
    const krs_alloc *alloc;
    krs_gguf_value *values; /* [n_values] of the first file, by key */
    uint32_t n_values;
    krs_tensor *tensors; /* [n_tensors] */
    uint32_t n_tensors;
    uint32_t version;
    krs_os_map *maps; /* [n_maps] one per part; NULL when parsed from memory */
    uint32_t n_maps;
    krs_tensor_dir dir;
};

/* Where the reading of one file stands. */
typedef struct gguf_cursor {
    const unsigned char *data;
    size_t n_bytes;
    size_t at;
} gguf_cursor;

/* Numbers; false when the file ends first. */
bool krs_gguf_read_u32(gguf_cursor *cursor, uint32_t *out);
bool krs_gguf_read_u64(gguf_cursor *cursor, uint64_t *out);
/* A length and as many bytes; *out is a view. */
bool krs_gguf_read_str(gguf_cursor *cursor, krs_str *out);
/* One value, walked to its end; value->key is untouched.
 * Errors: KRS_EFORMAT (ends early, no such type, a BOOL of neither 0 nor 1), KRS_ETOOLARGE (depth). */
KRS_MUST_USE krs_status krs_gguf_read_value(gguf_cursor *cursor, krs_gguf_value *value,
                                            krs_error *err);

/* What a file says of itself as a part of a model. */
typedef struct gguf_part {
    int64_t no;        /* from 0 */
    int64_t count;     /* 1: a whole model */
    int64_t n_tensors; /* of all parts; -1: it does not say */
} gguf_part;

/* Settings and tensors of one file in memory, which must outlive gguf. The settings of the first file
 * (shard 0) stay; those of the others only say which part it is.
 * Errors: as krs_gguf_open; what gguf held before this call is untouched. */
KRS_MUST_USE krs_status krs_gguf_add_file(krs_gguf *gguf, const unsigned char *file, size_t n_bytes,
                                          uint32_t shard, gguf_part *part, krs_error *err);

/* A number at data, of a type of krs_gguf_type_bytes. */
uint64_t krs_gguf_load(const unsigned char *data, size_t n_bytes);
