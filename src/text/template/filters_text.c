/* text/template/filters_text.c - filters that make text.
 *
 * A filter takes any value: what is not a string becomes one first, so `none|trim` is "None" and an
 * undefined value is "". tojson is transformers' version: no HTML escaping, ensure_ascii off, and all
 * of json.dumps's options.
 *
 * Thread: see run.h.  Source: Jinja2 3.1 filters; transformers chat_template_utils. */
#include "text/template/run.h"
#include "text/template/unicode.h"

/* The operand as a string value. */
static krs_status operand(krs_tcall *call, krs_tval *out)
{
    return krs_tstr(call->run, &call->self, out);
}

static krs_status keep_mark(krs_status status, const krs_tval *from, krs_tval *out)
{
    if (status == KRS_OK) {
        out->is_safe = from->is_safe;
    }
    return status;
}

static krs_status map_case(krs_tcall *call, krs_text_case to, krs_tval *out)
{
    krs_tval text;
    krs_status status = operand(call, &text);
    return status == KRS_OK
               ? keep_mark(krs_tstr_case(call->run, text.u.s, (int)to, out), &text, out)
               : status;
}

static krs_status filter_upper(krs_tcall *call, krs_tval *out)
{
    return map_case(call, KRS_TEXT_UPPER, out);
}

static krs_status filter_lower(krs_tcall *call, krs_tval *out)
{
    return map_case(call, KRS_TEXT_LOWER, out);
}

static krs_status filter_capitalize(krs_tcall *call, krs_tval *out)
{
    krs_tval text;
    krs_status status = operand(call, &text);
    return status == KRS_OK ? keep_mark(krs_tstr_capitalize(call->run, text.u.s, out), &text, out)
                            : status;
}

static bool starts_word(uint32_t code)
{
    return krs_text_is_space(code) || code == '-' || code == '(' || code == '{' || code == '[' ||
           code == '<';
}

/* Unlike str.title, only a blank, dash or opening bracket starts a word. */
static krs_status filter_title(krs_tcall *call, krs_tval *out)
{
    krs_tval text;
    krs_status status = operand(call, &text);
    *out = krs_tval_str((krs_str){"", 0});
    bool is_start = true;
    for (size_t at = 0; status == KRS_OK && at < text.u.s.len;) {
        uint32_t code = 0;
        krs_tval one;
        const size_t n = krs_text_decode(text.u.s, at, &code);
        const krs_str piece = {text.u.s.ptr + at, n};
        status = krs_tstr_case(call->run, piece, is_start ? KRS_TEXT_UPPER : KRS_TEXT_LOWER, &one);
        if (status == KRS_OK) {
            status = krs_trun_join(call->run, out->u.s, one.u.s, &out->u.s);
        }
        is_start = starts_word(code);
        at += n;
    }
    return status;
}

static krs_status filter_trim(krs_tcall *call, krs_tval *out)
{
    krs_tval text;
    krs_str chars = {NULL, 0};
    krs_status status = operand(call, &text);
    if (status == KRS_OK && call->arg[0].kind != KRS_T_NONE) {
        status = krs_tcall_str(call, 0, chars, &chars);
    }
    if (status == KRS_OK) {
        *out = krs_tval_str(krs_tstr_strip(text.u.s, chars, KRS_TSIDE_BOTH));
    }
    return keep_mark(status, &text, out);
}

static krs_status filter_replace(krs_tcall *call, krs_tval *out)
{
    krs_tval text;
    krs_tval old;
    krs_tval with;
    int64_t count = -1;
    krs_status status = operand(call, &text);
    if (status == KRS_OK) {
        status = krs_tstr(call->run, &call->arg[0], &old);
    }
    if (status == KRS_OK) {
        status = krs_tstr(call->run, &call->arg[1], &with);
    }
    if (status == KRS_OK && call->arg[2].kind != KRS_T_NONE) {
        status = krs_tcall_int(call, 2, -1, &count);
    }
    return status == KRS_OK ? krs_tstr_replace(call->run, text.u.s, old.u.s, with.u.s, count, out)
                            : status;
}

/* ---- indent ---- */

static krs_status indent_text(krs_tcall *call, krs_tval *out)
{
    int64_t width = 4;
    if (call->arg[0].kind == KRS_T_STR) {
        *out = call->arg[0];
        return KRS_OK;
    }
    krs_status status = krs_tcall_int(call, 0, 4, &width);
    return status == KRS_OK ? krs_tstr_pad(call->run, KRS_STR(""), width, KRS_STR(" "), 2, out)
                            : status;
}

