/* format/scan.h - a pull scanner for JSON that is too large, or too little trusted, for a tree.
 *
 * A safetensors header may be 100 MB, and everything in it has one of three shapes: string, whole
 * number, list of whole numbers. Reading it in one pass keeps memory at what is kept, and lets each
 * number be checked where it stands. It is strict: RFC 8259 and nothing else, valid UTF-8 only, no
 * fraction where a count is wanted. Errors give the byte where the text stops making sense.
 *
 *   status = krs_scan_open(&s, '{', err);
 *   for (n = 0; status == KRS_OK; n++) {
 *       status = krs_scan_entry(&s, n, &has_entry, &key, err);
 *       if (has_entry) { status = ... read the value ... } else { break; }
 *   }
 *
 * Thread: one owner.  Memory: strings without escapes are views of the text; the others go into the
 * arena.  Source: RFC 8259; Unicode 15 table 3-7. */
#pragma once

#include "base/arena.h"
#include "base/status.h"
#include "base/str.h"

#define KRS_SCAN_MAX_DEPTH 32 /* nesting of a value that is skipped; real ones stay under 3 */

typedef struct krs_scan {
    krs_str text; /* borrowed, must outlive every string scanned from it */
    size_t at;    /* bytes consumed */
    krs_arena *arena;
} krs_scan;

/* Every function: KRS_EFORMAT with the byte offset. Spaces before a token are skipped. */

/* Consume c ('{', '[', ':' ...). */
KRS_MUST_USE krs_status krs_scan_open(krs_scan *scan, char c, krs_error *err);

/* Before item number n of a list closed by `close`: *has_item says whether there is one; the comma, or
 * the closing bracket, is consumed. */
KRS_MUST_USE krs_status krs_scan_item(krs_scan *scan, char close, size_t n, bool *has_item,
                                      krs_error *err);

/* A string, decoded. *out: a view of the text or of the arena. Errors: also KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_scan_str(krs_scan *scan, krs_str *out, krs_error *err);

/* Entry number n of an object: its key and the colon. *has_entry is false at the end, which is
 * consumed, and on failure. */
KRS_MUST_USE krs_status krs_scan_entry(krs_scan *scan, size_t n, bool *has_entry, krs_str *key,
                                       krs_error *err);

/* A whole number from 0 up, no sign, no fraction, no exponent, no leading zero. */
KRS_MUST_USE krs_status krs_scan_u64(krs_scan *scan, uint64_t *out, krs_error *err);

/* Any value, checked and dropped. */
KRS_MUST_USE krs_status krs_scan_skip(krs_scan *scan, krs_error *err);

/* Nothing but spaces may be left. */
KRS_MUST_USE krs_status krs_scan_end(krs_scan *scan, krs_error *err);
