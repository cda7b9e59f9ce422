/* text/template/lex.c - template source to tokens.
 *
 * Whitespace is where chat templates go wrong, so the rules live here and nowhere else:
 *   {%- -%}   strip all whitespace (newlines too) on that side
 *   {%+ +%}   switch the two automatic rules off on that side
 *   trim_blocks     a newline right after %} or #} is dropped
 *   lstrip_blocks   blanks between the start of a line and {% or {# are dropped
 * and one newline at the very end of the source is dropped. Line ends become \n first.
 *
 * Thread: any; pure.  Memory: tokens and unescaped strings in the given arena.
 * Source: Jinja2 3.1 lexer. */
#include "text/template/priv.h"
#include "text/template/unicode.h"

#include <errno.h>
#include <stdlib.h>

#define LEX_MAX_NUMBER 64 /* bytes of a number literal */

typedef struct lexer {
    krs_str src;
    size_t at;
    uint32_t line;
    bool is_line_start; /* the last tag ended with a newline */
    krs_arena *arena;
    krs_ttok *tokens;
    size_t n, cap;
    uint8_t brackets[KRS_TEMPLATE_MAX_DEPTH]; /* open ones inside a tag */
    size_t n_brackets;
    krs_error *err;
} lexer;

static krs_status no_memory(lexer *x)
{
    return krs_fail(x->err, KRS_ENOMEM, "template line %u: out of memory", x->line);
}

static krs_status bad(lexer *x, const char *what)
{
    return krs_fail(x->err, KRS_EFORMAT, "template line %u: %s", x->line, what);
}

static krs_status emit(lexer *x, krs_ttok_kind kind, krs_str text, krs_ttok **out)
{
    if (x->n == x->cap) {
        const size_t cap = x->cap ? 2 * x->cap : 256;
        krs_ttok *tokens = krs_arena_array(x->arena, cap, sizeof(*tokens));
        if (!tokens) {
            return no_memory(x);
        }
        if (x->n) {
            memcpy(tokens, x->tokens, x->n * sizeof(*tokens));
        }
        x->tokens = tokens;
        x->cap = cap;
    }
    krs_ttok *tok = &x->tokens[x->n++];
    *tok = (krs_ttok){.kind = (uint8_t)kind, .line = x->line, .text = text};
    if (out) {
        *out = tok;
    }
    return KRS_OK;
}

static bool starts(const lexer *x, size_t at, const char *what)
{
    return at <= x->src.len &&
           krs_str_starts_with((krs_str){x->src.ptr + at, x->src.len - at}, krs_str_of(what));
}

static char byte_at(const lexer *x, size_t at)
{
    return (char)(at < x->src.len ? x->src.ptr[at] : '\0');
}

/* Move to `to`, counting lines. */
static void advance(lexer *x, size_t to)
{
    for (; x->at < to; x->at++) {
        x->line += x->src.ptr[x->at] == '\n';
    }
}

static size_t skip_space(const lexer *x, size_t at)
{
    return at + krs_text_leading_space((krs_str){x->src.ptr + at, x->src.len - at});
}

/* Apply the strip rules to the text before a tag that opens with `sign`. */
static krs_str strip_before(const lexer *x, krs_str text, char sign, bool is_variable)
{
    if (sign == '-') {
        return (krs_str){text.ptr, text.len - krs_text_trailing_space(text)};
    }
    if (sign == '+' || is_variable) {
        return text;
    }
    size_t line_at = text.len;
    while (line_at > 0 && text.ptr[line_at - 1] != '\n') {
        line_at--;
    }
    const krs_str tail = {text.ptr + line_at, text.len - line_at};
    if ((line_at > 0 || x->is_line_start) && krs_text_leading_space(tail) == tail.len) {
        text.len = line_at;
    }
    return text;
}

static char sign_at(const lexer *x, size_t at)
{
    const char c = byte_at(x, at);
    return (char)(c == '-' || c == '+' ? c : '\0');
}

/* If a closing tag `mark` (with its sign) stands at `at`, the offset just behind it and what it strips;
 * otherwise 0. */
static size_t close_at(const lexer *x, size_t at, const char *mark, bool has_trim)
{
    const char sign = sign_at(x, at);
    if (!starts(x, at + (sign != '\0'), mark) || (sign == '+' && !has_trim)) {
        return 0;
    }
    size_t end = at + (sign != '\0') + 2;
    if (sign == '-') {
        return skip_space(x, end);
    }
    end += has_trim && sign == '\0' && byte_at(x, end) == '\n';
    return end;
}

