/* text/template/text.c - str() and repr() of template values, as Python writes them.
 *
 * A prompt is compared byte for byte with what a model was trained on, so a float prints its shortest
 * digits that read back the same, a dict prints {'a': 1}, and a string inside a list gets Python's
 * choice of quotes and escapes.
 *
 * Thread: see run.h.  Source: Python 3 float_repr_style short, unicode_repr. */
#include "text/template/run.h"
#include "text/template/unicode.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Shortest "%.*e" that reads back as f. */
static void shortest(double f, char out[32])
{
    for (int precision = 0; precision < 17; precision++) {
        (void)snprintf(out, 32, "%.*e", precision, f);
        if (strtod(out, NULL) == f) {
            return;
        }
    }
}

void krs_tfloat_text(double f, char out[32])
{
    if (isnan(f) || isinf(f)) {
        (void)snprintf(out, 32, "%s", isnan(f) ? "nan" : f < 0 ? "-inf" : "inf");
        return;
    }
    char digits[32];
    shortest(f, digits);
    const int exponent = (int)strtol(strchr(digits, 'e') + 1, NULL, 10);
    const char *point = strchr(digits, '.');
    const int n_digits = point ? (int)(strchr(digits, 'e') - point) : 1;
    if (exponent < -4 || exponent >= 16) { /* Python's limits for plain notation */
        (void)snprintf(out, 32, "%s", digits);
        return;
    }
    const int n_decimals = n_digits - 1 - exponent;
    (void)snprintf(out, 32, "%.*f", n_decimals > 1 ? n_decimals : 1, f);
}

static krs_status put_char_escape(krs_trun *run, uint32_t code, char quote)
{
    if (code == '\n' || code == '\r' || code == '\t') {
        return krs_trun_putf(run, "\\%c", code == '\n' ? 'n' : code == '\r' ? 'r' : 't');
    }
    if (code == '\\' || code == (uint32_t)quote) {
        return krs_trun_putf(run, "\\%c", (int)code);
    }
    if (code < 0x100) {
        return krs_trun_putf(run, "\\x%02x", code);
    }
    return krs_trun_putf(run, code < 0x10000 ? "\\u%04x" : "\\U%08x", code);
}

static bool needs_escape(uint32_t code, char quote)
{
    return code == '\\' || code == (uint32_t)quote || !krs_text_is_printable(code);
}

/* The body of a quoted string. */
static krs_status put_escaped(krs_trun *run, krs_str s, char quote)
{
    size_t from = 0;
    krs_status status = KRS_OK;
    for (size_t at = 0; at < s.len && status == KRS_OK;) {
        uint32_t code = 0;
        const size_t n = krs_text_decode(s, at, &code);
        if (needs_escape(code, quote)) {
            status = krs_trun_write(run, (krs_str){s.ptr + from, at - from});
            from = at + n;
            status = status == KRS_OK ? put_char_escape(run, code, quote) : status;
        }
        at += n;
    }
    return status == KRS_OK ? krs_trun_write(run, (krs_str){s.ptr + from, s.len - from}) : status;
}

static krs_status put_repr_str(krs_trun *run, krs_str s)
{
    const bool has_single = s.len && memchr(s.ptr, '\'', s.len);
    const bool has_double = s.len && memchr(s.ptr, '"', s.len);
    const char quote = has_single && !has_double ? '"' : '\'';
    krs_status status = krs_trun_putf(run, "%c", quote);
    if (status == KRS_OK && s.len) {
        status = put_escaped(run, s, quote);
    }
    return status == KRS_OK ? krs_trun_putf(run, "%c", quote) : status;
}

static krs_status put_items(krs_trun *run, const krs_tval *items, size_t n)
{
    krs_status status = KRS_OK;
    for (size_t i = 0; i < n && status == KRS_OK; i++) {
        status = i ? krs_trun_write(run, KRS_STR(", ")) : KRS_OK;
        if (status == KRS_OK) {
            status = krs_tput_repr(run, &items[i]);
        }
    }
    return status;
}

static krs_status put_wrapped(krs_trun *run, const char *before, const krs_tseq *seq,
                              const char *after)
{
    krs_status status = krs_trun_write(run, krs_str_of(before));
    if (status == KRS_OK) {
        status = put_items(run, seq->items, seq->n);
    }
    return status == KRS_OK ? krs_trun_write(run, krs_str_of(after)) : status;
}

static krs_status put_seq(krs_trun *run, const krs_tval *v)
{
    const krs_tseq *seq = v->u.seq;
    switch (v->kind) {
    case KRS_T_LIST:
        return put_wrapped(run, "[", seq, "]");
    case KRS_T_TUPLE:
        return put_wrapped(run, "(", seq, seq->n == 1 ? ",)" : ")");
    case KRS_T_RANGE:
        if (seq->step == 1) {
            return krs_trun_putf(run, "range(%lld, %lld)", (long long)seq->start,
                                 (long long)seq->stop);
        }
        return krs_trun_putf(run, "range(%lld, %lld, %lld)", (long long)seq->start,
                             (long long)seq->stop, (long long)seq->step);
    default: {
        krs_status status = krs_trun_putf(run, "%s", krs_tval_type(v));
        return status == KRS_OK ? put_wrapped(run, "([", seq, "])") : status;
    }
    }
}

