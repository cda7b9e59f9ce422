/* base/utf8.h - is this a character? For every place that must not pass on broken text.
 *
 * Only the question that JSON writers, log lines and detokenizers share; everything else about Unicode
 * lives in text/.
 *
 * Thread: any; pure.  Source: The Unicode Standard 15, table 3-7 (well-formed UTF-8). */
#pragma once

#include <stddef.h>

/* Length in bytes (1..4) of the well-formed UTF-8 character at bytes[0 .. left), or 0 when there is
 * none: left is 0, the character is cut, or the bytes are not UTF-8. */
size_t krs_utf8_length(const char *bytes, size_t left);
