/* text/pattern_onig.c - an Oniguruma expression (Ruby syntax) spelled for PCRE2.
 *
 *   \s \w \b      other sets of characters: spelled out as ranges (PCRE2's \s has U+180E, its \w no
 *                 marks)
 *   {n,m}+        repeats the group, where PCRE2 reads "possessive": wrapped in (?: )
 *   {,m}          {0,m};  \h  a hexadecimal digit;  \v  U+000B;  \uHHHH  \x{HHHH}
 *   (?m           dot matches newline: (?s
 *   refused       && and nested sets, back references, \K \R \X, conditionals, named calls, (?i) that
 *                 is not at the start: rare in tokenizers, and their meanings differ
 *
 * The text is copied left to right; the translator only needs to know where the last atom began.
 *
 * Source: Oniguruma 6.9 doc/RE and doc/SYNTAX.md (Ruby); pcre2pattern(3). */
#include "text/pattern.h"

#include "text/unicode.h"

#define NO_ATOM SIZE_MAX

/* Contents of a set. They end in a range, so that a hyphen after them stays a hyphen. */
static const char space_set[] =
    "\\t-\\r \\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{202F}\\x{205F}"
    "\\x{3000}\\x{2028}-\\x{2029}";
static const char not_space_set[] =
    "\\x{0}-\\x{8}\\x{E}-\\x{1F}\\x{21}-\\x{84}\\x{86}-\\x{9F}\\x{A1}-\\x{167F}\\x{1681}-\\x{1FFF}"
    "\\x{200B}-\\x{2027}\\x{202A}-\\x{202E}\\x{2030}-\\x{205E}\\x{2060}-\\x{2FFF}\\x{3001}-\\x{"
    "D7FF}"
    "\\x{E000}-\\x{10FFFF}";
static const char word_set[] = "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{24B6}-\\x{24E9}"
                               "\\x{1F130}-\\x{1F149}\\x{1F150}-\\x{1F169}\\x{1F170}-\\x{1F189}";
static const char hex_set[] = "0-9A-Fa-f";

typedef struct translator {
    krs_str in;
    size_t at;
    krs_buf *out;
    krs_error *err;
    size_t atom;                          /* where the last atom begins in out */
    size_t groups[KRS_PATTERN_MAX_DEPTH]; /* where each open group begins in out */
    size_t n_groups;
} translator;

static krs_status refuse(const translator *t, const char *what)
{
    return krs_fail(t->err, KRS_EUNSUPPORTED, "regex: %s at offset %zu is not supported", what,
                    t->at);
}

static krs_status emit(const translator *t, const char *text)
{
    return krs_buf_append_str(t->out, krs_str_of(text));
}

static krs_status emit_set(const translator *t, const char *open, const char *contents)
{
    return krs_buf_printf(t->out, "%s%s]", open, contents);
}

/* The byte k places on, or 0 at the end. */
static char peek(const translator *t, size_t k)
{
    return k < t->in.len - t->at ? t->in.ptr[t->at + k] : '\0';
}

/* Copy the next n bytes. */
static krs_status copy(translator *t, size_t n)
{
    n = n < t->in.len - t->at ? n : t->in.len - t->at;
    const krs_status status = krs_buf_append(t->out, t->in.ptr + t->at, n);
    t->at += n;
    return status;
}

/* Copy the next whole character. */
static krs_status copy_char(translator *t)
{
    size_t n;
    (void)krs_utf8_decode((krs_str){t->in.ptr + t->at, t->in.len - t->at}, &n);
    return copy(t, n);
}

static bool is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* \p{..}, \P{..}, \x{..}: copied with their braces. */
static krs_status copy_braced(translator *t)
{
    if (peek(t, 2) != '{') {
        return peek(t, 1) == 'x' ? copy(t, 2) : refuse(t, "\\p without braces");
    }
    const size_t close = krs_str_find(t->in, KRS_STR("}"), t->at);
    return close == SIZE_MAX ? refuse(t, "an open brace") : copy(t, close + 1 - t->at);
}

static krs_status copy_u16(translator *t)
{
    for (size_t i = 2; i < 6; i++) {
        if (!is_alnum(peek(t, i))) {
            return refuse(t, "\\u without four digits");
        }
    }
    const krs_status status = krs_buf_printf(t->out, "\\x{%.4s}", t->in.ptr + t->at + 2);
    t->at += 6;
    return status;
}

