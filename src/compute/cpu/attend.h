/* compute/cpu/attend.h - what the attention kernels are given and what they make.
 *
 *   query   a head of a row: its q, its out, the positions it sees
 *   tile    up to 128 queries that read one KV head of one sequence, in the order of their rows
 *   part    256 positions, counted from position 0
 *   state   what is known of a tile's queries after some parts: sums relative to the largest score
 *
 *   part(tile, 0) -> state    part(tile, 1) -> state    ...
 *        merge in the order of parts: all = all (+) state       finish: out = all
 *
 * A kernel works on one part at a time, for a whole tile, so that a part's K and V are loaded and widened
 * once for many queries. Which queries share a tile, and who computes which part when, is free: a query's
 * sums depend on nothing but its own begin and end, and parts are merged in order. So one token of a long
 * context can be spread over all threads, and has the bytes it has in a long prefill.
 *
 * Thread: pure values.  Memory: scratch and states are the caller's, 64-byte aligned.
 * Source: Milakov & Gimelshein 2018 (online softmax); Dao et al. 2022, FlashAttention; Dao et al. 2023,
 * Flash-Decoding (parts over threads). */
#pragma once

#include "compute/kv_int8.h"
#include "compute/kv_layout.h"

#define KRS_CPU_PART_TOKENS 256 /* positions of a part */
#define KRS_CPU_MAX_TILE_QUERIES                                                                   \
    128                         /* widening a part costs 2 to 4 % of what so many queries compute */
#define KRS_CPU_CHUNK_BLOCKS 4  /* blocks of K widened at once: 16 KiB of f32 at 64 elements */
#define KRS_CPU_CHUNK_VALUES 32 /* elements of V widened at once, of all positions: 32 KiB of f32 */
#define KRS_CPU_TILE_DIM_ELEMENTS                                                                  \
    128 /* larger heads have smaller tiles, or scratch outgrows an L2 */

typedef struct krs_cpu_query {
    const float *q; /* [head_dim] */
    float *out;     /* [value_dim] */
    int64_t begin;  /* positions [begin, end) are seen, at least one */
    int64_t end;
    /* Added to the score of position p: bias[p]; NULL: nothing is. Readable for the whole blocks of the
     * positions that any query of the tile sees. Without a softcap. */
    const float *bias;
    float sink; /* where the tile has sinks */
} krs_cpu_query;

/* A tile. From one query to the next, begin and end do not decrease. */
typedef struct krs_cpu_attention {
    const krs_kv_layout *kv;
    krs_dtype kv_dtype;
    const unsigned char *k; /* whole caches */
    const unsigned char *v;
    int64_t layer;
    int64_t kv_head;
    const uint32_t *blocks; /* of the sequence */
    float scale;
    float softcap; /* 0: none */
    bool has_sinks;
    int32_t n_queries; /* 1 .. krs_cpu_tile_queries */
    const krs_cpu_query *queries;
} krs_cpu_attention;

/* A state of n queries: values[n][padded_dim], top[n], weight[n], the last two padded. */
typedef struct krs_cpu_softmax {
    float *values;
    float *top;
    float *weight;
} krs_cpu_softmax;

typedef struct krs_cpu_attention_kernel {
    /* state: of the positions of one part, as if they were all there is. Queries that see none of them are
     * left as they are. scratch: krs_cpu_part_floats. */
    void (*part)(const krs_cpu_attention *op, int64_t part, const krs_cpu_softmax *state,
                 float *scratch);
    /* all becomes what all and state know together. all starts with the first part a query sees. */
    void (*merge)(const krs_cpu_attention *op, int64_t part, const krs_cpu_softmax *state,
                  const krs_cpu_softmax *all);
    /* out of every query; a sink comes last, as a part of one position whose value is zero. */
    void (*finish)(const krs_cpu_attention *op, const krs_cpu_softmax *all);
} krs_cpu_attention_kernel;

/* n in whole vectors of the widest instruction set. */
static inline int64_t krs_cpu_padded_floats(int64_t n)
{
    return (n + 15) / 16 * 16;
}

/* The most queries a tile has. */
static inline int64_t krs_cpu_tile_queries(const krs_kv_layout *kv)
{
    const int64_t dim = kv->head_dim > kv->padded_dim ? kv->head_dim : kv->padded_dim;
    return dim <= KRS_CPU_TILE_DIM_ELEMENTS ? KRS_CPU_MAX_TILE_QUERIES
                                            : KRS_CPU_MAX_TILE_QUERIES / 2;
}

static inline int64_t krs_cpu_state_floats(const krs_kv_layout *kv, int64_t n_queries)
{
    return n_queries * kv->padded_dim + 2 * krs_cpu_padded_floats(n_queries);
}

static inline krs_cpu_softmax krs_cpu_state_at(const krs_kv_layout *kv, int64_t n_queries,
                                               float *floats)
{
    float *top = floats + n_queries * kv->padded_dim;
    return (krs_cpu_softmax){floats, top, top + krs_cpu_padded_floats(n_queries)};
}

/* Scratch of a part: q, scores, a chunk of K and of V widened, and their scales. */
static inline int64_t krs_cpu_part_floats(const krs_kv_layout *kv, int64_t n_queries)
{
    const int64_t k_chunk = krs_cpu_padded_floats(kv->head_dim) * KRS_CPU_CHUNK_BLOCKS;
    return n_queries * (krs_cpu_padded_floats(kv->head_dim) + KRS_CPU_PART_TOKENS) +
           k_chunk * KRS_KV_BLOCK_TOKENS + KRS_CPU_PART_TOKENS * (KRS_CPU_CHUNK_VALUES + 2);
}

/* Scratch of a thread: a part's, its state, and what all parts have come to. */
static inline int64_t krs_cpu_attention_floats(const krs_kv_layout *kv)
{
    const int64_t n_queries = krs_cpu_tile_queries(kv);
    return krs_cpu_part_floats(kv, n_queries) + 2 * krs_cpu_state_floats(kv, n_queries);
}
