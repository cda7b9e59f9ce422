/* grammar/schema_priv.h - what a schema is between its JSON and its expression.
 *
 *   atom   one subschema or value of the document, or NOT of it
 *   conj   a set of atoms that must all hold; a number, the same for the same set. Recursion ends because a
 *          document has finitely many atoms, and the sets that are met are few
 *   form   what a conj comes to at this place, per type: scalars as regexes, arrays and objects as unions of
 *          shapes, whose items and properties are conjs again, looked at only when the emitter gets there
 *
 * Scalars are held twice: `upper` is a superset of what is valid, `out` a subset, which is what may be written.
 * Mostly they are equal. NOT swaps them, so what cannot be said exactly (a host name's Punycode) or should not be
 * written (1.00 for 1) is never accepted wrongly, whatever is around it.
 *
 *   schema.c         the entry, failures, conjs          schema_index.c   $id, $anchor, $ref
 *   schema_form.c    intersection and union of forms     schema_read.c    keywords to forms
 *   schema_not.c     NOT of keywords                     schema_object.c  schema_array.c  shapes
 *   schema_number.c  schema_string.c  schema_value.c     scalars, enum and const
 *   schema_empty.c   does nothing match? oneOf           schema_emit.c    forms to expressions
 *
 * Thread: one owner.  Memory: the arena's, and two tables of the ledger's. */
#pragma once

#include "base/arena.h"
#include "grammar/chars.h"
#include "grammar/pool_priv.h"
#include "grammar/schema.h"

#define KRS_SCHEMA_MAX_DEPTH  256u /* of the JSON; the reader of requests takes 128 */
#define KRS_SCHEMA_MAX_SHAPES 256u /* alternatives of one type at one place: anyOf times anyOf */
#define KRS_SCHEMA_MAX_NESTED                                                                      \
    120u /* keywords that apply in place, inside one another; recursion meets them */
#define KRS_SCHEMA_MAX_WORK                                                                        \
    (1u << 22)                     /* properties and items looked at: about a quarter of a second */
#define KRS_SCHEMA_MAX_FORMATS 32u /* that have a name */
#define KRS_SCHEMA_MAX_ATOMS   64u /* of one conj: subschemas that hold at one place */

typedef enum krs_atom_kind {
    KRS_ATOM_SCHEMA,
    KRS_ATOM_NOT_SCHEMA,
    KRS_ATOM_VALUE, /* equal to this JSON value */
    KRS_ATOM_NOT_VALUE,
} krs_atom_kind;

typedef struct krs_atom {
    const json_t *node;
    krs_atom_kind kind;
} krs_atom;

typedef uint32_t krs_conj;
#define KRS_CONJ_TRUE  0u /* no atom: every value */
#define KRS_CONJ_FALSE 1u /* nothing */

typedef struct krs_language {
    krs_regex upper;
    krs_regex out;
} krs_language;

typedef struct krs_array_shape {
    const krs_conj *prefix; /* [n_prefix] */
    uint32_t n_prefix;
    krs_conj rest;
    uint32_t min;
    uint32_t max; /* KRS_REGEX_INF */
    /* min_has to max_has of the items from `has_from` on are `has`; min_has = 0 and max_has = INF: nothing is asked. */
    krs_conj has;
    uint32_t min_has;
    uint32_t max_has;
    uint32_t has_from;
    bool is_unique;
    const json_t *at; /* the subschema to name in a refusal */
} krs_array_shape;

typedef struct krs_object_property {
    krs_str name; /* UTF-8, of the document */
    uint64_t hash;
    krs_conj value; /* FALSE: must not be there */
    bool is_required;
} krs_object_property;

/* Names that are not declared fall into just one class. */
typedef struct krs_object_class {
    krs_regex names; /* as spelled in JSON, without quotes */
    krs_conj value;
} krs_object_class;

typedef struct krs_object_shape {
    const krs_object_property *properties; /* [n_properties] */
    size_t n_properties;
    const krs_object_class *classes; /* [n_classes], n_classes > 0 */
    size_t n_classes;
    const krs_object_class *some; /* [n_some]: of each, at least one property there must be */
    size_t n_some;
    uint32_t min;
    uint32_t max;
    const json_t *at;
} krs_object_shape;

enum { KRS_BIT_NULL = 1, KRS_BIT_FALSE = 2, KRS_BIT_TRUE = 4 };

typedef struct krs_form {
    uint8_t upper_bits; /* always equal to what may be written */
    krs_language number;
    krs_language string;
    const krs_array_shape *const *arrays; /* [n_arrays], any of them */
    size_t n_arrays;
    const krs_object_shape *const *objects; /* [n_objects] */
    size_t n_objects;
} krs_form;

