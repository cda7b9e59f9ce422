/* text/unicode.c - see unicode.h.
 * The ASCII paths come first everywhere: most text of most requests is ASCII, and utf8proc works a
 * code point at a time. */
#include "text/unicode.h"

#include <utf8proc.h>

/* What may follow a lead byte: how many bytes in all, and the range of the second one. */
typedef struct lead {
    size_t n;
    unsigned low;
    unsigned high;
} lead;

typedef struct range {
    uint32_t first;
    uint32_t last;
} range;

/* Table 3-7, in order of the first byte. */
static const struct {
    unsigned char last_byte; /* the row holds up to this lead byte */
    lead want;               /* n = 0: such a byte starts nothing */
} leads[] = {
    {0x7F, {1, 0, 0}},       {0xC1, {0, 0, 0}},       {0xDF, {2, 0x80, 0xBF}},
    {0xE0, {3, 0xA0, 0xBF}}, {0xEC, {3, 0x80, 0xBF}}, {0xED, {3, 0x80, 0x9F}},
    {0xEF, {3, 0x80, 0xBF}}, {0xF0, {4, 0x90, 0xBF}}, {0xF3, {4, 0x80, 0xBF}},
    {0xF4, {4, 0x80, 0x8F}}, {0xFF, {0, 0, 0}},
};

static lead lead_of(unsigned char byte)
{
    size_t row = 0;
    while (byte > leads[row].last_byte) {
        row++;
    }
    return leads[row].want;
}

krs_utf8_kind krs_utf8_scan(krs_str s, size_t *n)
{
    const unsigned char *p = (const unsigned char *)s.ptr;
    const lead want = lead_of(p[0]);
    *n = 1;
    if (want.n <= 1) {
        return want.n == 1 ? KRS_UTF8_VALID : KRS_UTF8_INVALID;
    }
    unsigned low = want.low;
    unsigned high = want.high;
    for (size_t i = 1; i < want.n; i++) {
        if (i == s.len) {
            *n = i;
            return KRS_UTF8_INCOMPLETE;
        }
        if (p[i] < low || p[i] > high) {
            *n = i;
            return KRS_UTF8_INVALID;
        }
        low = 0x80;
        high = 0xBF;
    }
    *n = want.n;
    return KRS_UTF8_VALID;
}

uint32_t krs_utf8_decode(krs_str s, size_t *n)
{
    const unsigned char *p = (const unsigned char *)s.ptr;
    if (p[0] < 0x80 || s.len < 2) {
        *n = 1;
        return p[0] < 0x80 ? p[0] : KRS_UNICODE_REPLACED;
    }
    if (p[0] < 0xE0 || s.len < 3) {
        *n = 2;
        return (uint32_t)(p[0] & 0x1Fu) << 6 | (p[1] & 0x3Fu);
    }
    if (p[0] < 0xF0 || s.len < 4) {
        *n = 3;
        return (uint32_t)(p[0] & 0x0Fu) << 12 | (uint32_t)(p[1] & 0x3Fu) << 6 | (p[2] & 0x3Fu);
    }
    *n = 4;
    return (uint32_t)(p[0] & 0x07u) << 18 | (uint32_t)(p[1] & 0x3Fu) << 12 |
           (uint32_t)(p[2] & 0x3Fu) << 6 | (p[3] & 0x3Fu);
}

size_t krs_utf8_encode(uint32_t c, char out[KRS_UTF8_MAX_BYTES])
{
    unsigned char *p = (unsigned char *)out;
    if (c < 0x80) {
        p[0] = (unsigned char)c;
        return 1;
    }
    if (c < 0x800) {
        p[0] = (unsigned char)(0xC0u | c >> 6);
        p[1] = (unsigned char)(0x80u | (c & 0x3Fu));
        return 2;
    }
    if (c < 0x10000) {
        p[0] = (unsigned char)(0xE0u | c >> 12);
        p[1] = (unsigned char)(0x80u | (c >> 6 & 0x3Fu));
        p[2] = (unsigned char)(0x80u | (c & 0x3Fu));
        return 3;
    }
    p[0] = (unsigned char)(0xF0u | c >> 18);
    p[1] = (unsigned char)(0x80u | (c >> 12 & 0x3Fu));
    p[2] = (unsigned char)(0x80u | (c >> 6 & 0x3Fu));
    p[3] = (unsigned char)(0x80u | (c & 0x3Fu));
    return 4;
}

/* Eight bytes at a time. */
size_t krs_str_ascii_run(krs_str s)
{
    size_t i = 0;
    while (s.len - i >= 8) {
        uint64_t word;
        memcpy(&word, s.ptr + i, 8);
        if (word & 0x8080808080808080u) {
            break;
        }
        i += 8;
    }
    while (i < s.len && (unsigned char)s.ptr[i] < 0x80) {
        i++;
    }
    return i;
}

/* Bytes of the characters at the start of s that need no row of the table: two bytes, or three but for
 * E0 and ED, whose second byte is limited. */
static size_t plain_run(krs_str s)
{
    const unsigned char *p = (const unsigned char *)s.ptr;
    size_t i = 0;
    while (s.len - i >= 3) {
        const bool is_second = (p[i + 1] & 0xC0u) == 0x80u;
        if (p[i] >= 0xC2 && p[i] < 0xE0 && is_second) {
            i += 2;
        } else if (p[i] > 0xE0 && p[i] < 0xF0 && p[i] != 0xED && is_second &&
                   (p[i + 2] & 0xC0u) == 0x80u) {
            i += 3;
        } else {
            break;
        }
    }
    return i;
}

