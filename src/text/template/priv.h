/* text/template/priv.h - tokens and the tree of a chat template: what the parser leaves the evaluator.
 *
 *   source --lex--> tokens (array) --parse--> tree of krs_tnode --evaluate--> text
 *
 * One node type serves expressions and statements; `kind` says which of its fields mean something (see
 * krs_tnode_kind). Filters and tests are looked up while parsing, so an unknown one is an error before
 * anything is rendered, except inside a condition: there Jinja waits until it is reached, and so do we.
 *
 * Thread: immutable once parsed.  Memory: one arena for each template; nodes borrow from it.
 * Source: Jinja2 3.1 grammar. */
#pragma once

#include "text/template.h"
#include "text/template/value.h"

#define KRS_TEMPLATE_MAX_TREE                                                                      \
    (256u << 20)                         /* bytes of tokens and tree; 1 MiB of source needs < 200 */
#define KRS_TEMPLATE_CHUNK   (64u << 10) /* arena chunk: a typical template's tree fits in a few */
#define KRS_TCALL_MAX_PARAMS 6           /* of any built-in filter, test, method or function */

typedef struct krs_tnode krs_tnode;

typedef enum krs_ttok_kind {
    KRS_TOK_TEXT,
    KRS_TOK_VAR_BEGIN,
    KRS_TOK_VAR_END,
    KRS_TOK_BLOCK_BEGIN,
    KRS_TOK_BLOCK_END,
    KRS_TOK_NAME,
    KRS_TOK_STRING,
    KRS_TOK_INT,
    KRS_TOK_FLOAT,
    KRS_TOK_OP, /* op: the character, or one of krs_top */
    KRS_TOK_END,
} krs_ttok_kind;

/* Operators longer than a character, and those spelled as words. */
typedef enum krs_top {
    KRS_TOP_EQ = 128,
    KRS_TOP_NE,
    KRS_TOP_LE,
    KRS_TOP_GE,
    KRS_TOP_FLOORDIV,
    KRS_TOP_POW,
    KRS_TOP_IN,
    KRS_TOP_NOT_IN,
} krs_top;

typedef struct krs_ttok {
    uint8_t kind; /* krs_ttok_kind */
    uint8_t op;
    uint32_t line;
    krs_str text; /* text, name, or the string with its escapes resolved */
    union {
        int64_t i;
        double f;
    } u;
} krs_ttok;

/* A growing array of pointers in an arena. */
typedef struct krs_tvec {
    void **items;
    size_t n;
    size_t cap;
} krs_tvec;

/* False without memory. */
KRS_MUST_USE bool krs_tvec_push(krs_arena *arena, krs_tvec *vec, void *item);

typedef enum krs_tnode_kind {
    /* expressions */
    KRS_TN_CONST,   /* value */
    KRS_TN_NAME,    /* name */
    KRS_TN_LIST,    /* child[n] */
    KRS_TN_TUPLE,   /* child[n]; also as assignment target */
    KRS_TN_DICT,    /* child[n]: key, value, key, value... */
    KRS_TN_ATTR,    /* a . text */
    KRS_TN_ITEM,    /* a [ b ] */
    KRS_TN_SLICE,   /* a [ child[0] : child[1] : child[2] ], each may be NULL */
    KRS_TN_CALL,    /* a ( args ) */
    KRS_TN_FILTER,  /* a | fn ( args ), text = name */
    KRS_TN_TEST,    /* a is fn ( args ), text = name */
    KRS_TN_NOT,     /* a */
    KRS_TN_NEG,     /* a */
    KRS_TN_POS,     /* a */
    KRS_TN_BINARY,  /* a op b */
    KRS_TN_CONCAT,  /* child[n] joined by ~ */
    KRS_TN_COMPARE, /* child[0] ops[0] child[1] ops[1] child[2]... */
    KRS_TN_AND,     /* a, b */
    KRS_TN_OR,      /* a, b */
    KRS_TN_COND,    /* a if b else c; c may be NULL */
    KRS_TN_INPUT,   /* the text a filter block or block set has captured */
    KRS_TN_NSREF,   /* target only: name . text */
    /* statements */
    KRS_TN_BODY,   /* child[n] */
    KRS_TN_TEXT,   /* text */
    KRS_TN_OUTPUT, /* a */
    KRS_TN_IF,     /* child[n]: condition, body, condition, body...; c: else body or NULL */
    KRS_TN_FOR, /* a target, b iterable, c filter or NULL, child[0] body, child[1] else or NULL */
    KRS_TN_SET, /* a target, b value */
    KRS_TN_SETBLOCK,    /* a target, b filters over INPUT, child[0] body */
    KRS_TN_MACRO,       /* macro, bound to macro->name */
    KRS_TN_CALLBLOCK,   /* a the CALL, macro its caller() */
    KRS_TN_FILTERBLOCK, /* b filters over INPUT, child[0] body */
    KRS_TN_WITH,        /* child[n - 1]: target, value...; child[n - 1] the body */
    KRS_TN_SCOPED,      /* child[0], in a scope of its own: generation blocks */
    KRS_TN_BREAK,
    KRS_TN_CONTINUE,
    KRS_TNODE_KIND_COUNT
} krs_tnode_kind;