static void finish_tag(lexer *x, size_t end)
{
    advance(x, end);
    x->is_line_start = end > 0 && x->src.ptr[end - 1] == '\n';
}

/* ---- inside a tag ---- */

static size_t scan_digits(const lexer *x, size_t at)
{
    while ((byte_at(x, at) >= '0' && byte_at(x, at) <= '9') ||
           (byte_at(x, at) == '_' && byte_at(x, at + 1) >= '0' && byte_at(x, at + 1) <= '9')) {
        at++;
    }
    return at;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* End of a float literal at `at` whose integer part ends at `whole`; `whole` when it is an int. */
static size_t scan_float(const lexer *x, size_t at, size_t whole)
{
    size_t end = whole;
    if (at > 0 && byte_at(x, at - 1) == '.') {
        return whole; /* x.0.5 is two subscripts */
    }
    if (byte_at(x, end) == '.' && is_digit(byte_at(x, end + 1))) {
        end = scan_digits(x, end + 1);
    }
    if ((byte_at(x, end) | 0x20) == 'e') {
        const size_t exp = end + 1 + (byte_at(x, end + 1) == '-' || byte_at(x, end + 1) == '+');
        if (is_digit(byte_at(x, exp))) {
            end = scan_digits(x, exp);
        }
    }
    return end;
}

static int radix_at(const lexer *x, size_t at)
{
    const char c = (char)(byte_at(x, at + 1) | 0x20);
    if (byte_at(x, at) != '0') {
        return 10;
    }
    return c == 'x' ? 16 : c == 'o' ? 8 : c == 'b' ? 2 : 10;
}

static bool is_word_byte(char c)
{
    const char lower = (char)(c | 0x20);
    return (lower >= 'a' && lower <= 'z') || is_digit(c) || c == '_' || (unsigned char)c >= 0x80;
}

/* The literal src[at, end) without prefix and underscores; 0 when it is too long for any number. */
static size_t copy_digits(const lexer *x, size_t at, size_t end, char digits[LEX_MAX_NUMBER])
{
    size_t n = 0;
    for (size_t i = at; i < end; i++) {
        if (x->src.ptr[i] == '_') {
            continue;
        }
        if (n == LEX_MAX_NUMBER - 1) {
            return 0;
        }
        digits[n++] = x->src.ptr[i];
    }
    digits[n] = '\0';
    return n;
}

static bool convert_number(const char *digits, int radix, krs_ttok *tok)
{
    char *rest = NULL;
    errno = 0;
    if (tok->kind == KRS_TOK_FLOAT) {
        tok->u.f = strtod(digits, &rest);
        return *rest == '\0';
    }
    tok->u.i = strtoll(digits, &rest, radix);
    return *rest == '\0' && errno == 0;
}

/* Convert the literal in src[at, end) (underscores allowed) and emit it. */
static krs_status emit_number(lexer *x, size_t at, size_t end, int radix, bool is_float)
{
    char digits[LEX_MAX_NUMBER];
    const size_t n = copy_digits(x, at + (radix == 10 ? 0 : 2), end, digits);
    krs_ttok *tok = NULL;
    krs_status status =
        emit(x, is_float ? KRS_TOK_FLOAT : KRS_TOK_INT, (krs_str){x->src.ptr + at, end - at}, &tok);
    if (status != KRS_OK) {
        return status;
    }
    if (n == 0 || !convert_number(digits, radix, tok)) {
        return krs_fail(x->err, end - at > 18 ? KRS_EUNSUPPORTED : KRS_EFORMAT,
                        "template line %u: number '%.*s' (integers have 64 bits here)", x->line,
                        KRS_STR_ARGS(tok->text));
    }
    advance(x, end);
    return KRS_OK;
}

static krs_status lex_number(lexer *x)
{
    const int radix = radix_at(x, x->at);
    size_t end = x->at;
    if (radix != 10) {
        for (end += 2; is_word_byte(byte_at(x, end)); end++) {
        }
        return emit_number(x, x->at, end, radix, false);
    }
    const size_t whole = scan_digits(x, x->at);
    end = scan_float(x, x->at, whole);
    if (end == whole && byte_at(x, x->at) == '0' && whole - x->at > 1) {
        return bad(x, "a number may not start with 0");
    }
    return emit_number(x, x->at, end, 10, end != whole);
}

static krs_status lex_string(lexer *x)
{
    const char quote = byte_at(x, x->at);
    size_t end = x->at + 1;
    while (end < x->src.len && x->src.ptr[end] != quote) {
        end += x->src.ptr[end] == '\\' ? 2 : 1;
    }
    if (end >= x->src.len) {
        return bad(x, "a string has no end");
    }
    const char *why = NULL;
    const krs_str raw = {x->src.ptr + x->at + 1, end - x->at - 1};
    const krs_str text = krs_tlex_unescape(raw, x->arena, &why);
    if (!text.ptr) {
        return why ? bad(x, why) : no_memory(x);
    }
    krs_status status = emit(x, KRS_TOK_STRING, text, NULL);
    advance(x, end + 1);
    return status;
}

static krs_status lex_name(lexer *x)
{
    size_t end = x->at;
    while (is_word_byte(byte_at(x, end))) {
        end++;
    }
    krs_status status = emit(x, KRS_TOK_NAME, (krs_str){x->src.ptr + x->at, end - x->at}, NULL);
    advance(x, end);
    return status;
}

static uint8_t long_operator(const lexer *x)
{
    static const struct {
        char text[3];
        uint8_t op;
    } table[] = {{"==", KRS_TOP_EQ}, {"!=", KRS_TOP_NE},       {"<=", KRS_TOP_LE},
                 {">=", KRS_TOP_GE}, {"//", KRS_TOP_FLOORDIV}, {"**", KRS_TOP_POW}};
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (starts(x, x->at, table[i].text)) {
            return table[i].op;
        }
    }
    return 0;
}

