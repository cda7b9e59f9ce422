/* grammar/schema_number.c - numbers: integer, minimum, maximum, exclusive*, multipleOf.
 *
 * Bounds are exact for numbers written without an exponent. With one, 12e-1 and 1200e-3 would have to be told from
 * 12e1 by counting digits, which no regex does: so such spellings are in `upper` of every constraint and in `out` of
 * none but the plain types.
 *
 * What is written stays where double precision tells numbers apart, because readers will parse it so: few digits
 * beside an exclusive bound and under multipleOf, and never enough to be infinite. */
#include "grammar/decimal.h"
#include "grammar/schema_priv.h"

#include <stdio.h>

#define OUT_WHOLE_DIGITS    20u /* 2^64 has as many */
#define OUT_FRACTION_DIGITS 20u
#define EXACT_DIGITS        15u /* decimals of so many digits are all different doubles (DBL_DIG) */
#define MAX_LISTED          1024u /* multiples between two bounds, where no regex tells them otherwise */

static krs_regex pattern(krs_schema *s, const char *text)
{
    static const krs_pattern_options whole = {KRS_SPELLING_PLAIN, false};
    krs_regex r = krs_regex_none(s->b);
    krs_error err = KRS_ERROR_INIT;
    if (s->status == KRS_OK &&
        krs_grammar_pattern(s->b, krs_str_of(text), &whole, &r, &err) != KRS_OK) {
        krs_schema_no_memory(s);
    }
    return r;
}

void krs_schema_numbers_init(krs_schema *s)
{
    s->number_exps = pattern(s, "-?(?:0|[1-9]\\d*)(?:\\.\\d+)?[eE][+-]?\\d+");
    s->number_all = pattern(s, "-?(?:0|[1-9]\\d*)(?:\\.\\d+)?(?:[eE][+-]?\\d+)?");
    s->number_out =
        s->options.is_any_spelling
            ? s->number_all
            : pattern(s, "-?(?:0|[1-9]\\d{0,19})(?:\\.\\d{1,20})?(?:[eE][+-]?\\d{1,2})?");
}

/* A constraint: exact is right for numbers without an exponent. more: spellings with one that are right. */
static krs_language constraint(krs_schema *s, krs_regex exact, krs_regex out)
{
    return (krs_language){krs_regex_or2(s->b, exact, s->number_exps),
                          s->options.is_any_spelling ? exact : out};
}

krs_language krs_schema_integers(krs_schema *s)
{
    const krs_regex exact = pattern(s, "-?(?:0|[1-9]\\d*)(?:\\.0+)?");
    krs_language l = constraint(s, exact, pattern(s, "0|-?[1-9]\\d{0,19}"));
    if (s->options.is_any_spelling) {
        l.out = krs_regex_or2(s->b, l.out, pattern(s, "-?(?:0|[1-9]\\d*)(?:\\.0+)?[eE]\\+?\\d+"));
    }
    return l;
}

/* What may be written beside bounds: at most so many digits. */
static krs_regex short_numbers(krs_schema *s, uint32_t n_whole, uint32_t n_fraction)
{
    char text[80];
    (void)snprintf(text, sizeof(text), "-?(?:0|[1-9]\\d{0,%u})(?:\\.\\d{1,%u})?", n_whole - 1,
                   n_fraction ? n_fraction : 1);
    return pattern(s, text);
}

krs_language krs_schema_number_value(krs_schema *s, const json_t *value)
{
    krs_decimal d;
    krs_decimal_of(value, &d);
    const krs_regex low = krs_decimal_bound(s->b, &d, false, false);
    const krs_regex high = krs_decimal_bound(s->b, &d, true, false);
    const krs_regex exact = krs_regex_and2(s->b, low, high);
    char text[2 * KRS_DECIMAL_MAX_DIGITS + 4];
    const size_t n = krs_decimal_text(&d, text);
    return constraint(s, exact, krs_regex_literal(s->b, (krs_str){text, n}));
}

typedef struct bound {
    bool is_there;
    bool is_strict;
    double value;
    krs_decimal decimal;
} bound;

static uint32_t larger(uint32_t a, uint32_t c)
{
    return a > c ? a : c;
}

static krs_language bounded(krs_schema *s, const bound *limit, bool is_upper)
{
    const krs_regex exact = krs_decimal_bound(s->b, &limit->decimal, is_upper, limit->is_strict);
    const uint32_t n_whole = larger(limit->decimal.n_whole, 1);
    const uint32_t n_fraction = !limit->is_strict        ? OUT_FRACTION_DIGITS
                                : n_whole < EXACT_DIGITS ? EXACT_DIGITS - n_whole
                                                         : 1;
    const krs_regex few = short_numbers(s, larger(OUT_WHOLE_DIGITS, n_whole), n_fraction);
    return constraint(s, exact, krs_regex_and2(s->b, exact, few));
}

static const json_t *number_of(krs_schema *s, const json_t *node, const char *keyword,
                               bool is_boolean_ok)
{
    const json_t *value = json_object_get(node, keyword);
    if (value && !json_is_number(value) && !(is_boolean_ok && json_is_boolean(value))) {
        krs_schema_refuse(s, node, keyword, "want a number");
    }
    return value;
}

