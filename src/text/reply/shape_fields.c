/* text/reply/shape_fields.c - tagged parameters of one tool, as a shape: the twin of fields.c.
 *
 * A string stands between its tags as it is, free but for the closing tag; every other value is JSON of its
 * own schema. So a string can be held to an enum or a const and to nothing else: a length or a pattern is
 * refused, for fields.c would not know where a value with the closing tag in it ends. */
#include "text/reply/shape_priv.h"

/* One of the strings that enum or const allow. */
static krs_reply_shape build_choice(krs_reply_builder *b, const char *key, const json_t *values,
                                    krs_str end)
{
    size_t i;
    const json_t *value;
    krs_reply_parts parts = krs_reply_parts_room(b, json_array_size(values));
    json_array_foreach(values, i, value)
    {
        const krs_str text = {json_string_value(value), json_string_length(value)};
        if (krs_str_find(text, end, 0) != SIZE_MAX) {
            krs_reply_builder_refuse(b, key, "a value with the closing tag of the format in it");
        }
        krs_reply_parts_add(
            &parts, krs_reply_shape_leaf(KRS_REPLY_SHAPE_LITERAL, krs_reply_builder_text(b, text)));
    }
    return krs_reply_parts_end(KRS_REPLY_SHAPE_ALT, &parts);
}

static krs_reply_shape build_string(krs_reply_builder *b, const char *key, const json_t *schema,
                                    krs_str end)
{
    static const char *const followed[] = {"enum", "const", NULL};
    krs_reply_shape_check(b, key, schema, KRS_REPLY_TYPE_STRING, followed);
    json_t *values = krs_reply_shape_values(b, key, schema, KRS_REPLY_TYPE_STRING);
    const krs_reply_shape shape = values ? build_choice(b, key, values, end)
                                         : krs_reply_shape_leaf(KRS_REPLY_SHAPE_FREE, end);
    json_decref(values);
    return shape;
}

static void add_tag(krs_reply_parts *parts, const krs_reply_fields *fields, const char *tag)
{
    krs_reply_parts_add(parts, krs_reply_shape_literal(tag));
    if (!fields->has_lines) { /* some of these models break lines here, some do not */
        krs_reply_parts_add(parts, krs_reply_shape_leaf(KRS_REPLY_SHAPE_REGEX, KRS_STR("\\n?")));
    }
}

static krs_reply_shape build_field(krs_reply_builder *b, const krs_reply_fields *fields,
                                   krs_reply_shape key, krs_reply_shape value)
{
    krs_reply_parts parts = krs_reply_parts_room(b, 10);
    krs_reply_parts_add(&parts, krs_reply_shape_literal(fields->open));
    krs_reply_parts_add(&parts, key);
    if (fields->value_open) {
        add_tag(&parts, fields, fields->key_end);
        krs_reply_parts_add(&parts, krs_reply_shape_literal(fields->value_open));
    } else {
        krs_reply_parts_add(&parts, krs_reply_shape_literal(fields->key_end));
    }
    krs_reply_parts_add(&parts, krs_reply_shape_literal(fields->has_lines ? "\n" : ""));
    krs_reply_parts_add(&parts, value);
    add_tag(&parts, fields, fields->line_end);
    krs_reply_parts_add(&parts, krs_reply_shape_literal(fields->has_lines ? "\n" : ""));
    return krs_reply_parts_end(KRS_REPLY_SHAPE_SEQ, &parts);
}

/* Parameters of a tool whose schema is not to bind: any names, any values. */
static krs_reply_shape build_any(krs_reply_builder *b, const krs_reply_fields *fields)
{
    const krs_reply_shape key =
        krs_reply_shape_leaf(KRS_REPLY_SHAPE_REGEX, KRS_STR("[A-Za-z_][A-Za-z0-9_.-]{0,63}"));
    const krs_reply_shape value =
        krs_reply_shape_leaf(KRS_REPLY_SHAPE_FREE, krs_str_of(fields->value_end));
    return krs_reply_shape_repeat(b, build_field(b, fields, key, value), 0, KRS_REPLY_SHAPE_INF);
}

krs_reply_shape krs_reply_shape_fields(krs_reply_builder *b, const krs_reply_fields *fields)
{
    const json_t *schema = b->tool->parameters;
    json_t *properties = json_object_get(schema, "properties");
    if (!schema) {
        return build_any(b, fields);
    }
    krs_reply_shape_check_object(b, "", schema);
    const char *key;
    json_t *property;
    krs_reply_parts parts = krs_reply_parts_room(b, json_object_size(properties));
    json_object_foreach(properties, key, property)
    {
        const krs_str name = krs_reply_builder_text(b, krs_str_of(key));
        if (name.len > KRS_REPLY_MAX_NAME_BYTES ||
            krs_str_find(name, KRS_STR("<"), 0) != SIZE_MAX ||
            krs_str_find(name, KRS_STR(">"), 0) != SIZE_MAX) {
            krs_reply_builder_refuse(b, key, "a name that cannot stand in a tag");
        }
        const bool is_string = krs_reply_types_of(property) == KRS_REPLY_TYPE_STRING;
        const krs_reply_shape value =
            is_string ? build_string(b, key, property, krs_str_of(fields->value_end))
                      : krs_reply_shape_schema(b, property);
        const krs_reply_shape field =
            build_field(b, fields, krs_reply_shape_leaf(KRS_REPLY_SHAPE_LITERAL, name), value);
        krs_reply_parts_add(&parts, krs_reply_shape_is_required(schema, key)
                                        ? field
                                        : krs_reply_shape_repeat(b, field, 0, 1));
    }
    return krs_reply_parts_end(KRS_REPLY_SHAPE_SEQ, &parts);
}
