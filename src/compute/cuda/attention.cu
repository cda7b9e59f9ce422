/* compute/cuda/attention.cu - the KV cache and softmax attention.
 *
 * One block per (row, head). Positions are taken in tiles of TILE counted from position 0, with the
 * running maximum and sum of online softmax between tiles; so prefill and decode, and every chunking,
 * do the same arithmetic for a row. A tile wholly before the window is skipped, a position outside it
 * has weight zero: the same in both, since the tiles lie where they lie. In int8 the sums run over
 * codes: a score is multiplied by its position's K scale, a weight by its V scale (kv_int8.h).
 *
 * Source: Milakov and Gimelshein 2018, arXiv:1805.02867 (online softmax). */
#include "compute/cuda/convert.cuh"
#include "compute/kv_int8.h"

#define TILE     128                               /* positions of one tile = threads of a block */
#define MAX_ACCS (KRS_PROGRAM_MAX_HEAD_DIM / TILE) /* elements of the output one thread sums */

/* Which head of a token in the cache, counted over all; its elements begin at head_dim times that. */
__device__ __forceinline__ int64_t kv_slot(const krs_cuda_kv &kv, int layer, uint32_t block,
                                           int head, int at)
{
    const int64_t slot = (static_cast<int64_t>(layer) * kv.n_blocks + block) * kv.n_heads + head;
    return slot * KRS_KV_BLOCK_TOKENS + at;
}

__device__ __forceinline__ float kv_load(const unsigned char *data, krs_dtype dtype, int64_t i)
{
    return dtype == KRS_DTYPE_I8 ? static_cast<float>(reinterpret_cast<const int8_t *>(data)[i])
                                 : krs_cuda_load(data, dtype, i);
}

#define WRITERS 64 /* threads that store one head of one token */

/* krs_kv_quantise, by WRITERS threads: the maximum does not depend on the order. */
__device__ void quantise_head(const float *x, int n, int8_t *codes, float *scale)
{
    __shared__ uint32_t tops[WRITERS / 32];
    uint32_t top_bits = 0;
    for (int d = threadIdx.x; d < n; d += WRITERS) {
        top_bits = max(top_bits, __float_as_uint(x[d]) & 0x7FFFFFFFu);
    }
    top_bits = __reduce_max_sync(0xFFFFFFFFu, top_bits);
    if (threadIdx.x % 32 == 0) {
        tops[threadIdx.x / 32] = top_bits;
    }
    __syncthreads();
    for (int w = 0; w < WRITERS / 32; w++) {
        top_bits = max(top_bits, tops[w]);
    }
    __syncthreads(); /* before the next call writes tops again */
    const float top = __uint_as_float(top_bits);
    const bool is_usable = top >= KRS_KV_INT8_TINY && top_bits < 0x7F800000u;
    const float factor = is_usable ? KRS_KV_INT8_MAX / top : 0.0f;
    for (int d = threadIdx.x; d < n; d += WRITERS) {
        codes[d] = static_cast<int8_t>(is_usable ? __float2int_rn(__fmul_rn(x[d], factor)) : 0);
    }
    if (threadIdx.x == 0) {
        *scale = is_usable                ? top / KRS_KV_INT8_MAX
                 : top < KRS_KV_INT8_TINY ? 0.0f
                                          : __uint_as_float(0x7FC00000u);
    }
}

__device__ __forceinline__ void kv_store(const krs_cuda_kv &kv, unsigned char *data, float *scales,
                                         int64_t slot, const float *x)
{
    const int64_t to = slot * kv.head_dim;
    if (kv.dtype == KRS_DTYPE_I8) {
        quantise_head(x, kv.head_dim, reinterpret_cast<int8_t *>(data) + to, scales + slot);
        return;
    }
    for (int d = threadIdx.x; d < kv.head_dim; d += WRITERS) {
        krs_cuda_store(data, kv.dtype, to + d, x[d]);
    }
}

__global__ void kv_write_kernel(krs_cuda_kv kv, krs_cuda_inputs inputs, int layer, const float *k,
                                const float *v)
{
    const int row = blockIdx.x;
    const int head = blockIdx.y;
    const uint32_t position = inputs.positions[row];
    const uint32_t begin = inputs.block_begin[inputs.row_seqs[row]];
    const uint32_t block = inputs.blocks[begin + position / KRS_KV_BLOCK_TOKENS];
    const int64_t slot = kv_slot(kv, layer, block, head, position % KRS_KV_BLOCK_TOKENS);
    const int64_t from = (static_cast<int64_t>(row) * kv.n_heads + head) * kv.head_dim;
    kv_store(kv, kv.k, kv.k_scales, slot, k + from);
    kv_store(kv, kv.v, kv.v_scales, slot, v + from);
}

void krs_cuda_kv_write(const krs_cuda_step *step, const krs_op *op)
{
    const dim3 grid(static_cast<unsigned>(step->n_rows),
                    static_cast<unsigned>(step->exec->kv.n_heads));
    kv_write_kernel<<<grid, WRITERS, 0, step->stream>>>(
        step->exec->kv, *step->inputs, op->attention.layer, step->exec->slots[op->in],
        step->exec->slots[op->in2]);
}

struct attention_shape {
    int layer;
    int n_heads;
    int window;
    float scale;
};

/* Maximum (or sum) of one value per thread, the same in every thread, in a fixed order. */
__device__ __forceinline__ float block_max(float x, float *partial)
{
    x = krs_cuda_warp_max(x);
    if (threadIdx.x % 32 == 0) {
        partial[threadIdx.x / 32] = x;
    }
    __syncthreads();
    float top = partial[0];
    for (int w = 1; w < TILE / 32; w++) {
        top = fmaxf(top, partial[w]);
    }
    __syncthreads();
    return top;
}

