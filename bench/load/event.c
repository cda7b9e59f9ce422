/* bench/load/event.c - see event.h. An explicit stack of open containers instead of recursion; each knows
 * which known place of an answer it is. */
#include "event.h"

#include "base/utf8.h"

#include <stdlib.h>

#define MAX_DEPTH    16 /* an event nests 6 deep at most */
#define NUMBER_BYTES 32 /* any number of an event */

/* Places of an answer that mean something; everything else is PLACE_OTHER. */
typedef enum place {
    PLACE_OTHER,
    PLACE_ROOT,
    PLACE_CHOICES,
    PLACE_CHOICE,
    PLACE_DELTA,
    PLACE_USAGE,
    PLACE_ERROR,
    PLACE_CONTENT,
    PLACE_FINISH,
    PLACE_TOKENS,
} place;

static const struct {
    place parent;
    const char *key;
    place child;
} known[] = {
    {PLACE_ROOT, "choices", PLACE_CHOICES},  {PLACE_ROOT, "usage", PLACE_USAGE},
    {PLACE_ROOT, "error", PLACE_ERROR},      {PLACE_CHOICE, "delta", PLACE_DELTA},
    {PLACE_CHOICE, "text", PLACE_CONTENT},   {PLACE_CHOICE, "finish_reason", PLACE_FINISH},
    {PLACE_DELTA, "content", PLACE_CONTENT}, {PLACE_USAGE, "completion_tokens", PLACE_TOKENS},
};

typedef struct reader {
    const char *at;
    const char *end;
    place open[MAX_DEPTH];
    bool is_object[MAX_DEPTH];
    int depth;
    load_event *event;
    krs_buf *text;
} reader;

static void skip_blanks(reader *r)
{
    while (r->at < r->end &&
           (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r')) {
        r->at++;
    }
}

static bool take(reader *r, char c)
{
    skip_blanks(r);
    const bool is_there = r->at < r->end && *r->at == c;
    r->at += is_there;
    return is_there;
}

static bool read_hex(reader *r, uint32_t *out)
{
    uint32_t n = 0;
    for (int i = 0; i < 4; i++) {
        const char *digits = "0123456789abcdef";
        const char *digit = r->at < r->end && *r->at ? strchr(digits, *r->at | 0x20) : NULL;
        if (!digit) {
            return false;
        }
        n = n << 4 | (uint32_t)(digit - digits);
        r->at++;
    }
    *out = n;
    return true;
}

static krs_status put_character(krs_buf *out, uint32_t c)
{
    const char bytes[4] = {(char)(c < 0x80      ? c
                                  : c < 0x800   ? 0xC0 | c >> 6
                                  : c < 0x10000 ? 0xE0 | c >> 12
                                                : 0xF0 | c >> 18),
                           (char)(0x80 | (c < 0x800     ? c & 0x3F
                                          : c < 0x10000 ? c >> 6 & 0x3F
                                                        : c >> 12 & 0x3F)),
                           (char)(0x80 | (c < 0x10000 ? c & 0x3F : c >> 6 & 0x3F)),
                           (char)(0x80 | (c & 0x3F))};
    const size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    return krs_buf_append(out, bytes, n);
}

/* The second half of a pair, "\\uDC00" .. "\\uDFFF". */
static bool read_low_half(reader *r, uint32_t *out)
{
    if (r->end - r->at < 2 || r->at[0] != '\\' || r->at[1] != 'u') {
        return false;
    }
    r->at += 2;
    return read_hex(r, out) && *out >= 0xDC00 && *out < 0xE000;
}

/* Behind "\u": one character, of two halves where it must be. */
static krs_status read_unicode(reader *r, krs_buf *out)
{
    uint32_t c = 0;
    uint32_t low = 0;
    if (!read_hex(r, &c) || (c >= 0xDC00 && c < 0xE000)) {
        return KRS_EFORMAT;
    }
    if (c >= 0xD800 && c < 0xDC00) {
        if (!read_low_half(r, &low)) {
            return KRS_EFORMAT;
        }
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
    }
    return put_character(out, c);
}

static krs_status read_escape(reader *r, krs_buf *out)
{
    static const char names[] = "\"\\/bfnrt";
    static const char means[] = "\"\\/\b\f\n\r\t";
    if (r->at == r->end) {
        return KRS_EFORMAT;
    }
    const char c = *r->at++;
    if (c == 'u') {
        return read_unicode(r, out);
    }
    const char *name = c ? strchr(names, c) : NULL;
    return name ? krs_buf_append_char(out, means[name - names]) : KRS_EFORMAT;
}

/* The plain characters that come next. */
static krs_status read_plain(reader *r, krs_buf *out)
{
    const char *run = r->at;
    while (r->at < r->end && *r->at != '"' && *r->at != '\\' && (unsigned char)*r->at >= 0x20) {
        const size_t n = krs_utf8_length(r->at, (size_t)(r->end - r->at));
        if (n == 0) {
            return KRS_EFORMAT;
        }
        r->at += n;
    }
    return krs_buf_append(out, run, (size_t)(r->at - run));
}

/* A string behind its quote, appended to out. */
static krs_status read_string(reader *r, krs_buf *out)
{
    for (;;) {
        krs_status status = read_plain(r, out);
        if (status != KRS_OK || r->at == r->end || (unsigned char)*r->at < 0x20) {
            return status != KRS_OK ? status : KRS_EFORMAT;
        }
        if (*r->at++ == '"') {
            return KRS_OK;
        }
        status = read_escape(r, out);
        if (status != KRS_OK) {
            return status;
        }
    }
}

static place child_of(place parent, krs_str key)
{
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (known[i].parent == parent && krs_str_equal(key, krs_str_of(known[i].key))) {
            return known[i].child;
        }
    }
    return PLACE_OTHER;
}