/* Keep track of open brackets: }} inside a dict literal closes two dicts, not the tag. */
static krs_status track_bracket(lexer *x, char c)
{
    static const char pairs[] = "()[]{}";
    const char *found = c ? strchr(pairs, c) : NULL;
    if (!found) {
        return KRS_OK;
    }
    if ((found - pairs) % 2 == 0) {
        if (x->n_brackets == KRS_TEMPLATE_MAX_DEPTH) {
            return krs_fail(x->err, KRS_ETOOLARGE,
                            "template line %u: brackets nested deeper than %d", x->line,
                            KRS_TEMPLATE_MAX_DEPTH);
        }
        x->brackets[x->n_brackets++] = (uint8_t)found[1];
        return KRS_OK;
    }
    if (x->n_brackets == 0 || x->brackets[x->n_brackets - 1] != (uint8_t)c) {
        return krs_fail(x->err, KRS_EFORMAT, "template line %u: unexpected '%c'", x->line, c);
    }
    x->n_brackets--;
    return KRS_OK;
}

static krs_status lex_operator(lexer *x)
{
    const char c = byte_at(x, x->at);
    uint8_t op = long_operator(x);
    const size_t n = op ? 2 : 1;
    if (!op) {
        if (!c || !strchr("+-*/%~()[]{}<>=.:|,", c)) {
            return krs_fail(x->err, KRS_EFORMAT, "template line %u: unexpected char '%c'", x->line,
                            c > ' ' ? c : '?');
        }
        op = (uint8_t)c;
        krs_status status = track_bracket(x, c);
        if (status != KRS_OK) {
            return status;
        }
    }
    krs_ttok *tok = NULL;
    krs_status status = emit(x, KRS_TOK_OP, (krs_str){x->src.ptr + x->at, n}, &tok);
    if (status == KRS_OK) {
        tok->op = op;
        advance(x, x->at + n);
    }
    return status;
}

static krs_status lex_one(lexer *x)
{
    const char c = byte_at(x, x->at);
    if (is_digit(c)) {
        return lex_number(x);
    }
    if (c == '"' || c == '\'') {
        return lex_string(x);
    }
    return is_word_byte(c) ? lex_name(x) : lex_operator(x);
}

/* The tag at x->at, `{{` or `{%`, whole. */
static krs_status lex_tag(lexer *x, bool is_variable)
{
    krs_status status = emit(x, is_variable ? KRS_TOK_VAR_BEGIN : KRS_TOK_BLOCK_BEGIN,
                             (krs_str){x->src.ptr + x->at, 2}, NULL);
    advance(x, x->at + 2 + (sign_at(x, x->at + 2) != '\0'));
    x->n_brackets = 0;
    while (status == KRS_OK) {
        advance(x, skip_space(x, x->at));
        if (x->at >= x->src.len) {
            return bad(x, "a tag has no end");
        }
        const size_t end =
            x->n_brackets ? 0 : close_at(x, x->at, is_variable ? "}}" : "%}", !is_variable);
        if (end) {
            status = emit(x, is_variable ? KRS_TOK_VAR_END : KRS_TOK_BLOCK_END,
                          (krs_str){x->src.ptr + x->at, 2}, NULL);
            finish_tag(x, end);
            return status;
        }
        status = lex_one(x);
    }
    return status;
}

