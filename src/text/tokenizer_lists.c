/* text/tokenizer_lists.c - see tokenizer_lists.h. A walk over a list is also what finds its end and says
 * that it is plain, so that nothing is assumed of text that was not read. */
#include "text/tokenizer_lists.h"

#include "text/unicode.h"

#define MAX_ID_DIGITS    7          /* ids stay below 2^22 */
#define MAX_STRING_BYTES (1u << 20) /* of one string with escapes; real ones stay under 1 KiB */

void krs_list_cursor_init(krs_list_cursor *c, krs_str list, const krs_alloc *alloc)
{
    *c = (krs_list_cursor){.p = list.ptr, .end = list.ptr + list.len};
    krs_buf_init(&c->spare[0], alloc, MAX_STRING_BYTES);
    krs_buf_init(&c->spare[1], alloc, MAX_STRING_BYTES);
}

void krs_list_cursor_deinit(krs_list_cursor *c)
{
    krs_buf_deinit(&c->spare[0]);
    krs_buf_deinit(&c->spare[1]);
}

static bool fail(krs_list_cursor *c)
{
    c->is_bad = true;
    return false;
}

static void skip_blank(krs_list_cursor *c)
{
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\n' || *c->p == '\t' || *c->p == '\r')) {
        c->p++;
    }
}

/* Past white space and the character want, if it is there. */
static bool take(krs_list_cursor *c, char want)
{
    skip_blank(c);
    if (c->p == c->end || *c->p != want) {
        return false;
    }
    c->p++;
    return true;
}

/* The four digits of \uXXXX at p, or -1. */
static int hex4(const char *p, const char *end)
{
    int value = 0;
    if (end - p < 4) {
        return -1;
    }
    for (int i = 0; i < 4; i++) {
        const char d = p[i];
        const char low = (char)(d | 0x20);
        const int digit = d >= '0' && d <= '9'       ? d - '0'
                          : low >= 'a' && low <= 'f' ? low - 'a' + 10
                                                     : -1;
        if (digit < 0) {
            return -1;
        }
        value = value * 16 + digit;
    }
    return value;
}

/* The escape behind the backslash at c->p. */
static bool take_escape(krs_list_cursor *c, krs_buf *out)
{
    static const char names[] = "\"\\/bfnrt";
    static const char meant[] = "\"\\/\b\f\n\r\t";
    if (c->end - c->p < 2) {
        return fail(c);
    }
    const char name = c->p[1];
    const char *known = name != '\0' ? strchr(names, name) : NULL;
    if (known) {
        c->p += 2;
        return krs_buf_append_char(out, meant[known - names]) == KRS_OK || fail(c);
    }
    const int code = name == 'u' ? hex4(c->p + 2, c->end) : -1;
    if (code <= 0 || (code >= 0xD800 && code <= 0xDFFF)) {
        return fail(c);
    }
    char bytes[KRS_UTF8_MAX_BYTES];
    c->p += 6;
    return krs_buf_append(out, bytes, krs_utf8_encode((uint32_t)code, bytes)) == KRS_OK || fail(c);
}

/* Bytes that stand for themselves from c->p on. */
static krs_str take_plain(krs_list_cursor *c)
{
    const char *start = c->p;
    while (c->p < c->end && *c->p != '"' && *c->p != '\\' && (unsigned char)*c->p >= 0x20) {
        c->p++;
    }
    return (krs_str){start, (size_t)(c->p - start)};
}

/* The rest of a string whose opening quote was taken: where it stands, or in spare. */
static bool take_string(krs_list_cursor *c, krs_buf *spare, krs_str *out)
{
    *out = take_plain(c);
    if (c->p < c->end && *c->p == '\\') {
        krs_buf_reset(spare);
        krs_status status = krs_buf_append_str(spare, *out);
        while (status == KRS_OK && c->p < c->end && *c->p == '\\') {
            if (!take_escape(c, spare)) {
                return false;
            }
            status = krs_buf_append_str(spare, take_plain(c));
        }
        if (status != KRS_OK) {
            return fail(c);
        }
        *out = (krs_str){spare->data ? spare->data : "", spare->len};
    }
    return take(c, '"') || fail(c);
}

static bool take_id(krs_list_cursor *c, uint32_t *id)
{
    skip_blank(c);
    const char *start = c->p;
    *id = 0;
    while (c->p < c->end && *c->p >= '0' && *c->p <= '9' && c->p - start < MAX_ID_DIGITS) {
        *id = *id * 10 + (uint32_t)(*c->p++ - '0');
    }
    return c->p > start && (*start != '0' || c->p - start == 1);
}

/* Before an entry: past the comma if it is not the first. false: the list ended, or is not plain. */
static bool begin_entry(krs_list_cursor *c, char close)
{
    skip_blank(c);
    if (c->p == c->end || *c->p == close) {
        return false;
    }
    if (c->n > 0 && !take(c, ',')) {
        return fail(c);
    }
    c->n++;
    return true;
}

bool krs_list_next_token(krs_list_cursor *c, krs_str *text, uint32_t *id)
{
    if (!begin_entry(c, '}')) {
        return false;
    }
    const bool is_key = take(c, '"') && take_string(c, &c->spare[0], text);
    if (!is_key || !take(c, ':') || !take_id(c, id)) {
        return fail(c);
    }
    skip_blank(c);
    return c->p == c->end || *c->p == ',' || *c->p == '}' || fail(c);
}