static krs_status put_indented(krs_tcall *call, const krs_tseq *lines, krs_str indent)
{
    const bool has_first = krs_tcall_bool(call, 1, false);
    const bool has_blank = krs_tcall_bool(call, 2, false);
    krs_status status = KRS_OK;
    for (size_t i = 0; i < lines->n && status == KRS_OK; i++) {
        const krs_str line = lines->items[i].u.s;
        const bool is_indented = i == 0 ? has_first : has_blank || line.len > 0;
        status = i ? krs_trun_write(call->run, KRS_STR("\n")) : KRS_OK;
        if (status == KRS_OK && is_indented) {
            status = krs_trun_write(call->run, indent);
        }
        if (status == KRS_OK) {
            status = krs_trun_write(call->run, line);
        }
    }
    return status;
}

static krs_status filter_indent(krs_tcall *call, krs_tval *out)
{
    krs_trun *run = call->run;
    krs_tval text;
    krs_tval indent;
    krs_tval lines;
    krs_status status = operand(call, &text);
    if (status == KRS_OK) {
        status = indent_text(call, &indent);
    }
    if (status == KRS_OK) { /* a newline more, so that one at the end makes an empty last line */
        status = krs_trun_join(run, text.u.s, KRS_STR("\n"), &text.u.s);
    }
    if (status == KRS_OK) {
        status = krs_tstr_lines(run, text.u.s, false, &lines);
    }
    const size_t mark = krs_trun_mark(run);
    if (status == KRS_OK) {
        status = put_indented(call, lines.u.seq, indent.u.s);
    }
    return status == KRS_OK ? krs_trun_take(run, mark, out) : status;
}

static krs_status filter_center(krs_tcall *call, krs_tval *out)
{
    krs_tval text;
    int64_t width = 80;
    krs_status status = operand(call, &text);
    if (status == KRS_OK) {
        status = krs_tcall_int(call, 0, 80, &width);
    }
    return status == KRS_OK ? krs_tstr_pad(call->run, text.u.s, width, KRS_STR(" "), 1, out)
                            : status;
}

static krs_str last_word_cut(krs_str s)
{
    for (size_t at = s.len; at-- > 0;) {
        if (s.ptr[at] == ' ') {
            return (krs_str){s.ptr, at};
        }
    }
    return s;
}

static krs_status filter_truncate(krs_tcall *call, krs_tval *out)
{
    krs_tval text;
    int64_t length = 255;
    int64_t leeway = 5;
    krs_str end = {NULL, 0};
    krs_status status = operand(call, &text);
    if (status == KRS_OK) {
        status = krs_tcall_int(call, 0, 255, &length);
    }
    if (status == KRS_OK) {
        status = krs_tcall_str(call, 2, KRS_STR("..."), &end);
    }
    if (status == KRS_OK && call->arg[3].kind != KRS_T_NONE) {
        status = krs_tcall_int(call, 3, 5, &leeway);
    }
    if (status != KRS_OK) {
        return status;
    }
    const int64_t kept = length - (int64_t)krs_text_count(end);
    if (kept < 0 || leeway < 0) {
        return krs_trun_fail(call->run, KRS_EINVAL,
                             "truncate(): length %lld or leeway %lld is too small",
                             (long long)length, (long long)leeway);
    }
    *out = text;
    if ((int64_t)krs_text_count(text.u.s) <= length + leeway) {
        return KRS_OK;
    }
    krs_str cut = {text.u.s.ptr, krs_text_offset(text.u.s, (size_t)kept)};
    cut = krs_tcall_bool(call, 1, false) ? cut : last_word_cut(cut);
    return krs_trun_join(call->run, cut, end, &out->u.s);
}

static krs_status filter_wordcount(krs_tcall *call, krs_tval *out)
{
    krs_tval text;
    int64_t n = 0;
    bool is_inside = false;
    krs_status status = operand(call, &text);
    for (size_t at = 0; status == KRS_OK && at < text.u.s.len;) {
        uint32_t code = 0;
        at += krs_text_decode(text.u.s, at, &code);
        const bool is_word = code == '_' || krs_text_is_alpha(code) || krs_text_is_digit(code);
        n += is_word && !is_inside;
        is_inside = is_word;
    }
    *out = krs_tval_int(n);
    return status;
}

static krs_status filter_string(krs_tcall *call, krs_tval *out)
{
    return operand(call, out);
}

static krs_status filter_safe(krs_tcall *call, krs_tval *out)
{
    krs_status status = operand(call, out);
    out->is_safe = true;
    return status;
}

