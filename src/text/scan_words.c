/* text/scan_words.c - the expressions of GPT-2, and of cl100k with its relatives (Llama 3, Qwen).
 *
 * Each function gives the end of the match that begins at p: the alternatives in their order, where the
 * first character and the one behind it decide which can match. Both expressions match everywhere.
 *
 *   GPT-2   's|'t|...| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 *   cl100k  (?i:'s|...)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|
 *           \s+(?!\S)|\s+ */
#include "text/scan_priv.h"

static inline const uint8_t *gpt2_end(const krs_char_classes *classes, const uint8_t *p,
                                      const uint8_t *end)
{
    const size_t n_contraction = p[0] == '\'' ? krs_scan_contraction(p, end, false) : 0;
    if (n_contraction > 0) {
        return p + n_contraction;
    }
    const uint8_t *q = p + (p[0] == ' ');
    if (q == end) {
        return end;
    }
    size_t n;
    const uint8_t kind = krs_scan_class(classes, q, &n);
    if (kind & KRS_CHAR_LETTER) {
        return krs_scan_skip_word(classes, q + n, end, KRS_CHAR_LETTER);
    }
    if (kind & KRS_CHAR_NUMBER) {
        return krs_scan_skip(classes, q + n, end, KRS_CHAR_NUMBER, false, SIZE_MAX);
    }
    if (kind & KRS_CHAR_BLANK) {
        return krs_scan_blank_end(classes, p, end, false);
    }
    return krs_scan_skip(classes, q + n, end, KRS_CHAR_LETTER | KRS_CHAR_NUMBER | KRS_CHAR_BLANK,
                         true, SIZE_MAX);
}

/* The signs from p on, and the line breaks after them. */
static inline const uint8_t *signs_end(const krs_scan *scan, const uint8_t *p, const uint8_t *end)
{
    const uint8_t not_sign = scan->rule->word | KRS_CHAR_NUMBER | KRS_CHAR_BLANK;
    p = krs_scan_skip(scan->classes, p, end, not_sign, true, SIZE_MAX);
    while (p < end && (p[0] == '\r' || p[0] == '\n')) {
        p++;
    }
    return p;
}

/* cl100k from a character that is no letter and no number. */
static inline const uint8_t *cl100k_other_end(const krs_scan *scan, const uint8_t *p,
                                              const uint8_t *end, uint8_t kind, size_t n)
{
    const uint8_t *q = p + n;
    size_t n_next = 0;
    const uint8_t next = q < end ? krs_scan_class(scan->classes, q, &n_next) : KRS_CHAR_BLANK;
    if ((next & scan->rule->word) && !(kind & KRS_CHAR_BREAK)) {
        return krs_scan_skip_word(scan->classes, q + n_next, end, scan->rule->word);
    }
    if (!(kind & KRS_CHAR_BLANK)) {
        return signs_end(scan, q, end);
    }
    if (p[0] == ' ' && !(next & (KRS_CHAR_NUMBER | KRS_CHAR_BLANK))) {
        return signs_end(scan, q, end);
    }
    return krs_scan_blank_end(scan->classes, p, end, true);
}

static inline const uint8_t *cl100k_end(const krs_scan *scan, const uint8_t *p, const uint8_t *end)
{
    const size_t n_contraction = p[0] == '\'' ? krs_scan_contraction(p, end, true) : 0;
    if (n_contraction > 0) {
        return p + n_contraction;
    }
    size_t n;
    const uint8_t kind = krs_scan_class(scan->classes, p, &n);
    if (kind & scan->rule->word) {
        return krs_scan_skip_word(scan->classes, p + n, end, scan->rule->word);
    }
    if (kind & KRS_CHAR_NUMBER) {
        return krs_scan_skip(scan->classes, p + n, end, KRS_CHAR_NUMBER, false,
                             scan->rule->max_digits - 1u);
    }
    return cl100k_other_end(scan, p, end, kind, n);
}

size_t krs_scan_fill_gpt2(const krs_scan *scan, krs_str text, size_t *at, krs_span *out, size_t max)
{
    const uint8_t *base = (const uint8_t *)text.ptr;
    size_t n = 0;
    size_t p = *at;
    for (; n < max && p < text.len; n++) {
        const size_t end = (size_t)(gpt2_end(scan->classes, base + p, base + text.len) - base);
        out[n] = (krs_span){(uint32_t)p, (uint32_t)end};
        p = end;
    }
    *at = p;
    return n;
}

size_t krs_scan_fill_cl100k(const krs_scan *scan, krs_str text, size_t *at, krs_span *out,
                            size_t max)
{
    const uint8_t *base = (const uint8_t *)text.ptr;
    size_t n = 0;
    size_t p = *at;
    for (; n < max && p < text.len; n++) {
        const size_t end = (size_t)(cl100k_end(scan, base + p, base + text.len) - base);
        out[n] = (krs_span){(uint32_t)p, (uint32_t)end};
        p = end;
    }
    *at = p;
    return n;
}
