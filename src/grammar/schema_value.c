/* grammar/schema_value.c - const and enum, and the names of types. */
#include "grammar/schema_priv.h"

#define MAX_LISTED_SHAPES 200 /* arrays and objects in one enum */

static krs_language string_value(krs_schema *s, const json_t *value)
{
    const krs_str text = {json_string_value(value), json_string_length(value)};
    const krs_regex r = krs_chars_literal(s->b, text, s->spelling);
    return (krs_language){r, r};
}

/* [a, b]: that many items, each that value. */
static const krs_form *array_value(krs_schema *s, const json_t *value)
{
    const size_t n = json_array_size(value);
    krs_array_shape *shape = krs_schema_take(s, 1, sizeof(*shape));
    krs_conj *prefix = krs_schema_take(s, n, sizeof(*prefix));
    if (!shape || !prefix || n >= KRS_REGEX_INF) {
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        prefix[i] = krs_conj_of(s, json_array_get(value, i), KRS_ATOM_VALUE);
    }
    *shape = krs_array_any(value);
    shape->prefix = prefix;
    shape->n_prefix = (uint32_t)n;
    shape->min = shape->max = (uint32_t)n;
    return krs_form_of_array(s, shape);
}

static const krs_form *object_value(krs_schema *s, const json_t *value)
{
    const size_t n = json_object_size(value);
    krs_object_shape *shape = krs_schema_take(s, 1, sizeof(*shape));
    krs_object_property *properties = krs_schema_take(s, n, sizeof(*properties));
    krs_object_class *rest = krs_schema_take(s, 1, sizeof(*rest));
    if (!shape || !properties || !rest) {
        return NULL;
    }
    *rest = (krs_object_class){s->string_all, KRS_CONJ_FALSE};
    *shape = (krs_object_shape){.properties = properties,
                                .classes = rest,
                                .n_classes = 1,
                                .max = KRS_REGEX_INF,
                                .at = value};
    for (void *at = json_object_iter((json_t *)(uintptr_t)value); at;
         at = json_object_iter_next((json_t *)(uintptr_t)value, at)) {
        const krs_str name = krs_str_of(json_object_iter_key(at));
        properties[shape->n_properties++] =
            (krs_object_property){name, krs_schema_hash(name),
                                  krs_conj_of(s, json_object_iter_value(at), KRS_ATOM_VALUE), true};
    }
    return krs_form_of_object(s, shape);
}

const krs_form *krs_schema_form_value(krs_schema *s, const json_t *value)
{
    if (json_is_array(value)) {
        return array_value(s, value);
    }
    if (json_is_object(value)) {
        return object_value(s, value);
    }
    krs_form *f = krs_form_new(s);
    if (!f) {
        return NULL;
    }
    if (json_is_string(value)) {
        f->string = string_value(s, value);
    } else if (json_is_number(value)) {
        f->number = krs_schema_number_value(s, value);
    } else {
        f->upper_bits = json_is_null(value)   ? KRS_BIT_NULL
                        : json_is_true(value) ? KRS_BIT_TRUE
                                              : KRS_BIT_FALSE;
    }
    return f;
}

/* Everything of the types, less `gone`, whose arrays and objects are not looked at. */
static krs_form *complement(krs_schema *s, const krs_form *gone)
{
    krs_form *f = krs_form_new(s);
    if (!f || !gone) {
        return NULL;
    }
    *f = *s->everything;
    f->upper_bits = s->everything->upper_bits & (uint8_t)~gone->upper_bits;
    f->number = krs_number_not(s, gone->number);
    f->string = krs_string_not(s, gone->string);
    return f;
}

static const krs_form *not_array(krs_schema *s, const json_t *value)
{
    const uint32_t n = (uint32_t)json_array_size(value);
    krs_array_shape *shape = krs_schema_take(s, (size_t)n + 2, sizeof(*shape));
    const krs_form *any = s->nothing;
    if (!shape) {
        return NULL;
    }
    shape[n] = krs_array_any(value);
    shape[n].min = n + 1;
    any = krs_form_or(s, any, krs_form_of_array(s, &shape[n]), value);
    if (n > 0) {
        shape[n + 1] = krs_array_any(value);
        shape[n + 1].max = n - 1;
        any = krs_form_or(s, any, krs_form_of_array(s, &shape[n + 1]), value);
    }
    for (uint32_t i = 0; i < n && any; i++) {
        krs_conj *prefix = krs_schema_take(s, (size_t)i + 1, sizeof(*prefix));
        if (!prefix) {
            return NULL;
        }
        prefix[i] = krs_conj_of(s, json_array_get(value, i), KRS_ATOM_NOT_VALUE);
        shape[i] = krs_array_any(value);
        shape[i].prefix = prefix;
        shape[i].n_prefix = shape[i].min = i + 1;
        any = krs_form_or(s, any, krs_form_of_array(s, &shape[i]), value);
    }
    return any;
}

