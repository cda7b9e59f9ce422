/* compute/cpu/template/table.h - the linear kernels of one instruction set as functions, one per layout.
 * Included after template/linear.h. */

static void linear_f32(const krs_cpu_linear *op, int64_t row, int64_t n_rows, int64_t out,
                       int64_t n_outs, float *scratch)
{
    linear(KRS_CPU_F32, op, row, n_rows, out, n_outs, scratch);
}

static void linear_f16(const krs_cpu_linear *op, int64_t row, int64_t n_rows, int64_t out,
                       int64_t n_outs, float *scratch)
{
    linear(KRS_CPU_F16, op, row, n_rows, out, n_outs, scratch);
}

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