/* minimum (or maximum) and its exclusive form: a number, or in draft 4 a boolean beside it. */
static bool read_bound(krs_schema *s, const json_t *node, const char *keyword,
                       const char *exclusive, bound *out)
{
    const json_t *value = number_of(s, node, keyword, false);
    const json_t *strict = number_of(s, node, exclusive, true);
    const double sign = keyword[1] == 'a' ? -1 : 1; /* maximum: the lesser rules */
    *out = (bound){.is_strict = json_is_true(strict)};
    if (json_is_number(strict) &&
        (!value || sign * json_number_value(strict) >= sign * json_number_value(value))) {
        value = strict;
        out->is_strict = true;
    }
    if (value && s->status == KRS_OK) {
        out->is_there = true;
        out->value = json_number_value(value);
        krs_decimal_of(value, &out->decimal);
    }
    return out->is_there;
}

/* Multiples between two bounds, one by one. false: there are too many, or a bound is missing. */
static bool list_multiples(krs_schema *s, double step, const bound *low, const bound *high,
                           krs_language *out)
{
    if (!low->is_there || !high->is_there || step != (double)(int64_t)(step < 1e15 ? step : 0) ||
        high->value - low->value > step * MAX_LISTED || low->value < -1e15 || high->value > 1e15) {
        return false;
    }
    *out = krs_language_none(s);
    const int64_t m = (int64_t)step;
    for (int64_t i = (int64_t)(low->value / step) - 1; i * m <= (int64_t)high->value + 1; i++) {
        json_t *value = json_integer(i * m);
        if (!value) {
            krs_schema_no_memory(s);
            return true;
        }
        *out = krs_language_or(s, *out, krs_schema_number_value(s, value));
        json_decref(value);
    }
    return true;
}

static krs_language multiples(krs_schema *s, const json_t *node, const bound *low,
                              const bound *high)
{
    const json_t *value = json_object_get(node, "multipleOf");
    krs_language l = krs_number_any(s);
    if (!json_is_number(value) || json_number_value(value) <= 0) {
        krs_schema_refuse(s, node, "multipleOf", "want a number above 0");
        return l;
    }
    krs_decimal d;
    krs_decimal_of(value, &d);
    krs_regex exact;
    if (krs_decimal_multiples(s->b, &d, &exact)) {
        const uint32_t n_fraction =
            d.n_fraction < EXACT_DIGITS - 1 ? d.n_fraction : EXACT_DIGITS - 1;
        krs_regex few = short_numbers(s, EXACT_DIGITS - n_fraction, n_fraction);
        if (n_fraction == 0) {
            few = pattern(s, "-?(?:0|[1-9]\\d{0,14})");
        }
        return constraint(s, exact, krs_regex_and2(s->b, exact, few));
    }
    if (!list_multiples(s, json_number_value(value), low, high, &l)) {
        krs_schema_refuse(s, node, "multipleOf",
                          "supported are divisors of a power of ten, and others between bounds "
                          "with at most %u multiples",
                          MAX_LISTED);
    }
    return l;
}

/* OpenAPI's int32 and int64 are annotations of numbers; what is written keeps to them. */
static bool sized_integers(krs_schema *s, const json_t *node, krs_language *out)
{
    static const struct {
        const char *name;
        json_int_t max;
    } sizes[] = {{"int32", INT32_MAX}, {"int64", INT64_MAX}};
    const char *format = json_string_value(json_object_get(node, "format"));
    *out = krs_number_any(s);
    for (size_t i = 0; i < 2 && format && !s->options.is_any_spelling; i++) {
        json_t *max = strcmp(format, sizes[i].name) == 0 ? json_integer(sizes[i].max) : NULL;
        if (!max) {
            continue;
        }
        krs_decimal d;
        krs_decimal_of(max, &d);
        json_decref(max);
        const krs_regex high = krs_decimal_bound(s->b, &d, true, false);
        d.is_negative = true;
        const krs_regex low = krs_decimal_bound(s->b, &d, false, false);
        const krs_regex parts[] = {low, high, krs_schema_integers(s).out};
        out->out = krs_regex_and(s->b, parts, 3);
        return true;
    }
    return false;
}

bool krs_schema_numbers(krs_schema *s, const json_t *node, krs_language *out)
{
    bound low;
    bound high;
    krs_language l = krs_number_any(s);
    const bool has_low = read_bound(s, node, "minimum", "exclusiveMinimum", &low);
    const bool has_high = read_bound(s, node, "maximum", "exclusiveMaximum", &high);
    const bool has_step = json_object_get(node, "multipleOf") != NULL;
    const bool is_sized = sized_integers(s, node, &l);
    if (s->status != KRS_OK || (!has_low && !has_high && !has_step && !is_sized)) {
        return false;
    }
    if (has_low) {
        l = krs_language_and(s, l, bounded(s, &low, false));
    }
    if (has_high) {
        l = krs_language_and(s, l, bounded(s, &high, true));
    }
    if (has_step) {
        l = krs_language_and(s, l, multiples(s, node, &low, &high));
    }
    *out = l;
    return true;
}
