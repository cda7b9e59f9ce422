/* compute/kv_layout.h - where K and V of a position lie, in the memory of the backends on the host.
 *
 *   K: [layer][block][kv head][element of the head][16 positions]     transposed inside a block
 *   V: [layer][block][kv head][16 positions][padded element]
 *   in int8, each [16 positions] of codes comes after the [16 scales] of its positions, f32
 *
 * K is transposed so that q.k for 16 positions runs along vector lanes with no horizontal sums, and a
 * position's score never depends on its neighbours; V is row-wise so that the weighted sum of rows
 * does the same along elements. V rows are padded to whole vectors; the padding is written as zeros. A
 * head of V may be narrower or wider than one of K (latent attention: 512 and 576).
 *
 * Thread: values; pure. */
#pragma once

#include "compute/backend.h"

#define KRS_KV_LANES 16 /* V rows are padded to this many elements: one 512-bit vector of f32 */

typedef struct krs_kv_layout {
    size_t element_bytes;
    int64_t scale_elements; /* in front of a head's codes: 16 f32, counted in elements; 0 if none */
    int64_t head_dim;       /* elements of a head of K */
    int64_t value_dim;      /* of V */
    int64_t padded_dim;     /* value_dim rounded up to KRS_KV_LANES */
    int64_t k_head_elements; /* of one (block, head) in K */
    int64_t v_head_elements; /* the same in V */
    int64_t n_heads;
    int64_t n_blocks;
    int64_t n_layers;
} krs_kv_layout;

static inline krs_kv_layout krs_kv_layout_of(const krs_program *program,
                                             const krs_exec_limits *limits)
{
    const int64_t dim = program->head_dim;
    const int64_t value_dim = krs_program_value_dim(program);
    const int64_t padded = (value_dim + KRS_KV_LANES - 1) / KRS_KV_LANES * KRS_KV_LANES;
    /* An element of int8 is a byte. */
    const int64_t scales =
        limits->kv_dtype == KRS_DTYPE_I8 ? KRS_KV_BLOCK_TOKENS * (int64_t)sizeof(float) : 0;
    return (krs_kv_layout){
        .element_bytes = krs_dtype_bytes(limits->kv_dtype),
        .scale_elements = scales,
        .head_dim = dim,
        .value_dim = value_dim,
        .padded_dim = padded,
        .k_head_elements = scales + dim * KRS_KV_BLOCK_TOKENS,
        .v_head_elements = scales + padded * KRS_KV_BLOCK_TOKENS,
        .n_heads = program->n_kv_heads,
        .n_blocks = limits->n_kv_blocks,
        .n_layers = program->n_kv_layers,
    };
}

/* Index of the first element of (layer, block, head) in K; element d of position p % 16 is at
 * + d * 16 + p % 16. */
static inline int64_t krs_kv_layout_k(const krs_kv_layout *kv, int64_t layer, int64_t block,
                                      int64_t head)
{
    return ((layer * kv->n_blocks + block) * kv->n_heads + head) * kv->k_head_elements +
           kv->scale_elements;
}

/* The same in V; element d of position p % 16 is at + p % 16 * padded_dim + d. */
static inline int64_t krs_kv_layout_v(const krs_kv_layout *kv, int64_t layer, int64_t block,
                                      int64_t head)
{
    return ((layer * kv->n_blocks + block) * kv->n_heads + head) * kv->v_head_elements +
           kv->scale_elements;
}

/* In an int8 cache: the byte at which the f32 scale of position p % 16 is, for the codes that begin at
 * index `at` (of krs_kv_layout_k or _v). */
static inline int64_t krs_kv_layout_scale(int64_t at, int64_t p)
{
    return at + (p % KRS_KV_BLOCK_TOKENS - KRS_KV_BLOCK_TOKENS) * (int64_t)sizeof(float);
}

static inline int64_t krs_kv_layout_k_elements(const krs_kv_layout *kv)
{
    return kv->n_layers * kv->n_blocks * kv->n_heads * kv->k_head_elements;
}

static inline int64_t krs_kv_layout_v_elements(const krs_kv_layout *kv)
{
    return kv->n_layers * kv->n_blocks * kv->n_heads * kv->v_head_elements;
}
