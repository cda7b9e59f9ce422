/* compute/ref/glu.c - the element-wise ops: gated activations and addition.
 * Source: Shazeer 2020, "GLU Variants Improve Transformer", arXiv:2002.05202; Hendrycks & Gimpel 2016
 * for GELU and its tanh form. */
#include "compute/ref/ref.h"

#include <math.h>

#define SQRT_HALF      0.70710678118654752440
#define SQRT_2_OVER_PI 0.79788456080286535588
#define GELU_CUBE      0.044715

static double activate(krs_activation act, double x)
{
    switch (act) {
    case KRS_ACT_SILU:
        return x / (1.0 + exp(-x));
    case KRS_ACT_GELU:
        return 0.5 * x * (1.0 + erf(x * SQRT_HALF));
    case KRS_ACT_GELU_TANH:
        return 0.5 * x * (1.0 + tanh(SQRT_2_OVER_PI * (x + GELU_CUBE * x * x * x)));
    }
    return NAN; /* krs_program_check lets nothing else through */
}

void krs_ref_glu(krs_ref_exec *exec, const krs_op *op)
{
    const krs_host_exec *host = &exec->host;
    const int64_t n = krs_host_n_rows(host, op->in) * host->program->slots[op->in].width;
    const float *gate = host->slots[op->in];
    const float *up = host->slots[op->in2];
    float *out = host->slots[op->out];
    for (int64_t i = 0; i < n; i++) {
        out[i] = (float)(activate(op->glu.act, (double)gate[i]) * (double)up[i]);
    }
}

void krs_ref_add(krs_ref_exec *exec, const krs_op *op)
{
    const krs_host_exec *host = &exec->host;
    const int64_t n = krs_host_n_rows(host, op->in) * host->program->slots[op->in].width;
    const float *a = host->slots[op->in];
    const float *b = host->slots[op->in2];
    float *out = host->slots[op->out];
    for (int64_t i = 0; i < n; i++) {
        out[i] = a[i] + b[i];
    }
}
