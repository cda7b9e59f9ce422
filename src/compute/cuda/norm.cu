/* compute/cuda/norm.cu - RMS norm: one block per (row, group), sums in a fixed tree. And rotary
 * positions: one thread per pair, angles in f32 as the reference computes them. */
#include "compute/cuda/convert.cuh"

__global__ void rms_norm_kernel(const float *in, krs_cuda_matrix weight, float eps, float *out,
                                int width)
{
    __shared__ float partial[KRS_CUDA_THREADS / 32];
    const int64_t begin = static_cast<int64_t>(blockIdx.x) * width;
    float sum = 0.0f;
    for (int i = threadIdx.x; i < width; i += KRS_CUDA_THREADS) {
        const float x = in[begin + i];
        sum += x * x;
    }
    sum = krs_cuda_warp_sum(sum);
    if (threadIdx.x % 32 == 0) {
        partial[threadIdx.x / 32] = sum;
    }
    __syncthreads();
    float total = 0.0f;
    for (int w = 0; w < KRS_CUDA_THREADS / 32; w++) {
        total += partial[w];
    }
    const float scale = 1.0f / sqrtf(total / static_cast<float>(width) + eps);
    for (int i = threadIdx.x; i < width; i += KRS_CUDA_THREADS) {
        out[begin + i] = in[begin + i] * scale * krs_cuda_load(weight.data, weight.dtype, i);
    }
}

void krs_cuda_rms_norm(const krs_cuda_step *step, const krs_op *op)
{
    const int n_rows = krs_cuda_n_rows(step, op->in);
    const int width =
        static_cast<int>(step->exec->program->slots[op->in].width / op->norm.n_groups);
    if (n_rows > 0) {
        rms_norm_kernel<<<n_rows * op->norm.n_groups, KRS_CUDA_THREADS, 0, step->stream>>>(
            step->exec->slots[op->in], step->exec->matrices[op->matrix], op->norm.eps,
            step->exec->slots[op->out], width);
    }
}

struct rope_shape {
    int n_heads;
    int head_dim;
    int n_freqs;
    float scale;
};

__global__ void rope_kernel(float *x, const uint32_t *positions, const float *freqs,
                            rope_shape shape, int64_t n)
{
    const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= n) {
        return;
    }
    const int64_t head = i / shape.n_freqs; /* of all rows */
    const int f = static_cast<int>(i % shape.n_freqs);
    const float angle = static_cast<float>(positions[head / shape.n_heads]) * freqs[f];
    const float c = cosf(angle) * shape.scale;
    const float s = sinf(angle) * shape.scale;
    float *pair = x + head * shape.head_dim + f;
    const float a = pair[0];
    const float b = pair[shape.n_freqs];
    pair[0] = a * c - b * s;
    pair[shape.n_freqs] = b * c + a * s;
}

void krs_cuda_rope(const krs_cuda_step *step, const krs_op *op)
{
    const rope_shape shape = {op->rope.n_heads, op->rope.head_dim, op->rope.n_freqs,
                              op->rope.scale};
    const int64_t n = static_cast<int64_t>(step->n_rows) * shape.n_heads * shape.n_freqs;
    const int n_blocks = static_cast<int>((n + KRS_CUDA_THREADS - 1) / KRS_CUDA_THREADS);
    rope_kernel<<<n_blocks, KRS_CUDA_THREADS, 0, step->stream>>>(
        step->exec->slots[op->in], step->inputs->positions, step->exec->floats + op->rope.freqs,
        shape, n);
}
