/* text/scan_case.c - the expressions that look at case: o200k (gpt-oss, Llama 4) and Tekken (Mistral).
 *
 * With U = [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}] and V = [\p{Ll}\p{Lm}\p{Lo}\p{M}], a word is
 *
 *   [^\r\n\p{L}\p{N}]?U*V+(?i:'s|...)?|[^\r\n\p{L}\p{N}]?U+V*(?i:'s|...)?
 *
 * U* takes the whole run of U. If a lower-case letter follows, V+ goes on from there. If none does, the
 * engine steps back to the last character of the run that is in V as well (a letter without case, or
 * a mark), and the match ends behind it. If there is none either, the second alternative takes the run
 * as it is. That the character in front is optional matters once: a mark in front of capitals only,
 * "\u0301ABC", is taken for the front, finds no V, and then is the whole word itself. */
#include "text/scan_priv.h"

#define BOTH  (KRS_CHAR_OTHER | KRS_CHAR_MARK) /* in U and in V */
#define UPPER (KRS_CHAR_UPPER | BOTH)
#define LOWER (KRS_CHAR_LOWER | BOTH)

/* Over a run of mask, whose ASCII letters are first..first + 25; *past_both: behind its last character
 * of BOTH, else unchanged. */
static inline const uint8_t *skip_case(const krs_char_classes *classes, const uint8_t *p,
                                       const uint8_t *end, uint8_t mask, uint8_t first,
                                       const uint8_t **past_both)
{
    for (;;) {
        p = krs_scan_skip_range(p, end, first, (uint8_t)(first + 25), false);
        size_t n;
        if (p == end || p[0] < 0x80) {
            return p;
        }
        const uint8_t kind = krs_scan_class(classes, p, &n);
        if (!(kind & mask)) {
            return p;
        }
        p += n;
        *past_both = kind & BOTH ? p : *past_both;
    }
}

/* U*V+ at p, or NULL; *upper_end: the end of the run of U. */
static inline const uint8_t *lower_word_end(const krs_char_classes *classes, const uint8_t *p,
                                            const uint8_t *end, const uint8_t **upper_end)
{
    const uint8_t *past_both = NULL;
    const uint8_t *q = skip_case(classes, p, end, UPPER, 'A', &past_both);
    *upper_end = q;
    size_t n;
    if (q < end && (krs_scan_class(classes, q, &n) & KRS_CHAR_LOWER)) {
        return skip_case(classes, q, end, LOWER, 'a', &past_both);
    }
    return past_both;
}

/* A word at p with or without a character in front, or NULL. kind, n: of the character at p. */
static inline const uint8_t *word_end(const krs_char_classes *classes, const uint8_t *p,
                                      const uint8_t *end, uint8_t kind, size_t n)
{
    const uint8_t *upper_end;
    if (kind & KRS_CHAR_LETTER) {
        const uint8_t *word = lower_word_end(classes, p, end, &upper_end);
        return word ? word : upper_end;
    }
    if (kind & (KRS_CHAR_BREAK | KRS_CHAR_NUMBER)) {
        return NULL;
    }
    const uint8_t *word = lower_word_end(classes, p + n, end, &upper_end);
    if (word) {
        return word;
    }
    if (kind & KRS_CHAR_MARK) {
        return p + n;
    }
    return upper_end > p + n ? upper_end : NULL;
}

static inline const uint8_t *signs_end(const krs_scan *scan, const uint8_t *p, const uint8_t *end)
{
    p = krs_scan_skip(scan->classes, p, end, KRS_CHAR_LETTER | KRS_CHAR_NUMBER | KRS_CHAR_BLANK,
                      true, SIZE_MAX);
    while (p < end &&
           (p[0] == '\r' || p[0] == '\n' || (p[0] == '/' && scan->rule->has_slash_tail))) {
        p++;
    }
    return p;
}

/* Neither word nor number at p. */
static inline const uint8_t *other_end(const krs_scan *scan, const uint8_t *p, const uint8_t *end,
                                       uint8_t kind)
{
    const uint8_t *q = p + (p[0] == ' ');
    size_t n;
    const uint8_t next = q < end ? krs_scan_class(scan->classes, q, &n) : KRS_CHAR_BLANK;
    if (!(kind & KRS_CHAR_BLANK) ||
        (q > p && !(next & (KRS_CHAR_LETTER | KRS_CHAR_NUMBER | KRS_CHAR_BLANK)))) {
        return signs_end(scan, q, end);
    }
    return krs_scan_blank_end(scan->classes, p, end, true);
}

static inline const uint8_t *o200k_end(const krs_scan *scan, const uint8_t *p, const uint8_t *end)
{
    size_t n;
    const uint8_t kind = krs_scan_class(scan->classes, p, &n);
    const uint8_t *word = word_end(scan->classes, p, end, kind, n);
    if (word) {
        const bool may_contract = scan->rule->has_contractions && word < end && word[0] == '\'';
        return word + (may_contract ? krs_scan_contraction(word, end, true) : 0);
    }
    if (kind & KRS_CHAR_NUMBER) {
        return krs_scan_skip(scan->classes, p + n, end, KRS_CHAR_NUMBER, false,
                             scan->rule->max_digits - 1u);
    }
    return other_end(scan, p, end, kind);
}

size_t krs_scan_fill_o200k(const krs_scan *scan, krs_str text, size_t *at, krs_span *out,
                           size_t max)
{
    const uint8_t *base = (const uint8_t *)text.ptr;
    size_t n = 0;
    size_t p = *at;
    for (; n < max && p < text.len; n++) {
        const size_t end = (size_t)(o200k_end(scan, base + p, base + text.len) - base);
        out[n] = (krs_span){(uint32_t)p, (uint32_t)end};
        p = end;
    }
    *at = p;
    return n;
}
