/* text/reply/python.c - arguments as a call of Python, told as a JSON object.
 *
 *   (city="Koeln", days=[1, 2], at={'hour': 7}, now=True)
 *   {"city":"Koeln","days":[1, 2],"at":{"hour":7},"now":true}    but for white space
 *
 * Literals only: strings in either quote with their escapes, numbers, True, False, None, lists, tuples (as
 * lists) and dictionaries. Arguments without a name take the names of the tool's parameters in their order. A
 * bare word that is no literal is a string; what is no call of this kind (an expression, a comprehension) is
 * not understood, and the call ends broken where that shows.
 *
 * Source: the Python language reference, 2.4 (literals) and 6.3.4 (calls). */
#include "text/reply/priv.h"
#include "text/unicode.h"

typedef enum place {
    PLACE_OPEN,
    PLACE_KEY, /* of an argument or in a dictionary */
    PLACE_BARE_KEY,
    PLACE_COLON, /* or the equals sign of an argument */
    PLACE_VALUE,
    PLACE_STRING,
    PLACE_ESCAPE,
    PLACE_HEX,
    PLACE_BARE,
    PLACE_BEHIND,
} place;

#define SURROGATE_FIRST 0xD800u
#define SURROGATE_LAST  0xDFFFu
#define CODE_LAST       0x10FFFFu
#define REPLACEMENT     0xFFFDu

static bool is_call(const krs_reply_parser *p)
{
    return p->depth == 1;
}

static bool is_list(const krs_reply_parser *p)
{
    return p->lists[p->depth - 1];
}

static krs_reply_verdict push(krs_reply_parser *p, char c)
{
    if (p->depth == KRS_REPLY_MAX_DEPTH) {
        return KRS_REPLY_FAIL;
    }
    const bool is_object = p->depth == 0 || c == '{';
    p->lists[p->depth++] = !is_object;
    p->is_first = true;
    p->state = is_object ? PLACE_KEY : PLACE_VALUE;
    krs_reply_tell_char(p, is_object ? '{' : '[');
    return KRS_REPLY_MORE;
}

static bool is_close(char c)
{
    return c == ')' || c == ']' || c == '}';
}

/* A tuple is told as a list, so either bracket ends one. */
static krs_reply_verdict pop(krs_reply_parser *p, char c)
{
    const bool is_good = is_call(p) ? c == ')' : is_list(p) ? c == ']' || c == ')' : c == '}';
    if (!is_good) {
        return KRS_REPLY_FAIL;
    }
    krs_reply_tell_char(p, is_list(p) ? ']' : '}');
    p->depth--;
    p->is_first = false;
    p->state = PLACE_BEHIND;
    if (p->depth > 0) {
        return KRS_REPLY_MORE;
    }
    krs_reply_use(p);
    krs_reply_finish(p, false);
    return KRS_REPLY_NEXT;
}

/* tool.call( is how Llama calls what it was trained on. */
static bool begin(krs_reply_parser *p)
{
    static const char method[] = ".call";
    const uint32_t n = sizeof(method) - 1;
    if (krs_reply_begin(p)) {
        return true;
    }
    if (p->n_name <= n || memcmp(p->name + p->n_name - n, method, n) != 0) {
        return false;
    }
    p->n_name -= n;
    return krs_reply_begin(p);
}

static krs_reply_verdict eat_open(krs_reply_parser *p, char c)
{
    if (krs_reply_is_space(c)) {
        return KRS_REPLY_MORE;
    }
    if (c != '(' || !begin(p)) {
        return KRS_REPLY_FAIL;
    }
    p->depth = 0;
    p->n_arguments = 0;
    return push(p, c);
}

/* A comma is told with what follows it, so that one before a bracket does no harm. */
static void tell_comma(krs_reply_parser *p)
{
    krs_reply_tell_literal(p, p->is_first ? "" : ",");
    p->is_first = false;
}

static void tell_quoted(krs_reply_parser *p, krs_str text)
{
    krs_reply_tell_char(p, '"');
    for (size_t i = 0; i < text.len; i++) {
        krs_reply_tell_escaped(p, text.ptr[i]);
    }
    krs_reply_tell_char(p, '"');
}

