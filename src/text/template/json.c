/* text/template/json.c - the tojson filter's writer: Python's json.dumps.
 *
 * Differs from wire/json in what matters here: ", " and ": " between parts, order of keys as given or
 * sorted, indentation with an empty container on one line, floats as Python writes them, and values
 * JSON has no word for refused with Python's message.
 *
 * Thread: see run.h.  Source: Python 3 json module. */
#include "text/template/run.h"
#include "text/template/unicode.h"

static krs_status put_value(krs_trun *run, const krs_tval *v, const krs_tjson *style, size_t level);

static krs_status put_escape(krs_trun *run, uint32_t code)
{
    static const char plain[] = "\"\\\n\r\t\f\b";
    static const char letters[] = "\"\\nrtfb";
    const char *known = code && code < 0x80 ? strchr(plain, (int)code) : NULL;
    if (known) {
        return krs_trun_putf(run, "\\%c", letters[known - plain]);
    }
    if (code < 0x10000) {
        return krs_trun_putf(run, "\\u%04x", code);
    }
    const uint32_t rest = code - 0x10000;
    return krs_trun_putf(run, "\\u%04x\\u%04x", 0xD800 + (rest >> 10), 0xDC00 + (rest & 0x3FF));
}

static bool needs_escape(uint32_t code, bool is_ascii)
{
    return code < 0x20 || code == '"' || code == '\\' || (is_ascii && code > 0x7E);
}

static krs_status put_string(krs_trun *run, krs_str s, bool is_ascii)
{
    size_t from = 0;
    krs_status status = krs_trun_write(run, KRS_STR("\""));
    for (size_t at = 0; at < s.len && status == KRS_OK;) {
        uint32_t code = 0;
        const size_t n = krs_text_decode(s, at, &code);
        if (needs_escape(code, is_ascii)) {
            status = krs_trun_write(run, (krs_str){s.ptr + from, at - from});
            from = at + n;
            status = status == KRS_OK ? put_escape(run, code) : status;
        }
        at += n;
    }
    if (status == KRS_OK && s.len) {
        status = krs_trun_write(run, (krs_str){s.ptr + from, s.len - from});
    }
    return status == KRS_OK ? krs_trun_write(run, KRS_STR("\"")) : status;
}

static krs_status put_line(krs_trun *run, const krs_tjson *style, size_t level)
{
    if (!style->has_indent) {
        return KRS_OK;
    }
    krs_status status = krs_trun_write(run, KRS_STR("\n"));
    for (size_t i = 0; i < level && status == KRS_OK; i++) {
        status = krs_trun_write(run, style->indent);
    }
    return status;
}

static krs_status put_gap(krs_trun *run, const krs_tjson *style, size_t level, bool is_first)
{
    krs_status status = is_first ? KRS_OK : krs_trun_write(run, style->item_separator);
    return status == KRS_OK ? put_line(run, style, level) : status;
}

static krs_status put_array(krs_trun *run, const krs_tseq *seq, const krs_tjson *style,
                            size_t level)
{
    krs_status status = krs_trun_write(run, seq->n ? KRS_STR("[") : KRS_STR("[]"));
    if (seq->n == 0) {
        return status;
    }
    for (size_t i = 0; i < seq->n && status == KRS_OK; i++) {
        status = put_gap(run, style, level + 1, i == 0);
        if (status == KRS_OK) {
            status = put_value(run, &seq->items[i], style, level + 1);
        }
    }
    if (status == KRS_OK) {
        status = put_line(run, style, level);
    }
    return status == KRS_OK ? krs_trun_write(run, KRS_STR("]")) : status;
}

static krs_status put_number(krs_trun *run, const krs_tval *v)
{
    char digits[32];
    if (v->kind == KRS_T_INT) {
        return krs_trun_putf(run, "%lld", (long long)v->u.i);
    }
    krs_tfloat_text(v->u.f, digits);
    const char *text = strcmp(digits, "nan") == 0    ? "NaN"
                       : strcmp(digits, "inf") == 0  ? "Infinity"
                       : strcmp(digits, "-inf") == 0 ? "-Infinity"
                                                     : digits;
    return krs_trun_write(run, krs_str_of(text));
}

