/* compute/cuda/elementwise.cu - ops whose outputs each depend on one or two inputs: embedding, row
 * selection, gated activation, residual addition. One thread per element. */
#include "compute/cuda/convert.cuh"

static int blocks_for(int64_t n)
{
    return static_cast<int>((n + KRS_CUDA_THREADS - 1) / KRS_CUDA_THREADS);
}

__global__ void embed_kernel(krs_cuda_matrix m, const uint32_t *tokens, float scale, float *out,
                             int64_t n)
{
    const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < n) {
        out[i] = scale * krs_cuda_element(m, tokens[i / m.n_in], i % m.n_in);
    }
}

__global__ void take_rows_kernel(const float *in, const uint32_t *rows, float *out, int64_t width,
                                 int64_t n)
{
    const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < n) {
        out[i] = in[rows[i / width] * width + i % width];
    }
}

__device__ __forceinline__ float activate(krs_activation act, float x)
{
    if (act == KRS_ACT_SILU) {
        return x / (1.0f + expf(-x));
    }
    if (act == KRS_ACT_GELU) {
        return 0.5f * x * (1.0f + erff(x * 0.70710678118654752f));
    }
    return 0.5f * x * (1.0f + tanhf(0.79788456080286536f * (x + 0.044715f * x * x * x)));
}

__global__ void glu_kernel(krs_activation act, const float *gate, const float *up, float *out,
                           int64_t n)
{
    const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < n) {
        out[i] = activate(act, gate[i]) * up[i];
    }
}

__global__ void add_kernel(const float *a, const float *b, float *out, int64_t n)
{
    const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < n) {
        out[i] = a[i] + b[i];
    }
}

/* Elements of op's output slot in this step. */
static int64_t n_elements(const krs_cuda_step *step, const krs_op *op)
{
    return krs_cuda_n_rows(step, op->out) * step->exec->program->slots[op->out].width;
}

void krs_cuda_embed(const krs_cuda_step *step, const krs_op *op)
{
    const int64_t n = n_elements(step, op);
    embed_kernel<<<blocks_for(n), KRS_CUDA_THREADS, 0, step->stream>>>(
        step->exec->matrices[op->matrix], step->inputs->tokens, op->embed.scale,
        step->exec->slots[op->out], n);
}

void krs_cuda_take_rows(const krs_cuda_step *step, const krs_op *op)
{
    const int64_t n = n_elements(step, op);
    if (n > 0) {
        const krs_slot_shape *shape = &step->exec->program->slots[op->out];
        const uint32_t *rows =
            shape->rows == KRS_ROWS_LOGITS ? step->inputs->logit_rows : step->inputs->hidden_rows;
        take_rows_kernel<<<blocks_for(n), KRS_CUDA_THREADS, 0, step->stream>>>(
            step->exec->slots[op->in], rows, step->exec->slots[op->out], shape->width, n);
    }
}

void krs_cuda_glu(const krs_cuda_step *step, const krs_op *op)
{
    const int64_t n = n_elements(step, op);
    if (n > 0) {
        glu_kernel<<<blocks_for(n), KRS_CUDA_THREADS, 0, step->stream>>>(
            op->glu.act, step->exec->slots[op->in], step->exec->slots[op->in2],
            step->exec->slots[op->out], n);
    }
}

void krs_cuda_add(const krs_cuda_step *step, const krs_op *op)
{
    const int64_t n = n_elements(step, op);
    if (n > 0) {
        add_kernel<<<blocks_for(n), KRS_CUDA_THREADS, 0, step->stream>>>(
            step->exec->slots[op->in], step->exec->slots[op->in2], step->exec->slots[op->out], n);
    }
}
