/* text/template_format.c - 'format' % values and 'format'.format(values).
 *
 * One number formatter serves both: they share sign, width, fill, precision and type, and differ in
 * how the field is written down. Not done: nested fields ({:{width}}) and the locale type n, refused by
 * name; attributes and items inside a field ({0.name}, {0[key]}) work.
 *
 * Thread: see template_run.h.  Source: Python 3 printf-style formatting; format specification
 * mini-language. */
#include "text/template_run.h"
#include "text/template_unicode.h"

#include <stdio.h>

#define FORMAT_MAX_WIDTH     10000 /* characters of padding one field may ask for */
#define FORMAT_MAX_PRECISION 100   /* digits; a double has 17 that mean something */
#define FORMAT_MAX_NUMBER    512   /* bytes: 309 digits, a point, FORMAT_MAX_PRECISION more */

typedef struct field {
    char type;       /* s d x X o b c e E f F g G %, or 0 */
    char align;      /* < > ^ =, or 0 */
    char sign;       /* + - or blank */
    char separator;  /* , or _, or 0 */
    bool has_prefix; /* '#' */
    krs_str fill;
    int64_t width;
    int64_t precision; /* -1: not given */
} field;

static bool take_number(krs_str s, size_t *at, int64_t *out)
{
    *out = 0;
    const size_t from = *at;
    while (*at < s.len && s.ptr[*at] >= '0' && s.ptr[*at] <= '9' && *out <= FORMAT_MAX_WIDTH) {
        *out = *out * 10 + (s.ptr[(*at)++] - '0');
    }
    return *at > from;
}

static krs_status check_field(krs_trun *run, const field *f)
{
    if (f->width > FORMAT_MAX_WIDTH || f->precision > FORMAT_MAX_PRECISION) {
        return krs_trun_fail(run, KRS_ETOOLARGE, "format field wider than %d or %d digits",
                             FORMAT_MAX_WIDTH, FORMAT_MAX_PRECISION);
    }
    return KRS_OK;
}

/* ---- one value in one field, to the output ---- */

/* Pad text (its first n_sign bytes are sign and prefix) to the field's width. */
static krs_status put_padded(krs_trun *run, krs_str text, size_t n_sign, const field *f, char align)
{
    const int64_t pad = f->width - (int64_t)krs_text_count(text);
    const int64_t left = pad <= 0 ? 0 : align == '<' ? 0 : align == '^' ? pad / 2 : pad;
    krs_status status = KRS_OK;
    if (align == '=' && n_sign) {
        status = krs_trun_write(run, (krs_str){text.ptr, n_sign});
        text = (krs_str){text.ptr + n_sign, text.len - n_sign};
    }
    for (int64_t i = 0; i < left && status == KRS_OK; i++) {
        status = krs_trun_write(run, f->fill);
    }
    if (status == KRS_OK) {
        status = krs_trun_write(run, text);
    }
    for (int64_t i = left; i < pad && status == KRS_OK; i++) {
        status = krs_trun_write(run, f->fill);
    }
    return status;
}

static krs_status put_text(krs_trun *run, const krs_tval *v, const field *f)
{
    krs_tval text;
    krs_status status = krs_tstr(run, v, &text);
    if (status != KRS_OK) {
        return status;
    }
    if (f->precision >= 0) {
        text.u.s.len = krs_text_offset(text.u.s, (size_t)f->precision);
    }
    return put_padded(run, text.u.s, 0, f, f->align == '\0' || f->align == '=' ? '<' : f->align);
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
        out[0] = is_negative ? '-' : sign;
        return 1;
    }
    return 0;
}

static unsigned base_of(char type)
{
    return type == 'x' || type == 'X' ? 16 : type == 'o' ? 8 : type == 'b' ? 2 : 10;
}

static krs_status put_int(krs_trun *run, int64_t i, const field *f)
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
    return put_padded(run, (krs_str){text, n}, n_sign, f, f->align ? f->align : '>');
}

