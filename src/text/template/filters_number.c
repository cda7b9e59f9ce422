/* text/template/filters_number.c - filters to and on numbers, and default and attr.
 *
 * round follows Python's round(): correctly rounded from the exact binary value, ties to even, which
 * is what printf does too.
 *
 * Thread: see run.h.  Source: Jinja2 3.1 filters. */
#include "text/template/run.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define NUMBER_MAX_TEXT   64 /* bytes of a number in text; longer ones do not fit the types anyway */
#define NUMBER_MAX_PLACES 300 /* decimal places of round: a double has none beyond */

static krs_status filter_default(krs_tcall *call, krs_tval *out)
{
    const bool is_loose = krs_tcall_bool(call, 1, false);
    const bool is_missing =
        call->self.kind == KRS_T_UNDEF || (is_loose && !krs_top_is_true(&call->self));
    *out = !is_missing              ? call->self
           : krs_tcall_has(call, 0) ? call->arg[0]
                                    : krs_tval_str(KRS_STR(""));
    return KRS_OK;
}

/* getattr only: never a dict's key. */
static krs_status filter_attr(krs_tcall *call, krs_tval *out)
{
    krs_str name = {NULL, 0};
    krs_status status = krs_tcall_str(call, 0, name, &name);
    if (status != KRS_OK) {
        return status;
    }
    if (call->self.kind == KRS_T_DICT && !krs_tmethod_find(KRS_T_DICT, name)) {
        return krs_trun_undefined(call->run, KRS_TUNDEF_ATTRIBUTE, KRS_T_DICT, name, out);
    }
    return krs_top_attribute(call->run, &call->self, name, out);
}

/* A short copy of text without blanks around and underscores inside, for the C library. */
static bool number_text(krs_str s, char out[NUMBER_MAX_TEXT])
{
    s = krs_tstr_strip(s, (krs_str){NULL, 0}, KRS_TSIDE_BOTH);
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '_') {
            continue;
        }
        if (n + 1 >= NUMBER_MAX_TEXT || s.ptr[i] == '\0' || s.ptr[i] == ' ') {
            return false;
        }
        out[n++] = s.ptr[i];
    }
    out[n] = '\0';
    return n > 0;
}

static bool parse_float(krs_str s, double *out)
{
    char text[NUMBER_MAX_TEXT];
    char *end = NULL;
    if (!number_text(s, text) || strpbrk(text, "xXpP(")) { /* hexadecimal is C's, not Python's */
        return false;
    }
    *out = strtod(text, &end);
    return *end == '\0';
}

static bool parse_int(krs_str s, int base, int64_t *out)
{
    char text[NUMBER_MAX_TEXT];
    char *end = NULL;
    if (!number_text(s, text)) {
        return false;
    }
    errno = 0;
    *out = strtoll(text, &end, base);
    return *end == '\0' && errno == 0;
}

static bool whole_of(double f, int64_t *out)
{
    if (!(f > -0x1p63 && f < 0x1p63)) {
        return false;
    }
    *out = (int64_t)f;
    return true;
}

static bool to_int(const krs_tval *v, int base, int64_t *out)
{
    double f = 0;
    if (v->kind == KRS_T_FLOAT) {
        return whole_of(v->u.f, out);
    }
    if (v->kind == KRS_T_STR) {
        return parse_int(v->u.s, base, out) || (parse_float(v->u.s, &f) && whole_of(f, out));
    }
    *out = krs_tval_is_number(v) ? krs_tval_integer(v) : 0;
    return krs_tval_is_number(v);
}

static krs_status filter_int(krs_tcall *call, krs_tval *out)
{
    int64_t base = 10;
    int64_t value = 0;
    if (call->self.kind == KRS_T_UNDEF) {
        return krs_trun_fail_undefined(call->run, &call->self);
    }
    krs_status status = krs_tcall_int(call, 1, 10, &base);
    if (status == KRS_OK && (base < 0 || base == 1 || base > 36)) {
        return krs_trun_fail(call->run, KRS_EINVAL, "int() base must be >= 2 and <= 36, or 0");
    }
    if (to_int(&call->self, (int)base, &value)) {
        *out = krs_tval_int(value);
    } else {
        *out = krs_tcall_has(call, 0) ? call->arg[0] : krs_tval_int(0);
    }
    return status;
}

static krs_status filter_float(krs_tcall *call, krs_tval *out)
{
    double value = 0;
    if (call->self.kind == KRS_T_UNDEF) {
        return krs_trun_fail_undefined(call->run, &call->self);
    }
    const bool is_number = krs_tval_is_number(&call->self);
    if (is_number) {
        value = krs_tval_number(&call->self);
    }
    if (is_number || (call->self.kind == KRS_T_STR && parse_float(call->self.u.s, &value))) {
        *out = krs_tval_float(value);
    } else {
        *out = krs_tcall_has(call, 0) ? call->arg[0] : krs_tval_float(0);
    }
    return KRS_OK;
}

