/* compute/ref/activation.h - what activations and gates are, in double.
 * Source: Shazeer 2020, "GLU Variants Improve Transformer", arXiv:2002.05202; Hendrycks & Gimpel 2016
 * for GELU and its tanh and sigmoid forms; So et al. 2021 (Primer) for the squared ReLU; the clamped
 * gate is gpt-oss's. */
#pragma once

#include "compute/program.h"

#include <math.h>

#define KRS_REF_SQRT_HALF      0.70710678118654752440
#define KRS_REF_SQRT_2_OVER_PI 0.79788456080286535588
#define KRS_REF_GELU_CUBE      0.044715
#define KRS_REF_QUICK_GELU     1.702

static inline double krs_ref_sigmoid(double x)
{
    return 1.0 / (1.0 + exp(-x));
}

static inline double krs_ref_act(krs_activation act, double x)
{
    const double positive = x < 0 ? 0.0 : x; /* NaN stays */
    switch (act) {
    case KRS_ACT_SILU:
        return x / (1.0 + exp(-x));
    case KRS_ACT_GELU:
        return 0.5 * x * (1.0 + erf(x * KRS_REF_SQRT_HALF));
    case KRS_ACT_GELU_TANH:
        return 0.5 * x * (1.0 + tanh(KRS_REF_SQRT_2_OVER_PI * (x + KRS_REF_GELU_CUBE * x * x * x)));
    case KRS_ACT_RELU:
        return positive;
    case KRS_ACT_RELU2:
        return positive * positive;
    case KRS_ACT_SIGMOID:
        return krs_ref_sigmoid(x);
    case KRS_ACT_TANH:
        return tanh(x);
    case KRS_ACT_QUICK_GELU:
        return x * krs_ref_sigmoid(KRS_REF_QUICK_GELU * x);
    case KRS_ACT_COUNT:
        break;
    }
    return NAN; /* krs_program_check lets nothing else through */
}

/* x within [low, high]; NaN stays. */
static inline double krs_ref_clamp(double x, double low, double high)
{
    return x < low ? low : x > high ? high : x;
}

static inline double krs_ref_gate(const krs_gate *gate, double x, double up)
{
    if (gate->limit == 0) {
        return krs_ref_act(gate->act, x) * up;
    }
    const double limit = (double)gate->limit;
    const double g = krs_ref_clamp(x, -INFINITY, limit);
    return g * krs_ref_sigmoid((double)gate->alpha * g) * (krs_ref_clamp(up, -limit, limit) + 1.0);
}
