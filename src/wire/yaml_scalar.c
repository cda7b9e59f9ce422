/* wire/yaml_scalar.c - see yaml_scalar.h. The grammar decides what a text is before the C library may
 * convert it: strtod alone would take "infinity", "0x1p3" and leading blanks. */
#include "wire/yaml_scalar.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#define NUMBER_MAX_BYTES 64 /* longer digits are no number anybody means: a string */

static bool is_one_of(krs_str text, const char *const *words)
{
    for (; *words; words++) {
        if (krs_str_equal(text, krs_str_of(*words))) {
            return true;
        }
    }
    return false;
}

/* Index after the digits of base at or after i. */
static size_t skip_digits(krs_str text, size_t i, int base)
{
    for (; i < text.len; i++) {
        const char c = text.ptr[i];
        const int lower = c | 0x20;
        const int digit = c >= '0' && c <= '9'           ? c - '0'
                          : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10
                                                         : base;
        if (digit >= base) {
            break;
        }
    }
    return i;
}

/* Index after a sign at i, if there is one. */
static size_t skip_sign(krs_str text, size_t i)
{
    return i < text.len && (text.ptr[i] == '-' || text.ptr[i] == '+') ? i + 1 : i;
}

/* Is text from i on one digit of base or more, and nothing else? */
static bool is_all_digits(krs_str text, size_t i, int base)
{
    return text.len > i && skip_digits(text, i, base) == text.len;
}

/* [-+]?[0-9]+ (base 10), 0x[0-9a-fA-F]+ (16), 0o[0-7]+ (8). Returns the base, or 0. */
static int integer_base(krs_str text)
{
    if (krs_str_starts_with(text, KRS_STR("0x"))) {
        return is_all_digits(text, 2, 16) ? 16 : 0;
    }
    if (krs_str_starts_with(text, KRS_STR("0o"))) {
        return is_all_digits(text, 2, 8) ? 8 : 0;
    }
    return is_all_digits(text, skip_sign(text, 0), 10) ? 10 : 0;
}

/* [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )? */
static bool is_float(krs_str text)
{
    const size_t start = skip_sign(text, 0);
    size_t i = skip_digits(text, start, 10);
    size_t n_digits = i - start;
    if (i < text.len && text.ptr[i] == '.') {
        const size_t end = skip_digits(text, i + 1, 10);
        n_digits += end - i - 1;
        i = end;
    }
    if (n_digits == 0) {
        return false;
    }
    if (i < text.len && (text.ptr[i] == 'e' || text.ptr[i] == 'E')) {
        return is_all_digits(text, skip_sign(text, i + 1), 10);
    }
    return i == text.len;
}

static json_t *number_of(krs_str text, int base, const char **why)
{
    char digits[NUMBER_MAX_BYTES + 1];
    memcpy(digits, text.ptr, text.len);
    digits[text.len] = '\0';
    errno = 0;
    if (base == 0) {
        const double real = strtod(digits, NULL);
        *why = isfinite(real) ? NULL : "this number is too large";
        return *why ? NULL : json_real(real);
    }
    const long long whole = strtoll(base == 10 ? digits : digits + 2, NULL, base);
    *why = errno == ERANGE ? "this integer does not fit 64 bits" : NULL;
    return *why ? NULL : json_integer(whole);
}

static json_t *string_of(krs_str text, const char **why)
{
    json_t *value = json_stringn(text.len ? text.ptr : "", text.len);
    *why = NULL; /* libyaml has checked the UTF-8: only memory can be short */
    return value;
}

static json_t *plain_of(krs_str text, const char **why)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const trues[] = {"true", "True", "TRUE", NULL};
    static const char *const falses[] = {"false", "False", "FALSE", NULL};
    static const char *const unholdable[] = {".inf",  ".Inf",  ".INF",  "+.inf", "+.Inf",
                                             "+.INF", "-.inf", "-.Inf", "-.INF", ".nan",
                                             ".NaN",  ".NAN",  NULL};
    if (is_one_of(text, nulls)) {
        return json_null();
    }
    if (is_one_of(text, trues)) {
        return json_true();
    }
    if (is_one_of(text, falses)) {
        return json_false();
    }
    if (is_one_of(text, unholdable)) {
        *why = "infinity and not-a-number are not supported";
        return NULL;
    }
    const int base = integer_base(text);
    if (text.len <= NUMBER_MAX_BYTES && (base != 0 || is_float(text))) {
        return number_of(text, base, why);
    }
    return string_of(text, why);
}

krs_status krs_yaml_scalar(krs_str text, bool is_plain, json_t **out, const char **why)
{
    *why = NULL;
    *out = is_plain ? plain_of(text, why) : string_of(text, why);
    if (*out) {
        return KRS_OK;
    }
    return *why ? KRS_EINVAL : KRS_ENOMEM;
}