typedef enum krs_emptiness {
    KRS_EMPTY_UNKNOWN,
    KRS_EMPTY_ASKED,
    KRS_EMPTY_NO,
    KRS_EMPTY_YES
} krs_emptiness;

/* One conj. */
typedef struct krs_conj_entry {
    const krs_atom *atoms; /* [n_atoms], sorted */
    uint32_t n_atoms;
    uint32_t emptiness; /* krs_emptiness */
    const krs_form *form;
    krs_expr expr;
    bool is_emitted; /* expr is known */
    bool is_queued;  /* expr is a rule to be defined */
    krs_rule rule;
} krs_conj_entry;

/* One subschema that was met. */
typedef struct krs_node_entry {
    const json_t *node;
    uint32_t resource;
    bool is_open[2]; /* its form (of NOT) is being made: meeting it again is a circle */
    const krs_form *form[2];
} krs_node_entry;

/* A document, or a part of it with an $id. */
typedef struct krs_resource {
    krs_str uri; /* without fragment */
    const json_t *root;
} krs_resource;

typedef struct krs_anchor {
    krs_str name;
    uint32_t resource;
    bool is_dynamic;
    const json_t *node;
} krs_anchor;

typedef struct krs_schema {
    krs_grammar_builder *b;
    krs_schema_options options;
    krs_schema_dialect dialect; /* not AUTO */
    krs_spelling spelling;
    const json_t *root;
    krs_arena arena;
    krs_ledger ledger;
    krs_intern conj_ids;
    krs_pool conjs; /* krs_conj_entry */
    krs_intern node_ids;
    krs_pool nodes; /* krs_node_entry */
    krs_pool resources;
    krs_pool anchors;
    krs_pool queue; /* krs_conj whose rules are to be defined */
    krs_regex quote;
    krs_regex string_all;                         /* every string's inside */
    krs_regex number_all;                         /* every number */
    krs_regex number_out;                         /* every number that is written for "number" */
    krs_regex number_exps;                        /* numbers with an exponent */
    krs_language formats[KRS_SCHEMA_MAX_FORMATS]; /* by row of their table, each compiled once */
    uint32_t known_formats;                       /* bit i: formats[i] is made */
    const krs_form *everything;
    const krs_form *nothing;
    uint32_t n_work;
    uint32_t n_nested;
    krs_status status;
    krs_error *err;
} krs_schema;

/* schema.c */

/* Refuse: "at <pointer to node>: <keyword>: <why>". The first failure stands. */
void krs_schema_refuse(krs_schema *s, const json_t *node, const char *keyword, const char *format,
                       ...) KRS_PRINTF(4, 5);
void krs_schema_no_memory(krs_schema *s);
/* Zeroed memory of the arena, or NULL with the failure noted. n = 0 gives memory too. */
void *krs_schema_take(krs_schema *s, size_t n, size_t item_bytes);
/* n more things are looked at; refuses when that was too many. */
void krs_schema_work(krs_schema *s, size_t n, const json_t *node);

krs_conj krs_conj_of(krs_schema *s, const json_t *node, krs_atom_kind kind);
krs_conj krs_conj_and(krs_schema *s, krs_conj a, krs_conj c);
/* NOT of all of it; only for a conj of one atom or none, else *is_known is false. */
krs_conj krs_conj_not(krs_schema *s, krs_conj a, bool *is_known);
krs_conj_entry *krs_conj_at(krs_schema *s, krs_conj c);

/* schema_index.c */
void krs_schema_index(krs_schema *s);
krs_node_entry *krs_schema_node(krs_schema *s, const json_t *node);
/* What a $ref of node points to, or NULL with the failure noted. */
const json_t *krs_schema_resolve(krs_schema *s, const json_t *node, const char *keyword);

/* schema_form.c; all give NULL only after a failure */
krs_form *krs_form_new(krs_schema *s); /* nothing */
const krs_form *krs_form_and(krs_schema *s, const krs_form *a, const krs_form *c, const json_t *at);
const krs_form *krs_form_or(krs_schema *s, const krs_form *a, const krs_form *c, const json_t *at);
krs_language krs_language_and(krs_schema *s, krs_language a, krs_language c);
krs_language krs_language_or(krs_schema *s, krs_language a, krs_language c);
/* Numbers (strings) that are not in it. */
krs_language krs_number_not(krs_schema *s, krs_language a);
krs_language krs_string_not(krs_schema *s, krs_language a);
krs_language krs_number_any(const krs_schema *s);
krs_language krs_string_any(const krs_schema *s);
krs_language krs_language_none(krs_schema *s);
bool krs_language_is_none(const krs_schema *s, krs_language a);
const krs_form *krs_form_of_array(krs_schema *s, const krs_array_shape *shape);
const krs_form *krs_form_of_object(krs_schema *s, const krs_object_shape *shape);

