/* text/template/format.c - see format.h: padding, digits and signs of one field.
 *
 * Thread: see run.h.  Source: Python 3 format specification mini-language. */
#include "text/template/format.h"

#include "text/template/unicode.h"

#include <stdio.h>

#define FORMAT_MAX_NUMBER 512 /* bytes: 309 digits, a point, KRS_TFIELD_MAX_PRECISION more */

bool krs_tfield_number(krs_str s, size_t *at, int64_t *out)
{
    *out = 0;
    const size_t from = *at;
    while (*at < s.len && s.ptr[*at] >= '0' && s.ptr[*at] <= '9' && *out <= KRS_TFIELD_MAX_WIDTH) {
        *out = *out * 10 + (s.ptr[(*at)++] - '0');
    }
    return *at > from;
}

krs_status krs_tfield_check(krs_trun *run, const krs_tfield *f)
{
    if (f->width > KRS_TFIELD_MAX_WIDTH || f->precision > KRS_TFIELD_MAX_PRECISION) {
        return krs_trun_fail(run, KRS_ETOOLARGE, "format field wider than %d or %d digits",
                             KRS_TFIELD_MAX_WIDTH, KRS_TFIELD_MAX_PRECISION);
    }
    return KRS_OK;
}

/* ---- one value in one field, to the output ---- */

/* Pad text (its first n_sign bytes are sign and prefix) to the field's width. */
static krs_status put_fill(krs_trun *run, krs_str fill, int64_t n)
{
    krs_status status = KRS_OK;
    for (int64_t i = 0; i < n && status == KRS_OK; i++) {
        status = krs_trun_write(run, fill);
    }
    return status;
}

static krs_status put_padded(krs_trun *run, krs_str text, size_t n_sign, const krs_tfield *f,
                             char align)
{
    const int64_t missing = f->width - (int64_t)krs_text_count(text);
    const int64_t pad = missing > 0 ? missing : 0;
    const int64_t left = align == '<' ? 0 : align == '^' ? pad / 2 : pad;
    const size_t n_first = align == '=' ? n_sign : 0;
    krs_status status = krs_trun_write(run, (krs_str){text.ptr, n_first});
    if (status == KRS_OK) {
        status = put_fill(run, f->fill, left);
    }
    if (status == KRS_OK) {
        status = krs_trun_write(run, (krs_str){text.ptr + n_first, text.len - n_first});
    }
    return status == KRS_OK ? put_fill(run, f->fill, pad - left) : status;
}

krs_status krs_tput_field_text(krs_trun *run, const krs_tval *v, const krs_tfield *f)
{
    krs_tval text;
    krs_status status = krs_tstr(run, v, &text);
    if (status != KRS_OK) {
        return status;
    }
    if (f->precision >= 0) {
        text.u.s.len = krs_text_offset(text.u.s, (size_t)f->precision);
    }
    return put_padded(run, text.u.s, 0, f,
                      (char)(f->align == '\0' || f->align == '=' ? '<' : f->align));
}

static size_t digits_of(uint64_t n, unsigned base, bool is_upper, char *out)
{
    const char *letters = is_upper ? "0123456789ABCDEF" : "0123456789abcdef";
    char turned[64];
    size_t count = 0;
    do {
        turned[count++] = letters[n % base];
        n /= base;
    } while (n);
    for (size_t i = 0; i < count; i++) {
        out[i] = turned[count - 1 - i];
    }
    return count;
}

/* Digits with a separator after each group of three, counted from the point. */
static size_t group_digits(const char *digits, size_t n, size_t n_whole, char separator, char *out)
{
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        if (separator && i > 0 && i < n_whole && (n_whole - i) % 3 == 0) {
            out[at++] = separator;
        }
        out[at++] = digits[i];
    }
    return at;
}

static size_t put_sign(bool is_negative, char sign, char *out)
{
    if (is_negative || sign == '+' || sign == ' ') {
        out[0] = (char)(is_negative ? '-' : sign);
        return 1;
    }
    return 0;
}

static unsigned base_of(char type)
{
    return type == 'x' || type == 'X' ? 16 : type == 'o' ? 8 : type == 'b' ? 2 : 10;
}

static krs_status put_int(krs_trun *run, int64_t i, const krs_tfield *f)
{
    char text[FORMAT_MAX_NUMBER];
    char digits[64];
    const uint64_t size = i < 0 ? (uint64_t)0 - (uint64_t)i : (uint64_t)i;
    const unsigned base = base_of(f->type);
    size_t n = put_sign(i < 0, f->sign, text);
    if (f->has_prefix && base != 10) {
        text[n++] = '0';
        text[n++] = f->type;
    }
    const size_t n_sign = n;
    const size_t n_digits = digits_of(size, base, f->type == 'X', digits);
    for (int64_t fill = (int64_t)n_digits; fill < f->precision; fill++) {
        text[n++] = '0';
    }
    n += group_digits(digits, n_digits, n_digits, f->separator, text + n);
    return put_padded(run, (krs_str){text, n}, n_sign, f, (char)(f->align ? f->align : '>'));
}

/* The digits of size (>= 0) as the field wants them. */
static void float_digits(double size, const krs_tfield *f, char out[FORMAT_MAX_NUMBER])
{
    char format[8];
    if (f->type == '\0' && f->precision < 0) {
        krs_tfloat_text(size, out);
        return;
    }
    const bool is_percent = f->type == '%';
    const int precision = f->precision < 0 ? 6 : (int)f->precision;
    (void)snprintf(format, sizeof(format), "%%%s.*%c", f->has_prefix ? "#" : "",
                   is_percent ? 'f'
                   : f->type  ? f->type
                              : 'g');
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* built above from checked parts */
    (void)snprintf(out, FORMAT_MAX_NUMBER, format, precision, is_percent ? size * 100 : size);
#pragma GCC diagnostic pop
}

static krs_status put_float(krs_trun *run, double value, const krs_tfield *f)
{
    char digits[FORMAT_MAX_NUMBER];
    char text[2 * FORMAT_MAX_NUMBER];
    const bool is_negative = value < 0 || (value == 0 && 1 / value < 0);
    float_digits(is_negative ? -value : value, f, digits);
    size_t n = put_sign(is_negative, f->sign, text);
    const size_t n_sign = n;
    n += group_digits(digits, strlen(digits), strspn(digits, "0123456789"), f->separator, text + n);
    if (f->type == '%') {
        text[n++] = '%';
    }
    return put_padded(run, (krs_str){text, n}, n_sign, f, (char)(f->align ? f->align : '>'));
}

static krs_status put_char(krs_trun *run, int64_t code, const krs_tfield *f)
{
    char bytes[4];
    if (code < 0 || code > 0x10FFFF) {
        return krs_trun_fail(run, KRS_EINVAL, "%%c arg not in range(0x110000)");
    }
    const size_t n = krs_text_encode((uint32_t)code, bytes);
    return put_padded(run, (krs_str){bytes, n}, 0, f, (char)(f->align ? f->align : '<'));
}

static bool is_float_type(char type)
{
    return type && strchr("eEfFgG%", type);
}

krs_status krs_tput_field_number(krs_trun *run, const krs_tval *v, const krs_tfield *f)
{
    if (v->kind == KRS_T_FLOAT || is_float_type(f->type)) {
        return put_float(run, krs_tval_number(v), f);
    }
    if (f->type == 'c') {
        return put_char(run, krs_tval_integer(v), f);
    }
    return put_int(run, krs_tval_integer(v), f);
}
