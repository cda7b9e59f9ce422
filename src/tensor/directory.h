/* tensor/directory.h - the tensors of a model by name, whatever files they came from.
 *
 * The seam between the readers of files (format/safetensors.h, format/gguf.h) and those who want a
 * weight: a reader checks its files and leaves a sorted array behind; a lookup is a binary search in it,
 * twenty comparisons in the largest model, done once per weight at load. No table of functions, since
 * every reader can leave the same array.
 *
 * Thread: immutable values; any thread may look up.  Memory: borrows; valid as long as the reader that
 * made it is open. */
#pragma once

#include "tensor/tensor.h"

struct krs_os_map; /* os/file.h: passed on, never looked into here */

typedef struct krs_tensor_dir {
    const krs_tensor *tensors; /* [n_tensors] by name, each name once */
    uint32_t n_tensors;
    uint64_t file_bytes;           /* of all files together */
    const struct krs_os_map *maps; /* [n_maps] the files; NULL when they are none */
    uint32_t n_maps;
} krs_tensor_dir;

/* Order of two names by their bytes: < 0, 0, > 0. A directory is sorted by it. */
int krs_tensor_name_order(krs_str a, krs_str b);

/* NULL when there is none. Cost: O(log n). */
const krs_tensor *krs_tensor_dir_find(const krs_tensor_dir *dir, krs_str name);
