/* grammar/schema_not.c - NOT of a subschema: some keyword of it does not hold.
 *
 * Each keyword's opposite is a form, and NOT is their union: a wrong type, a property that is missing or wrong, an
 * item that is. What has no opposite among forms is refused. */
#include "grammar/schema_priv.h"

/* Objects that have some name in `names` whose value is `value`. */
static const krs_form *has_some(krs_schema *s, const json_t *node, krs_regex names, krs_conj value)
{
    krs_object_shape *o = krs_schema_take(s, 1, sizeof(*o));
    krs_object_class *some = krs_schema_take(s, 1, sizeof(*some));
    if (!o || !some) {
        return NULL;
    }
    *o = *s->everything->objects[0];
    *some = (krs_object_class){names, value};
    o->some = some;
    o->n_some = 1;
    o->at = node;
    return krs_form_of_object(s, o);
}

static krs_conj opposite(krs_schema *s, const json_t *schema)
{
    return krs_conj_of(s, schema, KRS_ATOM_NOT_SCHEMA);
}

static const krs_form *wrong_properties(krs_schema *s, const json_t *node, const krs_form *any)
{
    const json_t *map = json_object_get(node, "properties");
    for (void *at = json_object_iter((json_t *)(uintptr_t)map); at && any;
         at = json_object_iter_next((json_t *)(uintptr_t)map, at)) {
        const krs_conj wrong = opposite(s, json_object_iter_value(at));
        if (wrong != KRS_CONJ_FALSE) {
            const krs_str name = krs_str_of(json_object_iter_key(at));
            any = krs_form_or(s, any, krs_schema_with_name(s, name, wrong, true), node);
        }
    }
    const json_t *required = json_object_get(node, "required");
    for (size_t i = 0; i < json_array_size(required) && any; i++) {
        const krs_str name = krs_str_of(json_string_value(json_array_get(required, i)));
        any = krs_form_or(s, any, krs_schema_with_name(s, name, KRS_CONJ_FALSE, false), node);
    }
    return any;
}

/* A name by pattern, or an additional one, with a wrong value. */
static const krs_form *wrong_others(krs_schema *s, const json_t *node, const krs_form *any)
{
    const json_t *map = json_object_get(node, "patternProperties");
    krs_regex known = krs_regex_none(s->b);
    for (void *at = json_object_iter((json_t *)(uintptr_t)map); at && any;
         at = json_object_iter_next((json_t *)(uintptr_t)map, at)) {
        const krs_regex names =
            krs_schema_search(s, node, "patternProperties", krs_str_of(json_object_iter_key(at)));
        known = krs_regex_or2(s->b, known, names);
        const krs_conj wrong = opposite(s, json_object_iter_value(at));
        if (wrong != KRS_CONJ_FALSE) {
            any = krs_form_or(s, any, has_some(s, node, names, wrong), node);
        }
    }
    const json_t *rest = json_object_get(node, "additionalProperties");
    const krs_conj wrong = rest ? opposite(s, rest) : KRS_CONJ_FALSE;
    if (wrong == KRS_CONJ_FALSE || !any) {
        return any;
    }
    map = json_object_get(node, "properties");
    for (void *at = json_object_iter((json_t *)(uintptr_t)map); at;
         at = json_object_iter_next((json_t *)(uintptr_t)map, at)) {
        const krs_str name = krs_str_of(json_object_iter_key(at));
        known = krs_regex_or2(s->b, known, krs_chars_literal(s->b, name, s->spelling));
    }
    const krs_regex names = krs_regex_and2(s->b, s->string_all, krs_regex_not(s->b, known));
    return krs_form_or(s, any, has_some(s, node, names, wrong), node);
}

/* Too few properties, or too many. */
static const krs_form *wrong_count(krs_schema *s, const krs_object_shape *o, const krs_form *any)
{
    krs_object_shape *counts = krs_schema_take(s, 2, sizeof(*counts));
    if (!counts) {
        return NULL;
    }
    counts[0] = counts[1] = *s->everything->objects[0];
    counts[0].at = counts[1].at = o->at;
    if (o->min > 0) {
        counts[0].max = o->min - 1;
        any = krs_form_or(s, any, krs_form_of_object(s, &counts[0]), o->at);
    }
    if (o->max != KRS_REGEX_INF) {
        counts[1].min = o->max + 1;
        any = krs_form_or(s, any, krs_form_of_object(s, &counts[1]), o->at);
    }
    return any;
}

const krs_form *krs_schema_object_not(krs_schema *s, const json_t *node)
{
    /* Also checks what is read here without looking. */
    const krs_object_shape *o = krs_schema_object(s, node);
    if (!o) {
        return s->status == KRS_OK ? s->nothing : NULL;
    }
    const krs_form *any = wrong_others(s, node, wrong_properties(s, node, s->nothing));
    any = wrong_count(s, o, any);
    const json_t *names = json_object_get(node, "propertyNames");
    const krs_form *f = names ? krs_schema_form(s, names) : NULL;
    if (f && f->string.upper.id != s->string_all.id) {
        const krs_language wrong = krs_string_not(s, f->string);
        any = krs_form_or(s, any, has_some(s, node, wrong.out, KRS_CONJ_TRUE), node);
    }
    return any;
}

/* Scalars, arrays and objects, each of its own type. */
static const krs_form *typed_not(krs_schema *s, const json_t *node)
{
    krs_form *f = krs_form_new(s);
    krs_language l;
    if (!f) {
        return NULL;
    }
    if (krs_schema_numbers(s, node, &l)) {
        f->number = krs_number_not(s, l);
    }
    if (krs_schema_strings(s, node, &l)) {
        f->string = krs_string_not(s, l);
    }
    const krs_form *any = krs_form_or(s, f, krs_schema_array_not(s, node), node);
    return krs_form_or(s, any, krs_schema_object_not(s, node), node);
}

