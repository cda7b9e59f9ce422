/* text/template/value.h - the values a chat template computes with: Python's, as far as templates see.
 *
 *   krs_tval (24 bytes)   none, bool, int64, double, string, or a pointer to one of the below
 *   krs_tseq              list, tuple, range, dict view: a length and items, never changed once shared
 *   krs_tmap              dict or namespace: ordered entries, hashed from the ninth on
 *   krs_tgen              generator: items that can be walked once, as map() and select() return
 *
 * The sandbox templates are written for refuses every mutating method, so all values but namespaces
 * are immutable: sharing is by pointer, and copying a value is copying 24 bytes. Strings are UTF-8;
 * lengths and indices that templates see count code points, as Python's do.
 * Integers are 64 bits; Python's are unbounded, and here going beyond is an error, never a wrong
 * number.
 *
 * Thread: a value belongs to the rendering that made it.  Memory: the rendering's arena, nothing is
 * freed before its end.  Source: Python 3 data model; Jinja2 3.1 runtime. */
#pragma once

#include "base/arena.h"

#define KRS_TMAP_LINEAR 8 /* entries searched one by one before a hash index pays */

typedef enum krs_tkind {
    KRS_T_ABSENT, /* an argument that was not given; never seen by a template */
    KRS_T_UNDEF,  /* Jinja's Undefined: prints as nothing, fails when used */
    KRS_T_NONE,
    KRS_T_BOOL,
    KRS_T_INT,
    KRS_T_FLOAT,
    KRS_T_STR,
    KRS_T_LIST,
    KRS_T_TUPLE,
    KRS_T_RANGE,
    KRS_T_VIEW, /* dict.keys(), .values(), .items() */
    KRS_T_GEN,
    KRS_T_DICT,
    KRS_T_NAMESPACE,
    KRS_T_FUNC,   /* a global function */
    KRS_T_METHOD, /* a built-in method bound to its object */
    KRS_T_MACRO,
    KRS_T_LOOP, /* the variable `loop` */
    KRS_T_CYCLER,
    KRS_T_JOINER,
    KRS_TKIND_COUNT
} krs_tkind;

typedef struct krs_tval krs_tval;
typedef struct krs_tseq krs_tseq;
typedef struct krs_tmap krs_tmap;
typedef struct krs_tgen krs_tgen;
typedef struct krs_tundef krs_tundef;
typedef struct krs_tmethod krs_tmethod;
typedef struct krs_tclosure krs_tclosure;
typedef struct krs_tloop krs_tloop;
typedef struct krs_tcycle krs_tcycle;
typedef struct krs_tbuiltin krs_tbuiltin;

struct krs_tval {
    uint8_t kind;    /* krs_tkind */
    uint8_t is_safe; /* strings: marked by |safe or |escape (markupsafe's Markup) */
    union {
        bool b;
        int64_t i;
        double f;
        krs_str s;
        const krs_tseq *seq; /* list, tuple, range, view */
        krs_tgen *gen;
        krs_tmap *map; /* dict, namespace */
        const krs_tundef *undef;
        const krs_tbuiltin *func;
        const krs_tmethod *method;
        const krs_tclosure *macro;
        krs_tloop *loop;
        krs_tcycle *cycle; /* cycler, joiner */
    } u;
};

struct krs_tseq {
    size_t n;
    const krs_tval *items;
    const char *type_name;     /* views: "dict_keys"...; otherwise NULL */
    int64_t start, stop, step; /* ranges */
};

struct krs_tgen {
    size_t n;
    size_t at; /* items before it were consumed */
    const krs_tval *items;
};

typedef struct krs_tentry {
    krs_tval key;
    krs_tval value;
    uint64_t hash;
} krs_tentry;

struct krs_tmap {
    size_t n;
    size_t cap;
    krs_tentry *entries; /* [cap], in order of insertion */
    uint32_t *index; /* [n_index] entry number + 1, 0 free; NULL up to KRS_TMAP_LINEAR entries */
    size_t n_index;  /* power of two, at least twice n */
};

