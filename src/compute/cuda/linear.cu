/* compute/cuda/linear.cu - out = matrix * in (+ bias), over every stored layout.
 *
 * One warp per output, ROWS rows at a time: each weight is read once per tile of rows. Along n_in a
 * lane takes every 32nd element (or packed word), then the lanes are summed in a fixed tree; neither
 * depends on how many rows the step has, so a row's bytes do not either. Elements past n_in are not
 * touched; a row past the tile's end computes the last row again and is not stored.
 *
 * This is the correct first version: f32 products, no tensor cores. docs/performance.md says what it
 * reaches. */
#include "compute/cuda/convert.cuh"

#define WARPS 8 /* outputs of one block */
#define ROWS  8 /* rows of one tile: eight accumulators, no spills */

struct linear_shape {
    krs_cuda_matrix m;
    krs_cuda_matrix bias; /* data NULL: none */
    const float *in;
    float *out;
    int n_rows;
};

/* Codes of one packed word against ROWS rows. BITS is a template so that shifts are constants. */
template <int BITS>
__device__ __forceinline__ void add_word(const linear_shape &s, int64_t output, int64_t word_index,
                                         const float *const rows[ROWS], float sums[ROWS])
{
    constexpr int per_word = 32 / BITS;
    const int64_t column = word_index * per_word;
    const uint32_t word =
        static_cast<const uint32_t *>(s.m.data)[output * (s.m.n_in / per_word) + word_index];
    const int64_t group = (output * s.m.n_in + column) / s.m.quant.group;
    const float scale = krs_cuda_load(s.m.scales, s.m.scale_dtype, group);
    const float bias = krs_cuda_load(s.m.biases, s.m.scale_dtype, group);
    for (int i = 0; i < per_word; i++) {
        const float w = scale * static_cast<float>(word >> (i * BITS) & ((1u << BITS) - 1u)) + bias;
        for (int r = 0; r < ROWS; r++) {
            sums[r] += w * rows[r][column + i];
        }
    }
}

template <int BITS>
__device__ __forceinline__ void add_packed(const linear_shape &s, int64_t output, int lane,
                                           const float *const rows[ROWS], float sums[ROWS])
{
    const int64_t n_words = s.m.n_in * BITS / 32;
    for (int64_t w = lane; w < n_words; w += 32) {
        add_word<BITS>(s, output, w, rows, sums);
    }
}

__device__ __forceinline__ void add_dense(const linear_shape &s, int64_t output, int lane,
                                          const float *const rows[ROWS], float sums[ROWS])
{
    for (int64_t c = lane; c < s.m.n_in; c += 32) {
        const float w = krs_cuda_load(s.m.data, s.m.dtype, output * s.m.n_in + c);
        for (int r = 0; r < ROWS; r++) {
            sums[r] += w * rows[r][c];
        }
    }
}

__global__ void linear_kernel(linear_shape s)
{
    const int lane = threadIdx.x % 32;
    const int64_t output = static_cast<int64_t>(blockIdx.x) * WARPS + threadIdx.x / 32;
    if (output >= s.m.n_out) {
        return;
    }
    const int first = blockIdx.y * ROWS;
    const float *rows[ROWS];
    float sums[ROWS] = {0.0f};
    for (int r = 0; r < ROWS; r++) {
        rows[r] = s.in + min(first + r, s.n_rows - 1) * s.m.n_in;
    }
    if (s.m.quant.kind == KRS_QUANT_NONE) {
        add_dense(s, output, lane, rows, sums);
    } else if (s.m.quant.bits == 4) {
        add_packed<4>(s, output, lane, rows, sums);
    } else {
        add_packed<8>(s, output, lane, rows, sums);
    }
    for (int r = 0; r < ROWS; r++) {
        float sum = krs_cuda_warp_sum(sums[r]);
        if (lane == 0 && first + r < s.n_rows) {
            sum += s.bias.data ? krs_cuda_load(s.bias.data, s.bias.dtype, output) : 0.0f;
            s.out[(first + r) * s.m.n_out + output] = sum;
        }
    }
}

void krs_cuda_linear(const krs_cuda_step *step, const krs_op *op)
{
    linear_shape s = {};
    s.m = step->exec->matrices[op->matrix];
    if (op->bias != KRS_NO_MATRIX) {
        s.bias = step->exec->matrices[op->bias];
    }
    s.in = step->exec->slots[op->in];
    s.out = step->exec->slots[op->out];
    s.n_rows = krs_cuda_n_rows(step, op->in);
    if (s.n_rows > 0) {
        const dim3 grid(static_cast<unsigned>((s.m.n_out + WARPS - 1) / WARPS),
                        static_cast<unsigned>((s.n_rows + ROWS - 1) / ROWS));
        linear_kernel<<<grid, WARPS * 32, 0, step->stream>>>(s);
    }
}