static const krs_form *lists_not(krs_schema *s, const json_t *node, const krs_form *any)
{
    const json_t *list = krs_schema_list(s, node, "allOf");
    for (size_t i = 0; i < json_array_size(list) && any; i++) {
        any = krs_form_or(s, any, krs_schema_form_not(s, json_array_get(list, i)), node);
    }
    list = krs_schema_list(s, node, "anyOf");
    const krs_form *none = s->everything;
    for (size_t i = 0; i < json_array_size(list) && none; i++) {
        none = krs_form_and(s, none, krs_schema_form_not(s, json_array_get(list, i)), node);
    }
    return list ? krs_form_or(s, any, none, node) : any;
}

/* oneOf fails when none matches, or two do. */
static const krs_form *one_of_not(krs_schema *s, const json_t *node, const krs_form *any)
{
    const json_t *list = krs_schema_list(s, node, "oneOf");
    const krs_form *none = s->everything;
    for (size_t i = 0; i < json_array_size(list) && none && any; i++) {
        const json_t *branch = json_array_get(list, i);
        none = krs_form_and(s, none, krs_schema_form_not(s, branch), node);
        for (size_t j = 0; j < i && any; j++) {
            any = krs_form_or(s, any,
                              krs_form_and(s, krs_schema_form(s, branch),
                                           krs_schema_form(s, json_array_get(list, j)), node),
                              node);
        }
    }
    return list ? krs_form_or(s, any, none, node) : any;
}

static const krs_form *condition_not(krs_schema *s, const json_t *node, const krs_form *any)
{
    const json_t *condition = krs_schema_sub(s, node, "if");
    const json_t *met = krs_schema_sub(s, node, "then");
    const json_t *unmet = krs_schema_sub(s, node, "else");
    if (condition && met) {
        any = krs_form_or(
            s, any,
            krs_form_and(s, krs_schema_form(s, condition), krs_schema_form_not(s, met), node),
            node);
    }
    if (condition && unmet) {
        any = krs_form_or(
            s, any,
            krs_form_and(s, krs_schema_form_not(s, condition), krs_schema_form_not(s, unmet), node),
            node);
    }
    return any;
}

static const krs_form *values_not(krs_schema *s, const json_t *node, const krs_form *any)
{
    const json_t *list = krs_schema_list(s, node, "enum");
    const krs_form *none = s->everything;
    for (size_t i = 0; i < json_array_size(list) && none; i++) {
        none = krs_form_and(s, none, krs_schema_form_not_value(s, json_array_get(list, i)), node);
    }
    any = list ? krs_form_or(s, any, none, node) : any;
    const json_t *value = json_object_get(node, "const");
    any = value ? krs_form_or(s, any, krs_schema_form_not_value(s, value), node) : any;
    return json_object_get(node, "type")
               ? krs_form_or(s, any, krs_schema_form_types(s, node, true), node)
               : any;
}

/* A name is there and what it asks for is not. */
static const krs_form *dependencies_not(krs_schema *s, const json_t *node, const char *keyword,
                                        const krs_form *any)
{
    const json_t *map = krs_schema_map(s, node, keyword);
    for (void *at = json_object_iter((json_t *)(uintptr_t)map); at && any;
         at = json_object_iter_next((json_t *)(uintptr_t)map, at)) {
        const json_t *what = json_object_iter_value(at);
        const krs_form *wrong = s->nothing;
        if (json_is_object(what) || json_is_boolean(what)) {
            wrong = krs_schema_form_not(s, what);
        }
        for (size_t i = 0; i < json_array_size(what) && wrong; i++) {
            const json_t *name = json_array_get(what, i);
            const krs_str text = krs_str_of(json_is_string(name) ? json_string_value(name) : "");
            wrong =
                krs_form_or(s, wrong, krs_schema_with_name(s, text, KRS_CONJ_FALSE, false), node);
        }
        const krs_form *present =
            krs_schema_with_name(s, krs_str_of(json_object_iter_key(at)), KRS_CONJ_TRUE, true);
        any = krs_form_or(s, any, krs_form_and(s, present, wrong, node), node);
    }
    return any;
}

const krs_form *krs_schema_read_not(krs_schema *s, const json_t *node)
{
    const krs_form *any = s->nothing;
    static const char *const refs[] = {"$ref", "$dynamicRef", "$recursiveRef"};
    for (size_t i = 0; i < 3 && any; i++) {
        if (json_object_get(node, refs[i])) {
            const json_t *target = krs_schema_resolve(s, node, refs[i]);
            any = target ? krs_form_or(s, any, krs_schema_form_not(s, target), node) : NULL;
        }
    }
    if (krs_schema_is_only_ref(s, node) || !any) {
        return any;
    }
    any = krs_form_or(s, any, typed_not(s, node), node);
    any = values_not(s, node, any);
    any = lists_not(s, node, any);
    any = one_of_not(s, node, any);
    any = condition_not(s, node, any);
    any = dependencies_not(s, node, "dependencies", any);
    any = dependencies_not(s, node, "dependentRequired", any);
    any = dependencies_not(s, node, "dependentSchemas", any);
    const json_t *inner = krs_schema_sub(s, node, "not");
    return inner ? krs_form_or(s, any, krs_schema_form(s, inner), node) : any;
}
