/* text/scan.h - the well-known pre-tokenizer expressions, cut by hand-written code.
 *
 * Nearly every byte-level tokenizer splits with one of a few regular expressions. A regex engine takes
 * 7 ns a byte for them, nearly as much as all the rest of encoding; code written for the expression takes
 * less than two. So an expression that is known letter for letter gets a scanner, and every other one
 * stays with PCRE2 (text/pattern.h), which is also what the scanners are tested against.
 *
 * Letter for letter, because an expression that merely looks alike may differ in one alternative, and
 * the ids would then be plausible and wrong. Only a CR or LF written as itself counts as \r and \n.
 *
 * A scanner reads each character a bounded number of times, whatever the text.
 *
 * Thread: immutable after _new.  Memory: one table of classes (text/char_class.h).
 * Source: the expressions are those of the models' tokenizer.json files, named in scan.c. */
#pragma once

#include "base/alloc.h"
#include "base/str.h"

typedef struct krs_span {
    uint32_t start; /* byte offsets */
    uint32_t end;
} krs_span;

typedef struct krs_scan krs_scan;

/* The scanner of an expression. Errors: KRS_ENOENT (not one of the known), KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_scan_new(krs_str expression, const krs_alloc *alloc, krs_scan **out);
void krs_scan_free(krs_scan *scan);

/* The next matches in text (well-formed UTF-8, below 4 GiB) from *at on, up to max of them; *at moves
 * to the end of the last one. Returns how many; fewer than max: there are no more. Matches do not
 * overlap and are not empty; between them may be text that the expression does not match. */
size_t krs_scan_fill(const krs_scan *scan, krs_str text, size_t *at, krs_span *out, size_t max);

/* The known expressions, for tests: the i-th, or NULL past the last. */
const char *krs_scan_expression(size_t i);