static krs_status put_float(krs_trun *run, double value, const field *f)
{
    char digits[FORMAT_MAX_NUMBER];
    char text[2 * FORMAT_MAX_NUMBER];
    char format[8];
    const bool is_percent = f->type == '%';
    const bool is_negative = value < 0 || (value == 0 && 1 / value < 0);
    const double size = is_negative ? -value : value;
    if (f->type == '\0' && f->precision < 0) {
        krs_tfloat_text(size, digits);
    } else {
        (void)snprintf(format, sizeof(format), "%%%s.*%c", f->has_prefix ? "#" : "",
                       is_percent ? 'f'
                       : f->type  ? f->type
                                  : 'g');
        const int precision = f->precision < 0 ? 6 : (int)f->precision;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* built above from checked parts */
        (void)snprintf(digits, sizeof(digits), format, precision, is_percent ? size * 100 : size);
#pragma GCC diagnostic pop
    }
    size_t n = put_sign(is_negative, f->sign, text);
    const size_t n_sign = n;
    n += group_digits(digits, strlen(digits), strspn(digits, "0123456789"), f->separator, text + n);
    if (is_percent) {
        text[n++] = '%';
    }
    return put_padded(run, (krs_str){text, n}, n_sign, f, f->align ? f->align : '>');
}

static krs_status put_char(krs_trun *run, int64_t code, const field *f)
{
    char bytes[4];
    if (code < 0 || code > 0x10FFFF) {
        return krs_trun_fail(run, KRS_EINVAL, "%%c arg not in range(0x110000)");
    }
    const size_t n = krs_text_encode((uint32_t)code, bytes);
    return put_padded(run, (krs_str){bytes, n}, 0, f, f->align ? f->align : '<');
}

static bool is_float_type(char type)
{
    return type && strchr("eEfFgG%", type);
}

static krs_status put_number(krs_trun *run, const krs_tval *v, const field *f)
{
    if (v->kind == KRS_T_FLOAT || is_float_type(f->type)) {
        return put_float(run, krs_tval_number(v), f);
    }
    if (f->type == 'c') {
        return put_char(run, krs_tval_integer(v), f);
    }
    return put_int(run, krs_tval_integer(v), f);
}

/* ---- % ---- */

typedef struct percent {
    krs_trun *run;
    krs_str format;
    size_t at;
    const krs_tval *items; /* what is left of a tuple */
    size_t n_left;
    const krs_tval *map; /* for %(name)s */
    bool used_map;
} percent;

static krs_status next_value(percent *p, krs_tval *out)
{
    if (p->n_left == 0) {
        return krs_trun_fail(p->run, KRS_EINVAL, "not enough arguments for format string");
    }
    p->n_left--;
    *out = *p->items++;
    return KRS_OK;
}

/* %(name): the member of the mapping. */
static krs_status named_value(percent *p, krs_tval *out)
{
    const char *end = memchr(p->format.ptr + p->at, ')', p->format.len - p->at);
    if (!end || p->map->kind != KRS_T_DICT) {
        return krs_trun_fail(p->run, KRS_EINVAL,
                             end ? "format requires a mapping" : "incomplete format key");
    }
    const krs_str name = {p->format.ptr + p->at, (size_t)(end - (p->format.ptr + p->at))};
    p->at += name.len + 1;
    p->used_map = true;
    const krs_tval *found = krs_tmap_find_str(p->map->u.map, name);
    if (!found) {
        return krs_trun_fail(p->run, KRS_EINVAL, "KeyError: '%.*s'", KRS_STR_ARGS(name));
    }
    *out = *found;
    return KRS_OK;
}

static krs_status star_or_number(percent *p, int64_t *out)
{
    krs_tval value;
    if (p->at >= p->format.len || p->format.ptr[p->at] != '*') {
        if (!take_number(p->format, &p->at, out)) {
            *out = 0;
        }
        return KRS_OK;
    }
    p->at++;
    krs_status status = next_value(p, &value);
    if (status == KRS_OK && value.kind != KRS_T_INT) {
        return krs_trun_fail(p->run, KRS_EINVAL, "* wants int");
    }
    *out = status == KRS_OK ? value.u.i : 0;
    return status;
}

