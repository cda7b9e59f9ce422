/* base/str.c - see str.h. */
#include "base/str.h"

size_t krs_str_find(krs_str haystack, krs_str needle, size_t from)
{
    if (from > haystack.len || needle.len > haystack.len - from) {
        return SIZE_MAX;
    }
    if (needle.len == 0) {
        return from;
    }
    const char *at = haystack.ptr + from;
    size_t left = haystack.len - from;
    while (left >= needle.len) {
        const char *hit = memchr(at, needle.ptr[0], left - needle.len + 1);
        if (!hit) {
            return SIZE_MAX;
        }
        if (memcmp(hit, needle.ptr, needle.len) == 0) {
            return (size_t)(hit - haystack.ptr);
        }
        left -= (size_t)(hit - at) + 1;
        at = hit + 1;
    }
    return SIZE_MAX;
}

/* The finaliser of MurmurHash3 (public domain, Austin Appleby): every input bit reaches every output
 * bit, so a power-of-two table may use the low bits. */
static uint64_t mix(uint64_t h)
{
    h ^= h >> 33;
    h *= 0xFF51AFD7ED558CCDu;
    h ^= h >> 33;
    h *= 0xC4CEB9FE1A85EC53u;
    return h ^ (h >> 33);
}

uint64_t krs_str_hash(krs_str s, uint64_t seed)
{
    /* Not mix(seed ^ len): it would meet mix(word) below on equal terms and let the two swap places. */
    uint64_t h = mix(seed) ^ (s.len * 0x9E3779B97F4A7C15u);
    const char *p = s.ptr;
    size_t left = s.len;
    while (left >= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        h = (h ^ mix(word)) * 0x100000001B3u;
        p += 8;
        left -= 8;
    }
    if (left > 0) {
        uint64_t tail = 0;
        memcpy(&tail, p, left);
        h = (h ^ mix(tail)) * 0x100000001B3u;
    }
    return mix(h);
}
