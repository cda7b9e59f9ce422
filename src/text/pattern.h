/* text/pattern.h - what a tokenizer.json searches for: a literal or a regular expression.
 *
 * The files are written for Oniguruma (Ruby syntax); we run PCRE2 with JIT. The dialects differ in
 * small ways that would change ids silently, so an expression is translated first (pattern_onig.c) and
 * anything whose meaning we cannot carry over is refused by name. A match limit bounds what a hostile
 * expression can cost at one place of the text.
 *
 * The few expressions that nearly all models share are cut by code instead (text/scan.h).
 *
 * Thread: immutable; each thread has its own room.  Memory: literals and texts from alloc; what PCRE2
 * takes comes from the process heap.
 * Source: pcre2pattern(3), pcre2jit(3), version 10.42; Oniguruma 6.9 doc/RE. */
#pragma once

#include "base/alloc.h"
#include "base/buf.h"
#include "base/str.h"
#include "text/scan.h"

#define KRS_PATTERN_MAX_BYTES (16u << 10) /* the longest public pattern is about 700 bytes */
#define KRS_PATTERN_MAX_DEPTH 64          /* nested groups */
#define KRS_PATTERN_MAX_STEPS (10u << 20) /* of the matcher, for one starting place */
#define KRS_PATTERN_JIT_STACK_BYTES                                                                \
    (1u << 20) /* most a match may need; real ones need under 32 KiB */

typedef struct krs_pattern krs_pattern;
typedef struct krs_pattern_room krs_pattern_room;

/* Errors: KRS_ETOOLARGE, KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_pattern_new_literal(krs_str literal, const krs_alloc *alloc,
                                                krs_pattern **out, krs_error *err);
/* expression: Oniguruma, Ruby syntax, well-formed UTF-8.
 * Errors: KRS_EUNSUPPORTED (which construct), KRS_EFORMAT (why), KRS_ETOOLARGE, KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_pattern_new_regex(krs_str expression, const krs_alloc *alloc,
                                              krs_pattern **out, krs_error *err);
void krs_pattern_free(krs_pattern *pattern);

/* The scanner that stands for the expression, or NULL. Borrowed from the pattern. */
const krs_scan *krs_pattern_scan(const krs_pattern *pattern);

/* Working memory of one thread for any number of patterns; NULL when there is no memory. */
KRS_MUST_USE krs_pattern_room *krs_pattern_room_new(const krs_alloc *alloc);
void krs_pattern_room_free(krs_pattern_room *room);

/* The matches in text from left to right, not overlapping; an empty match directly after another
 * match is skipped, as the Rust binding of Oniguruma does. */
typedef struct krs_pattern_walk {
    const krs_pattern *pattern;
    krs_pattern_room *room;
    krs_str text; /* well-formed UTF-8, borrowed */
    size_t at;
    size_t last_end; /* of the last match; SIZE_MAX before the first */
} krs_pattern_walk;

static inline krs_pattern_walk krs_pattern_walk_of(const krs_pattern *pattern,
                                                   krs_pattern_room *room, krs_str text)
{
    return (krs_pattern_walk){pattern, room, text, 0, SIZE_MAX};
}

/* The next match, [*start, *end). Errors: KRS_EEOF (no more), KRS_EINVAL (the match limit),
 * KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_pattern_next(krs_pattern_walk *walk, size_t *start, size_t *end);

/* Append text with every match replaced by content. Errors: as _next, without KRS_EEOF, and
 * KRS_ETOOLARGE. */
KRS_MUST_USE krs_status krs_pattern_replace(const krs_pattern *pattern, krs_pattern_room *room,
                                            krs_str text, krs_str content, krs_buf *out);

/* Append the PCRE2 spelling of an Oniguruma expression. Errors: as krs_pattern_new_regex. */
KRS_MUST_USE krs_status krs_pattern_translate(krs_str expression, krs_buf *out, krs_error *err);
