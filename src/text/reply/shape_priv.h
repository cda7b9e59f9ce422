/* text/reply/shape_priv.h - building trees of shapes: see text/reply_shape.h.
 *
 * A builder fails once and stays failed; what it returns then is an empty literal, so that the code that
 * builds reads like the shape.
 *
 * Thread: one owner.  Memory: the arena. */
#pragma once

#include "text/reply/priv.h"
#include "text/reply_shape.h"

typedef struct krs_reply_builder {
    krs_arena *arena;
    krs_status status;
    krs_error *err;
    size_t n_parts;             /* made room for */
    const krs_reply_tool *tool; /* whose call is built: for errors, and "$defs" */
} krs_reply_builder;

/* Parts of a branch, at most as many as were made room for. */
typedef struct krs_reply_parts {
    krs_reply_shape *items; /* [room] */
    uint32_t n;
    uint32_t room;
} krs_reply_parts;

static inline krs_reply_shape krs_reply_shape_leaf(krs_reply_shape_kind kind, krs_str text)
{
    return (krs_reply_shape){.kind = kind, .text = text};
}

static inline krs_reply_shape krs_reply_shape_literal(const char *text)
{
    return krs_reply_shape_leaf(KRS_REPLY_SHAPE_LITERAL, krs_str_of(text));
}

/* shape.c */
void krs_reply_builder_fail(krs_reply_builder *b, krs_status status);
/* EUNSUPPORTED: "tool f, parameter k: why". */
void krs_reply_builder_refuse(krs_reply_builder *b, const char *key, const char *why);
krs_reply_parts krs_reply_parts_room(krs_reply_builder *b, size_t room);
void krs_reply_parts_add(krs_reply_parts *parts, krs_reply_shape shape);
krs_reply_shape krs_reply_parts_end(krs_reply_shape_kind kind, const krs_reply_parts *parts);
krs_reply_shape krs_reply_shape_repeat(krs_reply_builder *b, krs_reply_shape shape, uint32_t min,
                                       uint32_t max);
/* A JSON value of the schema, which may refer to definitions of the tool's parameters. NULL: any. */
krs_reply_shape krs_reply_shape_schema(krs_reply_builder *b, const json_t *schema);
krs_str krs_reply_builder_text(krs_reply_builder *b, krs_str text);
/* value as compact JSON. */
krs_str krs_reply_builder_json(krs_reply_builder *b, const json_t *value);

/* shape_check.c: refuse a tool (b->tool, the i-th) whose name is too long, or whose parameters are no object. */
void krs_reply_shape_check_tool(krs_reply_builder *b, uint32_t i);
/* Refuse every keyword that binds values of these types and is none of followed (NULL ends it). */
void krs_reply_shape_check(krs_reply_builder *b, const char *key, const json_t *schema,
                           uint32_t types, const char *const *followed);
/* The values of these types that enum or const allow, a new reference; NULL: there is neither. None is refused. */
json_t *krs_reply_shape_values(krs_reply_builder *b, const char *key, const json_t *schema,
                               uint32_t types);
/* Is the property among what `required` names? */
bool krs_reply_shape_is_required(const json_t *schema, const char *key);
/* Refuse what a format without JSON's syntax cannot hold an object to. */
void krs_reply_shape_check_object(krs_reply_builder *b, const char *name, const json_t *schema);

/* shape_fields.c, shape_braces.c: the arguments of b->tool. */
krs_reply_shape krs_reply_shape_fields(krs_reply_builder *b, const krs_reply_fields *fields);
krs_reply_shape krs_reply_shape_braces(krs_reply_builder *b, const char *mark);
