/* grammar/expr_priv.h - the store of expressions.
 *
 *   kind      a                b                        c
 *   LEXEME    regex
 *   SEQ ALT   offset in lists  count (2 or more)
 *   REPEAT    expression       min                      max
 *   RULE      rule
 *   OBJECT    object
 *   MEMBERS   object           what has come            next property    after a member or `open`
 *   MEMBER    object           what has come            next property    a member must come
 *   VALUE     object           what has come            which member     after its key
 *
 * The last three are made while a text is followed. What has come of an object: in order, the number of
 * members so far; in any order, the offset in lists of [length, that number, a bit for each property].
 * Numbers that change nothing any more are cut (krs_object_count), so that an unbounded object has two.
 * "Which member": a declared property's index, or n_properties and the index of the further kind.
 *
 * Invariants: equal (kind, operands) are one node; the tail of a SEQ is a SEQ of the same list.
 *
 * Thread: one owner. */
#pragma once

#include "grammar/expr.h"
#include "grammar/regex_priv.h"

enum { /* ids of the nodes that are always there */
       KRS_EXPR_NONE = 0,
       KRS_EXPR_EMPTY = 1,
};

typedef enum krs_expr_kind {
    KRS_EXPR_KIND_NONE,
    KRS_EXPR_KIND_EMPTY,
    KRS_EXPR_KIND_LEXEME,
    KRS_EXPR_KIND_SEQ,
    KRS_EXPR_KIND_ALT,
    KRS_EXPR_KIND_REPEAT,
    KRS_EXPR_KIND_RULE,
    KRS_EXPR_KIND_OBJECT,
    KRS_EXPR_KIND_MEMBERS,
    KRS_EXPR_KIND_MEMBER,
    KRS_EXPR_KIND_VALUE,
} krs_expr_kind;

enum {                          /* found out by krs_grammar_build */
       KRS_EXPR_NULLABLE = 1,   /* matches the empty text */
       KRS_EXPR_PRODUCTIVE = 2, /* matches something */
};

typedef struct krs_expr_node {
    uint8_t kind;
    uint8_t flags;
    uint32_t a, b, c;
} krs_expr_node;

#define KRS_RULE_NAME_BYTES 64

typedef struct krs_rule_node {
    char name[KRS_RULE_NAME_BYTES + 1];
    bool is_defined;
    uint32_t expr;
} krs_rule_node;

enum {
    KRS_MEMBER_REQUIRED = 1,
    KRS_MEMBER_USABLE = 2, /* its key and value match something; found out by krs_grammar_build */
};

/* A declared property or a kind of further keys. */
typedef struct krs_member {
    uint32_t key; /* LEXEME */
    uint32_t value;
    uint32_t flags;
    uint32_t usable_after;   /* declared properties after this one that are usable */
    uint32_t required_after; /* ... that are required */
} krs_member;

typedef struct krs_object_node {
    uint32_t members; /* first in members: properties, then further kinds */
    uint32_t n_properties;
    uint32_t n_further;
    uint32_t min_count, max_count;
    uint32_t open, close, separator, colon; /* expressions */
    uint32_t n_usable;                      /* declared */
    uint32_t n_required;
    bool is_any_order;
    bool has_further; /* a usable kind */
} krs_object_node;

typedef struct krs_expr_store {
    krs_status status;     /* sticky */
    krs_pool nodes;        /* krs_expr_node */
    krs_pool lists;        /* uint32_t: children, and what has come of objects in any order */
    krs_pool rules;        /* krs_rule_node */
    krs_pool objects;      /* krs_object_node */
    krs_pool members;      /* krs_member */
    krs_intern table;      /* of nodes */
    krs_intern come_table; /* of what has come of objects */
    uint32_t max_nodes;
} krs_expr_store;

KRS_MUST_USE krs_status krs_expr_store_init(krs_expr_store *s, krs_ledger *ledger,
                                            uint32_t max_nodes);
void krs_expr_store_deinit(krs_expr_store *s);

static inline const krs_expr_node *krs_expr_at(const krs_expr_store *s, uint32_t e)
{
    return (const krs_expr_node *)s->nodes.items + e;
}

/* NULL while there are none. */
static inline const uint32_t *krs_expr_list_at(const krs_expr_store *s, uint32_t offset)
{
    return offset > 0 ? (const uint32_t *)s->lists.items + offset : s->lists.items;
}

static inline const krs_rule_node *krs_rule_at(const krs_expr_store *s, uint32_t rule)
{
    return (const krs_rule_node *)s->rules.items + rule;
}

static inline const krs_object_node *krs_object_at(const krs_expr_store *s, uint32_t object)
{
    return (const krs_object_node *)s->objects.items + object;
}

static inline const krs_member *krs_member_at(const krs_expr_store *s, uint32_t member)
{
    return (const krs_member *)s->members.items + member;
}

/* Keep the first failure. */
void krs_expr_failed(krs_expr_store *s, krs_status status);

uint64_t krs_expr_hash(const krs_expr_node *node);

/* The node of these operands, made if it is new; NONE after a failure. */
uint32_t krs_expr_node_of(krs_expr_store *s, krs_expr_kind kind, uint32_t a, uint32_t b,
                          uint32_t c);
/* SEQ or ALT of n children at an offset of lists; one child is itself, none is EMPTY or NONE. */
uint32_t krs_expr_list_of(krs_expr_store *s, krs_expr_kind kind, uint32_t offset, uint32_t n);
uint32_t krs_expr_repeat_of(krs_expr_store *s, uint32_t e, uint32_t min, uint32_t max);

/* n members, as far as it matters to this object. */
static inline uint32_t krs_object_count(const krs_object_node *object, uint32_t n)
{
    const uint32_t cap = object->min_count > 1 ? object->min_count : 1;
    return object->max_count == KRS_REGEX_INF && n > cap ? cap : n;
}
