/* text/reply/shape_braces.c - arguments in gemma's syntax, as a shape: the twin of braces.c.
 *
 * No JSON Schema can be handed on as it is, for strings stand between special tokens and keys are bare. So
 * the schema is walked: objects of declared properties, lists of one kind of item, enums, strings,
 * numbers, booleans and null. Whatever else a schema asks for is refused by name.
 *
 * Properties come in the order of the schema; what is required comes first, so that only calls without
 * anything required have to choose which property has no comma before it. */
#include "text/reply/shape_priv.h"

#define MAX_LEVELS                                                                                 \
    4u /* of objects and lists; a tree may have KRS_GUIDANCE_MAX_DEPTH 16, three a level */
#define MAX_OPTIONAL                                                                               \
    16u /* properties of an object with nothing required: its shape grows as their square */

typedef struct brace_builder {
    krs_reply_builder *b;
    krs_str mark;
} brace_builder;

static krs_reply_shape build_value(const brace_builder *g, const char *key, const json_t *schema,
                                   uint32_t levels);

static krs_reply_shape seq(const brace_builder *g, const krs_reply_shape *items, uint32_t n)
{
    krs_reply_parts parts = krs_reply_parts_room(g->b, n);
    for (uint32_t i = 0; i < n; i++) {
        krs_reply_parts_add(&parts, items[i]);
    }
    return krs_reply_parts_end(KRS_REPLY_SHAPE_SEQ, &parts);
}

static krs_reply_shape marked(const brace_builder *g, krs_reply_shape_kind kind, krs_str text)
{
    const krs_reply_shape mark = krs_reply_shape_leaf(KRS_REPLY_SHAPE_TOKEN, g->mark);
    const krs_reply_shape items[] = {mark, krs_reply_shape_leaf(kind, text), mark};
    return seq(g, items, 3);
}

/* One of the values; schema: what else it says must bind none of them. */
static krs_reply_shape build_choice(const brace_builder *g, const char *key, const json_t *values,
                                    const json_t *schema)
{
    static const char *const followed[] = {"enum", "const", NULL};
    krs_reply_shape_check(g->b, key, schema, krs_reply_types_of(schema), followed);
    size_t i;
    const json_t *value;
    krs_reply_parts parts = krs_reply_parts_room(g->b, json_array_size(values));
    json_array_foreach(values, i, value)
    {
        const krs_str text = {json_string_value(value), json_string_length(value)};
        if (json_is_object(value) || json_is_array(value) ||
            (text.ptr && krs_str_find(text, g->mark, 0) != SIZE_MAX)) {
            krs_reply_builder_refuse(g->b, key, "a value of the enum that cannot be written");
        }
        krs_reply_parts_add(
            &parts, text.ptr
                        ? marked(g, KRS_REPLY_SHAPE_LITERAL, krs_reply_builder_text(g->b, text))
                        : krs_reply_shape_leaf(KRS_REPLY_SHAPE_LITERAL,
                                               krs_reply_builder_json(g->b, value)));
    }
    return krs_reply_parts_end(KRS_REPLY_SHAPE_ALT, &parts);
}

static uint32_t count_of(const brace_builder *g, const char *key, const json_t *schema,
                         const char *name, uint32_t otherwise)
{
    const json_t *count = json_object_get(schema, name);
    if (!count) {
        return otherwise;
    }
    const json_int_t n = json_integer_value(count);
    if (!json_is_integer(count) || n < 0 || n > UINT16_MAX) {
        krs_reply_builder_refuse(g->b, key, "a number of items that is none");
        return 0;
    }
    return (uint32_t)n;
}

