/* text/template/percent.c - 'format' % values, printf's way.
 *
 * Thread: see run.h.  Source: Python 3 printf-style string formatting. */
#include "text/template/format.h"

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
    krs_tval value = {0};
    if (p->at >= p->format.len || p->format.ptr[p->at] != '*') {
        if (!krs_tfield_number(p->format, &p->at, out)) {
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

static bool take_flag(krs_tfield *f, char c)
{
    switch (c) {
    case '-':
        f->align = '<';
        return true;
    case '+':
        f->sign = '+';
        return true;
    case ' ':
        f->sign = f->sign == '+' ? '+' : ' ';
        return true;
    case '#':
        f->has_prefix = true;
        return true;
    case '0':
        f->fill = KRS_STR("0");
        return true;
    default:
        return false;
    }
}

static void take_flags(percent *p, krs_tfield *f)
{
    while (p->at < p->format.len && take_flag(f, p->format.ptr[p->at])) {
        p->at++;
    }
    if (f->align == '<') {
        f->fill = KRS_STR(" ");
    } else {
        f->align = f->fill.ptr[0] == '0' ? '=' : '>';
    }
}

/* %s, %r, %a, and %c of a string. */
static krs_status put_as_text(percent *p, const krs_tval *v, krs_tfield *f)
{
    krs_tval text = *v;
    krs_status status = KRS_OK;
    f->fill = KRS_STR(" ");
    f->align = f->align == '<' ? '<' : '>';
    if (f->type == 'r' || f->type == 'a') {
        const size_t mark = krs_trun_mark(p->run);
        status = krs_tput_repr(p->run, v);
        if (status == KRS_OK) {
            status = krs_trun_take(p->run, mark, &text);
        }
    }
    return status == KRS_OK ? krs_tput_field_text(p->run, &text, f) : status;
}

/* %d of a float cuts it. */
static krs_status cut_to_int(percent *p, krs_tval *v)
{
    if (!(v->u.f > -0x1p63 && v->u.f < 0x1p63)) {
        return krs_trun_fail(p->run, KRS_EINVAL, "an integer does not fit in 64 bits");
    }
    *v = krs_tval_int((int64_t)v->u.f);
    return KRS_OK;
}

static krs_status put_as_number(percent *p, const krs_tval *v, const krs_tfield *f)
{
    krs_tval number = *v;
    if (v->kind == KRS_T_UNDEF) {
        return krs_trun_fail_undefined(p->run, v);
    }
    if (!krs_tval_is_number(v)) {
        return krs_trun_fail(p->run, KRS_EINVAL, "%%%c format: a number is required, not %s",
                             f->type, krs_tval_type(v));
    }
    krs_status status = KRS_OK;
    if (strchr("diu", f->type) && v->kind == KRS_T_FLOAT) {
        status = cut_to_int(p, &number);
    }
    return status == KRS_OK ? krs_tput_field_number(p->run, &number, f) : status;
}

static krs_status put_conversion(percent *p, const krs_tval *v, krs_tfield *f)
{
    if (f->type && (strchr("sra", f->type) || (f->type == 'c' && v->kind == KRS_T_STR))) {
        return put_as_text(p, v, f);
    }
    if (!f->type || !strchr("diuxXoeEfFgGc", f->type)) {
        return krs_trun_fail(p->run, KRS_EINVAL, "unsupported format character '%c'",
                             f->type > ' ' ? f->type : '?');
    }
    return put_as_number(p, v, f);
}

/* Flags, width and precision. */
static krs_status take_shape(percent *p, krs_tfield *f)
{
    take_flags(p, f);
    krs_status status = star_or_number(p, &f->width);
    if (status == KRS_OK && p->at < p->format.len && p->format.ptr[p->at] == '.') {
        p->at++;
        status = star_or_number(p, &f->precision);
    }
    return status == KRS_OK ? krs_tfield_check(p->run, f) : status;
}

static krs_status put_percent(percent *p)
{
    krs_tfield f = {.fill = KRS_STR(" "), .precision = -1};
    krs_tval value = krs_tval_none();
    const bool is_named = p->at < p->format.len && p->format.ptr[p->at] == '(';
    p->at += is_named;
    krs_status status = is_named ? named_value(p, &value) : KRS_OK;
    if (status == KRS_OK) {
        status = take_shape(p, &f);
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

static krs_status put_all(percent *p)
{
    krs_status status = krs_trun_spend(p->run, p->format.len / 64);
    while (p->at < p->format.len && status == KRS_OK) {
        const char *from = p->format.ptr + p->at;
        const char *next = memchr(from, '%', p->format.len - p->at);
        const size_t n = next ? (size_t)(next - from) : p->format.len - p->at;
        status = krs_trun_write(p->run, (krs_str){from, n});
        p->at += n + (next != NULL);
        if (status == KRS_OK && next) {
            status = put_percent(p);
        }
    }
    return status;
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
    krs_status status = put_all(&p);
    const bool may_be_left = p.used_map || value->kind == KRS_T_DICT;
    if (status == KRS_OK && p.n_left && !may_be_left) {
        return krs_trun_fail(run, KRS_EINVAL,
                             "not all arguments converted during string formatting");
    }
    return status == KRS_OK ? krs_trun_take(run, mark, out) : status;
}
