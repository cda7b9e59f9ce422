/* base/str.h - a borrowed run of bytes. Not NUL-terminated; NUL bytes inside are ordinary.
 *
 * Thread: values.  Memory: borrows; the owner is named where a krs_str is handed out. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct krs_str {
    const char *ptr; /* may be NULL when len is 0 */
    size_t len;      /* bytes */
} krs_str;

#define KRS_STR(literal) ((krs_str){(literal), sizeof(literal) - 1})
/* For printf("%.*s"): the length is cut to what int holds. */
#define KRS_STR_ARGS(s) (int)((s).len > 0x7FFFFFFF ? 0x7FFFFFFF : (s).len), ((s).ptr ? (s).ptr : "")

static inline krs_str krs_str_of(const char *text)
{
    return (krs_str){text, text ? strlen(text) : 0};
}

static inline bool krs_str_equal(krs_str a, krs_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool krs_str_starts_with(krs_str s, krs_str prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

static inline bool krs_str_ends_with(krs_str s, krs_str suffix)
{
    return s.len >= suffix.len &&
           (suffix.len == 0 || memcmp(s.ptr + (s.len - suffix.len), suffix.ptr, suffix.len) == 0);
}

/* Index of the first `needle` at or after `from`, or SIZE_MAX. An empty needle is found at `from`. */
size_t krs_str_find(krs_str haystack, krs_str needle, size_t from);

/* May this text stand in a message? No: it has a control character, which a terminal might obey. */
static inline bool krs_str_is_plain(krs_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        const unsigned char c = (unsigned char)s.ptr[i];
        if (c < 0x20 || c == 0x7F) {
            return false;
        }
    }
    return true;
}

/* 64-bit hash for tables in memory (FNV-1a over words, mixed): not stable across versions, not for
 * input chosen by an adversary unless the table bounds its probes. */
uint64_t krs_str_hash(krs_str s, uint64_t seed);
