/* grammar/chars.c - see chars.h: sets, and spellings in UTF-8 and short escapes. Escapes by number are in
 * chars_hex.c. */
#include "grammar/chars.h"

#include "base/utf8.h"
#include "grammar/chars_priv.h"

#include <stdlib.h>

krs_status krs_charset_add(krs_charset *set, krs_arena *arena, uint32_t first, uint32_t last)
{
    if (set->n == set->cap) {
        const size_t cap = set->cap ? 2 * set->cap : 8;
        krs_char_range *ranges = krs_arena_array(arena, cap, sizeof(*ranges));
        if (!ranges) {
            return KRS_ENOMEM;
        }
        if (set->n > 0) {
            memcpy(ranges, set->ranges, set->n * sizeof(*ranges));
        }
        set->ranges = ranges;
        set->cap = cap;
    }
    set->ranges[set->n++] = (krs_char_range){first, last};
    return KRS_OK;
}

krs_status krs_charset_add_all(krs_charset *set, krs_arena *arena, const krs_charset *more)
{
    for (size_t i = 0; i < more->n; i++) {
        const krs_status status =
            krs_charset_add(set, arena, more->ranges[i].first, more->ranges[i].last);
        if (status != KRS_OK) {
            return status;
        }
    }
    return KRS_OK;
}

static int by_first(const void *a, const void *b)
{
    const krs_char_range *x = a;
    const krs_char_range *y = b;
    return (x->first > y->first) - (x->first < y->first);
}

void krs_charset_tidy(krs_charset *set)
{
    if (set->n == 0) {
        return;
    }
    qsort(set->ranges, set->n, sizeof(*set->ranges), by_first);
    size_t n = 0;
    for (size_t i = 0; i < set->n; i++) {
        const krs_char_range r = set->ranges[i];
        if (n > 0 && r.first <= set->ranges[n - 1].last + 1) {
            set->ranges[n - 1].last =
                r.last > set->ranges[n - 1].last ? r.last : set->ranges[n - 1].last;
        } else {
            set->ranges[n++] = r;
        }
    }
    set->n = n;
}

krs_status krs_charset_invert(krs_charset *set, krs_arena *arena)
{
    krs_charset_tidy(set);
    krs_charset others = {NULL, 0, 0};
    uint32_t next = 0;
    krs_status status = KRS_OK;
    for (size_t i = 0; i < set->n && status == KRS_OK; i++) {
        if (set->ranges[i].first > next) {
            status = krs_charset_add(&others, arena, next, set->ranges[i].first - 1);
        }
        next = set->ranges[i].last + 1;
    }
    if (status == KRS_OK && next <= KRS_CHARS_MAX) {
        status = krs_charset_add(&others, arena, next, KRS_CHARS_MAX);
    }
    if (status == KRS_OK) {
        *set = others;
    }
    return status;
}

bool krs_charset_has(const krs_charset *set, uint32_t c)
{
    size_t low = 0;
    size_t high = set->n;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (set->ranges[middle].last < c) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < set->n && set->ranges[low].first <= c;
}

/* The part of the set within first..last, of which it has at most 64 ranges. */
static krs_regex clipped(krs_grammar_builder *b, const krs_charset *set, uint32_t first,
                         uint32_t last)
{
    krs_char_range few[64];
    size_t n = 0;
    for (size_t i = 0; i < set->n && set->ranges[i].first <= last && n < 64; i++) {
        const krs_char_range r = set->ranges[i];
        if (r.last >= first) {
            few[n++] =
                (krs_char_range){r.first > first ? r.first : first, r.last < last ? r.last : last};
        }
    }
    return n ? krs_regex_chars(b, few, n, false) : krs_regex_none(b);
}

/* The set's characters that stand as themselves in a JSON string: not controls, quotes, backslashes. */
static krs_regex raw_chars(krs_grammar_builder *b, const krs_charset *set)
{
    size_t tail = 0; /* the ranges above ASCII, which may be many */
    while (tail < set->n && set->ranges[tail].first < 0x80) {
        tail++;
    }
    const krs_regex parts[] = {
        clipped(b, set, ' ', '"' - 1),
        clipped(b, set, '"' + 1, '\\' - 1),
        clipped(b, set, '\\' + 1, 0x7F),
        tail > 0 && set->ranges[tail - 1].last >= 0x80
            ? krs_regex_chars(b, &(krs_char_range){0x80, set->ranges[tail - 1].last}, 1, false)
            : krs_regex_none(b),
        tail < set->n ? krs_regex_chars(b, set->ranges + tail, set->n - tail, false)
                      : krs_regex_none(b),
    };
    return krs_regex_or(b, parts, 5);
}

typedef struct short_escape {
    uint32_t c;
    char text[3];
} short_escape;

