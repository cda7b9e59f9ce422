/* compute/cpu/avx512bf16/linear.c - linear kernels on VDPBF16PS: 32 products a lane-pair at a time.
 *
 * x is rounded to bf16 once per op (that is the only rounding beyond f32 sums, about 2^-9 relative per
 * element, independent between elements). bf16 weights are used as they lie. Affine codes are exact in
 * bf16: 4 bits at a time they index a table of 32 halves by VPERMW, which ignores the index bits above
 * its fifth, and the table repeats after 16, so neither AND nor conversion is needed. An 8-bit code is
 * two look-ups, 16 * high + low, both against the same x. x is packed so that its order matches:
 * half-word j of a block holds codes 4 j + k (or 2 j + k), hence vector k of x holds those elements.
 *
 * VDPBF16PS rounds to nearest and flushes subnormals always, whatever MXCSR says, so the result does
 * not depend on who calls. f32 and f16 matrices take avx512's kernels.
 *
 * Source: Intel Architecture Instruction Set Extensions reference, VDPBF16PS, VPERMW. */
#include "compute/cpu/avx512/vec.h"

#include <string.h>

typedef __m512bh operand;

KRS_CPU_INLINE int steps_of(krs_cpu_layout layout)
{
    return layout == KRS_CPU_BF16 ? 1 : 4;
}

KRS_CPU_INLINE int x_vector_of(krs_cpu_layout layout, int step)
{
    return layout == KRS_CPU_AFFINE8 ? step / 2 : step;
}

KRS_CPU_INLINE int x_vectors_of(krs_cpu_layout layout)
{
    return layout == KRS_CPU_AFFINE8 ? 2 : steps_of(layout);
}

KRS_CPU_INLINE size_t block_bytes_of(krs_cpu_layout layout)
{
    (void)layout;
    return KRS_CPU_VECTOR_BYTES;
}

/* bf16 of 0 .. 15, twice; and of 16 times that. */
static const uint16_t code_table[2][32] = {
    {0x0000, 0x3F80, 0x4000, 0x4040, 0x4080, 0x40A0, 0x40C0, 0x40E0, 0x4100, 0x4110, 0x4120,
     0x4130, 0x4140, 0x4150, 0x4160, 0x4170, 0x0000, 0x3F80, 0x4000, 0x4040, 0x4080, 0x40A0,
     0x40C0, 0x40E0, 0x4100, 0x4110, 0x4120, 0x4130, 0x4140, 0x4150, 0x4160, 0x4170},
    {0x0000, 0x4180, 0x4200, 0x4240, 0x4280, 0x42A0, 0x42C0, 0x42E0, 0x4300, 0x4310, 0x4320,
     0x4330, 0x4340, 0x4350, 0x4360, 0x4370, 0x0000, 0x4180, 0x4200, 0x4240, 0x4280, 0x42A0,
     0x42C0, 0x42E0, 0x4300, 0x4310, 0x4320, 0x4330, 0x4340, 0x4350, 0x4360, 0x4370},
};

/* half-words >> 4 step; a literal count for the same reason as vi_nibble. */
KRS_CPU_INLINE __m512i half_nibble(__m512i words, int step)
{
    switch (step) {
    case 1:
        return _mm512_srli_epi16(words, 4);
    case 2:
        return _mm512_srli_epi16(words, 8);
    case 3:
        return _mm512_srli_epi16(words, 12);
    default:
        return words;
    }
}

KRS_CPU_INLINE operand decode(krs_cpu_layout layout, const unsigned char *w, int step)
{
    const __m512i words = _mm512_loadu_si512(w);
    if (layout == KRS_CPU_BF16) {
        return (operand)words;
    }
    const int which = layout == KRS_CPU_AFFINE8 && step % 2 == 1 ? 1 : 0;
    const __m512i table = _mm512_loadu_si512(code_table[which]);
    return (operand)_mm512_permutexvar_epi16(half_nibble(words, step), table);
}

KRS_CPU_INLINE vf multiply_add(operand w, const unsigned char *x, vf sum)
{
    return _mm512_dpbf16_ps(sum, (operand)_mm512_loadu_si512(x), w);
}

#include "compute/cpu/template/linear.h"

static void linear_bf16(const krs_cpu_linear *op, int64_t row, int64_t n_rows, int64_t out,
                        int64_t n_outs, float *scratch)
{
    linear(KRS_CPU_BF16, op, row, n_rows, out, n_outs, scratch);
}

static void linear_affine4(const krs_cpu_linear *op, int64_t row, int64_t n_rows, int64_t out,
                           int64_t n_outs, float *scratch)
{
    linear(KRS_CPU_AFFINE4, op, row, n_rows, out, n_outs, scratch);
}

static void linear_affine8(const krs_cpu_linear *op, int64_t row, int64_t n_rows, int64_t out,
                           int64_t n_outs, float *scratch)
{
    linear(KRS_CPU_AFFINE8, op, row, n_rows, out, n_outs, scratch);
}

float krs_cpu_avx512bf16_dot(int64_t n, float x)
{
    vf sums[KRS_CPU_DOT_CHAINS];
    for (int k = 0; k < KRS_CPU_DOT_CHAINS; k++) {
        sums[k] = vf_set((float)k);
    }
    const operand a = (operand)_mm512_castps_si512(vf_set(x));
    for (int64_t i = 0; i < n; i++) {
#pragma GCC unroll 16
        for (int k = 0; k < KRS_CPU_DOT_CHAINS; k++) {
            sums[k] = _mm512_dpbf16_ps(sums[k], a, a);
        }
    }
    float sum = 0;
    for (int k = 0; k < KRS_CPU_DOT_CHAINS; k++) {
        sum += vf_sum(sums[k]);
    }
    return sum;
}

const krs_cpu_linear_kernel krs_cpu_avx512bf16_linear[KRS_CPU_LAYOUT_COUNT] = {
    [KRS_CPU_BF16] = {{32, 1, true}, linear_bf16},
    [KRS_CPU_AFFINE4] = {{128, 4, true}, linear_affine4},
    [KRS_CPU_AFFINE8] = {{64, 2, true}, linear_affine8},
};
