/* grammar/pattern_class.c - the sets of patterns: escapes and [classes]. */
#include "grammar/pattern_priv.h"

static const krs_char_range digits[] = {{'0', '9'}};
static const krs_char_range words[] = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
/* ECMA-262 22.2.2.9: WhiteSpace and LineTerminator. */
static const krs_char_range spaces[] = {
    {'\t', '\r'},     {' ', ' '},       {0xA0, 0xA0},     {0x1680, 0x1680}, {0x2000, 0x200A},
    {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}, {0xFEFF, 0xFEFF},
};

static void add_ranges(krs_pattern_reader *reader, krs_charset *set, const krs_char_range *ranges,
                       size_t n, bool is_negated)
{
    uint32_t next = 0;
    for (size_t i = 0; i < n; i++) {
        if (!is_negated) {
            krs_pattern_add(reader, set, ranges[i].first, ranges[i].last);
        } else if (ranges[i].first > next) {
            krs_pattern_add(reader, set, next, ranges[i].first - 1);
        }
        next = ranges[i].last + 1;
    }
    if (is_negated) {
        krs_pattern_add(reader, set, next, KRS_CHARS_MAX);
    }
}

/* \d \w \s and their opposites; false when c is none of them. */
static bool read_group_escape(krs_pattern_reader *reader, uint32_t c, krs_charset *set)
{
    switch (c) {
    case 'd':
    case 'D':
        add_ranges(reader, set, digits, 1, c == 'D');
        return true;
    case 'w':
    case 'W':
        add_ranges(reader, set, words, sizeof(words) / sizeof(*words), c == 'W');
        return true;
    case 's':
    case 'S':
        add_ranges(reader, set, spaces, sizeof(spaces) / sizeof(*spaces), c == 'S');
        return true;
    case 'p':
    case 'P':
        krs_pattern_read_property(reader, c == 'P', set);
        return true;
    default:
        return false;
    }
}

