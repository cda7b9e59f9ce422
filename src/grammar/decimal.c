/* grammar/decimal.c - see decimal.h. */
#include "grammar/decimal.h"

#include <stdio.h>
#include <stdlib.h>

#define MAX_SUFFIXES 1000 /* endings of a multiple: 10^j / d for the least 10^j that d divides */

/* The number 0.digits * 10^point, without zeros at its ends. It is a double's or an int64's, and so fits. */
static void trim(krs_decimal *d, const char *digits, long n, long point)
{
    d->n_whole = 0;
    d->n_fraction = 0;
    for (long i = 0; i < point; i++) {
        d->whole[d->n_whole] = i < n ? digits[i] : '0';
        d->n_whole += d->n_whole > 0 || d->whole[0] != '0';
    }
    for (long i = point; i < n; i++) {
        d->fraction[d->n_fraction++] = i < 0 ? '0' : digits[i];
    }
    while (d->n_fraction > 0 && d->fraction[d->n_fraction - 1] == '0') {
        d->n_fraction--;
    }
}

void krs_decimal_of(const json_t *value, krs_decimal *out)
{
    char text[48];
    if (json_is_integer(value)) {
        (void)snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    } else {
        for (int precision = 15; precision <= 17; precision++) {
            (void)snprintf(text, sizeof(text), "%.*g", precision, json_real_value(value));
            if (strtod(text, NULL) == json_real_value(value)) {
                break;
            }
        }
    }
    char digits[48];
    size_t n = 0;
    long point = -1;
    const char *p = text;
    out->is_negative = *p == '-';
    p += out->is_negative;
    for (; *p && *p != 'e'; p++) {
        if (*p == '.') {
            point = (long)n;
        } else {
            digits[n++] = *p;
        }
    }
    point = point < 0 ? (long)n : point;
    point += *p == 'e' ? strtol(p + 1, NULL, 10) : 0;
    trim(out, digits, (long)n, point);
    out->is_negative = out->is_negative && !krs_decimal_is_zero(out);
}

bool krs_decimal_is_zero(const krs_decimal *d)
{
    return d->n_whole == 0 && d->n_fraction == 0;
}

size_t krs_decimal_text(const krs_decimal *d, char text[2 * KRS_DECIMAL_MAX_DIGITS + 4])
{
    size_t n = 0;
    if (d->is_negative) {
        text[n++] = '-';
    }
    if (d->n_whole == 0) {
        text[n++] = '0';
    }
    memcpy(text + n, d->whole, d->n_whole);
    n += d->n_whole;
    if (d->n_fraction > 0) {
        text[n++] = '.';
        memcpy(text + n, d->fraction, d->n_fraction);
        n += d->n_fraction;
    }
    text[n] = 0;
    return n;
}

/* One digit of first..last. */
static krs_regex digit(krs_grammar_builder *b, char first, char last)
{
    const krs_char_range range = {(unsigned char)first, (unsigned char)last};
    return first > last ? krs_regex_none(b) : krs_regex_chars(b, &range, 1, false);
}

static krs_regex digits(krs_grammar_builder *b, uint32_t min, uint32_t max)
{
    return krs_regex_repeat(b, digit(b, '0', '9'), min, max);
}

static krs_regex point(krs_grammar_builder *b)
{
    return krs_regex_literal(b, KRS_STR("."));
}

/* Digits that may be left out as a whole, with their point. */
static krs_regex any_fraction(krs_grammar_builder *b)
{
    const krs_regex some = krs_regex_cat2(b, point(b), digits(b, 1, KRS_REGEX_INF));
    return krs_regex_repeat(b, some, 0, 1);
}

static krs_regex any_whole(krs_grammar_builder *b)
{
    return krs_regex_or2(b, krs_regex_literal(b, KRS_STR("0")),
                         krs_regex_cat2(b, digit(b, '1', '9'), digits(b, 0, KRS_REGEX_INF)));
}

krs_regex krs_decimal_magnitude(krs_grammar_builder *b)
{
    return krs_regex_cat2(b, any_whole(b), any_fraction(b));
}

/* Fractions (with their point, or nothing at all) >= d's. */
static krs_regex fraction_at_least(krs_grammar_builder *b, const krs_decimal *d, bool is_strict)
{
    const krs_regex any = digits(b, 0, KRS_REGEX_INF);
    const krs_regex more[] = {any, digit(b, '1', '9'), any};
    if (d->n_fraction == 0) {
        return is_strict ? krs_regex_cat2(b, point(b), krs_regex_cat(b, more, 3)) : any_fraction(b);
    }
    krs_regex rest = is_strict ? krs_regex_cat(b, more, 3) : any;
    for (uint32_t i = d->n_fraction; i > 0; i--) {
        const char c = d->fraction[i - 1];
        rest = krs_regex_or2(b, krs_regex_cat2(b, digit(b, c, c), rest),
                             krs_regex_cat2(b, digit(b, (char)(c + 1), '9'), any));
    }
    return krs_regex_cat2(b, point(b), rest);
}

krs_regex krs_decimal_at_least(krs_grammar_builder *b, const krs_decimal *d, bool is_strict)
{
    const krs_regex fraction = any_fraction(b);
    const uint32_t n = d->n_whole ? d->n_whole : 1;
    const char *whole = d->n_whole ? d->whole : "0";
    krs_regex rest = fraction_at_least(b, d, is_strict);
    for (uint32_t i = n; i > 0; i--) {
        const char c = whole[i - 1];
        const krs_regex above[] = {digit(b, (char)(c + 1), '9'), digits(b, n - i, n - i), fraction};
        rest =
            krs_regex_or2(b, krs_regex_cat2(b, digit(b, c, c), rest), krs_regex_cat(b, above, 3));
    }
    const krs_regex longer[] = {digit(b, '1', '9'), digits(b, n, KRS_REGEX_INF), fraction};
    return krs_regex_or2(b, rest, krs_regex_cat(b, longer, 3));
}

