/* compute/cuda/convert.cuh - stored elements to f32 and back, in registers.
 * Source: IEEE 754 half through the device's own conversion; bfloat16 as the upper half of f32. */
#pragma once

#include "compute/cuda/device.cuh"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

/* Element i of an array of dtype F32, F16 or BF16. */
__device__ __forceinline__ float krs_cuda_load(const void *data, krs_dtype dtype, int64_t i)
{
    if (dtype == KRS_DTYPE_F32) {
        return static_cast<const float *>(data)[i];
    }
    if (dtype == KRS_DTYPE_F16) {
        return __half2float(static_cast<const __half *>(data)[i]);
    }
    return __bfloat162float(static_cast<const __nv_bfloat16 *>(data)[i]);
}

__device__ __forceinline__ void krs_cuda_store(void *data, krs_dtype dtype, int64_t i, float x)
{
    if (dtype == KRS_DTYPE_F32) {
        static_cast<float *>(data)[i] = x;
    } else if (dtype == KRS_DTYPE_F16) {
        static_cast<__half *>(data)[i] = __float2half_rn(x);
    } else {
        static_cast<__nv_bfloat16 *>(data)[i] = __float2bfloat16_rn(x);
    }
}

/* Element (row, column) of a stored matrix, quantised or not: the scalar meaning of tensor/quant.h. */
__device__ __forceinline__ float krs_cuda_element(const krs_cuda_matrix &m, int64_t row,
                                                  int64_t column)
{
    if (m.quant.kind == KRS_QUANT_NONE) {
        return krs_cuda_load(m.data, m.dtype, row * m.n_in + column);
    }
    const int per_word = 32 / m.quant.bits;
    const uint32_t word = static_cast<const uint32_t *>(m.data)[(row * m.n_in + column) / per_word];
    const uint32_t code = word >> (column % per_word * m.quant.bits) & ((1u << m.quant.bits) - 1u);
    const int64_t group = (row * m.n_in + column) / m.quant.group;
    return krs_cuda_load(m.scales, m.scale_dtype, group) * static_cast<float>(code) +
           krs_cuda_load(m.biases, m.scale_dtype, group);
}

/* Sum over the 32 lanes of a warp, in a fixed order, the same in every lane. */
__device__ __forceinline__ float krs_cuda_warp_sum(float x)
{
    for (int offset = 16; offset > 0; offset /= 2) {
        x += __shfl_xor_sync(0xFFFFFFFFu, x, offset);
    }
    return x;
}

__device__ __forceinline__ float krs_cuda_warp_max(float x)
{
    for (int offset = 16; offset > 0; offset /= 2) {
        x = fmaxf(x, __shfl_xor_sync(0xFFFFFFFFu, x, offset));
    }
    return x;
}
