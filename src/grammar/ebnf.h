/* grammar/ebnf.h - grammars as people write them: GBNF and Lark's EBNF.
 *
 *   root ::= item ("," item)*         start: item ("," item)*
 *   item ::= [a-z]+ | "\"" [^"]* "\"" item: /[a-z]+/ | ESCAPED_STRING
 *
 * Both are read by one parser, line for line; which of the two a rule is written in is told by its `::=` or `:`.
 * Known: | ( ) [ ] (optional in Lark, characters in GBNF) ? * + {m,n} ~m..n, "literals" with escapes and the flag i,
 * 'literals' in GBNF, /regexes/ with the flags i and s, "a".."z", # and // comments, Lark's ?rule, !rule, aliases, %ignore,
 * %import common.X and priorities (which do not change what matches). The first rule is root, else start, else the first.
 * Refused with its line: what is not known, a rule that is not defined, defined twice, never used, or begins with itself.
 *
 * Thread: as the builder.  Memory: an arena while it works; what is built is the builder's.
 * Source: llama.cpp grammars/README.md; the Lark documentation, Grammar Reference. */
#pragma once

#include "grammar/expr.h"

#define KRS_GRAMMAR_EBNF_MAX_BYTES (1u << 20) /* real ones stay under 100 KiB */
#define KRS_GRAMMAR_EBNF_MAX_DEPTH 250        /* nested groups, which recursion meets */

/* The texts of the grammar. text: UTF-8. Errors: KRS_EINVAL with the line; KRS_ENOMEM. The builder is of no more use
 * after an error. */
KRS_MUST_USE krs_status krs_grammar_ebnf(krs_grammar_builder *b, krs_str text, krs_expr *out,
                                         krs_error *err);