krs_regex krs_decimal_bound(krs_grammar_builder *b, const krs_decimal *d, bool is_upper,
                            bool is_strict)
{
    const krs_regex minus = krs_regex_literal(b, KRS_STR("-"));
    const krs_regex all = krs_decimal_magnitude(b);
    /* On the side of d's sign, magnitudes at or beyond it; away from zero is up for positive numbers. */
    const bool is_outward = is_upper == d->is_negative;
    const krs_regex beyond = krs_decimal_at_least(b, d, is_outward == is_strict);
    const krs_regex near = is_outward ? beyond : krs_regex_and2(b, all, krs_regex_not(b, beyond));
    const krs_regex same = d->is_negative ? krs_regex_cat2(b, minus, near) : near;
    if (is_outward && !krs_decimal_is_zero(d)) {
        return same;
    }
    if (krs_decimal_is_zero(d)) {
        /* "-0" is zero, too. */
        const krs_regex other_zero =
            is_strict ? krs_regex_none(b) : krs_regex_literal(b, KRS_STR("-0"));
        const krs_regex zeros[] = {point(b),
                                   krs_regex_repeat(b, digit(b, '0', '0'), 1, KRS_REGEX_INF)};
        const krs_regex minus_zero =
            krs_regex_cat2(b, other_zero, krs_regex_repeat(b, krs_regex_cat(b, zeros, 2), 0, 1));
        if (!is_upper) {
            return krs_regex_or2(b, same, minus_zero);
        }
        const krs_regex below = krs_regex_cat2(b, minus, krs_decimal_at_least(b, d, is_strict));
        return krs_regex_or2(b, same, below);
    }
    /* Inward bounds take all of the other sign. */
    const krs_regex others = d->is_negative ? all : krs_regex_cat2(b, minus, all);
    return krs_regex_or2(b, same, others);
}

/* d as an integer, its digits read together; 0 when it is too large to have few endings. */
static uint64_t scaled(const krs_decimal *d)
{
    uint64_t value = 0;
    for (uint32_t i = 0; i < d->n_whole + d->n_fraction; i++) {
        const char c = i < d->n_whole ? d->whole[i] : d->fraction[i - d->n_whole];
        value = value * 10 + (uint64_t)(c - '0');
        if (value > 1000000000000000u) {
            return 0;
        }
    }
    return value;
}

/* Whole parts that end so: any digits before it; shorter numbers have zeros there, which are not written. */
static krs_regex whole_ending(krs_grammar_builder *b, krs_str ending)
{
    if (ending.len == 0) {
        return any_whole(b);
    }
    size_t zeros = 0;
    while (zeros + 1 < ending.len && ending.ptr[zeros] == '0') {
        zeros++;
    }
    const krs_regex tail =
        krs_regex_cat2(b, digits(b, 0, KRS_REGEX_INF), krs_regex_literal(b, ending));
    const krs_str small = {ending.ptr + zeros, ending.len - zeros};
    return krs_regex_and2(b, any_whole(b), krs_regex_or2(b, tail, krs_regex_literal(b, small)));
}

/* Fractions of n_free digits, then this ending; zeros at the end may be left out, or more of them follow. */
static krs_regex fraction_ending(krs_grammar_builder *b, krs_str ending, uint32_t n_free)
{
    while (ending.len > 0 && ending.ptr[ending.len - 1] == '0') {
        ending.len--;
    }
    const krs_regex zeros = krs_regex_repeat(b, digit(b, '0', '0'), 0, KRS_REGEX_INF);
    const krs_regex exact[] = {point(b), digits(b, n_free, n_free), krs_regex_literal(b, ending),
                               zeros};
    const krs_regex some = krs_regex_cat2(b, point(b), digits(b, 1, KRS_REGEX_INF));
    const krs_regex full = krs_regex_and2(b, krs_regex_cat(b, exact, 4), some);
    if (ending.len > 0) {
        return full;
    }
    const krs_regex fewer = krs_regex_cat2(b, point(b), digits(b, 1, n_free));
    const krs_regex any = n_free > 0 ? krs_regex_or2(b, full, fewer) : full;
    return krs_regex_repeat(b, any, 0, 1);
}

/* The ending `value` of j digits, of which the last k (or all, if there are fewer) are the fraction's. */
static krs_regex ending(krs_grammar_builder *b, uint64_t value, uint32_t j, uint32_t k)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "%0*llu", (int)j, (unsigned long long)value);
    const uint32_t n_whole = j > k ? j - k : 0;
    const krs_str fraction = {text + n_whole, j - n_whole};
    return krs_regex_cat2(b, whole_ending(b, (krs_str){text, n_whole}),
                          fraction_ending(b, fraction, k > j ? k - j : 0));
}

bool krs_decimal_multiples(krs_grammar_builder *b, const krs_decimal *d, krs_regex *out)
{
    const uint64_t c = scaled(d);
    uint64_t power = 1;
    uint32_t j = 0;
    while (c > 0 && power % c != 0 && power < (1ull << 58)) {
        power *= 10;
        j++;
    }
    if (c == 0 || power % c != 0 || power / c > MAX_SUFFIXES) {
        return false;
    }
    const size_t n = (size_t)(power / c);
    krs_regex all = krs_regex_none(b);
    for (size_t i = 0; i < n; i++) {
        all = krs_regex_or2(b, all, ending(b, c * i, j, d->n_fraction));
    }
    const krs_regex minus = krs_regex_repeat(b, krs_regex_literal(b, KRS_STR("-")), 0, 1);
    *out = krs_regex_cat2(b, minus, all);
    return true;
}
