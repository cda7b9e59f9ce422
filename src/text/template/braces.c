/* text/template/braces.c - 'format'.format(values).
 *
 * Attributes and items inside a field ({0.name}, {0[key]}) work. Not done: fields inside fields
 * ({:{width}}), refused by name, and the locale type n.
 *
 * Thread: see run.h.  Source: Python 3 format string syntax. */
#include "text/template/format.h"
#include "text/template/unicode.h"

static bool is_align(krs_str s, size_t at)
{
    return at < s.len && s.ptr[at] && strchr("<>=^", s.ptr[at]);
}

/* [[fill]align][sign][#][0][width][,][.precision][type] */
/* The byte at s[*at] if it is one of `set`, taken; otherwise 0. */
static char take_of(krs_str s, size_t *at, const char *set)
{
    if (*at >= s.len || !s.ptr[*at] || !strchr(set, s.ptr[*at])) {
        return '\0';
    }
    return s.ptr[(*at)++];
}

static void take_fill(krs_str s, size_t *at, krs_tfield *f)
{
    const size_t n_first = s.len ? krs_text_offset(s, 1) : 0;
    if (n_first && is_align(s, n_first)) {
        f->fill = (krs_str){s.ptr, n_first};
        *at = n_first;
    }
    f->align = take_of(s, at, "<>=^");
}

static krs_status parse_spec(krs_trun *run, krs_str s, krs_tfield *f)
{
    size_t at = 0;
    *f = (krs_tfield){.fill = KRS_STR(" "), .precision = -1};
    take_fill(s, &at, f);
    f->sign = take_of(s, &at, "+- ");
    f->has_prefix = take_of(s, &at, "#") != '\0';
    if (!f->align && at < s.len && s.ptr[at] == '0') {
        f->fill = KRS_STR("0");
        f->align = '=';
    }
    (void)krs_tfield_number(s, &at, &f->width);
    f->separator = take_of(s, &at, ",_");
    if (take_of(s, &at, ".")) {
        (void)krs_tfield_number(s, &at, &f->precision);
    }
    f->type = take_of(s, &at, "sdxXobceEfFgG%");
    if (at != s.len) {
        return krs_trun_fail(run, KRS_EINVAL, "Invalid format specifier '%.*s'", KRS_STR_ARGS(s));
    }
    return krs_tfield_check(run, f);
}

/* v after !s or !r. */
static krs_status convert(krs_trun *run, char conversion, krs_tval *v)
{
    const size_t mark = krs_trun_mark(run);
    const krs_tval from = *v;
    krs_status status = conversion == 's' ? krs_tput_str(run, &from) : krs_tput_repr(run, &from);
    return status == KRS_OK ? krs_trun_take(run, mark, v) : status;
}

static krs_status put_braced(krs_trun *run, const krs_tval *v, char conversion, krs_str spec)
{
    krs_tfield f;
    krs_tval value = *v;
    krs_status status = parse_spec(run, spec, &f);
    if (status == KRS_OK && conversion) {
        status = convert(run, conversion, &value);
    }
    if (status != KRS_OK) {
        return status;
    }
    const bool is_plain_bool = value.kind == KRS_T_BOOL && spec.len == 0;
    if (krs_tval_is_number(&value) && !is_plain_bool && f.type != 's') {
        return krs_tput_field_number(run, &value, &f);
    }
    if (f.type && f.type != 's') {
        return krs_trun_fail(run, KRS_EINVAL, "Unknown format code '%c' for object of type '%s'",
                             f.type, krs_tval_type(&value));
    }
    return krs_tput_field_text(run, &value, &f);
}

/* The argument a field names: "", "0", "name", with .attribute and [item] behind. */
/* The argument called `first`: "" is the next one, digits a number, anything else a name. */
static const krs_tval *find_argument(krs_str first, const krs_tactual *actual, size_t *next)
{
    size_t at = 0;
    int64_t index = 0;
    if (first.len == 0) {
        index = (int64_t)(*next)++;
    }
    if (first.len == 0 || (krs_tfield_number(first, &at, &index) && at == first.len)) {
        return (uint64_t)index < actual->n ? &actual->pos[index] : NULL;
    }
    for (size_t i = 0; i < actual->n_named; i++) {
        if (krs_str_equal(actual->names[i], first)) {
            return &actual->named[i];
        }
    }
    return NULL;
}

/* One .attribute or [item] at name[*end]. */
static krs_status follow(krs_trun *run, krs_str name, size_t *end, krs_tval *out)
{
    const bool is_item = name.ptr[(*end)++] == '[';
    const size_t from = *end;
    while (*end < name.len && name.ptr[*end] && !strchr(is_item ? "]" : ".[", name.ptr[*end])) {
        (*end)++;
    }
    const krs_str part = {name.ptr + from, *end - from};
    const krs_tval object = *out;
    if (!is_item) {
        return krs_top_attribute(run, &object, part, out);
    }
    size_t at = 0;
    int64_t index = 0;
    const bool is_index = krs_tfield_number(part, &at, &index) && at == part.len;
    const krs_tval key = is_index ? krs_tval_int(index) : krs_tval_str(part);
    *end += *end < name.len;
    return krs_top_subscript(run, &object, &key, out);
}

static krs_status braced_value(krs_trun *run, krs_str name, const krs_tactual *actual, size_t *next,
                               krs_tval *out)
{
    size_t end = 0;
    while (end < name.len && name.ptr[end] != '.' && name.ptr[end] != '[') {
        end++;
    }
    const krs_tval *found = find_argument((krs_str){name.ptr, end}, actual, next);
    if (!found) {
        return krs_trun_fail(run, KRS_EINVAL, "format(): no argument for field '%.*s'",
                             KRS_STR_ARGS(name));
    }
    *out = *found;
    krs_status status = KRS_OK;
    while (end < name.len && status == KRS_OK) {
        status = follow(run, name, &end, out);
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

/* The field that opens at format[*at]; moves *at to its closing brace. */
static krs_status put_at(krs_trun *run, krs_str format, const krs_tactual *actual, size_t *next,
                         size_t *at)
{
    const char c = format.ptr[*at];
    const char *end = c == '{' ? memchr(format.ptr + *at, '}', format.len - *at) : NULL;
    if (!end) {
        return krs_trun_fail(run, KRS_EINVAL, "Single '%c' encountered in format string", c);
    }
    const krs_str inside = {format.ptr + *at + 1, (size_t)(end - format.ptr) - *at - 1};
    if (inside.len && memchr(inside.ptr, '{', inside.len)) {
        return krs_trun_fail(run, KRS_EUNSUPPORTED, "format(): fields inside fields");
    }
    *at += inside.len + 1;
    return put_field(run, inside, actual, next);
}

krs_status krs_tformat_braces(krs_trun *run, krs_str format, const krs_tactual *actual,
                              krs_tval *out)
{
    const size_t mark = krs_trun_mark(run);
    size_t next = 0;
    krs_status status = krs_trun_spend(run, format.len / 64);
    for (size_t at = 0; at < format.len && status == KRS_OK; at++) {
        const char c = format.ptr[at];
        const bool is_brace = c == '{' || c == '}';
        const bool is_double = is_brace && at + 1 < format.len && format.ptr[at + 1] == c;
        if (is_brace && !is_double) {
            status = put_at(run, format, actual, &next, &at);
        } else {
            status = krs_trun_write(run, (krs_str){format.ptr + at, 1});
            at += is_double;
        }
    }
    return status == KRS_OK ? krs_trun_take(run, mark, out) : status;
}
