/* compute/cpu/template/operand_f32.h - weights widened to f32, the operand of the plain FMA kernels.
 * Included after <isa>/vec.h and before template/linear.h, which says what the names mean. */

typedef vf operand;

KRS_CPU_INLINE int steps_of(krs_cpu_layout layout)
{
    switch (layout) {
    case KRS_CPU_BF16:
        return 2;
    case KRS_CPU_AFFINE4:
        return 8;
    case KRS_CPU_AFFINE8:
        return 4;
    default:
        return 1;
    }
}

KRS_CPU_INLINE int x_vector_of(krs_cpu_layout layout, int step)
{
    (void)layout;
    return step;
}

KRS_CPU_INLINE int x_vectors_of(krs_cpu_layout layout)
{
    return steps_of(layout);
}

KRS_CPU_INLINE size_t block_bytes_of(krs_cpu_layout layout)
{
    return layout == KRS_CPU_F16 ? LANES * 2 : LANES * 4;
}

KRS_CPU_INLINE operand decode(krs_cpu_layout layout, const unsigned char *w, int step)
{
    switch (layout) {
    case KRS_CPU_F16:
        return vf_load_f16(w);
    case KRS_CPU_BF16:
        return step == 0 ? vf_even_bf16(w) : vf_odd_bf16(w);
    case KRS_CPU_AFFINE4:
        return vf_codes4(w, step);
    case KRS_CPU_AFFINE8:
        return vf_codes8(w, step);
    default:
        return vf_load(w);
    }
}

KRS_CPU_INLINE vf multiply_add(operand w, const unsigned char *x, vf sum)
{
    return vf_fma(vf_load(x), w, sum);
}
