/* text/template/run.h - one rendering: its budgets, its scopes, and what built-ins may ask of it.
 *
 *   krs_trun      steps left, depth, memory, output; made for each rendering, used by one thread
 *   krs_tscope    variables set in one block; a macro keeps the scope it was defined in
 *   krs_tcall     a call of a built-in: who, on what, with which arguments
 *
 * Every built-in filter, test, method and function has the same shape, krs_tbuiltin_fn, and stands in
 * a table with its parameter names; binding arguments to them happens in one place. `params` reads
 * "old,new,count?": names in order, '?' for optional; "*" takes anything, and the function looks at
 * call->actual itself.
 *
 * Failures carry Python's words after "template line N: ", so that somebody who knows the template
 * from transformers recognises them.
 *
 * Thread: one rendering, one thread.  Memory: run->values (ceiling KRS_TRUN_MAX_BYTES) for everything;
 * nothing is freed before the rendering ends. */
#pragma once

#include "text/template/priv.h"

#define KRS_TRUN_MAX_BYTES                                                                         \
    (256u << 20)                  /* all values of one rendering; a long chat needs a few MiB */
#define KRS_TRUN_MAX_EVAL  1000   /* nested evaluations: about 0.5 MiB of stack */
#define KRS_TRUN_MAX_RANGE 100000 /* items of range(), the sandbox's own limit */
#define KRS_TRUN_MAX_ARGS  64     /* arguments of one call */

typedef struct krs_trun krs_trun;
typedef struct krs_tscope krs_tscope;

typedef struct krs_tvar {
    uint32_t name;
    krs_tval value;
} krs_tvar;

struct krs_tscope {
    krs_tscope *parent;
    size_t n, cap;
    krs_tvar *vars;
};

typedef enum krs_tflow {
    KRS_FLOW_ON,
    KRS_FLOW_BREAK,
    KRS_FLOW_CONTINUE,
} krs_tflow;

struct krs_trun {
    const krs_template *t;
    krs_arena values;
    char *text; /* next free byte for strings */
    size_t text_left;
    krs_buf out; /* output so far, and above it the captures in progress */
    uint64_t steps_left;
    uint64_t max_steps;
    uint32_t n_eval;  /* nested evaluations now */
    uint32_t n_macro; /* nested macro calls and recursive loops now */
    uint32_t line;    /* of the node being evaluated */
    krs_tscope *scope;
    const krs_tval *base; /* [names of the template] inputs and global functions */
    krs_tval input;       /* KRS_TN_INPUT */
    krs_tflow flow;
    uint64_t now_unix_s;
    krs_error *err;
};

/* Arguments as a call gives them. */
typedef struct krs_tactual {
    size_t n;
    const krs_tval *pos;
    size_t n_named;
    const krs_str *names;
    const krs_tval *named;
} krs_tactual;

typedef struct krs_tcall {
    krs_trun *run;
    const krs_tbuiltin *fn;
    krs_tval self;                      /* what is filtered or tested; a method's object */
    krs_tval arg[KRS_TCALL_MAX_PARAMS]; /* by fn->params; KRS_T_ABSENT where not given */
    const krs_tactual *actual;
} krs_tcall;

typedef krs_status (*krs_tbuiltin_fn)(krs_tcall *call, krs_tval *out);

struct krs_tbuiltin {
    const char *name;
    krs_tbuiltin_fn fn; /* NULL: known, refused by the sandbox (methods that change their object) */
    const char *params;
};

struct krs_tmethod {
    const krs_tbuiltin *fn;
    krs_tval self;
};

struct krs_tclosure {
    const krs_tmacro *macro;
    krs_tscope *scope;
};

/* The state behind `loop`. Items pass the loop's filter when they are asked for, as in Jinja, where the
 * filter is a generator: what the body changes can change what comes next. */
struct krs_tloop {
    krs_trun *run;
    const krs_tnode *node; /* KRS_TN_FOR */
    krs_tscope *scope;     /* scope around the loop */
    const krs_tval *items; /* [n_items] */
    size_t n_items;
    size_t n_seen;          /* items the filter has looked at */
    const krs_tval *passed; /* those that passed it; == items without a filter */
    krs_tval *room;         /* storage of passed when there is one */
    size_t n_passed;
    size_t at;        /* number of the current one in passed; SIZE_MAX before the first */
    uint32_t depth;   /* of recursive loops, from 0 */
    krs_tval changed; /* last arguments of loop.changed() */
    bool has_changed;
};

