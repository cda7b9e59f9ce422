/* text/scan_priv.h - what the scanners share: steps over runs of one kind of character.
 *
 * Runs of ASCII letters are measured eight bytes at a time: the eight are compared at once inside one
 * 64-bit word, and the first that fails is found by counting zeros, so a word costs one branch that
 * predicts well instead of one at its end that does not.
 *
 * Every function takes p < end inside well-formed UTF-8 and returns a place in [p, end]. */
#pragma once

#include "text/char_class.h"
#include "text/scan.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first byte is the lowest");

typedef struct krs_scan_rule krs_scan_rule;

typedef size_t (*krs_scan_fill_fn)(const krs_scan *scan, krs_str text, size_t *at, krs_span *out,
                                   size_t max);

/* One known expression: the code that cuts it, and how it differs from its relatives. */
struct krs_scan_rule {
    const char *expression;
    krs_scan_fill_fn fill;
    uint8_t word;          /* classes of the letters of a word */
    uint8_t max_digits;    /* numbers taken together */
    bool has_contractions; /* 's and the like are cut off */
    bool has_slash_tail;   /* after signs come [\r\n/]*, not [\r\n]* */
};

struct krs_scan {
    const krs_alloc *alloc;
    const krs_scan_rule *rule;
    krs_char_classes *classes;
};

size_t krs_scan_fill_gpt2(const krs_scan *scan, krs_str text, size_t *at, krs_span *out,
                          size_t max);
size_t krs_scan_fill_cl100k(const krs_scan *scan, krs_str text, size_t *at, krs_span *out,
                            size_t max);
size_t krs_scan_fill_o200k(const krs_scan *scan, krs_str text, size_t *at, krs_span *out,
                           size_t max);
size_t krs_scan_fill_deepseek(const krs_scan *scan, krs_str text, size_t *at, krs_span *out,
                              size_t max);
size_t krs_scan_fill_numbers(const krs_scan *scan, krs_str text, size_t *at, krs_span *out,
                             size_t max);
size_t krs_scan_fill_han_kana(const krs_scan *scan, krs_str text, size_t *at, krs_span *out,
                              size_t max);

/* The character at p, whose length goes to *n. */
static inline uint32_t krs_scan_char(const uint8_t *p, size_t *n)
{
    if (p[0] < 0x80) {
        *n = 1;
        return p[0];
    }
    if (p[0] < 0xE0) {
        *n = 2;
        return (uint32_t)(p[0] & 0x1Fu) << 6 | (p[1] & 0x3Fu);
    }
    if (p[0] < 0xF0) {
        *n = 3;
        return (uint32_t)(p[0] & 0x0Fu) << 12 | (uint32_t)(p[1] & 0x3Fu) << 6 | (p[2] & 0x3Fu);
    }
    *n = 4;
    return (uint32_t)(p[0] & 0x07u) << 18 | (uint32_t)(p[1] & 0x3Fu) << 12 |
           (uint32_t)(p[2] & 0x3Fu) << 6 | (p[3] & 0x3Fu);
}

/* Its class. */
static inline uint8_t krs_scan_class(const krs_char_classes *classes, const uint8_t *p, size_t *n)
{
    if (p[0] < 0x80) {
        *n = 1;
        return classes->kinds[0][p[0]];
    }
    return krs_char_class(classes, krs_scan_char(p, n));
}

/* Bit 7 of each of the eight bytes that lies in [low, high]; low and high are ASCII. No byte's sum
 * carries into the next, since bit 7 is taken out first. */
static inline uint64_t krs_scan_in_range(uint64_t bytes, uint8_t low, uint8_t high)
{
    const uint64_t ones = 0x0101010101010101u;
    const uint64_t low7 = bytes & (0x7Fu * ones);
    const uint64_t from_low = low7 + (0x80u - low) * ones;
    const uint64_t past_high = low7 + (0x7Fu - high) * ones;
    return from_low & ~past_high & ~bytes & (0x80u * ones);
}

/* Over bytes in [low, high]; has_both_cases: also those that lie there in lower case. */
static inline const uint8_t *krs_scan_skip_range(const uint8_t *p, const uint8_t *end, uint8_t low,
                                                 uint8_t high, bool has_both_cases)
{
    const uint64_t fold = has_both_cases ? 0x2020202020202020u : 0;
    while (end - p >= 8) {
        uint64_t bytes;
        memcpy(&bytes, p, 8);
        const uint64_t is_out = ~(krs_scan_in_range(bytes | fold, low, high)) & 0x8080808080808080u;
        if (is_out != 0) {
            return p + (__builtin_ctzll(is_out) >> 3);
        }
        p += 8;
    }
    while (p < end && (p[0] | (uint8_t)fold) >= low && (p[0] | (uint8_t)fold) <= high) {
        p++;
    }
    return p;
}

/* Over characters of the classes of mask, which must have all letters. */
static inline const uint8_t *krs_scan_skip_word(const krs_char_classes *classes, const uint8_t *p,
                                                const uint8_t *end, uint8_t mask)
{
    for (;;) {
        p = krs_scan_skip_range(p, end, 'a', 'z', true);
        if (p == end || p[0] < 0x80) {
            return p;
        }
        do {
            size_t n;
            if (!(krs_scan_class(classes, p, &n) & mask)) {
                return p;
            }
            p += n;
        } while (p < end && p[0] >= 0x80);
    }
}

/* Over at most max characters that have a class of mask, or, if mask is to be missed, have none. */
static inline const uint8_t *krs_scan_skip(const krs_char_classes *classes, const uint8_t *p,
                                           const uint8_t *end, uint8_t mask, bool is_missed,
                                           size_t max)
{
    size_t n;
    while (p < end && max > 0 && !(krs_scan_class(classes, p, &n) & mask) == is_missed) {
        p += n;
        max--;
    }
    return p;
}

/* \s*[\r\n]+ (if has_breaks) or \s+(?!\S) or \s+ from the white space at p: through the last line break
 * of the run; else all of a run that ends the text, or is one character; else all but its last one. */
static inline const uint8_t *krs_scan_blank_end(const krs_char_classes *classes, const uint8_t *p,
                                                const uint8_t *end, bool has_breaks)
{
    const uint8_t *last = p;
    const uint8_t *past_break = NULL;
    const uint8_t *q = p;
    while (q < end) {
        size_t n;
        const uint8_t k = krs_scan_class(classes, q, &n);
        if (!(k & KRS_CHAR_BLANK)) {
            break;
        }
        last = q;
        q += n;
        past_break = k & KRS_CHAR_BREAK ? q : past_break;
    }
    if (has_breaks && past_break) {
        return past_break;
    }
    return q == end || last == p ? q : last;
}

/* Bytes of the contraction ('s 't 're 've 'm 'll 'd) at the apostrophe p, or 0. is_caseless: in either
 * case, and with U+017F, whose upper case is S. */
static inline size_t krs_scan_contraction(const uint8_t *p, const uint8_t *end, bool is_caseless)
{
    if (end - p < 2) {
        return 0;
    }
    const uint8_t fold = is_caseless ? 0x20 : 0;
    const uint8_t a = p[1] | fold;
    if (a == 's' || a == 't' || a == 'm' || a == 'd') {
        return 2;
    }
    if (end - p < 3) {
        return 0;
    }
    const uint8_t b = p[2] | fold;
    const bool is_long = ((a == 'r' || a == 'v') && b == 'e') || (a == 'l' && b == 'l');
    return is_long || (is_caseless && p[1] == 0xC5 && p[2] == 0xBF) ? 3 : 0;
}