__device__ __forceinline__ float block_sum(float x, float *partial)
{
    x = krs_cuda_warp_sum(x);
    if (threadIdx.x % 32 == 0) {
        partial[threadIdx.x / 32] = x;
    }
    __syncthreads();
    float sum = 0.0f;
    for (int w = 0; w < TILE / 32; w++) {
        sum += partial[w];
    }
    __syncthreads();
    return sum;
}

/* What the threads of a block share. */
struct attention_tile {
    float q[KRS_PROGRAM_MAX_HEAD_DIM];
    float weights[TILE];
    int64_t offsets[TILE]; /* of each position's K and V in the cache */
    float partial[TILE / 32];
};

/* Online softmax so far; the same in every thread but for accs. */
struct attention_sums {
    float top;
    float total;
    float accs[MAX_ACCS]; /* of elements threadIdx.x + a * TILE */
};

/* This thread's score: of position p, or -INFINITY when p is not seen. */
__device__ __forceinline__ float score_of(const krs_cuda_kv &kv, const attention_tile &shared,
                                          bool is_seen)
{
    if (!is_seen) {
        return -INFINITY;
    }
    float dot = 0.0f;
    for (int d = 0; d < kv.head_dim; d++) {
        dot += shared.q[d] * kv_load(kv.k, kv.dtype, shared.offsets[threadIdx.x] + d);
    }
    if (kv.dtype == KRS_DTYPE_I8) {
        dot *= kv.k_scales[shared.offsets[threadIdx.x] / kv.head_dim];
    }
    return dot;
}

/* accs = accs * shrink + sum over positions [first, last) of the tile of weight * V. */
__device__ __forceinline__ void add_values(const krs_cuda_kv &kv, const attention_tile &shared,
                                           int first, int last, float shrink, float accs[MAX_ACCS])
{
    for (int a = 0; a < MAX_ACCS; a++) {
        const int d = a * TILE + static_cast<int>(threadIdx.x);
        if (d < kv.head_dim) {
            float sum = accs[a] * shrink;
            for (int j = first; j < last; j++) {
                sum += shared.weights[j] * kv_load(kv.v, kv.dtype, shared.offsets[j] + d);
            }
            accs[a] = sum;
        }
    }
}

/* Take in the positions of one tile that lie in [begin, end). shared.offsets are set. */
__device__ __forceinline__ void add_tile(const krs_cuda_kv &kv, attention_tile &shared, int tile,
                                         int begin, int end, float scale, attention_sums &sums)
{
    const int p = tile + static_cast<int>(threadIdx.x);
    const bool is_seen = p >= begin && p < end;
    const float score = score_of(kv, shared, is_seen) * scale;
    const float top = fmaxf(sums.top, block_max(score, shared.partial));
    const float weight = is_seen ? expf(score - top) : 0.0f;
    const float shrink = expf(sums.top - top); /* 0 for the first tile: exp(-inf) */
    const bool is_scaled = is_seen && kv.dtype == KRS_DTYPE_I8;
    shared.weights[threadIdx.x] =
        is_scaled ? weight * kv.v_scales[shared.offsets[threadIdx.x] / kv.head_dim] : weight;
    sums.total = sums.total * shrink + block_sum(weight, shared.partial);
    sums.top = top;
    add_values(kv, shared, max(begin - tile, 0), min(end - tile, TILE), shrink, sums.accs);
    __syncthreads();
}

__global__ void attention_kernel(krs_cuda_kv kv, krs_cuda_inputs inputs, attention_shape shape,
                                 const float *q_rows, float *out_rows)
{
    __shared__ attention_tile shared;
    const int row = blockIdx.x;
    const int head = blockIdx.y;
    const int kv_head = head / (shape.n_heads / kv.n_heads);
    const int64_t at = (static_cast<int64_t>(row) * shape.n_heads + head) * kv.head_dim;
    for (int d = threadIdx.x; d < kv.head_dim; d += TILE) {
        shared.q[d] = q_rows[at + d];
    }
    const uint32_t *blocks = inputs.blocks + inputs.block_begin[inputs.row_seqs[row]];
    const int end = static_cast<int>(inputs.positions[row]) + 1;
    const int begin = shape.window > 0 && end > shape.window ? end - shape.window : 0;
    attention_sums sums = {-INFINITY, 0.0f, {0.0f}};
    __syncthreads();
    for (int tile = begin / TILE * TILE; tile < end; tile += TILE) {
        const int p = tile + static_cast<int>(threadIdx.x);
        if (p < end) {
            shared.offsets[threadIdx.x] = kv_slot(kv, shape.layer, blocks[p / KRS_KV_BLOCK_TOKENS],
                                                  kv_head, p % KRS_KV_BLOCK_TOKENS) *
                                          kv.head_dim;
        }
        add_tile(kv, shared, tile, begin, end, shape.scale, sums);
    }
    for (int a = 0; a < MAX_ACCS; a++) {
        const int d = a * TILE + static_cast<int>(threadIdx.x);
        if (d < kv.head_dim) {
            out_rows[at + d] = sums.accs[a] / sums.total;
        }
    }
}

void krs_cuda_attention(const krs_cuda_step *step, const krs_op *op)
{
    const attention_shape shape = {op->attention.layer, op->attention.n_heads, op->attention.window,
                                   op->attention.scale};
    const dim3 grid(static_cast<unsigned>(step->n_rows),
                    static_cast<unsigned>(op->attention.n_heads));
    attention_kernel<<<grid, TILE, 0, step->stream>>>(step->exec->kv, *step->inputs, shape,
                                                      step->exec->slots[op->in],
                                                      step->exec->slots[op->out]);
}
