/* text/template/tests.c - the tests behind `is`.
 *
 * Some answers surprise and are Jinja's: a string is a sequence and iterable, a dict is a sequence too,
 * an undefined value is both, true is a number but no integer.
 *
 * Thread: see run.h.  Source: Jinja2 3.1 tests. */
#include "text/template/run.h"
#include "text/template/unicode.h"

static krs_status answer(krs_tval *out, bool is_true)
{
    *out = krs_tval_bool(is_true);
    return KRS_OK;
}

static krs_status test_defined(krs_tcall *call, krs_tval *out)
{
    return answer(out, call->self.kind != KRS_T_UNDEF);
}

static krs_status test_undefined(krs_tcall *call, krs_tval *out)
{
    return answer(out, call->self.kind == KRS_T_UNDEF);
}

static krs_status test_none(krs_tcall *call, krs_tval *out)
{
    return answer(out, call->self.kind == KRS_T_NONE);
}

static krs_status test_boolean(krs_tcall *call, krs_tval *out)
{
    return answer(out, call->self.kind == KRS_T_BOOL);
}

static krs_status test_true(krs_tcall *call, krs_tval *out)
{
    return answer(out, call->self.kind == KRS_T_BOOL && call->self.u.b);
}

static krs_status test_false(krs_tcall *call, krs_tval *out)
{
    return answer(out, call->self.kind == KRS_T_BOOL && !call->self.u.b);
}

static krs_status test_integer(krs_tcall *call, krs_tval *out)
{
    return answer(out, call->self.kind == KRS_T_INT);
}

static krs_status test_float(krs_tcall *call, krs_tval *out)
{
    return answer(out, call->self.kind == KRS_T_FLOAT);
}

static krs_status test_number(krs_tcall *call, krs_tval *out)
{
    return answer(out, krs_tval_is_number(&call->self));
}

static krs_status test_string(krs_tcall *call, krs_tval *out)
{
    return answer(out, call->self.kind == KRS_T_STR);
}

static krs_status test_mapping(krs_tcall *call, krs_tval *out)
{
    return answer(out, call->self.kind == KRS_T_DICT);
}

static bool has_items(const krs_tval *v)
{
    return v->kind == KRS_T_UNDEF || v->kind == KRS_T_STR || v->kind == KRS_T_DICT ||
           krs_tval_is_seq(v);
}

static krs_status test_sequence(krs_tcall *call, krs_tval *out)
{
    return answer(out, has_items(&call->self) && call->self.kind != KRS_T_VIEW);
}

static krs_status test_iterable(krs_tcall *call, krs_tval *out)
{
    return answer(out, has_items(&call->self) || call->self.kind == KRS_T_GEN);
}

static krs_status test_callable(krs_tcall *call, krs_tval *out)
{
    const uint8_t kind = call->self.kind;
    /* Undefined has a __call__, which fails. */
    return answer(out, kind == KRS_T_UNDEF || (kind >= KRS_T_FUNC && kind <= KRS_T_JOINER));
}

static krs_status test_escaped(krs_tcall *call, krs_tval *out)
{
    return answer(out, call->self.kind == KRS_T_STR && call->self.is_safe);
}

/* a is the same object as b: for what templates can hold, the same kind and the same bits. */
static krs_status test_sameas(krs_tcall *call, krs_tval *out)
{
    const krs_tval *a = &call->self;
    const krs_tval *b = &call->arg[0];
    bool is_same = false;
    if (a->kind != b->kind) {
        return answer(out, false);
    }
    if (a->kind <= KRS_T_STR && a->kind != KRS_T_UNDEF) {
        krs_status status = krs_top_equal(call->run, a, b, &is_same);
        *out = krs_tval_bool(is_same);
        return status;
    }
    return answer(out, a->u.map == b->u.map);
}

/* ---- comparisons ---- */

static krs_status compare(krs_tcall *call, uint8_t op, krs_tval *out)
{
    bool is_true = false;
    krs_status status = krs_top_compare(call->run, op, &call->self, &call->arg[0], &is_true);
    *out = krs_tval_bool(is_true);
    return status;
}

static krs_status test_eq(krs_tcall *call, krs_tval *out)
{
    return compare(call, KRS_TOP_EQ, out);
}

static krs_status test_ne(krs_tcall *call, krs_tval *out)
{
    return compare(call, KRS_TOP_NE, out);
}

