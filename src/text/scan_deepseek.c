/* text/scan_deepseek.c - the three expressions that DeepSeek's files apply one after the other.
 *
 *   \p{N}{1,3}, then the ideographs and kana in runs, then
 *   [!-/:-~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|
 *   \s+(?!\S)|\s+
 *
 * Unlike the others these leave characters unmatched: here numbers, controls and unassigned ones. */
#include "text/scan_priv.h"

#define WORD (KRS_CHAR_LETTER | KRS_CHAR_MARK)

/* From a number, a space or a character of no class. NULL: no match at p. */
static inline const uint8_t *odd_end(const krs_scan *scan, const uint8_t *p, const uint8_t *end,
                                     uint8_t kind, size_t n)
{
    const krs_char_classes *classes = scan->classes;
    const uint8_t *q = p + n;
    size_t n_next = 0;
    const uint8_t next = q < end ? krs_scan_class(classes, q, &n_next) : 0;
    if ((next & WORD) && !(kind & KRS_CHAR_BREAK)) {
        return krs_scan_skip_word(classes, q + n_next, end, WORD);
    }
    return kind & KRS_CHAR_BLANK ? krs_scan_blank_end(classes, p, end, true) : NULL;
}

/* Signs from p on, at least one, and the line breaks after them; NULL: no sign at p. */
static inline const uint8_t *signs_end(const krs_scan *scan, const uint8_t *p, const uint8_t *end)
{
    const uint8_t *q = krs_scan_skip(scan->classes, p, end, KRS_CHAR_SIGN, false, SIZE_MAX);
    if (q == p) {
        return NULL;
    }
    while (q < end && (q[0] == '\r' || q[0] == '\n')) {
        q++;
    }
    return q;
}

static inline const uint8_t *deepseek_end(const krs_scan *scan, const uint8_t *p,
                                          const uint8_t *end)
{
    const krs_char_classes *classes = scan->classes;
    size_t n;
    const uint8_t kind = krs_scan_class(classes, p, &n);
    if (kind & WORD) {
        return krs_scan_skip_word(classes, p + n, end, WORD);
    }
    if ((kind & KRS_CHAR_SIGN) && p[0] < 0x80) {
        const uint8_t *q = krs_scan_skip_range(p + 1, end, 'a', 'z', true);
        if (q > p + 1) {
            return q;
        }
    }
    const uint8_t *signs = signs_end(scan, p + (p[0] == ' '), end);
    return signs ? signs : odd_end(scan, p, end, kind, n);
}

size_t krs_scan_fill_deepseek(const krs_scan *scan, krs_str text, size_t *at, krs_span *out,
                              size_t max)
{
    const uint8_t *base = (const uint8_t *)text.ptr;
    const uint8_t *end = base + text.len;
    const uint8_t *p = base + *at;
    size_t n = 0;
    while (n < max && p < end) {
        const uint8_t *q = deepseek_end(scan, p, end);
        if (q) {
            out[n++] = (krs_span){(uint32_t)(p - base), (uint32_t)(q - base)};
            p = q;
        } else {
            size_t n_char;
            (void)krs_scan_char(p, &n_char);
            p += n_char;
        }
    }
    *at = (size_t)(p - base);
    return n;
}

size_t krs_scan_fill_numbers(const krs_scan *scan, krs_str text, size_t *at, krs_span *out,
                             size_t max)
{
    const uint8_t *base = (const uint8_t *)text.ptr;
    const uint8_t *end = base + text.len;
    const uint8_t *p = base + *at;
    size_t n = 0;
    while (n < max && p < end) {
        p = krs_scan_skip(scan->classes, p, end, KRS_CHAR_NUMBER, true, SIZE_MAX);
        const uint8_t *q =
            krs_scan_skip(scan->classes, p, end, KRS_CHAR_NUMBER, false, scan->rule->max_digits);
        if (q > p) {
            out[n++] = (krs_span){(uint32_t)(p - base), (uint32_t)(q - base)};
        }
        p = q;
    }
    *at = (size_t)(p - base);
    return n;
}

/* U+4E00..U+9FA5 and U+3040..U+30FF: all of three bytes. */
static inline bool is_han_kana(const uint8_t *p)
{
    if (p[0] < 0xE3 || p[0] > 0xE9) {
        return false;
    }
    size_t n;
    const uint32_t c = krs_scan_char(p, &n);
    return (c >= 0x4E00 && c <= 0x9FA5) || (c >= 0x3040 && c <= 0x30FF);
}

size_t krs_scan_fill_han_kana(const krs_scan *scan, krs_str text, size_t *at, krs_span *out,
                              size_t max)
{
    (void)scan;
    const uint8_t *base = (const uint8_t *)text.ptr;
    const uint8_t *end = base + text.len;
    const uint8_t *p = base + *at;
    size_t n = 0;
    while (n < max && p < end) {
        while (p < end && !is_han_kana(p)) { /* byte by byte: no later byte of a character passes */
            p++;
        }
        const uint8_t *q = p;
        while (q < end && is_han_kana(q)) {
            q += 3;
        }
        if (q > p) {
            out[n++] = (krs_span){(uint32_t)(p - base), (uint32_t)(q - base)};
        }
        p = q;
    }
    *at = (size_t)(p - base);
    return n;
}
