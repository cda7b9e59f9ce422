/* text/reply/shape_check.c - what of a schema a format's own syntax can be held to.
 *
 * Formats that write arguments in JSON are given the whole schema. The others are built value by value, from
 * the few keywords that their shapes follow; every other keyword that would bind such a value is refused by
 * name, for a shape that passes it over would let arguments come that their schema does not allow. Keywords
 * of other types bind nothing, and unknown ones are annotations.
 *
 * Source: JSON Schema 2020-12, and what drafts 4 to 7 have beside it.
 * Thread: any; pure.  Memory: none. */
#include "text/reply/shape_priv.h"

#define STRINGS KRS_REPLY_TYPE_STRING
#define NUMBERS KRS_REPLY_TYPE_NUMBER
#define ARRAYS  KRS_REPLY_TYPE_ARRAY
#define OBJECTS KRS_REPLY_TYPE_OBJECT
#define EVERY   UINT32_MAX

/* Keywords, and the types of the values that they bind. */
static const struct {
    const char *keyword;
    uint32_t types;
} binding[] = {
    {"$ref", EVERY},
    {"$dynamicRef", EVERY},
    {"$recursiveRef", EVERY},
    {"allOf", EVERY},
    {"anyOf", EVERY},
    {"oneOf", EVERY},
    {"not", EVERY},
    {"if", EVERY},
    {"enum", EVERY},
    {"const", EVERY},
    {"pattern", STRINGS},
    {"minLength", STRINGS},
    {"maxLength", STRINGS},
    {"format", STRINGS},
    {"minimum", NUMBERS},
    {"maximum", NUMBERS},
    {"exclusiveMinimum", NUMBERS},
    {"exclusiveMaximum", NUMBERS},
    {"multipleOf", NUMBERS},
    {"prefixItems", ARRAYS},
    {"items", ARRAYS},
    {"minItems", ARRAYS},
    {"maxItems", ARRAYS},
    {"uniqueItems", ARRAYS},
    {"contains", ARRAYS},
    {"unevaluatedItems", ARRAYS},
    {"properties", OBJECTS},
    {"required", OBJECTS},
    {"patternProperties", OBJECTS},
    {"propertyNames", OBJECTS},
    {"minProperties", OBJECTS},
    {"maxProperties", OBJECTS},
    {"dependentRequired", OBJECTS},
    {"dependentSchemas", OBJECTS},
    {"dependencies", OBJECTS},
};

static bool is_among(const char *word, const char *const *words)
{
    while (*words && strcmp(*words, word) != 0) {
        words++;
    }
    return *words != NULL;
}

void krs_reply_shape_check(krs_reply_builder *b, const char *key, const json_t *schema,
                           uint32_t types, const char *const *followed)
{
    for (size_t i = 0; i < sizeof(binding) / sizeof(binding[0]); i++) {
        const char *keyword = binding[i].keyword;
        if ((binding[i].types & types) != 0 && json_object_get(schema, keyword) &&
            !is_among(keyword, followed)) {
            char why[96];
            (void)snprintf(why, sizeof(why), "the model's format of calls cannot be held to %s",
                           keyword);
            krs_reply_builder_refuse(b, key, why);
        }
    }
}

static bool is_object_name(const json_t *name)
{
    return json_is_string(name) && strcmp(json_string_value(name), "object") == 0;
}

void krs_reply_shape_check_tool(krs_reply_builder *b, uint32_t i)
{
    const krs_reply_tool *tool = b->tool;
    const json_t *type = json_object_get(tool->parameters, "type");
    bool is_object = !type || is_object_name(type);
    size_t k;
    const json_t *item;
    json_array_foreach(type, k, item)
    {
        is_object = is_object || is_object_name(item);
    }
    if (tool->name.len > KRS_REPLY_MAX_NAME_BYTES) {
        b->status = krs_fail(b->err, KRS_ETOOLARGE, "tool %u: a name of %zu bytes, limit %u", i,
                             tool->name.len, KRS_REPLY_MAX_NAME_BYTES);
    } else if (!is_object) {
        b->status = krs_fail(
            b->err, KRS_EINVAL, "tool \"%.*s\": parameters of the type \"%.20s\", want \"object\"",
            KRS_STR_ARGS(tool->name), json_is_string(type) ? json_string_value(type) : "");
    }
}

bool krs_reply_shape_is_required(const json_t *schema, const char *key)
{
    size_t i;
    const json_t *item;
    json_array_foreach(json_object_get(schema, "required"), i, item)
    {
        if (json_is_string(item) && strcmp(json_string_value(item), key) == 0) {
            return true;
        }
    }
    return false;
}

void krs_reply_shape_check_object(krs_reply_builder *b, const char *name, const json_t *schema)
{
    static const char *const followed[] = {"properties", "required", NULL};
    krs_reply_shape_check(b, name, schema, OBJECTS, followed);
    size_t i;
    const json_t *item;
    json_array_foreach(json_object_get(schema, "required"), i, item)
    {
        const char *key = json_string_value(item);
        if (!key || !json_object_get(json_object_get(schema, "properties"), key)) {
            krs_reply_builder_refuse(b, key ? key : name, "required, and not among the properties");
        }
    }
}

/* Is it of the types, and no fraction where only integers may come? */
static bool may_come(const json_t *value, const json_t *schema, uint32_t types)
{
    const char *type = json_string_value(json_object_get(schema, "type"));
    const bool is_integral = type && strcmp(type, "integer") == 0;
    return (krs_reply_type_of_value(value) & types) != 0 && !(is_integral && json_is_real(value));
}

/* Those of a list that may come; NULL: no memory. */
static json_t *sift(const json_t *all, const json_t *schema, uint32_t types)
{
    json_t *values = json_array();
    bool is_good = values != NULL;
    for (size_t i = 0; is_good && i < json_array_size(all); i++) {
        json_t *value = json_array_get(all, i);
        is_good = !may_come(value, schema, types) || json_array_append(values, value) == 0;
    }
    if (!is_good) {
        json_decref(values);
        return NULL;
    }
    return values;
}

json_t *krs_reply_shape_values(krs_reply_builder *b, const char *key, const json_t *schema,
                               uint32_t types)
{
    json_t *only = json_object_get(schema, "const");
    json_t *some = json_object_get(schema, "enum");
    if (!only && !some) {
        return NULL;
    }
    json_t *all = only ? json_pack("[O]", only) : json_incref(some);
    json_t *values = all ? sift(all, schema, types) : NULL;
    json_decref(all);
    if (!values) {
        krs_reply_builder_fail(b, KRS_ENOMEM);
    }
    if (only && some) {
        krs_reply_builder_refuse(b, key,
                                 "the model's format of calls cannot be held to const beside enum");
    }
    if (json_array_size(values) == 0) {
        krs_reply_builder_refuse(b, key, "no value of enum or const is of its type");
    }
    return values;
}