static krs_status test_lt(krs_tcall *call, krs_tval *out)
{
    return compare(call, '<', out);
}

static krs_status test_le(krs_tcall *call, krs_tval *out)
{
    return compare(call, KRS_TOP_LE, out);
}

static krs_status test_gt(krs_tcall *call, krs_tval *out)
{
    return compare(call, '>', out);
}

static krs_status test_ge(krs_tcall *call, krs_tval *out)
{
    return compare(call, KRS_TOP_GE, out);
}

static krs_status test_in(krs_tcall *call, krs_tval *out)
{
    return compare(call, KRS_TOP_IN, out);
}

static krs_status remainder_is(krs_tcall *call, const krs_tval *divisor, int64_t wanted,
                               krs_tval *out)
{
    krs_tval rest;
    const krs_tval number = krs_tval_int(wanted);
    bool is_it = false;
    krs_status status = krs_top_binary(call->run, '%', &call->self, divisor, &rest);
    if (status == KRS_OK) {
        status = krs_top_equal(call->run, &rest, &number, &is_it);
    }
    *out = krs_tval_bool(is_it);
    return status;
}

static krs_status test_odd(krs_tcall *call, krs_tval *out)
{
    const krs_tval two = krs_tval_int(2);
    return remainder_is(call, &two, 1, out);
}

static krs_status test_even(krs_tcall *call, krs_tval *out)
{
    const krs_tval two = krs_tval_int(2);
    return remainder_is(call, &two, 0, out);
}

static krs_status test_divisibleby(krs_tcall *call, krs_tval *out)
{
    return remainder_is(call, &call->arg[0], 0, out);
}

/* str(x).islower() and .isupper(). */
static krs_status case_is(krs_tcall *call, const char *method, krs_tval *out)
{
    static const krs_tactual nothing;
    krs_tval text;
    krs_status status = krs_tstr(call->run, &call->self, &text);
    const krs_tbuiltin *fn = krs_tmethod_find(KRS_T_STR, krs_str_of(method));
    return status == KRS_OK ? krs_tcall_builtin(call->run, fn, &text, &nothing, out) : status;
}

static krs_status test_lower(krs_tcall *call, krs_tval *out)
{
    return case_is(call, "islower", out);
}

static krs_status test_upper(krs_tcall *call, krs_tval *out)
{
    return case_is(call, "isupper", out);
}

static krs_status test_filter(krs_tcall *call, krs_tval *out)
{
    return answer(out, call->self.kind == KRS_T_STR && krs_tfilter_find(call->self.u.s));
}

static krs_status test_test(krs_tcall *call, krs_tval *out)
{
    return answer(out, call->self.kind == KRS_T_STR && krs_ttest_find(call->self.u.s));
}

static const krs_tbuiltin tests[] = {
    {"defined", test_defined, ""},
    {"undefined", test_undefined, ""},
    {"none", test_none, ""},
    {"boolean", test_boolean, ""},
    {"true", test_true, ""},
    {"false", test_false, ""},
    {"integer", test_integer, ""},
    {"float", test_float, ""},
    {"number", test_number, ""},
    {"string", test_string, ""},
    {"mapping", test_mapping, ""},
    {"sequence", test_sequence, ""},
    {"iterable", test_iterable, ""},
    {"callable", test_callable, ""},
    {"escaped", test_escaped, ""},
    {"sameas", test_sameas, "other"},
    {"eq", test_eq, "other"},
    {"equalto", test_eq, "other"},
    {"==", test_eq, "other"},
    {"ne", test_ne, "other"},
    {"!=", test_ne, "other"},
    {"lt", test_lt, "other"},
    {"lessthan", test_lt, "other"},
    {"<", test_lt, "other"},
    {"le", test_le, "other"},
    {"<=", test_le, "other"},
    {"gt", test_gt, "other"},
    {"greaterthan", test_gt, "other"},
    {">", test_gt, "other"},
    {"ge", test_ge, "other"},
    {">=", test_ge, "other"},
    {"in", test_in, "seq"},
    {"odd", test_odd, ""},
    {"even", test_even, ""},
    {"divisibleby", test_divisibleby, "num"},
    {"lower", test_lower, ""},
    {"upper", test_upper, ""},
    {"filter", test_filter, ""},
    {"test", test_test, ""},
    {NULL, NULL, NULL},
};

const krs_tbuiltin *krs_ttest_find(krs_str name)
{
    return krs_tbuiltin_in(tests, name);
}