/* [] | [item (, item){min - 1, max - 1}] */
static krs_reply_shape build_list(const brace_builder *g, const char *key, const json_t *schema,
                                  uint32_t levels)
{
    const uint32_t min = count_of(g, key, schema, "minItems", 0);
    const uint32_t max = count_of(g, key, schema, "maxItems", KRS_REPLY_SHAPE_INF);
    static const char *const followed[] = {"items", "minItems", "maxItems", NULL};
    krs_reply_shape_check(g->b, key, schema, KRS_REPLY_TYPE_ARRAY, followed);
    if (max < min) {
        krs_reply_builder_refuse(g->b, key, "maxItems below minItems");
    }
    if (max == 0) {
        return krs_reply_shape_literal("[]");
    }
    const krs_reply_shape item = build_value(g, key, json_object_get(schema, "items"), levels - 1);
    const krs_reply_shape pair[] = {krs_reply_shape_literal(","), item};
    const krs_reply_shape more = krs_reply_shape_repeat(
        g->b, seq(g, pair, 2), min > 0 ? min - 1 : 0, max == KRS_REPLY_SHAPE_INF ? max : max - 1);
    const krs_reply_shape filled[] = {krs_reply_shape_literal("["), item, more,
                                      krs_reply_shape_literal("]")};
    const krs_reply_shape either[] = {krs_reply_shape_literal("[]"), seq(g, filled, 4)};
    krs_reply_parts parts = krs_reply_parts_room(g->b, 2);
    if (min == 0) {
        krs_reply_parts_add(&parts, either[0]);
    }
    krs_reply_parts_add(&parts, either[1]);
    return krs_reply_parts_end(KRS_REPLY_SHAPE_ALT, &parts);
}

static krs_reply_shape build_pair(const brace_builder *g, const char *key, const json_t *schema,
                                  uint32_t levels, bool has_comma)
{
    const krs_str name = krs_reply_builder_text(g->b, krs_str_of(key));
    if (name.len == 0 || strpbrk(key, "{}[]:,\"<> \t\r\n") != NULL) {
        krs_reply_builder_refuse(g->b, key, "a name that cannot stand bare");
    }
    const krs_reply_shape items[] = {krs_reply_shape_literal(has_comma ? "," : ""),
                                     krs_reply_shape_leaf(KRS_REPLY_SHAPE_LITERAL, name),
                                     krs_reply_shape_literal(":"),
                                     build_value(g, key, schema, levels - 1)};
    return seq(g, items, 4);
}

/* Those that are required (or are not), each with a comma before it from `first` on. */
static void add_pairs(const brace_builder *g, const json_t *schema, uint32_t levels,
                      bool is_required, bool has_comma, krs_reply_parts *out)
{
    const char *key;
    json_t *property;
    json_object_foreach(json_object_get(schema, "properties"), key, property)
    {
        if (krs_reply_shape_is_required(schema, key) == is_required && g->b->status == KRS_OK) {
            const krs_reply_shape pair = build_pair(g, key, property, levels, has_comma);
            krs_reply_parts_add(out, is_required ? pair : krs_reply_shape_repeat(g->b, pair, 0, 1));
            has_comma = true;
        }
    }
}

/* Nothing is required: nothing, or a first one and some of those behind it. */
static krs_reply_shape build_optional(const brace_builder *g, const json_t *schema, uint32_t levels)
{
    json_t *properties = json_object_get(schema, "properties");
    const size_t n = json_object_size(properties);
    if (n > MAX_OPTIONAL) {
        krs_reply_builder_refuse(g->b, "", "too many properties of which none is required");
        return krs_reply_shape_literal("");
    }
    krs_reply_parts any = krs_reply_parts_room(g->b, n + 1);
    krs_reply_parts_add(&any, krs_reply_shape_literal(""));
    for (void *at = json_object_iter(properties); at; at = json_object_iter_next(properties, at)) {
        krs_reply_parts parts = krs_reply_parts_room(g->b, n);
        krs_reply_parts_add(&parts, build_pair(g, json_object_iter_key(at),
                                               json_object_iter_value(at), levels, false));
        for (void *next = json_object_iter_next(properties, at); next && g->b->status == KRS_OK;
             next = json_object_iter_next(properties, next)) {
            const krs_reply_shape pair = build_pair(g, json_object_iter_key(next),
                                                    json_object_iter_value(next), levels, true);
            krs_reply_parts_add(&parts, krs_reply_shape_repeat(g->b, pair, 0, 1));
        }
        krs_reply_parts_add(&any, krs_reply_parts_end(KRS_REPLY_SHAPE_SEQ, &parts));
    }
    return krs_reply_parts_end(KRS_REPLY_SHAPE_ALT, &any);
}

static krs_reply_shape build_object(const brace_builder *g, const char *key, const json_t *schema,
                                    uint32_t levels)
{
    krs_reply_shape_check_object(g->b, key, schema);
    krs_reply_parts parts =
        krs_reply_parts_room(g->b, json_object_size(json_object_get(schema, "properties")) + 3);
    krs_reply_parts_add(&parts, krs_reply_shape_literal("{"));
    const uint32_t n_before = parts.n;
    add_pairs(g, schema, levels, true, false, &parts);
    if (parts.n > n_before) {
        add_pairs(g, schema, levels, false, true, &parts);
    } else {
        krs_reply_parts_add(&parts, build_optional(g, schema, levels));
    }
    krs_reply_parts_add(&parts, krs_reply_shape_literal("}"));
    return krs_reply_parts_end(KRS_REPLY_SHAPE_SEQ, &parts);
}