static krs_status filter_abs(krs_tcall *call, krs_tval *out)
{
    if (!krs_tval_is_number(&call->self) && call->self.kind != KRS_T_UNDEF) {
        return krs_trun_fail(call->run, KRS_EINVAL, "bad operand type for abs(): '%s'",
                             krs_tval_type(&call->self));
    }
    const bool is_minus = krs_tval_is_number(&call->self) && krs_tval_number(&call->self) < 0;
    return krs_top_negate(call->run, &call->self, is_minus, out);
}

static double round_common(double value, int64_t places)
{
    char text[NUMBER_MAX_TEXT + NUMBER_MAX_PLACES + 320]; /* 309 digits before the point at most */
    if (places < 0) {
        const double scale = pow(10, (double)-places);
        return nearbyint(value / scale) * scale;
    }
    (void)snprintf(text, sizeof(text), "%.*f", (int)places, value);
    return strtod(text, NULL);
}

/* floor and ceil of value at that many places. */
static krs_status round_way(krs_tcall *call, double value, int64_t places, krs_str method,
                            krs_tval *out)
{
    const double scale = pow(10, (double)places);
    if (krs_str_equal(method, KRS_STR("ceil"))) {
        *out = krs_tval_float(ceil(value * scale) / scale);
    } else if (krs_str_equal(method, KRS_STR("floor"))) {
        *out = krs_tval_float(floor(value * scale) / scale);
    } else {
        return krs_trun_fail(call->run, KRS_EINVAL, "method must be common, ceil or floor");
    }
    return KRS_OK;
}

static krs_status not_roundable(krs_tcall *call)
{
    if (call->self.kind == KRS_T_UNDEF) {
        return krs_trun_fail_undefined(call->run, &call->self);
    }
    return krs_trun_fail(call->run, KRS_EINVAL, "type %s doesn't define __round__ method",
                         krs_tval_type(&call->self));
}

static krs_status filter_round(krs_tcall *call, krs_tval *out)
{
    int64_t places = 0;
    krs_str method = {NULL, 0};
    krs_status status = krs_tcall_int(call, 0, 0, &places);
    if (status == KRS_OK) {
        status = krs_tcall_str(call, 1, KRS_STR("common"), &method);
    }
    if (status != KRS_OK || !krs_tval_is_number(&call->self)) {
        return status != KRS_OK ? status : not_roundable(call);
    }
    places = places > NUMBER_MAX_PLACES ? NUMBER_MAX_PLACES : places;
    places = places < -NUMBER_MAX_PLACES ? -NUMBER_MAX_PLACES : places;
    if (!krs_str_equal(method, KRS_STR("common"))) {
        return round_way(call, krs_tval_number(&call->self), places, method, out);
    }
    const bool is_int = call->self.kind != KRS_T_FLOAT && places >= 0;
    *out = is_int ? krs_tval_int(krs_tval_integer(&call->self))
                  : krs_tval_float(round_common(krs_tval_number(&call->self), places));
    return KRS_OK;
}

static krs_status filter_sum(krs_tcall *call, krs_tval *out)
{
    krs_trun *run = call->run;
    const krs_tval *items = NULL;
    size_t n = 0;
    krs_status status = krs_top_items(run, &call->self, &items, &n);
    krs_tval total = krs_tcall_has(call, 1) ? call->arg[1] : krs_tval_int(0);
    for (size_t i = 0; i < n && status == KRS_OK; i++) {
        krs_tval item = items[i];
        if (krs_tcall_has(call, 0) && call->arg[0].kind != KRS_T_NONE) {
            status = krs_top_path(run, &items[i], &call->arg[0], NULL, &item);
        }
        const krs_tval so_far = total;
        if (status == KRS_OK) {
            status = krs_top_binary(run, '+', &so_far, &item, &total);
        }
        if (status == KRS_OK) {
            status = krs_trun_spend(run, 1);
        }
    }
    *out = total;
    return status;
}

const krs_tbuiltin krs_tfilters_number[] = {
    {"default", filter_default, "default_value?,boolean?"},
    {"d", filter_default, "default_value?,boolean?"},
    {"attr", filter_attr, "name"},
    {"int", filter_int, "default?,base?"},
    {"float", filter_float, "default?"},
    {"abs", filter_abs, ""},
    {"round", filter_round, "precision?,method?"},
    {"sum", filter_sum, "attribute?,start?"},
    {NULL, NULL, NULL},
};

const krs_tbuiltin *krs_tfilter_find(krs_str name)
{
    static const krs_tbuiltin *const tables[] = {krs_tfilters_text, krs_tfilters_seq,
                                                 krs_tfilters_pick, krs_tfilters_number};
    const krs_tbuiltin *found = NULL;
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]) && !found; i++) {
        found = krs_tbuiltin_in(tables[i], name);
    }
    return found;
}