static const short_escape shorts[] = {
    {'"', "\\\""}, {'\\', "\\\\"}, {'\b', "\\b"}, {'\f', "\\f"},
    {'\n', "\\n"}, {'\r', "\\r"},  {'\t', "\\t"}, {'/', "\\/"},
};
enum { N_SHORTS = 8, N_CANONICAL_SHORTS = 7 };

static krs_regex short_escapes(krs_grammar_builder *b, const krs_charset *set, size_t n_shorts)
{
    krs_regex parts[N_SHORTS];
    size_t n = 0;
    for (size_t i = 0; i < n_shorts; i++) {
        if (krs_charset_has(set, shorts[i].c)) {
            parts[n++] = krs_regex_literal(b, (krs_str){shorts[i].text, 2});
        }
    }
    return krs_regex_or(b, parts, n);
}

/* Control characters without a short escape, by number. */
static krs_regex control_escapes(krs_grammar_builder *b, const krs_charset *set)
{
    static const char digits[] = "0123456789abcdef";
    krs_regex parts[0x20];
    size_t n = 0;
    for (uint32_t c = 0; c < 0x20; c++) {
        if ((c >= '\b' && c <= '\r' && c != '\v') || !krs_charset_has(set, c)) {
            continue;
        }
        const char text[6] = {'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]};
        parts[n++] = krs_regex_literal(b, (krs_str){text, sizeof(text)});
    }
    return krs_regex_or(b, parts, n);
}

krs_regex krs_chars_regex(krs_grammar_builder *b, const krs_charset *set, krs_spelling spelling)
{
    if (spelling == KRS_SPELLING_PLAIN) {
        return set->n == 0 ? krs_regex_none(b) : krs_regex_chars(b, set->ranges, set->n, false);
    }
    const bool is_any = spelling == KRS_SPELLING_JSON_ANY;
    const krs_regex parts[] = {
        raw_chars(b, set),
        short_escapes(b, set, is_any ? N_SHORTS : N_CANONICAL_SHORTS),
        is_any ? krs_chars_by_number(b, set) : control_escapes(b, set),
    };
    return krs_regex_or(b, parts, 3);
}

krs_regex krs_chars_any(krs_grammar_builder *b, krs_spelling spelling)
{
    krs_char_range all[] = {{0, KRS_CHARS_MAX}};
    const krs_charset set = {all, 1, 1};
    return krs_chars_regex(b, &set, spelling);
}

krs_regex krs_chars_all(krs_grammar_builder *b, krs_spelling spelling)
{
    return krs_regex_repeat(b, krs_chars_any(b, spelling), 0, KRS_REGEX_INF);
}

uint32_t krs_chars_decode(krs_str s, size_t *n)
{
    const unsigned char *p = (const unsigned char *)s.ptr;
    *n = krs_utf8_length(s.ptr, s.len);
    switch (*n) {
    case 1:
        return p[0];
    case 2:
        return (uint32_t)(p[0] & 0x1F) << 6 | (p[1] & 0x3Fu);
    case 3:
        return (uint32_t)(p[0] & 0x0F) << 12 | (uint32_t)(p[1] & 0x3F) << 6 | (p[2] & 0x3Fu);
    case 4:
        return (uint32_t)(p[0] & 0x07) << 18 | (uint32_t)(p[1] & 0x3F) << 12 |
               (uint32_t)(p[2] & 0x3F) << 6 | (p[3] & 0x3Fu);
    default:
        *n = s.len > 0; /* not UTF-8: taken as U+FFFD, a byte at a time */
        return 0xFFFD;
    }
}

/* A run of this many bytes needs no escape and goes as it is. */
static size_t plain_run(krs_str text, krs_spelling spelling)
{
    if (spelling == KRS_SPELLING_PLAIN) {
        return text.len;
    }
    size_t i = 0;
    for (; spelling == KRS_SPELLING_JSON && i < text.len; i++) {
        const unsigned char c = (unsigned char)text.ptr[i];
        if (c < 0x20 || c == '"' || c == '\\') {
            break;
        }
    }
    return i;
}

krs_regex krs_chars_literal(krs_grammar_builder *b, krs_str text, krs_spelling spelling)
{
    /* From the end, so that each cat has one part before what is there already. */
    krs_regex parts[64];
    krs_regex whole = krs_regex_empty(b);
    while (text.len > 0) {
        size_t n_parts = 0;
        while (text.len > 0 && n_parts < 64) {
            size_t n = plain_run(text, spelling);
            if (n > 0) {
                parts[n_parts++] = krs_regex_literal(b, (krs_str){text.ptr, n});
            } else {
                const uint32_t c = krs_chars_decode(text, &n);
                krs_char_range one[] = {{c, c}};
                const krs_charset set = {one, 1, 1};
                parts[n_parts++] = krs_chars_regex(b, &set, spelling);
            }
            text = (krs_str){text.ptr + n, text.len - n};
        }
        whole = krs_regex_cat2(b, whole, krs_regex_cat(b, parts, n_parts));
    }
    return whole;
}
