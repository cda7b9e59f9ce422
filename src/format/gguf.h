/* format/gguf.h - a GGUF file (or its parts) as a directory of tensors and a list of settings.
 *
 *   "GGUF" | u32 version | u64 n_tensors | u64 n_values      all numbers little-endian
 *   n_values times    string key | u32 type | value          string: u64 length | bytes
 *   n_tensors times   string name | u32 n_dims | u64 dims[] | u32 type | u64 offset
 *   padding to general.alignment | data; offsets count from here
 *
 * Nothing in the file is believed: every count and length is held against the bytes that are left
 * before it sizes anything, every value is walked once at open so that later reads cannot fail on its
 * form, and every tensor lies inside the data, on the alignment, and on no other tensor. A model that
 * was cut into -00001-of-00003.gguf parts is opened by its first part. Dimensions are handed out the
 * way the rest of the program counts them, last index fastest; the file has them the other way round.
 *
 * Thread: immutable after open.  Memory: mappings plus two tables.
 * Source: ggml docs/gguf.md, versions 2 and 3. Version 1 (32-bit lengths) and big-endian files are
 * refused by name. */
#pragma once

#include "base/alloc.h"
#include "os/file.h"
#include "tensor/directory.h"

#define KRS_GGUF_MAX_VALUES     65536u     /* settings; real files have under 100 */
#define KRS_GGUF_MAX_TENSORS    (1u << 20) /* as KRS_ST_MAX_TENSORS */
#define KRS_GGUF_MAX_SHARDS     4096u      /* as KRS_ST_MAX_SHARDS */
#define KRS_GGUF_MAX_NAME_BYTES 255u   /* of a key or tensor; the format's own is 64 for tensors */
#define KRS_GGUF_MAX_DEPTH      4u     /* lists in lists; nobody uses more than 2 */
#define KRS_GGUF_MAX_RANK       4      /* the format's own */
#define KRS_GGUF_MIN_ALIGNMENT  8u     /* the format's own */
#define KRS_GGUF_MAX_ALIGNMENT  65536u /* a large page; files say 32 */

/* As numbered in files. */
typedef enum krs_gguf_type {
    KRS_GGUF_U8,
    KRS_GGUF_I8,
    KRS_GGUF_U16,
    KRS_GGUF_I16,
    KRS_GGUF_U32,
    KRS_GGUF_I32,
    KRS_GGUF_F32,
    KRS_GGUF_BOOL,
    KRS_GGUF_STRING,
    KRS_GGUF_ARRAY,
    KRS_GGUF_U64,
    KRS_GGUF_I64,
    KRS_GGUF_F64,
    KRS_GGUF_TYPE_COUNT
} krs_gguf_type;

/* One setting. data lies in the file, at any alignment. */
typedef struct krs_gguf_value {
    krs_str key;
    krs_gguf_type type;
    krs_gguf_type item_type; /* of an ARRAY */
    uint64_t n_items;        /* of an ARRAY; 1 otherwise */
    const unsigned char *data;
    size_t n_bytes; /* of the value, or of all items */
} krs_gguf_value;

typedef struct krs_gguf krs_gguf;

/* path: a .gguf file, the first one if there are parts. alloc: borrowed, NULL = heap.
 * Errors: KRS_ENOENT (no such file; the missing part is named), KRS_EFORMAT (what lies, where),
 * KRS_EUNSUPPORTED (version, byte order, type of a tensor), KRS_ETOOLARGE, KRS_ENOMEM, KRS_EIO. */
KRS_MUST_USE krs_status krs_gguf_open(const char *path, krs_os_map_mode mode,
                                      const krs_alloc *alloc, krs_gguf **out, krs_error *err);
/* One whole file in memory, which must outlive the object; for tests and fuzzing. */
KRS_MUST_USE krs_status krs_gguf_parse(const unsigned char *file, size_t n_bytes,
                                       const krs_alloc *alloc, krs_gguf **out, krs_error *err);
void krs_gguf_close(krs_gguf *gguf);

/* Is this the name of a GGUF file? By its ending alone: the file need not exist. */
bool krs_gguf_is_path(const char *path);

/* The tensors by the names they have in the file. */
const krs_tensor_dir *krs_gguf_dir(const krs_gguf *gguf);
uint32_t krs_gguf_version(const krs_gguf *gguf);
uint32_t krs_gguf_n_shards(const krs_gguf *gguf);

uint32_t krs_gguf_n_values(const krs_gguf *gguf);
/* i: 0 .. n_values - 1, in order of keys. */
const krs_gguf_value *krs_gguf_value_at(const krs_gguf *gguf, uint32_t i);
/* NULL when there is none. Valid until _close. */
const krs_gguf_value *krs_gguf_find(const krs_gguf *gguf, const char *key);

/* Readers by key. An absent key leaves *out as it is; a value of another type or out of [min, max] is
 * KRS_EFORMAT, naming all of it. Any integer type is an integer, and an integer is a number. */
KRS_MUST_USE krs_status krs_gguf_get_int(const krs_gguf *gguf, const char *key, int64_t min,
                                         int64_t max, int64_t *out, krs_error *err);
KRS_MUST_USE krs_status krs_gguf_get_double(const krs_gguf *gguf, const char *key, double *out,
                                            krs_error *err);
KRS_MUST_USE krs_status krs_gguf_get_bool(const krs_gguf *gguf, const char *key, bool *out,
                                          krs_error *err);
/* *out: a view of the file. */
KRS_MUST_USE krs_status krs_gguf_get_str(const krs_gguf *gguf, const char *key, size_t max_bytes,
                                         krs_str *out, krs_error *err);
/* An ARRAY of strings, or of numbers (any but BOOL, STRING, ARRAY); *out NULL when absent. */
KRS_MUST_USE krs_status krs_gguf_get_strings(const krs_gguf *gguf, const char *key,
                                             const krs_gguf_value **out, krs_error *err);
KRS_MUST_USE krs_status krs_gguf_get_numbers(const krs_gguf *gguf, const char *key,
                                             const krs_gguf_value **out, krs_error *err);

/* The string at *at of an array of strings, moving *at behind it. *at: 0 for the first; call at most
 * n_items times. */
krs_str krs_gguf_next_str(const krs_gguf_value *array, size_t *at);
/* Number i of an array of numbers, or (i = 0) a number alone. Exact up to 2^53. */
double krs_gguf_number(const krs_gguf_value *value, uint64_t i);
/* The same, whole; a 64-bit number that does not fit is the nearest end. Reals are cut. */
int64_t krs_gguf_integer(const krs_gguf_value *value, uint64_t i);

/* "u32", "string", ... */
const char *krs_gguf_type_name(krs_gguf_type type);
/* Bytes of one; 0 for STRING and ARRAY. */
size_t krs_gguf_type_bytes(krs_gguf_type type);