static void take_flags(percent *p, field *f)
{
    for (; p->at < p->format.len; p->at++) {
        const char c = p->format.ptr[p->at];
        if (c == '-') {
            f->align = '<';
        } else if (c == '+' || (c == ' ' && f->sign != '+')) {
            f->sign = c;
        } else if (c == '#') {
            f->has_prefix = true;
        } else if (c == '0') {
            f->fill = KRS_STR("0");
        } else if (c != ' ') {
            break;
        }
    }
    if (f->align == '<') {
        f->fill = KRS_STR(" ");
    } else {
        f->align = f->fill.ptr[0] == '0' ? '=' : '>';
    }
}

static krs_status put_conversion(percent *p, const krs_tval *v, field *f)
{
    krs_tval text = *v;
    const bool is_repr = f->type == 'r' || f->type == 'a';
    if (f->type == 's' || is_repr || (f->type == 'c' && v->kind == KRS_T_STR)) {
        f->fill = KRS_STR(" ");
        f->align = f->align == '<' ? '<' : '>';
        const size_t mark = krs_trun_mark(p->run);
        krs_status status = is_repr ? krs_tput_repr(p->run, v) : KRS_OK;
        if (status == KRS_OK && is_repr) {
            status = krs_trun_take(p->run, mark, &text);
        }
        return status == KRS_OK ? put_text(p->run, &text, f) : status;
    }
    if (!f->type || !strchr("diuxXoeEfFgGc", f->type)) {
        return krs_trun_fail(p->run, KRS_EINVAL, "unsupported format character '%c'",
                             f->type > ' ' ? f->type : '?');
    }
    if (v->kind == KRS_T_UNDEF) {
        return krs_trun_fail_undefined(p->run, v);
    }
    if (!krs_tval_is_number(v)) {
        return krs_trun_fail(p->run, KRS_EINVAL, "%%%c format: a number is required, not %s",
                             f->type, krs_tval_type(v));
    }
    if (strchr("diu", f->type) && v->kind == KRS_T_FLOAT) {
        if (!(v->u.f > -0x1p63 && v->u.f < 0x1p63)) {
            return krs_trun_fail(p->run, KRS_EINVAL, "an integer does not fit in 64 bits");
        }
        text = krs_tval_int((int64_t)v->u.f);
    }
    return put_number(p->run, &text, f);
}

static krs_status put_percent(percent *p)
{
    field f = {.fill = KRS_STR(" "), .precision = -1};
    krs_tval value = krs_tval_none();
    const bool is_named = p->at < p->format.len && p->format.ptr[p->at] == '(';
    p->at += is_named;
    krs_status status = is_named ? named_value(p, &value) : KRS_OK;
    take_flags(p, &f);
    if (status == KRS_OK) {
        status = star_or_number(p, &f.width);
    }
    if (status == KRS_OK && p->at < p->format.len && p->format.ptr[p->at] == '.') {
        p->at++;
        status = star_or_number(p, &f.precision);
    }
    if (status == KRS_OK) {
        status = check_field(p->run, &f);
    }
    if (status != KRS_OK) {
        return status;
    }
    if (p->at >= p->format.len) {
        return krs_trun_fail(p->run, KRS_EINVAL, "incomplete format");
    }
    f.type = p->format.ptr[p->at++];
    if (f.type == '%') {
        return krs_trun_write(p->run, KRS_STR("%"));
    }
    status = is_named ? KRS_OK : next_value(p, &value);
    return status == KRS_OK ? put_conversion(p, &value, &f) : status;
}