/* A string, a number, true, false or null. */
static krs_reply_shape build_any(const brace_builder *g)
{
    krs_reply_parts any = krs_reply_parts_room(g->b, 2);
    krs_reply_parts_add(&any, marked(g, KRS_REPLY_SHAPE_FREE, g->mark));
    krs_reply_parts_add(
        &any, krs_reply_shape_leaf(KRS_REPLY_SHAPE_SCHEMA,
                                   KRS_STR("{\"type\":[\"number\",\"boolean\",\"null\"]}")));
    return krs_reply_parts_end(KRS_REPLY_SHAPE_ALT, &any);
}

static krs_reply_shape build_string(const brace_builder *g, const char *key, const json_t *schema)
{
    static const char *const followed[] = {NULL};
    krs_reply_shape_check(g->b, key, schema, KRS_REPLY_TYPE_STRING, followed);
    return marked(g, KRS_REPLY_SHAPE_FREE, g->mark);
}

/* Numbers, booleans and null are JSON here, too. */
static krs_reply_shape build_plain(const brace_builder *g, const char *key, const json_t *schema,
                                   uint32_t types)
{
    const uint32_t plain = KRS_REPLY_TYPE_NUMBER | KRS_REPLY_TYPE_BOOLEAN | KRS_REPLY_TYPE_NULL;
    if ((types & ~plain) != 0) {
        krs_reply_builder_refuse(g->b, key, "only one type, or some of number, boolean and null");
    }
    return krs_reply_shape_schema(g->b, schema);
}

static krs_reply_shape build_untyped(const brace_builder *g, const char *key, const json_t *schema)
{
    const bool is_empty = json_is_object(schema) && json_object_size(schema) == 0;
    if (schema && !json_is_true(schema) && !is_empty) {
        krs_reply_builder_refuse(g->b, key, "only one type, or some of number, boolean and null");
    }
    return build_any(g);
}

static krs_reply_shape build_value(const brace_builder *g, const char *key, const json_t *schema,
                                   uint32_t levels)
{
    const uint32_t types = krs_reply_types_of(schema);
    if (levels == 0 || g->b->status != KRS_OK) {
        krs_reply_builder_refuse(g->b, key, "objects and lists nested too deep for this format");
        return krs_reply_shape_literal("");
    }
    json_t *values = krs_reply_shape_values(g->b, key, schema, types);
    if (values) {
        const krs_reply_shape choice = build_choice(g, key, values, schema);
        json_decref(values);
        return choice;
    }
    switch (types) {
    case KRS_REPLY_TYPE_OBJECT:
        return build_object(g, key, schema, levels);
    case KRS_REPLY_TYPE_ARRAY:
        return build_list(g, key, schema, levels);
    case KRS_REPLY_TYPE_STRING:
        return build_string(g, key, schema);
    case 0:
        return build_untyped(g, key, schema);
    default:
        return build_plain(g, key, schema, types);
    }
}

/* Any names, plain values. */
static krs_reply_shape build_unbound(const brace_builder *g)
{
    const krs_reply_shape pair[] = {
        krs_reply_shape_leaf(KRS_REPLY_SHAPE_REGEX, KRS_STR("[A-Za-z_][A-Za-z0-9_]{0,63}:")),
        build_any(g)};
    const krs_reply_shape first = seq(g, pair, 2);
    const krs_reply_shape next[] = {krs_reply_shape_literal(","), first};
    const krs_reply_shape items[] = {
        first, krs_reply_shape_repeat(g->b, seq(g, next, 2), 0, KRS_REPLY_SHAPE_INF)};
    const krs_reply_shape whole[] = {krs_reply_shape_literal("{"),
                                     krs_reply_shape_repeat(g->b, seq(g, items, 2), 0, 1),
                                     krs_reply_shape_literal("}")};
    return seq(g, whole, 3);
}

krs_reply_shape krs_reply_shape_braces(krs_reply_builder *b, const char *mark)
{
    const brace_builder g = {b, krs_str_of(mark)};
    return b->tool->parameters ? build_object(&g, "", b->tool->parameters, MAX_LEVELS)
                               : build_unbound(&g);
}
