/* compute/cpu/template/table.h - the linear kernels of one instruction set as functions, one per layout,
 * and its multiply-add rate.
 * Included after template/linear.h. */

static void linear_f32(const krs_cpu_linear *op, int64_t row, int64_t n_rows, int64_t out,
                       int64_t n_outs)
{
    linear(KRS_CPU_F32, op, row, n_rows, out, n_outs);
}

static void linear_f16(const krs_cpu_linear *op, int64_t row, int64_t n_rows, int64_t out,
                       int64_t n_outs)
{
    linear(KRS_CPU_F16, op, row, n_rows, out, n_outs);
}

static void linear_bf16(const krs_cpu_linear *op, int64_t row, int64_t n_rows, int64_t out,
                        int64_t n_outs)
{
    linear(KRS_CPU_BF16, op, row, n_rows, out, n_outs);
}

static float dot_f32(int64_t n, float x)
{
    vf sums[KRS_CPU_DOT_CHAINS];
    for (int k = 0; k < KRS_CPU_DOT_CHAINS; k++) {
        sums[k] = vf_set((float)k);
    }
    const vf a = vf_set(x);
    for (int64_t i = 0; i < n; i++) {
#pragma GCC unroll 16
        for (int k = 0; k < KRS_CPU_DOT_CHAINS; k++) {
            sums[k] = vf_fma(a, a, sums[k]);
        }
    }
    float sum = 0;
    for (int k = 0; k < KRS_CPU_DOT_CHAINS; k++) {
        sum += vf_sum(sums[k]);
    }
    return sum;
}
