/* grammar/chars.h - sets of characters, and how characters are spelled.
 *
 * A character of a text is a code point; what the automaton sees are bytes. Between them is the spelling: UTF-8,
 * or what stands for the character inside a JSON string. Every spelling is a prefix code, so a regex over
 * characters becomes one over bytes by replacing each set, and concatenation, repeats, AND and NOT (within all
 * spelled texts) stay what they were.
 *
 * In canonical JSON spelling a text is written in one way only: as itself where JSON allows it, else by the short
 * escape, else by \u00xx. That is what makes an enum's text forced and NOT of it exact.
 *
 * Thread: one owner.  Memory: sets live in the caller's arena; regexes in the builder. */
#pragma once

#include "base/arena.h"
#include "grammar/pattern.h"

#define KRS_CHARS_MAX 0x10FFFFu

/* Ranges in any order; krs_charset_tidy sorts and joins them. Surrogates in them mean nothing. */
typedef struct krs_charset {
    krs_char_range *ranges; /* [cap], of the arena */
    size_t n;
    size_t cap;
} krs_charset;

/* Add first..last. Errors: KRS_ENOMEM (also the arena's ceiling). */
KRS_MUST_USE krs_status krs_charset_add(krs_charset *set, krs_arena *arena, uint32_t first,
                                        uint32_t last);
KRS_MUST_USE krs_status krs_charset_add_all(krs_charset *set, krs_arena *arena,
                                            const krs_charset *more);
void krs_charset_tidy(krs_charset *set);
/* All other characters. Errors: KRS_ENOMEM. */
KRS_MUST_USE krs_status krs_charset_invert(krs_charset *set, krs_arena *arena);
/* For a tidy set. */
bool krs_charset_has(const krs_charset *set, uint32_t c);

/* One character of a tidy set. */
krs_regex krs_chars_regex(krs_grammar_builder *b, const krs_charset *set, krs_spelling spelling);
/* One character, any. */
krs_regex krs_chars_any(krs_grammar_builder *b, krs_spelling spelling);
/* Texts of any length. */
krs_regex krs_chars_all(krs_grammar_builder *b, krs_spelling spelling);
/* This text (well-formed UTF-8). */
krs_regex krs_chars_literal(krs_grammar_builder *b, krs_str text, krs_spelling spelling);

/* The first character of s (s.len > 0, well-formed); *n: its bytes. */
uint32_t krs_chars_decode(krs_str s, size_t *n);
