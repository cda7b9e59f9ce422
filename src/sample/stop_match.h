/* sample/stop_match.h - stop strings, found as the text comes.
 *
 * Text arrives in pieces that know nothing of stop strings. A piece's tail that may still become one
 * is held back, and let go at once when it cannot: a reader never sees half a stop string, nor waits
 * for text that is certain. The result does not depend on how the text was cut: the string that ends
 * first wins; of several ending at one byte, the longest.
 *
 *   text:  ... released | held (longest run that begins a stop string)
 *
 * Each stop string has its own automaton, one step per byte, so the cost is bytes times strings, never
 * times their length.
 *
 * Thread: one owner.  Memory: all in _new; push appends to the caller's buffer.
 * Source: Knuth, Morris, Pratt 1977. */
#pragma once

#include "api/generate.h"

typedef struct krs_stop_match krs_stop_match;

/* stops[n], copied; each 1 .. KRS_MAX_STOP_BYTES; n may be 0. is_included: a match is part of the text.
 * Errors: KRS_EINVAL (lengths, n), KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_stop_match_new(const krs_str *stops, uint32_t n, bool is_included,
                                           const krs_alloc *alloc, krs_stop_match **out);
void krs_stop_match_free(krs_stop_match *match);

/* Append to out what became certain with text. is_armed: may a stop string end the answer now? If not,
 * one that completes is ordinary text. *is_stopped: a stop string was completed; text after it is
 * dropped, and nothing may be pushed any more. Errors: KRS_ETOOLARGE, KRS_ENOMEM (of out). */
KRS_MUST_USE krs_status krs_stop_match_push(krs_stop_match *match, krs_str text, bool is_armed,
                                            krs_buf *out, bool *is_stopped);

/* The text has ended without a stop string: append what was held back. */
KRS_MUST_USE krs_status krs_stop_match_finish(krs_stop_match *match, krs_buf *out);

/* Which stop string was completed: its place in stops, from 1; 0: none was. */
uint32_t krs_stop_match_found(const krs_stop_match *match);
