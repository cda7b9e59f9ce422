/* base/utf8.c - see utf8.h. Which second bytes may follow depends on the first one: that is what keeps
 * overlong forms, surrogates and values above U+10FFFF out. */
#include "base/utf8.h"

/* Length that the first byte announces, and the range of the second byte. 0: no such first byte. */
static size_t announced(unsigned char first, unsigned char *low, unsigned char *high)
{
    *low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    *high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    if (first < 0xC2 || first > 0xF4) {
        return 0;
    }
    return first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
}

size_t krs_utf8_length(const char *bytes, size_t left)
{
    const unsigned char *s = (const unsigned char *)bytes;
    if (left == 0) {
        return 0;
    }
    if (s[0] < 0x80) {
        return 1;
    }
    unsigned char low;
    unsigned char high;
    const size_t n = announced(s[0], &low, &high);
    if (n == 0 || left < n || s[1] < low || s[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < n; i++) {
        if ((s[i] & 0xC0u) != 0x80u) {
            return 0;
        }
    }
    return n;
}