/* ---- budgets and failures (template.c) ---- */

/* Pay for n steps. Errors: KRS_ETOOLARGE. */
KRS_MUST_USE krs_status krs_trun_spend(krs_trun *run, uint64_t n);
/* One level deeper; pair with krs_trun_leave. Errors: KRS_ETOOLARGE. */
KRS_MUST_USE krs_status krs_trun_enter(krs_trun *run);
static inline void krs_trun_leave(krs_trun *run)
{
    run->n_eval--;
}
krs_status krs_trun_fail(krs_trun *run, krs_status status, const char *format, ...)
    KRS_PRINTF(3, 4);
krs_status krs_trun_no_memory(krs_trun *run);
/* The error of using an undefined value. */
krs_status krs_trun_fail_undefined(krs_trun *run, const krs_tval *v);

/* ---- memory ---- */

/* Room for n bytes of text; *out is not zeroed. */
KRS_MUST_USE krs_status krs_trun_text(krs_trun *run, size_t n, char **out);
KRS_MUST_USE krs_status krs_trun_copy(krs_trun *run, krs_str s, krs_tval *out);
/* a + b. In place when a is the newest text: building a string piece by piece stays linear. */
KRS_MUST_USE krs_status krs_trun_join(krs_trun *run, krs_str a, krs_str b, krs_str *out);
KRS_MUST_USE krs_status krs_trun_array(krs_trun *run, size_t n, krs_tval **out);
KRS_MUST_USE krs_status krs_trun_seq(krs_trun *run, krs_tkind kind, const krs_tval *items, size_t n,
                                     krs_tval *out);
KRS_MUST_USE krs_status krs_trun_gen(krs_trun *run, const krs_tval *items, size_t n, krs_tval *out);
KRS_MUST_USE krs_status krs_trun_set(krs_trun *run, krs_tmap *map, const krs_tval *key,
                                     const krs_tval *value);
KRS_MUST_USE krs_status krs_trun_undefined(krs_trun *run, krs_tundef_why why, uint8_t owner,
                                           krs_str what, krs_tval *out);

/* ---- captured output: everything written between mark and take becomes a string ---- */

static inline size_t krs_trun_mark(const krs_trun *run)
{
    return run->out.len;
}
KRS_MUST_USE krs_status krs_trun_take(krs_trun *run, size_t mark, krs_tval *out);
KRS_MUST_USE krs_status krs_trun_write(krs_trun *run, krs_str s);
KRS_MUST_USE krs_status krs_trun_putf(krs_trun *run, const char *format, ...) KRS_PRINTF(2, 3);

/* ---- evaluation (eval*.c) ---- */

KRS_MUST_USE krs_status krs_teval(krs_trun *run, const krs_tnode *node, krs_tval *out);
KRS_MUST_USE krs_status krs_texec(krs_trun *run, const krs_tnode *node);
KRS_MUST_USE krs_status krs_tassign(krs_trun *run, const krs_tnode *target, const krs_tval *value);
KRS_MUST_USE krs_status krs_tfor(krs_trun *run, const krs_tnode *node);
KRS_MUST_USE krs_status krs_tscope_set(krs_trun *run, uint32_t name, const krs_tval *value);

KRS_MUST_USE krs_status krs_teval_call(krs_trun *run, const krs_tnode *node, krs_tval *out);
KRS_MUST_USE krs_status krs_teval_filter(krs_trun *run, const krs_tnode *node, krs_tval *out);
KRS_MUST_USE krs_status krs_teval_test(krs_trun *run, const krs_tnode *node, krs_tval *out);
KRS_MUST_USE krs_status krs_tcall_block(krs_trun *run, const krs_tnode *node, krs_tval *out);
/* The macro's text for these arguments. */
KRS_MUST_USE krs_status krs_tmacro_call(krs_trun *run, const krs_tclosure *closure,
                                        const krs_tactual *actual, krs_tval *out);