/* schema_read.c: the form of a subschema; schema_not.c: of NOT of it */
const krs_form *krs_schema_form(krs_schema *s, const json_t *node);
const krs_form *krs_schema_form_not(krs_schema *s, const json_t *node);
const krs_form *krs_schema_read_not(krs_schema *s, const json_t *node);
const krs_form *krs_conj_form(krs_schema *s, krs_conj c);
/* Readers shared by both. Counts: an integer >= 0, INF beyond 32 bits. false: absent. */
bool krs_schema_count(krs_schema *s, const json_t *node, const char *keyword, uint32_t *out);
const json_t *krs_schema_list(krs_schema *s, const json_t *node, const char *keyword);
const json_t *krs_schema_map(krs_schema *s, const json_t *node, const char *keyword);
const json_t *krs_schema_sub(krs_schema *s, const json_t *node, const char *keyword);
/* Does nothing beside its $ref count? */
bool krs_schema_is_only_ref(const krs_schema *s, const json_t *node);
/* What `dependencies`, dependentRequired and dependentSchemas say of one name. */
const krs_form *krs_schema_with_name(krs_schema *s, krs_str name, krs_conj value, bool is_required);

/* schema_value.c */
const krs_form *krs_schema_form_value(krs_schema *s, const json_t *value);
const krs_form *krs_schema_form_not_value(krs_schema *s, const json_t *value);
const krs_form *krs_schema_form_enum(krs_schema *s, const json_t *node, const json_t *values);
const krs_form *krs_schema_form_types(krs_schema *s, const json_t *node, bool is_not);

/* schema_number.c: number keywords of node; schema_string.c: string keywords. false: there are none. */
void krs_schema_numbers_init(krs_schema *s);
bool krs_schema_numbers(krs_schema *s, const json_t *node, krs_language *out);
krs_language krs_schema_integers(krs_schema *s);
krs_language krs_schema_number_value(krs_schema *s, const json_t *value);
bool krs_schema_strings(krs_schema *s, const json_t *node, krs_language *out);
krs_regex krs_schema_search(krs_schema *s, const json_t *node, const char *keyword,
                            krs_str pattern);
/* schema_format.c: false: an annotation. */
bool krs_schema_format(krs_schema *s, const json_t *node, krs_str name, krs_language *out);

/* schema_array.c, schema_object.c: NULL: the node says nothing of arrays (objects). */
const krs_array_shape *krs_schema_array(krs_schema *s, const json_t *node);
const krs_form *krs_schema_array_not(krs_schema *s, const json_t *node);
const krs_array_shape *krs_array_and(krs_schema *s, const krs_array_shape *a,
                                     const krs_array_shape *c);
krs_array_shape krs_array_any(const json_t *at);
const krs_object_shape *krs_schema_object(krs_schema *s, const json_t *node);
const krs_form *krs_schema_object_not(krs_schema *s, const json_t *node);
const krs_object_shape *krs_object_and(krs_schema *s, const krs_object_shape *a,
                                       const krs_object_shape *c);
const krs_object_shape *krs_object_any(krs_schema *s, const json_t *at);
/* What a property of this name must be. */
krs_conj krs_object_lookup(krs_schema *s, const krs_object_shape *o, krs_str name, uint64_t hash,
                           bool *is_required);
/* Is the name, as spelled, in the regex? */
bool krs_schema_name_in(krs_schema *s, krs_str name, krs_regex names);
/* The shape without its `some`, as several. */
const krs_form *krs_object_settle(krs_schema *s, const krs_object_shape *o);
uint64_t krs_schema_hash(krs_str name);

/* schema_empty.c */
bool krs_conj_is_empty(krs_schema *s, krs_conj c, uint32_t depth);
bool krs_object_is_empty(krs_schema *s, const krs_object_shape *o, uint32_t depth);
bool krs_array_is_empty(krs_schema *s, const krs_array_shape *a, uint32_t depth);
const krs_form *krs_schema_one_of(krs_schema *s, const json_t *node, const json_t *branches);

/* schema_emit.c */
krs_expr krs_schema_emit(krs_schema *s, krs_conj c);
krs_expr krs_schema_emit_array(krs_schema *s, const krs_array_shape *a);
krs_expr krs_schema_conj_expr(krs_schema *s, krs_conj c);
krs_expr krs_schema_sign(krs_schema *s, const char *sign, bool is_before, bool is_after);
