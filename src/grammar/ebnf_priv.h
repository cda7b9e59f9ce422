/* grammar/ebnf_priv.h - the reader of grammars, between its files.
 *
 *   ebnf.c        the entry, rules, directives, what is checked at the end
 *   ebnf_expr.c   the right side of a rule
 *   ebnf_text.c   blanks, names, literals, characters
 *
 * Thread: one owner.  Memory: the arena's. */
#pragma once

#include "grammar/chars.h"
#include "grammar/ebnf.h"

typedef struct krs_ebnf_rule krs_ebnf_rule;

/* A rule that another one names. */
typedef struct krs_ebnf_use {
    krs_ebnf_rule *rule;
    struct krs_ebnf_use *next;
} krs_ebnf_use;

struct krs_ebnf_rule {
    krs_str name;
    uint32_t line; /* of its definition; before that, of its first use */
    bool is_defined;
    bool is_imported; /* may stay unused */
    bool is_used;     /* from the start on */
    krs_rule rule;
    krs_ebnf_use *uses;
    krs_ebnf_rule *next; /* in order of appearance */
    krs_ebnf_rule *next_in_bucket;
};

#define KRS_EBNF_BUCKETS 1024u /* of names; grammars have hundreds */

typedef struct krs_ebnf {
    krs_grammar_builder *b;
    krs_arena arena;
    krs_str left; /* not read yet */
    uint32_t line;
    uint32_t n_open; /* brackets open here */
    krs_ebnf_rule *buckets[KRS_EBNF_BUCKETS];
    krs_ebnf_rule *first;
    krs_ebnf_rule **end;
    krs_ebnf_rule *current; /* whose right side is read; NULL in %ignore */
    bool is_gbnf;           /* this rule is written with ::= */
    bool is_terminal;       /* this rule is a terminal of Lark: nothing is ignored inside */
    bool has_ignore;
    krs_expr ignored; /* any number of what is ignored */
    krs_status status;
    krs_error *err;
} krs_ebnf;

/* Fail with the line. */
void krs_ebnf_refuse(krs_ebnf *e, const char *format, ...) KRS_PRINTF(2, 3);
void *krs_ebnf_take(krs_ebnf *e, size_t n, size_t item_bytes);
/* The rule of this name, new when it is not known. NULL after a failure. */
krs_ebnf_rule *krs_ebnf_rule_of(krs_ebnf *e, krs_str name);

/* ebnf_text.c */
void krs_ebnf_skip_blanks(krs_ebnf *e); /* also comments and line ends */
char krs_ebnf_peek(const krs_ebnf *e);  /* 0 at the end */
bool krs_ebnf_skip(krs_ebnf *e, const char *text);
krs_str krs_ebnf_read_name(krs_ebnf *e); /* empty: there is none */
bool krs_ebnf_read_number(krs_ebnf *e, uint32_t *out);
/* Does a rule begin here? */
bool krs_ebnf_at_rule(const krs_ebnf *e);
/* At a quote: a literal, a range of characters ("a".."z"), with the flag i. */
krs_regex krs_ebnf_read_literal(krs_ebnf *e);
/* At '/': a regex. */
krs_regex krs_ebnf_read_regex(krs_ebnf *e);
/* At '[' of GBNF. */
krs_regex krs_ebnf_read_class(krs_ebnf *e);

/* ebnf_expr.c */
krs_expr krs_ebnf_read_alternatives(krs_ebnf *e);
