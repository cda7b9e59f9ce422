/* text/unicode.h - UTF-8 and the few Unicode properties that tokenizers ask for.
 *
 * Text from outside may be broken UTF-8. It is repaired once, at the door, the way the WHATWG (and
 * Rust's from_utf8_lossy) do it: each maximal subpart of an ill-formed sequence becomes one U+FFFD.
 * Everything behind the door may then rely on well-formed text.
 *
 * Properties and normal forms come from utf8proc; characters newer than its Unicode version count as
 * unassigned, which only matters for scripts added after it.
 *
 * Thread: any; pure.  Memory: only what goes into the caller's buffer.
 * Source: Unicode 14, chapter 3 table 3-7, UAX #15, UAX #44; WHATWG Encoding, UTF-8 decoder. */
#pragma once

#include "base/buf.h"
#include "base/str.h"

#define KRS_UTF8_MAX_BYTES   4
#define KRS_UNICODE_REPLACED 0xFFFDu

typedef enum krs_utf8_kind {
    KRS_UTF8_VALID,      /* a character of *n bytes */
    KRS_UTF8_INVALID,    /* *n bytes that stand for one U+FFFD */
    KRS_UTF8_INCOMPLETE, /* the text ends inside what may yet become a character; *n bytes are left */
} krs_utf8_kind;

/* Look at the first character of s (s.len > 0). */
krs_utf8_kind krs_utf8_scan(krs_str s, size_t *n);

/* The first character of well-formed s (s.len > 0); its length goes to *n. */
uint32_t krs_utf8_decode(krs_str s, size_t *n);

/* Write c (a scalar value) into out; returns the number of bytes. */
size_t krs_utf8_encode(uint32_t c, char out[KRS_UTF8_MAX_BYTES]);

/* Bytes of the longest well-formed prefix; s.len when all of it is. Fast on ASCII. */
size_t krs_utf8_valid_prefix(krs_str s);

/* Append s to out, ill-formed parts as U+FFFD. Errors: KRS_ETOOLARGE, KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_utf8_repair(krs_str s, krs_buf *out);

/* Bytes of the ASCII run at the start of s. */
size_t krs_str_ascii_run(krs_str s);

bool krs_unicode_is_space(uint32_t c);      /* White_Space */
bool krs_unicode_is_numeric(uint32_t c);    /* general category N* */
bool krs_unicode_is_punct(uint32_t c);      /* general category P*, and all ASCII punctuation */
bool krs_unicode_is_mark(uint32_t c);       /* general category M* */
bool krs_unicode_is_nonspacing(uint32_t c); /* general category Mn */
bool krs_unicode_is_other(uint32_t c);      /* general category Cc, Cf or Co */
bool krs_unicode_is_word(uint32_t c); /* \w of a Unicode regex: Alphabetic, M, Nd, Pc, joiners */

typedef enum krs_unicode_form {
    KRS_UNICODE_NFC,
    KRS_UNICODE_NFD,
    KRS_UNICODE_NFKC,
    KRS_UNICODE_NFKD,
} krs_unicode_form;

/* Is c one of those that NFC leaves as they are and that combine with nothing before them? Not all of them:
 * the scripts that texts are made of. */
bool krs_unicode_is_settled(uint32_t c);

/* Append the normal form of well-formed s. Errors: KRS_ETOOLARGE, KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_unicode_normalize(krs_unicode_form form, krs_str s, krs_buf *out);

/* Append s in lower case, character by character (no context rules, as Rust's char::to_lowercase). */
KRS_MUST_USE krs_status krs_unicode_lowercase(krs_str s, krs_buf *out);
