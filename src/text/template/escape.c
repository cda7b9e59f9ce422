/* text/template/escape.c - the escapes of string literals.
 *
 * Python's: \n \t \r \a \b \f \v \\ \' \" \ooo \xhh \uhhhh \Uhhhhhhhh, and a backslash at a line's end,
 * which joins the lines. An unknown escape keeps its backslash, as Python does. \N{name} is refused: it
 * would need the table of character names. A pair of surrogates, which Python would keep as two
 * unprintable halves, becomes the character it means; half a pair is refused.
 *
 * Thread: any; pure.  Memory: the result lies in the given arena.  Source: Python 3 lexical analysis. */
#include "text/template/priv.h"
#include "text/template/unicode.h"

#define CODE_BAD UINT32_MAX

static int hex_value(char c)
{
    const char lower = (char)(c | 0x20);
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* n hex digits at raw[*at]; moves *at behind them. */
static uint32_t take_hex(krs_str raw, size_t *at, size_t n)
{
    uint32_t code = 0;
    if (raw.len - *at < n) {
        return CODE_BAD;
    }
    for (size_t i = 0; i < n; i++) {
        const int v = hex_value(raw.ptr[*at + i]);
        if (v < 0) {
            return CODE_BAD;
        }
        code = code << 4 | (uint32_t)v;
    }
    *at += n;
    return code;
}

static uint32_t take_octal(krs_str raw, size_t *at)
{
    uint32_t code = 0;
    for (int i = 0; i < 3 && *at < raw.len && raw.ptr[*at] >= '0' && raw.ptr[*at] <= '7'; i++) {
        code = code * 8 + (uint32_t)(raw.ptr[(*at)++] - '0');
    }
    return code;
}

/* \u: one half of a pair asks for the other half right behind it. */
static bool is_between(uint32_t code, uint32_t low, uint32_t high)
{
    return code >= low && code <= high;
}

static uint32_t take_utf16(krs_str raw, size_t *at)
{
    const uint32_t high = take_hex(raw, at, 4);
    if (!is_between(high, 0xD800, 0xDFFF)) {
        return high; /* CODE_BAD too */
    }
    const krs_str rest = {raw.ptr + *at, raw.len - *at};
    if (high > 0xDBFF || !krs_str_starts_with(rest, KRS_STR("\\u"))) {
        return CODE_BAD;
    }
    *at += 2;
    const uint32_t low = take_hex(raw, at, 4);
    return is_between(low, 0xDC00, 0xDFFF) ? 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)
                                           : CODE_BAD;
}

static uint32_t take_numeric(krs_str raw, size_t *at, char letter)
{
    uint32_t code = CODE_BAD;
    if (letter == 'x') {
        code = take_hex(raw, at, 2);
    } else if (letter == 'u') {
        code = take_utf16(raw, at);
    } else if (letter == 'U') {
        code = take_hex(raw, at, 8);
    } else if (letter >= '0' && letter <= '7') {
        (*at)--;
        code = take_octal(raw, at);
    }
    const bool is_half = code >= 0xD800 && code <= 0xDFFF;
    return is_half || code > 0x10FFFF ? CODE_BAD : code;
}

/* The escape whose letter is at raw[*at]; appends to out, moves *at. NULL, or what is wrong. */
static const char *unescape_one(krs_str raw, size_t *at, char *out, size_t *n)
{
    static const char letters[] = "ntrabfv\\'\"";
    static const char meanings[] = "\n\t\r\a\b\f\v\\'\"";
    const char letter = raw.ptr[(*at)++];
    const char *known = letter ? strchr(letters, letter) : NULL;
    if (known) {
        out[(*n)++] = meanings[known - letters];
    } else if (letter == 'N') {
        return "\\N{...} escapes are not supported";
    } else if (letter && strchr("xuU01234567", letter)) {
        const uint32_t code = take_numeric(raw, at, letter);
        if (code == CODE_BAD) {
            return "a string has a bad \\x, \\u or \\U escape";
        }
        *n += krs_text_encode(code, out + *n);
    } else if (letter != '\n') {
        out[(*n)++] = '\\';
        out[(*n)++] = letter;
    }
    return NULL;
}

krs_str krs_tlex_unescape(krs_str raw, krs_arena *arena, const char **why)
{
    *why = NULL;
    if (raw.len == 0 || !memchr(raw.ptr, '\\', raw.len)) {
        return raw;
    }
    /* No escape is shorter than what it stands for; encode may touch 4 bytes. */
    char *out = krs_arena_bytes(arena, raw.len + 4);
    size_t n = 0;
    for (size_t at = 0; out && at < raw.len;) {
        if (raw.ptr[at] != '\\') {
            out[n++] = raw.ptr[at++];
            continue;
        }
        at++;
        *why = unescape_one(raw, &at, out, &n);
        if (*why) {
            return (krs_str){NULL, 0};
        }
    }
    return (krs_str){out, n};
}