/* The argument given by that name, or NULL. */
const krs_tval *krs_tactual_named(const krs_tactual *actual, krs_str name);
/* Call a built-in on self with these arguments. */
KRS_MUST_USE krs_status krs_tcall_builtin(krs_trun *run, const krs_tbuiltin *fn,
                                          const krs_tval *self, const krs_tactual *actual,
                                          krs_tval *out);

/* ---- loop (loop.c) ---- */

/* How many items in all, or is there one more: may run the loop's filter. */
KRS_MUST_USE krs_status krs_tloop_fill(krs_tloop *loop, size_t upto);
KRS_MUST_USE krs_status krs_tloop_attribute(krs_tloop *loop, krs_str name, krs_tval *out,
                                            bool *is_known);
/* loop(items) in a recursive loop. */
KRS_MUST_USE krs_status krs_tloop_recurse(krs_tloop *loop, const krs_tval *items, krs_tval *out);

/* ---- operations on values (ops.c, access.c, compare.c) ---- */

KRS_MUST_USE krs_status krs_top_binary(krs_trun *run, uint8_t op, const krs_tval *a,
                                       const krs_tval *b, krs_tval *out);
KRS_MUST_USE krs_status krs_top_negate(krs_trun *run, const krs_tval *a, bool is_minus,
                                       krs_tval *out);
KRS_MUST_USE krs_status krs_top_compare(krs_trun *run, uint8_t op, const krs_tval *a,
                                        const krs_tval *b, bool *out);
KRS_MUST_USE krs_status krs_top_equal(krs_trun *run, const krs_tval *a, const krs_tval *b,
                                      bool *out);
KRS_MUST_USE krs_status krs_top_less(krs_trun *run, const krs_tval *a, const krs_tval *b,
                                     bool *out);
KRS_MUST_USE krs_status krs_top_contains(krs_trun *run, const krs_tval *item, const krs_tval *in,
                                         bool *out);
/* Python's truth: empty and zero are false. */
bool krs_top_is_true(const krs_tval *v);
/* len(v). Errors: KRS_EINVAL (no length). */
KRS_MUST_USE krs_status krs_top_length(krs_trun *run, const krs_tval *v, size_t *out);
/* The items a loop over v sees; consumes generators. */
KRS_MUST_USE krs_status krs_top_items(krs_trun *run, const krs_tval *v, const krs_tval **items,
                                      size_t *n);
KRS_MUST_USE krs_status krs_top_attribute(krs_trun *run, const krs_tval *v, krs_str name,
                                          krs_tval *out);
KRS_MUST_USE krs_status krs_top_subscript(krs_trun *run, const krs_tval *v, const krs_tval *key,
                                          krs_tval *out);
/* bound[3]: start, stop, step; KRS_T_NONE where left out. */
KRS_MUST_USE krs_status krs_top_slice(krs_trun *run, const krs_tval *v, const krs_tval bound[3],
                                      krs_tval *out);
/* The order that sorts keys[n], stable, by merging; reverse keeps equal keys in their order too. */
KRS_MUST_USE krs_status krs_tsort(krs_trun *run, const krs_tval *keys, size_t n, bool is_reverse,
                                  const size_t **order);
/* "a.b.0" from v, as filters take it; attribute may be an int. default_value may be NULL. */
KRS_MUST_USE krs_status krs_top_path(krs_trun *run, const krs_tval *v, const krs_tval *attribute,
                                     const krs_tval *default_value, krs_tval *out);

/* ---- values to text (text.c, json.c, format.c) ---- */

/* Write str(v) or repr(v) to the output. */
KRS_MUST_USE krs_status krs_tput_str(krs_trun *run, const krs_tval *v);
KRS_MUST_USE krs_status krs_tput_repr(krs_trun *run, const krs_tval *v);
/* str(v) as a string value; a string is itself. */
KRS_MUST_USE krs_status krs_tstr(krs_trun *run, const krs_tval *v, krs_tval *out);
/* Python's repr of a float; out[32]. */
void krs_tfloat_text(double f, char out[32]);

typedef struct krs_tjson {
    krs_str item_separator;
    krs_str key_separator;
    krs_str indent; /* one level */
    bool has_indent;
    bool is_ascii;
    bool is_sorted;
} krs_tjson;
KRS_MUST_USE krs_status krs_tput_json(krs_trun *run, const krs_tval *v, const krs_tjson *style);