/* Escapes that mean the same inside and outside a set. *is_done says whether this was one. */
static krs_status common_escape(translator *t, bool *is_done)
{
    const char c = peek(t, 1);
    *is_done = true;
    if (is_one_of(c, "pPx")) {
        return copy_braced(t);
    }
    if (c == 'u') {
        return copy_u16(t);
    }
    if (c == 'v') {
        t->at += 2;
        return emit(t, "\\x{B}");
    }
    if (is_one_of(c, "dDrntfae") || (c != '\0' && (unsigned char)c < 0x80 && !is_alnum(c))) {
        return copy(t, 2);
    }
    if ((unsigned char)c >= 0x80) { /* an escaped character above ASCII is itself */
        t->at++;
        return copy_char(t);
    }
    *is_done = false;
    return KRS_OK;
}

static krs_status word_edge(translator *t, bool is_edge)
{
    t->at += 2;
    return krs_buf_printf(t->out, "(?:(?<=[%s])(?%c[%s])|(?<![%s])(?%c[%s]))", word_set,
                          is_edge ? '!' : '=', word_set, word_set, is_edge ? '=' : '!', word_set);
}

static krs_status set_escape_outside(translator *t, const char *contents, bool is_negated)
{
    t->at += 2;
    return emit_set(t, is_negated ? "[^" : "[", contents);
}

static krs_status escape_outside(translator *t)
{
    bool is_done;
    t->atom = t->out->len;
    const krs_status status = common_escape(t, &is_done);
    if (is_done) {
        return status;
    }
    const char c = peek(t, 1);
    switch (c) {
    case 's':
    case 'S':
        return set_escape_outside(t, space_set, c == 'S');
    case 'w':
    case 'W':
        return set_escape_outside(t, word_set, c == 'W');
    case 'h':
    case 'H':
        return set_escape_outside(t, hex_set, c == 'H');
    case 'b':
    case 'B':
        return word_edge(t, c == 'b');
    case 'A':
    case 'z':
    case 'Z':
        return copy(t, 2);
    default:
        return refuse(t, "this escape");
    }
}

static krs_status escape_inside(translator *t)
{
    bool is_done;
    krs_status status = common_escape(t, &is_done);
    if (is_done) {
        return status;
    }
    switch (peek(t, 1)) {
    case 's':
        status = emit(t, space_set);
        break;
    case 'S':
        status = emit(t, not_space_set);
        break;
    case 'w':
        status = emit(t, word_set);
        break;
    case 'h':
        status = emit(t, hex_set);
        break;
    case 'b':
        status = emit(t, "\\x{8}");
        break;
    default:
        return refuse(t, "this escape in a set");
    }
    t->at += 2;
    return status;
}

/* One item of a set. */
static krs_status set_item(translator *t)
{
    const char c = peek(t, 0);
    if (c == '\\') {
        return escape_inside(t);
    }
    if (c == '[') {
        return refuse(t, "a set inside a set");
    }
    if (c == '&' && peek(t, 1) == '&') {
        return refuse(t, "&& in a set");
    }
    if (c == '-' && peek(t, 1) == '\\' && is_one_of(peek(t, 2), "sSwdDpPh")) {
        t->at++;
        return emit(t, "\\-"); /* before a class a hyphen is a hyphen */
    }
    return copy_char(t);
}

static krs_status set(translator *t)
{
    t->atom = t->out->len;
    krs_status status = copy(t, peek(t, 1) == '^' ? 2 : 1);
    if (status == KRS_OK && peek(t, 0) == ']') {
        t->at++;
        status = emit(t, "\\]");
    }
    while (status == KRS_OK && t->at < t->in.len && peek(t, 0) != ']') {
        status = set_item(t);
    }
    if (status == KRS_OK && t->at == t->in.len) {
        return krs_fail(t->err, KRS_EFORMAT, "regex: a set is not closed");
    }
    return status == KRS_OK ? copy(t, 1) : status;
}