static krs_status filter_escape(krs_tcall *call, krs_tval *out)
{
    krs_tval text;
    krs_status status = operand(call, &text);
    if (status == KRS_OK && text.is_safe) {
        *out = text;
        return KRS_OK;
    }
    return status == KRS_OK ? krs_tescape(call->run, text.u.s, out) : status;
}

static krs_status filter_forceescape(krs_tcall *call, krs_tval *out)
{
    krs_tval text;
    krs_status status = operand(call, &text);
    return status == KRS_OK ? krs_tescape(call->run, text.u.s, out) : status;
}

/* 'format'|format(a, b) is 'format' % (a, b); named arguments make it a mapping. */
static krs_status filter_format(krs_tcall *call, krs_tval *out)
{
    krs_trun *run = call->run;
    const krs_tactual *actual = call->actual;
    krs_tval text;
    krs_tval values;
    krs_status status = operand(call, &text);
    if (status != KRS_OK) {
        return status;
    }
    if (actual->n && actual->n_named) {
        return krs_trun_fail(run, KRS_EINVAL,
                             "can't handle positional and keyword arguments at the same time");
    }
    status = krs_trun_seq(run, KRS_T_TUPLE, actual->pos, actual->n, &values);
    if (actual->n_named) {
        krs_tmap *map = krs_tmap_new(&run->values, actual->n_named);
        status = map ? KRS_OK : krs_trun_no_memory(run);
        for (size_t i = 0; i < actual->n_named && status == KRS_OK; i++) {
            const krs_tval key = krs_tval_str(actual->names[i]);
            status = krs_trun_set(run, map, &key, &actual->named[i]);
        }
        values = krs_tval_map(KRS_T_DICT, map);
    }
    return status == KRS_OK ? krs_tformat_percent(run, text.u.s, &values, out) : status;
}

/* ---- tojson ---- */

static krs_status json_separators(krs_tcall *call, krs_tjson *style)
{
    const krs_tval *items = NULL;
    size_t n = 0;
    krs_status status = krs_top_items(call->run, &call->arg[2], &items, &n);
    if (status != KRS_OK) {
        return status;
    }
    if (n != 2 || items[0].kind != KRS_T_STR || items[1].kind != KRS_T_STR) {
        return krs_trun_fail(call->run, KRS_EINVAL, "tojson(): separators must be two strings");
    }
    style->item_separator = items[0].u.s;
    style->key_separator = items[1].u.s;
    return KRS_OK;
}

static bool is_given(const krs_tcall *call, size_t i)
{
    return krs_tcall_has(call, i) && call->arg[i].kind != KRS_T_NONE;
}

static krs_status filter_tojson(krs_tcall *call, krs_tval *out)
{
    krs_trun *run = call->run;
    krs_tjson style = {.item_separator = KRS_STR(", "), .key_separator = KRS_STR(": ")};
    krs_status status = KRS_OK;
    style.is_ascii = krs_tcall_bool(call, 0, false);
    style.is_sorted = krs_tcall_bool(call, 3, false);
    if (is_given(call, 1)) {
        krs_tcall indent = {.run = run, .fn = call->fn, .arg = {call->arg[1]}};
        krs_tval text;
        status = indent_text(&indent, &text);
        style.has_indent = true;
        style.indent = status == KRS_OK ? text.u.s : style.indent;
        style.item_separator = KRS_STR(",");
    }
    if (status == KRS_OK && is_given(call, 2)) {
        status = json_separators(call, &style);
    }
    const size_t mark = krs_trun_mark(run);
    if (status == KRS_OK) {
        status = krs_tput_json(run, &call->self, &style);
    }
    return status == KRS_OK ? krs_trun_take(run, mark, out) : status;
}

const krs_tbuiltin krs_tfilters_text[] = {
    {"upper", filter_upper, ""},
    {"lower", filter_lower, ""},
    {"capitalize", filter_capitalize, ""},
    {"title", filter_title, ""},
    {"trim", filter_trim, "chars?"},
    {"replace", filter_replace, "old,new,count?"},
    {"indent", filter_indent, "width?,first?,blank?"},
    {"center", filter_center, "width?"},
    {"truncate", filter_truncate, "length?,killwords?,end?,leeway?"},
    {"wordcount", filter_wordcount, ""},
    {"string", filter_string, ""},
    {"safe", filter_safe, ""},
    {"escape", filter_escape, ""},
    {"e", filter_escape, ""},
    {"forceescape", filter_forceescape, ""},
    {"format", filter_format, "*"},
    {"tojson", filter_tojson, "ensure_ascii?,indent?,separators?,sort_keys?"},
    {NULL, NULL, NULL},
};
