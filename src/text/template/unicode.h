/* text/template/unicode.h - text as Python's str sees it: code points, its idea of space, case, print.
 *
 * Values are UTF-8; anything a template can count or cut goes through here. Input comes from a JSON
 * parser or a checked source, so it is valid; a stray byte, should one appear, counts as one character
 * and is copied as it is.
 *
 * Thread: any; pure.  Source: Python 3 str methods; Unicode through utf8proc. */
#pragma once

#include "base/str.h"

/* Decode the character at s[at] (at < s.len); returns its bytes (>= 1). */
size_t krs_text_decode(krs_str s, size_t at, uint32_t *code);

/* Encode code into out; returns bytes, 1..4. */
size_t krs_text_encode(uint32_t code, char out[4]);

/* Number of code points. */
size_t krs_text_count(krs_str s);

/* Byte offset of character `index`, s.len when past the end. */
size_t krs_text_offset(krs_str s, size_t index);

bool krs_text_is_space(uint32_t code);     /* str.isspace */
bool krs_text_is_printable(uint32_t code); /* str.isprintable: repr writes the others as escapes */
bool krs_text_is_alpha(uint32_t code);     /* str.isalpha */
bool krs_text_is_digit(uint32_t code);     /* str.isdigit, decimal digits only */
bool krs_text_is_upper(uint32_t code);
bool krs_text_is_lower(uint32_t code);

/* Bytes of white space at either end. */
size_t krs_text_leading_space(krs_str s);
size_t krs_text_trailing_space(krs_str s);

typedef enum krs_text_case {
    KRS_TEXT_LOWER,
    KRS_TEXT_UPPER,
    KRS_TEXT_TITLE,
} krs_text_case;

/* Convert one character; full mappings ("ß" upper is "SS") give up to three. Returns how many. */
size_t krs_text_map(uint32_t code, krs_text_case to, uint32_t out[3]);