/* (?imx-imx) and (?imx-imx: with Ruby's m as s. */
static krs_status flags(translator *t)
{
    const bool is_at_start = t->at == 0;
    krs_status status = copy(t, 2);
    while (status == KRS_OK && is_one_of(peek(t, 0), "imx-")) {
        status = krs_buf_append_char(t->out, peek(t, 0) == 'm' ? 's' : peek(t, 0));
        t->at++;
    }
    if (status == KRS_OK && peek(t, 0) == ':') {
        return copy(t, 1);
    }
    if (status == KRS_OK && (peek(t, 0) != ')' || !is_at_start)) {
        return refuse(t, "this kind of group");
    }
    return status;
}

static krs_status group(translator *t)
{
    if (t->n_groups == KRS_PATTERN_MAX_DEPTH) {
        return krs_fail(t->err, KRS_ETOOLARGE, "regex: groups nested deeper than %d",
                        KRS_PATTERN_MAX_DEPTH);
    }
    t->groups[t->n_groups++] = t->out->len;
    t->atom = NO_ATOM;
    if (peek(t, 1) == '*') {
        return refuse(t, "(*");
    }
    if (peek(t, 1) != '?') {
        return copy(t, 1);
    }
    if (is_one_of(peek(t, 2), ":=!>")) {
        return copy(t, 3);
    }
    if (peek(t, 2) == '<') { /* look behind; or a name, whose references are refused anyway */
        return copy(t, is_one_of(peek(t, 3), "=!") ? 4 : 3);
    }
    return flags(t);
}

static krs_status end_group(translator *t)
{
    if (t->n_groups == 0) {
        return krs_fail(t->err, KRS_EFORMAT, "regex: ) without ( at offset %zu", t->at);
    }
    t->atom = t->groups[--t->n_groups];
    return copy(t, 1);
}

/* Length of {n}, {n,}, {,m} or {n,m} here, or 0. */
static size_t repeat_length(const translator *t)
{
    size_t i = 1;
    size_t n_digits = 0;
    size_t n_commas = 0;
    for (; peek(t, i) == ',' || (peek(t, i) >= '0' && peek(t, i) <= '9'); i++) {
        n_commas += peek(t, i) == ',';
        n_digits += peek(t, i) != ',';
    }
    return peek(t, i) == '}' && n_digits > 0 && n_commas <= 1 ? i + 1 : 0;
}

/* "atom{2,3}+" becomes "(?:atom{2,3})+"; the last atom of out is wrapped. */
static krs_status wrap_atom(translator *t)
{
    if (t->atom == NO_ATOM) {
        return refuse(t, "a repeat of nothing");
    }
    const size_t n_atom = t->out->len - t->atom;
    const krs_status status = krs_buf_append(t->out, "(?:)", 4);
    if (status == KRS_OK) {
        char *atom = t->out->data + t->atom;
        memmove(atom + 3, atom, n_atom);
        atom[0] = '(';
        atom[1] = '?';
        atom[2] = ':';
        atom[3 + n_atom] = ')';
    }
    return status;
}

static krs_status repeat(translator *t)
{
    const size_t n = repeat_length(t);
    if (n == 0) {
        t->atom = t->out->len;
        t->at++;
        return emit(t, "\\{");
    }
    krs_status status = emit(t, peek(t, 1) == ',' ? "{0" : "{");
    t->at++;
    if (status == KRS_OK) {
        status = copy(t, n - 1);
    }
    if (status == KRS_OK && peek(t, 0) == '+') {
        status = wrap_atom(t);
    }
    return status == KRS_OK && peek(t, 0) == '?' ? refuse(t, "{}?") : status;
}

static krs_status next_item(translator *t)
{
    switch (peek(t, 0)) {
    case '\\':
        return escape_outside(t);
    case '[':
        return set(t);
    case '(':
        return group(t);
    case ')':
        return end_group(t);
    case '{':
        return repeat(t);
    case '*':
    case '+':
    case '?':
        return copy(t, 1);
    default:
        t->atom = t->out->len;
        return copy_char(t);
    }
}

krs_status krs_pattern_translate(krs_str expression, krs_buf *out, krs_error *err)
{
    translator t = {.in = expression, .out = out, .err = err, .atom = NO_ATOM};
    krs_status status = KRS_OK;
    while (status == KRS_OK && t.at < expression.len) {
        status = next_item(&t);
    }
    if (status == KRS_ENOMEM || (status == KRS_ETOOLARGE && t.n_groups < KRS_PATTERN_MAX_DEPTH)) {
        return krs_fail(err, status, "regex: no room for its translation");
    }
    return status;
}
