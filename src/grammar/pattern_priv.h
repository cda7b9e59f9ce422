/* grammar/pattern_priv.h - the tree of a pattern, between its parser and its compiler.
 *
 *   pattern_parse.c  text -> tree        pattern_class.c     escapes and [classes]
 *   pattern.c        tree -> regex       pattern_property.c  \p{..}
 *   pattern_trim.c   ends of a search
 *
 * Thread: one owner.  Memory: nodes and sets are the arena's. */
#pragma once

#include "grammar/chars.h"

typedef enum krs_pattern_kind {
    KRS_PATTERN_EMPTY,
    KRS_PATTERN_SET,    /* one character */
    KRS_PATTERN_CAT,    /* children one after the other */
    KRS_PATTERN_ALT,    /* any of the children */
    KRS_PATTERN_REPEAT, /* child, min to max times */
    KRS_PATTERN_START,  /* ^ */
    KRS_PATTERN_END,    /* $ */
    KRS_PATTERN_AHEAD,  /* (?=child) or (?!child) */
} krs_pattern_kind;

typedef struct krs_pattern_node krs_pattern_node;
struct krs_pattern_node {
    krs_pattern_kind kind;
    bool is_pure;            /* no anchor, no lookahead in it: a plain regex */
    bool is_negated;         /* (?! */
    uint32_t min;            /* of a repeat */
    uint32_t max;            /* KRS_REGEX_INF: no bound */
    size_t at;               /* the character it begins with, from 1, for messages */
    krs_charset set;         /* tidy */
    krs_pattern_node *child; /* the first */
    krs_pattern_node *next;  /* of the same parent */
};

typedef struct krs_pattern_reader {
    krs_str left;        /* not read yet */
    size_t at;           /* characters read */
    bool is_case_folded; /* flag i: ASCII letters match both cases */
    bool is_dot_all;     /* flag s: the dot is every character */
    uint32_t n_open;     /* groups open here */
    krs_arena *arena;
    krs_error *err;
    krs_status status; /* the first failure; nothing is read after it */
} krs_pattern_reader;

/* NULL on failure (reader->status). reader: left, flags, arena and err are set, the rest zero. */
krs_pattern_node *krs_pattern_parse(krs_pattern_reader *reader);

typedef enum krs_pattern_end { KRS_PATTERN_HEAD, KRS_PATTERN_TAIL } krs_pattern_end;

/* Any text may stand at this end of what node matches: leave off what that text would do as well. In place. */
void krs_pattern_trim(krs_pattern_node *node, krs_pattern_end end);

/* Fail, naming the place. */
void krs_pattern_refuse(krs_pattern_reader *reader, const char *what);

/* The next character without reading it; UINT32_MAX at the end. */
uint32_t krs_pattern_peek(const krs_pattern_reader *reader);
/* Read it. */
uint32_t krs_pattern_read(krs_pattern_reader *reader);
/* Read it if it is c. */
bool krs_pattern_skip(krs_pattern_reader *reader, uint32_t c);

/* After a backslash: add what it stands for to set; is_class: inside [ ]. *one: the character when it stands for one,
 * else UINT32_MAX. */
void krs_pattern_read_escape(krs_pattern_reader *reader, bool is_class, krs_charset *set,
                             uint32_t *one);
/* After '[': up to ']'. The set is tidy. */
void krs_pattern_read_class(krs_pattern_reader *reader, krs_charset *set);
/* After \p or \P, whose braces are read here. */
void krs_pattern_read_property(krs_pattern_reader *reader, bool is_negated, krs_charset *set);

/* Add a range, in both cases when the reader folds; failures are the reader's. */
void krs_pattern_add(krs_pattern_reader *reader, krs_charset *set, uint32_t first, uint32_t last);

/* The whole: as krs_grammar_pattern, with flags. */
typedef struct krs_pattern_flags {
    bool is_case_folded;
    bool is_dot_all;
} krs_pattern_flags;
KRS_MUST_USE krs_status krs_pattern_compile(krs_grammar_builder *b, krs_str pattern,
                                            const krs_pattern_options *options,
                                            krs_pattern_flags flags, krs_regex *out,
                                            krs_error *err);
