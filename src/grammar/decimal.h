/* grammar/decimal.h - decimal numbers as digits, and ranges of them as regexes.
 *
 * A JSON number is compared by its digits: longer is more, then the first digit that differs decides. That is a
 * regex, exact for numbers of any length, where binary floating point would round at the bounds.
 *
 * Numbers here have no exponent: [-] whole [. fraction].
 *
 * Thread: values.  Memory: none. */
#pragma once

#include "grammar/regex.h"

#include <jansson.h>

#define KRS_DECIMAL_MAX_DIGITS                                                                     \
    400 /* each side of the point: a double's largest has 309, its least 324 */

typedef struct krs_decimal {
    bool is_negative;
    uint32_t n_whole;    /* without leading zeros; 0 for zero */
    uint32_t n_fraction; /* without zeros at the end */
    char whole[KRS_DECIMAL_MAX_DIGITS];
    char fraction[KRS_DECIMAL_MAX_DIGITS];
} krs_decimal;

/* The shortest decimal that reads as this number. value: a JSON number. */
void krs_decimal_of(const json_t *value, krs_decimal *out);
bool krs_decimal_is_zero(const krs_decimal *d);
/* The canonical text ("-0.5", "12"), NUL-terminated; returns its length. */
size_t krs_decimal_text(const krs_decimal *d, char text[2 * KRS_DECIMAL_MAX_DIGITS + 4]);

/* whole [. fraction], any. */
krs_regex krs_decimal_magnitude(krs_grammar_builder *b);
/* The magnitudes >= d's (is_strict: >). */
krs_regex krs_decimal_at_least(krs_grammar_builder *b, const krs_decimal *d, bool is_strict);
/* The signed numbers >= d or <= d (is_strict: beyond it). */
krs_regex krs_decimal_bound(krs_grammar_builder *b, const krs_decimal *d, bool is_upper,
                            bool is_strict);
/* The signed numbers that are multiples of d > 0. false: that is no regex of reasonable size. */
bool krs_decimal_multiples(krs_grammar_builder *b, const krs_decimal *d, krs_regex *out);
