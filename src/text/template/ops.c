/* text/template/ops.c - arithmetic on template values.
 *
 * Python's operators, with Python's complaints. Integers have 64 bits: a result that does not fit is
 * KRS_EINVAL, where Python would go on. Repetition ('ab' * n) is bounded by the memory of the rendering
 * before it is built.
 *
 * Thread: see run.h.  Source: Python 3 language reference, section 6. */
#include "text/template/run.h"

#include <math.h>

static const char *op_text(uint8_t op, char buffer[2])
{
    if (op == KRS_TOP_FLOORDIV || op == KRS_TOP_POW) {
        return op == KRS_TOP_POW ? "** or pow()" : "//";
    }
    buffer[0] = (char)op;
    buffer[1] = '\0';
    return buffer;
}

static krs_status bad_operands(krs_trun *run, uint8_t op, const krs_tval *a, const krs_tval *b)
{
    char buffer[2];
    if (a->kind == KRS_T_UNDEF || b->kind == KRS_T_UNDEF) {
        return krs_trun_fail_undefined(run, a->kind == KRS_T_UNDEF ? a : b);
    }
    if (op == '+' && (a->kind == KRS_T_STR || a->kind == KRS_T_LIST || a->kind == KRS_T_TUPLE)) {
        return krs_trun_fail(run, KRS_EINVAL, "can only concatenate %s (not \"%s\") to %s",
                             krs_tval_type(a), krs_tval_type(b), krs_tval_type(a));
    }
    return krs_trun_fail(run, KRS_EINVAL, "unsupported operand type(s) for %s: '%s' and '%s'",
                         op_text(op, buffer), krs_tval_type(a), krs_tval_type(b));
}

static krs_status too_wide(krs_trun *run)
{
    return krs_trun_fail(run, KRS_EINVAL, "an integer does not fit in 64 bits");
}

static krs_status by_zero(krs_trun *run)
{
    return krs_trun_fail(run, KRS_EINVAL, "division by zero");
}

/* ---- numbers ---- */

static krs_status int_division(krs_trun *run, uint8_t op, int64_t a, int64_t b, krs_tval *out)
{
    if (b == 0) {
        return by_zero(run);
    }
    if (b == -1) { /* INT64_MIN / -1 traps */
        int64_t negative = 0;
        if (op == '%') {
            *out = krs_tval_int(0);
            return KRS_OK;
        }
        if (__builtin_sub_overflow((int64_t)0, a, &negative)) {
            return too_wide(run);
        }
        *out = krs_tval_int(negative);
        return KRS_OK;
    }
    int64_t quotient = a / b;
    int64_t rest = a % b;
    if (rest != 0 && (rest < 0) != (b < 0)) { /* Python rounds down, C towards zero */
        quotient--;
        rest += b;
    }
    *out = krs_tval_int(op == '%' ? rest : quotient);
    return KRS_OK;
}

static krs_status int_power(krs_trun *run, int64_t base, int64_t exponent, krs_tval *out)
{
    if (exponent < 0) {
        if (base == 0) {
            return by_zero(run);
        }
        *out = krs_tval_float(pow((double)base, (double)exponent));
        return KRS_OK;
    }
    int64_t result = 1;
    while (exponent > 0) {
        if ((exponent & 1) && __builtin_mul_overflow(result, base, &result)) {
            return too_wide(run);
        }
        exponent >>= 1;
        if (exponent && __builtin_mul_overflow(base, base, &base)) {
            return too_wide(run);
        }
    }
    *out = krs_tval_int(result);
    return KRS_OK;
}

