/* text/template/unicode.c - see unicode.h.
 *
 * utf8proc has the simple case mappings only; the few characters whose full mapping is longer and that
 * occur in real text (sharp s and the Latin ligatures) are in a table here. Not done: the Greek final
 * sigma, which Python lowers by looking at its neighbours.
 *
 * Thread: any; pure. */
#include "text/template/unicode.h"

#include <utf8proc.h>

size_t krs_text_decode(krs_str s, size_t at, uint32_t *code)
{
    utf8proc_int32_t c = -1;
    const utf8proc_uint8_t *bytes = (const utf8proc_uint8_t *)s.ptr + at;
    if (*bytes < 0x80) {
        *code = *bytes;
        return 1;
    }
    const size_t left = s.len - at;
    const utf8proc_ssize_t n = utf8proc_iterate(bytes, (utf8proc_ssize_t)(left < 4 ? left : 4), &c);
    if (n < 1 || c < 0) {
        *code = 0xFFFD;
        return 1;
    }
    *code = (uint32_t)c;
    return (size_t)n;
}

size_t krs_text_encode(uint32_t code, char out[4])
{
    utf8proc_uint8_t bytes[4] = {0};
    utf8proc_ssize_t n = utf8proc_encode_char((utf8proc_int32_t)code, bytes);
    if (n < 1) {
        n = utf8proc_encode_char(0xFFFD, bytes);
    }
    memcpy(out, bytes, 4);
    return (size_t)n;
}

size_t krs_text_count(krs_str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        n += ((unsigned char)s.ptr[i] & 0xC0) != 0x80;
    }
    return n;
}

size_t krs_text_offset(krs_str s, size_t index)
{
    for (size_t i = 0; i < s.len; i++) {
        if (((unsigned char)s.ptr[i] & 0xC0) != 0x80) {
            if (index == 0) {
                return i;
            }
            index--;
        }
    }
    return s.len;
}

bool krs_text_is_space(uint32_t code)
{
    static const struct {
        uint32_t first, last;
    } ranges[] = {{0x09, 0x0D},     {0x1C, 0x20},     {0x85, 0x85},     {0xA0, 0xA0},
                  {0x1680, 0x1680}, {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F},
                  {0x205F, 0x205F}, {0x3000, 0x3000}};
    if (code > 0x20 && code < 0x85) {
        return false; /* nearly all text */
    }
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        if (code >= ranges[i].first && code <= ranges[i].last) {
            return true;
        }
    }
    return false;
}

bool krs_text_is_printable(uint32_t code)
{
    switch (utf8proc_category((utf8proc_int32_t)code)) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        return false;
    case UTF8PROC_CATEGORY_ZS:
        return code == ' ';
    default:
        return true;
    }
}

bool krs_text_is_alpha(uint32_t code)
{
    const utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)code);
    return c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_LO;
}

bool krs_text_is_digit(uint32_t code)
{
    return utf8proc_category((utf8proc_int32_t)code) == UTF8PROC_CATEGORY_ND;
}

bool krs_text_is_upper(uint32_t code)
{
    return utf8proc_category((utf8proc_int32_t)code) == UTF8PROC_CATEGORY_LU;
}

bool krs_text_is_lower(uint32_t code)
{
    return utf8proc_category((utf8proc_int32_t)code) == UTF8PROC_CATEGORY_LL;
}

size_t krs_text_leading_space(krs_str s)
{
    size_t at = 0;
    while (at < s.len) {
        uint32_t code = 0;
        const size_t n = krs_text_decode(s, at, &code);
        if (!krs_text_is_space(code)) {
            break;
        }
        at += n;
    }
    return at;
}

size_t krs_text_trailing_space(krs_str s)
{
    size_t end = s.len;
    while (end > 0) {
        size_t at = end - 1;
        while (at > 0 && end - at < 4 && ((unsigned char)s.ptr[at] & 0xC0) == 0x80) {
            at--;
        }
        uint32_t code = 0;
        const krs_str upto = {s.ptr, end};
        if (krs_text_decode(upto, at, &code) != end - at || !krs_text_is_space(code)) {
            break;
        }
        end = at;
    }
    return s.len - end;
}

/* Characters whose upper case is several. Source: Unicode SpecialCasing.txt. */
static const struct {
    uint32_t code;
    uint32_t upper[3];
    uint32_t title[3];
} special[] = {
    {0x00DF, {'S', 'S', 0}, {'S', 's', 0}},     {0x0149, {0x2BC, 'N', 0}, {0x2BC, 'N', 0}},
    {0xFB00, {'F', 'F', 0}, {'F', 'f', 0}},     {0xFB01, {'F', 'I', 0}, {'F', 'i', 0}},
    {0xFB02, {'F', 'L', 0}, {'F', 'l', 0}},     {0xFB03, {'F', 'F', 'I'}, {'F', 'f', 'i'}},
    {0xFB04, {'F', 'F', 'L'}, {'F', 'f', 'l'}}, {0xFB05, {'S', 'T', 0}, {'S', 't', 0}},
    {0xFB06, {'S', 'T', 0}, {'S', 't', 0}},
};

static size_t map_special(uint32_t code, krs_text_case to, uint32_t out[3])
{
    for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++) {
        if (special[i].code == code) {
            memcpy(out, to == KRS_TEXT_UPPER ? special[i].upper : special[i].title,
                   3 * sizeof(*out));
            return out[2] ? 3 : 2;
        }
    }
    return 0;
}

size_t krs_text_map(uint32_t code, krs_text_case to, uint32_t out[3])
{
    const utf8proc_int32_t c = (utf8proc_int32_t)code;
    if (to == KRS_TEXT_LOWER) {
        if (code == 0x130) { /* the only longer lower case: I with dot above */
            out[0] = 'i';
            out[1] = 0x307;
            return 2;
        }
        out[0] = (uint32_t)utf8proc_tolower(c);
        return 1;
    }
    const size_t n = code < 0x80 ? 0 : map_special(code, to, out);
    if (n) {
        return n;
    }
    out[0] = (uint32_t)(to == KRS_TEXT_UPPER ? utf8proc_toupper(c) : utf8proc_totitle(c));
    return 1;
}
