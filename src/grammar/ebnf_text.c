/* grammar/ebnf_text.c - the small things grammars are written with: blanks, names, literals, characters. */
#include "grammar/builder_priv.h"
#include "grammar/ebnf_priv.h"
#include "grammar/pattern_priv.h"

#define MAX_COUNT 1000000u /* of a repeat, as in patterns */

char krs_ebnf_peek(const krs_ebnf *e)
{
    return e->left.len > 0 && e->status == KRS_OK ? e->left.ptr[0] : 0;
}

static void advance(krs_ebnf *e, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        e->line += e->left.ptr[i] == '\n';
    }
    e->left = (krs_str){e->left.ptr + n, e->left.len - n};
}

bool krs_ebnf_skip(krs_ebnf *e, const char *text)
{
    const krs_str wanted = krs_str_of(text);
    if (e->status != KRS_OK || !krs_str_starts_with(e->left, wanted)) {
        return false;
    }
    advance(e, wanted.len);
    return true;
}

void krs_ebnf_skip_blanks(krs_ebnf *e)
{
    for (char c; (c = krs_ebnf_peek(e)) != 0;) {
        if (c == '#' || krs_str_starts_with(e->left, KRS_STR("//"))) {
            const size_t end = krs_str_find(e->left, KRS_STR("\n"), 0);
            advance(e, end == SIZE_MAX ? e->left.len : end);
        } else if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
            advance(e, 1);
        } else {
            break;
        }
    }
}

static bool is_letter(char c)
{
    return ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_';
}

static bool is_name_part(char c)
{
    return is_letter(c) || (c >= '0' && c <= '9') || c == '-';
}

static size_t name_length(krs_str s)
{
    size_t n = 0;
    while (n < s.len && is_name_part(s.ptr[n]) && (n > 0 || is_letter(s.ptr[n])) &&
           !(s.ptr[n] == '-' && n + 1 < s.len && s.ptr[n + 1] == '>')) {
        n++;
    }
    return n;
}

krs_str krs_ebnf_read_name(krs_ebnf *e)
{
    const krs_str name = {e->left.ptr, e->status == KRS_OK ? name_length(e->left) : 0};
    advance(e, name.len);
    return name;
}

bool krs_ebnf_read_number(krs_ebnf *e, uint32_t *out)
{
    bool is_there = false;
    *out = 0;
    for (char c; (c = krs_ebnf_peek(e)) >= '0' && c <= '9'; advance(e, 1)) {
        is_there = true;
        *out = *out * 10 + (uint32_t)(c - '0');
        if (*out > MAX_COUNT) {
            krs_ebnf_refuse(e, "a repeat counts beyond %u", MAX_COUNT);
        }
    }
    return is_there;
}

static size_t priority_length(krs_str s)
{
    size_t n = 0;
    if (s.len > 1 && s.ptr[0] == '.' && s.ptr[1] != '.') {
        do {
            n++;
        } while (n < s.len && ((s.ptr[n] >= '0' && s.ptr[n] <= '9') || s.ptr[n] == '-'));
    }
    return n;
}

/* [?!]* name [.priority] then : or ::= */
bool krs_ebnf_at_rule(const krs_ebnf *e)
{
    krs_str s = e->left;
    while (s.len > 0 && (s.ptr[0] == '?' || s.ptr[0] == '!')) {
        s = (krs_str){s.ptr + 1, s.len - 1};
    }
    size_t n = name_length(s);
    if (n == 0) {
        return false;
    }
    n += priority_length((krs_str){s.ptr + n, s.len - n});
    while (n < s.len && (s.ptr[n] == ' ' || s.ptr[n] == '\t')) {
        n++;
    }
    return n < s.len && s.ptr[n] == ':';
}

static bool hex_digits(krs_ebnf *e, size_t n, uint32_t *c)
{
    *c = 0;
    for (size_t i = 0; i < n; i++, advance(e, 1)) {
        const char d = krs_ebnf_peek(e);
        const char lower = (char)(d | 0x20);
        if (d >= '0' && d <= '9') {
            *c = *c << 4 | (uint32_t)(d - '0');
        } else if (lower >= 'a' && lower <= 'f') {
            *c = *c << 4 | (uint32_t)(lower - 'a' + 10);
        } else {
            krs_ebnf_refuse(e, "an escape wants %zu hex digits", n);
            return false;
        }
    }
    if (*c > KRS_CHARS_MAX) {
        krs_ebnf_refuse(e, "an escape is beyond the last character");
    }
    return e->status == KRS_OK;
}

/* After a backslash. */
static uint32_t read_escape(krs_ebnf *e)
{
    static const char names[] = "nrtfvb0";
    static const char values[] = "\n\r\t\f\v\b";
    const char kind = krs_ebnf_peek(e);
    uint32_t c = 0;
    if (kind == 0) {
        krs_ebnf_refuse(e, "a literal is not closed");
        return 0;
    }
    advance(e, 1);
    const char *at = strchr(names, kind);
    if (at) {
        return (unsigned char)values[at - names];
    }
    if (kind == 'x' || kind == 'u' || kind == 'U') {
        (void)hex_digits(e, kind == 'x' ? 2 : kind == 'u' ? 4 : 8, &c);
    } else if (is_name_part(kind) && kind != '-') {
        krs_ebnf_refuse(e, "the escape \\%c is not known", kind);
    } else {
        c = (unsigned char)kind;
    }
    return c;
}

