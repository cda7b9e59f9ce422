/* compute/cpu/template/math.h - exp, tanh and erf in vectors, from +, *, / and powers of two only, so
 * that every instruction set computes them the same way up to fused rounding.
 * Errors (measured by tests/parity/test_ops.c through the ops): a few units in the last place. */

/* e^x. 2^n e^r with |r| <= ln(2) / 2; e^r = 1 + r + r^2 p(r), where p has the least relative error that a
 * polynomial of its degree can have there (by Remez' exchange): 1.1e-7. Below -87.3 (where f32 turns
 * subnormal) the result is 0, above 88 it stays at e^88. Adding 1.5 2^23 rounds to a whole number. */
KRS_CPU_INLINE vf vf_exp(vf x)
{
    const vf low = vf_set(-87.3f);
    const vf magic = vf_set(0x1.8p23f);
    const vf clamped = vf_min(vf_set(88.0f), vf_max(low, x));
    const vf n = vf_fma(clamped, vf_set(0x1.715476p+0f), magic) - magic; /* log2 e */
    /* ln 2 in two pieces, the first with zeros at its end: n times it is exact. */
    const vf part = vf_fma(n, vf_set(-0x1.62e4p-1f), clamped);
    const vf r = vf_fma(n, vf_set(-0x1.7f7d1cp-20f), part);
    vf p = vf_fma(r, vf_set(0x1.10621ep-7f), vf_set(0x1.572adap-5f));
    p = vf_fma(p, r, vf_set(0x1.5557bp-3f));
    p = vf_fma(p, r, vf_set(0x1.fffdfap-2f));
    p = vf_fma(p, r, vf_set(1.0f));
    p = vf_fma(p, r, vf_set(1.0f));
    return vf_keep_above(x, low, p * vf_pow2(n));
}

/* 1 - 2 / (e^2x + 1); absolute error 1e-7, enough where 1 + tanh is taken. */
KRS_CPU_INLINE vf vf_tanh(vf x)
{
    const vf e = vf_exp(x + x);
    return vf_set(1.0f) - vf_set(2.0f) / (e + vf_set(1.0f));
}

/* tanh where a small x must keep its digits: below 0.35 its Taylor series to x^11 (the first term left
 * out is 1e-8 of x), above it the form above, whose error is then 3e-7 of the result. */
KRS_CPU_INLINE vf vf_tanh_near_zero(vf x)
{
    const vf z = x * x;
    vf p = vf_fma(z, vf_set(-1382.0f / 155925), vf_set(62.0f / 2835));
    p = vf_fma(p, z, vf_set(-17.0f / 315));
    p = vf_fma(p, z, vf_set(2.0f / 15));
    p = vf_fma(p, z, vf_set(-1.0f / 3));
    const vf small = vf_fma(p * z, x, x);
    return vf_where_below(vf_abs(x), vf_set(0.35f), small, vf_tanh(x));
}

/* cap * tanh(x / cap): x held within +-cap, nearly unchanged near zero. */
KRS_CPU_INLINE vf vf_softcap(vf x, vf cap)
{
    return cap * vf_tanh_near_zero(x / cap);
}

/* Absolute error 2e-7. Source: Abramowitz & Stegun 1964, 7.1.26. */
KRS_CPU_INLINE vf vf_erf(vf x)
{
    const vf a = vf_abs(x);
    const vf t = vf_set(1.0f) / vf_fma(vf_set(0.3275911f), a, vf_set(1.0f));
    vf p = vf_fma(vf_set(1.061405429f), t, vf_set(-1.453152027f));
    p = vf_fma(p, t, vf_set(1.421413741f));
    p = vf_fma(p, t, vf_set(-0.284496736f));
    p = vf_fma(p, t, vf_set(0.254829592f));
    const vf rest = p * t * vf_exp(vf_set(0) - a * a);
    return vf_with_sign_of(vf_set(1.0f) - rest, x);
}
