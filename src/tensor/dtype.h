/* tensor/dtype.h - element types and their scalar conversions: the definition every kernel is held to.
 *
 * Thread: any; pure.  Source: IEEE 754 (f16), bfloat16 as the upper half of f32. */
#pragma once

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef enum krs_dtype {
#define KRS_DTYPE(name, text, bytes) KRS_DTYPE_##name,
#include "tensor/dtype.def"
#undef KRS_DTYPE
    KRS_DTYPE_COUNT
} krs_dtype;

/* Bytes of one element; the name as safetensors writes it; KRS_DTYPE_COUNT for an unknown name. */
size_t krs_dtype_bytes(krs_dtype dtype);
const char *krs_dtype_name(krs_dtype dtype);
krs_dtype krs_dtype_of_name(krs_str name);

/* Exact. */
static inline float krs_f32_of_bf16(uint16_t x)
{
    const uint32_t bits = (uint32_t)x << 16;
    float f;
    memcpy(&f, &bits, sizeof(f));
    return f;
}

/* Round to nearest, ties to even; NaN stays NaN (quiet). */
uint16_t krs_bf16_of_f32(float x);

/* Exact, subnormals, infinities and NaN included. */
float krs_f32_of_f16(uint16_t x);

/* Round to nearest, ties to even; overflow to infinity. */
uint16_t krs_f16_of_f32(float x);

/* out[n] = in[n] as f32. dtype: F32, F16, BF16 or F64; false for any other. in: any alignment. */
bool krs_f32_of_any(krs_dtype dtype, const void *in, size_t n, float *out);