bool krs_list_next_merge(krs_list_cursor *c, krs_str *first, krs_str *second)
{
    *second = (krs_str){NULL, 0};
    if (!begin_entry(c, ']')) {
        return false;
    }
    if (take(c, '"')) {
        return take_string(c, &c->spare[0], first);
    }
    const bool is_first = take(c, '[') && take(c, '"') && take_string(c, &c->spare[0], first);
    const bool is_second =
        is_first && take(c, ',') && take(c, '"') && take_string(c, &c->spare[1], second);
    return (is_second && take(c, ']')) || fail(c);
}

/* Past a value that is to be left alone: to what closes it outside all brackets. They are only counted; the
 * parser will see them. */
static bool skip_value(krs_list_cursor *c)
{
    size_t depth = 0;
    krs_str text;
    while (c->p < c->end) {
        const char k = *c->p;
        const bool is_close = k == '}' || k == ']';
        if (depth == 0 && (is_close || k == ',')) {
            return true;
        }
        c->p++;
        if (k == '"' && !take_string(c, &c->spare[0], &text)) {
            return false;
        }
        depth += k == '{' || k == '[';
        depth -= is_close;
    }
    return fail(c);
}

/* The list behind its opening bracket: its inside and its number of entries. */
static bool take_list(krs_list_cursor *c, bool is_vocab, krs_str *inside, size_t *n)
{
    if (inside->ptr) {
        return fail(c); /* a second one of the name */
    }
    const char *start = c->p;
    krs_str text;
    krs_str second;
    uint32_t id;
    c->n = 0;
    while (is_vocab ? krs_list_next_token(c, &text, &id) : krs_list_next_merge(c, &text, &second)) {
    }
    *inside = (krs_str){start, (size_t)(c->p - start)};
    *n = c->n;
    return !c->is_bad && c->p < c->end;
}

/* The key of the next field of an object, past its colon. false: the object ended, or is not plain. */
static bool next_field(krs_list_cursor *c, bool *is_first, krs_str *key)
{
    if (take(c, '}')) {
        return false;
    }
    if ((!*is_first && !take(c, ',')) || !take(c, '"') || !take_string(c, &c->spare[0], key) ||
        !take(c, ':')) {
        return fail(c);
    }
    *is_first = false;
    return true;
}

/* The fields of "model", behind its brace. */
static bool take_model(krs_list_cursor *c, krs_tokenizer_lists *lists)
{
    krs_str key;
    for (bool is_first = true; next_field(c, &is_first, &key);) {
        skip_blank(c);
        const bool is_vocab = krs_str_equal(key, KRS_STR("vocab")) && take(c, '{');
        const bool is_merges = krs_str_equal(key, KRS_STR("merges")) && take(c, '[');
        bool is_fine;
        if (is_vocab) {
            is_fine = take_list(c, true, &lists->vocab, &lists->n_vocab) && take(c, '}');
        } else if (is_merges) {
            is_fine = take_list(c, false, &lists->merges, &lists->n_merges) && take(c, ']');
        } else {
            is_fine = skip_value(c);
        }
        if (!is_fine) {
            return fail(c);
        }
    }
    return !c->is_bad;
}

static bool take_root(krs_list_cursor *c, krs_tokenizer_lists *lists)
{
    bool has_model = false;
    krs_str key;
    if (!take(c, '{')) {
        return fail(c);
    }
    for (bool is_first = true; next_field(c, &is_first, &key);) {
        const bool is_model = krs_str_equal(key, KRS_STR("model"));
        if (is_model && (has_model || !take(c, '{'))) {
            return fail(c);
        }
        has_model = has_model || is_model;
        if (!(is_model ? take_model(c, lists) : skip_value(c))) {
            return fail(c);
        }
    }
    return !c->is_bad && lists->vocab.ptr != NULL;
}

/* The text but for the insides, which are in it in either order. */
static krs_status write_rest(krs_str json, const krs_tokenizer_lists *lists, krs_buf *rest)
{
    krs_str first = lists->vocab;
    krs_str second = lists->merges.ptr ? lists->merges : (krs_str){json.ptr + json.len, 0};
    if (second.ptr < first.ptr) {
        const krs_str was = first;
        first = second;
        second = was;
    }
    const char *after_first = first.ptr + first.len;
    const char *after_second = second.ptr + second.len;
    krs_status status = krs_buf_append(rest, json.ptr, (size_t)(first.ptr - json.ptr));
    if (status == KRS_OK) {
        status = krs_buf_append(rest, after_first, (size_t)(second.ptr - after_first));
    }
    return status == KRS_OK
               ? krs_buf_append(rest, after_second, (size_t)(json.ptr + json.len - after_second))
               : status;
}

bool krs_tokenizer_lists_cut(krs_str json, krs_tokenizer_lists *lists, krs_buf *rest)
{
    *lists = (krs_tokenizer_lists){0};
    if (json.len == 0 || krs_utf8_valid_prefix(json) != json.len) {
        return false;
    }
    krs_list_cursor c;
    krs_list_cursor_init(&c, json, rest->alloc);
    const bool is_plain = take_root(&c, lists) && write_rest(json, lists, rest) == KRS_OK;
    krs_list_cursor_deinit(&c);
    return is_plain;
}
