/* grammar/regex.h - regular expressions over bytes, with AND and NOT.
 *
 * They are matched by derivatives: what remains of r after byte c is a regex again, so there is no
 * automaton to build beforehand, AND and NOT cost no more than OR, and {0,100000} is one node until a text
 * has come that far. Equal regexes are one node, which is what makes derivatives few.
 *
 * They match whole texts: a search (as JSON Schema's `pattern` is) is written any* r any*.
 *
 * Thread: as the builder.  Memory: the builder's. An argument of another builder is a bug.
 * Source: Brzozowski, Derivatives of Regular Expressions, J. ACM 11 (1964); Owens, Reppy, Turon,
 * Regular-expression derivatives re-examined, J. Funct. Prog. 19 (2009). */
#pragma once

#include "grammar/builder.h"

#define KRS_REGEX_INF       UINT32_MAX /* `max` of a repeat without end */
#define KRS_REGEX_MAX_DEPTH 1000 /* nesting that recursion meets; patterns people write have < 20 */

/* Code points first..last, both included; surrogates in it are left out. */
typedef struct krs_char_range {
    uint32_t first;
    uint32_t last; /* 0..0x10FFFF */
} krs_char_range;

krs_regex krs_regex_none(krs_grammar_builder *b);  /* matches nothing */
krs_regex krs_regex_empty(krs_grammar_builder *b); /* matches the empty text */
krs_regex
krs_regex_any(krs_grammar_builder *b); /* every run of bytes, of any length, UTF-8 or not */
krs_regex krs_regex_text(krs_grammar_builder *b); /* every well-formed UTF-8 text, of any length */

/* One byte of a set: bit c % 64 of set[c / 64] for byte c. */
krs_regex krs_regex_bytes(krs_grammar_builder *b, const uint64_t set[4]);

/* Exactly these bytes (copied). */
krs_regex krs_regex_literal(krs_grammar_builder *b, krs_str text);

/* One character of the ranges (in any order, they may overlap), in UTF-8. is_negated: one of the others. */
krs_regex krs_regex_chars(krs_grammar_builder *b, const krs_char_range *ranges, size_t n,
                          bool is_negated);

/* parts[n] one after the other. n = 0: empty. */
krs_regex krs_regex_cat(krs_grammar_builder *b, const krs_regex *parts, size_t n);
/* Any of parts[n]. n = 0: none. Literals among them become a tree of words: an enum is cheap. */
krs_regex krs_regex_or(krs_grammar_builder *b, const krs_regex *parts, size_t n);
/* What all of parts[n] match. n = 0: any. */
krs_regex krs_regex_and(krs_grammar_builder *b, const krs_regex *parts, size_t n);
/* Every run of bytes that r does not match (also what is not UTF-8: AND it with what it should be). */
krs_regex krs_regex_not(krs_grammar_builder *b, krs_regex r);
/* r, min to max times; max may be KRS_REGEX_INF. min > max: none. */
krs_regex krs_regex_repeat(krs_grammar_builder *b, krs_regex r, uint32_t min, uint32_t max);

/* The same for two, for readable callers. */
krs_regex krs_regex_cat2(krs_grammar_builder *b, krs_regex first, krs_regex second);
krs_regex krs_regex_or2(krs_grammar_builder *b, krs_regex first, krs_regex second);
krs_regex krs_regex_and2(krs_grammar_builder *b, krs_regex first, krs_regex second);

/* Does r match the empty text? */
bool krs_regex_is_nullable(const krs_grammar_builder *b, krs_regex r);

/* Does r match this text? Cost: a derivative a byte; counts steps. false when the builder has failed. */
bool krs_regex_matches(krs_grammar_builder *b, krs_regex r, krs_str text);

/* Does r match no text at all? Exact for regexes without AND and NOT; else a search that counts steps, and
 * fails the builder (KRS_ETOOLARGE) when they are used up. true when the builder has failed. */
bool krs_regex_is_none(krs_grammar_builder *b, krs_regex r);