/* The next character of a literal; UINT32_MAX at its end, which is read. */
static uint32_t read_char(krs_ebnf *e, char quote)
{
    const char c = krs_ebnf_peek(e);
    if (c == quote) {
        advance(e, 1);
        return UINT32_MAX;
    }
    if (c == 0 || c == '\n') {
        krs_ebnf_refuse(e, "a literal is not closed");
        return UINT32_MAX;
    }
    if (c == '\\') {
        advance(e, 1);
        return read_escape(e);
    }
    size_t n;
    const uint32_t code = krs_chars_decode(e->left, &n);
    advance(e, n);
    return code;
}

static krs_regex chars_regex(krs_ebnf *e, uint32_t first, uint32_t last)
{
    const krs_char_range range = {first, last};
    return krs_regex_chars(e->b, &range, 1, false);
}

static krs_regex both_cases(krs_ebnf *e, uint32_t c)
{
    const uint32_t lower = c | 0x20;
    if (c > 0x7F || lower < 'a' || lower > 'z') {
        return chars_regex(e, c, c);
    }
    return krs_regex_or2(e->b, chars_regex(e, lower, lower),
                         chars_regex(e, lower - 32, lower - 32));
}

/* A literal's characters; *n of them, at most max are kept. */
static uint32_t *read_chars(krs_ebnf *e, size_t *n)
{
    const char quote = e->left.ptr[0];
    advance(e, 1);
    size_t cap = 32;
    uint32_t *list = krs_ebnf_take(e, cap, sizeof(*list));
    *n = 0;
    for (uint32_t c; list && (c = read_char(e, quote)) != UINT32_MAX;) {
        if (*n == cap) {
            uint32_t *more = krs_ebnf_take(e, 2 * cap, sizeof(*more));
            if (!more) {
                return NULL;
            }
            memcpy(more, list, cap * sizeof(*more));
            list = more;
            cap *= 2;
        }
        list[(*n)++] = c;
    }
    return e->status == KRS_OK ? list : NULL;
}

/* After "a"..: the last of the range. */
static krs_regex read_range(krs_ebnf *e, const uint32_t *first, size_t n)
{
    size_t n_last = 0;
    const char quote = krs_ebnf_peek(e);
    const uint32_t *last = quote == '"' || quote == '\'' ? read_chars(e, &n_last) : NULL;
    if (!last || n != 1 || n_last != 1 || first[0] > last[0]) {
        krs_ebnf_refuse(e, "a range wants two characters, in order");
        return krs_regex_none(e->b);
    }
    return chars_regex(e, first[0], last[0]);
}

krs_regex krs_ebnf_read_literal(krs_ebnf *e)
{
    size_t n;
    const uint32_t *chars = read_chars(e, &n);
    if (!chars) {
        return krs_regex_none(e->b);
    }
    if (krs_ebnf_skip(e, "..")) {
        return read_range(e, chars, n);
    }
    const bool is_folded = krs_ebnf_skip(e, "i");
    krs_regex *parts = krs_ebnf_take(e, n, sizeof(*parts));
    for (size_t i = 0; parts && i < n; i++) {
        parts[i] = is_folded ? both_cases(e, chars[i]) : chars_regex(e, chars[i], chars[i]);
    }
    return parts ? krs_regex_cat(e->b, parts, n) : krs_regex_none(e->b);
}

/* Bytes of the regex from its '/' to the one that closes it, without that; 0: none does. */
static size_t regex_length(krs_str s)
{
    size_t n = 1;
    bool is_class = false;
    while (n < s.len && (s.ptr[n] != '/' || is_class) && s.ptr[n] != '\n') {
        is_class = s.ptr[n] == '[' || (is_class && s.ptr[n] != ']');
        n += s.ptr[n] == '\\' ? 2 : 1;
    }
    return n < s.len && s.ptr[n] == '/' ? n : 0;
}

static krs_pattern_flags read_flags(krs_ebnf *e)
{
    krs_pattern_flags flags = {false, false};
    for (char c; is_letter(c = krs_ebnf_peek(e)); advance(e, 1)) {
        flags.is_case_folded = flags.is_case_folded || c == 'i';
        flags.is_dot_all = flags.is_dot_all || c == 's';
        if (c != 'i' && c != 's' && c != 'u') {
            krs_ebnf_refuse(e, "the flag %c of a regex is not supported", c);
        }
    }
    return flags;
}

krs_regex krs_ebnf_read_regex(krs_ebnf *e)
{
    const size_t n = regex_length(e->left);
    if (n == 0) {
        krs_ebnf_refuse(e, "a regex is not closed");
        return krs_regex_none(e->b);
    }
    const krs_str pattern = {e->left.ptr + 1, n - 1};
    advance(e, n + 1);
    const krs_pattern_flags flags = read_flags(e);
    static const krs_pattern_options whole = {KRS_SPELLING_PLAIN, false};
    krs_regex r = krs_regex_none(e->b);
    krs_error why = KRS_ERROR_INIT;
    if (e->status == KRS_OK &&
        krs_pattern_compile(e->b, pattern, &whole, flags, &r, &why) != KRS_OK) {
        krs_ebnf_refuse(e, "%s", why.message);
        e->status = why.status;
    }
    return r;
}

krs_regex krs_ebnf_read_class(krs_ebnf *e)
{
    krs_error why = KRS_ERROR_INIT;
    krs_charset set = {NULL, 0, 0};
    krs_pattern_reader reader = {
        .left = {e->left.ptr + 1, e->left.len - 1}, .arena = &e->arena, .err = &why};
    krs_pattern_read_class(&reader, &set);
    if (reader.status != KRS_OK) {
        krs_ebnf_refuse(e, "%s", why.message);
        e->status = reader.status;
        return krs_regex_none(e->b);
    }
    advance(e, e->left.len - reader.left.len);
    return krs_chars_regex(e->b, &set, KRS_SPELLING_PLAIN);
}
