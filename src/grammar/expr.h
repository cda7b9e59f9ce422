/* grammar/expr.h - expressions: what a schema or a grammar is made of, above regexes.
 *
 * A lexeme is a regex; around lexemes are sequences, choices, repeats, rules (recursion) and JSON objects.
 * There is no longest-match rule and no separate lexer: a text belongs to an expression when it can be cut
 * into lexemes in any way that fits, and all ways are followed at once. Two lexemes side by side are
 * therefore just their concatenation; write regular parts (a string, a number, a literal) as one regex,
 * which is cheaper than a sequence of lexemes.
 *
 * Nothing is expanded when it is built: what a repeat, a rule or an object stands for is looked at when a
 * text has come there, so building costs microseconds, whatever it describes.
 *
 * Thread: as the builder.  Memory: the builder's. An argument of another builder is a bug. */
#pragma once

#include "grammar/regex.h"

krs_expr krs_expr_none(krs_grammar_builder *b);  /* matches nothing */
krs_expr krs_expr_empty(krs_grammar_builder *b); /* matches the empty text */
krs_expr krs_expr_lexeme(krs_grammar_builder *b, krs_regex regex);
krs_expr krs_expr_literal(krs_grammar_builder *b, krs_str text); /* a lexeme of just this text */

/* parts[n] one after the other. n = 0: empty. */
krs_expr krs_expr_seq(krs_grammar_builder *b, const krs_expr *parts, size_t n);
/* Any of parts[n]. n = 0: none. Texts that several of them match are fine (and cost twice). */
krs_expr krs_expr_alt(krs_grammar_builder *b, const krs_expr *parts, size_t n);
/* e, min to max times; max may be KRS_REGEX_INF. min > max: none. */
krs_expr krs_expr_repeat(krs_grammar_builder *b, krs_expr e, uint32_t min, uint32_t max);

/* A new rule: refer to it with krs_expr_rule, define it once, before krs_grammar_build. name: for messages,
 * copied, cut to 64 bytes. */
krs_rule krs_expr_declare(krs_grammar_builder *b, krs_str name);
krs_expr krs_expr_rule(krs_grammar_builder *b, krs_rule rule);
/* Errors (sticky): KRS_EINVAL (defined already). */
void krs_expr_define(krs_grammar_builder *b, krs_rule rule, krs_expr e);

/* A property that is declared by name. */
typedef struct krs_expr_property {
    krs_regex
        key; /* the whole key as it is written, with its quotes; must not match the empty text */
    krs_expr value;
    bool is_required;
} krs_expr_property;

/* A further kind of keys (patternProperties, additionalProperties): any number of properties. Its keys must
 * not match a declared key (AND it with NOT of them), or a declared property could be written through it. */
typedef struct krs_expr_further {
    krs_regex key; /* as above */
    krs_expr value;
} krs_expr_further;

/* A JSON object:  open [ property { separator property } ] close,  property = key colon value.
 *
 * Declared properties come at most once each. In order: they come as in `properties`, each may be left out
 * unless required, and further keys come after all of them; masks are narrow and runs of forced text long.
 * In any order: every order is a match; for checking texts that others wrote.
 * A further key may come twice; whoever needs min_count distinct ones must not leave them to further keys. */
typedef struct krs_expr_object {
    const krs_expr_property *properties; /* [n_properties], copied */
    size_t n_properties;
    const krs_expr_further *further; /* [n_further], copied */
    size_t n_further;
    uint32_t min_count;                     /* of properties, 0 for no bound */
    uint32_t max_count;                     /* KRS_REGEX_INF for no bound */
    krs_expr open, close, separator, colon; /* with the white space that is allowed there */
    bool is_any_order;
} krs_expr_object;

#define KRS_EXPR_MAX_PROPERTIES 65536 /* of one object; the largest public schemas have 2,000 */

/* Properties whose value or key matches nothing are left out; when such a one is required, or the counts
 * cannot be met, the object matches nothing. Errors (sticky): KRS_ETOOLARGE (properties). */
krs_expr krs_expr_object_of(krs_grammar_builder *b, const krs_expr_object *spec);