/* format % value */
KRS_MUST_USE krs_status krs_tformat_percent(krs_trun *run, krs_str format, const krs_tval *value,
                                            krs_tval *out);
/* format.format(...) */
KRS_MUST_USE krs_status krs_tformat_braces(krs_trun *run, krs_str format, const krs_tactual *actual,
                                           krs_tval *out);
/* strftime(format, now) to the output (time.c). */
KRS_MUST_USE krs_status krs_tput_time(krs_trun *run, krs_str format, uint64_t unix_s);
/* s with & < > ' " replaced, marked safe. */
KRS_MUST_USE krs_status krs_tescape(krs_trun *run, krs_str s, krs_tval *out);

/* ---- arguments and tables (call.c and the tables' files) ---- */

static inline bool krs_tcall_has(const krs_tcall *call, size_t i)
{
    return call->arg[i].kind != KRS_T_ABSENT;
}
/* Argument i as what it must be; `otherwise` when it was not given. Errors: KRS_EINVAL. */
KRS_MUST_USE krs_status krs_tcall_int(krs_tcall *call, size_t i, int64_t otherwise, int64_t *out);
KRS_MUST_USE krs_status krs_tcall_str(krs_tcall *call, size_t i, krs_str otherwise, krs_str *out);
bool krs_tcall_bool(const krs_tcall *call, size_t i, bool otherwise);

const krs_tbuiltin *krs_tglobal_find(krs_str name);
/* The method `name` of a value of this kind, or NULL; entries without fn are refused when used. */
const krs_tbuiltin *krs_tmethod_find(uint8_t kind, krs_str name);
/* The entry of that name in a table whose last entry has none, or NULL. */
const krs_tbuiltin *krs_tbuiltin_in(const krs_tbuiltin *table, krs_str name);

/* ---- text (str.c): shared by filters and methods of the same name ---- */

typedef enum krs_tside {
    KRS_TSIDE_LEFT = 1,
    KRS_TSIDE_RIGHT = 2,
    KRS_TSIDE_BOTH = 3,
} krs_tside;

/* s without the characters of chars (NULL ptr: white space) at its ends; a view. */
krs_str krs_tstr_strip(krs_str s, krs_str chars, krs_tside side);
/* Every character mapped to `to`, a krs_text_case. */
KRS_MUST_USE krs_status krs_tstr_case(krs_trun *run, krs_str s, int to, krs_tval *out);
KRS_MUST_USE krs_status krs_tstr_capitalize(krs_trun *run, krs_str s, krs_tval *out);
/* count < 0: all. */
KRS_MUST_USE krs_status krs_tstr_replace(krs_trun *run, krs_str s, krs_str old, krs_str with,
                                         int64_t count, krs_tval *out);
/* s in a field of `width` characters; share: of the padding, how much goes left (0 none, 1 half, 2 all). */
KRS_MUST_USE krs_status krs_tstr_pad(krs_trun *run, krs_str s, int64_t width, krs_str fill,
                                     int share, krs_tval *out);
/* The lines of s, with or without their ends. */
KRS_MUST_USE krs_status krs_tstr_lines(krs_trun *run, krs_str s, bool keeps_ends, krs_tval *out);

/* A growing list of values being built. */
typedef struct krs_tlist {
    size_t n, cap;
    krs_tval *items;
} krs_tlist;
KRS_MUST_USE krs_status krs_tlist_add(krs_trun *run, krs_tlist *list, const krs_tval *value);

/* Tables of the files that implement them; the last entry has no name. */
extern const krs_tbuiltin krs_tfilters_text[];
extern const krs_tbuiltin krs_tfilters_seq[];
extern const krs_tbuiltin krs_tfilters_pick[];
extern const krs_tbuiltin krs_tfilters_number[];
extern const krs_tbuiltin krs_tmethods_str[];
extern const krs_tbuiltin krs_tmethods_split[];
extern const krs_tbuiltin krs_tmethods_is[];
extern const krs_tbuiltin krs_tmethods_dict[];
extern const krs_tbuiltin krs_tmethods_list[];