/* The name of the parameter that the next argument without a name is for: false: there is none left. */
static bool tell_parameter(krs_reply_parser *p)
{
    const json_t *properties = json_object_get(p->tool->parameters, "properties");
    void *it = json_object_iter((json_t *)(uintptr_t)properties);
    for (uint32_t i = 0; it && i < p->n_arguments; i++) {
        it = json_object_iter_next((json_t *)(uintptr_t)properties, it);
    }
    if (!it) {
        return false;
    }
    p->n_arguments++;
    tell_comma(p);
    tell_quoted(p, krs_str_of(json_object_iter_key(it)));
    krs_reply_tell_char(p, ':');
    return true;
}

static krs_reply_verdict begin_string(krs_reply_parser *p, char quote)
{
    p->quote = quote;
    p->state = PLACE_STRING;
    krs_reply_tell_char(p, '"');
    return KRS_REPLY_MORE;
}

static krs_reply_verdict begin_bare(krs_reply_parser *p, char c, place state)
{
    krs_buf_reset(&p->value);
    krs_reply_note(p, krs_buf_append_char(&p->value, c));
    p->state = state;
    return KRS_REPLY_MORE;
}

static bool is_one_of(char c, const char *chars)
{
    return c != '\0' && strchr(chars, c) != NULL;
}

static krs_reply_verdict eat_value(krs_reply_parser *p, char c)
{
    if (is_close(c)) {
        return is_list(p) ? pop(p, c) : KRS_REPLY_FAIL;
    }
    if (is_one_of(c, ",=:")) {
        return KRS_REPLY_FAIL;
    }
    p->is_key = false;
    if (is_list(p)) {
        tell_comma(p);
    }
    if (is_one_of(c, "\"'")) {
        return begin_string(p, c);
    }
    return is_one_of(c, "[({") ? push(p, c) : begin_bare(p, c, PLACE_BARE);
}

static bool begins_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80) != 0;
}

static krs_reply_verdict eat_key(krs_reply_parser *p, char c)
{
    if (is_close(c)) {
        return pop(p, c);
    }
    if (is_call(p) && !begins_name(c)) {
        return tell_parameter(p) ? eat_value(p, c) : KRS_REPLY_FAIL;
    }
    p->is_key = true;
    if (!is_call(p) && (c == '"' || c == '\'')) {
        tell_comma(p);
        return begin_string(p, c);
    }
    return begin_bare(p, c, PLACE_BARE_KEY);
}

/* What was gathered, without the white space at its end. */
static krs_str bare_of(const krs_reply_parser *p)
{
    krs_str text = krs_buf_view(&p->value);
    while (text.len > 0 && krs_reply_is_space(text.ptr[text.len - 1])) {
        text.len--;
    }
    return text;
}

/* A bare word as JSON. */
static void tell_bare(krs_reply_parser *p)
{
    static const char *const words[][2] = {{"True", "true"}, {"False", "false"}, {"None", "null"}};
    const krs_json_limits limits = {KRS_REPLY_MAX_VALUE_BYTES, true};
    const krs_str text = bare_of(p);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (krs_str_equal(text, krs_str_of(words[i][0]))) {
            krs_reply_tell_literal(p, words[i][1]);
            return;
        }
    }
    json_t *tree = NULL;
    if (krs_json_parse(text, &limits, &tree, NULL) == KRS_OK) {
        krs_reply_tell(p, KRS_REPLY_CALL_TEXT, text);
        json_decref(tree);
    } else {
        tell_quoted(p, text);
    }
}

static krs_reply_verdict eat_behind(krs_reply_parser *p, char c)
{
    if (c != ',') {
        return is_close(c) ? pop(p, c) : KRS_REPLY_FAIL;
    }
    p->state = is_list(p) ? PLACE_VALUE : PLACE_KEY;
    return KRS_REPLY_MORE;
}

static krs_reply_verdict eat_colon(krs_reply_parser *p, char c)
{
    if (c != (is_call(p) ? '=' : ':')) {
        return KRS_REPLY_FAIL;
    }
    krs_reply_tell_char(p, ':');
    p->state = PLACE_VALUE;
    return KRS_REPLY_MORE;
}

/* The word of an argument is its name only when an equals sign follows, else its value. */
static krs_reply_verdict end_bare_key(krs_reply_parser *p, char c)
{
    if (is_call(p) && (c == ',' || is_close(c))) {
        if (!tell_parameter(p)) {
            return KRS_REPLY_FAIL;
        }
        tell_bare(p);
        return eat_behind(p, c);
    }
    tell_comma(p);
    tell_quoted(p, bare_of(p));
    return eat_colon(p, c);
}

