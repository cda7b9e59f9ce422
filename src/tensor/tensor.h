/* tensor/tensor.h - a stored tensor as the rest of the program sees it: a name, a shape, and bytes
 * that belong to a mapped file.
 *
 * Thread: immutable values.  Memory: borrows; valid as long as the file that holds it stays open. */
#pragma once

#include "tensor/quant.h"

#define KRS_TENSOR_MAX_RANK 8 /* transformers stay at 4; convolution kernels at 5 */

typedef struct krs_tensor {
    krs_str name;
    krs_dtype dtype; /* U8 when the elements lie in blocks */
    krs_quant quant; /* a block kind that the file itself names (GGUF); NONE: dtype says it all */
    int32_t rank;    /* 0 .. KRS_TENSOR_MAX_RANK */
    int64_t dims[KRS_TENSOR_MAX_RANK]; /* row-major, last index fastest */
    const void *data;                  /* [n_bytes]; may be unaligned for its dtype */
    size_t n_bytes;
    uint32_t shard; /* which of the model's files holds it, from 0 */
} krs_tensor;