static const krs_form *not_object(krs_schema *s, const json_t *value)
{
    krs_object_shape *other = krs_schema_take(s, 1, sizeof(*other));
    krs_object_class *classes = krs_schema_take(s, 2, sizeof(*classes));
    if (!other || !classes) {
        return NULL;
    }
    /* Some name that is none of them. */
    krs_regex names = krs_regex_none(s->b);
    const krs_form *any = s->nothing;
    for (void *at = json_object_iter((json_t *)(uintptr_t)value); at && any;
         at = json_object_iter_next((json_t *)(uintptr_t)value, at)) {
        const krs_str name = krs_str_of(json_object_iter_key(at));
        names = krs_regex_or2(s->b, names, krs_chars_literal(s->b, name, s->spelling));
        const krs_conj differs = krs_conj_of(s, json_object_iter_value(at), KRS_ATOM_NOT_VALUE);
        any = krs_form_or(s, any, krs_schema_with_name(s, name, KRS_CONJ_FALSE, false), value);
        any = krs_form_or(s, any, krs_schema_with_name(s, name, differs, true), value);
    }
    classes[0] = (krs_object_class){s->string_all, KRS_CONJ_TRUE};
    classes[1] = (krs_object_class){krs_regex_and2(s->b, s->string_all, krs_regex_not(s->b, names)),
                                    KRS_CONJ_TRUE};
    *other = (krs_object_shape){.classes = classes,
                                .n_classes = 1,
                                .some = classes + 1,
                                .n_some = 1,
                                .max = KRS_REGEX_INF,
                                .at = value};
    return krs_form_or(s, any, krs_form_of_object(s, other), value);
}

const krs_form *krs_schema_form_not_value(krs_schema *s, const json_t *value)
{
    const bool is_array = json_is_array(value);
    const bool is_object = json_is_object(value);
    krs_form *f =
        complement(s, is_array || is_object ? s->nothing : krs_schema_form_value(s, value));
    const krs_form *shapes = is_array    ? not_array(s, value)
                             : is_object ? not_object(s, value)
                                         : s->everything;
    if (!f || !shapes) {
        return NULL;
    }
    if (is_array) {
        f->arrays = shapes->arrays;
        f->n_arrays = shapes->n_arrays;
    } else if (is_object) {
        f->objects = shapes->objects;
        f->n_objects = shapes->n_objects;
    }
    return f;
}

/* The strings of an enum at once: many literals become one tree of words. */
static bool enum_strings(krs_schema *s, const json_t *values, krs_form *f)
{
    krs_regex *words = krs_schema_take(s, json_array_size(values), sizeof(*words));
    size_t n = 0;
    for (size_t i = 0; words && i < json_array_size(values); i++) {
        const json_t *value = json_array_get(values, i);
        if (json_is_string(value)) {
            words[n++] = string_value(s, value).out;
        }
    }
    const krs_regex r = words ? krs_regex_or(s->b, words, n) : krs_regex_none(s->b);
    f->string = (krs_language){r, r};
    return words != NULL;
}

const krs_form *krs_schema_form_enum(krs_schema *s, const json_t *node, const json_t *values)
{
    krs_form *scalars = krs_form_new(s);
    if (!scalars || !enum_strings(s, values, scalars)) {
        return NULL;
    }
    const krs_form *all = scalars;
    size_t n_shapes = 0;
    krs_schema_work(s, json_array_size(values), node);
    for (size_t i = 0; i < json_array_size(values) && all; i++) {
        const json_t *value = json_array_get(values, i);
        n_shapes += json_is_array(value) || json_is_object(value);
        if (n_shapes > MAX_LISTED_SHAPES) {
            krs_schema_refuse(s, node, "enum", "has more than %d arrays and objects",
                              MAX_LISTED_SHAPES);
        }
        if (!json_is_string(value)) {
            all = krs_form_or(s, all, krs_schema_form_value(s, value), node);
        }
    }
    return all;
}

static bool add_type(krs_schema *s, const char *name, krs_form *f)
{
    if (strcmp(name, "null") == 0) {
        f->upper_bits |= KRS_BIT_NULL;
    } else if (strcmp(name, "boolean") == 0) {
        f->upper_bits |= KRS_BIT_TRUE | KRS_BIT_FALSE;
    } else if (strcmp(name, "number") == 0) {
        f->number = krs_number_any(s);
    } else if (strcmp(name, "integer") == 0) {
        if (f->number.upper.id != s->number_all.id) {
            f->number = krs_schema_integers(s);
        }
    } else if (strcmp(name, "string") == 0) {
        f->string = krs_string_any(s);
    } else if (strcmp(name, "array") == 0) {
        f->arrays = s->everything->arrays;
        f->n_arrays = s->everything->n_arrays;
    } else if (strcmp(name, "object") == 0) {
        f->objects = s->everything->objects;
        f->n_objects = s->everything->n_objects;
    } else {
        return false;
    }
    return true;
}

static const krs_form *not_types(krs_schema *s, const krs_form *f)
{
    krs_form *rest = complement(s, f);
    if (rest) {
        rest->n_arrays = f->n_arrays ? 0 : rest->n_arrays;
        rest->n_objects = f->n_objects ? 0 : rest->n_objects;
    }
    return rest;
}

const krs_form *krs_schema_form_types(krs_schema *s, const json_t *node, bool is_not)
{
    const json_t *type = json_object_get(node, "type");
    const bool is_list = json_is_array(type);
    const size_t n = is_list ? json_array_size(type) : 1;
    krs_form *f = krs_form_new(s);
    for (size_t i = 0; i < n && f; i++) {
        const json_t *name = is_list ? json_array_get(type, i) : type;
        if (!json_is_string(name) || !add_type(s, json_string_value(name), f)) {
            krs_schema_refuse(s, node, "type",
                              "want null, boolean, integer, number, string, array, "
                              "object, or a list of them");
            return NULL;
        }
    }
    return f && is_not ? not_types(s, f) : f;
}