static krs_reply_verdict eat_bare(krs_reply_parser *p, char c)
{
    const bool is_key = p->state == PLACE_BARE_KEY;
    if (!is_one_of(c, ",=:()[]{}")) {
        krs_reply_note(p, krs_buf_append_char(&p->value, c));
        return KRS_REPLY_MORE;
    }
    if (is_key) {
        return end_bare_key(p, c);
    }
    tell_bare(p);
    return eat_behind(p, c);
}

static void tell_code(krs_reply_parser *p, uint32_t code)
{
    char bytes[KRS_UTF8_MAX_BYTES];
    if ((code >= SURROGATE_FIRST && code <= SURROGATE_LAST) || code > CODE_LAST) {
        code = REPLACEMENT;
    }
    const size_t n = krs_utf8_encode(code, bytes);
    for (size_t i = 0; i < n; i++) {
        krs_reply_tell_escaped(p, bytes[i]);
    }
}

static krs_reply_verdict eat_string(krs_reply_parser *p, char c)
{
    if (c == '\\') {
        p->state = PLACE_ESCAPE;
    } else if (c == p->quote) {
        krs_reply_tell_char(p, '"');
        p->state = p->is_key ? PLACE_COLON : PLACE_BEHIND;
    } else {
        krs_reply_tell_escaped(p, c);
    }
    return KRS_REPLY_MORE;
}

/* How many digits an escape has that names a character by its number. */
static uint32_t hex_digits(char c)
{
    return c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
}

static krs_reply_verdict eat_escape(krs_reply_parser *p, char c)
{
    static const char names[] = "n\nt\tr\ra\ab\bf\fv\v";
    p->n_hex = hex_digits(c);
    p->state = p->n_hex > 0 ? PLACE_HEX : PLACE_STRING;
    if (p->n_hex > 0 || c == '\n') { /* a line end is no part of the string */
        p->code = 0;
        return KRS_REPLY_MORE;
    }
    for (size_t i = 0; i + 1 < sizeof(names); i += 2) {
        if (c == names[i]) {
            krs_reply_tell_escaped(p, names[i + 1]);
            return KRS_REPLY_MORE;
        }
    }
    if (!is_one_of(c, "\\\"'")) {
        krs_reply_tell_escaped(p, '\\'); /* as Python has it: not an escape */
    }
    krs_reply_tell_escaped(p, c);
    return KRS_REPLY_MORE;
}

static krs_reply_verdict eat_hex(krs_reply_parser *p, char c)
{
    static const char digits[] = "0123456789abcdef";
    const char lower = (char)(c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c);
    const char *digit = lower ? strchr(digits, lower) : NULL;
    if (!digit) {
        return KRS_REPLY_FAIL;
    }
    p->code = p->code << 4 | (uint32_t)(digit - digits);
    if (--p->n_hex == 0) {
        tell_code(p, p->code);
        p->state = PLACE_STRING;
    }
    return KRS_REPLY_MORE;
}

/* One byte inside the brackets: what was eaten is told or kept in p->value. */
static krs_reply_verdict eat_inside(krs_reply_parser *p, char c)
{
    const place at = (place)p->state;
    const bool is_between =
        at == PLACE_KEY || at == PLACE_VALUE || at == PLACE_COLON || at == PLACE_BEHIND;
    if (is_between && krs_reply_is_space(c)) {
        return KRS_REPLY_MORE;
    }
    switch (at) {
    case PLACE_KEY:
        return eat_key(p, c);
    case PLACE_COLON:
        return eat_colon(p, c);
    case PLACE_VALUE:
        return eat_value(p, c);
    case PLACE_STRING:
        return eat_string(p, c);
    case PLACE_ESCAPE:
        return eat_escape(p, c);
    case PLACE_HEX:
        return eat_hex(p, c);
    case PLACE_BEHIND:
        return eat_behind(p, c);
    default:
        return eat_bare(p, c);
    }
}

krs_reply_verdict krs_reply_eat_python(krs_reply_parser *p)
{
    const char c = krs_reply_byte(p);
    if ((place)p->state == PLACE_OPEN) {
        const krs_reply_verdict verdict = eat_open(p, c);
        if (p->part == KRS_REPLY_OPEN) {
            krs_reply_use(p);
        }
        return verdict;
    }
    const krs_reply_verdict verdict = eat_inside(p, c);
    if (verdict == KRS_REPLY_MORE) {
        krs_reply_use(p);
    }
    return verdict;
}