size_t krs_utf8_valid_prefix(krs_str s)
{
    size_t i = 0;
    while (i < s.len) {
        i += krs_str_ascii_run((krs_str){s.ptr + i, s.len - i});
        i += plain_run((krs_str){s.ptr + i, s.len - i});
        size_t n;
        if (i == s.len || krs_utf8_scan((krs_str){s.ptr + i, s.len - i}, &n) != KRS_UTF8_VALID) {
            break;
        }
        i += n;
    }
    return i;
}

krs_status krs_utf8_repair(krs_str s, krs_buf *out)
{
    krs_status status = KRS_OK;
    while (status == KRS_OK && s.len > 0) {
        const size_t good = krs_utf8_valid_prefix(s);
        status = krs_buf_append(out, s.ptr, good);
        s = (krs_str){s.ptr + good, s.len - good};
        if (status == KRS_OK && s.len > 0) {
            size_t n;
            (void)krs_utf8_scan(s, &n);
            s = (krs_str){s.ptr + n, s.len - n};
            status = krs_buf_append(out, "\xEF\xBF\xBD", 3);
        }
    }
    return status;
}

/* White_Space above ASCII. */
static const range spaces[] = {
    {0x85, 0x85},     {0xA0, 0xA0},     {0x1680, 0x1680}, {0x2000, 0x200A},
    {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000},
};

/* Joiners, and letters that are symbols by category but Alphabetic by Other_Alphabetic: the circled
 * and squared Latin letters. The rest of Other_Alphabetic are marks, which count anyway. */
static const range odd_words[] = {
    {0x200C, 0x200D}, {0x24B6, 0x24E9}, {0x1F130, 0x1F149}, {0x1F150, 0x1F169}, {0x1F170, 0x1F189},
};

static bool is_in(const range *ranges, size_t n, uint32_t c)
{
    for (size_t i = 0; i < n; i++) {
        if (c <= ranges[i].last) {
            return c >= ranges[i].first;
        }
    }
    return false;
}

bool krs_unicode_is_space(uint32_t c)
{
    if (c < 0x80) {
        return c == ' ' || (c >= '\t' && c <= '\r');
    }
    return is_in(spaces, sizeof(spaces) / sizeof(spaces[0]), c);
}

bool krs_unicode_is_numeric(uint32_t c)
{
    if (c < 0x80) {
        return c >= '0' && c <= '9';
    }
    const utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
    return category == UTF8PROC_CATEGORY_ND || category == UTF8PROC_CATEGORY_NL ||
           category == UTF8PROC_CATEGORY_NO;
}

bool krs_unicode_is_punct(uint32_t c)
{
    if (c < 0x80) {
        return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
               (c >= '{' && c <= '~');
    }
    const utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
    return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO;
}

/* No ASCII character is a mark. */
bool krs_unicode_is_mark(uint32_t c)
{
    if (c < 0x80) {
        return false;
    }
    const utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
    return category >= UTF8PROC_CATEGORY_MN && category <= UTF8PROC_CATEGORY_ME;
}

bool krs_unicode_is_nonspacing(uint32_t c)
{
    return c >= 0x80 && utf8proc_category((utf8proc_int32_t)c) == UTF8PROC_CATEGORY_MN;
}

bool krs_unicode_is_other(uint32_t c)
{
    const utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
    return category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CF ||
           category == UTF8PROC_CATEGORY_CO;
}

bool krs_unicode_is_word(uint32_t c)
{
    if (c < 0x80) {
        return (c >= '0' && c <= '9') || ((c | 0x20u) >= 'a' && (c | 0x20u) <= 'z') || c == '_';
    }
    if (is_in(odd_words, sizeof(odd_words) / sizeof(odd_words[0]), c)) {
        return true;
    }
    const utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
    return (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_NL) ||
           category == UTF8PROC_CATEGORY_PC;
}

/* The ASCII run at the start of s; *n: its bytes. */
static krs_status lower_ascii(krs_str s, krs_buf *out, size_t *n)
{
    *n = krs_str_ascii_run(s);
    const krs_status status = krs_buf_append(out, s.ptr, *n);
    for (size_t i = out->len - (status == KRS_OK ? *n : 0); i < out->len; i++) {
        const char c = out->data[i];
        out->data[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    }
    return status;
}

krs_status krs_unicode_lowercase(krs_str s, krs_buf *out)
{
    krs_status status = krs_buf_reserve(out, s.len);
    while (status == KRS_OK && s.len > 0) {
        size_t n = 0;
        if ((unsigned char)s.ptr[0] < 0x80) {
            status = lower_ascii(s, out, &n);
        } else {
            const uint32_t c = krs_utf8_decode(s, &n);
            char lower[KRS_UTF8_MAX_BYTES];
            /* U+0130 is the one character whose full lower case is two: i and a dot above. */
            status =
                c == 0x130
                    ? krs_buf_append(out, "i\xCC\x87", 3)
                    : krs_buf_append(
                          out, lower,
                          krs_utf8_encode((uint32_t)utf8proc_tolower((utf8proc_int32_t)c), lower));
        }
        s = (krs_str){s.ptr + n, s.len - n};
    }
    return status;
}