static krs_status put_entry(krs_trun *run, const krs_tentry *e)
{
    krs_status status = krs_tput_repr(run, &e->key);
    if (status == KRS_OK) {
        status = krs_trun_write(run, KRS_STR(": "));
    }
    return status == KRS_OK ? krs_tput_repr(run, &e->value) : status;
}

static krs_status put_map(krs_trun *run, const krs_tmap *map)
{
    krs_status status = krs_trun_write(run, KRS_STR("{"));
    for (size_t i = 0; i < map->n && status == KRS_OK; i++) {
        status = i ? krs_trun_write(run, KRS_STR(", ")) : KRS_OK;
        if (status == KRS_OK) {
            status = put_entry(run, &map->entries[i]);
        }
    }
    return status == KRS_OK ? krs_trun_write(run, KRS_STR("}")) : status;
}

static krs_status put_namespace(krs_trun *run, const krs_tmap *map)
{
    krs_status status = krs_trun_write(run, KRS_STR("<Namespace "));
    if (status == KRS_OK) {
        status = put_map(run, map);
    }
    return status == KRS_OK ? krs_trun_write(run, KRS_STR(">")) : status;
}

/* Things with no text of their own; Python prints an address, which nobody can want in a prompt. */
static krs_status put_object(krs_trun *run, const krs_tval *v)
{
    if (v->kind == KRS_T_MACRO) {
        const krs_str name = v->u.macro->macro->title;
        return krs_trun_putf(run, "<Macro '%.*s'>", KRS_STR_ARGS(name));
    }
    if (v->kind == KRS_T_LOOP) {
        return krs_trun_putf(run, "<LoopContext %zu/%zu>", v->u.loop->at + 1, v->u.loop->n_passed);
    }
    return krs_trun_putf(run, "<%s object>", krs_tval_type(v));
}

static krs_status put_repr(krs_trun *run, const krs_tval *v)
{
    char digits[32];
    switch (v->kind) {
    case KRS_T_UNDEF:
        return krs_trun_write(run, KRS_STR("Undefined"));
    case KRS_T_NONE:
        return krs_trun_write(run, KRS_STR("None"));
    case KRS_T_BOOL:
        return krs_trun_write(run, v->u.b ? KRS_STR("True") : KRS_STR("False"));
    case KRS_T_INT:
        return krs_trun_putf(run, "%lld", (long long)v->u.i);
    case KRS_T_FLOAT:
        krs_tfloat_text(v->u.f, digits);
        return krs_trun_putf(run, "%s", digits);
    case KRS_T_STR:
        return put_repr_str(run, v->u.s);
    case KRS_T_DICT:
        return put_map(run, v->u.map);
    case KRS_T_NAMESPACE:
        return put_namespace(run, v->u.map);
    default:
        return krs_tval_is_seq(v) ? put_seq(run, v) : put_object(run, v);
    }
}

krs_status krs_tput_repr(krs_trun *run, const krs_tval *v)
{
    krs_status status = krs_trun_enter(run);
    if (status == KRS_OK) {
        status = put_repr(run, v);
        krs_trun_leave(run);
    }
    return status;
}

krs_status krs_tput_str(krs_trun *run, const krs_tval *v)
{
    if (v->kind == KRS_T_STR) {
        return krs_trun_write(run, v->u.s);
    }
    if (v->kind == KRS_T_UNDEF) {
        return v->u.undef->why == KRS_TUNDEF_UNSAFE ? krs_trun_fail_undefined(run, v) : KRS_OK;
    }
    return krs_tput_repr(run, v);
}

krs_status krs_tstr(krs_trun *run, const krs_tval *v, krs_tval *out)
{
    if (v->kind == KRS_T_STR) {
        *out = *v;
        return KRS_OK;
    }
    const size_t mark = krs_trun_mark(run);
    krs_status status = krs_tput_str(run, v);
    return status == KRS_OK ? krs_trun_take(run, mark, out) : status;
}

krs_status krs_tescape(krs_trun *run, krs_str s, krs_tval *out)
{
    static const char *const names[] = {
        ['&'] = "&amp;", ['<'] = "&lt;", ['>'] = "&gt;", ['\''] = "&#39;", ['"'] = "&#34;"};
    const size_t mark = krs_trun_mark(run);
    krs_status status = KRS_OK;
    size_t from = 0;
    for (size_t at = 0; at < s.len && status == KRS_OK; at++) {
        const unsigned char c = (unsigned char)s.ptr[at];
        if (c < sizeof(names) / sizeof(names[0]) && names[c]) {
            status = krs_trun_write(run, (krs_str){s.ptr + from, at - from});
            from = at + 1;
            if (status == KRS_OK) {
                status = krs_trun_write(run, krs_str_of(names[c]));
            }
        }
    }
    if (status == KRS_OK) {
        status = krs_trun_write(run, (krs_str){s.ptr ? s.ptr + from : "", s.len - from});
    }
    if (status == KRS_OK) {
        status = krs_trun_take(run, mark, out);
        out->is_safe = true;
    }
    return status;
}