/* Why a value is undefined, kept to word the error when somebody uses it. */
typedef enum krs_tundef_why {
    KRS_TUNDEF_NAME,      /* 'x' is undefined */
    KRS_TUNDEF_ATTRIBUTE, /* 'dict object' has no attribute 'x' */
    KRS_TUNDEF_ELEMENT,   /* list object has no element 7 */
    KRS_TUNDEF_UNSAFE,    /* access to attribute 'append' of 'list' object is unsafe. */
    KRS_TUNDEF_HINT,      /* the words themselves */
} krs_tundef_why;

struct krs_tundef {
    krs_tundef_why why;
    uint8_t owner; /* krs_tkind of the object */
    krs_str what;
};

struct krs_tcycle {
    size_t n;
    size_t at;
    const krs_tval *items; /* joiner: one item, its separator */
};

static inline krs_tval krs_tval_none(void)
{
    return (krs_tval){.kind = KRS_T_NONE};
}

static inline krs_tval krs_tval_bool(bool b)
{
    return (krs_tval){.kind = KRS_T_BOOL, .u.b = b};
}

static inline krs_tval krs_tval_int(int64_t i)
{
    return (krs_tval){.kind = KRS_T_INT, .u.i = i};
}

static inline krs_tval krs_tval_float(double f)
{
    return (krs_tval){.kind = KRS_T_FLOAT, .u.f = f};
}

static inline krs_tval krs_tval_str(krs_str s)
{
    return (krs_tval){.kind = KRS_T_STR, .u.s = s};
}

static inline krs_tval krs_tval_seq(krs_tkind kind, const krs_tseq *seq)
{
    return (krs_tval){.kind = (uint8_t)kind, .u.seq = seq};
}

static inline krs_tval krs_tval_map(krs_tkind kind, krs_tmap *map)
{
    return (krs_tval){.kind = (uint8_t)kind, .u.map = map};
}

static inline bool krs_tval_is_seq(const krs_tval *v)
{
    return v->kind >= KRS_T_LIST && v->kind <= KRS_T_VIEW;
}

/* bool, int or float: bool is an int, as in Python. */
static inline bool krs_tval_is_number(const krs_tval *v)
{
    return v->kind >= KRS_T_BOOL && v->kind <= KRS_T_FLOAT;
}

/* The integer in a bool or an int. */
static inline int64_t krs_tval_integer(const krs_tval *v)
{
    return v->kind == KRS_T_BOOL ? (int64_t)v->u.b : v->u.i;
}

static inline double krs_tval_number(const krs_tval *v)
{
    return v->kind == KRS_T_FLOAT ? v->u.f : (double)krs_tval_integer(v);
}

/* Python's name of the type: "str", "NoneType", "dict_items". */
const char *krs_tval_type(const krs_tval *v);

/* Is this a value a dict takes as key (str, numbers, None, tuples of those)? */
bool krs_tval_is_hashable(const krs_tval *v);

/* A new sequence of n items; items are borrowed. NULL without memory. */
krs_tseq *krs_tseq_new(krs_arena *arena, const krs_tval *items, size_t n);

/* An empty map with room for cap entries. NULL without memory. */
krs_tmap *krs_tmap_new(krs_arena *arena, size_t cap);

/* Set key (hashable) to value; a key that exists keeps its place. False without memory. */
KRS_MUST_USE bool krs_tmap_set(krs_arena *arena, krs_tmap *map, const krs_tval *key,
                               const krs_tval *value);

/* The value of key, or NULL. Cost: O(1) expected. */
const krs_tval *krs_tmap_find(const krs_tmap *map, const krs_tval *key);
const krs_tval *krs_tmap_find_str(const krs_tmap *map, krs_str key);

/* Equality of hashable values, as dict keys compare: 1 == 1.0 == True. */
bool krs_tval_is_same_key(const krs_tval *a, const krs_tval *b);
