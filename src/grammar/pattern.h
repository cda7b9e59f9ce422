/* grammar/pattern.h - ECMA-262 regular expressions (as with the flag u) as regexes over bytes.
 *
 * JSON Schema's `pattern` searches; a request's regex must match the whole answer. The characters are those
 * of the text itself, or of a JSON string's value, whose escapes are then woven in: because each character
 * has a spelling of its own, what holds for texts (AND and NOT too) holds for their spellings.
 *
 * Anchors and lookaheads are statements about the rest of the text, so a pattern is compiled from its end:
 * what follows is known when they are met. Inside a repeat without end nothing is known of the rest, and they
 * are refused there; so are backreferences and lookbehinds anywhere, by name. Lazy means greedy here: the
 * same texts match. There are no catastrophic patterns, because nothing backtracks.
 *
 * Thread: as the builder.  Memory: an arena while it works; what is built is the builder's.
 * Source: ECMA-262 2023, 22.2 and annex B.1.2; Unicode's general categories from utf8proc. */
#pragma once

#include "grammar/regex.h"

#define KRS_GRAMMAR_PATTERN_MAX_BYTES (64u << 10) /* the longest public ones have 6 KiB */
#define KRS_GRAMMAR_PATTERN_MAX_DEPTH 250         /* nested groups, which recursion meets */

typedef enum krs_spelling {
    KRS_SPELLING_PLAIN, /* UTF-8 */
    KRS_SPELLING_JSON, /* inside a JSON string; ASCII as itself where it can be, others also as \u */
    KRS_SPELLING_JSON_ANY, /* inside a JSON string, every escape that JSON allows */
} krs_spelling;

typedef struct krs_pattern_options {
    krs_spelling spelling;
    bool is_search; /* may match anywhere in the text; else all of it */
} krs_pattern_options;

/* The texts that pattern matches. pattern: UTF-8.
 * Errors: KRS_EINVAL: what is wrong or refused, and at which character; KRS_ENOMEM. Beyond the builder's limits the
 * builder fails. */
KRS_MUST_USE krs_status krs_grammar_pattern(krs_grammar_builder *b, krs_str pattern,
                                            const krs_pattern_options *options, krs_regex *out,
                                            krs_error *err);