static krs_status read_text(reader *r, place where)
{
    const size_t before = r->text->len;
    const krs_status status = read_string(r, r->text);
    if (status != KRS_OK) {
        return status;
    }
    const krs_str got = {r->text->data + before, r->text->len - before};
    if (where == PLACE_CONTENT) {
        r->event->n_text += got.len;
        return KRS_OK;
    }
    if (where == PLACE_FINISH && got.len < LOAD_FINISH_BYTES) {
        memcpy(r->event->finish, got.ptr, got.len);
        r->event->finish[got.len] = '\0';
    }
    r->text->len = before;
    return KRS_OK;
}

/* The characters of a number that come next, into copy. Returns how many. */
static size_t copy_number(const reader *r, char copy[NUMBER_BYTES])
{
    const size_t left = (size_t)(r->end - r->at);
    size_t n = 0;
    while (n < left && n < NUMBER_BYTES - 1 && r->at[n] && strchr("+-0123456789.eE", r->at[n])) {
        copy[n] = r->at[n];
        n++;
    }
    copy[n] = '\0';
    return n;
}

static krs_status read_number(reader *r, place where)
{
    char copy[NUMBER_BYTES];
    const size_t n = copy_number(r, copy);
    char *end = NULL;
    const double value = strtod(copy, &end);
    if (n == 0 || *end || copy[0] == '+' || copy[0] == '.') {
        return KRS_EFORMAT;
    }
    r->at += n;
    if (where == PLACE_TOKENS && value >= 0 && value < 4e9) {
        r->event->has_usage = true;
        r->event->n_tokens = (uint32_t)value;
    }
    return KRS_OK;
}

static krs_status read_word(reader *r)
{
    static const char *const words[] = {"null", "true", "false"};
    for (size_t i = 0; i < 3; i++) {
        const size_t n = strlen(words[i]);
        if ((size_t)(r->end - r->at) >= n && memcmp(r->at, words[i], n) == 0) {
            r->at += n;
            return KRS_OK;
        }
    }
    return KRS_EFORMAT;
}

/* The start of a value: a whole scalar, or the bracket of a container, which is then open. */
static krs_status read_value(reader *r, place where)
{
    skip_blanks(r);
    if (r->at == r->end) {
        return KRS_EFORMAT;
    }
    const char c = *r->at;
    if (c == '{' || c == '[') {
        if (r->depth == MAX_DEPTH) {
            return KRS_EFORMAT;
        }
        r->event->is_error = r->event->is_error || where == PLACE_ERROR;
        r->open[r->depth] = where;
        r->is_object[r->depth++] = c == '{';
        r->at++;
        return KRS_OK;
    }
    if (c == '"') {
        r->at++;
        return read_text(r, where);
    }
    return c == '-' || (c >= '0' && c <= '9') ? read_number(r, where) : read_word(r);
}

/* "key": and the start of its value. */
static krs_status read_member(reader *r)
{
    if (!take(r, '"')) {
        return KRS_EFORMAT;
    }
    const size_t before = r->text->len;
    const krs_status status = read_string(r, r->text);
    if (status != KRS_OK) {
        return status;
    }
    const krs_str key = {r->text->data + before, r->text->len - before};
    const place where = child_of(r->open[r->depth - 1], key);
    r->text->len = before;
    return take(r, ':') ? read_value(r, where) : KRS_EFORMAT;
}

/* What comes next in the innermost container. is_first: it was opened just now. */
static krs_status read_next(reader *r, bool is_first)
{
    const bool is_object = r->is_object[r->depth - 1];
    if (take(r, is_object ? '}' : ']')) {
        r->depth--;
        return KRS_OK;
    }
    if (!is_first && !take(r, ',')) {
        return KRS_EFORMAT;
    }
    if (is_object) {
        return read_member(r);
    }
    return read_value(r, r->open[r->depth - 1] == PLACE_CHOICES ? PLACE_CHOICE : PLACE_OTHER);
}

krs_status load_event_read(krs_str data, load_event *out, krs_buf *text)
{
    *out = (load_event){.is_done = krs_str_equal(data, KRS_STR("[DONE]"))};
    if (out->is_done) {
        return KRS_OK;
    }
    reader r = {.at = data.ptr, .end = data.ptr + data.len, .event = out, .text = text};
    krs_status status = data.len > 0 && data.ptr[0] == '{' ? KRS_OK : KRS_EFORMAT;
    if (status == KRS_OK) {
        status = read_value(&r, PLACE_ROOT);
    }
    for (int before = 0; status == KRS_OK && r.depth > 0;) {
        const bool is_first = r.depth > before;
        before = r.depth;
        status = read_next(&r, is_first);
    }
    skip_blanks(&r);
    return status == KRS_OK && r.at != r.end ? KRS_EFORMAT : status;
}