static krs_status int_op(krs_trun *run, uint8_t op, int64_t a, int64_t b, krs_tval *out)
{
    int64_t result = 0;
    bool is_over = false;
    switch (op) {
    case '+':
        is_over = __builtin_add_overflow(a, b, &result);
        break;
    case '-':
        is_over = __builtin_sub_overflow(a, b, &result);
        break;
    case '*':
        is_over = __builtin_mul_overflow(a, b, &result);
        break;
    case KRS_TOP_POW:
        return int_power(run, a, b, out);
    default:
        return int_division(run, op, a, b, out);
    }
    *out = krs_tval_int(result);
    return is_over ? too_wide(run) : KRS_OK;
}

static double float_mod(double a, double b)
{
    const double rest = fmod(a, b);
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

static krs_status float_op(krs_trun *run, uint8_t op, double a, double b, krs_tval *out)
{
    if (b == 0 && (op == '/' || op == '%' || op == KRS_TOP_FLOORDIV)) {
        return by_zero(run);
    }
    switch (op) {
    case '+':
        *out = krs_tval_float(a + b);
        break;
    case '-':
        *out = krs_tval_float(a - b);
        break;
    case '*':
        *out = krs_tval_float(a * b);
        break;
    case '/':
        *out = krs_tval_float(a / b);
        break;
    case '%':
        *out = krs_tval_float(float_mod(a, b));
        break;
    case KRS_TOP_POW:
        *out = krs_tval_float(pow(a, b));
        break;
    default:
        *out = krs_tval_float(floor(a / b));
        break;
    }
    return KRS_OK;
}

static krs_status number_op(krs_trun *run, uint8_t op, const krs_tval *a, const krs_tval *b,
                            krs_tval *out)
{
    if (a->kind == KRS_T_FLOAT || b->kind == KRS_T_FLOAT || op == '/') {
        return float_op(run, op, krs_tval_number(a), krs_tval_number(b), out);
    }
    return int_op(run, op, krs_tval_integer(a), krs_tval_integer(b), out);
}

/* ---- text and sequences ---- */

/* Joining with marked text escapes the part that is not marked. */
static krs_status add_str(krs_trun *run, const krs_tval *a, const krs_tval *b, krs_tval *out)
{
    krs_tval left = *a;
    krs_tval right = *b;
    krs_status status = KRS_OK;
    if (a->is_safe != b->is_safe) {
        krs_tval *plain = a->is_safe ? &right : &left;
        status = krs_tescape(run, plain->u.s, plain);
    }
    if (status != KRS_OK) {
        return status;
    }
    *out = krs_tval_str((krs_str){"", 0});
    out->is_safe = a->is_safe || b->is_safe;
    return krs_trun_join(run, left.u.s, right.u.s, &out->u.s);
}

static krs_status add_seq(krs_trun *run, const krs_tval *a, const krs_tval *b, krs_tval *out)
{
    const size_t n_a = a->u.seq->n;
    const size_t n_b = b->u.seq->n;
    krs_tval *items = NULL;
    krs_status status = krs_trun_array(run, n_a + n_b, &items);
    if (status != KRS_OK) {
        return status;
    }
    if (n_a) {
        memcpy(items, a->u.seq->items, n_a * sizeof(*items));
    }
    if (n_b) {
        memcpy(items + n_a, b->u.seq->items, n_b * sizeof(*items));
    }
    return krs_trun_seq(run, (krs_tkind)a->kind, items, n_a + n_b, out);
}

static krs_status repeat_str(krs_trun *run, const krs_tval *v, int64_t times, krs_tval *out)
{
    const size_t n = v->u.s.len;
    size_t total = 0;
    char *text = NULL;
    if (times <= 0 || n == 0) {
        *out = krs_tval_str((krs_str){"", 0});
        return KRS_OK;
    }
    if (__builtin_mul_overflow(n, (size_t)times, &total) || total > KRS_TRUN_MAX_BYTES) {
        return krs_trun_fail(run, KRS_ETOOLARGE, "a string of %zu bytes %lld times", n,
                             (long long)times);
    }
    krs_status status = krs_trun_text(run, total, &text);
    for (size_t at = 0; status == KRS_OK && at < total; at += n) {
        memcpy(text + at, v->u.s.ptr, n);
    }
    *out = krs_tval_str((krs_str){text, total});
    out->is_safe = v->is_safe;
    return status;
}

static krs_status repeat_seq(krs_trun *run, const krs_tval *v, int64_t times, krs_tval *out)
{
    const size_t n = v->u.seq->n;
    size_t total = 0;
    krs_tval *items = NULL;
    if (times < 0) {
        times = 0;
    }
    if (__builtin_mul_overflow(n, (size_t)times, &total) ||
        total > KRS_TRUN_MAX_BYTES / sizeof(*items)) {
        return krs_trun_fail(run, KRS_ETOOLARGE, "a list of %zu items %lld times", n,
                             (long long)times);
    }
    krs_status status = krs_trun_array(run, total, &items);
    for (size_t at = 0; status == KRS_OK && at < total; at += n) {
        memcpy(items + at, v->u.seq->items, n * sizeof(*items));
    }
    return status == KRS_OK ? krs_trun_seq(run, (krs_tkind)v->kind, items, total, out) : status;
}

static bool is_repeatable(const krs_tval *v)
{
    return v->kind == KRS_T_STR || v->kind == KRS_T_LIST || v->kind == KRS_T_TUPLE;
}

static bool is_int(const krs_tval *v)
{
    return v->kind == KRS_T_INT || v->kind == KRS_T_BOOL;
}

static krs_status repeat(krs_trun *run, const krs_tval *v, int64_t times, krs_tval *out)
{
    return v->kind == KRS_T_STR ? repeat_str(run, v, times, out) : repeat_seq(run, v, times, out);
}

static krs_status add(krs_trun *run, const krs_tval *a, const krs_tval *b, krs_tval *out)
{
    if (a->kind == b->kind && a->kind == KRS_T_STR) {
        return add_str(run, a, b, out);
    }
    if (a->kind == b->kind && is_repeatable(a)) {
        return add_seq(run, a, b, out);
    }
    return bad_operands(run, '+', a, b);
}

static krs_status multiply(krs_trun *run, const krs_tval *a, const krs_tval *b, krs_tval *out)
{
    if (is_repeatable(a) && is_int(b)) {
        return repeat(run, a, krs_tval_integer(b), out);
    }
    if (is_int(a) && is_repeatable(b)) {
        return repeat(run, b, krs_tval_integer(a), out);
    }
    return bad_operands(run, '*', a, b);
}

krs_status krs_top_binary(krs_trun *run, uint8_t op, const krs_tval *a, const krs_tval *b,
                          krs_tval *out)
{
    if (krs_tval_is_number(a) && krs_tval_is_number(b)) {
        return number_op(run, op, a, b, out);
    }
    if (op == '+') {
        return add(run, a, b, out);
    }
    if (op == '*') {
        return multiply(run, a, b, out);
    }
    if (op == '%' && a->kind == KRS_T_STR) {
        return krs_tformat_percent(run, a->u.s, b, out);
    }
    return bad_operands(run, op, a, b);
}

krs_status krs_top_negate(krs_trun *run, const krs_tval *a, bool is_minus, krs_tval *out)
{
    if (a->kind == KRS_T_UNDEF) {
        return krs_trun_fail_undefined(run, a);
    }
    if (!krs_tval_is_number(a)) {
        return krs_trun_fail(run, KRS_EINVAL, "bad operand type for unary %c: '%s'",
                             is_minus ? '-' : '+', krs_tval_type(a));
    }
    if (a->kind == KRS_T_FLOAT) {
        *out = krs_tval_float(is_minus ? -a->u.f : a->u.f);
        return KRS_OK;
    }
    const int64_t i = krs_tval_integer(a);
    if (is_minus && i == INT64_MIN) {
        return too_wide(run);
    }
    *out = krs_tval_int(is_minus ? -i : i);
    return KRS_OK;
}