krs_status krs_tformat_percent(krs_trun *run, krs_str format, const krs_tval *value, krs_tval *out)
{
    const bool is_tuple = value->kind == KRS_T_TUPLE;
    percent p = {run, format, 0, value, 1, value, false};
    if (is_tuple) {
        p.items = value->u.seq->items;
        p.n_left = value->u.seq->n;
    }
    const size_t mark = krs_trun_mark(run);
    krs_status status = krs_trun_spend(run, format.len / 64);
    while (p.at < format.len && status == KRS_OK) {
        const char *next = memchr(format.ptr + p.at, '%', format.len - p.at);
        const size_t n = next ? (size_t)(next - format.ptr) - p.at : format.len - p.at;
        status = krs_trun_write(run, (krs_str){format.ptr + p.at, n});
        p.at += n + (next != NULL);
        if (status == KRS_OK && next) {
            status = put_percent(&p);
        }
    }
    if (status == KRS_OK && p.n_left && !p.used_map && (is_tuple || value->kind != KRS_T_DICT)) {
        return krs_trun_fail(run, KRS_EINVAL,
                             "not all arguments converted during string formatting");
    }
    return status == KRS_OK ? krs_trun_take(run, mark, out) : status;
}

/* ---- {} ---- */

static bool is_align(krs_str s, size_t at)
{
    return at < s.len && s.ptr[at] && strchr("<>=^", s.ptr[at]);
}

/* [[fill]align][sign][#][0][width][,][.precision][type] */
static krs_status parse_spec(krs_trun *run, krs_str s, field *f)
{
    size_t at = 0;
    const size_t n_first = s.len ? krs_text_offset(s, 1) : 0;
    *f = (field){.fill = KRS_STR(" "), .precision = -1};
    if (n_first && is_align(s, n_first)) {
        f->fill = (krs_str){s.ptr, n_first};
        at = n_first;
    }
    if (is_align(s, at)) {
        f->align = s.ptr[at++];
    }
    if (at < s.len && strchr("+- ", s.ptr[at]) && s.ptr[at]) {
        f->sign = s.ptr[at++];
    }
    f->has_prefix = at < s.len && s.ptr[at] == '#';
    at += f->has_prefix;
    if (at < s.len && s.ptr[at] == '0' && !f->align) {
        f->fill = KRS_STR("0");
        f->align = '=';
    }
    (void)take_number(s, &at, &f->width);
    if (at < s.len && (s.ptr[at] == ',' || s.ptr[at] == '_')) {
        f->separator = s.ptr[at++];
    }
    if (at < s.len && s.ptr[at] == '.') {
        at++;
        (void)take_number(s, &at, &f->precision);
    }
    if (at < s.len) {
        f->type = s.ptr[at++];
    }
    if (at != s.len || (f->type && !strchr("sdxXobceEfFgG%", f->type))) {
        return krs_trun_fail(run, KRS_EINVAL, "Invalid format specifier '%.*s'", KRS_STR_ARGS(s));
    }
    return check_field(run, f);
}

static krs_status put_braced(krs_trun *run, const krs_tval *v, char conversion, krs_str spec)
{
    field f;
    krs_tval value = *v;
    krs_status status = parse_spec(run, spec, &f);
    const size_t mark = krs_trun_mark(run);
    if (status == KRS_OK && conversion) {
        status = conversion == 's' ? krs_tput_str(run, v) : krs_tput_repr(run, v);
        if (status == KRS_OK) {
            status = krs_trun_take(run, mark, &value);
        }
    }
    if (status != KRS_OK) {
        return status;
    }
    const bool is_plain_bool = value.kind == KRS_T_BOOL && spec.len == 0;
    if (krs_tval_is_number(&value) && !is_plain_bool && f.type != 's') {
        return put_number(run, &value, &f);
    }
    if (f.type && f.type != 's') {
        return krs_trun_fail(run, KRS_EINVAL, "Unknown format code '%c' for object of type '%s'",
                             f.type, krs_tval_type(&value));
    }
    return put_text(run, &value, &f);
}