typedef enum krs_targ_kind {
    KRS_TARG_POSITION,
    KRS_TARG_NAMED,
    KRS_TARG_LIST, /* *values */
    KRS_TARG_MAP,  /* **values */
} krs_targ_kind;

typedef struct krs_targ {
    krs_targ_kind kind;
    krs_str name;
    const krs_tnode *value;
} krs_targ;

typedef struct krs_tmacro {
    krs_str title; /* "caller" for the body of a call block */
    uint32_t name; /* variable it is bound to */
    size_t n_params;
    const uint32_t *params;           /* [n_params] names */
    const krs_tnode *const *defaults; /* [n_params], NULL where there is none */
    const krs_tnode *body;
    bool
        has_varargs; /* the body mentions varargs, kwargs, caller: only then may a call pass them */
    bool has_kwargs;
    bool has_caller;
} krs_tmacro;

struct krs_tnode {
    uint8_t kind; /* krs_tnode_kind */
    uint8_t op;
    bool is_recursive; /* FOR */
    uint32_t line;
    uint32_t name; /* index into krs_template.names */
    size_t n;
    krs_tnode **child;
    krs_tnode *a, *b, *c;
    const uint8_t *ops;
    size_t n_args;
    const krs_targ *args;
    const krs_tbuiltin *fn; /* NULL: unknown, an error when reached */
    const krs_tmacro *macro;
    krs_str text;
    krs_tval value;
};

struct krs_template {
    const krs_alloc *alloc;
    krs_arena arena;
    krs_tnode *root;
    krs_tmap *numbers; /* name -> its number */
    krs_tvec names;    /* krs_str * by number */
    uint32_t name_loop, name_caller, name_varargs, name_kwargs;
};

/* Cut source into tokens, ending with KRS_TOK_END. Applies trim_blocks, lstrip_blocks, the signs of
 * tags, and drops one newline at the end, as Jinja does. */
KRS_MUST_USE krs_status krs_tlex(krs_str source, krs_arena *arena, krs_ttok **tokens,
                                 size_t *n_tokens, krs_error *err);

/* The string literal between its quotes, escapes resolved. NULL ptr and *why on a bad one (why is
 * NULL when memory ran out). */
krs_str krs_tlex_unescape(krs_str raw, krs_arena *arena, const char **why);

/* ---- the parser's own state, shared by statements and expressions ---- */

typedef struct krs_tparse {
    krs_template *t;
    const krs_ttok *tok; /* current token */
    krs_error *err;
    krs_status status;        /* first failure */
    uint32_t depth;           /* nesting of expressions and blocks */
    uint32_t n_soft;          /* enclosing conditions: unknown filters wait for run time */
    uint32_t n_nested;        /* enclosing expressions */
    const krs_tnode *unknown; /* first filter or test of this expression that nobody knows */
    uint32_t n_loops;         /* enclosing loops of this macro: break and continue are legal */
    krs_tmacro *macro;        /* innermost enclosing macro, or NULL */
} krs_tparse;

/* All return NULL (or false) after recording the failure in p. */
void *krs_tparse_fail(krs_tparse *p, krs_status status, const char *format, ...) KRS_PRINTF(3, 4);
void *krs_tparse_no_memory(krs_tparse *p);
krs_tnode *krs_tparse_node(krs_tparse *p, krs_tnode_kind kind);
bool krs_tparse_push(krs_tparse *p, krs_tvec *vec, void *item);
bool krs_tparse_enter(krs_tparse *p);
bool krs_tparse_name(krs_tparse *p, krs_str text, uint32_t *out);
bool krs_tparse_is_op(const krs_tparse *p, uint8_t op);
bool krs_tparse_is_word(const krs_tparse *p, const char *word);
bool krs_tparse_take_op(krs_tparse *p, uint8_t op);
bool krs_tparse_take_word(krs_tparse *p, const char *word);
bool krs_tparse_expect_op(krs_tparse *p, uint8_t op);
/* What the current token is, for messages; valid until the next call. */
krs_str krs_tparse_describe(const krs_tparse *p);

krs_tnode *krs_tparse_expr(krs_tparse *p);                     /* with inline if */
krs_tnode *krs_tparse_tuple(krs_tparse *p, bool has_cond);     /* a, b  or one expression */
krs_tnode *krs_tparse_paren(krs_tparse *p);                    /* (expression) or (a, b) */
krs_tnode *krs_tparse_target(krs_tparse *p, bool has_nsref);   /* of for, set, with */
krs_tnode *krs_tparse_primary(krs_tparse *p);                  /* literal, name, parentheses */
krs_tnode *krs_tparse_postfix(krs_tparse *p, krs_tnode *node); /* .x [x] (x) */
krs_tnode *krs_tparse_filter(krs_tparse *p, krs_tnode *node);  /* one filter, after its bar */
krs_tnode *krs_tparse_filters(krs_tparse *p, krs_tnode *node); /* |filter, is test, (call) */
krs_tnode *krs_tparse_template(krs_tparse *p);

/* Tables of built-ins; NULL when there is none of that name. */
const krs_tbuiltin *krs_tfilter_find(krs_str name);
const krs_tbuiltin *krs_ttest_find(krs_str name);