/* ---- outside tags ---- */

static krs_status lex_comment(lexer *x)
{
    const size_t from = x->at + 2 + (sign_at(x, x->at + 2) != '\0');
    for (size_t at = from; at + 1 < x->src.len; at++) {
        const size_t end = close_at(x, at, "#}", true);
        if (end) {
            finish_tag(x, end);
            return KRS_OK;
        }
    }
    return bad(x, "a comment has no end");
}

/* `{% word %}` at `at`: the offset behind its closing mark, or 0. */
static size_t word_tag_at(const lexer *x, size_t at, const char *word, bool has_trim)
{
    if (!starts(x, at, "{%")) {
        return 0;
    }
    at = skip_space(x, at + 2 + (sign_at(x, at + 2) != '\0'));
    if (!starts(x, at, word)) {
        return 0;
    }
    return close_at(x, skip_space(x, at + strlen(word)), "%}", has_trim);
}

static krs_status lex_raw(lexer *x, size_t body_at)
{
    finish_tag(x, body_at);
    for (size_t at = body_at; at < x->src.len; at++) {
        const size_t end = word_tag_at(x, at, "endraw", true);
        if (end) {
            krs_str text = {x->src.ptr + body_at, at - body_at};
            text = strip_before(x, text, sign_at(x, at + 2), false);
            krs_status status = text.len ? emit(x, KRS_TOK_TEXT, text, NULL) : KRS_OK;
            finish_tag(x, end);
            return status;
        }
    }
    return bad(x, "a raw block has no end");
}

static size_t next_tag(const lexer *x)
{
    for (size_t at = x->at; at + 1 < x->src.len; at++) {
        const char c = x->src.ptr[at + 1];
        if (x->src.ptr[at] == '{' && (c == '{' || c == '%' || c == '#')) {
            return at;
        }
    }
    return x->src.len;
}

static krs_status lex_all(lexer *x)
{
    krs_status status = KRS_OK;
    while (status == KRS_OK && x->at < x->src.len) {
        const size_t tag = next_tag(x);
        const char c = byte_at(x, tag + 1);
        krs_str text = {x->src.ptr + x->at, tag - x->at};
        if (tag < x->src.len) {
            text = strip_before(x, text, sign_at(x, tag + 2), c == '{');
        }
        if (text.len) {
            status = emit(x, KRS_TOK_TEXT, text, NULL);
        }
        advance(x, tag);
        if (status != KRS_OK || tag == x->src.len) {
            break;
        }
        const size_t raw = c == '%' ? word_tag_at(x, tag, "raw", false) : 0;
        status = c == '#' ? lex_comment(x) : raw ? lex_raw(x, raw) : lex_tag(x, c == '{');
    }
    return status;
}

/* A copy with \r\n and \r as \n, and without one newline at the end. */
static krs_str normalise(krs_str source, krs_arena *arena)
{
    char *out = krs_arena_bytes(arena, source.len + 1);
    size_t n = 0;
    for (size_t i = 0; out && i < source.len; i++) {
        if (source.ptr[i] == '\r') {
            i += i + 1 < source.len && source.ptr[i + 1] == '\n';
            out[n++] = '\n';
        } else {
            out[n++] = source.ptr[i];
        }
    }
    n -= n > 0 && out[n - 1] == '\n';
    return (krs_str){out, n};
}

krs_status krs_tlex(krs_str source, krs_arena *arena, krs_ttok **tokens, size_t *n_tokens,
                    krs_error *err)
{
    lexer x = {.arena = arena, .line = 1, .is_line_start = true, .err = err};
    x.src = normalise(source, arena);
    if (!x.src.ptr) {
        return no_memory(&x);
    }
    krs_status status = lex_all(&x);
    if (status == KRS_OK) {
        status = emit(&x, KRS_TOK_END, KRS_STR("end of template"), NULL);
    }
    *tokens = x.tokens;
    *n_tokens = x.n;
    return status;
}
