/* format/safetensors_write.h - safetensors files, sharded as the hubs shard them, written in one pass.
 *
 *   model.safetensors                                        when everything fits one file
 *   model-00001-of-00003.safetensors ... + model.safetensors.index.json            otherwise
 *
 * All names, dtypes and shapes are known before the first byte, so each header is written whole and
 * the data follows as it is made: memory stays at what the caller passes in. A shard gets its name when
 * it is complete, and the index comes last, so a folder that is found is a folder that was finished.
 *
 * Thread: one owner.  Memory: the shard plan; tensors are borrowed until finish.
 * Source: huggingface/safetensors format; huggingface_hub split_state_dict_into_shards. */
#pragma once

#include "base/alloc.h"
#include "tensor/tensor.h"

#define KRS_ST_DEFAULT_SHARD_BYTES (5ull << 30) /* what huggingface_hub has used for years */

typedef struct krs_safetensors_writer krs_safetensors_writer;

/* Where to, for those who want more than a folder of files for everyone. */
typedef struct krs_safetensors_target {
    const char *path;         /* a folder that exists; with is_file, the one file to write */
    bool is_file;             /* everything in one file of that name, however large */
    const char *format;       /* "pt", or "mlx": the word the header's metadata has for the maker */
    uint64_t max_shard_bytes; /* of a folder */
} krs_safetensors_target;

/* Plan the shards of tensors[n] (data is ignored; n_bytes must be what dtype and shape give) in this
 * order, each of at most max_shard_bytes of data unless one tensor alone is larger. dir exists; names
 * are distinct. Errors: KRS_EINVAL (no tensors, no plain name, a size that is not the shape's),
 * KRS_ETOOLARGE, KRS_ENOMEM, KRS_EIO, KRS_EPERM. */
KRS_MUST_USE krs_status krs_safetensors_writer_open(const char *dir, const krs_tensor *tensors,
                                                    uint32_t n, uint64_t max_shard_bytes,
                                                    const krs_alloc *alloc,
                                                    krs_safetensors_writer **out, krs_error *err);

/* The same into any target (borrowed for the call). */
KRS_MUST_USE krs_status krs_safetensors_writer_open_as(const krs_safetensors_target *target,
                                                       const krs_tensor *tensors, uint32_t n,
                                                       const krs_alloc *alloc,
                                                       krs_safetensors_writer **out,
                                                       krs_error *err);

uint32_t krs_safetensors_writer_n_shards(const krs_safetensors_writer *writer);

/* The next bytes of the data, in the order of the tensors; any piece size that does not cross the end of
 * a tensor. Errors: KRS_EIO; then only free is left. More bytes than planned abort. */
KRS_MUST_USE krs_status krs_safetensors_writer_put(krs_safetensors_writer *writer,
                                                   const void *bytes, size_t n_bytes,
                                                   krs_error *err);

/* Finish the last shard and write the index. Every planned byte must have been put. */
KRS_MUST_USE krs_status krs_safetensors_writer_finish(krs_safetensors_writer *writer,
                                                      krs_error *err);

/* Free; a shard not finished is dropped. NULL is fine. */
void krs_safetensors_writer_free(krs_safetensors_writer *writer);
