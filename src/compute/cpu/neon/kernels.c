/* compute/cpu/neon/kernels.c - the templates compiled for every AArch64 machine: 4 lanes of f32 (Advanced SIMD).
 * Dense weights are widened to f32 and multiplied with f32 rows: no rounding beyond f32's own.
 * See kernels.h for the contract, template/ for the loops. */
#include "compute/cpu/neon/vec.h"

#include <math.h>
#include <string.h>

#include "compute/cpu/template/linear.h"
#include "compute/cpu/template/math.h"
#include "compute/cpu/template/table.h"

#include "compute/cpu/template/activation.h"
#include "compute/cpu/template/attend_jobs.h"

#include "compute/cpu/template/attend_f32.h"

#include "compute/cpu/template/attention.h"
#include "compute/cpu/template/recurrent.h"
#include "compute/cpu/template/row_codes.h"
#include "compute/cpu/template/rows.h"

const krs_cpu_kernels krs_cpu_neon = {
    .isa = "neon",
    .kv_dtype = KRS_DTYPE_F16,
    .linear =
        {
            [KRS_CPU_F32] = {{LANES, 1}, linear_f32},
            [KRS_CPU_F16] = {{LANES, 1}, linear_f16},
            [KRS_CPU_BF16] = {{2 * LANES, 2}, linear_bf16},
        },
    .pack = pack,
    .rms_norm = rms_norm,
    .layer_norm = layer_norm,
    .rope = rope,
    .rope_pairs = rope_pairs,
    .glu = glu,
    .activate = activate,
    .add = add,
    .scale = scale,
    .narrow = narrow,
    .quantise = quantise,
    .code_row = code_row,
    .attention = {attend_part, merge_part, finish_queries},
    .exps = exps,
    .conv = conv,
    .delta = delta,
    .unit = unit,
    .dot_f32 = dot_f32,
    .dot_f32_ops = 2.0 * LANES * KRS_CPU_DOT_CHAINS,
};