/* The argument a field names: "", "0", "name", with .attribute and [item] behind. */
static krs_status braced_value(krs_trun *run, krs_str name, const krs_tactual *actual, size_t *next,
                               krs_tval *out)
{
    size_t end = 0;
    while (end < name.len && name.ptr[end] != '.' && name.ptr[end] != '[') {
        end++;
    }
    const krs_str first = {name.ptr, end};
    size_t at = 0;
    int64_t index = 0;
    const krs_tval *found = NULL;
    if (end == 0) {
        index = (int64_t)(*next)++;
    }
    if (end == 0 || (take_number(first, &at, &index) && at == end)) {
        found = (uint64_t)index < actual->n ? &actual->pos[index] : NULL;
    }
    for (size_t i = 0; i < actual->n_named && !found; i++) {
        found = krs_str_equal(actual->names[i], first) ? &actual->named[i] : NULL;
    }
    if (!found) {
        return krs_trun_fail(run, KRS_EINVAL, "format(): no argument for field '%.*s'",
                             KRS_STR_ARGS(name));
    }
    *out = *found;
    krs_status status = KRS_OK;
    while (end < name.len && status == KRS_OK) {
        const bool is_item = name.ptr[end++] == '[';
        const size_t from = end;
        while (end < name.len && !strchr(is_item ? "]" : ".[", name.ptr[end])) {
            end++;
        }
        const krs_str part = {name.ptr + from, end - from};
        at = 0;
        const bool is_index = is_item && take_number(part, &at, &index) && at == part.len;
        const krs_tval key = is_index ? krs_tval_int(index) : krs_tval_str(part);
        const krs_tval object = *out;
        status = is_item ? krs_top_subscript(run, &object, &key, out)
                         : krs_top_attribute(run, &object, part, out);
        end += is_item && end < name.len;
    }
    return status;
}

/* The field between { and }: name[!conversion][:spec]. */
static krs_status put_field(krs_trun *run, krs_str text, const krs_tactual *actual, size_t *next)
{
    const char *colon = text.len ? memchr(text.ptr, ':', text.len) : NULL;
    const size_t n_name = colon ? (size_t)(colon - text.ptr) : text.len;
    krs_str name = {text.ptr, n_name};
    const krs_str spec = colon ? (krs_str){colon + 1, text.len - n_name - 1} : (krs_str){"", 0};
    char conversion = '\0';
    krs_tval value;
    if (name.len >= 2 && name.ptr[name.len - 2] == '!') {
        conversion = name.ptr[name.len - 1];
        name.len -= 2;
        if (conversion != 's' && conversion != 'r') {
            return krs_trun_fail(run, KRS_EINVAL, "Unknown conversion specifier");
        }
    }
    krs_status status = braced_value(run, name, actual, next, &value);
    return status == KRS_OK ? put_braced(run, &value, conversion, spec) : status;
}

krs_status krs_tformat_braces(krs_trun *run, krs_str format, const krs_tactual *actual,
                              krs_tval *out)
{
    const size_t mark = krs_trun_mark(run);
    size_t next = 0;
    krs_status status = krs_trun_spend(run, format.len / 64);
    for (size_t at = 0; at < format.len && status == KRS_OK; at++) {
        const char c = format.ptr[at];
        const bool is_double = at + 1 < format.len && format.ptr[at + 1] == c;
        if ((c != '{' && c != '}') || is_double) {
            status = krs_trun_write(run, (krs_str){format.ptr + at, 1});
            at += c == '{' || c == '}';
            continue;
        }
        const char *end = c == '{' ? memchr(format.ptr + at, '}', format.len - at) : NULL;
        if (!end) {
            return krs_trun_fail(run, KRS_EINVAL, "Single '%c' encountered in format string", c);
        }
        const size_t n = (size_t)(end - format.ptr) - at - 1;
        if (memchr(format.ptr + at + 1, '{', n)) {
            return krs_trun_fail(run, KRS_EUNSUPPORTED, "format(): fields inside fields");
        }
        status = put_field(run, (krs_str){format.ptr + at + 1, n}, actual, &next);
        at += n + 1;
    }
    return status == KRS_OK ? krs_trun_take(run, mark, out) : status;
}
