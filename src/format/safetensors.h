/* format/safetensors.h - a folder of safetensors files as one directory of validated tensors.
 *
 *   file:  u64 header_bytes | JSON header | data          header: {"name": {"dtype","shape","data_offsets"}}
 *
 * Nothing in the header is believed: every name, dtype, shape, product and offset is checked against
 * the file before a tensor is handed out; overlaps, gaps that lie, and files that end early are refused
 * with the tensor and the reason. A folder holds one model.safetensors, or the shards that
 * model.safetensors.index.json names (the single file wins, as in transformers); a path may also name
 * any one file.
 *
 * Thread: immutable after open; any thread may look up.  Memory: mappings plus one table.
 * Source: huggingface/safetensors format, README at v0.4. */
#pragma once

#include "base/alloc.h"
#include "os/file.h"
#include "tensor/directory.h"

#define KRS_ST_MAX_HEADER_BYTES (100u << 20) /* the reference implementation's own limit */
#define KRS_ST_MAX_TENSORS      (1u << 20) /* a 61-layer, 256-expert model has about 50 thousand */
#define KRS_ST_MAX_SHARDS       4096u      /* the largest public models have under 500 */

typedef struct krs_safetensors krs_safetensors;

/* path: a model folder or one .safetensors file. alloc: borrowed, NULL = heap.
 * Errors: KRS_ENOENT (no such file; the missing shard is named), KRS_EFORMAT (what lies, where),
 * KRS_ETOOLARGE, KRS_EUNSUPPORTED (dtype), KRS_ENOMEM, KRS_EIO. */
KRS_MUST_USE krs_status krs_safetensors_open(const char *path, krs_os_map_mode mode,
                                             const krs_alloc *alloc, krs_safetensors **out,
                                             krs_error *err);
void krs_safetensors_close(krs_safetensors *st);

/* The tensors by name; valid until _close. */
const krs_tensor_dir *krs_safetensors_dir(const krs_safetensors *st);

/* NULL when there is none. The view is valid until _close. Cost: a binary search, O(log n). */
const krs_tensor *krs_safetensors_find(const krs_safetensors *st, krs_str name);

uint32_t krs_safetensors_count(const krs_safetensors *st);
/* i: 0 .. count - 1, in name order. */
const krs_tensor *krs_safetensors_at(const krs_safetensors *st, uint32_t i);
/* Bytes of all mapped files. */
uint64_t krs_safetensors_file_bytes(const krs_safetensors *st);

/* The validator alone, for tests and fuzzing: a whole file in memory. */
KRS_MUST_USE krs_status krs_safetensors_check(const unsigned char *file, size_t n_bytes,
                                              krs_error *err);