static int hex_value(uint32_t c)
{
    if (c >= '0' && c <= '9') {
        return (int)(c - '0');
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? (int)(c - 'a') + 10 : -1;
}

/* n hex digits. */
static uint32_t read_hex(krs_pattern_reader *reader, int n)
{
    uint32_t value = 0;
    for (int i = 0; i < n; i++) {
        const int digit = hex_value(krs_pattern_read(reader));
        if (digit < 0) {
            krs_pattern_refuse(reader, "an escape wants more hex digits");
            return 0;
        }
        value = value << 4 | (uint32_t)digit;
    }
    return value;
}

/* After \u: XXXX, a pair of them, or {X..}. */
static uint32_t read_unicode(krs_pattern_reader *reader)
{
    if (krs_pattern_skip(reader, '{')) {
        uint32_t value = 0;
        uint32_t c;
        while ((c = krs_pattern_read(reader)) != '}') {
            const int digit = hex_value(c);
            value = value << 4 | (uint32_t)(digit & 15);
            if (digit < 0 || value > KRS_CHARS_MAX) {
                krs_pattern_refuse(reader, "\\u{} wants the number of a character");
                return 0;
            }
        }
        return value;
    }
    const uint32_t first = read_hex(reader, 4);
    if (first < 0xD800 || first > 0xDBFF || !krs_str_starts_with(reader->left, KRS_STR("\\u"))) {
        return first;
    }
    const krs_pattern_reader before = *reader;
    (void)krs_pattern_read(reader);
    (void)krs_pattern_read(reader);
    const uint32_t second = read_hex(reader, 4);
    if (second < 0xDC00 || second > 0xDFFF) {
        reader->left = before.left;
        reader->at = before.at;
        return first;
    }
    return 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
}

/* After \c. */
static uint32_t read_control(krs_pattern_reader *reader)
{
    const uint32_t c = krs_pattern_read(reader);
    if ((c < 'a' || c > 'z') && (c < 'A' || c > 'Z')) {
        krs_pattern_refuse(reader, "\\c wants a letter");
    }
    return c & 31;
}

/* \0 to \9 after a backslash. */
static uint32_t read_digit_escape(krs_pattern_reader *reader, uint32_t c, bool is_class)
{
    const uint32_t next = krs_pattern_peek(reader);
    if (c == '0' && (next < '0' || next > '9')) {
        return 0;
    }
    krs_pattern_refuse(reader, is_class || c == '0' ? "an octal escape is not supported"
                                                    : "a backreference is not supported");
    return 0;
}

/* The one character that an escape stands for. */
static uint32_t one_of(krs_pattern_reader *reader, uint32_t c, bool is_class)
{
    switch (c) {
    case 't':
        return '\t';
    case 'n':
        return '\n';
    case 'v':
        return '\v';
    case 'f':
        return '\f';
    case 'r':
        return '\r';
    case 'x':
        return read_hex(reader, 2);
    case 'u':
        return read_unicode(reader);
    case 'c':
        return read_control(reader);
    default:
        return c >= '0' && c <= '9' ? read_digit_escape(reader, c, is_class) : c;
    }
}

/* Letters without a meaning of their own: other dialects give them one, so they are not taken for themselves. */
static void check_letter(krs_pattern_reader *reader, uint32_t c, bool is_class)
{
    if (c == UINT32_MAX) {
        krs_pattern_refuse(reader, "ends with a backslash");
    } else if ((c == 'b' && !is_class) || c == 'B') {
        krs_pattern_refuse(reader, "a word boundary is not supported");
    } else if (c == 'k') {
        krs_pattern_refuse(reader, "a backreference is not supported");
    } else if (((c | 0x20) >= 'a' && (c | 0x20) <= 'z') && !strchr("tnvfrxucb", (int)c)) {
        krs_pattern_refuse(reader, "this escape is not known");
    }
}

void krs_pattern_read_escape(krs_pattern_reader *reader, bool is_class, krs_charset *set,
                             uint32_t *one)
{
    *one = UINT32_MAX;
    const uint32_t c = krs_pattern_read(reader);
    if (read_group_escape(reader, c, set)) {
        return;
    }
    check_letter(reader, c, is_class);
    if (reader->status != KRS_OK) {
        return;
    }
    *one = c == 'b' ? '\b' : one_of(reader, c, is_class);
    krs_pattern_add(reader, set, *one, *one);
}

/* One end of a range, or a set (then *one is UINT32_MAX). */
static void read_atom(krs_pattern_reader *reader, krs_charset *set, uint32_t *one)
{
    const uint32_t c = krs_pattern_read(reader);
    if (c == '\\') {
        krs_pattern_read_escape(reader, true, set, one);
        return;
    }
    *one = c;
    if (c == UINT32_MAX) {
        krs_pattern_refuse(reader, "a [ is not closed");
        return;
    }
    krs_pattern_add(reader, set, c, c);
}

/* One atom, or a range of two. */
static void read_range(krs_pattern_reader *reader, krs_charset *set)
{
    uint32_t first;
    uint32_t last;
    read_atom(reader, set, &first);
    if (krs_pattern_peek(reader) != '-' || krs_str_starts_with(reader->left, KRS_STR("-]"))) {
        return;
    }
    (void)krs_pattern_read(reader);
    read_atom(reader, set, &last);
    if (first == UINT32_MAX || last == UINT32_MAX) {
        krs_pattern_add(reader, set, '-', '-'); /* [\w-.]: a hyphen, as engines take it */
    } else if (first > last) {
        krs_pattern_refuse(reader, "a range is out of order");
    } else {
        krs_pattern_add(reader, set, first, last);
    }
}

void krs_pattern_read_class(krs_pattern_reader *reader, krs_charset *set)
{
    const bool is_negated = krs_pattern_skip(reader, '^');
    while (reader->status == KRS_OK && !krs_pattern_skip(reader, ']')) {
        read_range(reader, set);
    }
    if (reader->status == KRS_OK && is_negated &&
        krs_charset_invert(set, reader->arena) != KRS_OK) {
        reader->status = krs_fail(reader->err, KRS_ENOMEM, "pattern: out of memory");
    }
    krs_charset_tidy(set);
}
