/* compute/cpu/template/activation.h - element-wise functions of one row: activations, gates, soft-caps.
 * Included after <isa>/vec.h and template/math.h. A row's last, partial vector is done in a padded
 * copy, by the same arithmetic: an element's value does not depend on where in the row it stands.
 *
 * Thread: pure. */

enum { GATE_CLAMPED = KRS_ACT_COUNT }; /* beside the activations: krs_gate with a limit */

KRS_CPU_INLINE vf vf_sigmoid(vf x)
{
    return vf_set(1.0f) / (vf_set(1.0f) + vf_exp(vf_set(0) - x));
}

KRS_CPU_INLINE vf vf_gelu_tanh(vf x)
{
    const vf cube = vf_fma(vf_set(0.044715f) * x * x, x, x);
    return vf_set(0.5f) * x * (vf_set(1.0f) + vf_tanh(vf_set(0.79788456f) * cube));
}

/* act is a constant at every call. Zero comes first in max, so that NaN wins. */
KRS_CPU_INLINE vf vf_act(krs_activation act, vf x)
{
    const vf one = vf_set(1.0f);
    const vf positive = vf_max(vf_set(0), x);
    switch (act) {
    case KRS_ACT_SILU:
        return x / (one + vf_exp(vf_set(0) - x));
    case KRS_ACT_GELU:
        return vf_set(0.5f) * x * (one + vf_erf(x * vf_set(0.70710678f)));
    case KRS_ACT_RELU:
        return positive;
    case KRS_ACT_RELU2:
        return positive * positive;
    case KRS_ACT_SIGMOID:
        return vf_sigmoid(x);
    case KRS_ACT_TANH:
        return vf_tanh_near_zero(x);
    case KRS_ACT_QUICK_GELU:
        return x / (one + vf_exp(vf_set(-1.702f) * x));
    default:
        return vf_gelu_tanh(x);
    }
}

/* LANES elements of a gate; kind is an activation or GATE_CLAMPED, a constant at every call. */
KRS_CPU_INLINE vf vf_gate(int kind, const krs_gate *gate, vf x, vf up)
{
    if (kind != GATE_CLAMPED) {
        return vf_act((krs_activation)kind, x) * up;
    }
    const vf limit = vf_set(gate->limit);
    const vf one = vf_set(1.0f);
    const vf g = vf_min(limit, x);
    const vf u = vf_max(vf_set(0) - limit, vf_min(limit, up));
    return g / (one + vf_exp(vf_set(0) - vf_set(gate->alpha) * g)) * (u + one);
}

KRS_CPU_INLINE void glu_of(int kind, const krs_gate *gate, const float *x, const float *up,
                           int64_t n, float *out)
{
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        vf_store(out + i, vf_gate(kind, gate, vf_load(x + i), vf_load(up + i)));
    }
    if (i < n) {
        float last_x[LANES] = {0};
        float last_up[LANES] = {0};
        float last[LANES];
        memcpy(last_x, x + i, (size_t)(n - i) * sizeof(*x));
        memcpy(last_up, up + i, (size_t)(n - i) * sizeof(*up));
        vf_store(last, vf_gate(kind, gate, vf_load(last_x), vf_load(last_up)));
        memcpy(out + i, last, (size_t)(n - i) * sizeof(*out));
    }
}

static void glu(const krs_gate *gate, const float *x, const float *up, int64_t n, float *out)
{
    switch (gate->limit > 0 ? (int)GATE_CLAMPED : (int)gate->act) {
    case GATE_CLAMPED:
        glu_of(GATE_CLAMPED, gate, x, up, n, out);
        break;
    case KRS_ACT_SILU:
        glu_of(KRS_ACT_SILU, gate, x, up, n, out);
        break;
    case KRS_ACT_GELU:
        glu_of(KRS_ACT_GELU, gate, x, up, n, out);
        break;
    case KRS_ACT_RELU:
        glu_of(KRS_ACT_RELU, gate, x, up, n, out);
        break;
    case KRS_ACT_RELU2:
        glu_of(KRS_ACT_RELU2, gate, x, up, n, out);
        break;
    case KRS_ACT_SIGMOID:
        glu_of(KRS_ACT_SIGMOID, gate, x, up, n, out);
        break;
    case KRS_ACT_TANH:
        glu_of(KRS_ACT_TANH, gate, x, up, n, out);
        break;
    case KRS_ACT_QUICK_GELU:
        glu_of(KRS_ACT_QUICK_GELU, gate, x, up, n, out);
        break;
    default:
        glu_of(KRS_ACT_GELU_TANH, gate, x, up, n, out);
        break;
    }
}

KRS_CPU_INLINE void activate_as(krs_activation act, const float *x, int64_t n, float *out)
{
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        vf_store(out + i, vf_act(act, vf_load(x + i)));
    }
    if (i < n) {
        float last[LANES] = {0};
        memcpy(last, x + i, (size_t)(n - i) * sizeof(*x));
        vf_store(last, vf_act(act, vf_load(last)));
        memcpy(out + i, last, (size_t)(n - i) * sizeof(*out));
    }
}

static void activate(krs_activation act, const float *x, int64_t n, float *out)
{
    switch (act) {
    case KRS_ACT_SILU:
        activate_as(KRS_ACT_SILU, x, n, out);
        break;
    case KRS_ACT_GELU:
        activate_as(KRS_ACT_GELU, x, n, out);
        break;
    case KRS_ACT_RELU:
        activate_as(KRS_ACT_RELU, x, n, out);
        break;
    case KRS_ACT_RELU2:
        activate_as(KRS_ACT_RELU2, x, n, out);
        break;
    case KRS_ACT_SIGMOID:
        activate_as(KRS_ACT_SIGMOID, x, n, out);
        break;
    case KRS_ACT_TANH:
        activate_as(KRS_ACT_TANH, x, n, out);
        break;
    case KRS_ACT_QUICK_GELU:
        activate_as(KRS_ACT_QUICK_GELU, x, n, out);
        break;
    default:
        activate_as(KRS_ACT_GELU_TANH, x, n, out);
        break;
    }
}

/* out = cap * tanh(x / cap). */
static void softcap(const float *x, float cap, int64_t n, float *out)
{
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        vf_store(out + i, vf_softcap(vf_load(x + i), vf_set(cap)));
    }
    if (i < n) {
        float last[LANES] = {0};
        memcpy(last, x + i, (size_t)(n - i) * sizeof(*x));
        vf_store(last, vf_softcap(vf_load(last), vf_set(cap)));
        memcpy(out + i, last, (size_t)(n - i) * sizeof(*out));
    }
}

static void scale(float factor, float cap, const float *x, int64_t n, float *out)
{
    for (int64_t i = 0; i < n; i++) {
        out[i] = factor * x[i];
    }
    if (cap > 0) {
        softcap(out, cap, n, out);
    }
}