static krs_str word_of(const krs_tval *v)
{
    return v->kind == KRS_T_NONE ? KRS_STR("null") : v->u.b ? KRS_STR("true") : KRS_STR("false");
}

static krs_status put_key(krs_trun *run, const krs_tval *key, const krs_tjson *style)
{
    if (key->kind == KRS_T_STR) {
        return put_string(run, key->u.s, style->is_ascii);
    }
    if (key->kind == KRS_T_TUPLE) {
        return krs_trun_fail(run, KRS_EINVAL, "keys must be str, int, float, bool or None, not %s",
                             krs_tval_type(key));
    }
    krs_status status = krs_trun_write(run, KRS_STR("\""));
    if (status == KRS_OK) {
        const bool is_word = key->kind == KRS_T_NONE || key->kind == KRS_T_BOOL;
        status = is_word ? krs_trun_write(run, word_of(key)) : put_number(run, key);
    }
    return status == KRS_OK ? krs_trun_write(run, KRS_STR("\"")) : status;
}

static krs_status key_order(krs_trun *run, const krs_tmap *map, bool is_sorted, const size_t **out)
{
    krs_tval *keys = NULL;
    *out = NULL;
    krs_status status = is_sorted ? krs_trun_array(run, map->n, &keys) : KRS_OK;
    if (status != KRS_OK || !is_sorted) {
        return status;
    }
    for (size_t i = 0; i < map->n; i++) {
        keys[i] = map->entries[i].key;
    }
    return krs_tsort(run, keys, map->n, false, out);
}

static krs_status put_member(krs_trun *run, const krs_tentry *e, const krs_tjson *style,
                             size_t level)
{
    krs_status status = put_key(run, &e->key, style);
    if (status == KRS_OK) {
        status = krs_trun_write(run, style->key_separator);
    }
    return status == KRS_OK ? put_value(run, &e->value, style, level) : status;
}

static krs_status put_object(krs_trun *run, const krs_tmap *map, const krs_tjson *style,
                             size_t level)
{
    krs_status status = krs_trun_write(run, map->n ? KRS_STR("{") : KRS_STR("{}"));
    const size_t *order = NULL;
    if (map->n == 0 || status != KRS_OK) {
        return status;
    }
    status = key_order(run, map, style->is_sorted, &order);
    for (size_t i = 0; i < map->n && status == KRS_OK; i++) {
        status = put_gap(run, style, level + 1, i == 0);
        if (status == KRS_OK) {
            status = put_member(run, &map->entries[order ? order[i] : i], style, level + 1);
        }
    }
    if (status == KRS_OK) {
        status = put_line(run, style, level);
    }
    return status == KRS_OK ? krs_trun_write(run, KRS_STR("}")) : status;
}

static krs_status put_any(krs_trun *run, const krs_tval *v, const krs_tjson *style, size_t level)
{
    switch (v->kind) {
    case KRS_T_NONE:
    case KRS_T_BOOL:
        return krs_trun_write(run, word_of(v));
    case KRS_T_INT:
    case KRS_T_FLOAT:
        return put_number(run, v);
    case KRS_T_STR:
        return put_string(run, v->u.s, style->is_ascii);
    case KRS_T_LIST:
    case KRS_T_TUPLE:
        return put_array(run, v->u.seq, style, level);
    case KRS_T_DICT:
        return put_object(run, v->u.map, style, level);
    default:
        return krs_trun_fail(run, KRS_EINVAL, "Object of type %s is not JSON serializable",
                             krs_tval_type(v));
    }
}

static krs_status put_value(krs_trun *run, const krs_tval *v, const krs_tjson *style, size_t level)
{
    krs_status status = krs_trun_enter(run);
    if (status == KRS_OK) {
        status = put_any(run, v, style, level);
        krs_trun_leave(run);
    }
    return status;
}

krs_status krs_tput_json(krs_trun *run, const krs_tval *v, const krs_tjson *style)
{
    return put_value(run, v, style, 0);
}
