/* tensor/gguf_block.h - the element types of GGUF files: plain numbers, and blocks of codes.
 *
 * A block type cuts a row into blocks of 32 or 256 elements; each block carries its own scales, so a
 * matrix of them is data alone. Every block type here is also a kind of krs_quant (quant.def), which is
 * how the rest of the program reads it. Types that exist and are not read here have a row too, so that
 * a refusal can say their name.
 *
 * Thread: constant table; pure.  Source: ggml.h (numbers), ggml-common.h (layouts) of ggml. */
#pragma once

#include "tensor/quant.h"

typedef struct krs_gguf_type_info {
    uint32_t id;      /* as in files */
    const char *name; /* "Q4_K" */
    krs_dtype dtype;  /* of a plain type; KRS_DTYPE_U8 for blocks */
    krs_quant quant;  /* kind NONE for a plain type */
    uint32_t n_elements;
    uint32_t n_bytes; /* of n_elements; 0: known by name only */
} krs_gguf_type_info;

/* NULL: nobody has given this number a meaning that we know. */
const krs_gguf_type_info *krs_gguf_type_find(uint32_t id);
/* The row of a block kind; NULL for any other kind. */
const krs_gguf_type_info *krs_gguf_type_of_kind(krs_quant_kind kind);

/* "F32, F16, Q4_0, ..." into out[max_bytes], cut when it does not fit. */
void krs_gguf_type_list(char *out, size_t max_bytes);
